"""Calls: a town hall for everybody of an exam, break-out rooms for some; and what a proctor lets a room perceive.

A call is stored as `opening`, opened at the meeting service outside of any transaction, and moves people once it is open;
where the service has nothing to open, all of that is one transaction. Closing sends people home first and ends the meeting
afterwards, so a service in trouble holds nobody (live-proctoring.md §3.3, §3.4). What a proctor lets a room perceive is a
hold with a lease: the proctor's page says it again every few seconds, and when it stops, for whatever reason, candidates
stop perceiving it within the lease (§3.6). Holds of several pages add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from invigilo.accounts.model import Account
from invigilo.activity.service import record
from invigilo.clock import Clock
from invigilo.errors import NotFound, Refused, Sentence
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam
from invigilo.monitoring import rules as monitoring_rules
from invigilo.proctoring import rules
from invigilo.proctoring.model import NOTHING, Hold, Perception, Room, RoomKind, RoomState
from invigilo.proctoring.service import ROOMS_CHANGED, Rooms
from invigilo.providers.base import Feature, KeepsMeetings, RoomHandle
from invigilo.providers.registry import ProviderOf
from invigilo.storage.queries import calls as queries
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries import rooms as room_queries
from invigilo.storage.queries.connections import ConnectionRow
from invigilo.storage.work import Work, WorkFactory

log = structlog.get_logger()

LEASE = 10_000
"""Ms a hold lasts after its page said it last."""
BREAK_OUT_SIZE = 25
"""Candidates in one break-out room."""
OPENS_WITHIN = 0.3
"""Seconds whoever opens a call waits for the meeting service; a slower one goes on beside."""

_FEATURES = {RoomKind.TOWN_HALL: Feature.TOWN_HALL, RoomKind.BREAK_OUT: Feature.ONE_TO_ONE}
_CANNOT = Sentence("service_cannot", "The meeting service of this exam has nothing like this.")


@dataclass(frozen=True, slots=True)
class Opened:
    """The call somebody asked for; theirs, or the one that was there."""

    room: Room
    is_new: bool


class Calls:
    """What proctors open, hold and close."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        directory: Directory,
        rooms: Rooms,
        clock: Clock,
        provider_of: ProviderOf,
    ) -> None:
        self._work = work
        self._reading = reading
        self._directory = directory
        self._rooms = rooms
        self._clock = clock
        self._provider_of = provider_of
        self._held: dict[tuple[int, str], Perception] = {}
        """What pages at this node hold, by room and page: saying it again is one statement."""

    # --- opening and closing ---

    async def open(
        self, exam: Exam, kind: RoomKind, connection_ids: Sequence[int] = (), *, by: Account
    ) -> Opened:
        """Open a call, or find the one that is there: the second proctor enters the same.

        Raises NotFound, and Refused (`proctoring_off`, `feature_off`, `service_cannot`, `exam_not_running`, `no_place`,
        `in_call`, `too_many`, `no_free_host`).
        """
        wanted = sorted(set(connection_ids))
        async with self._work() as w:
            await room_queries.lock_exam(w.db, exam.id)
            exam = self._directory.exam(exam.id)
            rules.may_open(exam, kind, self._clock.now())
            self._provider_must(exam, _FEATURES[kind])
            if kind is RoomKind.TOWN_HALL:
                found = await queries.town_hall(w.db, exam.id)
                wanted = []
            else:
                found = await self._common_call(w, exam, wanted)
            is_new = found is None
            if is_new:
                self._hosts_must_bear_it(exam)
            room_id = found if found is not None else await self._rooms.add_call(w, exam, kind, wanted, by)
            room = await self._room(w, exam.id, room_id)
            await self._record(
                w, "call_opened" if is_new else "call_entered", exam, room, by, connection_ids=wanted
            )
        if room.state is not RoomState.OPEN:
            await self._rooms.finish_steps(within=OPENS_WITHIN, room_id=room_id)
            async with self._reading() as w:
                room = await self._room(w, exam.id, room_id)
            if is_new and room.state is RoomState.FAILED:
                await self._give_up_without_host(exam, room, by)
        return Opened(room, is_new)

    def _hosts_must_bear_it(self, exam: Exam) -> None:
        """A call takes a host of its own, so whether there is one is said before anybody is called."""
        provider = self._provider_of(exam)
        if isinstance(provider, KeepsMeetings) and provider.slots().free == 0:
            raise Refused("no_free_host", provider.why_full())

    async def _give_up_without_host(self, exam: Exam, room: Room, by: Account) -> None:
        """The last host went elsewhere meanwhile: a call that would open some time later, by itself, helps nobody."""
        provider = self._provider_of(exam)
        if not isinstance(provider, KeepsMeetings) or provider.has_host(RoomHandle(room.name, room.subject)):
            return
        await self.close(exam, room.id, by=by)
        raise Refused("no_free_host", provider.why_full())

    async def close(self, exam: Exam, room_id: int, *, by: Account) -> None:
        """Close a call; quiet when it is closed. Raises NotFound when it is none of this exam's."""
        async with self._work() as w:
            await room_queries.lock_exam(w.db, exam.id)
            room = await self._room(w, exam.id, room_id)
            if not room.is_call:
                raise NotFound("There is no such call in this exam.", key="no_such_call")
            members = await queries.members_of_call(w.db, room_id)
            if await self._rooms.end_call_in(w, exam.id, room_id):
                await self._record(w, "call_closed", exam, room, by, connection_ids=members)
        await self._rooms.finish_steps(within=OPENS_WITHIN, room_id=room_id)

    async def _room(self, w: Work, exam_id: int, room_id: int) -> Room:
        rooms = await room_queries.of_exam(w.db, exam_id)
        room = next((one for one in rooms if one.id == room_id), None)
        if room is None:
            raise NotFound("There is no such call in this exam.", key="no_such_call")
        return room

    def _provider_must(self, exam: Exam, feature: Feature) -> None:
        provider = self._provider_of(exam)
        if feature not in provider.features:
            raise Refused("service_cannot", provider.cannot.get(feature, _CANNOT))

    async def _common_call(self, w: Work, exam: Exam, connection_ids: Sequence[int]) -> int | None:
        """The break-out room all of these are in already; None when none of them is in any."""
        if not connection_ids:
            raise Refused("no_place", "Choose whom to call.", key="nobody_chosen")
        if len(connection_ids) > BREAK_OUT_SIZE:
            raise Refused(
                "too_many",
                f"One call takes at most {BREAK_OUT_SIZE} candidates.",
                key="too_many_called",
                values={"most": BREAK_OUT_SIZE},
            )
        rows = {row.id: row for row in await connection_queries.by_ids(w.db, connection_ids)}
        for one in connection_ids:
            row = rows.get(one)
            if row is None or row.exam_id != exam.id:
                raise NotFound("There is no such connection in this exam.", key="no_such_connection")
            if not row.state.is_open or row.home_id is None:
                name = self._name(exam, row)
                raise Refused(
                    "no_place", f"{name} has left, or has no place in a room yet.", values={"name": name}
                )
        called = await queries.calls_of(w.db, connection_ids)
        if len(called) == len(connection_ids) and len(set(called.values())) == 1:
            return next(iter(called.values()))
        for one in connection_ids:
            if one in called:
                room = await self._room(w, exam.id, called[one])
                raise _in_call(self._name(exam, rows[one]), room.opened_by)
        return None

    def _name(self, exam: Exam, row: ConnectionRow) -> str:
        candidate = self._directory.candidate(exam.id, row.user_session_id)
        if candidate is not None:
            return candidate.name
        name = monitoring_rules.display_name(
            user_session_id=row.user_session_id,
            account_name=row.device.account_name,
            machine_name=row.device.machine_name,
            address=row.device.address,
        )
        return name or f"SEB {row.id}"

    # --- holds ---

    async def hold(
        self, exam: Exam, room_id: int, holder: str, wish: Perception, *, by: Account
    ) -> Perception:
        """A proctor's page lets a room perceive this from now on; returns what counts. All false ends it.

        Raises NotFound (`no_such_room` for pages), and Refused (`feature_off`, `service_cannot`, `room_not_open`).
        """
        wish = Perception(wish.audio or wish.video, wish.video, wish.chat)  # who is seen is heard
        exam = self._directory.exam(exam.id)
        if not wish:
            self._held.pop((room_id, holder), None)
        try:
            rules.may_hold(exam, wish)
            self._provider_must_carry(exam, wish)
        except Refused:
            await self._change_hold(exam, room_id, holder, NOTHING, by=by)
            raise
        if wish and self._held.get((room_id, holder)) == wish and await self._renew(room_id, holder, wish):
            return wish
        await self._change_hold(exam, room_id, holder, wish, by=by)
        if wish:
            self._held[room_id, holder] = wish
        return wish

    def page_left(self, holder: str) -> None:
        """A proctor's page is gone from this node; what it held ends with its lease, unless it is back by then."""
        self._held = {key: wish for key, wish in self._held.items() if key[1] != holder}

    def _provider_must_carry(self, exam: Exam, wish: Perception) -> None:
        if wish.audio:
            self._provider_must(exam, Feature.BROADCAST_AUDIO)
        if wish.video:
            self._provider_must(exam, Feature.BROADCAST_VIDEO)
        if wish.chat:
            self._provider_must(exam, Feature.CHAT)

    async def _renew(self, room_id: int, holder: str, wish: Perception) -> bool:
        now = self._clock.now_ms()
        async with self._work() as w:
            return await queries.renew_hold(w.db, room_id, holder, wish, now=now, expires_at=now + LEASE)

    async def _change_hold(
        self, exam: Exam, room_id: int, holder: str, wish: Perception, *, by: Account
    ) -> None:
        now = self._clock.now_ms()
        async with self._work() as w:
            await room_queries.lock_exam(w.db, exam.id)
            rooms = await room_queries.of_exam(w.db, exam.id)
            room = next((one for one in rooms if one.id == room_id), None)
            if room is None:
                raise NotFound("There is no such room in this exam.", key="no_such_room")
            before = await queries.hold_of(w.db, room_id, holder, now=now)
            if wish and room.state is not RoomState.OPEN:
                raise Refused("room_not_open", "This room is not open.")
            if (NOTHING if before is None else before.perceived) == wish:
                return
            if wish:
                since = before.since if before is not None else now
                await queries.put_hold(
                    w.db, Hold(room_id, holder, by.id, by.display_name, wish, since, now + LEASE)
                )
            else:
                await queries.drop_hold(w.db, room_id, holder)
            await self._settle_room(w, exam.id, room_id)
            await self._record(w, "broadcast_changed", exam, room, by, perceived=wish)

    async def _settle_room(self, w: Work, exam_id: int, room_id: int) -> None:
        await self._rooms.places.settle(w, exam_id, await queries.seen_in(w.db, room_id))
        w.announce(ROOMS_CHANGED, exam_id)

    # --- the clock's part ---

    async def sweep(self) -> None:
        """End what nobody holds any more, and calls the settings no longer allow. Safe to run on every node."""
        await self._end_lapsed()
        await self._close_forbidden()
        await self._fill_halls()

    async def _end_lapsed(self) -> None:
        now = self._clock.now_ms()
        async with self._reading() as w:
            exam_ids = await queries.exams_with_lapsed_holds(w.db, now)
        for exam_id in exam_ids:
            async with self._work() as w:
                await room_queries.lock_exam(w.db, exam_id)
                lapsed = await queries.take_lapsed_holds(w.db, exam_id, now)
                exam = self._directory.exams.get(exam_id)
                for room_id in sorted({hold.room_id for hold in lapsed}):
                    await self._settle_room(w, exam_id, room_id)
                for hold in lapsed:
                    if exam is None:
                        break
                    room = await self._room(w, exam_id, hold.room_id)
                    await self._record(
                        w, "broadcast_lapsed", exam, room, None, perceived=hold.perceived, name=hold.actor
                    )
            for hold in lapsed:
                log.info("hold_lapsed", exam_id=exam_id, room_id=hold.room_id)

    async def _close_forbidden(self) -> None:
        for exam_id in self._rooms.exams_with_rooms():
            exam = self._directory.exams.get(exam_id)
            if exam is None:
                continue
            for room in self._rooms.calls_of(exam_id):
                if rules.kind_is_on(exam, room.kind):
                    continue
                async with self._work() as w:
                    await room_queries.lock_exam(w.db, exam_id)
                    members = await queries.members_of_call(w.db, room.id)
                    if await self._rooms.end_call_in(w, exam_id, room.id):
                        await self._record(w, "call_closed", exam, room, None, connection_ids=members)

    async def _fill_halls(self) -> None:
        """Somebody who heard the town hall is gone: the next of those beyond its size hears it now."""
        for exam_id in self._rooms.exams_with_rooms():
            if not self._rooms.has_free_hearing(exam_id):
                continue
            async with self._work() as w:
                await room_queries.lock_exam(w.db, exam_id)
                await self._rooms.places.settle(w, exam_id)

    async def _record(
        self,
        w: Work,
        deed: str,
        exam: Exam,
        room: Room,
        by: Account | None,
        *,
        connection_ids: Sequence[int] = (),
        perceived: Perception | None = None,
        name: str | None = None,
    ) -> None:
        detail: dict[str, Any] = {"room": room.subject, "kind": room.kind.value}
        if connection_ids:
            detail["connections"] = list(connection_ids)
        if perceived is not None:
            detail |= {"audio": perceived.audio, "video": perceived.video, "chat": perceived.chat}
        if name is not None:
            detail["name"] = name
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=exam.institution_id,
            exam_id=exam.id,
            room_id=room.id,
            connection_id=connection_ids[0] if len(connection_ids) == 1 else None,
            detail=detail,
        )


def _in_call(name: str, opened_by: str | None) -> Refused:
    if opened_by is None:
        return Refused("in_call", f"{name} is in another call.", key="in_other_call", values={"name": name})
    return Refused(
        "in_call", f"{name} is in a call that {opened_by} opened.", values={"name": name, "by": opened_by}
    )
