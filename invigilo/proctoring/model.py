"""Rooms, who belongs in them, and what each client should perceive."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RoomKind(StrEnum):
    COLLECTING = "collecting"
    BREAK_OUT = "break_out"
    TOWN_HALL = "town_hall"


class RoomState(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"

    @property
    def takes_members(self) -> bool:
        """A room still being opened, or failed and waiting for its next try, already has its members."""
        return self in {RoomState.OPENING, RoomState.OPEN, RoomState.FAILED}


@dataclass(frozen=True, slots=True)
class Room:
    id: int
    exam_id: int
    kind: RoomKind
    number: int
    name: str
    """The provider's name for it: 128 random bits, never shown to a candidate."""
    state: RoomState
    reason: str | None = None
    member_count: int = 0
    """Live memberships, counted from rows."""

    @property
    def subject(self) -> str:
        return f"Room {self.number}"


@dataclass(frozen=True, slots=True)
class DesiredPlace:
    """Where one client should be and what it may perceive. A newer revision replaces an older wish."""

    connection_id: int
    room_id: int | None
    receive_audio: bool = False
    receive_video: bool = False
    chat: bool = False
    revision: int = 0
    confirmed_revision: int = 0

    @property
    def is_confirmed(self) -> bool:
        return self.confirmed_revision >= self.revision
