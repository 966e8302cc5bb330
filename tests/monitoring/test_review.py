"""What a hostile reader proved: memory, database and a second node disagreeing at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from invigilo.bus import RESYNC
from invigilo.errors import NotFound, Unavailable
from invigilo.monitoring import rules
from invigilo.monitoring.live import LiveConnection, take_volatile_facts, volatile_facts
from invigilo.monitoring.model import ClientEvent, ConnectionState, Device, EventType, InstructionType
from invigilo.proctoring.model import RoomState
from invigilo.providers.base import RoomHandle, RoomSpec
from invigilo.simulate.stand_in import StandInService
from invigilo.storage.queries import connections as queries
from invigilo.storage.queries import rooms as room_queries
from invigilo.storage.tables import instructions
from tests.world import World, open_world

PATIENCE = 60  # seconds: far more than any step takes
GRACE = timedelta(seconds=120)
IPAD = Device("mobile", "iPad", "iPad (iPadOS 17.5)", "3.5", "10.0.0.1")
"""A client that is called in by instruction."""


async def heard(world: World) -> None:
    """Everything announced until now is read."""
    async with asyncio.timeout(PATIENCE):
        while (task := world.connections._reload_task) is not None and not task.done():
            await task


async def stored(world: World, kind: InstructionType) -> int:
    """How many instructions of this kind anybody ever was to get."""
    async with world.reading() as w:
        query = select(func.count()).select_from(instructions).where(instructions.c.type == kind.value)
        return (await w.db.execute(query)).scalar_one()


async def sent(world: World) -> int:
    """How many instructions count as sent, on every node."""
    async with world.reading() as w:
        query = select(func.count()).select_from(instructions).where(instructions.c.sent_at.is_not(None))
        return (await w.db.execute(query)).scalar_one()


async def enter_and_join(world: World) -> LiveConnection:
    """A candidate who got the one JOIN and whose ping has just confirmed it; nothing of that is written yet."""
    live = await world.enter(user="lea", device=IPAD)
    await world.settle()
    world.clock.move(timedelta(seconds=10))
    join = await world.connections.next_instruction(live)
    assert join is not None
    assert join.type is InstructionType.PROCTORING
    world.ping(live, str(join.id))
    assert live.confirmed_revision == live.revision > 0
    return live


@dataclass
class SlowReading:
    """The next reload that is caught reads rows and instructions, and is held up before it can take them in."""

    catches: bool = False
    is_held: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def around(self, world: World, live: LiveConnection) -> AsyncGenerator[None]:
        """What happens inside happens after this reload has read, and before it ends."""
        self.catches = True
        older = asyncio.create_task(world.connections.reload([live.id]))
        await asyncio.wait_for(self.is_held.wait(), PATIENCE)
        yield
        await heard(world)
        self.may_go.set()
        await older


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowReading:
    reading, read = SlowReading(), queries.open_instructions

    async def read_slowly(*args: Any, **named: Any) -> Any:
        found = await read(*args, **named)
        if reading.catches:
            reading.catches = False
            reading.is_held.set()
            await reading.may_go.wait()
        return found

    monkeypatch.setattr(queries, "open_instructions", read_slowly)
    return reading


async def test_an_older_reload_does_not_open_a_closed_connection_again(
    tmp_path: Path, slow: SlowReading
) -> None:
    """What was read before somebody left does not win over what was read after, however late it ends."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        await world.settle()
        await heard(world)
        async with slow.around(world, live):
            assert await world.connections.close(world.tokens[live.id])
        assert live.state is ConnectionState.CLOSED


