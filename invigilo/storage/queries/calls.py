"""Calls, what proctors let rooms perceive, and where everybody should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, exists, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.monitoring.model import ConnectionState, InstructionType
from invigilo.proctoring.model import Hold, Perception, Place, RoomKind, RoomState, Standing
from invigilo.storage.tables import (
    call_members,
    client_connections,
    desired_places,
    instructions,
    room_holds,
    room_members,
    rooms,
)

PIECE = 500
"""Values in one list: SQLite limits the number of parameters."""


def pieces(ids: Iterable[int]) -> Iterator[list[int]]:
    wanted = list(ids)
    for at in range(0, len(wanted), PIECE):
        yield wanted[at : at + PIECE]


# --- where everybody should be ---


async def standings(db: AsyncConnection, exam_id: int, only: Sequence[int] | None = None) -> list[Standing]:
    """Whoever has a place in the exam, or was told one: everybody, or `only` these; by age."""
    if only is None:
        return await _standings(db, exam_id, None)
    found: list[Standing] = []
    for ids in pieces(sorted(only)):  # written in this order, as confirmations are: nobody waits in a ring
        found += await _standings(db, exam_id, ids)
    return found


async def _standings(db: AsyncConnection, exam_id: int, ids: list[int] | None) -> list[Standing]:
    table, place, call = client_connections, desired_places, rooms.alias("call")
    home = and_(room_members.c.connection_id == table.c.id, room_members.c.until.is_(None))
    aside = and_(call_members.c.connection_id == table.c.id, call_members.c.until.is_(None))
    is_told = exists().where(
        instructions.c.connection_id == table.c.id,
        instructions.c.type == InstructionType.RECONFIGURE.value,
        instructions.c.done_at.is_(None),
    )
    query = (
        select(
            table.c.id,
            table.c.state,
            table.c.os_name,
            table.c.seb_version,
            room_members.c.room_id.label("home"),
            call.c.id.label("break_out"),
            place.c.room_id,
            place.c.receive_audio,
            place.c.receive_video,
            place.c.chat,
            place.c.is_beyond,
            place.c.revision,
            place.c.room_revision,
            place.c.confirmed_revision,
            is_told.label("is_told"),
        )
        .outerjoin(room_members, home)
        .outerjoin(call_members, aside)
        .outerjoin(call, and_(call.c.id == call_members.c.room_id, call.c.state == RoomState.OPEN.value))
        .outerjoin(place, place.c.connection_id == table.c.id)
        .where(table.c.exam_id == exam_id, or_(room_members.c.id.is_not(None), place.c.room_id.is_not(None)))
        .order_by(table.c.id)
    )
    if ids is not None:
        query = query.where(table.c.id.in_(ids))
    return [
        Standing(
            connection_id=row.id,
            is_active=row.state == ConnectionState.ACTIVE.value,
            os_name=row.os_name,
            seb_version=row.seb_version,
            home=row.home,
            break_out=row.break_out,
            place=Place(
                row.room_id,
                Perception(bool(row.receive_audio), bool(row.receive_video), bool(row.chat)),
                is_beyond=bool(row.is_beyond),
            ),
            revision=row.revision or 0,
            room_revision=row.room_revision or 0,
            confirmed_revision=row.confirmed_revision or 0,
            is_told=bool(row.is_told),
        )
        for row in await db.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class Wish:
    """A new place of one connection."""

    connection_id: int
    place: Place
    revision: int
    room_revision: int


async def write_places(db: AsyncConnection, wishes: Sequence[Wish], *, at: int) -> None:
    if not wishes:
        return
    await db.execute(
        text(
            "INSERT INTO desired_places (connection_id, room_id, receive_audio, receive_video, chat, is_beyond, "
            "revision, room_revision, changed_at) VALUES (:connection_id, :room_id, :audio, :video, :chat, "
            ":is_beyond, :revision, :room_revision, :at) ON CONFLICT (connection_id) DO UPDATE SET "
            "room_id = excluded.room_id, receive_audio = excluded.receive_audio, "
            "receive_video = excluded.receive_video, chat = excluded.chat, is_beyond = excluded.is_beyond, "
            "revision = excluded.revision, room_revision = excluded.room_revision, changed_at = CASE WHEN "
            "desired_places.room_revision = excluded.room_revision THEN desired_places.changed_at "
            "ELSE excluded.changed_at END"
        ),
        [
            {
                "connection_id": one.connection_id,
                "room_id": one.place.room_id,
                "audio": one.place.perceives.audio,
                "video": one.place.perceives.video,
                "chat": one.place.perceives.chat,
                "is_beyond": one.place.is_beyond,
                "revision": one.revision,
                "room_revision": one.room_revision,
                "at": at,
            }
            for one in wishes
        ],
    )


async def hearers_besides(db: AsyncConnection, room_id: int, ids: Sequence[int]) -> int:
    """How many belong in this town hall and hear it, these not counted."""
    place = desired_places
    query = select(func.count()).where(place.c.room_id == room_id, place.c.is_beyond.is_(False))
    among = 0
    for some in pieces(ids):
        among += (await db.execute(query.where(place.c.connection_id.in_(some)))).scalar_one()
    return (await db.execute(query)).scalar_one() - among


# --- break-out rooms ---


async def call_in(db: AsyncConnection, room_id: int, connection_ids: Sequence[int], *, since: int) -> None:
    await db.execute(
        insert(call_members),
        [{"room_id": room_id, "connection_id": one, "since": since} for one in connection_ids],
    )


async def calls_of(db: AsyncConnection, connection_ids: Sequence[int]) -> dict[int, int]:
    """Connection → the break-out room it is called into, open yet or not."""
    found: dict[int, int] = {}
    for ids in pieces(connection_ids):
        query = select(call_members.c.connection_id, call_members.c.room_id).where(
            call_members.c.connection_id.in_(ids), call_members.c.until.is_(None)
        )
        found |= {row.connection_id: row.room_id for row in await db.execute(query)}
    return found


async def members_of_call(db: AsyncConnection, room_id: int) -> list[int]:
    query = select(call_members.c.connection_id).where(
        call_members.c.room_id == room_id, call_members.c.until.is_(None)
    )
    return list((await db.execute(query.order_by(call_members.c.connection_id))).scalars())


async def members_of_calls(db: AsyncConnection, exam_id: int) -> dict[int, list[int]]:
    """Break-out room → who is called into it now."""
    query = (
        select(call_members.c.room_id, call_members.c.connection_id)
        .join(rooms, rooms.c.id == call_members.c.room_id)
        .where(rooms.c.exam_id == exam_id, call_members.c.until.is_(None))
        .order_by(call_members.c.connection_id)
    )
    found: dict[int, list[int]] = {}
    for row in await db.execute(query):
        found.setdefault(row.room_id, []).append(row.connection_id)
    return found


async def let_go(db: AsyncConnection, connection_ids: Sequence[int], *, until: int) -> set[int]:
    """These are called aside no longer; returns the rooms they were in."""
    left: set[int] = set()
    for ids in pieces(connection_ids):
        result = await db.execute(
            update(call_members)
            .where(call_members.c.connection_id.in_(ids), call_members.c.until.is_(None))
            .values(until=until)
            .returning(call_members.c.room_id)
        )
        left.update(result.scalars())
    return left


async def end_call(db: AsyncConnection, room_id: int, *, until: int) -> None:
    """Nobody is called into this room any more, and nobody lets it perceive anything."""
    await db.execute(
        update(call_members)
        .where(call_members.c.room_id == room_id, call_members.c.until.is_(None))
        .values(until=until)
    )
    await db.execute(delete(room_holds).where(room_holds.c.room_id == room_id))


async def end_calls_of_exam(db: AsyncConnection, exam_id: int, *, until: int) -> None:
    of_exam = select(rooms.c.id).where(rooms.c.exam_id == exam_id)
    await db.execute(
        update(call_members)
        .where(call_members.c.room_id.in_(of_exam), call_members.c.until.is_(None))
        .values(until=until)
    )
    await db.execute(delete(room_holds).where(room_holds.c.room_id.in_(of_exam)))


async def town_hall(db: AsyncConnection, exam_id: int) -> int | None:
    """The exam's town hall, open yet or not."""
    query = select(rooms.c.id).where(
        rooms.c.exam_id == exam_id,
        rooms.c.kind == RoomKind.TOWN_HALL.value,
        rooms.c.state.in_([RoomState.OPENING.value, RoomState.OPEN.value, RoomState.FAILED.value]),
    )
    return (await db.execute(query)).scalar_one_or_none()


