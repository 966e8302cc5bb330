"""The monitoring desk: deeds on one candidate, on several or on all, and each exam's thresholds.

A deed on many is one transaction: either everybody whom it fits is sent the instruction, on record each, or nobody is. Whom
it does not fit (gone, cannot be locked, no hand up) is named in the answer, with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invigilo.accounts.model import Account
from invigilo.activity.service import record, record_all
from invigilo.bus import RESYNC, Bus
from invigilo.clock import Clock
from invigilo.errors import CHANGED_MEANWHILE, NotFound, Refused
from invigilo.exams.model import Exam
from invigilo.monitoring import desk_rules, rules
from invigilo.monitoring.answers import TYPES
from invigilo.monitoring.capability import capability_of
from invigilo.monitoring.desk_rules import DeedWish, Target
from invigilo.monitoring.indicators import STANDARD, Indicator, Thresholds, checked
from invigilo.monitoring.live import LiveConnection, LiveConnections
from invigilo.monitoring.model import DeskDeed
from invigilo.monitoring.service import NOTIFICATION_SETTLED, Connections
from invigilo.monitoring.writer import Writer
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries import desk as queries
from invigilo.storage.work import Work, WorkFactory

THRESHOLDS_CHANGED = "desk.thresholds"

ON_RECORD = {
    DeskDeed.SETTLE: "notification_confirmed",
    DeskDeed.LOCK: "screen_locked",
    DeskDeed.UNLOCK: "screen_unlocked",
    DeskDeed.QUIT: "seb_quit",
    DeskDeed.DISABLE: "connection_disabled",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Somebody whom the deed does not fit."""

    connection_id: int
    why: Refused


@dataclass(frozen=True, slots=True)
class Outcome:
    done: list[int]
    refused: list[Refusal]


@dataclass(frozen=True, slots=True)
class Measure:
    """An exam's thresholds as somebody reads them, to change them."""

    thresholds: Thresholds
    revision: int
    is_own: bool
    """Somebody set them for this exam; else they are the defaults."""


