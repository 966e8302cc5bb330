"""Calls, broadcasts and messages through the real doors: pages' requests, the API, and both sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from invigilo.accounts.model import Scope
from invigilo.clock import SetClock
from invigilo.storage.queries import accounts as account_queries
from tests.rtc.pages import candidate_page, proctor_page
from tests.server import Answer, Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, Candidate, candidate_in, exam_called, sign_in
from tests.world import MORNING


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Its clock stands still: what a page lets a room perceive is not over because this machine is busy."""
    async with running(tmp_path, text=TWO_INSTITUTIONS, clock=SetClock(MORNING)) as server:
        yield server


async def ask(browser: Browser, method: str, path: str, body: Any = None) -> Answer:
    """As a page's script does."""
    exam = exam_called(browser.server, "Linear Algebra")
    headers = {
        "Cookie": browser.cookie,
        "Accept": "application/json",
        "X-CSRFToken": browser.cookies["csrftoken"],
        "Content-Type": "application/json",
    }
    data = None if body is None else json.dumps(body)
    return await browser.server.request(method, f"/monitoring/{exam}{path}", headers=headers, body=data)


@pytest.fixture
async def ada(server: Server) -> Browser:
    return await sign_in(server, "ada")


@pytest.fixture
async def lea(server: Server) -> Candidate:
    return await candidate_in(server, "Linear Algebra")


async def placed_in(page: Any, kind: str) -> dict[str, Any]:
    """What the page is told of its place once that is in a room of this kind."""
    while True:
        frame = await page.until(t="placed")
        if frame["room"] is not None and frame["room"]["kind"] == kind and frame["room"]["state"] == "open":
            return frame


@dataclass
class Wall:
    """What a proctor's page shows: the snapshot, with every change put in."""

    page: Any
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    rooms: dict[int, dict[str, Any]] = field(default_factory=dict)

    async def until(self, holds: Callable[[Wall], bool]) -> None:
        taken = 0
        while not holds(self):
            frames = [f for f in self.page.new[taken:] if isinstance(f, dict)]
            taken = len(self.page.new)
            for frame in frames:
                if frame["t"] == "snapshot":
                    self.rows.clear()
                    self.rooms.clear()
                if frame["t"] in {"snapshot", "changes"}:
                    self.rows |= {row["id"]: row for row in frame["rows"]}
                    self.rooms |= {room["id"]: room for room in frame["rooms"]}
                    for gone in frame.get("gone_rooms", ()):
                        self.rooms.pop(gone, None)
            if not frames:
                await self.page.receive()


@pytest.mark.spec("live-proctoring", 50)
async def test_a_town_hall_from_opening_to_closing(server: Server, ada: Browser, lea: Candidate) -> None:
    """A candidate is told to perceive nothing until the proctor speaks, and nothing again when the call ends."""
    exam = exam_called(server, "Linear Algebra")
    async with candidate_page(server, lea) as page, proctor_page(ada, exam) as (wall, peer):
        home = page.place["room"]
        assert (home["kind"], home["number"], home["subject"]) == ("collecting", 1, "Room 1")
        await page.send("confirm", revision=page.place["revision"])
        answer = await ask(ada, "POST", "/calls", {"kind": "town_hall"})
        assert answer.status == 201, answer.body
        call = answer.json
        assert (call["state"], call["hall"]) == ("open", {"size": 100, "hearers": 1})
        placed = await placed_in(page, "town_hall")
        assert placed["room"] == {
            "id": call["id"], "kind": "town_hall", "number": 1, "subject": "Town hall", "state": "open",
        }  # fmt: skip
        assert (placed["receive_audio"], placed["receive_video"], placed["chat"]) == (False, False, False)
        shown = Wall(wall)
        await shown.until(lambda shown: lea.id in shown.rows and shown.rows[lea.id]["called"] is not None)
        row = shown.rows[lea.id]
        assert row["called"] == {"room": call["id"], "kind": "town_hall", "number": 1, "beyond": False}
        assert (row["room"], row["room_id"]) == (1, home["id"])

        await page.send("confirm", revision=placed["revision"])
        await shown.until(lambda shown: shown.rooms[call["id"]]["present"] == 1)
        assert shown.rooms[call["id"]]["members"] == 1
        assert (shown.rooms[home["id"]]["members"], shown.rooms[home["id"]]["present"]) == (1, 0)
        assert (await ask(ada, "POST", "/calls", {"kind": "town_hall"})).status == 200

        await wall.send("hold", room=call["id"], audio=True, video=False, chat=True)
        assert await wall.until(t="held") == {
            "t": "held", "room": call["id"], "audio": True, "video": False, "chat": True,
        }  # fmt: skip
        heard = await page.until(t="placed", receive_audio=True)
        assert (heard["receive_audio"], heard["receive_video"], heard["chat"]) == (True, False, True)
        await shown.until(
            lambda shown: shown.rows[lea.id]["hears"]["audio"] and shown.rooms[call["id"]]["holds"]
        )
        (hold,) = shown.rooms[call["id"]]["holds"]
        assert (hold["by"], hold["peer"], hold["audio"]) == ("ada", peer, True)
        assert shown.rows[lea.id]["hears"] == {"audio": True, "video": False, "chat": True}
        assert shown.rows[lea.id]["joined"] == "ok", "to perceive something else is not to be somewhere else"

        await page.send("say", text="I cannot hear you.")
        said = await wall.until(t="said")
        assert (said["connection"], said["text"]) == (lea.id, "I cannot hear you.")

        assert (await ask(ada, "DELETE", f"/calls/{call['id']}")).status == 204
        back = await placed_in(page, "collecting")
        assert back["room"]["id"] == home["id"]
        assert (back["receive_audio"], back["receive_video"], back["chat"]) == (False, False, False)
        assert (await ask(ada, "DELETE", f"/calls/{call['id']}")).status == 204


