"""Searching events: what is found is what fits, whatever the index holds by then, on both databases."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from invigilo.clock import to_ms
from invigilo.monitoring.event_index import EventIndex
from invigilo.monitoring.event_search import words_of
from invigilo.monitoring.model import ClientEvent, EventType, EventWish, Sight
from invigilo.storage.engine import database_url, open_database
from invigilo.storage.migrate import migrate
from invigilo.storage.queries import events as queries
from invigilo.storage.queries.connections import write_events
from invigilo.storage.queries.exam_office import delete_some_events
from invigilo.storage.tables import (
    candidates,
    client_connections,
    client_events,
    event_blocks,
    exam_supporters,
    institutions,
    users,
)
from tests.storage.postgresql import has_trigrams, system_postgresql
from tests.world import MORNING, World, open_world

BEGIN = to_ms(MORNING)
WORDS = [
    "Öko",
    "STRASSE",
    "Browser",
    "browser_x",
    "100%",
    'say "hi"',
    "ΣΊΣΥΦΟΣ",
    "ЖУРНАЛ",
    "İstanbul",
    "ok",
    "a\\b",
    "ณัฐ",
]
TYPES = [EventType.DEBUG_LOG, EventType.INFO_LOG, EventType.INFO_LOG, EventType.WARN_LOG, EventType.ERROR_LOG]
EVERYBODY = Sight()


@dataclass
class Set:
    """Two institutions, three exams, four connections of each, and what they sent."""

    world: World
    index: EventIndex
    exams: list[int]
    institutions: list[int]
    connections: dict[int, int]
    """Connection → exam."""
    sent: list[ClientEvent]
    user_id: int = 0

    def fits(self, wish: EventWish, sight: Sight = EVERYBODY) -> list[str]:
        """The texts of what fits, newest first, by the simplest means."""
        found: list[str] = []
        for one in self.sent:
            exam_id = self.connections[one.connection_id]
            place = self.exams.index(exam_id)
            value = one.numeric_value
            is_seen = (
                sight.institution_id is None or self.institutions[place == 2] == sight.institution_id
            ) and (sight.supporter_id is None or (place == 0 and sight.supporter_id == self.user_id))
            is_meant = (
                (wish.exam_id is None or exam_id == wish.exam_id)
                and (wish.connection_id is None or one.connection_id == wish.connection_id)
                and (not wish.types or one.type in wish.types)
                and (wish.since is None or one.server_time >= wish.since)
                and (wish.until is None or one.server_time < wish.until)
                and (wish.value_from is None or (value is not None and value >= wish.value_from))
                and (wish.value_to is None or (value is not None and value <= wish.value_to))
                and all(word.lower() in one.text.lower() for word in wish.words)
            )
            if is_seen and is_meant:
                found.append(one.text)
        return found[::-1]

    async def found(
        self, wish: EventWish, sight: Sight = EVERYBODY, *, limit: int = 900, budget: float = 60
    ) -> list[str]:
        """The same by searching, page after page to the end."""
        texts: list[str] = []
        before: int | None = None
        for _ in range(10_000):
            async with self.world.reading() as w:
                page = await queries.search(
                    w.db, wish, sight, before=before, limit=limit, budget=budget, count=before is None
                )
            texts += [one.text for one in page.events]
            assert len(page.events) <= limit
            if page.next is None:
                assert page.looked_back_to is None
                return texts
            assert before is None or page.next < before, "a search must come to its end"
            before = page.next
        raise AssertionError("no end")

    async def send(self, some: list[ClientEvent]) -> None:
        for at in range(0, len(some), 1_500):
            async with self.world.work() as w:
                await write_events(w.db, some[at : at + 1_500])
        self.sent += some


async def _connection(world: World, institution_id: int, exam_id: int | None, name: str) -> int:
    configuration = next(iter(world.directory.configurations.values()))
    query = insert(client_connections).values(
        token_hash=name,
        entry_key_hash=name,
        institution_id=institution_id,
        configuration_id=configuration.id,
        exam_id=exam_id,
        state="closed",
        user_session_id=name,
        flags=[],
        created_at=BEGIN,
    )
    async with world.work() as w:
        return int((await w.db.execute(query.returning(client_connections.c.id))).scalar_one())


def _events(connections: list[int], count: int, *, seed: int, begin: int = BEGIN) -> list[ClientEvent]:
    chance = random.Random(seed)
    return [
        ClientEvent(
            chance.choice(connections),
            chance.choice(TYPES),
            begin + 10 * n + (-500_000 if n % 1_000 < 20 else 0),  # now and then the clock was set back
            None,
            chance.choice([None, round(chance.uniform(0, 100), 1)]),
            f"{chance.choice(WORDS)} {chance.choice(WORDS)} {seed}.{n}"
            + (" needle" if n % 2_503 == 7 else ""),
        )
        for n in range(count)
    ]


HALF, WHOLE, TRIGRAMS = "sqlite, half indexed", "sqlite, indexed", "postgresql, indexed"
KINDS = ["sqlite", HALF, WHOLE, "postgresql", TRIGRAMS]
every_kind = pytest.mark.parametrize("events", KINDS, indirect=True)
two_kinds = pytest.mark.parametrize("events", [HALF, "postgresql"], indirect=True)


@pytest.fixture
async def events(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Set]:
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("fresh_postgresql")
    elif request.param == TRIGRAMS:
        url = request.getfixturevalue("trigram_postgresql")()
    async with open_world(url, tmp_path) as world:
        yield await _set(world, request.param)


@pytest.fixture(scope="module")
def trigram_postgresql() -> Iterator[Callable[[], str]]:
    """Makes empty databases on a server that has `pg_trgm`."""
    if not has_trigrams():
        pytest.skip("no PostgreSQL with pg_trgm on this machine")
    with system_postgresql() as make:
        yield make


async def _set(world: World, kind: str) -> Set:
    await world.set_up()
    async with world.work() as w:
        other = (
            await w.db.execute(
                insert(institutions).values(name="Other", created_at=0).returning(institutions.c.id)
            )
        ).scalar_one()
    exams = [
        world.exam_id,
        await world.add_exam("Biology"),
        await world.add_exam("Chemistry", institution_id=other),
    ]
    async with world.work() as w:
        person = {"username": "ada", "display_name": "Ada", "role": "exam_supporter", "password_hash": "-"}
        query = insert(users).values(institution_id=world.institution_id, created_at=0, **person)
        user_id = (await w.db.execute(query.returning(users.c.id))).scalar_one()
        await w.db.execute(insert(exam_supporters).values(exam_id=exams[0], user_id=user_id))
    connections: dict[int, int] = {}
    for place, exam_id in enumerate(exams):
        for n in range(4):
            institution_id = other if place == 2 else world.institution_id
            connections[await _connection(world, institution_id, exam_id, f"user{place}{n}")] = exam_id
    index = EventIndex(world.database, world.work, waiting=lambda: 0)
    made = Set(world, index, exams, [world.institution_id, other], connections, [], user_id)
    await made.send(_events(list(connections), 5_000, seed=1))
    if kind == "sqlite, half indexed":
        assert await index.begin()
        assert await index.index_some(1_700) == (1_700, 3_300)
    await made.send(_events(list(connections), 3_000, seed=2, begin=BEGIN + 3_600_000))
    if kind == "sqlite, half indexed":
        assert await index.index_some(500) == (500, 5_800)
    if kind == "sqlite, indexed":
        assert await index.begin()
        await index_all(index)
    if kind.startswith("postgresql"):
        assert await index.begin_postgresql() == (kind == "postgresql, indexed")
    return made


async def index_all(index: EventIndex) -> None:
    left = 1
    while left:
        _, left = await index.index_some(2_000)


def _wishes(made: Set) -> list[EventWish]:
    hour, minute = 3_600_000, 60_000
    errors = frozenset({EventType.ERROR_LOG, EventType.WARN_LOG})
    return [
        EventWish(),
        EventWish(words=("needle",)),
        EventWish(words=("ÖKO",)),
        EventWish(words=("strasse", "browser")),
        EventWish(words=("browser_x",)),
        EventWish(words=("100%", "ok")),
        EventWish(words=('say "hi"',)),
        EventWish(words=('"hi"', "1.2")),
        EventWish(words=("σίσυφο", "журнал")),
        EventWish(words=("İstan",)),
        EventWish(words=("ณัฐ",)),
        EventWish(words=("a\\b",)),
        EventWish(words=("k",)),
        EventWish(words=("zq",)),
        EventWish(words=("nowhere at all",)),
        EventWish(types=errors),
        EventWish(types=frozenset({EventType.UNKNOWN})),
        EventWish(types=errors, words=("needle",)),
        EventWish(since=BEGIN + 30_000, until=BEGIN + 31_000),
        EventWish(since=BEGIN - hour, until=BEGIN),
        EventWish(since=BEGIN + hour),
        EventWish(until=BEGIN + minute, words=("needle",)),
        EventWish(since=BEGIN + 9 * hour),
        EventWish(value_from=50, value_to=51.5),
        EventWish(value_from=99, words=("öko",)),
        EventWish(exam_id=made.exams[1]),
        EventWish(exam_id=made.exams[1], words=("needle",)),
        EventWish(exam_id=10**9),
        EventWish(connection_id=next(iter(made.connections)), types=errors),
    ]


@every_kind
async def test_a_search_finds_all_that_fits_and_nothing_else(events: Set) -> None:
    for wish in _wishes(events):
        assert await events.found(wish) == events.fits(wish), wish


@every_kind
async def test_small_windows_and_no_time_find_the_same(events: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is one small window; together they miss nothing and repeat nothing."""
    monkeypatch.setattr(queries, "FIRST_WINDOW", 300)
    monkeypatch.setattr(queries, "LARGEST_WINDOW", 1_000)
    rare = [one for one in _wishes(events) if "needle" in one.words or '"hi"' in one.words]
    for wish in rare:
        assert await events.found(wish, limit=20, budget=0) == events.fits(wish), wish


