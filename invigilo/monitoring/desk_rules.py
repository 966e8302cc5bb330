"""What may be done to whom, and how many at once. Pure; the steps are in `desk.py`.

Codes of refusals: `count_differs`, `too_many`, `connection_closed`, `cannot_lock`, `not_locked`, `no_hand`, `still_alive`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from invigilo import fields
from invigilo.errors import BadInput, Refused
from invigilo.monitoring.capability import Capability
from invigilo.monitoring.model import ConnectionState, DeskDeed, Notification, NotificationKind
from invigilo.monitoring.rules import refuse_disabling

LONGEST_MESSAGE = 300
MOST_AT_ONCE = 5_000

KINDS = {DeskDeed.SETTLE: NotificationKind.RAISE_HAND, DeskDeed.UNLOCK: NotificationKind.LOCK_SCREEN}


@dataclass(frozen=True, slots=True)
class DeedWish:
    """One deed on some connections of an exam, or on all that are open."""

    deed: DeskDeed
    connections: frozenset[int] | None
    """None is everybody who is connected."""
    count: int | None = None
    """How many the proctor was told it would be."""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What decides whether a deed fits one connection."""

    state: ConnectionState
    is_missing: bool
    capability: Capability
    notifications: Collection[Notification]


def check(wish: DeedWish, targets: int) -> None:
    """A deed on several needs the number its proctor saw: nobody ends a hundred exams with a click meant for one.

    Raises Refused (`count_differs`, `too_many`), BadInput.
    """
    if targets > MOST_AT_ONCE:
        raise Refused(
            "too_many",
            f"At most {MOST_AT_ONCE} at once.",
            key="too_many_at_once",
            values={"most": MOST_AT_ONCE},
        )
    if (wish.connections is None or targets > 1) and wish.count != targets:
        raise Refused(
            "count_differs",
            f"This would now concern {targets} candidates. Look again, and confirm that number.",
            values={"count": targets},
        )
    if len(wish.message) > LONGEST_MESSAGE or not fields.is_encodable(wish.message) or "\0" in wish.message:
        raise BadInput(f"The message is a text of at most {LONGEST_MESSAGE} characters.", field="message")


def refuse(deed: DeskDeed, target: Target) -> None:
    """Raise Refused unless the deed fits this connection."""
    if deed is DeskDeed.DISABLE:
        refuse_disabling(target.state, missing=target.is_missing)
        return
    if not target.state.is_open:
        raise Refused("connection_closed", "This SEB has left; nothing can be sent to it.")
    if deed is DeskDeed.LOCK and target.capability.is_known and not target.capability.lock_screen:
        raise Refused("cannot_lock", "This SEB version cannot be locked from here.")
    if deed in KINDS and not settles(deed, target.notifications):
        if deed is DeskDeed.SETTLE:
            raise Refused("no_hand", "No hand is raised here any more.")
        raise Refused("not_locked", "This screen is not locked.")


def settles(deed: DeskDeed, notifications: Collection[Notification]) -> list[Notification]:
    """The open notifications that a deed settles, oldest first."""
    kind = KINDS.get(deed)
    found = [one for one in notifications if one.kind is kind]
    return sorted(found, key=lambda one: (one.opened_at, one.number))
