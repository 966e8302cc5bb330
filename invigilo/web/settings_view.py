"""What the editor shows of settings, in the reader's language: one view per control, made from the catalogue alone.

Nothing here judges: `sebconfig.checks` says what is locked and what is wrong, this says it in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, checks, values
from invigilo.sebconfig.catalogue import PlistType, Setting
from invigilo.sebconfig.checks import Finding, Lock, Severity
from invigilo.web.catalogue import FALLBACK, Catalogue
from invigilo.web.settings_layout import TABS, Frame, Layout, layout, proxies_layout, tab_of

_CONTROLS = {
    "checkbox": "check", "text_field": "text", "text_area": "lines", "password_field": "password",
    "integer": "integer", "decimal": "decimal", "slider": "slider", "single_selection": "choice",
    "radio_selection": "radio", "combo_selection": "combo", "multi_checkbox_selection": "several",
    "text_field_list": "texts", "color_selector": "colour", "table": "table", "inline_table": "table",
    "composite_table": "parts",
}  # fmt: skip
"""The catalogue's word → the control of ours."""

_SUMMARY = {
    "permittedProcesses": ("active", "os", "executable", "title"),
    "prohibitedProcesses": ("active", "os", "executable", "description"),
}
"""Tables with too many columns for one line: what is shown of a closed row. All others show everything."""

_SHORT = {"Windows": "Win", "macOS": "Mac", "iOS": "iOS"}
_SAME_SUPPORT = {values.KIOSK_MODE: "createNewDesktop"}
"""An editor's own setting is honoured by whoever honours the keys made of it."""


@dataclass(frozen=True, slots=True)
class SupportView:
    """Whether a platform's clients honour a setting. `tone`: `yes`, `partly`, `no` or `problem`."""

    platform: str
    tone: str
    word: str
    """What to say of it, as a sentence."""
    mark: str
    """What the badge shows: the platform, with the versions if only some honour it."""


@dataclass(frozen=True, slots=True)
class FindingView:
    severity: str
    text: str
    path: str
    label: str


@dataclass(frozen=True, slots=True)
class RowView:
    """One row of a table; `fields` in the order of the catalogue's cells."""

    path: str
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, slots=True)
class FieldView:
    """One control. `path` is its name in a form and in findings; `id` the setting in the catalogue."""

    id: str
    path: str
    key: str
    control: str
    type: str
    """How the value is sent: bool, integer, real, string, array; `hash` and `secret` for what is never shown."""
    label: str
    help: str
    value: Any
    """What stands in the control: a text for inputs, a bool for checkboxes, a set of texts for several."""
    choices: tuple[tuple[str, str], ...] = ()
    low: str = ""
    high: str = ""
    is_changed: bool = False
    """Differs from the default."""
    lock: str = ""
    """Why it cannot be changed now."""
    findings: tuple[FindingView, ...] = ()
    support: tuple[SupportView, ...] = ()
    rows: tuple[RowView, ...] = ()
    blank: RowView | None = None
    """A new row, as it would begin."""
    summary: tuple[str, ...] = ()
    """Keys of the columns shown of a closed row; empty: rows are always open."""
    columns: tuple[tuple[str, str], ...] = ()
    """Of a table: key and label of each column."""
    parts: Layout | None = None


@dataclass(frozen=True, slots=True)
class TabView:
    """One tab with all its fields, by setting id."""

    name: str
    layout: Layout
    fields: Mapping[str, FieldView]


@dataclass(frozen=True, slots=True)
class Hit:
    """A setting that a search found."""

    path: str
    tab: str
    tab_label: str
    label: str
    key: str
    help: str


