"""One candidate's way to the server: can be cut and joined again, as a pulled cable does."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
"""The clients' own time-out (`sebServerFallbackTimeout`)."""


class NetworkLost(aiohttp.ClientConnectionError):
    """The network is cut just now."""


class Network:
    """All sockets of one candidate, SEB's and the page's."""

    def __init__(self) -> None:
        self._session = _new_session()
        self._joined = asyncio.Event()
        self._joined.set()
        self._lost = asyncio.Event()
        self._silent: list[aiohttp.ClientSession] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_lost(self) -> bool:
        return not self._joined.is_set()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Raises NetworkLost while there is no network."""
        if self.is_lost:
            raise NetworkLost("The network is gone.")
        return self._session

    async def until_joined(self) -> None:
        await self._joined.wait()

    async def until_lost(self) -> None:
        await self._lost.wait()

    async def lose(self, *, silently: bool = False) -> None:
        """Nobody says goodbye: the sockets just end, and what was under way fails.

        `silently` is a pulled cable as the server has it: its sockets stay open, and nothing comes any more.
        """
        self._joined.clear()
        self._lost.set()
        if silently:
            self._silent.append(self._session)
        else:
            await self._session.close()

    def join(self) -> None:
        if self.is_lost:
            self._session = _new_session()
            self._lost.clear()
            self._joined.set()

    async def close(self) -> None:
        for session in (self._session, *self._silent):
            await session.close()


def _new_session() -> aiohttp.ClientSession:
    """No cookies and no limit: SEB keeps none for the API, and a log burst must not hold up the page's socket."""
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=TIMEOUT, trust_env=False
    )
