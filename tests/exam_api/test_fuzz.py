"""Garbage on every endpoint of the exam API: never an unexpected failure, and the next client is served as ever."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invigilo.exam_api import wire
from tests.exam_api.raw import PATIENCE, RawConnection
from tests.server import BASIC, Answer, SebWire, Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

garbage = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,  # the same garbage everywhere: a red run can be repeated, and a green one stays green
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# --- the garbage ---

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "MKCOL")
FORM_NAMES = (
    "institutionId", "examId", "client_id", "seb_machine_name", "seb_os_name", "seb_version", "seb_user_session_id",
    "seb_signature_key", "timestamp", "ping-number", "instruction-confirm", "grant_type", "scope", "delete",
)  # fmt: skip
EVENT_TYPES = (
    "UNKNOWN", "DEBUG_LOG", "INFO_LOG", "WARN_LOG", "ERROR_LOG", "NOTIFICATION", "NOTIFICATION_CONFIRMED", "LAST_PING", "",
)  # fmt: skip
TAGS = ("<battery> ", "<wlan> ", "<raisehand> ", "<lockscreen> ", "<", "<>", "")

odd_values = st.sampled_from(
    [
        b"", b"0", b"1", b"-1", b"01", b"+1", b"1e3", b"9" * 18, b"9" * 19, b"9" * 5000, "١".encode(), "²".encode(), b"0x1",
        b"null", b"%", b"%zz", b"%00", b"%ff%fe", b"%ED%A0%80", b"\x00", b"\xff\xfe", b"=", b"==&&==", b"' OR 1=1 --",
        b"<script>", "🎓".encode(), b"a" * 300_000, b"ab" * 40, b"00" * 5000, b"..%2f..", b"\xed\xa0\x80", b"\r\n\t",
    ]
)  # fmt: skip
form_values = odd_values | st.binary(max_size=40) | st.text(max_size=20).map(lambda t: t.encode())
forms = st.lists(
    st.tuples(st.sampled_from(FORM_NAMES).map(str.encode) | st.binary(max_size=12), form_values), max_size=6
).map(lambda pairs: b"&".join(name + b"=" + value for name, value in pairs))

numbers = (
    st.integers() | st.floats() | st.sampled_from([2**31, 2**53 - 1, 2**63, -(2**63), 10**400, 1e308, -0.0])
)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
event_texts = st.builds(
    lambda tag, text, times: tag + text * times,
    st.sampled_from(TAGS),
    st.text(max_size=30),
    st.sampled_from([1, 1, 500]),
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(EVENT_TYPES) | json_values},
    optional={
        "timestamp": numbers | numbers.map(str) | json_values,
        "numericValue": numbers | numbers.map(str) | json_values,
        "text": event_texts | json_values,
        "unknown": json_values,
    },
)
event_bodies = st.builds(
    lambda event, ascii_only, cut: json.dumps(event, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    )[: cut or None],
    events | json_values,
    st.booleans(),
    st.sampled_from([0, 0, 0, 0, -1, 7]),
)

paths = st.sampled_from(sorted(wire.PATHS)) | st.sampled_from(
    [
        "//exam-api/v1/sebping", "///oauth/token", "/exam-api/v1/", "/exam-api/", "/exam-api/v2/handshake",
        "/exam-api/v1/handshake/", "/exam-api/v1/../v1/handshake", "/exam-api/v1/%68andshake", "/exam-api/v1/sebping;x=1",
        "/exam-api/v1/sebping%00", "/exam-api/%ff", "/exam-api/" + "a" * 4000,
    ]
)  # fmt: skip
queries = st.just("") | forms.map(
    lambda form: "?" + "".join(chr(c) for c in form[:2000] if 32 < c < 127 and c != 35)
)
controls = bytes([*range(32), 127])
header_bytes = st.one_of(
    st.binary(max_size=40).map(lambda b: b.translate(None, controls)),
    st.binary(max_size=40).map(lambda b: b.translate(None, controls)),
    st.binary(max_size=40).map(lambda b: b.translate(None, b"\r\n")),
)
odd_headers = st.lists(
    st.tuples(
        st.sampled_from(
            ["Content-Type", "Accept", "Cookie", "X-Forwarded-For", "Origin", "Content-Encoding", "Range", "If-Match", "X-Odd"]
        ),
        header_bytes | st.sampled_from([b"application/json", b"multipart/form-data; boundary=", b"text/plain; charset=utf-7"]),
    ),
    max_size=3,
)  # fmt: skip
KNOWN = b"the known one"
"""Stands for the credential of an open connection."""
authorizations = st.sampled_from(
    [KNOWN, KNOWN, KNOWN, None, b"", b"Bearer", b"Bearer ", b"Basic", b"Basic =", BASIC.encode()]
)
tokens = st.sampled_from([KNOWN, KNOWN, KNOWN, None, b"", b"nobody", b"a" * 8000])


@dataclass(frozen=True)
class Garbage:
    """One request."""

    method: str
    path: str
    authorization: bytes | None
    token: bytes | None
    headers: list[tuple[str, bytes]]
    body: bytes | None


requests = st.builds(
    Garbage,
    method=st.sampled_from(METHODS),
    path=st.builds(lambda path, query: path + query, paths, queries),
    authorization=authorizations | header_bytes.map(lambda b: b"Bearer " + b) | header_bytes,
    token=tokens | header_bytes,
    headers=odd_headers,
    body=st.none() | forms | event_bodies | st.binary(max_size=60),
)
step_requests = st.builds(
    Garbage,
    method=st.sampled_from(["POST", "PATCH", "PUT"]),
    path=st.just(wire.HANDSHAKE),
    authorization=st.just(KNOWN),
    token=st.just(KNOWN),
    headers=odd_headers,
    # ids count from 1, so some of these name our institution and our exam
    body=st.builds(
        bytes.__add__,
        st.sampled_from([b"", b"institutionId=1&", b"institutionId=1&examId=1&", b"examId=1&"]),
        forms,
    ),
)
event_requests = st.builds(
    Garbage,
    method=st.just("POST"),
    path=st.just(wire.LOG),
    authorization=st.just(KNOWN),
    token=st.just(KNOWN),
    headers=st.just([]),
    body=event_bodies | events.map(lambda event: json.dumps(event).encode()),
)

# --- how it is thrown ---


class Thrower:
    """Throws at one server, from one client that is open whenever it is needed, watched by another."""

    def __init__(self, server: Server, bystander: SebWire) -> None:
        self.server = server
        self.bystander = bystander
        self.victim: SebWire | None = None

    async def throw(self, thrown: Garbage) -> Answer:
        if self.victim is None or not self.victim.live.state.is_open:
            self.victim = await self.server.connect(f"examId={await self.server.exam_id()}")
        headers = list(thrown.headers)
        if thrown.authorization is not None:
            is_known = thrown.authorization is KNOWN
            headers.append(
                ("Authorization", self.victim.bearer.encode() if is_known else thrown.authorization)
            )
        if thrown.token is not None:
            is_known = thrown.token is KNOWN
            headers.append(("SEBConnectionToken", self.victim.token.encode() if is_known else thrown.token))
        connection = RawConnection(self.server.port)
        try:
            return await connection.request(thrown.method, thrown.path, headers, thrown.body)
        finally:
            await connection.close()

    async def assert_unharmed(self) -> None:
        """Nothing hangs, what was accepted can be stored, and a client in the middle of its exam notices nothing."""
        async with asyncio.timeout(PATIENCE):
            while tasks := self.server.uvicorn.server_state.tasks:
                await asyncio.wait(tasks)
        assert not self.server.app.connections._loading
        assert await self.server.app.writer.flush()
        assert (await self.bystander.ping()).status == 204


_throwers: list[Thrower] = []


async def _thrower(server: Server) -> Thrower:
    if not _throwers or _throwers[-1].server is not server:
        _throwers.append(Thrower(server, await server.ready()))
    return _throwers[-1]


def assert_orderly(thrown: Garbage, answer: Answer) -> None:
    """No unexpected failure: only the settings download says 500, as an array with code 0 (§2.10)."""
    if answer.status < 500:
        return
    assert thrown.path.lstrip("/").startswith(wire.CONFIGURATION.lstrip("/")), answer
    assert (answer.status, answer.json[0]["messageCode"]) == (500, "0")


async def _survives(server: Server, thrown: Garbage) -> Answer:
    thrower = await _thrower(server)
    with structlog.testing.capture_logs() as logged:
        answer = await thrower.throw(thrown)
        assert_orderly(thrown, answer)
        await thrower.assert_unharmed()
    assert [line for line in logged if line["log_level"] in {"error", "critical"}] == []
    return answer


@garbage
@given(thrown=requests)
async def test_any_request_is_answered_in_order(server: Server, thrown: Garbage) -> None:
    await _survives(server, thrown)


@garbage
@given(thrown=step_requests)
async def test_any_form_is_a_step_or_a_refusal(server: Server, thrown: Garbage) -> None:
    answer = await _survives(server, thrown)
    assert answer.status in {200, 400, 413}
    if answer.status != 200 and answer.body:
        assert answer.headers["content-type"] != "application/json" or answer.json


@garbage
@given(thrown=event_requests)
async def test_any_event_is_204(server: Server, thrown: Garbage) -> None:
    assert (await _survives(server, thrown)).status == 204


@garbage
@given(
    raw=st.lists(
        st.binary(max_size=60) | st.sampled_from([b"\r\n", b"GET / ", b"HTTP/1.1\r\n", b"\x16\x03\x01"]),
        max_size=6,
    )
)
async def test_bytes_that_are_no_request_disturb_nobody(server: Server, raw: list[bytes]) -> None:
    """A port scanner, a TLS client on a plain port, a broken proxy."""
    thrower = await _thrower(server)
    connection = RawConnection(server.port)
    await connection.send(b"".join(raw))
    await connection.close()
    await thrower.assert_unharmed()
