"""Exam configurations: exam administrators change them, institution administrators and auditors look."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

from invigilo.configurations.model import ConfigurationWish
from invigilo.sebconfig import container
from invigilo.sebconfig.catalogue import exported_defaults
from tests.web.rights import OTHERS, Address, rule

_SEERS = ["grace", "ines", "aude"]
ANY_SEE = rule(
    ok=[*_SEERS, *(f"other-{name}" for name in _SEERS)], refused=["ada", "bea", "other-ada", "root"]
)
ANY_CHANGE = rule(
    ok=["grace", "other-grace"],
    refused=["ada", "bea", "ines", "aude", "other-ada", "other-ines", "other-aude", "root"],
)
SEE = rule(ok=_SEERS, refused=["ada", "bea"], hidden=["root", *OTHERS])
CHANGE = rule(ok=["grace"], refused=["ada", "bea", "ines", "aude"], hidden=["root", *OTHERS])

ONE = "/configurations/{configuration_id}"
API = "/api/v1/configurations"
API_ONE = f"{API}/{{configuration_id}}"
RULES = {
    ("GET", "/configurations"): ANY_SEE,
    ("GET", "/configurations/new"): ANY_CHANGE,
    ("POST", "/configurations/new"): ANY_CHANGE,
    ("GET", "/configurations/import"): ANY_CHANGE,
    ("POST", "/configurations/import"): ANY_CHANGE,
    ("POST", "/configurations/import/apply"): ANY_CHANGE,
    ("GET", ONE): SEE,
    ("GET", f"{ONE}/tabs/{{tab}}"): SEE,
    ("GET", f"{ONE}/search"): SEE,
    ("GET", f"{ONE}/state"): SEE,
    ("GET", f"{ONE}/history"): SEE,
    ("GET", f"{ONE}/compare"): SEE,
    ("POST", f"{ONE}/changes"): CHANGE,
    ("POST", f"{ONE}/tabs/{{tab}}"): CHANGE,
    ("POST", f"{ONE}/publish"): CHANGE,
    ("POST", f"{ONE}/undo"): CHANGE,
    ("GET", f"{ONE}/describe"): CHANGE,
    ("POST", f"{ONE}/describe"): CHANGE,
    ("POST", f"{ONE}/delete"): CHANGE,
    ("GET", f"{ONE}/export"): CHANGE,
    ("POST", f"{ONE}/export"): CHANGE,
    ("GET", API): ANY_SEE,
    ("POST", API): ANY_CHANGE,
    ("POST", f"{API}/import"): ANY_CHANGE,
    ("GET", API_ONE): SEE,
    ("PATCH", API_ONE): CHANGE,
    ("DELETE", API_ONE): CHANGE,
    ("GET", f"{API_ONE}/values"): SEE,
    ("PATCH", f"{API_ONE}/values"): CHANGE,
    ("POST", f"{API_ONE}/publish"): CHANGE,
    ("POST", f"{API_ONE}/undo"): CHANGE,
    ("GET", f"{API_ONE}/versions"): SEE,
    ("GET", f"{API_ONE}/compare"): SEE,
    ("GET", f"{API_ONE}/history"): SEE,
    ("POST", f"{API_ONE}/export"): CHANGE,
    ("GET", "/api/v1/settings"): ANY_SEE,
}


async def ids(site: Any, address: Address) -> dict[str, str]:
    """A configuration of grace's own, made anew: deeds may delete it."""
    if "{configuration_id}" not in address[1]:
        return {}
    made = await site.server.app.configurations.create(
        ConfigurationWish(uuid4().hex), by=site.accounts["grace"]
    )
    return {"configuration_id": str(made.id), "tab": "general"}


DEEDS_OF_IDS = {address: 1 for address in RULES if "{configuration_id}" in address[1]}


async def _new(_site: Any) -> dict[str, Any]:
    return {"name": uuid4().hex}


async def _import(_site: Any) -> dict[str, Any]:
    file = container.encode(exported_defaults())
    return {"name": uuid4().hex, "file": base64.b64encode(file).decode()}


BODIES: dict[Address, Any] = {
    ("POST", "/configurations/new"): _new,
    ("POST", f"{ONE}/changes"): {"base": "0"},
    ("POST", f"{ONE}/tabs/{{tab}}"): {"revision": "0", "was": "{}"},
    ("POST", f"{ONE}/publish"): {"revision": "0"},
    ("POST", f"{ONE}/undo"): {"revision": "0"},
    ("POST", f"{ONE}/describe"): _new,
    ("POST", API): _new,
    ("POST", f"{API}/import"): _import,
    ("PATCH", API_ONE): {"description": "For quizzes"},
    ("PATCH", f"{API_ONE}/values"): {"revision": 0, "changes": {"allowQuit": False}},
    ("POST", f"{API_ONE}/publish"): {"revision": 0},
    ("POST", f"{API_ONE}/undo"): {"revision": 0},
    ("POST", f"{API_ONE}/export"): {},
}