# --- holds ---


async def holds_of_exam(db: AsyncConnection, exam_id: int, *, now: int) -> list[Hold]:
    """Those in force, oldest first."""
    query = (
        select(room_holds)
        .join(rooms, rooms.c.id == room_holds.c.room_id)
        .where(rooms.c.exam_id == exam_id, room_holds.c.expires_at > now)
        .order_by(room_holds.c.since, room_holds.c.holder)
    )
    return [_hold(row) for row in await db.execute(query)]


async def hold_of(db: AsyncConnection, room_id: int, holder: str, *, now: int) -> Hold | None:
    """What this page holds there now."""
    query = select(room_holds).where(
        room_holds.c.room_id == room_id, room_holds.c.holder == holder, room_holds.c.expires_at > now
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else _hold(row)


def _hold(row: Any) -> Hold:
    return Hold(
        row.room_id,
        row.holder,
        row.user_id,
        row.actor,
        Perception(row.audio, row.video, row.chat),
        row.since,
        row.expires_at,
    )


async def put_hold(db: AsyncConnection, hold: Hold) -> None:
    await drop_hold(db, hold.room_id, hold.holder)
    await db.execute(
        insert(room_holds).values(
            room_id=hold.room_id,
            holder=hold.holder,
            user_id=hold.user_id,
            actor=hold.actor,
            audio=hold.perceived.audio,
            video=hold.perceived.video,
            chat=hold.perceived.chat,
            since=hold.since,
            expires_at=hold.expires_at,
        )
    )


async def renew_hold(
    db: AsyncConnection, room_id: int, holder: str, wish: Perception, *, now: int, expires_at: int
) -> bool:
    """Say again what this page holds; False when it holds something else, or nothing any more."""
    table = room_holds
    result = await db.execute(
        update(table)
        .where(
            table.c.room_id == room_id,
            table.c.holder == holder,
            table.c.expires_at > now,
            table.c.audio == wish.audio,
            table.c.video == wish.video,
            table.c.chat == wish.chat,
        )
        .values(expires_at=expires_at)
    )
    return result.rowcount == 1


async def drop_hold(db: AsyncConnection, room_id: int, holder: str) -> bool:
    table = room_holds
    result = await db.execute(delete(table).where(table.c.room_id == room_id, table.c.holder == holder))
    return result.rowcount == 1


async def exams_with_lapsed_holds(db: AsyncConnection, now: int) -> list[int]:
    query = (
        select(rooms.c.exam_id)
        .join(room_holds, room_holds.c.room_id == rooms.c.id)
        .where(room_holds.c.expires_at <= now)
        .distinct()
    )
    return list((await db.execute(query)).scalars())


async def take_lapsed_holds(db: AsyncConnection, exam_id: int, now: int) -> list[Hold]:
    """Those of the exam whose time is over; they are gone."""
    table = room_holds
    of_exam = select(rooms.c.id).where(rooms.c.exam_id == exam_id)
    query = delete(table).where(table.c.expires_at <= now, table.c.room_id.in_(of_exam)).returning(table)
    return [_hold(row) for row in await db.execute(query)]


async def seen_in(db: AsyncConnection, room_id: int) -> list[int]:
    """Whoever was told to be in this room last."""
    query = select(desired_places.c.connection_id).where(desired_places.c.room_id == room_id)
    return list((await db.execute(query)).scalars())