class SettingsView:
    """The settings of one draft, in one language."""

    def __init__(
        self, texts: Catalogue, language: str, found: Mapping[str, Any], *, may_change: bool = True
    ) -> None:
        self._texts = texts
        self._language = language
        self._values = found
        self._locks = checks.locked(found)
        self._changed = values.changed_from_default(found)
        self._may_change = may_change
        self.findings = tuple(self._finding(one) for one in checks.findings(found))

    # --- words ---

    def _t(self, key: str, **holes: object) -> str:
        return self._texts.text(self._language, key, **holes)

    def label(self, setting_id: str) -> str:
        """The short name; the catalogue's English one where there is no text (settings that are not shown)."""
        key = f"setting.{setting_id}"
        return self._t(key) if self._has(key) else catalogue.setting(setting_id).label or setting_id

    def _help(self, setting_id: str) -> str:
        key = f"setting.{setting_id}.help"
        return self._t(key) if self._has(key) else ""

    def _has(self, key: str) -> bool:
        return key in self._texts.texts.get(FALLBACK, {})

    def path_label(self, path: str) -> str:
        """Name a value as people do: “Permitted processes, row 3, Executable”."""
        words: list[str] = []
        setting_id = ""
        for part in path.split("."):
            name, _, index = part.rstrip("]").partition("[")
            setting_id = f"{setting_id}.{name}" if setting_id else name
            words.append(self.label(setting_id) if setting_id in catalogue.all_settings() else name)
            if index:
                words.append(self._t("configuration.row", n=int(index) + 1))
        if words[1:] and words[0] == self.label("proxies"):
            row = catalogue.all_settings().get(path)
            words[0] = self._t(f"setting.section.network.{row.section}") if row and row.section else words[0]
        return ", ".join(words)

    def shown(self, path: str, value: Any) -> str:
        """A value in a difference, as a text: choices by their name, yes and no, rows by what is in them."""
        setting_id = re.sub(r"\[[0-9]+\]", "", path)
        row = catalogue.all_settings().get(setting_id)
        if value is None:
            return ""
        if isinstance(value, bool):
            return self._t("configuration.yes" if value else "configuration.no")
        if isinstance(value, dict):
            parts = [f"{self.label(f'{setting_id}.{k}')}: {self.shown(f'{path}.{k}', v)}" for k, v in value.items() if v not in ("", [], False)]  # fmt: skip  # noqa: E501
            return " · ".join(parts)
        if isinstance(value, list):
            return " · ".join(self.shown(path, one) for one in value) or self._t("configuration.blank")
        if isinstance(value, str) and value in set(values.Hidden) and row and values.is_secret(row):
            return self._t(f"configuration.hidden.{values.Hidden(value).name.lower()}")
        if row is not None and row.choices and not row.has_free_entry:
            return dict(self._choices(row)).get(str(value), str(value))
        return str(value) if value != "" else self._t("configuration.blank")

    def lock_text(self, lock: Lock) -> str:
        return self._t(f"finding.lock.{lock.code.value}", by=self.label(lock.by))

    def _finding(self, one: Finding) -> FindingView:
        text = self._t(f"finding.{one.code}", **one.values)
        return FindingView(one.severity.value, text, one.setting_id, self.path_label(one.setting_id))

    @property
    def errors(self) -> int:
        return sum(1 for one in self.findings if one.severity == Severity.ERROR.value)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors

    @property
    def locks(self) -> dict[str, str]:
        """By setting; only of what is shown."""
        return {setting_id: self.lock_text(lock) for setting_id, lock in self._locks.items()}

    @property
    def changed(self) -> list[str]:
        """Settings that differ from their default, of those that are shown."""
        return sorted(setting_id for setting_id in self._changed if tab_of(setting_id))

    # --- controls ---

    def tab(self, name: str) -> TabView:
        """One tab. Raises BadInput for one that does not exist."""
        if name not in TABS:
            raise BadInput("There is no such tab. Choose one of the list.", field="tab")
        shape = layout(name)
        fields = {setting_id: self.field(setting_id) for setting_id in shape.settings}
        if "proxies" in fields:
            fields |= {setting_id: self.field(setting_id) for setting_id in proxies_layout().settings}
        return TabView(name, shape, fields)

    def field(self, setting_id: str) -> FieldView:
        root, _, key = setting_id.partition(".")
        value = self._values[root][key] if key else self._values[root]
        lock = self._locks.get(setting_id)
        return self._field(
            catalogue.setting(setting_id),
            setting_id,
            value,
            lock="" if lock is None else self.lock_text(lock),
            is_changed=setting_id in self._changed,
            with_support=True,
        )

    def _field(
        self,
        row: Setting,
        path: str,
        value: Any,
        *,
        lock: str = "",
        is_changed: bool = False,
        with_support: bool = False,
    ) -> FieldView:
        control = _control(row)
        is_table = control == "table"
        own = [
            one for one in self.findings if one.path == path or (not is_table and _is_within(one.path, path))
        ]
        return FieldView(
            id=row.id,
            path=path,
            key=row.key,
            control=control,
            type=_type(row),
            label=self.label(row.id),
            help=self._help(row.id),
            value=_in_control(row, value),
            choices=self._choices(row),
            low="" if row.minimum is None else f"{row.minimum:g}",
            high="" if row.maximum is None else f"{row.maximum:g}",
            is_changed=is_changed,
            lock=lock or ("" if self._may_change else self._t("configuration.only_looking")),
            findings=tuple(own) if control != "parts" else (),
            support=self.support(row) if with_support else (),
            rows=tuple(self._row(row, f"{path}[{n}]", entry) for n, entry in enumerate(value))
            if is_table
            else (),
            blank=self._row(row, f"{path}[#]", catalogue.row_defaults(row.id)) if is_table else None,
            summary=_SUMMARY.get(row.id, ()),
            columns=tuple((one.key, self.label(one.id)) for one in table_columns(row.id)) if is_table else (),
            parts=proxies_layout() if control == "parts" else None,
        )

    def _row(self, table: Setting, path: str, entry: Mapping[str, Any]) -> RowView:
        fields = [self._field(one, f"{path}.{one.key}", entry[one.key]) for one in table_columns(table.id)]
        return RowView(path, tuple(fields))

    def _choices(self, row: Setting) -> tuple[tuple[str, str], ...]:
        return _choices(self._texts, self._language, row.id)

    def support(self, row: Setting) -> tuple[SupportView, ...]:
        honoured = catalogue.setting(_SAME_SUPPORT.get(row.id, row.id)).support
        return tuple(
            self._support(platform, word)
            for platform, word in (
                ("Windows", honoured.windows),
                ("macOS", honoured.macos),
                ("iOS", honoured.ios),
            )
        )

    def _support(self, platform: str, word: str) -> SupportView:
        if word[:1].isdigit():
            versions = word.replace("-", "–")
            said = self._t("configuration.support.versions", platform=platform, versions=versions)
            return SupportView(platform, "partly", said, f"{_SHORT[platform]} {versions}")
        tone = {"yes": "yes", "refuses": "problem"}.get(word, "no")
        return SupportView(
            platform, tone, self._t(f"configuration.support.{word}", platform=platform), _SHORT[platform]
        )

    # --- frames ---

    def tab_label(self, tab: str) -> str:
        return self._t(f"setting.tab.{tab}")

    def tab_help(self, tab: str) -> str:
        return self._t(f"setting.tab.{tab}.help")

    def section_label(self, tab: str, name: str) -> str:
        return self._t(f"setting.section.{tab}.{name}")

    def frame_label(self, tab: str, frame: Frame) -> str:
        return self._t(f"setting.group.{tab}.{frame.name}") if frame.name else ""

    # --- searching ---

    def search(self, text: str, *, most: int = 30) -> list[Hit]:
        """Settings whose label, key or help holds every word; those found by label or key come first."""
        words = text.lower().split()[:8]
        if not words:
            return []
        found: list[tuple[int, Hit]] = []
        for setting_id, tab in _searched():
            hit = Hit(
                path=setting_id,
                tab=tab,
                tab_label=self._t(f"setting.tab.{tab}"),
                label=self.path_label(setting_id),
                key=catalogue.setting(setting_id).key,
                help=self._help(setting_id),
            )
            near = f"{hit.label} {hit.path}".lower()
            whole = f"{near} {hit.help}".lower()
            if all(word in whole for word in words):
                found.append((0 if all(word in near for word in words) else 1, hit))
        return [hit for _, hit in sorted(found, key=lambda one: one[0])][:most]


