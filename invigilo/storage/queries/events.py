"""Client events of many exams, searched newest first; and what makes that quick among millions of them.

A search goes back through the ids window by window. The next window is as large as the last one was quick, and when the time
is over the search stops and says how far it came, so no search holds up anything for longer, however little it finds. Three
things keep windows from being read in vain:

- `event_blocks` has a line for every 4,096 ids: a time or a type that is not in there need not be looked for. Whatever is
  common enough to be in every block is found in the first ones.
- Connections asked for (an exam's, a candidate's) are looked up in the index by connection, between their first and last id.
- Words of three characters and more stand in an index of three-letter pieces: on SQLite a full-text table beside the events,
  filled afterwards by `monitoring/event_index.py`; on PostgreSQL an index of `pg_trgm`, where the server may have one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    column,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.monitoring.model import ConnectionState, EventType, EventWish, Sight
from invigilo.storage.queries.listing import containing, folded
from invigilo.storage.tables import (
    candidates,
    client_connections,
    client_events,
    event_blocks,
    event_index,
    exam_supporters,
    exams,
)
from invigilo.storage.work import sql_state_of

BLOCK = 4_096  # ids; the migration that fills `event_blocks` knows it too
SHORTEST = 3  # characters of a word that an index finds
PIECES = 12  # of a long word that are looked up; what they find is compared as a whole

FIRST_WINDOW = 5_000  # ids
LARGEST_WINDOW = 4_000_000
TARGET = 0.12  # seconds a window should take
COUNTED = 1_000  # matches up to which they are counted
COUNTING = 0.25  # seconds after which only the page is looked for
PENDING = 65_536  # kB of words that PostgreSQL may keep unsorted
NARROW = 5_000  # connections up to which their own index is asked

_e, _c = client_events.c, client_connections.c
_BY_CONNECTION = "INDEXED BY ix_client_events_connection_id_id"
_CANCELLED = "57014"  # PostgreSQL's state for a statement that took longer than it may


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """One event, and whose it is."""

    id: int
    type: EventType
    server_time: int
    client_time: int | None
    numeric_value: float | None
    text: str
    connection_id: int
    state: ConnectionState
    exam_id: int
    exam: str
    institution_id: int
    user_session_id: str | None
    candidate: str | None
    """The name on the roster."""
    account_name: str | None
    machine_name: str | None


@dataclass(slots=True)
class Found:
    """One page of a search. `next` is where older ones begin; None when all were looked at."""

    events: list[FoundEvent] = field(default_factory=list[FoundEvent])
    next: int | None = None
    counted: int = 0
    """How many fit, as far as they were counted."""
    has_more: bool = False
    """More than those counted fit, or may fit."""
    looked_back_to: int | None = None
    """Server time, ms: set when the time was over before the page was full."""


# --- where to look ---

How = Literal["scan", "narrow", "words", "pg_words"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Ids from `low` to `high`, not included, and by which index they are looked through."""

    low: int
    high: int
    how: How


def within(stretches: Iterable[tuple[int, int]], low: int, high: int) -> list[tuple[int, int]]:
    """The parts of stretches that lie between two ids."""
    cut = ((max(a, low), min(b, high)) for a, b in stretches)
    return [(a, b) for a, b in cut if a < b]


def stretches_of_blocks(blocks: Iterable[int]) -> list[tuple[int, int]]:
    """Blocks, newest first, as stretches of ids; neighbours are one."""
    found: list[tuple[int, int]] = []
    for block in blocks:
        low, high = block * BLOCK, (block + 1) * BLOCK
        if found and found[-1][0] == high:
            found[-1] = (low, found[-1][1])
        else:
            found.append((low, high))
    return found


