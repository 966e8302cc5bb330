"""What the pages of exam configurations show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from invigilo.configurations.model import Configuration, ConfigurationLine, Use, Version
from invigilo.web.forms.form import FormView
from invigilo.web.lists import ListView
from invigilo.web.pages.views import Frame
from invigilo.web.settings_view import Hit, SettingsView, TabView


@dataclass(frozen=True, slots=True)
class ConfigurationListPage:
    frame: Frame
    list: ListView[ConfigurationLine]
    may_change: bool


@dataclass(frozen=True, slots=True)
class ConfigurationFormPage:
    """Make one, or change what is said of one."""

    frame: Frame
    form: FormView
    configuration: Configuration | None = None
    templates: Sequence[tuple[int, str]] = ()
    copy_of: Configuration | None = None


@dataclass(frozen=True, slots=True)
class TabLink:
    name: str
    label: str
    is_here: bool
    mark: str
    """`error` or `warning` when something was found there."""


@dataclass(frozen=True, slots=True)
class EditorState:
    """What the bar and the marks of an editor show; sent to its scripts after every change."""

    revision: int
    version: int | None
    differs: int
    """Values that differ from the newest version."""
    status: str
    errors: int
    warnings: int
    summary: str
    locks: Mapping[str, str]
    findings: Sequence[Mapping[str, str]]
    changed: Sequence[str]
    tabs: Mapping[str, str]
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What is in controls now that changed: a text, a bool; of secrets whether they are set."""
    reload: Sequence[str] = ()
    """Tables that changed: they are shown anew."""
    others: Sequence[Mapping[str, str]] = ()
    """What others changed: setting, label, who."""


@dataclass(frozen=True, slots=True)
class EditorPage:
    frame: Frame
    configuration: Configuration
    tabs: Sequence[TabLink]
    tab: TabView
    view: SettingsView
    state: EditorState
    may_change: bool
    was: str
    search: str = ""
    hits: Sequence[Hit] = ()
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    note: str = ""
    uses: Sequence[Use] = ()
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    form: FormView = field(default_factory=lambda: FormView({}))


@dataclass(frozen=True, slots=True)
class FragmentPage:
    """One tab alone, for the editor's scripts."""

    configuration: Configuration
    tab: TabView
    view: SettingsView
    may_change: bool
    was: str
    revision: int
    problems: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class HitsPage:
    configuration: Configuration
    search: str
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class ChangeLine:
    at: int
    actor: str
    path: str
    label: str
    before: str
    after: str
    version: int | None
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class HistoryPage:
    frame: Frame
    configuration: Configuration
    versions: Sequence[Version]
    list: ListView[ChangeLine]


@dataclass(frozen=True, slots=True)
class DifferenceLine:
    path: str
    label: str
    tab_label: str
    before: str
    after: str
    kind: str
    """`changed`, `added` or `removed` (whole rows)."""


@dataclass(frozen=True, slots=True)
class ComparePage:
    frame: Frame
    configuration: Configuration
    versions: Sequence[Version]
    left: str
    right: str
    lines: Sequence[DifferenceLine]


@dataclass(frozen=True, slots=True)
class ImportPage:
    frame: Frame
    form: FormView
    configurations: Sequence[tuple[int, str]] = ()
    limit: str = ""
    into: Configuration | None = None


@dataclass(frozen=True, slots=True)
class ImportPreviewPage:
    """What a file holds, before anything of it is kept."""

    frame: Frame
    form: FormView
    sealed: str
    """The values, sealed by the server: what is confirmed is what was shown."""
    into: Configuration | None
    file: str
    keys: int
    kept: int
    unknown: Sequence[str]
    dropped: Sequence[str]
    mistyped: Sequence[tuple[str, str, str]]
    converted: Sequence[tuple[str, str, str]]
    hashes: Sequence[str]
    lines: Sequence[DifferenceLine]
    config_key: str


@dataclass(frozen=True, slots=True)
class ExportPage:
    frame: Frame
    configuration: Configuration
    form: FormView
    versions: Sequence[Version]
    draft_key: str
    published_key: str
    differs: bool
    made: str = ""
    """The Config Key of the file asked for."""
