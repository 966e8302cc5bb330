"""A meeting service as the rest of Invigilo sees it: one small protocol, everyone behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from invigilo.monitoring.model import OsFamily


class Feature(StrEnum):
    """What only some services can do, declared and never guessed."""

    ISOLATES_CANDIDATES = "isolates_candidates"
    """The service itself refuses that candidates receive each other."""
    NATIVE_JOIN = "native_join"
    """Some SEB clients can enter its rooms by instruction."""


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """The room to open. `name` is unguessable; `size` counts candidates, None is no limit."""

    name: str
    subject: str
    size: int | None


@dataclass(frozen=True, slots=True)
class RoomHandle:
    """A room that exists at the service."""

    name: str
    subject: str


@dataclass(frozen=True, slots=True)
class Guest:
    """Who enters: one candidate's client, or a proctor."""

    identity: str
    display_name: str
    is_proctor: bool
    expires_at: int
    """Ms since the epoch: the exam's end plus grace."""


@dataclass(frozen=True, slots=True)
class JitsiTicket:
    """Entry to a Jitsi room. The form of the address depends on the client (seb-client-api.md §8 Q16)."""

    server_url: str
    room: str
    subject: str
    token: str

    def server_for(self, family: OsFamily) -> str:
        """The full address; for Windows only host, port and path, which its meeting library takes as domain."""
        if family is not OsFamily.WINDOWS:
            return self.server_url
        return self.server_url.removeprefix("https://").removeprefix("http://").rstrip("/")


@dataclass(frozen=True, slots=True)
class PageTicket:
    """Entry by our own page: the place itself is the ticket, the page's socket does the rest."""


JoinTicket = JitsiTicket | PageTicket


class Provider(Protocol):
    """A service that holds video meetings, set up with one exam's settings.

    All calls may be repeated: a restart repeats its last step. Failures are ProviderUnavailable (later),
    ProviderRefused (never, as asked) or ProviderCredentials (an administrator must act).
    """

    features: frozenset[Feature]

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        """Make the room, or find it made."""
        ...

    async def close_room(self, room: RoomHandle) -> None:
        """End the meeting and remove what the service keeps of it; already gone is fine."""
        ...

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:
        """What this guest needs to enter. Computed, never fetched."""
        ...
