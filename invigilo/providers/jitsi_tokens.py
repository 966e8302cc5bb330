"""Entry tokens for Jitsi rooms, and nothing they should not say.

Jitsi reports no mistake in a token's favour: an `exp` in milliseconds is taken and never ends (jitsi.md §0.1), a room of
`*` opens every room, a moderator flag in any of three places is believed. So what is signed here is checked first, and a
token that breaks a rule is not made at all: that is a defect of ours and raises ValueError.

Times in tokens are whole seconds since the epoch. A token names one room and one guest, and lives no longer than 48 h.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

NOT_BEFORE = timedelta(seconds=30)
"""Jitsi grants clocks no leeway at all, so a token begins a little in the past (jitsi.md §1.2)."""
LONGEST_LIFE = timedelta(hours=48)
LONGEST_NAME = 60  # characters
LONGEST_TOKEN = 2_000  # bytes; web servers in front stop at 8 KB, and the token stands in the address twice
_MILLISECONDS = 100_000_000_000
"""As seconds, the year 5138: a time beyond it was meant in milliseconds."""

ROOM_NAME = re.compile(r"[a-z0-9-]{16,64}")
_IDENTITY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_OVERRIDES = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Marks that turn the direction of text: in a name they only rearrange what the proctor reads."""

NEVER = (
    "recording",
    "livestreaming",
    "transcription",
    "outbound-call",
    "sip-outbound-call",
    "sip-inbound-call",
    "inbound-call",
    "screen-sharing",
    "create-polls",
    "file-upload",
    "list-visitors",
    "live-translation",
)
"""Features nobody has in an exam's room. Once features are named, only those that are true are granted (jitsi.md §1.3)."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What signs, and the names a server expects beside the signature."""

    algorithm: str
    key: str = field(repr=False)
    """A shared secret, or a private RSA key in PEM form."""
    issuer: str
    audience: str
    subject: str
    key_id: str = ""
    flags_as_text: bool = False
    """JaaS writes "true" and "false" (live-proctoring.md §2.9 A2)."""

    def sign(self, claims: dict[str, Any]) -> str:
        """The token of these claims as they are. Only the proof signs claims that no guest should have."""
        header = {"alg": self.algorithm, "typ": "JWT"} | ({"kid": self.key_id} if self.key_id else {})
        return jwt.encode(header, claims, _imported(self.algorithm, self.key), algorithms=[self.algorithm])


@lru_cache(maxsize=32)
def _imported(algorithm: str, key: str) -> OctKey | RSAKey:
    """Reading and checking an RSA key takes many times as long as signing with it."""
    return OctKey.import_key(key.encode()) if algorithm.startswith("HS") else RSAKey.import_key(key)


@dataclass(frozen=True, slots=True)
class Entry:
    """One guest's way into one room."""

    room: str
    identity: str
    display_name: str
    is_proctor: bool
    may_chat: bool = False


def new_room_name() -> str:
    """128 random bits in lower-case hex: unguessable, and in the one alphabet no part of Jitsi rewrites (jitsi.md §1.4)."""
    return secrets.token_hex(16)


def opaque_identity(scope: str, identity: str) -> str:
    """What others in a room may see of who somebody is: the same for each ticket, and nothing but a number.

    Everybody in a room is told everybody's id (jitsi.md §1.3), so ours must not be one that means anything elsewhere.
    """
    return hmac.new(scope.encode(), identity.encode(), hashlib.sha256).hexdigest()[:32]


def room_token(key: TokenKey, entry: Entry, *, now: datetime, expires_at: datetime) -> str:
    """The signed token. Raises ValueError when it would open more, or for longer, than it should."""
    token = key.sign(room_claims(key, entry, now=now, expires_at=expires_at))
    if len(token) > LONGEST_TOKEN + len(key.key_id):
        raise ValueError(f"a token of {len(token)} bytes would not pass every web server")
    return token


def room_claims(key: TokenKey, entry: Entry, *, now: datetime, expires_at: datetime) -> dict[str, Any]:
    """What a token says (jitsi.md §1.6), checked."""
    begins, ends = _seconds(now - NOT_BEFORE), _seconds(expires_at)
    if not timedelta(0) < expires_at - now < LONGEST_LIFE:
        raise ValueError("a token ends after now and within 48 h")
    if not ROOM_NAME.fullmatch(entry.room) or _UUID.fullmatch(entry.room):
        raise ValueError("a room's name is 16 to 64 of a-z, 0-9 and -, and no UUID")
    if not _IDENTITY.fullmatch(entry.identity):
        raise ValueError("an identity is 1 to 64 letters, digits, - and _")

    def flag(is_so: bool) -> bool | str:
        return ("true" if is_so else "false") if key.flags_as_text else is_so

    user = {
        "id": entry.identity,
        "name": shown_name(entry.display_name),
        "moderator": flag(entry.is_proctor),
        "affiliation": "owner" if entry.is_proctor else "member",
    }
    features = {name: flag(False) for name in NEVER} | {
        "send-groupchat": flag(entry.is_proctor or entry.may_chat),
        "moderation": flag(entry.is_proctor),
    }
    return {
        "iss": key.issuer,
        "aud": key.audience,
        "sub": key.subject,
        "room": entry.room,
        "nbf": begins,
        "exp": ends,
        "moderator": entry.is_proctor,
        "context": {"user": user, "features": features},
    }


def shown_name(name: str) -> str:
    """A name as people in the room read it: any script, one line, nothing that could break it or its neighbours."""
    clean = (c for c in name if unicodedata.category(c) not in {"Cc", "Cs"} and ord(c) not in _OVERRIDES)
    return "".join(clean).strip()[:LONGEST_NAME].strip()


def _seconds(moment: datetime) -> int:
    """Whole seconds since the epoch; never anything that was counted in milliseconds."""
    seconds = int(moment.timestamp())
    if not 0 < seconds < _MILLISECONDS:
        raise ValueError("a time in a token is whole seconds since the epoch")
    return seconds
