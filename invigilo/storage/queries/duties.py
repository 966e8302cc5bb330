"""Who is responsible for which room."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.monitoring.model import Duty
from invigilo.storage.tables import duties, exams, rooms, users


async def all_duties(db: AsyncConnection, exam_id: int | None = None) -> list[Duty]:
    query = (
        select(rooms.c.exam_id, duties.c.room_id, duties.c.user_id, users.c.display_name, duties.c.since)
        .join(rooms, rooms.c.id == duties.c.room_id)
        .join(users, users.c.id == duties.c.user_id)
        .order_by(duties.c.room_id)
    )
    if exam_id is not None:
        query = query.where(rooms.c.exam_id == exam_id)
    return [Duty(*row) for row in await db.execute(query)]


async def lock_exam(db: AsyncConnection, exam_id: int) -> None:
    """Two who share out the rooms at once do it one after the other."""
    await db.execute(select(exams.c.id).where(exams.c.id == exam_id).with_for_update(key_share=True))


async def rooms_of(db: AsyncConnection, exam_id: int) -> set[int]:
    query = select(rooms.c.id).where(rooms.c.exam_id == exam_id, rooms.c.closed_at.is_(None))
    return {row.id for row in await db.execute(query)}


async def put(db: AsyncConnection, changes: Mapping[int, int | None], *, since: int, given_by: str) -> None:
    """Room → person, or None for nobody."""
    await db.execute(delete(duties).where(duties.c.room_id.in_(changes)))
    rows = [
        {"room_id": room_id, "user_id": user_id, "since": since, "given_by": given_by}
        for room_id, user_id in changes.items()
        if user_id is not None
    ]
    if rows:
        await db.execute(insert(duties), rows)
