"""API tokens."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.accounts.model import Account, ApiToken, Scope
from invigilo.clock import from_ms
from invigilo.storage.queries.accounts import account_of
from invigilo.storage.queries.listing import is_row_id
from invigilo.storage.tables import api_tokens, users


def _token(row: Row[Any]) -> ApiToken:
    known = {scope.value for scope in Scope}
    return ApiToken(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        scopes=frozenset(Scope(one) for one in row.scopes if one in known),
        created_at=from_ms(row.created_at),
        expires_at=from_ms(row.expires_at),
        last_used_at=None if row.last_used_at is None else from_ms(row.last_used_at),
    )


async def add(db: AsyncConnection, **values: Any) -> ApiToken:
    return _token((await db.execute(insert(api_tokens).values(**values).returning(*api_tokens.c))).one())


async def of_user(db: AsyncConnection, user_id: int) -> list[ApiToken]:
    query = select(api_tokens).where(api_tokens.c.user_id == user_id).order_by(api_tokens.c.id.desc())
    return [_token(row) for row in await db.execute(query)]


async def remove(db: AsyncConnection, token_id: int, *, user_id: int) -> ApiToken | None:
    if not is_row_id(token_id):
        return None
    query = delete(api_tokens).where(api_tokens.c.id == token_id, api_tokens.c.user_id == user_id)
    row = (await db.execute(query.returning(*api_tokens.c))).one_or_none()
    return None if row is None else _token(row)


async def by_hash(db: AsyncConnection, token_hash: str, now: int) -> tuple[Account, ApiToken, int] | None:
    """Owner, token, and when it was last used (ms; 0 for never)."""
    query = select(api_tokens).where(api_tokens.c.token_hash == token_hash, api_tokens.c.expires_at > now)
    row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    owner = (
        await db.execute(select(users).where(users.c.id == row.user_id, users.c.is_active))
    ).one_or_none()
    return None if owner is None else (account_of(owner), _token(row), row.last_used_at or 0)


async def note_use(db: AsyncConnection, token_id: int, now: int) -> None:
    await db.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=now))
