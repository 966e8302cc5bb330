"""Reading exams, connection configurations and institutions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms
from invigilo.exams.model import (
    Candidate,
    ConnectionConfiguration,
    Exam,
    JoinBy,
    ProctoringFeature,
    ProctoringSettings,
    SealedDefinition,
    Service,
)
from invigilo.storage.tables import (
    access_tokens,
    candidates,
    connection_configuration_exams,
    connection_configurations,
    exam_supporters,
    exams,
    installation,
    institutions,
    service_definitions,
)

AT_ONCE = 100  # rows made into objects before others get a turn: ten thousand exams must not hold up a ping

EXAM_COLUMNS = [c for c in exams.c if c.name != "settings"]
"""Everything of an exam but the file for clients, which is large."""


def is_id(number: int) -> bool:
    """Whether a number from outside can be asked for at all: databases refuse larger ones."""
    return 0 < number < 2**63


async def directory_revision(db: AsyncConnection) -> int:
    """Counts up with every change of what the directory holds; 0 in a database without installation row."""
    return (await db.execute(select(installation.c.directory_revision))).scalar_one_or_none() or 0


async def count_up_directory(db: AsyncConnection) -> None:
    revision = installation.c.directory_revision
    await db.execute(update(installation).values(directory_revision=revision + 1))


async def all_exams(db: AsyncConnection) -> list[Exam]:
    """Every exam that is not archived, with its supporters, read whole into the directory."""
    supporters: dict[int, set[int]] = defaultdict(set)
    for row in await db.execute(select(exam_supporters.c.exam_id, exam_supporters.c.user_id)):
        supporters[row.exam_id].add(row.user_id)
    query = select(candidates.c.exam_id, func.max(candidates.c.extra_minutes).label("most"))
    extra = {row.exam_id: row.most for row in await db.execute(query.group_by(candidates.c.exam_id))}
    found: list[Exam] = []
    query = select(*EXAM_COLUMNS).where(exams.c.archived_at.is_(None)).order_by(exams.c.id)
    async with db.stream(query) as rows:
        async for some in rows.partitions(AT_ONCE):
            found += [
                exam_of(row, frozenset(supporters.get(row.id, ())), extra.get(row.id, 0)) for row in some
            ]
            await asyncio.sleep(0)
    return found


async def exam_by_id(db: AsyncConnection, exam_id: int) -> Exam | None:
    """One exam, archived ones too."""
    if not is_id(exam_id):
        return None
    row = (await db.execute(select(*EXAM_COLUMNS).where(exams.c.id == exam_id))).one_or_none()
    if row is None:
        return None
    query = select(exam_supporters.c.user_id).where(exam_supporters.c.exam_id == exam_id)
    supporters = frozenset((await db.execute(query)).scalars())
    query = select(func.max(candidates.c.extra_minutes)).where(candidates.c.exam_id == exam_id)
    return exam_of(row, supporters, (await db.execute(query)).scalar_one() or 0)


async def rosters(db: AsyncConnection, exam_ids: list[int]) -> dict[int, dict[str, Candidate]]:
    """By exam and by the LMS's user id."""
    found: dict[int, dict[str, Candidate]] = {}
    if not exam_ids:
        return found
    rows = await db.execute(select(candidates).where(candidates.c.exam_id.in_(exam_ids)))
    for row in rows:
        found.setdefault(row.exam_id, {})[row.user_id] = candidate_of(row)
    return found


def candidate_of(row: Row[tuple[object, ...]]) -> Candidate:
    return Candidate(
        id=row.id,
        exam_id=row.exam_id,
        user_id=row.user_id,
        name=row.name,
        group=row.group_name,
        extra_minutes=row.extra_minutes,
    )


def proctoring_of(row: Row[tuple[object, ...]]) -> ProctoringSettings:
    """From a row of an exam or an exam template, which carry the same columns."""
    return ProctoringSettings(
        enabled=row.proctoring_enabled,
        service=Service(row.service),
        collecting_room_size=row.collecting_room_size,
        join_by=JoinBy(row.join_by),
        features=frozenset(ProctoringFeature(one) for one in row.features),
        definition_id=row.service_definition_id,
    )


