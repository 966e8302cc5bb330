"""The start of an exam: do those who are in already feel it when five hundred more arrive at once, and is a line lost?"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench import machine
from bench.generator import Generator, arrival, generate
from bench.servers import Child, Exam, bare_server, exam_with, serving
from bench.table import goal, note, table, title

PINGING = 1_000
ARRIVING, WITHIN, LOG_LINES = 500, 20.0, 200
QUIET = 6.0
WRITTEN_WITHIN = 10.0


@dataclass
class _Measured:
    pings: dict[str, Any]
    arrivals: dict[str, Any]
    core: float
    """Percent of the server's core that the server used."""
    machine: float


async def run() -> None:
    title(
        "burst",
        f"{PINGING:,} clients ping once a second; {ARRIVING} start within {WITHIN:.0f} s with {LOG_LINES} lines each",
    )
    async with exam_with(PINGING) as exam:
        async with bare_server() as bare:
            nothing = await _measure(bare, exam, _first_steps(exam, bare))
        async with serving(exam) as server:
            steps = _first_steps(exam, server)
            calm = await _measure(server, exam, None)
            busy = await _measure(server, exam, steps)
            stored = await _stored_events(exam.database, busy.arrivals["count"].get("events", 0))
            delays = await _delays(server)
    rows = [
        _row("bare ASGI application, burst", nothing),
        _row("Invigilo, nobody arrives", calm),
        _row("Invigilo, burst", busy),
    ]
    table(
        [
            "pings, ms",
            "p50",
            "p99",
            "p99.9",
            "worst",
            "sent late p99",
            "unanswered",
            "server's core",
            "machine",
        ],
        rows,
    )
    _judge(busy, nothing, stored)
    _judge_delays(delays)


def _first_steps(exam: Exam, server: Child) -> dict[str, Any]:
    return {**arrival(exam, server), "clients": ARRIVING, "within": WITHIN, "log_lines": LOG_LINES}


async def _measure(server: Child, exam: Exam, steps: dict[str, Any] | None) -> _Measured:
    seconds = WITHIN + 1 if steps else QUIET
    pinging = await Generator.start(
        "pace", port=server.port, bearer=exam.bearer, tokens=exam.tokens, every=1.0, seconds=seconds
    )
    try:
        await pinging.ready()
        spent = machine.Spent([server.pid])
        arrivals = await generate("arrive", **steps) if steps else {"count": {}, "seconds": 0.0}
        if not steps:
            await asyncio.sleep(seconds - 1)
        core, whole = spent.percent, spent.machine_percent
        return _Measured(await pinging.result(), arrivals, core, whole)
    finally:
        await pinging.end()


async def _stored_events(database: Path, expected: int) -> int:
    """Rows in the database, once all are there or the time for it is over."""
    deadline = time.monotonic() + WRITTEN_WITHIN
    while True:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
            ((count,),) = db.execute("SELECT count(*) FROM client_events")
        if count >= expected or time.monotonic() > deadline:
            return int(count)
        await asyncio.sleep(0.2)


def _row(name: str, found: _Measured) -> list[object]:
    pings = found.pings
    return [
        name, pings["p50"], pings["p99"], pings["p999"], pings["worst"], pings["late_p99"], pings["unanswered"],
        f"{found.core:.0f} %", f"{found.machine:.0f} %",
    ]  # fmt: skip


async def _delays(server: Child) -> dict[float, float]:
    """How many batches were stored within so many seconds, from the server's own numbers."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as answer:
        text = await answer.text()
    found = re.findall(r'invigilo_events_delay_seconds_bucket\{le="([^"]+)"\} ([0-9.]+)', text)
    return {float(bound): float(count) for bound, count in found}


def _judge(busy: _Measured, nothing: _Measured, stored: int) -> None:
    count = busy.arrivals["count"]
    accepted, started = count.get("events", 0), count.get("started", 0)
    note(
        f"{started} of {ARRIVING} clients started; the last line was answered after {busy.arrivals['seconds']:.1f} s."
    )
    for words, number in count.items():
        if words.startswith("failed"):
            note(f"{number} times {words}")
    p99 = busy.pings["p99"]
    floor = nothing.pings["p99"]
    goal(
        "p99 of a ping under 50 ms during the burst",
        f"{p99:.1f} ms (the bare server under the same load: {floor:.1f} ms)",
        met=(p99 < 50 and not busy.pings["unanswered"]) or (None if floor >= 50 else False),
    )
    wanted = ARRIVING * LOG_LINES
    goal(
        "every line answered 204 is in the database",
        f"{accepted:,} answered 204 of {wanted:,} sent, {stored:,} stored",
        met=accepted == stored == wanted,
    )


def _judge_delays(delays: dict[float, float]) -> None:
    total = delays.get(float("inf"), 0)
    longest = next((bound for bound, count in sorted(delays.items()) if count >= total), float("inf"))
    goal(
        "a line answered 204 is stored within a second",
        f"{delays.get(1.0, 0):.0f} of {total:.0f} batches were, all within {longest:g} s",
        met=bool(total) and delays.get(1.0, 0) >= total,
    )
