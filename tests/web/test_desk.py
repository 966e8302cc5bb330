"""The monitoring desk through the real application: what a proctor does, what SEB gets, what stays on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from invigilo.storage.tables import activity
from tests.rtc.pages import proctor_page
from tests.server import Answer, SebWire, Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, candidate_in, exam_called, sign_in

PATIENCE = 60.0
WINDOWS = "seb_os_name=Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)&seb_version={}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    url = request.getfixturevalue("fresh_postgresql") if request.param == "postgresql" else None
    async with running(tmp_path / "data", url=url, text=TWO_INSTITUTIONS) as server:
        yield server


class Desk:
    """Ada's monitoring page of Linear Algebra, without a browser."""

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.browser = browser
        self.exam_id = exam_called(server, "Linear Algebra")

    async def ask(self, path: str, body: Any = None) -> Answer:
        headers = {
            "Cookie": self.browser.cookie,
            "Accept": "application/json",
            "X-CSRFToken": self.browser.cookies["csrftoken"],
            "Content-Type": "application/json",
        }
        method = "GET" if body is None else "POST"
        data = None if body is None else json.dumps(body)
        return await self.server.request(
            method, f"/monitoring/{self.exam_id}{path}", headers=headers, body=data
        )

    async def done(self, path: str, body: Any = None) -> Any:
        answer = await self.ask(path, body)
        assert answer.status == 200, answer.body
        return answer.json

    def row(self, wire: SebWire) -> dict[str, Any]:
        return self.server.app.stream.judged(self.server.app.directory.exams[self.exam_id], wire.live)

    async def deeds(self) -> list[tuple[str, int | None, dict[str, Any]]]:
        async with self.server.app.reading() as w:
            rows = await w.db.execute(select(activity).order_by(activity.c.id))
            return [
                (row.deed, row.connection_id, row.detail)
                for row in rows
                if row.deed in {"seb_quit", "screen_locked", "screen_unlocked", "notification_confirmed"}
                or "note" in row.deed
                or "duty" in row.deed
                or "incident" in row.deed
            ]


@pytest.fixture
async def desk(server: Server) -> Desk:
    return Desk(server, await sign_in(server, "ada"))


