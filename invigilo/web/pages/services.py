"""Meeting services of an institution: the list, one of them, and its test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Stream

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import require, rights_in
from invigilo.errors import CHANGED_MEANWHILE, BadInput, Invalid, InvigiloError, Refused
from invigilo.exams.model import Service
from invigilo.proctoring.model import DefinitionWish, ServiceDefinition
from invigilo.storage.queries.services import SORTS
from invigilo.web.forms.form import Form, FormView
from invigilo.web.frame import form_view, frame_of, go
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.service_join import outcome_of
from invigilo.web.pages.service_views import (
    hosts_view,
    kind_view,
    proof_view,
    reports_view,
    shown_again,
    typed_values,
)
from invigilo.web.pages.views_proctoring import ServicePage, ServiceRow, ServicesPage
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts, wants_json
from invigilo.web.proof_view import step_view

LINES = "application/x-ndjson"


@get("/services")
async def show_list(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.SERVICE, Right.SEE)
    query = list_query(
        request, sorts=list(SORTS), default="name", filters={"service": [one.value for one in Service]}
    )
    found, total = await site.services.page(
        account,
        search=query.search,
        service=query.filters.get("service", ""),
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    frame = frame_of(request, site, account)
    say = site.renderer.catalogue.text
    rows = [
        ServiceRow(
            one.id,
            one.name,
            say(frame.language, f"service.{one.service.value}.title"),
            proof_view(site, frame.language, one),
        )
        for one in found
    ]
    page = ServicesPage(
        frame,
        ListView(rows, total, query, "/services"),
        tuple(kind_view(site, frame.language, one) for one in _enterable(site)),
        may_change=Right.CHANGE in rights_in(account, Kind.SERVICE),
    )
    return site.renderer.respond(request, "services.html", page, language=frame.language)


def _enterable(site: Site) -> list[Service]:
    return [one for one, said in site.services.descriptions.items() if said.fields]


def _service(site: Site, text: str) -> Service:
    """A kind that can be entered. Raises BadInput."""
    for one in _enterable(site):
        if one.value == text:
            return one
    offered = ", ".join(one.value for one in _enterable(site)) or "none: built-in rooms need no service"
    raise BadInput(f"Choose one of the services that can be entered here ({offered}).", field="service")


@get("/services/new")
async def show_new(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.SERVICE, Right.CHANGE)
    service = _service(site, str(request.query_params.get("service") or ""))
    return _form_page(request, site, account, service, FormView({}))


@post("/services")
async def create(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.SERVICE, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    service = _service(site, form.text("service"))
    kind = kind_view(site, "en", service)
    wish = DefinitionWish(form.text("name"), typed_values(form, kind))
    try:
        made = await site.services.create(service, wish, by=account)
    except InvigiloError as error:
        return _came_back(request, site, account, service, form, error)
    if wants_json(request):
        return Response({"id": made.id})
    return go(f"/services/{made.id}", done="service_created")


@get("/services/{service_id:int}")
async def show(
    request: AnyRequest, site: SiteParts, account: SignedIn, service_id: FromPath[int]
) -> Response[Any]:
    found = await site.services.get(service_id, account)
    values = {**found.values, "name": found.name, "revision": found.revision}
    return await _definition_page(request, site, account, found, FormView(values))


@post("/services/{service_id:int}")
async def change(
    request: AnyRequest, site: SiteParts, account: SignedIn, service_id: FromPath[int]
) -> Response[Any]:
    found = await site.services.get(service_id, account, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    kind = kind_view(site, "en", found.service)
    # A locked field is not sent; what is not sent stays.
    values = {**found.values, **typed_values(form, kind)}
    wish = DefinitionWish(form.text("name"), values, form.integer("revision"))
    try:
        await site.services.change(service_id, wish, by=account)
    except InvigiloError as error:
        return await _back_to(request, site, account, found, form, error)
    return go(f"/services/{service_id}", done="saved")


@post("/services/{service_id:int}/delete")
async def delete(
    request: AnyRequest, site: SiteParts, account: SignedIn, service_id: FromPath[int]
) -> Response[Any]:
    found = await site.services.get(service_id, account, Right.CHANGE)
    try:
        await site.services.delete(service_id, by=account)
    except Refused as error:
        values = {**found.values, "name": found.name, "revision": found.revision}
        language = site.renderer.language_of(request, account.language)
        shown = form_view(site, language, values, error)
        return await _definition_page(request, site, account, found, shown, status=409)
    return go("/services", done="deleted")


@post("/services/{service_id:int}/test", status_code=200)
async def test(
    request: AnyRequest, site: SiteParts, account: SignedIn, service_id: FromPath[int]
) -> Response[Any] | Stream:
    """Each step as a line of JSON when it is known; without script, all of them on the service's page at the end."""
    found = await site.services.get(service_id, account, Right.CHANGE)
    steps = await site.services.begin_test(found.id, by=account)
    language = site.renderer.language_of(request, account.language)
    if LINES in request.headers.get("accept", ""):
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        lines = _lines(site, language, account, found, steps)
        return Stream(lines, media_type=LINES, headers=headers)
    async with aclosing(steps) as running:
        async for _ in running:
            pass
    return go(f"/services/{found.id}#test", done="service_tested")


