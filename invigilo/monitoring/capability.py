"""What one SEB program can do, by its system and version: one table, looked up at the handshake.

A client answers instructions it does not understand with silence, with a confirmation all the same, or by
joining a meeting without a name (seb-client-api.md §8 Q15, Q17). So nothing is sent that the table does not
grant, and a client whose system or version is unknown gets nothing but what every SEB understands; our
camera page stays open to it.

Sources: seb-client-api.md §4.2, §4.3, §4.6, §8 Q15–Q21; live-proctoring.md §3.10; seb-settings.md §3 (camera
page). Where the first two disagree (Windows 3.7: parser present, feature switched off) the client's real
behaviour decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from invigilo.monitoring.model import InstructionType, OsFamily

Version = tuple[int, ...]


class UrlForm(StrEnum):
    """How `jitsiMeetServerURL` must look (Q16)."""

    HOST = "host"
    """`host[:port][/path]`: Windows puts its own `https://` in front."""
    FULL_URL = "full_url"


class Confirms(StrEnum):
    """Which instructions a client confirms when asked (§4.3). It proves delivery, never action (Q15)."""

    EVERYTHING = "everything"
    SCREEN_PROCTORING = "screen_proctoring"
    PROCTORING_AND_RECONFIGURE = "proctoring_and_reconfigure"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Capability:
    """One row. Everything is off unless a source says it works."""

    is_known: bool = False
    """System and version were both recognised."""
    can_camera_page: bool = True
    """A web page may use the camera in this SEB; believed of unknown clients, since nearly all in use can."""
    join_jitsi: bool = False
    join_zoom: bool = False
    reconfigure_jitsi: bool = False
    reconfigure_zoom: bool = False
    screen_proctoring: bool = False
    lock_screen: bool = False
    """Acts on SEB_FORCE_LOCK_SCREEN."""
    raise_hand: bool = False
    """Sends `<raisehand>` notifications."""
    settles_hand: bool = False
    """Acts on NOTIFICATION_CONFIRM for a raised hand."""
    settles_lock: bool = False
    """Acts on NOTIFICATION_CONFIRM for a lock screen."""
    confirms: Confirms = Confirms.NOTHING
    jitsi_url_form: UrlForm | None = None
    leave_is_join: bool = False
    """A Jitsi LEAVE makes it join (Q18): end the room at the meeting service instead."""
    locked_out_by_jitsi: bool = False
    """Refuses to start an exam whose settings have `jitsiMeetEnable` on (Q20)."""
    locked_out_by_zoom: bool = False
    """The same with `zoomEnable`."""

    def may_be_sent(self, instruction: InstructionType) -> bool:
        """Whether sending this type can do any good; SEB_PROCTORING means any of its services."""
        match instruction:
            case InstructionType.QUIT:
                return True
            case InstructionType.PROCTORING:
                return self.join_jitsi or self.join_zoom or self.screen_proctoring
            case InstructionType.RECONFIGURE:
                return self.reconfigure_jitsi or self.reconfigure_zoom
            case InstructionType.LOCK_SCREEN:
                return self.lock_screen
            case InstructionType.NOTIFICATION_CONFIRM:
                return self.settles_hand or self.settles_lock


UNKNOWN_CLIENT = Capability()

_W31 = Capability(is_known=True, can_camera_page=False)
_W32 = replace(
    _W31,
    join_jitsi=True,
    reconfigure_jitsi=True,
    confirms=Confirms.EVERYTHING,
    jitsi_url_form=UrlForm.HOST,
    leave_is_join=True,
)
_W330 = replace(_W32, can_camera_page=True, join_zoom=True, reconfigure_zoom=True)
_W331 = replace(_W330, raise_hand=True, settles_hand=True)
_W35 = replace(_W331, lock_screen=True, settles_lock=True)
_W36 = replace(_W35, join_zoom=False, reconfigure_zoom=False)
_W37 = replace(
    _W36,
    join_jitsi=False,
    reconfigure_jitsi=False,
    jitsi_url_form=None,
    leave_is_join=False,
    screen_proctoring=True,
)

# Apple: the key that grants the camera to a page is known from 3.1.1 on (seb-settings.csv).
_M30 = Capability(is_known=True, can_camera_page=False, locked_out_by_jitsi=True, locked_out_by_zoom=True)
_M31 = replace(_M30, raise_hand=True, settles_hand=True, settles_lock=True)
_M311 = replace(_M31, can_camera_page=True)
_M324 = replace(_M311, lock_screen=True)
_M34 = replace(_M324, screen_proctoring=True, confirms=Confirms.SCREEN_PROCTORING)

_I30 = Capability(
    is_known=True,
    can_camera_page=False,
    join_jitsi=True,
    reconfigure_jitsi=True,
    confirms=Confirms.PROCTORING_AND_RECONFIGURE,
    jitsi_url_form=UrlForm.FULL_URL,
    leave_is_join=True,
    locked_out_by_zoom=True,
)
_I31 = replace(_I30, raise_hand=True, settles_hand=True, settles_lock=True)
_I311 = replace(_I31, can_camera_page=True)
_I333 = replace(_I311, lock_screen=True)
_I34 = replace(_I333, screen_proctoring=True)

TABLE: dict[OsFamily, tuple[tuple[Version, Capability], ...]] = {
    OsFamily.WINDOWS: (
        ((3, 7), _W37),  # 3.8 deleted what 3.7 only switched off: the same from outside
        ((3, 6), _W36),
        ((3, 5), _W35),
        ((3, 3, 1), _W331),
        ((3, 3), _W330),
        ((3, 2), _W32),
        ((3, 0), _W31),
    ),
    OsFamily.MACOS: (
        ((3, 4), _M34),
        ((3, 2, 4), _M324),
        ((3, 1, 1), _M311),
        ((3, 1), _M31),
        ((3, 0), _M30),
    ),
    OsFamily.IOS: (
        ((3, 4), _I34),
        ((3, 3, 3), _I333),
        ((3, 1, 1), _I311),
        ((3, 1), _I31),
        ((3, 0), _I30),
    ),
}
"""Per system, newest first: (from this version on, what it can do)."""


def capability(os_family: OsFamily, version: Version | None) -> Capability:
    """Look up what a client can do.

    A version below 3.0 is no release that speaks to a server but a local build (`1.0.0.0`) or nonsense, so
    it counts as unknown. One newer than the table counts as the newest row: features have been removed, but
    none came back.
    """
    if version is None:
        return UNKNOWN_CLIENT
    rows = TABLE.get(os_family, ())
    return next((row for since, row in rows if version >= since), UNKNOWN_CLIENT)


@lru_cache(maxsize=512)
def capability_of(os_name: str | None, seb_version: str | None) -> Capability:
    """The same from the texts of the handshake (seb-client-api.md §2.3). Asked for every row of a wall."""
    return capability(os_family(os_name), parse_version(seb_version))


_IOS_WORDS = re.compile(r"iPad|iPhone|iPod|\biOS\b")
_MAC_WORDS = re.compile(r"mac ?OS|Mac OS|OS X", re.IGNORECASE)
_WINDOWS_WORDS = re.compile(r"\bWin", re.IGNORECASE)
_VERSION = re.compile(r"\s*v?([0-9]{1,6}(?:\.[0-9]{1,6}){1,3})(?![0-9.])")


def os_family(os_name: str | None) -> OsFamily:
    """Read `seb_os_name`. "Darwin" ends in "win" and is no Windows, so words count, not letters."""
    if not os_name:
        return OsFamily.UNKNOWN
    if _IOS_WORDS.search(os_name):
        return OsFamily.IOS
    if _MAC_WORDS.search(os_name):
        return OsFamily.MACOS
    return OsFamily.WINDOWS if _WINDOWS_WORDS.search(os_name) else OsFamily.UNKNOWN


def parse_version(text: str | None) -> Version | None:
    """Read `seb_version`: two to four numbers at the start, whatever follows (`3.7.1 (x64)`); else None."""
    match = _VERSION.match(text or "")
    return None if match is None else tuple(int(part) for part in match[1].split("."))
