"""Placing clients into rooms, and carrying the rooms out at the meeting service.

Placement happens inside the transaction that makes a client live, under the exam's lock, so "everyone live is placed" and
"no room over its size" hold at every commit. Calls to a meeting service happen outside any transaction: a room is stored as
`opening`, the call is made, its outcome stored. A sweep each second repeats whatever has no outcome and places whoever was
missed, so a crash between two steps heals by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from invigilo.accounts.model import Account
from invigilo.bus import RESYNC, Bus
from invigilo.clock import Clock, to_ms
from invigilo.errors import InvigiloError, ProviderError, Sentence, Unavailable
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam
from invigilo.monitoring import rules as monitoring_rules
from invigilo.monitoring.capability import Capability, capability_of
from invigilo.monitoring.live import REPLACED_SILENCE, LiveConnection, LiveConnections
from invigilo.monitoring.model import ConnectionState
from invigilo.monitoring.service import (
    CONNECTION_CHANGED,
    CONNECTIONS_CHANGED,
    INSTRUCTION_HURRIED,
    PLACES_CONFIRMED,
    Connections,
)
from invigilo.proctoring import rules
from invigilo.proctoring.model import Hold, Room, RoomKind, RoomState
from invigilo.proctoring.pace import Pace
from invigilo.proctoring.places import Places
from invigilo.providers.base import CALLS, Feature, KeepsMeetings, RoomHandle, RoomSpec, Slots
from invigilo.providers.registry import ProviderOf
from invigilo.storage.queries import calls as call_queries
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries import proctoring as settings_queries
from invigilo.storage.queries import rooms as queries
from invigilo.storage.queries.connections import ConnectionRow
from invigilo.storage.together import Together
from invigilo.storage.work import Work, WorkFactory

log = structlog.get_logger()

ROOMS_CHANGED = "rooms"
CALL_LIMIT = 15  # seconds one call to a meeting service may take
CALLS_AT_ONCE = 4
"""At one service. More would only meet its limits for logins and joins (jitsi.md §2, §10)."""
MOVES_REMEMBERED = 10_000
SWEEP_WAITS = 0.3
"""Seconds a sweep waits for calls it began; most end sooner, and the others end without it."""

_ENDING = {RoomState.CLOSING, RoomState.REMOVING}


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room as pages list it."""

    id: int
    number: int
    subject: str
    kind: str
    state: str
    reason: str | None
    size: int | None
    members: int
    opened_by: str | None = None
    holds: tuple[Hold, ...] = ()
    connections: tuple[int, ...] = ()
    """Who is called into a break-out room."""

    @property
    def is_call(self) -> bool:
        return self.kind != RoomKind.COLLECTING.value


@dataclass(frozen=True, slots=True)
class Ability:
    """What a meeting service can do in calls; of the rest, the reasons."""

    can: list[str]
    cannot: dict[str, Sentence]


