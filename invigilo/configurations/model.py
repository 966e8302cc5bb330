"""An exam configuration: a draft that is edited, and the numbered versions that were published of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Configuration:
    """What clients load for an exam, without its values: those are read where they are needed."""

    id: int
    institution_id: int
    name: str
    description: str
    is_template: bool
    """Assigned to no exam: what new configurations start from. A later change of it changes none of them."""
    template_id: int | None
    draft_revision: int
    """Counts up with every change of the draft."""
    published_version: int | None
    """The newest version; None: never published."""
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ConfigurationLine:
    """One configuration in a list."""

    configuration: Configuration
    has_changes: bool
    """The draft was changed since the last version."""
    exams: tuple[str, ...]
    """Names of the exams that use it."""


@dataclass(frozen=True, slots=True)
class ConfigurationWish:
    """What a person says about a configuration as a whole."""

    name: str
    description: str = ""
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration with its values, as they stand now."""

    configuration: Configuration
    values: dict[str, Any] = field(repr=False)
    published: dict[str, Any] | None = field(repr=False)
    """The values of the newest version."""

    @property
    def has_changes(self) -> bool:
        """The draft differs from the newest version; always, while there is none."""
        return self.values != self.published


@dataclass(frozen=True, slots=True)
class Version:
    """One published version, without its values."""

    number: int
    published_at: datetime
    published_by: str
    config_key: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed which value from what to what. Passwords and tokens stand there without their value."""

    at: datetime
    actor: str
    user_id: int | None
    path: str
    """`quitURL`, `proxies.HTTPPort`, `permittedProcesses[2].executable` (rows counted from 0)."""
    before: Any
    after: Any
    draft_revision: int
    version: int | None
    """The version it was published in; None while it is a draft; 0 when the draft was taken back."""


TAKEN_BACK = 0
"""The version of changes that undo took back before they were published."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A setting that somebody else changed after this person had read it."""

    setting_id: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Saved:
    """A change of the draft: what it is now, and everything that is otherwise than before the request was read."""

    draft: Draft
    changed: frozenset[str]
    """The settings this change itself made different, those that followed from it included."""
    by_others: tuple[Conflict, ...]
    """What others changed since the revision this person had read; nothing of it was touched."""


@dataclass(frozen=True, slots=True)
class Use:
    """Something that refers to a configuration."""

    kind: str
    """`exam` or `exam template`."""
    id: int
    name: str