def exam_of(row: Row[tuple[object, ...]], supporters: frozenset[int], extra_minutes: int = 0) -> Exam:
    """From a row of EXAM_COLUMNS."""
    return Exam(
        id=row.id,
        institution_id=row.institution_id,
        name=row.name,
        starts_at=from_ms(row.starts_at),
        ends_at=from_ms(row.ends_at),
        url=row.url,
        salt=row.salt,
        browser_exam_key=row.browser_exam_key,
        ended_at=None if row.ended_at is None else from_ms(row.ended_at),
        supporters=supporters,
        proctoring=proctoring_of(row),
        description=row.description,
        time_zone=row.time_zone,
        test_run_since=None if row.test_run_since is None else from_ms(row.test_run_since),
        archived_at=None if row.archived_at is None else from_ms(row.archived_at),
        longest_extra=timedelta(minutes=extra_minutes),
        configuration_id=row.configuration_id,
        configuration_version=row.configuration_version,
        settings_revision=row.settings_revision,
        config_key=row.config_key,
        has_quit_password=row.quit_password_encrypted is not None,
        unproven_accepted_at=None if row.unproven_accepted_at is None else from_ms(row.unproven_accepted_at),
        revision=row.revision,
    )


async def all_configurations(db: AsyncConnection) -> list[tuple[ConnectionConfiguration, str]]:
    """Every connection configuration with its encrypted secret."""
    table = connection_configurations
    limits: dict[int, set[int]] = defaultdict(set)
    for row in await db.execute(select(connection_configuration_exams)):
        limits[row.configuration_id].add(row.exam_id)
    return [
        (
            ConnectionConfiguration(
                id=row.id,
                institution_id=row.institution_id,
                name=row.name,
                client_id=row.client_id,
                ping_interval_ms=row.ping_interval_ms,
                is_active=row.is_active and row.revoked_at is None,
                purpose=row.purpose,
                only_exams=frozenset(limits[row.id]) if row.is_limited else None,
                revision=row.revision,
            ),
            row.client_secret_encrypted,
        )
        for row in await db.execute(select(table).order_by(table.c.id))
    ]


async def all_definitions(db: AsyncConnection) -> list[SealedDefinition]:
    """Every service definition, without name and proof, which only its settings page shows."""
    table = service_definitions.c
    query = select(
        *(table.id, table.institution_id, table.service),
        *(table["values"], table.secrets_encrypted, table.revision),
    )
    return [
        SealedDefinition(
            id=row.id,
            institution_id=row.institution_id,
            service=Service(row.service),
            values=row.values,
            sealed={name: one["sealed"] for name, one in row.secrets_encrypted.items()},
            revision=row.revision,
        )
        for row in await db.execute(query)
    ]


async def institution_names(db: AsyncConnection) -> dict[int, str]:
    return {row.id: row.name for row in await db.execute(select(institutions.c.id, institutions.c.name))}


async def settings_of(db: AsyncConnection, exam_id: int) -> bytes | None:
    """The settings file served to the clients of an exam; None while none was made."""
    return (await db.execute(select(exams.c.settings).where(exams.c.id == exam_id))).scalar_one_or_none()


async def store_settings(db: AsyncConnection, exam_id: int, settings: bytes, config_key: str) -> None:
    """Keep the first bytes ever made: all clients of an exam get the same, so the Config Key is one."""
    await db.execute(
        update(exams)
        .where(exams.c.id == exam_id, exams.c.settings.is_(None))
        .values(settings=settings, config_key=config_key)
    )


async def add_access_token(
    db: AsyncConnection, *, token_hash: str, configuration_id: int, expires_at: int
) -> None:
    await db.execute(
        insert(access_tokens).values(
            token_hash=token_hash, configuration_id=configuration_id, expires_at=expires_at
        )
    )


async def access_token(db: AsyncConnection, token_hash: str) -> tuple[int, int] | None:
    """(configuration id, expiry in ms) of a token; None when unknown."""
    row = (
        await db.execute(select(access_tokens).where(access_tokens.c.token_hash == token_hash))
    ).one_or_none()
    return None if row is None else (row.configuration_id, row.expires_at)


async def drop_expired_tokens(db: AsyncConnection, now_ms: int) -> int:
    return (await db.execute(access_tokens.delete().where(access_tokens.c.expires_at < now_ms))).rowcount
