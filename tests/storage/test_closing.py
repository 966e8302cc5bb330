"""Closing the database closes every connection, whoever still uses one."""

from __future__ import annotations

import asyncio
import gc
import warnings
from pathlib import Path

from sqlalchemy import text

from invigilo.storage.engine import Database, database_url, open_database
from invigilo.storage.work import WorkFactory, reading_factory

COUNT = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 50000) SELECT count(*) FROM c"
)


async def count(reading: WorkFactory) -> None:
    async with reading() as w:
        await w.db.execute(text(COUNT))


async def used(database: Database) -> list[asyncio.Task[None]]:
    """Transactions under way."""
    tasks = [asyncio.create_task(count(reading_factory(database))) for _ in range(6)]
    async with asyncio.timeout(20):
        while not any(task.done() for task in tasks):
            await asyncio.sleep(0)
    return tasks


async def test_connections_in_use_are_closed_when_their_users_are_done(tmp_path: Path) -> None:
    """They went back to a pool that had been disposed of, and stayed open until the collector found them."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for cancelled in (False, True):
            database = open_database(database_url(None, tmp_path))
            tasks = await used(database)
            assert not all(task.done() for task in tasks)
            for task in tasks if cancelled else ():
                task.cancel()
            await database.dispose()
            await asyncio.gather(*tasks, return_exceptions=True)
            del database, tasks
            gc.collect()
    assert [str(one.message) for one in seen] == []
