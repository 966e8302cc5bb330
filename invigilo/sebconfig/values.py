"""What the settings editor holds: JSON-able values by setting id, made from a file's settings and into them.

Values are the settings of a full export (`seb-settings` §1) with one difference: `kioskMode` stands for the two keys
made from it, so that there is one truth. Tables are lists of rows with all their columns; `proxies` is one dict.
A password is there as its hash only. No exported setting is `<data>`, so everything is JSON as it is.

Values are never changed in place: `change` and all the others give new ones.
"""

from __future__ import annotations

import copy
import csv
import difflib
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, plist
from invigilo.sebconfig.catalogue import PlistType, Setting
from invigilo.sebconfig.connection_file import password_hash
from invigilo.sebconfig.plist import PlistValue, Settings

Values: TypeAlias = dict[str, Any]

KIOSK_MODE = "kioskMode"
KIOSK_KEYS = ("createNewDesktop", "killExplorerShell")
_KIOSK_SETTINGS = ((True, False), (False, True), (False, False))
"""`kioskMode` → the two keys in the file."""
_TOKENS = frozenset({"jitsiMeetToken", "zoomToken"})
_HASH = re.compile("[0-9a-f]{64}")

_DROPPED = frozenset({
    "sebMode", "startURL", "examConfigKeyContainedKeys", "allowWLAN", "insideSebEnableEnableNetworkConnectionSelector",
    "ignoreQuitPassword", "oskBehavior", "enableURLContentFilter", "enableURLFilter", "backgroundOpenSEBConfig",
    "urlFilterRegex", "urlFilterTrustedContent", "URLFilterIgnoreList", "sebServerURL", "sebServerFallback",
    "permittedProcesses.windowHandlingProcess", "prohibitedProcesses.windowHandlingProcess",
})  # fmt: skip
_DROPPED_FAMILY = "outsideSebEnable"
"""What an import leaves out without a word (`seb-settings` §6); what of that list the catalogue exports is kept."""


# --- the settings of the editor ------------------------------------------------------------------------------


@cache
def editable() -> MappingProxyType[str, Setting]:
    """Give the settings that values hold, by id, in the order of the catalogue."""
    rows = (row for row in catalogue.columns_of("") if row.is_exported or row.id == KIOSK_MODE)
    return MappingProxyType({row.id: row for row in rows if row.id not in KIOSK_KEYS})


@cache
def columns(table_id: str) -> MappingProxyType[str, Setting]:
    """Give the columns of a table, or the keys of `proxies`, that values hold, by key; of anything else, none."""
    return MappingProxyType({row.key: row for row in catalogue.columns_of(table_id) if row.is_exported})


def is_table(row: Setting) -> bool:
    """Is this a list of rows? Otherwise an array is a list of texts."""
    return row.plist_type is PlistType.ARRAY and bool(columns(row.id))


def is_password(row: Setting) -> bool:
    """Is this kept as a hash?"""
    return row.control == "password_field"


def is_secret(row: Setting) -> bool:
    """Must this be hidden where people read it: a password, its hash, or a token?"""
    is_clear = (
        row.parent_id == "proxies" and row.key.endswith("Password") and row.plist_type is PlistType.STRING
    )
    return is_password(row) or is_clear or row.id in _TOKENS


def walk(values: Mapping[str, Any]) -> Iterator[tuple[str, Setting, Any]]:
    """Give every value with its setting and path, e.g. `quitURL`, `proxies.HTTPPort`, `URLFilterRules[2].action`.

    Tables and dicts come before what is in them. Rows are counted from 0.
    """
    for setting_id, row in editable().items():
        if setting_id in values:
            yield from _walk(setting_id, row, values[setting_id])


def _walk(path: str, row: Setting, value: Any) -> Iterator[tuple[str, Setting, Any]]:
    yield path, row, value
    if row.plist_type is PlistType.DICT:
        yield from _walk_row(path, row, value)
    elif is_table(row):
        for index, entry in enumerate(value):
            yield from _walk_row(f"{path}[{index}]", row, entry)


