"""What the settings editor allows now, what follows from an edit, and what is wrong with a configuration.

Three questions with one answer each (`seb-settings` §2.5, §2.6, §5): `locked` says which controls are disabled and by
which setting; `settle` resets what another setting forbids; `findings` judges. A locked value is still exported, so
disabling never changes one. Findings carry codes; the sentences are in `web/messages/*/finding.json`.

An error stops publishing, a warning does not. Whatever the editor does not show can only warn: it came with an
import and nobody could mend it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from invigilo.sebconfig import catalogue, values
from invigilo.sebconfig.catalogue import PlistType, Setting
from invigilo.sebconfig.exam_settings import PLATFORM_NAMES, Platform, camera_problems
from invigilo.sebconfig.values import Values, to_settings

MASTERS = ("jitsiMeetEnable", "zoomEnable", "enableScreenProctoring")
"""The three services of the Proctoring tab; at most one may be on."""

_WINDOWS = frozenset({Platform.WINDOWS})
_MAC = frozenset({Platform.MACOS})
_IOS = frozenset({Platform.IOS})
_APPLE = _MAC | _IOS
_ALL = frozenset(Platform)


# --- what is disabled ----------------------------------------------------------------------------------------


class LockCode(StrEnum):
    """Why a control is disabled; the sentence is `finding.lock.<code>`."""

    SWITCHED_OFF = "switched_off"
    SWITCHED_ON = "switched_on"
    OTHER_CHOICE = "other_choice"


@dataclass(frozen=True, slots=True)
class Lock:
    """A control is disabled because of the value of another setting."""

    code: LockCode
    by: str


@dataclass(frozen=True, slots=True)
class _Condition:
    """One clause of `depends_on`: the control is enabled only while a setting has this value."""

    setting_id: str
    wanted: bool | int

    def lock(self, found: Mapping[str, Any]) -> Lock | None:
        root, _, key = self.setting_id.partition(".")
        value = found[root][key] if key else found[root]
        if value == self.wanted:
            return None
        if self.wanted is True:
            return Lock(LockCode.SWITCHED_OFF, self.setting_id)
        return Lock(LockCode.SWITCHED_ON if self.wanted is False else LockCode.OTHER_CHOICE, self.setting_id)


@cache
def _conditions() -> dict[str, tuple[_Condition, ...]]:
    """Read `depends_on` of the catalogue; below a dict it names keys of that dict."""
    return {
        row.id: tuple(_condition(clause, row) for clause in row.depends_on.split(" and "))
        for row in catalogue.all_settings().values()
        if row.depends_on
    }


def _condition(clause: str, row: Setting) -> _Condition:
    name, _, text = clause.partition("=")
    wanted = text == "true" if text in {"true", "false"} else int(text)
    return _Condition(f"{row.parent_id}.{name}" if row.parent_id else name, wanted)


def locked(found: Mapping[str, Any]) -> dict[str, Lock]:
    """Say which controls are disabled now, and by which setting. Keys of `proxies` go by their dotted id.

    Touch-optimised mode and full screen exclude each other. Each disables the other, but never both at once:
    with both on, from an import, the touch mode can still be switched off.
    """
    locks: dict[str, Lock] = {}
    for setting_id, conditions in _conditions().items():
        reasons = (condition.lock(found) for condition in conditions)
        reason = next((reason for reason in reasons if reason), None)
        if reason:
            locks[setting_id] = reason
    if found["touchOptimized"]:
        locks["browserViewMode"] = Lock(LockCode.SWITCHED_ON, "touchOptimized")
    elif found["browserViewMode"] != 0:
        locks["touchOptimized"] = Lock(LockCode.OTHER_CHOICE, "browserViewMode")
    return locks


# --- what follows --------------------------------------------------------------------------------------------

_RESETS = (
    ("raiseHandButtonShow", False, {"raiseHandButtonAlwaysPromptMessage": False}),
    ("browserMediaAutoplay", False, {"browserMediaAutoplayAudio": False, "browserMediaAutoplayVideo": False}),
    ("allowScreenCapture", False, {"allowWindowCapture": False, "blockScreenShotsLegacy": False}),
    ("allowWindowCapture", False, {"blockScreenShotsLegacy": False}),
    (
        "sebServiceIgnore",
        True,
        {
            setting_id: catalogue.setting(setting_id).default
            for setting_id in (
                "sebServicePolicy",
                "enableWindowsUpdate",
                "enableChromeNotifications",
                "allowScreenSharing",
            )
        },
    ),
)
"""While a setting has this value, others have that one (`seb-settings` §5); a cause stands before its effects."""


def settle(found: Values) -> Values:
    """Give the values with everything reset that another setting forbids. Done twice, it changes nothing more."""
    settled = found
    for setting_id, value, forced in _RESETS:
        if settled[setting_id] is value:
            settled = settled | forced
    return settled


# --- what is wrong -------------------------------------------------------------------------------------------


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """What is wrong; the sentence is `finding.<code>`. A camera key has the code `camera_key.<key>` instead."""

    INTEGER = "integer"
    CHOICE = "choice"
    RANGE = "range"
    PORT = "port"
    POSITIVE = "positive"
    WINDOW_SIZE = "window_size"
    COLOUR = "colour"
    PASSWORD_HASH = "password_hash"  # noqa: S105 - the name of a finding
    URL = "url"
    VERSION = "version"
    REGEX = "regex"
    EXIT_KEYS = "exit_keys"
    BATTERY_ORDER = "battery_order"
    INTERVAL_ORDER = "interval_order"
    VERSIONS_BLOCK = "versions_block"
    TOUCH_AND_FULL_SCREEN = "touch_and_full_screen"
    TOUCH_AND_NEW_DESKTOP = "touch_and_new_desktop"
    ONE_SERVICE = "one_service"
    JITSI_LOCKS_OUT = "jitsi_locks_out"
    ZOOM_LOCKS_OUT = "zoom_locks_out"
    NO_BROWSER_NO_PROGRAM = "no_browser_no_program"
    NO_QUIT_PASSWORD = "no_quit_password"  # noqa: S105
    RECONFIGURE_NO_URL = "reconfigure_no_url"
    DOWNLOADS_MASTER = "downloads_master"
    UPLOADS_MASTER = "uploads_master"
    UPLOADS_IOS = "uploads_ios"
    NEWER_SWITCHES = "newer_switches"
    BUILTIN_AND_MORE = "builtin_and_more"
    FILTER_BLOCKS_ALL = "filter_blocks_all"
    FILTER_EMPTY = "filter_empty"
    FILTER_AND_PAGE = "filter_and_page"
    CONTENT_FILTER_ALONE = "content_filter_alone"
    PROXIES_IGNORED = "proxies_ignored"
    PROXY_NO_HOST = "proxy_no_host"
    CLIPBOARD_STRICTER = "clipboard_stricter"
    CLIPBOARD_OPEN = "clipboard_open"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend at a setting, or at the path of a value inside a table (rows counted from 0).

    `values` fill the holes of the sentence; `platforms` are the systems it concerns.
    """

    setting_id: str
    code: str
    severity: Severity
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    platforms: frozenset[Platform] = _ALL


