"""People, sessions and sign-in links."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.accounts.model import Account, Role
from invigilo.storage.tables import sessions, sign_in_links, users


def account_of(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        institution_id=row.institution_id,
        username=row.username,
        display_name=row.display_name,
        role=Role(row.role),
        language=row.language,
        is_active=row.is_active,
        time_zone=row.time_zone,
        must_change_password=row.must_change_password,
        revision=row.revision,
    )


async def by_username(db: AsyncConnection, username: str) -> tuple[Account, str] | None:
    """The person and the password's hash."""
    row = (await db.execute(select(users).where(users.c.username == username))).one_or_none()
    return None if row is None else (account_of(row), row.password_hash)


async def all_accounts(db: AsyncConnection) -> list[Account]:
    return [account_of(row) for row in await db.execute(select(users).order_by(users.c.username))]


async def add(db: AsyncConnection, **values: Any) -> int:
    return int((await db.execute(insert(users).values(**values).returning(users.c.id))).scalar_one())


async def change(db: AsyncConnection, user_id: int, **values: Any) -> None:
    await db.execute(update(users).where(users.c.id == user_id).values(**values))


async def add_session(
    db: AsyncConnection, *, token_hash: str, user_id: int, created_at: int, expires_at: int
) -> None:
    await db.execute(
        insert(sessions).values(
            token_hash=token_hash, user_id=user_id, created_at=created_at, expires_at=expires_at
        )
    )


async def by_session(db: AsyncConnection, token_hash: str, now: int) -> Account | None:
    query = (
        select(users)
        .join(sessions, sessions.c.user_id == users.c.id)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_at > now, users.c.is_active)
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else account_of(row)


async def end_session(db: AsyncConnection, token_hash: str) -> None:
    await db.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


async def end_sessions_of(db: AsyncConnection, user_id: int) -> None:
    """A changed password or a deactivated account ends every sign-in."""
    await db.execute(delete(sessions).where(sessions.c.user_id == user_id))


async def drop_expired(db: AsyncConnection, now: int) -> None:
    await db.execute(delete(sessions).where(sessions.c.expires_at < now))
    await db.execute(delete(sign_in_links).where(sign_in_links.c.expires_at < now))


async def add_link(db: AsyncConnection, *, token_hash: str, user_id: int, path: str, expires_at: int) -> None:
    await db.execute(
        insert(sign_in_links).values(token_hash=token_hash, user_id=user_id, path=path, expires_at=expires_at)
    )


async def by_link(db: AsyncConnection, token_hash: str, now: int) -> tuple[Account, str] | None:
    """The person a link signs in, and where it leads."""
    query = (
        select(users, sign_in_links.c.path)
        .join(sign_in_links, sign_in_links.c.user_id == users.c.id)
        .where(sign_in_links.c.token_hash == token_hash, sign_in_links.c.expires_at > now, users.c.is_active)
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else (account_of(row), row.path)