async def test_one_to_one_and_its_window(server: Server, ada: Browser, lea: Candidate) -> None:
    tom = await candidate_in(server, "Linear Algebra")
    async with candidate_page(server, lea) as page, candidate_page(server, tom) as other:
        await other.barrier()
        answer = await ask(ada, "POST", "/calls", {"kind": "break_out", "connections": [lea.id]})
        assert answer.status == 201, answer.body
        call = answer.json["id"]
        await placed_in(page, "break_out")
        await other.barrier()
        assert other.place["room"]["kind"] == "collecting"
        both = {"kind": "break_out", "connections": [lea.id, tom.id]}
        refused = await ask(ada, "POST", "/calls", both)
        assert (refused.status, refused.json["code"]) == (409, "in_call")
        assert "ada" in refused.json["message"]
        await server.app.rooms.refresh()
        window = await ada.get(
            f"/monitoring/{exam_called(server, 'Linear Algebra')}/calls/{call}", accept="text/html"
        )
        assert window.status == 200
        assert b"One-to-one 1" in window.body
        assert (await lea.wire.delete()).status == 200
        assert (await ask(ada, "DELETE", f"/calls/{call}")).status == 204
        await server.app.rooms.refresh()
        window = await ask(ada, "GET", f"/calls/{call}")
        assert window.status == 404, "its last member left"


async def test_a_page_learns_whether_its_candidate_is_called_alone(
    server: Server, ada: Browser, lea: Candidate
) -> None:
    tom = await candidate_in(server, "Linear Algebra")
    async with candidate_page(server, lea) as page, candidate_page(server, tom) as other:
        both = {"kind": "break_out", "connections": [lea.id, tom.id]}
        assert (await ask(ada, "POST", "/calls", both)).status == 201
        for one in (page, other):
            await placed_in(one, "break_out")
        await server.app.rooms.refresh()
        for one in (page, other):
            seen = await one.barrier()
            assert not any(frame.get("alone") for frame in seen), "neither, at no moment"
        assert (await tom.wire.delete()).status == 200
        placed = await page.until(t="placed", alone=True)
        assert placed["room"]["kind"] == "break_out"


async def test_holds_that_do_not_count_are_answered(server: Server, ada: Browser, lea: Candidate) -> None:
    exam = exam_called(server, "Linear Algebra")
    async with proctor_page(ada, exam) as (wall, _):
        await wall.send("hold", room=999_999, audio=True)
        assert (await wall.until(t="error"))["code"] == "no_such_room"
        answer = await ask(ada, "POST", "/calls", {"kind": "town_hall"})
        await ask(ada, "DELETE", f"/calls/{answer.json['id']}")
        await wall.send("hold", room=answer.json["id"], audio=True)
        error = await wall.until(t="error")
        assert (error["code"], error["room"]) == ("room_not_open", answer.json["id"])
        await wall.send("hold", room=answer.json["id"])
        assert (await wall.until(t="held"))["audio"] is False


