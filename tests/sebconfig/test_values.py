"""The editor's values: into files and out of them, one edit at a time, and what changed."""

from __future__ import annotations

import contextlib
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, plist, values
from invigilo.sebconfig.catalogue import PlistType, Setting
from invigilo.sebconfig.config_key import config_key, seb_json
from invigilo.sebconfig.connection_file import password_hash
from invigilo.sebconfig.container import decode, encode
from invigilo.sebconfig.values import (
    Converted,
    Difference,
    Hidden,
    Mistyped,
    change,
    changed_from_default,
    completed,
    default_values,
    differences,
    editable,
    from_settings,
    new_configuration_values,
    to_settings,
)

from .vectors import any_settings, known

_DEFAULTS = default_values()
_HASH = password_hash("password")
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=10)


def raws(row: Setting) -> st.SearchStrategy[Any]:
    """Whatever a browser may send for a setting and we accept."""
    if values.is_password(row):
        return st.builds(lambda typed: {"password": typed}, _TEXT)
    if values.is_table(row) or row.plist_type is PlistType.DICT:
        entry = st.fixed_dictionaries({}, optional={k: raws(c) for k, c in values.columns(row.id).items()})
        return st.lists(entry, max_size=2) if values.is_table(row) else entry
    return {
        PlistType.BOOL: st.booleans(),
        PlistType.INTEGER: st.integers(-(2**31), 2**31 - 1),
        PlistType.NONE: st.integers(0, 2),
        PlistType.REAL: st.floats(0, 10) | st.integers(0, 9),
        PlistType.STRING: _TEXT,
        PlistType.ARRAY: st.lists(_TEXT, max_size=3),
    }[row.plist_type]


_RAWS = {setting_id: raws(row) for setting_id, row in editable().items()}


@st.composite
def edited(draw: st.DrawFn) -> values.Values:
    """Defaults with up to six edits."""
    found = _DEFAULTS
    for setting_id in draw(st.lists(st.sampled_from(sorted(_RAWS)), max_size=6, unique=True)):
        found = change(found, setting_id, draw(_RAWS[setting_id]))
    return found | {"sebConfigPurpose": 0}


# --- into files and out of them --------------------------------------------------------------------------------------


def test_values_are_the_exported_roots_with_one_kiosk_mode_for_its_two_keys():
    exported = catalogue.exported_defaults().keys()
    assert editable().keys() == exported - {"createNewDesktop", "killExplorerShell"} | {"kioskMode"}
    assert _DEFAULTS.keys() == editable().keys()
    assert not [row.id for row in editable().values() if row.plist_type is PlistType.DATA]


def test_self_check_of_the_table_through_values():
    expected = known("config_key.json")["exported_defaults"]
    settings = to_settings(_DEFAULTS)
    assert settings == catalogue.exported_defaults()
    assert (len(seb_json(settings).encode()), config_key(settings)) == (10138, expected["config_key"])


@effort(deadline=None)
@given(edited(), st.sampled_from([None, "", "pässword"]))
def test_export_import_export_is_the_identity_through_values(wished, password):
    settings = to_settings(wished)
    imported = from_settings(decode(encode(settings, password=password), password=password).settings)
    assert imported.values == wished
    assert to_settings(imported.values) == settings
    assert (imported.unknown, imported.dropped, imported.mistyped) == ((), (), ())


@effort(deadline=None)
@given(edited())
def test_values_survive_json(wished):
    assert json.loads(json.dumps(wished)) == wished


@effort(deadline=None)
@given(edited())
def test_every_export_has_every_key_with_the_type_of_its_default(wished):
    """macOS and iOS refuse a file with another type; a missing key counts with a client's own default."""
    settings, defaults = to_settings(wished), catalogue.exported_defaults()
    assert {key: type(value) for key, value in settings.items()} == {
        key: type(value) for key, value in defaults.items()
    }
    assert all(
        type(settings[row.id]) is float for row in editable().values() if row.plist_type is PlistType.REAL
    )
    assert settings["sebConfigPurpose"] == 0
    assert plist.read(plist.write(settings)) == settings


