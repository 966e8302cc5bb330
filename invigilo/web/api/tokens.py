"""`/api/v1/me` and `/api/v1/tokens`: whose token this is, their account, and their other tokens."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from invigilo.accounts.model import Account, ApiToken, Role, Scope
from invigilo.accounts.rules import ProfileWish
from invigilo.errors import BadInput
from invigilo.web.api.base import ApiCaller, Caller, needs, needs_any
from invigilo.web.parts import SiteParts


class Me(msgspec.Struct, frozen=True):
    """The token's owner, and what the token may be used for."""

    id: int
    username: str
    display_name: str
    role: Role
    institution_id: int | None
    language: str
    """`en`, `de`, or `auto` for the browser's."""
    time_zone: str
    """An IANA name, or `auto` for the browser's."""
    revision: int
    """Counts up with every change of the account."""
    scopes: list[Scope]


class MePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; what is left out stays."""

    display_name: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    """The one that was read: given, a change of somebody else meanwhile refuses this one (`changed_meanwhile`)."""


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another password of one's own."""

    current_password: str
    new_password: str


class Session(msgspec.Struct, frozen=True):
    """A sign-in in a browser."""

    since: datetime
    until: datetime


class SessionsEnded(msgspec.Struct, frozen=True):
    """How many sign-ins there were."""

    ended: int


class Token(msgspec.Struct, frozen=True):
    """An API token, without its key, which nobody can read."""

    id: int
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class TokenCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new token: it may do no more than the one it is made with, and ends no later."""

    name: str
    scopes: list[Scope]
    expires_at: datetime
    """With its time zone."""


class TokenCreated(msgspec.Struct, frozen=True):
    """A new token, and its key; nobody can ask for it again."""

    token: Token
    key: str


def _me(account: Account, caller: Caller) -> Me:
    return Me(
        account.id,
        account.username,
        account.display_name,
        account.role,
        account.institution_id,
        account.language,
        account.time_zone,
        account.revision,
        sorted(caller.scopes),
    )


def _token(one: ApiToken) -> Token:
    return Token(one.id, one.name, sorted(one.scopes), one.created_at, one.expires_at, one.last_used_at)


@get("/me", opt=needs_any(), tags=["me"], summary="Whose token this is")
async def me(caller: ApiCaller) -> Me:
    return _me(caller.account, caller)


@patch("/me", opt=needs(Scope.PEOPLE_WRITE), tags=["me"], summary="Change one's own account")
async def change(caller: ApiCaller, site: SiteParts, data: JSONBody[MePatch]) -> Me:
    now = caller.account
    wish = ProfileWish(
        display_name=now.display_name if data.display_name is UNSET else data.display_name,
        language=now.language if data.language is UNSET else data.language,
        time_zone=now.time_zone if data.time_zone is UNSET else data.time_zone,
        revision=now.revision if data.revision is UNSET else data.revision,
    )
    return _me(await site.people.change_profile(wish, by=now), caller)


@post(
    "/me/password",
    opt=needs(Scope.PEOPLE_WRITE),
    tags=["me"],
    summary="Change one's own password",
    status_code=204,
)
async def change_password(caller: ApiCaller, site: SiteParts, data: JSONBody[PasswordChange]) -> None:
    """Ends all sign-ins in browsers; tokens stay."""
    await site.people.change_password(
        data.current_password, data.new_password, by=caller.account, session=None
    )


@get("/me/sessions", opt=needs_any(), tags=["me"], summary="List one's own sign-ins")
async def sessions(caller: ApiCaller, site: SiteParts) -> list[Session]:
    return [Session(one.since, one.until) for one in await site.people.sessions(caller.account, session=None)]


@delete(
    "/me/sessions",
    opt=needs(Scope.PEOPLE_WRITE),
    tags=["me"],
    summary="Sign out in every browser",
    status_code=200,
)
async def end_sessions(caller: ApiCaller, site: SiteParts) -> SessionsEnded:
    return SessionsEnded(await site.people.end_sessions(by=caller.account, session=None))


@get("/tokens", opt=needs_any(), tags=["tokens"], summary="List one's own API tokens")
async def tokens(caller: ApiCaller, site: SiteParts) -> list[Token]:
    return [_token(one) for one in await site.tokens.of(caller.account)]


@post("/tokens", opt=needs_any(), tags=["tokens"], summary="Make an API token")
async def make(caller: ApiCaller, site: SiteParts, data: JSONBody[TokenCreate]) -> TokenCreated:
    if data.expires_at.tzinfo is None:
        raise BadInput("Give the time with its zone, like 2026-01-31T08:00:00Z.", field="expires_at")
    token, key = await site.tokens.make(
        data.name, data.scopes, expires_at=data.expires_at, by=caller.account, within=caller.token
    )
    return TokenCreated(_token(token), key)


@delete(
    "/tokens/{token_id:int}", opt=needs_any(), tags=["tokens"], summary="Revoke one of one's own API tokens"
)
async def revoke(caller: ApiCaller, site: SiteParts, token_id: FromPath[int]) -> None:
    await site.tokens.revoke(token_id, by=caller.account)


handlers = [me, change, change_password, sessions, end_sessions, tokens, make, revoke]
