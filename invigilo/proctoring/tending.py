"""What the clock does for rooms that are meetings kept at a service: look after them, and leave nothing behind.

Every few seconds what is due is deleted, and who is in a room is asked where the service can say so and sends no reports.
Every minute an open room's meeting is looked at: one that is gone, or cannot begin because its host is busy, is replaced by
another, and everybody is called there. At start, when settings change, and once an hour, the hosts are asked how many people
their meetings hold, and meetings that carry our mark and belong to nobody go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from invigilo.clock import Clock
from invigilo.errors import ProviderError
from invigilo.exams.directory import Directory
from invigilo.exams.model import SealedDefinition
from invigilo.proctoring.meeting_hosts import MeetingHosts
from invigilo.proctoring.meetings import Meetings
from invigilo.proctoring.model import Room, RoomState
from invigilo.proctoring.service import Rooms
from invigilo.providers.base import Condition, KeepsMeetings, Provider, RoomHandle

log = structlog.get_logger()

EVERY = 5.0  # seconds
LOOK_EVERY = 60_000  # ms between two looks at one room's meeting
POLL_EVERY = 30_000  # ms between two questions who is in one room
POLLS_A_DAY = 20_000
"""Such questions are dear: 30,000 a day on a Pro plan, for all programs of the account (zoom.md §3.7)."""
SWEEP_EVERY = 3_600_000  # ms
SWEEP_AGAIN = 300_000  # ms after one that failed


@dataclass(kw_only=True)
class Tending:
    """Of one node. All of it may be done by several at once."""

    directory: Directory
    rooms: Rooms
    meetings: Meetings
    hosts: MeetingHosts
    provider_by: Callable[[SealedDefinition], Provider]
    clock: Clock
    remember: Callable[[Mapping[int, int]], Awaitable[None]] | None = None
    """Keeps which definitions, of which revision, let somebody into a meeting."""
    _looked_at: dict[str, int] = field(default_factory=dict[str, int])
    _polled_at: dict[str, int] = field(default_factory=dict[str, int])
    _sweep_at: dict[int, int] = field(default_factory=dict[int, int])
    _met: dict[int, KeepsMeetings] = field(default_factory=dict[int, KeepsMeetings])

    async def run(self) -> None:
        """One round. A service in trouble keeps nobody else waiting for longer than its own calls take."""
        await self.look_soon()
        await self.hosts.refresh()
        wanted: set[str] | None = None
        for definition in list(self.directory.definitions.values()):
            provider = self.provider_by(definition)
            if not isinstance(provider, KeepsMeetings):
                continue
            if wanted is None:
                wanted = await self.hosts.wanted_rooms()
            rooms = self._rooms_of(definition)
            try:
                await self._tend(definition, provider, rooms, wanted)
            except ProviderError as error:
                log.info("service_not_tended", definition_id=definition.id, reason=error.message)
        if self.remember is not None:
            entered = self.meetings.take_entered()
            try:
                await self.remember(entered)
            except BaseException:
                self.meetings.put_entered_back(entered)
                raise

    def _rooms_of(self, definition: SealedDefinition) -> list[Room]:
        exams = [e for e in self.directory.exams.values() if e.proctoring.definition_id == definition.id]
        return [room for exam in exams for room in self.rooms.all_of(exam.id) if room.state is RoomState.OPEN]

    async def _tend(
        self, definition: SealedDefinition, provider: KeepsMeetings, rooms: list[Room], wanted: set[str]
    ) -> None:
        now = self.clock.now_ms()
        if self._met.get(definition.id) is not provider:
            self._met[definition.id] = provider
            self._sweep_at.pop(
                definition.id, None
            )  # changed settings: what was learned with the old ones is gone
        fresh = {room.name for room in rooms}

        def is_wanted(name: str) -> bool:
            return name in wanted or name in fresh

        await provider.tidy(is_wanted)
        if now >= self._sweep_at.get(definition.id, 0):
            self._sweep_at[definition.id] = now + SWEEP_AGAIN
            await provider.learn_capacities()
            await provider.sweep()
            self._sweep_at[definition.id] = now + SWEEP_EVERY
        for room in rooms:
            if now - self._looked_at.get(room.name, 0) >= LOOK_EVERY:
                self._looked_at[room.name] = now
                await self.look_after(provider, room)
        await self._poll(definition, provider, rooms)
        for memory in (self._looked_at, self._polled_at):
            for name in [name for name, at in memory.items() if now - at > SWEEP_EVERY]:
                del memory[name]

    async def look_after(self, provider: KeepsMeetings, room: Room) -> None:
        """Replace a meeting that nobody can come into. Raises ProviderError."""
        handle = RoomHandle(room.name, room.subject)
        condition = await provider.condition(handle)
        if condition is Condition.WELL:
            return
        log.warning("meeting_replaced", room_id=room.id, exam_id=room.exam_id, reason=condition.value)
        await provider.give_up(handle, reason="busy" if condition is Condition.BLOCKED else "lost")
        await self.rooms.reopen(room.exam_id, room.id)

    async def look_soon(self) -> None:
        """Rooms of which somebody says that they cannot be entered: looked at now instead of within a minute."""
        for room_id in self.meetings.take_doubts():
            room = self.rooms.by_id(room_id)
            exam = None if room is None else self.directory.exams.get(room.exam_id)
            definition = (
                None if exam is None else self.directory.definitions.get(exam.proctoring.definition_id or 0)
            )
            if room is None or definition is None or room.state is not RoomState.OPEN:
                continue
            provider = self.provider_by(definition)
            if isinstance(provider, KeepsMeetings):
                try:
                    await self.look_after(provider, room)
                except ProviderError as error:
                    log.info("service_not_tended", definition_id=definition.id, reason=error.message)

    async def _poll(self, definition: SealedDefinition, provider: KeepsMeetings, rooms: list[Room]) -> None:
        """Only where the service has not reported of itself: its reports are better and cost nothing."""
        now = self.clock.now_ms()
        if self.meetings.has_reports(definition.id):
            return
        every = max(POLL_EVERY, len(rooms) * 86_400_000 // POLLS_A_DAY)
        for room in rooms:
            if now - self._polled_at.get(room.name, 0) < every:
                continue
            self._polled_at[room.name] = now
            events = await provider.present(RoomHandle(room.name, room.subject))
            if events is None:
                return
            self.meetings.take_list(definition, room, events)
