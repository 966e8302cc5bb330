"""An exam day on one node: what may happen to candidates, rooms and the server, and what must hold whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from invigilo.accounts.model import Account
from invigilo.clock import SetClock, to_ms
from invigilo.errors import NotFound, Refused
from invigilo.jobs import Jobs
from invigilo.monitoring.live import REPLACED_SILENCE, LiveConnection
from invigilo.monitoring.model import Device, Instruction
from invigilo.proctoring.model import Hold, Perception, Room, RoomKind, RoomState
from invigilo.secrets_box import digest
from invigilo.simulate.stand_in import Mood, StandInService
from invigilo.storage.engine import SQLITE_FILE, database_url, open_database
from invigilo.storage.queries import calls as call_queries
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries import rooms as queries
from invigilo.storage.queries.connections import ConnectionRow
from invigilo.storage.tables import room_members
from invigilo.storage.work import Work
from tests.world import MORNING, WINDOWS, World, open_world

GRACE = timedelta(seconds=120)
PING_PAUSE = timedelta(seconds=5)
"""How far the clock may move at once: whoever pings must not look silent, and whoever holds must not lapse."""
SYSTEMS = (WINDOWS, "iPad (iPadOS 17.5)", "macOS Version 14.5 (Build 23F79)")


@dataclass
class Acts:
    """The meeting a client is in, and what it lets its candidate perceive there."""

    room: str | None = None
    perceives: tuple[bool, bool, bool] = (False, False, False)

    def take(self, attributes: dict[str, str], *, forgets: bool) -> None:
        if "jitsiMeetRoom" in attributes:
            self.room = attributes["jitsiMeetRoom"]
            self.perceives = (False, False, False) if forgets else self.perceives
        elif "jitsiMeetReceiveAudio" in attributes:
            keys = ("jitsiMeetReceiveAudio", "jitsiMeetReceiveVideo", "jitsiMeetFeatureFlagChat")
            audio, video, chat = (attributes[key] == "true" for key in keys)
            self.perceives = (audio, video, chat)


@dataclass
class ProctorPage:
    """One open page of a proctor, as candidates' pages call it, and what it lets which room perceive."""

    name: str
    account: Account
    holds: dict[int, Perception] = field(default_factory=dict)


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
    forgetful: Acts = field(default_factory=Acts)
    remembering: Acts = field(default_factory=Acts)
    """What it acts on, if a join makes it forget what it perceived, and if not: clients of both kinds exist (§3.10)."""
    confirms: int | None = None
    """The instruction its next ping confirms."""

    def obey(self, instruction: Instruction) -> None:
        """Act as a client does that is called in by instruction, and confirm with the next ping."""
        for acts, forgets in ((self.forgetful, True), (self.remembering, False)):
            acts.take(instruction.attributes, forgets=forgets)
        self.confirms = instruction.id


