"""`/api/v1/exams/{id}/monitoring` and what belongs to it: the monitoring desk for programs."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from litestar import delete, get, patch, post, put
from litestar.params import FromPath, JSONBody

from invigilo.accounts.model import Right, Scope
from invigilo.accounts.permissions import access_exam
from invigilo.errors import BadInput
from invigilo.exams.model import Exam
from invigilo.web import desk_view as view
from invigilo.web.api.base import ApiCaller, Caller, needs
from invigilo.web.lists import list_query
from invigilo.web.parts import AnyRequest, Site, SiteParts

READ, WRITE = needs(Scope.MONITORING_READ), needs(Scope.MONITORING_WRITE)
TAGS = ["monitoring"]


class OpenNotification(msgspec.Struct, frozen=True):
    number: int
    kind: str
    text: str
    at: int


class AskedDeed(msgspec.Struct, frozen=True):
    """The newest thing a proctor asked of this client."""

    what: str
    answer: str
    at: int


class CandidateRow(msgspec.Struct, frozen=True):
    """One connection as the monitoring page shows it. Times are milliseconds since the Unix epoch."""

    id: int
    name: str
    user: str | None
    group: str
    room: int | None
    state: str
    seb_version: str | None
    os: str | None
    machine: str | None
    last_ping: int | None
    missing: bool
    seb: str
    joined: str
    frames: str
    cause: str | None
    severity: str
    notifications: list[OpenNotification]
    battery: float | None
    wlan: float | None
    errors: int
    warnings: int
    flags: list[str]
    levels: dict[str, str]
    deed: AskedDeed | None
    notes: int
    incidents: int


class CandidateRows(msgspec.Struct, frozen=True):
    """Everybody of the exam, now."""

    items: list[CandidateRow]


def _exam(site: Site, caller: Caller, exam_id: int, right: Right = Right.PROCTOR) -> Exam:
    return access_exam(caller.account, site.directory.exams.get(exam_id), right)


@get(
    "/exams/{exam_id:int}/monitoring",
    opt=READ,
    tags=TAGS,
    summary="Everybody of an exam as proctors see them",
)
async def monitoring(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> CandidateRows:
    rows: list[dict[str, Any]] = site.stream.judged_all(_exam(site, caller, exam_id))
    return CandidateRows([msgspec.convert(row, CandidateRow) for row in rows])


@post(
    "/exams/{exam_id:int}/monitoring/deeds",
    status_code=200,
    opt=WRITE,
    tags=TAGS,
    summary="Settle hands, lock, unlock, end or disable: one candidate, several, or everybody",
)
async def do(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[view.DeedBody]
) -> view.DeedOutcome:
    exam = _exam(site, caller, exam_id)
    return view.outcome_view(await site.desk.act(exam, data.wish(), caller.account))


@get(
    "/exams/{exam_id:int}/connections/{connection_id:int}/story",
    opt=READ,
    tags=TAGS,
    summary="What happened with one candidate: notes, deeds, hands and locks, comings and goings",
)
async def story(
    request: AnyRequest,
    site: SiteParts,
    caller: ApiCaller,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
) -> view.Story:
    exam = _exam(site, caller, exam_id)
    live = view.live_of(site, exam, connection_id)
    return await view.story(site, exam, live, site.renderer.language_of(request))


@get(
    "/exams/{exam_id:int}/notes",
    opt=READ,
    tags=TAGS,
    summary="Notes and incidents of an exam",
    description="Query: `connection_id` (of one person), `incidents` (1: only those), `before` (`next` of the page before),"
    " `size`.",
)
async def notes(
    request: AnyRequest, site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]
) -> view.NoteList:
    exam = _exam(site, caller, exam_id)
    query = request.query_params
    wanted = str(query.get("connection_id") or "")
    if wanted and not (wanted.isascii() and wanted.isdecimal() and len(wanted) <= 10):
        raise BadInput("`connection_id` is a number.", field="connection_id")
    live = view.live_of(site, exam, int(wanted)) if wanted else None
    return await view.note_list(
        site,
        exam,
        live,
        incidents_only=query.get("incidents") == "1",
        before=str(query.get("before") or ""),
        limit=list_query(request, sorts=["at"], default="at").size,
    )


@post("/exams/{exam_id:int}/notes", opt=WRITE, tags=TAGS, summary="Write a note, or flag an incident")
async def add_note(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[view.NoteBody]
) -> view.NoteView:
    exam = _exam(site, caller, exam_id)
    live = view.live_of(site, exam, data.connection_id)
    key = data.key or secrets.token_urlsafe(16)
    return view.note_view(await site.notes.add(exam, live, data.wish(), key=key, by=caller.account))


@patch("/exams/{exam_id:int}/notes/{note_id:int}", opt=WRITE, tags=TAGS, summary="Change a note")
async def change_note(
    site: SiteParts,
    caller: ApiCaller,
    exam_id: FromPath[int],
    note_id: FromPath[int],
    data: JSONBody[view.NoteChange],
) -> view.NoteView:
    exam = _exam(site, caller, exam_id)
    changed = await site.notes.change(exam, note_id, data.wish(), revision=data.revision, by=caller.account)
    return view.note_view(changed)


@delete(
    "/exams/{exam_id:int}/notes/{note_id:int}",
    status_code=200,
    opt=WRITE,
    tags=TAGS,
    summary="Take a note back: it stays to be read, and counts no more",
)
async def take_back_note(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], note_id: FromPath[int]
) -> view.NoteView:
    exam = _exam(site, caller, exam_id)
    return view.note_view(await site.notes.take_back(exam, note_id, by=caller.account))


@get("/exams/{exam_id:int}/thresholds", opt=READ, tags=TAGS, summary="The thresholds of indicators")
async def thresholds(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> view.ThresholdsView:
    return view.thresholds_view(site.desk.measure(_exam(site, caller, exam_id).id))


@put("/exams/{exam_id:int}/thresholds", opt=WRITE, tags=TAGS, summary="Set the thresholds of indicators")
async def set_thresholds(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[view.ThresholdsBody]
) -> view.ThresholdsView:
    exam = _exam(site, caller, exam_id, Right.CHANGE)
    by = caller.account
    return view.thresholds_view(
        await site.desk.set_thresholds(exam, data.wish(), revision=data.revision, by=by)
    )


@get("/exams/{exam_id:int}/duties", opt=READ, tags=TAGS, summary="Who is responsible for which room")
async def duties(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> view.DutyView:
    return await view.duty_view(site, _exam(site, caller, exam_id))


@put("/exams/{exam_id:int}/duties", opt=WRITE, tags=TAGS, summary="Make somebody responsible for rooms")
async def give_duty(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[view.DutyBody]
) -> view.DutyView:
    exam = _exam(site, caller, exam_id)
    await site.duties.give(exam, data.room_ids, data.to, by=caller.account)
    return await view.duty_view(site, exam)


@post(
    "/exams/{exam_id:int}/duties/share",
    status_code=200,
    opt=WRITE,
    tags=TAGS,
    summary="Share the rooms out equally",
)
async def share_duties(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[view.ShareBody]
) -> view.Moved:
    exam = _exam(site, caller, exam_id)
    return view.Moved(await site.duties.share(exam, data.people, by=caller.account))


@post(
    "/exams/{exam_id:int}/duties/hand-over",
    status_code=200,
    opt=WRITE,
    tags=TAGS,
    summary="Hand all rooms of one person over to another",
)
async def hand_over(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[view.HandOverBody]
) -> view.Moved:
    exam = _exam(site, caller, exam_id)
    return view.Moved(await site.duties.hand_over(exam, data.of, data.to, by=caller.account))


handlers = [
    monitoring,
    do,
    story,
    notes,
    add_note,
    change_note,
    take_back_note,
    thresholds,
    set_thresholds,
    duties,
    give_duty,
    share_duties,
    hand_over,
]
