"""Collecting rooms on a real database: live-proctoring.md §3.2, §3.12 and checks 20 to 31."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from invigilo.monitoring.model import Device, InstructionType
from invigilo.simulate.stand_in import Mood, StandInService
from tests.world import WINDOWS, World, open_world

IPAD = "iPad (iPadOS 17.5)"
MAC = "macOS Version 14.5 (Build 23F79)"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with open_world(url, tmp_path) as world:
        await world.set_up(size=3)
        yield world


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose meeting service can be joined by instruction."""
    async with open_world(None, tmp_path, provider=StandInService()) as world:
        await world.set_up(size=3, join_by="native")
        yield world


@pytest.mark.spec("live-proctoring", 20)
async def test_rooms_fill_by_number(world: World) -> None:
    """Four clients with room for three: Room 1 has three, Room 2 has one."""
    lives = [await world.enter(user=f"user-{n}") for n in range(4)]
    await world.settle()
    assert world.numbers() == {1: 3, 2: 1}
    assert [live.room_number for live in lives] == [1, 1, 1, 2]
    assert [view.subject for view in world.rooms.of_exam(world.exam)] == ["Room 1", "Room 2"]


@pytest.mark.spec("live-proctoring", 21)
async def test_a_freed_place_goes_to_the_next_newcomer(world: World) -> None:
    lives = [await world.enter(user=f"user-{n}") for n in range(4)]
    await world.connections.close(world.tokens[lives[1].id])
    newcomer = await world.enter(user="newcomer")
    assert newcomer.room_number == 1
    await world.settle()
    assert world.numbers() == {1: 3, 2: 1}


@pytest.mark.spec("live-proctoring", 22)
async def test_fifty_handshakes_at_once(world: World) -> None:
    """No room exceeds its size, everybody is in exactly one room, numbers are unique."""
    lives = await asyncio.gather(*(world.enter(user=f"user-{n}") for n in range(50)))
    await world.settle()
    assert world.numbers() == {**dict.fromkeys(range(1, 17), 3), 17: 2}
    assert sorted({live.id for live in lives}) == sorted(live.id for live in lives)
    assert all(live.room_number is not None for live in lives)


@pytest.mark.spec("live-proctoring", 26)
async def test_a_restarted_seb_returns_to_its_room(world: World) -> None:
    """Its old entry is replaced at once, so the room's count stays as it was, even if the room is full."""
    lives = [await world.enter(user=f"user-{n}") for n in range(7)]
    assert lives[1].room_number == 1
    world.clock.move(timedelta(seconds=16))
    for live in lives:
        if live is not lives[1]:
            world.ping(live)
    again = await world.enter(user="user-1")
    await world.settle()
    assert again.room_number == 1
    assert world.live.by_id[lives[1].id].room_number is None
    assert world.numbers() == {1: 3, 2: 3, 3: 1}


@pytest.mark.spec("live-proctoring", 26)
async def test_a_quick_restart_on_the_same_machine_returns_too(world: World) -> None:
    """The old connection's pings stopped only seconds ago: the same user on the same machine is proof enough."""
    device = Device("lea", "LAB-07", WINDOWS, "3.10.2", None)
    first = await world.enter(user="lea", device=device)
    for n in range(3):
        await world.enter(user=f"user-{n}")
    world.clock.move(timedelta(seconds=3))
    again = await world.enter(user="lea", device=device)
    await world.settle()
    assert again.room_number == first.room_number == 1 or world.live.by_id[first.id].room_number is None
    assert again.room_number == 1


async def test_one_person_on_two_machines_keeps_both_places(world: World) -> None:
    """Both connections are alive, so neither is thrown out: the proctor sees both and asks."""
    one = await world.enter(user="lea", device=Device("a", "LAB-01", WINDOWS, "3.10.2", None))
    two = await world.enter(user="lea", device=Device("b", "LAB-02", WINDOWS, "3.10.2", None))
    await world.settle()
    assert world.live.by_id[one.id].room_number == 1
    assert world.live.by_id[two.id].room_number == 1
    assert world.numbers() == {1: 2}


@pytest.mark.spec("live-proctoring", 27)
async def test_a_silent_client_keeps_its_place_for_the_grace_time_and_returns_if_there_is_space(
    world: World,
) -> None:
    lives = [await world.enter(user=f"user-{n}") for n in range(2)]
    await world.settle()
    world.clock.move(timedelta(seconds=60))
    world.ping(lives[0])
    await world.settle()
    assert world.numbers() == {1: 2}
    world.clock.move(timedelta(seconds=61))
    world.ping(lives[0])
    await world.settle()
    assert world.numbers() == {1: 1}
    assert world.live.by_id[lives[1].id].room_number is None
    world.ping(lives[1])
    await world.settle()
    assert world.live.by_id[lives[1].id].room_number == 1
    assert world.numbers() == {1: 2}


