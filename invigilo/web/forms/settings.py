"""A tab of the settings editor sent as a form, for browsers without script: what of it was edited.

The page says in a hidden field what stood in each control when it was shown. Only what differs from that is an edit, so
nobody's form takes back what others changed meanwhile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from invigilo.errors import BadInput
from invigilo.sebconfig import values
from invigilo.sebconfig.catalogue import PlistType, Setting, setting
from invigilo.web.forms.form import Form
from invigilo.web.settings_layout import Layout, proxies_layout
from invigilo.web.settings_view import table_columns

MOST_ROWS = 2_000
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_OPERATION = re.compile(r"(?P<table>[A-Za-z.\[\]0-9]+?)(\[(?P<row>[0-9]{1,5})\])?")


@dataclass(frozen=True, slots=True)
class TabForm:
    """What a form asks for: edits as the service takes them."""

    changes: dict[str, object]
    reset: tuple[str, ...]


def was_of(found: Mapping[str, Any], shape: Layout, locked: Mapping[str, Any]) -> str:
    """What the hidden field says: every control of the tab that can be edited, passwords without their value."""
    was = {
        setting_id: None if values.is_secret(setting(setting_id)) else _value(found, setting_id)
        for setting_id in _ids(shape)
        if setting_id not in locked
    }
    return json.dumps(was, separators=(",", ":"))


def read_tab(form: Form, shape: Layout) -> TabForm:
    """Read the form of a tab. Raises BadInput when it is not one of ours."""
    try:
        was = json.loads(form.data.get("was", ""))
    except (ValueError, RecursionError):
        was = None
    if not isinstance(was, dict):
        raise BadInput("This form is incomplete. Open the page again.")
    stood = cast("dict[str, object]", was)
    changes: dict[str, object] = {}
    for setting_id in _ids(shape):
        row = setting(setting_id)
        if setting_id not in stood:
            continue
        if values.is_secret(row):
            changes |= _secret(form, row, setting_id)
            continue
        found = _read(form, row, setting_id)
        operation = _operation(form, setting_id)
        if operation is not None and isinstance(found, list):
            found = _operated(cast("list[Any]", found), row, *operation)
        if found != stood[setting_id]:
            changes[setting_id] = found
    return TabForm(changes, tuple(one for one in form.all("reset") if one in _ids(shape)))


def _ids(shape: Layout) -> list[str]:
    """The settings of a tab, with the keys of `proxies` in its place."""
    found: list[str] = []
    for setting_id in shape.settings:
        found += proxies_layout().settings if setting_id == "proxies" else [setting_id]
    return found


def _value(found: Mapping[str, Any], setting_id: str) -> Any:
    root, _, key = setting_id.partition(".")
    return found[root][key] if key else found[root]


def _secret(form: Form, row: Setting, path: str) -> dict[str, object]:
    """A typed password replaces the old one; a blank field leaves it, only the box beside it removes it."""
    typed = form.raw(path)
    if typed:
        return {path: {"password": typed} if values.is_password(row) else typed}
    return {path: ""} if form.flag(f"remove-{path}") else {}


def _read(form: Form, row: Setting, path: str) -> Any:
    if values.is_table(row):
        return _rows(form, row, path)
    if row.plist_type is PlistType.BOOL:
        return form.flag(path)
    text = form.text(path)
    if row.plist_type is PlistType.ARRAY:
        return [line.strip() for line in text.split("\n") if line.strip()]
    if row.plist_type in {PlistType.INTEGER, PlistType.NONE}:
        return (
            int(text) if _NUMBER.fullmatch(text) else text
        )  # a text is refused with the sentence for numbers
    if row.plist_type is PlistType.REAL:
        try:
            return float(text.replace(",", "."))
        except ValueError:
            return text
    return text


def _rows(form: Form, table: Setting, path: str) -> list[dict[str, Any]]:
    count = form.data.get(f"rows-{path}", "0")
    if not (count.isascii() and count.isdigit() and int(count[:9]) <= MOST_ROWS):
        raise BadInput(f"A table holds at most {MOST_ROWS} rows.", field=path)
    return [
        {one.key: _read(form, one, f"{path}[{n}].{one.key}") for one in table_columns(table.id)}
        for n in range(int(count))
    ]


def _operation(form: Form, setting_id: str) -> tuple[str, str, int | None] | None:
    """The button that was pressed, if it is one of this table's: add, remove, up, down; the table; the row."""
    for name in ("add", "remove", "up", "down"):
        path = form.data.get(name, "")
        found = _OPERATION.fullmatch(path)
        if found and (path == setting_id or path.startswith((f"{setting_id}[", f"{setting_id}."))):
            return name, found["table"], None if found["row"] is None else int(found["row"])
    return None


def _operated(rows: list[Any], table: Setting, name: str, path: str, index: int | None) -> list[Any]:
    """Do what the button says in the table, or in a table within one of its rows."""
    inner = re.fullmatch(rf"{re.escape(table.id)}\[([0-9]+)\]\.(\w+)", path)
    if inner is not None and int(inner[1]) < len(rows):
        column = values.columns(table.id).get(inner[2])
        if column is None or not values.is_table(column):
            return rows
        entry = rows[int(inner[1])]
        entry[inner[2]] = _operated(entry[inner[2]], column, name, column.id, index)
        return rows
    if name == "add":
        return [*rows, {}]
    if index is None or index >= len(rows):
        return rows
    moved = rows.pop(index)
    if name != "remove":
        rows.insert(max(0, index + (-1 if name == "up" else 1)), moved)
    return rows
