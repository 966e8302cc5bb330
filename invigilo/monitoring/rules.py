"""Decisions about one SEB connection, from its state alone: states, names, events, indicators.

Codes of refusals are stable: `connection_closed`, `still_alive`.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from invigilo.errors import Refused
from invigilo.monitoring.capability import os_family
from invigilo.monitoring.model import (
    ClientEvent,
    ConnectionState,
    Device,
    EventType,
    Notification,
    NotificationKind,
)

PING_THRESHOLDS_MS = (5_000, 10_000, 15_000)
MISSING_AFTER_MS = PING_THRESHOLDS_MS[-1]
BATTERY_THRESHOLDS_PERCENT = (30, 20, 10)
WLAN_THRESHOLDS_PERCENT = (40, 25, 10)
TEXT_LIMIT = 512
"""Characters of an event's or a notification's text that are kept (seb-client-api.md §5.1)."""
IOS_ACCOUNT = "mobile"
"""The account name every iPad reports (§8 Q27)."""


class Severity(StrEnum):
    """How much a fact should draw the eye, in rising order."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


_LEVELS = (Severity.INFO, Severity.WARNING, Severity.PROBLEM)


# --- states (seb-client-api.md §6) ---


def after_patch(state: ConnectionState, *, user_given: bool) -> ConnectionState:
    """The state after a PATCH. Raises Refused (`connection_closed`).

    A user id alone does not lift a connection that was never established: older clients send it first and
    establish later, with the PUT.
    """
    _must_be_open(state)
    return ConnectionState.ACTIVE if user_given and state is ConnectionState.READY else state


def after_put(state: ConnectionState, *, user_known: bool) -> ConnectionState:
    """The state after a PUT, which may come more than once. Raises Refused (`connection_closed`)."""
    _must_be_open(state)
    if user_known or state is ConnectionState.ACTIVE:
        return ConnectionState.ACTIVE
    return ConnectionState.READY


def _must_be_open(state: ConnectionState) -> None:
    if not state.is_open:
        raise Refused(
            "connection_closed", f"This connection is {state.value}. Connect again.", key="connect_again"
        )


def may_disable(state: ConnectionState, *, missing: bool) -> bool:
    """A supervisor cancels what is lost or has left; a living client is sent SEB_QUIT instead."""
    return state is ConnectionState.CLOSED or (state.is_open and missing)


def refuse_disabling(state: ConnectionState, *, missing: bool) -> None:
    """Raise Refused unless it may be disabled: `still_alive`, or `connection_closed` when it is already."""
    if may_disable(state, missing=missing):
        return
    if state.is_open:
        raise Refused("still_alive", "This SEB is still connected. Send it “quit” instead.")
    raise Refused("connection_closed", "This connection is disabled already.", key="disabled_already")


def is_live(state: ConnectionState, *, exam_bound: bool, config_downloaded: bool) -> bool:
    """Whether a candidate sits there who needs a place and may get instructions.

    Windows up to 3.7 and Apple up to 3.6 stay in `requested` for the whole exam when no user is detected, so
    the state alone does not tell (§8 Q1); a downloaded configuration does.
    """
    established = state in {ConnectionState.READY, ConnectionState.ACTIVE}
    return state.is_open and exam_bound and (config_downloaded or established)


# --- who it is ---


def display_name(
    *, user_session_id: str | None, account_name: str | None, machine_name: str | None, address: str | None
) -> str:
    """The name proctors read: the user if known, else a placeholder; "" when nothing at all is known.

    The account name of an iPad is the same on every iPad, so its device name goes first there. A name is
    never compared with another one: `same_candidate` does that on the parts.
    """
    account = None if account_name == IOS_ACCOUNT else account_name
    candidates = (user_session_id, account, machine_name, address, account_name)
    return next((name.strip() for name in candidates if name and name.strip()), "")


class Identified(Protocol):
    """What tells whose connection it is; stored rows and live connections both fit."""

    @property
    def exam_id(self) -> int | None: ...
    @property
    def user_session_id(self) -> str | None: ...
    @property
    def device(self) -> Device: ...


def same_candidate(old: Identified, new: Identified, *, old_is_missing: bool) -> bool:
    """Whether `new` is the candidate of `old` come back (restart, crash, changed machine).

    The same user in the same exam is the same candidate. Without a user id on one side, the same account on the same
    machine, address and system is, but only once the old connection is gone (missing, closed or disabled): machine
    names repeat, on cloned machines with the account too (§8 Q27). Two different users on one machine are two
    candidates.
    """
    if old.exam_id is None or old.exam_id != new.exam_id:
        return False
    old_user, new_user = _latest_user(old), _latest_user(new)
    if old_user and new_user:
        return old_user == new_user
    return old_is_missing and _same_place(old.device, new.device)


def _latest_user(connection: Identified) -> str:
    """A second user is stored in front of the first, `new | old`."""
    return (connection.user_session_id or "").split(" | ", 1)[0].strip()


