"""The monitoring desk is for those who proctor the exam; its thresholds are the exam administrators'."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from invigilo.monitoring.model import NoteCategory
from invigilo.monitoring.notes import NoteWish
from tests.web.people import candidate_in, exam_called
from tests.web.rights import OTHERS, Address, rule

PROCTORS = rule(ok=["ada", "grace"], refused=["ines", "aude", "root"], hidden=["bea", *OTHERS])
CHANGERS = rule(ok=["grace"], refused=["ada", "ines", "aude", "root"], hidden=["bea", *OTHERS])

PAGE, API = "/monitoring/{exam_id}", "/api/v1/exams/{exam_id}"
RULES = {
    ("POST", f"{PAGE}/deeds"): PROCTORS,
    ("GET", f"{PAGE}/notes"): PROCTORS,
    ("POST", f"{PAGE}/notes"): PROCTORS,
    ("POST", f"{PAGE}/notes/{{note_id}}"): PROCTORS,
    ("POST", f"{PAGE}/notes/{{note_id}}/take-back"): PROCTORS,
    ("GET", f"{PAGE}/connections/{{connection_id}}/story"): PROCTORS,
    ("GET", f"{PAGE}/thresholds"): PROCTORS,
    ("POST", f"{PAGE}/thresholds"): CHANGERS,
    ("GET", f"{PAGE}/duties"): PROCTORS,
    ("POST", f"{PAGE}/duties"): PROCTORS,
    ("POST", f"{PAGE}/duties/share"): PROCTORS,
    ("POST", f"{PAGE}/duties/hand-over"): PROCTORS,
    ("GET", f"{API}/monitoring"): PROCTORS,
    ("POST", f"{API}/monitoring/deeds"): PROCTORS,
    ("GET", f"{API}/connections/{{connection_id}}/story"): PROCTORS,
    ("GET", f"{API}/notes"): PROCTORS,
    ("POST", f"{API}/notes"): PROCTORS,
    ("PATCH", f"{API}/notes/{{note_id}}"): PROCTORS,
    ("DELETE", f"{API}/notes/{{note_id}}"): PROCTORS,
    ("GET", f"{API}/thresholds"): PROCTORS,
    ("PUT", f"{API}/thresholds"): CHANGERS,
    ("GET", f"{API}/duties"): PROCTORS,
    ("PUT", f"{API}/duties"): PROCTORS,
    ("POST", f"{API}/duties/share"): PROCTORS,
    ("POST", f"{API}/duties/hand-over"): PROCTORS,
}
"""A supporter shares rooms out only among those who may proctor; nobody needs to be there for that to be tried."""

_candidate: dict[int, Any] = {}


async def _live(site: Any) -> Any:
    """One candidate for all of these."""
    known = _candidate.get(id(site))
    if known is None:
        known = _candidate[id(site)] = await candidate_in(site.server, "Linear Algebra")
    return known.wire.live


async def ids(site: Any, address: Address) -> dict[str, str]:
    app = site.server.app
    found = {"exam_id": str(site.exam_id)}
    live = await _live(site)
    if "{connection_id}" in address[1]:
        found["connection_id"] = str(live.id)
    if "{note_id}" in address[1]:
        exam = app.directory.exams[exam_called(site.server, "Linear Algebra")]
        wish = NoteWish(category=NoteCategory.OTHER, is_incident=True)
        note = await app.notes.add(exam, live, wish, key=str(uuid4()), by=site.accounts["ada"])
        found["note_id"] = str(note.id)
    return found


DEEDS_OF_IDS = {address: 1 for address in RULES if "{note_id}" in address[1]}


async def _on_candidate(site: Any) -> dict[str, Any]:
    return {"deed": "lock", "connections": [(await _live(site)).id]}


async def _note(site: Any) -> dict[str, Any]:
    return {"connection_id": (await _live(site)).id, "is_incident": True}


async def _duty(site: Any) -> dict[str, Any]:
    app = site.server.app
    async with asyncio.timeout(40):
        while not (
            rooms := app.rooms.of_exam(app.directory.exams[site.exam_id])
        ):  # its candidate was just put back
            await asyncio.sleep(0.02)
            await app.rooms.refresh()
    return {"room_ids": [rooms[0].id], "to": site.accounts["ada"].id}


async def _share(site: Any) -> dict[str, Any]:
    return {"people": [site.accounts["ada"].id]}


async def _hand_over(site: Any) -> dict[str, Any]:
    return {"of": site.accounts["grace"].id, "to": site.accounts["ada"].id}


BODIES: dict[Address, Any] = {
    ("POST", f"{API}/monitoring/deeds"): _on_candidate,
    ("POST", f"{API}/notes"): _note,
    ("PATCH", f"{API}/notes/{{note_id}}"): {
        "category": "talking",
        "is_incident": True,
        "text": "",
        "revision": 0,
    },
    ("PUT", f"{API}/thresholds"): {},
    ("PUT", f"{API}/duties"): _duty,
    ("POST", f"{API}/duties/share"): _share,
    ("POST", f"{API}/duties/hand-over"): _hand_over,
}
