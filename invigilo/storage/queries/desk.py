"""Each exam's thresholds, and the story of one connection as the database has it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.errors import Unavailable
from invigilo.storage.tables import activity, desk_settings, notifications, users

log = structlog.get_logger()


async def patiently(read: Callable[[], Awaitable[None]]) -> None:
    """Read again until the database can answer: what memory holds must not stay old."""
    while True:
        try:
            return await read()
        except Unavailable:
            await asyncio.sleep(1)
        except Exception:
            log.exception("memory_not_read")
            return None


async def thresholds(
    db: AsyncConnection, exam_id: int | None = None, *, lock: bool = False
) -> dict[int, tuple[dict[str, Any], int]]:
    """Exam → (values, revision), of the exams that have thresholds of their own."""
    query = select(desk_settings)
    if exam_id is not None:
        query = query.where(desk_settings.c.exam_id == exam_id)
    if lock:
        query = query.with_for_update()
    return {row.exam_id: (row.thresholds, row.revision) for row in await db.execute(query)}


async def put_thresholds(db: AsyncConnection, exam_id: int, values: dict[str, Any], *, revision: int) -> None:
    table = desk_settings
    changed = await db.execute(
        update(table).where(table.c.exam_id == exam_id).values(thresholds=values, revision=revision)
    )
    if changed.rowcount == 0:
        await db.execute(insert(table).values(exam_id=exam_id, thresholds=values, revision=revision))


@dataclass(frozen=True, slots=True)
class DeedRow:
    """One line of the record about a connection, with the name of who did it."""

    at: int
    deed: str
    actor: str
    detail: dict[str, Any]


async def deeds_about(
    db: AsyncConnection, exam_id: int, connection_id: int, *, without: Collection[str], limit: int
) -> list[DeedRow]:
    """The newest deeds about one connection, newest first."""
    query = (
        select(activity.c.at, activity.c.deed, activity.c.actor, activity.c.detail, users.c.display_name)
        .outerjoin(users, users.c.id == activity.c.user_id)
        .where(
            activity.c.exam_id == exam_id,
            activity.c.connection_id == connection_id,
            activity.c.deed.not_in(without),
        )
        .order_by(activity.c.at.desc(), activity.c.id.desc())
        .limit(limit)
    )
    return [
        DeedRow(row.at, row.deed, row.display_name or row.actor, row.detail)
        for row in await db.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class NotificationRow:
    number: int
    kind: str
    text: str
    opened_at: int
    settled_at: int | None
    settled_by: str | None
    """Nobody: the candidate, or SEB by itself."""


async def notifications_of(db: AsyncConnection, connection_id: int, limit: int) -> list[NotificationRow]:
    """The newest ones, newest first."""
    table = notifications
    query = (
        select(table, users.c.display_name)
        .outerjoin(users, users.c.id == table.c.settled_by)
        .where(table.c.connection_id == connection_id)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    return [
        NotificationRow(row.number, row.kind, row.text, row.opened_at, row.settled_at, row.display_name)
        for row in await db.execute(query)
    ]