def _same_place(old: Device, new: Device) -> bool:
    if not (old.account_name and old.machine_name and old.os_name):
        return False
    return (
        old.account_name != IOS_ACCOUNT
        and (old.account_name, old.machine_name, old.address)
        == (new.account_name, new.machine_name, new.address)
        and os_family(old.os_name) is os_family(new.os_name)
    )


def decrypt_signature_key(signature_key: str, *, connection_token: str, salt: str) -> str | None:
    """Read an app signature key (§2.4); None when it cannot be read, which only flags the connection.

    Returns the lower-case hex SHA-256 of the decrypted text: what registered signatures are compared with.
    """
    try:
        sealed = bytes.fromhex(signature_key)
        key = hashlib.pbkdf2_hmac("sha1", connection_token.encode(), bytes.fromhex(salt), 1024, 32)
        clear = AESGCM(key).decrypt(sealed[:16], sealed[16:], None)
    except (ValueError, InvalidTag):
        return None
    return hashlib.sha256(clear).hexdigest()


# --- indicators (§5.4) ---


def is_missing(last_ping: int | None, now: int) -> bool:
    """The missing flag: no ping for 15 s, or none ever. Times in ms."""
    return last_ping is None or now - last_ping >= MISSING_AFTER_MS


def ping_severity(age_ms: int | None) -> Severity:
    """Three thresholds, three levels; None (never pinged) is the worst."""
    return Severity.PROBLEM if age_ms is None else _level(age_ms, PING_THRESHOLDS_MS)


def battery_severity(percent: float | None) -> Severity:
    """Lower is worse; a client that reports no battery has a mains plug."""
    return Severity.OK if percent is None else _level(-percent, tuple(-t for t in BATTERY_THRESHOLDS_PERCENT))


def wlan_severity(percent: float | None, *, connected: bool | None) -> Severity:
    """Lower is worse. "Not connected" alarms nobody: the client that says so reached us by cable."""
    if percent is None or not connected:
        return Severity.OK
    return _level(-percent, tuple(-t for t in WLAN_THRESHOLDS_PERCENT))


def _level(value: float, thresholds: tuple[int, ...]) -> Severity:
    reached = [level for level, threshold in zip(_LEVELS, thresholds, strict=True) if value >= threshold]
    return reached[-1] if reached else Severity.OK


# --- events and notifications (§5) ---

TAGS = frozenset({"battery", "wlan", "raisehand", "lockscreen"})


def split_tag(text: str) -> tuple[str | None, str]:
    """Split off a known tag at the very start: `"<battery> 81%"` → `("battery", "81%")`.

    Anything else is plain text: a tag further on may be the candidate's own words.
    """
    if text.startswith("<"):
        tag, closed, rest = text[1:].partition(">")
        if closed and tag in TAGS:
            return tag, rest.removeprefix(" ")
    return None, text


def cut_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """Make a client's text storable: at most `limit` whole characters, no NUL (PostgreSQL refuses it).

    Half surrogate pairs become one replacement mark each, whole ones their character. The cut does not go
    through an emoji built of several code points, or between a letter and its accents, unless one such heap
    is longer than 64.
    """
    text = text.replace("\0", "�").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if len(text) <= limit:
        return text
    cut = limit
    while cut > max(limit - 64, 0) and _is_inside(text, cut):
        cut -= 1
    return text[:cut] if cut > max(limit - 64, 0) else text[:limit]


def _is_inside(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` would split what people see as one character."""
    after = text[at]
    if text[at - 1] == "\u200d" or after == "\u200d" or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True
    return _is_flag_letter(after) and _flag_letters_before(text, at) % 2 == 1


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, at: int) -> int:
    start = at
    while start > 0 and _is_flag_letter(text[start - 1]):
        start -= 1
    return at - start


def notification_number(value: float | None) -> int | None:
    """The number a client gave its notification; None when there is no usable one."""
    if value is None or not math.isfinite(value) or not 0 <= value < 2**31:
        return None
    return int(value)


def after_notification_event(
    open_now: Mapping[int, Notification], event: ClientEvent
) -> Mapping[int, Notification]:
    """One connection's open notifications, by number, after one event; the same object if nothing changed.

    A number that is open is the same notification again (requests are retried). A settled number opens a new
    one: Windows counts from 1 again when its client process restarts (§8 Q23, Q24). Settling an unknown
    number changes nothing.
    """
    number = notification_number(event.numeric_value)
    if number is None:
        return open_now
    if event.type is EventType.NOTIFICATION_CONFIRMED and number in open_now:
        return {n: notification for n, notification in open_now.items() if n != number}
    if event.type is EventType.NOTIFICATION and number not in open_now:
        tag, text = split_tag(event.text)
        if tag in {"raisehand", "lockscreen"}:
            kind = NotificationKind(tag)
            opened = Notification(event.connection_id, number, kind, cut_text(text), event.server_time)
            return {**open_now, number: opened}
    return open_now
