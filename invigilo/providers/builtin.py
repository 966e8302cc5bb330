"""Built-in rooms: nothing to call, nothing to install; the meeting is browser to browser over our own signalling."""

from __future__ import annotations

from collections.abc import Mapping

from invigilo.errors import NotAllowed, Sentence
from invigilo.providers.base import (
    Feature,
    Guest,
    Headers,
    JoinTicket,
    PageTicket,
    ProviderEvent,
    RoomHandle,
    RoomSpec,
)
from invigilo.providers.description import BUILTIN


class BuiltinProvider:
    """The door to `rtc/`. A built-in room exists as soon as somebody belongs in it."""

    features: frozenset[Feature] = BUILTIN.features
    cannot: Mapping[Feature, Sentence] = BUILTIN.calls_missing
    hall_size: int | None = BUILTIN.hall_size

    async def check(self) -> None:
        """Nothing to try: it is this server."""

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        return RoomHandle(spec.name, spec.subject)

    async def close_room(self, room: RoomHandle) -> None:
        """Sockets end with their connections; there is nothing else."""

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:  # noqa: ARG002  (the page knows both)
        return PageTicket()

    def identity_of(self, room: RoomHandle, identity: str) -> str:  # noqa: ARG002
        return identity

    def read_webhook(self, headers: Headers, body: bytes) -> ProviderEvent | None:  # noqa: ARG002
        raise NotAllowed("Built-in rooms report to nobody: there is no webhook here.")
