"""Searching the client events of all exams one may look back on, and taking them along.

No search takes much longer than `BUDGET`, however many events there are: one that did not get through says how far it came,
and can be taken up from there. An export goes on like this until the end, each piece in a short transaction of its own, so
it holds nothing while it waits for whoever reads it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import require_exams, sight_of
from invigilo.errors import BadInput
from invigilo.monitoring.model import EventWish
from invigilo.storage.queries import events as queries
from invigilo.storage.queries.events import Found, FoundEvent
from invigilo.storage.work import WorkFactory

T = TypeVar("T")

BUDGET = 0.7  # seconds
EXPORT_PAGE = 1_000
MOST_WORDS = 10
LONGEST_SEARCH = 200


def words_of(search: str) -> tuple[str, ...]:
    """The words of a search; what stands in double quotes is one, blanks and all."""
    plain = search.replace("\0", " ")[:LONGEST_SEARCH]
    found = [quoted or word for quoted, word in re.findall(r'"([^"]+)"|([^\s"]+)', plain)]
    different = {word.lower(): word for word in found if word.strip()}
    return tuple(different.values())[:MOST_WORDS]


def read_before(text: str) -> int | None:
    """From an address. Raises BadInput."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise BadInput("`before` is what the page before gave as `next`.", field="before")
    return int(text)


class EventSearch:
    """One function more than the queries: who may see what."""

    def __init__(self, *, reading: WorkFactory) -> None:
        self._reading = reading

    async def page(
        self, wish: EventWish, by: Account, *, before: int | None = None, limit: int = 50, count: bool = False
    ) -> Found:
        """One page, newest first. Raises NotAllowed."""
        require_exams(by, Right.LOOK_BACK)
        async with self._reading() as w:
            return await queries.search(
                w.db, wish, sight_of(by), before=before, limit=limit, budget=BUDGET, count=count
            )

    async def export(self, wish: EventWish, by: Account) -> AsyncGenerator[list[FoundEvent]]:
        """Everything that fits, piece by piece."""
        before: int | None = None
        while True:
            at = before
            found = await unhurried(lambda at=at: self.page(wish, by, before=at, limit=EXPORT_PAGE))
            yield found.events
            before = found.next
            if before is None:
                return


async def unhurried(read: Callable[[], Awaitable[T]]) -> T:
    """Read a piece for a stream. Whoever reads the stream may go away in the middle of it; the piece is read to its end
    all the same, because a question to the database that is torn off loses its connection.
    """
    task = asyncio.ensure_future(read())
    _reading.add(task)
    task.add_done_callback(_done)
    return await asyncio.shield(task)


_reading: set[asyncio.Future[Any]] = set()  # the loop itself keeps tasks only weakly


def _done(task: asyncio.Future[Any]) -> None:
    _reading.discard(task)
    if not task.cancelled():
        task.exception()  # whoever waited got it; if nobody waits any more, it concerns nobody
