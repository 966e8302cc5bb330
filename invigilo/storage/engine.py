"""Opening a database: SQLite (WAL) or PostgreSQL, with what each needs to be quick and safe.

SQLite has one writer at a time. We give writing one connection of its own, so tasks queue for it in memory instead of
meeting `database is locked`, and every writing transaction takes the lock at its start (`BEGIN IMMEDIATE`): a transaction
that read first and wants to write later could otherwise fail half way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from invigilo import fields
from invigilo.errors import BadInput
from invigilo.storage.turns import Turns

SQLITE_FILE = "invigilo.sqlite3"
LAST_USERS = 5  # seconds that closing waits for transactions under way


@dataclass(frozen=True, slots=True)
class Database:
    """Two engines over one database: on PostgreSQL they are the same."""

    url: URL
    writing: AsyncEngine
    reading: AsyncEngine
    turns: Turns = field(default_factory=Turns)

    def turn(self, *, urgent: bool) -> AbstractAsyncContextManager[None]:
        """One's turn to write; on PostgreSQL everybody has one at once."""
        return self.turns.turn(urgent=urgent) if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    async def dispose(self) -> None:
        """Close every connection, those still in use when their users are done: a pool forgets what it gets back after it
        was disposed of, and nobody would ever close it.
        """
        for engine in {self.writing, self.reading}:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_USERS):
                    while _in_use(engine):  # noqa: ASYNC110  (a pool tells nobody when it gets one back)
                        await asyncio.sleep(0.005)
            await engine.dispose()


def database_url(given: str | None, data_dir: Path) -> URL:
    """The address of the database: what was given, or a SQLite file in the data folder.

    Raises BadInput for an address of another kind of database.
    """
    if not given:
        return make_url(f"sqlite+aiosqlite:///{data_dir / SQLITE_FILE}")
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise BadInput(
            "The database address cannot be read. Write sqlite:///path/to/file or postgresql://user@host/name.",
            field="database_url",
        ) from error
    match url.get_backend_name():
        case "sqlite":
            return url.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+asyncpg")
        case other:
            raise BadInput(
                f"Databases of the kind {other!r} are not supported. Use sqlite:// or postgresql://.",
                field="database_url",
            )


def shown_address(given: str | None, data_dir: Path) -> str:
    """The address as the administrator wrote it, without its password; the path of the file when none was written."""
    if not given:
        return str(data_dir / SQLITE_FILE)
    url = make_url(given)
    if url.password is None and "password" not in url.query:
        return given
    return url.difference_update_query(["password"]).render_as_string(hide_password=True)


def file_of(url: URL) -> Path | None:
    """The file of a SQLite database; None for PostgreSQL, in memory, or where SQLite's own address names it."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}
    return Path(str(url.database)) if is_file and "uri" not in url.query else None


def look_into(file: Path) -> None:
    """Raise sqlite3.Error when there can be no database. Asked here first because the asynchronous driver's thread, when it
    cannot open a file, may still be talking while the program ends, and then a traceback stands below our sentence.
    """
    with closing(sqlite3.connect(file, timeout=5)) as db:
        db.execute("PRAGMA schema_version").fetchone()


def open_database(url: URL) -> Database:
    """Make the engines; nothing is connected yet."""
    if url.get_backend_name() == "sqlite":
        return Database(url, writing=_sqlite(url, writing=True), reading=_sqlite(url, writing=False))
    engine = create_async_engine(
        url,
        pool_size=10,
        max_overflow=10,
        pool_pre_ping=True,
        pool_timeout=10,
        hide_parameters=True,
        json_serializer=_as_json,
    )
    return Database(url, writing=engine, reading=engine)


def _in_use(engine: AsyncEngine) -> int:
    pool = engine.pool
    return pool.checkedout() if isinstance(pool, QueuePool) else 0


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _as_json(value: Any) -> str:
    """JSON that can be searched: letters as they are; half characters, which no database can hold, as escapes."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() or fields.is_encodable(text) else json.dumps(value)


def _sqlite(url: URL, *, writing: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1 if writing else 3,
        max_overflow=0 if writing else 5,
        pool_timeout=10,
        hide_parameters=True,
        json_serializer=_as_json,
        connect_args={"timeout": 5, "isolation_level": None},
    )
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=5000",
            "cache_size=-16000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        # SQLite's own knows ASCII only: nobody would find "Öko" by "öko".
        connection.create_function("lower", 1, _lower, deterministic=True)

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql(begin)

    return engine
