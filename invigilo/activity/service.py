"""The record of who did what and when, for the exam office. Written in the same transaction as the deed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import insert

from invigilo.accounts.model import Account
from invigilo.clock import to_ms
from invigilo.storage.tables import activity
from invigilo.storage.work import Work


async def record(
    w: Work,
    *,
    at: datetime,
    actor: Account | None,
    deed: str,
    institution_id: int | None,
    exam_id: int | None = None,
    connection_id: int | None = None,
    room_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Note one deed; `actor` is None for what the server did by itself or an operator on the command line."""
    await w.db.execute(
        insert(activity).values(
            at=to_ms(at),
            institution_id=institution_id,
            user_id=None if actor is None else actor.id,
            actor="server" if actor is None else actor.username,
            deed=deed,
            exam_id=exam_id,
            connection_id=connection_id,
            room_id=room_id,
            detail=detail or {},
        )
    )


async def record_all(
    w: Work,
    *,
    at: datetime,
    actor: Account,
    deed: str,
    institution_id: int,
    exam_id: int,
    about: Iterable[tuple[int, dict[str, Any]]],
) -> None:
    """Note one deed on many connections: (connection, detail) each, so that each one's story tells of it."""
    rows = [
        {
            "at": to_ms(at),
            "institution_id": institution_id,
            "user_id": actor.id,
            "actor": actor.username,
            "deed": deed,
            "exam_id": exam_id,
            "connection_id": connection_id,
            "room_id": None,
            "detail": detail,
        }
        for connection_id, detail in about
    ]
    if rows:
        await w.db.execute(insert(activity), rows)
