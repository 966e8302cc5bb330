"""Signatures by which somebody joins a Zoom meeting: for one meeting and one role, computed here and asked of nobody.

A signature is looked at when somebody joins, not later, and spans at least half an hour and at most two days (zoom.md §4.1).
One for role 1 is only ever made for a proctor.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta

BEGINS_BEFORE = timedelta(seconds=30)
SHORTEST = timedelta(hours=2)
"""Sources differ between half an hour and two hours; two hours fit both."""
LONGEST = timedelta(hours=24)
PARTICIPANT, HOST = 0, 1


def ends(now: datetime, wanted: datetime) -> datetime:
    """When a signature ends that should live until `wanted`."""
    return min(max(wanted, now + SHORTEST), now + LONGEST)


def signature(
    key: str, secret: str, *, number: str, role: int, issued_at: datetime, ends_at: datetime
) -> str:
    """The JWT. Raises ValueError when it would say more than it should."""
    issued, until = int(issued_at.timestamp()), int(ends_at.timestamp())
    if not (number.isascii() and number.isdigit()) or role not in {PARTICIPANT, HOST}:
        raise ValueError("a signature is for one meeting number and role 0 or 1")
    if not 1_800 <= until - issued <= 172_800:
        raise ValueError("a signature lives between half an hour and two days")
    claims = {
        "appKey": key,
        "sdkKey": key,
        "mn": number,
        "role": role,
        "iat": issued,
        "exp": until,
        "tokenExp": until,
    }
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(mac)}"


def _part(content: Mapping[str, object]) -> str:
    return _base64(json.dumps(content, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