@pytest.mark.spec("live-proctoring", 28)
async def test_a_client_without_a_user_is_called_in_too(native: World) -> None:
    """An exam without learning system leaves clients READY: they get their JOIN, some seconds after establishing."""
    live = await native.enter()
    await native.settle()
    assert await native.connections.next_instruction(live) is None
    native.clock.move(timedelta(seconds=4))
    native.ping(live)
    instruction = await native.connections.next_instruction(native.live.by_id[live.id])
    assert instruction is None or instruction.type is InstructionType.PROCTORING


@pytest.mark.spec("live-proctoring", 25)
async def test_a_failing_service_is_tried_again_until_it_works(native: World) -> None:
    """The client keeps its place meanwhile; after recovery it is called in without a new handshake."""
    native.provider.mood = Mood.DOWN
    live = await native.enter(user="lea", device=Device(None, None, IPAD, "3.5", None))
    await native.settle()
    assert native.live.by_id[live.id].room_number == 1
    assert native.live.by_id[live.id].room_state == "failed"
    assert await native.connections.next_instruction(live) is None
    native.provider.mood = Mood.WELL
    native.clock.move(timedelta(seconds=31))
    native.ping(live)
    await native.settle()
    instruction = await native.connections.next_instruction(native.live.by_id[live.id])
    assert instruction is not None
    assert instruction.attributes["method"] == "JOIN"


@pytest.mark.spec("live-proctoring", 23)
@pytest.mark.spec("live-proctoring", 24)
@pytest.mark.parametrize(
    ("os_name", "version", "url"),
    [(IPAD, "3.5", "https://meet.example.org/seb"), (WINDOWS, "3.4.1", "meet.example.org/seb")],
)
async def test_the_join_suits_the_client(native: World, os_name: str, version: str, url: str) -> None:
    """With the first ping after becoming active; iOS gets a full address, Windows one without scheme."""
    first = await native.enter(user="first")
    await native.settle()
    assert first.room_number == 1
    live = await native.enter(user="lea", device=Device(None, None, os_name, version, None))
    instruction = await native.connections.next_instruction(live)
    assert instruction is not None
    assert instruction.attributes["jitsiMeetServerURL"] == url
    assert instruction.attributes["roomType"] == "proctoring"
    assert instruction.attributes["jitsiMeetRoom"]
    assert instruction.attributes["jitsiMeetToken"]
    assert instruction.attributes["jitsiMeetSubject"] == "Room 1"
    assert all(isinstance(value, str) for value in instruction.attributes.values())


@pytest.mark.spec("live-proctoring", 29)
async def test_a_join_lost_on_a_sleeping_client_is_sent_again_when_it_pings(native: World) -> None:
    live = await native.enter(user="lea", device=Device(None, None, IPAD, "3.5", None))
    await native.settle()
    assert await native.connections.next_instruction(live) is not None
    native.clock.move(timedelta(seconds=90))
    assert live.queue.next(native.clock.now_ms()) is None
    native.ping(live)
    live.queue.expire(native.clock.now_ms())
    await native.settle()
    again = await native.connections.next_instruction(native.live.by_id[live.id])
    assert again is not None
    assert again.attributes["method"] == "JOIN"
    native.ping(live, confirm=str(again.id))
    await native.settle()
    assert native.live.by_id[live.id].confirmed_revision == native.live.by_id[live.id].revision
    native.clock.move(timedelta(seconds=70))
    native.ping(live)
    await native.settle()
    assert await native.connections.next_instruction(live) is None


@pytest.mark.spec("live-proctoring", 31)
async def test_a_client_that_can_neither_join_nor_open_our_page_takes_no_place(native: World) -> None:
    """The first Apple clients' browser has no cameras: listed, but it holds no place and gets no instruction."""
    live = await native.enter(user="old", device=Device(None, None, MAC, "3.0", None))
    await native.settle()
    from invigilo.monitoring.capability import capability_of

    if capability_of(MAC, "3.0").can_camera_page:
        pytest.skip("the capability table lets this client open the page")
    assert live.room_number is None
    assert await native.connections.next_instruction(live) is None


async def test_resizing_moves_nobody_and_counts_for_the_next(world: World) -> None:
    lives = [await world.enter(user=f"user-{n}") for n in range(4)]
    await world.change_exam(collecting_room_size=2)
    late = await world.enter(user="late")
    later = await world.enter(user="later")
    await world.settle()
    assert [live.room_number for live in lives] == [1, 1, 1, 2]
    assert [late.room_number, later.room_number] == [2, 3]


async def test_numbers_are_never_used_again(world: World) -> None:
    await world.enter(user="one")
    await world.rooms.close_rooms(world.exam_id)
    await world.settle()
    two = await world.enter(user="two")
    await world.settle()
    assert two.room_number == 2 or world.numbers().keys() <= {2}


async def test_the_end_of_the_exam_closes_every_room(world: World) -> None:
    live = await world.enter(user="one")
    await world.settle()
    await world.rooms.close_rooms(world.exam_id)
    await world.rooms.refresh()
    await world.connections.reload([live.id])
    assert world.numbers() == {}
    assert world.live.by_id[live.id].room_number is None