async def test_an_older_reload_does_not_swallow_a_lock(tmp_path: Path, slow: SlowReading) -> None:
    """A lock sent while an older reading is under way is what the next ping carries."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        await world.settle()
        await heard(world)
        async with slow.around(world, live):
            await world.connections.send(live, InstructionType.LOCK_SCREEN, {"message": "stop"})
        world.ping(live)
        lock = await world.connections.next_instruction(live)
        assert lock is not None
        assert lock.type is InstructionType.LOCK_SCREEN


async def test_a_confirmed_join_survives_a_reload_and_is_not_sent_again(tmp_path: Path) -> None:
    """Anybody's step may reload a row whose confirmation is not yet written; the client is called in once."""
    async with open_world(None, tmp_path, provider=StandInService()) as world:
        await world.set_up(join_by="native")
        live = await enter_and_join(world)
        await world.connections.reload([live.id])
        assert live.confirmed_revision == live.revision
        await world.writer.flush()
        world.ping(live)
        await world.rooms.sweep()
        assert live.confirmed_revision == live.revision
        assert await stored(world, InstructionType.PROCTORING) == 1


async def test_a_join_confirmed_at_one_node_is_not_repeated_by_another(tmp_path: Path) -> None:
    """The other node hears of pings but not of the confirmation; it asks the database before it calls again."""
    async with open_world(None, tmp_path, provider=StandInService()) as one:
        await one.set_up(join_by="native")
        live = await one.enter(user="lea", device=IPAD)
        await one.settle()
        two = World(one.database, one.clock, provider=one.provider)
        await two.load()
        one.clock.move(timedelta(seconds=10))
        join = await one.connections.next_instruction(live)
        assert join is not None
        one.ping(live, str(join.id))
        await one.writer.flush()
        there = two.live.by_id[live.id]
        one.clock.move(timedelta(seconds=62))
        one.ping(live)
        take_volatile_facts(there, volatile_facts(live, {"ping"}))
        assert there.confirmed_revision < there.revision
        await two.rooms.sweep()
        await heard(two)
        assert await stored(one, InstructionType.PROCTORING) == 1
        assert there.confirmed_revision == there.revision