@two_kinds
async def test_a_search_without_time_says_how_far_it_came(
    events: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "FIRST_WINDOW", 100)
    wish = EventWish(words=("zq",))  # too short for an index
    async with events.world.reading() as w:
        page = await queries.search(w.db, wish, EVERYBODY, before=None, limit=50, budget=0)
    assert page.events == []
    assert page.next is not None
    assert page.looked_back_to == events.sent[page.next - 1].server_time
    assert page.has_more


@two_kinds
async def test_matches_are_counted_up_to_a_thousand(events: Set) -> None:
    async with events.world.reading() as w:
        many = await queries.search(
            w.db, EventWish(), EVERYBODY, before=None, limit=50, budget=60, count=True
        )
        few_wish = EventWish(words=("needle",))
        few = await queries.search(w.db, few_wish, EVERYBODY, before=None, limit=2, budget=60, count=True)
    assert (many.counted, many.has_more) == (1_000, True)
    assert (few.counted, few.has_more) == (len(events.fits(few_wish)), False)
    assert few.next is not None


@two_kinds
async def test_everybody_sees_the_events_of_their_own_exams_only(events: Set) -> None:
    for sight in (
        Sight(events.institutions[0]),
        Sight(events.institutions[1]),
        Sight(events.institutions[0], events.user_id),
        Sight(events.institutions[0], events.user_id + 1),
    ):
        for wish in (
            EventWish(words=("needle",)),
            EventWish(exam_id=events.exams[1]),
            EventWish(words=("k",)),
        ):
            assert await events.found(wish, sight) == events.fits(wish, sight), (sight, wish)


