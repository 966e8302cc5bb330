"""Town halls, one-to-one calls and what is perceived in rooms: live-proctoring.md §3.3 to §3.8 and checks 32 to 50."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from invigilo.accounts.model import Account, Role
from invigilo.errors import NotFound, Refused, Sentence
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import Device
from invigilo.proctoring.calls import LEASE
from invigilo.proctoring.model import NOTHING, Perception, RoomKind
from invigilo.providers.base import Feature
from invigilo.providers.builtin import BuiltinProvider
from invigilo.providers.description import UNFOCUSED
from invigilo.simulate.stand_in import Mood, StandInService
from invigilo.storage.tables import activity
from invigilo.web.catalogue import Catalogue
from invigilo.web.render import Renderer
from invigilo.web.stream import Stream
from tests.proctoring.day import open_day
from tests.world import WINDOWS, World, open_world

IPAD = "iPad (iPadOS 17.5)"
HALL, ASIDE = RoomKind.TOWN_HALL, RoomKind.BREAK_OUT


def person(number: int, name: str) -> Account:
    return Account(
        id=number, institution_id=1, username=name.lower(), display_name=name, role=Role.EXAM_ADMIN
    )


ADA, BEA = person(1, "Ada"), person(2, "Bea")


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[World]:
    """A meeting service that calls clients in by instruction."""
    async with open_world(None, tmp_path, provider=StandInService()) as world:
        await world.set_up(size=3, join_by="native")
        yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Built-in rooms."""
    async with open_world(None, tmp_path) as world:
        await world.set_up(size=3)
        yield world


async def ipad(world: World, user: str) -> LiveConnection:
    """An iPad in its room, all it was told confirmed."""
    live = await world.enter(user=user, device=Device(None, None, IPAD, "3.5", None))
    await world.settle()
    await told(world, live)
    return world.live.by_id[live.id]


async def told(world: World, live: LiveConnection) -> list[str]:
    """What its pings bring, each confirmed by the next, until nothing comes; as words."""
    found: list[str] = []
    await world.connections.reload([live.id])
    for _ in range(30):
        live = world.live.by_id[live.id]
        instruction = await world.connections.next_instruction(live)
        if instruction is not None:
            attributes = instruction.attributes
            if "roomType" in attributes:
                found.append(f"join {attributes['roomType']}")
            else:
                assert attributes.keys() == {
                    "jitsiMeetReceiveAudio", "jitsiMeetReceiveVideo", "jitsiMeetFeatureFlagChat",
                }  # fmt: skip
                on = [key for key, value in attributes.items() if value == "true"]
                words = {"jitsiMeetReceiveAudio": "hear", "jitsiMeetReceiveVideo": "see"}
                found.append(" ".join(words.get(key, "write") for key in on) or "reset")
            world.ping(live, str(instruction.id))
        elif not live.queue:
            break
        world.clock.move(timedelta(seconds=1))
        world.ping(live)
    await world.writer.flush()
    await world.connections.reload([live.id])
    return found


@pytest.mark.spec("live-proctoring", 32)
async def test_a_town_hall_calls_everybody(native: World) -> None:
    everybody = [await ipad(native, f"user-{n}") for n in range(5)]
    opened = await native.calls.open(native.exam, HALL, by=ADA)
    assert opened.is_new
    assert opened.room.state == "open"
    for live in everybody:
        assert await told(native, live) == ["join townhall"]
    await native.rooms.refresh()
    assert {live.home_number for live in everybody} == {1, 2}
    assert {live.room_id for live in everybody} == {opened.room.id}


