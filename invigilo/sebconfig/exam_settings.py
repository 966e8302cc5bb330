"""What clients load for an exam, and the keys without which our page gets no camera in SEB's browser.

`seb-settings` §3 is the source: Windows always grants the devices, macOS and iOS only with these keys, and
macOS ends the session when the old Jitsi or Zoom switches are on. So whatever an editor says, an exam that
uses our page is served with `with_camera_keys`, and `camera_problems` says beforehand what that changes and
whom it concerns. Where clients join Jitsi by themselves, only those that can are told to: `served_settings`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, plist
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.plist import PlistValue, Settings


class Platform(StrEnum):
    """The systems SEB runs on."""

    WINDOWS = "windows"
    MACOS = "macos"
    IOS = "ios"


PLATFORM_NAMES = {Platform.WINDOWS: "Windows", Platform.MACOS: "macOS", Platform.IOS: "iOS"}


_ALL = frozenset(Platform)
_APPLE = frozenset({Platform.MACOS, Platform.IOS})
_MAC = frozenset({Platform.MACOS})
_IOS = frozenset({Platform.IOS})
_WINDOWS = frozenset({Platform.WINDOWS})


@dataclass(frozen=True, slots=True)
class CameraKey:
    """One key our page needs: its value, who cares, and what happens otherwise."""

    key: str
    value: PlistValue
    platforms: frozenset[Platform]
    otherwise: str


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key that clients get otherwise than edited; `before` or `after` is None when the key is not there."""

    key: str
    before: PlistValue | None
    after: PlistValue | None


@dataclass(frozen=True, slots=True)
class Problem:
    """A key that keeps our page from working as it should; `found` is None when the file lacks the key."""

    key: str
    found: PlistValue | None
    needed: PlistValue
    platforms: frozenset[Platform]
    message: str


CAMERA_KEYS = (
    CameraKey("browserMediaCaptureCamera", True, _APPLE, "the page is denied the camera"),
    CameraKey(
        "browserMediaCaptureMicrophone",
        True,
        _APPLE,
        "the page is denied the microphone, and the camera with it when it asks for both",
    ),
    CameraKey(
        "browserMediaCaptureScreen",
        False,
        _MAC,
        "SEB demands the system's Screen Recording permission, which our page does not need",
    ),
    CameraKey(
        "browserWindowWebView", 3, _MAC, "the page may open in the classic engine, which has no live video"
    ),
    CameraKey(
        "URLFilterEnableContentFilter",
        False,
        _ALL,
        "scripts, signalling and video of the page are blocked unless every host has a rule",
    ),
    CameraKey("enableJavaScript", True, _APPLE, "the page cannot run"),
    CameraKey("enableSebBrowser", True, _WINDOWS, "there is no browser in which the page could open"),
    CameraKey("blockPopUpWindows", False, _APPLE, "the exam cannot open beside the page"),
    CameraKey(
        "newBrowserWindowByLinkPolicy",
        2,
        _ALL,
        "the exam replaces the page or does not open, so the camera ends with the start of the exam",
    ),
    CameraKey(
        "newBrowserWindowByLinkBlockForeign",
        False,
        _ALL,
        "the exam cannot open beside the page when it is on another host",
    ),
    CameraKey("browserMediaAutoplay", True, _APPLE, "the proctor's picture and sound wait for a tap"),
    CameraKey("browserMediaAutoplayAudio", True, _APPLE, "the proctor's sound waits for a tap"),
    CameraKey("browserMediaAutoplayVideo", True, _APPLE, "the proctor's picture waits for a tap"),
    CameraKey("mobileAllowInlineMediaPlayback", True, _IOS, "video covers the whole screen of an iPad"),
    CameraKey(
        "mobileCompactAllowInlineMediaPlayback", True, _IOS, "video covers the whole screen of an iPhone"
    ),
    CameraKey("displayAlwaysOn", True, _WINDOWS, "the screen may switch off during the exam"),
    CameraKey("systemAlwaysOn", True, _WINDOWS, "the computer may fall asleep, which ends the camera"),
    CameraKey(
        "jitsiMeetEnable",
        False,
        _ALL,
        "macOS ends the session, iOS and Windows 3.2 to 3.6 open a meeting of their own beside the page",
    ),
    CameraKey(
        "zoomEnable",
        False,
        _ALL,
        "macOS, iOS and Windows 3.6 end the session, Windows 3.2 to 3.5 open a meeting of their own",
    ),
    CameraKey(
        "sebConfigPurpose",
        0,
        _APPLE,
        "the client replaces its own configuration instead of starting the exam",
    ),
)

NATIVE_PLATFORMS = _WINDOWS | _IOS
"""Whose clients may join a Jitsi meeting by themselves; releases of Windows that cannot ignore the switch."""

