"""Calls to Zoom's REST API: the token, the pace, and what each answer means for the next step (zoom.md §2, §3.7, §9).

Only status, code and headers decide, never a text. What a caller must decide itself leaves as `ZoomError`; everything else
as one of our errors. A call whose outcome is not known leaves as `Uncertain`: whoever made it must look before repeating it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import structlog
from yarl import URL

from invigilo.clock import Clock
from invigilo.errors import ProviderCredentials, ProviderError, ProviderUnavailable
from invigilo.providers.zoom_settings import ZoomSettings

log = structlog.get_logger()

CONNECT_WITHIN, READ_WITHIN = 5.0, 15.0  # seconds
LARGEST_ANSWER = 4 * 2**20  # bytes
RENEW_BEFORE = timedelta(minutes=5)
TEST_AGAIN_AFTER = 60_000
"""Ms a refused token call is not made again: the same credentials will be refused the same way."""
SCOPES_MAY_BE_NEW = 60_000
"""Ms after which a token may be older than the scopes somebody has just added."""
TRIES, QPS_TRIES, UNKNOWN_TRIES = 4, 6, 3
LONGEST_PAUSE = 30.0  # seconds
CIRCUIT_OPEN = 30_000  # ms


class Label(StrEnum):
    """What a call costs (zoom.md §1.4)."""

    LIGHT = "light"
    MEDIUM = "medium"
    HEAVY = "heavy"


SHARE = {Label.LIGHT: 2.0, Label.MEDIUM: 1.0, Label.HEAVY: 0.5}
"""Calls a second, as a part of the pace at which meetings are made: together what the smallest plan allows."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API, with the scopes of which any will do."""

    method: str
    path: str
    label: Label
    scopes: tuple[str, ...]
    is_repeatable: bool = True


def _operation(method: str, path: str, label: Label, *scopes: str) -> Operation:
    named = tuple(f"{one}:admin" for one in scopes)
    return Operation(method, path, label, named, is_repeatable=method != "POST")


USER = _operation("GET", "/users/{host}", Label.LIGHT, "user:read:user", "user:read")
USER_SETTINGS = _operation("GET", "/users/{host}/settings", Label.MEDIUM, "user:read:settings", "user:read")
USER_TOKEN = _operation(
    "GET", "/users/{host}/token", Label.LIGHT, "user:read:token", "user:read:zak", "user:read"
)
CREATE = _operation("POST", "/users/{host}/meetings", Label.MEDIUM, "meeting:write:meeting", "meeting:write")
MEETINGS = _operation(
    "GET", "/users/{host}/meetings", Label.MEDIUM, "meeting:read:list_meetings", "meeting:read"
)
MEETING = _operation("GET", "/meetings/{meeting}", Label.LIGHT, "meeting:read:meeting", "meeting:read")
END = _operation("PUT", "/meetings/{meeting}/status", Label.LIGHT, "meeting:update:status", "meeting:write")
DELETE = _operation("DELETE", "/meetings/{meeting}", Label.LIGHT, "meeting:delete:meeting", "meeting:write")
LIVE_PARTICIPANTS = _operation(
    "GET",
    "/metrics/meetings/{meeting}/participants",
    Label.HEAVY,
    "dashboard:read:list_meeting_participants",
    "dashboard_meetings:read",
)
NEEDED = (USER, USER_SETTINGS, USER_TOKEN, CREATE, MEETING, MEETINGS, END, DELETE)
"""What a pool of hosts cannot do without (zoom.md §1.4)."""


class ZoomError(Exception):
    """Zoom said no, for a reason that the caller understands."""

    def __init__(self, status: int, code: int, fields: tuple[str, ...] = ()) -> None:
        super().__init__(f"{status}/{code}")
        self.status = status
        self.code = code
        self.fields = fields


class HostDayOver(ZoomError):
    """This host has had its creations of today."""


class Uncertain(ProviderUnavailable):
    """Nobody knows whether it was done."""


class MissingScope(ProviderCredentials):
    """The app may not make this call."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__(
            f"The Zoom app lacks the scope {scopes[0]}. An administrator should add it to the app and activate it again."
        )
        self.scopes = scopes


class TokenRefused(ProviderCredentials):
    """No token for these credentials; `cause` is a code of the proof."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            "Zoom does not accept the credentials of the app. An administrator should test the service's settings."
        )
        self.cause = cause


class NotZoom(ProviderUnavailable):
    """Something else answers there."""


