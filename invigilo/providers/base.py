"""A meeting service as the rest of Invigilo sees it: one small protocol, everyone behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

from invigilo.errors import Sentence
from invigilo.monitoring.model import OsFamily


class Feature(StrEnum):
    """What only some services can do, declared and never guessed."""

    ISOLATES_CANDIDATES = "isolates_candidates"
    """The service itself refuses that candidates receive each other."""
    NATIVE_JOIN = "native_join"
    """Some SEB clients can enter its rooms by instruction."""
    REPORTS_PRESENCE = "reports_presence"
    """The service can say by itself who is in a room, once it is set up to."""
    OPENS_AT_ONCE = "opens_at_once"
    """A room needs no call to the service: it is there as soon as somebody belongs in it."""
    TAKES_ALL_AT_ONCE = "takes_all_at_once"
    """Any number may enter at the same moment; elsewhere they are let in one after the other."""
    TOWN_HALL = "town_hall"
    """Everybody of an exam in one room."""
    ONE_TO_ONE = "one_to_one"
    """A proctor with the candidates of their choice in a room of their own."""
    BROADCAST_AUDIO = "broadcast_audio"
    BROADCAST_VIDEO = "broadcast_video"
    """Candidates hear, and see, a proctor for as long as the proctor wants."""
    CHAT = "chat"
    """Candidates may write to the proctors."""
    KEEPS_MEETINGS = "keeps_meetings"
    """A room is something that stays at the service until it is deleted there, and holds so many people and no more
    (`KeepsMeetings`)."""


CALLS = (
    Feature.TOWN_HALL,
    Feature.ONE_TO_ONE,
    Feature.BROADCAST_AUDIO,
    Feature.BROADCAST_VIDEO,
    Feature.CHAT,
)
"""What a proctor may do beyond watching, where the service has it; one that lacks some says why (`Provider.cannot`)."""


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """The room to open. `name` is unguessable; `size` counts candidates, None is no limit."""

    name: str
    subject: str
    size: int | None
    ends_at: int | None = None
    """Ms since the epoch: when its exam is over, for services that want to know."""


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
    token: str = field(repr=False)

    def server_for(self, family: OsFamily) -> str:
        """The full address; for Windows only host, port and path, which its meeting library takes as domain."""
        if family is not OsFamily.WINDOWS:
            return self.server_url
        return self.server_url.removeprefix("https://").removeprefix("http://").rstrip("/")


@dataclass(frozen=True, slots=True)
class PageTicket:
    """Entry by our own page: the place itself is the ticket, the page's socket does the rest."""


@dataclass(frozen=True, slots=True)
class ZoomTicket:
    """Entry to a meeting at Zoom, for our page and for clients that join by themselves (zoom.md §4, §6.1)."""

    server_url: str
    number: str
    """Of the meeting; never to be counted with."""
    subject: str
    signature: str = field(repr=False)
    sdk_key: str
    passcode: str = field(repr=False)
    encrypted_passcode: str = field(repr=False)
    customer_key: str
    """Who this is in the meeting's events: opaque."""
    is_host: bool = False
    """Made to hold the meeting; the host key belongs to it, which only `host_key` fetches."""
    native_passcode: str = "encrypted"

    @property
    def native_key(self) -> str:
        """The passcode in the form that clients are given which join by themselves."""
        return self.passcode if self.native_passcode == "plain" else self.encrypted_passcode


JoinTicket = JitsiTicket | PageTicket | ZoomTicket

Headers = Mapping[str, str]
"""Of a request; names are looked up in any case."""