_CONNECTION_ONLY = ("sebMode", "sebServerURL", "sebServerConfiguration", "startURL")
"""Keys that stand in connection files (and stand-alone exam files) only; see also `sebServerFallback…`."""


def exam_settings(*, quit_password_hash: str | None = None) -> Settings:
    """Give settings for an exam that uses our page: all exported defaults, with the camera keys.

    With a hash (lower-case hex SHA-256) SEB asks for the quit password; without, candidates may quit freely.
    """
    settings = catalogue.exported_defaults()
    if quit_password_hash is not None:
        settings["hashedQuitPassword"] = quit_password_hash
    return with_camera_keys(settings)


def exam_settings_bytes(settings: Mapping[str, PlistValue]) -> bytes:
    """Give exam settings as the exam API serves them: bare XML.

    Raises `BadInput` when they are not for starting an exam: macOS and iOS would otherwise replace their own
    configuration by them.
    """
    purpose = settings.get("sebConfigPurpose")
    if type(purpose) is not int or purpose != 0:
        raise BadInput("Exam settings must have sebConfigPurpose 0. Set it.", field="sebConfigPurpose")
    return plist.write(settings)


def with_camera_keys(settings: Mapping[str, PlistValue]) -> Settings:
    """Copy settings with everything our page needs, and without what belongs into connection files only."""
    return _starting_an_exam(settings) | {camera_key.key: camera_key.value for camera_key in CAMERA_KEYS}


def _starting_an_exam(settings: Mapping[str, PlistValue]) -> Settings:
    """Copy settings without what belongs into connection files only, for starting an exam."""
    kept = {key: copy.deepcopy(value) for key, value in settings.items() if not _is_connection_only(key)}
    return kept | {"sebConfigPurpose": 0}


def served_settings(
    settings: Mapping[str, PlistValue],
    *,
    camera_page: bool,
    platform: Platform | None = None,
    native_join: bool = False,
) -> Settings:
    """Give what a client of this platform loads for an exam (None: not known yet).

    With `camera_page` the keys of our page are set whatever was edited. With `native_join` the Jitsi switch goes to
    those platforms alone whose clients can join by themselves, the others get it off: macOS would end the session
    (`seb-client-api` Q20). Zoom is off then too: iOS and Windows 3.6 refuse it. With neither, the settings are
    served as edited. `sebConfigPurpose` is 0 and keys of connection files are left out in any case.
    """
    served = _starting_an_exam(settings)
    if camera_page:
        served = with_camera_keys(served)
    if native_join:
        served |= {"jitsiMeetEnable": platform in NATIVE_PLATFORMS, "zoomEnable": False}
    return served


def what_would_change(
    settings: Mapping[str, PlistValue],
    *,
    camera_page: bool,
    platform: Platform | None = None,
    native_join: bool = False,
) -> list[KeyChange]:
    """Say which keys a client gets otherwise than edited, sorted by key, to be shown before that is applied."""
    served = served_settings(settings, camera_page=camera_page, platform=platform, native_join=native_join)
    changes = (KeyChange(key, settings.get(key), served.get(key)) for key in settings.keys() | served.keys())
    return sorted(
        (one for one in changes if type(one.before) is not type(one.after) or one.before != one.after),
        key=lambda one: one.key.lower(),
    )


def served_config_keys(
    settings: Mapping[str, PlistValue], *, camera_page: bool, native_join: bool = False
) -> dict[Platform, str]:
    """Give the Config Key each platform's clients will compute. An LMS must know all that differ."""
    return {
        platform: config_key(
            served_settings(settings, camera_page=camera_page, platform=platform, native_join=native_join)
        )
        for platform in Platform
    }


def camera_problems(settings: Mapping[str, PlistValue]) -> list[Problem]:
    """Name each key that keeps our page from the camera or from its work, with the platforms concerned.

    A missing key counts with the clients' own default. A value of another type is a problem even if it
    looks right: macOS and iOS refuse such a file as a whole.
    """
    problems = (_problem(camera_key, settings) for camera_key in CAMERA_KEYS)
    return [problem for problem in problems if problem is not None]


def _problem(needed: CameraKey, settings: Mapping[str, PlistValue]) -> Problem | None:
    found = settings.get(needed.key)
    effective = catalogue.setting(needed.key).apple_default if found is None else found
    if type(effective) is type(needed.value) and effective == needed.value:
        return None
    where = ", ".join(name for platform, name in PLATFORM_NAMES.items() if platform in needed.platforms)
    return Problem(
        key=needed.key,
        found=found,
        needed=needed.value,
        platforms=needed.platforms,
        message=f"{where}: {needed.otherwise}. Set {needed.key} to {_shown(needed.value)}.",
    )


def _shown(value: PlistValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_connection_only(key: str) -> bool:
    return key in _CONNECTION_ONLY or key.startswith("sebServerFallback")
