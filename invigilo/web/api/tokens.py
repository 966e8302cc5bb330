"""`/api/v1/me`: whose token this is."""

from __future__ import annotations

import msgspec
from litestar import get

from invigilo.accounts.model import Role, Scope
from invigilo.web.api.base import ApiCaller, needs


class Me(msgspec.Struct, frozen=True):
    """The token's owner, and what the token may be used for."""

    id: int
    username: str
    display_name: str
    role: Role
    institution_id: int | None
    scopes: list[Scope]


@get("/me", opt=needs(Scope.EXAMS_READ), tags=["tokens"], summary="Whose token this is")
async def me(caller: ApiCaller) -> Me:
    account = caller.account
    return Me(
        account.id,
        account.username,
        account.display_name,
        account.role,
        account.institution_id,
        sorted(caller.scopes),
    )


handlers = [me]
