"""Rooms at Zoom in a running server: opened, entered, reported, replaced, closed, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from invigilo.accounts.model import Account
from invigilo.clock import to_ms
from invigilo.errors import InvigiloError, Refused
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import Exam, JoinBy
from invigilo.monitoring.live import LiveConnection
from invigilo.proctoring.calls import Opened
from invigilo.proctoring.model import Perception, RoomKind, RoomState
from invigilo.providers.base import Feature, RoomHandle, Slots
from invigilo.simulate.zoom_api import Fault
from invigilo.simulate.zoom_meetings import Meeting
from invigilo.simulate.zoom_reports import signature
from invigilo.simulate.zoom_rules import JoinRefused, Seed
from invigilo.storage.tables import exams, instructions, meeting_bookings, meeting_hosts, service_definitions
from tests.browser.test_candidate_page import until
from tests.meeting_site import ZoomSite, zoom_hosts, zoom_site
from tests.server import Answer, SebWire

NATIVE = "client_id=lea&seb_machine_name=LAB-1&seb_os_name=Windows 10&seb_version=3.5.0"
PAGE = "client_id=lea&seb_machine_name=LAB-1&seb_os_name=Windows 11&seb_version=3.10.2"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[ZoomSite]:
    async with zoom_site(tmp_path) as site:
        yield site


async def settled(site: ZoomSite) -> None:
    """Everything due by now happens: calls, memory, connections."""
    app = site.server.app
    await app.rooms.refresh()
    await app.rooms.finish_steps()
    await app.rooms.refresh()
    await app.connections.reload(list(app.live.by_id))


async def arrived(site: ZoomSite, body: str = PAGE) -> SebWire:
    """A client with its place in an open room."""
    wire = await site.server.ready(body)
    await settled(site)
    await until(lambda: wire.live.room_state == "open")
    return wire


def meetings(site: ZoomSite) -> list[Meeting]:
    return list(site.zoom.core.meetings.values())


def enter(site: ZoomSite, live: LiveConnection, **more: Any) -> dict[str, Any]:
    """As the SDK in the candidate's page does."""
    entry = site.server.app.meetings.entry(live).as_json()
    wish = {
        "signature": entry["token"],
        "meetingNumber": entry["number"],
        "userName": entry["name"],
        "passcode": entry["passcode"],
        "customerKey": entry["customer_key"],
        "sdkVersion": entry["version"],
    }
    return site.zoom.ctl_join(wish | more)


def present(site: ZoomSite, live: LiveConnection) -> bool | None:
    return live.meeting.present(live.room_id, site.server.app.clock.now_ms())


async def rows(site: ZoomSite, table: Any) -> list[Any]:
    async with site.server.app.reading() as w:
        return list(await w.db.execute(select(table)))


@pytest.mark.spec("live-proctoring", 53)
async def test_a_room_has_one_meeting_and_its_passcode_is_sealed(site: ZoomSite) -> None:
    live = (await arrived(site)).live
    (meeting,) = meetings(site)
    (booking,) = await rows(site, meeting_bookings)
    assert booking.meeting_id == str(meeting.id)
    assert meeting.password not in booking.passcodes_encrypted
    (host,) = await rows(site, meeting_hosts)
    assert (host.host, host.creations) == (booking.host, 1)
    assert enter(site, live)["state"] == "in_meeting"
    name = meeting.body["topic"] + meeting.body["agenda"]
    assert "lea" not in name.lower(), "nothing about a person leaves with the meeting"


async def test_the_candidates_entry_holds_nothing_of_a_host(site: ZoomSite) -> None:
    live = (await arrived(site)).live
    entry = site.server.app.meetings.entry(live).as_json()
    assert entry["kind"] == "zoom"
    assert entry["host_key"] == entry["note"] == ""
    role = json.loads(_payload(entry["token"]))["role"]
    assert role == 0


def _payload(token: str) -> bytes:
    import base64

    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.spec("live-proctoring", 54)