class Desk:
    """What proctors do to candidates, beyond watching."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        connections: Connections,
        live: LiveConnections,
        writer: Writer,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._work = work
        self._reading = reading
        self._connections = connections
        self._live = live
        self._writer = writer
        self._clock = clock
        self._measures: dict[int, Measure] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        bus.subscribe(THRESHOLDS_CHANGED, self._heard_thresholds)
        bus.subscribe(RESYNC, self._heard_thresholds)

    # --- deeds ---

    async def act(self, exam: Exam, wish: DeedWish, by: Account) -> Outcome:
        """Do it to whom it fits. Raises NotFound, Refused (`desk_rules`), BadInput.

        On a single connection a refusal is raised; among several it is part of the outcome.
        """
        targets = self._targets(exam, wish)
        desk_rules.check(wish, len(targets))
        fit, refused = self._sorted(wish.deed, targets)
        if not fit and len(refused) == 1:
            raise refused[0].why
        if wish.deed in desk_rules.KINDS:
            await asyncio.shield(
                self._writer.flush()
            )  # a notification's opening must be stored before its end
        if fit:
            async with self._work() as w:
                details = await self._carry_out(w, wish, fit, by)
                await record_all(
                    w,
                    at=self._clock.now(),
                    actor=by,
                    deed=ON_RECORD[wish.deed],
                    institution_id=exam.institution_id,
                    exam_id=exam.id,
                    about=[(one.id, details[one.id] | _of_many(len(fit))) for one in fit],
                )
            await self._connections.reload([one.id for one in fit])
        return Outcome([one.id for one in fit], refused)

    def _targets(self, exam: Exam, wish: DeedWish) -> list[LiveConnection]:
        if wish.connections is None:
            return [one for one in self._live.of_exam(exam.id) if one.state.is_open and not one.is_replaced]
        found = [self._live.by_id.get(one) for one in sorted(wish.connections)]
        mine = [one for one in found if one is not None and one.exam_id == exam.id]
        if len(mine) < len(found):
            raise NotFound("There is no such connection in this exam.", key="no_such_connection")
        return mine

    def _sorted(
        self, deed: DeskDeed, targets: list[LiveConnection]
    ) -> tuple[list[LiveConnection], list[Refusal]]:
        now = self._clock.now_ms()
        fit: list[LiveConnection] = []
        refused: list[Refusal] = []
        for live in targets:
            target = Target(
                state=live.state,
                is_missing=rules.is_missing(live.last_ping or live.created_at, now),
                capability=capability_of(live.device.os_name, live.device.seb_version),
                notifications=live.notifications.values(),
            )
            try:
                desk_rules.refuse(deed, target)
            except Refused as error:
                refused.append(Refusal(live.id, error))
            else:
                fit.append(live)
        return fit, refused

    async def _carry_out(
        self, w: Work, wish: DeedWish, fit: list[LiveConnection], by: Account
    ) -> dict[int, dict[str, Any]]:
        """Returns what goes on record with each."""
        match wish.deed:
            case DeskDeed.DISABLE:
                for live in fit:
                    await self._connections.disable_in(w, live)
                return {live.id: {} for live in fit}
            case DeskDeed.SETTLE | DeskDeed.UNLOCK:
                return {live.id: await self._settle(w, wish.deed, live, by) for live in fit}
            case DeskDeed.LOCK | DeskDeed.QUIT:
                message = wish.message.strip() if wish.deed is DeskDeed.LOCK else ""
                attributes = {"message": message} if message else {}
                ids = await self._connections.instruct_all(
                    w, [live.id for live in fit], TYPES[wish.deed], attributes
                )
                return {
                    live.id: {"instruction": sent, **attributes} for live, sent in zip(fit, ids, strict=True)
                }

    async def _settle(self, w: Work, deed: DeskDeed, live: LiveConnection, by: Account) -> dict[str, Any]:
        """Every open notification of the kind: a client that stacks locks opens only when the last one is settled."""
        now = self._clock.now_ms()
        sent: int | None = None
        numbers: list[int] = []
        for one in desk_rules.settles(deed, live.notifications.values()):
            if not await connection_queries.settle_notification(w.db, live.id, one.number, now, by.id):
                continue  # somebody else did a moment ago
            attributes = {"type": one.kind.value, "id": str(one.number)}
            sent = await self._connections.instruct(w, live.id, TYPES[deed], attributes)
            numbers.append(one.number)
            w.announce(NOTIFICATION_SETTLED, [live.id, one.number])
        return {"number": ", ".join(map(str, numbers)), "instruction": sent}

    # --- thresholds ---

    async def load_all(self) -> None:
        async with self._reading() as w:
            stored = await queries.thresholds(w.db)
        self._measures = {
            exam_id: Measure(Thresholds.from_json(values), revision, is_own=True)
            for exam_id, (values, revision) in stored.items()
        }

    def measure(self, exam_id: int) -> Measure:
        return self._measures.get(exam_id) or Measure(STANDARD, 0, is_own=False)

    async def set_thresholds(
        self,
        exam: Exam,
        wish: Mapping[Indicator, tuple[int, int] | None],
        *,
        revision: int | None,
        by: Account,
    ) -> Measure:
        """Raises Invalid, Refused (`changed_meanwhile`)."""
        wanted = checked(wish)
        async with self._work() as w:
            before = await queries.thresholds(w.db, exam.id, lock=True)
            known = before[exam.id][1] if exam.id in before else 0
            if revision is not None and revision != known:
                raise Refused(
                    CHANGED_MEANWHILE, "Somebody changed the thresholds meanwhile. Look again, then save."
                )
            await queries.put_thresholds(w.db, exam.id, wanted.as_json(), revision=known + 1)
            await record(
                w,
                at=self._clock.now(),
                actor=by,
                deed="thresholds_changed",
                institution_id=exam.institution_id,
                exam_id=exam.id,
                detail=_in_words(wanted),
            )
            w.announce(THRESHOLDS_CHANGED, exam.id)
        await self.load_all()
        return self.measure(exam.id)

    def _heard_thresholds(self, _payload: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._reload_thresholds(), name="thresholds")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload_thresholds(self) -> None:
        await queries.patiently(self.load_all)


def _of_many(count: int) -> dict[str, Any]:
    return {"of": count} if count > 1 else {}


def _in_words(thresholds: Thresholds) -> dict[str, Any]:
    return {
        name: "–" if at is None else f"{at['warning']}/{at['problem']}"
        for name, at in thresholds.as_json().items()
    }
