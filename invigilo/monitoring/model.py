"""SEB clients as the server knows them: connections, events, notifications, instructions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any


class ConnectionState(StrEnum):
    """Names and transitions of seb-client-api.md §6. "Missing" is a flag on an open one, not a state."""

    REQUESTED = "requested"
    READY = "ready"
    ACTIVE = "active"
    CLOSED = "closed"
    DISABLED = "disabled"

    @property
    def is_open(self) -> bool:
        return self not in {ConnectionState.CLOSED, ConnectionState.DISABLED}


class OsFamily(StrEnum):
    WINDOWS = "windows"
    MACOS = "macos"
    IOS = "ios"
    UNKNOWN = "unknown"


class EventType(IntEnum):
    """The numbers are the reference server's (seb-client-api.md §5.1)."""

    UNKNOWN = 0
    DEBUG_LOG = 1
    INFO_LOG = 2
    WARN_LOG = 3
    ERROR_LOG = 4
    NOTIFICATION = 6
    NOTIFICATION_CONFIRMED = 7


class NotificationKind(StrEnum):
    RAISE_HAND = "raisehand"
    LOCK_SCREEN = "lockscreen"


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One line a SEB sent. Times in ms since the epoch; the client's clock may be wrong."""

    connection_id: int
    type: EventType
    server_time: int
    client_time: int | None
    numeric_value: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Notification:
    """A raised hand or a lock screen, known by (connection, number) while it is open."""

    connection_id: int
    number: int
    kind: NotificationKind
    text: str
    opened_at: int


class InstructionType(StrEnum):
    QUIT = "SEB_QUIT"
    PROCTORING = "SEB_PROCTORING"
    RECONFIGURE = "SEB_RECONFIGURE_SETTINGS"
    LOCK_SCREEN = "SEB_FORCE_LOCK_SCREEN"
    NOTIFICATION_CONFIRM = "NOTIFICATION_CONFIRM"

    @property
    def is_confirmed(self) -> bool:
        """Whether we ask the client to confirm it (seb-client-api.md §4.3)."""
        return self in {InstructionType.PROCTORING, InstructionType.RECONFIGURE}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One thing we want a SEB to do. All attribute values are strings on the wire."""

    id: int
    connection_id: int
    type: InstructionType
    attributes: dict[str, str] = field(default_factory=dict)
    created_at: int = 0
    not_before: int = 0
    """Ms since the epoch; a join that arrives before the client listens is confirmed and lost (§4.6)."""
    revision: int | None = None
    """The desired place this is a step towards, if confirming it means that the client acts on that one."""


@dataclass(frozen=True, slots=True)
class Device:
    """What a SEB says of itself at the handshake. Never an identity: names repeat (§8 Q27)."""

    account_name: str | None = None
    machine_name: str | None = None
    os_name: str | None = None
    seb_version: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """Whose exams somebody looks back on; None is everybody's."""

    institution_id: int | None = None
    supporter_id: int | None = None


@dataclass(frozen=True, slots=True)
class EventWish:
    """Which client events to look for; everything that is said must fit."""

    words: tuple[str, ...] = ()
    """Each stands in the text, whatever the case."""
    types: frozenset[EventType] = frozenset()
    since: int | None = None
    until: int | None = None
    """Server times, ms; `until` is not included."""
    value_from: float | None = None
    value_to: float | None = None
    candidate: str = ""
    """Words of the candidate's name, user id or computer."""
    exam_id: int | None = None
    exam: str = ""
    """Words of the exam's name."""
    connection_id: int | None = None


@dataclass(frozen=True, slots=True)
class FinishedExam:
    """An exam that is over, in a list."""

    id: int
    institution_id: int
    institution: str
    name: str
    starts_at: datetime
    ended_at: datetime
    time_zone: str
    is_archived: bool
    connections: int
    errors: int
    warnings: int


class MomentKind(StrEnum):
    """Where a moment of a connection's timeline comes from."""

    STATE = "state"
    ROOM = "room"
    DEED = "deed"
    INSTRUCTION = "instruction"
    NOTIFICATION = "notification"
    NOTE = "note"
    """What a proctor wrote of the candidate, incidents too."""
    MESSAGE = "message"
    """What proctors and the candidate wrote to each other."""
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a connection. `what` is a stable word of its kind; `at` is server time, ms."""

    at: int
    kind: MomentKind
    id: int
    what: str
    text: str = ""
    """What a client or a proctor wrote."""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    sealed: str = ""
    """An instruction's attributes, encrypted; only the service opens them."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a page of a timeline ended: what comes behind this moment is still to come."""

    at: int
    rank: int
    id: int

    def __str__(self) -> str:
        return f"{self.at}-{self.rank}-{self.id}"


# --- the monitoring desk ---


class DeskDeed(StrEnum):
    """What a proctor does to one candidate or to many at once."""

    SETTLE = "settle"
    """Answer raised hands."""
    LOCK = "lock"
    UNLOCK = "unlock"
    QUIT = "quit"
    DISABLE = "disable"
    """Mark a lost or closed connection as cancelled."""


class Answer(StrEnum):
    """What became of an instruction of a proctor."""

    WAITING = "waiting"
    """The client has not pinged since."""
    DELIVERED = "delivered"
    """It went out with a ping; nothing shows yet that the client acted on it."""
    DONE = "done"
    """The client did it: it is locked, or it has left."""
    NO_ANSWER = "no_answer"
    """Delivered, and nothing came of it."""
    NOT_DELIVERED = "not_delivered"
    """The client did not fetch it in time, or left before."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The newest instruction of a proctor to one client, and what is known of it. Times in ms."""

    id: int
    deed: DeskDeed
    asked_at: int
    sent_at: int | None = None
    done_at: int | None = None


class NoteCategory(StrEnum):
    """What a note is about; the office's words, few enough for one tap."""

    IDENTITY = "identity"
    MATERIAL = "material"
    TALKING = "talking"
    ABSENCE = "absence"
    TECHNICAL = "technical"
    HELP = "help"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a proctor wrote of a candidate. Never deleted: one that was a mistake is taken back, and says by whom."""

    id: int
    exam_id: int
    connection_id: int
    candidate: str
    """The user id at that time: the note follows the person to the next connection. Blank when nobody was known."""
    category: NoteCategory
    is_incident: bool
    happened_at: int
    text: str
    author_id: int | None
    author: str
    created_at: int
    changed_at: int | None = None
    changed_by: str | None = None
    taken_back_at: int | None = None
    taken_back_by: str | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Duty:
    """Who is responsible for a room."""

    exam_id: int
    room_id: int
    user_id: int
    name: str
    since: int
