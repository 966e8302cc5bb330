"""The unit of work: one request or job is one transaction, and what it changed is announced when it is true.

`async with work() as w:` opens a writing transaction, commits at the end, rolls back on any error. `w.db` is the
connection that query functions take. `w.announce(...)` collects facts for the other parts and the other nodes; they travel
only after the commit (on PostgreSQL inside it, so neither happens without the other).
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.bus import Bus
from invigilo.errors import Unavailable
from invigilo.storage.engine import Database


@dataclass(slots=True)
class Work:
    """One open transaction."""

    db: AsyncConnection
    database: Database
    announcements: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])

    def announce(self, topic: str, payload: Any) -> None:
        """Tell the other parts, once this transaction is committed. `payload` is JSON."""
        self.announcements.append((topic, payload))

    @property
    def is_sqlite(self) -> bool:
        return self.db.dialect.name == "sqlite"


WorkFactory = Callable[[], AbstractAsyncContextManager[Work]]


def work_factory(database: Database, bus: Bus, *, urgent: bool = False) -> WorkFactory:
    """Writing transactions. On SQLite they take turns, the urgent ones first."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        with storage_errors():
            async with database.turn(urgent=urgent), database.writing.connect() as db:
                w = Work(db, database)
                async with db.begin():
                    yield w
                    await bus.announce_within(db, w.announcements)
        bus.announce_locally(w.announcements)

    return work


def reading_factory(database: Database) -> WorkFactory:
    """Transactions that only read: on SQLite they never wait for a writer."""

    @asynccontextmanager
    async def reading() -> AsyncGenerator[Work]:
        with storage_errors():
            async with database.reading.connect() as db, db.begin():
                yield Work(db, database)

    return reading


async def try_writing(database: Database) -> None:
    """Write nothing, as one who writes: a database that can only be read answers every other question well.

    `BEGIN IMMEDIATE` does not find out: on a file that may not be written SQLite quietly begins a reading transaction.
    Raises Unavailable, also while somebody else keeps the database locked.
    """
    with storage_errors():
        try:
            async with database.turn(urgent=True), database.writing.connect() as db:
                await db.execute(text("DELETE FROM alembic_version WHERE 1 = 0"))
                await db.rollback()
        except DBAPIError as error:
            if is_write_refused(error):
                raise Unavailable(NOT_WRITABLE) from error
            raise


NOT_WRITABLE = "The database cannot be written by this user; give it to the user the server runs as."


def is_write_refused(error: DBAPIError) -> bool:
    """Whether the database can be read only: SQLite's read-only file, PostgreSQL's standby or missing right."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_READONLY or sql_state_of(error) in {"25006", "42501"}


class storage_errors:  # noqa: N801  (a context manager that reads as a phrase)
    """Turn "the database cannot answer now" into `Unavailable`; everything else travels on unchanged."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None or not is_outage(error):
            return
        raise Unavailable(
            "The database cannot answer now (locked, full or out of reach). Nothing was saved; try again in a moment.",
            key="database_cannot_answer",
        ) from error


def is_outage(error: BaseException) -> bool:
    """Whether the database is the one in trouble, rather than what was asked of it."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | sqlite3.OperationalError):
        return True
    if isinstance(error, DBAPIError):
        return bool(error.connection_invalidated) or sql_state_of(error) in _TRY_AGAIN
    return isinstance(
        error, asyncpg.PostgresConnectionError | asyncpg.CannotConnectNowError | ConnectionError | OSError
    )


_TRY_AGAIN = frozenset({"40P01", "40001", "53100", "53200", "53300", "55P03", "57P01", "57P02", "57P03"})
"""PostgreSQL's states for: deadlock, serialization, disk full, out of memory, too many connections, lock not available,
and shutting down."""


def sql_state_of(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")
