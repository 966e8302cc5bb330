"""How browser tests wait: for what is to come true, with patience for a busy machine, and never for a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import BrowserContext, Page

from tests.server import SebWire

PATIENCE = 40  # seconds
PATIENCE_MS = PATIENCE * 1000

STANDSTILL = "Date.now = performance.now = () => 1;"
"""For pages whose line and paths are to last: by a clock that stands still none of them has been silent for too long."""


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.05)


async def until_page(page: Page, script: str, arg: Any = None) -> None:
    """Until the script says true. Asked from outside: the page's policy forbids the evaluation of text inside."""
    async with asyncio.timeout(PATIENCE):
        while not await page.evaluate(script, arg):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def alive(*wires: SebWire) -> AsyncIterator[None]:
    """Their SEB pings on, as long as the test looks. It hears instructions too, which `told` waits for in vain then."""

    async def ping(wire: SebWire) -> None:
        while True:
            await wire.ping()
            await asyncio.sleep(1)

    pinging = [asyncio.create_task(ping(wire)) for wire in wires]
    try:
        yield
    finally:
        for one in pinging:
            one.cancel()
        await asyncio.gather(*pinging, return_exceptions=True)


async def lingering(context: BrowserContext, from_ms: int) -> None:
    """What pages show for so long, or longer, and then take away, stays: a busy machine looks late."""
    await context.add_init_script(
        "{ const plain = window.setTimeout;"
        f" window.setTimeout = (run, wait, ...more) => plain(run, wait >= {from_ms} ? 2 ** 30 : wait, ...more); }}"
    )
