"""Check 60 of seb-client-api.md §9 on a small scale: whether anything is lost or refused, not how fast this machine is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from invigilo.storage.queries import connections as queries
from tests.exam_api.raw import RawConnection
from tests.server import SebWire, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 40
BURST = 75
PINGS = 10


async def _burst(wire: SebWire, number: int) -> None:
    """The whole log so far, line after line."""
    connection = RawConnection(wire.server.port)
    headers = list(wire.headers("application/json;charset=UTF-8").items())
    for line in range(BURST):
        body = b'{"type":"INFO_LOG","timestamp":%d,"text":"client %d line %d"}' % (line, number, line)
        assert (await connection.request("POST", "/exam-api/v1/seblog", headers, body)).status == 204
    await connection.close()


async def _pings(wire: SebWire) -> None:
    """Ping after ping on a connection of its own."""
    connection = RawConnection(wire.server.port)
    headers = list(wire.headers().items())
    for number in range(PINGS):
        body = b"timestamp=1764064800123&ping-number=%d" % number
        assert (await connection.request("POST", "/exam-api/v1/sebping", headers, body)).status == 204
    await connection.close()


@asynccontextmanager
async def _nobody_else_writes(server: Server) -> AsyncGenerator[None]:
    """What is asked meanwhile is answered without the database, or not at all."""
    async with server.app.storage.database.turn(urgent=True):
        yield


@pytest.mark.spec("seb-client-api", 60)
async def test_a_start_of_exam_loses_nothing(server: Server) -> None:
    """Every client's burst is stored once and in order beside its pings, and no ping waits for the writing."""
    bearer, exam = await server.bearer(), await server.exam_id()
    created = await asyncio.gather(*(server.create(bearer, f"examId={exam}") for _ in range(CLIENTS)))
    wires = [SebWire(server, bearer, answer.headers["sebconnectiontoken"], answer) for answer in created]
    began = server.app.clock.now_ms()
    async with _nobody_else_writes(server), asyncio.TaskGroup() as group:
        for number, wire in enumerate(wires):
            group.create_task(_burst(wire, number))
            group.create_task(_pings(wire))

    assert await server.app.writer.flush()
    async with server.app.reading() as w:
        rows = await queries.by_ids(w.db, [wire.live.id for wire in wires])
        for number, wire in enumerate(wires):
            events = await queries.events_of(w.db, wire.live.id)
            assert [e.text for e in events] == [f"client {number} line {line}" for line in range(BURST)]
    assert [row.last_ping for row in rows] == [server.app.live.by_id[row.id].last_ping for row in rows]
    assert all((row.last_ping or 0) >= began for row in rows)
    assert sum(row.info_count for row in rows) == CLIENTS * BURST
