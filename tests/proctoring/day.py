"""An exam day on one node: what may happen to candidates, rooms and the server, and what must hold whatever happens."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from invigilo.clock import SetClock, to_ms
from invigilo.jobs import Jobs
from invigilo.monitoring.live import REPLACED_SILENCE, LiveConnection
from invigilo.monitoring.model import Device
from invigilo.proctoring.model import RoomState
from invigilo.secrets_box import digest
from invigilo.simulate.stand_in import Mood, StandInService
from invigilo.storage.engine import SQLITE_FILE, database_url, open_database
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries import rooms as queries
from invigilo.storage.tables import room_members
from invigilo.storage.work import Work
from tests.world import MORNING, WINDOWS, World, open_world

GRACE = timedelta(seconds=120)
PING_PAUSE = timedelta(seconds=10)
"""How far the clock may move at once: whoever pings must not look silent."""
SYSTEMS = (WINDOWS, "iPad (iPadOS 17.5)", "macOS Version 14.5 (Build 23F79)")


@dataclass(eq=False)
class Seb:
    """One connection of one candidate, as the world outside knows it."""

    user: str
    device: Device
    token: str
    is_in: bool = False
    """Established, with its user known."""
    is_pinging: bool = True
    has_left: bool = False
    heard_at: int = 0


@dataclass
class Day:
    """Everything that happens goes through here, so that it is known who ought to be where."""

    world: World
    service: StandInService
    size: int | None = 3
    sebs: list[Seb] = field(default_factory=list)
    number_of_room: dict[int, int] = field(default_factory=dict)
    newest_membership: int = 0

    # --- what candidates do ---

    async def arrive(self, user: str, machine: str, system: str = WINDOWS) -> Seb:
        """Up to the settings file, which already makes a candidate live."""
        device = Device(user, machine, system, "3.10.2" if system is WINDOWS else "3.6")
        seb = Seb(user, device, await self.world.create(device))
        self.sebs.append(seb)
        await self.world.connections.bind_and_download(seb.token, exam_id=str(self.world.exam_id))
        self.ping(seb)
        return seb

    async def activate(self, seb: Seb) -> None:
        """The rest of the handshake; again, if it was done before."""
        none = Device()
        connections = self.world.connections
        await connections.establish(
            seb.token, exam_id=None, user_session_id=None, signature_key=None, device=none
        )
        await connections.select(
            seb.token, exam_id=None, user_session_id=seb.user, signature_key=None, device=none
        )
        seb.is_in = True
        seb.is_pinging = True
        self.ping(seb)

    async def enter(self, user: str, machine: str, system: str = WINDOWS) -> Seb:
        seb = await self.arrive(user, machine, system)
        await self.activate(seb)
        return seb

    async def leave(self, seb: Seb) -> None:
        seb.has_left = True
        assert await self.world.connections.close(seb.token)

    def ping(self, seb: Seb) -> None:
        seb.heard_at = self.world.clock.now_ms()
        self.world.ping(self.live(seb))

    async def let_pass(self, time: timedelta) -> None:
        """The clock moves; who pings goes on pinging."""
        while time > timedelta(0):
            step = min(time, PING_PAUSE)
            self.world.clock.move(step)
            time -= step
            for seb in self.inside:
                if seb.is_pinging:
                    self.ping(seb)

    @property
    def inside(self) -> list[Seb]:
        return [seb for seb in self.sebs if not seb.has_left]

    def live(self, seb: Seb) -> LiveConnection:
        return self.world.of_token(seb.token)

    # --- what happens to the exam and its rooms ---

    async def resize(self, size: int | None) -> None:
        self.size = size
        await self.world.change_exam(collecting_room_size=size)

    async def end(self) -> None:
        await self.world.change_exam(ends_at=self.world.clock.now_ms())

    async def reopen(self) -> None:
        await self.world.change_exam(ends_at=to_ms(MORNING + timedelta(days=2)))

    @property
    def is_running(self) -> bool:
        return self.world.exam.is_running(self.world.clock.now())

    # --- what happens to the server ---

    async def restart(self) -> None:
        await self._drop_tasks()
        await self.world.restart()

    async def kill(self) -> None:
        """All that was under way or waited in memory is gone."""
        await self._drop_tasks()
        await self.world.restart(flushed=False)

    async def kill_in_a_call(self) -> None:
        """Killed when calls to the meeting service were made and their outcomes are not stored."""
        self.service.mood = Mood.SILENT
        made = len(self.service.calls)
        calling = asyncio.create_task(self.world.rooms.finish_steps())
        while len(self.service.calls) == made and not calling.done():
            await asyncio.sleep(0)
        self.service.mood = Mood.WELL
        await self._drop_tasks(calling)
        await self.kill()

    async def over(self) -> None:
        await self._drop_tasks()
        await self.world.database.dispose()

    async def _drop_tasks(self, *more: asyncio.Task[None]) -> None:
        reload = self.world.connections._reload_task
        tasks = [*more] if reload is None else [*more, reload]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _jobs(self) -> Jobs:
        world = self.world
        return Jobs(
            bus=world.bus,
            work=world.work,
            directory=world.directory,
            live=world.live,
            connections=world.connections,
            rooms=world.rooms,
            calls=world.calls,
            messages=world.messages,
            hub=None,
            stream=None,
            clock=world.clock,
        )

    async def work(self) -> None:
        """A second later: one round of the node's own jobs, then everything announced is read."""
        world = self.world
        await self.let_pass(timedelta(seconds=1))
        await world.writer.flush()
        world.rooms._wake.set()
        await self._jobs()._follow_rooms()
        while (task := world.connections._reload_task) is not None and not task.done():
            await task

    # --- what must hold at any moment ---

    async def check_counts(self) -> None:
        """Safe to run while other things happen."""
        async with self.world.reading() as w:
            rooms = await queries.of_exam(w.db, self.world.exam_id)
            members = await _members(w)
        assert {r.id: r.member_count for r in rooms if r.member_count} == {
            k: len(v) for k, v in members.items()
        }

    async def check(self) -> None:
        """From the database, in one transaction."""
        async with self.world.reading() as w:
            rooms = await queries.of_exam(w.db, self.world.exam_id)
            members = await _members(w)
            rows = await connection_queries.of_exam(w.db, self.world.exam_id)
            joined = (
                await w.db.execute(
                    select(room_members.c.room_id).where(
                        room_members.c.id > self.newest_membership, room_members.c.until.is_(None)
                    )
                )
            ).scalars()
            newly_filled = set(joined)
            newest = (await w.db.execute(select(func.max(room_members.c.id)))).scalar_one()
        self.newest_membership = newest or 0
        self._nobody_is_in_two_rooms(members)
        self._numbers_count_up({room.id: room.number for room in rooms})
        for room in rooms:
            assert room.member_count == len(members.get(room.id, []))
            assert room.state.takes_members or not room.member_count, f"{room} still has members"
            if self.size is not None and room.id in newly_filled:
                assert room.member_count <= self.size, f"{room} was filled beyond {self.size}"
        for row in rows:
            is_here = row.state.is_open and row.replaced_at is None
            assert row.room_id is None or is_here, f"{row} left and keeps its place"
        place = {member: room for room, ids in members.items() for member in ids}
        assert {row.id: row.room_id for row in rows} == {row.id: place.get(row.id) for row in rows}

    def _nobody_is_in_two_rooms(self, members: dict[int, list[int]]) -> None:
        twice = [
            one for one, times in Counter(m for ids in members.values() for m in ids).items() if times > 1
        ]
        assert not twice

    def _numbers_count_up(self, numbers: dict[int, int]) -> None:
        """One after the other, and a room keeps its number for good."""
        assert list(numbers.values()) == list(range(1, len(numbers) + 1))
        assert self.number_of_room.items() <= numbers.items()
        self.number_of_room = numbers

    async def check_settled(self) -> None:
        """What must also hold once the jobs have had their turn."""
        await self.check()
        await self._memory_shows_what_is_stored()
        for seb in self.inside:
            live = self.live(seb)
            if not self.is_running:
                assert live.room_id is None, f"{seb} is in a room of an exam that is over"
            elif self._must_have_a_place(seb, live):
                assert live.room_id is not None, f"{seb} has no place"
            elif seb.heard_at < self.world.clock.now_ms() - GRACE.total_seconds() * 1000:
                assert live.room_id is None, f"{seb} is silent and keeps its place"
        for seb in self.sebs:
            if seb.has_left and digest(seb.token) in self.world.live.by_token_hash:
                assert self.live(seb).room_id is None

    def _must_have_a_place(self, seb: Seb, live: LiveConnection) -> bool:
        """One that was replaced must be heard of long enough after it to count as alive again."""
        since = 0 if live.replaced_at is None else live.replaced_at + REPLACED_SILENCE
        return seb.is_pinging and live.state.is_open and seb.heard_at > since

    async def _memory_shows_what_is_stored(self) -> None:
        async with self.world.reading() as w:
            rooms = await queries.of_exam(w.db, self.world.exam_id)
            rows = await connection_queries.of_exam(w.db, self.world.exam_id)
        shown = [(v.number, v.subject, v.state, v.reason, v.members) for v in self.views()]
        stored = [
            (r.number, r.subject, r.state.value, r.reason, r.member_count)
            for r in rooms
            if r.state is not RoomState.CLOSED
        ]
        assert shown == stored
        for row in rows:
            live = self.world.live.by_id.get(row.id)
            if live is not None:
                assert _places(live) == _places(row)
        listed = Counter(live.room_number for live in self.world.live.of_exam(self.world.exam_id))
        assert {v.number: v.members for v in self.views()} == {
            v.number: listed[v.number] for v in self.views()
        }

    def views(self) -> list[Any]:
        return self.world.rooms.of_exam(self.world.exam)


