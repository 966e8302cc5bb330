"""Times in the zone of what they belong to: the exam's, whoever reads them from wherever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

from invigilo import fields
from invigilo.clock import to_ms


@dataclass(frozen=True, slots=True)
class Moment:
    """One time as a page shows it: `text` without scripts, `ms` and `zone` for the script that says it nicer."""

    ms: int
    zone: str
    text: str
    typed: str
    """As a `datetime-local` field holds it."""


def moment_of(at: datetime, zone: str) -> Moment:
    local = at.astimezone(ZoneInfo(zone))
    typed = local.strftime("%Y-%m-%dT%H:%M") if not local.second else local.strftime("%Y-%m-%dT%H:%M:%S")
    return Moment(to_ms(at), zone, local.strftime("%Y-%m-%d %H:%M"), typed)


@cache
def zone_names() -> tuple[str, ...]:
    """For choosing one: UTC first, then places by name; older names of the same places are left out."""
    older = ("Etc/", "posix/", "right/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")
    places = (one for one in fields.time_zones() if "/" in one and not one.startswith(older))
    return ("UTC", *sorted(places))
