"""Who goes into which collecting room, decided from the state alone (live-proctoring.md §3.2, right column)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from invigilo.exams.model import JoinBy
from invigilo.monitoring.capability import Capability
from invigilo.proctoring.model import Room, RoomKind

OPEN_RETRY_FIRST = 1_000  # ms
OPEN_RETRY_MOST = 30_000
JOIN_SETTLES = 3_000
"""Ms after a READY client's last step before its native join is due: one that comes before the client listens is
confirmed and lost (seb-client-api.md §4.6)."""


@dataclass(frozen=True, slots=True)
class Returning:
    """An earlier connection of the same candidate that is dead now."""

    connection_id: int
    room_id: int
    holds_place: bool


def choose_collecting_room(
    rooms: Sequence[Room], size: int | None, *, home: int | None = None
) -> Room | None:
    """The room a newly live client joins; None when a new one must be made.

    Rooms fill by number, so a proctor finds room 1 full before room 2 exists. A candidate who was in a room before (`home`)
    returns to it if it has a place. A room that is closing takes nobody, even with places free: its clients are already
    being sent away.
    """
    takes = sorted(
        (r for r in rooms if r.kind is RoomKind.COLLECTING and r.state.takes_members),
        key=attrgetter("number"),
    )
    free = [r for r in takes if size is None or r.member_count < size]
    return next((r for r in free if r.id == home), free[0] if free else None)


def next_number(rooms: Sequence[Room]) -> int:
    """Numbers count up per exam and kind and are never used twice; so closed rooms must be among `rooms`."""
    return max((r.number for r in rooms if r.kind is RoomKind.COLLECTING), default=0) + 1


def retry_delay(attempts: int) -> int:
    """Ms until a failed opening is tried again."""
    return min(OPEN_RETRY_FIRST * 2 ** min(attempts - 1, 10), OPEN_RETRY_MOST)


def joins_natively(capability: Capability, join_by: JoinBy, *, provider_can: bool) -> bool:
    """Whether this client is called in by instruction rather than by our page."""
    return join_by is JoinBy.NATIVE and provider_can and capability.join_jitsi


def takes_place(capability: Capability, join_by: JoinBy, *, provider_can: bool) -> bool:
    """Whether a client can take part at all; one that cannot is listed as such and holds no place."""
    return capability.can_camera_page or joins_natively(capability, join_by, provider_can=provider_can)
