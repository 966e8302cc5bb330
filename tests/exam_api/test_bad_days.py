"""The exam API when the database is locked or a client is odd: pings and events go on, and nothing accepted is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from invigilo.clock import SetClock
from invigilo.monitoring.model import ConnectionState, InstructionType
from invigilo.storage.queries import connections as queries
from tests.exam_api.raw import RawConnection
from tests.server import SebWire, Server, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 60


@asynccontextmanager
async def locked(folder: Path) -> AsyncIterator[None]:
    """Another program keeps the database to itself.

    It waits for the lock in a thread: the server under test runs in this loop, and may be in a transaction.
    """
    path = folder / "invigilo.sqlite3"
    with closing(
        sqlite3.connect(path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
    ) as db:
        await asyncio.to_thread(db.execute, "BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            db.execute("ROLLBACK")


@pytest_asyncio.fixture(loop_scope="module")
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path) as server:
        yield server


async def _writer_is_in_trouble(server: Server, wire: SebWire) -> None:
    """Pings meanwhile, each answered 204."""
    async with asyncio.timeout(PATIENCE):
        while server.app.writer.in_trouble_since is None:
            assert (await wire.ping()).status == 204


async def _texts(server: Server, wire: SebWire) -> list[str]:
    assert await server.app.writer.flush()
    async with server.app.reading() as w:
        return [event.text for event in await queries.events_of(w.db, wire.live.id)]


async def test_a_locked_database_stops_neither_pings_nor_events(server: Server, tmp_path: Path) -> None:
    """What came meanwhile is stored once, in order, when the lock is gone: events, hands, last ping, confirmations."""
    wire = await server.ready()
    await server.app.connections.send(wire.live, InstructionType.PROCTORING, {"method": "JOIN"})
    confirm = (await wire.ping()).json["attributes"]["instruction-confirm"]
    waiting = await server.ready()
    await server.app.connections.send(waiting.live, InstructionType.LOCK_SCREEN, {"message": "Stop"})
    texts = [f"line {number}" for number in range(50)]
    async with locked(tmp_path):
        assert (await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": texts[0]})).status == 204
        assert (
            await wire.log({"type": "NOTIFICATION", "timestamp": 1, "numericValue": 1, "text": "<raisehand>"})
        ).status == 204
        assert (await wire.ping(confirm=confirm)).status == 204
        await _writer_is_in_trouble(server, wire)
        for text in texts[1:]:
            assert (await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": text})).status == 204
        assert (await wire.ping()).status == 204
        async with asyncio.timeout(PATIENCE):
            for _ in range(100):  # the trouble is known, so no ping waits for a try of its own
                assert (await waiting.ping()).status == 204
    assert await _texts(server, wire) == texts
    assert server.app.writer.in_trouble_since is None
    async with server.app.reading() as w:
        (row,) = await queries.by_ids(w.db, [wire.live.id])
        assert row.last_ping == wire.live.last_ping
        assert [n.number for n in await queries.open_notifications(w.db, [wire.live.id])] == [1]
        assert await queries.open_instructions(w.db, ids=[wire.live.id], young_since=0) == []


async def test_an_instruction_waits_for_the_lock_to_go(server: Server, tmp_path: Path) -> None:
    """It cannot be claimed, so the ping is answered as if there were none, and a later ping carries it, once."""
    wire = await server.ready()
    await server.app.connections.send(wire.live, InstructionType.LOCK_SCREEN, {"message": "Stop"})
    async with locked(tmp_path):
        assert (await wire.ping()).status == 204
    async with asyncio.timeout(PATIENCE):
        while (answer := await wire.ping()).status == 204:
            pass
    assert answer.json == {"instruction": "SEB_FORCE_LOCK_SCREEN", "attributes": {"message": "Stop"}}
    for _ in range(3):
        assert (await wire.ping()).status == 204


async def test_clients_already_known_to_the_database_ping_through_a_lock(
    server: Server, tmp_path: Path
) -> None:
    """After a restart this node knows neither token nor connection; reading them needs no lock."""
    wire = await server.ready()
    server.app.exam_api._bearers.clear()
    async with locked(tmp_path):
        assert (await wire.ping()).status == 204
        wire.token = "nobody"
        assert (await wire.ping()).status == 204


async def test_a_handshake_during_a_lock_is_refused_as_later_and_can_be_repeated(
    server: Server, tmp_path: Path
) -> None:
    """Clients repeat a failed step by themselves; it must have left nothing half done."""
    wire = await server.connect()
    async with locked(tmp_path):
        answer = await wire.patch(f"examId={await server.exam_id()}&seb_user_session_id=tom")
        assert (answer.status, answer.json[0]["messageCode"]) == (503, "1100")
        assert (await wire.ping()).status == 204
        assert wire.live.state is ConnectionState.REQUESTED
    assert (await wire.configuration()).status == 200
    assert (await wire.put("seb_user_session_id=lea")).status == 200
    assert (wire.live.state, wire.live.user_session_id) == (ConnectionState.ACTIVE, "lea")


async def test_a_server_stopped_during_a_lock_writes_what_it_accepted(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        wire = await server.ready()
        async with locked(tmp_path):
            assert (await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": "last words"})).status == 204
            await _writer_is_in_trouble(server, wire)
            stopping = asyncio.create_task(server.stop())
            async with asyncio.timeout(PATIENCE):
                await server.app.writer._stopping.wait()
        await stopping
    async with running(tmp_path, text=None) as server:
        wire.server = server
        assert await _texts(server, wire) == ["last words"]


async def test_clients_that_break_off_disturb_nobody(server: Server) -> None:
    """Half a head, half a body, silence: then gone."""
    wire = await server.ready()
    token = f"Authorization: {wire.bearer}\r\nSEBConnectionToken: {wire.token}\r\n".encode()
    halves = [
        b"",
        b"POST /exam-api/v1/sebping HT",
        b"POST /exam-api/v1/sebping HTTP/1.1\r\nHost: x\r\n",
        b"POST /exam-api/v1/seblog HTTP/1.1\r\nHost: x\r\n" + token + b"Content-Length: 100\r\n\r\n{",
        b"PATCH /exam-api/v1/handshake HTTP/1.1\r\nHost: x\r\n" + token + b"Content-Length: 9\r\n\r\nexamId=",
        b"PUT /exam-api/v1/handshake HTTP/1.1\r\nHost: x\r\n" + token + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /exam-api/v1/sebping HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ]  # fmt: skip
    connections = [RawConnection(server.port) for _ in halves]
    for connection, half in zip(connections, halves, strict=True):
        await connection.send(half)
    assert (await wire.ping()).status == 204
    for connection in connections:
        await connection.close()
    assert (await wire.ping()).status == 204
    async with asyncio.timeout(PATIENCE):
        while tasks := server.uvicorn.server_state.tasks:
            await asyncio.wait(tasks)
    assert (wire.live.state, wire.live.user_session_id) == (ConnectionState.READY, None)
    assert await _texts(server, wire) == []


async def test_a_clock_set_back_hurts_nobody(tmp_path: Path) -> None:
    """The server's clock is corrected by an hour: pings count from then on, nobody is told to quit."""
    clock = SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with running(tmp_path, clock=clock) as server:
        wire = await server.ready()
        assert (await wire.ping()).status == 204
        clock.move(timedelta(hours=-1))
        assert (await wire.ping()).status == 204
        exam = server.app.directory.exams[int(await server.exam_id())]
        assert server.app.stream.judged(exam, wire.live)["missing"] is False
        assert (await wire.patch("seb_user_session_id=lea")).status == 200


async def test_a_chattering_client_is_cut_and_its_errors_are_kept(tmp_path: Path) -> None:
    """Over its quota a client's information lines are counted, not stored; its errors still are."""
    async with running(tmp_path, max_events_per_connection=5) as server:
        wire = await server.ready()
        for number in range(8):
            assert (await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": str(number)})).status == 204
        assert (await wire.log({"type": "ERROR_LOG", "timestamp": 1, "text": "disk full"})).status == 204
        assert await _texts(server, wire) == ["0", "1", "2", "3", "4", "disk full"]
        assert (wire.live.infos, wire.live.errors) == (8, 1)