@dataclass
class Day:
    """Everything that happens goes through here, so that it is known who ought to be where."""

    world: World
    service: StandInService
    size: int | None = 3
    sebs: list[Seb] = field(default_factory=list)
    number_of_room: dict[int, int] = field(default_factory=dict)
    newest_membership: int = 0
    pages: list[ProctorPage] = field(default_factory=list)
    pages_so_far: int = 0

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

    def ping(self, seb: Seb, confirm: str | None = None) -> None:
        seb.heard_at = self.world.clock.now_ms()
        self.world.ping(self.live(seb), confirm)

    async def let_pass(self, time: timedelta) -> None:
        """The clock moves; who pings goes on pinging."""
        while time > timedelta(0):
            step = min(time, PING_PAUSE)
            self.world.clock.move(step)
            time -= step
            for seb in self.inside:
                if seb.is_pinging:
                    self.ping(seb)
            for page in self.pages:
                for room_id, wish in list(page.holds.items()):
                    await self.hold(page, room_id, wish)

    # --- what proctors do ---

    def open_page(self, account: Account) -> ProctorPage:
        self.pages_so_far += 1
        page = ProctorPage(f"page-{self.pages_so_far}", account)
        self.pages.append(page)
        return page

    async def open_call(self, kind: RoomKind, sebs: Sequence[Seb], by: Account) -> None:
        """Refused where it must be: that is checked by what holds afterwards."""
        ids = sorted({self.live(seb).id for seb in sebs})
        with contextlib.suppress(Refused):
            await self.world.calls.open(self.world.exam, kind, ids, by=by)

    async def close_call(self, room_id: int, by: Account) -> None:
        await self.world.calls.close(self.world.exam, room_id, by=by)

    async def hold(self, page: ProctorPage, room_id: int, wish: Perception) -> None:
        try:
            held = await self.world.calls.hold(self.world.exam, room_id, page.name, wish, by=page.account)
        except (Refused, NotFound):
            page.holds.pop(room_id, None)
            return
        page.holds[room_id] = held
        if not held:
            del page.holds[room_id]

    async def rooms(self) -> list[Room]:
        """Those that are not closed."""
        async with self.world.reading() as w:
            return [
                room for room in await queries.of_exam(w.db, self.world.exam_id) if room.state.takes_members
            ]

    # --- what clients are told ---

    async def deliver(self, *, lossy: bool = False) -> None:
        """One ping of everybody who pings, with what it brings; a lossy net loses every confirmation."""
        for seb in self.inside:
            if not seb.is_pinging:
                continue
            confirms, seb.confirms = seb.confirms, None
            self.ping(seb, None if lossy or confirms is None else str(confirms))
            instruction = await self.world.connections.next_instruction(self.live(seb))
            if instruction is not None:
                seb.obey(instruction)

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
        await asyncio.gather(*world.rooms._calls.values())  # however busy this machine is
        await world.rooms.refresh()
        while (task := world.connections._reload_task) is not None and not task.done():
            await task

    # --- what must hold at any moment ---

    async def check_counts(self) -> None:
        """Safe to run while other things happen."""
        async with self.world.reading() as w:
            rooms = await queries.of_exam(w.db, self.world.exam_id)
            members = await _members(w)
            called = await call_queries.members_of_calls(w.db, self.world.exam_id)
        assert {r.id: r.member_count for r in rooms if r.member_count} == {
            k: len(v) for k, v in {**members, **called}.items()
        }

    async def check(self) -> None:
        """From the database, in one transaction."""
        async with self.world.reading() as w:
            rooms = await queries.of_exam(w.db, self.world.exam_id)
            members = await _members(w)
            called = await call_queries.members_of_calls(w.db, self.world.exam_id)
            now = self.world.clock.now_ms()
            holds = await call_queries.holds_of_exam(w.db, self.world.exam_id, now=now)
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
        self._nobody_is_in_two_rooms(called)
        self._numbers_count_up(rooms)
        self._calls_are_sound(rooms, called, holds)
        for room in rooms:
            assert room.member_count == len({**members, **called}.get(room.id, []))
            assert room.state.takes_members or not room.member_count, f"{room} still has members"
            if self.size is not None and room.id in newly_filled and not room.is_call:
                assert room.member_count <= self.size, f"{room} was filled beyond {self.size}"
        for row in rows:
            is_here = row.state.is_open and row.replaced_at is None
            assert row.room_id is None or is_here, f"{row} left and keeps its place"
        home = {member: room for room, ids in members.items() for member in ids}
        assert {row.id: row.home_id for row in rows} == {row.id: home.get(row.id) for row in rows}
        self._everybody_is_where_they_belong(rooms, home, called, rows)

    def _calls_are_sound(self, rooms: list[Room], called: dict[int, list[int]], holds: list[Hold]) -> None:
        """One town hall; no break-out room without anybody; nobody perceived in a room that is not open."""
        kinds = {room.id: room.kind for room in rooms if room.state.takes_members}
        assert list(kinds.values()).count(RoomKind.TOWN_HALL) <= 1
        aside = {room_id for room_id, kind in kinds.items() if kind is RoomKind.BREAK_OUT}
        assert aside == set(called), "a break-out room ends with its last member"
        is_open = {room.id for room in rooms if room.state is RoomState.OPEN}
        assert {hold.room_id for hold in holds} <= is_open

    def _everybody_is_where_they_belong(
        self, rooms: list[Room], home: dict[int, int], called: dict[int, list[int]], rows: list[ConnectionRow]
    ) -> None:
        """At every commit: aside, in the town hall, at home; never in a call that is not open."""
        is_open = {room.id for room in rooms if room.state is RoomState.OPEN}
        hall = [room.id for room in rooms if room.kind is RoomKind.TOWN_HALL and room.id in is_open]
        aside = {one: room for room, ids in called.items() if room in is_open for one in ids}
        for row in rows:
            at_home = home.get(row.id)
            wanted = aside.get(row.id) or (hall[0] if hall else at_home)
            assert row.room_id == (None if at_home is None else wanted), row

    async def check_perceived(self) -> None:
        """Once lapsed holds were swept: everybody perceives what is on where they are, and nothing else."""
        async with self.world.reading() as w:
            now = self.world.clock.now_ms()
            holds = await call_queries.holds_of_exam(w.db, self.world.exam_id, now=now)
            rows = await connection_queries.of_exam(w.db, self.world.exam_id)
        for row in rows:
            on = [hold.perceived for hold in holds if hold.room_id == row.room_id]
            expected = (
                any(one.audio or one.video for one in on),
                any(one.video for one in on),
                any(one.chat for one in on),
            )
            assert row.receive == expected, row

    async def check_obeyed(self) -> None:
        """After enough pings: clients that are called in by instruction are where they belong, and perceive what is on."""
        for _ in range(40):
            await self.let_pass(timedelta(seconds=1))
            await self.deliver()
            await self.work()
            lives = [self.live(seb) for seb in self.inside if seb.is_pinging]
            if not any(live.queue or live.claimed for live in lives) and all(
                live.confirmed_revision == live.revision or live.device.os_name != SYSTEMS[1]
                for live in lives
            ):
                break
        names = {room.id: room.name for room in await self.rooms()}
        for seb in self.inside:
            live = self.live(seb)
            if seb.device.os_name != SYSTEMS[1] or not seb.is_pinging or live.room_state != "open":
                continue
            for acts in (seb.forgetful, seb.remembering):
                assert (acts.room, acts.perceives) == (names[live.room_id or 0], live.receive), seb
            assert live.confirmed_revision == live.revision

    def _nobody_is_in_two_rooms(self, members: dict[int, list[int]]) -> None:
        twice = [
            one for one, times in Counter(m for ids in members.values() for m in ids).items() if times > 1
        ]
        assert not twice

    def _numbers_count_up(self, rooms: list[Room]) -> None:
        """One after the other in each kind, and a room keeps its number for good."""
        for kind in RoomKind:
            of_kind = [room.number for room in rooms if room.kind is kind]
            assert of_kind == list(range(1, len(of_kind) + 1))
        numbers = {room.id: room.number for room in rooms}
        assert self.number_of_room.items() <= numbers.items()
        self.number_of_room = numbers

    async def check_settled(self) -> None:
        """What must also hold once the jobs have had their turn."""
        await self.check()
        await self._memory_shows_what_is_stored()
        await self.check_perceived()
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
        assert shown == stored, (shown, stored)
        for row in rows:
            live = self.world.live.by_id.get(row.id)
            if live is not None:
                assert _places(live) == _places(row)
        listed = Counter(live.home_id for live in self.world.live.of_exam(self.world.exam_id))
        for view in self.views():
            if view.kind == RoomKind.COLLECTING.value:
                assert view.members == listed[view.id]
            else:
                assert view.members == len(view.connections)

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
        one.replaced_by, one.replaced_at, one.home_id, one.home_number, one.room_kind, one.receive, one.is_beyond,
        one.room_revision,
    )  # fmt: skip
