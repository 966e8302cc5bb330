"""Servers under test as children: the real `invigilo serve` over a set-up exam, and the bare one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from bench import machine
from invigilo import demo
from invigilo.clock import SystemClock
from invigilo.exams.model import JoinBy, Service
from invigilo.proctoring.model import RoomKind, RoomState
from invigilo.secrets_box import digest
from invigilo.settings import Settings
from invigilo.storage.opening import open_storage
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.tables import client_connections, desired_places, exams, room_members, rooms
from invigilo.storage.work import Work

ROOT = Path(__file__).resolve().parent.parent
ROOM_SIZE = 25
_WINDOWS = "Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)"
DAY = 86_400_000  # ms


@dataclass
class Child:
    """A server process, bound to its core."""

    process: asyncio.subprocess.Process
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pause(self) -> None:
        """Stand still while another server is measured on the same core."""
        if hasattr(signal, "SIGSTOP"):
            self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if hasattr(signal, "SIGCONT"):
            self.process.send_signal(signal.SIGCONT)


@dataclass
class Exam:
    """A set-up data folder: one running exam with a built-in room for every `room_size` candidates."""

    folder: Path
    port: int
    connection_file: Path
    link: str
    """Path that signs a proctor in."""
    institution_id: int = 0
    configuration_id: int = 0
    exam_id: int = 0
    bearer: str = ""
    tokens: list[str] = field(default_factory=list[str])
    entry_keys: list[str] = field(default_factory=list[str])

    @property
    def database(self) -> Path:
        return self.folder / "invigilo.sqlite3"

    @property
    def exam_path(self) -> str:
        return f"/monitoring/{self.exam_id}"


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def exam_with(
    connections: int, *, room_size: int = ROOM_SIZE, natives: int = 0
) -> AsyncGenerator[Exam]:
    """A folder as `invigilo demo` makes it, with connections in the middle of their exam already in it.

    The first `natives` of them are clients that can be called in by instruction.
    """
    folder = Path(tempfile.mkdtemp(prefix="invigilo-bench-"))
    port = free_port()
    try:
        arguments = argparse.Namespace(room_size=room_size)
        url = f"http://127.0.0.1:{port}"
        file, link = await demo._prepare(arguments, Settings(), folder, url, demo.people())  # noqa: SLF001  (one set-up for both)
        exam = Exam(folder, port, file, link)
        await _fill(exam, connections, room_size, natives)
        yield exam
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _fill(exam: Exam, count: int, room_size: int, natives: int) -> None:
    clock = SystemClock()
    storage = await open_storage(Settings(data_dir=exam.folder), clock=clock)
    exam.bearer = secrets.token_urlsafe(32)
    exam.tokens = [secrets.token_urlsafe(24) for _ in range(count)]
    exam.entry_keys = [secrets.token_urlsafe(24) for _ in range(count)]
    now = clock.now_ms()
    try:
        async with storage.work() as w:
            ((configuration, _),) = await exam_queries.all_configurations(w.db)
            (found,) = await exam_queries.all_exams(w.db)
            assert found.proctoring.service is Service.BUILTIN
            exam.institution_id, exam.configuration_id = configuration.institution_id, configuration.id
            exam.exam_id = found.id
            await exam_queries.add_access_token(
                w.db,
                token_hash=digest(exam.bearer),
                configuration_id=configuration.id,
                expires_at=now + DAY,
            )
            if count:
                await w.db.execute(insert(client_connections), _connection_rows(exam, now, natives))
                if natives:
                    await w.db.execute(update(exams).values(join_by=JoinBy.NATIVE.value))
                await _place(w, exam, room_size, now)
    finally:
        await storage.close()


def _connection_rows(exam: Exam, now: int, natives: int) -> list[dict[str, Any]]:
    return [
        {
            "token_hash": digest(token),
            "entry_key_hash": digest(entry_key),
            "institution_id": exam.institution_id,
            "configuration_id": exam.configuration_id,
            "exam_id": exam.exam_id,
            "state": "active",
            "user_session_id": f"Candidate {number:05d}",
            "machine_name": f"LAB-{number:05d}",
            "os_name": "iPad (iPadOS 17.5)" if number <= natives else _WINDOWS,
            "seb_version": "3.5" if number <= natives else "3.10.2",
            "flags": [],
            "created_at": now,
            "config_downloaded_at": now,
            "established_at": now,
            "last_ping": now,
        }
        for number, (token, entry_key) in enumerate(zip(exam.tokens, exam.entry_keys, strict=True), 1)
    ]


async def _place(w: Work, exam: Exam, room_size: int, now: int) -> None:
    ids = list(
        (await w.db.execute(select(client_connections.c.id).order_by(client_connections.c.id))).scalars()
    )
    numbers = range(1, -(-len(ids) // room_size) + 1)
    made = [
        {
            "exam_id": exam.exam_id, "kind": RoomKind.COLLECTING.value, "number": number,
            "name": secrets.token_hex(16), "state": RoomState.OPEN.value, "created_at": now,
        }
        for number in numbers
    ]  # fmt: skip
    await w.db.execute(insert(rooms), made)
    room_ids = list((await w.db.execute(select(rooms.c.id).order_by(rooms.c.number))).scalars())
    placed = [(room_ids[n // room_size], connection_id) for n, connection_id in enumerate(ids)]
    await w.db.execute(
        insert(room_members), [{"room_id": r, "connection_id": c, "since": now} for r, c in placed]
    )
    await w.db.execute(
        insert(desired_places),
        [
            {"connection_id": c, "room_id": r, "revision": 1, "confirmed_revision": 1, "changed_at": now}
            for r, c in placed
        ],
    )


@asynccontextmanager
async def serving(exam: Exam) -> AsyncIterator[Child]:
    """`invigilo serve` as anybody starts it, on SQLite."""
    command = ["-m", "invigilo.cli", "serve", "--port", str(exam.port), "--data-dir", str(exam.folder)]
    async with _child([*command, "--log-level", "warning"], exam.port) as child:
        yield child


@asynccontextmanager
async def called_in(exam: Exam) -> AsyncIterator[Child]:
    """The same at a meeting service into which clients are called (`bench.called`)."""
    async with _child(["-m", "bench.called", str(exam.port), str(exam.folder)], exam.port) as child:
        yield child


@asynccontextmanager
async def bare_server() -> AsyncIterator[Child]:
    port = free_port()
    async with _child(["-m", "bench.bare", str(port)], port) as child:
        yield child


@asynccontextmanager
async def _child(arguments: list[str], port: int) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("INVIGILO_")},
    )  # fmt: skip
    machine.pin(process.pid, machine.SERVER_CORE)
    child = Child(process, port)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        if re.search(rb"ready at", line) is None:
            raise SystemExit("The server did not start; its message stands above.")
        yield child
    finally:
        await _end(child)


async def _end(child: Child) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.go_on()
        child.process.terminate()
    try:
        await asyncio.wait_for(child.process.wait(), 15)
    except TimeoutError:
        child.process.kill()
        await child.process.wait()
