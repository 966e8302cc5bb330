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


def subject_of(kind: RoomKind, number: int) -> str:
    """What everybody in a meeting may read of it: nobody's name."""
    match kind:
        case RoomKind.COLLECTING:
            return f"Room {number}"
        case RoomKind.TOWN_HALL:
            return "Town hall"
        case RoomKind.BREAK_OUT:
            return f"One-to-one {number}"


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
    """Live memberships, counted from rows: who has a home here, or is called into this break-out room."""
    opened_by: str | None = None
    """Who opened a call, as proctors read it."""

    @property
    def subject(self) -> str:
        return subject_of(self.kind, self.number)

    @property
    def is_call(self) -> bool:
        return self.kind is not RoomKind.COLLECTING


@dataclass(frozen=True, slots=True)
class Perception:
    """What candidates may perceive of a proctor: hear, see, and write to."""

    audio: bool = False
    video: bool = False
    chat: bool = False

    def __bool__(self) -> bool:
        return self.audio or self.video or self.chat

    def __or__(self, other: Perception) -> Perception:
        return Perception(self.audio or other.audio, self.video or other.video, self.chat or other.chat)


NOTHING = Perception()


@dataclass(frozen=True, slots=True)
class Place:
    """Where one client should be and what it may perceive there."""

    room_id: int | None = None
    perceives: Perception = NOTHING
    is_beyond: bool = False
    """The call has more people than the service bears: this one is neither heard nor hears, in it or left at home."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One connection as the question "where should it be?" meets it: what it was told last, and what holds now."""

    connection_id: int
    is_active: bool
    os_name: str | None
    seb_version: str | None
    home: int | None
    """The collecting room where it has its place; None: it is in no room at all."""
    break_out: int | None
    """The open break-out room it is called into."""
    place: Place
    """As it was wished for last, at `revision`."""
    revision: int
    room_revision: int
    """The revision by which the room became this one."""
    confirmed_revision: int
    is_told: bool
    """A change of what it perceives is under way to it: what it acts on meanwhile is not known."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A proctor's page lets a room perceive it, for as long as it says so again."""

    room_id: int
    holder: str
    """The page, as peers are called."""
    user_id: int
    actor: str
    """The proctor, as others read it."""
    perceived: Perception
    since: int
    expires_at: int


# --- messages ---


class MessageScope(StrEnum):
    """To whom a message was written."""

    CONNECTIONS = "connections"
    ROOM = "room"
    EVERYBODY = "everybody"
    PROCTORS = "proctors"
    """From a candidate."""


@dataclass(frozen=True, slots=True)
class Message:
    """A text between proctors and candidates, and how far it got."""

    id: int
    exam_id: int
    at: int
    by: str
    """Who wrote it, as others read it."""
    scope: MessageScope
    text: str
    room_id: int | None = None
    from_connection_id: int | None = None
    recipients: int = 0
    delivered: int = 0
    read: int = 0
    delivered_at: int | None = None
    """At the one connection that was asked about."""
    read_at: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A candidate's page has shown a message, or the candidate has said that it is read."""

    message_id: int
    connection_id: int
    at: int
    is_read: bool


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
    entered_at: datetime | None = None
    """When somebody was last in a meeting by what only that proves; None: never, or not with what is stored now."""
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