class Unreachable(ProviderUnavailable):
    """No connection; `cause` is a code of the proof."""

    def __init__(self, cause: str, host: str) -> None:
        super().__init__(f"No connection to {host} comes about.")
        self.cause = cause
        self.host = host


@dataclass(frozen=True, slots=True)
class Token:
    text: str = field(repr=False)
    made_at: int
    renew_at: int
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Mapping[str, Any]
    date: datetime | None


@dataclass(frozen=True, slots=True)
class Waits:
    """Time as it passes, so that tests need not wait for it."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class Pacer:
    """Deals out the moments to call, one label apart from the other."""

    def __init__(self, pace: float, waits: Waits) -> None:
        self._waits = waits
        self._rates = {label: pace * share for label, share in SHARE.items()}
        self._next = dict.fromkeys(Label, 0.0)
        self._slow_until = dict.fromkeys(Label, 0.0)

    async def wait(self, label: Label) -> None:
        now = self._waits.monotonic()
        rate = self._rates[label] * (0.5 if now < self._slow_until[label] else 1.0)
        at = max(now, self._next[label])
        self._next[label] = at + 1.0 / rate
        if at > now:
            await self._waits.sleep(at - now)

    def slow_down(self, label: Label) -> None:
        """Somebody else calls too: half the pace for a minute."""
        self._slow_until[label] = self._waits.monotonic() + 60.0


class ZoomClient:
    """One account's API. Its token and its pace are shared by all who call through it."""

    def __init__(
        self,
        settings: ZoomSettings,
        *,
        clock: Clock,
        trust: ssl.SSLContext | None = None,
        waits: Waits | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._trust = trust
        self._waits = waits or Waits()
        self.pacer = Pacer(settings.pace, self._waits)
        self._token: Token | None = None
        self._fetching = asyncio.Lock()
        self._refused: tuple[int, ProviderError] | None = None
        self._closed_until: dict[Label, int] = {}
        self._circuit_until = 0

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[aiohttp.ClientSession]:
        """A client that speaks to Zoom's two hosts only, verifies certificates and keeps nothing."""
        allowed = {
            (self._settings.oauth_base.host or "").lower(),
            (self._settings.api_base.host or "").lower(),
        }

        async def only_zoom(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            if (request.url.host or "").lower() not in allowed:
                raise aiohttp.ClientError("another host")
            return await handler(request)

        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trust if self._trust is not None else True, limit=10),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN, sock_read=READ_WITHIN),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(only_zoom,),
            trust_env=False,
        ) as http:
            yield http

    # --- the token (zoom.md §2) ---

    async def token(self, http: aiohttp.ClientSession) -> Token:
        """The one of all callers; renewed before it ends. Raises TokenRefused, Unreachable, ProviderUnavailable."""
        async with self._fetching:
            now = self._clock.now_ms()
            if self._token is not None and now < self._token.renew_at:
                return self._token
            if self._refused is not None and now < self._refused[0]:
                raise self._refused[1]
            try:
                self._token, _ = await self._fetch(http)
            except TokenRefused as error:
                self._refused = (now + TEST_AGAIN_AFTER, error)
                raise
            self._refused = None
            return self._token

    def drop_token(self, token: Token) -> None:
        """It is not accepted any more; one that somebody renewed meanwhile stays."""
        if self._token is token:
            self._token = None

    async def first_token(self, http: aiohttp.ClientSession) -> tuple[Token, Reply]:
        """A fresh one, with all that was answered: for the proof."""
        self._token, reply = await self._fetch(http)
        return self._token, reply

    async def _fetch(self, http: aiohttp.ClientSession) -> tuple[Token, Reply]:
        settings = self._settings
        pair = base64.b64encode(f"{settings.client_id}:{settings.client_secret}".encode()).decode()
        form = {"grant_type": "account_credentials", "account_id": settings.account_id}
        for attempt in range(TRIES):
            if attempt:
                await self._back_off(attempt)
            try:
                reply = await self._send(
                    http,
                    "POST",
                    settings.oauth_base / "oauth" / "token",
                    headers={"Authorization": f"Basic {pair}"},
                    data=form,
                )
            except Uncertain:
                continue
            if reply.status < 400:
                return self._token_of(reply), reply
            if reply.status != 429 and reply.status < 500:
                log.warning("zoom_token_refused", status=reply.status)
                raise TokenRefused(_TOKEN_CAUSES.get(str(reply.body.get("error")), "zoom_login_refused"))
        raise ProviderUnavailable("Zoom gives no access token at present.")

    def _token_of(self, reply: Reply) -> Token:
        text, lasts = reply.body.get("access_token"), reply.body.get("expires_in")
        if not isinstance(text, str) or not text:
            raise NotZoom("What answers in Zoom's place gives no access token.")
        seconds = lasts if isinstance(lasts, int) and 0 < lasts < 100_000 else 3_599
        now = self._clock.now_ms()
        life = max(seconds * 1000 - round(RENEW_BEFORE.total_seconds() * 1000), seconds * 500)
        return Token(text, now, now + life, frozenset(str(reply.body.get("scope", "")).split()))

    # --- one call ---

    async def call(
        self,
        http: aiohttp.ClientSession,
        operation: Operation,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        **parts: str,
    ) -> Reply:
        """Raises ZoomError for what the caller must decide, and ProviderError for the rest."""
        run = _Run()
        while True:
            self._check_closed(operation.label)
            await self.pacer.wait(operation.label)
            token = await self.token(http)
            try:
                reply, headers = await self._ask(http, operation, token, params, body, parts)
            except Uncertain:
                if not operation.is_repeatable:
                    raise
                await self._again(run, TRIES)
                continue
            if reply.status < 400:
                return reply
            await self._react(run, operation, token, reply, headers)

    async def _ask(
        self,
        http: aiohttp.ClientSession,
        operation: Operation,
        token: Token,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        parts: Mapping[str, str],
    ) -> tuple[Reply, Mapping[str, str]]:
        path = operation.path.format(**{name: _quoted(value) for name, value in parts.items()})
        url = URL(str(self._settings.api_base).rstrip("/") + path, encoded=True)
        if params:
            url = url.with_query(dict(params))
        found: dict[str, str] = {}
        try:
            reply = await self._send(
                http,
                operation.method,
                url,
                headers={"Authorization": f"Bearer {token.text}"},
                body=body,
                found=found,
            )
        except NotZoom:
            if operation.is_repeatable:
                raise
            raise Uncertain("What answered in Zoom's place is not Zoom.") from None
        if reply.status >= 400:
            log.warning(
                "zoom_call_failed",
                call=f"{operation.method} {operation.path}",
                status=reply.status,
                code=_code(reply),
                tracking_id=found.get("x-zm-trackingid", "")[:100],
            )
        if reply.status >= 500:
            raise Uncertain("Zoom is out of order at present.")
        return reply, found

    async def _react(
        self,
        run: _Run,
        operation: Operation,
        token: Token,
        reply: Reply,
        headers: Mapping[str, str],
    ) -> None:
        """Prepare the next try, or raise (zoom.md §9)."""
        code = _code(reply)
        if reply.status == 429:
            await self._limited(run, operation, headers)
        elif reply.status == 401 or code == 124:
            self.drop_token(token)
            if run.renewed:
                raise ProviderCredentials("Zoom does not accept the access token it has just given.")
            run.renewed = True
        elif code in {4711, 104}:
            is_old = self._clock.now_ms() - token.made_at > SCOPES_MAY_BE_NEW
            if run.renewed or not is_old:
                raise MissingScope(operation.scopes)
            self.drop_token(token)
            run.renewed = True
        else:
            raise ZoomError(reply.status, code, _fields(reply))

    async def _limited(self, run: _Run, operation: Operation, headers: Mapping[str, str]) -> None:
        """429: which limit it was decides (zoom.md §3.3, §3.7)."""
        kind, until = headers.get("x-ratelimit-type", "").lower(), retry_after(headers, self._clock.now())
        if kind.startswith("daily") or until is not None:
            at = until or _midnight_after(self._clock.now())
            self._close(operation.label, at)
            self._check_closed(operation.label)
        left = headers.get("x-ratelimit-remaining", "")
        is_host = operation is CREATE and not kind and left.isdigit() and int(left) > 0
        if is_host:
            raise HostDayOver(429, 429)
        is_qps = kind == "qps"
        self.pacer.slow_down(operation.label)
        run.limited += 1
        if run.limited >= (QPS_TRIES if is_qps else UNKNOWN_TRIES):
            if not is_qps:
                if operation is CREATE:
                    raise HostDayOver(429, 429)
                self._close(operation.label, _full_hour_after(self._clock.now()))
            raise ProviderUnavailable("Zoom takes no more calls a second; it is tried again.")
        await self._back_off(run.limited)

    async def _again(self, run: _Run, tries: int) -> None:
        run.failed += 1
        if run.failed >= tries:
            self._circuit_until = self._clock.now_ms() + CIRCUIT_OPEN
            raise ProviderUnavailable("Zoom does not answer.")
        await self._back_off(run.failed)

    async def _back_off(self, attempt: int) -> None:
        pause = min(2.0 ** (attempt - 1), LONGEST_PAUSE)
        await self._waits.sleep(min(pause + self._waits.chance(), LONGEST_PAUSE))

    def _close(self, label: Label, at: datetime) -> None:
        self._closed_until[label] = round(at.timestamp() * 1000)
        log.warning("zoom_limit_reached", label=label.value, until=at.isoformat(timespec="minutes"))

    def closed_until(self, label: Label) -> int:
        """Ms since the epoch until which no call of this label is made; 0 when they are."""
        return self._closed_until.get(label, 0)

    def _check_closed(self, label: Label) -> None:
        now = self._clock.now_ms()
        until = self.closed_until(label)
        if now < until:
            at = datetime.fromtimestamp(until / 1000, UTC).isoformat(timespec="minutes")
            raise ProviderUnavailable(
                f"Zoom's limit of calls is reached until {at.replace('+00:00', ' UTC')}."
            )
        if now < self._circuit_until:
            raise ProviderUnavailable("Zoom does not answer; it is asked again in half a minute.")

    # --- one request ---

    async def _send(
        self,
        http: aiohttp.ClientSession,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        data: Mapping[str, str] | None = None,
        found: dict[str, str] | None = None,
    ) -> Reply:
        """Raises Uncertain, Unreachable, NotZoom."""
        try:
            async with http.request(
                method, url, headers=headers, json=body, data=data, allow_redirects=False
            ) as answer:
                raw = await _whole(answer)
                if found is not None:
                    found |= {name.lower(): value for name, value in answer.headers.items()}
                return Reply(answer.status, _read(answer.status, raw), _date(answer.headers.get("Date")))
        except aiohttp.ClientConnectorDNSError:
            raise Unreachable("name_not_found", url.host or "") from None
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError):
            raise Unreachable("tls_invalid", url.host or "") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, socket.gaierror):
                raise Unreachable("name_not_found", url.host or "") from None
            raise Uncertain("Zoom takes no connections.") from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise Uncertain("The connection to Zoom broke.") from None


