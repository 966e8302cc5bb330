"""The record of deeds, read newest first."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Text, and_, cast, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms, to_ms
from invigilo.storage.queries.listing import containing, folded
from invigilo.storage.tables import activity, exams


class Wish(Protocol):
    """What `activity.reading.ActivityWish` says."""

    @property
    def words(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def deed(self) -> str: ...
    @property
    def exam_id(self) -> int | None: ...
    @property
    def exam(self) -> str: ...
    @property
    def since(self) -> datetime | None: ...
    @property
    def until(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class End:
    """Where a page ended though there is more."""

    at: int
    id: int
    looked_back_to: datetime | None = None


async def deeds(
    db: AsyncConnection,
    wish: Wish,
    *,
    institution_id: int | None,
    before: tuple[int, int] | None,
    limit: int,
    stretch: int,
) -> tuple[list[dict[str, Any]], End | None]:
    """Up to `limit` deeds that fit, looked for in a stretch of the newest ones before a place."""
    t = activity.c
    part = select(activity).order_by(t.at.desc(), t.id.desc())
    if institution_id is not None:
        part = part.where(t.institution_id == institution_id)
    if wish.exam_id is not None:
        part = part.where(t.exam_id == wish.exam_id)
    if wish.since is not None:
        part = part.where(t.at >= to_ms(wish.since))
    if wish.until is not None:
        part = part.where(t.at < to_ms(wish.until))
    if before is not None:
        at, number = before
        part = part.where(t.at <= at, or_(t.at < at, t.id < number))
    fits = _conditions(wish)
    stretch = stretch if fits else limit + 1  # nothing to look through: what is read is what is shown
    looked = part.limit(stretch).subquery("looked")
    query = (
        select(looked, exams.c.name.label("exam"))
        .select_from(looked.outerjoin(exams, exams.c.id == looked.c.exam_id))
        .where(*[one(looked.c) for one in fits])
        .order_by(looked.c.at.desc(), looked.c.id.desc())
        .limit(limit + 1)
    )
    rows = (await db.execute(query)).mappings().all()
    found = [{**row, "at": from_ms(row["at"])} for row in rows[:limit]]
    if len(rows) > limit:
        last = rows[limit - 1]
        return found, End(last["at"], last["id"])
    if not fits:
        return found, None
    last_looked = (await db.execute(part.offset(stretch - 1).limit(1))).first()
    if last_looked is None:
        return found, None
    return found, End(last_looked.at, last_looked.id, from_ms(last_looked.at))


def _conditions(wish: Wish) -> list[Callable[[Any], Any]]:
    """What no index answers: each takes the columns of what is looked through."""
    found: list[Callable[[Any], Any]] = []
    if wish.actor:
        found.append(lambda c: c.actor == wish.actor)
    if wish.deed:
        found.append(lambda c: c.deed == wish.deed)
    if wish.exam:
        found.append(lambda _: containing(wish.exam, exams.c.name))
    if words := _words(wish.words):
        found.append(
            lambda c: and_(*[folded(_text(c), word).contains(word, autoescape=True) for word in words])
        )
    return found


def _text(c: Any) -> Any:
    return c.actor + " " + cast(c.detail, Text)


def _words(search: str) -> list[str]:
    """As they stand in the stored JSON, where quotes and backslashes are escaped."""
    plain = search.replace("\0", " ").lower().split()[:10]
    return [json.dumps(word, ensure_ascii=False)[1:-1] for word in plain]
