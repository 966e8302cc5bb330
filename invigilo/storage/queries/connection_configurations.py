"""Reading and writing connection configurations and the links to their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms
from invigilo.exams.model import (
    ConfigurationState,
    ConnectionDetails,
    ConnectionLink,
    Fallback,
    FileProtection,
    FilePurpose,
)
from invigilo.storage.queries.listing import containing, page_of
from invigilo.storage.tables import (
    client_connections,
    connection_configuration_exams,
    connection_configurations,
    connection_links,
    exams,
)

LARGEST_ID = 2**63 - 1

_table = connection_configurations
_state = case(
    (_table.c.revoked_at.is_not(None), ConfigurationState.REVOKED.value),
    (_table.c.is_active, ConfigurationState.ACTIVE.value),
    else_=ConfigurationState.INACTIVE.value,
)
SORTS = {
    "name": func.lower(_table.c.name),
    "state": _state,
    "handed_out": func.coalesce(_table.c.handed_out_at, 0),
    "created": _table.c.created_at,
}


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """What goes into the file and is shown to nobody; encrypted, or as the hash that files hold."""

    client_secret: str = field(repr=False)
    password: str | None = field(repr=False)
    quit_password_hash: str = field(repr=False)
    fallback_password_hash: str = field(repr=False)


async def by_id(
    db: AsyncConnection, configuration_id: int, *, for_update: bool = False
) -> ConnectionDetails | None:
    if not 0 < configuration_id <= LARGEST_ID:
        return None
    query = select(_table).where(_table.c.id == configuration_id)
    if for_update:
        query = query.with_for_update()
    row = (await db.execute(query)).one_or_none()
    return None if row is None else (await _with_exams(db, [row]))[0]


async def secrets_of(db: AsyncConnection, configuration_id: int) -> SealedSecrets:
    row = (await db.execute(select(_table).where(_table.c.id == configuration_id))).one()
    return SealedSecrets(
        row.client_secret_encrypted,
        row.password_encrypted,
        row.quit_password_hash,
        row.fallback_password_hash,
    )


async def page(
    db: AsyncConnection,
    *,
    institution_id: int | None,
    search: str,
    state: ConfigurationState | None,
    purpose: FilePurpose | None,
    sort: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[ConnectionDetails], int]:
    query = select(_table)
    if institution_id is not None:
        query = query.where(_table.c.institution_id == institution_id)
    if search:
        query = query.where(containing(search, _table.c.name, _table.c.client_id))
    if state is not None:
        query = query.where(_state.in_([state.value]))
    if purpose is not None:
        query = query.where(_table.c.purpose == purpose.value)
    column = SORTS[sort]
    order = [column.desc() if is_descending else column.asc(), _table.c.id]
    rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    return await _with_exams(db, rows), total


async def add(db: AsyncConnection, **values: Any) -> int:
    """Raises IntegrityError for a name the institution has already."""
    return (await db.execute(insert(_table).values(**values).returning(_table.c.id))).scalar_one()


async def change(db: AsyncConnection, configuration_id: int, **values: Any) -> None:
    """Also counts the revision up. Raises IntegrityError for a name the institution has already."""
    query = update(_table).where(_table.c.id == configuration_id)
    await db.execute(query.values(revision=_table.c.revision + 1, **values))


async def note_handed_out(db: AsyncConnection, configuration_id: int, at_ms: int) -> None:
    await db.execute(update(_table).where(_table.c.id == configuration_id).values(handed_out_at=at_ms))


async def remove(db: AsyncConnection, configuration_id: int) -> None:
    """With its links, its limits and its access tokens."""
    await db.execute(delete(_table).where(_table.c.id == configuration_id))


async def is_used(db: AsyncConnection, configuration_id: int) -> bool:
    """Whether a client ever connected with it."""
    query = select(exists().where(client_connections.c.configuration_id == configuration_id))
    return bool((await db.execute(query)).scalar_one())


async def set_exams(db: AsyncConnection, configuration_id: int, exam_ids: Iterable[int]) -> None:
    limits = connection_configuration_exams
    await db.execute(delete(limits).where(limits.c.configuration_id == configuration_id))
    rows = [{"configuration_id": configuration_id, "exam_id": one} for one in sorted(exam_ids)]
    if rows:
        await db.execute(insert(limits), rows)


async def exams_of(db: AsyncConnection, institution_id: int, exam_ids: Iterable[int]) -> dict[int, str]:
    """Those of these ids that are exams of the institution, with their names."""
    wanted = [one for one in exam_ids if 0 < one <= LARGEST_ID]
    query = select(exams.c.id, exams.c.name).where(
        exams.c.institution_id == institution_id, exams.c.id.in_(wanted)
    )
    return {row.id: row.name for row in await db.execute(query)} if wanted else {}


@dataclass(frozen=True, slots=True)
class ExamChoice:
    id: int
    name: str
    starts_at: datetime


async def exam_choices(
    db: AsyncConnection, institution_id: int, *, now_ms: int, chosen: Iterable[int], limit: int
) -> list[ExamChoice]:
    """The chosen exams, and the next ones that are not over, by start."""
    columns = (exams.c.id, exams.c.name, exams.c.starts_at)
    mine = exams.c.institution_id == institution_id
    ids = [one for one in chosen if 0 < one <= LARGEST_ID]
    is_open = exams.c.archived_at.is_(None) & exams.c.ended_at.is_(None) & (exams.c.ends_at > now_ms)
    coming = select(*columns).where(mine, is_open).order_by(exams.c.starts_at, exams.c.id).limit(limit)
    found = {row.id: row for row in await db.execute(coming)}
    missing = [one for one in ids if one not in found]
    if missing:
        for row in await db.execute(select(*columns).where(mine, exams.c.id.in_(missing))):
            found[row.id] = row
    rows = sorted(found.values(), key=lambda row: (row.starts_at, row.id))
    return [ExamChoice(row.id, row.name, from_ms(row.starts_at)) for row in rows]


# --- links ---


async def add_link(db: AsyncConnection, **values: Any) -> ConnectionLink:
    query = insert(connection_links).values(**values).returning(*connection_links.c)
    return _link((await db.execute(query)).one())


async def links_of(db: AsyncConnection, configuration_id: int, *, now_ms: int) -> list[ConnectionLink]:
    """Those still in force, the newest first."""
    links = connection_links
    query = select(links).where(links.c.configuration_id == configuration_id, links.c.expires_at > now_ms)
    return [_link(row) for row in await db.execute(query.order_by(links.c.id.desc()))]


async def link_by_hash(db: AsyncConnection, key_hash: str, *, now_ms: int) -> ConnectionLink | None:
    links = connection_links
    query = select(links).where(links.c.key_hash == key_hash, links.c.expires_at > now_ms)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else _link(row)


async def remove_link(db: AsyncConnection, configuration_id: int, link_id: int) -> bool:
    if not 0 < link_id <= LARGEST_ID:
        return False
    links = connection_links
    query = delete(links).where(links.c.id == link_id, links.c.configuration_id == configuration_id)
    return (await db.execute(query)).rowcount == 1


async def remove_links(
    db: AsyncConnection, *, configuration_id: int | None = None, until_ms: int | None = None
) -> int:
    """All of a configuration, or all that expired by then."""
    links = connection_links
    which = [links.c.configuration_id == configuration_id] if configuration_id is not None else []
    which += [links.c.expires_at <= until_ms] if until_ms is not None else []
    return (await db.execute(delete(links).where(or_(*which)))).rowcount if which else 0


# --- from rows ---


async def _with_exams(db: AsyncConnection, rows: Sequence[Row[Any]]) -> list[ConnectionDetails]:
    limits: dict[int, set[int]] = defaultdict(set)
    limited = [row.id for row in rows if row.is_limited]
    if limited:
        table = connection_configuration_exams
        for row in await db.execute(select(table).where(table.c.configuration_id.in_(limited))):
            limits[row.configuration_id].add(row.exam_id)
    return [_details(row, frozenset(limits[row.id]) if row.is_limited else None) for row in rows]


def _details(row: Row[Any], only_exams: frozenset[int] | None) -> ConnectionDetails:
    state = ConfigurationState.ACTIVE if row.is_active else ConfigurationState.INACTIVE
    fallback = None
    if row.fallback_url is not None:
        fallback = Fallback(
            url=row.fallback_url,
            timeout_ms=row.fallback_timeout_ms,
            attempts=row.fallback_attempts,
            interval_ms=row.fallback_interval_ms,
            has_password=bool(row.fallback_password_hash),
        )
    return ConnectionDetails(
        id=row.id,
        institution_id=row.institution_id,
        name=row.name,
        client_id=row.client_id,
        purpose=FilePurpose(row.purpose),
        protection=FileProtection(row.encryption),
        has_password=row.password_encrypted is not None,
        certificate=row.certificate or "",
        has_quit_password=bool(row.quit_password_hash),
        fallback=fallback,
        ping_interval_ms=row.ping_interval_ms,
        only_exams=only_exams,
        state=state if row.revoked_at is None else ConfigurationState.REVOKED,
        handed_out_at=None if row.handed_out_at is None else from_ms(row.handed_out_at),
        revoked_at=None if row.revoked_at is None else from_ms(row.revoked_at),
        created_at=from_ms(row.created_at),
        revision=row.revision,
    )


def _link(row: Row[Any]) -> ConnectionLink:
    return ConnectionLink(
        id=row.id,
        configuration_id=row.configuration_id,
        created_at=from_ms(row.created_at),
        expires_at=from_ms(row.expires_at),
        created_by=row.created_by,
    )
