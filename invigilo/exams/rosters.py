"""Who is expected in an exam: imported from a file after a preview, or edited line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import access_exam
from invigilo.activity.service import record
from invigilo.clock import Clock
from invigilo.errors import CHANGED_MEANWHILE, Invalid, NotFound, Problem, Refused
from invigilo.exams import roster_file
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import Candidate, Exam
from invigilo.exams.roster_file import Line, Mode, Plan, RosterFile
from invigilo.storage.queries import exam_office as queries
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.work import Work, WorkFactory


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file would do, and the roster it was compared with."""

    exam: Exam
    plan: Plan
    mark: str


class Rosters:
    """Reading rosters is for those who proctor the exam, changing them for its administrators."""

    def __init__(self, *, work: WorkFactory, reading: WorkFactory, clock: Clock) -> None:
        self._work = work
        self._reading = reading
        self._clock = clock

    async def page(
        self,
        exam_id: int,
        by: Account,
        *,
        search: str = "",
        sort: str = "name",
        is_descending: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> tuple[Exam, list[Candidate], int]:
        """The exam, one page of its roster, and how many there are. Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.PROCTOR)
            found, total = await queries.roster_page(
                w.db,
                exam_id,
                search=search,
                sort=sort,
                is_descending=is_descending,
                offset=offset,
                limit=limit,
            )
        return exam, found, total

    async def file(self, exam_id: int, by: Account) -> tuple[Exam, bytes]:
        """The roster as CSV; the record says who took it. Raises NotFound, NotAllowed."""
        async with self._work() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.PROCTOR)
            found = await queries.roster_of(w.db, exam_id)
            await self._record(w, exam, by, "roster_exported", candidates=len(found))
        ordered = sorted(found.values(), key=lambda one: (one.name.casefold(), one.user_id))
        return exam, roster_file.write(ordered)

    async def candidate(self, exam_id: int, candidate_id: int, by: Account) -> tuple[Exam, Candidate]:
        """One line of the roster, to be edited. Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.CHANGE)
            return exam, _found(await queries.candidate_by_id(w.db, exam_id, candidate_id))

    # --- a file ---

    async def preview(self, exam_id: int, file: RosterFile, mode: Mode, by: Account) -> Preview:
        """What applying the file would do. Raises NotFound, NotAllowed."""
        async with self._reading() as w:
            exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.CHANGE)
            current = await queries.roster_of(w.db, exam_id)
        return Preview(exam, roster_file.plan(current, file, mode), _mark(current))

    async def apply(
        self, exam_id: int, file: RosterFile, mode: Mode, by: Account, *, mark: str | None = None
    ) -> Plan:
        """Take the file over; with a mark only onto the roster that was previewed.

        Lines that cannot be used are left out when candidates are added; a roster is not replaced by a file that has any,
        for nobody could tell who was meant to stay. Raises NotFound, NotAllowed, Invalid, Refused.
        """
        if mode is Mode.REPLACE and file.bad:
            raise Invalid(
                *[
                    Problem(f"lines[{one.number}].{one.problem.field}", one.problem.code, one.problem.message)
                    for one in file.bad[:100]
                ]
            )
        async with self._work() as w:
            exam = await self._locked(w, exam_id, by)
            current = await queries.roster_of(w.db, exam_id)
            if mark is not None and mark != _mark(current):
                raise Refused(
                    CHANGED_MEANWHILE,
                    "Somebody else changed the roster meanwhile. Look at the preview again.",
                )
            plan = roster_file.plan(current, file, mode)
            total = len(current) + len(plan.new) - len(plan.removed)
            if total > roster_file.MOST:
                words = f"A roster has at most {roster_file.MOST} candidates."
                raise Invalid(Problem("file", "too_many_lines", words, {"most": roster_file.MOST}))
            await queries.delete_candidates(w.db, [one.id for one in plan.removed])
            for before, line in plan.changed:
                await queries.update_candidate(w.db, before.id, **_columns(line))
            await queries.add_candidates(
                w.db, [{"exam_id": exam_id, "user_id": line.user_id, **_columns(line)} for line in plan.new]
            )
            if plan.does_something:
                await directory_changed(w)
                await self._record(
                    w,
                    exam,
                    by,
                    "roster_imported",
                    new=len(plan.new),
                    changed=len(plan.changed),
                    removed=len(plan.removed),
                    left_out=len(plan.bad),
                )
            return plan

    # --- one line ---

    async def add(self, exam_id: int, line: Line, by: Account) -> Candidate:
        """One more candidate. Raises NotFound, NotAllowed, Invalid."""
        async with self._work() as w:
            exam = await self._locked(w, exam_id, by)
            current = await queries.roster_of(w.db, exam_id)
            self._check(line, taken=current)
            try:
                await queries.add_candidates(
                    w.db, [{"exam_id": exam_id, "user_id": line.user_id, **_columns(line)}]
                )
            except IntegrityError as error:
                raise Invalid(_taken(line)) from error
            await self._changed(w, exam, by, "candidate_added", line.user_id)
            return (await queries.roster_of(w.db, exam_id))[line.user_id]

    async def change(self, exam_id: int, candidate_id: int, line: Line, by: Account) -> Candidate:
        """Another name, group, time or user id. Raises NotFound, NotAllowed, Invalid."""
        async with self._work() as w:
            exam = await self._locked(w, exam_id, by)
            before = _found(await queries.candidate_by_id(w.db, exam_id, candidate_id))
            current = await queries.roster_of(w.db, exam_id)
            current.pop(before.user_id, None)
            self._check(line, taken=current)
            if line.user_id == before.user_id and line.fits(before):
                return before
            await queries.update_candidate(w.db, candidate_id, user_id=line.user_id, **_columns(line))
            await self._changed(w, exam, by, "candidate_changed", line.user_id)
            return _found(await queries.candidate_by_id(w.db, exam_id, candidate_id))

    async def delete(self, exam_id: int, candidate_ids: Sequence[int], by: Account) -> None:
        """Take people off the roster; who is connected stays connected. Raises NotFound, NotAllowed."""
        async with self._work() as w:
            exam = await self._locked(w, exam_id, by)
            for candidate_id in candidate_ids:
                one = _found(await queries.candidate_by_id(w.db, exam_id, candidate_id))
                await queries.delete_candidates(w.db, [one.id])
                await self._changed(w, exam, by, "candidate_deleted", one.user_id)

    # --- steps ---

    async def _locked(self, w: Work, exam_id: int, by: Account) -> Exam:
        await queries.lock_exam(w.db, exam_id)
        exam = access_exam(by, await exam_queries.exam_by_id(w.db, exam_id), Right.CHANGE)
        if exam.archived_at is not None:
            raise Refused("exam_archived", "An archived exam stays as it is. Take it back first.")
        return exam

    @staticmethod
    def _check(line: Line, *, taken: Mapping[str, Candidate]) -> None:
        found = roster_file.line_problems(line)
        if line.user_id in taken:
            found.append(_taken(line))
        if len(taken) >= roster_file.MOST:
            words = f"A roster has at most {roster_file.MOST} candidates."
            found.append(Problem("user_id", "too_many_lines", words, {"most": roster_file.MOST}))
        if found:
            raise Invalid(*found)

    async def _changed(self, w: Work, exam: Exam, by: Account, deed: str, user_id: str) -> None:
        await directory_changed(w)
        await self._record(w, exam, by, deed, user_id=user_id)

    async def _record(self, w: Work, exam: Exam, by: Account, deed: str, **detail: Any) -> None:
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed=deed,
            institution_id=exam.institution_id,
            exam_id=exam.id,
            detail={"name": exam.name, **detail},
        )


def _columns(line: Line) -> dict[str, Any]:
    return {"name": line.name, "group_name": line.group, "extra_minutes": line.extra_minutes}


def _found(candidate: Candidate | None) -> Candidate:
    if candidate is None:
        raise NotFound("There is no such candidate on this roster.", key="no_such_candidate")
    return candidate


def _taken(line: Line) -> Problem:
    return Problem(
        "user_id",
        "user_id_taken",
        "Somebody else on this roster has that user id.",
        {"user_id": line.user_id},
    )


def _mark(current: Mapping[str, Candidate]) -> str:
    """Differs whenever the roster does."""
    said = sorted((one.user_id, one.name, one.group, one.extra_minutes) for one in current.values())
    return hashlib.sha256(repr(said).encode()).hexdigest()
