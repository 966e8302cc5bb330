"""Writers on SQLite take turns: in order, the urgent first, and nobody who gave up holds the others."""

from __future__ import annotations

import asyncio

import pytest

from invigilo.errors import Unavailable
from invigilo.storage import turns
from invigilo.storage.turns import Turns


async def write(line: Turns, name: str, done: list[str], *, urgent: bool = False) -> None:
    async with line.turn(urgent=urgent):
        await asyncio.sleep(0)
        done.append(name)


async def test_the_urgent_go_first_and_the_others_in_order() -> None:
    line, done = Turns(), []
    async with line.turn(urgent=False):
        tasks = [asyncio.create_task(write(line, name, done)) for name in "abc"]
        tasks.append(asyncio.create_task(write(line, "pings", done, urgent=True)))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert done == ["pings", "a", "b", "c"]


async def test_one_at_a_time() -> None:
    line, inside = Turns(), 0

    async def enter(n: int) -> None:
        nonlocal inside
        async with line.turn(urgent=n % 3 == 0):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter(n) for n in range(50)))


async def test_whoever_gives_up_leaves_the_line() -> None:
    line, done = Turns(), []
    async with line.turn(urgent=False):
        gone = asyncio.create_task(write(line, "gone", done))
        stays = asyncio.create_task(write(line, "stays", done))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    await stays
    await write(line, "later", done)
    assert done == ["stays", "later"]


async def test_cancelled_in_the_moment_of_its_turn_it_is_passed_on() -> None:
    line, done = Turns(), []
    async with line.turn(urgent=False):
        gone = asyncio.create_task(write(line, "gone", done))
        stays = asyncio.create_task(write(line, "stays", done))
        await asyncio.sleep(0)
    gone.cancel()  # its turn has come, and it has not woken yet
    await asyncio.gather(gone, return_exceptions=True)
    await asyncio.wait_for(stays, 60)
    assert done == ["stays"]


async def test_waiting_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.01)
    line = Turns()
    async with line.turn(urgent=False):
        with pytest.raises(Unavailable, match="try again"):
            await write(line, "late", [])
    await write(line, "next", done := [])
    assert done == ["next"]
