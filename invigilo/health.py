"""Whether this server can do its work, for load balancers and for the people who run it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from invigilo.clock import Clock
from invigilo.errors import Unavailable
from invigilo.exams.directory import Directory
from invigilo.monitoring.writer import Writer
from invigilo.storage.work import WorkFactory, try_writing


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready means: send clients here. A node whose database is gone still answers pings, so it is not dead."""

    is_ready: bool
    problems: list[str]


async def readiness(*, reading: WorkFactory, directory: Directory, writer: Writer, clock: Clock) -> Readiness:
    problems: list[str] = []
    try:
        async with reading() as w:
            await w.db.execute(text("SELECT 1"))
        if writer.in_trouble_since is None:  # otherwise it is known, and probes would only queue
            await try_writing(w.database)
    except Unavailable as error:
        problems.append(error.message)
    if directory.loaded_at is None:
        problems.append("Exams have not been read from the database yet.")
    if writer.in_trouble_since is not None:
        seconds = (clock.now_ms() - writer.in_trouble_since) // 1000
        problems.append(f"The database has not taken pings and events for {seconds} s; they wait in memory.")
    return Readiness(not problems, problems)
