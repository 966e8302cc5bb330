"""Closing the database closes every connection, whoever still uses one."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path

from sqlalchemy import text

from invigilo.storage.engine import Database, _in_use, database_url, open_database
from invigilo.storage.work import WorkFactory, reading_factory

COUNT = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 50000) SELECT count(*) FROM c"
)


async def count(reading: WorkFactory, may_end: asyncio.Event) -> None:
    async with reading() as w:
        await w.db.execute(text(COUNT))
        await may_end.wait()
        await w.db.execute(text(COUNT))


async def used(database: Database, may_end: asyncio.Event) -> list[asyncio.Task[None]]:
    """Transactions under way, which end some time after they may."""
    tasks = [asyncio.create_task(count(reading_factory(database), may_end)) for _ in range(6)]
    async with asyncio.timeout(60):
        while _in_use(database.reading) < len(tasks):
            await asyncio.sleep(0)
    return tasks


async def test_connections_in_use_are_closed_when_their_users_are_done(tmp_path: Path) -> None:
    """They went back to a pool that had been disposed of, and stayed open until the collector found them."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for cancelled in (False, True):
            database = open_database(database_url(None, tmp_path))
            may_end = asyncio.Event()
            tasks = await used(database, may_end)
            for task in tasks if cancelled else ():
                task.cancel()
            may_end.set()
            await database.dispose()
            await asyncio.gather(*tasks, return_exceptions=True)
            del database, tasks
            gc.collect()
    assert [str(one.message) for one in seen] == []
