"""Meetings on a Jitsi Meet of one's own (jitsi.md).

A room comes to life when somebody enters it and ends with the last one, so opening asks only whether the server is there,
and closing sends everybody out. Entry is a signed token, made here and asked of nobody.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta

import aiohttp

from invigilo.clock import Clock, from_ms
from invigilo.errors import ProviderCredentials, ProviderError, ProviderRefused, ProviderUnavailable
from invigilo.providers.base import (
    Guest,
    Headers,
    JitsiTicket,
    JoinTicket,
    ProviderEvent,
    RoomHandle,
    RoomSpec,
)
from invigilo.providers.description import JITSI
from invigilo.providers.jitsi_settings import JitsiSettings
from invigilo.providers.jitsi_site import Site, SiteFault, find_site, http_to
from invigilo.providers.jitsi_tokens import (
    LONGEST_LIFE,
    ROOM_NAME,
    Entry,
    TokenKey,
    opaque_identity,
    room_token,
)
from invigilo.providers.proof import Outcome, Patience, ProofFailed, Step, prove_jitsi
from invigilo.providers.webhooks import check_bearer, read_event_sync
from invigilo.providers.xmpp import (
    Declined,
    JoinRefused,
    LoginRefused,
    NoTokenLogin,
    NoXmpp,
    Participant,
    XmppError,
    participant,
)

PROCTOR_LIFE = timedelta(hours=1)
"""A proctor's page gets a new token with each load, so one that leaks is of little use (jitsi.md §8)."""
CLOSING_LIFE = timedelta(minutes=2)
BECOMES_MODERATOR = 5.0  # seconds
FOCUS = "focus"
CALL_WITHIN = 14.0  # seconds for one call, all its parts

_UNAVAILABLE = frozenset(
    {"name_not_found", "no_answer", "no_answer_in_time", "refused_connection", "broken_answer"}
    | {"connection_lost", "stream_ended", "jicofo_down", "server_full"}
)
_CREDENTIALS = frozenset(
    {"wrong_secret", "wrong_private_key", "wrong_app_id", "wrong_issuer", "wrong_audience", "wrong_algorithm"}
    | {
        "wrong_subject",
        "key_id_unknown",
        "key_not_uploaded",
        "app_id_unknown",
        "login_refused",
        "other_login",
    }
    | {"clock_ahead", "clock_behind", "app_id_form", "key_id_form", "key_id_of_other_app", "key_not_rsa"}
    | {"key_too_short", "key_has_passphrase", "public_key", "not_pem"}
)


class JitsiProvider:
    """One service definition's rooms."""

    features = JITSI.features
    cannot = JITSI.calls_missing
    hall_size = JITSI.hall_size

    def __init__(
        self,
        settings: JitsiSettings,
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
            prove_jitsi(self._settings, clock=self._clock, trust=self._trust, patience=self._patience)
        )

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        check_room_name(spec.name)
        async with named_failures(), AsyncExitStack() as stack:
            await self._find(stack)
        return RoomHandle(spec.name, spec.subject)

    async def close_room(self, room: RoomHandle) -> None:
        """Send everybody out; a token that is still good opens the same, empty room until it ends."""
        check_room_name(room.name)
        token = closing_token(self._settings.key, room, self._clock)
        async with named_failures(), AsyncExitStack() as stack:
            site, http = await self._find(stack)
            await send_out(
                await stack.enter_async_context(participant(http, site.address, room=room.name, token=token)),
                site.address.room(room.name),
            )

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:
        token = guest_token(
            self._settings.key,
            room,
            guest,
            identity=self.identity_of(room, guest.identity),
            clock=self._clock,
        )
        return JitsiTicket(str(self._settings.base).rstrip("/"), room.name, room.subject, token)

    def identity_of(self, room: RoomHandle, identity: str) -> str:
        return opaque_identity(room.name, identity)

    def read_webhook(self, headers: Headers, body: bytes) -> ProviderEvent | None:
        """Reports of the event_sync component, which sends a fixed token."""
        check_bearer(headers, self._settings.events_secret)
        return read_event_sync(body)

    async def _find(self, stack: AsyncExitStack) -> tuple[Site, aiohttp.ClientSession]:
        http = await stack.enter_async_context(http_to(self._settings.base.host or "", trust=self._trust))
        site = await find_site(
            http,
            self._settings.base,
            xmpp_domain=self._settings.xmpp_domain,
            muc_domain=self._settings.muc_domain,
        )
        return site, http


