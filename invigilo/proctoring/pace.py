"""How fast clients are let into the meetings of a service: what a meeting server's join queue bears (jitsi.md §10)."""

from __future__ import annotations

from dataclasses import dataclass, field

JOIN_EVERY = 500
"""Ms between two entries into one room."""
AT_ONCE = 3
"""Entries that need not wait when a room has been quiet; as many a second is where a room's own queue begins."""
REMEMBERED = 5_000


@dataclass(slots=True)
class Pace:
    """Deals out the moments to enter, one room apart from the other. Of one node: two nodes let in twice as many."""

    _next: dict[int, int] = field(default_factory=dict[int, int])

    def wait(self, room_id: int, now: int) -> int:
        """Ms until the next entry into this room; whoever asks has it."""
        if len(self._next) > REMEMBERED:
            self._next = {room: at for room, at in self._next.items() if at > now}
        at = max(self._next.get(room_id, 0), now)
        self._next[room_id] = at + JOIN_EVERY
        return max(0, at - now - (AT_ONCE - 1) * JOIN_EVERY)
