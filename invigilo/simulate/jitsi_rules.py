"""What a Jitsi deployment is set to, and what its Prosody makes of a token: jitsi.md §1 and §2 as tables say it.

Written against the documents, with arithmetic of its own, so that a mistake of our token module is not repeated here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

ANY = "*"
LONGEST_TOKEN = 16_000  # bytes; longer ones never get an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One Jitsi's settings, by the names Docker has for them. As it stands: set up as an exam needs it."""

    enable_auth: bool = True
    auth_type: str = "jwt"
    jwt_app_id: str = "exam-office"
    jwt_app_secret: str = field(default="", repr=False)
    jwt_accepted_issuers: tuple[str, ...] = ()
    """Without any, the app id alone."""
    jwt_accepted_audiences: tuple[str, ...] = (ANY,)
    jwt_allow_empty: bool = False
    jwt_sign_type: str = "HS256"
    public_keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the key server holds: kid → PEM."""
    jwt_enable_domain_verification: bool = False
    checks_rooms: bool = True
    """False where JWT_TOKEN_AUTH_MODULE was set to something that is no room check."""
    enable_guests: bool = False
    jicofo_enable_auth: bool = False
    enable_auto_owner: bool = False
    muc_allowners: bool = False
    muc_wait_for_host: bool = False
    """Loaded without WAIT_FOR_HOST_DISABLE_AUTO_OWNERS."""
    token_affiliation: bool = True
    presence_identity: bool = True
    jicofo_runs: bool = True
    jicofo_ready_after: int = 0
    """How many conference requests are answered with ready="false" first."""
    max_participants: int | None = None
    enable_lobby_for_all: bool = False
    enable_prejoin_page: bool = False
    enable_p2p: bool = False
    disable_iframe_api: bool = False
    enable_xmpp_websocket: bool = True
    xmpp_domain: str = "meet.jitsi"
    muc_domain: str = "muc.meet.jitsi"
    config_shape: str = "docker"
    clock_off: float = 0.0
    """Seconds by which the server's clock is ahead of ours."""
    old_texts: bool = False
    """Plugins of an age that phrased refusals differently."""
    tenant: str = ""
    """JaaS: the AppID; all addresses lie under it."""

    @property
    def guest_domain(self) -> str:
        return f"guest.{self.xmpp_domain}"

    @property
    def issuers(self) -> tuple[str, ...]:
        return self.jwt_accepted_issuers or (self.jwt_app_id,)


class TokenRefused(Exception):
    """As `<failure>` carries it."""

    def __init__(self, text: str, condition: str = "not-allowed") -> None:
        super().__init__(text)
        self.text = text
        self.condition = condition


Claims = dict[str, Any]


def verify(token: str | None, server: Deployment, *, now: float) -> Claims | None:
    """The claims of a token at login, None when none was needed. Raises TokenRefused (jitsi.md §1.2, §5.4)."""
    if not server.enable_auth:
        return None
    if not token:
        if server.jwt_allow_empty:
            return None
        raise TokenRefused("token required")
    header, claims, signed, signature = _open(token)
    if header.get("typ") != "JWT":
        raise TokenRefused("Invalid typ")
    if header.get("alg") != server.jwt_sign_type:
        raise TokenRefused("Invalid or incorrect alg")
    _check_signature(header, signed, signature, server)
    _check_times(claims, now)
    _check_names(claims, server)
    for name in ("room", "sub"):
        if not claims.get(name):
            raise TokenRefused(f"{name} claim is missing", "not-authorized")
    if server.tenant and claims["sub"] != server.tenant:
        raise TokenRefused("invalid 'sub' claim")
    return claims


def _open(token: str) -> tuple[dict[str, Any], Claims, bytes, bytes]:
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenRefused("Invalid token")
    try:
        header = json.loads(_bytes(parts[0]))
    except (ValueError, binascii.Error):
        raise TokenRefused("Invalid header") from None
    try:
        claims, signature = json.loads(_bytes(parts[1])), _bytes(parts[2])
    except (ValueError, binascii.Error):
        raise TokenRefused("Invalid token") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise TokenRefused("Invalid token")
    return (
        cast("dict[str, Any]", header),
        cast("Claims", claims),
        f"{parts[0]}.{parts[1]}".encode(),
        signature,
    )


