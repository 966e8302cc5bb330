"""One function says where everybody is: `Places.settle`.

Whatever happens (a newcomer, a call opened or closed, a proctor who begins to speak or whose browser dies, the end of the
exam) changes rows of its own and then asks for settling. Settling looks at what holds now, says for each connection where
it should be and what it should perceive there, writes that where it differs from what was written before, and queues for
clients that are called in by instruction the steps from the one to the other. It needs a handful of statements for one
connection and for a thousand, and does nothing where nothing differs, so it may be asked for at any time. The caller holds
the exam's lock. (docs/decisions/0007)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from invigilo.clock import Clock
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam
from invigilo.monitoring.capability import capability_of
from invigilo.monitoring.model import InstructionType
from invigilo.monitoring.service import CONNECTIONS_CHANGED, Connections, Order
from invigilo.proctoring import rules
from invigilo.proctoring.model import NOTHING, Hold, Perception, Place, Room, RoomKind, RoomState, Standing
from invigilo.proctoring.pace import Pace
from invigilo.proctoring.rules import Step
from invigilo.providers.base import Feature
from invigilo.providers.registry import ProviderOf
from invigilo.storage.queries import calls as queries
from invigilo.storage.queries import rooms as room_queries
from invigilo.storage.work import Work

SERVICE_TYPE, ROOM, SUBJECT, ROOM_TYPE = "service-type", "room", "subject", "roomType"
"""What a stored join instruction names; the client's own words are put in their place when it is sent."""

_SERVICE_TYPES = {"zoom": "ZOOM"}
_ROOM_TYPES = {
    RoomKind.COLLECTING: "proctoring",
    RoomKind.TOWN_HALL: "townhall",
    RoomKind.BREAK_OUT: "breakout",
}
_PERCEIVE_KEYS = {
    "JITSI_MEET": ("jitsiMeetReceiveAudio", "jitsiMeetReceiveVideo", "jitsiMeetFeatureFlagChat"),
    "ZOOM": ("zoomReceiveAudio", "zoomReceiveVideo", "zoomFeatureFlagChat"),
}


@dataclass(frozen=True, slots=True)
class _Scene:
    """What holds in an exam now."""

    rooms: Mapping[int, Room]
    perceived: Mapping[int, Perception]
    town_hall: int | None
    """Where everybody belongs who is not called aside; None while there is none, or it is not open yet."""
    is_walled: bool = False
    """The service lets nobody in beyond the size of a town hall: who does not hear it stays at home."""


@dataclass(frozen=True, slots=True)
class _Move:
    before: Standing
    after: Place
    revision: int
    room_revision: int

    @property
    def differs(self) -> bool:
        return self.before.place != self.after


