"""What memory keeps of the database: never older than what it had before, and never old for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from invigilo.bus import RESYNC
from invigilo.exams.model import Service
from invigilo.monitoring.indicators import Indicator
from invigilo.monitoring.model import NoteCategory
from invigilo.monitoring.notes import NoteWish
from invigilo.proctoring.meeting_hosts import MeetingHosts
from invigilo.simulate.stand_in import StandInService
from invigilo.storage.queries import duties as duty_queries
from invigilo.storage.queries import rooms as room_queries
from invigilo.storage.tables import exams, service_definitions
from invigilo.storage.work import Work
from tests.proctoring.day import Day
from tests.proctoring.test_calls import ADA
from tests.world import World, open_world

PATIENCE = 60  # seconds: far more than any step takes


@dataclass
class Held:
    """A way to read whose first reading is held up after it has read, before it can be taken in."""

    world: World
    is_caught: bool = False
    is_held: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Work]:
        async with self.world.reading() as w:
            yield w
        await self._hold()

    async def rooms_of_exam(self, *args: Any, **named: Any) -> Any:
        """In the place of the query: what rooms are read from it is taken in piece by piece."""
        found = await _rooms_of_exam(*args, **named)
        await self._hold()
        return found

    async def _hold(self) -> None:
        if not self.is_caught:
            self.is_caught = True
            self.is_held.set()
            await self.may_go.wait()


_rooms_of_exam = room_queries.of_exam


@dataclass
class Memory:
    """One of them: its keeper, how it is read again, what happens elsewhere, and what is seen of it."""

    keeper: Any
    read: Callable[[], Awaitable[Any]]
    change: Callable[[], Awaitable[Any]]
    seen: Callable[[], Any]


async def _directory(world: World, other: World) -> Memory:
    async def rename() -> None:
        async with world.work() as w:
            await w.db.execute(update(exams).values(name="Renamed"))

    return Memory(world.directory, world.directory.reload, rename, lambda: world.exam.name)


async def _rooms(world: World, other: World) -> Memory:
    async def read() -> None:
        world.rooms._stale.add(world.exam_id)
        await world.rooms.refresh()

    return Memory(world.rooms, read, lambda: other.enter(user="lea"), world.numbers)


async def _desk(world: World, other: World) -> Memory:
    def change() -> Awaitable[Any]:
        return other.desk.set_thresholds(world.exam, {Indicator.WARNINGS: (1, 2)}, revision=None, by=ADA)

    return Memory(world.desk, world.desk.load_all, change, lambda: world.desk.measure(world.exam_id).revision)


async def _notes(world: World, other: World) -> Memory:
    live = await world.enter(user="lea")
    await other.load()

    def change() -> Awaitable[Any]:
        wish = NoteWish(category=NoteCategory.OTHER, is_incident=True)
        return other.notes.add(world.exam, other.live.by_id[live.id], wish, key="one-press", by=ADA)

    return Memory(
        world.notes,
        lambda: world.notes._reload(world.exam_id),
        change,
        lambda: world.notes.tally(world.exam_id).of(live),
    )


async def _duties(world: World, other: World) -> Memory:
    await world.enter(user="lea")
    await world.settle()
    (room,) = world.rooms.all_of(world.exam_id)

    async def change() -> None:
        async with world.work() as w:
            await duty_queries.put(w.db, {room.id: None}, since=0, given_by="ada")
            await duty_queries.put(w.db, {room.id: await _somebody(w)}, since=0, given_by="ada")

    return Memory(
        world.duties, world.duties.load_all, change, lambda: dict(world.duties.of_exam(world.exam_id))
    )


async def _somebody(w: Work) -> int:
    from invigilo.storage.tables import users

    values = {"username": "ada", "display_name": "Ada", "role": "exam_admin", "password_hash": "-"}
    made = await w.db.execute(insert(users).values(values | {"created_at": 0}).returning(users.c.id))
    return made.scalar_one()


async def _meeting_hosts(world: World, other: World) -> Memory:
    definition = {
        "institution_id": world.institution_id, "name": "Zoom", "service": Service.ZOOM.value, "values": {},
        "secrets_encrypted": {}, "created_at": 0,
    }  # fmt: skip
    async with world.work() as w:
        made = await w.db.execute(
            insert(service_definitions).values(definition).returning(service_definitions.c.id)
        )
        number = made.scalar_one()
    hosts, others = (
        MeetingHosts(work=one.work, reading=one.reading, box=one.box, bus=one.bus) for one in (world, other)
    )

    async def read() -> None:
        hosts._heard(None)
        await hosts.refresh()

    return Memory(
        hosts,
        read,
        lambda: others.book_of(number).book("room", ["host"], per_host=1, now=0),
        lambda: [one.room for one in hosts.book_of(number).bookings()],
    )


@pytest.mark.parametrize("make", [_directory, _rooms, _desk, _notes, _duties, _meeting_hosts])
async def test_what_was_read_sooner_never_replaces_what_was_read_later(
    tmp_path: Path, make: Callable[[World, World], Awaitable[Memory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that began before a change ends after the one that found it."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        other = World(world.database, world.clock, institution_id=world.institution_id, exam_id=world.exam_id)
        await other.load()
        memory = await make(world, other)
        await memory.read()
        before = memory.seen()
        held = Held(world)
        if make is _rooms:
            monkeypatch.setattr(room_queries, "of_exam", held.rooms_of_exam)
        else:
            memory.keeper._reading = held
        older = asyncio.ensure_future(memory.read())
        await asyncio.wait_for(held.is_held.wait(), PATIENCE)
        await memory.change()
        newer = asyncio.ensure_future(memory.read())
        await asyncio.wait({newer}, timeout=0.1)
        held.may_go.set()
        await asyncio.gather(older, newer)
        assert memory.seen() != before


async def _held_while_reading_rooms(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> tuple[Held, asyncio.Task[set[int]]]:
    """Lea has come, and somebody is in the middle of reading where to."""
    held = Held(world)
    await world.enter(user="lea")
    monkeypatch.setattr(room_queries, "of_exam", held.rooms_of_exam)
    reading = asyncio.create_task(world.rooms.refresh())
    await asyncio.wait_for(held.is_held.wait(), PATIENCE)
    return held, reading


async def test_whoever_waits_for_the_rooms_gets_them_though_somebody_else_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node's own loop has taken note of what changed, and is reading it when a page asks."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        held, loop = await _held_while_reading_rooms(world, monkeypatch)
        asking = asyncio.create_task(world.rooms.refresh())
        await asyncio.wait({asking}, timeout=0.1)
        held.may_go.set()
        await asking
        assert world.numbers() == {1: 1}
        await loop


async def test_rooms_whose_reading_was_cut_off_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that asked is gone before the answer; what it was to read is still to be read."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        _, asking = await _held_while_reading_rooms(world, monkeypatch)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await world.rooms.refresh()
        assert world.numbers() == {1: 1}


async def test_a_resync_during_a_resync_is_not_lost(tmp_path: Path) -> None:
    """The line to the other nodes broke again while everything was read for the first time."""
    async with open_world(None, tmp_path) as one:
        await one.set_up()
        two = World(one.database, one.clock)
        await two.load()
        two.connections._reading = held = Held(two)
        two.bus.announce_locally([(RESYNC, None)])
        await asyncio.wait_for(held.is_held.wait(), PATIENCE)
        live = await one.enter(user="lea")
        two.bus.announce_locally([(RESYNC, None)])
        held.may_go.set()
        while (task := two.connections._reload_task) is not None and not task.done():
            await task
        assert live.id in two.live.by_id


async def test_one_connection_that_cannot_be_read_keeps_no_other_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in one row is said, and what is announced afterwards is read as ever."""
    async with open_world(None, tmp_path) as one:
        await one.set_up()
        two = World(one.database, one.clock, institution_id=one.institution_id, exam_id=one.exam_id)
        await two.load()
        live = await one.enter(user="lea")

        async def broken(_ids: list[int]) -> None:
            raise ValueError("a row nobody thought of")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(two.connections, "reload", broken)
            two.connections._heard_change(live.id)
            assert two.connections._reload_task is not None
            await two.connections._reload_task
        two.connections._heard_change(live.id)
        await two.connections._reload_task
        assert live.id in two.live.by_id


async def test_a_changed_exam_is_shown_to_open_pages_whoever_read_it_first(tmp_path: Path) -> None:
    """A client's request had the directory read again, so the node's own look finds nothing new."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        jobs = Day(world, StandInService())._jobs()
        jobs._heard_directory(None)
        await jobs._follow_directory()
        shown: list[int] = []
        world.live.on_change(lambda one: shown.append(one.id))
        await world.change_exam(name="Renamed")
        jobs._heard_directory(None)
        await jobs._follow_directory()
        assert shown == [live.id]
        jobs._heard_directory(None)
        await jobs._follow_directory()
        assert shown == [live.id], "once"
