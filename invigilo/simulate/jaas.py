"""A stand-in for JaaS: the Jitsi stand-in under an AppID's own addresses, with RS256 and signed webhooks (jitsi.md §4)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from aiohttp import web

from invigilo.simulate.jitsi import JitsiStandIn, Reports
from invigilo.simulate.jitsi_rooms import Member, Room
from invigilo.simulate.jitsi_rules import Deployment, TokenRefused, user_of, verify

_EVENTS = {
    "room/created": "ROOM_CREATED",
    "room/destroyed": "ROOM_DESTROYED",
    "occupant/joined": "PARTICIPANT_JOINED",
    "occupant/left": "PARTICIPANT_LEFT",
}


class JaasMood(StrEnum):
    WELL = "well"
    UNKNOWN_APP = "unknown_app"
    """There is no such AppID."""
    UNKNOWN_KEY = "unknown_key"
    """Nothing was uploaded under this key id."""
    OTHER_KEY = "other_key"
    """Another key's public half was uploaded under it."""
    DOWN = "down"
    """No conference is opened."""


def jaas_deployment(app_id: str, public_keys: Mapping[str, str]) -> Deployment:
    """The service as one tenant sees it; keys by their whole id, AppID and slash included."""
    return Deployment(
        tenant=app_id,
        jwt_app_id="chat",
        jwt_accepted_audiences=("jitsi",),
        jwt_sign_type="RS256",
        public_keys=dict(public_keys),
        xmpp_domain="8x8.vc",
        muc_domain=f"conference.{app_id}.8x8.vc",
    )


@dataclass(slots=True)
class SignedReports(Reports):
    """Webhooks: one address for all, each body signed with the time it was sent."""

    now: Any = None
    wrongly_signed: bool = False

    def address(self, name: str) -> str:  # noqa: ARG002
        return self.url

    def headers(self, body: bytes) -> Mapping[str, str]:
        stamp = str(int(self.now()))
        secret = "another-secret" if self.wrongly_signed else self.secret
        return {
            "Content-Type": "application/json",
            "X-Jaas-Signature": f"t={stamp},v1={signature(secret, stamp, body)}",
        }


def signature(secret: str, stamp: str, body: bytes) -> str:
    """base64(HMAC-SHA256(secret, t + "." + body))."""
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).digest()
    return base64.b64encode(mac).decode()


class JaasStandIn(JitsiStandIn):
    """One tenant of the service."""

    def __init__(
        self,
        server: Deployment,
        *,
        mood: JaasMood = JaasMood.WELL,
        reports: SignedReports | None = None,
        promotes_after: float = 0.5,
    ) -> None:
        reports = reports or SignedReports()
        super().__init__(server, reports=reports, promotes_after=promotes_after)
        reports.now = self.now
        self.jaas_mood = mood

    def routes(self) -> list[web.RouteDef]:
        return [
            *super().routes(),
            web.post(f"{self.path}/conference-request/v1", self._conference),
            web.get("/{tenant}/external_api.js", _no_such_tenant),
        ]

    async def _conference(self, request: web.Request) -> web.Response:
        """Asked for beside XMPP, with the token as bearer."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            verify(token, self.server, now=self.now())
            wish = await request.json()
        except TokenRefused:
            return web.json_response({"error": "unauthorized"}, status=401)
        except ValueError:
            return web.json_response({"error": "bad request"}, status=400)
        if self.jaas_mood is JaasMood.DOWN:
            return web.json_response({"error": "unavailable"}, status=503)
        room = str(cast("dict[str, Any]", wish).get("room", "")) if isinstance(wish, dict) else ""
        ready = self.rooms.request(room.partition("@")[0].lower())
        return web.json_response({"ready": ready, "focusJid": "focus@auth.8x8.vc", "room": room})

    def _report(self, name: str, room: Room, member: Member | None) -> None:
        data: dict[str, Any] = {"conference": f"{room.name}@{self.server.muc_domain}", "isBreakout": False}
        if member is not None:
            user = user_of(member.claims)
            data |= {
                "id": user.get("id", ""),
                "name": user.get("name", ""),
                "email": "",
                "moderator": member.is_moderator,
                "participantId": member.nick,
                "participantJid": member.jid,
            }
            if name == "occupant/left":
                data["disconnectReason"] = "left"
        body: dict[str, Any] = {
            "idempotencyKey": secrets.token_hex(16),
            "customerId": "0",
            "appId": self.server.tenant,
            "eventType": _EVENTS[name],
            "sessionId": f"{room.name}-{room.created_at:.0f}",
            "timestamp": int(self.now() * 1000),
            "fqn": f"{self.server.tenant}/{room.name}",
            "data": data,
        }
        self.reports.take(name, body)


async def _no_such_tenant(_request: web.Request) -> web.Response:
    """What 8x8 answers here is not written anywhere; a 404 is what its web server would say of a folder it has not."""
    return web.Response(status=404, text="not found")


@asynccontextmanager
async def jaas_stand_in(
    app_id: str,
    public_keys: Mapping[str, str],
    mood: JaasMood = JaasMood.WELL,
    *,
    other_public_key: str = "",
    reports: SignedReports | None = None,
    promotes_after: float = 0.05,
) -> AsyncGenerator[JaasStandIn]:
    """Start one on any free port of this machine, stop it afterwards."""
    keys = dict(public_keys)
    match mood:
        case JaasMood.UNKNOWN_APP:
            app_id = "vpaas-magic-cookie-" + "0" * 32
        case JaasMood.UNKNOWN_KEY:
            keys = {f"{app_id}/another": pem for pem in keys.values()}
        case JaasMood.OTHER_KEY:
            keys = dict.fromkeys(keys, other_public_key)
        case _:
            pass
    stand_in = JaasStandIn(
        jaas_deployment(app_id, keys), mood=mood, reports=reports, promotes_after=promotes_after
    )
    await stand_in.start()
    try:
        yield stand_in
    finally:
        await stand_in.stop()
