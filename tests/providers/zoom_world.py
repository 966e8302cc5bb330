"""A Zoom provider beside its stand-in, with a clock that both share and waits that move it instead of waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from invigilo.clock import SetClock, from_ms
from invigilo.providers.base import Guest, RoomHandle, RoomSpec, ZoomTicket
from invigilo.providers.jitsi_tokens import new_room_name
from invigilo.providers.zoom import ZoomProvider
from invigilo.providers.zoom_client import Waits
from invigilo.providers.zoom_pool import Booking, MemoryBook, current
from invigilo.providers.zoom_settings import ZoomSettings
from invigilo.simulate.zoom import ZoomMood, ZoomStandIn, zoom_stand_in
from invigilo.simulate.zoom_api import Fault
from invigilo.simulate.zoom_meetings import Meeting
from invigilo.simulate.zoom_rules import Seed, User
from tests.providers.keys import zoom_values

START = 1_780_300_800.0
"""1 June 2026, 08:00 UTC: a Monday, with sixteen hours of Zoom's day to come."""


def two_hosts(**more: Any) -> Seed:
    return Seed(users=[User("zu1", "host1@example.org"), User("zu2", "host2@example.org")], **more)


@dataclass
class ZoomWorld:
    stand_in: ZoomStandIn
    clock: SetClock
    waits: Waits
    slept: list[float]
    book: MemoryBook = field(default_factory=MemoryBook)
    values: dict[str, str] = field(default_factory=dict)
    provider: ZoomProvider = field(init=False)

    def __post_init__(self) -> None:
        self.provider = self.new_provider()

    def new_provider(self, **values: str) -> ZoomProvider:
        """As after a restart, or on another node."""
        made = zoom_values(self.stand_in.url, **(self.values | values))
        return ZoomProvider(ZoomSettings.of(made), clock=self.clock, book=self.book, waits=self.waits)

    def fault(self, method: str = "", path: str = "", **more: Any) -> Fault:
        fault = Fault(method, path, **more)
        self.stand_in.api.faults.append(fault)
        return fault

    def pass_by(self, **span: float) -> None:
        """Time goes on, here and there."""
        self.clock.move(timedelta(**span))
        self.stand_in.clock.advance(timedelta(**span).total_seconds())

    async def open(self, name: str = "", provider: ZoomProvider | None = None) -> RoomHandle:
        spec = RoomSpec(name or new_room_name(), "Room 1", 5)
        return await (provider or self.provider).open_room(spec)

    def booking(self, room: RoomHandle) -> Booking:
        found = current(self.book, room.name)
        assert found is not None
        return found

    def meeting(self, room: RoomHandle) -> Meeting:
        return self.stand_in.core.meetings[int(self.booking(room).meeting_id)]

    def guest(self, name: str = "17", *, is_proctor: bool = False, hours: float = 2) -> Guest:
        return Guest(name, f"Guest {name}", is_proctor, self.clock.now_ms() + round(hours * 3_600_000))

    def join(self, room: RoomHandle, guest: Guest | None = None, **more: Any) -> dict[str, Any]:
        """As the SDK does with a ticket. Raises JoinRefused."""
        ticket = self.provider.ticket(room, guest or self.guest())
        assert isinstance(ticket, ZoomTicket)
        wish = {
            "signature": ticket.signature,
            "meetingNumber": ticket.number,
            "userName": "Lea",
            "passcode": ticket.passcode,
            "customerKey": ticket.customer_key,
            "sdkVersion": "6.2.0",
        }
        return self.stand_in.ctl_join(wish | more)

    def asked(self, method: str, path: str) -> int:
        return sum(one.method == method and path in one.path for one in self.stand_in.api.log)


@asynccontextmanager
async def zoom_world(
    seed: Seed | None = None, mood: ZoomMood = ZoomMood.WELL, **values: str
) -> AsyncIterator[ZoomWorld]:
    async with zoom_stand_in(seed, mood) as stand_in:
        stand_in.clock.fixed = START
        clock, slept = SetClock(from_ms(round(START * 1000))), list[float]()
        passed = [0.0]

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            passed[0] += seconds
            clock.move(timedelta(seconds=seconds))
            stand_in.clock.advance(seconds)
            await asyncio.sleep(0)

        waits = Waits(sleep, lambda: passed[0], lambda: 0.5)
        yield ZoomWorld(stand_in, clock, waits, slept, values=values)
