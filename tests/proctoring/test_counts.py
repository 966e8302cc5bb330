"""Check 30 of live-proctoring.md §9: a room's count is the length of its list, whatever happens and whenever one looks."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.proctoring.day import GRACE, SYSTEMS, Day, open_day
from tests.proctoring.test_calls import shown_to_proctors

EVENTS = 1000
MOST_INSIDE = 16


@pytest.fixture
async def day(tmp_path: Path) -> AsyncIterator[Day]:
    day = await open_day(tmp_path)
    yield day
    await day.over()


class Chance:
    """Draws what happens next; the same seed gives the same day."""

    def __init__(self, day: Day, seed: int) -> None:
        self.day = day
        self.random = random.Random(seed)
        self.happened: Counter[str] = Counter()

    def draw(self) -> Coroutine[Any, Any, Any]:
        deeds: dict[Callable[[], Coroutine[Any, Any, Any] | None], int] = {
            self.arrive: 24, self.activate: 14, self.leave: 10, self.fall_silent: 8, self.resume: 7,
            self.come_back: 10, self.pass_time: 8, self.day.work: 8, self.resize: 3, self.day.restart: 1,
            self.day.kill: 1,
        }  # fmt: skip
        while True:
            (deed,) = self.random.choices(list(deeds), deeds.values())
            happening = deed()
            if happening is not None:
                self.happened[deed.__name__] += 1
                return happening

    def arrive(self) -> Coroutine[Any, Any, Any] | None:
        number = self.random.randrange(60)
        if len(self.day.inside) >= MOST_INSIDE:
            return None
        return self.day.arrive(f"user-{number}", f"LAB-{number:02d}", self.random.choice(SYSTEMS))

    def activate(self) -> Coroutine[Any, Any, Any] | None:
        fresh = [seb for seb in self.day.inside if not seb.is_in]
        return self.day.activate(self.random.choice(fresh)) if fresh else None

    def leave(self) -> Coroutine[Any, Any, Any] | None:
        return self.day.leave(self.random.choice(self.day.inside)) if self.day.inside else None

    def fall_silent(self) -> Coroutine[Any, Any, Any] | None:
        if not self.day.inside:
            return None
        self.random.choice(self.day.inside).is_pinging = False
        return self.day.let_pass(self.random.choice([timedelta(seconds=16), GRACE + timedelta(seconds=1)]))

    def resume(self) -> Coroutine[Any, Any, Any] | None:
        silent = [seb for seb in self.day.inside if not seb.is_pinging]
        if not silent:
            return None
        self.random.choice(silent).is_pinging = True
        return self.day.let_pass(timedelta(seconds=1))

    def come_back(self) -> Coroutine[Any, Any, Any] | None:
        if not self.day.inside or len(self.day.inside) >= MOST_INSIDE:
            return None
        old = self.random.choice(self.day.inside)
        old.is_pinging = False
        return self.day.arrive(old.user, old.device.machine_name or "", old.device.os_name or "")

    def pass_time(self) -> Coroutine[Any, Any, Any]:
        return self.day.let_pass(timedelta(seconds=self.random.choice([1, 6, 16, 35])))

    def resize(self) -> Coroutine[Any, Any, Any]:
        return self.day.resize(self.random.choice([None, 1, 2, 3, 4, 5]))


def check_shown(day: Day) -> None:
    page = shown_to_proctors(day.world)
    listed = Counter(row["room_id"] for row in page["rows"] if row["state"] not in {"closed", "disabled"})
    for room in page["rooms"]:
        assert room["members"] == listed[room["id"]]


@pytest.mark.spec("live-proctoring", 30)
async def test_counts_equal_lists_at_every_moment(day: Day) -> None:
    """After each of a thousand events, and once during each: stored, and on a page that connects just then."""
    chance = Chance(day, seed=30)
    await day.resize(4)
    for _ in range(EVENTS):
        await asyncio.gather(chance.draw(), day.check_counts())
        await day.check()
        check_shown(day)
    await day.let_pass(timedelta(seconds=11))
    await day.work()
    await day.check_settled()
    assert chance.happened.total() == EVENTS
    assert len(chance.happened) == 11