Findings: TypeAlias = Iterator[Finding]


def findings(found: Mapping[str, Any], *, camera_page: bool = False) -> list[Finding]:
    """Judge a configuration, in the order of the rules: single values first.

    With `camera_page` the keys are named that clients get otherwise than edited, because our page needs them; what
    those keys rule out (a meeting beside the page) is then not named again.
    """
    noticed = [finding for path, row, value in values.walk(found) for finding in _of_value(path, row, value)]
    for rule in _RULES:
        noticed += rule(found)
    noticed += _camera_keys(found) if camera_page else _meetings(found)
    return noticed


def _error(path: str, code: str, /, *, platforms: frozenset[Platform] = _ALL, **holes: object) -> Finding:
    severity = Severity.ERROR if _is_shown(path) else Severity.WARNING
    return _finding(path, code, severity, platforms, holes)


def _warning(path: str, code: str, /, *, platforms: frozenset[Platform] = _ALL, **holes: object) -> Finding:
    return _finding(path, code, Severity.WARNING, platforms, holes)


def _finding(
    path: str, code: str, severity: Severity, platforms: frozenset[Platform], holes: dict[str, object]
) -> Finding:
    return Finding(path, code, severity, holes | {"platforms": names_of(platforms)}, platforms)


def _is_shown(path: str) -> bool:
    return bool(catalogue.setting(re.split(r"[.\[]", path, maxsplit=1)[0]).tab)


