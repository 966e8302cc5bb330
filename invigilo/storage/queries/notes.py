"""Notes and incidents on candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.monitoring.model import Note, NoteCategory
from invigilo.storage.tables import notes


def _note(row: Row[Any]) -> Note:
    return Note(
        id=row.id,
        exam_id=row.exam_id,
        connection_id=row.connection_id,
        candidate=row.candidate,
        category=NoteCategory(row.category),
        is_incident=row.is_incident,
        happened_at=row.happened_at,
        text=row.text,
        author_id=row.author_id,
        author=row.author,
        created_at=row.created_at,
        changed_at=row.changed_at,
        changed_by=row.changed_by,
        taken_back_at=row.taken_back_at,
        taken_back_by=row.taken_back_by,
        revision=row.revision,
    )


async def add(db: AsyncConnection, **values: Any) -> int:
    return int((await db.execute(insert(notes).values(**values).returning(notes.c.id))).scalar_one())


async def by_key(db: AsyncConnection, exam_id: int, key: str) -> Note | None:
    row = (
        await db.execute(select(notes).where(notes.c.exam_id == exam_id, notes.c.key == key))
    ).one_or_none()
    return None if row is None else _note(row)


async def by_id(db: AsyncConnection, note_id: int, *, lock: bool = False) -> Note | None:
    query = select(notes).where(notes.c.id == note_id)
    row = (await db.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else _note(row)


async def change(db: AsyncConnection, note_id: int, values: Mapping[str, Any]) -> None:
    await db.execute(update(notes).where(notes.c.id == note_id).values(**values))


async def of_exam(
    db: AsyncConnection,
    exam_id: int,
    *,
    connection_id: int | None = None,
    candidate: str = "",
    incidents_only: bool = False,
    before: tuple[int, int] | None = None,
    limit: int,
) -> list[Note]:
    """Newest first by when it happened; of one connection and whoever sits at it, or of the whole exam."""
    t = notes.c
    query = select(notes).where(t.exam_id == exam_id)
    if connection_id is not None:
        person = t.connection_id == connection_id
        query = query.where(or_(person, t.candidate == candidate) if candidate else person)
    if incidents_only:
        query = query.where(t.is_incident)
    if before is not None:
        at, note_id = before
        query = query.where(or_(t.happened_at < at, and_(t.happened_at == at, t.id < note_id)))
    query = query.order_by(t.happened_at.desc(), t.id.desc()).limit(limit)
    return [_note(row) for row in await db.execute(query)]


@dataclass(frozen=True, slots=True)
class CountRow:
    """How much stands in the notes of one person, or of one connection whose user nobody knew."""

    exam_id: int
    connection_id: int
    candidate: str
    is_incident: bool
    count: int


async def counts(db: AsyncConnection, exam_id: int | None = None) -> list[CountRow]:
    """Of what is not taken back."""
    t = notes.c
    query = (
        select(t.exam_id, t.connection_id, t.candidate, t.is_incident, func.count().label("count"))
        .where(t.taken_back_at.is_(None))
        .group_by(t.exam_id, t.connection_id, t.candidate, t.is_incident)
    )
    if exam_id is not None:
        query = query.where(t.exam_id == exam_id)
    return [CountRow(*row) for row in await db.execute(query)]
