"""How many pings the server answers, beside a server that does nothing else; and whether the number of clients matters."""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bench import machine
from bench.generator import generate
from bench.servers import Child, Exam, bare_server, exam_with, serving
from bench.table import goal, note, table, title

SIZES = (100, 1_000, 10_000)
ROUNDS = 5
SECONDS = 2.0
SOCKETS = 64


@dataclass
class _Case:
    name: str
    server: Child
    bearer: str
    tokens: list[str]
    rates: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    """CPU milliseconds of the server per 1,000 pings."""
    own: list[float] = field(default_factory=list[float])

    async def round(self) -> None:
        self.server.go_on()
        spent = machine.Spent([self.server.pid])
        found = await generate(
            "hammer",
            port=self.server.port,
            bearer=self.bearer,
            tokens=self.tokens,
            sockets=SOCKETS,
            seconds=SECONDS,
        )
        cpu = spent.cpu
        self.server.pause()
        if set(found["statuses"]) != {"204"} or found["lost"]:
            raise SystemExit(f"{self.name}: not every ping was answered 204: {found}")
        self.rates.append(found["answers"] / found["seconds"])
        self.cpu.append(1e6 * cpu / found["all_answers"])
        self.own.append(100 * found["own_core"])


async def run() -> None:
    title("pings", f"as many as are answered over {SOCKETS} sockets, medians of {ROUNDS} interleaved rounds")
    async with AsyncExitStack() as stack:
        cases = [_Case("bare ASGI application", await stack.enter_async_context(bare_server()), "x", ["x"])]
        for size in SIZES:
            exam: Exam = await stack.enter_async_context(exam_with(size))
            server = await stack.enter_async_context(serving(exam))
            cases.append(_Case(f"{size:,} connections", server, exam.bearer, exam.tokens))
        for case in cases:
            case.server.pause()
        whole = machine.Spent([])
        for _ in range(ROUNDS):
            for case in cases:
                await case.round()
        busy = whole.machine_percent
    _print(cases)
    note(
        f"The whole machine was {busy:.0f} % busy. The goals are judged by CPU time: pings/s also depend on who else runs."
    )


def _print(cases: list[_Case]) -> None:
    bare = cases[0]
    rate, cpu = statistics.median(bare.rates), statistics.median(bare.cpu)
    rows = [
        [
            case.name,
            statistics.median(case.rates),
            statistics.median(case.rates) / rate,
            statistics.median(case.cpu),
            cpu / statistics.median(case.cpu),
            f"{statistics.median(case.own):.0f} %",
        ]
        for case in cases
    ]
    table(["", "pings/s", "of bare", "CPU ms per 1,000", "of bare, per CPU second", "generator's core"], rows)
    by_rate, by_cpu = rows[2][2], rows[2][4]
    goal(
        "at least half of bare with 1,000 connections",
        f"{by_rate:.2f} by pings/s, {by_cpu:.2f} by CPU time",
        met=by_cpu >= 0.5,
    )
    flat = statistics.median(cases[3].cpu) / statistics.median(cases[1].cpu)
    flat_rate = statistics.median(cases[3].rates) / statistics.median(cases[1].rates)
    goal(
        "flat within 20 % from 100 to 10,000 connections",
        f"{flat_rate:.2f} of the pings/s, {flat:.2f} of the CPU time",
        met=flat <= 1.2,
    )
