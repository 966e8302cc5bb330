"""What the exam office reads and writes: lists of exams, templates, rosters, and what is asked before an exam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms
from invigilo.exams.model import (
    Candidate,
    ConfigurationChoice,
    ExamLine,
    ExamState,
    Holdings,
    Supporter,
    Template,
)
from invigilo.storage.queries.events import forget
from invigilo.storage.queries.exams import candidate_of, is_id, proctoring_of
from invigilo.storage.queries.listing import containing, page_of
from invigilo.storage.tables import (
    candidates,
    client_connections,
    client_events,
    configuration_versions,
    connection_configuration_exams,
    connection_configurations,
    exam_configurations,
    exam_supporters,
    exam_template_supporters,
    exam_templates,
    exams,
    institutions,
    rooms,
    service_definitions,
    users,
)

SORTS = ("name", "start", "end", "state")
TEMPLATE_SORTS = ("name",)
ROSTER_SORTS = ("name", "user_id", "group", "extra_minutes")

DAY = 86_400_000  # ms, and the most extra time anybody gets
OPEN_STATES = ("requested", "ready", "active")
SUPPORTING_ROLES = ("exam_supporter", "exam_admin")
AT_ONCE = 10_000  # events deleted in one transaction: a million at once would keep pings waiting


# --- the list ---


def state_column(now: int) -> ColumnElement[str]:
    """`Exam.state_at` in SQL. Extra time is looked up only of exams that ended within a day."""
    own_end = exams.c.ends_at + cast(candidates.c.extra_minutes, BigInteger) * 60_000
    has_extra = exists().where(candidates.c.exam_id == exams.c.id, own_end > now)
    is_over = and_(exams.c.ends_at <= now, or_(exams.c.ends_at <= now - DAY, not_(has_extra)))
    return case(
        (exams.c.archived_at <= now, ExamState.ARCHIVED.value),
        (exams.c.ended_at <= now, ExamState.FINISHED.value),
        (is_over, ExamState.FINISHED.value),
        (exams.c.starts_at <= now, ExamState.RUNNING.value),
        (exams.c.test_run_since <= now, ExamState.TEST_RUN.value),
        else_=ExamState.UPCOMING.value,
    )


_RANK = {
    ExamState.RUNNING: 0,
    ExamState.TEST_RUN: 1,
    ExamState.UPCOMING: 2,
    ExamState.FINISHED: 3,
    ExamState.ARCHIVED: 4,
}


async def exam_page(
    db: AsyncConnection,
    *,
    now: int,
    institution_id: int | None,
    supporter_id: int | None,
    search: str,
    state: ExamState | None,
    sort: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[ExamLine], int]:
    """One page of the list; without a state asked for, archived exams are left out."""
    state_now = state_column(now)
    columns = (
        exams.c.id,
        exams.c.institution_id,
        exams.c.name,
        exams.c.starts_at,
        exams.c.ends_at,
        exams.c.time_zone,
        exams.c.proctoring_enabled,
    )
    query = select(*columns).add_columns(state_now.label("state"))
    if institution_id is not None:
        query = query.where(exams.c.institution_id == institution_id)
    if supporter_id is not None:
        mine = select(exam_supporters.c.exam_id).where(exam_supporters.c.user_id == supporter_id)
        query = query.where(exams.c.id.in_(mine))
    if search:
        query = query.where(containing(search, exams.c.name, exams.c.description))
    if state is ExamState.ARCHIVED:
        query = query.where(exams.c.archived_at.is_not(None))
    else:
        query = query.where(exams.c.archived_at.is_(None))
        if state is not None:
            query = query.where(state_now == state.value)
    order = _order(sort, state_now, is_descending=is_descending)
    rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    ids = [row.id for row in rows]
    supporters = await _counts(db, exam_supporters.c.exam_id, ids)
    roster = await _counts(db, candidates.c.exam_id, ids)
    named = select(institutions.c.id, institutions.c.name)
    named = named.where(institutions.c.id.in_({row.institution_id for row in rows}))
    names = {row.id: row.name for row in await db.execute(named)}
    lines = [
        ExamLine(
            id=row.id,
            institution_id=row.institution_id,
            institution=names.get(row.institution_id, ""),
            name=row.name,
            starts_at=from_ms(row.starts_at),
            ends_at=from_ms(row.ends_at),
            time_zone=row.time_zone,
            state=ExamState(row.state),
            is_proctored=row.proctoring_enabled,
            supporters=supporters.get(row.id, 0),
            candidates=roster.get(row.id, 0),
        )
        for row in rows
    ]
    return lines, total


def _order(sort: str, state: ColumnElement[str], *, is_descending: bool) -> list[ColumnElement[Any]]:
    if sort == "state":
        rank = case({one.value: rank for one, rank in _RANK.items()}, value=state)
        # What comes next stands first; of what is over, the latest.
        near = case((state == ExamState.UPCOMING.value, exams.c.starts_at), else_=-exams.c.starts_at)
        return [rank.desc() if is_descending else rank.asc(), near, exams.c.id]
    columns: dict[str, ColumnElement[Any]] = {
        "name": func.lower(exams.c.name),
        "start": exams.c.starts_at,
        "end": exams.c.ends_at,
    }
    column = columns[sort]
    return [column.desc() if is_descending else column.asc(), exams.c.id]


async def _counts(db: AsyncConnection, column: Any, ids: Sequence[int]) -> dict[int, int]:
    query = select(column, func.count()).where(column.in_(ids)).group_by(column)
    return {row[0]: row[1] for row in await db.execute(query)}


# --- one exam ---


async def add_exam(db: AsyncConnection, **columns: Any) -> int:
    return (await db.execute(insert(exams).values(**columns).returning(exams.c.id))).scalar_one()


async def update_exam(
    db: AsyncConnection, exam_id: int, *, revision: int | None = None, **columns: Any
) -> bool:
    """Change it and count up; False when it is gone or, with `revision`, was changed since that one."""
    query = update(exams).where(exams.c.id == exam_id)
    if revision is not None:
        query = query.where(exams.c.revision == revision)
    query = query.values(**columns, revision=exams.c.revision + 1)
    return (await db.execute(query)).rowcount == 1


async def lock_exam(db: AsyncConnection, exam_id: int) -> None:
    """Nobody else changes it until the transaction ends."""
    if is_id(exam_id):
        await db.execute(select(exams.c.id).where(exams.c.id == exam_id).with_for_update())


async def set_supporters(db: AsyncConnection, exam_id: int, user_ids: frozenset[int]) -> None:
    await db.execute(delete(exam_supporters).where(exam_supporters.c.exam_id == exam_id))
    if user_ids:
        rows = [{"exam_id": exam_id, "user_id": user_id} for user_id in sorted(user_ids)]
        await db.execute(insert(exam_supporters), rows)


async def is_exam_name_taken(
    db: AsyncConnection, institution_id: int, name: str, *, but: int | None = None
) -> bool:
    query = select(exams.c.id).where(exams.c.institution_id == institution_id, exams.c.name == name)
    if but is not None:
        query = query.where(exams.c.id != but)
    return (await db.execute(query)).first() is not None


async def time_zone_of(db: AsyncConnection, institution_id: int) -> str:
    """In which zone an institution thinks of its exams."""
    query = select(institutions.c.time_zone).where(institutions.c.id == institution_id)
    return (await db.execute(query)).scalar_one()


async def quit_password_of(db: AsyncConnection, exam_id: int) -> str | None:
    """Encrypted."""
    query = select(exams.c.quit_password_encrypted).where(exams.c.id == exam_id)
    return (await db.execute(query)).scalar_one_or_none()


async def holdings_of(db: AsyncConnection, exam_id: int) -> Holdings:
    """What hangs on an exam, counted."""
    mine = client_connections.c.exam_id == exam_id
    ids = select(client_connections.c.id).where(mine)

    async def count(condition: ColumnElement[bool]) -> int:
        return (await db.execute(select(func.count()).where(condition))).scalar_one()

    return Holdings(
        connections=await count(mine),
        open_connections=await count(and_(mine, client_connections.c.state.in_(OPEN_STATES))),
        events=await count(client_events.c.connection_id.in_(ids)),
        rooms=await count(rooms.c.exam_id == exam_id),
        open_rooms=await count(and_(rooms.c.exam_id == exam_id, rooms.c.state != "closed")),
        candidates=await count(candidates.c.exam_id == exam_id),
    )


async def delete_some_events(db: AsyncConnection, exam_id: int) -> int:
    """Up to ten thousand events of an exam's connections; returns how many it were."""
    connections = select(client_connections.c.id).where(client_connections.c.exam_id == exam_id)
    some = select(client_events.c.id).where(client_events.c.connection_id.in_(connections)).limit(AT_ONCE)
    return await forget(db, (await db.execute(some)).scalars().all())


