"""What is known of one candidate in the meeting of a service: who says so, and since when.

Three may say something: the candidate's own page, the service itself (its reports), and proctors' pages that are in the
room. None of it is stored: after a restart the pages tell again within a second, and until then it is unknown, not untrue
(jitsi.md §6). Times are ms since the epoch by our clock, except a report's rank, which is by the service's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SIGHT_PROOF_MS = 4_000
"""A proctor's page in a meeting says once a second whom it finds there."""
CLOCK_SKEW_MS = 5_000
STAYS = 20
"""Of one candidate that are remembered; each reload of a page is a new one."""


class PageState(StrEnum):
    """What the candidate's page says of its own way into the meeting."""

    NONE = "none"
    """Nothing so far, or it has no place to enter."""
    JOINING = "joining"
    JOINED = "joined"
    SCRIPT_FAILED = "script_failed"
    """The meeting server's script did not load."""
    UNREACHABLE = "unreachable"
    """The script loaded, but no connection to the meeting came about."""
    REFUSED = "refused"
    """The meeting server did not take the entry token."""
    LOCKED = "locked"
    """The room has a password or a lobby, which none of ours has."""
    FULL = "full"
    KICKED = "kicked"
    LOST = "lost"
    """It was in; the connection broke and is being made anew."""
    NO_HOST = "no_host"
    """The meeting has not begun: it wants its host first."""
    OUTDATED = "outdated"
    """The service does not let in such an old version of its program."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one proctor's page in the room found of this candidate, and when."""

    at: int
    room_id: int
    is_present: bool
    has_video: bool = False
    is_moderator: bool = False


@dataclass(slots=True)
class MeetingFacts:
    """What others than the candidate's own page say, which is `PageFacts.meeting`."""

    stays: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])
    """What the service reported: one stay in a room → twice its time, and one more when that stay is over."""
    moderator_reported: bool = False
    sights: dict[str, Sight] = field(default_factory=dict[str, Sight])
    """By the proctor's page, as peers are called."""
    watched_since: int | None = None

    def report(self, room_id: int, participant: str, *, at_ms: int, left: bool) -> bool:
        """Take in what the service says of one stay; False when something later is known."""
        rank, stay = at_ms * 2 + left, (room_id, participant)
        if rank <= self.stays.get(stay, -1):
            return False
        self.stays.pop(stay, None)
        self.stays[stay] = rank
        while len(self.stays) > STAYS:
            del self.stays[next(iter(self.stays))]
        return True

    def end_stays(self, room_id: int, at_ms: int) -> bool:
        """The service closed the room: whatever began before is over."""
        open_ones = [
            stay
            for stay, rank in self.stays.items()
            if stay[0] == room_id and rank % 2 == 0 and rank <= at_ms * 2
        ]
        for stay in open_ones:
            self.stays[stay] = at_ms * 2 + 1
        return bool(open_ones)

    def sight(self, peer: str, sight: Sight) -> bool:
        """Take in what a proctor's page found; False when that is what it said before."""
        before = self.sights.get(peer)
        if self.watchers(sight.room_id, sight.at) == 0:
            self.watched_since = sight.at
        self.sights[peer] = sight
        return before is None or (
            before.room_id, before.is_present, before.has_video, before.is_moderator,
        ) != (
            sight.room_id, sight.is_present, sight.has_video, sight.is_moderator,
        )  # fmt: skip

    def proctor_left(self, peer: str) -> bool:
        return self.sights.pop(peer, None) is not None

    def fresh(self, now: int) -> list[Sight]:
        return [s for s in self.sights.values() if -CLOCK_SKEW_MS <= now - s.at < SIGHT_PROOF_MS]

    def fresh_in(self, room_id: int | None, now: int) -> list[Sight]:
        return [s for s in self.fresh(now) if s.room_id == room_id]

    def watchers(self, room_id: int | None, now: int) -> int:
        """Proctors' pages that are in the candidate's room now."""
        return len(self.fresh_in(room_id, now))

    def present(self, room_id: int | None, now: int) -> bool | None:
        """Whether the candidate is in the meeting of this room, where it should be; None when nobody can say.

        The service's own reports come first (architecture.md §5). One that says "joined" while a proctor in the room
        finds nobody is not believed either: reports get lost, and a crashed server sends no "left".
        """
        sights = self.fresh_in(room_id, now)
        is_seen = any(s.is_present for s in sights)
        stays = [rank for stay, rank in self.stays.items() if stay[0] == room_id]
        if stays:
            is_reported = any(rank % 2 == 0 for rank in stays)
            return None if is_reported and sights and not is_seen else is_reported
        return is_seen if sights else None

    def is_moderator(self, now: int) -> bool:
        """The candidate has a moderator's rights, by whoever knows."""
        return self.moderator_reported or any(s.is_moderator for s in self.fresh(now))

    def as_json(self) -> dict[str, Any]:
        """For the other nodes."""
        sights = {
            peer: [s.at, s.room_id, s.is_present, s.has_video, s.is_moderator]
            for peer, s in self.sights.items()
        }
        return {
            "stays": [[*stay, rank] for stay, rank in self.stays.items()],
            "moderator_reported": self.moderator_reported,
            "sights": sights,
        }

    def take(self, facts: dict[str, Any]) -> None:
        """Merge what another node heard: of each stay and each proctor's page the newest counts."""
        for room_id, participant, rank in facts["stays"]:
            self.report(room_id, participant, at_ms=rank // 2, left=bool(rank % 2))
        self.moderator_reported = self.moderator_reported or facts["moderator_reported"]
        for peer, (at, room_id, is_present, has_video, is_moderator) in facts["sights"].items():
            known = self.sights.get(peer)
            if known is None or known.at < at:
                self.sight(peer, Sight(at, room_id, is_present, has_video, is_moderator))
