"""What a hostile reader proved of pages, deeds and the log."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from invigilo.monitoring.model import ClientEvent, EventType
from invigilo.web.sockets import Sockets
from tests.logged import logging_in_memory
from tests.rtc.pages import PATIENCE, candidate_page
from tests.server import Server, running
from tests.web.people import candidate_in, sign_in
from tests.world import open_world

WORDS = "Zoe Secretname opened https://lms.example.org/?attempt=7"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path) as server:
        yield server


@pytest.fixture
def page_ends(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[int]:
    """A connection's id each time the server is done with one of its pages' sockets."""
    ended: asyncio.Queue[int] = asyncio.Queue()
    gone = Sockets._candidate_gone

    def tell(self: Sockets, mine: Any, live: Any) -> None:
        gone(self, mine, live)
        ended.put_nowait(live.id)

    monkeypatch.setattr(Sockets, "_candidate_gone", tell)
    return ended


@pytest.mark.parametrize(("newer_tab", "is_replaced"), [("same", False), ("another", True)])
async def test_the_same_page_on_a_new_line_is_not_another_tab(
    server: Server, page_ends: asyncio.Queue[int], newer_tab: str, is_replaced: bool
) -> None:
    """After a change of network the page's own new socket replaces nobody; a second tab does."""
    candidate = await candidate_in(server, "Linear Algebra")
    async with candidate_page(server, candidate, tab="same") as older:
        async with candidate_page(server, candidate, tab=newer_tab):
            assert await older.closing() == 4001
            assert await asyncio.wait_for(page_ends.get(), PATIENCE) == candidate.id
            assert candidate.wire.live.page.connected
            assert candidate.wire.live.page.replaced is is_replaced
        await asyncio.wait_for(page_ends.get(), PATIENCE)
    assert not candidate.wire.live.page.connected
    assert candidate.wire.live.page.replaced is is_replaced


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("application/json", b'{"message":"\\ud800"}'),
        ("application/json", b"[" * 50_000),
        ("application/json; charset=utf-16", b'{"message":"x"}x'),
        ("application/json", b'{"message": 7}'),
    ],
)
async def test_a_malformed_message_to_lock_is_the_senders_mistake(
    server: Server, kind: str, body: bytes
) -> None:
    """It is answered 400, is no error of the server, and locks no screen."""
    candidate = await candidate_in(server, "Linear Algebra")
    ada = await sign_in(server, "ada")
    headers = {"Cookie": ada.cookie, "Accept": "application/json", "X-CSRFToken": ada.cookies["csrftoken"]}
    place = f"/monitoring/{await server.exam_id()}/connections/{candidate.id}/lock"
    answer = await server.request("POST", place, headers=headers | {"Content-Type": kind}, body=body)
    assert answer.status == 400, answer.body
    assert not candidate.wire.live.queue


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    with logging_in_memory("info") as stream:
        yield stream


async def test_words_of_candidates_in_a_refused_row_never_reach_the_log(
    tmp_path: Path, logged: io.StringIO
) -> None:
    """The operator learns that the database refused a row and why, not what somebody's screen said."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        await world.writer.flush()
        await _refuse(world, "insert on client_events")
        world.connections.event(live, ClientEvent(live.id, EventType.INFO_LOG, 1, 1, None, WORDS))
        await world.writer.flush()
    _says_why_but_not_what(logged, "row_refused_by_database")


async def test_words_of_candidates_in_a_failed_step_never_reach_the_log(
    server: Server, logged: io.StringIO
) -> None:
    """Neither when a handshake fails at the database."""
    wire = await server.ready()
    await _refuse(server.app, "update of user_session_id on client_connections")
    answer = await wire.patch(f"examId={await server.exam_id()}&seb_user_session_id=Zoe Secretname")
    assert answer.status >= 500
    assert "Secretname" not in answer.body.decode()
    _says_why_but_not_what(logged)


async def _refuse(node: Any, what: str) -> None:
    async with node.work() as w:
        await w.db.execute(
            text(f"CREATE TRIGGER refuse BEFORE {what} BEGIN SELECT raise(abort, 'refused here'); END")
        )


def _says_why_but_not_what(logged: io.StringIO, event: str | None = None) -> None:
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert any("refused here" in str(line) and event in {None, line["event"]} for line in lines)
    assert "Secretname" not in logged.getvalue()
