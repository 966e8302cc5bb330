"""What a meeting of ours at Zoom is like: its body, its passcode, its mark; and how Zoom's answers are read."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from invigilo.providers.base import RoomSpec
from invigilo.providers.jitsi_tokens import shown_name
from invigilo.providers.zoom_client import ZoomError

MARK = "invigilo"
PROBE = f"{MARK}:probe:"
"""Begins the mark of a meeting that only a test has made."""


@dataclass(frozen=True, slots=True)
class PasscodeRules:
    """What an account asks of passcodes (zoom.md §3.2)."""

    length: int = 10
    only_digits: bool = False
    special: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> PasscodeRules:
        security = body.get("meeting_security")
        block = (
            cast("dict[str, Any]", security).get("meeting_password_requirement")
            if isinstance(security, dict)
            else None
        )
        rules = cast("dict[str, Any]", block) if isinstance(block, dict) else {}
        return cls(
            only_digits=rules.get("only_allow_numeric") is True,
            special=rules.get("have_special_character") is True,
        )


SPECIAL = "@*_-"


def new_passcode(rules: PasscodeRules, choose: Callable[[str], str] = secrets.choice) -> str:
    """Ten signs of every class asked for, no two neighbours equal or in sequence (zoom.md §3.3)."""
    if rules.only_digits:
        classes = [string.digits]
    else:
        classes = [string.ascii_uppercase, string.ascii_lowercase, string.digits] + (
            [SPECIAL] if rules.special else []
        )
    allowed = "".join(classes)
    while True:
        passcode = ""
        while len(passcode) < rules.length:
            sign = choose(allowed)
            if not passcode or abs(ord(sign) - ord(passcode[-1])) > 1:
                passcode += sign
        if all(any(sign in one for sign in passcode) for one in classes):
            return passcode


def meeting_body(
    spec: RoomSpec, *, mark: str, passcode: str, start: str, minutes: int, focus_mode: bool
) -> dict[str, Any]:
    """Every field Zoom is told of, and none it does not know: it ignores those without a word (zoom.md §3.3)."""
    return {
        "topic": shown_name(spec.subject) or "Room",
        "agenda": mark,
        "type": 2,
        "start_time": start,
        "timezone": "UTC",
        "duration": minutes,
        "password": passcode,
        "settings": {
            "host_video": False,
            "participant_video": True,
            "join_before_host": True,
            "jbh_time": 0,
            "waiting_room": False,
            "mute_upon_entry": True,
            "audio": "voip",
            "auto_recording": "none",
            "meeting_authentication": False,
            "approval_type": 2,
            "use_pmi": False,
            "encryption_type": "enhanced_encryption",
            "focus_mode": focus_mode,
            "private_meeting": True,
            "email_notification": False,
            "alternative_hosts_email_notification": False,
            "registrants_email_notification": False,
            "allow_multiple_devices": False,
            "continuous_meeting_chat": {"enable": False},
            "auto_start_meeting_summary": False,
            "auto_start_ai_companion_questions": False,
        },
    }


def is_about_passcode(error: ZoomError) -> bool:
    return error.code == 300 and any("password" in one for one in error.fields)


def capacity_of(body: Mapping[str, Any]) -> int:
    """How many people a meeting of this user holds, by the user's settings; 0 where they do not say (zoom.md §3.1)."""
    block = body.get("feature")
    feature = cast("dict[str, Any]", block) if isinstance(block, dict) else {}
    names = ["meeting_capacity"] + (
        ["large_meeting_capacity"] if feature.get("large_meeting") is True else []
    )
    found = [feature.get(name) for name in names]
    return max((one for one in found if isinstance(one, int) and not isinstance(one, bool)), default=0)


def number_of(value: object) -> str:
    """A meeting's number as text; it has up to eleven digits."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return text if text.isascii() and text.isdigit() and len(text) <= 20 else ""


def objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", one) for one in cast("list[Any]", value) if isinstance(one, dict)]
