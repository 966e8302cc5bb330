"""Zoom's webhooks: whose they are, what they say, and the question by which Zoom makes sure of us (zoom.md §5)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from invigilo.errors import BadInput, NotAllowed
from invigilo.providers.base import Challenge, Headers, Presence, ProviderEvent
from invigilo.providers.webhooks import MAY_BE_OLD, header, read_json

_EVENTS = {
    "meeting.started": Presence.ROOM_OPENED,
    "meeting.ended": Presence.ROOM_CLOSED,
    "meeting.participant_joined": Presence.JOINED,
    "meeting.participant_left": Presence.LEFT,
    "meeting.deleted": Presence.REMOVED,
    "meeting.participant_jbh_waiting": Presence.WAITS_FOR_HOST,
}
_LATEST = 10**14  # ms


def check_zoom_signature(headers: Headers, body: bytes, secret: str, *, now_ms: int) -> None:
    """`v0=<hex>` over `v0:<time>:<body>`, of the bytes as they came. Raises NotAllowed."""
    stamp = header(headers, "x-zm-request-timestamp").strip()
    given = header(headers, "x-zm-signature").strip()
    if not secret or not (stamp.isascii() and stamp.isdigit() and len(stamp) < 14):
        raise NotAllowed("This report is not signed.")
    wanted = (
        "v0=" + hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    )
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise NotAllowed("This report is not from the meeting service.")
    if abs(now_ms - int(stamp) * 1000) > MAY_BE_OLD * 1000:
        raise NotAllowed("This report is too old, or the clocks differ.")


def read_zoom(
    body: bytes, *, account_id: str, secret: str, room_of: Callable[[str], str | None]
) -> ProviderEvent | Challenge | None:
    """A report whose signature was checked; None for other accounts, meetings and events. Raises BadInput."""
    report = read_json(body)
    payload = _object(report.get("payload"))
    if report.get("event") == "endpoint.url_validation":
        return _challenge(payload, secret)
    kind = _EVENTS.get(str(report.get("event")))
    if kind is None or payload.get("account_id") != account_id:
        return None
    about = _object(payload.get("object"))
    number = about.get("id")
    room = room_of(str(number)) if isinstance(number, int | str) else None
    if room is None:
        return None
    at, occurrence = _time(report.get("event_ts")), _text(about.get("uuid"))
    who = _object(about.get("participant"))
    stay = _text(who.get("participant_uuid")) or _text(who.get("user_id"))
    if kind in {Presence.JOINED, Presence.LEFT} and not stay:
        raise BadInput("A report about somebody says who.", field="payload.object.participant")
    return ProviderEvent(
        kind=kind,
        room=room,
        at_ms=at,
        key=f"{kind.value}:{occurrence}:{stay}:{at}",
        participant=stay,
        identity=_text(who.get("customer_key"))[:36] or None,
    )


def _challenge(payload: dict[str, Any], secret: str) -> Challenge:
    plain = payload.get("plainToken")
    if not isinstance(plain, str) or not 0 < len(plain) <= 1_000 or not plain.isprintable():
        raise BadInput(
            "The question by which Zoom makes sure of us holds a plainToken.", field="payload.plainToken"
        )
    mac = hmac.new(secret.encode(), plain.encode(), hashlib.sha256).hexdigest()
    return Challenge({"plainToken": plain, "encryptedToken": mac})


def time_of(value: object) -> int:
    """Ms of a time as Zoom writes it; 0 for none."""
    try:
        at = datetime.fromisoformat(str(value)) if isinstance(value, str) and value else None
    except ValueError:
        return 0
    if at is None:
        return 0
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) and value.isprintable() else ""


def _time(value: object) -> int:
    """Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _LATEST:
        raise BadInput("A report says when it happened.", field="event_ts")
    return value
