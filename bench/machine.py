"""Which core does what, and what a process used of it.

The server gets one core of its own and everything that loads it the other, so that neither takes time from the other. Where
a process cannot be bound (one core only, or not Linux) the numbers are still printed, and the first line says so.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import psutil


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


ALL_CORES = _cores()
CAN_PIN = len(ALL_CORES) > 1
SERVER_CORE, LOAD_CORE = ALL_CORES[:1], ALL_CORES[1:2]


def pin(pid: int, cores: list[int]) -> None:
    """Bind a process and every thread it will make; 0 is this one."""
    if CAN_PIN:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores)


def describe() -> str:
    where = "the server on one core, the load on another" if CAN_PIN else "nothing bound to a core"
    return f"{os.cpu_count()} cores, {where}; {_busy_elsewhere()} before the start."


def _busy_elsewhere() -> str:
    return f"the machine was {psutil.cpu_percent(1.0):.0f} % busy with other work"


def cpu_of(pids: Iterable[int]) -> float:
    """CPU seconds of these processes so far; one that has ended counts as it last was, so ask while they live."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


def resident_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


def _machine_busy() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


@dataclass
class Spent:
    """CPU of some processes between two moments, and of everybody else on the machine."""

    pids: list[int]
    began: float = field(default_factory=time.monotonic)
    at_start: float = 0.0
    machine_at_start: float = field(default_factory=_machine_busy)

    def __post_init__(self) -> None:
        self.at_start = cpu_of(self.pids)

    @property
    def cpu(self) -> float:
        return cpu_of(self.pids) - self.at_start

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu / self.seconds

    @property
    def machine_percent(self) -> float:
        """How busy all cores were, by whomever."""
        return 100 * (_machine_busy() - self.machine_at_start) / self.seconds / (os.cpu_count() or 1)
