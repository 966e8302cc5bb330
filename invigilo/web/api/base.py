"""What every API handler stands on: who calls, with which scope; the shape of errors; lists in pages.

Handlers are in this folder, one file per subject, each with `handlers`. A handler names its scope as `opt=needs(Scope.…)`
and asks for `caller: ApiCaller`; what the token's owner may do is decided by the same functions as for pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import structlog
from litestar import MediaType, Response, Router
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi.spec import SecurityScheme
from litestar.types import ControllerRouterHandler

from invigilo.accounts.model import Account, ApiToken, Scope
from invigilo.errors import BadInput, Invalid, InvigiloError, NotAllowed, NotFound, Refused, Unavailable
from invigilo.web.parts import AnyRequest, SiteParts

log = structlog.get_logger()
T = TypeVar("T")

PREFIX = "/api/v1"
BEARER = "Bearer "
LONGEST_KEY = 200


class ApiProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with one field of the request."""

    field: str
    code: str
    message: str


class ApiError(msgspec.Struct, frozen=True):
    """What every failed call is answered with."""

    code: str
    """Stable: `invalid`, `not_found`, `not_allowed`, `unauthorised`, `unavailable`, or a rule's own code."""
    message: str
    """For people, and says what to do next."""
    problems: list[ApiProblem] = []
    """Field by field, when the input is what is wrong."""


class ApiList(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `page` counts from 1."""

    items: list[T]
    total: int
    page: int
    size: int


def listed(items: Sequence[T], total: int, *, page: int, size: int) -> ApiList[T]:
    return ApiList(list(items), total, page, size)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what the token they use is for."""

    account: Account
    token: ApiToken

    @property
    def scopes(self) -> frozenset[Scope]:
        return self.token.scopes


class Unauthorised(InvigiloError):
    """No token, or none that is known and in force."""


ApiCaller = NamedDependency[Caller]
"""How a handler asks for the caller; whoever has no token with the handler's scope never gets there."""


def needs(scope: Scope) -> dict[str, Any]:
    """The handler's `opt`: the scope a token must have."""
    return {"scope": scope}


def needs_any() -> dict[str, Any]:
    """The `opt` of a handler that every token may call: it tells only of the token's owner and the token itself."""
    return {"scope": None}


async def provide_caller(request: AnyRequest, site: SiteParts) -> Caller:
    """The owner of the bearer token. Raises Unauthorised, or NotAllowed when the token lacks the handler's scope."""
    given = request.headers.get("authorization", "")
    key = given[len(BEARER) :].strip() if given[: len(BEARER)].lower() == BEARER.lower() else ""
    found = await site.tokens.recognise(key) if key and len(key) <= LONGEST_KEY else None
    if found is None:
        raise Unauthorised(
            "Send `Authorization: Bearer …` with an API token that is in force (page “Account”)."
        )
    account, token = found
    scope: Scope | None = request.route_handler.opt["scope"]
    if scope is not None and scope not in token.scopes:
        raise NotAllowed(f"This token lacks the scope {scope.value}. Make one that has it.")
    if account.must_change_password:
        raise NotAllowed("Sign in once and choose a password of your own; then this token works.")
    return Caller(account, token)


_STATUS: list[tuple[type[Exception], int, str]] = [
    (Unauthorised, 401, "unauthorised"),
    (NotFound, 404, "not_found"),
    (NotAllowed, 403, "not_allowed"),
    (Invalid, 400, "invalid"),
    (BadInput, 400, "invalid"),
    (Refused, 409, "refused"),
    (Unavailable, 503, "unavailable"),
    (InvigiloError, 502, "service"),
]
"""From our errors to HTTP, for the API."""


def answer_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    status, body = _explain(error)
    if status == 500:
        log.error("api_failed", exc_info=error, route=str(request.scope.get("path_template", "unknown")))
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON, headers=headers)


def _explain(error: Exception) -> tuple[int, ApiError]:
    if isinstance(error, InvigiloError):
        status, code = next((status, code) for kind, status, code in _STATUS if isinstance(error, kind))
        problems: list[ApiProblem] = []
        if isinstance(error, Invalid):
            problems = [ApiProblem(one.field, one.code, one.message) for one in error.problems]
        elif isinstance(error, BadInput) and error.field:
            problems = [ApiProblem(error.field, "invalid", error.message)]
        return status, ApiError(error.code if isinstance(error, Refused) else code, error.message, problems)
    if isinstance(error, ValidationException):
        return 400, ApiError("invalid", "The request does not fit its description.", _fields_of(error))
    if isinstance(error, HTTPException):
        return error.status_code, ApiError("http", str(error.detail)[:200])
    if isinstance(error, SerializationException | RecursionError | UnicodeDecodeError):
        return 400, ApiError("invalid", "The request's body cannot be read.")
    return 500, ApiError("internal", "The server could not do this. It has been noted; please try again.")


def _fields_of(error: ValidationException) -> list[ApiProblem]:
    extra = error.extra if isinstance(error.extra, list) else []
    return [
        ApiProblem(str(one.get("key", "")), "invalid", str(one.get("message", ""))[:300])
        for one in extra
        if isinstance(one, dict)
    ]


SECURITY = {"bearer": SecurityScheme(type="http", scheme="bearer", description="An API token")}

ErrorBody = Annotated[ApiError, "error"]


def api_router(handlers: Sequence[ControllerRouterHandler]) -> Router:
    """All of the API under its prefix: tokens instead of cookies, so there is no form to forge."""
    return Router(
        path=PREFIX,
        route_handlers=handlers,
        dependencies={"caller": Provide(provide_caller)},
        exception_handlers={Exception: answer_error},
        opt={"no_csrf": True},
        security=[{"bearer": []}],
        include_in_schema=True,
        cache_control=None,
    )
