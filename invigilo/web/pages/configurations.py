"""The list of exam configurations, and each as a whole: new, copied, renamed, deleted. Its settings: `settings_editor`."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import require, rights_in
from invigilo.configurations.model import Configuration, ConfigurationWish
from invigilo.errors import InvigiloError, Refused
from invigilo.web.forms.form import Form
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.views_configurations import ConfigurationFormPage, ConfigurationListPage
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts

PATH = "/configurations"
SORTS = ("name", "changed", "version")
KINDS = {"template": True, "exam": False}


@get("/configurations")
async def show_list(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.CONFIGURATION, Right.SEE)
    query = list_query(request, sorts=SORTS, default="name", filters={"kind": tuple(KINDS)})
    lines, total = await site.configurations.page(
        account,
        search=query.search,
        is_template=KINDS.get(query.filters.get("kind", "")),
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    frame = frame_of(request, site, account)
    may_change = Right.CHANGE in rights_in(account, Kind.CONFIGURATION)
    page = ConfigurationListPage(frame, ListView(lines, total, query, PATH), may_change)
    return site.renderer.respond(request, "configuration_list.html", page, language=frame.language)


@get("/configurations/new")
async def show_new(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.CONFIGURATION, Right.CHANGE)
    asked = Form.of(request.query_params.multi_items())
    copied = await _copied(site, account, asked)
    language = site.renderer.language_of(request, account.language)
    name = ""
    if copied is not None:
        name = site.renderer.catalogue.text(language, "configuration.copy_name", name=copied.name)[:255]
    values = {
        "name": name,
        "template_id": asked.text("template"),
        "copy_of": asked.text("copy"),
        "is_template": copied is not None and copied.is_template,
    }
    return await _form(request, site, account, values, copied=copied)


@post("/configurations/new")
async def create(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.CONFIGURATION, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    copied = await _copied(site, account, form)
    try:
        made = await site.configurations.create(
            wish_of(form),
            by=account,
            template_id=form.id("template_id"),
            copy_of=None if copied is None else copied.id,
        )
    except InvigiloError as error:
        return await _form(request, site, account, form_values(form), error=error, copied=copied)
    return go(f"{PATH}/{made.id}", done="created")


@get("/configurations/{configuration_id:int}/describe")
async def show_describe(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    found = await site.configurations.get(configuration_id, account, Right.CHANGE)
    values = {"name": found.name, "description": found.description, "is_template": found.is_template}
    return await _form(request, site, account, values, configuration=found)


@post("/configurations/{configuration_id:int}/describe")
async def describe(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    found = await site.configurations.get(configuration_id, account, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        await site.configurations.describe(configuration_id, wish_of(form), by=account)
    except InvigiloError as error:
        return await _form(request, site, account, form_values(form), error=error, configuration=found)
    return go(f"{PATH}/{configuration_id}", done="saved")


@post("/configurations/{configuration_id:int}/delete")
async def delete(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    found = await site.configurations.get(configuration_id, account, Right.CHANGE)
    try:
        await site.configurations.delete(configuration_id, by=account)
    except Refused as error:
        values = {"name": found.name, "description": found.description, "is_template": found.is_template}
        return await _form(request, site, account, values, error=error, configuration=found)
    return go(PATH, done="deleted")


def wish_of(form: Form) -> ConfigurationWish:
    return ConfigurationWish(
        form.text("name"), form.text("description"), is_template=form.flag("is_template")
    )


async def _copied(site: Site, account: Account, form: Form) -> Configuration | None:
    """What is copied, as the address or the form says."""
    number = form.id("copy") or form.id("copy_of")
    return None if number is None else await site.configurations.get(number, account)


async def _form(
    request: AnyRequest,
    site: Site,
    account: Account,
    values: dict[str, Any],
    *,
    error: InvigiloError | None = None,
    configuration: Configuration | None = None,
    copied: Configuration | None = None,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    form = form_view(site, frame.language, values, error)
    templates = await site.configurations.choices(account, is_template=True)
    page = ConfigurationFormPage(frame, form, configuration, templates, copied)
    status = 200 if error is None else 409 if isinstance(error, Refused) else 400
    return site.renderer.respond(
        request, "configuration_form.html", page, language=frame.language, status=status
    )


handlers = [show_list, show_new, create, show_describe, describe, delete]
