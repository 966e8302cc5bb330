"""One's own account: name, language, time zone, password, API tokens, sign-ins."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Scope
from invigilo.accounts.rules import ProfileWish
from invigilo.accounts.tokens import scopes_for
from invigilo.clock import to_ms
from invigilo.errors import CHANGED_MEANWHILE, Invalid, Refused
from invigilo.web.forms.form import Form, FormView
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.pages.choices import language_choices, zone_choices
from invigilo.web.pages.views_people import AccountPage, PasswordPage, SessionRow, TokenRow
from invigilo.web.parts import BEFORE_PASSWORD, SESSION_COOKIE, AnyRequest, SignedIn, Site, SiteParts
from invigilo.web.render import LANGUAGE_COOKIE

LIVES = (1, 30, 90, 180, 365)
"""Days a token may be made for."""


async def _page(
    request: AnyRequest,
    site: Site,
    account: Account,
    *,
    form: FormView | None = None,
    token_form: FormView | None = None,
    key: str = "",
    status: int = 200,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    text = site.renderer.catalogue.text
    me = await site.people.me(by=account)
    values = {
        "display_name": me.display_name,
        "language": me.language,
        "time_zone": me.time_zone,
        "revision": me.revision,
    }
    now = site.clock.now()
    tokens = [
        TokenRow(
            id=one.id,
            name=one.name,
            scopes=tuple(text(frame.language, f"account.scope.{scope}") for scope in sorted(one.scopes)),
            expires_at=to_ms(one.expires_at),
            is_over=one.expires_at <= now,
            last_used_at=None if one.last_used_at is None else to_ms(one.last_used_at),
        )
        for one in await site.tokens.of(account)
    ]
    sessions = await site.people.sessions(account, session=request.cookies.get(SESSION_COOKIE))
    page = AccountPage(
        frame=frame,
        me=me,
        form=form or FormView(values),
        token_form=token_form or FormView({"life": "90"}),
        languages=language_choices(site, frame.language),
        zones=zone_choices(site, frame.language, me.time_zone, auto=True),
        scopes=[(one.value, text(frame.language, f"account.scope.{one.value}")) for one in scopes_for(me)],
        lives=[(str(days), text(frame.language, f"account.life.{days}")) for days in LIVES],
        tokens=tokens,
        sessions=[SessionRow(to_ms(one.since), to_ms(one.until), one.is_this_one) for one in sessions],
        key=key,
    )
    return site.renderer.respond(request, "account.html", page, language=frame.language, status=status)


@get("/account")
async def show(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    return await _page(request, site, account)


@post("/account", status_code=200)
async def change(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    form = Form.of((await request.form()).multi_items())
    revision = form.integer("revision")
    wish = ProfileWish(
        display_name=form.text("display_name"),
        language=form.text("language") or "auto",
        time_zone=form.text("time_zone") or "auto",
        revision=-1 if revision is None else revision,
    )
    try:
        form.check()
        await site.people.change_profile(wish, by=account)
    except (Invalid, Refused) as error:
        values = form_values(form)
        if isinstance(error, Refused) and error.code == CHANGED_MEANWHILE:
            values["revision"] = (await site.people.me(by=account)).revision
        view = form_view(site, frame_of(request, site, account).language, values, error)
        return await _page(request, site, account, form=view, status=400)
    response = go("/account", done="saved")
    response.delete_cookie(
        LANGUAGE_COOKIE, path="/"
    )  # what was chosen now counts, not what was clicked before
    return response


# --- password ---


def _password_page(
    request: AnyRequest, site: Site, account: Account, form: FormView, *, status: int = 200
) -> Response[Any]:
    frame = frame_of(request, site, account)
    page = PasswordPage(
        frame=frame, username=account.username, form=form, is_first=account.must_change_password
    )
    return site.renderer.respond(
        request, "account_password.html", page, language=frame.language, status=status
    )


@get("/account/password", opt=BEFORE_PASSWORD)
async def show_password(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    return _password_page(request, site, account, FormView({}))


@post("/account/password", opt=BEFORE_PASSWORD, status_code=200)
async def change_password(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    form = Form.of((await request.form()).multi_items())
    new = form.raw("new_password")
    if new != form.raw("again"):
        form.wrong("again", "passwords_differ", "The two passwords differ.")
    try:
        form.check()
        await site.people.change_password(
            form.raw("current_password"), new, by=account, session=request.cookies.get(SESSION_COOKIE)
        )
    except (Invalid, Refused) as error:
        view = form_view(site, frame_of(request, site, account).language, {}, error)
        return _password_page(request, site, account, view, status=400)
    return go("/monitoring" if account.must_change_password else "/account", done="people_password")


# --- API tokens ---


@post("/account/tokens", status_code=200)
async def make_token(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    """Make a token; the answer shows its key, once."""
    form = Form.of((await request.form()).multi_items())
    life = form.text("life")
    days = int(life) if life in {str(one) for one in LIVES} else 90
    known = {one.value: one for one in Scope}
    scopes = [known[one] for one in form.all("scopes") if one in known]
    try:
        until = site.clock.now() + timedelta(days=days)
        _, key = await site.tokens.make(form.text("name"), scopes, expires_at=until, by=account)
    except (Invalid, Refused) as error:
        values = form_values(form) | {"scopes": form.all("scopes")}
        view = form_view(site, frame_of(request, site, account).language, values, error)
        return await _page(request, site, account, token_form=view, status=400)
    return await _page(request, site, account, key=key)


@post("/account/tokens/{token_id:int}/revoke", status_code=200)
async def revoke_token(site: SiteParts, account: SignedIn, token_id: FromPath[int]) -> Response[None]:
    await site.tokens.revoke(token_id, by=account)
    return go("/account", done="people_token_revoked")


# --- sign-ins ---


@post("/account/sessions/end", status_code=200)
async def end_sessions(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[None]:
    """Sign out everywhere else."""
    await site.people.end_sessions(by=account, session=request.cookies.get(SESSION_COOKIE))
    return go("/account", done="people_sessions_ended")


handlers = [
    show,
    change,
    show_password,
    change_password,
    make_token,
    revoke_token,
    end_sessions,
]
