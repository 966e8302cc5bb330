"""Rooms, memberships and desired places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.monitoring.model import Device
from invigilo.proctoring.model import Room, RoomKind, RoomState
from invigilo.storage.tables import (
    call_members,
    client_connections,
    desired_places,
    exams,
    room_members,
    rooms,
)


async def lock_exam(db: AsyncConnection, exam_id: int) -> int | None:
    """Take the exam's lock for this transaction; returns its collecting room size as it stands now.

    On PostgreSQL a row lock, held to the commit, so two nodes never place at once; on SQLite the writing transaction
    itself is the lock.
    """
    query = select(exams.c.collecting_room_size).where(exams.c.id == exam_id)
    if db.dialect.name != "sqlite":
        query = query.with_for_update(key_share=True)
    return (await db.execute(query)).scalar_one_or_none()


async def of_exam(db: AsyncConnection, exam_id: int) -> list[Room]:
    """Every room of the exam, closed ones too, with its live members counted from rows.

    A town hall has none of its own: whoever has a home in the exam belongs there, unless called aside.
    """
    both = union_all(
        *(select(t.c.room_id).where(t.c.until.is_(None)) for t in (room_members, call_members))
    ).subquery()
    counted = select(both.c.room_id, func.count().label("members")).group_by(both.c.room_id).subquery()
    query = (
        select(rooms, func.coalesce(counted.c.members, 0).label("members"))
        .outerjoin(counted, counted.c.room_id == rooms.c.id)
        .where(rooms.c.exam_id == exam_id)
        .order_by(rooms.c.kind, rooms.c.number)
    )
    return [_room(row) for row in await db.execute(query)]


def _room(row: Row[Any]) -> Room:
    return Room(
        id=row.id,
        exam_id=row.exam_id,
        kind=RoomKind(row.kind),
        number=row.number,
        name=row.name,
        state=RoomState(row.state),
        reason=row.reason,
        member_count=row.members,
        opened_by=row.opened_by_name,
    )


async def add(
    db: AsyncConnection,
    *,
    exam_id: int,
    kind: RoomKind,
    number: int,
    name: str,
    created_at: int,
    state: RoomState = RoomState.OPENING,
    opened_by: int | None = None,
    opened_by_name: str | None = None,
) -> int:
    result = await db.execute(
        insert(rooms)
        .values(
            exam_id=exam_id,
            kind=kind.value,
            number=number,
            name=name,
            state=state.value,
            created_at=created_at,
            opened_by=opened_by,
            opened_by_name=opened_by_name,
        )
        .returning(rooms.c.id)
    )
    return int(result.scalar_one())


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A room whose last step at the provider has no outcome yet, or failed and is due again."""

    room: Room
    attempts: int


async def unfinished(db: AsyncConnection, now: int) -> list[Unfinished]:
    query = select(rooms).where(
        rooms.c.state.in_(
            [
                RoomState.OPENING.value,
                RoomState.FAILED.value,
                RoomState.CLOSING.value,
                RoomState.REMOVING.value,
            ]
        ),
        or_(rooms.c.retry_at.is_(None), rooms.c.retry_at <= now),
    )
    found: list[Unfinished] = []
    for row in await db.execute(query):
        room = Room(
            row.id, row.exam_id, RoomKind(row.kind), row.number, row.name, RoomState(row.state), row.reason
        )
        found.append(Unfinished(room, row.attempts))
    return found


async def set_state(db: AsyncConnection, room_id: int, state: RoomState, **values: Any) -> None:
    await db.execute(update(rooms).where(rooms.c.id == room_id).values(state=state.value, **values))


async def remove(db: AsyncConnection, room_id: int) -> None:
    """Forget a room, and with it who was in it and when."""
    await db.execute(delete(rooms).where(rooms.c.id == room_id))


async def state_of(db: AsyncConnection, room_id: int) -> RoomState | None:
    """None when the room is forgotten."""
    state = (await db.execute(select(rooms.c.state).where(rooms.c.id == room_id))).scalar_one_or_none()
    return None if state is None else RoomState(state)


async def membership(db: AsyncConnection, connection_id: int) -> int | None:
    """The room a connection is in now; None when in none."""
    query = select(room_members.c.room_id).where(
        room_members.c.connection_id == connection_id, room_members.c.until.is_(None)
    )
    return (await db.execute(query)).scalar_one_or_none()


async def last_room(db: AsyncConnection, connection_id: int) -> int | None:
    """The room a connection was in last."""
    query = (
        select(room_members.c.room_id)
        .where(room_members.c.connection_id == connection_id)
        .order_by(room_members.c.id.desc())
        .limit(1)
    )
    return (await db.execute(query)).scalar_one_or_none()


