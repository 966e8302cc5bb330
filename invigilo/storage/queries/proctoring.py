"""Proctoring settings of exams and templates, and what stands in the way of changing them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import to_ms
from invigilo.exams.model import ProctoringFeature, ProctoringSettings
from invigilo.proctoring.model import Holder, HolderKind, Room, RoomState, RoomUse
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.queries import rooms as room_queries
from invigilo.storage.queries.services import MOST
from invigilo.storage.tables import (
    client_connections,
    configuration_versions,
    exam_configurations,
    exam_templates,
    exams,
    room_members,
    rooms,
)

_TABLES = {HolderKind.EXAM: exams, HolderKind.TEMPLATE: exam_templates}


async def holder(
    db: AsyncConnection, kind: HolderKind, holder_id: int, *, lock: bool = False
) -> Holder | None:
    """The exam (an archived one too) or the template. `lock` holds it for this transaction."""
    if abs(holder_id) > MOST:
        return None
    table = _TABLES[kind]
    columns: list[ColumnElement[Any]] = [
        table.c[name]
        for name in (
            *(
                "id",
                "institution_id",
                "name",
                "revision",
                "configuration_id",
                "proctoring_enabled",
                "service",
            ),
            *("service_definition_id", "collecting_room_size", "join_by", "features"),
        )
    ]
    if kind is HolderKind.EXAM:
        columns.append(exams.c.unproven_accepted_by)
    query = select(*columns).where(table.c.id == holder_id)
    if lock and db.dialect.name != "sqlite":
        query = query.with_for_update(key_share=True)
    row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    exam = await exam_queries.exam_by_id(db, holder_id) if kind is HolderKind.EXAM else None
    return Holder(
        kind=kind,
        id=row.id,
        institution_id=row.institution_id,
        name=row.name,
        settings=exam_queries.proctoring_of(row),
        revision=row.revision,
        configuration_id=row.configuration_id,
        configuration_version=None if exam is None else exam.configuration_version,
        is_archived=exam is not None and exam.archived_at is not None,
        unproven_accepted_at=None if exam is None else exam.unproven_accepted_at,
        unproven_accepted_by=row.unproven_accepted_by if kind is HolderKind.EXAM else None,
        exam=exam,
    )


async def store(
    db: AsyncConnection,
    holder: Holder,
    settings: ProctoringSettings,
    *,
    accepted: tuple[datetime, str] | None,
) -> None:
    """`accepted`: when and by whom it was said that the service is used unproven. Counts the revision up."""
    table = _TABLES[holder.kind]
    values: dict[str, Any] = {
        "proctoring_enabled": settings.enabled,
        "service": settings.service.value,
        "service_definition_id": settings.definition_id,
        "collecting_room_size": settings.collecting_room_size,
        "join_by": settings.join_by.value,
        "features": [one.value for one in ProctoringFeature if one in settings.features],
        "revision": table.c.revision + 1,
    }
    if holder.kind is HolderKind.EXAM:
        values["unproven_accepted_at"] = None if accepted is None else to_ms(accepted[0])
        values["unproven_accepted_by"] = None if accepted is None else accepted[1]
    await db.execute(update(table).where(table.c.id == holder.id).values(values))


async def room_use(db: AsyncConnection, exam_id: int) -> RoomUse:
    found = list(await room_queries.of_exam(db, exam_id))
    table = client_connections
    live = select(func.count()).where(
        table.c.exam_id == exam_id, table.c.state.in_(["requested", "ready", "active"])
    )
    return RoomUse(
        rooms=len(found),
        open=sum(room.state.takes_members for room in found),
        members=sum(room.member_count for room in found),
        live_connections=(await db.execute(live)).scalar_one(),
    )


async def members_of_exam(db: AsyncConnection, exam_id: int) -> list[int]:
    """Connections that hold a place in any of its rooms."""
    query = (
        select(room_members.c.connection_id)
        .join(rooms, rooms.c.id == room_members.c.room_id)
        .where(rooms.c.exam_id == exam_id, room_members.c.until.is_(None))
    )
    return list((await db.execute(query)).scalars())


async def begin_removal(db: AsyncConnection, exam_id: int) -> None:
    """Closed rooms are forgotten; the others are to be closed at the service, then forgotten."""
    await db.execute(delete(rooms).where(rooms.c.exam_id == exam_id, rooms.c.state == RoomState.CLOSED.value))
    await db.execute(
        update(rooms)
        .where(rooms.c.exam_id == exam_id)
        .values(state=RoomState.REMOVING.value, reason=None, attempts=0, retry_at=None)
    )


async def being_removed(db: AsyncConnection, exam_id: int) -> list[Room]:
    return [room for room in await room_queries.of_exam(db, exam_id) if room.state is RoomState.REMOVING]


async def seb_settings(
    db: AsyncConnection, configuration_id: int | None, version: int | None
) -> tuple[str, bytes | None] | None:
    """Name of a configuration and the settings of that version (None: the newest published); None without one."""
    table = exam_configurations
    query = select(table.c.name, table.c.published_version).where(table.c.id == configuration_id)
    row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    query = select(configuration_versions.c.settings).where(
        configuration_versions.c.configuration_id == configuration_id,
        configuration_versions.c.number == (version or row.published_version),
    )
    return row.name, (await db.execute(query)).scalar_one_or_none()
