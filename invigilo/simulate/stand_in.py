"""A meeting service that exists only in memory, with moods: for tests of rooms, and for trying out native joins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from invigilo.errors import NotAllowed, ProviderCredentials, ProviderRefused, ProviderUnavailable
from invigilo.providers.base import (
    CALLS,
    Feature,
    Guest,
    Headers,
    JitsiTicket,
    JoinTicket,
    ProviderEvent,
    RoomHandle,
    RoomSpec,
)


class Mood(StrEnum):
    WELL = "well"
    DOWN = "down"
    REFUSING = "refusing"
    LOCKED_OUT = "locked_out"
    SILENT = "silent"


@dataclass(slots=True)
class StandInService:
    """Keeps the rooms it was asked for; enters nobody, so tickets are plain words."""

    server_url: str = "https://meet.example.org/seb"
    mood: Mood = Mood.WELL
    features: frozenset[Feature] = frozenset({Feature.NATIVE_JOIN, *CALLS})
    cannot: Mapping[Feature, str] = field(default_factory=dict[Feature, str])
    hall_size: int | None = None
    rooms: dict[str, RoomSpec] = field(default_factory=dict[str, RoomSpec])
    calls: list[str] = field(default_factory=list[str])

    async def check(self) -> None:
        self.calls.append("check")
        await self._act_out()

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        self.calls.append(f"open {spec.name}")
        await self._act_out()
        self.rooms[spec.name] = spec
        return RoomHandle(spec.name, spec.subject)

    async def close_room(self, room: RoomHandle) -> None:
        self.calls.append(f"close {room.name}")
        await self._act_out()
        self.rooms.pop(room.name, None)

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:
        return JitsiTicket(self.server_url, room.name, room.subject, f"ticket-of-{guest.identity}")

    def identity_of(self, room: RoomHandle, identity: str) -> str:  # noqa: ARG002
        return identity

    def read_webhook(self, headers: Headers, body: bytes) -> ProviderEvent | None:  # noqa: ARG002
        raise NotAllowed("This stand-in reports nothing.")

    async def _act_out(self) -> None:
        match self.mood:
            case Mood.WELL:
                return
            case Mood.DOWN:
                raise ProviderUnavailable("The meeting service does not answer.")
            case Mood.REFUSING:
                raise ProviderRefused("The meeting service refuses such a room.")
            case Mood.LOCKED_OUT:
                raise ProviderCredentials("The meeting service does not accept the key.")
            case Mood.SILENT:
                await asyncio.sleep(3600)
