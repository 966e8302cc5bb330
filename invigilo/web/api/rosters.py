"""`/api/v1/exams/{id}/roster`: who is expected in an exam."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK
from msgspec import UNSET, UnsetType

from invigilo.accounts.model import Scope
from invigilo.errors import Invalid, Problem
from invigilo.exams import roster_file
from invigilo.exams.model import Candidate
from invigilo.exams.roster_file import BadLine, Line, Mode, Plan, RosterFile
from invigilo.storage.queries.exam_office import ROSTER_SORTS
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.lists import list_query
from invigilo.web.parts import SiteParts

TAGS = ["rosters"]
BODY_LIMIT = 8 * 1024 * 1024


class CandidateOut(msgspec.Struct, frozen=True):
    """One line of a roster."""

    id: int
    user_id: str
    """What the learning system calls this person, and what clients send."""
    name: str
    group: str
    extra_minutes: int


class CandidateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is expected."""

    user_id: str
    name: str
    group: str = ""
    extra_minutes: int = 0


class CandidatePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change; the rest stays."""

    user_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    group: str | UnsetType = UNSET
    extra_minutes: int | UnsetType = UNSET


class RosterIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Candidates to take over."""

    candidates: list[CandidateIn]
    mode: Mode = Mode.ADD
    """`add` keeps those who are not named, `replace` takes them off."""
    dry_run: bool = False
    """Only say what would change."""


class RosterDone(msgspec.Struct, frozen=True):
    """What was changed, or would be."""

    new: int
    changed: int
    removed: int
    unchanged: int


def _out(one: Candidate) -> CandidateOut:
    return CandidateOut(one.id, one.user_id, one.name, one.group, one.extra_minutes)


def _done(plan: Plan) -> RosterDone:
    return RosterDone(len(plan.new), len(plan.changed), len(plan.removed), plan.unchanged)


def _line(number: int, one: CandidateIn) -> Line:
    return Line(number, one.user_id.strip(), one.name.strip(), one.group.strip(), one.extra_minutes)


@get("/exams/{exam_id:int}/roster", opt=needs(Scope.EXAMS_READ), tags=TAGS, summary="The roster, in pages")
async def list_roster(
    request: Request[Any, Any, Any], site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]
) -> ApiList[CandidateOut]:
    query = list_query(request, sorts=ROSTER_SORTS, default="name")
    _, found, total = await site.rosters.page(
        exam_id,
        caller.account,
        search=query.search,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    return listed([_out(one) for one in found], total, page=query.page, size=query.size)


@get(
    "/exams/{exam_id:int}/roster.csv",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="The roster as CSV",
    media_type="text/csv",
)
async def export_roster(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> Response[bytes]:
    _, data = await site.rosters.file(exam_id, caller.account)
    return Response(data, media_type="text/csv", headers={"Cache-Control": "no-store"})


@put(
    "/exams/{exam_id:int}/roster",
    opt=needs(Scope.EXAMS_WRITE),
    tags=TAGS,
    summary="Take candidates over",
    request_max_body_size=BODY_LIMIT,
)
async def put_roster(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[RosterIn]
) -> RosterDone:
    """All or nothing: one candidate that cannot be used refuses all, each named by its place in the list."""
    file = _file(data.candidates)
    if data.dry_run:
        return _done((await site.rosters.preview(exam_id, file, data.mode, caller.account)).plan)
    return _done(await site.rosters.apply(exam_id, file, data.mode, caller.account))


def _file(candidates: list[CandidateIn]) -> RosterFile:
    if len(candidates) > roster_file.MOST:
        words = f"A roster has at most {roster_file.MOST} candidates."
        raise Invalid(Problem("candidates", "too_many_lines", words))
    lines = [_line(number, one) for number, one in enumerate(candidates)]
    found: list[Problem] = []
    seen: set[str] = set()
    for line in lines:
        wrong = roster_file.line_problems(line)
        if line.user_id in seen:
            wrong.append(Problem("user_id", "stands_twice", "This user id stands in the list already."))
        seen.add(line.user_id)
        found += [Problem(f"candidates[{line.number}].{one.field}", one.code, one.message) for one in wrong]
    if found:
        raise Invalid(*found[:1_000])
    return RosterFile(tuple(lines), tuple[BadLine, ...]())


@post("/exams/{exam_id:int}/roster", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Add one candidate")
async def add_to_roster(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[CandidateIn]
) -> CandidateOut:
    return _out(await site.rosters.add(exam_id, _line(0, data), caller.account))


@get(
    "/exams/{exam_id:int}/roster/{candidate_id:int}",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="One candidate",
)
async def read_candidate(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], candidate_id: FromPath[int]
) -> CandidateOut:
    _, one = await site.rosters.candidate(exam_id, candidate_id, caller.account)
    return _out(one)


@patch(
    "/exams/{exam_id:int}/roster/{candidate_id:int}",
    opt=needs(Scope.EXAMS_WRITE),
    tags=TAGS,
    summary="Change one candidate",
    status_code=HTTP_200_OK,
)
async def change_candidate_api(
    site: SiteParts,
    caller: ApiCaller,
    exam_id: FromPath[int],
    candidate_id: FromPath[int],
    data: JSONBody[CandidatePatch],
) -> CandidateOut:
    _, one = await site.rosters.candidate(exam_id, candidate_id, caller.account)
    wished = CandidateIn(
        one.user_id if isinstance(data.user_id, UnsetType) else data.user_id,
        one.name if isinstance(data.name, UnsetType) else data.name,
        one.group if isinstance(data.group, UnsetType) else data.group,
        one.extra_minutes if isinstance(data.extra_minutes, UnsetType) else data.extra_minutes,
    )
    return _out(await site.rosters.change(exam_id, candidate_id, _line(0, wished), caller.account))


@delete(
    "/exams/{exam_id:int}/roster/{candidate_id:int}",
    opt=needs(Scope.EXAMS_WRITE),
    tags=TAGS,
    summary="Take one candidate off the roster",
)
async def delete_candidate_api(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], candidate_id: FromPath[int]
) -> None:
    await site.rosters.delete(exam_id, [candidate_id], caller.account)


handlers = [
    list_roster,
    export_roster,
    put_roster,
    add_to_roster,
    read_candidate,
    change_candidate_api,
    delete_candidate_api,
]
