"""STUN and TURN servers for a peer connection, with short-lived credentials.

TURN credentials follow the shared-secret scheme that coturn calls `use-auth-secret`: the user name is the expiry time and
an identity, the password its HMAC-SHA1 under the secret. So no password is stored anywhere, and a leaked one ends by itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class IceServers:
    """What the settings say; without any, pages find each other on one network."""

    stun_urls: Sequence[str] = ()
    turn_urls: Sequence[str] = ()
    turn_secret: str = field(default="", repr=False)
    turn_lifetime: timedelta = timedelta(hours=1)

    @property
    def has_turn(self) -> bool:
        return bool(self.turn_urls and self.turn_secret)

    def for_peer(self, identity: str, *, now_ms: int) -> list[dict[str, Any]]:
        """The RTCIceServer list for one peer; `identity` shows up in the TURN server's log, so it names nobody."""
        servers: list[dict[str, Any]] = []
        if self.stun_urls:
            servers.append({"urls": list(self.stun_urls)})
        if self.has_turn:
            expires = now_ms // 1000 + round(self.turn_lifetime.total_seconds())
            username = f"{expires}:{identity}"
            mac = hmac.new(self.turn_secret.encode(), username.encode(), hashlib.sha1).digest()
            servers.append(
                {
                    "urls": list(self.turn_urls),
                    "username": username,
                    "credential": base64.b64encode(mac).decode(),
                }
            )
        return servers
