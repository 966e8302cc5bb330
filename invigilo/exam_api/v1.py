"""The exam client API, version 1: a small ASGI app of its own in front of everything else.

It is the hot path, and SEB clients need a tolerance no framework gives: unescaped forms, bodies without content type, odd
header use (seb-client-api.md §0, §8). So nothing here routes on a content type, and pings and events touch no database
row: a ping is two dictionary look-ups and a time.

What it must bring itself, having no framework before it: size limits, error tables, and its own counters.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter

from invigilo.clock import Clock
from invigilo.errors import BadInput, InvigiloError, NotFound, Refused, Unavailable
from invigilo.exam_api import wire
from invigilo.exam_api.wire import ApiError, Headers
from invigilo.exams.directory import Directory
from invigilo.exams.model import ConnectionConfiguration, Exam
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import Device
from invigilo.monitoring.service import Connections
from invigilo.secrets_box import SecretBox, digest
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.work import WorkFactory

log = structlog.get_logger()

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TOKEN_LIFETIME = 172_800  # seconds; longer than any exam day, because half the clients cannot refresh (§8 Q9)
FORM_LIMIT = 256 * 1024
EVENT_LIMIT = 8 * 1024 * 1024
TOKEN_CACHE = 20_000
BEARER_LENGTH = 128  # bytes of an Authorization header that is remembered; ours have 50
TOKEN_LENGTH = 64  # bytes of a connection token whose hash is remembered; ours have 32

pings_total = Counter("invigilo_pings_total", "Pings answered.")
_requests = Counter(
    "invigilo_exam_api_requests_total", "Exam API requests but pings and events.", ["step", "status"]
)
_events = Counter("invigilo_events_received_total", "Client events received.", ["outcome"])

SettingsOf = Callable[[Exam, Device], Awaitable[bytes]]
EntryUrl = Callable[[Exam, str, str, Device], str]
AddressOf = Callable[[Scope], str | None]
BaseUrlOf = Callable[[Scope], str]


class _Unauthorised(Exception):
    """No usable bearer token."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class ExamApi:
    """Answers the six paths of `wire.PATHS`."""

    def __init__(
        self,
        *,
        connections: Connections,
        directory: Directory,
        work: WorkFactory,
        reading: WorkFactory,
        box: SecretBox,
        clock: Clock,
        settings_of: SettingsOf,
        exam_url: EntryUrl,
        address_of: AddressOf,
        base_url_of: BaseUrlOf,
    ) -> None:
        self._connections = connections
        self._directory = directory
        self._work = work
        self._reading = reading
        self._box = box
        self._clock = clock
        self._settings_of = settings_of
        self._exam_url = exam_url
        self._address_of = address_of
        self._base_url_of = base_url_of
        self._look_from = 0.0
        self._looking = asyncio.Lock()
        self._bearers: dict[bytes, tuple[int, int]] = {}
        """Authorization header → (configuration id, expiry in ms). A cache of the token table."""
        self._client_secrets: dict[str, str] = {}
        """Encrypted → clear, so a start of exam does not decrypt a thousand times."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """`path` is the request's path with a doubled leading slash already folded (§0)."""
        if path == wire.PING:
            await self._ping(scope, receive, send)
        elif path == wire.LOG:
            await self._log(scope, receive, send)
        else:
            await self._step(scope, receive, send, path)

    # --- hot path ---

    async def _ping(self, scope: Scope, receive: Receive, send: Send) -> None:
        authorization = token = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"sebconnectiontoken":
                token = value
        body = await _read_body(receive, FORM_LIMIT) or b""
        if not self._knows_bearer(authorization):
            try:
                await self._authenticate(authorization)
            except _Unauthorised as error:
                await _send_unauthorised(send, error)
                return
            except Unavailable:
                pass  # a database in trouble is no reason to fail a ping
        pings_total.inc()
        live = None if token is None else await self._find(token)
        if live is None:
            await _send(send, 204)
            return
        confirm = _confirmation(body) or (
            wire.parse_form(scope["query_string"]).get("instruction-confirm")
            if scope["query_string"]
            else None
        )
        self._connections.ping(live, confirm)
        if self._connections.must_quit(live):
            await _send(send, 200, wire.QUIT_BODY, [wire.JSON_TYPE])
            return
        if live.queue or live.claimed:
            instruction = await self._connections.next_instruction(live)
            if instruction is not None:
                await _send(send, 200, wire.instruction_body(instruction), [wire.JSON_TYPE])
                return
        await _send(send, 204)

    async def _log(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        authorization = wire.header(headers, b"authorization")
        if not self._knows_bearer(authorization):
            try:
                await self._authenticate(authorization)
            except _Unauthorised as error:
                await _read_body(receive, FORM_LIMIT)  # a stranger's 8 MiB are not kept
                await _send_unauthorised(send, error)
                return
            except Unavailable:
                pass
        body = await _read_body(receive, EVENT_LIMIT)
        token = wire.header(headers, b"sebconnectiontoken")
        live = None if token is None else await self._find(token)
        outcome = "accepted"
        if live is None:
            outcome = "unknown_connection"
        elif body is None:
            outcome = "too_large"
        else:
            event = wire.parse_event(body, connection_id=live.id, now=self._clock.now_ms())
            if event is None:
                outcome = "unreadable"
            elif live.state.is_open:
                self._connections.event(live, event)
            else:
                outcome = "closed_connection"
        _events.labels(outcome).inc()
        await _send(send, 204)

    async def _find(self, token: bytes) -> LiveConnection | None:
        token_hash = _token_hash(token) if len(token) <= TOKEN_LENGTH else digest(token.decode("latin-1"))
        return self._connections.known(token_hash) or await self._connections.find(token_hash)

    # --- authentication ---

    def _knows_bearer(self, authorization: bytes | None) -> bool:
        known = None if authorization is None else self._bearers.get(authorization)
        if known is None or known[1] <= self._clock.now_ms():
            return False
        configuration = self._directory.configurations.get(known[0])
        return configuration is not None and configuration.is_active

    async def _authenticate(self, authorization: bytes | None) -> ConnectionConfiguration:
        if authorization is None or authorization[:7].lower() != b"bearer ":
            raise _Unauthorised(
                "unauthorized", "Send the access token of the token endpoint as bearer token."
            )
        known = self._bearers.get(authorization)
        if known is None:
            token = authorization[7:].strip().decode("latin-1")
            async with self._reading() as w:
                known = await exam_queries.access_token(w.db, digest(token))
            if known is None:
                raise _Unauthorised("invalid_token", "This access token is not known.")
            if known[0] not in self._directory.configurations:
                await self._directory.reload()
            if len(self._bearers) >= TOKEN_CACHE:
                self._bearers.clear()
            if len(authorization) <= BEARER_LENGTH:
                self._bearers[authorization] = known
        configuration = self._directory.configurations.get(known[0])
        if known[1] <= self._clock.now_ms():
            raise _Unauthorised("invalid_token", "This access token has expired.")
        if configuration is None or not configuration.is_active:
            raise _Unauthorised(
                "invalid_token", "The connection configuration of this access token is not active."
            )
        return configuration

    # --- steps: one transaction each ---

    async def _step(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        method = scope["method"]
        step = f"{method} {path.rsplit('/', 1)[1]}"
        status, body, headers = await self._answer(scope, receive, path, method)
        if path in wire.PATHS:
            _requests.labels(step if status != 405 else "other", status).inc()
        await _send(send, status, body, headers)

    async def _answer(
        self, scope: Scope, receive: Receive, path: str, method: str
    ) -> tuple[int, bytes, Headers]:
        try:
            return await self._dispatch(scope, receive, path, method)
        except _Unauthorised as error:
            return _unauthorised(error)
        except ApiErrorRaised as error:
            return error.error.status, error.error.body(), [wire.JSON_TYPE]
        except Refused as error:
            return _failed(path, ApiError(400, "1010", error.message))
        except NotFound as error:
            return _failed(path, ApiError(404, "1002", error.message))
        except BadInput as error:
            return _failed(path, ApiError(400, "0", error.message))
        except Unavailable as error:
            return (
                ApiError(503, "1100", error.message).status,
                ApiError(503, "1100", error.message).body(),
                [wire.JSON_TYPE],
            )
        except InvigiloError as error:
            return _failed(path, ApiError(400, "1010", error.message))
        except Exception:
            log.exception("exam_api_failed", step=f"{method} {path}")
            error = ApiError(500, "1100", "The server could not do this. Its log says why.")
            return error.status, error.body(), [wire.JSON_TYPE]

    async def _dispatch(
        self, scope: Scope, receive: Receive, path: str, method: str
    ) -> tuple[int, bytes, Headers]:
        body = await _read_body(receive, FORM_LIMIT)
        if body is None:
            raise ApiErrorRaised(ApiError(413, "0", f"At most {FORM_LIMIT // 1024} KiB are read here."))
        form = wire.parse_form(body, scope["query_string"])
        match path, method:
            case wire.DISCOVERY, "GET" | "HEAD":
                return _json(wire.discovery_document(self._base_url_of(scope)))
            case wire.TOKEN, "POST":
                return await self._issue_token(scope)
            case wire.HANDSHAKE, "POST":
                return await self._create(scope, form)
            case wire.HANDSHAKE, "PATCH":
                return await self._select(scope, form)
            case wire.HANDSHAKE, "PUT":
                return await self._establish(scope, form)
            case wire.HANDSHAKE, "DELETE":
                return await self._close(scope)
            case wire.CONFIGURATION, "GET":
                return await self._configuration(scope, form)
            case _ if path in wire.PATHS:
                raise ApiErrorRaised(ApiError(405, "0", f"{path} does not answer {method[:16]}."))
            case _:
                raise ApiErrorRaised(ApiError(404, "1002", "There is nothing at this path."))

    async def _issue_token(self, scope: Scope) -> tuple[int, bytes, Headers]:
        """Never answers `invalid_token`: some clients would ask for a token again without end (§8 Q10)."""
        credentials = wire.basic_credentials(wire.header(scope["headers"], b"authorization"))
        configuration = None if credentials is None else await self._check_client(*credentials)
        if configuration is None:
            body = wire.oauth_error(
                "invalid_client", "Unknown client name, wrong secret, or configuration not active."
            )
            return 401, body, [wire.JSON_TYPE, (b"www-authenticate", b'Basic realm="exam-api"')]
        token = secrets.token_urlsafe(32)
        expires_at = self._clock.now_ms() + TOKEN_LIFETIME * 1000
        async with self._work() as w:
            await exam_queries.add_access_token(
                w.db, token_hash=digest(token), configuration_id=configuration.id, expires_at=expires_at
            )
        answer = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": TOKEN_LIFETIME,
            "scope": "read write",
            "jti": secrets.token_hex(16),
        }
        return 200, msgspec.json.encode(answer), [wire.JSON_TYPE, (b"cache-control", b"no-store")]

    async def _look_again(self) -> None:
        """At most once a second: whoever asks with invented names must not make the database work."""
        async with self._looking:  # who comes while somebody looks waits for what is found
            if time.monotonic() >= self._look_from:
                self._look_from = time.monotonic() + 1
                await self._directory.reload()

    async def _check_client(self, client_id: str, secret: str) -> ConnectionConfiguration | None:
        configuration = self._directory.by_client_id.get(client_id)
        if configuration is None:
            await self._look_again()  # set up a moment ago, perhaps by another process
            configuration = self._directory.by_client_id.get(client_id)
        if configuration is None or not configuration.is_active:
            return None
        sealed = self._directory.secrets[configuration.id]
        clear = self._client_secrets.get(sealed)
        if clear is None:
            clear = self._client_secrets[sealed] = self._box.decrypt(sealed)
        return configuration if secrets.compare_digest(clear.encode(), secret.encode()) else None

    async def _create(self, scope: Scope, form: dict[str, str]) -> tuple[int, bytes, Headers]:
        configuration = await self._authenticate(wire.header(scope["headers"], b"authorization"))
        device = wire.device_of(form, self._address_of(scope))
        created = await self._connections.create(
            configuration,
            institution_id=form.get("institutionId"),
            exam_id=form.get("examId"),
            device=device,
        )
        base = self._base_url_of(scope)
        listed = [
            wire.exam_entry(exam, self._exam_url(exam, base, created.entry_key, device))
            for exam in created.exams
        ]
        status, body, headers = _json(listed)
        token = (b"SEBConnectionToken", created.connection_token.encode())
        return status, body, [*headers, token, *wire.exam_headers(created.exam)]

    async def _select(self, scope: Scope, form: dict[str, str]) -> tuple[int, bytes, Headers]:
        exam = await self._connections.select(
            await self._connection_token(scope),
            exam_id=form.get("examId"),
            user_session_id=form.get("seb_user_session_id"),
            signature_key=form.get("seb_signature_key"),
            device=wire.device_of(form, self._address_of(scope)),
        )
        return 200, b"", wire.exam_headers(exam)

    async def _establish(self, scope: Scope, form: dict[str, str]) -> tuple[int, bytes, Headers]:
        exam = await self._connections.establish(
            await self._connection_token(scope),
            exam_id=form.get("examId"),
            user_session_id=form.get("seb_user_session_id"),
            signature_key=form.get("seb_signature_key"),
            device=wire.device_of(form, self._address_of(scope)),
        )
        return 200, b"", wire.exam_headers(exam)

    async def _close(self, scope: Scope) -> tuple[int, bytes, Headers]:
        await self._connections.close(await self._connection_token(scope))
        return 200, b"", []

    async def _configuration(self, scope: Scope, form: dict[str, str]) -> tuple[int, bytes, Headers]:
        token = await self._connection_token(scope)
        exam = await self._connections.bind_and_download(token, exam_id=form.get("examId"))
        live = self._connections.known(digest(token))
        device = Device() if live is None else live.device
        return 200, await self._settings_of(exam, device), [(b"content-type", b"application/octet-stream")]

    async def _connection_token(self, scope: Scope) -> str:
        """Authenticates, and returns the connection token. Its connection must be of the same institution."""
        configuration = await self._authenticate(wire.header(scope["headers"], b"authorization"))
        token = wire.header(scope["headers"], b"sebconnectiontoken")
        if not token:
            raise ApiErrorRaised(ApiError(400, "0", "The header SEBConnectionToken is missing."))
        live = await self._find(token)
        if live is not None and live.institution_id != configuration.institution_id:
            raise ApiErrorRaised(ApiError(500, "0", "This connection belongs to another institution."))
        return token.decode("latin-1")


class ApiErrorRaised(Exception):
    """Carries an answer out of a step."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.details)
        self.error = error


def _failed(path: str, error: ApiError) -> tuple[int, bytes, Headers]:
    """Any failure of the settings download is a 500 with an array; no client depends on more (§2.10, §8 Q31)."""
    if path == wire.CONFIGURATION:
        error = ApiError(500, "0", error.details)
    return error.status, error.body(), [wire.JSON_TYPE]


def _unauthorised(error: _Unauthorised) -> tuple[int, bytes, Headers]:
    challenge = f'Bearer realm="exam-api", error="{error.error}"'.encode()
    return (
        401,
        wire.oauth_error(error.error, error.description),
        [wire.JSON_TYPE, (b"www-authenticate", challenge)],
    )


def _json(value: Any) -> tuple[int, bytes, Headers]:
    return 200, msgspec.json.encode(value), [wire.JSON_TYPE]


def _confirmation(body: bytes) -> str | None:
    """The confirm id of a ping body, without parsing the rest: most pings have none."""
    if b"instruction-confirm" not in body:
        return None
    return wire.parse_form(body).get("instruction-confirm")


@lru_cache(maxsize=TOKEN_CACHE)
def _token_hash(token: bytes) -> str:
    """Remembered, because the same tokens come once a second, and hashing is a tenth of a ping."""
    return digest(token.decode("latin-1"))


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when it is larger than `limit`, read to its end all the same so that the answer arrives."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body if len(body) <= limit else None
    size = len(body)
    parts = [body]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None  # half a form is not what the client meant
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        elif size > limit * 4:
            break
    return b"".join(parts) if size <= limit else None


async def _send_unauthorised(send: Send, error: _Unauthorised) -> None:
    await _send(send, *_unauthorised(error))


_NO_CONTENT: dict[str, Any] = {"type": "http.response.start", "status": 204, "headers": []}
_NO_BODY: dict[str, Any] = {"type": "http.response.body", "body": b""}


async def _send(send: Send, status: int, body: bytes = b"", headers: Headers | None = None) -> None:
    if status == 204:
        await send(_NO_CONTENT)
        await send(_NO_BODY)
        return
    all_headers = [*(headers or []), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})