async def test_an_instruction_claimed_late_is_carried_by_a_later_ping(tmp_path: Path) -> None:
    """A commit that ends after the ping gave up took the instruction from all nodes: this one sends it, once."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        await world.settle()
        await world.connections.send(live, InstructionType.LOCK_SCREEN, {"message": "stop"})
        await heard(world)
        is_quick = world.hold_back_claims()
        while not await sent(world):
            world.ping(live)
            assert await world.connections.next_instruction(live) is None
        is_quick.set()
        lock = None
        async with asyncio.timeout(PATIENCE):
            while lock is None:
                world.ping(live)
                lock = await world.connections.next_instruction(live)
                await asyncio.sleep(0)
        assert lock.type is InstructionType.LOCK_SCREEN
        world.ping(live)
        assert await world.connections.next_instruction(live) is None


async def test_a_restart_after_a_long_pause_frees_nobody(tmp_path: Path) -> None:
    """Who could not be heard because no server was there keeps the place; who stays silent loses it later."""
    async with open_world(None, tmp_path) as world:
        await world.set_up(size=3)
        for number in range(6):
            await world.enter(user=f"user-{number}")
        await world.settle()
        places = {live.id: (live.room_number, live.revision) for live in world.live.by_id.values()}
        assert world.numbers() == {1: 3, 2: 3}
        world.clock.move(GRACE * 1.5)
        await world.restart()
        await world.rooms.sweep()
        await world.settle()
        assert {live.id: (live.room_number, live.revision) for live in world.live.by_id.values()} == places

        world.clock.move(GRACE + timedelta(seconds=1))
        await world.rooms.sweep()
        await heard(world)
        assert [live.room_number for live in world.live.by_id.values()] == [None] * 6


@dataclass
class SurprisingService(StandInService):
    """It fails, for the first room it hears of, in a way nobody thought of."""

    broken: str = ""

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        self.broken = self.broken or spec.name
        if spec.name == self.broken:
            raise ValueError("surprise")
        return await super().open_room(spec)


async def test_one_broken_room_step_does_not_stop_the_sweep(tmp_path: Path) -> None:
    """A surprise in one room's call is that room's trouble: the others open, and the sweep goes on."""
    async with open_world(None, tmp_path, provider=SurprisingService()) as world:
        await world.set_up(size=1, join_by="native")
        await world.enter(user="lea", device=IPAD)
        await world.enter(user="tom", device=IPAD)
        await world.rooms.finish_steps()
        await world.rooms.sweep()
        async with world.reading() as w:
            states = [room.state for room in await room_queries.of_exam(w.db, world.exam_id)]
        assert sorted(states) == sorted([RoomState.OPENING, RoomState.OPEN])
        assert await stored(world, InstructionType.PROCTORING) == 1


@dataclass
class SlowService(StandInService):
    """It answers when told to."""

    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().open_room(spec)


async def test_a_room_opened_by_two_nodes_invites_once(tmp_path: Path) -> None:
    """The node whose call ends second finds the room open, and calls nobody in who is in already."""
    async with open_world(None, tmp_path, provider=StandInService()) as one:
        await one.set_up(join_by="native")
        slow = SlowService()
        two = World(one.database, one.clock, provider=slow)
        live = await one.enter(user="lea", device=IPAD)
        await two.load()
        second = asyncio.create_task(two.rooms.finish_steps())
        await asyncio.wait_for(slow.is_asked.wait(), PATIENCE)
        await one.rooms.finish_steps()
        await heard(one)
        one.clock.move(timedelta(seconds=30))
        one.ping(live)
        join = await one.connections.next_instruction(live)
        assert join is not None
        one.ping(live, str(join.id))
        await one.writer.flush()
        slow.may_answer.set()
        await second
        assert await stored(one, InstructionType.PROCTORING) == 1


async def test_a_resync_loads_connections_made_meanwhile(tmp_path: Path) -> None:
    """A node that could not listen for a while shows, after it, also those it has never heard of."""
    async with open_world(None, tmp_path) as one:
        await one.set_up()
        two = World(one.database, one.clock)
        await two.load()
        live = await one.enter(user="lea")
        await one.settle()
        assert live.id not in two.live.by_id
        two.bus.announce_locally([(RESYNC, None)])
        await heard(two)
        assert two.live.by_id[live.id].room_number == live.room_number == 1


async def test_two_proctors_confirming_one_hand_send_one_instruction(tmp_path: Path) -> None:
    """Both pressed the button at the same moment; the second is told that it is settled."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        world.connections.event(
            live, ClientEvent(live.id, EventType.NOTIFICATION, 1, 1, 1.0, "<raisehand> help")
        )
        outcomes = await asyncio.gather(
            *(world.connections.confirm_notification(live, 1, by=proctor) for proctor in (1, 2)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [NotFound]
        assert await stored(world, InstructionType.NOTIFICATION_CONFIRM) == 1


@pytest.mark.parametrize("how", ["reload", "restart"])
async def test_a_ping_from_the_future_proves_nothing(tmp_path: Path, how: str) -> None:
    """A clock that was an hour ahead for a moment does not keep a silent client present for an hour."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        world.clock.move(timedelta(hours=1))
        world.ping(live)
        await world.writer.flush()
        world.clock.move(timedelta(hours=-1))
        world.ping(live)
        await (world.settle() if how == "reload" else world.restart())
        world.clock.move(timedelta(minutes=20))
        assert rules.is_missing(world.live.by_id[live.id].last_ping, world.clock.now_ms())


async def test_a_database_out_of_reach_at_the_first_ping_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client this node has not met yet is looked for again; its ping does not fail."""
    async with open_world(None, tmp_path) as world:
        await world.set_up()
        live = await world.enter(user="lea")
        world.live.forget(live)

        async def out_of_reach(_ids: list[int]) -> None:
            raise Unavailable("The database cannot answer now.")

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(world.connections, "reload", out_of_reach)
            assert await world.connections.find(live.token_hash) is None
        found = await world.connections.find(live.token_hash)
        assert found is not None
        assert found.id == live.id
