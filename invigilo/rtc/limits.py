"""How much one socket may send: sizes in bytes, rates per second. A page of ours stays far below all of them."""

from __future__ import annotations

from dataclasses import dataclass

MESSAGE_SIZE = 96 * 1024
"""An SDP with many candidates is about 10 kB."""
STILL_SIZE = 48 * 1024
CANDIDATE_RATE, CANDIDATE_BURST = 40.0, 400.0
"""Messages; trickling ICE candidates for several proctors come in bursts."""
PROCTOR_RATE, PROCTOR_BURST = 400.0, 6_000.0
"""A room of 25 opened at once: 25 watches, 25 answers, some hundred ICE candidates; an overview of 200 more."""
STILL_RATE, STILL_BURST = 2.0, 5.0
ENTRY_RATE, ENTRY_BURST = 0.5, 6.0
"""Tickets for a meeting; a page that fails to enter asks again with growing pauses."""
HOLD_RATE, HOLD_BURST = 4.0, 30.0
"""What a proctor's page lets rooms perceive; a page says it again every three seconds, for each room it holds."""
SAY_RATE, SAY_BURST = 0.2, 5.0
"""Messages a candidate writes."""
PEERS_PER_CANDIDATE = 8
"""Each proctor watching costs the candidate an upload; beyond this a proctor sees stills."""
WATCHES_PER_PROCTOR = 110
"""A town hall is spoken to by one connection to each of its hundred candidates."""
SOCKETS_PER_PROCTOR = 20
"""Open pages of one person on one node: windows of rooms, the overview, the monitoring page."""
OUTBOX_MESSAGES = 4_000
OFFENCES = 20
"""Refused messages after which a socket is closed (4008)."""


@dataclass(slots=True)
class Allowance:
    """A bucket that fills with time; `take` says whether there was still something in it."""

    rate: float
    burst: float
    level: float = -1.0
    at: float = 0.0

    def take(self, now: float) -> bool:
        if self.level < 0:
            self.level, self.at = self.burst, now
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True
