"""What a ping carries is claimed in the database: by one node only, many at once, and no ping waits long for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import Instruction, InstructionType
from invigilo.simulate.stand_in import StandInService
from invigilo.storage.queries import connections as queries
from invigilo.storage.tables import desired_places, instructions
from invigilo.storage.together import Together
from invigilo.storage.work import Work, WorkFactory
from tests.monitoring.test_review import IPAD, heard
from tests.world import World, open_world

MANY = 12


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with open_world(url, tmp_path) as world:
        await world.set_up(size=MANY)
        yield world


def counted(work: WorkFactory, began: list[None]) -> WorkFactory:
    @asynccontextmanager
    async def counting() -> AsyncGenerator[Work]:
        began.append(None)
        async with work() as w:
            yield w

    return counting


async def sent(world: World) -> int:
    async with world.reading() as w:
        query = select(func.count()).select_from(instructions).where(instructions.c.sent_at.is_not(None))
        return (await w.db.execute(query)).scalar_one()


async def all_locked(world: World) -> list[LiveConnection]:
    """Many clients, each with a lock that waits for its next ping."""
    lives = [await world.enter(user=f"user-{number}") for number in range(MANY)]
    await world.settle()
    async with world.work() as w:
        await world.connections.instruct_all(
            w, [one.id for one in lives], InstructionType.LOCK_SCREEN, {"message": "stop"}
        )
    await heard(world)
    return lives


async def pinged(world: World, lives: list[LiveConnection]) -> list[Instruction | None]:
    """What their pings carry, all at the same moment."""
    for live in lives:
        world.ping(live)
    return list(
        await asyncio.gather(
            *(world.connections.next_instruction(world.live.by_id[live.id]) for live in lives)
        )
    )


async def test_pings_at_the_same_moment_share_their_transactions(world: World) -> None:
    lives = await all_locked(world)
    began: list[None] = []
    world.connections._claims._work = counted(world.connections._claims._work, began)
    carried = await pinged(world, lives)
    assert [one and one.connection_id for one in carried] == [live.id for live in lives]
    assert len(began) <= 2


async def test_no_two_nodes_carry_the_same_instruction(world: World) -> None:
    """Each of them believes it waits still; a ping comes to both at the same moment."""
    lives = await all_locked(world)
    other = World(world.database, world.clock)
    await other.load()
    here, there = await asyncio.gather(pinged(world, lives), pinged(other, lives))
    # On PostgreSQL neither waits for a row that the other has in hand; who got nothing then, gets it by the next ping.
    later = [*await pinged(world, lives), *await pinged(other, lives)]
    carried = [one.connection_id for one in (*here, *there, *later) if one is not None]
    assert sorted(carried) == [live.id for live in lives]


async def test_a_ping_does_not_wait_for_its_turn_to_write(tmp_path: Path) -> None:
    """While somebody writes for long, pings are answered at once, and nothing is claimed that they did not carry: a node
    that is killed meanwhile takes no instruction along.
    """
    async with open_world(None, tmp_path) as world:
        await world.set_up(size=MANY)
        lives = await all_locked(world)
        world.connections.ping_waits = 0.05
        async with world.work():
            assert await pinged(world, lives) == [None] * MANY
        assert await sent(world) == 0
        await world.restart(flushed=False)
        carried = await pinged(world, lives)
        assert sorted(one.connection_id for one in carried if one) == [live.id for live in lives]


async def test_pings_that_overlap_carry_an_instruction_once(world: World) -> None:
    """Apple clients send the next ping while the last one waits for its answer."""
    live = (await all_locked(world))[0]
    world.ping(live)
    answers = await asyncio.gather(*(world.connections.next_instruction(live) for _ in range(3)))
    assert [one.type for one in answers if one is not None] == [InstructionType.LOCK_SCREEN]


async def test_what_was_claimed_late_and_is_replaced_is_not_carried(tmp_path: Path) -> None:
    """The claim of a join is committed after its ping has gone; then the client is wanted elsewhere."""
    async with open_world(None, tmp_path, provider=StandInService()) as world:
        await world.set_up(join_by="native")
        live = await world.enter(user="lea", device=IPAD)
        await world.settle()
        await heard(world)
        is_quick, claims = world.hold_back_claims(), world.connections._claims
        while not await sent(world):
            assert await world.connections.next_instruction(live) is None
        async with world.work() as w:
            await queries.supersede_instructions(
                w.db, [live.id], [InstructionType.PROCTORING], now=world.clock.now_ms()
            )
        await world.connections.reload([live.id])
        is_quick.set()
        await asyncio.wait_for(asyncio.shield(claims._task), 20) if claims._task else None
        assert await world.connections.next_instruction(live) is None


async def test_pages_confirm_together(world: World) -> None:
    """A whole exam is told its new places at the same moment, and each page says that it is there."""
    lives = [await world.enter(user=f"user-{number}") for number in range(MANY)]
    await world.settle()
    other = World(world.database, world.clock)
    await other.load()
    began: list[None] = []
    world.rooms._confirmations._work = counted(world.rooms._confirmations._work, began)
    await asyncio.gather(*(world.rooms.confirm(live, live.revision) for live in lives))
    assert len(began) <= 2
    assert all(live.confirmed_revision == live.revision > 0 for live in lives)
    async with world.reading() as w:
        query = select(desired_places.c.confirmed_revision, desired_places.c.revision)
        assert all(row[0] == row[1] for row in await w.db.execute(query))
    await world.rooms.confirm(lives[0], lives[0].revision + 1)
    assert lives[0].confirmed_revision == lives[0].revision, "nobody was told that place"


async def test_one_failure_is_heard_by_all_who_shared_it_and_by_nobody_after(world: World) -> None:
    async def refuse_thirteen(_w: Work, items: object) -> list[int]:
        found = list(items) if isinstance(items, (list, tuple)) else []
        if 13 in found:
            raise ValueError(13)
        return found

    together = Together[int, int](world.work, refuse_thirteen)
    asked = [together.ask(number) for number in (12, 13)]
    await asyncio.wait(asked)
    assert [str(one.exception()) for one in asked] == ["13", "13"]
    assert await together.ask(14) == 14