def _bytes(text: str) -> bytes:
    if "=" in text:
        raise ValueError("base64url in tokens has no padding")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


_HASHES = {"256": (hashlib.sha256, hashes.SHA256), "384": (hashlib.sha384, hashes.SHA384)} | {
    "512": (hashlib.sha512, hashes.SHA512)
}


def _check_signature(header: dict[str, Any], signed: bytes, signature: bytes, server: Deployment) -> None:
    plain, rsa = _HASHES[server.jwt_sign_type[2:]]
    if server.jwt_sign_type.startswith("HS"):
        mac = hmac.new(server.jwt_app_secret.encode(), signed, plain).digest()
        if not hmac.compare_digest(mac, signature):
            raise TokenRefused("Invalid signature")
        return
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise TokenRefused("'kid' claim is missing")
    pem = server.public_keys.get(kid)
    if pem is None:
        raise TokenRefused("could not obtain public key")
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, RSAPublicKey)
    try:
        key.verify(signature, signed, PKCS1v15(), rsa())
    except InvalidSignature:
        raise TokenRefused("Invalid signature") from None


def _check_times(claims: Claims, now: float) -> None:
    for name in ("exp", "nbf"):
        at = claims.get(name)
        if at is None:
            continue
        if isinstance(at, bool) or not isinstance(at, int | float):
            raise TokenRefused(f"{name} must be number")
        if not (int(now) < at if name == "exp" else int(now) >= at):
            raise TokenRefused(f"Not acceptable by {name}")


def _check_names(claims: Claims, server: Deployment) -> None:
    for name, accepted, old in (
        ("iss", server.issuers, "Invalid issuer"),
        ("aud", server.jwt_accepted_audiences, "Invalid audience"),
    ):
        value = claims.get(name)
        if value is None:
            raise TokenRefused(f"'{name}' claim is missing")
        if ANY not in accepted and value not in accepted:  # a list of audiences never equals a word
            raise TokenRefused(old if server.old_texts else f"invalid '{name}' claim")


class DoorClosed(Exception):
    """A join is refused; `condition` general, `own` Jitsi's, `text` for people."""

    def __init__(self, condition: str, text: str = "", own: str = "", kind: str = "cancel") -> None:
        super().__init__(condition)
        self.condition = condition
        self.text = text
        self.own = own
        self.kind = kind


def check_room(claims: Claims | None, room: str, server: Deployment, *, is_guest: bool) -> None:
    """Whether this token opens this room (jitsi.md §1.4, §1.5). Raises DoorClosed."""
    verifies = server.jwt_enable_domain_verification
    if is_guest and verifies:
        raise DoorClosed("not-allowed", own="room-name-does-not-match")
    if claims is None or not server.checks_rooms:
        return
    named = str(claims["room"]).lower()
    if verifies and claims["sub"] not in {server.xmpp_domain, ANY}:
        raise DoorClosed("not-allowed", "Room and token mismatched")
    if named in {room.lower(), ANY}:
        return
    if verifies:
        raise DoorClosed("not-allowed", "Room and token mismatched")
    raise DoorClosed("not-allowed", "Room does not match the room from token", "room-mismatch")


def is_owner_by_token(claims: Claims | None) -> bool:
    """What the official role plugin reads (jitsi.md §1.3)."""
    user = user_of(claims)
    return user.get("affiliation") in {"owner", "moderator", "teacher"} or user.get("moderator") in {
        True,
        "true",
    }


def user_of(claims: Claims | None) -> dict[str, Any]:
    context = (claims or {}).get("context")
    user = cast("dict[str, Any]", context).get("user") if isinstance(context, dict) else None
    return cast("dict[str, Any]", user) if isinstance(user, dict) else {}


def may(claims: Claims | None, feature: str, *, is_moderator: bool) -> bool:
    """Once features are named, only those that are true are granted (jitsi.md §1.3)."""
    context = (claims or {}).get("context")
    features = cast("dict[str, Any]", context).get("features") if isinstance(context, dict) else None
    if not isinstance(features, dict):
        return is_moderator
    return cast("dict[str, Any]", features).get(feature) in {True, "true"}
