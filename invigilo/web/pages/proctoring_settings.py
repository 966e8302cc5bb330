"""The dialog "Proctoring Settings" of an exam and of an exam template.

Every service has its section in the form, and all are sent: choosing another service loses nothing that was typed, and the
form works without script. What a section asks for is said by the service's own description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import rights_in
from invigilo.clock import to_ms
from invigilo.errors import CHANGED_MEANWHILE, Invalid, InvigiloError, NotAllowed, NotFound, Problem, Refused
from invigilo.exams.model import JoinBy, ProctoringFeature, Service
from invigilo.proctoring.model import DefinitionWish, Holder, HolderKind, SettingsWish
from invigilo.proctoring.rules import LARGEST_ROOM
from invigilo.proctoring.settings import SettingsView
from invigilo.web.forms.form import Form, FormView
from invigilo.web.frame import form_view, frame_of, go
from invigilo.web.pages.service_views import kind_view, proof_view, shown_again, typed_values
from invigilo.web.pages.views_proctoring import (
    ChoiceView,
    KindView,
    NoticesView,
    NoticeView,
    ProctoringPage,
    SectionView,
)
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts

EXAM, TEMPLATE = HolderKind.EXAM, HolderKind.TEMPLATE
NEW = "new"
USUAL_SIZE = 20


@get("/exams/{exam_id:int}/proctoring")
async def show_exam(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    return await _show(request, site, account, EXAM, exam_id)


@post("/exams/{exam_id:int}/proctoring")
async def save_exam(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    return await _save(request, site, account, EXAM, exam_id)


@post("/exams/{exam_id:int}/proctoring/reset")
async def reset(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    try:
        stuck = await site.proctoring.reset(exam_id, by=account)
    except Refused as error:
        view = await site.proctoring.look(EXAM, exam_id, account)
        language = _language(request, site, account)
        shown = form_view(site, language, _stored(view.holder), error)
        return _page(request, site, account, view, shown, status=409)
    return go(f"/exams/{exam_id}/proctoring", done="proctoring_stuck" if stuck else "proctoring_reset")


@get("/templates/{template_id:int}/proctoring")
async def show_template(
    request: AnyRequest, site: SiteParts, account: SignedIn, template_id: FromPath[int]
) -> Response[Any]:
    return await _show(request, site, account, TEMPLATE, template_id)


@post("/templates/{template_id:int}/proctoring")
async def save_template(
    request: AnyRequest, site: SiteParts, account: SignedIn, template_id: FromPath[int]
) -> Response[Any]:
    return await _save(request, site, account, TEMPLATE, template_id)


async def _show(
    request: AnyRequest, site: Site, account: Account, kind: HolderKind, holder_id: int
) -> Response[Any]:
    view = await site.proctoring.look(kind, holder_id, account)
    return _page(request, site, account, view, FormView(_stored(view.holder)))


def _stored(holder: Holder) -> dict[str, Any]:
    """The form as it stands in the database."""
    settings = holder.settings
    return {
        "enabled": settings.enabled,
        "service": settings.service.value,
        f"definition_{settings.service.value}": settings.definition_id or "",
        "size_limit": "none" if settings.collecting_room_size is None else "limit",
        "collecting_room_size": settings.collecting_room_size or USUAL_SIZE,
        "join_by": settings.join_by.value,
        "features": [one.value for one in settings.features],
        "revision": holder.revision,
    }


async def _save(
    request: AnyRequest, site: Site, account: Account, kind: HolderKind, holder_id: int
) -> Response[Any]:
    form = Form.of((await request.form()).multi_items())
    view = await site.proctoring.look(kind, holder_id, account)
    holder, path = view.holder, f"/{kind.value}s/{holder_id}"
    wish, new = _wish(site, form, holder)
    typed = dict(shown_again(form, _kinds(site, "en")))
    typed["features"] = form.all("features")
    if view.use.is_in_use:  # then what says which service it is was locked, and is not sent
        typed |= {name: value for name, value in _stored(holder).items() if name.startswith("definition_")}
    try:
        form.check()
        if new is not None:
            entered = await site.proctoring.enter(kind, holder_id, wish, new, by=account)
            wish = replace(wish, definition_id=entered.id)
            typed[f"definition_{wish.service.value}"] = entered.id
        await site.proctoring.save(kind, holder_id, wish, by=account)
    except (NotFound, NotAllowed):
        raise
    except InvigiloError as error:
        view = await site.proctoring.look(kind, holder_id, account)
        if isinstance(error, Refused) and error.code == CHANGED_MEANWHILE:
            typed["revision"] = view.holder.revision
        language = _language(request, site, account)
        shown = form_view(site, language, typed, _placed(error, wish.service))
        status = 409 if isinstance(error, Refused) else 400
        asks_rooms = isinstance(error, Refused) and error.code == "rooms_open"
        return _page(request, site, account, view, shown, status=status, asks_rooms=asks_rooms)
    return go(f"{path}/proctoring", done="proctoring_on" if wish.enabled else "proctoring_off")


def _wish(site: Site, form: Form, holder: Holder) -> tuple[SettingsWish, DefinitionWish | None]:
    """What the form says, and the new service that is to be entered with it."""
    service = form.choice("service", Service, holder.settings.service)
    chosen = form.text(f"definition_{service.value}")
    wish = SettingsWish(
        enabled=form.flag("enabled"),
        service=service,
        definition_id=form.id(f"definition_{service.value}"),
        has_size_limit=form.text("size_limit") != "none",
        collecting_room_size=form.integer("collecting_room_size"),
        join_by=form.choice("join_by", JoinBy, JoinBy.PAGE),
        features=frozenset(one for one in ProctoringFeature if one.value in form.all("features")),
        accept_unproven=form.flag("accept_unproven"),
        close_rooms=form.flag("close_rooms"),
        revision=form.integer("revision"),
    )
    if service not in site.services.choices.with_definition:
        return replace(wish, definition_id=None), None
    if f"definition_{service.value}" not in form.data and service is holder.settings.service:
        return replace(wish, definition_id=holder.settings.definition_id), None  # locked: not sent
    kind = kind_view(site, "en", service, prefix=f"{service.value}.")
    values = typed_values(form, kind)
    defaults = {one.input.removeprefix(f"{service.value}."): one.default for one in kind.fields}
    name = form.text(f"{service.value}.name")
    is_blank = not name and all(value in {"", defaults[one]} for one, value in values.items())
    is_new = chosen == NEW if chosen else wish.enabled or not is_blank
    if not is_new or (not wish.enabled and (is_blank or holder.settings.enabled)):
        return wish, None  # switching off never needs credentials
    return wish, DefinitionWish(name, values)


def _placed(error: InvigiloError, service: Service) -> InvigiloError:
    """Problems of a service's own fields stand beside them, in its section."""
    if not isinstance(error, Invalid):
        return error
    own = {"collecting_room_size", "service", "join_by", "accept_unproven", "features", "revision"}

    def place(one: Problem) -> Problem:
        if one.field in own:
            return one
        name = f"definition_{service.value}" if one.field == "definition" else f"{service.value}.{one.field}"
        return replace(one, field=name)

    return Invalid(*(place(one) for one in error.problems))