class Rooms:
    """The rooms of all exams."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        directory: Directory,
        connections: Connections,
        live: LiveConnections,
        bus: Bus,
        clock: Clock,
        provider_of: ProviderOf,
        place_grace: timedelta = timedelta(seconds=120),
        new_name: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._work = work
        self._reading = reading
        self._directory = directory
        self._connections = connections
        self._live = live
        self._bus = bus
        self._clock = clock
        self._provider_of = provider_of
        self._grace = round(place_grace.total_seconds() * 1000)
        self._new_name = new_name
        self._by_exam: dict[int, list[Room]] = {}
        self._holds: dict[int, dict[int, list[Hold]]] = {}
        self._called: dict[int, dict[int, list[int]]] = {}
        """By exam, then by room: who lets it perceive them, and who is called into it."""
        self._stale: set[int] = set()
        self._started_at = 0
        self._wake = asyncio.Event()
        self._calls: dict[int, asyncio.Task[None]] = {}
        """Calls to meeting services under way, by room."""
        self._lines: dict[object, asyncio.Semaphore] = {}
        self._moved: dict[tuple[int, int], None] = {}
        self._confirmations = Together(work, self._confirm_all)
        self.pace = Pace()
        self.places = Places(
            directory=directory, connections=connections, clock=clock, provider_of=provider_of, pace=self.pace
        )
        bus.subscribe(ROOMS_CHANGED, self._heard_rooms)
        bus.subscribe(RESYNC, self._heard_resync)

    # --- placement, inside the caller's transaction ---

    async def place(self, w: Work, row: ConnectionRow, exam: Exam) -> None:
        """Give a live client its place; quiet when it has one.

        A returning candidate takes back the place of the dead connection it replaces, so the count stays as it was
        (live-proctoring.md §3.2 "Reconnect").
        """
        if not exam.proctoring.enabled or not self._takes_place(row, exam):
            return
        now = self._clock.now_ms()
        size = await queries.lock_exam(w.db, exam.id)
        held = await queries.membership(w.db, row.id)
        returning = await self._returning(w, row, exam.id, now)
        if held is not None and (returning is None or returning.room_id == held):
            if returning is not None and returning.holds_place:
                await self._replace(w, exam.id, returning.connection_id, row.id, now)
            if row.state is ConnectionState.ACTIVE and await connection_queries.hurry_instructions(
                w.db, row.id, now=now, by=rules.JOIN_SETTLES
            ):
                w.announce(INSTRUCTION_HURRIED, row.id)
            return
        if returning is not None and returning.holds_place:
            await self._replace(w, exam.id, returning.connection_id, row.id, now)
        rooms = await queries.of_exam(w.db, exam.id)
        home = await queries.last_room(w.db, row.id) if returning is None else returning.room_id
        room = rules.choose_collecting_room(rooms, size, home=home)
        if held is not None:
            # Placed before we knew who it was: it goes home only if home has a place; nobody is moved for less.
            if room is None or room.id != home:
                return
            await queries.leave(w.db, [row.id], until=now)
        room_id = room.id if room is not None else await self._new_room(w, exam, rooms, now)
        await queries.join(w.db, room_id=room_id, connection_id=row.id, since=now)
        if row.replaced_by is not None:
            await connection_queries.change(w.db, row.id, replaced_by=None, replaced_at=None)
        await self.places.settle(w, exam.id, [row.id])
        w.announce(ROOMS_CHANGED, exam.id)

    async def free(self, w: Work, row: ConnectionRow) -> None:
        """A connection ended: its place is free for the next."""
        if row.exam_id is not None:
            await queries.lock_exam(w.db, row.exam_id)
            await self._free(w, row.exam_id, [row.id])
            w.announce(ROOMS_CHANGED, row.exam_id)

    async def _free(self, w: Work, exam_id: int, connection_ids: list[int]) -> None:
        """These are in no room any more; a break-out room that its last member left is closed."""
        now = self._clock.now_ms()
        left = await call_queries.let_go(w.db, connection_ids, until=now)
        if await queries.leave(w.db, connection_ids, until=now) or left:
            await self.places.settle(w, exam_id, connection_ids)
        for room_id in sorted(left):
            if not await call_queries.members_of_call(w.db, room_id):
                await self.end_call_in(w, exam_id, room_id)

    async def end_call_in(self, w: Work, exam_id: int, room_id: int) -> bool:
        """Close a call: everybody goes where they belong now, whatever the service says. False when it was closed.

        `finish_steps` or the next sweep ends it at the service.
        """
        if (state := await queries.state_of(w.db, room_id)) is None or not state.takes_members:
            return False
        there = await call_queries.seen_in(w.db, room_id)
        members = await call_queries.members_of_call(w.db, room_id)
        await call_queries.end_call(w.db, room_id, until=self._clock.now_ms())
        exam = self._directory.exams.get(exam_id)
        at_once = exam is not None and Feature.OPENS_AT_ONCE in self._provider_of(exam).features
        ended: dict[str, Any] = {"closed_at": self._clock.now_ms()} if at_once else {}
        after = RoomState.CLOSED if at_once else RoomState.CLOSING
        await queries.set_state(w.db, room_id, after, reason=None, attempts=0, retry_at=None, **ended)
        await self.places.settle(w, exam_id, sorted({*there, *members}))
        w.announce(ROOMS_CHANGED, exam_id)
        log.info("call_closed", exam_id=exam_id, room_id=room_id)
        return True

    async def _replace(self, w: Work, exam_id: int, old: int, new: int, now: int) -> None:
        """The candidate is back as `new`: the old connection gives up its place and is history."""
        await self._free(w, exam_id, [old])
        await connection_queries.change(w.db, old, replaced_by=new, replaced_at=now)
        w.announce(ROOMS_CHANGED, exam_id)

    async def _new_room(self, w: Work, exam: Exam, rooms: list[Room], now: int) -> int:
        room_id = await queries.add(
            w.db,
            exam_id=exam.id,
            kind=RoomKind.COLLECTING,
            number=rules.next_number(rooms),
            name=self._new_name(),
            created_at=now,
        )
        log.info("room_opening", exam_id=exam.id, room_id=room_id)
        return room_id

    async def add_call(
        self, w: Work, exam: Exam, kind: RoomKind, connection_ids: Sequence[int], by: Account
    ) -> int:
        """A new call, under the exam's lock. Where rooms need no call to a service, everybody is called in at once."""
        now = self._clock.now_ms()
        at_once = Feature.OPENS_AT_ONCE in self._provider_of(exam).features
        room_id = await queries.add(
            w.db,
            exam_id=exam.id,
            kind=kind,
            number=rules.next_number(await queries.of_exam(w.db, exam.id), kind),
            name=self._new_name(),
            created_at=now,
            state=RoomState.OPEN if at_once else RoomState.OPENING,
            opened_by=by.id,
            opened_by_name=by.display_name,
        )
        if connection_ids:
            await call_queries.call_in(w.db, room_id, connection_ids, since=now)
        if at_once:
            await self.places.settle(w, exam.id, connection_ids or None, opened=room_id)
        w.announce(ROOMS_CHANGED, exam.id)
        log.info("call_opening", exam_id=exam.id, room_id=room_id, kind=kind.value)
        return room_id

    async def _returning(self, w: Work, row: ConnectionRow, exam_id: int, now: int) -> rules.Returning | None:
        sightings = await queries.others_of_exam(
            w.db, exam_id, but=row.id, user=row.user_session_id, machine=row.device.machine_name
        )
        for seen in sightings:
            if seen.id > row.id:
                continue  # the newer connection is the one that returns, never the older
            is_dead = seen.is_over or monitoring_rules.is_missing(self._last_heard(seen), now)
            if not monitoring_rules.same_candidate(seen, row, old_is_missing=is_dead):
                continue
            held = await queries.membership(w.db, seen.id)
            if held is not None and not is_dead and not _same_machine(seen, row):
                continue  # the same person twice at once, on two machines: both are shown, neither is thrown out
            room_id = held if held is not None else await queries.last_room(w.db, seen.id)
            if room_id is not None:
                return rules.Returning(seen.id, room_id, holds_place=held is not None)
        return None

    def _last_heard(self, seen: queries.Sighting) -> int:
        live = self._live.by_id.get(seen.id)
        return max(seen.last_ping or 0, (live.last_ping if live is not None else 0) or 0, seen.created_at)

    def _takes_place(self, row: ConnectionRow, exam: Exam) -> bool:
        return rules.takes_place(
            _capability_of(row),
            exam.proctoring.join_by,
            exam.proctoring.service,
            provider_can=self.provider_is_native(exam),
        )

    def _joins_natively(self, one: ConnectionRow | LiveConnection, exam: Exam) -> bool:
        return rules.joins_natively(
            _capability_of(one),
            exam.proctoring.join_by,
            exam.proctoring.service,
            provider_can=self.provider_is_native(exam),
        )

    def provider_is_native(self, exam: Exam) -> bool:
        """Whether the exam's meeting service lets clients be called in by instruction."""
        return Feature.NATIVE_JOIN in self._provider_of(exam).features

    async def confirm(self, live: LiveConnection, revision: int) -> None:
        """A candidate's page acts on a desired place."""
        if live.confirmed_revision < revision:
            await self._confirmations.ask((live.id, revision))

    async def _confirm_all(self, w: Work, confirmed: Sequence[tuple[int, int]]) -> list[None]:
        news = await queries.confirmable(w.db, confirmed)
        if news:
            await connection_queries.write_confirmed(w.db, news)
            w.announce(PLACES_CONFIRMED, news)
        return [None for _ in confirmed]

    async def place_elsewhere(self, connection_id: int, full: int | None) -> None:
        """The meeting of this room takes nobody more, though the room has places: its client gets another room.

        Once for each client and room, whatever its page says.
        """
        if full is None or (connection_id, full) in self._moved:
            return
        self._moved[connection_id, full] = None
        while len(self._moved) > MOVES_REMEMBERED:
            del self._moved[next(iter(self._moved))]
        async with self._work() as w:
            (row,) = await connection_queries.by_ids(w.db, [connection_id]) or (None,)
            exam = None if row is None or row.exam_id is None else self._directory.exams.get(row.exam_id)
            if row is None or exam is None:
                return
            now = self._clock.now_ms()
            size = await queries.lock_exam(w.db, exam.id)
            if await queries.membership(w.db, connection_id) != full:
                return
            rooms = await queries.of_exam(w.db, exam.id)
            tried = {room_id for client, room_id in self._moved if client == connection_id}
            room = rules.choose_collecting_room([one for one in rooms if one.id not in tried], size)
            await queries.leave(w.db, [connection_id], until=now)
            room_id = room.id if room is not None else await self._new_room(w, exam, rooms, now)
            await queries.join(w.db, room_id=room_id, connection_id=connection_id, since=now)
            await self.places.settle(w, exam.id, [connection_id])
            w.announce(ROOMS_CHANGED, exam.id)
            w.announce(CONNECTION_CHANGED, connection_id)
        log.warning("room_full_at_service", exam_id=exam.id, room_id=full, connection_id=connection_id)

    # --- the clock's part ---

    async def sweep(self) -> None:
        """Free places of the silent, place whoever has none, finish what was begun. Safe to run on every node."""
        await self._free_silent()
        await self._place_missed()
        await self.finish_steps(within=SWEEP_WAITS)
        await self._repeat_lost_joins()

    async def _free_silent(self) -> None:
        now = self._clock.now_ms()
        if now - self._started_at < self._grace:
            return  # nobody could be heard while this node was not there
        async with self._reading() as w:
            silent = await queries.silent_members(
                w.db, heard_before=now - self._grace, not_after=now + 60_000
            )
        for connection_id, exam_id in silent:
            live = self._live.by_id.get(connection_id)
            if live is not None and live.state.is_open and now - (live.last_ping or 0) < self._grace:
                continue  # its ping is younger than the last batch
            async with self._work() as w:
                await queries.lock_exam(w.db, exam_id)
                await self._free(w, exam_id, [connection_id])
                w.announce(ROOMS_CHANGED, exam_id)
            log.info("place_freed", connection_id=connection_id, exam_id=exam_id)

    async def _place_missed(self) -> None:
        now = self._clock.now()
        exams = [e for e in self._directory.running(now) if e.proctoring.enabled]
        if not exams:
            return
        heard_since = self._clock.now_ms() - min(self._grace, 15_000)
        async with self._reading() as w:
            missed = await queries.unplaced(
                w.db,
                exam_ids=[e.id for e in exams],
                heard_since=heard_since,
                replaced_silence=REPLACED_SILENCE,
            )
        for connection_id in missed:
            await self.place_again(connection_id)

    async def place_again(self, connection_id: int) -> None:
        """Place one connection in a transaction of its own: it resumed after its place was freed, or was missed."""
        async with self._work() as w:
            (row,) = await connection_queries.by_ids(w.db, [connection_id]) or (None,)
            exam = None if row is None or row.exam_id is None else self._directory.exams.get(row.exam_id)
            if row is None or exam is None or not self._takes_place(row, exam):
                return
            await self.place(w, row, exam)
            w.announce(CONNECTION_CHANGED, connection_id)

    async def finish_steps(self, *, within: float | None = None, room_id: int | None = None) -> None:
        """Make the calls that have no outcome yet: rooms to open, rooms to close, failed ones that are due again.

        Each call is a task of its own, at most `CALLS_AT_ONCE` at one service. `within` seconds are waited for those begun
        here, None for all: whoever waits longer for one service would delay every other exam. `room_id`: of this room only.
        """
        async with self._reading() as w:
            steps = await queries.unfinished(w.db, self._clock.now_ms())
        if room_id is not None:
            steps = [step for step in steps if step.room.id == room_id]
        begun = [self._begin(step) for step in steps if step.room.id not in self._calls]
        if room_id is not None and room_id in self._calls:
            begun = [self._calls[room_id]]  # perhaps begun by a sweep
        if within is None:
            await asyncio.gather(*self._calls.values())
        elif begun:
            await asyncio.wait(begun, timeout=within)

    def _begin(self, step: queries.Unfinished) -> asyncio.Task[None]:
        task = asyncio.create_task(self._call(step), name=f"room {step.room.id}")
        self._calls[step.room.id] = task
        task.add_done_callback(lambda _: self._calls.pop(step.room.id, None))
        return task

    async def _call(self, step: queries.Unfinished) -> None:
        exam = self._directory.exams.get(step.room.exam_id)
        service = None if exam is None else (exam.proctoring.service, exam.proctoring.definition_id)
        line = self._lines.setdefault(service, asyncio.Semaphore(CALLS_AT_ONCE))
        try:
            async with line:
                await self._finish(step)
        except Unavailable:
            pass  # without an outcome it is begun again
        except Exception:
            log.exception("room_step_broken", room_id=step.room.id)  # others must not suffer from it

    async def stop(self) -> None:
        """The server stops: calls under way are cut off. The next start repeats them."""
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _finish(self, step: queries.Unfinished) -> None:
        room = step.room
        exam = self._directory.exams.get(room.exam_id)
        if exam is None:
            return
        provider = self._provider_of(exam)
        try:
            async with asyncio.timeout(CALL_LIMIT):
                if room.state in _ENDING:
                    await provider.close_room(RoomHandle(room.name, room.subject))
                else:
                    await provider.open_room(
                        RoomSpec(
                            room.name,
                            room.subject,
                            None if room.is_call else exam.proctoring.collecting_room_size,
                            to_ms(exam.closes_at),
                        )
                    )
        except (ProviderError, TimeoutError) as error:
            await self._note_failure(step, error)
            return
        async with self._work() as w:
            await queries.lock_exam(w.db, exam.id)
            if await queries.state_of(w.db, room.id) is not room.state:
                return  # another node was quicker, or the exam ended meanwhile
            if room.state is RoomState.REMOVING:
                await queries.remove(w.db, room.id)
            elif room.state is RoomState.CLOSING:
                await queries.set_state(
                    w.db, room.id, RoomState.CLOSED, reason=None, closed_at=self._clock.now_ms()
                )
            else:
                await queries.set_state(w.db, room.id, RoomState.OPEN, reason=None, retry_at=None)
                await self._tell_members(w, room)
                await self.places.settle(w, exam.id, opened=room.id)
            w.announce(ROOMS_CHANGED, exam.id)

    async def _tell_members(self, w: Work, room: Room) -> None:
        """Their room opened, or could not be opened: their pages and the wall show that."""
        ids = await queries.members(w.db, room.id)
        if ids:
            w.announce(CONNECTIONS_CHANGED, ids)

    async def _note_failure(self, step: queries.Unfinished, error: Exception) -> None:
        attempts = step.attempts + 1
        reason = (
            error.message
            if isinstance(error, InvigiloError)
            else "The meeting service did not answer in time."
        )
        state = step.room.state if step.room.state in _ENDING else RoomState.FAILED
        async with self._work() as w:
            await queries.set_state(
                w.db,
                step.room.id,
                state,
                reason=reason,
                attempts=attempts,
                retry_at=self._clock.now_ms() + rules.retry_delay(attempts),
            )
            await self._tell_members(w, step.room)
            w.announce(ROOMS_CHANGED, step.room.exam_id)
        if attempts == 1:
            log.warning("room_step_failed", room_id=step.room.id, exam_id=step.room.exam_id, reason=reason)

    async def _repeat_lost_joins(self) -> None:
        """A join that was never confirmed is wished for again when its minute is over and the client pings."""
        now = self._clock.now_ms()
        for live in list(self._live.by_id.values()):
            if live.room_id is None or live.confirmed_revision >= live.revision or live.exam_id is None:
                continue
            live.queue.expire(now)
            if live.queue or not live.state.is_open or now - (live.last_ping or 0) > 5_000:
                continue
            exam = self._directory.exams.get(live.exam_id)
            if exam is None or live.room_state != RoomState.OPEN or not self._joins_natively(live, exam):
                continue
            async with self._work() as w:
                await queries.lock_exam(w.db, exam.id)
                await self.places.call_again(w, exam, live.id)

    # --- what pages see ---

    def _heard_rooms(self, exam_id: Any) -> None:
        self._stale.add(exam_id)
        self._wake.set()

    def _heard_resync(self, _payload: Any) -> None:
        self._stale.update(self._directory.exams)
        self._wake.set()

    async def wait_for_work(self, timeout_seconds: float) -> None:
        """Return when a room changed, or after the time: what the sweep's loop waits on."""
        try:
            await asyncio.wait_for(self._wake.wait(), timeout_seconds)
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def refresh(self) -> set[int]:
        """Read the rooms of exams that changed; returns those exams."""
        changed, self._stale = self._stale, set()
        before = {exam_id: self._called.get(exam_id, {}) for exam_id in changed}
        try:
            async with self._reading() as w:
                now = self._clock.now_ms()
                for exam_id in changed:
                    self._by_exam[exam_id] = await queries.of_exam(w.db, exam_id)
                    self._called[exam_id] = await call_queries.members_of_calls(w.db, exam_id)
                    held = self._holds[exam_id] = {}
                    for hold in await call_queries.holds_of_exam(w.db, exam_id, now=now):
                        held.setdefault(hold.room_id, []).append(hold)
        except Unavailable:
            self._stale |= changed
            return set()
        for exam_id in changed:
            self._tell_company(before[exam_id], self._called[exam_id])
        return changed

    def _tell_company(self, before: dict[int, list[int]], now: dict[int, list[int]]) -> None:
        """Whoever is called aside with other people than before, or with fewer."""
        for room_id, members in now.items():
            if members == before.get(room_id):
                continue
            for live in (self._live.by_id.get(one) for one in members):
                if live is not None:
                    self._live.changed(live)

    def is_alone(self, live: LiveConnection) -> bool:
        """Whether it is the only one called into its break-out room, as last read; nobody is ever added to one."""
        if live.room_id is None or live.room_kind != RoomKind.BREAK_OUT.value:
            return False
        return self._called.get(live.exam_id or 0, {}).get(live.room_id) == [live.id]

    async def look_again(self, exam: Exam) -> None:
        """Read this exam's rooms now: somebody asks for one opened a moment ago, perhaps at another node."""
        self._stale.add(exam.id)
        await self.refresh()

    async def load_all(self) -> None:
        self._started_at = self._clock.now_ms()
        self._stale.update(self._directory.exams)
        await self.refresh()

    def exams_with_rooms(self) -> list[int]:
        """Exams that still have a room which is not closed."""
        return [
            exam_id
            for exam_id, rooms in self._by_exam.items()
            if any(room.state.takes_members or room.state is RoomState.CLOSING for room in rooms)
        ]

    def calls_of(self, exam_id: int) -> list[Room]:
        """Town hall and break-out rooms that are not closed, as last read."""
        return [room for room in self._by_exam.get(exam_id, ()) if room.is_call and room.state.takes_members]

    def hall(self, exam: Exam) -> dict[str, int | None]:
        """How many candidates a town hall of this exam bears, and how many would come now."""
        there = sum(live.home_id is not None for live in self._live.of_exam(exam.id))
        size = self._provider_of(exam).hall_size
        return {"size": size, "hearers": there if size is None else min(there, size)}

    def slots(self, exam: Exam) -> Slots | None:
        """How many rooms and calls the hosts of its meeting service hold, and how many more; None where there are none."""
        provider = self._provider_of(exam)
        return provider.slots() if isinstance(provider, KeepsMeetings) else None

    def has_free_hearing(self, exam_id: int) -> bool:
        """Whether some are beyond the size of an open town hall that has become free."""
        exam = self._directory.exams.get(exam_id)
        size = None if exam is None else self._provider_of(exam).hall_size
        if size is None:
            return False
        everybody = list(self._live.of_exam(exam_id))
        hall = [one for one in everybody if one.room_kind == RoomKind.TOWN_HALL.value]
        hearers = sum(not one.is_beyond for one in hall)
        return any(one.is_beyond for one in everybody) and hearers < size

    def ability(self, exam: Exam) -> Ability:
        """What the exam's meeting service has of what a proctor may do beyond watching."""
        provider = self._provider_of(exam)
        return Ability(
            [one.value for one in CALLS if one in provider.features],
            {one.value: why for one, why in provider.cannot.items() if one not in provider.features},
        )

    def room(self, exam_id: int, room_id: int | None) -> Room | None:
        """A room of this exam, as last read."""
        return next((one for one in self._by_exam.get(exam_id, ()) if one.id == room_id), None)

    def all_of(self, exam_id: int) -> list[Room]:
        """Every room of this exam, of whatever kind, as last read."""
        return list(self._by_exam.get(exam_id, ()))

    def by_id(self, room_id: int) -> Room | None:
        return next((one for rooms in self._by_exam.values() for one in rooms if one.id == room_id), None)

    async def reopen(self, exam_id: int, room_id: int) -> None:
        """The room's meeting cannot be entered any more: it is opened anew, and everybody in it is called again."""
        async with self._work() as w:
            await queries.lock_exam(w.db, exam_id)
            if await queries.state_of(w.db, room_id) is not RoomState.OPEN:
                return
            await queries.set_state(w.db, room_id, RoomState.OPENING, attempts=0, retry_at=None, reason=None)
            for connection_id in await call_queries.seen_in(w.db, room_id):
                w.announce(CONNECTION_CHANGED, connection_id)
            await self.places.settle(w, exam_id)  # out of a call while it is not open
            w.announce(ROOMS_CHANGED, exam_id)

    def called(self, name: str) -> Room | None:
        """The room of this name at the meeting service, in whatever exam."""
        return next((one for rooms in self._by_exam.values() for one in rooms if one.name == name), None)

    def of_exam(self, exam: Exam) -> list[RoomView]:
        """Its rooms by kind and number, as last read. Their members are counted from rows, never kept apart."""
        held, called = self._holds.get(exam.id, {}), self._called.get(exam.id, {})
        return [
            RoomView(
                id=room.id,
                number=room.number,
                subject=room.subject,
                kind=room.kind.value,
                state=room.state.value,
                reason=room.reason,
                size=None if room.is_call else exam.proctoring.collecting_room_size,
                members=room.member_count,
                opened_by=room.opened_by,
                holds=tuple(held.get(room.id, ())),
                connections=tuple(called.get(room.id, ())),
            )
            for room in self._by_exam.get(exam.id, [])
            if room.state not in {RoomState.CLOSED, RoomState.REMOVING}
        ]

    async def close_rooms(self, exam_id: int) -> None:
        """The exam is over or no longer proctored: everybody leaves, every room is closed at the service."""
        async with self._work() as w:
            await self.close_rooms_in(w, exam_id)
        self._stale.add(exam_id)  # a deleted exam took its rooms along without a word
        await self.finish_steps(within=SWEEP_WAITS)

    async def close_rooms_in(self, w: Work, exam_id: int) -> None:
        """Note that everybody leaves; `finish_steps` or the next sweep closes the rooms at the service."""
        await queries.lock_exam(w.db, exam_id)
        rooms = [r for r in await queries.of_exam(w.db, exam_id) if r.state.takes_members]
        await self._everybody_leaves(w, exam_id)
        for room in rooms:
            await queries.set_state(w.db, room.id, RoomState.CLOSING, attempts=0, retry_at=None)
        if rooms:
            w.announce(ROOMS_CHANGED, exam_id)

    async def remove_rooms_in(self, w: Work, exam_id: int) -> None:
        """Note that every room of the exam is closed and forgotten; who may do that was decided before."""
        await queries.lock_exam(w.db, exam_id)
        await self._everybody_leaves(w, exam_id)
        await settings_queries.begin_removal(w.db, exam_id)
        w.announce(ROOMS_CHANGED, exam_id)

    async def _everybody_leaves(self, w: Work, exam_id: int) -> None:
        now = self._clock.now_ms()
        await call_queries.end_calls_of_exam(w.db, exam_id, until=now)
        await queries.leave(w.db, await settings_queries.members_of_exam(w.db, exam_id), until=now)
        await self.places.settle(w, exam_id)


def _same_machine(seen: queries.Sighting, row: ConnectionRow) -> bool:
    return bool(seen.device.machine_name) and (seen.device.machine_name, seen.device.account_name) == (
        row.device.machine_name,
        row.device.account_name,
    )


def _capability_of(one: ConnectionRow | LiveConnection) -> Capability:
    return capability_of(one.device.os_name, one.device.seb_version)