@two_kinds
async def test_events_before_an_exam_is_chosen_are_nobodys(events: Set) -> None:
    stray = await _connection(events.world, events.institutions[0], None, "stray")
    async with events.world.work() as w:
        await write_events(
            w.db, [ClientEvent(stray, EventType.ERROR_LOG, BEGIN, None, None, "unbound needle")]
        )
    wish = EventWish(words=("needle", "unbound"))
    assert await events.found(wish) == []
    assert await events.found(EventWish(connection_id=stray)) == []


@two_kinds
async def test_candidates_are_found_by_roster_user_and_computer(events: Set) -> None:
    first, second = list(events.connections)[:2]
    async with events.world.work() as w:
        await w.db.execute(
            insert(candidates).values(
                exam_id=events.exams[0], user_id="user00", name="Zoë Müller", group_name="", extra_minutes=0
            )
        )
        await w.db.execute(
            update(client_connections).where(client_connections.c.id == second).values(machine_name="LAB-17")
        )
    for words, connection in (("MÜLLER zoë", first), ("user00", first), ("lab-17", second)):
        wish = EventWish(candidate=words, words=("öko",))
        fits = events.fits(EventWish(connection_id=connection, words=("öko",)))
        assert await events.found(wish) == fits, words
    assert await events.found(EventWish(candidate="nobody")) == []
    assert await events.found(EventWish(exam="biolog", words=("needle",))) == events.fits(
        EventWish(exam_id=events.exams[1], words=("needle",))
    )


