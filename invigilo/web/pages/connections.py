"""Connection configurations: what an exam administrator makes and hands out so that SEBs find this server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Response, get, post, route
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import require
from invigilo.clock import to_ms
from invigilo.configurations.connection_rules import problems
from invigilo.errors import BadInput, Invalid, InvigiloError, NotFound, Refused
from invigilo.exams.model import (
    ConfigurationState,
    ConnectionDetails,
    FileProtection,
    FilePurpose,
)
from invigilo.settings import gives_camera
from invigilo.storage.queries.connection_configurations import SORTS
from invigilo.web.connection_wishes import file_response, form_of_details, link_address, wish_of_form
from invigilo.web.forms.form import Form, FormView
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.views_connections import (
    TONES,
    ConnectionFormPage,
    ConnectionListPage,
    ConnectionPage,
    HandoutPage,
    Sheet,
    link_row,
    row_of,
)
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts, wants_json
from invigilo.web.qr_code import qr_code
from invigilo.web.render import LANGUAGES

LINK_HOURS = (4, 24, 7 * 24, 30 * 24, 90 * 24)
"""How long a link may be chosen to last."""

Page = Response[Any]


@get("/connections")
async def show_all(request: AnyRequest, site: SiteParts, account: SignedIn) -> Page:
    require(account, Kind.CONNECTION, Right.SEE)
    states, purposes = [one.value for one in ConfigurationState], [one.value for one in FilePurpose]
    query = list_query(
        request, sorts=list(SORTS), default="name", filters={"state": states, "purpose": purposes}
    )
    state, purpose = query.filters.get("state"), query.filters.get("purpose")
    found, total = await site.connection_configurations.page(
        account,
        search=query.search,
        state=ConfigurationState(state) if state else None,
        purpose=FilePurpose(purpose) if purpose else None,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    frame, server_url = frame_of(request, site, account), site.base_url(request.scope)
    rows = ListView([row_of(one) for one in found], total, query, "/connections")
    page = ConnectionListPage(frame, rows, server_url, is_secure=gives_camera(server_url))
    return site.renderer.respond(request, "connections.html", page, language=frame.language)


# --- making and changing ---


@get("/connections/new")
async def new(request: AnyRequest, site: SiteParts, account: SignedIn) -> Page:
    """`?exam=` begins one for a single exam."""
    require(account, Kind.CONNECTION, Right.CHANGE)
    exam = str(request.query_params.get("exam") or "")
    values: dict[str, Any] = {"ping_interval_ms": 1_000}
    if exam.isascii() and exam.isdigit() and len(exam) < 19:
        values |= {"is_limited": True, "only_exams": [exam]}
    return await _form_page(request, site, account, FormView(values), None)


@post("/connections/new", status_code=200)
async def create(request: AnyRequest, site: SiteParts, account: SignedIn) -> Page:
    """Shows the new configuration at once, because its client secret can be shown this once only."""
    require(account, Kind.CONNECTION, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        wish = wish_of_form(form, None)
        form.check(problems(wish))
        made = await site.connection_configurations.create(wish, by=account)
    except InvigiloError as error:
        return await _form_again(request, site, account, form, None, error)
    return await _show(request, site, account, made.details, client_secret=made.client_secret)


@get("/connections/{configuration_id:int}/edit")
async def edit(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    found = await site.connection_configurations.get(configuration_id, account, Right.CHANGE)
    return await _form_page(request, site, account, FormView(form_of_details(found)), found)


@post("/connections/{configuration_id:int}/edit")
async def change(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    found = await site.connection_configurations.get(configuration_id, account, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        wish = wish_of_form(form, found)
        revision = form.integer("revision")
        form.check(problems(wish, found))
        await site.connection_configurations.change(configuration_id, wish, by=account, revision=revision)
    except InvigiloError as error:
        return await _form_again(request, site, account, form, found, error)
    return go(f"/connections/{configuration_id}", done="saved")


@get("/connections/{configuration_id:int}")
async def show(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    found = await site.connection_configurations.get(configuration_id, account)
    return await _show(request, site, account, found)


@post("/connections/{configuration_id:int}/activate")
async def activate(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    try:
        await site.connection_configurations.set_active(configuration_id, True, by=account)
    except Refused as error:
        return await _show_again(request, site, account, configuration_id, error)
    return go(f"/connections/{configuration_id}", done="connections_activated")


@post("/connections/{configuration_id:int}/deactivate")
async def deactivate(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    try:
        await site.connection_configurations.set_active(configuration_id, False, by=account)
    except Refused as error:
        return await _show_again(request, site, account, configuration_id, error)
    return go(f"/connections/{configuration_id}", done="connections_deactivated")


@post("/connections/{configuration_id:int}/revoke")
async def revoke(site: SiteParts, account: SignedIn, configuration_id: FromPath[int]) -> Page:
    await site.connection_configurations.revoke(configuration_id, by=account)
    return go(f"/connections/{configuration_id}", done="connections_revoked")


@post("/connections/{configuration_id:int}/secret", status_code=200)
async def renew_secret(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    """The revision comes along, so that reloading the answer makes no second one."""
    form = Form.of((await request.form()).multi_items())
    try:
        made = await site.connection_configurations.renew_secret(
            configuration_id, by=account, revision=form.integer("revision")
        )
    except Refused as error:
        return await _show_again(request, site, account, configuration_id, error)
    return await _show(request, site, account, made.details, client_secret=made.client_secret)


@post("/connections/{configuration_id:int}/delete")
async def delete(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    try:
        await site.connection_configurations.delete(configuration_id, by=account)
    except Refused as error:
        return await _show_again(request, site, account, configuration_id, error)
    return go("/connections", done="deleted")


# --- handing out ---


@post("/connections/{configuration_id:int}/file", status_code=200)
async def download(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    """The .seb file: as the configuration says, or for the other purpose, or with a password for this once."""
    form = Form.of((await request.form()).multi_items())
    try:
        purpose = form.choice("purpose", FilePurpose, FilePurpose.START) if form.text("purpose") else None
        form.check()
        file = await site.connection_configurations.file(
            configuration_id,
            by=account,
            server_url=site.base_url(request.scope),
            purpose=purpose,
            password=form.raw("password") or None,
        )
    except (BadInput, Refused) as error:
        return await _show_again(request, site, account, configuration_id, error, form=form, of="download")
    return file_response(file)


@post("/connections/{configuration_id:int}/links", status_code=200)
async def make_link(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Page:
    """Answers with the sheet to hand out: nobody can see the address again."""
    form = Form.of((await request.form()).multi_items())
    hours = form.integer("hours")
    try:
        if hours not in LINK_HOURS:
            form.wrong("hours", "not_a_choice", "Choose one of the offered values.")
        form.check()
        made = await site.connection_configurations.make_link(
            configuration_id, expires_at=site.clock.now() + timedelta(hours=hours or 0), by=account
        )
    except (BadInput, Refused) as error:
        return await _show_again(request, site, account, configuration_id, error, form=form, of="link")
    found = await site.connection_configurations.get(configuration_id, account)
    names = await site.connection_configurations.exam_names(found)
    frame, server_url = frame_of(request, site, account), site.base_url(request.scope)
    address = link_address(server_url, made.key)
    page = HandoutPage(
        frame,
        found,
        exam=names[0] if len(names) == 1 else "",
        institution=site.directory.institutions.get(found.institution_id, ""),
        address=address,
        qr=qr_code(address),
        expires_at=to_ms(made.link.expires_at),
        is_secure=gives_camera(server_url),
        sheets=_sheets(site, found, frame.language),
    )
    return site.renderer.respond(request, "connection_handout.html", page, language=frame.language)


def _sheets(site: Site, found: ConnectionDetails, first: str) -> list[Sheet]:
    keys = ["install", "open"]
    if found.protection is FileProtection.PASSWORD:
        keys.append("password")
    elif found.protection.is_by_certificate:
        keys.append("certificate")
    keys.append("configured" if found.purpose is FilePurpose.CONFIGURE else "started")
    text = site.renderer.catalogue.text
    return [
        Sheet(
            language,
            text(language, "connections.sheet.title"),
            [text(language, f"connections.sheet.{key}") for key in keys],
        )
        for language in sorted(LANGUAGES, key=lambda one: one != first)
    ]


@get(["/connections/{configuration_id:int}/links", "/connections/{configuration_id:int}/secret"])
async def back(account: SignedIn, site: SiteParts, configuration_id: FromPath[int]) -> Page:
    """Where a page that was shown once was: its reader is led to what is still there."""
    found = await site.connection_configurations.get(configuration_id, account)
    return go(f"/connections/{found.id}")


@post("/connections/{configuration_id:int}/links/{link_id:int}/revoke")
async def revoke_link(
    site: SiteParts, account: SignedIn, configuration_id: FromPath[int], link_id: FromPath[int]
) -> Page:
    await site.connection_configurations.revoke_link(configuration_id, link_id, by=account)
    return go(f"/connections/{configuration_id}", done="connections_link_revoked")


@route("/seb/{name:str}", http_method=["GET", "HEAD"], opt={"no_csrf": True})
async def fetch(request: AnyRequest, site: SiteParts, name: FromPath[str]) -> Response[bytes]:
    """What a link leads to. SEB for Windows asks with HEAD first; whatever is no link in force is not there."""
    key, dot, ending = name.rpartition(".")
    if not dot or ending != "seb":
        raise NotFound("There is nothing at this address.", key="nothing_here")
    server_url = site.base_url(request.scope)
    return file_response(await site.connection_configurations.file_of_link(key, server_url=server_url))


# --- pages ---


async def _form_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    form: FormView,
    found: ConnectionDetails | None,
    *,
    status: int = 200,
) -> Page:
    frame = frame_of(request, site, account)
    chosen = form.value("only_exams", [])
    chosen = chosen if isinstance(chosen, list) else [chosen]
    ids = frozenset(int(one) for one in chosen if str(one).isascii() and str(one).isdigit() and len(one) < 19)
    page = ConnectionFormPage(
        frame,
        form=FormView({**form.values, "only_exams": [str(one) for one in ids]}, form.problems, form.note),
        exams=await site.connection_configurations.exam_choices(account, ids),
        action="/connections/new" if found is None else f"/connections/{found.id}/edit",
        back="/connections" if found is None else f"/connections/{found.id}",
        configuration=found,
    )
    return site.renderer.respond(
        request, "connection_form.html", page, language=frame.language, status=status
    )


async def _form_again(
    request: AnyRequest,
    site: Site,
    account: Account,
    form: Form,
    found: ConnectionDetails | None,
    error: InvigiloError,
) -> Page:
    language = frame_of(request, site, account).language
    view = form_view(site, language, form_values(form), error)
    return await _form_page(request, site, account, view, found, status=400)


async def _show(
    request: AnyRequest,
    site: Site,
    account: Account,
    found: ConnectionDetails,
    *,
    client_secret: str = "",
    note: str = "",
    download: FormView | None = None,
    link: FormView | None = None,
    status: int = 200,
) -> Page:
    service = site.connection_configurations
    frame, server_url = frame_of(request, site, account), site.base_url(request.scope)
    page = ConnectionPage(
        frame,
        found,
        tone=TONES[found.state],
        handed_out_at=None if found.handed_out_at is None else to_ms(found.handed_out_at),
        revoked_at=None if found.revoked_at is None else to_ms(found.revoked_at),
        exams=await service.exam_names(found),
        links=[link_row(one) for one in await service.links(found)],
        is_used=await service.is_used(found),
        server_url=server_url,
        is_secure=gives_camera(server_url),
        download=download or FormView({"purpose": found.purpose.value}),
        link=link or FormView({"hours": "168"}),
        note=note,
        client_secret=client_secret,
    )
    return site.renderer.respond(
        request, "connection_configuration.html", page, language=frame.language, status=status
    )


async def _show_again(
    request: AnyRequest,
    site: Site,
    account: Account,
    configuration_id: int,
    error: InvigiloError,
    *,
    form: Form | None = None,
    of: str = "",
) -> Page:
    """The page, with what stood against the deed: at the field, or on top. Scripts get the error as such."""
    if wants_json(request):
        raise error
    found = await site.connection_configurations.get(configuration_id, account)
    language = frame_of(request, site, account).language
    status = 409 if isinstance(error, Refused) else 400
    if isinstance(error, Invalid) and form is not None:
        view = form_view(site, language, form_values(form), error)
        views = {of: view}
        return await _show(
            request,
            site,
            account,
            found,
            download=views.get("download"),
            link=views.get("link"),
            status=status,
        )
    note = site.renderer.error_text(language, error)
    return await _show(request, site, account, found, note=note, status=status)


handlers = [
    show_all,
    new,
    create,
    edit,
    change,
    show,
    activate,
    deactivate,
    revoke,
    renew_secret,
    delete,
    download,
    make_link,
    back,
    revoke_link,
    fetch,
]
