"""Proctoring settings: exam administrators change them, whoever may know of the exam looks (live-proctoring.md §4, rule N)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from invigilo.clock import to_ms
from invigilo.storage.tables import exam_templates
from tests.web.rights import OTHERS, STAFF, Address, rule

EXAM, API_EXAM = "/exams/{exam_id}/proctoring", "/api/v1/exams/{exam_id}/proctoring"
TEMPLATE, API_TEMPLATE = "/templates/{template_id}/proctoring", "/api/v1/templates/{template_id}/proctoring"

SEEN = rule(ok=["ada", "grace", "ines", "aude", "root"], hidden=["bea", *OTHERS])
CHANGED = rule(ok=["grace"], refused=["ada", "ines", "aude", "root"], hidden=["bea", *OTHERS])
TEMPLATE_SEEN = rule(ok=["grace", "ines", "aude"], refused=["ada", "bea"], hidden=["root", *OTHERS])
TEMPLATE_CHANGED = rule(ok=["grace", "ines"], refused=["ada", "bea", "aude"], hidden=["root", *OTHERS])

RULES = {
    ("GET", EXAM): SEEN,
    ("POST", EXAM): CHANGED,
    ("POST", f"{EXAM}/reset"): CHANGED,
    ("GET", TEMPLATE): TEMPLATE_SEEN,
    ("POST", TEMPLATE): TEMPLATE_CHANGED,
    ("GET", API_EXAM): SEEN,
    ("PUT", API_EXAM): CHANGED,
    ("POST", f"{API_EXAM}/reset"): CHANGED,
    ("POST", f"{API_EXAM}/test"): CHANGED,
    ("GET", API_TEMPLATE): TEMPLATE_SEEN,
    ("PUT", API_TEMPLATE): TEMPLATE_CHANGED,
    ("POST", f"{API_TEMPLATE}/test"): TEMPLATE_CHANGED,
}
BODIES: dict[Address, Any] = {("PUT", API_EXAM): {}, ("PUT", API_TEMPLATE): {}}


async def ids(site: Any, address: Address) -> dict[str, str]:
    if "template" not in address[1]:
        return {"exam_id": str(site.exam_id)}
    app = site.server.app
    async with app.work() as w:
        found = (await w.db.execute(exam_templates.select())).first()
        if found is not None:
            return {"template_id": str(found.id)}
        institution = site.accounts[STAFF[0]].institution_id
        query = insert(exam_templates).values(
            institution_id=institution, name="Orals", created_at=to_ms(app.clock.now())
        )
        made = (await w.db.execute(query.returning(exam_templates.c.id))).scalar_one()
    return {"template_id": str(made)}
