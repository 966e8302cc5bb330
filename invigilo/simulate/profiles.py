"""How each release of the real client talks: which calls in which order, with which headers and types.

Taken from what the clients do on the wire (`seb-client-api` §1 to §5), quirks included, because the quirks are what a
server must live with. All of them write forms without escaping anything, so that is no field here but a rule of
`client.form`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from invigilo.errors import BadInput


class Family(StrEnum):
    WINDOWS = "windows"
    MACOS = "macos"
    IOS = "ios"


class Step(StrEnum):
    """One call between the exam list and the browser's first page."""

    DOWNLOAD = "GET examconfig"
    SELECT = "PATCH examId"
    SELECT_WITH_KEY = "PATCH examId, seb_signature_key"
    ESTABLISH = "PUT seb_signature_key, or no body at all"
    ESTABLISH_EXAM = "PUT examId"
    ESTABLISH_EXAM_WITH_KEY = "PUT examId, seb_signature_key"
    SEND_KEY = "PATCH seb_signature_key, if a salt came"


class Refresh(StrEnum):
    """What a client does when its access token is refused."""

    NEVER = "never"
    NEXT_ATTEMPT = "next attempt uses a new token"
    NEXT_REQUEST = "this request is lost, the next one uses a new token"


class Lock(StrEnum):
    NONE = "ignores a forced lock"
    ONE = "one lock screen; a second instruction is ignored"
    STACKED = "each instruction adds an entry; the last one confirmed unlocks"


class MatchIds(StrEnum):
    """Whether `NOTIFICATION_CONFIRM` settles by number."""

    NONE = "does not know the instruction"
    BY_NUMBER = "the number must be the client's"
    ANY = "the number is not looked at"


_FORM_ACCEPT = "application/json, */*"
_WINDOWS_10 = "Windows 10, Microsoft Windows NT 10.0.19045.0 (x64)"
_WINDOWS_11 = "Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One client release."""

    name: str
    family: Family
    seb_version: str
    os_name: str
    steps: tuple[Step, ...]
    user_method: str
    """`PUT` or `PATCH`: the call that brings the candidate's id, always with `examId`."""

    user_sends_key: bool = False
    device_at_start: bool = True
    """The four device parameters go with the first POST; releases before had none, or sent them with the user id."""
    device_with_user: bool = False
    accept: str | None = _FORM_ACCEPT
    expects_continue: bool = False
    """.NET Framework announces a body with `Expect: 100-continue`."""
    refresh: Refresh = Refresh.NEXT_ATTEMPT
    delete_body: str | None = None
    """Windows says `delete=true`; Apple sends the content type of a form and no body."""

    text_timestamps: bool = False
    """Apple writes `timestamp` of events as a string of digits."""
    ping_in_seconds: bool = False
    pings_from_start: bool = False
    """Apple pings as soon as it has a connection token, Windows once its second process runs."""
    pings_after_user: bool = False
    fixed_rate: bool = False
    """Apple's ticks do not wait for each other; Windows waits a whole interval after each answer."""
    obeys_ping_interval: bool = True

    sends_wlan: bool = False
    raises_hand: bool = True
    lock: Lock = Lock.ONE
    match_ids: MatchIds = MatchIds.ANY
    joins_jitsi: bool = False
    screen_proctoring: bool = False

    @property
    def is_windows(self) -> bool:
        return self.family is Family.WINDOWS

    def confirms(self, instruction: str, service: str | None) -> bool:
        """Whether the `instruction-confirm` value comes back (§4.3)."""
        if self.is_windows:
            return True
        if instruction == "SEB_RECONFIGURE_SETTINGS":
            return self.family is Family.IOS
        if instruction != "SEB_PROCTORING":
            return False
        if service == "SCREEN_PROCTORING":
            return self.screen_proctoring
        return service == "JITSI_MEET" and self.joins_jitsi


@dataclass(frozen=True, slots=True)
class _Windows:
    """What all Windows releases share is filled in here, so the table below shows differences only."""

    os_name: str = _WINDOWS_11

    def __call__(
        self, name: str, version: str, steps: Sequence[Step], user_method: str, **more: object
    ) -> Profile:
        fields: dict[str, object] = {
            "expects_continue": True,
            "delete_body": "delete=true",
            "sends_wlan": True,
            "os_name": self.os_name,
        }
        return Profile(
            name=f"windows-{name}",
            family=Family.WINDOWS,
            seb_version=version,
            steps=tuple(steps),
            user_method=user_method,
            **(fields | more),  # pyright: ignore[reportArgumentType]
        )