async def delete_exam(db: AsyncConnection, exam_id: int) -> None:
    """With everything that hangs on it, but the events of its clients."""
    await db.execute(delete(client_connections).where(client_connections.c.exam_id == exam_id))
    await db.execute(delete(exams).where(exams.c.id == exam_id))


async def supporters_offered(db: AsyncConnection, institution_id: int) -> list[Supporter]:
    """Active people of an institution who may be assigned to its exams."""
    query = (
        select(users.c.id, users.c.display_name, users.c.username)
        .where(
            users.c.institution_id == institution_id,
            users.c.is_active,
            users.c.role.in_(SUPPORTING_ROLES),
        )
        .order_by(func.lower(users.c.display_name), users.c.id)
    )
    return [Supporter(row.id, row.display_name, row.username) for row in await db.execute(query)]


async def people_named(db: AsyncConnection, user_ids: frozenset[int]) -> list[Supporter]:
    query = select(users.c.id, users.c.display_name, users.c.username).where(users.c.id.in_(user_ids))
    rows = await db.execute(query.order_by(func.lower(users.c.display_name), users.c.id))
    return [Supporter(row.id, row.display_name, row.username) for row in rows]


# --- what is asked before an exam ---


async def connection_files(db: AsyncConnection, exam_id: int, institution_id: int) -> tuple[int, int]:
    """(active connection configurations that offer the exam, those of them that were handed out)."""
    table = connection_configurations
    limited_to = exists().where(
        connection_configuration_exams.c.configuration_id == table.c.id,
        connection_configuration_exams.c.exam_id == exam_id,
    )
    query = select(func.count(), func.count(table.c.handed_out_at)).where(
        table.c.institution_id == institution_id,
        table.c.is_active,
        table.c.revoked_at.is_(None),
        or_(not_(table.c.is_limited), limited_to),
    )
    row = (await db.execute(query)).one()
    return row[0], row[1]