@effort(deadline=None, max_examples=200)
@given(
    any_settings
    | st.dictionaries(st.sampled_from(sorted(editable())), any_settings | st.integers() | st.text())
)
def test_any_file_is_understood_and_the_second_import_finds_nothing_wrong(settings):
    first = from_settings(settings)
    again = from_settings(to_settings(first.values))
    assert to_settings(again.values) == to_settings(first.values)
    assert (again.unknown, again.dropped, again.mistyped) == ((), (), ())


@pytest.mark.parametrize(
    ("mode", "new_desktop", "kill_shell"), [(0, True, False), (1, False, True), (2, False, False)]
)
def test_the_kiosk_mode_is_written_as_two_keys_and_read_from_both(mode, new_desktop, kill_shell):
    settings = to_settings(_DEFAULTS | {"kioskMode": mode})
    assert (settings["createNewDesktop"], settings["killExplorerShell"]) == (new_desktop, kill_shell)
    assert "kioskMode" not in settings
    imported = from_settings({"createNewDesktop": new_desktop, "killExplorerShell": kill_shell})
    assert imported.values["kioskMode"] == mode
    assert Converted("createNewDesktop", "kioskMode", mode) in imported.converted


def test_one_kiosk_key_alone_says_too_little_and_is_named():
    imported = from_settings({"createNewDesktop": False})
    assert (imported.values["kioskMode"], imported.unknown) == (0, ("createNewDesktop",))


def test_what_is_left_out_of_a_file_is_listed_or_dropped_as_the_specification_says():
    imported = from_settings(
        {
            "own": 1, "examKeySalt": b"x", "startURL": "https://lms.example.org", "outsideSebEnableLogOff": True,
            "whitelistURLFilter": "kept: the catalogue exports it",
            "permittedProcesses": [{"executable": "a.exe", "windowHandlingProcess": "b", "allowedExecutables": "c"}],
            "proxies": {"HTTPPort": 8080, "extra": 1},
        }
    )  # fmt: skip
    assert imported.unknown == (
        "examKeySalt",
        "own",
        "permittedProcesses.allowedExecutables",
        "proxies.extra",
    )
    assert imported.dropped == (
        "outsideSebEnableLogOff",
        "permittedProcesses.windowHandlingProcess",
        "startURL",
    )
    assert imported.values["whitelistURLFilter"].startswith("kept")
    [process] = imported.values["permittedProcesses"]
    assert process == catalogue.row_defaults("permittedProcesses") | {"executable": "a.exe"}
    assert imported.values["proxies"] == _DEFAULTS["proxies"] | {"HTTPPort": 8080}


def test_a_value_of_another_type_becomes_the_default_and_is_named():
    imported = from_settings(
        {
            "allowQuit": 0, "logLevel": "3", "defaultPageZoomLevel": 2, "proxies": [], "sebAllowedVersions": ["a", 1],
            "URLFilterRules": [{"action": True}, "text"], "kioskMode": 1,
        }
    )  # fmt: skip
    assert set(imported.mistyped) == {
        Mistyped("allowQuit", "integer", "bool"),
        Mistyped("logLevel", "string", "integer"),
        Mistyped("defaultPageZoomLevel", "integer", "real"),
        Mistyped("proxies", "array", "dict"),
        Mistyped("sebAllowedVersions[1]", "integer", "string"),
        Mistyped("URLFilterRules[0].action", "bool", "integer"),
        Mistyped("URLFilterRules[1]", "string", "dict"),
    }
    assert imported.unknown == ("kioskMode",)
    assert imported.values == _DEFAULTS | {
        "sebAllowedVersions": ["a"],
        "URLFilterRules": [catalogue.row_defaults("URLFilterRules")],
    }


def test_hashes_are_kept_and_what_is_no_hash_never_is():
    imported = from_settings({"hashedQuitPassword": _HASH.upper(), "hashedAdminPassword": "in clear text"})
    assert imported.values["hashedQuitPassword"] == _HASH
    assert imported.values["hashedAdminPassword"] == ""
    assert imported.kept_hashes == ("hashedQuitPassword",)
    assert [one.key for one in imported.mistyped] == ["hashedAdminPassword"]
    assert "in clear text" not in repr(imported)
    assert _HASH not in repr(imported)


