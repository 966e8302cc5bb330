"""Hosts of meeting services, and which of them holds which room's meeting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.storage.tables import installation, meeting_bookings, meeting_hosts, rooms, service_definitions

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Everything:
    """All rows, as one reading found them."""

    bookings: list[Row]
    hosts: list[Row]


async def everything(db: AsyncConnection) -> Everything:
    bookings = (await db.execute(select(meeting_bookings).order_by(meeting_bookings.c.id))).mappings().all()
    hosts = (await db.execute(select(meeting_hosts))).mappings().all()
    return Everything([dict(one) for one in bookings], [dict(one) for one in hosts])


async def of_definition(db: AsyncConnection, definition_id: int) -> Everything:
    """The same of one definition, which is locked for this transaction: nobody else books meanwhile."""
    query = select(service_definitions.c.id).where(service_definitions.c.id == definition_id)
    if db.dialect.name != "sqlite":
        query = query.with_for_update(key_share=True)
    await db.execute(query)
    table, hosts = meeting_bookings, meeting_hosts
    booked = (await db.execute(select(table).where(table.c.definition_id == definition_id))).mappings().all()
    known = (await db.execute(select(hosts).where(hosts.c.definition_id == definition_id))).mappings().all()
    return Everything([dict(one) for one in booked], [dict(one) for one in known])


async def add(
    db: AsyncConnection, *, definition_id: int, room: str, host: str, state: str, created_at: int
) -> int:
    query = insert(meeting_bookings).values(
        definition_id=definition_id, room=room, host=host, state=state, created_at=created_at
    )
    return int((await db.execute(query.returning(meeting_bookings.c.id))).scalar_one())


async def change(db: AsyncConnection, booking_id: int, **values: Any) -> None:
    await db.execute(update(meeting_bookings).where(meeting_bookings.c.id == booking_id).values(**values))


async def remove(db: AsyncConnection, booking_id: int) -> None:
    await db.execute(delete(meeting_bookings).where(meeting_bookings.c.id == booking_id))


async def store_host(db: AsyncConnection, definition_id: int, host: str, **values: Any) -> None:
    make = sqlite.insert if db.dialect.name == "sqlite" else postgresql.insert
    query = make(meeting_hosts).values(definition_id=definition_id, host=host, **values)
    await db.execute(query.on_conflict_do_update(index_elements=["definition_id", "host"], set_=values))


async def wanted_rooms(db: AsyncConnection) -> set[str]:
    """Names of rooms that are not closed: whatever else is booked belongs to nobody."""
    query = select(rooms.c.name).where(rooms.c.state != "closed")
    return set((await db.execute(query)).scalars())


async def instance(db: AsyncConnection) -> str | None:
    return (await db.execute(select(installation.c.instance))).scalar_one_or_none()


async def store_instance(db: AsyncConnection, name: str) -> None:
    """The first name stays."""
    await db.execute(update(installation).where(installation.c.instance.is_(None)).values(instance=name))
