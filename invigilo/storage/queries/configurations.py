"""Reading and writing exam configurations, their versions and the history of their drafts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms
from invigilo.configurations.model import Change, Configuration, ConfigurationLine, Use, Version
from invigilo.storage.queries.listing import containing, page_of
from invigilo.storage.tables import (
    configuration_changes,
    configuration_versions,
    exam_configurations,
    exam_templates,
    exams,
)

COLUMNS = [c for c in exam_configurations.c if c.name != "draft"]
"""Everything of a configuration but its draft's values, which are large."""
SORTS = {
    "name": func.lower(exam_configurations.c.name),
    "changed": exam_configurations.c.changed_at,
    "version": func.coalesce(exam_configurations.c.published_version, 0),
}
LARGEST_ID = 2**63 - 1
LARGEST_VERSION = 2**31 - 1
_VERSION_COLUMNS = [c for c in configuration_versions.c if c.name not in {"values", "settings"}]
_IS_DRAFT = configuration_changes.c.version.is_(None)


def configuration_of(row: Row[Any]) -> Configuration:
    """From a row of COLUMNS."""
    return Configuration(
        id=row.id,
        institution_id=row.institution_id,
        name=row.name,
        description=row.description,
        is_template=row.is_template,
        template_id=row.template_id,
        draft_revision=row.draft_revision,
        published_version=row.published_version,
        created_at=from_ms(row.created_at),
        changed_at=from_ms(row.changed_at),
    )


async def configuration_by_id(
    db: AsyncConnection, configuration_id: int, *, for_update: bool = False
) -> Configuration | None:
    if not 0 < configuration_id <= LARGEST_ID:
        return None
    query = select(*COLUMNS).where(exam_configurations.c.id == configuration_id)
    if for_update:
        query = query.with_for_update(key_share=True)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else configuration_of(row)


async def draft_values(db: AsyncConnection, configuration_id: int) -> dict[str, Any]:
    query = select(exam_configurations.c.draft).where(exam_configurations.c.id == configuration_id)
    return (await db.execute(query)).scalar_one()


async def configuration_page(
    db: AsyncConnection,
    *,
    institution_id: int | None,
    search: str,
    is_template: bool | None,
    sort: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[ConfigurationLine], int]:
    """One page of a list, with the names of the exams that use each."""
    changes = exists().where(configuration_changes.c.configuration_id == exam_configurations.c.id, _IS_DRAFT)
    query = select(*COLUMNS, changes.label("has_changes"))
    if institution_id is not None:
        query = query.where(exam_configurations.c.institution_id == institution_id)
    if is_template is not None:
        query = query.where(exam_configurations.c.is_template.is_(is_template))
    if search:
        query = query.where(containing(search, exam_configurations.c.name, exam_configurations.c.description))
    column = SORTS[sort]
    order = [column.desc() if is_descending else column.asc(), exam_configurations.c.id]
    rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    names: dict[int, list[str]] = defaultdict(list)
    used = select(exams.c.configuration_id, exams.c.name).where(
        exams.c.configuration_id.in_([row.id for row in rows])
    )
    for row in await db.execute(used.order_by(exams.c.name)):
        names[row.configuration_id].append(row.name)
    lines = [ConfigurationLine(configuration_of(row), row.has_changes, tuple(names[row.id])) for row in rows]
    return lines, total


async def configuration_choices(
    db: AsyncConnection, institution_id: int, *, is_template: bool | None = None
) -> list[tuple[int, str]]:
    """Ids and names of an institution's configurations, for choosing one."""
    query = select(exam_configurations.c.id, exam_configurations.c.name).where(
        exam_configurations.c.institution_id == institution_id
    )
    if is_template is not None:
        query = query.where(exam_configurations.c.is_template.is_(is_template))
    rows = await db.execute(query.order_by(func.lower(exam_configurations.c.name)).limit(1_000))
    return [(row.id, row.name) for row in rows]


async def is_name_taken(
    db: AsyncConnection, institution_id: int, name: str, *, but: int | None = None
) -> bool:
    query = select(exam_configurations.c.id).where(
        exam_configurations.c.institution_id == institution_id, exam_configurations.c.name == name
    )
    if but is not None:
        query = query.where(exam_configurations.c.id != but)
    return (await db.execute(query)).first() is not None


async def uses_of(db: AsyncConnection, configuration_id: int) -> list[Use]:
    """The exams, archived ones too, and the exam templates that refer to it."""
    found: list[Use] = []
    for kind, table in (("exam", exams), ("exam template", exam_templates)):
        query = select(table.c.id, table.c.name).where(table.c.configuration_id == configuration_id)
        rows = await db.execute(query.order_by(table.c.name))
        found += [Use(kind, row.id, row.name) for row in rows]
    return found