async def members(db: AsyncConnection, room_id: int) -> list[int]:
    query = select(room_members.c.connection_id).where(
        room_members.c.room_id == room_id, room_members.c.until.is_(None)
    )
    return list((await db.execute(query)).scalars())


async def join(db: AsyncConnection, *, room_id: int, connection_id: int, since: int) -> None:
    await db.execute(insert(room_members).values(room_id=room_id, connection_id=connection_id, since=since))


async def leave(db: AsyncConnection, connection_ids: Sequence[int], *, until: int) -> int:
    """End the memberships; returns how many there were."""
    count = 0
    for at in range(0, len(connection_ids), 500):  # SQLite limits the number of parameters
        result = await db.execute(
            update(room_members)
            .where(
                room_members.c.connection_id.in_(connection_ids[at : at + 500]),
                room_members.c.until.is_(None),
            )
            .values(until=until)
        )
        count += result.rowcount
    return count


async def confirmable(db: AsyncConnection, confirmed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of these (connection id, revision) pairs those that are news: neither known, nor of a place nobody was told."""
    place = desired_places
    query = (
        select(place.c.connection_id, place.c.revision, place.c.confirmed_revision)
        .where(place.c.connection_id.in_({connection_id for connection_id, _ in confirmed}))
        .order_by(place.c.connection_id)
        .with_for_update(key_share=True)
    )
    stored = {row.connection_id: row for row in await db.execute(query)}
    return [
        (connection_id, revision)
        for connection_id, revision in confirmed
        if (row := stored.get(connection_id)) is not None
        and row.confirmed_revision < revision <= row.revision
    ]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A connection of the exam as the search for returning candidates needs it."""

    id: int
    exam_id: int
    is_over: bool
    """Closed or disabled."""
    user_session_id: str | None
    device: Device
    last_ping: int | None
    created_at: int


async def others_of_exam(
    db: AsyncConnection, exam_id: int, *, but: int, user: str | None, machine: str | None
) -> list[Sighting]:
    """Connections that may be the same candidate: same user id, or same machine name; newest first."""
    table = client_connections
    same = [table.c.user_session_id == user] if user else []
    same += [table.c.machine_name == machine] if machine else []
    if not same:
        return []
    query = (
        select(table)
        .where(and_(table.c.exam_id == exam_id, table.c.id != but, or_(*same)))
        .order_by(table.c.id.desc())
        .limit(50)
    )
    return [
        Sighting(
            r.id,
            r.exam_id,
            r.closed_at is not None,
            r.user_session_id,
            Device(r.account_name, r.machine_name, r.os_name, r.seb_version, r.address),
            r.last_ping,
            r.created_at,
        )
        for r in await db.execute(query)
    ]


async def silent_members(db: AsyncConnection, *, heard_before: int, not_after: int) -> list[tuple[int, int]]:
    """(connection id, exam id) of members whose pings stopped that long ago, or that are closed.

    A ping of later than `not_after` was noted before the clock was set back, and proves nothing.
    """
    table = client_connections
    query = (
        select(table.c.id, table.c.exam_id)
        .join(room_members, and_(room_members.c.connection_id == table.c.id, room_members.c.until.is_(None)))
        .where(
            or_(
                func.coalesce(
                    table.c.last_ping,
                    table.c.established_at,
                    table.c.config_downloaded_at,
                    table.c.created_at,
                )
                < heard_before,
                table.c.last_ping > not_after,
                table.c.closed_at.is_not(None),
            )
        )
    )
    return [(row.id, row.exam_id) for row in await db.execute(query)]


async def unplaced(
    db: AsyncConnection, *, exam_ids: Sequence[int], heard_since: int, replaced_silence: int
) -> list[int]:
    """Live connections without a place, oldest first; a replaced one only if it is heard of again."""
    table = client_connections
    query = (
        select(table.c.id)
        .outerjoin(
            room_members, and_(room_members.c.connection_id == table.c.id, room_members.c.until.is_(None))
        )
        .where(
            table.c.exam_id.in_(exam_ids),
            table.c.state.in_(["requested", "ready", "active"]),
            or_(table.c.state != "requested", table.c.config_downloaded_at.is_not(None)),
            func.coalesce(
                table.c.last_ping, table.c.established_at, table.c.config_downloaded_at, table.c.created_at
            )
            >= heard_since,
            or_(table.c.replaced_at.is_(None), table.c.last_ping > table.c.replaced_at + replaced_silence),
            room_members.c.id.is_(None),
        )
        .order_by(table.c.id)
    )
    return list((await db.execute(query)).scalars())
