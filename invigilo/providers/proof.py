"""Proving a meeting service before anything depends on it: its address, our credentials, and whom it keeps out.

A token that is accepted proves nothing alone, for a server without token login accepts anything (jitsi.md §0.4). So the
proof enters a fresh, random room as a candidate and as a proctor, and beside that tries all that must be refused: a forged
token, none, an expired one, one for another room. It watches whether the candidate ever becomes moderator, alone, beside
the proctor and after the proctor has left. Each answer is a step of its own, with the setting to change.

Steps come as they are known. Every one is bounded in time; at the end, or when the asker goes away, everybody has left.
Nothing but the configured host is ever asked.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yarl import URL

from invigilo.clock import Clock
from invigilo.providers.jitsi_settings import JaasSettings, JitsiSettings
from invigilo.providers.jitsi_site import Config, Site, SiteFault, fetch, find_site, http_to
from invigilo.providers.jitsi_tokens import (
    NOT_BEFORE,
    Entry,
    TokenKey,
    new_room_name,
    opaque_identity,
    room_claims,
    room_token,
)
from invigilo.providers.keys import app_id_problem, key_id_problem, key_problem
from invigilo.providers.steps import (
    Outcome,
    Patience,
    ProofFailed,
    Step,
)
from invigilo.providers.xmpp import (
    Address,
    ConferenceRefused,
    JoinRefused,
    LoginRefused,
    NoTokenLogin,
    NoXmpp,
    Participant,
    StreamEnded,
    Unreachable,
    XmppError,
    participant,
)
from invigilo.providers.zoom_proof import prove_zoom
from invigilo.providers.zoom_settings import ZoomSettings

PROBE_LIFE = timedelta(minutes=5)
CLOCK_MAY_BE_OFF = 20.0  # seconds; tokens begin 30 s in the past, and the Date header counts whole seconds
WHOLE_PROOF = 120.0  # seconds


class _Unproven(ProofFailed):
    """A step that cannot say anything."""


Note = tuple[str, Mapping[str, object]] | None
"""What a step that went well still has to say."""

RequestConference = Callable[[Participant, str, str], Awaitable[Mapping[str, str]]]


def prove(
    service: str,
    values: Mapping[str, str],
    *,
    clock: Clock,
    trust: ssl.SSLContext | None = None,
    patience: Patience | None = None,
) -> AsyncGenerator[Step]:
    """The steps for a service by its name, from values with their secrets revealed. Close it when you stop early."""
    patience = patience or Patience()
    match service:
        case "jitsi":
            return prove_jitsi(JitsiSettings.of(values), clock=clock, trust=trust, patience=patience)
        case "jaas":
            return prove_jaas(JaasSettings.of(values), clock=clock, trust=trust, patience=patience)
        case "zoom":
            return prove_zoom(ZoomSettings.of(values), clock=clock, trust=trust, patience=patience)
        case _:
            return _nothing_to_prove()


async def _nothing_to_prove() -> AsyncGenerator[Step]:
    """Built-in rooms are this server."""
    for step in ():
        yield step


async def prove_jitsi(
    settings: JitsiSettings, *, clock: Clock, trust: ssl.SSLContext | None, patience: Patience
) -> AsyncGenerator[Step]:
    """J1 to J7 (live-proctoring.md §2.9) by the exchange of jitsi.md §5."""
    async with http_to(settings.base.host or "", trust=trust) as http, AsyncExitStack() as stay:
        run = _Run(settings.key, http, clock, patience, stay, issuer=settings.issuer)

        async def address() -> Note:
            site = await find_site(
                http, settings.base, xmpp_domain=settings.xmpp_domain, muc_domain=settings.muc_domain
            )
            run.site, run.address = site, site.address
            return ("xmpp_on_other_host", {"host": site.notes["other_host"]}) if site.notes else None

        yield await run.step("address", address)
        for code, do in (
            ("clock", run.clock_agrees),
            ("iframe", run.iframe_allowed),
            ("prejoin", run.prejoin),
            ("peer_to_peer", run.peer_to_peer),
            ("forged_refused", run.forged_refused),
            ("anonymous_refused", run.anonymous_refused),
            ("guests_refused", run.guests_refused),
            *run.entering(with_identity=True),
        ):
            yield await run.step(code, do)
        yield Step("room_size", Outcome.NOT_PROVABLE, "limit_unknown")
        yield Step("media", Outcome.NOT_PROVABLE, "media_needs_people")


async def prove_jaas(
    settings: JaasSettings, *, clock: Clock, trust: ssl.SSLContext | None, patience: Patience
) -> AsyncGenerator[Step]:
    """A1 to A4 (live-proctoring.md §2.9), then the same exchange as with a Jitsi of one's own.

    8x8 bills by person and month: every try is one and the same person in one and the same room.
    """
    async with http_to(settings.base.host or "", trust=trust) as http, AsyncExitStack() as stay:
        fixed = opaque_identity(settings.key.key, "proof")
        run = _Run(settings.key, http, clock, patience, stay, room=fixed, person=fixed, is_jaas=True)
        run.request_conference = _by_http(http, settings)

        async def script() -> Note:
            run.need("key")
            run.site = await find_jaas(http, settings)
            run.address = run.site.address
            return None

        async def key() -> Note:
            return _check_jaas_key(settings)

        async def claims() -> Note:
            run.need("key")
            return _check_jaas_claims(run)

        for code, do in (
            ("key", key),
            ("claims", claims),
            ("script", script),
            ("clock", run.clock_agrees),
            ("forged_refused", run.forged_refused),
            ("anonymous_refused", run.anonymous_refused),
            *run.entering(with_identity=False),
        ):
            yield await run.step(code, do)
        yield Step("media", Outcome.NOT_PROVABLE, "media_needs_people")


class _Run:
    """One proof under way: who is in the room so far, and which steps are done."""

    def __init__(
        self,
        key: TokenKey,
        http: aiohttp.ClientSession,
        clock: Clock,
        patience: Patience,
        stay: AsyncExitStack,
        *,
        issuer: str | None = None,
        room: str = "",
        person: str = "",
        is_jaas: bool = False,
    ) -> None:
        self.site: Site | None = None
        self.address: Address | None = None
        self.request_conference: RequestConference = _by_xmpp
        self._key = key
        self._http = http
        self._clock = clock
        self._patience = patience
        self._stay = stay
        self._issuer = issuer
        self._room = room or new_room_name()
        self._other_room = opaque_identity(self._room, "other")
        self._person = person
        self._is_jaas = is_jaas
        self._done: dict[str, Outcome] = {}
        self._ends_at = asyncio.get_running_loop().time() + WHOLE_PROOF
        self._candidate: Participant | None = None
        self._proctor: AsyncExitStack = AsyncExitStack()
        self._proctor_seat: Participant | None = None
        self._jicofo_authenticates = False
        self._was_owner_at_once = False
        self._lets_everybody_in = False
        self._clock_is_off = 0.0

    def entering(self, *, with_identity: bool) -> list[tuple[str, Callable[[], Awaitable[Note]]]]:
        """The steps inside the room."""
        steps: list[tuple[str, Callable[[], Awaitable[Note]]]] = [
            ("credentials", self.credentials),
            ("expired_refused", self.expired_refused),
            ("conference", self.conference),
            ("participant_joins", self.participant_joins),
            ("participant_role", self.participant_role),
            ("other_room_refused", self.other_room_refused),
            ("proctor_role", self.proctor_role),
        ]
        if with_identity:
            steps.append(("identity", self.identity))
        return [*steps, ("participant_stays", self.participant_stays)]

    async def step(self, code: str, do: Callable[[], Awaitable[Note]]) -> Step:
        """Do one step within its time; whatever stops it becomes its answer."""
        step = await self._answer(code, do)
        self._done[code] = step.outcome
        return step

    async def _answer(self, code: str, do: Callable[[], Awaitable[Note]]) -> Step:
        left = self._ends_at - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(self._patience.step, max(left, 0.0))):
                note = await do()
        except _Unproven as why:
            return Step(code, Outcome.NOT_PROVABLE, why.cause, why.values)
        except (ProofFailed, SiteFault) as why:
            return Step(code, Outcome.FAILED, why.cause, why.values)
        except TimeoutError:
            cause = "jicofo_down" if code == "conference" else "no_answer_in_time"
            return Step(code, Outcome.FAILED, cause, {"seconds": round(self._patience.step)})
        except XmppError as error:
            cause, values = _cause_of(error)
            return Step(code, Outcome.FAILED, cause, values)
        cause, values = note or (None, {})
        return Step(code, Outcome.OK, cause, values)

    def need(self, code: str) -> None:
        """Without that step this one cannot be made."""
        if self._done.get(code) is not Outcome.OK:
            raise _Unproven("needs_step", step=code)

    # --- what the web side says ---

    async def clock_agrees(self) -> Note:
        site = self._found()
        if site.date is None:
            raise _Unproven("no_date")
        off = self._clock_is_off = (site.date - self._clock.now()).total_seconds()
        if abs(off) > CLOCK_MAY_BE_OFF:
            raise ProofFailed("clock_ahead" if off > 0 else "clock_behind", seconds=round(abs(off)))
        return None

    async def iframe_allowed(self) -> Note:
        if self._found().config.iframe_disabled:
            raise ProofFailed("iframe_disabled")
        return None

    async def prejoin(self) -> Note:
        """Our page switches it off; SEB for Windows cannot (jitsi.md §0.6). Jitsi's own default is on."""
        return None if self._found().config.prejoin is False else ("prejoin_on", {})

    async def peer_to_peer(self) -> Note:
        return None if self._found().config.p2p is False else ("peer_to_peer_on", {})

    def _found(self) -> Site:
        if self.site is None:
            raise _Unproven("needs_step", step="script" if self._is_jaas else "address")
        return self.site

    # --- what must be refused ---

    async def forged_refused(self) -> Note:
        forged = replace(self._key, key=await _another_key(self._key))
        if await self._is_let_in(self._token(forged)):
            self._lets_everybody_in = True
            raise ProofFailed("tokens_not_required")
        return None

    async def anonymous_refused(self) -> Note:
        if await self._is_let_in(None):
            raise ProofFailed("tokens_not_required" if self._lets_everybody_in else "empty_tokens_allowed")
        return None

    async def guests_refused(self) -> Note:
        """Without a token, by the domain for guests: the one config.js names, else the usual one."""
        site = self._found()
        domain = site.config.guest_domain or f"guest.{site.address.domain}"
        await self._pause()
        try:
            async with participant(
                self._http, replace(site.address, domain=domain), room=self._room, token=None
            ):
                raise ProofFailed("guests_on", domain=domain)
        except (LoginRefused, NoTokenLogin, StreamEnded, NoXmpp):
            return None

    async def expired_refused(self) -> Note:
        self.need("credentials")
        now = self._clock.now()
        claims = room_claims(self._key, self._entry(), now=now, expires_at=now + PROBE_LIFE)
        claims["nbf"] -= 3_600
        claims["exp"] = int((now - NOT_BEFORE * 2).timestamp())
        if await self._is_let_in(self._key.sign(claims)):
            raise ProofFailed("expired_accepted")
        return None

    async def other_room_refused(self) -> Note:
        self.need("participant_joins")
        token = self._token(room=self._other_room)
        await self._pause()
        try:
            async with participant(self._http, self._door(), room=self._room, token=token) as stranger:
                await stranger.join(self._door().room(self._room))
                raise ProofFailed("tokens_not_required" if self._lets_everybody_in else "room_not_checked")
        except (JoinRefused, LoginRefused):
            return None

    async def _is_let_in(self, token: str | None) -> bool:
        await self._pause()
        try:
            async with participant(self._http, self._door(), room=self._room, token=token):
                return True
        except LoginRefused:
            return False

    # --- what must work ---

    async def credentials(self) -> Note:
        await self._pause()
        try:
            self._candidate = await self._stay.enter_async_context(
                participant(self._http, self._door(), room=self._room, token=self._token())
            )
        except LoginRefused as refused:
            cause = login_cause(refused, self._key, issuer=self._issuer, is_jaas=self._is_jaas)
            raise ProofFailed(cause, **self._shown(), hint=refused.text or refused.condition) from None
        if self._lets_everybody_in:
            raise _Unproven("everybody_let_in")
        return None

    async def conference(self) -> Note:
        candidate = self._seated()
        try:
            properties = await self.request_conference(
                candidate, self._door().room(self._room), self._token()
            )
        except ConferenceRefused as refused:
            down = refused.condition in {"service-unavailable", "remote-server-not-found", "item-not-found"}
            raise ProofFailed("jicofo_down" if down else "conference_refused", hint=_hint(refused)) from None
        self._jicofo_authenticates = properties.get("authentication") == "true"
        return None

    async def participant_joins(self) -> Note:
        self.need("conference")
        candidate = self._seated()
        try:
            me = await candidate.join(self._door().room(self._room))
        except JoinRefused as refused:
            raise ProofFailed(join_cause(refused), **self._shown(), hint=_hint(refused)) from None
        self._was_owner_at_once = me.is_moderator
        return None

    async def participant_role(self) -> Note:
        """Alone in the room, the moment when servers make somebody its owner."""
        self.need("participant_joins")
        return await self._stays_participant(self._seated())

    async def participant_stays(self) -> Note:
        """The other such moment: the proctor has left."""
        if self._proctor_seat is None:
            raise _Unproven("needs_step", step="proctor_role")
        await self._proctor.aclose()
        return await self._stays_participant(self._seated())

    async def _stays_participant(self, candidate: Participant) -> Note:
        if await candidate.watch(lambda: candidate.was_moderator, self._patience.settle):
            raise ProofFailed(self._reason_for_ownership())
        return None

    def _reason_for_ownership(self) -> str:
        """Which of jitsi.md §3's sources it is, by when it came."""
        if self._jicofo_authenticates:
            return "jicofo_auth"
        return "everybody_owner" if self._was_owner_at_once else "auto_owner"

    async def proctor_role(self) -> Note:
        self.need("participant_joins")
        self._stay.push_async_callback(self._proctor.aclose)
        await self._pause()
        token = self._token(is_proctor=True)
        try:
            proctor = await self._proctor.enter_async_context(
                participant(self._http, self._door(), room=self._room, token=token)
            )
            await proctor.join(self._door().room(self._room))
        except LoginRefused as refused:
            raise ProofFailed("login_refused", hint=refused.text or refused.condition) from None
        except JoinRefused as refused:
            raise ProofFailed(join_cause(refused), **self._shown(), hint=_hint(refused)) from None
        self._proctor_seat = proctor
        if not await proctor.watch(lambda: proctor.was_moderator, self._patience.comes):
            raise ProofFailed("tokens_not_required" if self._lets_everybody_in else "no_role_plugin")
        return None

    async def identity(self) -> Note:
        """The candidate claims to be somebody else; what does the proctor see (jitsi.md §0.8)?"""
        candidate, proctor = self._seated(), self._proctor_seat
        if proctor is None:
            raise _Unproven("needs_step", step="proctor_role")
        false = secrets.token_hex(16)
        await candidate.say_presence(
            f"<identity><user><id>{false}</id><name>Somebody else</name></user></identity>"
        )

        def seen() -> str | None:
            one = proctor.occupants.get(candidate.nick)
            return one.identity if one is not None else None

        if await proctor.watch(lambda: seen() == false, self._patience.settle):
            raise ProofFailed("identity_forgeable")
        if not await proctor.watch(lambda: seen() == self._entry().identity, self._patience.comes):
            raise ProofFailed("identity_missing")
        return None

    # --- helpers ---

    def _door(self) -> Address:
        if self.address is None:
            raise _Unproven("needs_step", step="script" if self._is_jaas else "address")
        return self.address

    def _seated(self) -> Participant:
        if self._candidate is None:
            raise _Unproven("needs_step", step="credentials")
        return self._candidate

    async def _pause(self) -> None:
        self._door()
        await asyncio.sleep(self._patience.spacing)

    def _entry(self, *, is_proctor: bool = False, room: str = "") -> Entry:
        who = "proctor" if is_proctor else "candidate"
        return Entry(
            room or self._room,
            self._person or opaque_identity(self._room, who),
            f"Invigilo test ({who})",
            is_proctor,
        )

    def _token(self, key: TokenKey | None = None, *, is_proctor: bool = False, room: str = "") -> str:
        now = self._clock.now()
        entry = self._entry(is_proctor=is_proctor, room=room)
        return room_token(key or self._key, entry, now=now, expires_at=now + PROBE_LIFE)

    def example_claims(self) -> dict[str, Any]:
        """What a candidate's token of ours would say."""
        now = self._clock.now()
        return room_claims(self._key, self._entry(), now=now, expires_at=now + PROBE_LIFE)

    def _shown(self) -> dict[str, object]:
        """What a remedy may quote: names, never secrets."""
        key = self._key
        return {
            "issuer": key.issuer,
            "audience": key.audience,
            "subject": key.subject,
            "algorithm": key.algorithm,
            "key_id": key.key_id,
            "seconds": round(abs(self._clock_is_off)),
        }


