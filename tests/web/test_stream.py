"""What a proctor's page that stays open is told while the exam goes on around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from invigilo.clock import to_ms
from invigilo.storage.tables import exams
from tests.rtc.pages import PATIENCE, Page, proctor_page
from tests.server import SebWire, Server, running
from tests.web.people import sign_in


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path) as server:
        yield server


async def end_at(server: Server, exam_id: int, end: datetime) -> None:
    """Somebody changes the exam's end, as another process would."""
    async with server.app.work() as w:
        await w.db.execute(update(exams).where(exams.c.id == exam_id).values(ends_at=to_ms(end)))
    await server.app.directory.reload()


async def changes(page: Page) -> AsyncGenerator[dict[str, Any]]:
    """One after the other, for as long as a test has patience."""
    async with asyncio.timeout(PATIENCE):
        while True:
            yield await page.until(t="changes")


async def has_room(page: Page, number: int) -> None:
    """Wait until the page shows this room, from its snapshot or later."""
    async with asyncio.timeout(PATIENCE):
        while not any(room["number"] == number for frame in page.new for room in frame.get("rooms", ())):
            await page.receive()


async def enters(server: Server, user: str) -> SebWire:
    """A candidate, by name, in the exam."""
    wire = await server.ready()
    assert (await wire.patch(f"examId={await server.exam_id()}&seb_user_session_id={user}")).status == 200
    assert (await wire.ping()).status == 204
    return wire


async def test_a_changed_end_of_the_exam_reaches_an_open_page(server: Server) -> None:
    """Proctors see the new end without reloading; a message without news about the exam says nothing of it."""
    exam_id = int(await server.exam_id())
    ada = await sign_in(server, "ada")
    async with proctor_page(ada, exam_id) as (wall, _):
        end = server.app.directory.exams[exam_id].ends_at + timedelta(minutes=30)
        await end_at(server, exam_id, end)
        async with aclosing(changes(wall)) as told:
            views = (message["exam"] async for message in told if message["exam"] is not None)
            view = await anext(view async for view in views if view["ends_at"] == to_ms(end))
        assert (view["id"], view["state"]) == (exam_id, "running")
        assert (await wall.until(t="changes"))["exam"] is None


async def test_a_closed_room_leaves_an_open_page(server: Server) -> None:
    """When the exam ends its rooms close, and pages opened before are told which ones to take away."""
    exam_id = int(await server.exam_id())
    ada = await sign_in(server, "ada")
    await enters(server, "lea")
    async with proctor_page(ada, exam_id) as (wall, _):
        await has_room(wall, 1)
        await end_at(server, exam_id, server.app.clock.now() - timedelta(seconds=1))
        async with aclosing(changes(wall)) as told:
            gone = await anext(message["gone_rooms"] async for message in told if message["gone_rooms"])
        assert gone == [1]
    async with proctor_page(ada, exam_id) as (again, _):
        [snapshot] = [frame for frame in again.new if frame["t"] == "snapshot"]
        assert snapshot["rooms"] == []


async def test_somebody_who_came_back_no_longer_shows_as_having_left(server: Server) -> None:
    """The closed connection of a person who is connected again needs nobody's attention."""
    exam_id = int(await server.exam_id())
    ada = await sign_in(server, "ada")
    first = await enters(server, "lea")
    async with proctor_page(ada, exam_id) as (wall, _):
        assert (await first.delete()).status == 200
        left = await wall.row(first.live.id, state="closed")
        assert left["returned"] is False
        assert left["severity"] != "ok"
        second = await enters(server, "lea")
        back = await wall.row(first.live.id, returned=True)
        assert (back["severity"], back["cause"]) == ("ok", None)
        assert (await second.delete()).status == 200
        gone = await wall.row(first.live.id, returned=False)
        assert gone["severity"] != "ok"