class Places:
    """Where everybody should be, in all exams."""

    def __init__(
        self,
        *,
        directory: Directory,
        connections: Connections,
        clock: Clock,
        provider_of: ProviderOf,
        pace: Pace,
    ) -> None:
        self._directory = directory
        self._connections = connections
        self._clock = clock
        self._provider_of = provider_of
        self._pace = pace

    async def settle(
        self,
        w: Work,
        exam_id: int,
        only: Sequence[int] | None = None,
        *,
        opened: int | None = None,
    ) -> int:
        """Bring everybody's desired place, or `only` theirs, up to date; returns how many changed.

        `opened` is a room that has just become open: whoever waited for that is called in now.
        """
        exam = self._directory.exams.get(exam_id)
        scene = await self._scene(w, exam_id, exam)
        standings = await queries.standings(w.db, exam_id, only)
        hearing = await self._hearing(w, exam, scene, standings)
        moves = [_move(one, _place(one, scene, hearing)) for one in standings]
        changed = [one for one in moves if one.differs]
        now = self._clock.now_ms()
        wishes = [
            queries.Wish(one.before.connection_id, one.after, one.revision, one.room_revision)
            for one in changed
        ]
        await queries.write_places(w.db, wishes, at=now)
        called = []
        if exam is not None:
            called = [
                one for one in moves if one.differs or (opened is not None and one.after.room_id == opened)
            ]
            await self._guide(w, exam, scene, called, opened=opened)
        told = {one.before.connection_id for one in (*changed, *called)}
        if told:
            w.announce(CONNECTIONS_CHANGED, sorted(told))
        return len(changed)

    async def call_again(self, w: Work, exam: Exam, connection_id: int) -> None:
        """A step was never confirmed, and its time is over: the way from nothing to the present place, once more."""
        scene = await self._scene(w, exam.id, exam)
        for one in await queries.standings(w.db, exam.id, [connection_id]):
            if one.confirmed_revision < one.revision:  # else confirmed at another node
                if one.confirmed_revision >= one.room_revision:
                    before = replace(one, place=replace(one.place, perceives=NOTHING, is_beyond=True))
                else:
                    # What it acts on is not known: where nothing is on, it is told so first; else what is on follows
                    # anyway.
                    before = replace(one, place=Place(), is_told=one.is_told and not one.place.perceives)
                await self._guide(w, exam, scene, [_again(one, before)], opened=None)
            w.announce(CONNECTIONS_CHANGED, [connection_id])

    async def _scene(self, w: Work, exam_id: int, exam: Exam | None) -> _Scene:
        rooms = {
            room.id: room for room in await room_queries.of_exam(w.db, exam_id) if room.state.takes_members
        }
        holds: dict[int, list[Hold]] = defaultdict(list)
        for hold in await queries.holds_of_exam(w.db, exam_id, now=self._clock.now_ms()):
            holds[hold.room_id].append(hold)
        hall = (
            room.id
            for room in rooms.values()
            if room.kind is RoomKind.TOWN_HALL and room.state is RoomState.OPEN
        )
        perceived = {room_id: rules.perceived(held) for room_id, held in holds.items()}
        is_walled = exam is not None and Feature.KEEPS_MEETINGS in self._provider_of(exam).features
        return _Scene(rooms, perceived, next(hall, None), is_walled)

    async def _hearing(
        self, w: Work, exam: Exam | None, scene: _Scene, standings: Sequence[Standing]
    ) -> set[int] | None:
        """Who hears the town hall, where it does not bear everybody; None: whoever is in it."""
        size = None if exam is None else self._provider_of(exam).hall_size
        if scene.town_hall is None or size is None:
            return None
        there = [
            one
            for one in standings
            if rules.wanted_room(one.home, one.break_out, scene.town_hall) == scene.town_hall
        ]
        others = await queries.hearers_besides(
            w.db, scene.town_hall, [one.connection_id for one in standings]
        )
        return rules.hearers(there, size, scene.town_hall, others=others)

    # --- clients that are called in by instruction ---

    async def _guide(
        self, w: Work, exam: Exam, scene: _Scene, moves: Sequence[_Move], *, opened: int | None
    ) -> None:
        orders: list[Order] = []
        moved: set[int] = set()
        for move in moves:
            if not self._joins_natively(move.before, exam):
                continue
            is_new = move.after.room_id == opened and opened is not None
            room = scene.rooms.get(move.after.room_id or 0)
            is_open = room is not None and room.state is RoomState.OPEN
            steps = rules.native_steps(move.before, move.after, is_open=is_open, opened=is_new)
            if is_new or move.before.place.room_id != move.after.room_id:
                moved.add(move.before.connection_id)
            orders += self._orders(exam, room, move, steps)
        if orders or moved:
            await self._connections.guide(w, orders, moved=moved)

    def _orders(self, exam: Exam, room: Room | None, move: _Move, steps: Sequence[Step]) -> list[Order]:
        """A join is due when the client listens and its meeting has room for one more; what follows it, then too."""
        connection_id, due = move.before.connection_id, self._clock.now_ms()
        service_type = _SERVICE_TYPES.get(exam.proctoring.service.value, "JITSI_MEET")
        orders: list[Order] = []
        for step in steps:
            if step is Step.JOIN:
                assert room is not None
                due += self._until_join(exam, room.id, move.before)
                attributes = {
                    SERVICE_TYPE: service_type,
                    ROOM: room.name,
                    SUBJECT: room.subject,
                    ROOM_TYPE: _ROOM_TYPES[room.kind],
                }
                orders.append(
                    Order(connection_id, InstructionType.PROCTORING, attributes, due, move.room_revision)
                )
                continue
            perceives = move.after.perceives if step is Step.PERCEIVE else NOTHING
            is_last = step is steps[-1]
            orders.append(
                Order(
                    connection_id,
                    InstructionType.RECONFIGURE,
                    perceive_words(service_type, perceives),
                    due,
                    move.revision if is_last else None,
                )
            )
        return orders

    def _until_join(self, exam: Exam, room_id: int, standing: Standing) -> int:
        settles = 0 if standing.is_active else rules.JOIN_SETTLES
        if Feature.TAKES_ALL_AT_ONCE in self._provider_of(exam).features:
            return settles
        return settles + self._pace.wait(room_id, self._clock.now_ms())

    def _joins_natively(self, one: Standing, exam: Exam) -> bool:
        return rules.joins_natively(
            capability_of(one.os_name, one.seb_version),
            exam.proctoring.join_by,
            exam.proctoring.service,
            provider_can=Feature.NATIVE_JOIN in self._provider_of(exam).features,
        )


def perceive_words(service_type: str, perceives: Perception) -> dict[str, str]:
    """The attributes of a reconfiguration: always all three, because a missing one counts as off or breaks the client."""
    audio, video, chat = _PERCEIVE_KEYS[service_type]
    values = ((audio, perceives.audio), (video, perceives.video), (chat, perceives.chat))
    return {key: "true" if value else "false" for key, value in values}


def _place(one: Standing, scene: _Scene, hearing: set[int] | None) -> Place:
    room_id = rules.wanted_room(one.home, one.break_out, scene.town_hall)
    if room_id is None:
        return Place()
    is_beyond = room_id == scene.town_hall and hearing is not None and one.connection_id not in hearing
    if is_beyond and scene.is_walled:
        return Place(one.home, scene.perceived.get(one.home or 0, NOTHING), is_beyond=True)
    perceives = NOTHING if is_beyond else scene.perceived.get(room_id, NOTHING)
    return Place(room_id, perceives, is_beyond=is_beyond)


def _move(before: Standing, after: Place) -> _Move:
    if before.place == after:
        return _Move(before, after, before.revision, before.room_revision)
    room_revision, revision = rules.next_revisions(before, after)
    return _Move(before, after, revision, room_revision)


def _again(now: Standing, before: Standing) -> _Move:
    return _Move(before, now.place, now.revision, now.room_revision)