async def until(holds: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def named(server: Server, user: str, version: str = "3.10.2") -> SebWire:
    wire = await server.connect(WINDOWS.format(version))
    exam = str(exam_called(server, "Linear Algebra"))
    assert (await wire.configuration(exam)).status == 200
    assert (await wire.put("")).status == 200
    assert (await wire.patch(f"seb_user_session_id={user}")).status == 200
    assert (await wire.ping()).status in {200, 204}
    return wire


async def hand(wire: SebWire, number: int, text: str = "Question", tag: str = "raisehand") -> None:
    event = {"type": "NOTIFICATION", "timestamp": 1, "numericValue": number, "text": f"<{tag}> {text}"}
    assert (await wire.log(event)).status == 204
    assert number in wire.live.notifications


async def instruction(wire: SebWire) -> dict[str, Any]:
    """What the next ping carries, where it may be nothing."""
    answer = await wire.ping()
    return answer.json if answer.status == 200 else {}


async def test_ending_several_needs_their_true_number_and_reaches_exactly_them(desk: Desk) -> None:
    wires = [await named(desk.server, f"s{n}") for n in range(4)]
    ids = [wire.live.id for wire in wires]
    for count in (None, 2, 4):
        refused = await desk.ask("/deeds", {"deed": "quit", "connections": ids[:3], "count": count})
        assert refused.status == 409
        assert refused.json["code"] == "count_differs"
        assert "3 candidates" in refused.json["message"]
    assert [await instruction(wire) for wire in wires] == [{}] * 4
    outcome = await desk.done("/deeds", {"deed": "quit", "connections": ids[:3], "count": 3})
    assert outcome == {"done": ids[:3], "refused": []}
    assert [desk.row(wire)["deed"]["answer"] for wire in wires[:3]] == ["waiting"] * 3
    got = [(await wire.told())["instruction"] for wire in wires[:3]]
    assert got == ["SEB_QUIT"] * 3
    assert await instruction(wires[3]) == {}
    assert [desk.row(wire)["deed"] for wire in wires[3:]] == [None]
    assert desk.row(wires[0])["deed"]["answer"] == "delivered"
    await wires[0].delete()
    assert desk.row(wires[0])["deed"]["answer"] == "done"
    deeds = await desk.deeds()
    assert [(deed, about) for deed, about, _ in deeds] == [("seb_quit", one) for one in ids[:3]]
    assert all(detail["of"] == 3 for _, _, detail in deeds)


async def test_all_means_everybody_who_is_connected_now(desk: Desk) -> None:
    wires = [await named(desk.server, f"s{n}") for n in range(3)]
    await wires[0].delete()
    stranger = await candidate_in(desk.server, "Biology")
    wrong = await desk.ask("/deeds", {"deed": "quit", "connections": "all", "count": 3})
    assert wrong.status == 409
    outcome = await desk.done("/deeds", {"deed": "quit", "connections": "all", "count": 2})
    assert outcome["done"] == [wire.live.id for wire in wires[1:]]
    assert await instruction(stranger.wire) == {}, "another exam's candidate is nobody's to end here"
    mixed = {"deed": "quit", "connections": [wires[1].live.id, stranger.id], "count": 2}
    assert (await desk.ask("/deeds", mixed)).status == 404


async def test_whom_a_deed_does_not_fit_is_named_and_the_others_get_it(desk: Desk) -> None:
    new, old, gone = [
        await named(desk.server, "new"),
        await named(desk.server, "old", "3.3.2"),
        await named(desk.server, "gone"),
    ]
    await gone.delete()
    body = {"deed": "lock", "connections": [one.live.id for one in (new, old, gone)], "count": 3}
    outcome = await desk.done("/deeds", body | {"message": " Please wait "})
    assert outcome["done"] == [new.live.id]
    assert {one["connection_id"]: one["code"] for one in outcome["refused"]} == {
        old.live.id: "cannot_lock",
        gone.live.id: "connection_closed",
    }
    assert (await new.told())["attributes"] == {"message": "Please wait"}
    alone = await desk.ask("/deeds", {"deed": "lock", "connections": [old.live.id]})
    assert (alone.status, alone.json["code"]) == (409, "cannot_lock")


async def test_a_lock_is_answered_by_the_clients_own_notification_and_undone_by_settling_it(
    desk: Desk,
) -> None:
    wire = await named(desk.server, "lea")
    one = {"connections": [wire.live.id]}
    assert (await desk.ask("/deeds", one | {"deed": "unlock"})).json["code"] == "not_locked"
    await desk.done("/deeds", one | {"deed": "lock"})
    assert (await wire.told())["instruction"] == "SEB_FORCE_LOCK_SCREEN"
    assert desk.row(wire)["deed"]["answer"] == "delivered"
    await hand(wire, 1, "Locked", tag="lockscreen")
    assert desk.row(wire)["deed"] == {"what": "lock", "answer": "done", "at": wire.live.sent.asked_at}
    await desk.done("/deeds", one | {"deed": "unlock"})
    assert wire.live.notifications == {}
    assert (await wire.told())["attributes"] == {"type": "lockscreen", "id": "1"}
    assert desk.row(wire)["deed"]["what"] == "unlock"
    story = (await desk.done(f"/connections/{wire.live.id}/story"))["moments"]
    lock = next(one for one in story if one["what"] == "screen_locked")
    assert (lock["answer"], lock["who"]) == ("done", "ada")
    assert next(one for one in story if one["what"] == "screen_unlocked")["answer"] == "delivered"
    locked = next(one for one in story if one["kind"] == "notification")
    assert locked["who"] == "ada"
    assert [deed for deed, _, _ in await desk.deeds()] == ["screen_locked", "screen_unlocked"]


async def test_hands_of_several_are_settled_at_once(desk: Desk) -> None:
    wires = [await named(desk.server, f"s{n}") for n in range(3)]
    for wire in wires[:2]:
        await hand(wire, 5)
    outcome = await desk.done(
        "/deeds", {"deed": "settle", "connections": [wire.live.id for wire in wires], "count": 3}
    )
    assert [one["code"] for one in outcome["refused"]] == ["no_hand"]
    for wire in wires[:2]:
        assert (await wire.told())["attributes"] == {"type": "raisehand", "id": "5"}


async def test_a_flag_keeps_its_moment_and_a_retry_is_the_same_flag(desk: Desk) -> None:
    wire = await named(desk.server, "lea")
    now = desk.server.app.clock.now_ms()
    pressed = now - 42_000
    flag = {
        "connection_id": wire.live.id,
        "is_incident": True,
        "happened_at": _iso(pressed),
        "key": "press-0001",
    }
    first = await desk.done("/notes", flag)
    again = await desk.done("/notes", flag)
    assert first == again
    assert first["text"] == ""
    assert _ms(first["happened_at"]) == pressed
    assert desk.row(wire)["incidents"] == 1
    changed = await desk.done(
        f"/notes/{first['id']}",
        {
            "category": "talking",
            "is_incident": True,
            "text": "Spoke to the neighbour.",
            "revision": first["revision"],
        },
    )
    assert (_ms(changed["happened_at"]), changed["author"]) == (pressed, "ada")
    stale = await desk.ask(
        f"/notes/{first['id']}", {"category": "other", "is_incident": True, "text": "x", "revision": 0}
    )
    assert (stale.status, stale.json["code"]) == (409, "changed_meanwhile")
    story = (await desk.done(f"/connections/{wire.live.id}/story"))["moments"]
    assert [one["text"] for one in story if one["kind"] == "note"] == ["Spoke to the neighbour."]
    await desk.done(f"/notes/{first['id']}/take-back", {})
    assert desk.row(wire)["incidents"] == 0
    kept = (await desk.done("/notes"))["items"]
    assert [(one["text"], one["taken_back_by"]) for one in kept] == [("Spoke to the neighbour.", "ada")]
    assert [deed for deed, _, _ in await desk.deeds()] == [
        "incident_flagged",
        "note_changed",
        "note_taken_back",
    ]


async def test_notes_follow_the_person_to_the_next_connection_and_survive_a_restart(desk: Desk) -> None:
    first = await named(desk.server, "lea")
    await desk.done("/notes", {"connection_id": first.live.id, "text": "Has a doctor's letter."})
    await first.delete()
    second = await named(desk.server, "lea")
    other = await named(desk.server, "tom")
    await desk.server.app.notes.load_all()
    assert [desk.row(wire)["notes"] for wire in (second, other)] == [1, 0]
    story = (await desk.done(f"/connections/{second.live.id}/story"))["moments"]
    assert "Has a doctor's letter." in [one["text"] for one in story]


async def test_what_cannot_be_read_is_refused(desk: Desk) -> None:
    bodies: list[Any] = [
        {},
        [],
        {"deed": "explode", "connections": [1]},
        {"deed": "quit", "connections": []},
        {"deed": "quit", "connections": "some"},
        {"deed": "quit", "connections": [2**70]},
        {"deed": "quit", "connections": [1], "count": -1},
        {"deed": "lock", "connections": [1], "message": "x" * 400},
        {"deed": "lock", "connections": [1], "more": 1},
    ]
    for body in bodies:
        answer = await desk.ask("/deeds", body)
        assert answer.status == 400, (body, answer.body)
        assert answer.json["message"]


async def test_thresholds_are_the_exams_own_and_reach_open_pages(desk: Desk) -> None:
    wire = await named(desk.server, "lea")
    await wire.log({"type": "WARN_LOG", "timestamp": 1, "text": "Slow"})
    await until(lambda: desk.row(wire)["warnings"] == 1, "the warning")
    assert desk.row(wire)["levels"]["warnings"] == "ok"
    assert (await desk.ask("/thresholds", {"warnings": {"warning": 1, "problem": 2}})).status == 403
    grace = Desk(desk.server, await sign_in(desk.server, "grace"))
    wrong = await grace.ask("/thresholds", {"battery": {"warning": 10, "problem": 20}})
    assert wrong.status == 400
    before = await grace.done("/thresholds")
    assert before["is_own"] is False
    wish = {"warnings": {"warning": 1, "problem": 2}, "errors": None, "revision": before["revision"]}
    saved = await grace.done("/thresholds", wish)
    assert (saved["is_own"], saved["errors"], saved["ping"]) == (True, None, {"warning": 5, "problem": 15})
    assert desk.row(wire)["levels"]["warnings"] == "warning"
    assert (await grace.ask("/thresholds", wish)).json["code"] == "changed_meanwhile"
    await desk.server.app.desk.load_all()
    assert desk.row(wire)["levels"]["errors"] == "none"


async def test_rooms_are_given_shared_and_handed_over(desk: Desk) -> None:
    for n in range(7):
        await named(desk.server, f"s{n}")
    await desk.server.app.rooms.refresh()
    grace = Desk(desk.server, await sign_in(desk.server, "grace"))
    shown = await desk.done("/duties")
    rooms = [one["room_id"] for one in shown["rooms"]]
    assert len(rooms) == 2
    ids = {one["name"]: one["user_id"] for one in shown["proctors"]}
    assert ids.keys() == {"ada", "grace"}, "whom the exam is not for cannot be given its rooms"
    assert (await desk.ask("/duties/share", {})).json["code"] == "nobody_there"
    async with (
        proctor_page(desk.browser, desk.exam_id) as (page, _),
        proctor_page(grace.browser, desk.exam_id),
    ):
        await page.send("look", view="room", room=rooms[0])
        await until(lambda: desk.server.app.duties.people(desk.exam_id)[0]["rooms"], "ada looks at a room")
        shared = (await desk.done("/duties/share", {}))["rooms"]
        assert {one["name"] for one in shared} == {"ada", "grace"}
        assert shared[0]["watched_by"] == ["ada"]
        await page.until(t="changes")
    handed = await grace.done("/duties/hand-over", {"of": ids["ada"], "to": ids["grace"]})
    assert [one["name"] for one in handed["rooms"]] == ["grace", "grace"]
    root = {"room_ids": rooms, "to": 10**6}
    assert (await desk.ask("/duties", root)).json["code"] == "not_a_proctor"
    assert (await desk.ask("/duties", {"room_ids": [10**6], "to": ids["ada"]})).status == 404
    await desk.done("/duties", {"room_ids": rooms[:1], "to": None})
    await desk.server.app.duties.load_all()
    assert [one["name"] for one in (await desk.done("/duties"))["rooms"]] == [None, "grace"]
    assert "duty_ended" in [deed for deed, _, _ in await desk.deeds()]


def _iso(ms: int) -> str:
    from invigilo.clock import from_ms

    return from_ms(ms).isoformat()


def _ms(text: str) -> int:
    from datetime import datetime

    from invigilo.clock import to_ms

    return to_ms(datetime.fromisoformat(text))
