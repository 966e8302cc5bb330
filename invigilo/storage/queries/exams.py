"""Reading exams, connection configurations and institutions."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms
from invigilo.exams.model import ConnectionConfiguration, Exam, JoinBy, ProctoringSettings, Service
from invigilo.storage.tables import (
    access_tokens,
    connection_configurations,
    exam_supporters,
    exams,
    institutions,
)


async def all_exams(db: AsyncConnection) -> list[Exam]:
    """Every exam with its supporters: small tables, read whole into the directory."""
    supporters: dict[int, set[int]] = defaultdict(set)
    for row in await db.execute(select(exam_supporters.c.exam_id, exam_supporters.c.user_id)):
        supporters[row.exam_id].add(row.user_id)
    columns = [c for c in exams.c if c.name != "settings"]
    return [
        _exam(row, frozenset(supporters[row.id]))
        for row in await db.execute(select(*columns).order_by(exams.c.id))
    ]


def _exam(row: Row[tuple[object, ...]], supporters: frozenset[int]) -> Exam:
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
        proctoring=ProctoringSettings(
            enabled=row.proctoring_enabled,
            service=Service(row.service),
            collecting_room_size=row.collecting_room_size,
            join_by=JoinBy(row.join_by),
        ),
    )


async def all_configurations(db: AsyncConnection) -> list[tuple[ConnectionConfiguration, str]]:
    """Every connection configuration with its encrypted secret."""
    table = connection_configurations
    return [
        (
            ConnectionConfiguration(
                id=row.id,
                institution_id=row.institution_id,
                name=row.name,
                client_id=row.client_id,
                ping_interval_ms=row.ping_interval_ms,
                is_active=row.is_active,
            ),
            row.client_secret_encrypted,
        )
        for row in await db.execute(select(table).order_by(table.c.id))
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
