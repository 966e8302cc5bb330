"""One SEB client as the server sees it: its calls in its release's order, its pings, its events, its goodbye.

Nothing is shared with the server's code: the client spells requests itself (`profiles.py` says how), so a mistake on
one side is not repeated on the other. Only the connection file and the exam's settings are read by the package's own reader.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from yarl import URL

from invigilo.errors import BadInput, InvigiloError
from invigilo.sebconfig import container
from invigilo.sebconfig.connection_file import ConnectionFile
from invigilo.simulate.network import Network, NetworkLost
from invigilo.simulate.profiles import Lock, MatchIds, Profile, Refresh, Step

FORM = "application/x-www-form-urlencoded"
JSON = "application/json;charset=UTF-8"
ATTEMPTS = 5
APPLE_PAUSE = 2.0  # seconds between Apple's attempts
FIXED_INTERVAL = 1.0  # seconds; releases that do not read pingInterval
CONFIRM = "instruction-confirm"


class HandshakeFailed(InvigiloError):
    """The server did not let this client in."""


class EventType(StrEnum):
    INFO = "INFO_LOG"
    WARNING = "WARN_LOG"
    ERROR = "ERROR_LOG"
    NOTIFICATION = "NOTIFICATION"
    SETTLED = "NOTIFICATION_CONFIRMED"


@dataclass(slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refuses_token(self) -> bool:
        return self.status == 401 and b"invalid_token" in self.body


@dataclass(slots=True)
class Exam:
    """One entry of the exam list."""

    id: str
    name: str
    url: str


@dataclass(slots=True)
class Instruction:
    name: str
    attributes: dict[str, str]


@dataclass(slots=True)
class Counts:
    """What one client, or all of them together, have done."""

    pings: int = 0
    pings_failed: int = 0
    events: int = 0
    events_lost: int = 0
    instructions: int = 0
    tokens_renewed: int = 0
    ping_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))


def form(*pairs: tuple[str, str | None]) -> str:
    """A form body as SEB writes it: nothing escaped, names without value left out (§0)."""
    return "&".join(f"{name}={value}" for name, value in pairs if value is not None)


def signature_key(connection_token: str, salt: str, *, text: str = "simulated") -> str:
    """An app signature key sealed for this connection (§2.4)."""
    key = hashlib.pbkdf2_hmac("sha1", connection_token.encode(), bytes.fromhex(salt), 1024, 32)
    nonce = os.urandom(16)
    return (nonce + AESGCM(key).encrypt(nonce, text.encode(), None)).hex()


class SebClient:
    """One connection, from discovery to DELETE.

    `connect()` does the calls up to the exam's page; `working()` then keeps pings and events going.
    """

    def __init__(
        self,
        profile: Profile,
        file: ConnectionFile,
        network: Network,
        *,
        user: str,
        machine: str,
        server: str | None = None,
        exam: str | None = None,
        ping_interval: float | None = None,
        settings_password: str | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.profile = profile
        self.network = network
        self.user = user
        self.machine = machine
        self.exam: Exam | None = None
        self.connection_token = ""
        self.settings: Mapping[str, Any] = {}
        self.counts = counts or Counts()
        self.instructions: list[Instruction] = []
        self.meetings: list[Instruction] = []
        """Join instructions this release acts on."""
        self.is_locked = False
        self.has_crashed = False
        """It ends without a goodbye."""
        self.quit = asyncio.Event()
        """The server ended the session."""

        self._file = file
        self._wanted_exam = exam or file.exam_id
        self._server = (server or file.server_url).rstrip("/")
        own = file.ping_interval.total_seconds() if profile.obeys_ping_interval else FIXED_INTERVAL
        self._interval = own if ping_interval is None else ping_interval
        self._password = settings_password
        self._locations: dict[str, str] = {}
        self._bearer = ""
        self._salt: str | None = None
        self._confirmations: deque[str] = deque()
        self._ping_number = 0
        self._notification_number = 0
        self._hand: int | None = None
        self._locks: list[int] = []
        self._log: asyncio.Queue[str] = asyncio.Queue()
        self._loose: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """The page the browser opens first; an exam with our camera page names the candidate's own entry link."""
        assert self.exam is not None, "connect() comes first"
        return self.exam.url

    @property
    def has_raised_hand(self) -> bool:
        return self._hand is not None

    # --- the handshake ---

    async def connect(self) -> Exam:
        """Everything up to the exam's page. Raises HandshakeFailed, or NetworkLost when there is no network."""
        await self._discover()
        await self._fetch_token()
        self.exam = await self._create()
        for step in self.profile.steps:
            await self._do(step)
        return self.exam

    async def _discover(self) -> None:
        reply = await self._send("GET", self._file.discovery_path, {})
        if not reply.is_success:
            raise HandshakeFailed(f"Discovery was answered with {reply.status}.")
        try:
            document = json.loads(reply.body)
            version = document["api-versions"][0]
            self._locations = {one["name"]: one["location"] for one in version["endpoints"]}
            needed = [self._locations[f"seb-{name}-endpoint"] for name in ("handshake", "ping", "log")]
            needed += [
                self._locations["access-token-endpoint"],
                self._locations["seb-configuration-endpoint"],
            ]
        except (ValueError, LookupError, TypeError) as error:
            raise HandshakeFailed(f"The discovery document lacks {error}.") from error

    async def _fetch_token(self) -> None:
        credentials = base64.b64encode(f"{self._file.client_id}:{self._file.client_secret}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": FORM}
        body = form(("grant_type", "client_credentials"), ("scope", "read write"))
        reply = await self._send("POST", self._locations["access-token-endpoint"], headers, body)
        if not reply.is_success:
            raise HandshakeFailed(f"The server gave no access token ({reply.status}).")
        self._bearer = f"Bearer {json.loads(reply.body)['access_token']}"

    async def _create(self) -> Exam:
        fields: list[tuple[str, str | None]] = [
            ("institutionId", self._file.institution_id),
            ("examId", self._wanted_exam),
        ]
        if self.profile.device_at_start:
            fields += self._device()
        reply = await self._handshake("POST", form(*fields))
        token = reply.headers.get("SEBConnectionToken")
        exams = json.loads(reply.body)
        if not token:
            raise HandshakeFailed("The server gave no connection token.")
        if not exams:
            raise HandshakeFailed("No exam is open to this client now.")
        self.connection_token = token
        self._note(reply)
        first = exams[0]
        return Exam(first["examId"], first["name"], first["url"])

    def _device(self) -> list[tuple[str, str | None]]:
        profile = self.profile
        account = "mobile" if profile.family == "ios" else self.user
        return [
            ("client_id", account),
            ("seb_machine_name", self.machine),
            ("seb_os_name", profile.os_name),
            ("seb_version", profile.seb_version),
        ]

    async def _do(self, step: Step) -> None:
        assert self.exam is not None
        exam = ("examId", self.exam.id)
        match step:
            case Step.DOWNLOAD:
                await self._download(self.exam)
            case Step.SELECT:
                await self._handshake("PATCH", form(exam))
            case Step.SELECT_WITH_KEY:
                await self._handshake("PATCH", form(exam, self._key()))
            case Step.ESTABLISH:
                await self._handshake("PUT", form(self._key()) or None)
            case Step.ESTABLISH_EXAM:
                await self._handshake("PUT", form(exam))
            case Step.ESTABLISH_EXAM_WITH_KEY:
                with contextlib.suppress(HandshakeFailed):  # Apple goes on to the settings (§1.3)
                    await self._handshake("PUT", form(exam, self._key()))
            case Step.SEND_KEY:
                if self._salt is not None:
                    await self._handshake("PATCH", form(self._key()))

    def _key(self) -> tuple[str, str | None]:
        key = None if self._salt is None else signature_key(self.connection_token, self._salt)
        return "seb_signature_key", key

    async def _download(self, exam: Exam) -> None:
        path = f"{self._locations['seb-configuration-endpoint']}?examId={exam.id}"
        reply = await self._persist("GET", path, None, kind=None)
        try:
            self.settings = container.decode(reply.body, password=self._password).settings
        except BadInput as error:
            raise HandshakeFailed(f"The exam's settings cannot be read: {error.message}") from error

    async def identify(self) -> None:
        """The browser has found out who the candidate is (step 8)."""
        assert self.exam is not None
        fields: list[tuple[str, str | None]] = [("examId", self.exam.id), ("seb_user_session_id", self.user)]
        if self.profile.device_with_user:
            fields += self._device()
        if self.profile.user_sends_key:
            fields.append(self._key())
        await self._handshake(self.profile.user_method, form(*fields))

    async def _handshake(self, method: str, body: str | None) -> Reply:
        reply = await self._persist(method, self._locations["seb-handshake-endpoint"], body)
        self._note(reply)
        return reply

    def _note(self, reply: Reply) -> None:
        self._salt = reply.headers.get("SEBExamSalt") or self._salt

    async def _persist(self, method: str, path: str, body: str | None, *, kind: str | None = FORM) -> Reply:
        """A handshake step with the attempts its release makes (§2.11). Raises HandshakeFailed."""
        reply: Reply | None = None
        for attempt in range(ATTEMPTS if self.profile.refresh is not Refresh.NEVER else 1):
            if attempt and not self.profile.is_windows:
                await asyncio.sleep(APPLE_PAUSE)
            reply = await self._authorised(method, path, body, kind=kind if body is not None else None)
            if reply.is_success:
                return reply
        assert reply is not None
        step = f"{method} {path.partition('?')[0]}"
        raise HandshakeFailed(f"{step} was answered with {reply.status}: {_words(reply.body)}")

    # --- at work ---

    @asynccontextmanager
    async def working(self, *, log_lines: int = 0) -> AsyncGenerator[None]:
        """Pings and events run inside; they stop, as in SEB, before the goodbye."""
        for number in range(log_lines):
            self.say(f"{_LINES[number % len(_LINES)]} [{number}]")
        tasks = [asyncio.create_task(self._send_log())]
        if not self.profile.pings_after_user:
            tasks.append(asyncio.create_task(self._ping_on()))
        try:
            yield
        finally:
            await _end(*tasks, *self._loose)

    def start_pings(self) -> None:
        """For the one release that pings only once it knows the candidate."""
        if self.profile.pings_after_user:
            self._spawn(self._ping_on())

    async def goodbye(self) -> None:
        """DELETE; a session that cannot say it just ends."""
        if not self.connection_token or self.has_crashed:
            return
        body = self.profile.delete_body
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            path = self._locations["seb-handshake-endpoint"]
            await self._authorised("DELETE", path, body, kind=FORM)

    async def _ping_on(self) -> None:
        """Windows: a whole pause after each answer. Apple: by the clock, whatever became of the tick before."""
        if not self.profile.pings_from_start:
            await asyncio.sleep(self._interval)
        due = time.monotonic()
        while True:
            if self.profile.fixed_rate:
                self._spawn(self.ping())
                due = max(due + self._interval, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
            else:
                await self.ping()
                await asyncio.sleep(self._interval)

    async def ping(self) -> bool:
        """One ping and what follows from its answer; whether it got through."""
        self._ping_number += 1
        now = time.time() if self.profile.ping_in_seconds else time.time() * 1000
        confirmation = self._confirmations.popleft() if self._confirmations else None
        body = form(
            ("timestamp", str(int(now))), ("ping-number", str(self._ping_number)), (CONFIRM, confirmation)
        )
        path = self._locations["seb-ping-endpoint"]
        began = time.perf_counter()
        reply = await self._attempt("POST", path, body, kind=FORM)
        if reply is None:
            self.counts.pings_failed += 1
            return False
        self.counts.pings += 1
        self.counts.ping_ms.append((time.perf_counter() - began) * 1000)
        if reply.status == 200 and reply.body:
            self._take(reply.body)
        return True

    async def _attempt(self, method: str, path: str, body: str, *, kind: str) -> Reply | None:
        """Windows tries five times without a pause, Apple once; None when nothing came through."""
        for _ in range(ATTEMPTS if self.profile.is_windows else 1):
            try:
                reply = await self._authorised(method, path, body, kind=kind)
            except TimeoutError:
                return None  # no further attempt after a time-out
            except (aiohttp.ClientError, OSError):
                continue
            if reply.is_success:
                return reply
        return None

    # --- instructions ---

    def _take(self, body: bytes) -> None:
        try:
            found = json.loads(body)
            name = str(found["instruction"])
            given: dict[str, Any] = found.get("attributes") or {}
        except (ValueError, LookupError, TypeError, AttributeError):
            return
        attributes = {key: value for key, value in given.items() if isinstance(value, str)}
        if len(attributes) != len(given) and not self.profile.is_windows:
            return  # Apple decodes a map of strings or nothing
        instruction = Instruction(name, attributes)
        self.counts.instructions += 1
        self.instructions.append(instruction)
        self._act(instruction)
        confirmation = attributes.get(CONFIRM)
        if confirmation and self.profile.confirms(name, attributes.get("service-type")):
            if not self.profile.is_windows:
                self._confirmations.clear()  # one pending value only
            self._confirmations.append(confirmation)

    def _act(self, instruction: Instruction) -> None:
        attributes = instruction.attributes
        match instruction.name:
            case "SEB_QUIT":
                self.quit.set()
            case "SEB_FORCE_LOCK_SCREEN":
                self._lock_screen(attributes.get("message", ""))
            case "NOTIFICATION_CONFIRM":
                self._settle(attributes.get("type", ""), attributes.get("id", ""))
            case "SEB_PROCTORING" if self._can_join(attributes.get("service-type")):
                self.meetings.append(instruction)
                self.say(f"Joining a meeting of {attributes['service-type']}.")
            case _:
                pass

    def _can_join(self, service: str | None) -> bool:
        if service == "JITSI_MEET":
            return self.profile.joins_jitsi and bool(self.settings.get("jitsiMeetEnable"))
        return service == "SCREEN_PROCTORING" and self.profile.screen_proctoring

    def _lock_screen(self, message: str) -> None:
        """A forced lock makes the client report its own lock screen, which the server then confirms (§4.5)."""
        if self.profile.lock is Lock.NONE or (self.profile.lock is Lock.ONE and self._locks):
            return
        number = self._next_notification()
        self._locks.append(number)
        self.is_locked = True
        self._notify(f"<lockscreen> {message}".rstrip(), number)

    def lock_by_itself(self, why: str) -> bool:
        """A forbidden program was started, say: SEB locks, and reports it as it does a forced lock (§5.3)."""
        before = len(self._locks)
        self._lock_screen(why)
        return len(self._locks) > before

    def unlock_by_itself(self) -> None:
        """Somebody typed the password at the candidate's desk."""
        for number in self._locks:
            self._spawn(self._event(EventType.SETTLED, value=number))
        self._locks, self.is_locked = [], False

    def _settle(self, kind: str, number: str) -> None:
        by_number = self.profile.match_ids is MatchIds.BY_NUMBER
        if self.profile.match_ids is MatchIds.NONE:
            return
        if kind == "raisehand" and self._hand is not None and (not by_number or number == str(self._hand)):
            self._hand = None
        elif kind == "lockscreen" and self._locks:
            settled = [n for n in self._locks if not by_number or number == str(n)]
            self._locks = [n for n in self._locks if n not in settled]
            self.is_locked = bool(self._locks)
            if self.profile.is_windows:
                for one in settled:
                    self._spawn(self._event(EventType.SETTLED, value=one))

    # --- events ---

    def say(self, text: str, kind: EventType = EventType.INFO) -> None:
        """A log line: sent one after the other, in order."""
        self._log.put_nowait(self._event_body(kind, text, None))

    def report_battery(self, percent: int) -> None:
        self._spawn(self._event(EventType.INFO, f"<battery> Discharging at {percent}%", value=percent))

    def report_wlan(self, percent: int | None) -> None:
        """None is: not connected; that event carries no number."""
        if self.profile.sends_wlan:
            text = "<wlan> not connected" if percent is None else f"<wlan> Connected at {percent}%"
            self._spawn(self._event(EventType.INFO, text, value=percent))

    def raise_hand(self, text: str = "") -> bool:
        """Whether this release has a hand to raise and it was down."""
        if not self.profile.raises_hand or self._hand is not None:
            return False
        self._hand = self._next_notification()
        self._notify(f"<raisehand> {text}".rstrip(), self._hand)
        return True

    def lower_hand(self) -> None:
        if self._hand is not None:
            number, self._hand = self._hand, None
            self._spawn(self._event(EventType.SETTLED, value=number))

    def _next_notification(self) -> int:
        self._notification_number += 1
        return self._notification_number

    def _notify(self, text: str, number: int) -> None:
        self._spawn(self._event(EventType.NOTIFICATION, text, value=number))

    def _event_body(self, kind: EventType, text: str | None, value: int | None) -> str:
        now = int(time.time() * 1000)
        body: dict[str, Any] = {
            "type": kind.value,
            "timestamp": str(now) if self.profile.text_timestamps else now,
        }
        if value is None and not self.profile.is_windows:
            value = 0
        if value is not None:
            body["numericValue"] = value
        if text is not None:
            body["text"] = text
        return json.dumps(body, ensure_ascii=False)

    async def _event(self, kind: EventType, text: str | None = None, *, value: int | None = None) -> None:
        await self._post_event(self._event_body(kind, text, value))

    async def _post_event(self, body: str) -> bool:
        reply = await self._attempt("POST", self._locations["seb-log-endpoint"], body, kind=JSON)
        if reply is None:
            self.counts.events_lost += 1
        else:
            self.counts.events += 1
        return reply is not None

    async def _send_log(self) -> None:
        """One line at a time. Windows gives a line up after five attempts, Apple never does."""
        while True:
            body = await self._log.get()
            while True:
                arrived = await self._post_event(body)
                if arrived or self.profile.is_windows:
                    break
                await asyncio.sleep(APPLE_PAUSE)

    def _spawn(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)

    # --- one request ---

    async def _authorised(self, method: str, path: str, body: str | None, *, kind: str | None) -> Reply:
        bearer = self._bearer
        headers = {"Authorization": bearer}
        if self.connection_token:
            headers["SEBConnectionToken"] = self.connection_token
        if kind is not None:
            headers["Content-Type"] = kind
        reply = await self._send(method, path, headers, body)
        if reply.refuses_token and self.profile.refresh is not Refresh.NEVER and bearer == self._bearer:
            with contextlib.suppress(HandshakeFailed):
                await self._fetch_token()
                self.counts.tokens_renewed += 1
        return reply

    async def _send(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Reply:
        if self.profile.accept is not None:
            headers = {**headers, "Accept": self.profile.accept}
        async with self.network.session.request(
            method,
            URL(self._server + path, encoded=True),
            headers=headers,
            data=None if body is None else body.encode(),
            expect100=self.profile.expects_continue and body is not None,
            allow_redirects=False,
            skip_auto_headers=_NOT_OURS,
        ) as response:
            return Reply(response.status, response.headers, await response.read())


_NOT_OURS = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")

_LINES = (
    "Application instance started.",
    "Loaded the local client configuration.",
    "Connected to the exam server.",
    "Initialized the operating system's shell – Überwachung läuft.",
    "Kiosk mode: create new desktop.",
    "Display configuration is allowed: 1 active display.",
    "Started monitoring of processes.",
    "Navigated the browser window to a new address.",
)


def _words(body: bytes) -> str:
    """What an error body says, in one short line."""
    return body.decode("utf-8", "replace").replace("\n", " ")[:200] or "(nothing)"


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["Counts", "HandshakeFailed", "NetworkLost", "SebClient", "form", "signature_key"]
