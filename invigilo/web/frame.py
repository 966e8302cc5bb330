"""The frame around every page of a signed-in person: who they are, and where they may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response

from invigilo.accounts.model import Account, Kind, Right, Role
from invigilo.accounts.permissions import may_look_back, rights_in
from invigilo.errors import CHANGED_MEANWHILE, BadInput, Invalid, InvigiloError, Refused
from invigilo.web.forms.form import Form, FormView
from invigilo.web.pages.views import Area, Frame
from invigilo.web.parts import AnyRequest, Site
from invigilo.web.render import DONE_COOKIE

_AREAS: tuple[tuple[str, str, Kind | None], ...] = (
    ("monitoring", "/monitoring", None),
    ("exams", "/exams", None),
    ("records", "/finished", None),
    ("configurations", "/configurations", Kind.CONFIGURATION),
    ("connections", "/connections", Kind.CONNECTION),
    ("services", "/services", Kind.SERVICE),
    ("people", "/people", Kind.USER),
    ("activity", "/activity", Kind.ACTIVITY),
)

_ALSO = {"exams": ("/templates",), "records": ("/events",), "people": ("/institutions",)}
"""Pages that belong to an area though their address begins otherwise."""


def areas_of(account: Account, path: str) -> tuple[Area, ...]:
    """The parts of the site this person may open."""
    return tuple(
        Area(
            name,
            to,
            is_here=any(path == one or path.startswith(f"{one}/") for one in (to, *_ALSO.get(name, ()))),
        )
        for name, to, kind in _AREAS
        if (kind is None or Right.SEE in rights_in(account, kind))
        and (name != "records" or may_look_back(account))
    )


def frame_of(request: AnyRequest, site: Site, account: Account) -> Frame:
    language = site.renderer.language_of(request, account.language)
    done = request.cookies.get(DONE_COOKIE, "")
    is_ours = done.replace("_", "").replace(".", "").isalnum() and done.isascii() and len(done) < 60
    return Frame(
        language,
        account.display_name,
        areas=areas_of(account, request.url.path),
        time_zone=account.time_zone,
        done=site.renderer.catalogue.text(language, f"admin.done.{done}") if is_ours else "",
    )


def form_view(
    site: Site,
    language: str,
    values: Mapping[str, Any],
    error: InvigiloError | None = None,
) -> FormView:
    """A form as it is shown: fresh, or come back with what was wrong."""
    say = site.renderer.problem_text
    if isinstance(error, Invalid):
        return FormView(values, {one.field: say(language, one) for one in error.problems})
    if isinstance(error, Refused) and error.code == CHANGED_MEANWHILE:
        return FormView(values, note=site.renderer.catalogue.text(language, "admin.form.changed_meanwhile"))
    if isinstance(error, BadInput) and error.field:
        return FormView(values, {error.field: error.message})
    return FormView(values, note="" if error is None else site.renderer.error_text(language, error))


def form_values(form: Form) -> dict[str, Any]:
    """What was typed, to be shown again: one value as it stands, several as a list; passwords are typed anew."""
    return {
        name: values if len(values) > 1 else values[0]
        for name, values in form.lists.items()
        if "password" not in name and "secret" not in name
    }


def go(to: str, *, done: str = "") -> Response[None]:
    """Lead to a page after a deed; it says once what was done (`admin.done.<done>`)."""
    response = Response(None, status_code=303, headers={"Location": to, "Cache-Control": "no-store"})
    if done:
        response.set_cookie(DONE_COOKIE, done, max_age=20, path="/", samesite="lax", httponly=True)
    return response


def is_administrator(account: Account) -> bool:
    return account.role in {Role.SERVER_ADMIN, Role.INSTITUTION_ADMIN, Role.EXAM_ADMIN}