class Presence(StrEnum):
    """What a meeting service reports of its own accord."""

    ROOM_OPENED = "room_opened"
    ROOM_CLOSED = "room_closed"
    JOINED = "joined"
    LEFT = "left"
    REMOVED = "removed"
    """Somebody deleted the room at the service."""
    WAITS_FOR_HOST = "waits_for_host"
    """Somebody would come in, but the meeting has not begun: it wants its host first."""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A report of a meeting service whose sender was verified."""

    kind: Presence
    room: str
    """As in `RoomSpec.name`."""
    at_ms: int
    """By the service's clock."""
    key: str
    """The same for every repetition of this report."""
    participant: str = ""
    """One stay of somebody in the room: a second tab is another one."""
    identity: str | None = None
    """Who it is, as in the ticket; None when the service does not know."""
    is_moderator: bool | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A service wants to be told something before it reports; `answer` is the body of the reply."""

    answer: Mapping[str, str]


class Provider(Protocol):
    """A service that holds video meetings, set up with one exam's settings.

    All calls may be repeated: a restart repeats its last step. Failures are ProviderUnavailable (later),
    ProviderRefused (never, as asked) or ProviderCredentials (an administrator must act).
    """

    @property
    def features(self) -> frozenset[Feature]: ...
    @property
    def cannot(self) -> Mapping[Feature, Sentence]:
        """Of `CALLS` those it lacks, each with the reason for proctors."""
        ...

    hall_size: int | None
    """How many candidates its town hall bears; None: as many as come."""

    async def check(self) -> None:
        """Try address and credentials, as before saving; raises the error that a room would meet."""
        ...

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        """Make the room, or find it made."""
        ...

    async def close_room(self, room: RoomHandle) -> None:
        """End the meeting and remove what the service keeps of it; already gone is fine."""
        ...

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:
        """What this guest needs to enter. Computed, never fetched."""
        ...

    def identity_of(self, room: RoomHandle, identity: str) -> str:
        """How a guest of this identity is called in the room's events: opaque, and the same for every ticket."""
        ...

    def read_webhook(self, headers: Headers, body: bytes) -> ProviderEvent | Challenge | None:
        """Verify a report and read it; None when it is about nothing of ours.

        Raises NotAllowed when the sender is not the service, BadInput when the report cannot be read.
        """
        ...


class Condition(StrEnum):
    """How a room's meeting stands at the service."""

    WELL = "well"
    LOST = "lost"
    """It does not exist any more."""
    BLOCKED = "blocked"
    """It exists, but cannot begin: its host holds other meetings."""


@dataclass(frozen=True, slots=True)
class HostView:
    """A host of the service, for administrators to look at."""

    name: str
    live: int
    """Meetings booked on it now."""
    most: int
    creations: int
    """Of today, by UTC."""
    creations_most: int
    blocked_until: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Slots:
    """What a pool of hosts bears: every room and every call takes one slot."""

    free: int
    all: int


@runtime_checkable
class KeepsMeetings(Protocol):
    """What a provider with `Feature.KEEPS_MEETINGS` does besides."""

    async def host_key(self, room: RoomHandle) -> str:
        """The key by which a proctor's page holds this meeting: fetched for one entry, stored nowhere."""
        ...

    async def condition(self, room: RoomHandle) -> Condition:
        """Look at the service how the room's meeting stands."""
        ...

    async def give_up(self, room: RoomHandle, *, reason: str) -> None:
        """The room gets another meeting with the next `open_room`; the present one is deleted by `tidy`."""
        ...

    async def present(self, room: RoomHandle) -> list[ProviderEvent] | None:
        """Who is in the room now, as events; None when the service cannot be asked that."""
        ...

    async def tidy(self, wanted: Callable[[str], bool]) -> None:
        """Delete what is due: meetings given up, and those of rooms that are not `wanted` any more."""
        ...

    async def sweep(self) -> int:
        """Delete meetings that carry our mark and are known to nobody here; returns how many there were."""
        ...

    def host_views(self) -> list[HostView]: ...

    def leftovers(self) -> int:
        """Meetings that should be gone and are not."""
        ...

    def slots(self) -> Slots:
        """How many meetings its hosts may hold at once, and how many more of them now."""
        ...

    def has_host(self, room: RoomHandle) -> bool:
        """Whether a host is booked for this room, open yet or not."""
        ...

    def why_full(self) -> Sentence:
        """Why no host takes another meeting, and what to do, for proctors."""
        ...

    async def learn_capacities(self) -> None:
        """Ask how many people a meeting of each host holds, which limits town halls. Raises ProviderError."""
        ...