def _walk_row(path: str, row: Setting, entry: Mapping[str, Any]) -> Iterator[tuple[str, Setting, Any]]:
    for key, column in columns(row.id).items():
        yield from _walk(f"{path}.{key}", column, entry[key])


# --- beginnings ----------------------------------------------------------------------------------------------


def default_values() -> Values:
    """Give the defaults of the catalogue."""
    return {setting_id: _default(row) for setting_id, row in editable().items()}


def new_configuration_values() -> Values:
    """Give what a new exam configuration starts with: the defaults, and screen sharing and chat prohibited.

    The clients carry lists of their own besides, which an entry here replaces (`seb-settings` §1).
    """
    return default_values() | {"prohibitedProcesses": _prohibited_programs()}


def completed(stored: Mapping[str, Any]) -> Values:
    """Make values that an older version stored whole again: settings and columns added since get their default."""
    return from_settings(to_settings(stored)).values


def _prohibited_programs() -> list[Values]:
    table = resources.files(__package__ or "invigilo.sebconfig").joinpath("prohibited-programs.csv")
    rows = csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"), newline=""))
    return [catalogue.row_defaults("prohibitedProcesses") | row | {"os": int(row["os"])} for row in rows]


def _default(row: Setting) -> Any:
    if row.plist_type is PlistType.DICT:
        return catalogue.row_defaults(row.id)
    return copy.deepcopy(row.default)


# --- into a file ---------------------------------------------------------------------------------------------


def to_settings(values: Mapping[str, Any]) -> Settings:
    """Give the full export of values, free of the traps in which clients compute different Config Keys.

    `sebConfigPurpose` is 0 whatever the values say: exam settings must never replace a client's own.
    """
    settings = {
        row.key: _to_plist(row, values.get(setting_id, row.default))
        for setting_id, row in editable().items()
        if setting_id != KIOSK_MODE
    }
    mode = values.get(KIOSK_MODE, 0)
    kiosk = _KIOSK_SETTINGS[mode if mode in {0, 1} else 2]
    return plist.fit_for_file(settings | dict(zip(KIOSK_KEYS, kiosk, strict=True)) | {"sebConfigPurpose": 0})


def _to_plist(row: Setting, value: Any) -> PlistValue:
    if row.plist_type is PlistType.REAL:
        return float(value)  # JSON written by a browser has 1 for 1.0
    if row.plist_type is PlistType.DICT:
        return _row_to_plist(row, value)
    if is_table(row):
        return [_row_to_plist(row, entry) for entry in value]
    return value


def _row_to_plist(row: Setting, entry: Mapping[str, Any]) -> Settings:
    return {key: _to_plist(column, entry.get(key, column.default)) for key, column in columns(row.id).items()}


# --- out of a file -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mistyped:
    """A value of the wrong type, which became the default; `found` and `expected` are the file's type names."""

    key: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A key that the editor holds in another form: `setting_id` with the value it got."""

    key: str
    setting_id: str
    value: Any


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file's settings. Keys inside tables are named by path, `permittedProcesses.signature`."""

    values: Values = field(repr=False)
    unknown: tuple[str, ...]
    """Left out because no setting of ours has them: shown to the person who imports."""
    dropped: tuple[str, ...]
    """Left out as the specification wants, without a word."""
    mistyped: tuple[Mistyped, ...]
    kept_hashes: tuple[str, ...]
    """Password settings whose hash was taken over; nobody can turn it back into the password."""
    converted: tuple[Converted, ...]


def from_settings(settings: Mapping[str, PlistValue]) -> Imported:
    """Understand the settings of any file. Nothing is refused: what cannot be used is named (`seb-settings` §6).

    A full export of ours comes back as the same values. Because keys are added and left out, the Config Key of
    what is exported again is in general another than that of the file.
    """
    return _Import(settings).result()


