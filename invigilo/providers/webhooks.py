"""Reports of meeting services: whose they are, and which of them are news.

Repetition and disorder are normal (jitsi.md §4, §6): a report may come twice, and "left" may come before "joined".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, cast

from invigilo.errors import BadInput, NotAllowed
from invigilo.providers.base import Headers, Presence, ProviderEvent
from invigilo.providers.jitsi_tokens import ROOM_NAME

LARGEST_REPORT = 64 * 1024  # bytes
MAY_BE_OLD = 300.0  # seconds; a signed report seen on its way is of no use to anybody later
_MILLISECONDS = 100_000_000_000
REMEMBERED = 20_000


def header(headers: Headers, name: str) -> str:
    """The value, whatever the case of its name; empty when it is not there."""
    return next((value for key, value in headers.items() if key.lower() == name), "")


def check_bearer(headers: Headers, secret: str) -> None:
    """For services that send a fixed token. Raises NotAllowed."""
    kind, _, given = header(headers, "authorization").partition(" ")
    if not secret or kind.lower() != "bearer":
        raise NotAllowed("This report does not say whose it is.")
    if not hmac.compare_digest(given.strip().encode(), secret.encode()):
        raise NotAllowed("This report is not from the meeting service.")


def check_signature(headers: Headers, body: bytes, secret: str, *, now_ms: int) -> None:
    """`X-Jaas-Signature: t=<time>,v1=<base64>[,v1=…]` over time, dot and body (jitsi.md §4). Raises NotAllowed.

    The time is seconds in the vendor's example and milliseconds at one consumer: either is taken, by its size.
    """
    parts = [one.strip().partition("=") for one in header(headers, "x-jaas-signature").split(",")]
    stamp = next((value for scheme, _, value in parts if scheme == "t"), "")
    if not secret or not (stamp.isascii() and stamp.isdigit() and len(stamp) < 20):
        raise NotAllowed("This report is not signed.")
    wanted = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).digest()
    given = [_decoded(value) for scheme, _, value in parts if scheme == "v1"][:10]
    if not any(hmac.compare_digest(one, wanted) for one in given):
        raise NotAllowed("This report is not from the meeting service.")
    sent_ms = int(stamp) if int(stamp) > _MILLISECONDS else int(stamp) * 1000
    if abs(now_ms - sent_ms) > MAY_BE_OLD * 1000:
        raise NotAllowed("This report is too old, or the clocks differ.")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def read_json(body: bytes) -> dict[str, Any]:
    """Raises BadInput."""
    if len(body) > LARGEST_REPORT:
        raise BadInput("A report of a meeting service is smaller than that.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise BadInput("A report of a meeting service is a JSON object.") from None
    if not isinstance(found, dict):
        raise BadInput("A report of a meeting service is a JSON object.")
    return cast("dict[str, Any]", found)


# --- event_sync, the component for a Jitsi of one's own (jitsi.md §6) ---

_EVENT_SYNC = {
    "muc-room-created": Presence.ROOM_OPENED,
    "muc-room-destroyed": Presence.ROOM_CLOSED,
    "muc-occupant-joined": Presence.JOINED,
    "muc-occupant-left": Presence.LEFT,
}
_TIMES = {
    Presence.ROOM_OPENED: "created_at",
    Presence.ROOM_CLOSED: "destroyed_at",
    Presence.JOINED: "joined_at",
    Presence.LEFT: "left_at",
}


def read_event_sync(body: bytes) -> ProviderEvent | None:
    """A report whose sender was checked; None for rooms and events that are not ours. Raises BadInput."""
    report = read_json(body)
    kind = _EVENT_SYNC.get(str(report.get("event_name")))
    room = report.get("room_name")
    if kind is None or report.get("is_breakout") is True or not _is_room(room):
        return None
    occupant = report.get("occupant")
    who = cast("dict[str, Any]", occupant) if isinstance(occupant, dict) else {}
    is_person = kind in {Presence.JOINED, Presence.LEFT}
    at = _time((who if is_person else report).get(_TIMES[kind]))
    participant = _text(who.get("occupant_jid"))
    if is_person and not participant:
        raise BadInput("A report about somebody says who.", field="occupant.occupant_jid")
    return ProviderEvent(
        kind=kind,
        room=str(room),
        at_ms=at,
        key=f"{kind.value}:{room}:{participant}:{at}",
        participant=participant,
        identity=_text(who.get("id")) or None,
    )


# --- JaaS (jitsi.md §4) ---

_JAAS = {
    "ROOM_CREATED": Presence.ROOM_OPENED,
    "ROOM_DESTROYED": Presence.ROOM_CLOSED,
    "PARTICIPANT_JOINED": Presence.JOINED,
    "PARTICIPANT_LEFT": Presence.LEFT,
}


def read_jaas(body: bytes, *, app_id: str) -> ProviderEvent | None:
    """A report whose signature was checked; None for other tenants, rooms and events. Raises BadInput."""
    report = read_json(body)
    kind = _JAAS.get(str(report.get("eventType")))
    tenant, _, room = str(report.get("fqn", "")).partition("/")
    content = report.get("data")
    data = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    if kind is None or tenant != app_id or not _is_room(room) or data.get("isBreakout") in {True, "true"}:
        return None
    key = _text(report.get("idempotencyKey"))
    if not key:
        raise BadInput("A report has a key by which its repetitions are known.", field="idempotencyKey")
    moderator = data.get("moderator")
    return ProviderEvent(
        kind=kind,
        room=room,
        at_ms=_time(report.get("timestamp")),
        key=key,
        participant=_text(data.get("participantJid")) or _text(data.get("participantId")),
        identity=_text(data.get("id")) or None,
        is_moderator=None if moderator is None else moderator in {True, "true"},
    )


def _is_room(name: object) -> bool:
    return isinstance(name, str) and ROOM_NAME.fullmatch(name) is not None


def _text(value: object) -> str:
    return value[:255] if isinstance(value, str) and value.isprintable() else ""


def _time(value: object) -> int:
    """Ms since the epoch, from seconds or milliseconds, by size. Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _MILLISECONDS * 1_000:
        raise BadInput("A report says when it happened.")
    return round(value if value > _MILLISECONDS else value * 1000)


# --- which reports are news ---


@dataclass(slots=True)
class Inbox:
    """Takes each report once, and none that a later one has overtaken. Bounded; it forgets the oldest."""

    _keys: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])
    _latest: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict[tuple[str, str], int])

    def take(self, event: ProviderEvent) -> bool:
        """Whether this report changes anything: it is no repetition, and nothing later is known of this stay.

        "Left" ends a stay for good: a "joined" of the same second or before, that comes after it, is late.
        """
        if event.key in self._keys:
            return False
        _remember(self._keys, event.key, None)
        if event.kind not in {Presence.JOINED, Presence.LEFT}:
            return True
        stay = (event.room, event.participant)
        rank = event.at_ms * 2 + (event.kind is Presence.LEFT)
        if rank < self._latest.get(stay, 0):
            return False
        _remember(self._latest, stay, rank)
        return True


def _remember(memory: OrderedDict[Any, Any], key: object, value: object) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
