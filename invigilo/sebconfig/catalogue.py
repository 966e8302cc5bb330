"""Every setting SEB knows, as typed rows of `seb-settings.csv` (columns: `seb-settings` §1).

The table is the one place: defaults, the editor and the import all read it here. It is parsed once, on
first use.
"""

from __future__ import annotations

import copy
import csv
import io
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType

from invigilo.errors import NotFound
from invigilo.sebconfig.plist import PlistValue, Settings

_FREE_ENTRY = "(free entry)"


class PlistType(StrEnum):
    """How a value stands in the file; NONE marks values of the editor only, which are never written."""

    BOOL = "bool"
    INTEGER = "integer"
    REAL = "real"
    STRING = "string"
    DATA = "data"
    ARRAY = "array"
    DICT = "dict"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a drop-down or radio group; `value` has the type of the setting, or of its items."""

    label: str
    value: PlistValue


@dataclass(frozen=True, slots=True)
class Cell:
    """Where the editor places a control in its tab's grid; y grows downwards."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Support:
    """Who honours a setting, in the table's words: yes, no, tool, default, removed, refuses, 3.2-3.6 …"""

    windows: str
    macos: str
    ios: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: a setting of the root, or (with `parent_id`) a column of a table or a key of a dict."""

    id: str
    key: str
    parent_id: str
    control: str
    plist_type: PlistType
    default: PlistValue
    choices: tuple[Choice, ...]
    has_free_entry: bool
    minimum: float | None
    maximum: float | None
    tab: str
    section: str
    group: str
    cell: Cell | None
    title_position: str
    label: str
    depends_on: str
    validator: str
    support: Support
    apple_default: PlistValue | None
    since_version: str
    default_1_6: str
    is_known_to_server: bool
    is_exported: bool
    note: str

    @property
    def is_root(self) -> bool:
        return not self.parent_id


@cache
def all_settings() -> MappingProxyType[str, Setting]:
    """Give all rows by id, in the order of the table."""
    table = resources.files(__package__ or "invigilo.sebconfig").joinpath("seb-settings.csv")
    rows = csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"), newline=""))
    return MappingProxyType({row["id"]: _setting(row) for row in rows})


def setting(setting_id: str) -> Setting:
    """Give one row. Raises `NotFound` when SEB has no such setting."""
    try:
        return all_settings()[setting_id]
    except KeyError:
        raise NotFound(f"SEB has no setting {setting_id!r}. Check its spelling.") from None


def columns_of(parent_id: str) -> tuple[Setting, ...]:
    """Give the columns of a table or the keys of a dict, in the order of the catalogue."""
    return tuple(row for row in all_settings().values() if row.parent_id == parent_id)


def exported_defaults() -> Settings:
    """Give a fresh full export: every exported root key with its default, tables empty, `proxies` filled."""
    return {
        row.key: row_defaults(row.id) if row.plist_type is PlistType.DICT else copy.deepcopy(row.default)
        for row in columns_of("")
        if row.is_exported
    }


def row_defaults(parent_id: str) -> Settings:
    """Give what a new row of a table, or a dict such as `proxies`, starts with."""
    return {row.key: copy.deepcopy(row.default) for row in columns_of(parent_id) if row.is_exported}


def _setting(row: dict[str, str]) -> Setting:
    plist_type = PlistType(row["plist_type"])
    bounds, choices = _bounds_and_choices(row["allowed_values"], plist_type)
    return Setting(
        id=row["id"],
        key=row["key"],
        parent_id=row["parent_key"],
        control=row["type"],
        plist_type=plist_type,
        default=_typed(row["default"], plist_type),
        choices=choices,
        has_free_entry=row["allowed_values"].endswith(_FREE_ENTRY),
        minimum=bounds.get("min"),
        maximum=bounds.get("max"),
        tab=row["view"],
        section=row["section"],
        group=row["group"],
        cell=_cell(row),
        title_position=row["title_pos"],
        label=row["label"],
        depends_on=row["depends_on"],
        validator=row["validator"],
        support=Support(windows=row["win"], macos=row["mac"], ios=row["ios"]),
        apple_default=_typed(row["client_default_mac"], plist_type) if row["client_default_mac"] else None,
        since_version=row["since_version"],
        default_1_6=row["default_1_6"],
        is_known_to_server=row["source"] == "server",
        is_exported=row["exported"] == "yes",
        note=row["note"],
    )


def _cell(row: dict[str, str]) -> Cell | None:
    if not (row["x"] and row["width"]):
        return None
    return Cell(x=int(row["x"]), y=int(row["y"]), width=int(row["width"]), height=int(row["height"]))


def _bounds_and_choices(text: str, plist_type: PlistType) -> tuple[dict[str, float], tuple[Choice, ...]]:
    """Split `allowed_values`: sliders and decimals give `min=0|max=100`, all others `label=value`."""
    parts = [part.rpartition("=") for part in text.split("|") if part and part != _FREE_ENTRY]
    if [name for name, _, _ in parts] == ["min", "max"]:
        return {name: float(value) for name, _, value in parts}, ()
    item_type = PlistType.STRING if plist_type is PlistType.ARRAY else plist_type
    return {}, tuple(Choice(label=label, value=_typed(value, item_type)) for label, _, value in parts)


def _typed(text: str, plist_type: PlistType) -> PlistValue:
    match plist_type:
        case PlistType.BOOL:
            return text == "true"
        case PlistType.INTEGER | PlistType.NONE:
            return int(text or "0")
        case PlistType.REAL:
            return float(text or "0")
        case PlistType.STRING:
            return text
        case PlistType.DATA:
            return b""
        case PlistType.ARRAY:
            return [item for item in text.split(",") if item]
        case PlistType.DICT:
            return {}
