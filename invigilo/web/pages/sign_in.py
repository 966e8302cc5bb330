"""Signing in and out, and the demo's sign-in link."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath

from invigilo.errors import NotAllowed, Refused
from invigilo.web.pages.views import SignInPage
from invigilo.web.parts import SESSION_COOKIE, AnyRequest, Site, SiteParts, account_of

HOME = "/monitoring"
Form = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]


def safe_next(path: object) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    text = path if isinstance(path, str) else ""
    is_ours = (
        text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and len(text) < 500
    )
    return text if is_ours and not text.startswith(("/login", "/logout")) else HOME


def _address(request: AnyRequest) -> str:
    return request.client.host if request.client else "unknown"


def set_session(response: Response[Any], request: AnyRequest, site: Site, token: str) -> None:
    response.set_cookie(
        key=SESSION_COOKIE,
        value=token,
        path="/",
        httponly=True,
        samesite="lax",
        secure=site.base_url(request.scope).startswith("https:"),
    )


def _go(to: str) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": to, "Cache-Control": "no-store"})


@get("/")
async def root() -> Response[None]:
    return _go(HOME)


@get("/login")
async def show(request: AnyRequest, site: SiteParts) -> Response[Any]:
    to = safe_next(request.query_params.get("next"))
    if await account_of(request, site) is not None:
        return _go(to)
    language = site.renderer.language_of(request)
    return site.renderer.respond(
        request, "login.html", SignInPage(language=language, next=to), language=language
    )


@post("/login")
async def sign_in(request: AnyRequest, site: SiteParts, data: Form) -> Response[Any]:
    username, password = _field(data, "username"), _field(data, "password")
    to = safe_next(data.get("next"))
    try:
        _, token = await site.accounts.sign_in(username, password, address=_address(request))
    except (NotAllowed, Refused) as error:
        language = site.renderer.language_of(request)
        key = "too_many_tries" if isinstance(error, Refused) else "wrong"
        problem = site.renderer.catalogue.text(language, f"proctor.login.{key}")
        page = SignInPage(language=language, next=to, username=username[:64], problem=problem)
        status = 429 if isinstance(error, Refused) else 401
        return site.renderer.respond(request, "login.html", page, language=language, status=status)
    response = _go(to)
    set_session(response, request, site, token)
    return response


def _field(data: dict[str, Any], name: str) -> str:
    value = data.get(name, "")
    return value if isinstance(value, str) else ""


@post("/logout")
async def sign_out(request: AnyRequest, site: SiteParts) -> Response[None]:
    token = request.cookies.get(SESSION_COOKIE)
    if token:
        await site.accounts.sign_out(token)
    response = _go("/login")
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@get("/login/link/{token:str}")
async def follow_link(request: AnyRequest, site: SiteParts, token: FromPath[str]) -> Response[None]:
    """The demo's one address: signs in and leads to the monitoring page."""
    session, to = await site.accounts.follow_link(token)
    response = _go(safe_next(to))
    set_session(response, request, site, session)
    return response


handlers = [root, show, sign_in, sign_out, follow_link]
