"""A submitted form: texts in, typed values and problems out; and what a page needs to show it again.

Every field is read even after one was wrong, so that a person is told everything at once. A value that cannot be read is
None and a problem; rules of the subject (`rules.py` of its room) add theirs, and `Form.check` raises them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from invigilo.errors import Invalid, Problem

E = TypeVar("E", bound=StrEnum)


@dataclass(slots=True)
class Form:
    """One submitted form. `data` holds the last value of each name, `lists` all of them."""

    data: Mapping[str, str]
    lists: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    problems: list[Problem] = field(default_factory=list[Problem])

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Any]]) -> Form:
        """From what the framework parsed; uploads and other non-texts are left to their handlers."""
        lists: dict[str, list[str]] = {}
        for name, value in pairs:
            if isinstance(value, str):
                lists.setdefault(name, []).append(value.replace("\0", ""))
        return cls({name: values[-1] for name, values in lists.items()}, lists)

    def wrong(self, name: str, code: str, message: str, **values: object) -> None:
        self.problems.append(Problem(name, code, message, values))

    def text(self, name: str) -> str:
        """Trimmed, line ends as LF; "" when missing."""
        return self.data.get(name, "").replace("\r\n", "\n").strip()

    def raw(self, name: str) -> str:
        """As typed: for passwords, whose blanks count."""
        return self.data.get(name, "")

    def flag(self, name: str) -> bool:
        return name in self.data

    def all(self, name: str) -> list[str]:
        return self.lists.get(name, [])

    def integer(self, name: str) -> int | None:
        """None when blank, or when it is no whole number, which is a problem."""
        text = self.text(name)
        if not text:
            return None
        try:
            number = int(text) if len(text) < 12 else None
        except ValueError:
            number = None
        if number is None:
            self.wrong(name, "not_a_number", "Enter a whole number.")
        return number

    def ids(self, name: str) -> frozenset[int]:
        """Chosen rows; anything else is not from our page and counts as not chosen."""
        return frozenset(
            int(one) for one in self.all(name) if one.isascii() and one.isdigit() and len(one) < 19
        )

    def id(self, name: str) -> int | None:
        return next(iter(self.ids(name)), None)

    def choice(self, name: str, kind: type[E], default: E) -> E:
        text = self.text(name)
        if not text:
            return default
        try:
            return kind(text)
        except ValueError:
            self.wrong(name, "not_a_choice", "Choose one of the offered values.")
            return default

    def moment(self, name: str, zone: ZoneInfo) -> datetime | None:
        """A `datetime-local` field, meant in `zone`; None when blank or unreadable, which is a problem."""
        text = self.text(name)
        if not text:
            return None
        try:
            return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError):
            self.wrong(name, "not_a_time", "Enter date and time, like 2026-01-31 08:00.")
            return None

    def check(self, problems: Iterable[Problem] = ()) -> None:
        """Raise Invalid with every problem; of two about one field the first, which is the nearer one."""
        found: dict[str, Problem] = {}
        for one in [*self.problems, *problems]:
            found.setdefault(one.field, one)
        if found:
            raise Invalid(*found.values())


@dataclass(frozen=True, slots=True)
class FormView:
    """What a template shows of a form: the values as typed, and the problems in the reader's language."""

    values: Mapping[str, Any]
    problems: Mapping[str, str] = field(default_factory=dict[str, str])
    note: str = ""
    """About the form as a whole, above its fields."""

    def value(self, name: str, default: Any = "") -> Any:
        return self.values.get(name, default)

    def problem(self, name: str) -> str:
        return self.problems.get(name, "")