def test_a_file_that_configures_clients_starts_an_exam_afterwards_and_says_so():
    imported = from_settings({"sebConfigPurpose": 1})
    assert imported.values["sebConfigPurpose"] == 0
    assert imported.converted == (Converted("sebConfigPurpose", "sebConfigPurpose", 0),)


def test_values_stored_before_a_setting_was_known_are_made_whole():
    stored = change(_DEFAULTS, "URLFilterRules", [{"expression": "a"}])
    older = {key: value for key, value in stored.items() if key not in {"allowPrint", "kioskMode"}}
    older["URLFilterRules"] = [{"expression": "a"}]
    older["forgotten"] = 1
    assert completed(older) == stored
    assert completed(stored) == stored


def test_a_new_configuration_prohibits_screen_sharing_and_chat():
    programs = new_configuration_values()["prohibitedProcesses"]
    assert len(programs) == 38
    assert changed_from_default(new_configuration_values()) == {"prohibitedProcesses"}
    assert all(program.keys() == catalogue.row_defaults("prohibitedProcesses").keys() for program in programs)
    assert all(program["originalName"] for program in programs if program["os"] == 1)
    assert all(program["identifier"] for program in programs if program["os"] == 0)
    assert len({(program["os"], program["executable"]) for program in programs}) == 38


# --- one edit --------------------------------------------------------------------------------------------------------


def test_an_edit_changes_its_setting_only_and_nothing_in_place():
    before = json.dumps(_DEFAULTS)
    after = change(_DEFAULTS, "proxies.HTTPPort", 8080)
    assert differences(_DEFAULTS, after) == [Difference("proxies.HTTPPort", 80, 8080)]
    assert json.dumps(_DEFAULTS) == before


def test_a_typed_password_is_kept_as_its_hash_only():
    set_ = change(_DEFAULTS, "hashedQuitPassword", {"password": "password"})
    assert set_["hashedQuitPassword"] == _HASH
    assert change(_DEFAULTS, "hashedQuitPassword", _HASH) == set_
    assert (
        change(set_, "hashedQuitPassword", "")
        == _DEFAULTS
        == change(set_, "hashedQuitPassword", {"password": ""})
    )


def test_a_table_comes_whole_and_missing_columns_get_their_default():
    raw = [{"executable": "a.exe", "arguments": [{"argument": "-x\r\n"}]}]
    [row] = change(_DEFAULTS, "permittedProcesses", raw)["permittedProcesses"]
    assert row == catalogue.row_defaults("permittedProcesses") | {
        "executable": "a.exe",
        "arguments": [{"active": True, "argument": "-x\n"}],
    }


def test_texts_become_what_they_will_be_in_the_file():
    assert change(_DEFAULTS, "quitURL", " \t")["quitURL"] == ""
    assert change(_DEFAULTS, "restartExamText", "a\r\nb\x07\ud83d")["restartExamText"] == "a\nb"
    assert change(_DEFAULTS, "sebAllowedVersions", ["a", " ", ""])["sebAllowedVersions"] == ["a"]


