"""What the editor locks, resets and objects to, and that it says each in both languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as effort

from invigilo.sebconfig import catalogue, checks
from invigilo.sebconfig.checks import (
    Code,
    Lock,
    LockCode,
    Severity,
    findings,
    is_version,
    locked,
    regex_fault,
    settle,
)
from invigilo.sebconfig.exam_settings import CAMERA_KEYS, Platform, with_camera_keys
from invigilo.sebconfig.values import (
    change,
    columns,
    default_values,
    editable,
    from_settings,
    new_configuration_values,
    to_settings,
)
from invigilo.web.catalogue import Catalogue

from .test_values import edited

_DEFAULTS = default_values()
_NOISE = {"no_quit_password"}
"""What a configuration without quit password is told of anyway."""


def with_edits(**edits):
    found = _DEFAULTS
    for setting_id, raw in edits.items():
        found = change(found, setting_id.replace("__", "."), raw)
    return found


def told(found, **context):
    return {(one.setting_id, str(one.code)) for one in findings(found, **context) if one.code not in _NOISE}


def severity_of(found, code):
    return {one.severity for one in findings(found) if one.code == code}


# --- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_code_has_its_sentence_and_no_sentence_is_left_over(language):
    codes = {code.value for code in Code} | {f"lock.{code.value}" for code in LockCode}
    codes |= {f"camera_key.{needed.key}" for needed in CAMERA_KEYS}
    texts = Catalogue.load().texts
    found = {key for key in texts[language] if key.startswith("finding.")}
    assert found == {f"finding.{code}" for code in codes}
    for key in found:
        assert Catalogue.holes(texts[language][key]) == Catalogue.holes(texts["en"][key]), key


@effort(deadline=None)
@given(edited())
def test_whatever_is_edited_every_hole_is_filled_and_every_place_exists(found):
    catalogue_of_texts = Catalogue.load()
    for finding in [*findings(found), *findings(found, camera_page=True)]:
        raw = catalogue_of_texts.texts["de"][f"finding.{finding.code}"]  # what is filled in may have braces of its own
        assert Catalogue.holes(raw) <= finding.values.keys()
        assert finding.setting_id.partition("[")[0].partition(".")[0] in editable()
    for setting_id, lock in locked(found).items():
        assert catalogue.setting(setting_id)
        assert catalogue.setting(lock.by)


# --- locks -----------------------------------------------------------------------------------------------------------


def test_every_dependence_of_the_catalogue_locks_until_it_holds():
    """Each is opened by setting what it waits for, whatever it is."""
    for row in catalogue.all_settings().values():
        for clause in filter(None, row.depends_on.split(" and ")):
            name, _, wanted = clause.partition("=")
            by = f"{row.parent_id}.{name}" if row.parent_id else name
            wrong, right = (
                (wanted != "true", wanted == "true") if wanted in {"true", "false"} else (1, int(wanted))
            )
            assert locked(change(_DEFAULTS, by, wrong))[row.id].by == by, row.id
            assert row.id not in locked(
                change(_DEFAULTS, by, right) | {"touchOptimized": False, "browserViewMode": 0}
            )


@pytest.mark.parametrize(
    ("edits", "setting_id", "lock"),
    [
        ({}, "jitsiMeetAudioMuted", Lock(LockCode.SWITCHED_OFF, "jitsiMeetEnable")),
        ({}, "proctoringDetectFaceYaw", Lock(LockCode.SWITCHED_OFF, "proctoringAIEnable")),
        ({}, "insideSebEnableLogOff", Lock(LockCode.SWITCHED_ON, "sebServiceIgnore")),
        ({"browserViewMode": 1}, "mainBrowserWindowWidth", Lock(LockCode.OTHER_CHOICE, "browserViewMode")),
        ({"touchOptimized": True}, "mainBrowserWindowWidth", Lock(LockCode.SWITCHED_ON, "touchOptimized")),
        ({"touchOptimized": True}, "browserViewMode", Lock(LockCode.SWITCHED_ON, "touchOptimized")),
        ({"browserViewMode": 1}, "touchOptimized", Lock(LockCode.OTHER_CHOICE, "browserViewMode")),
        ({"proxies__FTPRequiresPassword": True}, "proxies.HTTPPassword", Lock(LockCode.SWITCHED_OFF, "proxies.HTTPRequiresPassword")),
    ],
)  # fmt: skip
def test_a_lock_says_by_what(edits, setting_id, lock):
    assert locked(with_edits(**edits))[setting_id] == lock


def test_the_whole_registry_tab_waits_for_the_service_and_one_protocol_not_for_another():
    registry = {row.id for row in editable().values() if row.tab == "registry"}
    assert registry <= locked(_DEFAULTS).keys()
    assert not registry & locked(with_edits(sebServiceIgnore=False)).keys()
    assert "proxies.FTPPassword" not in locked(with_edits(proxies__FTPRequiresPassword=True))


@pytest.mark.parametrize("master", [*checks.MASTERS, "proctoringAIEnable"])
def test_a_master_of_the_proctoring_tab_opens_its_groups(master):
    group = {row.id for row in editable().values() if row.depends_on == f"{master}=true"}
    assert len(group) >= 5
    assert group <= locked(_DEFAULTS).keys()
    assert not group & locked(with_edits(**{master: True})).keys()


def test_touch_mode_and_full_screen_never_lock_each_other_at_once():
    both = locked(_DEFAULTS | {"touchOptimized": True, "browserViewMode": 1})
    assert "browserViewMode" in both
    assert "touchOptimized" not in both


# --- resets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {"raiseHandButtonShow": False, "raiseHandButtonAlwaysPromptMessage": True},
            {"raiseHandButtonAlwaysPromptMessage": False},
        ),
        ({"browserMediaAutoplay": False}, {"browserMediaAutoplayAudio": False, "browserMediaAutoplayVideo": False}),
        ({"allowWindowCapture": True, "blockScreenShotsLegacy": True}, {"allowWindowCapture": False, "blockScreenShotsLegacy": False}),
        ({"allowScreenCapture": True, "blockScreenShotsLegacy": True}, {"blockScreenShotsLegacy": False}),
        (
            {"sebServicePolicy": 0, "enableWindowsUpdate": True, "enableChromeNotifications": True, "allowScreenSharing": True},
            {"sebServicePolicy": 2, "enableWindowsUpdate": False, "enableChromeNotifications": False, "allowScreenSharing": False},
        ),
        ({"sebServiceIgnore": False, "sebServicePolicy": 0}, {}),
        ({"jitsiMeetAudioMuted": False}, {}),
        ({"enableBrowserWindowToolbar": False, "allowDeveloperConsole": True}, {}),
        ({"insideSebEnableLogOff": True}, {}),
    ],
    ids=lambda value: next(iter(value), "nothing"),
)  # fmt: skip
def test_only_what_another_setting_resets_is_reset(before, after):
    found = with_edits(**before)
    assert settle(found) == found | after


@effort(deadline=None)
@given(edited())
def test_settling_twice_changes_nothing_more(found):
    assert settle(settle(found)) == settle(found)


def test_new_configurations_are_settled_and_can_be_published():
    for found in (_DEFAULTS, new_configuration_values()):
        assert settle(found) == found
        assert told(found) == set()


# --- single values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting_id", "raw", "code"),
    [
        ("mainBrowserWindowWidth", "80 %", "window_size"),
        ("newBrowserWindowByLinkHeight", "-1", "window_size"),
        ("lockScreenBackgroundColor", "red", "colour"),
        ("lockScreenBackgroundColor", "", "colour"),
        ("browserViewMode", 2, "choice"),
        ("kioskMode", 3, "choice"),
        ("audioVolumeLevel", 101, "range"),
        ("screenProctoringImageDownscale", 1.05, "choice"),
        ("screenProctoringCacheSize", 0, "positive"),
        ("screenProctoringCacheSize", 2**31, "integer"),
        ("proxies.HTTPPort", 0, "port"),
        ("proxies.SOCKSPort", 65536, "port"),
        ("quitURL", "lms.example.org/quit", "url"),
        ("quitURL", "https:///quit", "url"),
        ("restartExamURL", "https://lms.example.org/a b", "url"),
        ("restartExamURL", "https://[", "url"),
        ("allowSpellCheckDictionary", ["xx-XX"], "choice"),
        ("defaultPageZoomLevel", 0.2, "range"),
        ("defaultTextZoomLevel", 3.6, "range"),
        ("batteryChargeThresholdLow", 1.1, "range"),
    ],
)
def test_a_value_that_cannot_be_is_named(setting_id, raw, code):
    found = change(_DEFAULTS, setting_id, raw)
    assert told(found) == {(setting_id, code)}
    is_shown = catalogue.setting(setting_id).tab
    assert severity_of(found, code) == {Severity.ERROR if is_shown else Severity.WARNING}


@pytest.mark.parametrize(
    ("setting_id", "raw"),
    [
        ("mainBrowserWindowWidth", ""), ("mainBrowserWindowWidth", "1000"), ("mainBrowserWindowWidth", "75%"),
        ("lockScreenBackgroundColor", "#00ff7F"), ("screenProctoringImageDownscale", 2), ("quitURL", ""),
        ("quitURL", "https://lms.example.org/quit?a=1&b=2#x"), ("restartExamURL", "sebs://lms.example.org"),
        ("allowedDisplaysMaxNumber", 1), ("taskBarHeight", 55), ("batteryChargeThresholdCritical", 0),
    ],
)  # fmt: skip
def test_a_value_that_can_be_is_not(setting_id, raw):
    assert told(change(_DEFAULTS, setting_id, raw)) == set()


def test_a_value_in_a_table_is_named_by_its_row():
    found = with_edits(prohibitedProcesses=[{}, {"os": 7}], permittedProcesses=[{"arguments": [{}]}])
    assert told(found) == {("prohibitedProcesses[1].os", "choice")}


def test_a_hash_that_is_none_is_named():
    assert ("hashedAdminPassword", "password_hash") in told(_DEFAULTS | {"hashedAdminPassword": "ABC"})


@pytest.mark.parametrize(
    ("item", "is_valid"),
    [
        ("Win.3.7.min", True), ("Mac.3.4.1", True), ("iOS.3.3.1.AE.min", True), ("win.3.7", True), ("MAC.3.4.1.99.min.ae", True),
        ("Win.1", False), ("WIN.1.1A", False), ("Win.1.min.AE", False), ("Win.1.1.min.min", False), ("Win.1.1.1.1.1", False),
        ("Linux.3.1", False), ("Win.3.min.7", False), ("Win.٣.٧", False), ("", False),
    ],
)  # fmt: skip
def test_allowed_versions_are_written_as_seb_reads_them(item, is_valid):
    assert is_version(item) is is_valid
    found = told(with_edits(sebAllowedVersions=["Win.3.7", "Mac.3.4", "iOS.3.3", item]))
    assert found == (set() if is_valid or not item else {("sebAllowedVersions[3]", "version")})


def test_a_system_without_allowed_version_is_locked_out():
    [finding] = [
        one for one in findings(with_edits(sebAllowedVersions=["Win.3.7.min"])) if one.code not in _NOISE
    ]
    assert finding.code == "versions_block"
    assert finding.platforms == {Platform.MACOS, Platform.IOS}
    assert finding.values["platforms"] == "macOS, iOS"


# --- between settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "place", "code", "severity"),
    [
        ({"exitKey2": 2}, "exitKey1", "exit_keys", "warning"),
        ({"batteryChargeThresholdCritical": 0.2}, "batteryChargeThresholdCritical", "battery_order", "warning"),
        ({"screenProctoringScreenshotMinInterval": 5001}, "screenProctoringScreenshotMinInterval", "interval_order", "error"),
        ({"kioskMode": 1, "touchOptimized": True, "browserViewMode": 1}, "touchOptimized", "touch_and_full_screen", "error"),
        ({"touchOptimized": True}, "touchOptimized", "touch_and_new_desktop", "warning"),
        ({"enableSebBrowser": False}, "enableSebBrowser", "no_browser_no_program", "error"),
        ({"enableSebBrowser": False, "permittedProcesses": [{"autostart": True, "active": False}]}, "enableSebBrowser", "no_browser_no_program", "error"),
        ({"hashedQuitPassword": {"password": "x"}, "examSessionReconfigureAllow": True}, "examSessionReconfigureConfigURL", "reconfigure_no_url", "error"),
        ({"downloadFileTypes": [{"extension": "pdf"}]}, "allowDownloads", "downloads_master", "warning"),
        ({"allowUploads": True, "allowUploadsiOS": True}, "allowUploads", "uploads_master", "warning"),
        ({"allowUploads": True, "allowDownUploads": True}, "allowUploadsiOS", "uploads_ios", "warning"),
        ({"allowDownUploads": True, "allowDownloads": False}, "allowDownUploads", "newer_switches", "warning"),
        ({"allowedDisplaysMaxNumber": 2}, "allowedDisplaysMaxNumber", "builtin_and_more", "warning"),
        ({"URLFilterEnable": True}, "URLFilterEnable", "filter_blocks_all", "warning"),
        ({"URLFilterRules": [{}]}, "URLFilterRules[0].expression", "filter_empty", "warning"),
        ({"URLFilterRules": [{"expression": "("}, {"expression": "(", "regex": True}]}, "URLFilterRules[1].expression", "regex", "error"),
        ({"URLFilterEnableContentFilter": True}, "URLFilterEnableContentFilter", "content_filter_alone", "warning"),
        ({"proxies__AutoDiscoveryEnabled": True}, "proxySettingsPolicy", "proxies_ignored", "warning"),
        ({"proxySettingsPolicy": 1, "proxies__HTTPSEnable": True}, "proxies.HTTPSProxy", "proxy_no_host", "warning"),
        ({"clipboardPolicy": 0}, "clipboardPolicy", "clipboard_stricter", "warning"),
        ({"enablePrivateClipboard": False, "enablePrivateClipboardMacEnforce": False}, "enablePrivateClipboardMacEnforce", "clipboard_open", "warning"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_named(edits, place, code, severity):
    found = with_edits(**edits)
    assert told(found) == {(place, code)}
    assert severity_of(found, code) == {Severity(severity)}


@pytest.mark.parametrize(
    "edits",
    [
        {"enableSebBrowser": False, "permittedProcesses": [{"autostart": True}]},
        {"examSessionReconfigureAllow": True},
        {"hashedQuitPassword": {"password": "x"}, "examSessionReconfigureAllow": True, "examSessionReconfigureConfigURL": "*"},
        {"allowQuit": False, "quitURL": "https://lms.example.org/quit"},
        {"URLFilterEnable": True, "URLFilterEnableContentFilter": True, "URLFilterRules": [{"expression": "a.org", "action": 1}]},
        {"proxySettingsPolicy": 1, "proxies__HTTPEnable": True, "proxies__HTTPProxy": "proxy.example.org"},
        {"enableScreenProctoring": True},
    ],
)  # fmt: skip
def test_settings_that_go_together_are_not(edits):
    assert told(with_edits(**edits)) == set()


def test_whoever_may_quit_without_password_is_warned_of():
    assert severity_of(_DEFAULTS, Code.NO_QUIT_PASSWORD) == {Severity.WARNING}
    assert not severity_of(with_edits(allowQuit=False), Code.NO_QUIT_PASSWORD)
    assert not severity_of(with_edits(hashedQuitPassword={"password": "x"}), Code.NO_QUIT_PASSWORD)


@pytest.mark.parametrize(
    ("master", "code", "platforms"),
    [
        ("jitsiMeetEnable", "jitsi_locks_out", {Platform.MACOS}),
        ("zoomEnable", "zoom_locks_out", {Platform.WINDOWS, Platform.MACOS, Platform.IOS}),
    ],
)
def test_a_meeting_names_the_platforms_it_locks_out(master, code, platforms):
    [finding] = [one for one in findings(with_edits(**{master: True})) if one.code not in _NOISE]
    assert (finding.setting_id, finding.code, finding.severity) == (master, code, Severity.WARNING)
    assert finding.platforms == platforms
    text = Catalogue.load().text("en", f"finding.{code}", **finding.values)
    assert all(name in text for name in checks.names_of(platforms).split(", "))


def test_two_services_at_once_stop_publishing():
    found = with_edits(zoomEnable=True, enableScreenProctoring=True)
    assert {one.setting_id for one in findings(found) if one.severity is Severity.ERROR} == {
        "zoomEnable",
        "enableScreenProctoring",
    }


def test_with_our_page_the_keys_it_overrules_are_named_and_never_stop_publishing():
    found = with_edits(jitsiMeetEnable=True)
    named = {one.setting_id: one for one in findings(found, camera_page=True) if one.code not in _NOISE}
    assert named.keys() == {
        "browserMediaCaptureCamera", "browserMediaCaptureMicrophone", "browserWindowWebView",
        "mobileCompactAllowInlineMediaPlayback", "jitsiMeetEnable",
    }  # fmt: skip
    assert {one.severity for one in named.values()} == {Severity.WARNING}
    assert named["browserWindowWebView"].values["needed"] == 3
    as_needed = from_settings(with_camera_keys(to_settings(found))).values
    assert told(as_needed, camera_page=True) == set()


@pytest.mark.parametrize(
    "expression",
    [
        r"^https://exam\.example\.org/.*$",
        r"\p{L}+",
        r"[\p{Lu}x]",
        r"(?<host>[a-z]+)\.org",
        "(?<=a)b",
        "[[a]",
        "",
    ],
)
def test_expressions_that_clients_read_are_read_here(expression):
    assert regex_fault(expression) == ""


@pytest.mark.parametrize("expression", ["(", "[", "a{2,1}", "*", "\\", "(?<=a+)b", "a{99999999999}"])
def test_expressions_that_cannot_be_read_say_why(expression):
    assert regex_fault(expression)


def test_every_column_with_choices_is_checked():
    """No table escapes the value checks."""
    for table in ("permittedProcesses", "prohibitedProcesses", "URLFilterRules", "downloadFileTypes"):
        for key in (key for key, column in columns(table).items() if column.choices):
            found = change(_DEFAULTS, table, [{key: 99}])
            assert (f"{table}[0].{key}", "choice") in told(found)
