"""Which host holds which room's meeting at Zoom: bookings, and what each host has left of its day.

A host has one live meeting at once, or two, and a hundred creations a day (zoom.md §3.1, §3.3). So a room is booked on a
host before Zoom is asked, and the booking stays until the meeting is deleted there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

CREATIONS_A_DAY = 100
WARN_AT = 80
DAY_MS = 86_400_000


class BookingState(StrEnum):
    BOOKED = "booked"
    """Nothing was asked of Zoom yet, or it refused."""
    CREATING = "creating"
    """Zoom was asked, and no answer is known: there may be a meeting."""
    OPEN = "open"
    DELETING = "deleting"
    """Not wanted any more; tried until it is gone."""
    GIVEN_UP = "given_up"
    """Could not be deleted in a week. An administrator should look."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A room's meeting at a host, or the wish for one."""

    id: int
    room: str
    host: str
    state: BookingState
    created_at: int
    meeting_id: str = ""
    passcode: str = field(default="", repr=False)
    encrypted_passcode: str = field(default="", repr=False)
    waits_for_host: bool = False
    """The account does not let candidates begin without a host."""
    is_focused: bool = True
    """Participants see hosts only, so a host may be shown to them."""
    attempts: int = 0
    """Deletions that failed."""
    retry_at: int = 0
    reason: str = ""

    @property
    def is_current(self) -> bool:
        """The room's own meeting, rather than one it had before."""
        return self.state in {BookingState.BOOKED, BookingState.CREATING, BookingState.OPEN}


@dataclass(frozen=True, slots=True)
class HostState:
    """What is known of a host beside its bookings."""

    host: str
    day: int = 0
    creations: int = 0
    """Create and update calls of that day (UTC)."""
    blocked_until: int = 0
    reason: str = ""

    def creations_on(self, now: int) -> int:
        return self.creations if self.day == now // DAY_MS else 0

    def is_blocked(self, now: int) -> bool:
        return now < self.blocked_until or self.creations_on(now) >= CREATIONS_A_DAY


def choose_host(
    hosts: Sequence[str],
    states: Mapping[str, HostState],
    bookings: Collection[Booking],
    *,
    per_host: int,
    now: int,
    avoid: Collection[str] = (),
) -> str | None:
    """The host for one more room; None when none may take it.

    The least busy first, then the one with most of its day left, so a hundred rooms in a day do not all fall on one host.
    """
    left = slots_left(hosts, states, bookings, per_host=per_host, now=now)
    free = [host for host in hosts if host not in avoid and left[host] > 0]
    day = {host: states.get(host, HostState(host)).creations_on(now) for host in free}
    return min(free, key=lambda host: (-left[host], day[host]), default=None)


def slots_left(
    hosts: Sequence[str],
    states: Mapping[str, HostState],
    bookings: Collection[Booking],
    *,
    per_host: int,
    now: int,
) -> dict[str, int]:
    """How many more meetings each host may hold now. One that is being deleted still counts: it may be live."""
    left = dict.fromkeys(hosts, per_host)
    for one in bookings:
        if one.host in left and one.state is not BookingState.GIVEN_UP:
            left[one.host] -= 1
    return {
        host: 0 if states.get(host, HostState(host)).is_blocked(now) else max(0, count)
        for host, count in left.items()
    }


class HostBook(Protocol):
    """Where bookings are kept. Reading asks memory; writing is stored before it returns."""

    @property
    def instance(self) -> str:
        """Which Invigilo this is, for the mark on its meetings."""
        ...

    def bookings(self) -> Collection[Booking]: ...

    def hosts(self) -> Mapping[str, HostState]: ...

    async def book(
        self, room: str, hosts: Sequence[str], *, per_host: int, now: int, avoid: Collection[str] = ()
    ) -> Booking | None:
        """The room's current booking, or a new one; None when no host is free."""
        ...

    async def change(self, booking: Booking, **values: Any) -> Booking: ...

    async def remove(self, booking: Booking) -> None: ...

    async def count_creation(self, host: str, *, now: int) -> int:
        """Note one more create or update call; returns how many there were today."""
        ...

    async def block(self, host: str, *, until: int, reason: str) -> None: ...


def current(book: HostBook, room: str) -> Booking | None:
    return next((one for one in book.bookings() if one.room == room and one.is_current), None)


def of_meeting(book: HostBook, meeting_id: str) -> Booking | None:
    return next((one for one in book.bookings() if one.meeting_id == meeting_id), None)


class MemoryBook:
    """A book that is forgotten with its process: for proofs, and for trying things out."""

    instance = "memory"

    def __init__(self) -> None:
        self._bookings: dict[int, Booking] = {}
        self._hosts: dict[str, HostState] = {}
        self._next = 1

    def bookings(self) -> Collection[Booking]:
        return self._bookings.values()

    def hosts(self) -> Mapping[str, HostState]:
        return self._hosts

    async def book(
        self, room: str, hosts: Sequence[str], *, per_host: int, now: int, avoid: Collection[str] = ()
    ) -> Booking | None:
        known = current(self, room)
        if known is not None:
            return known
        host = choose_host(
            hosts, self._hosts, self._bookings.values(), per_host=per_host, now=now, avoid=avoid
        )
        if host is None:
            return None
        made = Booking(self._next, room, host, BookingState.BOOKED, now)
        self._next += 1
        self._bookings[made.id] = made
        return made

    async def change(self, booking: Booking, **values: Any) -> Booking:
        changed = replace(self._bookings.get(booking.id, booking), **values)
        self._bookings[booking.id] = changed
        return changed

    async def remove(self, booking: Booking) -> None:
        self._bookings.pop(booking.id, None)

    async def count_creation(self, host: str, *, now: int) -> int:
        known = self._hosts.get(host, HostState(host))
        made = replace(known, day=now // DAY_MS, creations=known.creations_on(now) + 1)
        self._hosts[host] = made
        return made.creations

    async def block(self, host: str, *, until: int, reason: str) -> None:
        known = self._hosts.get(host, HostState(host))
        self._hosts[host] = replace(known, blocked_until=until, reason=reason)
