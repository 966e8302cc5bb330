"""The real command in processes of its own, which can be killed; and what the database says meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import func, select

import invigilo
from invigilo.secrets_box import digest
from invigilo.storage.engine import Database, database_url, open_database
from invigilo.storage.tables import (
    client_connections,
    client_events,
    exams,
    institutions,
    room_members,
    rooms,
)
from tests.server import SebWire, Server

PATIENCE = 60  # seconds: far more than anything here takes, so that a busy machine fails no test


@dataclass
class Node(Server):
    """A server in another process: the same requests, but nothing of its inside."""

    process: asyncio.subprocess.Process | None = None
    institution_id: int = 0
    the_exam: int = 0

    async def institution(self) -> str:
        return str(self.institution_id)

    async def exam_id(self) -> str:
        return str(self.the_exam)

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@dataclass
class Stored:
    """Looks into the database that the processes write."""

    database: Database

    async def rows(self, query: Any) -> list[Any]:
        async with self.database.reading.connect() as db:
            return list(await db.execute(query))

    async def ids(self) -> tuple[int, int]:
        """The institution and its exam."""
        (row,) = await self.rows(select(institutions.c.id, exams.c.id.label("exam")).join(exams))
        return row[0], row[1]

    async def rooms(self) -> dict[int, set[int]]:
        """Who is in which room, by number."""
        query = (
            select(rooms.c.number, room_members.c.connection_id)
            .outerjoin(room_members, (room_members.c.room_id == rooms.c.id) & room_members.c.until.is_(None))
            .order_by(rooms.c.number)
        )
        found: dict[int, set[int]] = {}
        for number, connection_id in await self.rows(query):
            found.setdefault(number, set()).update({connection_id} - {None})
        return found

    async def room_of_everyone(self) -> dict[int, int]:
        return {one: number for number, ids in (await self.rooms()).items() for one in ids}

    async def connection_id(self, token: str) -> int:
        query = select(client_connections.c.id).where(client_connections.c.token_hash == digest(token))
        ((found,),) = await self.rows(query)
        return found

    async def events(self) -> Counter[str]:
        """How often each text is stored."""
        query = select(client_events.c.text, func.count()).group_by(client_events.c.text)
        return Counter(dict(tuple(row) for row in await self.rows(query)))


@asynccontextmanager
async def stored_in(folder: Path, url: str | None = None) -> AsyncIterator[Stored]:
    database = open_database(database_url(url, folder))
    try:
        yield Stored(database)
    finally:
        await database.dispose()


@asynccontextmanager
async def node(folder: Path, url: str | None = None, *, port: int = 0) -> AsyncIterator[Node]:
    """`invigilo serve`, ready for requests; ends with SIGKILL."""
    arguments = ["--data-dir", str(folder), "--port", str(port), "--log-level", "error"]
    if url is not None:
        arguments += ["--database-url", url]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "invigilo.cli", "serve", *arguments,
        cwd=Path(invigilo.__file__).parents[1], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE):
            ready = (await process.stdout.readline()).decode()
        assert "ready at http://127.0.0.1:" in ready, ready
        async with stored_in(folder, url) as stored:
            institution_id, exam_id = await stored.ids()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield Node(
                app=None, uvicorn=None, task=None,  # type: ignore[arg-type]
                port=int(ready.rsplit(":", 1)[1]), session=session, process=process,
                institution_id=institution_id, the_exam=exam_id,
            )  # fmt: skip
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def handshake(server: Server, bearer: str, user: str) -> SebWire:
    """Every call of Windows 3.9 and later, up to the user's name and the first ping."""
    created = await server.create(bearer, f"client_id={user}&seb_machine_name=PC-{user}")
    assert created.status == 200, created.body
    wire = SebWire(server, bearer, created.headers["sebconnectiontoken"], created)
    assert (await wire.configuration()).status == 200
    assert (await wire.put("")).status == 200
    assert (await wire.patch(f"seb_user_session_id={user}")).status == 200
    assert (await wire.ping()).status in {200, 204}
    return wire


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Look again and again until it is so."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"It did not come to this: {what}") from None
