"""`/api/v1/exams`: everything the exam office does with exams."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK
from msgspec import UNSET, Meta, UnsetType

from invigilo.accounts.model import Right, Role, Scope
from invigilo.accounts.permissions import require_exams, rights_on
from invigilo.exams.model import Exam, ExamLine, ExamState, ExamWish, JoinBy, ProctoringFeature, Service
from invigilo.exams.readiness import Check, Verdict, is_ready
from invigilo.exams.rules import Deed
from invigilo.sebconfig.exam_settings import KeyChange
from invigilo.settings import gives_camera
from invigilo.storage.queries.exam_office import SORTS
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.lists import list_query
from invigilo.web.parts import SiteParts

Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with zone")]
TAGS = ["exams"]
T = TypeVar("T")
ApiRequest = Request[Any, Any, Any]


class ProctoringOut(msgspec.Struct, frozen=True):
    """How an exam is proctored; changed by the calls about proctoring."""

    enabled: bool
    service: Service
    collecting_room_size: int | None
    """None: no limit."""
    join_by: JoinBy
    features: list[ProctoringFeature]
    definition_id: int | None


class ExamOut(msgspec.Struct, frozen=True):
    """An exam without its secrets."""

    id: int
    institution_id: int
    name: str
    state: ExamState
    starts_at: datetime
    ends_at: datetime
    closes_at: datetime
    """When the last candidate's extra time is over."""
    time_zone: str
    url: str
    description: str
    supporters: list[int]
    configuration_id: int | None
    configuration_version: int | None
    config_key: str | None
    """What clients compute; None for who may not change the exam. By platform: `settings-changes`."""
    settings_revision: int
    has_quit_password: bool
    has_browser_exam_key: bool
    proctoring: ProctoringOut
    test_run_since: datetime | None
    ended_at: datetime | None
    archived_at: datetime | None
    revision: int


class ExamLineOut(msgspec.Struct, frozen=True):
    """An exam in a list."""

    id: int
    institution_id: int
    name: str
    state: ExamState
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    is_proctored: bool
    supporters: int
    candidates: int


class ExamIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new exam. What is left out comes from the template, where one is named."""

    name: str
    starts_at: Moment
    ends_at: Moment
    url: str
    time_zone: str | UnsetType = UNSET
    """IANA name; the institution's when left out."""
    description: str | UnsetType = UNSET
    supporters: list[int] | UnsetType = UNSET
    configuration_id: int | UnsetType | None = UNSET
    browser_exam_key: str | None = None
    quit_password: str | UnsetType | None = UNSET
    """Write-only."""
    template_id: int | None = None


class ExamPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change; the rest stays. With `revision` it is refused when somebody changed the exam since."""

    name: str | UnsetType = UNSET
    starts_at: Moment | UnsetType = UNSET
    ends_at: Moment | UnsetType = UNSET
    url: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    supporters: list[int] | UnsetType = UNSET
    configuration_id: int | UnsetType | None = UNSET
    browser_exam_key: str | UnsetType | None = UNSET
    quit_password: str | UnsetType | None = UNSET
    """Write-only; null removes it."""
    revision: int | None = None


class ExamCopyIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A copy lasts as long as its original."""

    name: str
    starts_at: Moment
    with_roster: bool = False


class UseVersionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The published version that clients get from now on."""

    version: int


class QuitPasswordOut(msgspec.Struct, frozen=True):
    """The quit password in clear; that it was asked for is on record."""

    quit_password: str


class HoldingsOut(msgspec.Struct, frozen=True):
    """What goes with an exam that is deleted."""

    connections: int
    open_connections: int
    """While there are any, the exam cannot be deleted."""
    events: int
    rooms: int
    candidates: int


class FindingOut(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    check: Check
    verdict: Verdict
    code: str
    """What was found, stable for programs."""


class ReadinessOut(msgspec.Struct, frozen=True):
    """What is ready and what is missing."""

    is_ready: bool
    findings: list[FindingOut]
    candidates: int
    connected: int
    """Of the roster, how many are connected now."""


class KeyChangeOut(msgspec.Struct, frozen=True):
    """A key that clients get otherwise than edited."""

    key: str
    before: Any
    after: Any


class SettingsChangesOut(msgspec.Struct, frozen=True):
    """What the camera page changes, and the Config Keys that follow."""

    changes: list[KeyChangeOut]
    config_keys: dict[str, str]
    """By platform where they differ, else one under `all`; empty for who may not change the exam."""


def exam_out(exam: Exam, *, now: datetime, with_key: bool) -> ExamOut:
    settings = exam.proctoring
    return ExamOut(
        id=exam.id,
        institution_id=exam.institution_id,
        name=exam.name,
        state=exam.state_at(now),
        starts_at=exam.starts_at,
        ends_at=exam.ends_at,
        closes_at=exam.closes_at,
        time_zone=exam.time_zone,
        url=exam.url,
        description=exam.description,
        supporters=sorted(exam.supporters),
        configuration_id=exam.configuration_id,
        configuration_version=exam.configuration_version,
        config_key=exam.config_key if with_key else None,
        settings_revision=exam.settings_revision,
        has_quit_password=exam.has_quit_password,
        has_browser_exam_key=exam.browser_exam_key is not None,
        proctoring=ProctoringOut(
            settings.enabled,
            settings.service,
            settings.collecting_room_size,
            settings.join_by,
            sorted(settings.features),
            settings.definition_id,
        ),
        test_run_since=exam.test_run_since,
        ended_at=exam.ended_at,
        archived_at=exam.archived_at,
        revision=exam.revision,
    )


def _line_out(line: ExamLine) -> ExamLineOut:
    return ExamLineOut(
        line.id,
        line.institution_id,
        line.name,
        line.state,
        line.starts_at,
        line.ends_at,
        line.time_zone,
        line.is_proctored,
        line.supporters,
        line.candidates,
    )


def _key_changes(changes: list[KeyChange]) -> list[KeyChangeOut]:
    return [KeyChangeOut(one.key, one.before, one.after) for one in changes]


@get("/exams", opt=needs(Scope.EXAMS_READ), tags=TAGS, summary="Exams, searched and sorted")
async def list_exams(request: ApiRequest, site: SiteParts, caller: ApiCaller) -> ApiList[ExamLineOut]:
    """`?q=` searches name and description; `state=` and, for server administrators, `institution=` filter; archived
    exams are listed with `state=archived` only.
    """
    filters: dict[str, list[str]] = {"state": [one.value for one in ExamState]}
    if caller.account.role is Role.SERVER_ADMIN:
        filters["institution"] = [str(one) for one in site.directory.institutions]
    query = list_query(request, sorts=SORTS, default="state", filters=filters)
    state, institution = query.filters.get("state"), query.filters.get("institution")
    lines, total = await site.exams.page(
        caller.account,
        search=query.search,
        state=ExamState(state) if state else None,
        institution_id=int(institution) if institution else None,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    return listed([_line_out(line) for line in lines], total, page=query.page, size=query.size)


@post("/exams", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Make an exam")
async def make_exam(site: SiteParts, caller: ApiCaller, data: JSONBody[ExamIn]) -> ExamOut:
    account = caller.account
    template = None
    require_exams(account, Right.CHANGE)
    if data.template_id is not None:
        template = await site.templates.get(data.template_id, account)
    assert account.institution_id is not None
    offers = await site.exams.offers(account.institution_id)
    wish = ExamWish(
        name=data.name,
        starts_at=data.starts_at,
        ends_at=data.ends_at,
        time_zone=_or(data.time_zone, offers.time_zone),
        url=data.url,
        description=_or(data.description, "" if template is None else template.description),
        supporters=frozenset(_or(data.supporters, [] if template is None else sorted(template.supporters))),
        configuration_id=_or(data.configuration_id, None if template is None else template.configuration_id),
        browser_exam_key=data.browser_exam_key,
        quit_password=None if data.quit_password is UNSET else data.quit_password or "",
    )
    exam = await site.exams.create(wish, account, template_id=data.template_id)
    return exam_out(exam, now=site.clock.now(), with_key=True)


def _or(value: T | UnsetType, default: T) -> T:
    return default if isinstance(value, UnsetType) else value


@get("/exams/{exam_id:int}", opt=needs(Scope.EXAMS_READ), tags=TAGS, summary="One exam")
async def read_exam(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> ExamOut:
    exam = await site.exams.get(exam_id, caller.account)
    may_change = Right.CHANGE in rights_on(caller.account, exam)
    return exam_out(exam, now=site.clock.now(), with_key=may_change)


@patch("/exams/{exam_id:int}", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Change an exam")
async def change_exam_api(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[ExamPatch]
) -> ExamOut:
    exam = await site.exams.get(exam_id, caller.account, Right.CHANGE)
    wish = ExamWish(
        name=_or(data.name, exam.name),
        starts_at=_or(data.starts_at, exam.starts_at),
        ends_at=_or(data.ends_at, exam.ends_at),
        time_zone=_or(data.time_zone, exam.time_zone),
        url=_or(data.url, exam.url),
        description=_or(data.description, exam.description),
        supporters=exam.supporters if isinstance(data.supporters, UnsetType) else frozenset(data.supporters),
        configuration_id=_or(data.configuration_id, exam.configuration_id),
        browser_exam_key=_or(data.browser_exam_key, exam.browser_exam_key),
        quit_password=None if data.quit_password is UNSET else data.quit_password or "",
    )
    # What was read above may be old by now: without a revision of the caller's the one just read is meant.
    revision = exam.revision if data.revision is None else data.revision
    after = await site.exams.change(exam_id, wish, caller.account, revision=revision)
    return exam_out(after, now=site.clock.now(), with_key=True)


@get(
    "/exams/{exam_id:int}/deletion",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="What deleting would take along",
)
async def read_deletion(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> HoldingsOut:
    _, held = await site.exams.holdings(exam_id, caller.account)
    return HoldingsOut(held.connections, held.open_connections, held.events, held.rooms, held.candidates)


@delete("/exams/{exam_id:int}", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Delete an exam")
async def delete_exam_api(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> None:
    """Refused while it is open to candidates or clients are connected with it."""
    await site.exams.delete(exam_id, caller.account)


@post("/exams/{exam_id:int}/copy", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Copy an exam")
async def copy_exam_api(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[ExamCopyIn]
) -> ExamOut:
    made = await site.exams.copy(
        exam_id, caller.account, name=data.name, starts_at=data.starts_at, with_roster=data.with_roster
    )
    return exam_out(made, now=site.clock.now(), with_key=True)


@post(
    "/exams/{exam_id:int}/use-version",
    opt=needs(Scope.EXAMS_WRITE),
    tags=TAGS,
    summary="Give clients another version of the settings",
    status_code=HTTP_200_OK,
)
async def use_version_api(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[UseVersionIn]
) -> ExamOut:
    exam = await site.exams.use_version(exam_id, data.version, caller.account)
    return exam_out(exam, now=site.clock.now(), with_key=True)


@post(
    "/exams/{exam_id:int}/quit-password",
    opt=needs(Scope.EXAMS_WRITE),
    tags=TAGS,
    summary="Reveal the quit password, on record",
    status_code=HTTP_200_OK,
)
async def reveal_quit_password_api(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]
) -> QuitPasswordOut:
    return QuitPasswordOut(await site.exams.reveal_quit_password(exam_id, caller.account))


@get(
    "/exams/{exam_id:int}/readiness",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="What is ready and what is missing",
)
async def read_readiness(
    request: ApiRequest, site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]
) -> ReadinessOut:
    camera = gives_camera(site.base_url(request.scope))
    found = await site.exams.overview(exam_id, caller.account, gives_camera=camera)
    return ReadinessOut(
        is_ready=is_ready(found.findings),
        findings=[FindingOut(one.check, one.verdict, one.code) for one in found.findings],
        candidates=found.candidates,
        connected=found.connected,
    )


@get(
    "/exams/{exam_id:int}/settings-changes",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="What clients get otherwise than edited",
)
async def read_settings_changes(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]
) -> SettingsChangesOut:
    found = await site.exams.overview(exam_id, caller.account, gives_camera=True)
    may_change = Right.CHANGE in rights_on(caller.account, found.exam)
    keys = found.config_keys if may_change else {}
    return SettingsChangesOut(
        _key_changes(found.changes),
        {"all" if platform is None else platform.value: key for platform, key in keys.items() if key},
    )


def _deed(word: str, deed: Deed, summary: str) -> HTTPRouteHandler:
    @post(
        f"/exams/{{exam_id:int}}/{word}",
        opt=needs(Scope.EXAMS_WRITE),
        tags=TAGS,
        summary=summary,
        status_code=HTTP_200_OK,
        name=f"api exam {deed.value}",
        operation_id=f"Exam{deed.value.title().replace('_', '')}",
    )
    async def do(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> ExamOut:
        exam = await site.exams.do(exam_id, deed, caller.account)
        return exam_out(exam, now=site.clock.now(), with_key=True)

    return do


handlers = [
    list_exams,
    make_exam,
    read_exam,
    change_exam_api,
    read_deletion,
    delete_exam_api,
    copy_exam_api,
    use_version_api,
    reveal_quit_password_api,
    read_readiness,
    read_settings_changes,
    _deed("end", Deed.END, "End a running exam now"),
    _deed("test-run", Deed.START_TEST_RUN, "Open an upcoming exam for a test run"),
    _deed("stop-test-run", Deed.STOP_TEST_RUN, "End the test run"),
    _deed("reopen", Deed.REOPEN, "Open an exam again that was ended by hand"),
    _deed("archive", Deed.ARCHIVE, "Archive an exam"),
    _deed("take-back", Deed.TAKE_BACK, "Take an exam back from the archive"),
]
