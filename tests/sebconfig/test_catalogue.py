from __future__ import annotations

from collections import Counter

import pytest

from invigilo.errors import NotFound
from invigilo.sebconfig import catalogue
from invigilo.sebconfig.catalogue import Cell, PlistType

_ROWS = list(catalogue.all_settings().values())
_PYTHON_TYPES = {
    PlistType.BOOL: bool,
    PlistType.INTEGER: int,
    PlistType.NONE: int,
    PlistType.REAL: float,
    PlistType.STRING: str,
    PlistType.DATA: bytes,
    PlistType.ARRAY: list,
    PlistType.DICT: dict,
}


def test_the_table_is_whole():
    assert len(_ROWS) == 486
    assert Counter(row.is_known_to_server for row in _ROWS) == {True: 395, False: 91}
    assert Counter(row.tab or "hidden" for row in _ROWS if row.is_known_to_server) == {
        "general": 3,
        "user_interface": 30,
        "browser": 40,
        "down_upload": 16,
        "exam": 12,
        "applications": 33,
        "network": 46,
        "security": 40,
        "registry": 11,
        "hooked_keys": 20,
        "proctoring": 44,
        "hidden": 100,
    }


def test_every_parent_is_a_row():
    assert {row.parent_id for row in _ROWS if row.parent_id} <= catalogue.all_settings().keys()


def test_defaults_have_the_type_of_the_file():
    for row in _ROWS:
        assert type(row.default) is _PYTHON_TYPES[row.plist_type], row.id


def test_defaults_are_among_the_choices_and_within_the_bounds():
    for row in _ROWS:
        if row.choices and not row.has_free_entry:
            values = [choice.value for choice in row.choices]
            wanted = row.default if isinstance(row.default, list) else [row.default]
            assert all(value in values for value in wanted), row.id
        if row.minimum is not None and row.maximum is not None:
            assert isinstance(row.default, int | float)
            assert row.minimum <= row.default <= row.maximum, row.id


def test_only_these_five_are_reals():
    assert {row.id for row in _ROWS if row.plist_type is PlistType.REAL} == {
        "defaultPageZoomLevel",
        "defaultTextZoomLevel",
        "screenProctoringImageDownscale",
        "batteryChargeThresholdCritical",
        "batteryChargeThresholdLow",
    }


def test_a_row_reads_as_the_table_says():
    zoom = catalogue.setting("defaultPageZoomLevel")
    assert (zoom.default, zoom.minimum, zoom.maximum, zoom.choices) == (1.0, 0.25, 4.0, ())
    view = catalogue.setting("browserWindowWebView")
    assert [choice.value for choice in view.choices] == [0, 1, 2, 3]
    assert (view.support.windows, view.support.macos, view.support.ios, view.apple_default) == (
        "no",
        "yes",
        "yes",
        2,
    )
    assert catalogue.setting("mainBrowserWindowWidth").has_free_entry
    assert catalogue.setting("audioMute").cell == Cell(x=7, y=1, width=5, height=1)
    assert catalogue.setting("examKeySalt").cell is None


def test_a_new_row_of_a_table_has_all_columns():
    row = catalogue.row_defaults("permittedProcesses")
    assert len(row) == 20
    assert row["arguments"] == []
    assert catalogue.row_defaults("permittedProcesses.arguments").keys() == {"active", "argument"}


def test_an_unknown_setting_is_not_found():
    with pytest.raises(NotFound, match="noSuchKey"):
        catalogue.setting("noSuchKey")
