"""Reading the record: by time, newest first, in pages that a record of millions of deeds does not slow down.

A page goes on from where the one before ended (`Place`), not from a number of rows to skip. A search that finds little
looks through a bounded stretch of the record at a time and says how far it came: so no question, however odd, keeps the
database busy for long, and whoever asked can go on from there.

Who may read what is decided where accounts are known: callers give the institution.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from invigilo.errors import BadInput
from invigilo.storage.queries import activity as queries
from invigilo.storage.work import WorkFactory

STRETCH = 50_000  # deeds looked through for one page
EXPORT_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the deeds before this one are still to come."""

    at: int
    id: int

    def __str__(self) -> str:
        return f"{self.at}-{self.id}"

    @classmethod
    def read(cls, text: str) -> Place:
        """Raises BadInput."""
        at, _, number = text.partition("-")
        if not all(one.isascii() and one.isdecimal() and len(one) <= 18 for one in (at, number)):
            raise BadInput("`before` is what the page before gave as `next`.", field="before")
        return cls(int(at), int(number))


@dataclass(frozen=True, slots=True)
class ActivityWish:
    """What to look for; everything that is said must fit."""

    words: str = ""
    """Each stands in the actor's name or in the detail."""
    actor: str = ""
    deed: str = ""
    exam_id: int | None = None
    exam: str = ""
    """Words of the exam's name."""
    since: datetime | None = None
    until: datetime | None = None
    """Not included."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the record. `exam` is None when the deed was about none, or the exam is gone."""

    id: int
    at: datetime
    institution_id: int | None
    user_id: int | None
    actor: str
    deed: str
    exam_id: int | None
    exam: str | None
    connection_id: int | None
    room_id: int | None
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class DeedPage:
    deeds: list[Deed]
    next: Place | None
    """None when nothing older is left."""
    looked_back_to: datetime | None = None
    """Set when the search stopped at the end of its stretch, not at the end of the record."""


class Activity:
    """Searching and exporting the record."""

    def __init__(self, *, reading: WorkFactory) -> None:
        self._reading = reading

    async def page(
        self, wish: ActivityWish, *, institution_id: int | None, before: Place | None = None, limit: int = 50
    ) -> DeedPage:
        """One page; of one institution, or of all and of the server itself."""
        async with self._reading() as w:
            found, end = await queries.deeds(
                w.db,
                wish,
                institution_id=institution_id,
                before=None if before is None else (before.at, before.id),
                limit=limit,
                stretch=STRETCH,
            )
        deeds = [Deed(**one) for one in found]
        if end is None:
            return DeedPage(deeds, None)
        return DeedPage(deeds, Place(end.at, end.id), end.looked_back_to)

    async def export(self, wish: ActivityWish, *, institution_id: int | None) -> AsyncGenerator[list[Deed]]:
        """Everything that fits, newest first, piece by piece: each piece is a transaction of its own."""
        before: Place | None = None
        while True:
            page = await self.page(wish, institution_id=institution_id, before=before, limit=EXPORT_PAGE)
            yield page.deeds
            before = page.next
            if before is None:
                return
