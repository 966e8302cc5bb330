"""What the Zoom stand-in knows and decides, apart from any door: its seed, its limits, what a body and a signature must say.

The numbers are those of zoom.md (§1.3 plans, §3.1 hosts, §3.7 rates, §4.1 signatures). Nothing is shared with the provider:
a mistake there is not repeated here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

ACCOUNT_ID = "acc-1"
DAY = 86_400.0
CREATE_A_DAY = 100
"""Create and update calls for one host in a day."""
SMALLEST_SPAN, LARGEST_SPAN = 1_800, 172_800  # seconds a signature may live
BASIC_LASTS = 40 * 60.0  # seconds a meeting of a free host may last


class Clock:
    """The stand-in's own time: the real one, moved as far as a test wants."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.fixed: float | None = None

    def now(self) -> float:
        return (time.time() if self.fixed is None else self.fixed) + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds

    def next_midnight(self) -> float:
        return (self.now() // DAY + 1) * DAY


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- the seed (§10.1) ---


@dataclass(slots=True)
class User:
    """A person of the account who may hold meetings."""

    id: str
    email: str
    type: int = 2
    """1 Basic, 2 Licensed."""
    status: str = "active"
    account_id: str = ACCOUNT_ID
    capacity: int = 100
    concurrent: int | None = None
    """Live meetings at once; None is what plan and type allow."""
    allowed_to_host: bool = True
    passcode_numeric: bool = False
    passcode_length: int = 0
    passcode_special: bool = False
    locked: dict[str, Any] = field(default_factory=dict[str, Any])
    """Meeting settings that the account has locked, with the value they have."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Seed:
    """An account, its two apps, and what is unusual about them."""

    account_id: str = ACCOUNT_ID
    plan: str = "pro"
    dashboard: bool = False
    isv: bool = False
    paid_users: int = 10
    client_id: str = "client-1"
    client_secret: str = "secret-1"  # noqa: S105  (a stand-in's)
    app_active: bool = True
    scopes: tuple[str, ...] = ()
    """Empty: every scope there is."""
    without_scopes: tuple[str, ...] = ()
    sdk_key: str = "sdk-key-1"
    sdk_secret: str = "sdk-secret-1"  # noqa: S105
    sdk_disabled: bool = False
    sdk_account_id: str = ACCOUNT_ID
    sdk_minimum: str = "5.0.0"
    sdk_versions: tuple[str, ...] = ()
    """Whose files are served; empty: every version's."""
    hook_secret: str = "hook-secret-1"  # noqa: S105
    hook_url: str = ""
    users: list[User] = field(default_factory=lambda: [User("zu1", "host1@example.org")])
    reject_query: bool = False
    single_token: bool = False
    token_lasts: int = 3_599
    shown_account_id: str = ""
    """What people are said to belong to, where it is not the account."""
    zak_required: bool = True
    zak_refused: bool = False
    end_idle: int = 204
    delete_live: int = 204
    default_passcode: bool = True
    forget_passcode: bool = False
    """The reply to a create lacks it."""
    slash_uuids: bool = False
    end_delay: float = 0.0
    waiting_host_code: int | None = None
    """3008 instead of letting a participant wait."""
    takes_encrypted: bool = True
    wants_press: bool = False
    """Candidates' pages, too, join sound and start video by a press in the SDK's own bar only."""
    limits: Mapping[str, tuple[float, int | None]] | None = None
    """Label → (calls a second, calls a day); None is the plan's."""
    retry_after: str = "iso"
    """`iso`, `seconds`, `date` or `none`."""


GRANULAR: dict[str, str] = {
    "user:read:list_users:admin": "user:read:admin",
    "user:read:user:admin": "user:read:admin",
    "user:read:settings:admin": "user:read:admin",
    "user:update:settings:admin": "user:write:admin",
    "user:write:user:admin": "user:write:admin",
    "user:delete:user:admin": "user:write:admin",
    "user:read:token:admin": "user:read:admin",
    "user:read:zak:admin": "user:read:admin",
    "meeting:write:meeting:admin": "meeting:write:admin",
    "meeting:read:list_meetings:admin": "meeting:read:admin",
    "meeting:read:meeting:admin": "meeting:read:admin",
    "meeting:update:meeting:admin": "meeting:write:admin",
    "meeting:update:status:admin": "meeting:write:admin",
    "meeting:delete:meeting:admin": "meeting:write:admin",
    "meeting:update:in_meeting_controls:admin": "meeting:write:admin",
    "meeting:read:past_meeting:admin": "meeting:read:admin",
    "meeting:read:list_past_participants:admin": "meeting:read:admin",
    "report:read:list_meeting_participants:admin": "report:read:admin",
    "dashboard:read:list_meetings:admin": "dashboard_meetings:read:admin",
    "dashboard:read:meeting:admin": "dashboard_meetings:read:admin",
    "dashboard:read:list_meeting_participants:admin": "dashboard_meetings:read:admin",
}
"""Scope of new apps → the one of old apps that covers it (§1.4)."""

_PLANS: dict[str, dict[str, tuple[float, int | None]]] = {
    "free": {"light": (4, 6_000), "medium": (2, 2_000), "heavy": (1, 1_000), "resource": (10 / 60, 30_000)},
    "pro": {"light": (30, None), "medium": (20, None), "heavy": (10, 30_000), "resource": (10 / 60, 30_000)},
    "business": {
        "light": (80, None),
        "medium": (60, None),
        "heavy": (40, 60_000),
        "resource": (20 / 60, 60_000),
    },
}
CATEGORIES = {
    "light": "Light",
    "medium": "Medium",
    "heavy": "Heavy",
    "resource": "Resource-intensive",
}


def live_limit(user: User, plan: str) -> int:
    """Meetings of a host that may run at once (§3.1)."""
    if user.concurrent is not None:
        return user.concurrent
    return 2 if plan == "business" and user.type == 2 else 1


def scopes_of(seed: Seed) -> set[str]:
    return set(seed.scopes or GRANULAR) - set(seed.without_scopes)


# --- rates (§10.4) ---


@dataclass(slots=True)
class Bucket:
    """One label of the account."""

    rate: float
    daily: int | None
    level: float = 0.0
    at: float = 0.0
    used: int = 0
    day: int = 0

    @property
    def size(self) -> float:
        return max(self.rate, 1.0)


@dataclass(slots=True)
class Verdict:
    """Whether a call is let through, and what its reply says of the limits."""

    is_let: bool
    headers: dict[str, str]
    daily: bool = False


class Rates:
    """The account's buckets, by the stand-in's clock."""

    def __init__(self, seed: Seed, clock: Clock) -> None:
        limits = dict(_PLANS[seed.plan]) | dict(seed.limits or {})
        self._clock = clock
        self._seed = seed
        self.buckets = {label: Bucket(rate, daily) for label, (rate, daily) in limits.items()}
        for bucket in self.buckets.values():
            bucket.level, bucket.at = bucket.size, clock.now()
        self.refused = 0

    def take(self, label: str) -> Verdict:
        bucket, now = self.buckets[label], self._clock.now()
        bucket.level = min(bucket.size, bucket.level + max(0.0, now - bucket.at) * bucket.rate)
        bucket.at = now
        today = int(now // DAY)
        shared = [
            self.buckets[one]
            for one in (("heavy", "resource") if label in {"heavy", "resource"} else (label,))
        ]
        for one in shared:
            if one.day != today:
                one.day, one.used = today, 0
        headers = {"X-RateLimit-Category": CATEGORIES[label]}
        used = sum(one.used for one in shared)
        if bucket.daily is not None:
            headers |= {
                "X-RateLimit-Limit": str(bucket.daily),
                "X-RateLimit-Remaining": str(max(0, bucket.daily - used - 1)),
            }
            if used >= bucket.daily:
                self.refused += 1
                headers |= {"X-RateLimit-Type": "Daily-limit", "X-RateLimit-Remaining": "0"}
                return Verdict(False, headers | self._retry_after(), daily=True)
        if bucket.level < 1.0:
            self.refused += 1
            return Verdict(False, headers | {"X-RateLimit-Type": "QPS"})
        bucket.level -= 1.0
        bucket.used += 1
        return Verdict(True, headers)

    def _retry_after(self) -> dict[str, str]:
        at = self._clock.next_midnight()
        match self._seed.retry_after:
            case "seconds":
                return {"Retry-After": str(int(at - self._clock.now()))}
            case "date":
                return {"Retry-After": datetime.fromtimestamp(at, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}
            case "none":
                return {}
            case _:
                return {"Retry-After": iso(at)}


# --- the body of a create (§3.3, §10.3) ---

_Check = Callable[[Any], bool]


def _text(most: int) -> _Check:
    return lambda value: isinstance(value, str) and len(value) <= most


def _one_of(*allowed: object) -> _Check:
    return lambda value: not isinstance(value, bool) and value in allowed


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _whole(least: int) -> _Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _when(value: Any) -> bool:
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return True


def _block(value: Any) -> bool:
    return isinstance(value, dict)


def _any(_value: Any) -> bool:
    return True


_BODY: dict[str, _Check] = {
    "topic": _text(200),
    "agenda": _text(2_000),
    "type": _one_of(1, 2, 3, 8, 10),
    "start_time": _when,
    "timezone": _text(60),
    "duration": _whole(1),
    "password": _text(10),
    "default_password": _flag,
    "schedule_for": _text(200),
    "settings": _block,
    "pre_schedule": _flag,
    "template_id": _any,
    "tracking_fields": _any,
    "recurrence": _any,
}
_FLAGS = [
    "host_video",
    "participant_video",
    "join_before_host",
    "waiting_room",
    "mute_upon_entry",
    "meeting_authentication",
    "use_pmi",
    "focus_mode",
    "private_meeting",
    "email_notification",
    "alternative_hosts_email_notification",
    "registrants_email_notification",
    "registrants_confirmation_email",
    "allow_multiple_devices",
    "auto_start_meeting_summary",
    "auto_start_ai_companion_questions",
    "device_testing",
    "show_share_button",
    "push_change_to_calendar",
    "internal_meeting",
    "watermark",
    "disable_participant_video",
]
_SETTINGS: dict[str, _Check] = dict.fromkeys(_FLAGS, _flag) | {
    "jbh_time": _one_of(0, 5, 10, 15),
    "audio": _one_of("both", "telephony", "voip", "thirdParty"),
    "auto_recording": _one_of("local", "cloud", "none"),
    "approval_type": _one_of(0, 1, 2),
    "encryption_type": _one_of("enhanced_encryption", "e2ee"),
    "alternative_hosts": _text(1_000),
    "continuous_meeting_chat": _block,
    "approved_or_denied_countries_or_regions": _any,
    "contact_name": _text(200),
    "contact_email": _text(200),
}
DEFAULTS: dict[str, Any] = {
    "host_video": False,
    "participant_video": False,
    "join_before_host": False,
    "jbh_time": 0,
    "waiting_room": True,
    "mute_upon_entry": False,
    "audio": "both",
    "auto_recording": "none",
    "meeting_authentication": False,
    "approval_type": 2,
    "use_pmi": False,
    "encryption_type": "enhanced_encryption",
    "focus_mode": False,
    "private_meeting": False,
}
"""What a host has where a create says nothing."""


def body_problems(body: Mapping[str, Any], user: User) -> tuple[list[dict[str, str]], list[str]]:
    """(what is wrong, by field; the fields Zoom would silently ignore)."""
    wrong: list[dict[str, str]] = []
    ignored: list[str] = []

    def look(given: Mapping[str, Any], known: Mapping[str, _Check], prefix: str) -> None:
        for name, value in given.items():
            check = known.get(name)
            if check is None:
                ignored.append(prefix + name)
            elif not check(value):
                wrong.append({"field": prefix + name, "message": "Invalid field."})

    look(body, _BODY, "")
    settings = body.get("settings")
    if isinstance(settings, dict):
        look(cast("dict[str, Any]", settings), _SETTINGS, "settings.")
    passcode = body.get("password")
    if isinstance(passcode, str) and passcode and not _fits(passcode, user):
        wrong.append({"field": "password", "message": "Invalid field."})
    return wrong, ignored


def _fits(passcode: str, user: User) -> bool:
    if user.passcode_numeric and not passcode.isdigit():
        return False
    if user.passcode_special and not re.search(r"[@*\-_]", passcode):
        return False
    return len(passcode) >= user.passcode_length


# --- signatures (§4.1, §10.5) ---


class JoinRefused(Exception):
    """Somebody is not let in; `code` as the SDK tells it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:4])


def check_signature(token: str, *, number: str, sdk: str, seed: Seed, now: float) -> int:
    """The role it grants. Raises JoinRefused in the order of §10.5."""
    if version_of(sdk) < version_of(seed.sdk_minimum):
        raise JoinRefused(10_000, "The SDK version is too old.")
    header, claims = _opened(token)
    if header.get("alg") != "HS256" or not _is_signed(token, seed.sdk_secret):
        raise JoinRefused(3712, "Signature is invalid.")
    named = claims.get("appKey")
    if (named if named is not None else claims.get("sdkKey")) != seed.sdk_key:
        raise JoinRefused(3704, "SDK key is invalid.")
    if seed.sdk_disabled:
        raise JoinRefused(3710, "SDK key is disabled.")
    if named is None and version_of(sdk) >= (5,):
        raise JoinRefused(3712, "Signature is invalid.")
    issued, ends, token_ends = (claims.get(name) for name in ("iat", "exp", "tokenExp"))
    if not all(isinstance(one, int) for one in (issued, ends, token_ends)):
        raise JoinRefused(3712, "Signature is invalid.")
    assert isinstance(issued, int)
    assert isinstance(ends, int)
    assert isinstance(token_ends, int)
    if min(ends, token_ends) < now:
        raise JoinRefused(3705, "Signature is expired.")
    if not SMALLEST_SPAN <= ends - issued <= LARGEST_SPAN or issued > now + 60:
        raise JoinRefused(3712, "Signature is invalid.")
    if str(claims.get("mn")) != number:
        raise JoinRefused(3712, "Signature is invalid.")
    role = claims.get("role")
    if role not in {0, 1} or isinstance(role, bool):
        raise JoinRefused(3708, "Role is wrong.")
    return int(role)


def _opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.split(".")
    if len(parts) != 3:
        raise JoinRefused(3712, "Signature is invalid.")
    try:
        header, payload = (json.loads(_decoded(part)) for part in parts[:2])
    except (ValueError, binascii.Error):
        raise JoinRefused(3712, "Signature is invalid.") from None
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise JoinRefused(3712, "Signature is invalid.")
    return cast("dict[str, Any]", header), cast("dict[str, Any]", payload)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _is_signed(token: str, secret: str) -> bool:
    signed, _, given = token.rpartition(".")
    wanted = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    try:
        return hmac.compare_digest(_decoded(given), wanted)
    except (ValueError, binascii.Error):
        return False
