"""People: administrators of the institution and of the server change them; exam administrators and auditors see them."""

from __future__ import annotations

from typing import Any

from tests.web.rights import rule

SUPPORTERS = ["ada", "bea", "other-ada"]
READERS = rule(
    ok=["grace", "ines", "aude", "root", "other-grace", "other-ines", "other-aude"], refused=SUPPORTERS
)
ADMINS = ["ines", "root", "other-ines"]
MAKERS = rule(ok=ADMINS, refused=[*SUPPORTERS, "grace", "aude", "other-grace", "other-aude"])
OTHERS = ["other-ada", "other-grace", "other-ines", "other-aude"]
SEES = rule(ok=["grace", "ines", "aude", "root"], refused=["ada", "bea"], hidden=OTHERS)
CHANGES = rule(ok=["ines", "root"], refused=["ada", "bea", "grace", "aude"], hidden=OTHERS)

RULES = {
    ("GET", "/people"): READERS,
    ("GET", "/people/new"): MAKERS,
    ("POST", "/people"): MAKERS,
    ("GET", "/people/{user_id}"): SEES,
    ("POST", "/people/{user_id}"): CHANGES,
    ("POST", "/people/{user_id}/password"): CHANGES,
    ("GET", "/api/v1/people"): READERS,
    ("POST", "/api/v1/people"): MAKERS,
    ("GET", "/api/v1/people/{user_id}"): SEES,
    ("PATCH", "/api/v1/people/{user_id}"): CHANGES,
    ("POST", "/api/v1/people/{user_id}/password"): CHANGES,
}
BODIES = {
    ("POST", "/api/v1/people"): {"username": "", "role": "auditor"},
    ("PATCH", "/api/v1/people/{user_id}"): {"display_name": "Bea"},
    ("POST", "/api/v1/people/{user_id}/password"): {"password": "short"},
    ("POST", "/people/{user_id}/password"): {"password": "short"},
}


async def ids(site: Any, address: tuple[str, str]) -> dict[str, str]:
    """Somebody of Example University whom nobody needs to sign in anew."""
    del address
    return {"user_id": str(site.accounts["bea"].id)}
