"""People: who there is, what they may do, and how they get in."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right, Role
from invigilo.accounts.people import PeopleWish
from invigilo.accounts.permissions import institution_of, require, rights_in
from invigilo.accounts.rules import NewPerson, PersonWish
from invigilo.errors import CHANGED_MEANWHILE, Invalid, InvigiloError, NotAllowed, NotFound, Refused
from invigilo.storage.queries.people import SORTS
from invigilo.web.forms.form import Form, FormView
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.lists import ListQuery, ListView, list_query
from invigilo.web.pages.choices import language_choices, role_choices, zone_choices
from invigilo.web.pages.views_people import NewPersonPage, PeopleListPage, PersonPage, PersonRow
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts

ACTIVE = {"yes": True, "no": False}


def people_wish(query: ListQuery) -> PeopleWish:
    """From what a list's address asks for to what the service looks for."""
    role, active = query.filters.get("role"), query.filters.get("active")
    institution = query.filters.get("institution", "")
    return PeopleWish(
        search=query.search,
        role=Role(role) if role else None,
        is_active=ACTIVE[active] if active else None,
        institution_id=int(institution) if institution.isdecimal() and len(institution) < 19 else None,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )


def people_query(request: AnyRequest) -> ListQuery:
    filters = {"role": [role.value for role in Role], "active": list(ACTIVE), "institution": ()}
    return list_query(request, sorts=list(SORTS), default="username", filters=filters)


