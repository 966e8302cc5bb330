"""What meeting services report: the right is the service's own secret, never a sign-in."""

from __future__ import annotations

from typing import Any

from tests.web.rights import PEOPLE, Address, Rule

_NOBODYS = dict.fromkeys(PEOPLE, "refused")

RULES: dict[Address, Rule] = {
    ("POST", "/hooks/{definition_id}"): _NOBODYS,
    ("POST", "/hooks/{definition_id}/events/{subject}/{event}"): _NOBODYS,
}


async def ids(_site: Any, _address: Address) -> dict[str, str]:
    return {"definition_id": "1", "subject": "occupant", "event": "joined"}