async def add_configuration(db: AsyncConnection, **columns: Any) -> int:
    query = insert(exam_configurations).values(**columns).returning(exam_configurations.c.id)
    return (await db.execute(query)).scalar_one()


async def update_configuration(db: AsyncConnection, configuration_id: int, **columns: Any) -> None:
    query = update(exam_configurations).where(exam_configurations.c.id == configuration_id)
    await db.execute(query.values(**columns))


async def delete_configuration(db: AsyncConnection, configuration_id: int) -> None:
    await db.execute(delete(exam_configurations).where(exam_configurations.c.id == configuration_id))


# --- versions ---


def version_of(row: Row[Any]) -> Version:
    return Version(
        number=row.number,
        published_at=from_ms(row.published_at),
        published_by=row.published_by,
        config_key=row.config_key,
        note=row.note,
    )


async def versions_of(db: AsyncConnection, configuration_id: int, *, limit: int = 500) -> list[Version]:
    """Newest first."""
    query = select(*_VERSION_COLUMNS).where(configuration_versions.c.configuration_id == configuration_id)
    rows = await db.execute(query.order_by(configuration_versions.c.number.desc()).limit(limit))
    return [version_of(row) for row in rows]


async def version_values(
    db: AsyncConnection, configuration_id: int, number: int
) -> tuple[Version, dict[str, Any]] | None:
    if not 0 < number <= LARGEST_VERSION:
        return None
    query = select(*_VERSION_COLUMNS, configuration_versions.c["values"].label("held")).where(
        configuration_versions.c.configuration_id == configuration_id,
        configuration_versions.c.number == number,
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else (version_of(row), row.held)


async def add_version(db: AsyncConnection, **columns: Any) -> None:
    await db.execute(insert(configuration_versions).values(**columns))


# --- the history of a draft ---


def change_of(row: Row[Any]) -> Change:
    return Change(
        at=from_ms(row.at),
        actor=row.actor,
        user_id=row.user_id,
        path=row.path,
        before=row.before,
        after=row.after,
        draft_revision=row.draft_revision,
        version=row.version,
    )


async def changes_since(db: AsyncConnection, configuration_id: int, revision: int) -> list[Change]:
    """What made the draft newer than this revision."""
    query = select(configuration_changes).where(
        configuration_changes.c.configuration_id == configuration_id,
        configuration_changes.c.draft_revision > max(revision, -1),
    )
    rows = await db.execute(query.order_by(configuration_changes.c.id).limit(5_000))
    return [change_of(row) for row in rows]


async def open_change(
    db: AsyncConnection, configuration_id: int, path: str, *, user_id: int | None, after: int
) -> tuple[int, Any] | None:
    """This person's own latest change of this value that is newer than a time, if nobody changed it since.

    Gives its id and what stood there before it.
    """
    query = (
        select(configuration_changes)
        .where(
            configuration_changes.c.configuration_id == configuration_id,
            configuration_changes.c.path == path,
        )
        .order_by(configuration_changes.c.draft_revision.desc(), configuration_changes.c.id.desc())
        .limit(1)
    )
    row = (await db.execute(query)).one_or_none()
    is_own = row is not None and row.version is None and row.user_id == user_id and row.at > after
    return (row.id, row.before) if row is not None and is_own else None


async def extend_change(
    db: AsyncConnection, change_id: int, *, at: int, value: Any, draft_revision: int
) -> None:
    query = update(configuration_changes).where(configuration_changes.c.id == change_id)
    await db.execute(query.values(at=at, after=value, draft_revision=draft_revision))


async def add_changes(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await db.execute(insert(configuration_changes), list(rows))


async def close_changes(db: AsyncConnection, configuration_id: int, version: int) -> None:
    """The open changes were published in a version, or taken back (0)."""
    query = update(configuration_changes).where(
        configuration_changes.c.configuration_id == configuration_id, _IS_DRAFT
    )
    await db.execute(query.values(version=version))


async def change_page(
    db: AsyncConnection, configuration_id: int, *, search: str, offset: int, limit: int
) -> tuple[list[Change], int]:
    """Newest first; `search` is part of a path or of a name."""
    query = select(configuration_changes).where(configuration_changes.c.configuration_id == configuration_id)
    if search:
        query = query.where(containing(search, configuration_changes.c.path, configuration_changes.c.actor))
    order = [configuration_changes.c.draft_revision.desc(), configuration_changes.c.id]
    rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    return [change_of(row) for row in rows], total