def _language(request: AnyRequest, site: Site, account: Account) -> str:
    return site.renderer.language_of(request, account.language)


def _kinds(site: Site, language: str) -> list[KindView]:
    return [kind_view(site, language, one, prefix=f"{one.value}.") for one in site.services.descriptions]


def _page(
    request: AnyRequest,
    site: Site,
    account: Account,
    view: SettingsView,
    form: FormView,
    *,
    status: int = 200,
    asks_rooms: bool = False,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    holder, use = view.holder, view.use
    accepted = holder.unproven_accepted_at
    page = ProctoringPage(
        frame=frame,
        form=form,
        path=f"/{holder.kind.value}s/{holder.id}",
        name=holder.name,
        is_template=holder.kind is TEMPLATE,
        may_change=view.may_change,
        is_archived=holder.is_archived,
        enabled=holder.settings.enabled,
        is_proven=view.is_proven,
        revision=holder.revision,
        sections=tuple(_section(site, frame.language, view, one) for one in _kinds(site, frame.language)),
        notices=_notices(view),
        configuration=view.configuration or "",
        in_use=use.is_in_use,
        open_rooms=use.open,
        members=use.members,
        live=use.live_connections,
        stuck=tuple((one.subject, one.reason) for one in view.stuck),
        largest_room=LARGEST_ROOM,
        asks_unproven=holder.kind is EXAM and bool(site.services.choices.with_definition),
        asks_rooms=asks_rooms,
        accepted_at=None if accepted is None else to_ms(accepted),
        accepted_by=holder.unproven_accepted_by or "",
        may_enter=Right.CHANGE in rights_in(account, Kind.SERVICE),
    )
    return site.renderer.respond(request, "proctoring.html", page, language=frame.language, status=status)


def _section(site: Site, language: str, view: SettingsView, kind: KindView) -> SectionView:
    known = {one.id: one for one in view.definitions}
    if view.definition is not None:
        known.setdefault(view.definition.id, view.definition)
    choices = [
        ChoiceView(one.id, one.name, proof_view(site, language, one))
        for one in known.values()
        if one.service.value == kind.service
    ]
    return SectionView(kind, tuple(choices))


def _notices(view: SettingsView) -> tuple[NoticesView, ...]:
    found: dict[str, list[NoticeView]] = {}
    for one in view.notices:
        key = NoticeView(one.key, one.found, one.needed, ", ".join(one.platforms))
        found.setdefault(one.code, []).append(key)
    tones: Mapping[str, str] = {"set_for_page": "info"}
    return tuple(NoticesView(code, tones.get(code, "warning"), tuple(keys)) for code, keys in found.items())


handlers = [show_exam, save_exam, reset, show_template, save_template]