def pieces_of(word: str) -> list[str]:
    """Up to `PIECES` different runs of three letters, spread over the word."""
    every = list(dict.fromkeys(word[at : at + SHORTEST] for at in range(len(word) - SHORTEST + 1)))
    step = max(1, -(-len(every) // PIECES))
    return every[::step]


def _match(words: Sequence[str]) -> str:
    """What FTS5 is asked: every piece of every word; a quote in a piece is doubled."""
    pieces = dict.fromkeys(piece for word in words for piece in pieces_of(word))
    return " AND ".join('"' + piece.replace('"', '""') + '"' for piece in list(pieces)[: 3 * PIECES])


def connections_seen(sight: Sight) -> ColumnElement[bool]:
    """Whose records one may look into. A connection that chose no exam is nobody's."""
    conditions: list[ColumnElement[bool]] = [_c.exam_id.is_not(None)]
    if sight.institution_id is not None:
        conditions.append(_c.institution_id == sight.institution_id)
    if sight.supporter_id is not None:
        theirs = select(exam_supporters.c.exam_id).where(exam_supporters.c.user_id == sight.supporter_id)
        conditions.append(_c.exam_id.in_(theirs))
    return and_(*conditions)


def is_candidate(words: str) -> ColumnElement[bool]:
    """A connection whose candidate is called so: on the roster, by the learning system, or by their computer."""
    on_roster = (
        select(candidates.c.name)
        .where(candidates.c.exam_id == _c.exam_id, candidates.c.user_id == _c.user_session_id)
        .correlate(client_connections)
        .scalar_subquery()
    )
    return containing(words, _c.user_session_id, _c.account_name, _c.machine_name, on_roster)


def _connections(wish: EventWish, sight: Sight) -> tuple[ColumnElement[bool], bool]:
    """Which connections are meant, and whether it may be few of them."""
    conditions = [connections_seen(sight)]
    if wish.exam_id is not None:
        conditions.append(_c.exam_id == wish.exam_id)
    if wish.exam:
        conditions.append(_c.exam_id.in_(select(exams.c.id).where(containing(wish.exam, exams.c.name))))
    if wish.connection_id is not None:
        conditions.append(_c.id == wish.connection_id)
    if wish.candidate:
        conditions.append(is_candidate(wish.candidate))
    return and_(*conditions), len(conditions) > 1 or sight.supporter_id is not None


def _fits(wish: EventWish) -> list[ColumnElement[bool]]:
    """What is asked of the event itself."""
    conditions: list[ColumnElement[bool]] = []
    if wish.types:
        conditions.append(_e.type.in_(sorted(int(one) for one in wish.types)))
    if wish.since is not None:
        conditions.append(_e.server_time >= wish.since)
    if wish.until is not None:
        conditions.append(_e.server_time < wish.until)
    if wish.value_from is not None:
        conditions.append(_e.numeric_value >= wish.value_from)
    if wish.value_to is not None:
        conditions.append(_e.numeric_value <= wish.value_to)
    return conditions


def _has_words(db: AsyncConnection, words: Sequence[str], how: How) -> list[ColumnElement[bool]]:
    """The longest first: it is the one that most often does not fit, and then the others are not asked."""
    ordered = sorted(words, key=len, reverse=True)
    if db.dialect.name == "sqlite":
        return [folded(_e.text, word).contains(word.lower(), autoescape=True) for word in ordered]
    return [_has_word(word, by_index=how == "pg_words" and len(word) >= SHORTEST) for word in ordered]


def _has_word(word: str, *, by_index: bool) -> ColumnElement[bool]:
    """On PostgreSQL the database makes the word's letters small, too: of some (İ) it thinks otherwise than Python.

    Only `LIKE` asks the index, which must not be asked for shorter words, and not in windows: it knows no ids. And small
    letters of ASCII alone cost a fraction of those of every alphabet.
    """
    if by_index:
        plain = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return func.lower(_e.text).like(func.lower(literal(f"%{plain}%")))
    if word.isascii():
        return func.strpos(func.lower(_e.text.collate("C")), word.lower()) > 0
    return func.strpos(func.lower(_e.text), func.lower(literal(word))) > 0


def _one_of(db: AsyncConnection, ids: Sequence[int]) -> ColumnElement[bool]:
    """Connections by number, thousands of them in one parameter."""
    if db.dialect.name == "sqlite":
        values = func.json_each(json.dumps(list(ids))).table_valued("value")
        return _e.connection_id.in_(select(values.c.value))
    return _e.connection_id == func.any(literal(list(ids), ARRAY(BigInteger)))


# --- the search ---


class _Clock:
    """How long a search has been going on."""

    def __init__(self, budget: float) -> None:
        self._began = time.monotonic()
        self._budget = budget

    @property
    def taken(self) -> float:
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        return self._budget - self.taken


async def search(
    db: AsyncConnection,
    wish: EventWish,
    sight: Sight,
    *,
    before: int | None,
    limit: int,
    budget: float,
    count: bool = False,
) -> Found:
    """One page of events that fit, newest first, of those before a place; it takes about `budget` seconds at most."""
    clock = _Clock(budget)
    looking = await _Looking.prepare(db, wish, sight, before)
    if looking is None:
        return Found()
    enough = limit + 1
    ids: list[int] = []
    reached: int | None = None
    for stretch in looking.stretches:
        low = stretch.high
        while low > stretch.low:
            is_full = len(ids) >= enough
            if is_full and (not count or len(ids) > COUNTED or clock.taken > COUNTING):
                break
            if not is_full and clock.left <= 0 and reached is not None:
                break
            wanted = (COUNTED + 1 if count else enough) - len(ids)
            low, some = await looking.look(db, stretch, low, wanted, clock)
            ids += some
            reached = low
        if low > stretch.low:
            break
    else:
        reached = None  # looked at everything
    found = Found(await _details(db, ids[:limit]))
    found.counted, found.has_more = min(len(ids), COUNTED), reached is not None or len(ids) > COUNTED
    if len(ids) > limit:
        found.next = ids[limit - 1]
    elif reached is not None:
        found.next = reached
        found.looked_back_to = await _time_at(db, reached)
    return found


class _Looking:
    """A search under way: what is asked, where, and how large the next window is."""

    def __init__(
        self,
        wish: EventWish,
        connections: ColumnElement[bool],
        ids: Sequence[int] | None,
        words: Sequence[str],
        stretches: list[Stretch],
    ) -> None:
        self._fits = _fits(wish)
        self._wished = wish.words
        self._connections = connections
        self._ids = ids
        self._words = words
        self.stretches = stretches
        self._size: dict[How, float] = {}
        self._has_slow_words = False

    @classmethod
    async def prepare(
        cls, db: AsyncConnection, wish: EventWish, sight: Sight, before: int | None
    ) -> _Looking | None:
        """None when nothing can fit."""
        connections, may_be_few = _connections(wish, sight)
        ids: Sequence[int] | None = None
        low, high = await _bounds(db)
        if may_be_few:
            query = select(_c.id).where(connections).limit(NARROW + 1)
            ids = (await db.execute(query)).scalars().all()
            if len(ids) > NARROW:
                ids = None
            else:
                low, high = await _bounds_of(db, ids)
        high = high if before is None else min(high, before)
        if low >= high:
            return None
        parts = [(low, high)]
        if wish.since is not None or wish.until is not None or wish.types:
            parts = within(await _blocks(db, wish), low, high)
        words = [word.lower() for word in wish.words if len(word) >= SHORTEST]
        stretches = await _stretches(db, parts, "scan" if ids is None else "narrow", has_words=bool(words))
        return cls(wish, connections, ids, words, stretches)

    async def look(
        self, db: AsyncConnection, stretch: Stretch, high: int, wanted: int, clock: _Clock
    ) -> tuple[int, list[int]]:
        """Look through the next window below `high`: down to which id it went, and what was found in it."""
        if stretch.how == "pg_words" and not self._has_slow_words:
            return await self._look_by_words(db, stretch, high, wanted, clock)
        return await self._window(db, stretch, high, wanted, clock)

    async def _window(
        self, db: AsyncConnection, stretch: Stretch, high: int, wanted: int, clock: _Clock
    ) -> tuple[int, list[int]]:
        if stretch.how == "pg_words":
            stretch = replace(stretch, how="scan")
        size = self._size.get(stretch.how, FIRST_WINDOW if stretch.how == "scan" else 8 * FIRST_WINDOW)
        low = max(stretch.low, high - int(size))
        began = time.monotonic()
        query = self._query(db, stretch.how, low, high).limit(wanted)
        found = list((await db.execute(query)).scalars())
        took = max(time.monotonic() - began, 0.001)
        if len(found) < wanted:
            aim = min(TARGET, max(clock.left, 0.02))
            self._size[stretch.how] = min(LARGEST_WINDOW, max(1_000, size * min(4, max(0.1, aim / took))))
            return low, found
        return found[-1], found

    def _query(self, db: AsyncConnection, how: How, low: int, high: int) -> Select[Any]:
        query = select(_e.id).where(*self._fits, *_has_words(db, self._wished, how))
        if how == "words":
            row = _words.c.rowid
            query = query.select_from(_words.join(client_events, _e.id == row))
            query = query.where(_IS_IN_WORDS.bindparams(pieces=_match(self._words)), row >= low, row < high)
            query = query.order_by(row.desc())
        else:
            query = query.where(_e.id >= low, _e.id < high)
            # On PostgreSQL the sum keeps the ids' own index out, so that the one of the words is asked.
            query = query.order_by((_e.id + 0 if how == "pg_words" else _e.id).desc())
        if self._ids is not None:
            query = query.where(_one_of(db, self._ids))
            return query.with_hint(client_events, _BY_CONNECTION, "sqlite") if how == "narrow" else query
        return query.where(
            exists().where(_c.id == _e.connection_id, self._connections).correlate(client_events)
        )

    async def _look_by_words(
        self, db: AsyncConnection, stretch: Stretch, high: int, wanted: int, clock: _Clock
    ) -> tuple[int, list[int]]:
        """The whole stretch at once. Words so common that this takes too long are met in windows soon enough."""
        allowed = max(50, int(700 * clock.left))
        try:
            async with db.begin_nested():
                await db.execute(text(f"SET LOCAL statement_timeout = {allowed}"))
                query = self._query(db, "pg_words", stretch.low, high).limit(wanted)
                found = list((await db.execute(query)).scalars())
                await db.execute(text("SET LOCAL statement_timeout = 0"))
        except DBAPIError as error:
            if sql_state_of(error) != _CANCELLED:
                raise
            self._has_slow_words = True
            return await self._window(db, stretch, high, wanted, clock)
        return (found[-1] if len(found) == wanted else stretch.low), found


_words = table("event_search", column("rowid", BigInteger))
_IS_IN_WORDS = text("event_search MATCH :pieces")
_INDEX = "ix_client_events_words"


async def _bounds(db: AsyncConnection) -> tuple[int, int]:
    """The first id, and one behind the last."""
    first = (await db.execute(select(func.min(_e.id)))).scalar_one()
    last = (await db.execute(select(func.max(_e.id)))).scalar_one()
    return (0, 0) if first is None else (first, last + 1)


async def _bounds_of(db: AsyncConnection, ids: Sequence[int]) -> tuple[int, int]:
    """The same of the events of some connections: two look-ups each."""
    first = select(_e.id).where(_e.connection_id == _c.id).order_by(_e.id).limit(1)
    last = select(_e.id).where(_e.connection_id == _c.id).order_by(_e.id.desc()).limit(1)
    low = high = 0
    for at in range(0, len(ids), 500):
        query = select(
            func.min(first.correlate(client_connections).scalar_subquery()),
            func.max(last.correlate(client_connections).scalar_subquery()),
        ).where(_c.id.in_(ids[at : at + 500]))
        a, b = (await db.execute(query)).one()
        if a is not None:
            low, high = (min(low, a) if high else a), max(high, b + 1)
    return low, high


async def _blocks(db: AsyncConnection, wish: EventWish) -> list[tuple[int, int]]:
    """Stretches, newest first, outside of which nothing can fit."""
    b = event_blocks.c
    query = select(b.block).order_by(b.block.desc())
    if wish.since is not None:
        query = query.where(b.last_time >= wish.since)
    if wish.until is not None:
        query = query.where(b.first_time < wish.until)
    if wish.types:
        query = query.where(b.types.bitwise_and(sum(1 << int(one) for one in wish.types)) != 0)
    return stretches_of_blocks((await db.execute(query)).scalars())


async def _stretches(
    db: AsyncConnection, parts: list[tuple[int, int]], how: How, *, has_words: bool
) -> list[Stretch]:
    """How each part is looked through, newest first."""
    plain = [Stretch(low, high, how) for low, high in parts]
    if not has_words:
        return plain
    if db.dialect.name != "sqlite":
        if how == "narrow" or not await has_word_index(db):
            return plain
        # The newest ones are looked through first: a word that fills the page there is not looked up in the index.
        newest = parts[0][1] - 4 * FIRST_WINDOW if parts else 0
        return [
            *(Stretch(low, high, "scan") for low, high in within(parts, newest, parts[0][1] if parts else 0)),
            *(Stretch(low, high, "pg_words") for low, high in within(parts, 0, newest)),
        ]
    low, high = await indexed(db) or (0, 0)
    end = max((b for _, b in parts), default=0)
    return [
        *(Stretch(a, b, how) for a, b in within(parts, max(high, low), end)),
        *(Stretch(a, b, "words") for a, b in within(parts, low, high)),
        *(Stretch(a, b, how) for a, b in within(parts, 0, low)),
    ]


async def _details(db: AsyncConnection, ids: Sequence[int]) -> list[FoundEvent]:
    if not ids:
        return []
    on_roster = and_(candidates.c.exam_id == _c.exam_id, candidates.c.user_id == _c.user_session_id)
    query = (
        select(
            client_events,
            *(_c.state, _c.exam_id, _c.institution_id, _c.user_session_id, _c.account_name, _c.machine_name),
            exams.c.name.label("exam"),
            candidates.c.name.label("candidate"),
        )
        .select_from(client_events)
        .join(client_connections, _c.id == _e.connection_id)
        .join(exams, exams.c.id == _c.exam_id)
        .outerjoin(candidates, on_roster)
        .where(_e.id.in_(ids))
        .order_by(_e.id.desc())
    )
    return [
        FoundEvent(
            id=row.id,
            type=EventType(row.type),
            server_time=row.server_time,
            client_time=row.client_time,
            numeric_value=row.numeric_value,
            text=row.text,
            connection_id=row.connection_id,
            state=ConnectionState(row.state),
            exam_id=row.exam_id,
            exam=row.exam,
            institution_id=row.institution_id,
            user_session_id=row.user_session_id,
            candidate=row.candidate,
            account_name=row.account_name,
            machine_name=row.machine_name,
        )
        for row in await db.execute(query)
    ]


async def _time_at(db: AsyncConnection, id_: int) -> int | None:
    query = select(_e.server_time).where(_e.id >= id_).order_by(_e.id).limit(1)
    return (await db.execute(query)).scalar_one_or_none()


# --- what is written beside the events ---

_BITS = " + ".join(f"max(CASE WHEN type = {int(t)} THEN {1 << int(t)} ELSE 0 END)" for t in EventType)
_NOTE = (
    "INSERT INTO event_blocks (block, first_time, last_time, types) "  # noqa: S608
    f"SELECT id / {BLOCK}, min(server_time), max(server_time), {_BITS} FROM {{new}} GROUP BY 1 ORDER BY 1 "
    "ON CONFLICT (block) DO UPDATE SET first_time = {least}(event_blocks.first_time, excluded.first_time), "
    "last_time = {greatest}(event_blocks.last_time, excluded.last_time), types = event_blocks.types | excluded.types"
)
NOTE_BLOCKS_SQLITE = _NOTE.format(
    new="client_events WHERE id > (SELECT max(id) FROM client_events) - ?", least="min", greatest="max"
)
"""Of the newest so many events: SQLite gives the rows of one transaction ids without gaps."""
NOTE_BLOCKS_OF_NEW = _NOTE.format(new="new", least="least", greatest="greatest")
"""Of what `WITH new AS (INSERT … RETURNING id, server_time, type)` just inserted."""


# --- the index of words on SQLite ---

_MAKE_WORDS = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS event_search USING fts5("
    "text, content='client_events', content_rowid='id', tokenize='trigram', detail=none, columnsize=0)"
)
_ADD_WORDS = text(
    "INSERT INTO event_search (rowid, text) SELECT id, lower(text) FROM client_events WHERE id >= :low AND id < :high"
)
_FORGET_WORDS = text(
    "INSERT INTO event_search (event_search, rowid, text) SELECT 'delete', id, lower(text) FROM client_events "
    "WHERE id >= :low AND id < :high AND id IN (SELECT value FROM json_each(:ids))"
)


async def indexed(db: AsyncConnection) -> tuple[int, int] | None:
    """From which to which id, not included, the words are indexed; None where there is no such index (yet)."""
    row = (await db.execute(select(event_index.c.low, event_index.c.high))).one_or_none()
    return None if row is None else (row.low, row.high)


async def begin_index(db: AsyncConnection) -> None:
    """Make the full-text table, empty; it begins at the newest event and grows both ways.

    Raises OperationalError on a SQLite too old for it (before 3.34).
    """
    await db.exec_driver_sql("DROP TABLE IF EXISTS event_search")
    await db.exec_driver_sql(_MAKE_WORDS)
    _, end = await _bounds(db)
    await db.execute(delete(event_index))
    await db.execute(insert(event_index).values(id=1, low=end, high=end))


async def index_more(db: AsyncConnection, most: int) -> tuple[int, int]:
    """Index up to so many ids: the newest first, then older ones. Returns how many, and how many are still to come."""
    state = await indexed(db)
    assert state is not None
    low, high = state
    first, end = await _bounds(db)
    if high < end:
        part = (high, min(end, high + most))
        high = part[1]
    elif low > first:
        part = (max(first, low - most), low)
        low = part[0]
    else:
        return 0, 0
    await db.execute(_ADD_WORDS, {"low": part[0], "high": part[1]})
    await db.execute(update(event_index).values(low=low, high=high))
    return part[1] - part[0], end - high + max(0, low - first)


async def forget(db: AsyncConnection, ids: Sequence[int]) -> int:
    """Delete events with what is indexed of them; returns how many it were. Nothing else deletes events."""
    state = await indexed(db) if db.dialect.name == "sqlite" else None
    if state is not None:
        low, high = state
        await db.execute(_FORGET_WORDS, {"low": low, "high": high, "ids": json.dumps(list(ids))})
    gone = 0
    for at in range(0, len(ids), 500):
        gone += (await db.execute(delete(client_events).where(_e.id.in_(ids[at : at + 500])))).rowcount
    if state is not None:
        # SQLite gives the newest ids anew once their rows are gone.
        _, end = await _bounds(db)
        high = min(state[1], end)
        await db.execute(update(event_index).values(low=min(state[0], high), high=high))
    return gone


# --- the index of words on PostgreSQL ---


async def has_word_index(db: AsyncConnection) -> bool:
    """Whether it is there and whole: one that is still being made, or whose making broke off, is not used."""
    query = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    return bool((await db.execute(query, {"name": _INDEX})).scalar_one_or_none())


async def allow_word_index(db: AsyncConnection) -> bool:
    """Whether `pg_trgm` is there, or could be made; the server may not have it, or this user not the right."""
    there = text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
    if (await db.execute(there)).first() is not None:
        return True
    known = text("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
    if (await db.execute(known)).first() is None:
        return False
    try:
        async with db.begin_nested():
            await db.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError as error:
        if sql_state_of(error) not in _NO_EXTENSION:
            raise
        return False
    return True


_NO_EXTENSION = frozenset({"42501", "0A000", "58P01", "23505"})
"""No right to it; not supported; its files are not there; another node made it in the same moment."""


async def make_word_index(db: AsyncConnection) -> None:
    """On a connection without transaction: while it is made, events are written and read as ever. It takes minutes for
    millions of them.
    """
    await db.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {_INDEX}"))
    await db.execute(
        text(
            f"CREATE INDEX CONCURRENTLY {_INDEX} ON client_events USING gin (lower(text) gin_trgm_ops) "
            f"WITH (gin_pending_list_limit = {PENDING})"
        )
    )


async def tidy_word_index(db: AsyncConnection) -> None:
    """Sort in what was written lately: PostgreSQL keeps it in a list first, which is quick, and would sort it in while
    somebody writes once the list is full.
    """
    await db.execute(text(f"SELECT gin_clean_pending_list('{_INDEX}')"))
