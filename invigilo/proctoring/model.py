"""Rooms, who belongs in them, what each client should perceive; and the settings all of this follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from invigilo.exams.model import Exam, JoinBy, ProctoringFeature, ProctoringSettings, Service


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
    REMOVING = "removing"
    """As closing, and after that its record goes too: the rooms of the exam are being reset."""

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


# --- settings ---


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """A meeting service with address and credentials: entered once in an institution, used by its exams."""

    id: int
    institution_id: int
    name: str
    service: Service
    values: Mapping[str, str]
    """Everything but secrets."""
    secrets: Mapping[str, datetime]
    """Which secrets are set, and since when. What they are is told to nobody."""
    proof: tuple[Mapping[str, Any], ...] = ()
    """The steps of the last test of these very values."""
    proved_at: datetime | None = None
    is_proven: bool = False
    """No step of that test failed."""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class DefinitionWish:
    """A service definition as somebody wants it. A blank secret keeps the stored one."""

    name: str
    values: Mapping[str, str]
    revision: int | None = None
    """The one this wish was made of; None does not look."""


class HolderKind(StrEnum):
    EXAM = "exam"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Holder:
    """What has proctoring settings: an exam, or an exam template from which they are copied."""

    kind: HolderKind
    id: int
    institution_id: int
    name: str
    settings: ProctoringSettings
    revision: int
    configuration_id: int | None = None
    configuration_version: int | None = None
    is_archived: bool = False
    unproven_accepted_at: datetime | None = None
    unproven_accepted_by: str | None = None
    exam: Exam | None = None
    """The exam itself, which has access rules of its own."""


@dataclass(frozen=True, slots=True)
class SettingsWish:
    """Proctoring settings as somebody wants them."""

    enabled: bool
    service: Service
    definition_id: int | None = None
    has_size_limit: bool = True
    """False is "no limit", which must be said explicitly; then the size does not count."""
    collecting_room_size: int | None = None
    join_by: JoinBy = JoinBy.PAGE
    features: frozenset[ProctoringFeature] = frozenset(ProctoringFeature)
    accept_unproven: bool = False
    """Enable although the service is not proven. Goes on record."""
    close_rooms: bool = False
    """Switch off although rooms are open: everybody is sent out of them."""
    revision: int | None = None

    @property
    def settings(self) -> ProctoringSettings:
        return ProctoringSettings(
            enabled=self.enabled,
            service=self.service,
            collecting_room_size=self.collecting_room_size if self.has_size_limit else None,
            join_by=self.join_by,
            features=self.features,
            definition_id=self.definition_id,
        )


@dataclass(frozen=True, slots=True)
class RoomUse:
    """What an exam has of rooms now."""

    rooms: int = 0
    """Records, closed rooms too: while there is one, the service is in use (live-proctoring.md §1)."""
    open: int = 0
    members: int = 0
    live_connections: int = 0
    """Clients that are connected: requested, ready or active."""

    @property
    def is_in_use(self) -> bool:
        return self.rooms > 0


@dataclass(frozen=True, slots=True)
class StuckRoom:
    """A room that the meeting service has not closed yet; it is tried again."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeyNotice:
    """A key of the exam's SEB settings that does not fit how the exam is proctored."""

    code: str
    """`set_for_page`: clients get it as `needed`, whatever was edited. `off_for_native`: the clients named do not join
    by themselves without it. `ends_session`: the clients named end the session because of it."""
    key: str
    found: str
    """As in the settings; blank when they lack the key."""
    needed: str
    platforms: tuple[str, ...]
    """By their names: Windows, macOS, iOS."""
