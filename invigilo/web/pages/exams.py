"""The exam office: the list of exams, one exam at a glance, and everything one does with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right, Role
from invigilo.accounts.permissions import require_exams, rights_in, rights_on
from invigilo.errors import CHANGED_MEANWHILE, InvigiloError, NotFound, Problem, Refused
from invigilo.exams import rules
from invigilo.exams.model import Exam, ExamState, ExamWish, Template
from invigilo.exams.readiness import Check, Finding, Verdict
from invigilo.exams.rules import Deed
from invigilo.exams.service import Offers
from invigilo.sebconfig.exam_settings import PLATFORM_NAMES, KeyChange
from invigilo.settings import gives_camera
from invigilo.storage.queries.exam_office import SORTS
from invigilo.web.forms.form import Form
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.views_exams import (
    MENDS,
    CopyPage,
    DeletePage,
    ExamFormPage,
    ExamOfficePage,
    ExamPage,
    ExamRow,
    FindingLine,
    KeyLine,
    closes_of,
)
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts
from invigilo.web.zones import moment_of, zone_names

LONGEST_SHOWN = 200  # characters of a setting's value


async def form_of(request: AnyRequest) -> Form:
    return Form.of((await request.form()).multi_items())


# --- the list ---


@get("/exams")
async def exam_office(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require_exams(account, Right.SEE)
    is_server_admin = account.role is Role.SERVER_ADMIN
    institutions = sorted(site.directory.institutions.items(), key=lambda one: one[1].casefold())
    filters = {"state": [one.value for one in ExamState]}
    if is_server_admin:
        filters["institution"] = [str(one) for one, _ in institutions]
    query = list_query(request, sorts=SORTS, default="state", filters=filters)
    state = query.filters.get("state")
    institution = query.filters.get("institution")
    lines, total = await site.exams.page(
        account,
        search=query.search,
        state=ExamState(state) if state else None,
        institution_id=int(institution) if institution else None,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    frame = frame_of(request, site, account)
    say = site.renderer.catalogue.text
    page = ExamOfficePage(
        frame=frame,
        list=ListView([ExamRow.of(line) for line in lines], total, query, "/exams"),
        institutions=[(str(one), name) for one, name in institutions] if is_server_admin else [],
        may_create=_may_create(account),
        may_see_templates=Right.SEE in rights_in(account, Kind.TEMPLATE),
        states=[(one.value, say(frame.language, f"exams.state.{one.value}")) for one in ExamState],
    )
    return site.renderer.respond(request, "exams.html", page, language=frame.language)


def _may_create(account: Account) -> bool:
    try:
        require_exams(account, Right.CHANGE)
    except InvigiloError:
        return False
    return True


# --- a new one ---


@get("/exams/new")
async def new_exam(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    """The empty form; with `?template=` filled from it."""
    require_exams(account, Right.CHANGE)
    offers = await site.exams.offers(_institution(account))
    template = await _template(site, account, str(request.query_params.get("template") or ""))
    values: dict[str, Any] = {"time_zone": offers.time_zone}
    if template is not None:
        values |= {
            "template": template.id,
            "description": template.description,
            "configuration_id": template.configuration_id or "",
            "supporters": [str(one) for one in sorted(template.supporters)],
        }
    return _form_page(request, site, account, offers, values=values, template=template)


@post("/exams", status_code=200)
async def create_exam(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require_exams(account, Right.CHANGE)
    form = await form_of(request)
    template = await _template(site, account, form.text("template"))
    try:
        wish = read_wish(form, None)
        exam = await site.exams.create(wish, account, template_id=None if template is None else template.id)
    except InvigiloError as error:
        offers = await site.exams.offers(_institution(account))
        return _form_page(
            request,
            site,
            account,
            offers,
            values=_typed(form),
            template=template,
            error=error,
        )
    return go(f"/exams/{exam.id}", done="exams_created")


def _institution(account: Account) -> int:
    """Whoever may make exams belongs to an institution."""
    assert account.institution_id is not None
    return account.institution_id


async def _template(site: Site, account: Account, text: str) -> Template | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound("There is no such exam template.", key="no_such_template")
    return await site.templates.get(int(text), account)


def _typed(form: Form) -> dict[str, Any]:
    """What was typed, with the chosen supporters always as a list."""
    return form_values(form) | {"supporters": form.all("supporters")}


def read_wish(form: Form, exam: Exam | None) -> ExamWish:
    """The form as a wish. Raises Invalid for what cannot even be read."""
    zone_name = form.text("time_zone")
    is_zone = zone_name in zone_names() or (exam is not None and zone_name == exam.time_zone)
    zone = ZoneInfo(zone_name) if is_zone else None
    if zone is None:
        form.wrong("time_zone", "not_a_time_zone", "Choose a time zone, like Europe/Berlin.")
    starts_at = _moment(form, "starts_at", zone, None if exam is None else exam.starts_at)
    ends_at = _moment(form, "ends_at", zone, None if exam is None else exam.ends_at)
    password: str | None = form.raw("quit_password") or None
    if form.flag("remove_quit_password"):
        password = ""
    far = rules.EARLIEST
    wish = ExamWish(
        name=form.text("name"),
        starts_at=starts_at or far,
        ends_at=ends_at or rules.LATEST,
        time_zone=zone_name,
        url=form.text("url"),
        description=form.text("description"),
        supporters=form.ids("supporters"),
        configuration_id=form.id("configuration_id"),
        browser_exam_key=form.text("browser_exam_key").lower() or None,
        quit_password=password,
    )
    if form.problems:
        form.check(rules.problems(wish))
    return wish


def _moment(form: Form, name: str, zone: ZoneInfo | None, keep: datetime | None) -> datetime | None:
    if not form.text(name):
        form.wrong(name, "missing", "Fill this in.")
        return None
    found = rules.local_moment(form.text(name), zone or ZoneInfo("UTC"), keep=keep)
    if isinstance(found, Problem):
        form.wrong(name, found.code, found.message, **found.values)
        return None
    return found


def _form_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    offers: Offers,
    *,
    values: dict[str, Any],
    exam: Exam | None = None,
    template: Template | None = None,
    error: InvigiloError | None = None,
    changes: Sequence[KeyLine] = (),
    former: Sequence[tuple[int, str]] = (),
) -> Response[Any]:
    frame = frame_of(request, site, account)
    page = ExamFormPage(
        frame=frame,
        form=form_view(site, frame.language, values, error),
        offers=offers,
        zones=zone_names(),
        exam=exam,
        template=template,
        has_quit_password=(exam or template) is not None and bool((exam or template).has_quit_password),  # type: ignore[union-attr]
        changes=changes,
        former=former,
    )
    status = 200 if error is None else 400
    return site.renderer.respond(request, "exam_form.html", page, language=frame.language, status=status)


# --- one exam ---


@get("/exams/{exam_id:int}")
async def show_exam(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    return await _exam_page(request, site, account, exam_id)


@post("/exams/{exam_id:int}/quit-password", status_code=200)
async def reveal_quit_password(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    """The exam's page, this once with its quit password."""
    password = await site.exams.reveal_quit_password(exam_id, account)
    return await _exam_page(request, site, account, exam_id, quit_password=password)