async def is_definition_proven(db: AsyncConnection, definition_id: int) -> bool:
    query = select(service_definitions.c.is_proven).where(service_definitions.c.id == definition_id)
    return bool((await db.execute(query)).scalar_one_or_none())


async def connected_users(db: AsyncConnection, exam_id: int) -> set[str]:
    """User ids of those who are connected with an exam now."""
    query = select(client_connections.c.user_session_id).where(
        client_connections.c.exam_id == exam_id,
        client_connections.c.state.in_(OPEN_STATES),
        client_connections.c.user_session_id.is_not(None),
    )
    return set((await db.execute(query)).scalars())


# --- configurations, as far as exams need them ---

_CHOICE = (
    exam_configurations.c.id,
    exam_configurations.c.institution_id,
    exam_configurations.c.name,
    exam_configurations.c.is_template,
    exam_configurations.c.published_version,
)


async def configurations_offered(
    db: AsyncConnection, institution_id: int, *, with_templates: bool = False
) -> list[ConfigurationChoice]:
    """What exams may be assigned: published ones; for exam templates also configuration templates."""
    table = exam_configurations
    may_be = and_(not_(table.c.is_template), table.c.published_version.is_not(None))
    if with_templates:
        may_be = or_(may_be, table.c.is_template)
    query = select(*_CHOICE).where(table.c.institution_id == institution_id, may_be)
    rows = await db.execute(query.order_by(func.lower(table.c.name), table.c.id))
    return [ConfigurationChoice(*row) for row in rows]


async def configuration_choice(db: AsyncConnection, configuration_id: int) -> ConfigurationChoice | None:
    if not is_id(configuration_id):
        return None
    query = select(*_CHOICE).where(exam_configurations.c.id == configuration_id)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else ConfigurationChoice(*row)


async def version_values(db: AsyncConnection, configuration_id: int, number: int) -> dict[str, Any] | None:
    """What was edited, as it stood in a published version."""
    if not 0 < number < 2**31:
        return None
    table = configuration_versions
    query = select(table.c["values"]).where(
        table.c.configuration_id == configuration_id, table.c.number == number
    )
    return (await db.execute(query)).scalar_one_or_none()