async def test_clients_that_join_by_themselves_get_all_ten_attributes(tmp_path: Path) -> None:
    async with zoom_site(tmp_path, join_by=JoinBy.NATIVE) as site:
        wire = await arrived(site, NATIVE)
        app = site.server.app
        (stored,) = await rows(site, instructions)
        assert "eyJ" not in app.storage.box.decrypt(stored.attributes_encrypted), "no token is stored"
        await until(lambda: bool(wire.live.queue))
        async with asyncio.timeout(60):
            while (instruction := await app.connections.next_instruction(wire.live)) is None:
                await asyncio.sleep(0.02)
        (meeting,) = meetings(site)
        attributes = dict(instruction.attributes)
        assert attributes.keys() == {
            "service-type", "method", "zoomServerURL", "zoomRoom", "zoomToken", "zoomSDKToken", "zoomAPIKey", "zoomMeetingKey",
            "zoomUserName", "zoomSubject", "roomType",
        }  # fmt: skip
        assert all(isinstance(value, str) and value for value in attributes.values())
        assert (attributes["service-type"], attributes["method"]) == ("ZOOM", "JOIN")
        assert attributes["zoomRoom"] == str(meeting.id)
        assert attributes["zoomMeetingKey"] == meeting.encrypted
        wish = {
            "signature": attributes["zoomToken"], "meetingNumber": attributes["zoomRoom"], "sdkVersion": "6.2.0",
            "passcode": attributes["zoomMeetingKey"], "userName": attributes["zoomUserName"],
        }  # fmt: skip
        assert site.zoom.ctl_join(wish)["state"] == "in_meeting"


async def test_a_client_of_another_version_uses_the_page(tmp_path: Path) -> None:
    """Windows 3.6 joins a Jitsi by itself and Zoom not."""
    async with zoom_site(tmp_path, join_by=JoinBy.NATIVE) as site:
        wire = await site.server.ready(NATIVE.replace("3.5.0", "3.6.1"))
        await settled(site)
        assert await rows(site, instructions) == []
        assert wire.live.room_number == 1


# --- reports ---


async def test_who_comes_and_goes_is_told_by_zoom(site: ZoomSite) -> None:
    live = (await arrived(site)).live
    assert present(site, live) is None
    joined = enter(site, live)
    await site.zoom.hooks.drain()
    assert present(site, live) is True
    site.zoom.ctl_leave(joined)
    await site.zoom.hooks.drain()
    assert present(site, live) is False
    assert site.zoom.hooks.answers == [200] * len(site.zoom.hooks.answers)
    site.zoom.hooks.odd.duplicate = site.zoom.hooks.odd.extra_fields = True
    enter(site, live)
    await site.zoom.hooks.drain()
    assert present(site, live) is True
    site.zoom.core.end(meetings(site)[0])
    await site.zoom.hooks.drain()
    assert present(site, live) is False, "the meeting has ended"


async def post(site: ZoomSite, body: bytes, *, secret: str = "", stamp: int | None = None) -> Answer:
    when = str(int(time.time()) if stamp is None else stamp)
    headers = {
        "x-zm-request-timestamp": when,
        "x-zm-signature": signature(secret or site.zoom.seed.hook_secret, when, body),
        "Content-Type": "application/json",
    }
    return await site.server.request("POST", f"/hooks/{site.definition_id}", headers=headers, body=body)


async def test_zoom_makes_sure_of_us_and_of_nobody_else(site: ZoomSite) -> None:
    """zoom.md §5: the known answer, and through the stand-in."""
    assert await site.zoom.hooks.validate()
    body = json.dumps(
        {"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": "plain-token-1"}}
    )
    answer = await post(site, body.encode())
    assert (answer.status, answer.json) == (200, {
        "plainToken": "plain-token-1",
        "encryptedToken": "b6890ce2c310f28d32a89f19b2db88adc8616dc97c06e51cda62c95f86eb3075",
    })  # fmt: skip
    assert (await post(site, body.encode(), secret="guessed-by-somebody")).status == 401
    assert (await post(site, body.encode(), stamp=int(time.time()) - 301)).status == 401, "a replay"
    line = site.server.app.meetings.report_line(site.definition_id)
    assert line.refused == 2
    assert line.last_at is not None


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"event": "meeting.started"}', b'{"event": 7, "payload": []}', b"\xff",
     b'{"event": "endpoint.url_validation", "payload": {}}', b"[" * 50_000],
)  # fmt: skip
async def test_a_report_that_cannot_be_read_is_no_crash(site: ZoomSite, body: bytes) -> None:
    assert (await post(site, body)).status in {200, 400}