class _Import:
    """Collects what is noticed on the way through a file's settings."""

    def __init__(self, settings: Mapping[str, PlistValue]) -> None:
        self._settings = settings
        self._left_out: dict[str, None] = {}
        self._mistyped: list[Mistyped] = []
        self._hashes: list[str] = []
        self._converted: list[Converted] = []

    def result(self) -> Imported:
        values = default_values()
        for key, found in self._settings.items():
            row = editable().get(key)
            if row is not None and key != KIOSK_MODE:
                values[key] = self._value(row, found, key)
            elif key not in KIOSK_KEYS:
                self._left_out[key] = None
        self._kiosk_mode(values)
        if values["sebConfigPurpose"] != 0:
            values["sebConfigPurpose"] = 0
            self._converted.append(Converted("sebConfigPurpose", "sebConfigPurpose", 0))
        return Imported(
            values=values,
            unknown=tuple(sorted(path for path in self._left_out if not _is_dropped(path))),
            dropped=tuple(sorted(path for path in self._left_out if _is_dropped(path))),
            mistyped=tuple(self._mistyped),
            kept_hashes=tuple(self._hashes),
            converted=tuple(self._converted),
        )

    def _kiosk_mode(self, values: Values) -> None:
        """Both keys give the mode; one alone says too little and is named like an unknown one."""
        found = tuple(self._settings.get(key) for key in KIOSK_KEYS)
        for key, value in zip(KIOSK_KEYS, found, strict=True):
            if value is not None and not isinstance(value, bool):
                self._mistyped.append(Mistyped(key, type_name(value), PlistType.BOOL.value))
            elif None in found and value is not None:
                self._left_out[key] = None
        if all(isinstance(value, bool) for value in found):
            values[KIOSK_MODE] = 0 if found[0] else 1 if found[1] else 2
            self._converted += [Converted(key, KIOSK_MODE, values[KIOSK_MODE]) for key in KIOSK_KEYS]

    def _value(self, row: Setting, found: PlistValue, path: str) -> Any:
        if type_name(found) != row.plist_type.value:
            return self._wrong(row, found, path)
        if isinstance(found, dict):
            return self._row(row, found, path)
        if isinstance(found, list):
            return self._list(row, found, path)
        if is_password(row):
            return self._hash(row, cast("str", found), path)
        return found

    def _list(self, row: Setting, found: list[PlistValue], path: str) -> list[Any]:
        wanted = PlistType.DICT if is_table(row) else PlistType.STRING
        kept: list[Any] = []
        for index, item in enumerate(found):
            place = f"{path}[{index}]"
            if type_name(item) != wanted.value:
                self._mistyped.append(Mistyped(place, type_name(item), wanted.value))
            else:
                kept.append(self._row(row, item, place) if isinstance(item, dict) else item)
        return kept

    def _row(self, row: Setting, found: Mapping[str, PlistValue], path: str) -> Values:
        self._left_out |= dict.fromkeys(f"{row.id}.{key}" for key in found if key not in columns(row.id))
        return {
            key: self._value(column, found[key], f"{path}.{key}") if key in found else _default(column)
            for key, column in columns(row.id).items()
        }

    def _hash(self, row: Setting, found: str, path: str) -> str:
        """Take a hash over, in lower case; anything else is no password a client would accept, and is not kept."""
        text = found.strip().lower()
        if not text:
            return ""
        if not _HASH.fullmatch(text):
            self._mistyped.append(Mistyped(path, "text that is no hash", "password hash"))
            return ""
        self._hashes.append(row.id)
        if text != found:
            self._converted.append(Converted(path, row.id, "lower case"))
        return text

    def _wrong(self, row: Setting, found: PlistValue, path: str) -> Any:
        self._mistyped.append(Mistyped(path, type_name(found), row.plist_type.value))
        return _default(row)


def _is_dropped(path: str) -> bool:
    return path in _DROPPED or path.startswith(_DROPPED_FAMILY)