def names_of(platforms: Iterable[Platform]) -> str:
    """Name systems as people do: Windows, macOS, iOS."""
    return ", ".join(name for platform, name in PLATFORM_NAMES.items() if platform in platforms)


# --- single values ---

_INT32 = range(-(2**31), 2**31)
_WINDOW_SIZE = re.compile(r"\s*|[0-9]{1,6}%?")
_COLOUR = re.compile("#[0-9A-Fa-f]{6}")
_HASH = re.compile("[0-9a-f]{64}")
_VERSION = re.compile(r"(win|mac|ios)(\.[0-9]+){2,4}((\.ae)?(\.min)?|\.min\.ae)", re.IGNORECASE)
_URLS = frozenset({"quitURL", "restartExamURL"})
_POSITIVE = frozenset({
    "screenProctoringScreenshotMinInterval", "screenProctoringScreenshotMaxInterval", "screenProctoringCacheSize",
    "allowedDisplaysMaxNumber", "taskBarHeight",
})  # fmt: skip
_BOUNDS = {"batteryChargeThresholdCritical": (0.0, 1.0), "batteryChargeThresholdLow": (0.0, 1.0)}
"""Bounds of §5 that the table lacks."""


def _of_value(path: str, row: Setting, value: Any) -> Findings:
    if row.plist_type in {PlistType.INTEGER, PlistType.NONE}:
        yield from _of_integer(path, row, value)
    elif row.plist_type is PlistType.STRING:
        yield from _of_text(path, row, value)
    bounds = _bounds(row)
    if bounds and not bounds[0] <= value <= bounds[1]:
        yield _error(path, Code.RANGE, minimum=f"{bounds[0]:g}", maximum=f"{bounds[1]:g}")
    if row.choices and not row.has_free_entry:
        allowed = [choice.value for choice in row.choices]
        wrong = [one for one in (value if isinstance(value, list) else [value]) if one not in allowed]
        if wrong:
            yield _error(path, Code.CHOICE, value=wrong[0])


def _bounds(row: Setting) -> tuple[float, float] | None:
    if row.minimum is not None and row.maximum is not None:
        return row.minimum, row.maximum
    return _BOUNDS.get(row.id)


def _of_integer(path: str, row: Setting, value: int) -> Findings:
    if value not in _INT32:
        yield _error(path, Code.INTEGER)
    elif row.parent_id == "proxies" and row.key.endswith("Port") and not 1 <= value <= 65535:
        yield _error(path, Code.PORT)
    elif row.id in _POSITIVE and value < 1:
        yield _error(path, Code.POSITIVE)


def _of_text(path: str, row: Setting, text: str) -> Findings:
    if row.validator == "window size" and not _WINDOW_SIZE.fullmatch(text):
        yield _error(path, Code.WINDOW_SIZE)
    if row.control == "color_selector" and not _COLOUR.fullmatch(text):
        yield _error(path, Code.COLOUR)
    if values.is_password(row) and text and not _HASH.fullmatch(text):
        yield _error(path, Code.PASSWORD_HASH)
    if row.id in _URLS and text.strip() and not _is_absolute(text):
        yield _error(path, Code.URL)


def _is_absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.scheme and parts.hostname) and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:
        return False


# --- between settings ---


def _versions(found: Mapping[str, Any]) -> Findings:
    """Items are checked one by one; a list without a system blocks every client of that system."""
    items: list[str] = [item for item in found["sebAllowedVersions"] if item.strip()]
    for index, item in enumerate(found["sebAllowedVersions"]):
        if item.strip() and not is_version(item):
            yield _error(f"sebAllowedVersions[{index}]", Code.VERSION, value=item[:60])
    systems = {item.partition(".")[0].lower() for item in items if is_version(item)}
    blocked = frozenset(
        platform
        for platform, system in ((Platform.WINDOWS, "win"), (Platform.MACOS, "mac"), (Platform.IOS, "ios"))
        if system not in systems
    )
    if systems and blocked:
        yield _warning("sebAllowedVersions", Code.VERSIONS_BLOCK, platforms=blocked)


