"""Exams: administrators of exams make and change them, supporters see theirs, other administrators look on."""

from __future__ import annotations

import secrets
from typing import Any

from invigilo.storage.queries import exam_office
from tests.web.people import exam_called
from tests.web.rights import OTHERS, SIGNED_IN, STAFF, Address, rule

LOOKERS = rule(ok=["ada", "grace", "ines", "aude", "root"], hidden=["bea", *OTHERS])
CHANGERS = rule(ok=["grace"], refused=["ada", "ines", "aude", "root"], hidden=["bea", *OTHERS])
WATCHERS = rule(ok=["ada", "grace"], refused=["ines", "aude", "root"], hidden=["bea", *OTHERS])
MAKERS = rule(
    ok=["grace", "other-grace"],
    refused=[name for name in SIGNED_IN if name not in {"grace", "other-grace"}],
)
TEMPLATE_LIST = rule(
    ok=["grace", "ines", "aude", "other-grace", "other-ines", "other-aude"],
    refused=["ada", "bea", "root", "other-ada"],
)
TEMPLATE_MAKERS = rule(
    ok=["grace", "ines", "other-grace", "other-ines"],
    refused=["ada", "bea", "aude", "root", "other-ada", "other-aude"],
)
TEMPLATE_LOOKERS = rule(ok=["grace", "ines", "aude"], refused=["ada", "bea"], hidden=["root", *OTHERS])
TEMPLATE_CHANGERS = rule(ok=["grace", "ines"], refused=["ada", "bea", "aude"], hidden=["root", *OTHERS])

DEEDS = ["end", "test-run", "stop-test-run", "reopen", "archive", "take-back"]
API = "/api/v1"
EXAM = "/exams/{exam_id}"
ROSTER = EXAM + "/roster"
LINE = ROSTER + "/{candidate_id}"
TEMPLATE = "/templates/{template_id}"

RULES = {
    ("GET", "/exams"): rule(ok=SIGNED_IN),
    ("GET", "/exams/new"): MAKERS,
    ("POST", "/exams"): MAKERS,
    ("GET", EXAM): LOOKERS,
    ("POST", EXAM + "/quit-password"): WATCHERS,
    ("GET", EXAM + "/edit"): CHANGERS,
    ("POST", EXAM + "/edit"): CHANGERS,
    ("GET", EXAM + "/copy"): CHANGERS,
    ("POST", EXAM + "/copy"): CHANGERS,
    ("GET", EXAM + "/delete"): CHANGERS,
    ("POST", EXAM + "/delete"): CHANGERS,
    ("POST", EXAM + "/use-version"): CHANGERS,
    **{("POST", f"{EXAM}/{deed}"): CHANGERS for deed in DEEDS},
    ("GET", ROSTER): WATCHERS,
    ("GET", ROSTER + ".csv"): WATCHERS,
    ("POST", ROSTER + "/preview"): CHANGERS,
    ("POST", ROSTER + "/import"): CHANGERS,
    ("GET", ROSTER + "/new"): CHANGERS,
    ("POST", ROSTER + "/new"): CHANGERS,
    ("GET", LINE): CHANGERS,
    ("POST", LINE): CHANGERS,
    ("POST", LINE + "/delete"): CHANGERS,
    ("GET", "/templates"): TEMPLATE_LIST,
    ("GET", "/templates/new"): TEMPLATE_MAKERS,
    ("POST", "/templates"): TEMPLATE_MAKERS,
    ("GET", TEMPLATE): TEMPLATE_LOOKERS,
    ("POST", TEMPLATE): TEMPLATE_CHANGERS,
    ("POST", TEMPLATE + "/delete"): TEMPLATE_CHANGERS,
    ("GET", API + "/exams"): rule(ok=SIGNED_IN),
    ("POST", API + "/exams"): MAKERS,
    ("GET", API + EXAM): LOOKERS,
    ("PATCH", API + EXAM): CHANGERS,
    ("DELETE", API + EXAM): CHANGERS,
    ("GET", API + EXAM + "/deletion"): CHANGERS,
    ("POST", API + EXAM + "/copy"): CHANGERS,
    ("POST", API + EXAM + "/use-version"): CHANGERS,
    ("POST", API + EXAM + "/quit-password"): WATCHERS,
    ("GET", API + EXAM + "/readiness"): LOOKERS,
    ("GET", API + EXAM + "/settings-changes"): LOOKERS,
    **{("POST", f"{API}{EXAM}/{deed}"): CHANGERS for deed in DEEDS},
    ("GET", API + ROSTER): WATCHERS,
    ("GET", API + ROSTER + ".csv"): WATCHERS,
    ("PUT", API + ROSTER): CHANGERS,
    ("POST", API + ROSTER): CHANGERS,
    ("GET", API + LINE): CHANGERS,
    ("PATCH", API + LINE): CHANGERS,
    ("DELETE", API + LINE): CHANGERS,
    ("GET", API + "/templates"): TEMPLATE_LIST,
    ("POST", API + "/templates"): TEMPLATE_MAKERS,
    ("GET", API + TEMPLATE): TEMPLATE_LOOKERS,
    ("PATCH", API + TEMPLATE): TEMPLATE_CHANGERS,
    ("DELETE", API + TEMPLATE): TEMPLATE_CHANGERS,
}
_TIME = {"starts_at": "2030-01-01T08:00:00Z", "ends_at": "2030-01-01T10:00:00Z"}
BODIES = {
    ("POST", API + "/exams"): {"name": "x", "url": "https://lms.example.org/", **_TIME},
    ("PATCH", API + EXAM): {},
    ("POST", API + EXAM + "/copy"): {"name": "y", "starts_at": "2030-01-01T08:00:00Z"},
    ("POST", API + EXAM + "/use-version"): {"version": 1},
    ("PUT", API + ROSTER): {"candidates": []},
    ("POST", API + ROSTER): {"user_id": "u", "name": "n"},
    ("PATCH", API + LINE): {},
    ("POST", API + "/templates"): {"name": "x"},
    ("PATCH", API + TEMPLATE): {},
}


async def ids(site: Any, address: Address) -> dict[str, str]:
    """Ada's exam; of it a quit password, and a candidate and a template that are made anew for each call."""
    exam_id = exam_called(site.server, "Linear Algebra")
    found = {"exam_id": str(exam_id)}
    app = site.server.app
    name = secrets.token_hex(6)
    async with app.work() as w:
        sealed = app.storage.box.encrypt("let me out")
        await exam_office.update_exam(w.db, exam_id, quit_password_encrypted=sealed, ended_at=None)
        if "{candidate_id}" in address[1]:
            await exam_office.add_candidates(
                w.db,
                [{"exam_id": exam_id, "user_id": name, "name": name, "group_name": "", "extra_minutes": 0}],
            )
            found["candidate_id"] = str((await exam_office.roster_of(w.db, exam_id))[name].id)
        if "{template_id}" in address[1]:
            institution_id = site.accounts["grace"].institution_id
            template_id = await exam_office.add_template(
                w.db, institution_id=institution_id, name=name, created_at=0
            )
            found["template_id"] = str(template_id)
    return found


assert set(STAFF) <= set(SIGNED_IN)