_TYPE_NAMES: dict[type, PlistType] = {
    bool: PlistType.BOOL,
    int: PlistType.INTEGER,
    float: PlistType.REAL,
    str: PlistType.STRING,
    bytes: PlistType.DATA,
    list: PlistType.ARRAY,
    dict: PlistType.DICT,
}


def type_name(value: object) -> str:
    """Name the type a value has in a file: bool, integer, real, string …"""
    return _TYPE_NAMES[type(value)].value


# --- one edit ------------------------------------------------------------------------------------------------


def change(values: Mapping[str, Any], setting_id: str, raw: object) -> Values:
    """Apply one edit that came from outside; `raw` is JSON.

    A typed password comes as `{"password": "…"}` and is kept as its hash; "" removes it, and the hash itself is
    taken as it is. A table comes whole, as a list of rows; a column that is left out gets its default. The keys of
    `proxies` can be changed one by one, as `proxies.HTTPPort`. Only types are checked here, because a draft may
    hold what is not fit to be published yet: `checks.findings` judges that.

    Raises `BadInput` with the path of what does not fit.
    """
    root, _, key = setting_id.partition(".")
    row = editable().get(root)
    if row is None or (key and (row.plist_type is not PlistType.DICT or key not in columns(root))):
        raise BadInput(
            f"There is no setting {setting_id[:80]!r} to edit. Check its spelling.", field=setting_id[:80]
        )
    if key:
        return {**values, root: {**values[root], key: _checked(columns(root)[key], raw, setting_id)}}
    return {**values, root: _checked(row, raw, root)}


def _checked(row: Setting, raw: object, path: str) -> Any:
    if is_table(row):
        rows = _sequence(raw, path)
        return [_checked_row(row, entry, f"{path}[{index}]") for index, entry in enumerate(rows)]
    return _CHECKS[row.plist_type](row, raw, path)


def _checked_row(row: Setting, raw: object, path: str) -> Values:
    if not isinstance(raw, dict):
        raise BadInput(f"{path} must be an object with the columns of {row.id}.", field=path)
    entry = cast("dict[str, object]", raw)
    for key in entry:
        if key not in columns(row.id):
            raise BadInput(f"{row.id} has no column {key[:80]!r}. Leave it out.", field=f"{path}.{key[:80]}")
    return {
        key: _checked(column, entry[key], f"{path}.{key}") if key in entry else _default(column)
        for key, column in columns(row.id).items()
    }


def _sequence(raw: object, path: str) -> list[object]:
    if not isinstance(raw, list):
        raise BadInput(f"{path} must be a list.", field=path)
    return cast("list[object]", raw)


def _checked_bool(_: Setting, raw: object, path: str) -> bool:
    if not isinstance(raw, bool):
        raise BadInput(f"{path} is either true or false.", field=path)
    return raw


def _checked_integer(_: Setting, raw: object, path: str) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise BadInput(f"{path} must be a whole number.", field=path)
    return raw


def _checked_real(_: Setting, raw: object, path: str) -> float:
    if not isinstance(raw, int | float) or isinstance(raw, bool):
        raise BadInput(f"{path} must be a number.", field=path)
    try:
        number = float(raw)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadInput(f"{path} must be a finite number.", field=path)
    return number


def _checked_text(row: Setting, raw: object, path: str) -> str:
    if is_password(row):
        return _checked_password(raw, path)
    if not isinstance(raw, str):
        raise BadInput(f"{path} must be a text.", field=path)
    return _tidy(raw)


def _checked_password(raw: object, path: str) -> str:
    if isinstance(raw, dict):
        typed = cast("dict[str, object]", raw).get("password")
        if len(raw) == 1 and isinstance(typed, str):  # pyright: ignore[reportUnknownArgumentType]
            return password_hash(_without_half_characters(typed, path))
    if isinstance(raw, str) and (not raw or _HASH.fullmatch(raw)):
        return raw
    raise BadInput(f'{path} is a password: send {{"password": "…"}}, or "" to remove it.', field=path)


