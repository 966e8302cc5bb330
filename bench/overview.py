"""All candidates of a large exam at once, by stills: what it costs the server and the proctor's machine."""

from __future__ import annotations

import asyncio
import base64
import io

from PIL import Image, ImageDraw

from bench import machine
from bench.browser import browser_processes, proctor
from bench.generator import Generator
from bench.servers import exam_with, serving
from bench.table import note, table, title

SENDING = 200
SECONDS = 20.0
PICTURES = 24

COUNT = """() => {
  window.counted = { stills: 0, shown: 0 };
  invigilo.feed.on("still", () => counted.stills++);
  document.addEventListener("load", (event) => event.target.tagName === "IMG" && counted.shown++, true);
}"""


async def run() -> None:
    title(
        "overview",
        f"{SENDING} candidates, a still of {PICTURES} a second each, on one overview for {SECONDS:.0f} s",
    )
    pictures = [base64.b64encode(_picture(number)).decode() for number in range(PICTURES)]
    async with exam_with(SENDING) as exam, serving(exam) as server:
        sending = await Generator.start(
            "stills", port=server.port, entry_keys=exam.entry_keys, pictures=pictures, seconds=SECONDS + 25
        )
        pinging = await Generator.start(
            "pace", port=server.port, bearer=exam.bearer, tokens=exam.tokens, every=1.0, seconds=SECONDS + 25
        )
        try:
            await asyncio.gather(sending.ready(), pinging.ready())
            alone = machine.Spent([server.pid])
            await asyncio.sleep(5)
            unwatched = alone.percent
            async with proctor(exam, server) as page:
                await page.goto(f"{server.url}{exam.exam_path}/overview")
                await page.wait_for_function(
                    "count => document.querySelectorAll('.still.has-picture').length >= count",
                    arg=SENDING,
                    timeout=20_000,
                )
                await page.evaluate(COUNT)
                on_server, on_browser = machine.Spent([server.pid]), machine.Spent(browser_processes())
                await asyncio.sleep(SECONDS)
                server_core, browser_core = on_server.percent, on_browser.percent
                whole = on_server.machine_percent
                counted = await page.evaluate("() => counted")
                visible = await page.evaluate(
                    "() => [...invigilo.tiles.values()].filter((t) => t.isVisible).length"
                )
                fresh = await page.evaluate("() => document.querySelectorAll('.still.has-picture').length")
        finally:
            await sending.end()
            await pinging.end()
    table(
        ["% of one core", ""],
        [
            ["server, nobody watches", unwatched],
            ["server, one overview", server_core],
            ["proctor's browser, all its processes", browser_core],
        ],
    )
    size = len(base64.b64decode(pictures[0])) / 1000
    note(
        f"{counted['stills'] / SECONDS:.0f} stills/s of about {size:.0f} kB arrived, {counted['shown'] / SECONDS:.0f}/s "
        f"were shown ({visible} of {SENDING} tiles on the screen or just outside); {fresh} tiles had a fresh picture."
    )
    note(f"The whole machine was {whole:.0f} % busy. No goal was set for the overview.")


def _picture(number: int) -> bytes:
    """Noise behind a face that moves: as hard to compress as a real room."""
    image = Image.effect_noise((320, 240), 12).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((120 + number * 2, 60, 200 + number * 2, 160), fill="#d19a73")
    draw.rectangle((80, 170, 240, 240), fill="#35507a")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=55)
    return out.getvalue()