# --- what an answer means ---

_TEXTS: tuple[tuple[str, str], ...] = (
    (r"signature", "wrong_signature"),
    (r"\bkid\b|public key|pubkey|key server", "key_unknown"),
    (r"\balg\b|algorithm", "wrong_algorithm"),
    (r"\biss\b|issuer", "wrong_issuer"),
    (r"\baud\b|audience", "wrong_audience"),
    (r"\bexp\b|expired", "clock_ahead"),
    (r"\bnbf\b|not yet valid", "clock_behind"),
    (r"\bsub\b|subject|tenant", "wrong_subject"),
)
"""Texts vary with a plugin's age (jitsi.md §5.4), so only words are looked for; what fits none is shown as it is."""


def login_cause(refused: LoginRefused, key: TokenKey, *, issuer: str | None, is_jaas: bool) -> str:
    """Why a good token was not accepted."""
    text = refused.text.lower()
    found = next((cause for pattern, cause in _TEXTS if re.search(pattern, text)), "login_refused")
    match found:
        case "wrong_signature":
            if is_jaas:
                return "key_not_uploaded"
            return "wrong_secret" if key.algorithm.startswith("HS") else "wrong_private_key"
        case "key_unknown":
            return "key_id_unknown"
        case "wrong_issuer":
            return "wrong_app_id" if issuer is None else "wrong_issuer"
        case "wrong_subject" if is_jaas:
            return "app_id_unknown"
        case _:
            return found


