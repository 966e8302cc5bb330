"""Who is expected in an exam: the list, the import with its preview, and single lines."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import rights_on
from invigilo.errors import CHANGED_MEANWHILE, Invalid, InvigiloError, Problem, Refused
from invigilo.exams import roster_file
from invigilo.exams.model import Candidate, Exam
from invigilo.exams.roster_file import Line, Mode
from invigilo.storage.queries.exam_office import ROSTER_SORTS
from invigilo.web.forms.form import Form
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.views_exams import CandidateFormPage, RosterPage, RosterPreviewPage
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts

UPLOAD_LIMIT = roster_file.LARGEST + 64 * 1024
CARRIED_LIMIT = 8 * roster_file.LARGEST  # the previewed file comes back as a form's field


@get("/exams/{exam_id:int}/roster")
async def roster(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    return await _roster_page(request, site, account, exam_id)


async def _roster_page(
    request: AnyRequest, site: Site, account: Account, exam_id: int, error: InvigiloError | None = None
) -> Response[Any]:
    query = list_query(request, sorts=ROSTER_SORTS, default="name")
    exam, found, total = await site.rosters.page(
        exam_id,
        account,
        search=query.search,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    frame = frame_of(request, site, account)
    page = RosterPage(
        frame=frame,
        exam=exam,
        list=ListView(found, total, query, f"/exams/{exam_id}/roster"),
        may_change=Right.CHANGE in rights_on(account, exam) and exam.archived_at is None,
        upload=form_view(site, frame.language, {}, error),
    )
    status = 200 if error is None else 400
    return site.renderer.respond(request, "roster.html", page, language=frame.language, status=status)


@get("/exams/{exam_id:int}/roster.csv")
async def export(site: SiteParts, account: SignedIn, exam_id: FromPath[int]) -> Response[bytes]:
    exam, data = await site.rosters.file(exam_id, account)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", exam.name).strip("-.") or "roster"
    name = f"attachment; filename=\"{plain}.csv\"; filename*=UTF-8''{quote(exam.name, safe='')}.csv"
    headers = {"Content-Disposition": name, "Cache-Control": "no-store"}
    return Response(data, media_type="text/csv; charset=utf-8", headers=headers)


# --- import ---


@post("/exams/{exam_id:int}/roster/preview", status_code=200, request_max_body_size=UPLOAD_LIMIT)
async def preview(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    """What the file would change, with every bad line named; nothing is changed yet."""
    await site.exams.get(exam_id, account, Right.CHANGE)
    data = await request.form()
    form = Form.of(data.multi_items())
    try:
        upload = data.get("file")
        content = await upload.read() if isinstance(upload, UploadFile) else b""
        if not content:
            raise Invalid(Problem("file", "no_file", "Choose a CSV file."))
        mode = form.choice("mode", Mode, Mode.ADD)
        return await _preview_page(request, site, account, exam_id, content, mode)
    except InvigiloError as error:
        return await _roster_page(request, site, account, exam_id, error)


@post("/exams/{exam_id:int}/roster/import", status_code=200, request_max_body_size=CARRIED_LIMIT)
async def import_file(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    """Apply what was previewed; when the roster changed meanwhile, the preview is shown anew."""
    await site.exams.get(exam_id, account, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    content = form.raw("text").encode()
    mode = form.choice("mode", Mode, Mode.ADD)
    try:
        file = roster_file.read(content)
        await site.rosters.apply(exam_id, file, mode, account, mark=form.text("mark"))
    except Refused as error:
        if error.code != CHANGED_MEANWHILE:
            raise
        return await _preview_page(request, site, account, exam_id, content, mode, was_changed=True)
    except Invalid as error:
        return await _roster_page(request, site, account, exam_id, error)
    return go(f"/exams/{exam_id}/roster", done="rosters_imported")


async def _preview_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    exam_id: int,
    content: bytes,
    mode: Mode,
    *,
    was_changed: bool = False,
) -> Response[Any]:
    file = roster_file.read(content)
    found = await site.rosters.preview(exam_id, file, mode, account)
    frame = frame_of(request, site, account)
    say = site.renderer
    note = say.catalogue.text(frame.language, "rosters.preview.changed_meanwhile") if was_changed else ""
    page = RosterPreviewPage(
        frame=frame,
        exam=found.exam,
        plan=found.plan,
        problems=[(one.number, say.problem_text(frame.language, one.problem)) for one in found.plan.bad],
        mode=mode.value,
        text=roster_file.text_of(content),
        mark=found.mark,
        note=note,
    )
    status = 409 if was_changed else 200
    return say.respond(request, "roster_preview.html", page, language=frame.language, status=status)


# --- one line ---


@get("/exams/{exam_id:int}/roster/new")
async def new_candidate(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = await site.exams.get(exam_id, account, Right.CHANGE)
    return _candidate_page(request, site, account, exam, {})


@post("/exams/{exam_id:int}/roster/new", status_code=200)
async def add_candidate(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = await site.exams.get(exam_id, account, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        await site.rosters.add(exam_id, _line(form), account)
    except InvigiloError as error:
        return _candidate_page(request, site, account, exam, form_values(form), error=error)
    return go(f"/exams/{exam_id}/roster", done="rosters_saved")


def _line(form: Form) -> Line:
    """Raises Invalid when the minutes are no number."""
    minutes = form.integer("extra_minutes") or 0
    line = Line(0, form.text("user_id"), form.text("name"), form.text("group"), minutes)
    if form.problems:
        form.check(roster_file.line_problems(line))
    return line


@get("/exams/{exam_id:int}/roster/{candidate_id:int}")
async def edit_candidate(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    candidate_id: FromPath[int],
) -> Response[Any]:
    exam, one = await site.rosters.candidate(exam_id, candidate_id, account)
    values = {
        "user_id": one.user_id,
        "name": one.name,
        "group": one.group,
        "extra_minutes": one.extra_minutes,
    }
    return _candidate_page(request, site, account, exam, values, candidate=one)


@post("/exams/{exam_id:int}/roster/{candidate_id:int}", status_code=200)
async def change_candidate(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    candidate_id: FromPath[int],
) -> Response[Any]:
    exam, one = await site.rosters.candidate(exam_id, candidate_id, account)
    form = Form.of((await request.form()).multi_items())
    try:
        await site.rosters.change(exam_id, candidate_id, _line(form), account)
    except InvigiloError as error:
        return _candidate_page(request, site, account, exam, form_values(form), candidate=one, error=error)
    return go(f"/exams/{exam_id}/roster", done="rosters_saved")


def _candidate_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    exam: Exam,
    values: dict[str, Any],
    *,
    candidate: Candidate | None = None,
    error: InvigiloError | None = None,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    page = CandidateFormPage(frame, exam, form_view(site, frame.language, values, error), candidate)
    status = 200 if error is None else 400
    return site.renderer.respond(request, "candidate_form.html", page, language=frame.language, status=status)


@post("/exams/{exam_id:int}/roster/{candidate_id:int}/delete", status_code=200)
async def delete_candidate(
    site: SiteParts, account: SignedIn, exam_id: FromPath[int], candidate_id: FromPath[int]
) -> Response[Any]:
    await site.rosters.delete(exam_id, [candidate_id], account)
    return go(f"/exams/{exam_id}/roster", done="rosters_deleted")


handlers = [
    roster,
    export,
    preview,
    import_file,
    new_candidate,
    add_candidate,
    edit_candidate,
    change_candidate,
    delete_candidate,
]
