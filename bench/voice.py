"""How soon a proctor's voice is heard in a room of twenty, and what it costs to be seen by all of them."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page

from bench.browser import candidates, proctor
from bench.servers import Exam, exam_with, serving
from bench.table import goal, note, table, title
from invigilo.simulate.life import Life
from invigilo.simulate.page import CandidatePage
from invigilo.simulate.run import SimulateOptions, Simulation

SIZE = int(os.environ.get("BENCH_VOICE_ROOM", "20"))
TIMES = 5
WITHIN = 20.0
LOOK_FOR = 10.0  # seconds frames are counted

FRAMES = """async () => {
    const found = [];
    for (const [id, watch] of window.invigilo.watches.watches) {
        if (!watch.pc) continue;
        let sent = 0;
        for (const stat of (await watch.pc.getStats()).values()) {
            if (stat.type === "outbound-rtp" && stat.kind === "video") sent += stat.framesEncoded ?? 0;
        }
        found.push([id, sent, watch.decoded]);
    }
    return found;
}"""
"""Of each connection that is watched: the frames sent to it and those seen of it so far."""


async def run() -> None:
    title("voice", f"from the click to the sound at a candidate, in a room of {SIZE}, in a real Chromium")
    async with (
        exam_with(0, room_size=SIZE) as exam,
        serving(exam) as server,
        candidates(SIZE - 1, exam.connection_file),
        _one_here(exam) as hearer,
        proctor(exam, server) as page,
    ):
        await page.goto(f"{server.url}{exam.exam_path}/rooms/1")
        await page.wait_for_function(
            "size => document.querySelectorAll('.tile.has-video').length >= size",
            arg=SIZE,
            timeout=WITHIN * 3_000,
        )
        times = [await _speak(page, hearer) for _ in range(TIMES)]
        await _press(page, "audio")
        await _press(page, "video")
        await _until(lambda: hearer.pictures > 5, "the proctor's picture")
        sent, seen, pictures = await _frames(page, hearer)
    table(
        ["seconds", "median", "worst"],
        [["sound at the candidate", statistics.median(times), max(times)]],
    )
    table(
        [f"frames a second ({len(sent)} of {SIZE} watched throughout)", "median", "least"],
        [
            ["sent to each of them", statistics.median(sent), min(sent)],
            ["seen of each of them meanwhile", statistics.median(seen), min(seen)],
            ["decoded by one of them", pictures, pictures],
        ],
    )
    goal(
        "a voice within 1 s",
        f"median {statistics.median(times):.2f} s, worst {max(times):.2f} s",
        met=max(times) <= 1,
    )
    note(
        "All candidates decode what they hear and see on this machine's two cores; in an exam each has its own."
    )


@asynccontextmanager
async def _one_here(exam: Exam) -> AsyncGenerator[CandidatePage]:
    """One of the candidates in this process, so that the click and the sound are timed by one clock."""
    options = SimulateOptions(connection_file=exam.connection_file, candidates=1, camera=True)
    simulation = Simulation(options, lambda _line: None, lives=[Life()])
    stop = asyncio.Event()
    task = asyncio.create_task(simulation.run(stop))
    try:
        await _until(lambda: simulation.candidates and simulation.candidates[0].has_page, "the camera page")
        page = simulation.candidates[0].page
        assert page is not None
        yield page
    finally:
        stop.set()
        await task


async def _press(page: Page, name: str) -> None:
    await page.locator(f'[data-call="{name}"]').dispatch_event(
        "click"
    )  # without waiting for a quiet picture first


async def _speak(page: Page, hearer: CandidatePage) -> float:
    before = hearer.sounds
    began = time.monotonic()
    await _press(page, "audio")
    await _until(lambda: hearer.sounds > before, "the proctor's voice")
    took = time.monotonic() - began
    await _press(page, "audio")
    await _until(lambda: not hearer.place["receive_audio"], "silence")
    await asyncio.sleep(1)
    return took


async def _frames(page: Page, hearer: CandidatePage) -> tuple[list[float], list[float], float]:
    """Per second by this process's clock: what is sent, seen, and decoded at the other end.

    Of those only who were watched all the time: a watch that fails begins again with a count of its own.
    """
    before, pictures, began = await _counts(page), hearer.pictures, time.monotonic()
    await asyncio.sleep(LOOK_FOR)
    after, took = await _counts(page), time.monotonic() - began
    both = [(before[one], after[one]) for one in before if one in after]
    whole = [(old, new) for old, new in both if new[0] >= old[0] and new[1] >= old[1]]
    if not whole:
        raise SystemExit("Nobody was watched all the time that frames were counted.")
    sent, seen = ([(new[at] - old[at]) / took for old, new in whole] for at in (0, 1))
    return sent, seen, (hearer.pictures - pictures) / took


async def _counts(page: Page) -> dict[int, tuple[int, int]]:
    found: list[tuple[int, int, int]] = await page.evaluate(FRAMES)
    return {connection: (sent, seen) for connection, sent, seen in found}


async def _until(holds: Callable[[], Any], what: str) -> None:
    try:
        async with asyncio.timeout(WITHIN * 3):
            while not holds():  # noqa: ASYNC110  (what another process does, sampled)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise SystemExit(f"This did not come: {what}") from None