async def test_reports_out_of_order_of_strangers_and_of_other_accounts_change_nothing(site: ZoomSite) -> None:
    live = (await arrived(site)).live
    odd = site.zoom.hooks.odd
    odd.foreign_account = True
    enter(site, live)
    await site.zoom.hooks.drain()
    assert present(site, live) is None
    odd.foreign_account, odd.unknown_event = False, True
    second = enter(site, live)
    await site.zoom.hooks.drain()
    assert present(site, live) is None
    odd.unknown_event, odd.wrong_signature = False, True
    site.zoom.ctl_leave(second)
    await site.zoom.hooks.drain()
    assert present(site, live) is None
    odd.wrong_signature = False
    (meeting,) = meetings(site)
    site.zoom.ctl_drop_all({"meetingNumber": meeting.id})
    await site.zoom.hooks.drain()
    third = enter(site, live)
    site.zoom.ctl_leave(third)
    await site.zoom.hooks.drain()
    assert present(site, live) is False, "whatever order they came in"


async def asked_until(site: ZoomSite, holds: Callable[[], bool]) -> None:
    """The server looks after its meetings, and asks who is there, until it has come to this; its own round may be under
    way, with what it heard before.
    """
    tending = site.server.app.tending
    async with asyncio.timeout(60):
        while not holds():
            tending._polled_at.clear()
            tending._sweep_at.clear()
            await tending.run()


async def elsewhere(site: ZoomSite, wire: SebWire, meeting: Meeting) -> None:
    """The way into the room this client should be in leads to another meeting."""
    await site.server.app.tending.run()
    await settled(site)

    def is_so() -> bool:
        try:
            return site.server.app.meetings.entry(wire.live).as_json()["number"] != str(meeting.id)
        except InvigiloError:
            return False

    await until(is_so)


async def all_given_back(site: ZoomSite) -> None:
    """No meeting at Zoom, and no booking here, which goes last."""
    await until(lambda: meetings(site) == [])
    async with asyncio.timeout(60):
        while await rows(site, meeting_bookings):
            await asyncio.sleep(0.05)


async def test_without_reports_the_dashboard_is_asked(tmp_path: Path) -> None:
    seed = Seed(plan="business", dashboard=True, users=zoom_hosts(2))
    async with zoom_site(tmp_path, seed=seed, reports=False) as site:
        live = (await arrived(site)).live
        joined = enter(site, live)
        await asked_until(site, lambda: present(site, live) is True)
        site.zoom.ctl_leave(joined)
        other = enter(site, live, customerKey="somebody-else")
        await asked_until(site, lambda: present(site, live) is False)
        assert other["state"] == "in_meeting"


# --- what goes wrong ---


async def test_a_meeting_deleted_by_hand_is_replaced_and_everybody_called_again(site: ZoomSite) -> None:
    wire = await arrived(site)
    (meeting,) = meetings(site)
    enter(site, wire.live)
    site.zoom.core.delete(meeting)
    await site.zoom.hooks.drain()
    await elsewhere(site, wire, meeting)
    (again,) = meetings(site)
    assert again.id != meeting.id
    assert enter(site, wire.live)["state"] == "in_meeting"


async def test_a_host_who_is_busy_elsewhere_is_left_for_another(site: ZoomSite) -> None:
    """3711 in a page: the room moves to another host."""
    wire = await arrived(site)
    (meeting,) = meetings(site)
    private = site.zoom.core.create(
        meeting.host, {"settings": {"join_before_host": True, "waiting_room": False}}
    )
    private.is_started = True
    with pytest.raises(JoinRefused) as busy:
        enter(site, wire.live)
    assert busy.value.code == 3711
    app = site.server.app
    app.sockets._doubt_place(wire.live, "unreachable", 3711)
    await elsewhere(site, wire, meeting)
    assert enter(site, wire.live)["state"] == "in_meeting"
    assert private.is_started


async def test_a_page_that_cries_wolf_changes_nothing(site: ZoomSite) -> None:
    """What a candidate's page claims is looked at, never believed."""
    wire = await arrived(site)
    (meeting,) = meetings(site)
    app = site.server.app
    for code in (3001, 3711, 3008, 4004):
        app.sockets._doubt_place(wire.live, "unreachable", code)
        await app.tending.run()
    await settled(site)
    assert [one.id for one in meetings(site)] == [meeting.id]


