"""Looking back: supporters on their exams, exam administrators and auditors on those of their institution."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select

from invigilo.storage.tables import client_connections, connection_configurations
from tests.web.people import exam_called
from tests.web.rights import OTHERS, Address, rule

BACK = rule(ok=["ada", "grace", "aude"], refused=["ines", "root"], hidden=["bea", *OTHERS])
ANY_BACK = rule(
    ok=["ada", "bea", "grace", "aude", "other-ada", "other-grace", "other-aude"],
    refused=["ines", "root", "other-ines"],
)
ASKED = [
    *(b"q", b"candidate", b"exam", b"exam_id", b"connection_id", b"from", b"to", b"value_from", b"value_to"),
    *(b"zone", b"kinds", b"order", b"sort", b"state", b"page", b"size"),
]
"""What may stand in their addresses."""
PAGE, API = "/exams/{exam_id}/record", "/api/v1/exams/{exam_id}/connections"
RULES = {
    ("GET", "/finished"): ANY_BACK,
    ("GET", "/events"): ANY_BACK,
    ("GET", "/events.csv"): ANY_BACK,
    ("GET", PAGE): BACK,
    ("GET", f"{PAGE}.csv"): BACK,
    ("GET", f"{PAGE}/{{connection_id}}"): BACK,
    ("GET", "/api/v1/finished-exams"): ANY_BACK,
    ("GET", "/api/v1/events"): ANY_BACK,
    ("GET", "/api/v1/events.csv"): ANY_BACK,
    ("GET", API): BACK,
    ("GET", f"{API}.csv"): BACK,
    ("GET", f"{API}/{{connection_id}}"): BACK,
    ("GET", f"{API}/{{connection_id}}/timeline"): BACK,
}


async def ids(site: Any, address: Address) -> dict[str, str]:
    """Ada's exam, and a connection of it that is long over."""
    exam_id = exam_called(site.server, "Linear Algebra")
    if "{connection_id}" not in address[1]:
        return {"exam_id": str(exam_id)}
    app = site.server.app
    async with app.work() as w:
        mine = select(client_connections.c.id).where(client_connections.c.exam_id == exam_id)
        found = (await w.db.execute(mine)).scalar()
        if found is None:
            lab = select(connection_configurations.c.id).where(
                connection_configurations.c.client_id == "lab-pcs"
            )
            query = insert(client_connections).values(
                token_hash="over",
                entry_key_hash="over",
                institution_id=site.accounts["grace"].institution_id,
                configuration_id=(await w.db.execute(lab)).scalar_one(),
                exam_id=exam_id,
                state="closed",
                flags=[],
                created_at=1,
                closed_at=2,
            )
            found = (await w.db.execute(query.returning(client_connections.c.id))).scalar_one()
    return {"exam_id": str(exam_id), "connection_id": str(found)}
