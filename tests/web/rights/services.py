"""Meeting services: entered by exam and institution administrators, looked at by auditors."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from invigilo.clock import to_ms
from invigilo.exams.model import Service
from invigilo.storage.queries import services as queries
from tests.web.rights import OTHERS, Address, rule

PAGES, API = "/services", "/api/v1/services"
ONE, API_ONE = f"{PAGES}/{{service_id}}", f"{API}/{{service_id}}"

LISTED = rule(
    ok=["grace", "ines", "aude", "other-grace", "other-ines", "other-aude"],
    refused=["ada", "bea", "root", "other-ada"],
)
ENTERED = rule(
    ok=["grace", "ines", "other-grace", "other-ines"],
    refused=["ada", "bea", "aude", "root", "other-ada", "other-aude"],
)
SEEN = rule(ok=["grace", "ines", "aude"], refused=["ada", "bea"], hidden=["root", *OTHERS])
CHANGED = rule(ok=["grace", "ines"], refused=["ada", "bea", "aude"], hidden=["root", *OTHERS])

RULES = {
    ("GET", PAGES): LISTED,
    ("GET", f"{PAGES}/new"): ENTERED,
    ("POST", PAGES): ENTERED,
    ("GET", ONE): SEEN,
    ("POST", ONE): CHANGED,
    ("POST", f"{ONE}/delete"): CHANGED,
    ("POST", f"{ONE}/test"): CHANGED,
    ("GET", API): LISTED,
    ("GET", f"{API}/offered"): LISTED,
    ("POST", API): ENTERED,
    ("GET", API_ONE): SEEN,
    ("PATCH", API_ONE): CHANGED,
    ("DELETE", API_ONE): CHANGED,
    ("POST", f"{API_ONE}/test"): CHANGED,
}
BODIES: dict[Address, Any] = {("POST", API): {"name": "A", "service": "jitsi"}, ("PATCH", API_ONE): {}}


async def ids(site: Any, address: Address) -> dict[str, str]:
    """A service of this deed's own; put there past the rules, since only built-in rooms are offered here."""
    if "{service_id}" not in address[1]:
        return {}
    app = site.server.app
    async with app.work() as w:
        made = await queries.add(
            w.db,
            institution_id=site.accounts["grace"].institution_id,
            name=f"Service {uuid4().hex[:8]}",
            service=Service.JITSI,
            values={},
            sealed={},
            created_at=to_ms(app.clock.now()),
        )
    return {"service_id": str(made)}
