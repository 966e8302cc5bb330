"""What a client answered to a proctor's instruction. Pure.

SEB confirms none of these instructions (seb-client-api.md §4.3); what it does shows all the same: a lock shows as its own
lock-screen notification, quitting as its goodbye. Settling a hand or unlocking has no visible answer, so there delivery is
the last thing that can be known, and nothing more is claimed.
"""

from __future__ import annotations

from dataclasses import replace

from invigilo.monitoring.instructions import LIFETIME
from invigilo.monitoring.model import Answer, DeskDeed, InstructionType, Sent

ANSWER_WITHIN = 15_000  # ms from delivery until silence counts as no answer
SHOWN_FOR = 60_000  # ms a good end stays on the row
TROUBLE_SHOWN_FOR = 600_000  # ms a bad one does

TYPES = {
    DeskDeed.QUIT: InstructionType.QUIT,
    DeskDeed.LOCK: InstructionType.LOCK_SCREEN,
    DeskDeed.SETTLE: InstructionType.NOTIFICATION_CONFIRM,
    DeskDeed.UNLOCK: InstructionType.NOTIFICATION_CONFIRM,
}
_HAS_ANSWER = frozenset({DeskDeed.QUIT, DeskDeed.LOCK})


def deed_of(type_: InstructionType, notification_kind: str | None) -> DeskDeed | None:
    """Which deed an instruction carries out; None for those the server sends by itself."""
    match type_:
        case InstructionType.QUIT:
            return DeskDeed.QUIT
        case InstructionType.LOCK_SCREEN:
            return DeskDeed.LOCK
        case InstructionType.NOTIFICATION_CONFIRM:
            return DeskDeed.UNLOCK if notification_kind == "lockscreen" else DeskDeed.SETTLE
        case _:
            return None


def newer(known: Sent | None, heard: Sent) -> Sent:
    """Only the newest instruction is followed; of the same one nothing that is known is forgotten."""
    if known is None or heard.id > known.id:
        return heard
    if heard.id < known.id:
        return known
    return replace(
        known,
        sent_at=heard.sent_at if known.sent_at is None else known.sent_at,
        done_at=heard.done_at if known.done_at is None else known.done_at,
    )


def after_looking(sent: Sent, *, is_open: bool, is_locked: bool, now: int) -> Sent:
    """Note that the client did as it was told, once that shows. A client that was locked already needs no second lock."""
    if sent.done_at is not None or sent.sent_at is None:
        return sent
    did_it = (sent.deed is DeskDeed.LOCK and is_locked) or (sent.deed is DeskDeed.QUIT and not is_open)
    return replace(sent, done_at=now) if did_it else sent


def answer_of(sent: Sent, *, is_open: bool, now: int) -> Answer:
    """Where the instruction stands now."""
    if sent.done_at is not None:
        return Answer.DONE
    if sent.sent_at is None:
        is_late = now - sent.asked_at > LIFETIME
        return Answer.NOT_DELIVERED if is_late or not is_open else Answer.WAITING
    is_silent = sent.deed in _HAS_ANSWER and now - sent.sent_at > ANSWER_WITHIN
    return Answer.NO_ANSWER if is_silent else Answer.DELIVERED


def is_shown(sent: Sent, answer: Answer, *, now: int) -> bool:
    """Whether the row still speaks of it."""
    is_bad = answer in {Answer.NO_ANSWER, Answer.NOT_DELIVERED}
    since = max(at for at in (sent.asked_at, sent.sent_at, sent.done_at) if at is not None)
    return now - since < (TROUBLE_SHOWN_FOR if is_bad else SHOWN_FOR)