async def test_a_full_meeting_opens_an_overflow_room_once(tmp_path: Path) -> None:
    seed = Seed(users=zoom_hosts(3, capacity=1))
    async with zoom_site(tmp_path, seed=seed) as site:
        lea, tom = (
            await arrived(site),
            await arrived(site, PAGE.replace("lea", "tom").replace("LAB-1", "LAB-2")),
        )
        assert lea.live.room_number == tom.live.room_number == 1
        enter(site, lea.live)
        with pytest.raises(JoinRefused) as full:
            enter(site, tom.live)
        assert full.value.code == 4005
        app = site.server.app
        await app.rooms.place_elsewhere(tom.live.id, tom.live.room_id)
        await settled(site)
        await until(lambda: (tom.live.room_number, tom.live.room_state) == (2, "open"))
        assert enter(site, tom.live)["state"] == "in_meeting"
        room = tom.live.room_id
        await app.rooms.place_elsewhere(tom.live.id, room)
        await app.rooms.place_elsewhere(tom.live.id, room)
        await settled(site)
        assert len(await rows(site, meeting_bookings)) == 3, "each room but once"


async def test_a_second_proctor_sees_the_room_as_a_guest(site: ZoomSite) -> None:
    await arrived(site)
    app = site.server.app
    exam = next(e for e in app.directory.exams.values() if e.proctoring.definition_id == site.definition_id)
    people = await _accounts(site)
    first = await app.meetings.host_entry(exam, 1, people["ada"], "p1")
    second = await app.meetings.host_entry(exam, 1, people["grace"], "p2")
    assert (first.note, second.note) == ("", "other_host")
    assert first.host_key
    assert second.host_key == ""
    assert json.loads(_payload(second.as_json()["token"]))["role"] == 0
    assert first.host_key not in repr(first)
    window = await app.meetings.host_entry(exam, 1, people["ada"], "p1b")
    assert (window.note, window.host_key) == ("other_window", ""), (
        "with one key it would be the same host twice"
    )
    assert (await app.meetings.host_entry(exam, 1, people["ada"], "p1")).note == "", "who holds it comes back"
    app.meetings.host_left("p1")
    app.meetings.still_holds(exam, 1, people["ada"], "p1c")
    assert (await app.meetings.host_entry(exam, 1, people["grace"], "p2")).note == "other_host", (
        "only its line broke"
    )
    app.meetings.host_left("p1c")
    assert (await app.meetings.host_entry(exam, 1, people["grace"], "p2")).note == ""
    site.zoom.seed.zak_refused = True
    app.meetings.host_left("p2")
    assert (await app.meetings.host_entry(exam, 1, people["ada"], "p3")).note == "no_host_key"


async def test_of_two_who_enter_at_once_one_holds_the_meeting(site: ZoomSite) -> None:
    """And a page that is gone before Zoom has answered keeps nobody from holding it."""
    await arrived(site)
    app = site.server.app
    exam = next(e for e in app.directory.exams.values() if e.proctoring.definition_id == site.definition_id)
    provider: Any = app.registry.provider_of(exam)
    people, is_asked, may_answer = await _accounts(site), asyncio.Event(), asyncio.Event()
    host_key = provider.host_key

    async def slowly(room: RoomHandle) -> str:
        is_asked.set()
        await may_answer.wait()
        return await host_key(room)

    provider.host_key = slowly
    first = asyncio.create_task(app.meetings.host_entry(exam, 1, people["ada"], "p1"))
    async with asyncio.timeout(60):
        await is_asked.wait()
    assert (await app.meetings.host_entry(exam, 1, people["grace"], "p2")).note == "other_host"
    app.meetings.host_left("p1")
    may_answer.set()
    await first
    assert (await app.meetings.host_entry(exam, 1, people["grace"], "p2")).note == ""


async def _accounts(site: ZoomSite) -> dict[str, Any]:
    from invigilo.storage.queries import accounts as account_queries

    async with site.server.app.reading() as w:
        return {one.username: one for one in await account_queries.all_accounts(w.db)}


# --- calls ---


async def person(site: ZoomSite, name: str = "ada") -> Account:
    return (await _accounts(site))[name]


