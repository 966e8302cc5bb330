"""How long a candidate waits between being let in and being in a room."""

from __future__ import annotations

from bench.generator import arrival, generate
from bench.load import part
from bench.servers import exam_with, serving
from bench.table import goal, note, table, title

PING_INTERVAL = 1.0
PACES = (("one after the other", 20, 10.0), ("200 within 10 s", 200, 10.0), ("50 at once", 50, 0.01))


async def run() -> None:
    title("join", "from sending the PUT that establishes the connection to the page's socket naming its room")
    rows: list[list[object]] = []
    worst, missing = 0.0, 0
    for words, clients, within in PACES:
        async with exam_with(0) as exam, serving(exam) as server:
            found = await generate("join", **arrival(exam, server), clients=clients, within=within)
        seconds = found["seconds"]
        for reason, count in found["count"].items():
            note(f"{words}: {count} times {reason}")
        missing += clients - len(seconds)
        worst = max(worst, part(seconds, 0.99))
        rows.append(
            [
                words,
                f"{len(seconds)} of {clients}",
                *(1000 * part(seconds, share) for share in (0.5, 0.99, 1.0)),
            ]
        )
    table(["arriving, ms", "in a room", "p50", "p99", "worst"], rows)
    goal(
        f"within one ping interval ({1000 * PING_INTERVAL:.0f} ms)",
        f"p99 {1000 * worst:.0f} ms at the worst pace, {missing} without a room",
        met=worst <= PING_INTERVAL and not missing,
    )
    note("Page clients only: nobody joins built-in rooms natively. Meetings of a service are section jitsi.")
