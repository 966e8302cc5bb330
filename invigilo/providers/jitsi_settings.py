"""A stored Jitsi or JaaS definition, with its secrets revealed, as the provider and the proof use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

from invigilo.providers.description import ASYMMETRIC, JAAS_ADDRESS, SYMMETRIC
from invigilo.providers.jitsi_tokens import TokenKey
from invigilo.providers.keys import whole_key_id


@dataclass(frozen=True, slots=True)
class JitsiSettings:
    """A Jitsi Meet of one's own. `issuer` is None when the application id serves as one."""

    base: URL
    app_id: str
    key: TokenKey
    issuer: str | None = None
    xmpp_domain: str = ""
    muc_domain: str = ""
    events_secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, values: Mapping[str, str]) -> JitsiSettings:
        """From what `check_values` returned, kept secrets added."""
        algorithm = values.get("algorithm") or SYMMETRIC[0]
        is_pair = algorithm in ASYMMETRIC
        issuer = values.get("issuer", "")
        key = TokenKey(
            algorithm,
            values.get("private_key" if is_pair else "app_secret", ""),
            issuer=issuer or values["app_id"],
            audience=values.get("audience") or "jitsi",
            subject=values.get("subject") or "*",
            key_id=values.get("key_id", "") if is_pair else "",
        )
        return cls(
            base=URL(values["server_url"]),
            app_id=values["app_id"],
            key=key,
            issuer=issuer or None,
            xmpp_domain=values.get("xmpp_domain", ""),
            muc_domain=values.get("muc_domain", ""),
            events_secret=values.get("events_secret", ""),
        )


@dataclass(frozen=True, slots=True)
class JaasSettings:
    """Jitsi as a service, by 8x8: every address lies under the AppID (jitsi.md §4)."""

    base: URL
    app_id: str
    key: TokenKey
    events_secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, values: Mapping[str, str]) -> JaasSettings:
        """From what `check_values` returned, kept secrets added."""
        app_id = values["app_id"]
        key = TokenKey(
            ASYMMETRIC[0],
            values.get("private_key", ""),
            issuer="chat",
            audience="jitsi",
            subject=app_id,
            key_id=whole_key_id(app_id, values["key_id"]),
            flags_as_text=True,
        )
        base = URL(values.get("server_url") or JAAS_ADDRESS)
        return cls(base, app_id, key, values.get("events_secret", ""))

    @property
    def tenant(self) -> URL:
        return self.base / self.app_id