async def called(site: ZoomSite, wire: SebWire, kind: RoomKind = RoomKind.BREAK_OUT) -> Opened:
    """A call with this client, or one with all."""
    app = site.server.app
    exam = app.directory.exams[wire.live.exam_id or 0]
    ids = [wire.live.id] if kind is RoomKind.BREAK_OUT else []
    opened = await app.calls.open(exam, kind, ids, by=await person(site))
    await settled(site)
    return opened


async def close(site: ZoomSite, wire: SebWire, opened: Opened) -> None:
    app = site.server.app
    exam = app.directory.exams[wire.live.exam_id or 0]
    await app.calls.close(exam, opened.room.id, by=await person(site))
    await settled(site)


def tom(body: str = PAGE) -> str:
    return body.replace("lea", "tom").replace("LAB-1", "LAB-2")


async def test_a_call_takes_a_host_and_gives_it_back(site: ZoomSite) -> None:
    wire = await arrived(site)
    (home,) = meetings(site)
    app = site.server.app
    exam = app.directory.exams[wire.live.exam_id or 0]
    opened = await called(site, wire)
    assert wire.live.room_id == opened.room.id
    (aside,) = [one for one in meetings(site) if one.id != home.id]
    assert aside.host is not home.host
    assert enter(site, wire.live)["state"] == "in_meeting"
    assert app.rooms.slots(exam) == Slots(0, 2)
    proctor = await app.meetings.host_entry(exam, opened.room.id, await person(site), "p1")
    assert (proctor.note, proctor.as_json()["number"]) == ("", str(aside.id)), "its meeting, by its own id"
    await close(site, wire, opened)
    assert meetings(site) == [home]
    assert (wire.live.room_id, wire.live.home_id) == (wire.live.home_id, wire.live.room_id)
    assert app.rooms.slots(exam) == Slots(1, 2)
    assert len(await rows(site, meeting_bookings)) == 1


async def test_a_call_without_a_free_host_is_refused_before_anybody_moves(tmp_path: Path) -> None:
    async with zoom_site(tmp_path, hosts=1) as site:
        wire = await arrived(site)
        home = wire.live.room_id
        for kind in (RoomKind.TOWN_HALL, RoomKind.BREAK_OUT):
            with pytest.raises(Refused, match=r"all 1 are in use.*End a call") as refused:
                await called(site, wire, kind)
            assert refused.value.code == "no_free_host"
        await settled(site)
        assert wire.live.room_id == home
        assert [view.kind for view in site.server.app.rooms.of_exam(_exam(site, wire))] == ["collecting"]


async def test_a_host_taken_in_the_last_moment_is_no_call_that_opens_some_day(site: ZoomSite) -> None:
    """Between the look and the booking somebody else had the host: refused all the same, and nothing stays."""
    wire = await arrived(site)
    app = site.server.app
    provider: Any = app.registry.provider_of(_exam(site, wire))
    before = provider.slots()
    (free,) = set(provider._settings.hosts) - {one.host for one in provider._book.bookings()}
    await provider._book.block(free, until=app.clock.now_ms() + 60_000, reason="zoom_host_busy")
    provider.slots = lambda: before
    with pytest.raises(Refused) as refused:
        await called(site, wire)
    assert refused.value.code == "no_free_host"
    await settled(site)
    assert wire.live.room_id == wire.live.home_id
    assert len(meetings(site)) == len(await rows(site, meeting_bookings)) == 1


async def test_a_call_that_zoom_does_not_open_moves_nobody_and_leaves_nothing(site: ZoomSite) -> None:
    wire = await arrived(site)
    (home,) = meetings(site)
    fault = Fault("POST", "meetings$", times=1_000, status=503, body={"code": 503, "message": "down"})
    site.zoom.api.faults.append(fault)
    opened = await called(site, wire, RoomKind.TOWN_HALL)
    await until(lambda: _state(site, wire, opened) == RoomState.FAILED)
    assert wire.live.room_id == wire.live.home_id
    site.zoom.api.faults.remove(fault)
    await close(site, wire, opened)
    await until(lambda: _state(site, wire, opened) == RoomState.CLOSED and meetings(site) == [home])
    assert len(await rows(site, meeting_bookings)) == 1


def _exam(site: ZoomSite, wire: SebWire) -> Exam:
    return site.server.app.directory.exams[wire.live.exam_id or 0]


def _state(site: ZoomSite, wire: SebWire, opened: Opened) -> RoomState | None:
    room = site.server.app.rooms.room(wire.live.exam_id or 0, opened.room.id)
    return None if room is None else room.state


