"""The editor is generated from the catalogue: everything with a tab is there once, side by side as its grid says."""

from __future__ import annotations

from collections import Counter

from invigilo.sebconfig import values
from invigilo.web.catalogue import Catalogue
from invigilo.web.settings_layout import TABS, layout, proxies_layout
from invigilo.web.settings_view import SettingsView


def test_every_setting_with_a_tab_is_laid_out_once() -> None:
    placed = Counter(setting_id for tab in TABS for setting_id in layout(tab).settings)
    assert placed == Counter(row.id for row in values.editable().values() if row.tab)
    assert set(proxies_layout().settings) == {row.id for row in values.columns("proxies").values()}


def test_frames_stand_side_by_side_as_in_the_grid() -> None:
    assert {tab: len(layout(tab).columns) for tab in TABS} == {
        "general": 1, "user_interface": 2, "browser": 2, "down_upload": 1, "exam": 1, "applications": 1,
        "additional_resources": 0, "network": 1, "security": 2, "registry": 1, "hooked_keys": 2, "proctoring": 2,
    }  # fmt: skip
    right = layout("proctoring").columns[1]
    assert [section.name for section in right] == ["jitsi", "Zoom", "ScreenProctoring"]


def test_whoever_honours_a_setting_is_said_in_words() -> None:
    view = SettingsView(Catalogue.load(), "en", values.new_configuration_values())
    said = {one.platform: (one.tone, one.word) for one in view.field("jitsiMeetEnable").support}
    assert said["Windows"] == ("partly", "Windows: only versions 3.2–3.6.")
    assert said["macOS"] == ("problem", "macOS: SEB ends the session when this is on.")
    assert said["iOS"] == ("yes", "iOS: works.")


def test_a_search_finds_labels_keys_and_columns_first_by_name() -> None:
    view = SettingsView(Catalogue.load(), "de", values.new_configuration_values())
    assert view.search("quitURL")[0].path == "quitURL"
    assert "permittedProcesses.executable" in [hit.path for hit in view.search("executable")]
    assert "browserMediaCaptureCamera" in [hit.path for hit in view.search("kamera")]
    assert view.search("  ") == []


def test_paths_are_named_as_people_do() -> None:
    view = SettingsView(Catalogue.load(), "en", values.new_configuration_values())
    assert view.path_label("URLFilterRules[2].expression") == "URL filter rules, row 3, Expression"
    assert view.path_label("proxies.HTTPPort") == "Web proxy (HTTP), Web proxy port"
