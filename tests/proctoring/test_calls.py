"""Town halls, one-to-one calls and what is perceived in rooms: live-proctoring.md §3.3 to §3.8 and checks 32 to 50."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from invigilo.accounts.model import Account, Role
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import Device
from invigilo.proctoring.model import Perception, RoomKind
from invigilo.simulate.stand_in import StandInService
from tests.world import World, open_world

IPAD = "iPad (iPadOS 17.5)"
HALL, ASIDE = RoomKind.TOWN_HALL, RoomKind.BREAK_OUT


def person(number: int, name: str) -> Account:
    return Account(
        id=number, institution_id=1, username=name.lower(), display_name=name, role=Role.EXAM_ADMIN
    )


ADA, BEA = person(1, "Ada"), person(2, "Bea")


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[World]:
    """A meeting service that calls clients in by instruction."""
    async with open_world(None, tmp_path, provider=StandInService()) as world:
        await world.set_up(size=3, join_by="native")
        yield world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Built-in rooms."""
    async with open_world(None, tmp_path) as world:
        await world.set_up(size=3)
        yield world


async def ipad(world: World, user: str) -> LiveConnection:
    """An iPad in its room, all it was told confirmed."""
    live = await world.enter(user=user, device=Device(None, None, IPAD, "3.5", None))
    await world.settle()
    await told(world, live)
    return world.live.by_id[live.id]


async def told(world: World, live: LiveConnection) -> list[str]:
    """What its pings bring, each confirmed by the next, until nothing comes; as words."""
    found: list[str] = []
    await world.connections.reload([live.id])
    for _ in range(30):
        live = world.live.by_id[live.id]
        instruction = await world.connections.next_instruction(live)
        if instruction is not None:
            attributes = instruction.attributes
            if "roomType" in attributes:
                found.append(f"join {attributes['roomType']}")
            else:
                assert attributes.keys() == {
                    "jitsiMeetReceiveAudio", "jitsiMeetReceiveVideo", "jitsiMeetFeatureFlagChat",
                }  # fmt: skip
                on = [key for key, value in attributes.items() if value == "true"]
                words = {"jitsiMeetReceiveAudio": "hear", "jitsiMeetReceiveVideo": "see"}
                found.append(" ".join(words.get(key, "write") for key in on) or "reset")
            world.ping(live, str(instruction.id))
        elif not live.queue:
            break
        world.clock.move(timedelta(seconds=1))
        world.ping(live)
    await world.writer.flush()
    await world.connections.reload([live.id])
    return found


@pytest.mark.spec("live-proctoring", 32)
async def test_a_town_hall_calls_everybody(native: World) -> None:
    everybody = [await ipad(native, f"user-{n}") for n in range(5)]
    opened = await native.calls.open(native.exam, HALL, by=ADA)
    assert opened.is_new
    assert opened.room.state == "open"
    for live in everybody:
        assert await told(native, live) == ["join townhall"]
    await native.rooms.refresh()
    assert {live.home_number for live in everybody} == {1, 2}
    assert {live.room_id for live in everybody} == {opened.room.id}


@pytest.mark.spec("live-proctoring", 35)
async def test_another_proctor_closes_it_and_everybody_goes_home(native: World) -> None:
    lea = await ipad(native, "lea")
    opened = await native.calls.open(native.exam, HALL, by=ADA)
    await native.calls.hold(native.exam, opened.room.id, "page", Perception(audio=True), by=ADA)
    assert await told(native, lea) == ["join townhall", "hear"]
    await native.calls.close(native.exam, opened.room.id, by=BEA)
    assert await told(native, lea) == ["reset", "join proctoring"]
    await native.calls.close(native.exam, opened.room.id, by=BEA)
    assert await told(native, lea) == []