@get("/people")
async def show(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    query = people_query(request)
    people, total = await site.people.list(people_wish(query), by=account)
    frame = frame_of(request, site, account)
    text = site.renderer.catalogue.text
    is_over_all = institution_of(account) is None
    institutions = await site.people.choices(by=account) if is_over_all else []
    names = {one.id: one.name for one in institutions}
    rows = [
        PersonRow(
            one.id,
            one.username,
            one.display_name,
            one.role.value,
            names.get(one.institution_id or 0, "–"),
            one.is_active,
        )
        for one in people
    ]
    page = PeopleListPage(
        frame=frame,
        list=ListView(rows, total, query, "/people"),
        roles=[
            (role.value, text(frame.language, f"people.role.{role.value}"))
            for role in Role
            if is_over_all or role is not Role.SERVER_ADMIN
        ],
        institutions=[(str(one.id), one.name) for one in institutions],
        may_change=Right.CHANGE in rights_in(account, Kind.USER),
    )
    return site.renderer.respond(request, "people_list.html", page, language=frame.language)


# --- somebody new ---


async def _new_page(
    request: AnyRequest, site: Site, account: Account, form: FormView, *, status: int = 200
) -> Response[Any]:
    frame = frame_of(request, site, account)
    institutions = await site.people.choices(by=account)
    page = NewPersonPage(
        frame=frame,
        form=form,
        roles=role_choices(site, frame.language, account),
        institutions=[(str(one.id), one.name) for one in institutions],
        languages=language_choices(site, frame.language),
        zones=zone_choices(site, frame.language, str(form.value("time_zone", "auto")), auto=True),
    )
    return site.renderer.respond(request, "person_new.html", page, language=frame.language, status=status)


@get("/people/new")
async def new(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.USER, Right.CHANGE)
    values = {
        "role": Role.EXAM_SUPPORTER.value,
        "institution_id": request.query_params.get("institution", ""),
    }
    return await _new_page(request, site, account, FormView(values))


@post("/people", status_code=200)
async def create(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    """Make somebody; the answer shows the first password, once."""
    require(account, Kind.USER, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    role = form.choice("role", Role, Role.EXAM_SUPPORTER)
    is_over_all = institution_of(account) is None
    institution_id = form.id("institution_id") if is_over_all else account.institution_id
    wish = NewPerson(
        username=form.text("username"),
        display_name=form.text("display_name") or form.text("username"),
        role=role,
        institution_id=None if role is Role.SERVER_ADMIN else institution_id,
        language=form.text("language") or "auto",
        time_zone=form.text("time_zone") or "auto",
        password=form.raw("password") or None,
    )
    try:
        form.check()
        person, password = await site.people.create(wish, by=account)
    except (Invalid, Refused) as error:
        language = frame_of(request, site, account).language
        view = form_view(site, language, form_values(form), error)
        return await _new_page(request, site, account, view, status=400)
    return await _person_page(request, site, account, person, password=password, is_new=True)


# --- one person ---


def _values(person: Account) -> dict[str, Any]:
    return {
        "display_name": person.display_name,
        "role": person.role.value,
        "language": person.language,
        "time_zone": person.time_zone,
        "is_active": person.is_active,
        "revision": person.revision,
    }


async def _person_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    person: Account,
    *,
    form: FormView | None = None,
    password_form: FormView | None = None,
    password: str = "",
    is_new: bool = False,
    status: int = 200,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    institution = None
    if person.institution_id is not None:
        institution, _ = await site.people.institution(person.institution_id, by=account)
    roles = role_choices(site, frame.language, account)
    own = (
        person.role.value,
        site.renderer.catalogue.text(frame.language, f"people.role.{person.role.value}"),
    )
    may_move = person.role is not Role.SERVER_ADMIN and person.id != account.id
    roles = [one for one in roles if one[0] != Role.SERVER_ADMIN] if may_move else [own]
    view = form or FormView(_values(person))
    page = PersonPage(
        frame=frame,
        person=person,
        institution=institution,
        form=view,
        password_form=password_form or FormView({}),
        roles=roles,
        languages=language_choices(site, frame.language),
        zones=zone_choices(site, frame.language, person.time_zone, auto=True),
        may_change=Right.CHANGE in rights_in(account, Kind.USER),
        is_self=person.id == account.id,
        password=password,
        is_new=is_new,
    )
    return site.renderer.respond(request, "person.html", page, language=frame.language, status=status)


@get("/people/{user_id:int}")
async def person(
    request: AnyRequest, site: SiteParts, account: SignedIn, user_id: FromPath[int]
) -> Response[Any]:
    return await _person_page(request, site, account, await site.people.get(user_id, by=account))


@post("/people/{user_id:int}", status_code=200)
async def change(
    request: AnyRequest, site: SiteParts, account: SignedIn, user_id: FromPath[int]
) -> Response[Any]:
    before = await site.people.get(user_id, by=account, right=Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    role = form.choice("role", Role, before.role)
    revision = form.integer("revision")
    wish = PersonWish(
        display_name=form.text("display_name"),
        role=role,
        language=form.text("language") or "auto",
        time_zone=form.text("time_zone") or "auto",
        is_active=form.flag("is_active"),
        revision=-1 if revision is None else revision,
    )
    try:
        form.check()
        await site.people.change(user_id, wish, by=account)
    except (NotFound, NotAllowed):
        raise
    except InvigiloError as error:
        return await _come_back(request, site, account, before.id, form, error)
    return go(f"/people/{user_id}", done="saved")


async def _come_back(
    request: AnyRequest, site: Site, account: Account, user_id: int, form: Form, error: InvigiloError
) -> Response[Any]:
    """The form with what was typed; after somebody else's save with the new revision, so that saving again replaces it."""
    person = await site.people.get(user_id, by=account, right=Right.CHANGE)
    values = form_values(form) | {"is_active": form.flag("is_active")}
    if isinstance(error, Refused) and error.code == CHANGED_MEANWHILE:
        values["revision"] = person.revision
    view = form_view(site, frame_of(request, site, account).language, values, error)
    return await _person_page(request, site, account, person, form=view, status=400)


@post("/people/{user_id:int}/password", status_code=200)
async def set_password(
    request: AnyRequest, site: SiteParts, account: SignedIn, user_id: FromPath[int]
) -> Response[Any]:
    """Give somebody a temporary password; the answer shows it, once."""
    person = await site.people.get(user_id, by=account, right=Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        password = await site.people.set_password(user_id, form.raw("password") or None, by=account)
    except (Invalid, Refused) as error:
        view = form_view(site, frame_of(request, site, account).language, {}, error)
        return await _person_page(request, site, account, person, password_form=view, status=400)
    person = await site.people.get(user_id, by=account)
    return await _person_page(request, site, account, person, password=password)


handlers = [show, new, create, person, change, set_password]