def is_version(item: str) -> bool:
    """Is this `OS.major.minor[.patch[.build]]`, then `AE` and `min` at most once each, in any order (§5)?"""
    return bool(_VERSION.fullmatch(item))


def _exit_keys(found: Mapping[str, Any]) -> Findings:
    if len({found["exitKey1"], found["exitKey2"], found["exitKey3"]}) < 3:
        yield _error("exitKey1", Code.EXIT_KEYS)


def _orders(found: Mapping[str, Any]) -> Findings:
    if found["batteryChargeThresholdCritical"] >= found["batteryChargeThresholdLow"]:
        yield _error("batteryChargeThresholdCritical", Code.BATTERY_ORDER)
    low, high = "screenProctoringScreenshotMinInterval", "screenProctoringScreenshotMaxInterval"
    if found[low] > found[high]:
        yield _error(low, Code.INTERVAL_ORDER, maximum=found[high])


def _touch(found: Mapping[str, Any]) -> Findings:
    if not found["touchOptimized"]:
        return
    if found["browserViewMode"] != 0:
        yield _error("touchOptimized", Code.TOUCH_AND_FULL_SCREEN)
    if found["kioskMode"] == 0:
        yield _warning("touchOptimized", Code.TOUCH_AND_NEW_DESKTOP, platforms=_WINDOWS)


def _one_service(found: Mapping[str, Any]) -> Findings:
    on = [master for master in MASTERS if found[master]]
    if len(on) > 1:
        yield from (_error(master, Code.ONE_SERVICE) for master in on)


def _meetings(found: Mapping[str, Any]) -> Findings:
    """The platforms of §2.6 whose clients end the session, or refuse it, when a master is on."""
    if found["jitsiMeetEnable"]:
        yield _warning("jitsiMeetEnable", Code.JITSI_LOCKS_OUT, platforms=_MAC)
    if found["zoomEnable"]:
        yield _warning("zoomEnable", Code.ZOOM_LOCKS_OUT, platforms=_ALL)


def _camera_keys(found: Mapping[str, Any]) -> Findings:
    """Only warnings: whatever is edited, clients get what the page needs (`exam_settings.served_settings`).

    With our page it is the page that is the start address, which the URL filter allows by itself (§3); the exam's own
    address, opened from it, is not.
    """
    if found["URLFilterEnable"]:
        yield _warning("URLFilterEnable", Code.FILTER_AND_PAGE)
    for problem in camera_problems(to_settings(found)):
        shown = str(problem.needed).lower() if isinstance(problem.needed, bool) else problem.needed
        code = f"camera_key.{problem.key}"
        yield _warning(problem.key, code, platforms=problem.platforms, needed=shown)


def _programs(found: Mapping[str, Any]) -> Findings:
    starts = any(row["active"] and row["autostart"] for row in found["permittedProcesses"])
    if not found["enableSebBrowser"] and not starts:
        yield _error("enableSebBrowser", Code.NO_BROWSER_NO_PROGRAM)


def _quitting(found: Mapping[str, Any]) -> Findings:
    has_password = bool(found["hashedQuitPassword"])
    if found["allowQuit"] and not has_password:
        yield _warning("hashedQuitPassword", Code.NO_QUIT_PASSWORD)
    address = found["examSessionReconfigureConfigURL"].strip()
    if found["examSessionReconfigureAllow"] and has_password and not address:
        yield _error("examSessionReconfigureConfigURL", Code.RECONFIGURE_NO_URL)


