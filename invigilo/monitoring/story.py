"""The story of one connection, for its page: notes, deeds with what became of them, hands and locks, comings and goings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from invigilo.clock import Clock
from invigilo.exams.model import Exam
from invigilo.monitoring import answers
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import Answer, Note
from invigilo.monitoring.notes import Notes
from invigilo.monitoring.service import Connections
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries import desk as queries
from invigilo.storage.work import WorkFactory

LONGEST = 200  # moments of each kind
_TOLD_ELSEWHERE = frozenset(
    {"connection_entered", "note_added", "incident_flagged", "note_changed", "note_taken_back"}
)
"""Looks at the page are no part of its story; notes tell of themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the story."""

    at: int
    kind: str
    """`note`, `deed`, `notification`, or `connection`."""
    what: str = ""
    """The deed's word, the notification's kind, or the state reached: `connected`, `established`, `left`."""
    text: str = ""
    who: str | None = None
    answer: Answer | None = None
    answered_at: int | None = None
    note: Note | None = None
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


class Stories:
    def __init__(self, *, reading: WorkFactory, connections: Connections, notes: Notes, clock: Clock) -> None:
        self._reading = reading
        self._connections = connections
        self._notes = notes
        self._clock = clock

    async def of(self, exam: Exam, live: LiveConnection) -> list[Moment]:
        """Newest first."""
        async with self._reading() as w:
            deeds = await queries.deeds_about(w.db, exam.id, live.id, without=_TOLD_ELSEWHERE, limit=LONGEST)
            instructions = await connection_queries.instructions_of(
                w.db, connection_id=live.id, types=list(set(answers.TYPES.values()))
            )
            notifications = await queries.notifications_of(w.db, live.id, LONGEST)
        sent = {stored.id: self._connections.sent_of(stored) for stored in instructions}
        now = self._clock.now_ms()
        moments = [_coming(live.created_at, "connected")]
        if live.established_at is not None:
            moments.append(_coming(live.established_at, "established"))
        if live.closed_at is not None:
            moments.append(_coming(live.closed_at, "left"))
        for deed in deeds:
            instruction = sent.get(deed.detail.get("instruction") or 0)
            known = (
                None
                if instruction is None
                else answers.answer_of(_same(instruction, live), is_open=live.state.is_open, now=now)
            )
            moments.append(
                Moment(
                    at=deed.at,
                    kind="deed",
                    what=deed.deed,
                    who=deed.actor,
                    answer=known,
                    answered_at=None if instruction is None else instruction.done_at or instruction.sent_at,
                    detail=deed.detail,
                )
            )
        moments += [
            Moment(
                at=one.opened_at,
                kind="notification",
                what=one.kind,
                text=one.text,
                who=one.settled_by,
                answered_at=one.settled_at,
            )
            for one in notifications
        ]
        notes = await self._notes.of_exam(exam, live=live, limit=LONGEST)
        moments += [
            Moment(at=note.happened_at, kind="note", text=note.text, who=note.author, note=note)
            for note in notes
        ]
        return sorted(moments, key=lambda one: one.at, reverse=True)


def _same(stored: answers.Sent, live: LiveConnection) -> answers.Sent:
    """Memory may have seen an answer that the database does not hold."""
    return answers.newer(stored, live.sent) if live.sent is not None and live.sent.id == stored.id else stored


def _coming(at: int, what: str) -> Moment:
    return Moment(at=at, kind="connection", what=what)