def join_cause(refused: JoinRefused) -> str:
    """Why somebody with an accepted token did not get into the room of that token."""
    text = refused.text.lower()
    match refused.condition:
        case "registration-required":
            return "lobby_on"
        case "service-unavailable" | "resource-constraint":
            return "server_full"
        case "not-allowed" if refused.detail == "room-does-not-exist":
            return "jicofo_down"
        case "not-allowed" if refused.detail == "room-mismatch" or "mismatch" in text:
            return "wrong_subject"
        case _:
            return "join_refused"


def _cause_of(error: XmppError) -> tuple[str, dict[str, object]]:
    match error:
        case NoTokenLogin():
            return "other_login", {"login": ", ".join(error.mechanisms)[:60] or "?"}
        case Unreachable() if str(error) == "OtherHost":
            return "redirected_elsewhere", {"host": "?"}
        case Unreachable():
            return "connection_lost", {}
        case NoXmpp():
            return "no_xmpp", {"status": error.status or "?"}
        case StreamEnded() if error.condition in {"improper-addressing", "host-unknown", "host-gone"}:
            return "wrong_xmpp_domain", {}
        case StreamEnded():
            return "stream_ended", {"hint": error.condition or "?"}
        case _:
            return "login_refused", {"hint": str(error)}


def _hint(refused: ConferenceRefused | JoinRefused) -> str:
    return refused.text or refused.detail or refused.condition or "?"


