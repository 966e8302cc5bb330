"""The words of the record: every deed has its sentence, and a cell of the table is never a formula."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invigilo.web.catalogue import Catalogue
from invigilo.web.deeds import PREFIX
from invigilo.web.spreadsheet import defused
from tests.test_house import PACKAGE

COMPOSED = {
    f"{kind}_{deed}"
    for kind in ("institution", "user", "exam", "connection")
    for deed in ("created", "changed")
} | {f"user_{action}" for action in ("password", "role", "activate", "deactivate")}
"""Deeds whose word is put together where it is recorded: `invigilo apply` and `invigilo user`."""


@given(st.text(max_size=40))
def test_no_cell_is_taken_for_a_formula(text: str) -> None:
    cell = defused(text)
    assert cell.removeprefix("'") == text.removeprefix("'") or cell == f"'{text}"
    assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}


# --- words ---


def _deeds_in_source() -> set[str]:
    """Every `deed="…"`, and the words given to the recorders of the monitoring pages."""
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            values = [one.value for one in node.keywords if one.arg == "deed"]
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in {"_record", "_recorder", "_note", "_note_institution"}:
                values += node.args
            constants = {
                one.value for one in values if isinstance(one, ast.Constant) and isinstance(one.value, str)
            }
            found |= {one for one in constants if re.fullmatch(r"[a-z]+(_[a-z]+)+", one)}
    return found


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_deed_has_its_sentence(language: str) -> None:
    texts = Catalogue.load().texts[language]
    deeds = _deeds_in_source() | COMPOSED
    assert len(deeds) > 20
    assert sorted(deed for deed in deeds if PREFIX + deed not in texts) == []
