"""The queue of instructions waiting for one client (seb-client-api.md §4.3).

Rules kept: at most ten wait, the oldest is dropped; one per ping; one that needs no confirmation is gone when sent; one that
needs it goes to the tail and is sent again, never sooner than `RESEND_AFTER`, until confirmed; nothing is sent later than
`LIFETIME` after it became due. What a client should do in its meeting is its latest wish, not the history of wishes: a newer
one ends older ones in the database (`Connections.instruct`), and the queue follows. The steps of one wish (reset, join,
what is perceived there) go out one after the other, the next once the one before is confirmed: sent again out of its
turn, a reset would silence what came after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from invigilo.monitoring.model import Instruction, InstructionType

CAPACITY = 10
RESEND_AFTER = 5_000  # ms; the pings of Apple clients overlap, and iOS restarts its meeting on every join
LIFETIME = 60_000  # ms

STEPS = frozenset({InstructionType.PROCTORING, InstructionType.RECONFIGURE})
"""Towards a place in a meeting: newer ones replace older ones, and they keep their order."""


@dataclass(slots=True)
class Pending:
    instruction: Instruction
    sent_at: int | None = None

    @property
    def due_from(self) -> int:
        return max(self.instruction.created_at, self.instruction.not_before)


@dataclass(slots=True)
class InstructionQueue:
    """Waiting instructions of one connection, oldest first. Pure: the caller stores and sends."""

    waiting: list[Pending] = field(default_factory=list[Pending])

    def __bool__(self) -> bool:
        return bool(self.waiting)

    def __contains__(self, instruction_id: int) -> bool:
        return any(p.instruction.id == instruction_id for p in self.waiting)

    def keep(self, ids: set[int]) -> None:
        """Forget those that are done elsewhere."""
        self.waiting = [p for p in self.waiting if p.instruction.id in ids]

    def add(self, instruction: Instruction, *, sent_at: int | None = None) -> list[int]:
        """Queue one; returns the ids dropped from a full queue."""
        if instruction.id in self:
            return []  # told twice, by the bus and by a reload
        pushed: list[int] = []
        self.waiting.append(Pending(instruction, sent_at))
        while len(self.waiting) > CAPACITY:
            pushed.append(self.waiting.pop(0).instruction.id)
        return pushed

    def confirm(self, instruction_id: int) -> Instruction | None:
        """The client has it; returns what it was. An unknown or repeated confirmation changes nothing."""
        for at, pending in enumerate(self.waiting):
            if pending.instruction.id == instruction_id and pending.instruction.type.is_confirmed:
                del self.waiting[at]
                return pending.instruction
        return None

    def expire(self, now: int) -> list[int]:
        """Forget what is too old to be sent; returns the ids."""
        expired = [p.instruction.id for p in self.waiting if now - p.due_from > LIFETIME]
        if expired:
            self.waiting = [p for p in self.waiting if p.instruction.id not in expired]
        return expired

    def next(self, now: int) -> Instruction | None:
        """What this ping should carry. It counts as sent only after `mark_sent`."""
        young = [p for p in self.waiting if now - p.due_from <= LIFETIME]
        turn = min((p.instruction.id for p in young if p.instruction.type in STEPS), default=None)
        for pending in young:
            is_step = pending.instruction.type in STEPS
            resting = pending.sent_at is not None and now - pending.sent_at < RESEND_AFTER
            waits = is_step and pending.instruction.id != turn
            if pending.due_from <= now and not resting and not waits:
                return pending.instruction
        return None

    def mark_sent(self, instruction_id: int, now: int) -> None:
        """It travels with this ping: to the tail if it must be confirmed, else gone."""
        for at, pending in enumerate(self.waiting):
            if pending.instruction.id == instruction_id:
                del self.waiting[at]
                if pending.instruction.type.is_confirmed:
                    pending.sent_at = now
                    self.waiting.append(pending)
                return

    def drop(self, instruction_id: int) -> None:
        """Another node sent it, or it is no longer wanted."""
        self.waiting = [p for p in self.waiting if p.instruction.id != instruction_id]
