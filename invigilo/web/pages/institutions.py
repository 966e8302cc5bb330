"""Institutions: the tenants of this server."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Institution, Kind, Right, Role
from invigilo.accounts.permissions import rights_in
from invigilo.accounts.rules import InstitutionWish, check_server_admin
from invigilo.errors import CHANGED_MEANWHILE, Invalid, Refused
from invigilo.web.forms.form import Form, FormView
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.choices import zone_choices
from invigilo.web.pages.views_people import InstitutionListPage, InstitutionPage, InstitutionRow
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts


@get("/institutions")
async def show(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    query = list_query(request, sorts=["name"], default="name")
    found, total = await site.people.institutions(
        search=query.search,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
        by=account,
    )
    frame = frame_of(request, site, account)
    rows = [InstitutionRow(one.id, one.name, one.time_zone, people) for one, people in found]
    page = InstitutionListPage(
        frame=frame,
        list=ListView(rows, total, query, "/institutions"),
        may_create=account.role is Role.SERVER_ADMIN,
    )
    return site.renderer.respond(request, "institution_list.html", page, language=frame.language)


async def _page(
    request: AnyRequest,
    site: Site,
    account: Account,
    institution: Institution | None,
    *,
    form: FormView,
    in_use: dict[str, int] | None = None,
    status: int = 200,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    text = site.renderer.catalogue.text
    page = InstitutionPage(
        frame=frame,
        institution=institution,
        form=form,
        zones=zone_choices(site, frame.language, str(form.value("time_zone", "UTC")), auto=False),
        in_use=[
            text(frame.language, f"institutions.has.{table}", n=n) for table, n in (in_use or {}).items()
        ],
        may_change=Right.CHANGE in rights_in(account, Kind.INSTITUTION),
        may_delete=account.role is Role.SERVER_ADMIN,
    )
    return site.renderer.respond(request, "institution.html", page, language=frame.language, status=status)


def _wish(form: Form) -> InstitutionWish:
    revision = form.integer("revision")
    return InstitutionWish(
        name=form.text("name"),
        time_zone=form.text("time_zone"),
        revision=-1 if revision is None else revision,
    )


@get("/institutions/new")
async def new(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    check_server_admin(account)
    return await _page(request, site, account, None, form=FormView({"time_zone": "UTC"}))


@post("/institutions", status_code=200)
async def create(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    check_server_admin(account)
    form = Form.of((await request.form()).multi_items())
    try:
        made = await site.people.create_institution(_wish(form), by=account)
    except (Invalid, Refused) as error:
        view = form_view(site, frame_of(request, site, account).language, form_values(form), error)
        return await _page(request, site, account, None, form=view, status=400)
    return go(f"/institutions/{made.id}", done="created")


@get("/institutions/{institution_id:int}")
async def institution(
    request: AnyRequest, site: SiteParts, account: SignedIn, institution_id: FromPath[int]
) -> Response[Any]:
    found, in_use = await site.people.institution(institution_id, by=account)
    values = {"name": found.name, "time_zone": found.time_zone, "revision": found.revision}
    return await _page(request, site, account, found, form=FormView(values), in_use=in_use)


@post("/institutions/{institution_id:int}", status_code=200)
async def change(
    request: AnyRequest, site: SiteParts, account: SignedIn, institution_id: FromPath[int]
) -> Response[Any]:
    await site.people.institution(institution_id, by=account, right=Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        await site.people.change_institution(institution_id, _wish(form), by=account)
    except (Invalid, Refused) as error:
        found, in_use = await site.people.institution(institution_id, by=account)
        values = form_values(form)
        if isinstance(error, Refused) and error.code == CHANGED_MEANWHILE:
            values["revision"] = found.revision
        view = form_view(site, frame_of(request, site, account).language, values, error)
        return await _page(request, site, account, found, form=view, in_use=in_use, status=400)
    return go(f"/institutions/{institution_id}", done="saved")


@post("/institutions/{institution_id:int}/delete", status_code=200)
async def delete(site: SiteParts, account: SignedIn, institution_id: FromPath[int]) -> Response[None]:
    await site.people.remove_institution(institution_id, by=account)
    return go("/institutions", done="deleted")


handlers = [show, new, create, institution, change, delete]
