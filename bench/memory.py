"""What a connection costs in memory: known to the server, and with its own open socket and pings."""

from __future__ import annotations

import asyncio
import resource

from bench import machine
from bench.generator import Generator
from bench.servers import exam_with, serving
from bench.table import note, table, title

SIZES = (100, 10_000)
SPARE_FILES = 500
SETTLE = 3.0


async def run() -> None:
    title("memory", "resident memory of the server process")
    sizes = [min(size, _open_files() - SPARE_FILES) for size in SIZES]
    rows: list[list[float]] = []
    for size in sizes:
        async with exam_with(size) as exam, serving(exam) as server:
            await asyncio.sleep(SETTLE)
            known = machine.resident_mb(server.pid)
            pinging = await Generator.start(
                "pace",
                port=server.port,
                bearer=exam.bearer,
                tokens=exam.tokens,
                every=max(1.0, size / 2000),
                seconds=SETTLE,
            )
            try:
                await pinging.ready()
                await asyncio.sleep(SETTLE - 1)
                rows.append([size, known, machine.resident_mb(server.pid)])
            finally:
                await pinging.end()
    per_thousand = [
        (after - before) / (sizes[1] - sizes[0]) * 1000
        for before, after in zip(*(r[1:] for r in rows), strict=True)
    ]
    table(
        ["MB", "known", "each with its socket, pinging"],
        [
            *([f"{round(row[0]):,} connections", *row[1:]] for row in rows),
            ["per 1,000 connections", *per_thousand],
        ],
    )
    note("No goal was set for memory.")


def _open_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
