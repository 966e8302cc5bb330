"""The demo as a stranger meets it: one command, one address, a wall that fills; and a server killed in the middle."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.waiting import until_page

pytestmark = pytest.mark.browser

PATIENCE = 60_000  # ms; arrivals alone take twenty seconds
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Demo:
    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    link: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    def server(self) -> psutil.Process:
        return next(one for one in psutil.Process(self.process.pid).children() if "serve" in one.cmdline())


@asynccontextmanager
async def demo(*arguments: str) -> AsyncIterator[Demo]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "invigilo.cli", "demo", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
    )  # fmt: skip
    found = Demo(process)
    reading = asyncio.create_task(found.read())
    try:
        async with asyncio.timeout(PATIENCE / 1000):
            while not (link := re.search(r"Watch\s+(http\S+)", found.text)):
                assert process.returncode is None, found.text
                await asyncio.sleep(0.05)
        found.link = link[1]
        yield found
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 60)
        await reading


def rooms(page: Page):
    return page.locator("[data-room-list] .room-card")


async def test_a_stranger_watches_an_exam_and_its_server_may_die(browser: Browser) -> None:
    port = free_port()
    async with demo("--candidates", "12", "--room-size", "5", "--port", str(port)) as running:
        context = await browser.new_context(locale="en", viewport={"width": 1366, "height": 768})
        expect.set_options(timeout=PATIENCE)
        page = await context.new_page()
        await page.goto(running.link)
        await expect(page).to_have_url(re.compile(r"/monitoring/\d+$"))
        for title in ("Room 1 (5/5)", "Room 2 (5/5)", "Room 3 (2/5)"):
            await expect(rooms(page).filter(has_text=title)).to_have_count(1)
        await expect(page.locator(".table-row[data-severity=problem] .what").first).not_to_be_empty()
        before = await places(page)
        while len(before) < 12 or "127.0.0.1" in before:  # names come a moment after the places
            await asyncio.sleep(0.1)
            before = await places(page)
        await page.evaluate(
            "() => { window.states = []; window.invigilo.feed.on('state', ({ state }) => window.states.push(state)); }"
        )
        running.server().kill()
        await until_page(
            page, "() => window.states.includes('broken')"
        )  # for as long as it takes to start again
        await expect(page.locator("[data-feed-state]")).to_have_attribute("data-feed-state", "live")
        await expect(page.locator(".table-row .cell-seb .fact[data-tone=ok]")).to_have_count(12)
        async with asyncio.timeout(PATIENCE / 1000):
            while await places(page) != before:  # one of them may be away just now, and comes back
                await asyncio.sleep(0.1)
        await page.locator(".room-card", has_text="Room 1").press("Enter")
        await expect(page.locator(".tile.has-video")).to_have_count(4)  # of five, one never gets its camera
        await context.close()
    assert running.process.returncode == 0
    assert "nothing of it is left running" in running.text
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server is gone"
    folder = re.search(r"Folder\s+(\S+)", running.text)
    assert folder is not None
    assert not await asyncio.to_thread(Path(folder[1]).exists)


async def places(page: Page) -> dict[str, str]:
    """Name → room. The one who leaves for a while is found by name too."""
    rows = await page.evaluate(
        "() => [...window.invigilo.feed.rows.values()].filter(row => row.state !== 'closed').map(row => [row.name, row.room])"
    )
    return dict(rows)


async def test_a_demo_for_scripts_ends_by_itself() -> None:
    async with demo(
        "--candidates", "2", "--seconds", "14", "--port", str(free_port()), "--no-cameras"
    ) as running:
        assert await asyncio.wait_for(running.process.wait(), 60) == 0
    assert "got in" in running.text


async def test_the_demo_meets_at_a_stand_in_for_jitsi_and_says_what_it_is(browser: Browser) -> None:
    arguments = ("--service", "jitsi", "--candidates", "4", "--room-size", "5", "--port", str(free_port()))
    async with demo(*arguments) as running:
        context = await browser.new_context(locale="en", viewport={"width": 1366, "height": 768})
        expect.set_options(timeout=PATIENCE)
        page = await context.new_page()
        await page.goto(running.link)
        await rooms(page).filter(has_text="Room 1").press("Enter")
        await expect(page.locator("[data-meeting-state]")).to_have_attribute("data-tone", "ok")
        await expect(page.locator("[data-present] .member").nth(2)).to_be_visible()
        await context.close()
    assert "not a Jitsi" in running.text
    assert running.process.returncode == 0
