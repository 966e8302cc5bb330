"""Rules that fields of every subject share: each gives the problem with a value, or None.

A room's `rules.py` puts them together into `problems(wish) -> list[Problem]`; its service raises them as `Invalid`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from invigilo.errors import Problem

NAME_LONGEST = 255
TEXT_LONGEST = 10_000
URL_LONGEST = 2_000


def found(*problems: Problem | None) -> list[Problem]:
    """Those that are there."""
    return [one for one in problems if one is not None]


def text(
    field: str, value: str, *, longest: int = NAME_LONGEST, shortest: int = 1, lines: bool = False
) -> Problem | None:
    """A text of a length; `shortest=0` may be blank, `lines` may have several lines."""
    if len(value.strip()) < shortest:
        if shortest == 1:
            return Problem(field, "missing", "Fill this in.")
        return Problem(field, "too_short", f"Enter at least {shortest} characters.", {"shortest": shortest})
    if len(value) > longest:
        return Problem(field, "too_long", f"Enter at most {longest} characters.", {"longest": longest})
    if not is_printable(value, lines=lines):
        return Problem(
            field, "control_characters", "Remove the control characters (line breaks, for example)."
        )
    return None


def is_printable(value: str, *, lines: bool = False) -> bool:
    """No control characters and no half characters: what every database, file and page can hold."""
    allowed = "\n\t" if lines else ""
    return all(one in allowed or unicodedata.category(one) not in {"Cc", "Cs"} for one in value)


def is_encodable(value: str) -> bool:
    """No half characters (lone surrogates): those no file and no database can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def url(field: str, value: str, *, required: bool = True) -> Problem | None:
    """An absolute http or https address."""
    if not value:
        return Problem(field, "missing", "Fill this in.") if required else None
    problem = text(field, value, longest=URL_LONGEST)
    if problem is not None:
        return problem
    try:
        parts = urlsplit(value)
        is_absolute = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_absolute = False
    if is_absolute and not any(one.isspace() for one in value):
        return None
    return Problem(field, "not_an_address", "Enter an absolute address, like https://lms.example.org/quiz.")


def number(field: str, value: int | None, low: int, high: int, *, required: bool = True) -> Problem | None:
    if value is None:
        return Problem(field, "missing", "Fill this in.") if required else None
    if low <= value <= high:
        return None
    return Problem(
        field, "out_of_range", f"Enter a whole number from {low} to {high}.", {"low": low, "high": high}
    )


@cache
def time_zones() -> frozenset[str]:
    """Every IANA name this system knows; looked up once, for it means reading folders."""
    return frozenset(available_timezones())


def time_zone(field: str, value: str, *, auto: bool = False) -> Problem | None:
    """An IANA name; with `auto` also that word, for the browser's own."""
    if (auto and value == "auto") or value in time_zones():
        return None
    return Problem(field, "not_a_time_zone", "Choose a time zone, like Europe/Berlin.")


def one_of(field: str, value: str, allowed: Iterable[str]) -> Problem | None:
    return (
        None if value in set(allowed) else Problem(field, "not_a_choice", "Choose one of the offered values.")
    )
