"""Institutions: everybody but supporters sees their own; its administrators change it; server administrators do all."""

from __future__ import annotations

from typing import Any

from tests.web.rights import SIGNED_IN, rule
from tests.web.rights.people import CHANGES, READERS, SEES

SERVER_ADMIN = rule(ok=["root"], refused=[one for one in SIGNED_IN if one != "root"])

RULES = {
    ("GET", "/institutions"): READERS,
    ("GET", "/institutions/new"): SERVER_ADMIN,
    ("POST", "/institutions"): SERVER_ADMIN,
    ("GET", "/institutions/{institution_id}"): SEES,
    ("POST", "/institutions/{institution_id}"): CHANGES,
    ("POST", "/institutions/{institution_id}/delete"): SERVER_ADMIN,
    ("GET", "/api/v1/institutions"): READERS,
    ("POST", "/api/v1/institutions"): SERVER_ADMIN,
    ("GET", "/api/v1/institutions/{institution_id}"): SEES,
    ("PATCH", "/api/v1/institutions/{institution_id}"): CHANGES,
    ("DELETE", "/api/v1/institutions/{institution_id}"): SERVER_ADMIN,
}
BODIES = {
    ("POST", "/api/v1/institutions"): {"name": ""},
    ("PATCH", "/api/v1/institutions/{institution_id}"): {"time_zone": "UTC"},
}


async def ids(site: Any, address: tuple[str, str]) -> dict[str, str]:
    """Example University, which has people: nobody deletes it."""
    del address
    return {"institution_id": str(site.accounts["ines"].institution_id)}
