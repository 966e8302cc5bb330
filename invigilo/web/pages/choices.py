"""What several forms offer to choose from: languages, time zones, roles."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from invigilo.accounts.model import Account
from invigilo.accounts.rules import LANGUAGES, roles_given_by
from invigilo.web.parts import Site

Choices = list[tuple[str, str]]


@cache
def _zones() -> tuple[str, ...]:
    """Those named after places, which is what people look for; and UTC."""
    odd = ("Etc/", "posix/", "right/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")
    places = (one for one in available_timezones() if "/" in one and not one.startswith(odd))
    return ("UTC", *sorted(places))


def zone_choices(site: Site, language: str, chosen: str, *, auto: bool) -> Choices:
    names = _zones() if chosen in {"auto", *_zones()} else (chosen, *_zones())
    first = [("auto", site.renderer.catalogue.text(language, "people.time_zone.auto"))] if auto else []
    return first + [(one, one.replace("_", " ")) for one in names]


def language_choices(site: Site, language: str) -> Choices:
    return [(one, site.renderer.catalogue.text(language, f"people.language.{one}")) for one in LANGUAGES]


def role_choices(site: Site, language: str, by: Account) -> Choices:
    text = site.renderer.catalogue.text
    return [(role.value, text(language, f"people.role.{role.value}")) for role in roles_given_by(by)]
