"""`/api/v1/exams/{id}/proctoring` and the same of exam templates: how an exam is proctored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, JSONBody

from invigilo.accounts.model import Account, Scope
from invigilo.exams.model import JoinBy, ProctoringFeature, Service
from invigilo.proctoring.model import HolderKind, SettingsWish
from invigilo.proctoring.settings import SettingsView
from invigilo.web.api.base import ApiCaller, needs
from invigilo.web.api.services import Proof, proof_of
from invigilo.web.parts import Site, SiteParts

EXAM, TEMPLATE = HolderKind.EXAM, HolderKind.TEMPLATE


class Notice(msgspec.Struct, frozen=True):
    """A key of the exam's SEB settings that does not fit how the exam is proctored."""

    code: str
    """`set_for_page`, `off_for_native` or `ends_session`."""
    key: str
    found: str
    """Blank when the settings lack the key."""
    needed: str
    platforms: list[str]
    message: str


class Stuck(msgspec.Struct, frozen=True):
    """A room the meeting service has not closed yet; that is tried again."""

    subject: str
    reason: str


class Proctoring(msgspec.Struct, frozen=True):
    """How an exam is proctored."""

    enabled: bool
    service: str
    definition_id: int | None
    """The meeting service with its credentials; none for built-in rooms."""
    collecting_room_size: int | None
    """null is no limit: one room for everybody."""
    join_by: JoinBy
    features: list[ProctoringFeature]
    is_in_use: bool
    """The exam has rooms: its service cannot be changed until they are reset."""
    is_proven: bool
    proved_at: datetime | None
    unproven_accepted_at: datetime | None
    unproven_accepted_by: str | None
    notices: list[Notice]
    stuck_rooms: list[Stuck]
    may_change: bool
    revision: int


Small = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class ProctoringWish(msgspec.Struct, forbid_unknown_fields=True):
    """How an exam is to be proctored; what is left out stays as it is."""

    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    service: Service | msgspec.UnsetType = msgspec.UNSET
    definition_id: Small | msgspec.UnsetType | None = msgspec.UNSET
    collecting_room_size: int | msgspec.UnsetType | None = msgspec.UNSET
    """Candidates in one room, 1 to 500; null is no limit and must be said."""
    join_by: JoinBy | msgspec.UnsetType = msgspec.UNSET
    features: list[ProctoringFeature] | msgspec.UnsetType = msgspec.UNSET
    accept_unproven: bool = False
    """Switch on although the service has not passed its test. This goes on record."""
    close_rooms: bool = False
    """Switch off although rooms are open: everybody is sent out of them."""
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | msgspec.UnsetType = msgspec.UNSET
    """The revision this wish was made of: refused when somebody changed it meanwhile."""


class ResetResult(msgspec.Struct, frozen=True):
    """What a reset left to do."""

    stuck_rooms: list[Stuck]
    """Rooms the meeting service has not closed yet; that is tried again. None: all are gone."""


def _proctoring(site: Site, view: SettingsView) -> Proctoring:
    settings = view.holder.settings
    say = site.renderer.catalogue.text
    return Proctoring(
        enabled=settings.enabled,
        service=settings.service.value,
        definition_id=settings.definition_id,
        collecting_room_size=settings.collecting_room_size,
        join_by=settings.join_by,
        features=sorted(settings.features),
        is_in_use=view.use.is_in_use,
        is_proven=view.is_proven,
        proved_at=None if view.definition is None else view.definition.proved_at,
        unproven_accepted_at=view.holder.unproven_accepted_at,
        unproven_accepted_by=view.holder.unproven_accepted_by,
        notices=[
            Notice(
                code=one.code,
                key=one.key,
                found=one.found,
                needed=one.needed,
                platforms=list(one.platforms),
                message=say(
                    "en",
                    f"proctoring.notice.{one.code}",
                    setting=one.key,
                    needed=one.needed,
                    platforms=", ".join(one.platforms),
                ),
            )
            for one in view.notices
        ],
        stuck_rooms=[Stuck(one.subject, one.reason) for one in view.stuck],
        may_change=view.may_change,
        revision=view.holder.revision,
    )


async def _get(site: Site, by: Account, kind: HolderKind, holder_id: int) -> Proctoring:
    return _proctoring(site, await site.proctoring.look(kind, holder_id, by))


