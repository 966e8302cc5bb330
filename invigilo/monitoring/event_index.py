"""Keeping the words of client events indexed, behind the events and never in their way.

What clients send in a burst is only written down; its words follow within seconds, and while they have not, a search looks
through those few events one by one. Events of the time before there was an index are added piece by piece too, so an update
of a server with millions of them starts at once.

On SQLite a piece takes its turn to write like everybody else, waits while events wait to be written, and rests afterwards as
long as it took. On PostgreSQL the database keeps the index; here it is made, if the server may, and what the database put
aside while events were written is sorted in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from invigilo.errors import Unavailable
from invigilo.storage.engine import Database
from invigilo.storage.queries import events as queries
from invigilo.storage.work import WorkFactory

log = structlog.get_logger()

PIECE = 1_000  # events indexed in one transaction
PAUSE = 1.0  # seconds between two looks for new ones
BUSY = 500  # events waiting to be written, above which indexing waits
TIDY_EVERY = 5.0
_LOCK = 0x1271618  # any number, the same on every node: one node makes the index of PostgreSQL


class EventIndex:
    """The index's upkeep on one node."""

    def __init__(self, database: Database, work: WorkFactory, *, waiting: Callable[[], int]) -> None:
        self._database = database
        self._work = work
        self._waiting = waiting
        self._is_begun = False
        self._is_possible = True

    async def keep(self) -> None:
        """One round: index what is new, and some of what is old. Meant to be called for ever."""
        if not self._is_possible:
            await asyncio.sleep(3_600)
        elif not self._is_begun:
            await self._begin()
        elif self._waiting() > BUSY:
            await asyncio.sleep(PAUSE)
        elif not self._database.is_sqlite:
            await asyncio.sleep(TIDY_EVERY)
            await self.tidy()
        else:
            began = time.monotonic()
            _, left = await self.index_some()
            await asyncio.sleep(min(PAUSE, time.monotonic() - began) if left else PAUSE)

    async def index_some(self, most: int = PIECE) -> tuple[int, int]:
        """One piece. Returns how many events it was, and how many are still to come."""
        async with self._work() as w:
            return await queries.index_more(w.db, most)

    async def _begin(self) -> None:
        try:
            self._is_possible = await (self.begin() if self._database.is_sqlite else self.begin_postgresql())
        finally:
            if self._is_possible:
                self._is_begun = True
        if not self._is_possible:
            log.warning("events_not_indexed", database=self._database.url.get_backend_name())

    async def begin(self) -> bool:
        """SQLite: make the full-text table where there is none; False when this SQLite has none that fits."""
        try:
            async with self._work() as w:
                if await queries.indexed(w.db) is None:
                    await queries.begin_index(w.db)
        except (OperationalError, Unavailable) as error:
            if "no such tokenizer" in str(error.__cause__ or error) or "no such module" in str(
                error.__cause__ or error
            ):
                return False
            raise
        return True

    async def tidy(self) -> None:
        """PostgreSQL, one node at a time."""
        async with self._work() as w:
            if (await w.db.execute(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})"))).scalar_one():
                await queries.tidy_word_index(w.db)

    async def begin_postgresql(self) -> bool:
        """Make the index, unless it is there or another node makes it; False when `pg_trgm` is not to be had."""
        async with self._work() as w:
            if await queries.has_word_index(w.db):
                return True
            if not await queries.allow_word_index(w.db):
                return False
        async with self._database.writing.connect() as plain:
            db = await plain.execution_options(isolation_level="AUTOCOMMIT")
            if not (await db.execute(text(f"SELECT pg_try_advisory_lock({_LOCK})"))).scalar_one():
                return True
            try:
                if not await queries.has_word_index(db):
                    log.info("event_index_begun")
                    await queries.make_word_index(db)
                    log.info("event_index_made")
            finally:
                await db.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
        return True
