"""The texts of the settings editor: whatever the catalogue holds has its words, in both languages."""

from __future__ import annotations

import json

import pytest

from invigilo.sebconfig import catalogue
from invigilo.web.catalogue import FOLDER

_TABS = [
    "general",
    "user_interface",
    "browser",
    "down_upload",
    "exam",
    "applications",
    "additional_resources",
    "network",
    "security",
    "registry",
    "hooked_keys",
    "proctoring",
]
_ROWS = [row for row in catalogue.all_settings().values() if row.is_known_to_server]
_TEXTS: dict[str, dict[str, str]] = {
    language: json.loads((FOLDER / language / "setting.json").read_text("utf-8")) for language in ("en", "de")
}
_LONGEST = 320
_LONGEST_LABEL = {"en": 60, "de": 40}

_SAME_IN_GERMAN = {
    *(f"F{number}" for number in range(1, 13)),
    *("Alt-Esc", "Alt-F4", "Alt-Tab", "Argument", "Browser", "Debug", "Downloads", "Esc"),
    *("Info", "Java", "JavaScript", "Jitsi", "Modern", "PNG", "Registry", "Siri"),
    *("System", "Text", "Uploads", "Windows", "Zoom", "iOS", "iPad", "macOS"),
}
"""Names, keys and words that German has taken over."""


def _wanted() -> set[str]:
    keys = {key for tab in _TABS for key in (f"setting.tab.{tab}", f"setting.tab.{tab}.help")}
    for row in _ROWS:
        keys |= {f"setting.{row.id}", f"setting.{row.id}.help"}
        keys |= {f"setting.choice.{row.id}.{choice.value}" for choice in row.choices}
        if row.section:
            keys.add(f"setting.section.{row.tab}.{row.section}")
        if row.group:
            keys.add(f"setting.group.{row.tab}.{row.group}")
    return keys


def test_the_tabs_are_those_of_the_catalogue():
    """Additional Resources is shown, and empty."""
    assert {row.tab for row in _ROWS if row.tab} | {"additional_resources"} == set(_TABS)


@pytest.mark.parametrize("language", ["en", "de"])
def test_everything_the_editor_shows_has_its_text_and_nothing_is_left_over(language: str):
    assert _TEXTS[language].keys() == _wanted()
    assert [key for key, text in _TEXTS[language].items() if not text or text != text.strip()] == []


def test_both_languages_stand_in_the_same_order():
    assert list(_TEXTS["en"]) == list(_TEXTS["de"])


@pytest.mark.parametrize("language", ["en", "de"])
def test_settings_stand_in_the_order_of_the_catalogue_within_their_tab(language: str):
    places = {key: place for place, key in enumerate(_TEXTS[language])}
    for tab in (*_TABS, ""):
        mine = [places[f"setting.{row.id}"] for row in _ROWS if row.tab == tab]
        assert mine == sorted(mine), tab


def test_english_labels_are_those_of_the_catalogue():
    labels = {f"setting.{row.id}": row.label for row in _ROWS}
    choices = {f"setting.choice.{row.id}.{one.value}": one.label for row in _ROWS for one in row.choices}
    wanted = labels | choices
    assert {key: _TEXTS["en"][key] for key in wanted} == wanted


@pytest.mark.parametrize("language", ["en", "de"])
def test_help_says_more_than_the_label(language: str):
    texts = _TEXTS[language]
    for key in (key for key in texts if key.endswith(".help")):
        label = texts[key.removesuffix(".help")]
        assert label.casefold() != texts[key].casefold().rstrip("."), key
        assert texts[key].endswith("."), key
        assert len(texts[key]) > len(label), key


@pytest.mark.parametrize("language", ["en", "de"])
def test_texts_fit_their_place(language: str):
    """A label shares a cell of half the grid with its control; a help text is read at a glance."""
    too_long = [
        key
        for key, text in _TEXTS[language].items()
        if len(text) > (_LONGEST if key.endswith(".help") else _LONGEST_LABEL[language])
    ]
    assert too_long == []


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_text_has_a_hole(language: str):
    """They are shown as they stand: a brace would be taken for a value that nobody fills in."""
    assert [key for key, text in _TEXTS[language].items() if set(text) & set("{}<>")] == []


def test_german_is_german():
    english, german = _TEXTS["en"], _TEXTS["de"]
    same = {key for key in english if english[key] == german[key] and any(map(str.isalpha, english[key]))}
    assert {english[key] for key in same} == _SAME_IN_GERMAN
    assert [key for key in same if key.endswith(".help")] == []


def test_german_never_says_du():
    words = (word.strip(".,;:„“()").casefold() for text in _TEXTS["de"].values() for word in text.split())
    assert set(words) & {"du", "dich", "dir", "dein", "deine", "deinen"} == set()