async def draft_values(db: AsyncConnection, configuration_id: int) -> dict[str, Any]:
    query = select(exam_configurations.c.draft).where(exam_configurations.c.id == configuration_id)
    return (await db.execute(query)).scalar_one()


async def configuration_names(db: AsyncConnection, institution_id: int) -> set[str]:
    query = select(exam_configurations.c.name).where(exam_configurations.c.institution_id == institution_id)
    return set((await db.execute(query)).scalars())


async def add_published_configuration(
    db: AsyncConnection, *, configuration: Mapping[str, Any], version: Mapping[str, Any]
) -> int:
    """A configuration with its first version."""
    query = insert(exam_configurations).values(**configuration).returning(exam_configurations.c.id)
    configuration_id: int = (await db.execute(query)).scalar_one()
    await db.execute(
        insert(configuration_versions).values(configuration_id=configuration_id, number=1, **version)
    )
    return configuration_id


async def exams_with_configuration(db: AsyncConnection, configuration_id: int) -> list[int]:
    """Those that are not archived, in one order for everybody who locks them."""
    query = select(exams.c.id).where(
        exams.c.configuration_id == configuration_id, exams.c.archived_at.is_(None)
    )
    return list((await db.execute(query.order_by(exams.c.id))).scalars())


# --- the file for clients ---


async def served_file(db: AsyncConnection, exam_id: int) -> tuple[bytes, int] | None:
    """(the file, its revision); None while none was made."""
    query = select(exams.c.settings, exams.c.settings_revision).where(exams.c.id == exam_id)
    row = (await db.execute(query)).one_or_none()
    return None if row is None or row.settings is None else (row.settings, row.settings_revision)


async def store_served_file(db: AsyncConnection, exam_id: int, settings: bytes, config_key: str) -> None:
    """Another file for the clients of an exam: its revision counts up."""
    await db.execute(
        update(exams)
        .where(exams.c.id == exam_id)
        .values(settings=settings, config_key=config_key, settings_revision=exams.c.settings_revision + 1)
    )


# --- templates ---


def template_of(row: Any, supporters: frozenset[int]) -> Template:
    return Template(
        id=row.id,
        institution_id=row.institution_id,
        name=row.name,
        description=row.description,
        configuration_id=row.configuration_id,
        supporters=supporters,
        has_quit_password=row.quit_password_encrypted is not None,
        proctoring=proctoring_of(row),
        revision=row.revision,
    )


async def template_page(
    db: AsyncConnection,
    *,
    institution_id: int | None,
    search: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[Template], int]:
    query = select(exam_templates)
    if institution_id is not None:
        query = query.where(exam_templates.c.institution_id == institution_id)
    if search:
        query = query.where(containing(search, exam_templates.c.name, exam_templates.c.description))
    name = func.lower(exam_templates.c.name)
    order = [name.desc() if is_descending else name.asc(), exam_templates.c.id]
    rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    found = await _supporters_of_templates(db, [row.id for row in rows])
    return [template_of(row, frozenset(found.get(row.id, ()))) for row in rows], total


async def template_by_id(db: AsyncConnection, template_id: int) -> Template | None:
    if not is_id(template_id):
        return None
    row = (await db.execute(select(exam_templates).where(exam_templates.c.id == template_id))).one_or_none()
    if row is None:
        return None
    found = await _supporters_of_templates(db, [template_id])
    return template_of(row, frozenset(found.get(template_id, ())))


async def _supporters_of_templates(db: AsyncConnection, ids: Sequence[int]) -> dict[int, set[int]]:
    table = exam_template_supporters
    found: dict[int, set[int]] = {}
    for row in await db.execute(select(table).where(table.c.template_id.in_(ids))):
        found.setdefault(row.template_id, set()).add(row.user_id)
    return found


async def templates_offered(db: AsyncConnection, institution_id: int) -> list[tuple[int, str]]:
    query = select(exam_templates.c.id, exam_templates.c.name).where(
        exam_templates.c.institution_id == institution_id
    )
    rows = await db.execute(query.order_by(func.lower(exam_templates.c.name), exam_templates.c.id))
    return [(row.id, row.name) for row in rows]