async def _exam_page(
    request: AnyRequest, site: Site, account: Account, exam_id: int, *, quit_password: str = ""
) -> Response[Any]:
    address = site.base_url(request.scope)
    overview = await site.exams.overview(exam_id, account, gives_camera=gives_camera(address))
    exam, frame = overview.exam, frame_of(request, site, account)
    rights = rights_on(account, exam)
    may_change = Right.CHANGE in rights
    keys = overview.config_keys.items() if may_change else ()
    page = ExamPage(
        frame=frame,
        overview=overview,
        institution=site.directory.institutions.get(exam.institution_id, ""),
        starts=moment_of(exam.starts_at, exam.time_zone),
        ends=moment_of(exam.ends_at, exam.time_zone),
        closes=closes_of(exam),
        findings=[_finding(site, frame.language, exam, one, may_change) for one in overview.findings],
        missing=sum(one.verdict is Verdict.MISSING for one in overview.findings),
        changes=key_lines(overview.changes),
        config_keys=[("" if one is None else PLATFORM_NAMES[one], key) for one, key in keys if key],
        may_change=may_change,
        may_proctor=Right.PROCTOR in rights,
        may_look_back=Right.LOOK_BACK in rights,
        quit_password=quit_password,
    )
    return site.renderer.respond(request, "exam.html", page, language=frame.language)


