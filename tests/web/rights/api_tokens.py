"""One's own account, sign-ins and tokens: everybody has theirs, and reaches nobody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from invigilo.accounts.model import Scope
from tests.web.rights import SIGNED_IN, rule

ONES_OWN = rule(ok=SIGNED_IN)
BEAS = rule(ok=["bea"], hidden=[one for one in SIGNED_IN if one != "bea"])
"""A token that bea made for this call."""

RULES = {
    ("GET", "/account"): ONES_OWN,
    ("POST", "/account"): ONES_OWN,
    ("GET", "/account/password"): ONES_OWN,
    ("POST", "/account/password"): ONES_OWN,
    ("POST", "/account/tokens"): ONES_OWN,
    ("POST", "/account/tokens/{token_id}/revoke"): BEAS,
    ("POST", "/account/sessions/end"): ONES_OWN,
    ("GET", "/api/v1/me"): ONES_OWN,
    ("PATCH", "/api/v1/me"): ONES_OWN,
    ("POST", "/api/v1/me/password"): ONES_OWN,
    ("GET", "/api/v1/me/sessions"): ONES_OWN,
    ("DELETE", "/api/v1/me/sessions"): ONES_OWN,
    ("GET", "/api/v1/tokens"): ONES_OWN,
    ("POST", "/api/v1/tokens"): ONES_OWN,
    ("DELETE", "/api/v1/tokens/{token_id}"): BEAS,
}
ANY_SCOPE = {
    ("GET", "/api/v1/me"),
    ("GET", "/api/v1/me/sessions"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("DELETE", "/api/v1/tokens/{token_id}"),
}
"""Every token may call these: they tell only of its owner and itself, and make nothing stronger."""
ENDS_SESSIONS = {("DELETE", "/api/v1/me/sessions")}
DEEDS_OF_IDS = {
    ("POST", "/account/tokens/{token_id}/revoke"): 1,
    ("DELETE", "/api/v1/tokens/{token_id}"): 1,
}
BODIES = {
    ("PATCH", "/api/v1/me"): {"language": "auto"},
    ("POST", "/api/v1/me/password"): {"current_password": "wrong", "new_password": "also wrong"},
    ("POST", "/api/v1/tokens"): {"name": "", "scopes": [], "expires_at": "2030-01-01T00:00:00Z"},
}


async def ids(site: Any, address: tuple[str, str]) -> dict[str, str]:
    if "{token_id}" not in address[1]:
        return {}
    app = site.server.app
    until = app.clock.now() + timedelta(hours=1)
    token, _ = await app.tokens.make("once", [Scope.EXAMS_READ], expires_at=until, by=site.accounts["bea"])
    return {"token_id": str(token.id)}
