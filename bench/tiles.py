"""How long a proctor who opens a room looks at empty tiles."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from playwright.async_api import Page

from bench.browser import candidates, proctor
from bench.load import part
from bench.servers import Child, Exam, exam_with, serving
from bench.table import goal, note, table, title

SIZES = (5, 12, 20)
OPENINGS = 3
ALL_WITHIN = 20.0
ARRIVED_WITHIN = 40.0

WATCH = """
  window.firstFrames = new Map();
  window.waitForTiles = (count, limit) => new Promise((resolve) => {
    const look = () => {
      for (const tile of document.querySelectorAll(".tile.has-video"))
        if (!firstFrames.has(tile.dataset.id)) firstFrames.set(tile.dataset.id, performance.now());
      if (firstFrames.size >= count || performance.now() > limit) resolve([...firstFrames.values()]);
      else requestAnimationFrame(look);
    };
    look();
  });
"""
"""Times count from the navigation: loading the page, its scripts and its socket are what the proctor waits for too."""


async def run() -> None:
    title(
        "tiles", f"from opening a room's page to first frames, {OPENINGS} openings each, in a real Chromium"
    )
    rows: list[list[object]] = []
    last: list[float] = []
    for size in SIZES:
        openings = await _open_room_of(size)
        last = [max(times) / 1000 if len(times) == size else ALL_WITHIN for times in openings]
        every = sorted(time / 1000 for times in openings for time in times)
        rows.append(
            [
                f"{size} cameras",
                f"{len(every)} of {size * OPENINGS}",
                part(every, 0.5),
                every[-1] if every else None,
                statistics.median(last),
                max(last),
            ]
        )
    table(["seconds", "live", "a tile p50", "worst tile", "until all, median", "until all, worst"], rows)
    goal(
        "20 tiles within 2 s",
        f"median {statistics.median(last):.2f} s, worst {max(last):.2f} s",
        met=statistics.median(last) <= 2,
    )
    note(
        "Cameras, server and browser share this machine and its two cores; in an exam each camera has its own."
    )


async def _open_room_of(size: int) -> list[list[float]]:
    async with (
        exam_with(0, room_size=size) as exam,
        serving(exam) as server,
        candidates(size, exam.connection_file),
        proctor(exam, server) as page,
    ):
        await page.add_init_script(WATCH)
        await _until_all_are_there(page, exam, server, size)
        return [await _open(page, f"{server.url}{exam.exam_path}/rooms/1", size) for _ in range(OPENINGS)]


async def _until_all_are_there(page: Page, exam: Exam, server: Child, size: int) -> None:
    await page.goto(f"{server.url}{exam.exam_path}/overview")
    await page.wait_for_function(
        "size => document.querySelectorAll('.still.has-picture').length >= size",
        arg=size,
        timeout=ARRIVED_WITHIN * 1000,
    )
    await page.goto("about:blank")
    await asyncio.sleep(1)


async def _open(page: Page, address: str, size: int) -> list[float]:
    await page.goto(address, wait_until="commit")
    found: Any = await page.evaluate(
        "([count, limit]) => waitForTiles(count, limit)", [size, ALL_WITHIN * 1000]
    )
    await page.goto("about:blank")
    await asyncio.sleep(1)
    return [float(time) for time in found]