_template: list[tuple[bytes, int, int]] = []


async def _make_template(folder: Path) -> tuple[bytes, int, int]:
    async with open_world(None, folder) as world:
        await world.set_up(size=3, join_by="native")
    return (folder / SQLITE_FILE).read_bytes(), world.institution_id, world.exam_id


async def open_day(folder: Path) -> Day:
    """A day on a database that is a copy: making one costs more than most examples."""
    if not _template:
        _template.append(await _make_template(folder / "template"))
    content, institution_id, exam_id = _template[0]
    (folder / SQLITE_FILE).write_bytes(content)
    service = StandInService()
    world = World(
        open_database(database_url(None, folder)), SetClock(MORNING), service,
        institution_id=institution_id, exam_id=exam_id,
    )  # fmt: skip
    await world.load()
    return Day(world, service)


async def _members(w: Work) -> dict[int, list[int]]:
    """The list of each room that has one."""
    found: dict[int, list[int]] = {}
    query = select(room_members.c.room_id, room_members.c.connection_id).where(room_members.c.until.is_(None))
    for room_id, connection_id in await w.db.execute(query):
        found.setdefault(room_id, []).append(connection_id)
    return found


def _places(one: Any) -> tuple[Any, ...]:
    """What memory mirrors of a connection's place; the same of a row and of a live connection."""
    return (
        one.state, one.room_id, one.room_number, one.room_state, one.room_reason, one.revision, one.placed_at,
        one.replaced_by, one.replaced_at,
    )  # fmt: skip