@cache
def _searched() -> tuple[tuple[str, str], ...]:
    """Every setting that can be edited, with the columns of tables, in the order of the tabs."""
    found = [
        (row.id, tab_of(row.id))
        for row in catalogue.all_settings().values()
        if tab_of(row.id)
        and (row.is_exported or row.id == values.KIOSK_MODE)
        and row.id not in values.KIOSK_KEYS
    ]
    return tuple(sorted(found, key=lambda one: TABS.index(one[1])))


@cache
def table_columns(table_id: str) -> tuple[Setting, ...]:
    """The columns of a table as rows show them: switches first, then texts, in the catalogue's order."""
    rows = list(values.columns(table_id).values())
    return tuple(
        sorted(rows, key=lambda row: (row.control == "inline_table", row.key != "active", row.key != "os"))
    )


@cache
def _choices(texts: Catalogue, language: str, setting_id: str) -> tuple[tuple[str, str], ...]:
    row = catalogue.setting(setting_id)
    return tuple(
        (
            str(choice.value),
            texts.text(language, key)
            if (key := f"setting.choice.{setting_id}.{choice.value}") in texts.texts.get(FALLBACK, {})
            else choice.label,
        )
        for choice in row.choices
    )


def _control(row: Setting) -> str:
    if (
        row.plist_type is PlistType.ARRAY
        and not values.columns(row.id)
        and row.control != "multi_checkbox_selection"
    ):
        return "texts"
    if values.is_secret(row):
        return "password"
    return _CONTROLS[row.control]


def _type(row: Setting) -> str:
    if values.is_secret(row):
        return "hash" if values.is_password(row) else "secret"
    return "integer" if row.plist_type is PlistType.NONE else row.plist_type.value


def _in_control(row: Setting, value: Any) -> Any:
    """What stands in the control: of a secret only whether there is one."""
    if values.is_secret(row):
        return bool(value)
    if isinstance(value, bool) or row.plist_type is PlistType.DICT or values.is_table(row):
        return value if isinstance(value, bool) else None
    if isinstance(value, list):
        return "\n".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_within(path: str, whole: str) -> bool:
    return path.startswith((f"{whole}[", f"{whole}."))


def shown_value(found: Mapping[str, Any], setting_id: str) -> Any:
    """A value as the editor's scripts get it: of a secret whether it is set, of a table nothing (it is shown anew)."""
    root, _, key = setting_id.partition(".")
    row = catalogue.setting(setting_id)
    value = found[root][key] if key else found[root]
    return _in_control(row, value)


def tabs_with(findings: Sequence[FindingView]) -> dict[str, str]:
    """By tab: the worst of what was found on it."""
    found: dict[str, str] = {}
    for one in findings:
        tab = tab_of(re.split(r"[.\[]", one.path, maxsplit=1)[0])
        if tab and found.get(tab) != Severity.ERROR.value:
            found[tab] = one.severity
    return found
