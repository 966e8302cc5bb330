"""Service definitions: what stands in them, and who uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms
from invigilo.exams.model import Service
from invigilo.proctoring.model import ServiceDefinition
from invigilo.storage.queries.listing import containing, page_of
from invigilo.storage.tables import exam_templates, exams, rooms, service_definitions

Sealed = Mapping[str, Mapping[str, Any]]
"""Secret → `{"sealed": …, "since": ms}`."""

MOST = 2**63 - 1
"""No id is larger: the databases' own limit, beyond which they fail instead of finding nothing."""

SORTS = {
    "name": service_definitions.c.name,
    "service": service_definitions.c.service,
    "proved_at": service_definitions.c.proved_at,
}


def _definition(row: Row[Any]) -> ServiceDefinition:
    return ServiceDefinition(
        id=row.id,
        institution_id=row.institution_id,
        name=row.name,
        service=Service(row.service),
        values=row.values,
        secrets={name: from_ms(one["since"]) for name, one in row.secrets_encrypted.items()},
        proof=tuple(row.proof or ()),
        proved_at=None if row.proved_at is None else from_ms(row.proved_at),
        is_proven=row.is_proven,
        entered_at=None if row.entered_at is None else from_ms(row.entered_at),
        revision=row.revision,
    )


async def add(
    db: AsyncConnection,
    *,
    institution_id: int,
    name: str,
    service: Service,
    values: Mapping[str, str],
    sealed: Sealed,
    created_at: int,
) -> int:
    query = insert(service_definitions).values(
        {
            "institution_id": institution_id,
            "name": name,
            "service": service.value,
            "values": dict(values),
            "secrets_encrypted": dict(sealed),
            "created_at": created_at,
        }
    )
    return int((await db.execute(query.returning(service_definitions.c.id))).scalar_one())


async def change(db: AsyncConnection, definition_id: int, **values: Any) -> None:
    """Counts the revision up."""
    table = service_definitions
    wish = dict(values) | {"revision": table.c.revision + 1}
    await db.execute(update(table).where(table.c.id == definition_id).values(wish))


async def store_proof(
    db: AsyncConnection, definition_id: int, *, proof: Sequence[Mapping[str, Any]], at: int, is_proven: bool
) -> None:
    query = update(service_definitions).where(service_definitions.c.id == definition_id)
    await db.execute(query.values(proof=list(proof), proved_at=at, is_proven=is_proven))


async def store_entry(db: AsyncConnection, definition_id: int, *, revision: int, at: int) -> None:
    """Somebody was in a meeting with what this revision holds; one changed meanwhile is left as it is."""
    table = service_definitions.c
    query = update(service_definitions).where(table.id == definition_id, table.revision == revision)
    await db.execute(query.values(entered_at=at))


async def remove(db: AsyncConnection, definition_id: int) -> None:
    await db.execute(delete(service_definitions).where(service_definitions.c.id == definition_id))


async def by_id(db: AsyncConnection, definition_id: int, *, lock: bool = False) -> ServiceDefinition | None:
    """`lock` holds it for this transaction: nobody begins to use it, or changes it, meanwhile."""
    if abs(definition_id) > MOST:
        return None
    query = select(service_definitions).where(service_definitions.c.id == definition_id)
    row = (await db.execute(_locked(db, query, lock=lock))).one_or_none()
    return None if row is None else _definition(row)


def _locked(db: AsyncConnection, query: Select[Any], *, lock: bool) -> Select[Any]:
    return query.with_for_update() if lock and db.dialect.name != "sqlite" else query


async def secrets_of(db: AsyncConnection, definition_id: int) -> dict[str, dict[str, Any]]:
    """As they are stored."""
    query = select(service_definitions.c.secrets_encrypted).where(service_definitions.c.id == definition_id)
    return dict((await db.execute(query)).scalar_one())


async def is_name_taken(db: AsyncConnection, institution_id: int, name: str, *, but: int | None) -> bool:
    table = service_definitions
    query = select(table.c.id).where(table.c.institution_id == institution_id, table.c.name == name)
    return any(one != but for one in (await db.execute(query)).scalars())


async def page(
    db: AsyncConnection,
    *,
    institution_id: int | None,
    search: str = "",
    service: str = "",
    sort: str = "name",
    is_descending: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> tuple[list[ServiceDefinition], int]:
    """One page of an institution's definitions, or of all; and how many there are."""
    table = service_definitions
    query = select(table)
    if institution_id is not None:
        query = query.where(table.c.institution_id == institution_id)
    if search.strip():
        query = query.where(containing(search, table.c.name))
    if service:
        query = query.where(table.c.service == service)
    column = SORTS[sort]
    order = [column.desc() if is_descending else column.asc(), table.c.id]
    rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    return [_definition(row) for row in rows], total


async def of_institution(db: AsyncConnection, institution_id: int) -> list[ServiceDefinition]:
    table = service_definitions
    query = select(table).where(table.c.institution_id == institution_id).order_by(table.c.name)
    return [_definition(row) for row in await db.execute(query)]


async def users_of(db: AsyncConnection, definition_id: int) -> list[str]:
    """Names of exams (archived ones too) and templates that refer to it."""
    names: list[str] = []
    for table in (exams, exam_templates):
        query = select(table.c.name).where(table.c.service_definition_id == definition_id)
        names += (await db.execute(query.order_by(table.c.name))).scalars()
    return names


async def lock_users(db: AsyncConnection, definition_id: int) -> None:
    """No exam that uses it gets a room meanwhile. Taken before the lock of the definition, as saving an exam does."""
    if db.dialect.name != "sqlite" and abs(definition_id) <= MOST:
        query = select(exams.c.id).where(exams.c.service_definition_id == definition_id).order_by(exams.c.id)
        await db.execute(query.with_for_update(key_share=True))


async def exams_with_rooms(db: AsyncConnection, definition_id: int) -> list[str]:
    """Names of exams that have rooms at this service."""
    query = select(exams.c.name).where(
        exams.c.service_definition_id == definition_id, exists().where(rooms.c.exam_id == exams.c.id)
    )
    return list((await db.execute(query.order_by(exams.c.name))).scalars())
