"""The pages' application: what every handler needs, who is asking, and how an error becomes an answer.

Handlers are in `pages/`, one file per subject. They receive `Site` (the parts) and, where somebody must be signed in,
`Account`; both are handed in by name.
"""

from __future__ import annotations

import http
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, MediaType, Response
from litestar.config.csrf import CSRFConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException, SerializationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components
from litestar.types import Receive, Scope, Send

from invigilo import __version__
from invigilo.accounts.model import Account
from invigilo.errors import BadInput, InvigiloError, NotAllowed, NotFound, Refused, Sentence, Unavailable
from invigilo.web import hooks
from invigilo.web.api import activity as api_activity
from invigilo.web.api import calls as api_calls
from invigilo.web.api import configurations as api_configurations
from invigilo.web.api import connections as api_connections
from invigilo.web.api import desk as api_desk
from invigilo.web.api import exam_templates as api_exam_templates
from invigilo.web.api import exams as api_exams
from invigilo.web.api import institutions as api_institutions
from invigilo.web.api import people as api_people
from invigilo.web.api import proctoring as api_proctoring
from invigilo.web.api import records as api_records
from invigilo.web.api import rosters as api_rosters
from invigilo.web.api import services as api_services
from invigilo.web.api import tokens as api_tokens
from invigilo.web.api.base import SECURITY, api_router
from invigilo.web.api.description import Description
from invigilo.web.pages import (
    account,
    activity,
    calls,
    candidate,
    configuration_files,
    configuration_history,
    configurations,
    connections,
    desk,
    events,
    exam_templates,
    exams,
    institutions,
    monitoring,
    operation,
    people,
    proctoring_settings,
    records,
    roster,
    service_join,
    services,
    settings_editor,
    sign_in,
)
from invigilo.web.pages.views import ErrorPage
from invigilo.web.parts import AnyRequest, PasswordNeeded, SignInNeeded, Site, provide_account, wants_json

log = structlog.get_logger()

FORM_LIMIT = 64 * 1024

API_HANDLERS = [
    *api_activity.handlers,
    *api_calls.handlers,
    *api_configurations.handlers,
    *api_connections.handlers,
    *api_desk.handlers,
    *api_exam_templates.handlers,
    *api_exams.handlers,
    *api_institutions.handlers,
    *api_people.handlers,
    *api_proctoring.handlers,
    *api_records.handlers,
    *api_rosters.handlers,
    *api_services.handlers,
    *api_tokens.handlers,
]
"""Everything under `/api/v1`."""


def build_site(site: Site, *, lifespan: Callable[[Any], AbstractAsyncContextManager[None]]) -> Front:
    """The ASGI application of all pages."""

    def provide_site() -> Site:
        return site

    @asynccontextmanager
    async def life(app: Litestar) -> AsyncGenerator[None]:
        async with lifespan(app):
            yield

    pages = Litestar(
        route_handlers=[
            *account.handlers,
            *activity.handlers,
            *calls.handlers,
            *candidate.handlers,
            *configuration_files.handlers,
            *configuration_history.handlers,
            *configurations.handlers,
            *connections.handlers,
            *events.handlers,
            *desk.handlers,
            *exam_templates.handlers,
            *exams.handlers,
            *institutions.handlers,
            *monitoring.handlers,
            *operation.handlers,
            *hooks.handlers,
            *people.handlers,
            *proctoring_settings.handlers,
            *records.handlers,
            *roster.handlers,
            *service_join.handlers,
            *services.handlers,
            *settings_editor.handlers,
            *sign_in.handlers,
            api_router(API_HANDLERS),
        ],
        dependencies={
            "site": Provide(provide_site, sync_to_thread=False),
            "account": Provide(provide_account),
        },
        csrf_config=CSRFConfig(
            secret=site.box.derive("csrf"),
            cookie_secure=site.has_https,
            cookie_samesite="lax",
            exclude_from_csrf_key="no_csrf",
        ),
        exception_handlers={Exception: _answer_error(site)},
        lifespan=[life],
        request_max_body_size=FORM_LIMIT,
        logging_config=None,
        include_in_schema=False,
        openapi_config=OpenAPIConfig(
            title="Invigilo",
            version=__version__,
            path="/api",
            render_plugins=[Description(path="/openapi.json")],
            components=Components(security_schemes=SECURITY),  # type: ignore[arg-type]
        ),
        debug=False,
    )
    return Front(pages)