async def test_a_message_is_shown_until_it_is_read(server: Server, ada: Browser, lea: Candidate) -> None:
    exam = exam_called(server, "Linear Algebra")
    sent = await ask(
        ada, "POST", "/messages", {"text": "Please look into the camera.", "connections": [lea.id]}
    )
    assert (sent.status, sent.json["recipients"], sent.json["unreachable"]) == (201, 1, 1)
    message = sent.json["id"]
    async with proctor_page(ada, exam) as (wall, _):
        async with candidate_page(server, lea) as page:
            shown = await page.until(t="message")
            assert (shown["id"], shown["by"], shown["text"]) == (
                message,
                "ada",
                "Please look into the camera.",
            )
            await page.send("message_delivered", id=message)
            await wall.row(lea.id, messages={"sent": 1, "delivered": 1, "read": 0}, unread=1)
        async with candidate_page(server, lea, tab="two") as page:
            await page.until(t="message", id=message)
            await page.send("message_read", id=message)
            await wall.row(lea.id, messages={"sent": 1, "delivered": 1, "read": 1}, unread=0)
            await ask(ada, "POST", "/messages", {"text": "Ten minutes left.", "everybody": True})
            await page.until(t="message", text="Ten minutes left.")
        async with candidate_page(server, lea, tab="three") as page:
            again = await page.until(t="message")
            assert again["text"] == "Ten minutes left.", "what was read is not shown again"
    listed = (await ask(ada, "GET", f"/messages?connection={lea.id}")).json
    assert [(one["text"], one["read_at"] is None) for one in listed] == [
        ("Ten minutes left.", True), ("Please look into the camera.", False),
    ]  # fmt: skip
    assert [(m["recipients"], m["read"]) for m in (await ask(ada, "GET", "/messages")).json] == [
        (1, 0),
        (1, 1),
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/calls", {}),
        ("/calls", {"kind": "collecting"}),
        ("/calls", {"kind": "break_out", "connections": ["x"]}),
        ("/calls", {"kind": "break_out", "connections": [-1]}),
        ("/calls", {"kind": "town_hall", "more": 1}),
        ("/calls", [1]),
        ("/messages", {"text": "x"}),
        ("/messages", {"text": "x", "everybody": True, "room": 1}),
        ("/messages", {"text": " ", "everybody": True}),
        ("/messages", {"text": "x" * 2_001, "everybody": True}),
        ("/messages", {"text": "a\x07b", "everybody": True}),
    ],
)
async def test_what_makes_no_sense_is_said_to_make_none(
    server: Server, ada: Browser, lea: Candidate, path: str, body: Any
) -> None:
    answer = await ask(ada, "POST", path, body)
    assert answer.status == 400, answer.body
    assert answer.json.keys() >= {"code", "message"}


async def test_the_same_for_programs(server: Server, lea: Candidate) -> None:
    app, exam = server.app, exam_called(server, "Linear Algebra")
    async with app.reading() as w:
        (grace,) = [one for one in await account_queries.all_accounts(w.db) if one.username == "grace"]
    lasts = app.clock.now() + timedelta(hours=1)
    _, key = await app.tokens.make("desk", [Scope.PROCTORING_WRITE], expires_at=lasts, by=grace)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    base = f"/api/v1/exams/{exam}"
    body = json.dumps({"kind": "break_out", "connections": [lea.id]})
    opened = await server.request("POST", f"{base}/calls", headers=headers, body=body)
    assert opened.status == 201, opened.body
    assert (await server.request("POST", f"{base}/calls", headers=headers, body=body)).status == 200
    room = opened.json["id"]
    assert (await server.request("DELETE", f"{base}/calls/{room}", headers=headers)).status == 204
    assert (await server.request("DELETE", f"{base}/calls/999999", headers=headers)).status == 404
    body = json.dumps({"text": "Hello", "everybody": True})
    assert (await server.request("POST", f"{base}/messages", headers=headers, body=body)).json[
        "recipients"
    ] == 1
    assert (await server.request("GET", f"{base}/messages", headers=headers)).status == 403, (
        "reading is another scope"
    )