@pytest.mark.spec("live-proctoring", 35)
async def test_another_proctor_closes_it_and_everybody_goes_home(native: World) -> None:
    lea = await ipad(native, "lea")
    opened = await native.calls.open(native.exam, HALL, by=ADA)
    await native.calls.hold(native.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    assert await told(native, lea) == ["join townhall", "hear"]
    await native.calls.close(native.exam, opened.room.id, by=BEA)
    assert await told(native, lea) == ["reset", "join proctoring"]
    await native.calls.close(native.exam, opened.room.id, by=BEA)
    assert await told(native, lea) == []


@pytest.mark.spec("live-proctoring", 33)
@pytest.mark.spec("live-proctoring", 47)
async def test_a_newcomer_is_called_into_the_town_hall_only(native: World) -> None:
    """Its place in a collecting room is kept for later; what is on in the hall follows the join."""
    await ipad(native, "lea")
    opened = await native.calls.open(native.exam, HALL, by=ADA)
    hold = Perception(audio=True, video=True)
    await native.calls.hold(native.exam, opened.room.id, "page", hold, by=ADA)
    tom = await native.enter(user="tom", device=Device(None, None, IPAD, "3.5", None))
    assert await told(native, tom) == ["join townhall", "hear see"]
    assert (tom.home_number, tom.room_id) == (1, opened.room.id)


@pytest.mark.spec("live-proctoring", 34)
async def test_the_second_proctor_enters_the_same(native: World) -> None:
    await ipad(native, "lea")
    first, second = await asyncio.gather(*(native.calls.open(native.exam, HALL, by=by) for by in (ADA, BEA)))
    assert first.room.id == second.room.id
    assert [first.is_new, second.is_new] in ([True, False], [False, True])
    assert first.room.opened_by == second.room.opened_by
    assert len(native.provider.rooms) == 2, "Room 1 and one town hall"


@pytest.mark.spec("live-proctoring", 36)
async def test_a_collecting_window_that_closes_in_a_town_hall_tells_its_members_nothing(
    native: World,
) -> None:
    lea = await ipad(native, "lea")
    home = lea.home_id or 0
    await native.calls.hold(native.exam, home, "page", Perception(audio=True), by=ADA)
    assert await told(native, lea) == ["hear"]
    await native.calls.open(native.exam, HALL, by=BEA)
    assert await told(native, lea) == ["reset", "join townhall"]
    await native.calls.hold(native.exam, home, "page", NOTHING, by=ADA)
    assert await told(native, lea) == []


@pytest.mark.spec("live-proctoring", 37)
async def test_a_service_in_trouble_keeps_nobody_in_a_closed_town_hall(native: World) -> None:
    lea = await ipad(native, "lea")
    opened = await native.calls.open(native.exam, HALL, by=ADA)
    assert await told(native, lea) == ["join townhall"]
    native.provider.mood = Mood.DOWN
    await native.calls.close(native.exam, opened.room.id, by=ADA)
    assert await told(native, lea) == ["join proctoring"]
    await native.rooms.refresh()
    (stuck,) = [view for view in native.rooms.of_exam(native.exam) if view.is_call]
    assert (stuck.state, stuck.reason) == ("closing", "The meeting service does not answer.")
    again = await native.calls.open(native.exam, HALL, by=ADA)
    assert again.is_new, "a new one can be opened meanwhile"
    native.provider.mood = Mood.WELL
    native.clock.move(timedelta(seconds=31))
    await native.settle()
    (view,) = [view for view in native.rooms.of_exam(native.exam) if view.is_call]
    assert (view.id, view.state) == (again.room.id, "open")


async def test_a_call_that_is_not_open_yet_moves_nobody(native: World) -> None:
    lea = await ipad(native, "lea")
    native.provider.mood = Mood.DOWN
    opened = await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    assert (opened.room.state, opened.room.reason) == ("failed", "The meeting service does not answer.")
    assert await told(native, lea) == []
    with pytest.raises(Refused) as refused:
        await native.calls.hold(native.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    assert refused.value.code == "room_not_open"
    native.provider.mood = Mood.WELL
    native.clock.move(timedelta(seconds=31))
    native.ping(lea)
    await native.settle()
    assert await told(native, lea) == ["join breakout"]


@pytest.mark.spec("live-proctoring", 38)
@pytest.mark.spec("live-proctoring", 39)
async def test_what_the_exam_does_not_allow_is_refused(world: World) -> None:
    lea = await world.enter(user="lea")
    await world.change_exam(features=["broadcast", "chat"])
    for kind, ids in ((HALL, []), (ASIDE, [lea.id])):
        with pytest.raises(Refused) as refused:
            await world.calls.open(world.exam, kind, ids, by=ADA)
        assert refused.value.code == "feature_off"
    await world.change_exam(features=["town_hall"], ends_at=world.clock.now_ms())
    with pytest.raises(Refused) as refused:
        await world.calls.open(world.exam, HALL, by=ADA)
    assert refused.value.code == "exam_not_running"


async def test_what_the_service_cannot_is_refused_with_its_reason(native: World) -> None:
    lea = await ipad(native, "lea")
    native.provider.features = frozenset({Feature.NATIVE_JOIN})
    native.provider.cannot = {Feature.TOWN_HALL: Sentence("short", "Its meetings end after forty minutes.")}
    with pytest.raises(Refused, match="forty minutes") as refused:
        await native.calls.open(native.exam, HALL, by=ADA)
    assert refused.value.code == "service_cannot"
    with pytest.raises(Refused) as refused:
        await native.calls.hold(native.exam, lea.home_id or 0, "page", Perception(video=True), by=ADA)
    assert refused.value.code == "service_cannot"


async def test_pages_of_every_language_are_told_what_the_service_cannot(native: World) -> None:
    native.provider.features = frozenset({Feature.NATIVE_JOIN})
    native.provider.cannot = {Feature.BROADCAST_VIDEO: UNFOCUSED}
    told = shown_to_proctors(native)["exam"]["cannot"]["broadcast_video"]
    assert told["en"] == UNFOCUSED.english
    assert "Fokusmodus" in told["de"]


# --- one-to-one ---


@pytest.mark.spec("live-proctoring", 40)
async def test_only_the_called_one_goes_aside(native: World) -> None:
    lea, tom = await ipad(native, "lea"), await ipad(native, "tom")
    opened = await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    assert await told(native, lea) == ["join breakout"]
    assert await told(native, tom) == []
    shown = {row["id"]: row for row in shown_to_proctors(native)["rows"]}
    assert shown[lea.id]["called"] == {
        "room": opened.room.id, "kind": "break_out", "number": 1, "beyond": False,
    }  # fmt: skip
    assert shown[tom.id]["called"] is None
    assert {row["room"] for row in shown.values()} == {1}


@pytest.mark.spec("live-proctoring", 41)
async def test_who_cannot_be_called_is_not(native: World) -> None:
    lea, tom, gone = [await ipad(native, name) for name in ("lea", "tom", "gone")]
    await native.connections.close(native.tokens[gone.id])
    first = await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    same = await native.calls.open(native.exam, ASIDE, [lea.id], by=BEA)
    assert (same.room.id, same.is_new) == (first.room.id, False)
    with pytest.raises(Refused, match="lea is in a call that Ada opened") as refused:
        await native.calls.open(native.exam, ASIDE, [lea.id, tom.id], by=BEA)
    assert refused.value.code == "in_call"
    with pytest.raises(Refused, match="has left") as refused:
        await native.calls.open(native.exam, ASIDE, [gone.id], by=ADA)
    assert refused.value.code == "no_place"
    other = await native.add_exam("Biology", join_by="native")
    await native.load()
    with pytest.raises(NotFound):
        await native.calls.open(native.directory.exams[other], ASIDE, [tom.id], by=ADA)
    for ids in ([], [tom.id, 999_999], list(range(1, 40))):
        with pytest.raises((Refused, NotFound)):
            await native.calls.open(native.exam, ASIDE, ids, by=ADA)
    assert await told(native, tom) == []


@pytest.mark.spec("live-proctoring", 42)
@pytest.mark.spec("live-proctoring", 44)
async def test_a_call_ends_where_its_people_belong_now(native: World) -> None:
    """A town hall opened meanwhile leaves the one who was called aside alone, until that call ends."""
    lea, tom = await ipad(native, "lea"), await ipad(native, "tom")
    aside = await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    assert await told(native, lea) == ["join breakout"]
    hall = await native.calls.open(native.exam, HALL, by=BEA)
    assert await told(native, lea) == []
    assert await told(native, tom) == ["join townhall"]
    await native.calls.close(native.exam, aside.room.id, by=ADA)
    assert await told(native, lea) == ["join townhall"]
    again = await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    assert await told(native, lea) == ["join breakout"]
    await native.calls.close(native.exam, hall.room.id, by=BEA)
    assert await told(native, lea) == []
    await native.calls.close(native.exam, again.room.id, by=ADA)
    assert await told(native, lea) == ["join proctoring"]
    await native.settle()
    assert [view for view in native.rooms.of_exam(native.exam) if view.is_call] == []


@pytest.mark.spec("live-proctoring", 43)
async def test_the_last_one_who_leaves_ends_the_call(native: World) -> None:
    lea, tom = await ipad(native, "lea"), await ipad(native, "tom")
    opened = await native.calls.open(native.exam, ASIDE, [lea.id, tom.id], by=ADA)
    await native.connections.close(native.tokens[lea.id])
    await native.settle()
    (view,) = [view for view in native.rooms.of_exam(native.exam) if view.is_call]
    assert (view.connections, view.members) == ((tom.id,), 1)
    await native.connections.close(native.tokens[tom.id])
    await native.settle()
    assert [view for view in native.rooms.of_exam(native.exam) if view.is_call] == []
    assert opened.room.name not in native.provider.rooms


async def test_who_restarts_in_a_call_comes_back_home_and_ends_it(native: World) -> None:
    device = Device("lea", "LAB-07", IPAD, "3.5", None)
    lea = await native.enter(user="lea", device=device)
    await native.settle()
    opened = await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    native.clock.move(timedelta(seconds=16))
    again = await native.enter(user="lea", device=device)
    await native.settle()
    assert await told(native, again) == ["join proctoring"]
    assert again.home_number == 1
    assert opened.room.name not in native.provider.rooms


@pytest.mark.spec("live-proctoring", 45)
async def test_two_of_one_name_have_two_rooms(world: World) -> None:
    one = await world.enter(user="lea", device=Device("a", "LAB-01", WINDOWS, "3.10.2", None))
    two = await world.enter(user="lea", device=Device("b", "LAB-02", WINDOWS, "3.10.2", None))
    rooms = [(await world.calls.open(world.exam, ASIDE, [live.id], by=ADA)).room for live in (one, two)]
    assert rooms[0].id != rooms[1].id
    await world.connections.reload([one.id, two.id])
    assert [one.room_id, two.room_id] == [room.id for room in rooms]


# --- what is perceived ---


@pytest.mark.spec("live-proctoring", 46)
async def test_what_is_on_is_told_whole_each_time(native: World) -> None:
    lea, home = await ipad(native, "lea"), 0
    home = lea.home_id or 0
    for wish, words in (
        (Perception(audio=True), "hear"),
        (Perception(video=True), "hear see"),
        (Perception(chat=True), "write"),
        (NOTHING, "reset"),
    ):
        await native.calls.hold(native.exam, home, "page", wish, by=ADA)
        assert await told(native, lea) == [words]
    await native.calls.hold(native.exam, home, "page", NOTHING, by=ADA)
    assert await told(native, lea) == [], "nothing is said twice"


async def test_what_two_proctors_let_a_room_perceive_adds_up(native: World) -> None:
    lea = await ipad(native, "lea")
    home = lea.home_id or 0
    await native.calls.hold(native.exam, home, "adas", Perception(audio=True), by=ADA)
    assert await told(native, lea) == ["hear"]
    await native.calls.hold(native.exam, home, "beas", Perception(chat=True), by=BEA)
    assert await told(native, lea) == ["hear write"]
    await native.rooms.refresh()
    (view,) = native.rooms.of_exam(native.exam)
    assert [(hold.actor, hold.perceived.audio) for hold in view.holds] == [("Ada", True), ("Bea", False)]
    await native.calls.hold(native.exam, home, "adas", NOTHING, by=ADA)
    assert await told(native, lea) == ["write"]


@pytest.mark.spec("live-proctoring", 48)
async def test_a_page_that_dies_is_perceived_no_longer_than_its_lease(native: World) -> None:
    """Another proctor's page, which goes on saying so, is."""
    lea = await ipad(native, "lea")
    home = lea.home_id or 0
    await native.calls.hold(native.exam, home, "dies", Perception(video=True), by=ADA)
    await native.calls.hold(native.exam, home, "lives", Perception(audio=True), by=BEA)
    assert await told(native, lea) == ["hear see"]
    for _ in range(3):
        native.clock.move(timedelta(seconds=3))
        await native.calls.hold(native.exam, home, "lives", Perception(audio=True), by=BEA)
        native.ping(lea)
    native.clock.move(timedelta(seconds=2))
    await native.settle()
    assert await told(native, lea) == ["hear"]
    native.clock.move(timedelta(milliseconds=LEASE))
    native.ping(lea)
    await native.settle()
    assert await told(native, lea) == ["reset"]


@pytest.mark.spec("live-proctoring", 49)
async def test_a_broadcast_that_is_switched_off_is_refused_and_ends(native: World) -> None:
    lea = await ipad(native, "lea")
    home = lea.home_id or 0
    await native.calls.hold(native.exam, home, "page", Perception(audio=True), by=ADA)
    assert await told(native, lea) == ["hear"]
    await native.change_exam(features=["town_hall", "chat"])
    with pytest.raises(Refused) as refused:
        await native.calls.hold(native.exam, home, "page", Perception(audio=True), by=ADA)
    assert refused.value.code == "feature_off"
    assert await told(native, lea) == ["reset"]


async def test_a_join_that_was_lost_comes_again_with_what_is_on(native: World) -> None:
    """Nothing that is still wanted is dropped for its age."""
    lea = await ipad(native, "lea")
    opened = await native.calls.open(native.exam, HALL, by=ADA)
    for _ in range(3):
        native.clock.move(timedelta(seconds=5))
        await native.calls.hold(native.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    await native.writer.flush()
    for _ in range(14):  # offline, and the proctor goes on speaking
        native.clock.move(timedelta(seconds=5))
        await native.calls.hold(native.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    await native.connections.reload([lea.id])
    native.ping(lea)
    await native.settle()
    assert await told(native, lea) == ["join townhall", "hear"]


@pytest.mark.parametrize("is_active", [True, False])
async def test_a_join_that_was_lost_comes_again_by_itself(tmp_path: Path, is_active: bool) -> None:
    """Also to one that is not active yet, whose join waits three seconds more: once, not again and again."""
    day = await open_day(tmp_path)
    try:
        lea = await day.arrive("lea", "LAB-01", IPAD)
        if is_active:
            await day.activate(lea)
        await day.work()
        lea.is_pinging = False
        await day.let_pass(timedelta(seconds=70))
        lea.is_pinging = True
        day.ping(lea)
        for _ in range(8):
            await day.work()
            await day.deliver()
        home = day.live(lea).room_id
        assert lea.remembering.room == {room.id: room.name for room in await day.rooms()}[home or 0]
    finally:
        await day.over()


async def test_a_newer_place_replaces_an_older_one_that_was_not_delivered(native: World) -> None:
    lea = await ipad(native, "lea")
    hall = await native.calls.open(native.exam, HALL, by=ADA)
    await native.calls.hold(native.exam, hall.room.id, "page", Perception(audio=True), by=ADA)
    await native.calls.close(native.exam, hall.room.id, by=ADA)
    assert await told(native, lea) == ["reset", "join proctoring"]


@pytest.mark.spec("live-proctoring", 59)
async def test_steps_keep_their_order_while_a_confirmation_is_late(native: World) -> None:
    """Sent again, the reset goes before the join it belongs to, never after it."""
    lea = await ipad(native, "lea")
    hall = await native.calls.open(native.exam, HALL, by=ADA)
    await native.calls.hold(native.exam, hall.room.id, "page", Perception(audio=True), by=ADA)
    assert await told(native, lea) == ["join townhall", "hear"]
    await native.calls.close(native.exam, hall.room.id, by=ADA)
    await native.connections.reload([lea.id])
    lea = native.live.by_id[lea.id]
    reset = await native.connections.next_instruction(lea)
    assert reset is not None
    native.clock.move(timedelta(seconds=1))
    native.ping(lea)
    assert await native.connections.next_instruction(lea) is None, "the join waits for its confirmation"
    native.clock.move(timedelta(seconds=5))
    native.ping(lea)
    again = await native.connections.next_instruction(lea)
    assert again is not None
    assert again.id == reset.id
    native.ping(lea, str(reset.id))
    join = await native.connections.next_instruction(lea)
    assert join is not None
    assert join.attributes["roomType"] == "proctoring"


@pytest.mark.spec("live-proctoring", 55)
@pytest.mark.parametrize("how", ["ends", "off"])
async def test_the_end_of_the_exam_ends_its_calls(native: World, how: str) -> None:
    """Also while the service is in trouble: it is asked again until nothing is left there."""
    lea, tom = await ipad(native, "lea"), await ipad(native, "tom")
    hall = await native.calls.open(native.exam, HALL, by=ADA)
    await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    await native.calls.hold(native.exam, hall.room.id, "page", Perception(audio=True), by=ADA)
    assert await told(native, tom) == ["join townhall", "hear"]
    assert await told(native, lea) == ["join breakout"]
    native.provider.mood = Mood.DOWN
    if how == "ends":
        await native.change_exam(ends_at=native.clock.now_ms())
    else:
        await native.change_exam(proctoring_enabled=False)
    await native.rooms.close_rooms(native.exam_id)
    assert await told(native, tom) == ["reset"]
    assert await told(native, lea) == []
    assert len(native.provider.rooms) == 3
    native.provider.mood = Mood.WELL
    native.clock.move(timedelta(seconds=31))
    await native.rooms.finish_steps()
    assert native.provider.rooms == {}
    assert {live.room_id for live in native.live.of_exam(native.exam_id)} == {None}


async def test_a_call_whose_feature_is_switched_off_is_closed(native: World) -> None:
    lea = await ipad(native, "lea")
    await native.calls.open(native.exam, HALL, by=ADA)
    assert await told(native, lea) == ["join townhall"]
    await native.rooms.refresh()
    await native.change_exam(features=["one_to_one"])
    await native.settle()
    assert await told(native, lea) == ["join proctoring"]


async def test_a_built_in_town_hall_bears_a_hundred(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told that they hear nothing; who leaves makes room for the next."""
    monkeypatch.setattr(BuiltinProvider, "hall_size", 2)
    lives = [await world.enter(user=f"user-{n}") for n in range(4)]
    opened = await world.calls.open(world.exam, HALL, by=ADA)
    await world.calls.hold(world.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    await world.settle()
    assert world.rooms.hall(world.exam) == {"size": 2, "hearers": 2}
    assert [live.is_beyond for live in lives] == [False, False, True, True]
    assert [live.receive[0] for live in lives] == [True, True, False, False]
    await world.connections.close(world.tokens[lives[0].id])
    await world.settle()
    assert [live.is_beyond for live in lives[1:]] == [False, False, True]
    await world.calls.close(world.exam, opened.room.id, by=ADA)
    await world.settle()
    assert [live.is_beyond for live in lives[1:]] == [False, False, False]


@pytest.mark.spec("live-proctoring", 58)
async def test_calls_and_broadcasts_are_on_record(native: World) -> None:
    lea = await ipad(native, "lea")
    opened = await native.calls.open(native.exam, ASIDE, [lea.id], by=ADA)
    await native.calls.open(native.exam, ASIDE, [lea.id], by=BEA)
    await native.calls.hold(native.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    await native.calls.hold(native.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    native.clock.move(timedelta(seconds=11))
    native.ping(lea)
    await native.settle()
    await native.calls.close(native.exam, opened.room.id, by=BEA)
    await native.calls.close(native.exam, opened.room.id, by=BEA)
    async with native.reading() as w:
        deeds = list(await w.db.execute(select(activity).order_by(activity.c.id)))
    assert [(one.actor, one.deed) for one in deeds] == [
        ("ada", "call_opened"),
        ("bea", "call_entered"),
        ("ada", "broadcast_changed"),
        ("server", "broadcast_lapsed"),
        ("bea", "call_closed"),
    ]
    assert {one.room_id for one in deeds} == {opened.room.id}
    assert {one.exam_id for one in deeds} == {native.exam_id}
    assert deeds[0].connection_id == deeds[4].connection_id == lea.id


def shown_to_proctors(world: World) -> dict[str, Any]:
    """What a proctor's page that connects at this moment is told."""
    parts: Any = {
        "live": world.live,
        "rooms": world.rooms,
        "directory": world.directory,
        "meetings": world.meetings,
        "clock": world.clock,
        "desk": world.desk,
        "notes": world.notes,
        "duties": world.duties,
        "renderer": Renderer(Catalogue.load()),
    }
    stream = Stream(hub=SimpleNamespace(), writer=world.writer, has_turn=False, **parts)
    world.live._on_change.pop()  # this stream lives for one look only
    return json.loads(stream.snapshot(world.exam))