async def template_quit_password(db: AsyncConnection, template_id: int) -> str | None:
    """Encrypted."""
    query = select(exam_templates.c.quit_password_encrypted).where(exam_templates.c.id == template_id)
    return (await db.execute(query)).scalar_one_or_none()


async def is_template_name_taken(
    db: AsyncConnection, institution_id: int, name: str, *, but: int | None = None
) -> bool:
    table = exam_templates
    query = select(table.c.id).where(table.c.institution_id == institution_id, table.c.name == name)
    if but is not None:
        query = query.where(table.c.id != but)
    return (await db.execute(query)).first() is not None


async def add_template(db: AsyncConnection, **columns: Any) -> int:
    query = insert(exam_templates).values(**columns).returning(exam_templates.c.id)
    return (await db.execute(query)).scalar_one()


async def update_template(
    db: AsyncConnection, template_id: int, *, revision: int | None, **columns: Any
) -> bool:
    """False when it is gone or, with `revision`, was changed since that one."""
    query = update(exam_templates).where(exam_templates.c.id == template_id)
    if revision is not None:
        query = query.where(exam_templates.c.revision == revision)
    query = query.values(**columns, revision=exam_templates.c.revision + 1)
    return (await db.execute(query)).rowcount == 1


async def set_template_supporters(db: AsyncConnection, template_id: int, user_ids: frozenset[int]) -> None:
    table = exam_template_supporters
    await db.execute(delete(table).where(table.c.template_id == template_id))
    if user_ids:
        rows = [{"template_id": template_id, "user_id": user_id} for user_id in sorted(user_ids)]
        await db.execute(insert(table), rows)


async def delete_template(db: AsyncConnection, template_id: int) -> None:
    await db.execute(delete(exam_templates).where(exam_templates.c.id == template_id))


# --- rosters ---


async def roster_of(db: AsyncConnection, exam_id: int) -> dict[str, Candidate]:
    """The whole roster, by the LMS's user id."""
    rows = await db.execute(select(candidates).where(candidates.c.exam_id == exam_id))
    return {row.user_id: candidate_of(row) for row in rows}


async def roster_page(
    db: AsyncConnection,
    exam_id: int,
    *,
    search: str,
    sort: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[Candidate], int]:
    query = select(candidates).where(candidates.c.exam_id == exam_id)
    if search:
        columns = (candidates.c.name, candidates.c.user_id, candidates.c.group_name)
        query = query.where(containing(search, *columns))
    by: dict[str, ColumnElement[Any]] = {
        "name": func.lower(candidates.c.name),
        "user_id": candidates.c.user_id,
        "group": func.lower(candidates.c.group_name),
        "extra_minutes": candidates.c.extra_minutes,
    }
    order = [by[sort].desc() if is_descending else by[sort].asc(), candidates.c.id]
    rows, total = await page_of(db, query, order=order, offset=offset, limit=limit)
    return [candidate_of(row) for row in rows], total


async def candidate_by_id(db: AsyncConnection, exam_id: int, candidate_id: int) -> Candidate | None:
    if not is_id(exam_id) or not is_id(candidate_id):
        return None
    query = select(candidates).where(candidates.c.exam_id == exam_id, candidates.c.id == candidate_id)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else candidate_of(row)


async def add_candidates(db: AsyncConnection, rows: list[dict[str, Any]]) -> None:
    if rows:
        await db.execute(insert(candidates), rows)


async def update_candidate(db: AsyncConnection, candidate_id: int, **columns: Any) -> None:
    await db.execute(update(candidates).where(candidates.c.id == candidate_id).values(**columns))


async def delete_candidates(db: AsyncConnection, ids: Sequence[int]) -> None:
    for first in range(0, len(ids), 500):
        await db.execute(delete(candidates).where(candidates.c.id.in_(ids[first : first + 500])))


async def copy_roster(db: AsyncConnection, old_id: int, new_id: int) -> None:
    columns = ("user_id", "name", "group_name", "extra_minutes")
    query = select(*[candidates.c[one] for one in columns]).where(candidates.c.exam_id == old_id)
    rows = (await db.execute(query)).mappings()
    await add_candidates(db, [{**row, "exam_id": new_id} for row in rows])