def _files(found: Mapping[str, Any]) -> Findings:
    """Downloads are allowed by default, so only who set something up for them is told of the older master switch."""
    wants_downloads = found["allowDownloads"] and (
        found["downloadFileTypes"]
        or found["downloadDirectoryOSX"].strip()
        or found["allowCustomDownUploadLocation"]
    )
    if not found["allowDownUploads"]:
        if wants_downloads:
            yield _warning("allowDownloads", Code.DOWNLOADS_MASTER, platforms=_MAC)
        if found["allowUploads"] or found["allowUploadsiOS"]:
            path = "allowUploads" if found["allowUploads"] else "allowUploadsiOS"
            yield _warning(path, Code.UPLOADS_MASTER, platforms=_APPLE)
    elif not (found["allowDownloads"] or found["allowUploads"]):
        yield _warning("allowDownUploads", Code.NEWER_SWITCHES, platforms=_WINDOWS | _MAC)
    if found["allowUploads"] and not found["allowUploadsiOS"]:
        yield _warning("allowUploadsiOS", Code.UPLOADS_IOS, platforms=_IOS)


def _displays(found: Mapping[str, Any]) -> Findings:
    if found["allowedDisplayBuiltinEnforce"] and found["allowedDisplaysMaxNumber"] > 1:
        yield _warning("allowedDisplaysMaxNumber", Code.BUILTIN_AND_MORE, platforms=_WINDOWS | _MAC)


def _url_filter(found: Mapping[str, Any]) -> Findings:
    rules = [(f"URLFilterRules[{i}].expression", rule) for i, rule in enumerate(found["URLFilterRules"])]
    for path, rule in rules:
        if not rule["expression"].strip():
            yield _warning(path, Code.FILTER_EMPTY)
        elif rule["regex"] and (reason := regex_fault(rule["expression"])):
            yield _error(path, Code.REGEX, reason=reason)
    if found["URLFilterEnable"] and not any(rule["active"] and rule["action"] == 1 for _, rule in rules):
        yield _warning("URLFilterEnable", Code.FILTER_BLOCKS_ALL)
    if found["URLFilterEnableContentFilter"] and not found["URLFilterEnable"]:
        yield _warning("URLFilterEnableContentFilter", Code.CONTENT_FILTER_ALONE)


def _proxies(found: Mapping[str, Any]) -> Findings:
    proxies = found["proxies"]
    protocols = [key.removesuffix("Enable") for key in proxies if key.endswith("Enable")]
    on = [protocol for protocol in protocols if proxies[f"{protocol}Enable"]]
    if found["proxySettingsPolicy"] == 0:
        if on or proxies["AutoConfigurationEnabled"] or proxies["AutoDiscoveryEnabled"]:
            yield _warning("proxySettingsPolicy", Code.PROXIES_IGNORED)
        return
    for protocol in on:
        if not proxies[f"{protocol}Proxy"].strip():
            yield _warning(f"proxies.{protocol}Proxy", Code.PROXY_NO_HOST, protocol=protocol)


def _clipboard(found: Mapping[str, Any]) -> Findings:
    is_private = found["enablePrivateClipboard"] or found["enablePrivateClipboardMacEnforce"]
    if found["clipboardPolicy"] == 0 and is_private:
        yield _warning("clipboardPolicy", Code.CLIPBOARD_STRICTER, platforms=_MAC)
    if found["clipboardPolicy"] != 0 and not is_private:
        yield _warning("enablePrivateClipboardMacEnforce", Code.CLIPBOARD_OPEN, platforms=_MAC)


_RULES: tuple[Callable[[Mapping[str, Any]], Findings], ...] = (
    _versions, _exit_keys, _orders, _touch, _one_service, _programs, _quitting, _files, _displays, _url_filter,
    _proxies, _clipboard,
)  # fmt: skip


# --- regular expressions ---

_PROPERTY = re.compile(r"\\[pP]\{\^?\w+\}")
_NAMED = re.compile(r"\(\?<(?=[A-Za-z])")


def regex_fault(expression: str) -> str:
    """Say why an expression does not compile; empty when it does.

    Clients use .NET and ICU. What those know and we do not (Unicode properties, their spelling of named groups) is
    read as something alike, so that nothing is refused that works there.
    """
    alike = _NAMED.sub("(?P<", _PROPERTY.sub("w", expression))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sets inside sets mean something there too
            re.compile(alike)
    except re.error as error:
        return error.msg
    except (OverflowError, RecursionError):
        return "too large"
    return ""
