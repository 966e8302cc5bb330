"""A stored Zoom definition, with its secrets revealed, as the provider and the proof use it (zoom.md §11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

OAUTH_BASE = "https://zoom.us"
API_BASE = "https://api.zoom.us/v2"
WEB_BASE = "https://zoom.us"
SDK_BASE = "https://source.zoom.us"
SDK_VERSION = "6.2.0"
"""The newest that could be had when this was written (zoom.md §4.2)."""
LOWEST_ADVISABLE = (5, 1, 4)
PER_HOST = ("1", "2", "3", "4")
PACES = ("1", "2", "5", "10", "20")
"""Meetings made a second; two are safe on every plan (zoom.md §3.7)."""
PASSCODE_FORMS = ("encrypted", "plain")
"""Which form clients that join by themselves are given; which they take was never settled (zoom.md §6.1)."""

_VERSION = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")
_HOST = re.compile(r"[A-Za-z0-9._%+@-]{1,128}")


@dataclass(frozen=True, slots=True)
class ZoomSettings:
    """One account with its two apps and the hosts that hold the meetings."""

    account_id: str
    client_id: str
    client_secret: str = field(repr=False)
    sdk_key: str
    sdk_secret: str = field(repr=False)
    hosts: tuple[str, ...]
    per_host: int = 1
    events_secret: str = field(default="", repr=False)
    oauth_base: URL = field(default_factory=lambda: URL(OAUTH_BASE))
    api_base: URL = field(default_factory=lambda: URL(API_BASE))
    web_base: str = WEB_BASE
    sdk_base: str = SDK_BASE
    sdk_version: str = SDK_VERSION
    focus_mode: bool = True
    native_passcode: str = PASSCODE_FORMS[0]
    pace: float = 2.0

    @classmethod
    def of(cls, values: Mapping[str, str]) -> ZoomSettings:
        """From what `check_values` returned, kept secrets added."""
        return cls(
            account_id=values["account_id"],
            client_id=values["client_id"],
            client_secret=values.get("client_secret", ""),
            sdk_key=values["sdk_key"],
            sdk_secret=values.get("sdk_secret", ""),
            hosts=tuple(hosts_of(values.get("hosts", ""))),
            per_host=int(values.get("per_host") or 1),
            events_secret=values.get("events_secret", ""),
            oauth_base=URL(values.get("oauth_base") or OAUTH_BASE),
            api_base=URL(values.get("api_base") or API_BASE),
            web_base=values.get("web_base") or WEB_BASE,
            sdk_base=values.get("sdk_base") or SDK_BASE,
            sdk_version=values.get("sdk_version") or SDK_VERSION,
            focus_mode=values.get("focus_mode", "true") != "false",
            native_passcode=values.get("native_passcode") or PASSCODE_FORMS[0],
            pace=float(values.get("pace") or 2),
        )


def hosts_of(text: str) -> list[str]:
    """Ids or addresses, each once, as typed: by lines, commas or blanks."""
    return list(dict.fromkeys(re.split(r"[\s,;]+", text.strip()))) if text.strip() else []


def host_problem(text: str) -> str | None:
    """Code of what is wrong with a list of hosts."""
    return None if all(_HOST.fullmatch(one) for one in hosts_of(text)) else "hosts_form"


def version_problem(text: str) -> str | None:
    return None if _VERSION.fullmatch(text) else "version_form"


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