def _apple(
    family: Family, name: str, version: str, steps: Sequence[Step], user_method: str, **more: object
) -> Profile:
    fields: dict[str, object] = {
        "os_name": "macOS Version 14.5 (Build 23F79)" if family is Family.MACOS else "iPad (iPadOS 17.5)",
        "refresh": Refresh.NEXT_REQUEST,
        "text_timestamps": True,
        "pings_from_start": True,
        "fixed_rate": True,
        "lock": Lock.STACKED,
        "match_ids": MatchIds.BY_NUMBER,
        "joins_jitsi": family is Family.IOS,
    }
    return Profile(
        name=f"{family}-{name}",
        family=family,
        seb_version=version,
        steps=tuple(steps),
        user_method=user_method,
        **(fields | more),  # pyright: ignore[reportArgumentType]
    )


_windows = _Windows()
_windows_10 = _Windows(_WINDOWS_10)

# Orders that several releases share (§1.2, §1.3).
_DOWNLOAD_ONLY = (Step.DOWNLOAD,)
_PATCH_THEN_KEY = (Step.DOWNLOAD, Step.SELECT, Step.SEND_KEY)
_PUT_THEN_KEY = (Step.DOWNLOAD, Step.ESTABLISH_EXAM, Step.SEND_KEY)
_PATCH_THEN_PUT = (Step.DOWNLOAD, Step.SELECT, Step.ESTABLISH)
_APPLE_MIDDLE = (Step.SELECT_WITH_KEY, Step.DOWNLOAD)
_APPLE_NEWEST = (Step.SELECT_WITH_KEY, Step.ESTABLISH_EXAM_WITH_KEY, Step.DOWNLOAD)

ALL: tuple[Profile, ...] = (
    _windows_10(
        "3.2", "3.2.0", _DOWNLOAD_ONLY, "PUT",
        device_at_start=False, accept=None, refresh=Refresh.NEVER, obeys_ping_interval=False,
        raises_hand=False, lock=Lock.NONE, match_ids=MatchIds.NONE, joins_jitsi=True,
    ),
    _windows_10(
        "3.3", "3.3.2", _DOWNLOAD_ONLY, "PUT",
        device_at_start=False, device_with_user=True, accept=None, refresh=Refresh.NEVER,
        lock=Lock.NONE, match_ids=MatchIds.BY_NUMBER, joins_jitsi=True,
    ),
    _windows_10(
        "3.4", "3.4.1", _DOWNLOAD_ONLY, "PUT",
        lock=Lock.NONE, match_ids=MatchIds.BY_NUMBER, joins_jitsi=True,
    ),
    _windows_10("3.5", "3.5.0", _PATCH_THEN_KEY, "PUT", joins_jitsi=True),
    _windows("3.7", "3.7.1", _PATCH_THEN_KEY, "PUT", joins_jitsi=True, screen_proctoring=True),
    _windows("3.8", "3.8.0", _PUT_THEN_KEY, "PATCH", screen_proctoring=True),
    _windows("3.10", "3.10.2", _PATCH_THEN_PUT, "PATCH", screen_proctoring=True),
    _apple(
        Family.IOS, "3.0", "3.0", _DOWNLOAD_ONLY, "PUT",
        device_at_start=False, refresh=Refresh.NEVER, pings_from_start=False, pings_after_user=True,
        ping_in_seconds=True, obeys_ping_interval=False, raises_hand=False,
        lock=Lock.NONE, match_ids=MatchIds.NONE,
    ),
    _apple(
        Family.MACOS, "3.1", "3.1", _DOWNLOAD_ONLY, "PUT",
        device_at_start=False, device_with_user=True, refresh=Refresh.NEVER, lock=Lock.NONE,
    ),
    _apple(Family.MACOS, "3.3", "3.3.1", _APPLE_MIDDLE, "PUT", user_sends_key=True),
    _apple(Family.MACOS, "3.7", "3.7", _APPLE_NEWEST, "PATCH", user_sends_key=True, screen_proctoring=True),
    _apple(Family.IOS, "3.6", "3.6", _APPLE_MIDDLE, "PUT", user_sends_key=True, screen_proctoring=True),
    _apple(Family.IOS, "3.7", "3.7", _APPLE_NEWEST, "PATCH", user_sends_key=True, screen_proctoring=True),
)  # fmt: skip

BY_NAME: dict[str, Profile] = {profile.name: profile for profile in ALL}
NEWEST = "windows-3.10"
MIXED = "mixed"

_ON_THE_ROAD = (
    "windows-3.10", "windows-3.10", "macos-3.7", "windows-3.8", "windows-3.10", "ios-3.7",
    "windows-3.5", "windows-3.10", "ios-3.6", "windows-3.7", "macos-3.3", "windows-3.2",
)  # fmt: skip
"""A room as one meets it: mostly new, some old, all three systems within the first six."""


def profile_of(name: str, number: int) -> Profile:
    """The release the candidate with this number (from 0) plays. Raises BadInput for an unknown name."""
    if name == MIXED:
        return BY_NAME[_ON_THE_ROAD[number % len(_ON_THE_ROAD)]]
    found = BY_NAME.get(name)
    if found is None:
        raise BadInput(f"There is no client {name!r}. Known: {', '.join(BY_NAME)}, {MIXED}.", field="client")
    return found