class Front:
    """Before the framework: header bytes no header may hold are dropped.

    The framework compares the CSRF cookie as text and fails on non-ASCII bytes; a request cannot be allowed to choose
    a 500, so such a cookie or header counts as not sent.
    """

    def __init__(self, pages: Litestar) -> None:
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            scope["headers"] = [
                (name, value)
                for name, value in scope["headers"]
                if name not in {b"cookie", b"x-csrftoken"} or (value.isascii() and b"%" not in value)
            ]
        await self.pages(scope, receive, send)


_STATUS: list[tuple[type[Exception], int]] = [
    (NotFound, 404),
    (NotAllowed, 403),
    (PasswordNeeded, 403),
    (BadInput, 400),
    (Refused, 409),
    (Unavailable, 503),
    (InvigiloError, 400),
]
"""From our errors to HTTP, for pages."""


def _answer_error(site: Site) -> Callable[[AnyRequest, Exception], Response[Any]]:
    def answer(request: AnyRequest, error: Exception) -> Response[Any]:
        if isinstance(error, SignInNeeded):
            return _lead_to_sign_in(request, site)
        if isinstance(error, PasswordNeeded) and request.method == "GET" and not wants_json(request):
            return Response(None, status_code=302, headers={"Location": "/account/password"})
        status, code, why = _explain(error)
        if status >= 500 and not isinstance(error, InvigiloError):
            log.error("page_failed", exc_info=error, route=_route_of(request))
        language = _language_of(request, site)
        message = site.renderer.error_text(language, why)
        if wants_json(request):
            body = {"code": code, "message": message}
            return Response(json.dumps(body), status_code=status, media_type=MediaType.JSON)
        page = ErrorPage(
            status=status,
            title=http.HTTPStatus(status).phrase,
            message=message,
            is_english=message == why.message,
            language=language,
        )
        return site.renderer.respond(request, "error.html", page, language=language, status=status)

    return answer


def _language_of(request: AnyRequest, site: Site) -> str:
    """As on every page: that of the account, where it is known by now who asks."""
    account: Account | None = request.scope.get("user")
    return site.renderer.language_of(request, None if account is None else account.language)


def _explain(error: Exception) -> tuple[int, str, InvigiloError]:
    if isinstance(error, InvigiloError):
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        code = error.code if isinstance(error, Refused) else type(error).__name__.lower()
        return status, code, error
    if isinstance(error, HTTPException):
        known = error.status_code in http.HTTPStatus._value2member_map_
        status = error.status_code if known else 400
        if status == 403 and "CSRF" in str(error.detail):
            return status, "csrf", InvigiloError(_CSRF)
        return status, "http", InvigiloError(str(error.detail)[:200])
    if isinstance(error, SerializationException | RecursionError):
        return 400, "badinput", InvigiloError(_UNREADABLE)
    return 500, "internal", InvigiloError(_INTERNAL)


_CSRF = Sentence(
    "csrf", "This form was open for too long, or cookies are blocked. Reload the page and try again."
)
_UNREADABLE = Sentence("unreadable", "The request's body cannot be read.")
_INTERNAL = Sentence("internal", "The server could not do this. It has been noted; please try again.")
_SIGN_IN = Sentence("sign_in", "Please sign in again.")


def _lead_to_sign_in(request: AnyRequest, site: Site) -> Response[Any]:
    if wants_json(request) or request.method not in {"GET", "HEAD"}:
        message = site.renderer.sentence_text(_language_of(request, site), _SIGN_IN)
        body = json.dumps({"code": "sign_in", "message": message})
        return Response(body, status_code=401, media_type=MediaType.JSON)
    return Response(
        None, status_code=302, headers={"Location": f"/login?next={sign_in.safe_next(request.url.path)}"}
    )


def _route_of(request: AnyRequest) -> str:
    """The route's pattern, never the path: a path may hold an entry key."""
    return str(request.scope.get("path_template", "unknown"))
