from __future__ import annotations

import pytest

from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, plist
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.exam_settings import (
    CAMERA_KEYS,
    Platform,
    camera_problems,
    exam_settings,
    exam_settings_bytes,
    served_config_keys,
    served_settings,
    what_would_change,
    with_camera_keys,
)

_DEFAULTS = catalogue.exported_defaults()


def test_our_exam_settings_have_no_camera_problem():
    assert camera_problems(exam_settings()) == []


def test_our_exam_settings_are_a_full_export_for_starting_an_exam():
    """Server defaults differ from client defaults for missing keys, so all keys are written."""
    settings = exam_settings()
    assert settings.keys() == _DEFAULTS.keys()
    assert settings["sebConfigPurpose"] == 0
    assert not {"startURL", "sebMode", "sebServerURL"} & settings.keys()
    assert {key for key in settings if settings[key] != _DEFAULTS[key]} == {
        "browserMediaCaptureCamera",
        "browserMediaCaptureMicrophone",
        "browserWindowWebView",
        "mobileCompactAllowInlineMediaPlayback",
    }


def test_types_of_the_exported_defaults_survive():
    assert {key: type(value) for key, value in exam_settings().items()} == {
        key: type(value) for key, value in _DEFAULTS.items()
    }


def test_what_is_served_is_bare_xml_with_the_same_config_key():
    settings = exam_settings(
        quit_password_hash="5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
    )
    served = exam_settings_bytes(settings)
    assert served.startswith(b"<?xm")
    assert config_key(plist.read(served)) == config_key(settings)
    assert config_key(settings) != config_key(exam_settings())


@pytest.mark.parametrize("purpose", [1, "0", False, None])
def test_settings_that_would_replace_the_clients_own_are_never_served(purpose):
    with pytest.raises(BadInput, match="sebConfigPurpose"):
        exam_settings_bytes(exam_settings() | {"sebConfigPurpose": purpose})


def test_the_defaults_alone_keep_apple_systems_from_the_camera():
    found = {problem.key: problem.platforms for problem in camera_problems(_DEFAULTS)}
    assert found["browserMediaCaptureCamera"] == {Platform.MACOS, Platform.IOS}
    assert found["browserWindowWebView"] == {Platform.MACOS}
    assert not any(Platform.WINDOWS in platforms for platforms in found.values())


@pytest.mark.parametrize("needed", CAMERA_KEYS, ids=lambda needed: needed.key)
def test_each_key_is_named_with_its_platforms_and_remedy(needed):
    wrong = (not needed.value) if isinstance(needed.value, bool) else 1
    [problem] = camera_problems(exam_settings() | {needed.key: wrong})
    assert (problem.key, problem.found, problem.needed) == (needed.key, wrong, needed.value)
    assert problem.platforms == needed.platforms
    assert f"Set {needed.key} to" in problem.message


@pytest.mark.parametrize("needed", CAMERA_KEYS, ids=lambda needed: needed.key)
def test_each_key_is_an_exported_setting_of_the_same_type(needed):
    row = catalogue.setting(needed.key)
    assert row.is_exported
    assert type(row.default) is type(needed.value)


def test_a_value_of_another_type_is_a_problem_though_it_looks_right():
    """macOS and iOS refuse the whole file."""
    problems = camera_problems(
        exam_settings() | {"browserMediaCaptureCamera": 1, "browserWindowWebView": 3.0}
    )
    assert {problem.key for problem in problems} == {"browserMediaCaptureCamera", "browserWindowWebView"}


def test_missing_keys_count_with_the_clients_own_defaults():
    found = {problem.key for problem in camera_problems({})}
    assert {"browserMediaCaptureCamera", "browserWindowWebView"} <= found
    assert not {"browserMediaCaptureScreen", "zoomEnable", "newBrowserWindowByLinkPolicy"} & found


