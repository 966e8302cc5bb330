"""How long it takes until everybody of a large exam is called into a town hall, spoken to, and sent home again."""

from __future__ import annotations

import os

from bench.generator import generate
from bench.load import part
from bench.servers import called_in, exam_with
from bench.table import goal, note, table, title

PAGES = int(os.environ.get("BENCH_PAGES", "500"))
NATIVES = int(os.environ.get("BENCH_NATIVES", "500"))
PING_INTERVAL = 1.0
WITHIN = 2.0  # seconds until the last page is told

STEPS = {
    "open": "town hall opened",
    "hold": "a proctor begins to speak",
    "close": "town hall closed",
}


async def run() -> None:
    title(
        "townhall",
        f"{PAGES} candidates' pages by WebSocket and {NATIVES} clients called in by instruction, each pinging once a "
        "second; from the proctor's wish until each of them is told",
    )
    async with (
        exam_with(PAGES + NATIVES, natives=NATIVES) as exam,
        called_in(exam) as server,
    ):
        found = await generate(
            "townhall",
            port=server.port,
            bearer=exam.bearer,
            natives=exam.tokens[:NATIVES],
            pages=exam.entry_keys[NATIVES:],
            link=exam.link,
            exam_path=exam.exam_path,
        )
    rows: list[list[object]] = []
    for step, words in STEPS.items():
        told = found[step]
        for who, count in (("pages", PAGES), ("natives", NATIVES)):
            times = sorted(told[who])
            rows.append(
                [
                    f"{words}: {who}",
                    f"{len(times)} of {count}",
                    *(1000 * part(times, share) for share in (0.5, 0.99, 1.0)),
                ]
            )
        rows.append([f"{words}: answered", "", None, None, 1000 * told["answered"]])
    table(["ms", "told", "p50", "p99", "last"], rows)
    pages = [found[step]["pages"] for step in STEPS]
    natives = [found[step]["natives"] for step in ("open", "close")]
    last_page = max((max(times, default=0.0) for times in pages), default=0.0)
    all_pages = all(len(times) == PAGES for times in pages)
    goal(
        f"every page told within {WITHIN:.0f} s",
        f"the last after {1000 * last_page:.0f} ms",
        met=last_page <= WITHIN and all_pages,
    )
    last_native = max((max(times, default=0.0) for times in natives), default=0.0)
    all_natives = all(len(times) == NATIVES for times in natives)
    # From home into the hall is one step; back, after a broadcast, is a reset and then the join, each on a ping of its own.
    goal(
        f"every native client has its JOIN within {WITHIN:.0f} s and its next pings",
        f"the last after {1000 * last_native:.0f} ms",
        met=last_native <= WITHIN + 3 * PING_INTERVAL and all_natives,
    )
    if found["worst_ping"] is not None:
        note(f"Slowest ping answered meanwhile: {1000 * found['worst_ping']:.0f} ms.")
    note(
        "A service's meeting lets in two a second (jitsi.md §10); that comes on top for natives and is not in here."
    )