def _finding(site: Site, language: str, exam: Exam, finding: Finding, may_change: bool) -> FindingLine:
    text = site.renderer.catalogue.text(
        language, f"exams.ready.{finding.check.value}.{finding.code}", **finding.values
    )
    link = MENDS[finding.check].format(id=exam.id) if may_change else ""
    if exam.archived_at is not None and finding.check is not Check.CAMERA_KEYS:
        link = ""
    return FindingLine(finding, text, link)


def key_lines(changes: Sequence[KeyChange]) -> list[KeyLine]:
    """Keys with their values as people write them."""
    return [KeyLine(one.key, _shown(one.before), _shown(one.after)) for one in changes]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)[:LONGEST_SHOWN]


# --- changing it ---


@get("/exams/{exam_id:int}/edit")
async def edit_exam(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = await site.exams.get(exam_id, account, Right.CHANGE)
    offers = await site.exams.offers(exam.institution_id)
    values = {
        "revision": exam.revision,
        "name": exam.name,
        "starts_at": moment_of(exam.starts_at, exam.time_zone).typed,
        "ends_at": moment_of(exam.ends_at, exam.time_zone).typed,
        "time_zone": exam.time_zone,
        "url": exam.url,
        "description": exam.description,
        "supporters": [str(one) for one in exam.supporters],
        "configuration_id": exam.configuration_id or "",
        "browser_exam_key": exam.browser_exam_key or "",
    }
    former = await _former(site, exam, offers)
    return _form_page(request, site, account, offers, values=values, exam=exam, former=former)


async def _former(site: Site, exam: Exam, offers: Offers) -> list[tuple[int, str]]:
    gone = exam.supporters - {one.id for one in offers.supporters}
    return [(one.id, one.name) for one in await site.templates.people(gone)]


@post("/exams/{exam_id:int}/edit", status_code=200)
async def change_exam(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    """Save; another configuration of a watched exam only after it was shown what clients get otherwise than edited."""
    exam = await site.exams.get(exam_id, account, Right.CHANGE)
    form = await form_of(request)
    changes: list[KeyLine] = []
    problem: InvigiloError | None = None
    try:
        wish = read_wish(form, exam)
        is_other = wish.configuration_id != exam.configuration_id
        if is_other and form.text("seen") != str(wish.configuration_id or "none"):
            found = await site.exams.changes_for(exam_id, account, configuration_id=wish.configuration_id)
            changes = key_lines(found)
        if not changes:
            await site.exams.change(exam_id, wish, account, revision=form.integer("revision") or 0)
            return go(f"/exams/{exam_id}", done="saved")
    except InvigiloError as error:
        problem = error
    offers = await site.exams.offers(exam.institution_id)
    values = _typed(form)
    if isinstance(problem, Refused) and problem.code == CHANGED_MEANWHILE:
        fresh = await site.exams.get(exam_id, account, Right.CHANGE)
        values["revision"] = fresh.revision  # they were told, and saving again is their word
    former = await _former(site, exam, offers)
    return _form_page(
        request,
        site,
        account,
        offers,
        values=values,
        exam=exam,
        error=problem,
        changes=changes,
        former=former,
    )


@get("/exams/{exam_id:int}/copy")
async def copy_form(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = await site.exams.get(exam_id, account, Right.CHANGE)
    name = site.renderer.catalogue.text(
        site.renderer.language_of(request, account.language), "exams.copy.name_of", name=exam.name[:240]
    )
    return await _copy_page(request, site, account, exam, {"name": name})


@post("/exams/{exam_id:int}/copy", status_code=200)
async def copy_exam(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = await site.exams.get(exam_id, account, Right.CHANGE)
    form = await form_of(request)
    try:
        starts_at = _moment(form, "starts_at", ZoneInfo(exam.time_zone), None)
        form.check()
        assert starts_at is not None
        made = await site.exams.copy(
            exam_id,
            account,
            name=form.text("name"),
            starts_at=starts_at,
            with_roster=form.flag("with_roster"),
        )
    except InvigiloError as error:
        return await _copy_page(request, site, account, exam, form_values(form), error)
    return go(f"/exams/{made.id}", done="exams_copied")


async def _copy_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    exam: Exam,
    values: dict[str, Any],
    error: InvigiloError | None = None,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    _, _, candidates = await site.rosters.page(exam.id, account, limit=1)
    page = CopyPage(frame, form_view(site, frame.language, values, error), exam, candidates)
    status = 200 if error is None else 400
    return site.renderer.respond(request, "exam_copy.html", page, language=frame.language, status=status)


# --- deeds ---


@get("/exams/{exam_id:int}/delete")
async def delete_page(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    """What would go, counted, before anything does."""
    return await _delete_page(request, site, account, exam_id)


@post("/exams/{exam_id:int}/delete", status_code=200)
async def delete_exam(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    try:
        await site.exams.delete(exam_id, account)
    except InvigiloError:
        await site.exams.get(exam_id, account, Right.CHANGE)  # raises for whom there is no such page
        return await _delete_page(request, site, account, exam_id)
    return go("/exams", done="exams_deleted")


async def _delete_page(request: AnyRequest, site: Site, account: Account, exam_id: int) -> Response[Any]:
    exam, holdings = await site.exams.holdings(exam_id, account)
    frame = frame_of(request, site, account)
    refusal = ""
    try:
        rules.check_deed(exam, Deed.DELETE, site.clock.now(), holdings)
    except InvigiloError as error:
        refusal = error.message
    page = DeletePage(frame, exam, holdings, refusal)
    status = 409 if refusal and request.method == "POST" else 200
    return site.renderer.respond(request, "exam_delete.html", page, language=frame.language, status=status)


@post("/exams/{exam_id:int}/use-version", status_code=200)
async def use_version(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = await site.exams.get(exam_id, account, Right.CHANGE)
    form = await form_of(request)
    await site.exams.use_version(exam.id, form.integer("version") or 0, account)
    return go(f"/exams/{exam_id}", done="exams_version_used")


def _deed(word: str, deed: Deed) -> HTTPRouteHandler:
    """The address that does one thing with an exam and leads back to it."""

    @post(f"/exams/{{exam_id:int}}/{word}", status_code=200, name=f"exam {deed.value}")
    async def do(site: SiteParts, account: SignedIn, exam_id: FromPath[int]) -> Response[Any]:
        await site.exams.do(exam_id, deed, account)
        return go(f"/exams/{exam_id}", done=f"exams_{deed.value}")

    return do


DEEDS = {
    "end": Deed.END,
    "test-run": Deed.START_TEST_RUN,
    "stop-test-run": Deed.STOP_TEST_RUN,
    "reopen": Deed.REOPEN,
    "archive": Deed.ARCHIVE,
    "take-back": Deed.TAKE_BACK,
}
"""By the last word of their address."""


handlers = [
    exam_office,
    new_exam,
    create_exam,
    show_exam,
    reveal_quit_password,
    edit_exam,
    change_exam,
    copy_form,
    copy_exam,
    delete_page,
    delete_exam,
    use_version,
    *[_deed(word, deed) for word, deed in DEEDS.items()],
]
