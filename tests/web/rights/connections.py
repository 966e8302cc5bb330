"""Connection configurations are for exam administrators of the institution; a link is the right of whoever has it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from invigilo.exams.model import ConnectionWish
from tests.web.rights import OTHERS, PEOPLE, SIGNED_IN, Address, rule

EXAM_ADMINS = rule(
    ok=["grace", "other-grace"],
    refused=[name for name in SIGNED_IN if name not in {"grace", "other-grace"}],
)
"""For lists and for making something new: everybody's own institution."""
MINE = rule(ok=["grace"], refused=["ada", "bea", "ines", "aude"], hidden=["root", *OTHERS])
EVERYBODY = rule(ok=list(PEOPLE))

PAGE = "/connections/{configuration_id}"
API = "/api/v1/connections/{configuration_id}"
RULES = {
    ("GET", "/connections/new"): EXAM_ADMINS,
    ("POST", "/connections/new"): EXAM_ADMINS,
    ("GET", PAGE): MINE,
    ("GET", f"{PAGE}/edit"): MINE,
    ("POST", f"{PAGE}/edit"): MINE,
    ("POST", f"{PAGE}/activate"): MINE,
    ("POST", f"{PAGE}/deactivate"): MINE,
    ("POST", f"{PAGE}/revoke"): MINE,
    ("GET", f"{PAGE}/secret"): MINE,
    ("POST", f"{PAGE}/secret"): MINE,
    ("POST", f"{PAGE}/delete"): MINE,
    ("GET", f"{PAGE}/links"): MINE,
    ("POST", f"{PAGE}/links"): MINE,
    ("POST", f"{PAGE}/links/{{link_id}}/revoke"): MINE,
    ("GET", "/seb/{name}"): EVERYBODY,
    ("HEAD", "/seb/{name}"): EVERYBODY,
    ("GET", "/api/v1/connections"): EXAM_ADMINS,
    ("POST", "/api/v1/connections"): EXAM_ADMINS,
    ("GET", API): MINE,
    ("PATCH", API): MINE,
    ("DELETE", API): MINE,
    ("POST", f"{API}/activate"): MINE,
    ("POST", f"{API}/deactivate"): MINE,
    ("POST", f"{API}/revoke"): MINE,
    ("POST", f"{API}/secret"): MINE,
    ("POST", f"{API}/file"): MINE,
    ("GET", f"{API}/links"): MINE,
    ("POST", f"{API}/links"): MINE,
    ("DELETE", f"{API}/links/{{link_id}}"): MINE,
}


async def ids(site: Any, address: Address) -> dict[str, str]:
    """A configuration of its own for every call, and where the path asks for one, a link to its file."""
    service, grace = site.server.app.connection_configurations, site.accounts["grace"]
    made = await service.create(ConnectionWish(name=f"for {uuid4()}"), by=grace)
    found = {"configuration_id": str(made.details.id)}
    if "{name}" in address[1] or "{link_id}" in address[1]:
        lasts = site.server.app.clock.now() + timedelta(hours=1)
        link = await service.make_link(made.details.id, expires_at=lasts, by=grace)
        found |= {"name": f"{link.key}.seb", "link_id": str(link.link.id)}
    return found


DEEDS_OF_IDS = {address: 2 if "{link_id}" in address[1] else 1 for address in RULES}


async def _new(_site: Any) -> dict[str, str]:
    return {"name": f"for {uuid4()}", "ping_interval_ms": "1000"}


BODIES = {
    ("POST", "/connections/new"): _new,
    ("POST", f"{PAGE}/edit"): _new,
    ("POST", f"{PAGE}/links"): {"hours": "24"},
    ("POST", "/api/v1/connections"): {"name": ""},
    ("PATCH", API): {"ping_interval_ms": 2_000},
    ("POST", f"{API}/file"): {},
    ("POST", f"{API}/links"): {"expires_at": "2026-01-01T00:00:00Z"},
}