@dataclass(slots=True)
class _Run:
    """One call, all its tries."""

    failed: int = 0
    limited: int = 0
    renewed: bool = False


_TOKEN_CAUSES = {
    "invalid_client": "zoom_wrong_client",
    "unsupported_grant_type": "zoom_not_s2s",
    "invalid_request": "zoom_wrong_account",
}


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Raises NotZoom for one that is larger than any of Zoom's."""
    parts: list[bytes] = []
    left = LARGEST_ANSWER
    async for part in answer.content.iter_chunked(65_536):
        parts.append(part)
        left -= len(part)
        if left < 0:
            raise NotZoom("What answers in Zoom's place is not Zoom: its answer does not end.")
    return b"".join(parts)


def _quoted(value: str) -> str:
    """An occurrence's uuid may begin with a slash, which Zoom wants quoted twice (zoom.md §3.3)."""
    once = quote(value, safe="@")
    return quote(once, safe="") if value.startswith("/") or "//" in value else once


def _read(status: int, raw: bytes) -> Mapping[str, Any]:
    """Raises NotZoom for a page of a proxy; its status is all that is said of it."""
    if not raw.strip():
        return {}
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        if status >= 500:
            return {}
        raise NotZoom(f"What answers in Zoom's place is not Zoom (HTTP {status}).")
    return cast("dict[str, Any]", found)


def _code(reply: Reply) -> int:
    code = reply.body.get("code")
    return code if isinstance(code, int) else 0


def _fields(reply: Reply) -> tuple[str, ...]:
    errors = reply.body.get("errors")
    if not isinstance(errors, list):
        return ()
    found = (one.get("field") for one in cast("list[Any]", errors) if isinstance(one, dict))
    return tuple(str(one)[:60] for one in found if isinstance(one, str))[:10]


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When to come back: seconds, a date of HTTP, or one of ISO 8601, which is Zoom's own (zoom.md §3.7)."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 8:
        return now + timedelta(seconds=int(text))
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(text)
        except (ValueError, TypeError, IndexError):
            continue
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return at if at > now else None
    return None


def _midnight_after(now: datetime) -> datetime:
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def _full_hour_after(now: datetime) -> datetime:
    return (now + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)


def next_midnight(now: datetime) -> int:
    """Ms: when Zoom's day (UTC) begins anew."""
    return round(_midnight_after(now).timestamp() * 1000)


def _date(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header or "").astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