async def _lines(
    site: Site, language: str, account: Account, definition: ServiceDefinition, steps: AsyncGenerator[Any]
) -> AsyncGenerator[bytes]:
    """The last line says how it ended, and where a browser goes that can prove what is left (`service_join`)."""
    async with aclosing(steps) as running:
        async for step in running:
            yield msgspec.json.encode(asdict(step_view(site.renderer, language, step.as_json()))) + b"\n"
    now = await site.services.get(definition.id, account)
    left = {"socket": f"/services/{now.id}/join", "frame": f"/services/{now.id}/meeting"}
    last = {**outcome_of(now), "join": left if site.services.wants_join(now) else None}
    yield msgspec.json.encode(last) + b"\n"


# --- parts ---


def _form_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    service: Service,
    form: FormView,
    *,
    status: int = 200,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    page = ServicePage(frame, form, kind_view(site, frame.language, service), may_change=True)
    return site.renderer.respond(request, "service.html", page, language=frame.language, status=status)


def _came_back(
    request: AnyRequest, site: Site, account: Account, service: Service, form: Form, error: InvigiloError
) -> Response[Any]:
    language = site.renderer.language_of(request, account.language)
    typed = shown_again(form, [kind_view(site, language, service)])
    if wants_json(request) and isinstance(error, Invalid):
        shown = form_view(site, language, typed, error)
        return Response(
            {"code": "invalid", "message": shown.note, "problems": shown.problems}, status_code=400
        )
    if wants_json(request):
        raise error
    return _form_page(request, site, account, service, form_view(site, language, typed, error), status=400)


async def _back_to(
    request: AnyRequest,
    site: Site,
    account: Account,
    found: ServiceDefinition,
    form: Form,
    error: InvigiloError,
) -> Response[Any]:
    language = site.renderer.language_of(request, account.language)
    typed = {**found.values, **shown_again(form, [kind_view(site, language, found.service)])}
    if isinstance(error, Refused) and error.code == CHANGED_MEANWHILE:
        typed["revision"] = (await site.services.get(found.id, account)).revision
    status = 409 if isinstance(error, Refused) else 400
    shown = form_view(site, language, typed, error)
    return await _definition_page(request, site, account, found, shown, status=status)


async def _definition_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    found: ServiceDefinition,
    form: FormView,
    *,
    status: int = 200,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    in_use = bool(await site.services.exams_with_rooms(found))
    page = ServicePage(
        frame,
        form,
        kind_view(site, frame.language, found.service, definition=found, is_locked=in_use),
        may_change=Right.CHANGE in rights_in(account, Kind.SERVICE),
        id=found.id,
        name=found.name,
        proof=proof_view(site, frame.language, found),
        users=tuple(await site.services.users_of(found)),
        is_in_use=in_use,
        reports=reports_view(site, found, site.base_url(request.scope)),
        hosts=hosts_view(site, frame.language, found),
    )
    return site.renderer.respond(request, "service.html", page, language=frame.language, status=status)


handlers = [show_list, show_new, create, show, change, delete, test]
