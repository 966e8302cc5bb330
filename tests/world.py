"""A whole control plane without HTTP: real database, real rules, a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from invigilo.bus import Bus
from invigilo.clock import SetClock, to_ms
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam
from invigilo.monitoring.desk import Desk
from invigilo.monitoring.duties import Duties
from invigilo.monitoring.live import LiveConnection, LiveConnections
from invigilo.monitoring.model import Device
from invigilo.monitoring.notes import Notes
from invigilo.monitoring.service import Connections
from invigilo.monitoring.writer import Writer
from invigilo.proctoring.calls import Calls
from invigilo.proctoring.meetings import Meetings
from invigilo.proctoring.messages import Messages
from invigilo.proctoring.service import Rooms
from invigilo.providers.registry import provider_of
from invigilo.secrets_box import SecretBox, digest, new_key
from invigilo.storage.engine import SQLITE_FILE, Database, database_url, open_database
from invigilo.storage.migrate import migrate
from invigilo.storage.tables import connection_configurations, exams, institutions
from invigilo.storage.work import Work, reading_factory, work_factory

MORNING = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
WINDOWS = "Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)"
KEY = new_key()


@dataclass
class World:
    """One node and the database under it; `restart()` is a new node on the same database."""

    database: Database
    clock: SetClock
    provider: Any = None
    bus: Bus = field(default_factory=Bus)
    institution_id: int = 0
    exam_id: int = 0
    tokens: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.boot()

    def boot(self) -> None:
        self.bus = Bus()
        self.box = SecretBox([KEY])
        self.work = work_factory(self.database, self.bus)
        self.reading = reading_factory(self.database)
        self.directory = Directory(self.reading, self.clock)
        self.live = LiveConnections()
        self.writer = Writer(self.work, self.clock)
        self.connections = Connections(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            live=self.live,
            writer=self.writer,
            bus=self.bus,
            box=self.box,
            clock=self.clock,
            ping_waits=60,  # on a busy machine too a ping carries what it is to carry
        )
        self.rooms = Rooms(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            connections=self.connections,
            live=self.live,
            bus=self.bus,
            clock=self.clock,
            provider_of=self.provider_of,
        )
        self.meetings = Meetings(
            directory=self.directory,
            rooms=self.rooms,
            live=self.live,
            clock=self.clock,
            provider_of=self.provider_of,
            page_of=lambda _exam: None,
            provider_by=lambda _definition: self.provider,
        )
        self.calls = Calls(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            rooms=self.rooms,
            clock=self.clock,
            provider_of=self.provider_of,
        )
        self.rooms.sweep_waits = self.calls.opens_within = (
            60  # a service that answers at once has, however busy we are
        )
        self.messages = Messages(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            rooms=self.rooms,
            live=self.live,
            bus=self.bus,
            clock=self.clock,
        )
        self.desk = Desk(
            work=self.work,
            reading=self.reading,
            connections=self.connections,
            live=self.live,
            writer=self.writer,
            bus=self.bus,
            clock=self.clock,
        )
        parts = {"work": self.work, "reading": self.reading, "live": self.live}
        self.notes = Notes(**parts, bus=self.bus, clock=self.clock)
        self.duties = Duties(**parts, bus=self.bus, clock=self.clock)
        self.connections.complete = self.meetings.complete
        self.connections.when_live = self.rooms.place
        self.connections.when_gone = self.rooms.free

    def provider_of(self, exam: Exam) -> Any:
        return provider_of(exam) if self.provider is None else self.provider

    async def load(self) -> None:
        await self.directory.reload()
        await self.connections.load_all()
        await self.rooms.load_all()
        await self.desk.load_all()
        await self.notes.load_all()
        await self.duties.load_all()

    async def restart(self, *, flushed: bool = True) -> None:
        """Kill this node and start another; without `flushed` what waited in memory is lost."""
        if flushed:
            await self.writer.flush()
        self.boot()
        await self.load()

    async def set_up(self, *, size: int | None = 3, enabled: bool = True, join_by: str = "page") -> None:
        async with self.work() as w:
            self.institution_id = (
                await w.db.execute(
                    insert(institutions)
                    .values(name="Example University", created_at=0)
                    .returning(institutions.c.id)
                )
            ).scalar_one()
            await w.db.execute(
                insert(connection_configurations).values(
                    institution_id=self.institution_id,
                    name="Lab PCs",
                    client_id="lab-pcs",
                    client_secret_encrypted=self.box.encrypt("not-a-real-secret"),
                    ping_interval_ms=1000,
                    created_at=0,
                )
            )
        self.exam_id = await self.add_exam("Linear Algebra", size=size, enabled=enabled, join_by=join_by)
        await self.load()

    async def add_exam(
        self,
        name: str,
        *,
        size: int | None = 3,
        enabled: bool = True,
        join_by: str = "page",
        institution_id: int = 0,
    ) -> int:
        async with self.work() as w:
            return (
                await w.db.execute(
                    insert(exams)
                    .values(
                        institution_id=institution_id or self.institution_id,
                        name=name,
                        starts_at=to_ms(MORNING - timedelta(hours=1)),
                        ends_at=to_ms(MORNING + timedelta(days=2)),
                        url="https://lms.example.org/mod/quiz/view.php?id=88",
                        salt=secrets.token_hex(8),
                        proctoring_enabled=enabled,
                        service="builtin",
                        collecting_room_size=size,
                        join_by=join_by,
                        created_at=0,
                    )
                    .returning(exams.c.id)
                )
            ).scalar_one()

    async def change_exam(self, **values: Any) -> None:
        async with self.work() as w:
            await w.db.execute(update(exams).where(exams.c.id == self.exam_id).values(**values))
        await self.directory.reload()

    @property
    def exam(self) -> Exam:
        return self.directory.exams[self.exam_id]

    # --- a client's steps, shortened ---

    async def create(self, device: Device | None = None, *, exam_id: int | None = None) -> str:
        configuration = next(iter(self.directory.configurations.values()))
        created = await self.connections.create(
            configuration,
            institution_id=str(self.institution_id),
            exam_id=None if exam_id is None else str(exam_id),
            device=device or Device(os_name=WINDOWS, seb_version="3.10.2"),
        )
        return created.connection_token

    async def enter(self, *, user: str | None = None, device: Device | None = None) -> LiveConnection:
        """The calls of Windows 3.9 and later, to the end of the handshake."""
        device = device or Device(account_name=user, machine_name=None, os_name=WINDOWS, seb_version="3.10.2")
        token = await self.create(device)
        none = Device()
        await self.connections.bind_and_download(token, exam_id=str(self.exam_id))
        await self.connections.establish(
            token, exam_id=None, user_session_id=None, signature_key=None, device=none
        )
        if user is not None:
            await self.connections.select(
                token, exam_id=str(self.exam_id), user_session_id=user, signature_key=None, device=none
            )
        live = self.of_token(token)
        self.tokens[live.id] = token
        self.ping(live)
        return live

    def of_token(self, token: str) -> LiveConnection:
        return self.live.by_token_hash[digest(token)]

    def ping(self, live: LiveConnection, confirm: str | None = None) -> None:
        self.connections.ping(self.live.by_id[live.id], confirm)

    async def settle(self) -> None:
        """Let everything due by now happen: batches, calls to the service, the sweep."""
        await self.writer.flush()
        await self.rooms.finish_steps()
        await self.rooms.sweep()
        await self.calls.sweep()
        await self.rooms.refresh()
        await self.connections.reload(list(self.live.by_id))

    def hold_back_claims(self) -> asyncio.Event:
        """Claims are committed, but their pings learn it only once the event is set."""
        is_quick = asyncio.Event()
        claims = self.connections._claims
        work = claims._work

        @asynccontextmanager
        async def slow_to_say_so() -> AsyncGenerator[Work]:
            async with work() as w:
                yield w
            await is_quick.wait()

        claims._work = slow_to_say_so
        self.connections.ping_waits = 0.1
        return is_quick

    def numbers(self) -> dict[int, int]:
        """Members per collecting room."""
        return {view.number: view.members for view in self.rooms.of_exam(self.exam) if not view.is_call}


_empty: list[bytes] = []


async def empty_sqlite() -> bytes:
    """A database with all tables and no row, to be copied: making one costs more than most tests."""
    if not _empty:
        with tempfile.TemporaryDirectory() as folder:
            database = open_database(database_url(None, Path(folder)))
            await migrate(database)
            await database.dispose()
            _empty.append((Path(folder) / SQLITE_FILE).read_bytes())
    return _empty[0]


@asynccontextmanager
async def open_world(url: str | None, folder: Path, *, provider: Any = None) -> AsyncIterator[World]:
    folder.mkdir(parents=True, exist_ok=True)
    if url is None and not (folder / SQLITE_FILE).exists():
        (folder / SQLITE_FILE).write_bytes(await empty_sqlite())
    database = open_database(database_url(url, folder))
    await migrate(database)
    world = World(database, SetClock(MORNING), provider=provider)
    try:
        yield world
    finally:
        await database.dispose()
