"""Ways into the meetings of a service: made when somebody enters, for one room, and no faster than its server bears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey
from sqlalchemy import select

from invigilo.clock import SetClock, to_ms
from invigilo.exams.model import Exam
from invigilo.monitoring.model import Device
from invigilo.proctoring.meetings import TICKET_GRACE
from invigilo.proctoring.model import Room, RoomState
from invigilo.proctoring.pace import AT_ONCE, JOIN_EVERY, Pace
from invigilo.proctoring.service import SWEEP_WAITS
from invigilo.providers.base import Guest, JoinTicket, RoomHandle
from invigilo.providers.jitsi import JitsiProvider
from invigilo.providers.jitsi_settings import JitsiSettings
from invigilo.simulate.stand_in import Mood, StandInService
from invigilo.storage.queries import rooms as room_queries
from invigilo.storage.tables import instructions
from tests.providers.keys import jitsi_values
from tests.world import MORNING, WINDOWS, World, open_world

IPAD = "iPad (iPadOS 17.5)"


@dataclass(slots=True)
class JitsiTickets(StandInService):
    """Rooms in memory, tickets by the real provider."""

    app_secret: str = jitsi_values()["app_secret"]
    clock: SetClock = field(default_factory=lambda: SetClock(MORNING))

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:
        values = jitsi_values(app_secret=self.app_secret, server_url="https://meet.example.org:8443/halls")
        return JitsiProvider(JitsiSettings.of(values), clock=self.clock).ticket(room, guest)


@pytest.fixture
async def native(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(None, tmp_path, provider=JitsiTickets()) as world:
        world.provider.clock = world.clock
        await world.set_up(size=None, join_by="native")
        await world.change_exam(ends_at=to_ms(MORNING + timedelta(hours=3)))
        yield world


async def called(world: World, user: str, os_name: str, version: str) -> dict[str, str]:
    """The attributes of the join instruction as this client gets them."""
    live = await world.enter(user=user, device=Device(None, None, os_name, version, None))
    await world.settle()
    world.clock.move(timedelta(seconds=1))
    instruction = await world.connections.next_instruction(world.live.by_id[live.id])
    assert instruction is not None
    return instruction.attributes


def claims_of(token: str, secret: str) -> dict[str, Any]:
    return jwt.decode(token, OctKey.import_key(secret.encode())).claims


@pytest.mark.spec("live-proctoring", 24)
@pytest.mark.spec("live-proctoring", 51)
@pytest.mark.parametrize(
    ("os_name", "version", "server"),
    [
        (IPAD, "3.5", "https://meet.example.org:8443/halls"),
        (WINDOWS, "3.5.0", "meet.example.org:8443/halls"),
    ],
)
async def test_a_called_client_gets_a_token_for_its_room_and_nothing_more(
    native: World, os_name: str, version: str, server: str
) -> None:
    attributes = await called(native, "Zoë O'Neil 🎓", os_name, version)
    claims = claims_of(attributes["jitsiMeetToken"], native.provider.app_secret)
    (room,) = native.rooms.all_of(native.exam_id)
    assert attributes["jitsiMeetServerURL"] == server
    assert attributes["jitsiMeetRoom"] == claims["room"] == room.name
    assert claims["exp"] == to_ms(native.exam.closes_at + TICKET_GRACE) // 1000, "whole seconds"
    assert (claims["moderator"], claims["context"]["user"]["moderator"]) == (False, False)
    assert claims["context"]["user"]["name"] == "Zoë O'Neil 🎓"


@pytest.mark.spec("live-proctoring", 57)
async def test_no_token_is_stored_and_a_rotated_secret_counts_for_what_already_waits(native: World) -> None:
    live = await native.enter(user="lea", device=Device(None, None, IPAD, "3.5", None))
    await native.settle()
    async with native.reading() as w:
        (sealed,) = (await w.db.execute(select(instructions.c.attributes_encrypted))).scalars()
    assert "eyJ" not in native.box.decrypt(sealed)
    native.provider.app_secret = "a-new-secret-from-today"
    instruction = await native.connections.next_instruction(native.live.by_id[live.id])
    assert instruction is not None
    assert claims_of(instruction.attributes["jitsiMeetToken"], "a-new-secret-from-today")["room"]


async def test_the_name_others_are_told_is_never_an_address(native: World) -> None:
    device = Device(None, None, IPAD, "3.5", "192.0.2.17")
    token = await native.create(device)
    await native.connections.bind_and_download(token, exam_id=str(native.exam_id))
    live = native.of_token(token)
    entry = native.meetings._candidate(live, native.exam)
    assert entry.display_name == f"SEB {live.id}"


async def test_a_silent_service_delays_no_other_exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls go on beside; the sweep goes on with everybody else's rooms."""
    monkeypatch.setattr("invigilo.proctoring.service.CALL_LIMIT", 3_600)  # its call never ends in this test
    silent, well = StandInService(mood=Mood.SILENT), StandInService()

    @dataclass
    class TwoServices(World):
        def provider_of(self, exam: Exam) -> Any:
            return silent if exam.id == self.exam_id else well

    async def rooms_of(world: World, exam_id: int) -> list[Room]:
        async with world.reading() as w:
            return await room_queries.of_exam(w.db, exam_id)

    async with open_world(None, tmp_path) as plain:
        world = TwoServices(plain.database, plain.clock)
        await world.set_up(join_by="native")
        other = await world.add_exam("Biology", join_by="native")
        await world.load()
        await world.enter(user="lea", device=Device(None, None, IPAD, "3.5", None))
        world.exam_id, first = other, world.exam_id
        await world.enter(user="tom", device=Device(None, None, IPAD, "3.5", None))
        world.exam_id = first
        world.rooms.sweep_waits = SWEEP_WAITS
        await world.rooms.sweep()
        (waits,) = [r.id for r in await rooms_of(world, first)]
        calls = world.rooms._calls
        assert not calls[waits].done(), "the sweep is over, and the silent one's call is not"
        await asyncio.gather(*(call for room, call in calls.items() if room != waits))
        assert [r.state for r in await rooms_of(world, other)] == [RoomState.OPEN]
        assert [r.state for r in await rooms_of(world, first)] == [RoomState.OPENING]
        await world.rooms.sweep()
        assert len([call for call in silent.calls if call.startswith("open")]) == 1, (
            "asked once, not with every sweep"
        )
        await world.rooms.stop()


@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=60))
def test_a_room_lets_in_no_more_than_its_server_bears(pauses: list[int]) -> None:
    """In any second three at most beyond the two that are its pace, and nobody overtakes."""
    pace, now, entries = Pace(), 0, list[int]()
    for pause in pauses:
        now += pause
        entries.append(now + pace.wait(1, now))
    assert entries == sorted(entries)
    for start in entries:
        assert sum(start <= at < start + 1_000 for at in entries) <= AT_ONCE + 1_000 // JOIN_EVERY


def test_rooms_do_not_wait_for_each_other() -> None:
    pace = Pace()
    for _ in range(20):
        pace.wait(1, 0)
    assert pace.wait(1, 0) > 0
    assert pace.wait(2, 0) == 0