def test_the_camera_keys_are_set_whatever_the_editor_says_and_the_rest_is_kept():
    edited = _DEFAULTS | {
        "zoomEnable": True,
        "sebConfigPurpose": 1,
        "allowPrint": True,
        "own": ["x"],
        "startURL": "https://lms.example.org",
        "sebMode": 1,
        "sebServerFallbackTimeout": 1,
    }
    served = with_camera_keys(edited)
    assert camera_problems(served) == []
    assert served.keys() == _DEFAULTS.keys() | {"own"}
    assert served["allowPrint"] is True
    assert edited["zoomEnable"] is True


def test_changing_a_copy_leaves_the_defaults_alone():
    settings = exam_settings()
    proxies, processes = settings["proxies"], settings["permittedProcesses"]
    assert isinstance(proxies, dict)
    assert isinstance(processes, list)
    proxies.clear()
    processes.append({})
    assert catalogue.exported_defaults() == _DEFAULTS


# --- what each platform is served ------------------------------------------------------------------------------------

_EDITED = _DEFAULTS | {"jitsiMeetEnable": True, "zoomEnable": True, "allowPrint": True}


@pytest.mark.parametrize("camera_page", [True, False])
@pytest.mark.parametrize("native_join", [True, False])
@pytest.mark.parametrize("platform", [*Platform, None])
def test_only_platforms_that_join_by_themselves_get_the_jitsi_switch(camera_page, native_join, platform):
    """macOS never does: it would end the session."""
    served = served_settings(_EDITED, camera_page=camera_page, platform=platform, native_join=native_join)
    if native_join:
        assert served["jitsiMeetEnable"] is (platform in {Platform.WINDOWS, Platform.IOS})
        assert served["zoomEnable"] is False
    else:
        assert served["jitsiMeetEnable"] is served["zoomEnable"] is not camera_page
    if camera_page:
        assert {problem.key for problem in camera_problems(served)} <= {"jitsiMeetEnable"}
    assert served["allowPrint"] is True
    assert {key: type(value) for key, value in served.items()} == {
        key: type(value) for key, value in _DEFAULTS.items()
    }


def test_without_page_and_native_join_clients_get_what_was_edited():
    assert served_settings(_EDITED, camera_page=False) == _EDITED
    assert what_would_change(_EDITED, camera_page=False) == []


def test_whatever_happens_clients_start_an_exam_with_it():
    served = served_settings(_EDITED | {"sebConfigPurpose": 1, "startURL": "x"}, camera_page=False)
    assert served == _EDITED


def test_the_administrator_sees_exactly_what_clients_get_otherwise():
    settings = _EDITED | {"browserMediaCaptureCamera": 1, "startURL": "https://lms.example.org"}
    del settings["browserWindowWebView"]
    changes = what_would_change(settings, camera_page=True)
    assert {one.key: (one.before, one.after) for one in changes} == {
        "browserMediaCaptureCamera": (1, True),
        "browserMediaCaptureMicrophone": (False, True),
        "browserWindowWebView": (None, 3),
        "jitsiMeetEnable": (True, False),
        "mobileCompactAllowInlineMediaPlayback": (False, True),
        "startURL": ("https://lms.example.org", None),
        "zoomEnable": (True, False),
    }
    assert [one.key for one in changes] == sorted((one.key for one in changes), key=str.lower)
    served = served_settings(settings, camera_page=True)
    assert what_would_change(served, camera_page=True) == []


def test_the_config_keys_shown_are_those_of_the_files_served():
    keys = served_config_keys(_EDITED, camera_page=True, native_join=True)
    for platform, key in keys.items():
        served = served_settings(_EDITED, camera_page=True, platform=platform, native_join=True)
        assert config_key(plist.read(exam_settings_bytes(served))) == key
    assert keys[Platform.WINDOWS] == keys[Platform.IOS] != keys[Platform.MACOS]
    assert len(set(served_config_keys(_EDITED, camera_page=True).values())) == 1
