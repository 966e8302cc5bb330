"""Institutions and the people in them, as administrators list and change them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, literal, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.accounts.model import Account, Institution, Role
from invigilo.storage.queries.accounts import account_of
from invigilo.storage.queries.listing import containing, is_row_id, page_of, searched_page
from invigilo.storage.tables import institutions, metadata, sessions, users

NOT_IN_USE = {"activity"}
"""Tables with rows of an institution that do not hinder its deletion: the record outlives what it is about."""


def _institution(row: Row[Any]) -> Institution:
    return Institution(id=row.id, name=row.name, time_zone=row.time_zone, revision=row.revision)


# --- institutions ---


async def institution_by_id(
    db: AsyncConnection, institution_id: int, *, lock: bool = False
) -> Institution | None:
    if not is_row_id(institution_id):
        return None
    query = select(institutions).where(institutions.c.id == institution_id)
    row = (await db.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else _institution(row)


async def institution_named(db: AsyncConnection, name: str) -> Institution | None:
    row = (await db.execute(select(institutions).where(institutions.c.name == name))).one_or_none()
    return None if row is None else _institution(row)


async def all_institutions(db: AsyncConnection) -> list[Institution]:
    return [_institution(row) for row in await db.execute(select(institutions).order_by(institutions.c.name))]


async def institutions_page(
    db: AsyncConnection, *, only: int | None, search: str, is_descending: bool, offset: int, limit: int
) -> tuple[list[tuple[Institution, int]], int]:
    """Institutions with how many people each has."""
    people = select(func.count()).where(users.c.institution_id == institutions.c.id).scalar_subquery()
    query = select(institutions, people.label("people"))
    if only is not None:
        query = query.where(institutions.c.id == only)
    if search:
        query = query.where(containing(search, institutions.c.name))
    order = institutions.c.name.desc() if is_descending else institutions.c.name
    rows, total = await page_of(db, query, order=[order], offset=offset, limit=limit)
    return [(_institution(row), row.people) for row in rows], total


async def add_institution(db: AsyncConnection, **values: Any) -> Institution:
    return _institution(
        (await db.execute(insert(institutions).values(**values).returning(*institutions.c))).one()
    )


async def change_institution(
    db: AsyncConnection, institution_id: int, *, revision: int, **values: Any
) -> Institution | None:
    """The institution as it is now; None when it is not at that revision any more."""
    query = (
        update(institutions)
        .where(institutions.c.id == institution_id, institutions.c.revision == revision)
        .values(revision=institutions.c.revision + 1, **values)
    )
    row = (await db.execute(query.returning(*institutions.c))).one_or_none()
    return None if row is None else _institution(row)


async def remove_institution(db: AsyncConnection, institution_id: int) -> None:
    await db.execute(delete(institutions).where(institutions.c.id == institution_id))


async def in_use_by(db: AsyncConnection, institution_id: int) -> dict[str, int]:
    """What an institution still has: table → how many, those that have any. Every table that names an institution counts."""
    counts = [
        select(literal(table.name).label("what"), func.count().label("n"))
        .select_from(table)
        .where(table.c.institution_id == institution_id)
        for table in metadata.sorted_tables
        if "institution_id" in table.c and table.name not in NOT_IN_USE
    ]
    return {row.what: row.n for row in await db.execute(union_all(*counts)) if row.n}


# --- people ---

SORTS: dict[str, ColumnElement[Any]] = {
    "username": users.c.username,
    "name": func.lower(users.c.display_name),
    "role": users.c.role,
    "active": users.c.is_active,
}


async def person_by_id(db: AsyncConnection, user_id: int) -> Account | None:
    if not is_row_id(user_id):
        return None
    row = (await db.execute(select(users).where(users.c.id == user_id))).one_or_none()
    return None if row is None else account_of(row)


async def password_hash_of(db: AsyncConnection, user_id: int) -> str | None:
    return (await db.execute(select(users.c.password_hash).where(users.c.id == user_id))).scalar_one_or_none()


async def people_page(
    db: AsyncConnection,
    *,
    institution_id: int | None,
    search: str,
    role: Role | None,
    is_active: bool | None,
    sort: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[Account], int]:
    """One page of people; of one institution, or of all and those outside any."""
    query = select(users)
    if institution_id is not None:
        query = query.where(users.c.institution_id == institution_id)
    if role is not None:
        query = query.where(users.c.role == role.value)
    if is_active is not None:
        query = query.where(users.c.is_active == is_active)
    if search:
        # One text instead of two: a word of the search has no blank, so it cannot stand across both.
        query = query.where(containing(search, users.c.username + " " + users.c.display_name))
    by = SORTS[sort]
    order = [by.desc() if is_descending else by]
    if sort != "username":
        order.append(users.c.username)
    if search:
        rows, total = await searched_page(db, query, users.c.id, order=order, offset=offset, limit=limit)
    else:
        rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    return [account_of(row) for row in rows], total


async def active_administrators(
    db: AsyncConnection, *, role: Role, institution_id: int | None, besides: int
) -> list[int]:
    """The other active people of this role in this place, kept as they are until the transaction ends: of two who
    deactivate each other at the same moment, the second finds itself the last.
    """
    query = (
        select(users.c.id)
        .where(
            users.c.role == role.value,
            users.c.institution_id.is_(None)
            if institution_id is None
            else users.c.institution_id == institution_id,
            users.c.is_active,
        )
        .order_by(users.c.id)
        .with_for_update()
    )
    return [one for one in (await db.execute(query)).scalars() if one != besides]


async def change_person(
    db: AsyncConnection, user_id: int, *, revision: int | None, **values: Any
) -> Account | None:
    """The person as they are now; None when they are not at that revision any more. Without a revision: in any case."""
    query = update(users).where(users.c.id == user_id)
    if revision is not None:
        query = query.where(users.c.revision == revision)
    query = query.values(revision=users.c.revision + 1, **values)
    row = (await db.execute(query.returning(*users.c))).one_or_none()
    return None if row is None else account_of(row)


# --- sign-ins ---


async def sessions_of(db: AsyncConnection, user_id: int, now: int) -> list[tuple[str, int, int]]:
    """(hash, since when, until when) of each sign-in in force, newest first."""
    query = (
        select(sessions)
        .where(sessions.c.user_id == user_id, sessions.c.expires_at > now)
        .order_by(sessions.c.created_at.desc())
    )
    return [(row.token_hash, row.created_at, row.expires_at) for row in await db.execute(query)]


async def end_other_sessions(db: AsyncConnection, user_id: int, *, keep: str | None) -> int:
    """How many were ended; `keep` is the hash of the one that stays."""
    query = delete(sessions).where(sessions.c.user_id == user_id)
    if keep is not None:
        query = query.where(sessions.c.token_hash != keep)
    return (await db.execute(query)).rowcount