# --- what Jitsi and JaaS share ---


@asynccontextmanager
async def named_failures() -> AsyncGenerator[None]:
    """One call, all its parts, within its time; what goes wrong at the server leaves as one of our errors."""
    try:
        async with asyncio.timeout(CALL_WITHIN):
            yield
    except (SiteFault, ProofFailed) as fault:
        raise failure(fault.cause) from None
    except XmppError as error:
        raise failure_of(error) from None
    except TimeoutError:
        raise failure("no_answer_in_time") from None


async def raise_first_failure(steps: AsyncGenerator[Step]) -> None:
    """Run a proof; its first step that fails is raised as one of our errors."""
    async with aclosing(steps):
        async for step in steps:
            if step.outcome is Outcome.FAILED:
                raise failure(step.cause or "")


def check_room_name(name: str) -> None:
    """Raises ProviderRefused: such a room is nothing Jitsi could keep apart from others (jitsi.md §1.4)."""
    if not ROOM_NAME.fullmatch(name):
        raise ProviderRefused("A room at Jitsi is called by 16 to 64 of a-z, 0-9 and -.")


def guest_token(key: TokenKey, room: RoomHandle, guest: Guest, *, identity: str, clock: Clock) -> str:
    """The token of a ticket. It ends with the exam and its grace, a proctor's sooner. Raises ProviderRefused."""
    check_room_name(room.name)
    now = clock.now()
    longest = PROCTOR_LIFE if guest.is_proctor else LONGEST_LIFE - timedelta(minutes=1)
    expires_at = min(from_ms(guest.expires_at), now + longest)
    if expires_at <= now:
        raise ProviderRefused("The exam is over: nobody enters its rooms any more.", key="exam_over")
    entry = Entry(room.name, identity, guest.display_name, guest.is_proctor)
    return room_token(key, entry, now=now, expires_at=expires_at)


def closing_token(key: TokenKey, room: RoomHandle, clock: Clock, *, identity: str = "") -> str:
    """Entry for ourselves, to send the others out."""
    now = clock.now()
    entry = Entry(room.name, identity or opaque_identity(room.name, "closing"), "Invigilo", is_proctor=True)
    return room_token(key, entry, now=now, expires_at=now + CLOSING_LIFE)


async def send_out(moderator: Participant, room: str) -> None:
    """Everybody but the focus leaves; a room that is not there is already empty. Raises XmppError."""
    try:
        await moderator.join(room)
    except JoinRefused as refused:
        if refused.detail == "room-does-not-exist":
            return
        raise
    if not await moderator.watch(lambda: moderator.was_moderator, BECOMES_MODERATOR):
        raise Declined("not-moderator")
    for nick in [nick for nick in moderator.occupants if nick not in {FOCUS, moderator.nick}]:
        await moderator.kick(nick)


_SENTENCES = {
    "name_not_found": "The name of the meeting server is not known.",
    "no_answer": "The meeting server does not answer.",
    "no_answer_in_time": "The meeting server does not answer in time.",
    "refused_connection": "The meeting server takes no connections.",
    "tls_invalid": "The certificate of the meeting server is not valid.",
    "not_a_jitsi": "What answers at the address of the meeting server is no Jitsi Meet.",
    "redirected_elsewhere": "The meeting server sends us to another host.",
    "jicofo_down": "The meeting server opens no conferences at present.",
    "server_full": "The meeting server takes no more participants.",
}


def failure(cause: str) -> ProviderError:
    """The error for a cause of the proof, by what happens next: later, an administrator, or never."""
    if cause in _UNAVAILABLE:
        return ProviderUnavailable(_SENTENCES.get(cause, "The connection to the meeting server broke."))
    if cause in _CREDENTIALS:
        return ProviderCredentials(
            "The meeting service does not accept our tokens. An administrator should test its settings."
        )
    return ProviderRefused(
        _SENTENCES.get(
            cause, "The meeting service is not set up for exams. An administrator should test its settings."
        )
    )


def failure_of(error: XmppError) -> ProviderError:
    match error:
        case LoginRefused() | NoTokenLogin():
            return failure("login_refused")
        case JoinRefused() if error.condition in {"service-unavailable", "resource-constraint"}:
            return failure("server_full")
        case Declined():
            return failure(error.condition)
        case NoXmpp():
            return failure("broken_answer")
        case _:
            return failure("connection_lost")
