"""Small writes of many as one transaction: whoever comes while one is under way shares the next.

A thousand clients that each claim or confirm something within a second would be a thousand transactions, and SQLite takes
one after the other. Nobody waits longer for being together: the first begins at once, alone if need be.
(docs/decisions/0009)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from invigilo.storage.work import Work, WorkFactory

AT_ONCE = 500
"""In one transaction: SQLite limits the number of parameters, and others want their turn."""

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Together(Generic[Item, Outcome]):
    """One kind of small write; `write` gets items and says what became of each, in their order."""

    def __init__(
        self, work: WorkFactory, write: Callable[[Work, Sequence[Item]], Awaitable[Sequence[Outcome]]]
    ) -> None:
        self._work = work
        self._write = write
        self._waiting: dict[asyncio.Future[Outcome], Item] = {}
        self._task: asyncio.Task[None] | None = None

    def ask(self, item: Item) -> asyncio.Future[Outcome]:
        """What became of it, once that is committed; else why it was not."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[future] = item
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="together")
        return future

    def withdraw(self, future: asyncio.Future[Outcome]) -> bool:
        """Whether its transaction had not begun, and now never will; else it may be committed any moment."""
        return self._waiting.pop(future, None) is not None

    async def _run(self) -> None:
        while self._waiting:
            taken: dict[asyncio.Future[Outcome], Item] = {}
            try:
                async with self._work() as w:
                    # Not before the turn has come: who arrived meanwhile goes along, who gave up does not.
                    taken = self._take()
                    outcomes = await self._write(w, list(taken.values())) if taken else []
            except Exception as error:  # noqa: BLE001  (theirs who asked)
                for future in taken or self._take():
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # whoever gave up asking has no use for it
            else:
                for future, outcome in zip(taken, outcomes, strict=True):
                    if not future.done():
                        future.set_result(outcome)

    def _take(self) -> dict[asyncio.Future[Outcome], Item]:
        taken = dict(islice(self._waiting.items(), AT_ONCE))
        for future in taken:
            del self._waiting[future]
        return taken