async def _by_xmpp(candidate: Participant, room: str, token: str) -> Mapping[str, str]:
    return await candidate.request_conference(room, token=token)


async def _another_key(key: TokenKey) -> str:
    """Of the same kind, and nobody's."""
    if key.algorithm.startswith("HS"):
        return secrets.token_urlsafe(32)
    made = await asyncio.to_thread(generate_private_key, 65_537, 2_048)
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


# --- JaaS ---


def _check_jaas_key(settings: JaasSettings) -> Note:
    """A1: known before anything is asked."""
    code = (
        app_id_problem(settings.app_id)
        or key_id_problem(settings.app_id, settings.key.key_id)
        or key_problem(settings.key.key)
    )
    if code:
        raise ProofFailed(code)
    return None


def _check_jaas_claims(run: _Run) -> Note:
    """A2: our own token against the vendor's table."""
    claims = run.example_claims()
    user = claims["context"]["user"]
    is_right = (
        claims["aud"] == "jitsi"
        and claims["iss"] == "chat"
        and user["moderator"] == "false"
        and claims["context"]["features"]["recording"] == "false"
    )
    if not is_right:
        raise ProofFailed("claims_wrong")
    return None


async def find_jaas(http: aiohttp.ClientSession, settings: JaasSettings) -> Site:
    """A3: the tenant's own script; the addresses are the vendor's (jitsi.md §4)."""
    found = await fetch(http, settings.tenant / "external_api.js")
    if found.status == 404:
        raise ProofFailed("app_id_unknown")
    if found.status != 200 or "html" in found.kind:
        raise ProofFailed("not_a_jitsi", file="external_api.js", status=found.status)
    is_plain = settings.base.scheme == "http"
    address = Address(
        domain="8x8.vc",
        muc_domain=f"conference.{settings.app_id}.8x8.vc",
        focus="focus.8x8.vc",
        websocket=(settings.tenant / "xmpp-websocket").with_scheme("ws" if is_plain else "wss"),
        bosh=settings.tenant / "http-bind",
    )
    return Site(settings.base, Config(), address, found.date)


def _by_http(http: aiohttp.ClientSession, settings: JaasSettings) -> RequestConference:
    """The conference is asked for beside XMPP."""
    url = settings.tenant / "conference-request" / "v1"

    async def request(_candidate: Participant, room: str, token: str) -> Mapping[str, str]:
        return await _request_conference(http, url, room, token)

    return request


async def _request_conference(
    http: aiohttp.ClientSession, url: URL, room: str, token: str
) -> Mapping[str, str]:
    wish = {"room": room, "machineUid": secrets.token_hex(8), "properties": {}}
    while True:
        try:
            async with http.post(
                url, json=wish, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise ConferenceRefused(
                        "service-unavailable" if answer.status >= 500 else f"HTTP {answer.status}"
                    )
                said: Any = await answer.json(content_type=None)
        except (aiohttp.ClientError, ValueError) as error:
            raise Unreachable(type(error).__name__) from None
        if not isinstance(said, dict):
            raise ConferenceRefused("no answer that can be read")
        if said.get("ready") is not False:
            return {"authentication": "false"}
        await asyncio.sleep(1.0)


async def collected(steps: AsyncIterator[Step]) -> list[Step]:
    """All of them, for askers that do not watch."""
    return [step async for step in steps]
