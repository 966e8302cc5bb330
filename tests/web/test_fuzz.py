"""Garbage on every address and both sockets: the server answers with a refusal, never with a failure, and forgets it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes

import aiohttp
import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rtc.pages import PATIENCE, Page, candidate_page, jpeg, proctor_page
from tests.server import Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, Candidate, candidate_in, exam_called, sign_in
from tests.web.rights import records
from tests.web.test_permission_matrix import RULES

pytestmark = pytest.mark.asyncio(loop_scope="module")

some = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,  # a finding comes with a change, not with luck
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
ADDRESSES = sorted(rule for rule in RULES | records.RULES if rule[0] != "WEBSOCKET")
METHODS = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"]


@dataclass
class Site:
    server: Server
    browser: Browser
    candidate: Candidate
    victim: Candidate
    """Whom the requests hit: they may lock it, end it and disable it."""
    log: list[Any]

    @property
    def exam_id(self) -> int:
        return exam_called(self.server, "Linear Algebra")

    @property
    def failures(self) -> list[Any]:
        return [line for line in self.log if line["log_level"] in {"error", "critical"}]

    async def settle(self) -> None:
        """Wait until nothing of the last visitor is left."""
        hub = self.server.app.hub
        until = time.monotonic() + PATIENCE
        while hub.candidates or hub.proctors or self.server.app.sockets._tasks:
            assert time.monotonic() < until, "a socket's task is stuck"
            await asyncio.sleep(0.005)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    with structlog.testing.capture_logs() as log:
        async with running(tmp_path_factory.mktemp("fuzz"), text=TWO_INSTITUTIONS) as server:
            tasks = len(asyncio.all_tasks())
            browser = await sign_in(server, "grace")
            candidates = [await candidate_in(server, "Linear Algebra") for _ in range(2)]
            site = Site(server, browser, *candidates, log)
            yield site
            await site.settle()
            until = time.monotonic() + PATIENCE
            while len(asyncio.all_tasks()) > tasks + 4:  # keep-alive connections of the test's own client
                assert time.monotonic() < until, asyncio.all_tasks()
                await asyncio.sleep(0.02)
    assert site.failures == []


# --- requests, byte by byte ---

WORDS = st.sampled_from([
    b"", b"0", b"1", b"-1", b"99999999999999999999", b"1.5", b"1e9", b"true", b"null", b"NaN", b"%00", b"%ff", b"%", b"%zz",
    b"..", b"../../etc/passwd", b"..%2f..%2fetc%2fpasswd", b"....//", b"%2e%2e", b"/", b"//evil.example.org", b"\\", b"'", b'"',
    b"<script>", b"{{7*7}}", b"' OR 1=1 --", b"\xc3\xa4", b"\xff\xfe", b"%F0%9F%98%80", b"%ED%A0%80", b"a" * 3000, b"en", b"de",
])  # fmt: skip
RAW = st.binary(max_size=40)
GARBAGE = WORDS | RAW
LINE_SAFE = GARBAGE.map(lambda raw: bytes(one for one in raw if one >= 0x20 and one != 0x7F))
"""Header values: what the protocol's parser refuses never comes as far as our pages."""
IN_PATH = GARBAGE.map(lambda raw: quote_from_bytes(raw, safe="%/.'()*=&").encode())
QUERY = st.lists(
    st.tuples(st.sampled_from([b"lang", b"next", b"after", b"before", b"types", b"x"]) | IN_PATH, IN_PATH)
    | st.tuples(st.sampled_from(records.ASKED), IN_PATH),
    max_size=4,
)
HEADER_NAMES = [
    "Accept", "Accept-Language", "Accept-Encoding", "X-CSRFToken", "Origin", "Referer", "Range", "If-None-Match",
    "If-Modified-Since", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Authorization", "Expect", "X-HTTP-Method-Override",
]  # fmt: skip
KINDS = [
    "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x", "multipart/form-data",
    "text/plain", "application/x-www-form-urlencoded; charset=utf-16", "application/msgpack", ";", "a/b/c", "application/json; charset=x",
]  # fmt: skip
FIELDS = [b"username", b"password", b"next", b"_csrf_token", b"message", b"purpose", b"x"]
BODIES = st.one_of(
    GARBAGE,
    st.lists(st.tuples(st.sampled_from(FIELDS), IN_PATH), max_size=6).map(
        lambda pairs: b"&".join(name + b"=" + value for name, value in pairs)
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["message", "x"]), inner),
    ).map(lambda value: json.dumps(value).encode()),
    st.just(b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\nhi\r\n--x--\r\n'),
    st.just(b'--x\r\nContent-Disposition: form-data; name="message"; filename="a"\r\n\r\nhi'),
    st.just(b"[" * 5_000),
    st.just(b"x" * 70_000),
    st.just(b"message=" + b"x" * 5_000),
    st.just(b"a=b&" * 3_000),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, list[bytes], dict[str, bytes], bool, bytes | None]:
    """(method, address, path pieces, headers, with a true session and token?, body)"""
    method, address = draw(st.sampled_from(ADDRESSES))
    if draw(st.integers(0, 9)) == 0:
        method = draw(st.sampled_from(METHODS))
    pieces = [draw(IN_PATH) if draw(st.integers(0, 2)) == 0 else b"" for _ in range(address.count("{"))]
    names = draw(st.lists(st.sampled_from(HEADER_NAMES), max_size=3, unique=True))
    headers = {name: draw(LINE_SAFE) for name in names}
    if draw(st.booleans()):
        headers["Content-Type"] = draw(st.sampled_from(KINDS).map(str.encode) | LINE_SAFE)
    if draw(st.integers(0, 3)) == 0:
        headers["Cookie"] = draw(LINE_SAFE | LINE_SAFE.map(lambda raw: b"invigilo_session=" + raw))
    body = draw(st.none() | BODIES)
    query = draw(QUERY)
    if query:
        pieces.append(b"?" + b"&".join(name + b"=" + value for name, value in query))
    return method, address, pieces, headers, draw(st.integers(0, 3)) > 0, body


