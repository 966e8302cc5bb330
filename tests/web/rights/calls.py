"""Calling candidates and writing to them: whoever may proctor the exam."""

from __future__ import annotations

from typing import Any

from invigilo.proctoring.model import RoomKind
from tests.web.rights import OTHERS, Address, rule

PAGES, API = "/monitoring/{exam_id}", "/api/v1/exams/{exam_id}"

PROCTORS = rule(ok=["ada", "grace"], refused=["ines", "aude", "root"], hidden=["bea", *OTHERS])

RULES = {
    ("POST", f"{PAGES}/calls"): PROCTORS,
    ("GET", f"{PAGES}/calls/{{room_id}}"): PROCTORS,
    ("DELETE", f"{PAGES}/calls/{{room_id}}"): PROCTORS,
    ("POST", f"{API}/calls"): PROCTORS,
    ("DELETE", f"{API}/calls/{{room_id}}"): PROCTORS,
    ("POST", f"{PAGES}/messages"): PROCTORS,
    ("GET", f"{PAGES}/messages"): PROCTORS,
    ("POST", f"{API}/messages"): PROCTORS,
    ("GET", f"{API}/messages"): PROCTORS,
}
BODIES: dict[Address, Any] = {
    ("POST", f"{PAGES}/calls"): {"kind": "town_hall"},
    ("POST", f"{API}/calls"): {"kind": "town_hall"},
    ("POST", f"{PAGES}/messages"): {"text": "Ten minutes left.", "everybody": "true"},
    ("POST", f"{API}/messages"): {"text": "Ten minutes left.", "everybody": True},
}
DEEDS_OF_IDS: dict[Address, int] = {}


async def ids(site: Any, address: Address) -> dict[str, str]:
    """A town hall that is open, made by the server's own parts."""
    found = {"exam_id": str(site.exam_id)}
    if "{room_id}" not in address[1]:
        return found
    app = site.server.app
    exam = app.directory.exams[site.exam_id]
    opened = await app.calls.open(exam, RoomKind.TOWN_HALL, by=site.accounts["ada"])
    await app.rooms.refresh()
    DEEDS_OF_IDS[address] = 1
    return found | {"room_id": str(opened.room.id)}
