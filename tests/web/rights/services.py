"""Meeting services: entered by exam and institution administrators, looked at by auditors."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from invigilo.clock import to_ms
from invigilo.exams.model import Service
from invigilo.storage.queries import services as queries
from tests.providers.keys import jitsi_values, zoom_values
from tests.server import Server
from tests.web.rights import OTHERS, Address, rule

PAGES, API = "/services", "/api/v1/services"
ONE, API_ONE = f"{PAGES}/{{service_id}}", f"{API}/{{service_id}}"

NOBODY_THERE = "http://127.0.0.1:9"

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
    ("GET", f"{ONE}/meeting"): CHANGED,
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
    """A service of this deed's own, where nothing answers: what matters is who may ask."""
    if "{service_id}" not in address[1]:
        return {}
    is_framed = address[1] == f"{ONE}/meeting"
    institution = site.accounts["grace"].institution_id
    return {"service_id": await add_service(site.server, institution, is_zoom=is_framed)}


async def add_service(server: Server, institution_id: int, *, is_zoom: bool = False) -> str:
    """One where nothing answers; its id."""
    app = server.app
    values = zoom_values(NOBODY_THERE) if is_zoom else jitsi_values(server_url=NOBODY_THERE)
    secrets = {name for name in values if name.endswith("_secret")}
    sealed = {name: {"sealed": app.storage.box.encrypt(values[name]), "since": 0} for name in secrets}
    async with app.work() as w:
        made = await queries.add(
            w.db,
            institution_id=institution_id,
            name=f"Service {uuid4().hex[:8]}",
            service=Service.ZOOM if is_zoom else Service.JITSI,
            values={name: value for name, value in values.items() if name not in secrets},
            sealed=sealed,
            created_at=to_ms(app.clock.now()),
        )
    return str(made)
