"""Indicators with thresholds: how bad last ping, errors, warnings, battery and WLAN are, by an exam's own measure.

Pure. Two thresholds each, *warning* and *problem*; an indicator without thresholds is shown and never judged. The ping and
the counts are worse the higher they are, battery and WLAN the lower (seb-client-api.md §5.4). The measure colours the heat
map and the connection page; whether a candidate is *seen* is decided by `truth.py`, which no threshold can soften.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from invigilo.errors import Invalid, Problem
from invigilo.monitoring.rules import Severity


class Indicator(StrEnum):
    PING = "ping"
    """Seconds since the last ping."""
    ERRORS = "errors"
    WARNINGS = "warnings"
    BATTERY = "battery"
    """Percent."""
    WLAN = "wlan"
    """Percent."""

    @property
    def is_worse_when_low(self) -> bool:
        return self in {Indicator.BATTERY, Indicator.WLAN}

    @property
    def highest(self) -> int:
        return {Indicator.PING: 600, Indicator.ERRORS: 100_000, Indicator.WARNINGS: 100_000}.get(self, 100)


@dataclass(frozen=True, slots=True)
class Threshold:
    """From where on a value is a warning, and from where on a problem."""

    warning: int
    problem: int


DEFAULTS: Mapping[Indicator, Threshold | None] = {
    Indicator.PING: Threshold(5, 15),
    Indicator.ERRORS: Threshold(1, 10),
    Indicator.WARNINGS: Threshold(5, 25),
    Indicator.BATTERY: Threshold(20, 10),
    Indicator.WLAN: Threshold(25, 10),
}
"""The reference's ping thresholds; and numbers at which a proctor would get up and look."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """One exam's measure; None switches an indicator off."""

    of: Mapping[Indicator, Threshold | None] = field(default_factory=lambda: dict(DEFAULTS))

    def as_json(self) -> dict[str, dict[str, int] | None]:
        return {
            one.value: None if at is None else {"warning": at.warning, "problem": at.problem}
            for one, at in ((one, self.of.get(one)) for one in Indicator)
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Thresholds:
        """What was stored; an indicator that a later version added has its default."""
        of = dict(DEFAULTS)
        for one in Indicator:
            if one.value in stored:
                at = stored[one.value]
                of[one] = None if at is None else Threshold(at["warning"], at["problem"])
        return cls(of)


STANDARD = Thresholds()


def checked(wish: Mapping[Indicator, tuple[int, int] | None]) -> Thresholds:
    """The measure somebody wants; what is left out has its default. Raises Invalid, field by field."""
    problems: list[Problem] = []
    of = dict(DEFAULTS)
    for one, at in wish.items():
        if at is None:
            of[one] = None
            continue
        warning, problem = at
        for name, value in (("warning", warning), ("problem", problem)):
            if not 0 <= value <= one.highest:
                problems.append(
                    Problem(
                        f"{one.value}.{name}",
                        "threshold_range",
                        f"Enter a whole number from 0 to {one.highest}.",
                        {"highest": one.highest},
                    )
                )
        at_problem = f"{one.value}.problem"
        if one.is_worse_when_low and problem > warning:
            problems.append(Problem(at_problem, "threshold_above", "A problem cannot begin above a warning."))
        if not one.is_worse_when_low and problem < warning:
            problems.append(Problem(at_problem, "threshold_below", "A problem cannot begin below a warning."))
        of[one] = Threshold(warning, problem)
    if problems:
        raise Invalid(*problems)
    return Thresholds(of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What a client's indicators stand at; None is not known, which is never bad, except for the ping of an open client."""

    is_open: bool
    ping_age_ms: int | None
    errors: int
    warnings: int
    battery: float | None
    wlan: float | None
    wlan_connected: bool | None


def levels(values: Values, thresholds: Thresholds) -> dict[str, str]:
    """Each indicator's severity: `ok`, `warning` or `problem`; `none` where there is nothing to judge."""
    known: dict[Indicator, float | None] = {
        Indicator.PING: None
        if not values.is_open
        else float("inf")
        if values.ping_age_ms is None
        else values.ping_age_ms / 1000,
        Indicator.ERRORS: values.errors,
        Indicator.WARNINGS: values.warnings,
        Indicator.BATTERY: values.battery,
        # "Not connected" alarms nobody: the client that says so reached us by cable.
        Indicator.WLAN: values.wlan if values.wlan_connected else None,
    }
    return {one.value: _level(one, known[one], thresholds.of.get(one)) for one in Indicator}


def _level(one: Indicator, value: float | None, at: Threshold | None) -> str:
    if value is None or at is None:
        return "none"
    sign = -1 if one.is_worse_when_low else 1
    if sign * value >= sign * at.problem:
        return Severity.PROBLEM.value
    return Severity.WARNING.value if sign * value >= sign * at.warning else Severity.OK.value
