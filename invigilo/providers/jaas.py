"""Meetings at JaaS, Jitsi as a service by 8x8: the same rooms under the AppID's own addresses (jitsi.md §4)."""

from __future__ import annotations

import ssl

from invigilo.clock import Clock
from invigilo.providers.base import (
    Guest,
    Headers,
    JitsiTicket,
    JoinTicket,
    ProviderEvent,
    RoomHandle,
    RoomSpec,
)
from invigilo.providers.description import JAAS
from invigilo.providers.jitsi import (
    check_room_name,
    closing_token,
    guest_token,
    named_failures,
    raise_first_failure,
    send_out,
)
from invigilo.providers.jitsi_settings import JaasSettings
from invigilo.providers.jitsi_site import http_to
from invigilo.providers.jitsi_tokens import opaque_identity
from invigilo.providers.proof import Patience, find_jaas, prove_jaas
from invigilo.providers.webhooks import check_signature, read_jaas
from invigilo.providers.xmpp import participant


class JaasProvider:
    """One AppID's rooms."""

    features = JAAS.features
    cannot = JAAS.calls_missing
    hall_size = JAAS.hall_size

    def __init__(
        self,
        settings: JaasSettings,
        *,
        clock: Clock,
        trust: ssl.SSLContext | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._trust = trust
        self._patience = patience or Patience()

    async def check(self) -> None:
        """Prove it all; the first step that fails is raised."""
        await raise_first_failure(
            prove_jaas(self._settings, clock=self._clock, trust=self._trust, patience=self._patience)
        )

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        check_room_name(spec.name)
        async with named_failures(), http_to(self._settings.base.host or "", trust=self._trust) as http:
            await find_jaas(http, self._settings)
        return RoomHandle(spec.name, spec.subject)

    async def close_room(self, room: RoomHandle) -> None:
        """Send everybody out; a token that is still good opens the same, empty room until it ends."""
        check_room_name(room.name)
        ours = opaque_identity(self._settings.key.key, "proof")  # one person on 8x8's bill, with the proof
        token = closing_token(self._settings.key, room, self._clock, identity=ours)
        async with named_failures(), http_to(self._settings.base.host or "", trust=self._trust) as http:
            site = await find_jaas(http, self._settings)
            async with participant(http, site.address, room=room.name, token=token) as moderator:
                await send_out(moderator, site.address.room(room.name))

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:
        """At the server, rooms are called `<AppID>/<room>`; the token names the room alone."""
        token = guest_token(
            self._settings.key,
            room,
            guest,
            identity=self.identity_of(room, guest.identity),
            clock=self._clock,
        )
        return JitsiTicket(
            str(self._settings.base).rstrip("/"), f"{self._settings.app_id}/{room.name}", room.subject, token
        )

    def identity_of(self, room: RoomHandle, identity: str) -> str:  # noqa: ARG002
        """The same in every room: 8x8 bills by person."""
        return opaque_identity(self._settings.app_id, identity)

    def read_webhook(self, headers: Headers, body: bytes) -> ProviderEvent | None:
        check_signature(headers, body, self._settings.events_secret, now_ms=self._clock.now_ms())
        return read_jaas(body, app_id=self._settings.app_id)