@pytest.mark.parametrize(
    ("setting_id", "raw", "field"),
    [
        ("noSuchKey", 1, "noSuchKey"),
        ("createNewDesktop", True, "createNewDesktop"),
        ("startURL", "x", "startURL"),
        ("quitURL.x", "x", "quitURL.x"),
        ("permittedProcesses.executable", "x", "permittedProcesses.executable"),
        ("proxies.nothing", 1, "proxies.nothing"),
        ("allowQuit", 1, "allowQuit"),
        ("logLevel", True, "logLevel"),
        ("logLevel", 1.0, "logLevel"),
        ("defaultPageZoomLevel", "1", "defaultPageZoomLevel"),
        ("defaultPageZoomLevel", float("nan"), "defaultPageZoomLevel"),
        ("defaultPageZoomLevel", 10**400, "defaultPageZoomLevel"),
        ("quitURL", None, "quitURL"),
        ("hashedQuitPassword", "typed in clear", "hashedQuitPassword"),
        ("hashedQuitPassword", {"password": 1}, "hashedQuitPassword"),
        ("hashedQuitPassword", {"password": "x", "more": 1}, "hashedQuitPassword"),
        ("hashedQuitPassword", {"password": "\ud800"}, "hashedQuitPassword"),
        ("sebAllowedVersions", "Win.3.7", "sebAllowedVersions"),
        ("sebAllowedVersions", ["a", 1], "sebAllowedVersions[1]"),
        ("proxies", [], "proxies"),
        ("proxies.HTTPPort", "80", "proxies.HTTPPort"),
        ("permittedProcesses", {}, "permittedProcesses"),
        ("permittedProcesses", [{}, 1], "permittedProcesses[1]"),
        ("permittedProcesses", [{"color": 1}], "permittedProcesses[0].color"),
        ("permittedProcesses", [{"arguments": [{"active": 1}]}], "permittedProcesses[0].arguments[0].active"),
    ],
)  # fmt: skip
def test_an_edit_of_the_wrong_kind_is_refused_with_its_place(setting_id, raw, field):
    with pytest.raises(BadInput) as refusal:
        change(_DEFAULTS, setting_id, raw)
    assert refusal.value.field == field
    assert "typed in clear" not in refusal.value.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters, max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@effort(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(editable())), _JSON)
def test_no_edit_raises_anything_but_bad_input(setting_id, raw):
    with contextlib.suppress(BadInput):
        after = change(_DEFAULTS, setting_id, raw)
        json.dumps(after)
        assert seb_json(to_settings(after))


# --- what changed ----------------------------------------------------------------------------------------------------


def test_secrets_are_never_shown_in_differences():
    one = change(_DEFAULTS, "hashedQuitPassword", {"password": "one"})
    two = change(one, "hashedQuitPassword", {"password": "two"})
    proxy = change(two, "proxies.HTTPPassword", "clear")
    token = change(proxy, "jitsiMeetToken", "eyJ")
    path = "hashedQuitPassword"
    assert differences(_DEFAULTS, one) == [Difference(path, Hidden.NOT_SET, Hidden.SET)]
    assert differences(one, two) == [Difference(path, Hidden.SET, Hidden.CHANGED)]
    assert differences(two, _DEFAULTS) == [Difference(path, Hidden.SET, Hidden.NOT_SET)]
    assert [one.after for one in differences(two, token)] == [Hidden.SET] * 2


def test_a_row_put_in_at_the_top_is_one_difference():
    before = change(_DEFAULTS, "URLFilterRules", [{"expression": "a"}, {"expression": "b"}])
    rows = [{"expression": "new"}, {"expression": "a"}, {"expression": "b", "action": 1}]
    after = change(before, "URLFilterRules", rows)
    assert differences(before, after) == [
        Difference(
            "URLFilterRules[0]", None, catalogue.row_defaults("URLFilterRules") | {"expression": "new"}
        ),
        Difference("URLFilterRules[2].action", 0, 1),
    ]
    [removed] = differences(before, change(before, "URLFilterRules", rows[1:2]))
    assert (removed.path, removed.before["expression"], removed.after) == ("URLFilterRules[1]", "b", None)


def test_changed_from_default_names_the_single_keys_of_the_proxies():
    changed = change(change(_DEFAULTS, "proxies.HTTPPort", 1), "kioskMode", 2)
    assert changed_from_default(_DEFAULTS) == set()
    assert changed_from_default(changed) == {"proxies.HTTPPort", "kioskMode"}


@effort(deadline=None)
@given(edited(), edited())
def test_equal_values_have_no_difference_and_others_have_one(before, after):
    assert differences(before, before) == []
    assert bool(differences(before, after)) == (before != after)
    assert {one.path.partition("[")[0].partition(".")[0] for one in differences(before, after)} == {
        setting_id for setting_id in editable() if before[setting_id] != after[setting_id]
    }
