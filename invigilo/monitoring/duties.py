"""Duties: who is responsible for which room, and who is looking at what right now.

A duty is stored: it lasts through a reload, a lunch and a server's restart, until it is handed over. Looking is not: each
node says every few seconds what its proctors' pages show, and what it no longer says is over (a lease, as for watches in
`rtc/hub.py`). Both are shown to every proctor of the exam, so nobody need ask who has room 3.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import rights_on
from invigilo.activity.service import record
from invigilo.bus import RESYNC, Bus
from invigilo.clock import Clock
from invigilo.errors import NotFound, Refused
from invigilo.exams.model import Exam
from invigilo.monitoring.duty_rules import shared
from invigilo.monitoring.live import LiveConnections
from invigilo.monitoring.model import Duty
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.queries import duties as queries
from invigilo.storage.queries.desk import patiently
from invigilo.storage.work import WorkFactory

DUTIES_CHANGED = "duties"
LOOKING = "duties.looking"
LEASE = 12_000  # ms another node's word on who looks at what stays believed


@dataclass(slots=True)
class Looking:
    """One open page of a proctor: what it shows."""

    exam_id: int
    user_id: int
    name: str
    view: str = "table"
    room_id: int | None = None


@dataclass(slots=True)
class _Node:
    heard_at: int
    pages: list[Looking] = field(default_factory=list[Looking])


@dataclass(frozen=True, slots=True)
class Proctor:
    """Somebody who may be given a room."""

    user_id: int
    name: str
    is_present: bool


class Duties:
    def __init__(
        self, *, work: WorkFactory, reading: WorkFactory, live: LiveConnections, bus: Bus, clock: Clock
    ) -> None:
        self._work = work
        self._reading = reading
        self._live = live
        self._bus = bus
        self._clock = clock
        self._of_exam: dict[int, dict[int, Duty]] = {}
        self._pages: dict[str, Looking] = {}
        self._nodes: dict[str, _Node] = {}
        self._reload_task: asyncio.Task[None] | None = None
        self._reload_due = False
        bus.subscribe(DUTIES_CHANGED, self._heard_change)
        bus.subscribe(RESYNC, self._heard_change)
        bus.subscribe(LOOKING, self._heard_looking)

    # --- who is responsible ---

    async def load_all(self) -> None:
        async with self._reading() as w:
            found = await queries.all_duties(w.db)
        by_exam: dict[int, dict[int, Duty]] = defaultdict(dict)
        for one in found:
            by_exam[one.exam_id][one.room_id] = one
        self._of_exam = dict(by_exam)

    def of_exam(self, exam_id: int) -> Mapping[int, Duty]:
        """By room."""
        return self._of_exam.get(exam_id, {})

    async def proctors(self, exam: Exam) -> list[Proctor]:
        """Who may be given a room of this exam, those present first."""
        async with self._reading() as w:
            accounts = await account_queries.all_accounts(w.db)
        here = {one.user_id for one in self.looking(exam.id)}
        found = [
            Proctor(one.id, one.display_name, one.id in here)
            for one in accounts
            if Right.PROCTOR in rights_on(one, exam)
        ]
        return sorted(found, key=lambda one: (not one.is_present, one.name.casefold(), one.user_id))

    async def give(self, exam: Exam, room_ids: Iterable[int], to: int | None, *, by: Account) -> None:
        """Make somebody responsible for rooms, or nobody (None). Raises NotFound, Refused (`not_a_proctor`)."""
        await self._put(exam, dict.fromkeys(room_ids, to), by=by)

    async def hand_over(self, exam: Exam, from_: int, to: int, *, by: Account) -> int:
        """All rooms of one person to another; returns how many. Raises NotFound, Refused."""
        mine = [room for room, duty in self.of_exam(exam.id).items() if duty.user_id == from_]
        await self._put(exam, dict.fromkeys(mine, to), by=by)
        return len(mine)

    async def share(self, exam: Exam, people: Iterable[int] | None, *, by: Account) -> int:
        """Share the rooms out equally among these people, or among those who are present. Returns how many moved.

        Raises Refused (`nobody_there`, `no_rooms`, `not_a_proctor`).
        """
        wanted = {one.user_id for one in self.looking(exam.id)} if people is None else set(people)
        if not wanted:
            raise Refused("nobody_there", "Nobody is there to share the rooms among.")
        async with self._reading() as w:
            room_ids = await queries.rooms_of(w.db, exam.id)
        if not room_ids:
            raise Refused("no_rooms", "There are no rooms yet. They appear as candidates arrive.")
        load = dict.fromkeys(room_ids, 0)
        for live in self._live.of_exam(exam.id):
            if live.state.is_open and live.room_id in load:
                load[live.room_id] += 1
        before = {room: duty.user_id for room, duty in self.of_exam(exam.id).items()}
        plan = shared(load, wanted, before)
        moved = {room: to for room, to in plan.items() if before.get(room) != to}
        await self._put(exam, dict[int, int | None](moved), by=by)
        return len(moved)

    async def _put(self, exam: Exam, changes: Mapping[int, int | None], *, by: Account) -> None:
        if not changes:
            return
        may = {one.user_id: one.name for one in await self.proctors(exam)}
        if any(to is not None and to not in may for to in changes.values()):
            raise Refused(
                "not_a_proctor", "This person may not proctor this exam. Have them assigned to it first."
            )
        async with self._work() as w:
            await queries.lock_exam(w.db, exam.id)
            if not set(changes) <= await queries.rooms_of(w.db, exam.id):
                raise NotFound("There is no such room in this exam any more.", key="room_gone")
            await queries.put(w.db, changes, since=self._clock.now_ms(), given_by=by.display_name)
            for room_id, to in changes.items():
                await record(
                    w,
                    at=self._clock.now(),
                    actor=by,
                    deed="duty_ended" if to is None else "duty_given",
                    institution_id=exam.institution_id,
                    exam_id=exam.id,
                    room_id=room_id,
                    detail={} if to is None else {"to": may[to]},
                )
            w.announce(DUTIES_CHANGED, exam.id)
        await self.load_all()

    def _heard_change(self, _payload: Any) -> None:
        self._reload_due = True
        if self._reload_task is None or self._reload_task.done():
            self._reload_task = asyncio.get_running_loop().create_task(self._reload(), name="duties")

    async def _reload(self) -> None:
        while self._reload_due:
            self._reload_due = False
            await patiently(self.load_all)

    # --- who is looking ---

    def arrive(self, peer: str, exam_id: int, account: Account) -> None:
        self._pages[peer] = Looking(exam_id, account.id, account.display_name)
        self.tell()

    def look(self, peer: str, view: str, room_id: int | None) -> None:
        """This page shows something else now."""
        page = self._pages.get(peer)
        if page is not None and (page.view, page.room_id) != (view, room_id):
            page.view, page.room_id = view, room_id
            self.tell()

    def leave(self, peer: str) -> None:
        if self._pages.pop(peer, None) is not None:
            self.tell()

    def looking(self, exam_id: int) -> list[Looking]:
        """Every open page on this exam, of all nodes."""
        now = self._clock.now_ms()
        others = (page for node in self._nodes.values() if now - node.heard_at < LEASE for page in node.pages)
        return [one for one in (*self._pages.values(), *others) if one.exam_id == exam_id]

    def people(self, exam_id: int) -> list[dict[str, Any]]:
        """Who is there, for the stream: each person once, with the rooms they have open."""
        found: dict[int, dict[str, Any]] = {}
        for page in self.looking(exam_id):
            person = found.setdefault(page.user_id, {"user": page.user_id, "name": page.name, "rooms": []})
            if page.room_id is not None and page.room_id not in person["rooms"]:
                person["rooms"].append(page.room_id)
        for person in found.values():
            person["rooms"].sort()
        return sorted(found.values(), key=lambda one: (one["name"].casefold(), one["user"]))

    def tell(self) -> None:
        """Say it to the other nodes; also called every few seconds."""
        if not self._bus.has_others:
            return
        pages = [[one.exam_id, one.user_id, one.name, one.view, one.room_id] for one in self._pages.values()]
        self._bus.tell_others(LOOKING, [self._bus.node, pages])

    def _heard_looking(self, payload: Any) -> None:
        name, pages = payload
        now = self._clock.now_ms()
        self._nodes[name] = _Node(now, [Looking(*one) for one in pages])
        for gone in [one for one, node in self._nodes.items() if now - node.heard_at > 10 * LEASE]:
            del self._nodes[gone]