async def _put(site: Site, by: Account, kind: HolderKind, holder_id: int, data: ProctoringWish) -> Proctoring:
    holder = (await site.proctoring.look(kind, holder_id, by)).holder
    now = holder.settings
    size = now.collecting_room_size
    if not isinstance(data.collecting_room_size, msgspec.UnsetType):
        size = data.collecting_room_size
    service = now.service if isinstance(data.service, msgspec.UnsetType) else data.service
    definition_id = now.definition_id if service is now.service else None
    if not isinstance(data.definition_id, msgspec.UnsetType):
        definition_id = data.definition_id
    wish = SettingsWish(
        enabled=now.enabled if isinstance(data.enabled, msgspec.UnsetType) else data.enabled,
        service=service,
        definition_id=definition_id,
        has_size_limit=size is not None,
        collecting_room_size=size,
        join_by=now.join_by if isinstance(data.join_by, msgspec.UnsetType) else data.join_by,
        features=now.features if isinstance(data.features, msgspec.UnsetType) else frozenset(data.features),
        accept_unproven=data.accept_unproven,
        close_rooms=data.close_rooms,
        revision=holder.revision if isinstance(data.revision, msgspec.UnsetType) else data.revision,
    )
    await site.proctoring.save(kind, holder_id, wish, by=by)
    return await _get(site, by, kind, holder_id)


async def _test(site: Site, by: Account, kind: HolderKind, holder_id: int) -> Proof:
    steps = await site.proctoring.begin_test(kind, holder_id, by=by)
    view = await site.proctoring.look(kind, holder_id, by)
    return await proof_of(site, steps, is_own=view.holder.settings.service is Service.BUILTIN)


@get(
    "/exams/{exam_id:int}/proctoring",
    opt=needs(Scope.EXAMS_READ),
    tags=["proctoring"],
    summary="How an exam is proctored",
)
async def exam_proctoring(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> Proctoring:
    return await _get(site, caller.account, EXAM, exam_id)


@put(
    "/exams/{exam_id:int}/proctoring",
    opt=needs(Scope.EXAMS_WRITE),
    tags=["proctoring"],
    summary="Change how an exam is proctored",
)
async def change_exam_proctoring(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[ProctoringWish]
) -> Proctoring:
    return await _put(site, caller.account, EXAM, exam_id, data)


@post(
    "/exams/{exam_id:int}/proctoring/reset",
    status_code=200,
    opt=needs(Scope.EXAMS_WRITE),
    tags=["proctoring"],
    summary="Close and forget all rooms of an exam, so that its service may be changed",
)
async def reset_exam_rooms(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> ResetResult:
    stuck = await site.proctoring.reset(exam_id, by=caller.account)
    return ResetResult([Stuck(one.subject, one.reason) for one in stuck])


@post(
    "/exams/{exam_id:int}/proctoring/test",
    status_code=200,
    opt=needs(Scope.EXAMS_WRITE),
    tags=["proctoring"],
    summary="Test the meeting service of an exam, step by step",
)
async def prove_exam_service(site: SiteParts, caller: ApiCaller, exam_id: FromPath[int]) -> Proof:
    return await _test(site, caller.account, EXAM, exam_id)


@get(
    "/templates/{template_id:int}/proctoring",
    opt=needs(Scope.EXAMS_READ),
    tags=["proctoring"],
    summary="How exams made from a template are proctored",
)
async def template_proctoring(site: SiteParts, caller: ApiCaller, template_id: FromPath[int]) -> Proctoring:
    return await _get(site, caller.account, TEMPLATE, template_id)


@put(
    "/templates/{template_id:int}/proctoring",
    opt=needs(Scope.EXAMS_WRITE),
    tags=["proctoring"],
    summary="Change how exams made from a template will be proctored",
)
async def change_template_proctoring(
    site: SiteParts, caller: ApiCaller, template_id: FromPath[int], data: JSONBody[ProctoringWish]
) -> Proctoring:
    return await _put(site, caller.account, TEMPLATE, template_id, data)


@post(
    "/templates/{template_id:int}/proctoring/test",
    status_code=200,
    opt=needs(Scope.EXAMS_WRITE),
    tags=["proctoring"],
    summary="Test the meeting service of a template, step by step",
)
async def prove_template_service(site: SiteParts, caller: ApiCaller, template_id: FromPath[int]) -> Proof:
    return await _test(site, caller.account, TEMPLATE, template_id)


handlers = [
    exam_proctoring,
    change_exam_proctoring,
    reset_exam_rooms,
    prove_exam_service,
    template_proctoring,
    change_template_proctoring,
    prove_template_service,
]