async def test_a_calls_meeting_deleted_by_hand_is_replaced_and_entered_again(site: ZoomSite) -> None:
    wire = await arrived(site)
    (home,) = meetings(site)
    opened = await called(site, wire)
    (aside,) = [one for one in meetings(site) if one.id != home.id]
    site.zoom.core.delete(aside)
    await site.zoom.hooks.drain()
    await elsewhere(site, wire, home)
    await until(lambda: wire.live.room_id == opened.room.id and wire.live.room_state == "open")
    await elsewhere(site, wire, aside)
    assert enter(site, wire.live)["state"] == "in_meeting"
    await close(site, wire, opened)
    await until(lambda: meetings(site) == [home])


async def test_who_a_town_hall_does_not_hold_stays_at_home_and_comes_when_there_is_room(
    tmp_path: Path,
) -> None:
    """A meeting of four keeps three places for proctors."""
    async with zoom_site(tmp_path, seed=Seed(users=zoom_hosts(2, capacity=4))) as site:
        first, second = await arrived(site), await arrived(site, tom())
        await until(lambda: site.server.app.rooms.hall(_exam(site, first))["size"] == 1)
        opened = await called(site, first, RoomKind.TOWN_HALL)
        assert first.live.room_id == opened.room.id
        assert (second.live.room_id, second.live.is_beyond) == (second.live.home_id, True)
        assert enter(site, second.live)["state"] == "in_meeting", "at home"
        await first.delete()
        await settled(site)
        await until(lambda: second.live.room_id == opened.room.id)
        assert not second.live.is_beyond
        await close(site, second, opened)
        assert not second.live.is_beyond


async def test_nobody_is_shown_where_zoom_made_a_meeting_without_focus_mode(tmp_path: Path) -> None:
    seed = Seed(users=zoom_hosts(1, locked={"focus_mode": False}))
    async with zoom_site(tmp_path, seed=seed) as site:
        wire = await arrived(site)
        app, room = site.server.app, wire.live.room_id or 0
        with pytest.raises(Refused, match="focus mode") as refused:
            await app.calls.hold(_exam(site, wire), room, "p", Perception(video=True), by=await person(site))
        assert refused.value.code == "service_cannot"
        await app.calls.hold(_exam(site, wire), room, "p", Perception(audio=True), by=await person(site))
        await until(lambda: wire.live.receive == (True, False, False))
        provider = app.rooms._provider_of(_exam(site, wire))
        assert Feature.BROADCAST_VIDEO not in provider.features
        await wire.delete()
        async with app.work() as w:
            await w.db.execute(update(exams).values(ends_at=to_ms(app.clock.now() - timedelta(hours=2))))
            await directory_changed(w)
        await app.directory.follow()
        await until(
            lambda: Feature.BROADCAST_VIDEO in provider.features
        )  # with the meeting that goes is gone what it lacked


@pytest.mark.spec("live-proctoring", 54)
async def test_clients_that_join_by_themselves_are_led_through_a_call(tmp_path: Path) -> None:
    """Join, hear, and home again with nothing on: the words of Zoom, in this order, each confirmed before the next."""
    async with zoom_site(tmp_path, join_by=JoinBy.NATIVE) as site:
        wire = await arrived(site, NATIVE)
        assert await told(site, wire) == ["JOIN proctoring"]
        opened = await called(site, wire, RoomKind.TOWN_HALL)
        assert await told(site, wire) == ["JOIN townhall"]
        app, wish = site.server.app, Perception(audio=True, video=True, chat=True)
        await app.calls.hold(_exam(site, wire), opened.room.id, "p", wish, by=await person(site))
        assert await told(site, wire) == ["zoomFeatureFlagChat zoomReceiveAudio zoomReceiveVideo"]
        await close(site, wire, opened)
        assert await told(site, wire) == ["", "JOIN proctoring"]
        assert len(meetings(site)) == 1


