"""Exam templates: what new exams of a kind start with."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import require, rights_in
from invigilo.errors import CHANGED_MEANWHILE, InvigiloError, NotAllowed, Refused
from invigilo.exams.model import Template, TemplateWish
from invigilo.storage.queries.exam_office import TEMPLATE_SORTS
from invigilo.web.forms.form import Form
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.views_exams import TemplateFormPage, TemplateListPage
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts


@get("/templates")
async def template_list(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.TEMPLATE, Right.SEE)
    query = list_query(request, sorts=TEMPLATE_SORTS, default="name")
    found, total = await site.templates.page(
        account,
        search=query.search,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    assert account.institution_id is not None
    offers = await site.templates.offers(account.institution_id)
    frame = frame_of(request, site, account)
    page = TemplateListPage(
        frame=frame,
        list=ListView(found, total, query, "/templates"),
        may_change=Right.CHANGE in rights_in(account, Kind.TEMPLATE),
        configurations={one.id: one.name for one in offers.configurations},
    )
    return site.renderer.respond(request, "templates.html", page, language=frame.language)


@get("/templates/new")
async def new_template(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.TEMPLATE, Right.CHANGE)
    return await _form_page(request, site, account, {})


@post("/templates", status_code=200)
async def create_template(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.TEMPLATE, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        template = await site.templates.create(_wish(form), account)
    except InvigiloError as error:
        return await _form_page(request, site, account, _typed(form), error=error)
    return go(f"/templates/{template.id}", done="templates_created")


def _wish(form: Form) -> TemplateWish:
    password: str | None = form.raw("quit_password") or None
    if form.flag("remove_quit_password"):
        password = ""
    return TemplateWish(
        name=form.text("name"),
        description=form.text("description"),
        configuration_id=form.id("configuration_id"),
        supporters=form.ids("supporters"),
        quit_password=password,
    )


def _typed(form: Form) -> dict[str, Any]:
    return form_values(form) | {"supporters": form.all("supporters")}


@get("/templates/{template_id:int}")
async def edit_template(
    request: AnyRequest, site: SiteParts, account: SignedIn, template_id: FromPath[int]
) -> Response[Any]:
    """The form; who may only look finds its fields locked."""
    template = await site.templates.get(template_id, account)
    values = {
        "revision": template.revision,
        "name": template.name,
        "description": template.description,
        "configuration_id": template.configuration_id or "",
        "supporters": [str(one) for one in template.supporters],
    }
    return await _form_page(request, site, account, values, template=template)


@post("/templates/{template_id:int}", status_code=200)
async def change_template(
    request: AnyRequest, site: SiteParts, account: SignedIn, template_id: FromPath[int]
) -> Response[Any]:
    template = await site.templates.get(template_id, account, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        revision = form.integer("revision") or 0
        await site.templates.change(template_id, _wish(form), account, revision=revision)
    except InvigiloError as error:
        values = _typed(form)
        if isinstance(error, Refused) and error.code == CHANGED_MEANWHILE:
            values["revision"] = (await site.templates.get(template_id, account)).revision
        return await _form_page(request, site, account, values, template=template, error=error)
    return go(f"/templates/{template_id}", done="saved")


@post("/templates/{template_id:int}/delete", status_code=200)
async def delete_template(site: SiteParts, account: SignedIn, template_id: FromPath[int]) -> Response[Any]:
    await site.templates.delete(template_id, account)
    return go("/templates", done="templates_deleted")


async def _form_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    values: dict[str, Any],
    *,
    template: Template | None = None,
    error: InvigiloError | None = None,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    institution_id = account.institution_id if template is None else template.institution_id
    if institution_id is None:
        raise NotAllowed(
            "Exam templates belong to an institution. Ask one of its administrators.",
            key="templates_of_no_institution",
        )
    offers = await site.templates.offers(institution_id)
    gone = frozenset[int]()
    if template is not None:
        gone = template.supporters - {one.id for one in offers.supporters}
    page = TemplateFormPage(
        frame=frame,
        form=form_view(site, frame.language, values, error),
        offers=offers,
        template=template,
        former=[(one.id, one.name) for one in await site.templates.people(gone)],
        may_change=Right.CHANGE in rights_in(account, Kind.TEMPLATE),
    )
    status = 200 if error is None else 400
    return site.renderer.respond(request, "template_form.html", page, language=frame.language, status=status)


handlers = [
    template_list,
    new_template,
    create_template,
    edit_template,
    change_template,
    delete_template,
]
