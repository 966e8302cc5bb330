"""The monitoring page of a large exam: what changes cost the proctor's browser, and how soon a change is on the screen."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import aiohttp
from playwright.async_api import CDPSession, Page

from bench import machine
from bench.browser import browser_processes, proctor
from bench.generator import Generator
from bench.load import part
from bench.servers import Child, Exam, exam_with, serving
from bench.table import goal, note, table, title
from invigilo.web.stream import TICK

ROWS = 1_000
CHANGES = 300  # a second
SECONDS = 10.0
PROBES = 40
MAIN_THREAD_GOAL = 25.0  # % of one core
SEEN_GOAL = 500.0  # ms

SEEN = """([text, limit]) => new Promise((resolve) => {
  const root = document.querySelector(".table-body, .heat-cells").parentElement.parentElement;
  const done = (found) => { observer.disconnect(); clearTimeout(timer); resolve(found); };
  const observer = new MutationObserver(() => {
    if (!root.textContent.includes(text)) return;
    const there = Date.now();
    done(new Promise((painted) => requestAnimationFrame(() => painted([there, Date.now()]))));
  });
  observer.observe(root, { subtree: true, childList: true, characterData: true });
  const timer = setTimeout(() => done(null), limit);
})"""
"""When the words were in the page, and when the frame that shows them was drawn; looking costs the page next to nothing."""


async def run() -> None:
    title(
        "desk", f"{ROWS:,} rows, {CHANGES} changes a second, each view for {SECONDS:.0f} s in a real Chromium"
    )
    async with exam_with(ROWS) as exam, serving(exam) as server:
        job = {"port": server.port, "bearer": exam.bearer, "tokens": exam.tokens}
        pinging = await Generator.start("pace", **job, every=1.0, seconds=120)
        changing = await Generator.start("events", **job, rate=CHANGES, seconds=120)
        try:
            await asyncio.gather(pinging.ready(), changing.ready())
            async with proctor(exam, server) as page:
                await page.goto(f"{server.url}{exam.exam_path}")
                await page.wait_for_function(
                    "rows => invigilo.feed.rows.size >= rows", arg=ROWS, timeout=30_000
                )
                found = {view: await _measure(page, exam, server, view) for view in ("table", "heat")}
        finally:
            await pinging.end()
            await changing.end()
    table(
        [
            *("", "main thread %", "whole browser %", "rows/s arrived"),
            *("change in the page p50 ms", "drawn p50", "drawn p95", "worst"),
        ],
        [[view, *found[view]] for view in found],
    )
    busiest = max(one[0] for one in found.values())
    slowest = max(one[5] for one in found.values())
    goal(
        f"the main thread below {MAIN_THREAD_GOAL:.0f} %", f"{busiest:.1f} %", met=busiest < MAIN_THREAD_GOAL
    )
    goal(
        f"a change on the screen within {SEEN_GOAL:.0f} ms (p95)",
        f"{slowest:.0f} ms",
        met=slowest <= SEEN_GOAL,
    )
    note(
        "Change: from sending a raised hand or a battery value at the client to its words in the page, and to the next "
        f"frame of the browser. Up to a tick ({1000 * TICK:.0f} ms) of it is the stream's; half of that on average."
    )


async def _measure(page: Page, exam: Exam, server: Child, view: str) -> list[float]:
    await page.click(f'[data-view="{view}"]')
    await page.evaluate(
        "() => { window.arrived = 0; invigilo.feed.on('change', (e) => arrived += e.rows.length); }"
    )
    await asyncio.sleep(2)
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Performance.enable")
    before, began = await _busy(cdp), time.monotonic()
    arrived = await page.evaluate("() => arrived")
    spent = machine.Spent(browser_processes())
    await asyncio.sleep(SECONDS)
    passed = time.monotonic() - began
    main = 100 * (await _busy(cdp) - before) / passed
    rate = (await page.evaluate("() => arrived") - arrived) / passed
    browser = spent.percent
    await cdp.detach()
    times = await _probe(page, exam, server, view)
    there, drawn = sorted(one for one, _ in times), sorted(one for _, one in times)
    return [main, browser, rate, part(there, 0.5), part(drawn, 0.5), part(drawn, 0.95), drawn[-1]]


async def _busy(cdp: CDPSession) -> float:
    """Seconds the page's main thread has worked so far."""
    found: dict[str, Any] = await cdp.send("Performance.getMetrics")
    return next(one["value"] for one in found["metrics"] if one["name"] == "TaskDuration")


async def _probe(page: Page, exam: Exam, server: Child, view: str) -> list[tuple[float, float]]:
    """The first candidate's row stands at the top; it raises a hand (table) or runs out of battery (heat map)."""
    headers = {
        "Authorization": f"Bearer {exam.bearer}",
        "SEBConnectionToken": exam.tokens[0],
        "Content-Type": "application/json;charset=UTF-8",
    }
    if view == "heat":
        await page.click('[data-heat-by="battery"]')
    await page.fill("[data-search]", "00001")
    times: list[tuple[float, float]] = []
    chance = random.Random(1)
    async with aiohttp.ClientSession() as session:
        for number in range(1, PROBES + 1):
            if view == "table":
                text = f"Question {number} of the bench"
                event = {
                    "type": "NOTIFICATION",
                    "timestamp": 1,
                    "numericValue": number,
                    "text": f"<raisehand> {text}",
                }
            else:
                text = f" {100 - number} %"
                event = {
                    "type": "INFO_LOG",
                    "timestamp": 1,
                    "numericValue": 100 - number,
                    "text": "<battery> less",
                }
            waiting = asyncio.create_task(page.evaluate(SEEN, [text, 10_000]))
            await asyncio.sleep(0.05)
            began = time.time() * 1000
            async with session.post(
                f"{server.url}/exam-api/v1/seblog", json=event, headers=headers
            ) as answer:
                assert answer.status == 204
            seen = await waiting
            there, drawn = seen or (began + 10_000, began + 10_000)
            times.append((there - began, drawn - began))
            if view == "table":
                settled = {"type": "NOTIFICATION_CONFIRMED", "timestamp": 1, "numericValue": number}
                async with session.post(
                    f"{server.url}/exam-api/v1/seblog", json=settled, headers=headers
                ) as answer:
                    assert answer.status == 204
            # At any moment between two ticks: what follows a change that was just drawn would always wait for a whole one.
            await asyncio.sleep(0.2 + TICK * chance.random())
    await page.fill("[data-search]", "")
    return times