def _fill(site: Site, address: str, pieces: list[bytes]) -> bytes:
    true = {
        "exam_id": site.exam_id, "connection_id": site.victim.id, "number": 1, "configuration_id": 1,
        "key": site.victim.key, "token": "x", "version": "x", "name": "x", "path": "x",
    }  # fmt: skip
    parts = address.split("{")
    path = parts[0].encode()
    for part, piece in zip(parts[1:], pieces, strict=False):
        name, _, rest = part.partition("}")
        path += (piece or str(true[name]).encode()) + rest.encode()
    return path + b"".join(pieces[len(parts) - 1 :])


async def _send(site: Site, raw: bytes) -> tuple[int | None, bytes]:
    """Status (None when the server only closed) and everything that came."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
        try:
            writer.write(raw)
            await writer.drain()
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        finally:
            writer.close()
    return (int(answer[9:12]) if answer.startswith(b"HTTP/1.") else None), answer


@some
@given(requests())
async def test_no_request_makes_a_page_fail(site: Site, request: Any) -> None:
    method, address, pieces, headers, is_signed_in, body = request
    path = _fill(site, address, pieces)
    if is_signed_in and not path.startswith(b"/logout"):
        headers = {
            "Cookie": site.browser.cookie.encode(),
            "X-CSRFToken": site.browser.cookies["csrftoken"].encode(),
        } | headers
    lines = [f"{method} ".encode() + path + b" HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"]
    lines += [name.encode() + b": " + value for name, value in headers.items()]
    if body is not None:
        lines.append(b"Content-Length: " + str(len(body)).encode())
    status, answer = await _send(site, b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))
    assert status is None or status < 500, (lines, answer)
    assert b"Traceback" not in answer
    assert site.failures == []


@pytest.mark.parametrize(
    "value", ["", "x", "[", "a b", "127.0.0.1:99999", "<script>", "ä", "a" * 5_000, "exa;mple", "'self'"]
)
async def test_no_host_name_breaks_a_page_or_its_policy(site: Site, value: str) -> None:
    raw = f"GET /login HTTP/1.1\r\nConnection: close\r\nHost: {value}\r\n\r\n".encode()
    status, answer = await _send(site, raw)
    assert status is None or status < 500
    policy = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"content-security-policy")]
    for line in policy:
        assert b"<script>" not in line
        assert line.count(b";") == 9
    assert site.failures == []


@pytest.mark.parametrize(
    "name",
    [
        "%00",
        "a" * 5_000,
        "../../site.py",
        "..%2f..%2fsite.py",
        "%2e%2e/%2e%2e/site.py",
        "//etc/passwd",
        "proctor",
        ".",
    ],
)
async def test_only_static_files_are_static_files(site: Site, name: str) -> None:
    """A zero byte once made this page fail; nothing outside the folder was ever given."""
    status, _ = await _send(
        site, f"GET /static/x/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert status == 404
    assert site.failures == []


# --- both sockets ---

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KNOWN_FIELDS = [
    "tab", "language", "seb", "camera", "microphone", "path", "detail", "visible", "exam_opened", "peer", "kind", "sdp", "candidate",
    "state", "revision", "n", "connection", "reports", "connections",
]  # fmt: skip
GOOD_VALUES = st.sampled_from([
    "ok", "pending", "live", "off", "offer", "answer", "candidate", "connected", "all", "x", 0, 1, 2, 2**31 - 1, 2**53 - 1, True,
    None, [], [1], [2**31 - 1], {"candidate": "x"}, [{"connection": 1, "frames": 1}], [{"connection": 1, "frames": 1, "width": -1}],
])  # fmt: skip
TYPES = [
    "hello",
    "self_check",
    "media",
    "signal",
    "peer",
    "confirm",
    "watch",
    "unwatch",
    "restart",
    "frames",
    "stills",
    "welcome",
]
MESSAGES = st.builds(
    lambda t, fields: json.dumps({"t": t, **fields}),
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(KNOWN_FIELDS), GOOD_VALUES | JSON_VALUES, max_size=5),
)
WHOLE = st.sampled_from([
    '{"t":"self_check","camera":"ok","microphone":"in_use","path":"stills_only","detail":"\\u0000"}',
    '{"t":"media","camera":"live","microphone":"off","visible":false,"exam_opened":true}',
    '{"t":"confirm","revision":0}',
    '{"t":"confirm","revision":1}',
    '{"t":"watch","connection":1}',
    '{"t":"unwatch","connection":1}',
    '{"t":"restart","connection":1}',
    '{"t":"stills","connections":"all"}',
    '{"t":"frames","reports":[{"connection":1,"frames":3}]}',
    '{"t":"signal","connection":1,"kind":"candidate","candidate":null}',
    '{"t":"hello","tab":"again"}',
])  # fmt: skip
PICTURE = jpeg()
BROKEN_PICTURES = st.tuples(st.integers(0, len(PICTURE) - 1), st.binary(min_size=1, max_size=8)).map(
    lambda hit: PICTURE[: hit[0]] + hit[1] + PICTURE[hit[0] + len(hit[1]) :]
)
FRAMES = st.one_of(
    MESSAGES,
    WHOLE,
    JSON_VALUES.map(json.dumps),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    st.binary(max_size=50),
    st.just(PICTURE),
    BROKEN_PICTURES,
    BROKEN_PICTURES.map(lambda picture: picture[: len(picture) // 2]),
)
ENDINGS = {4008, 1009, 1007, 1002}


async def _throw(page: Page, frames: list[str | bytes]) -> None:
    """All of it; then the page is either closed for it or still served."""
    for frame in frames:
        await (page.socket.send_str(frame) if isinstance(frame, str) else page.socket.send_bytes(frame))
    await page.barrier()


@some
@given(st.lists(FRAMES, min_size=1, max_size=12))
async def test_no_frame_breaks_a_candidates_socket(site: Site, frames: list[str | bytes]) -> None:
    async with candidate_page(site.server, site.candidate) as page:
        await _throw(page, frames)
    await site.settle()
    assert site.failures == []


@some
@given(st.lists(FRAMES, min_size=1, max_size=12))
async def test_no_frame_breaks_a_proctors_socket(site: Site, frames: list[str | bytes]) -> None:
    async with proctor_page(site.browser, site.exam_id) as (page, _):
        await _throw(page, frames)
    await site.settle()
    assert site.failures == []


@some
@given(st.lists(FRAMES, min_size=1, max_size=8), st.lists(FRAMES, min_size=1, max_size=8))
async def test_two_liars_who_watch_each_other_break_nothing(
    site: Site, one: list[str | bytes], other: list[str | bytes]
) -> None:
    async with (
        candidate_page(site.server, site.candidate) as candidate,
        proctor_page(site.browser, site.exam_id) as (proctor, _),
    ):
        await proctor.send("watch", connection=site.candidate.id)
        await candidate.until(t="watch")
        await asyncio.gather(_throw(candidate, one), _throw(proctor, other))
    await site.settle()
    assert site.failures == []


@pytest.mark.parametrize("side", ["candidate", "proctor"])
@pytest.mark.parametrize("raw", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b'{"t":"ping","n":1}\xff'], ids=repr)
async def test_a_text_that_is_no_text_closes_only_its_own_socket(site: Site, side: str, raw: bytes) -> None:
    opened = candidate_page(site.server, site.candidate) if side == "candidate" else None
    if opened is not None:
        async with opened as page:
            await page.socket._writer.send_frame(raw, aiohttp.WSMsgType.TEXT)
            assert await page.closing() in ENDINGS
    else:
        async with proctor_page(site.browser, site.exam_id) as (page, _):
            await page.socket._writer.send_frame(raw, aiohttp.WSMsgType.TEXT)
            assert await page.closing() in ENDINGS
    await site.settle()
    assert site.failures == []


@pytest.mark.parametrize("side", ["candidate", "proctor"])
async def test_who_vanishes_without_a_word_leaves_nothing_behind(site: Site, side: str) -> None:
    """A cut cable: the connection is reset in the middle of things."""
    opened = (
        candidate_page(site.server, site.candidate)
        if side == "candidate"
        else proctor_page(site.browser, site.exam_id)
    )
    async with opened as found:
        page = found if isinstance(found, Page) else found[0]
        await page.send("ping", n=1)
        transport = page.socket._response.connection.transport
        transport.abort()
    await site.settle()
    assert site.failures == []