async def told(site: ZoomSite, wire: SebWire) -> list[str]:
    """What its pings bring, as words, until all of it is confirmed: which meeting, or what is on of the three."""
    found: list[str] = []
    await settled(site)

    def is_settled() -> bool:
        return not wire.live.queue and wire.live.confirmed_revision >= wire.live.revision

    async with asyncio.timeout(40):
        while not is_settled():
            reply = await wire.ping()
            if reply.body:
                attributes = reply.json["attributes"]
                on = " ".join(sorted(key for key, value in attributes.items() if value == "true"))
                word = f"JOIN {attributes['roomType']}" if "roomType" in attributes else on
                found += [] if found[-1:] == [word] else [word]
                await wire.ping(confirm=attributes["instruction-confirm"])
            await asyncio.sleep(0.05)
    return found


# --- the end ---


@pytest.mark.spec("live-proctoring", 55)
async def test_nothing_is_left_when_the_exam_is_over(site: ZoomSite) -> None:
    wire = await arrived(site)
    enter(site, wire.live)
    await called(site, wire)
    enter(site, wire.live)
    app = site.server.app
    assert len(meetings(site)) == 2
    async with app.work() as w:
        await w.db.execute(update(exams).values(ends_at=to_ms(app.clock.now() - timedelta(hours=2))))
        await directory_changed(w)
    await app.directory.follow()
    await until(lambda: not app.rooms.exams_with_rooms())
    await all_given_back(site)


async def test_a_deleted_exams_meetings_go_with_the_next_look(site: ZoomSite) -> None:
    """Its rooms went with it, a call's too; the bookings remember."""
    await called(site, await arrived(site))
    assert len(meetings(site)) == 2
    app = site.server.app
    async with app.work() as w:
        await w.db.execute(exams.delete())
        await directory_changed(w)
    await app.directory.follow()
    await app.rooms.refresh()
    app.rooms._by_exam.clear()
    await app.tending.run()
    await all_given_back(site)


async def test_after_a_restart_the_same_meeting_is_entered(tmp_path: Path) -> None:
    async with zoom_site(tmp_path) as site:
        live = (await arrived(site)).live
        app = site.server.app
        before = app.meetings.entry(live).as_json()["number"]
        app.meeting_hosts.bookings.clear()
        app.meeting_hosts._heard(None)
        await app.meeting_hosts.refresh()
        assert app.meetings.entry(live).as_json()["number"] == before
        assert len(app.meeting_hosts.instance) == 12


async def test_orphans_of_ours_are_swept_at_start(site: ZoomSite) -> None:
    await arrived(site)
    app = site.server.app
    user = site.zoom.core.users["zu1"]
    lost = site.zoom.core.create(user, {"agenda": f"invigilo:{app.meeting_hosts.instance}:{'0' * 32}"})
    other = site.zoom.core.create(user, {"agenda": f"invigilo:ffffffffffff:{'0' * 32}"})
    await asked_until(site, lambda: lost.id not in site.zoom.core.meetings)
    assert other.id in site.zoom.core.meetings


async def test_a_room_without_a_free_host_says_so(tmp_path: Path) -> None:
    """One host, one live meeting: the second room waits, visibly, and opens when another host is entered."""
    async with zoom_site(tmp_path, hosts=1) as site:
        app = site.server.app
        async with app.work() as w:
            await w.db.execute(update(exams).values(collecting_room_size=1))
            await directory_changed(w)
        await app.directory.follow()
        await arrived(site)
        tom = await site.server.ready(PAGE.replace("lea", "tom").replace("LAB-1", "LAB-2"))
        await settled(site)
        await until(lambda: tom.live.room_state == RoomState.FAILED)
        assert "No Zoom host is free" in (tom.live.room_reason or "")
        (extra,) = zoom_hosts(2)[1:]
        site.zoom.core.add_user(extra)
        definition = app.directory.definitions[site.definition_id]
        values = {**definition.values, "hosts": f"{definition.values['hosts']}\n{extra.email}"}
        async with app.work() as w:
            table = service_definitions
            await w.db.execute(
                update(table)
                .where(table.c.id == site.definition_id)
                .values({"values": values, "revision": 1})
            )
            await directory_changed(w)
        await app.directory.follow()
        await until(lambda: tom.live.room_state == "open")
        assert enter(site, tom.live)["state"] == "in_meeting"


async def test_an_outage_at_opening_heals_by_itself(site: ZoomSite) -> None:
    site.zoom.api.faults.append(Fault("POST", "meetings$", drop="after"))
    live = (await arrived(site)).live
    assert len(meetings(site)) == 1
    assert enter(site, live)["state"] == "in_meeting"
