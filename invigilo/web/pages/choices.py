"""What several forms offer to choose from: languages, time zones, roles."""

from __future__ import annotations

from invigilo.accounts.model import Account
from invigilo.accounts.rules import LANGUAGES, roles_given_by
from invigilo.web.parts import Site
from invigilo.web.zones import zone_names

Choices = list[tuple[str, str]]


def zone_choices(site: Site, language: str, chosen: str, *, auto: bool) -> Choices:
    names = zone_names() if chosen in {"auto", *zone_names()} else (chosen, *zone_names())
    first = [("auto", site.renderer.catalogue.text(language, "people.time_zone.auto"))] if auto else []
    return first + [(one, one.replace("_", " ")) for one in names]


def language_choices(site: Site, language: str) -> Choices:
    return [(one, site.renderer.catalogue.text(language, f"people.language.{one}")) for one in LANGUAGES]


def role_choices(site: Site, language: str, by: Account) -> Choices:
    text = site.renderer.catalogue.text
    return [(role.value, text(language, f"people.role.{role.value}")) for role in roles_given_by(by)]
