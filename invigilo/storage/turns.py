"""Whose turn it is to write on SQLite, which takes one writer at a time.

Writers wait in memory, in order, but the batches of pings and events go first: they carry what was already answered 204, and
while five hundred clients start at once they would otherwise stand behind hundreds of handshakes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from invigilo.errors import Unavailable

PATIENCE = 10.0  # seconds


class Turns:
    """A lock that is handed on: to the first urgent one waiting, else to the first."""

    def __init__(self) -> None:
        self._is_taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, urgent: bool) -> AsyncGenerator[None]:
        """Wait for it. Raises Unavailable after ten seconds."""
        await self._take(urgent=urgent)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, *, urgent: bool) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        mine = asyncio.get_running_loop().create_future()
        line = self._urgent if urgent else self._others
        line.append(mine)
        try:
            async with asyncio.timeout(PATIENCE):
                await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled():
                self._pass_on()  # it came in the same moment as the end of waiting
            elif mine in line:
                line.remove(mine)
            if isinstance(error, TimeoutError):
                raise Unavailable(
                    "The database is busy. Nothing was saved; try again in a moment.", key="database_busy"
                ) from error
            raise

    def _pass_on(self) -> None:
        for line in (self._urgent, self._others):
            while line:
                next_one = line.popleft()
                if not next_one.done():
                    next_one.set_result(None)
                    return
        self._is_taken = False
