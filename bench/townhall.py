"""How long it takes until everybody of a large exam is called into a town hall, spoken to, and sent home again."""

from __future__ import annotations

import os
from typing import Any

from bench.generator import generate
from bench.load import part
from bench.servers import called_in, exam_with
from bench.table import goal, note, table, title
from invigilo.proctoring.pace import AT_ONCE, JOIN_EVERY

PAGES = int(os.environ.get("BENCH_PAGES", "500"))
NATIVES = int(os.environ.get("BENCH_NATIVES", "500"))
PING_INTERVAL = 1.0
WITHIN = 2.0  # seconds until the last page is told

STEPS = {
    "open": "town hall opened",
    "hold": "a proctor begins to speak",
    "close": "town hall closed",
}
PINGS = {"open": 1, "hold": 1, "close": 2}
"""Pings until a native client has what the step is about. Back home, after a broadcast, is a reset and then, once the next
ping has confirmed it, the join that this ping carries."""


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
    _told(found)
    _pings(found)
    last_page = max(_last(found, step, "pages", PAGES) for step in STEPS)
    goal(
        f"every page told within {WITHIN:.0f} s",
        f"the last after {1000 * last_page:.0f} ms",
        met=last_page <= WITHIN,
    )
    late = {step: _last(found, step, "natives", NATIVES) - PINGS[step] * PING_INTERVAL for step in STEPS}
    worst = max(late, key=lambda step: late[step])
    goal(
        f"every native client is told within {WITHIN:.0f} s and its next pings",
        f"{1000 * late[worst]:.0f} ms and {PINGS[worst]} of its pings ({STEPS[worst]})",
        met=late[worst] <= WITHIN,
    )
    paced = max(0, NATIVES - AT_ONCE) * JOIN_EVERY / 1000
    note(
        "The floor for natives is their ping interval: one to be called in or spoken to, two to be called home after a "
        "broadcast (reset, join)."
    )
    note(
        "Pace: none, this stand-in takes everybody at once. A room of Jitsi is entered by one client each "
        f"{JOIN_EVERY} ms (jitsi.md §10), so there the last of {NATIVES} would have its JOIN {paced:.0f} s later."
    )


def _told(found: dict[str, Any]) -> None:
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


def _pings(found: dict[str, Any]) -> None:
    words = {"quiet": "nothing happens", **STEPS}
    rows: list[list[object]] = []
    for step, what in words.items():
        times = sorted(found[step]["pings"])
        rows.append([what, *(1000 * part(times, share) for share in (0.5, 0.99, 1.0))])
    table(["a ping's answer meanwhile, ms", "p50", "p99", "worst"], rows)


def _last(found: dict[str, Any], step: str, who: str, count: int) -> float:
    """Endless when somebody was never told."""
    times: list[float] = found[step][who]
    return max(times, default=0.0) if len(times) == count else float("inf")