def _without_half_characters(typed: str, path: str) -> str:
    """A password that cannot be written as UTF-8 could never be typed in a client."""
    try:
        typed.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{path} holds half a character. Type the password again.", field=path) from None
    return typed


def _checked_texts(_: Setting, raw: object, path: str) -> list[str]:
    items: list[str] = []
    for index, item in enumerate(_sequence(raw, path)):
        if not isinstance(item, str):
            raise BadInput(f"{path}[{index}] must be a text.", field=f"{path}[{index}]")
        items.append(_tidy(item))
    return [item for item in items if item]


def _tidy(text: str) -> str:
    """Make a text what it will be in the file, so that nobody sees a difference later."""
    return cast("str", plist.fit_for_file({"": text})[""])


_CHECKS: dict[PlistType, Callable[[Setting, object, str], Any]] = {
    PlistType.BOOL: _checked_bool,
    PlistType.INTEGER: _checked_integer,
    PlistType.NONE: _checked_integer,
    PlistType.REAL: _checked_real,
    PlistType.STRING: _checked_text,
    PlistType.ARRAY: _checked_texts,
    PlistType.DICT: _checked_row,
}


# --- differences ---------------------------------------------------------------------------------------------


class Hidden(StrEnum):
    """What is shown in place of a password or token."""

    SET = "set"
    NOT_SET = "not set"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs. A whole row stands for itself: `before` is None if it was added, `after` if removed.

    `path` counts rows from 0, as they stand afterwards; a removed row is named by where it stood.
    """

    path: str
    before: Any
    after: Any


def changed_from_default(values: Mapping[str, Any]) -> set[str]:
    """Give the ids of the settings that differ from the catalogue's default; of `proxies` the single keys."""
    changed: set[str] = set()
    for setting_id, row in editable().items():
        found, default = values[setting_id], _default(row)
        if row.plist_type is PlistType.DICT:
            changed |= {f"{setting_id}.{key}" for key in default if found[key] != default[key]}
        elif found != default:
            changed.add(setting_id)
    return changed


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Say what changed from one version to another, in the order of the catalogue, without any secret."""
    return [
        difference
        for setting_id, row in editable().items()
        for difference in _differences(row, before[setting_id], after[setting_id], setting_id)
    ]


def _differences(row: Setting, before: Any, after: Any, path: str) -> Iterator[Difference]:
    if before == after:
        return
    if row.plist_type is PlistType.DICT:
        yield from _row_differences(row, before, after, path)
    elif is_table(row):
        yield from _table_differences(row, before, after, path)
    elif is_secret(row):
        shown = Hidden.CHANGED if before and after else Hidden.SET if after else Hidden.NOT_SET
        yield Difference(path, Hidden.SET if before else Hidden.NOT_SET, shown)
    else:
        yield Difference(path, before, after)


def _row_differences(
    row: Setting, before: Mapping[str, Any], after: Mapping[str, Any], path: str
) -> Iterator[Difference]:
    for key, column in columns(row.id).items():
        yield from _differences(column, before[key], after[key], f"{path}.{key}")


def _table_differences(
    row: Setting, before: Sequence[Values], after: Sequence[Values], path: str
) -> Iterator[Difference]:
    """Find the rows that stayed, so that one inserted at the top is one difference and not all of them."""
    old, new = ([json.dumps(entry, sort_keys=True) for entry in table] for table in (before, after))
    for kind, i, i_end, j, j_end in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if kind == "equal":
            continue
        pairs = min(i_end - i, j_end - j)
        for k in range(pairs):
            yield from _row_differences(row, before[i + k], after[j + k], f"{path}[{j + k}]")
        for k in range(i + pairs, i_end):
            yield Difference(f"{path}[{k}]", before[k], None)
        for k in range(j + pairs, j_end):
            yield Difference(f"{path}[{k}]", None, after[k])
