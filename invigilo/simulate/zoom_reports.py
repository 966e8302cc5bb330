"""The Zoom stand-in's webhooks: signed, repeated, late or wrong, as Zoom's are or as a test wants them (§5, §10.6)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from invigilo.simulate.zoom_meetings import Meeting
from invigilo.simulate.zoom_rules import Clock, Seed

WITHIN = 3.0  # seconds Zoom waits for an answer
AGAIN_AFTER = (300.0, 1_500.0, 5_100.0)
"""Seconds after the first try: five minutes, then twenty, then an hour."""
VALIDATED_EVERY = 72 * 3_600.0
FAILED_VALIDATIONS = 3
LOOK_EVERY = 0.05


def signature(secret: str, stamp: str, body: bytes) -> str:
    mac = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256)
    return f"v0={mac.hexdigest()}"


@dataclass(slots=True)
class Delivery:
    """One event under way to the subscriber."""

    body: dict[str, Any]
    due: float
    attempt: int = 0
    tracking: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(slots=True)
class Oddities:
    """What a delivery has of its own; none of it by default."""

    duplicate: bool = False
    swap: bool = False
    delay: float = 0.0
    wrong_signature: bool = False
    old_timestamp: float = 0.0
    changed_after_signing: bool = False
    extra_fields: bool = False
    unknown_event: bool = False
    foreign_account: bool = False


class Webhooks:
    """The event subscription of the app."""

    def __init__(self, seed: Seed, clock: Clock) -> None:
        self.odd = Oddities()
        self.is_disabled = False
        self.answers: list[int] = []
        """Status of every delivery; 0 is none."""
        self.dropped: list[str] = []
        self._seed = seed
        self._clock = clock
        self._waiting: list[Delivery] = []
        self._held: list[Delivery] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self._loop: asyncio.Task[None] | None = None
        self._validated_at = 0.0
        self._failures = 0

    async def start(self) -> None:
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=WITHIN), cookie_jar=aiohttp.DummyCookieJar()
        )
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self.is_disabled = True
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, *self._under_way, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    # --- events ---

    def take(self, event: str, meeting: Meeting, more: dict[str, Any]) -> None:
        """Something happened."""
        if not self._seed.hook_url or self.is_disabled:
            return
        about = {
            "id": str(meeting.id),
            "uuid": meeting.uuid,
            "host_id": meeting.host.id,
            "topic": meeting.body["topic"],
            "type": meeting.body["type"],
            "start_time": meeting.body["start_time"],
            "timezone": meeting.body["timezone"],
            "duration": meeting.body["duration"],
        }
        odd = self.odd
        account = "somebody-elses" if odd.foreign_account else self._seed.account_id
        payload: dict[str, Any] = {"account_id": account, "object": about | more}
        if event == "meeting.deleted":
            payload |= {"operator": "", "operator_id": "", "operation": "all"}
        body: dict[str, Any] = {
            "event": "meeting.never_heard_of" if odd.unknown_event else event,
            "event_ts": int(self._clock.now() * 1000),
            "payload": payload,
        }
        if odd.extra_fields:
            body |= {"something_new": {"x": 1}}
            payload["object"] |= {"something_else": [1, 2, 3]}
        found = [Delivery(body, self._clock.now() + odd.delay)]
        if odd.duplicate:
            found.append(Delivery(body, self._clock.now() + odd.delay))
        if odd.swap and not self._held:
            self._held = found
            return
        self._waiting += found + self._held
        self._held = []
        self._send_due()

    async def drain(self) -> None:
        """Until everything due by now has been delivered or put off."""
        self._waiting += self._held
        self._held = []
        self._send_due()
        while self._under_way:
            await asyncio.gather(*self._under_way)
            self._send_due()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def _run(self) -> None:
        while True:
            self._send_due()
            if self._validated_at and self._clock.now() - self._validated_at >= VALIDATED_EVERY:
                await self.validate()
            await asyncio.sleep(LOOK_EVERY)

    def _send_due(self) -> None:
        due = [one for one in self._waiting if one.due <= self._clock.now()]
        self._waiting = [one for one in self._waiting if one.due > self._clock.now()]
        for one in due:
            task = asyncio.create_task(self._deliver(one))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(self, one: Delivery) -> None:
        status, _ = await self._post(json.dumps(one.body).encode(), one.tracking)
        if 200 <= status < 300:
            return
        if one.attempt >= len(AGAIN_AFTER):
            self.dropped.append(str(one.body["event"]))
            return
        wait = AGAIN_AFTER[one.attempt] - (AGAIN_AFTER[one.attempt - 1] if one.attempt else 0.0)
        self._waiting.append(Delivery(one.body, self._clock.now() + wait, one.attempt + 1, one.tracking))

    async def _post(self, body: bytes, tracking: str) -> tuple[int, bytes]:
        assert self._http is not None
        stamp = str(int(self._clock.now() - self.odd.old_timestamp))
        secret = "another-secret" if self.odd.wrong_signature else self._seed.hook_secret
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "x-zm-request-timestamp": stamp,
            "x-zm-signature": signature(secret, stamp, body),
            "x-zm-trackingid": tracking,
            "clientid": "test",
            "User-Agent": "Zoom Marketplace/1.0a",
        }
        sent = body.replace(b": ", b":  ") if self.odd.changed_after_signing else body
        status, answer = 0, b""
        if self._http.closed:
            return status, answer
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._http.post(
                self._seed.hook_url, data=sent, headers=headers, allow_redirects=False
            ) as got:
                status, answer = got.status, await got.read()
        self.answers.append(status)
        return status, answer

    # --- who answers there (§5) ---

    async def validate(self) -> bool:
        """Ask the subscriber to prove that it knows the secret."""
        plain = secrets.token_urlsafe(16)
        body = {
            "event": "endpoint.url_validation",
            "event_ts": int(self._clock.now() * 1000),
            "payload": {"plainToken": plain},
        }
        status, answer = await self._post(json.dumps(body).encode(), secrets.token_hex(8))
        wanted = hmac.new(self._seed.hook_secret.encode(), plain.encode(), hashlib.sha256).hexdigest()
        said: Any = None
        with suppress(ValueError):
            said = json.loads(answer)
        is_right = status == 200 and said == {"plainToken": plain, "encryptedToken": wanted}
        self._validated_at = self._clock.now()
        self._failures = 0 if is_right else self._failures + 1
        if self._failures >= FAILED_VALIDATIONS:
            self.is_disabled = True
        return is_right