@every_kind
async def test_what_is_deleted_is_found_no_more_and_its_numbers_may_come_again(events: Set) -> None:
    """SQLite gives the newest numbers anew: words of the old events must not be found at the new ones."""
    await _delete(events, events.exams[0], events.exams[1], events.exams[2])
    assert events.sent == []
    assert await events.found(EventWish(words=("needle",))) == []
    new = _events(list(events.connections), 2_000, seed=3)
    await events.send(new)
    await _check(events)
    await _delete(events, events.exams[1])
    if events.world.database.is_sqlite and await _has_index(events):
        await index_all(events.index)
    await events.send(_events(list(events.connections), 500, seed=4))
    await _check(events)
    if events.world.database.is_sqlite and await _has_index(events):
        await index_all(events.index)
        await _check(events)
        async with events.world.work() as w:
            await w.db.execute(text("INSERT INTO event_search (event_search) VALUES ('integrity-check')"))


async def _has_index(events: Set) -> bool:
    async with events.world.reading() as w:
        return await queries.indexed(w.db) is not None


async def _check(events: Set) -> None:
    for wish in (
        EventWish(words=("needle",)),
        EventWish(words=("öko", "browser")),
        EventWish(words=("3.1",)),
    ):
        assert await events.found(wish) == events.fits(wish), wish


async def _delete(events: Set, *exams: int) -> None:
    for exam_id in exams:
        gone = 1
        while gone:
            async with events.world.work() as w:
                gone = await delete_some_events(w.db, exam_id)
    events.sent = [one for one in events.sent if events.connections[one.connection_id] not in exams]


@two_kinds
async def test_blocks_say_what_is_in_them(events: Set) -> None:
    async with events.world.reading() as w:
        noted = {row.block: tuple(row)[1:] for row in await w.db.execute(select(event_blocks))}
        e = client_events.c
        rows = (await w.db.execute(select(e.id, e.type, e.server_time))).all()
    true: dict[int, tuple[int, int, int]] = {}
    for id_, type_, at in rows:
        first, last, types = true.get(id_ // queries.BLOCK, (at, at, 0))
        true[id_ // queries.BLOCK] = (min(first, at), max(last, at), types | 1 << type_)
    assert noted == true
    assert len(true) == 2


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_an_older_database_gets_its_blocks_and_its_index(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Written before there was a search, and found by it."""
    url = None if kind == "sqlite" else request.getfixturevalue("fresh_postgresql")
    database = open_database(database_url(url, tmp_path))
    try:
        await migrate(database, to="0002")
        async with database.writing.begin() as db:
            rows: list[dict[str, Any]] = [
                {"connection_id": 1, "type": n % 5, "server_time": n, "text": f"old {n}"}
                for n in range(5_000)
            ]
            await db.execute(insert(client_events), rows)
        await migrate(database)
        async with database.reading.connect() as db:
            blocks = (await db.execute(select(event_blocks).order_by(event_blocks.c.block))).all()
            assert (await db.execute(select(func.count()).select_from(client_events))).scalar_one() == 5_000
    finally:
        await database.dispose()
    assert [tuple(row) for row in blocks] == [(0, 0, 4_094, 31), (1, 4_095, 4_999, 31)]


async def test_an_index_that_this_sqlite_cannot_make_is_done_without(tmp_path: Path) -> None:
    async with open_world(None, tmp_path) as world:
        index = EventIndex(world.database, world.work, waiting=lambda: 0)
        for error in ("no such tokenizer: trigram", "no such module: fts5"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(queries, "_MAKE_WORDS", _failing_table(error))
                assert not await index.begin()
        assert await index.begin()


def _failing_table(error: str) -> str:
    """A statement that SQLite itself refuses in these words."""
    if "tokenizer" in error:
        return "CREATE VIRTUAL TABLE event_search USING fts5(text, tokenize='none_such')"
    return "CREATE VIRTUAL TABLE event_search USING none_such(text)"


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ("", ()),
        ("  Öko  STRASSE ", ("Öko", "STRASSE")),
        ('say "Good Bye" now', ("Good Bye", "say", "now")),
        ('an "open end', ("an", "open", "end")),
        ('"" a\0b', ("a", "b")),
        ("same Same", ("Same",)),
    ],
)
def test_words_of_a_search(search: str, words: tuple[str, ...]) -> None:
    assert sorted(words_of(search)) == sorted(words)


def test_long_words_are_looked_up_by_some_of_their_pieces() -> None:
    assert queries.pieces_of("abcd") == ["abc", "bcd"]
    pieces = queries.pieces_of("abcdefghijklmnopqrstuvwxyz" * 5)
    assert len(pieces) <= queries.PIECES
    assert pieces[0] == "abc"
