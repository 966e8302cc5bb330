"""Messages between proctors and candidates, and how far each got."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, Select, and_, func, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.proctoring.model import Message, MessageScope, Receipt
from invigilo.storage.queries.calls import pieces
from invigilo.storage.queries.connections import OPEN_STATES
from invigilo.storage.tables import (
    client_connections,
    desired_places,
    message_deliveries,
    messages,
    room_members,
)


async def recipients(
    db: AsyncConnection, exam_id: int, *, only: Sequence[int] | None = None, room_id: int | None = None
) -> list[int]:
    """Whoever is connected to the exam now: everybody, `only` these, or those who belong in a room or are called there."""
    table = client_connections
    query = select(table.c.id).where(
        table.c.exam_id == exam_id, table.c.state.in_(OPEN_STATES), table.c.replaced_at.is_(None)
    )
    if room_id is not None:
        at_home = select(room_members.c.connection_id).where(
            room_members.c.room_id == room_id, room_members.c.until.is_(None)
        )
        query = query.where(or_(table.c.id.in_(at_home), table.c.id.in_(_told_to_be_in(room_id))))
    if only is None:
        return list((await db.execute(query.order_by(table.c.id))).scalars())
    found: list[int] = []
    for ids in pieces(only):
        found += (await db.execute(query.where(table.c.id.in_(ids)).order_by(table.c.id))).scalars()
    return found


def _told_to_be_in(room_id: int) -> Select[Any]:
    return select(desired_places.c.connection_id).where(desired_places.c.room_id == room_id)


async def add(
    db: AsyncConnection,
    *,
    exam_id: int,
    at: int,
    user_id: int | None,
    actor: str,
    scope: MessageScope,
    text_: str,
    room_id: int | None = None,
    from_connection_id: int | None = None,
) -> int:
    result = await db.execute(
        insert(messages)
        .values(
            exam_id=exam_id,
            at=at,
            user_id=user_id,
            actor=actor,
            scope=scope.value,
            room_id=room_id,
            from_connection_id=from_connection_id,
            text=text_,
        )
        .returning(messages.c.id)
    )
    return int(result.scalar_one())


async def address(db: AsyncConnection, message_id: int, connection_ids: Sequence[int]) -> None:
    if connection_ids:
        await db.execute(
            insert(message_deliveries),
            [{"message_id": message_id, "connection_id": one} for one in connection_ids],
        )


async def write_receipts(db: AsyncConnection, receipts: Iterable[Receipt]) -> None:
    """Note what arrived and what was read; the first time counts. Read is delivered, too."""
    rows = [
        {"message": one.message_id, "connection": one.connection_id, "at": one.at, "read": one.is_read}
        for one in receipts
    ]
    if rows:
        await db.execute(
            text(
                "UPDATE message_deliveries SET delivered_at = coalesce(delivered_at, :at), "
                "read_at = CASE WHEN :read THEN coalesce(read_at, :at) ELSE read_at END "
                "WHERE message_id = :message AND connection_id = :connection"
            ),
            rows,
        )


async def unread(db: AsyncConnection, connection_id: int, *, limit: int) -> list[Message]:
    """What this candidate has not read yet, the newest of it, in the order it was written."""
    query = (
        select(messages)
        .join(message_deliveries, message_deliveries.c.message_id == messages.c.id)
        .where(message_deliveries.c.connection_id == connection_id, message_deliveries.c.read_at.is_(None))
        .order_by(messages.c.id.desc())
        .limit(limit)
    )
    return [_message(row) for row in await db.execute(query)][::-1]


async def by_id(db: AsyncConnection, message_id: int) -> Message | None:
    row = (await db.execute(select(messages).where(messages.c.id == message_id))).one_or_none()
    return None if row is None else _message(row)


async def newest(
    db: AsyncConnection, exam_id: int, *, connection_id: int | None, limit: int
) -> list[Message]:
    """Of the exam, or what went to and came from one connection; newest first, with how far each got."""
    table, one = messages, message_deliveries
    counts = (
        select(
            one.c.message_id,
            func.count().label("recipients"),
            func.count(one.c.delivered_at).label("delivered"),
            func.count(one.c.read_at).label("read"),
        )
        .group_by(one.c.message_id)
        .subquery()
    )
    query = select(table, counts.c.recipients, counts.c.delivered, counts.c.read).outerjoin(
        counts, counts.c.message_id == table.c.id
    )
    query = query.where(table.c.exam_id == exam_id)
    if connection_id is not None:
        got = and_(one.c.message_id == table.c.id, one.c.connection_id == connection_id)
        query = (
            query.add_columns(one.c.delivered_at, one.c.read_at)
            .outerjoin(one, got)
            .where(or_(one.c.connection_id.is_not(None), table.c.from_connection_id == connection_id))
        )
    query = query.order_by(table.c.id.desc()).limit(limit)
    return [_message(row) for row in await db.execute(query)]


def _message(row: Row[Any]) -> Message:
    return Message(
        id=row.id,
        exam_id=row.exam_id,
        at=row.at,
        by=row.actor,
        scope=MessageScope(row.scope),
        text=row.text,
        room_id=row.room_id,
        from_connection_id=row.from_connection_id,
        recipients=getattr(row, "recipients", 0) or 0,
        delivered=getattr(row, "delivered", 0) or 0,
        read=getattr(row, "read", 0) or 0,
        delivered_at=getattr(row, "delivered_at", None),
        read_at=getattr(row, "read_at", None),
    )


async def counts(db: AsyncConnection, connection_ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Connection → messages sent to it, arrived there, read there."""
    one = message_deliveries
    found: dict[int, tuple[int, int, int]] = dict.fromkeys(connection_ids, (0, 0, 0))
    for ids in pieces(connection_ids):
        query = (
            select(
                one.c.connection_id,
                func.count(),
                func.count(one.c.delivered_at),
                func.count(one.c.read_at),
            )
            .where(one.c.connection_id.in_(ids))
            .group_by(one.c.connection_id)
        )
        found |= {row[0]: (row[1], row[2], row[3]) for row in await db.execute(query)}
    return found


async def said_lately(db: AsyncConnection, exam_id: int, *, limit: int) -> list[Message]:
    """What candidates of the exam wrote, the newest of it, in the order it was written."""
    query = (
        select(messages)
        .where(messages.c.exam_id == exam_id, messages.c.from_connection_id.is_not(None))
        .order_by(messages.c.id.desc())
        .limit(limit)
    )
    return [_message(row) for row in await db.execute(query)][::-1]
