"""Looking back on exams: which are over, who was connected, and everything that happened to a connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import access_exam, require_exams, sight_of
from invigilo.clock import Clock
from invigilo.errors import BadInput, NotFound
from invigilo.exams.model import Exam
from invigilo.monitoring.event_search import unhurried
from invigilo.monitoring.model import (
    ConnectionState,
    FinishedExam,
    InstructionType,
    Moment,
    MomentKind,
    Place,
)
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.queries import records as queries
from invigilo.storage.queries.records import ConnectionRecord, TimelinePage
from invigilo.storage.work import WorkFactory

EXPORT_PAGE = 500
ABSENT_SHOWN = 200


class _Box(Protocol):
    def decrypt(self, sealed: str) -> str: ...


@dataclass(frozen=True, slots=True)
class ConnectionWish:
    """Which connections of an exam, and in which order."""

    search: str = ""
    state: ConnectionState | None = None
    sort: str = "name"
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class Absent:
    """Candidates of the roster of whom no client came: some of them, and how many in all."""

    some: Sequence[tuple[str, str]]
    total: int


def read_place(text: str) -> Place | None:
    """From an address. Raises BadInput."""
    if not text:
        return None
    parts = text.split("-")
    if len(parts) != 3 or not all(one.isascii() and one.isdecimal() and len(one) <= 18 for one in parts):
        raise BadInput("`after` is what the page before gave as `next`.", field="after")
    return Place(*(int(one) for one in parts))


class Records:
    """Every way in checks the right to look back."""

    def __init__(self, *, reading: WorkFactory, box: _Box, clock: Clock) -> None:
        self._reading = reading
        self._box = box
        self._clock = clock

    async def finished(
        self, by: Account, *, search: str, sort: str, is_descending: bool, offset: int, limit: int
    ) -> tuple[list[FinishedExam], int]:
        """Exams that are over, of those one may look back on."""
        require_exams(by, Right.LOOK_BACK)
        async with self._reading() as w:
            return await queries.finished_page(
                w.db,
                sight_of(by),
                now=self._clock.now_ms(),
                search=search,
                sort=sort,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )

    async def exam(self, exam_id: int, by: Account) -> Exam:
        """One exam, running, over or archived. Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            return access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.LOOK_BACK)

    async def connections(
        self, exam: Exam, wish: ConnectionWish, *, offset: int, limit: int
    ) -> tuple[list[ConnectionRecord], int]:
        async with self._reading() as w:
            return await queries.connection_page(
                w.db,
                exam.id,
                search=wish.search,
                state=wish.state,
                sort=wish.sort,
                is_descending=wish.is_descending,
                offset=offset,
                limit=limit,
            )

    async def absent(self, exam: Exam) -> Absent:
        async with self._reading() as w:
            return Absent(*await queries.never_connected(w.db, exam.id, ABSENT_SHOWN))

    async def connection(self, exam: Exam, connection_id: int) -> ConnectionRecord:
        """Raises NotFound for one of another exam."""
        async with self._reading() as w:
            found = await queries.connection_record(w.db, exam.id, connection_id)
        if found is None:
            raise NotFound("There is no such connection in this exam.", key="no_such_connection")
        return found

    async def timeline(
        self,
        of: ConnectionRecord,
        *,
        kinds: frozenset[MomentKind] = frozenset(),
        after: Place | None = None,
        is_backwards: bool = False,
        limit: int = 200,
    ) -> TimelinePage:
        async with self._reading() as w:
            page = await queries.timeline(
                w.db, of, kinds=kinds, after=after, is_backwards=is_backwards, limit=limit
            )
        page.moments = [self._opened(one) for one in page.moments]
        return page

    def _opened(self, moment: Moment) -> Moment:
        """With the message a candidate was shown. All else an instruction carries (join tokens) stays shut."""
        if not moment.sealed or moment.what != InstructionType.LOCK_SCREEN.value:
            return replace(moment, sealed="")
        attributes = msgspec.json.decode(self._box.decrypt(moment.sealed), type=dict[str, str])
        return replace(moment, text=attributes.get("message", ""), sealed="")

    async def export(self, exam: Exam, wish: ConnectionWish) -> AsyncGenerator[list[ConnectionRecord]]:
        """All connections in the order they came, piece by piece, each in a transaction of its own."""
        after = 0
        while True:
            at = after
            some = await unhurried(lambda at=at: self._after(exam, wish, at))
            if not some:
                return
            yield some
            after = some[-1].id

    async def _after(self, exam: Exam, wish: ConnectionWish, after: int) -> list[ConnectionRecord]:
        async with self._reading() as w:
            return await queries.connections_after(
                w.db, exam.id, after, search=wish.search, state=wish.state, limit=EXPORT_PAGE
            )
