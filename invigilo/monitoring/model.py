"""SEB clients as the server knows them: connections, events, notifications, instructions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


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
