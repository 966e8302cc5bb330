"""No secret and no name ever reaches a log line, whatever way it travels."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from hypothesis import given
from hypothesis import strategies as st

from invigilo.log import HIDDEN, scrub, scrub_event, scrub_text, set_up
from tests.logged import logging_in_memory
from tests.server import PASSWORD, Server, running
from tests.web.people import TWO_INSTITUTIONS, candidate_in, sign_in

SECRET = "Zx9_secret-Value.7QwErTy"

TEXTS = [
    "Authorization: Bearer {}",
    "authorization: basic {}",
    "GET https://exams.example.org/e/{} HTTP/1.1",
    "/e/{}/socket",
    "/login/link/{}?lang=de",
    "POST /oauth/token?client_secret={}&x=1",
    "https://meet.example.org/room?jwt={}",
    "?access_token={}",
    "url='/x?signature={}'",
    "postgresql://invigilo:{}@db.example.org/invigilo",
    "redis+tls://:{}@cache.example.org",
    "SEBConnectionToken: {}",
    "('SEBConnectionToken', '{}')",
    "Cookie: invigilo_session={}; csrftoken={}",
    "Set-Cookie: invigilo_session={}; Path=/",
    "X-CSRFToken={}",
    "password={}",
]
KEYS = [
    "password", "new_password", "passwd", "client_secret", "secret_key", "token", "connection_token", "SEBConnectionToken",
    "Authorization", "cookie", "set-cookie", "api_key", "apikey", "entry_key", "entrykey", "private_key", "signature",
    "jwt", "bearer", "credential", "name", "display_name", "candidate", "user_session_id", "username", "account_name",
    "machine_name",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_inside_a_text_is_hidden(text: str) -> None:
    full = text.replace("{}", SECRET)
    assert SECRET not in scrub_text(full)
    assert HIDDEN in scrub_text(full)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("wrap", [
    lambda t: [t], lambda t: {"url": t}, lambda t: {"a": [{"b": (t,)}]}, lambda t: t.encode(), ValueError, lambda t: {t},
])  # fmt: skip
def test_a_secret_is_hidden_however_deep_it_lies(text: str, wrap: Any) -> None:
    assert SECRET not in repr(scrub(wrap(text.replace("{}", SECRET))))


@pytest.mark.parametrize("key", KEYS)
def test_what_stands_under_a_telling_key_is_hidden(key: str) -> None:
    assert scrub_event(None, "info", {"event": "x", key: SECRET})[key] == HIDDEN
    assert SECRET not in repr(scrub({"headers": {key: [SECRET]}}))
    assert SECRET not in repr(scrub([(key, SECRET)]))


@pytest.mark.parametrize("headers", [
    [(b"authorization", b"Bearer " + SECRET.encode())],
    [[b"sebconnectiontoken", SECRET.encode()]],
    {"Cookie": f"invigilo_session={SECRET}"},
])  # fmt: skip
def test_headers_of_a_request_are_hidden(headers: Any) -> None:
    assert SECRET not in repr(scrub(headers, "headers"))


def test_what_helps_stays() -> None:
    event = {
        "event": "room_opened",
        "exam_id": 3,
        "room_id": 9,
        "took": 0.4,
        "ok": True,
        "why": None,
        "path": "/monitoring/3",
    }
    assert scrub_event(None, "info", dict(event)) == event


def test_the_events_own_text_is_scrubbed_too() -> None:
    """Lines of libraries are whole sentences."""
    assert SECRET not in scrub_event(None, "info", {"event": f"GET /e/{SECRET} 500"})["event"]


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


@given(JSON_LIKE)
def test_nothing_at_all_breaks_the_scrubbing(value: Any) -> None:
    """A log line must never be the error."""
    repr(scrub(value))
    scrub_event(None, "info", {"event": "x", "value": value})


@given(
    st.text(
        alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=16, max_size=64
    )
)
def test_every_entry_key_we_make_is_recognised(key: str) -> None:
    assert key not in scrub_text(f"opened http://127.0.0.1:8080/e/{key}?lang=de")


# --- the whole chain ---


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    with logging_in_memory("debug") as stream:
        yield stream


def test_lines_are_json_with_a_constant_event(lines: io.StringIO) -> None:
    structlog.get_logger().info("room_opened", exam_id=3, entry_key=SECRET)
    (line,) = lines.getvalue().splitlines()
    found = json.loads(line)
    assert (found["event"], found["exam_id"], found["entry_key"]) == ("room_opened", 3, HIDDEN)
    assert found["level"] == "info"
    assert found["timestamp"].endswith("Z")


def test_lines_of_libraries_take_the_same_way(lines: io.StringIO) -> None:
    logging.getLogger("some.library").warning("GET /e/%s with %s", SECRET, f"Bearer {SECRET}")
    assert SECRET not in lines.getvalue()
    assert json.loads(lines.getvalue())["level"] == "warning"


def test_a_traceback_is_scrubbed(lines: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(f"no answer from https://user:{SECRET}@meet.example.org/?token={SECRET}")

    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("provider_failed", url=f"/e/{SECRET}")
        logging.getLogger("x").exception("also %s", f"password={SECRET}")
    assert lines.getvalue().count("Traceback") == 2
    assert SECRET not in lines.getvalue()


def test_less_severe_lines_are_left_out() -> None:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    try:
        set_up(level="warning", form="console", stream=stream)
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud")
    finally:
        root.handlers = before
        root.setLevel(level)
        structlog.reset_defaults()
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path, text=TWO_INSTITUTIONS) as server:
        yield server


async def test_a_whole_exam_morning_leaves_no_secret_in_the_log(lines: io.StringIO, server: Server) -> None:
    """Everything at debug: sign-ins right and wrong, a client's whole way, its page, its socket, and errors."""
    browser = await sign_in(server, "ada")
    await browser.post("/login", {"username": "ada", "password": "a wrong one"})
    candidate = await candidate_in(server, "Linear Algebra")
    await candidate.wire.put("seb_user_session_id=Zoe-Candidate")
    await candidate.wire.ping()
    await candidate.wire.log({"type": "INFO_LOG", "timestamp": 1, "text": "Zoe-Candidate presses"})
    await server.request("GET", f"/e/{candidate.key}")
    await server.request("GET", f"/e/{candidate.key}x")
    await server.request("GET", "/login/link/not-a-valid-link-at-all")
    await server.request("GET", f"/static/{candidate.key}/x", headers={"Cookie": browser.cookie})
    async with server.session.ws_connect(f"{server.url}/e/{candidate.key}/socket") as socket:
        await socket.send_str('{"t":"hello","tab":"x"}')
        await socket.receive(60)
    await server.bearer()
    await server.request("POST", "/oauth/token", headers={"Authorization": "Basic d3Jvbmc6d3Jvbmc="})
    written = lines.getvalue()
    assert "signed_in" in written, "the log was really watched"
    hidden = [
        PASSWORD, "a wrong one", candidate.key, candidate.wire.token, candidate.wire.bearer.split()[1], "0123456789abcdef",
        browser.cookies["invigilo_session"], browser.cookies["csrftoken"], "d3Jvbmc6d3Jvbmc=", "not-a-valid-link-at-all",
        "Zoe-Candidate",
    ]  # fmt: skip
    assert [secret for secret in hidden if secret in written] == []


def test_what_a_database_quotes_of_a_row_is_hidden() -> None:
    """PostgreSQL repeats the refused row in its detail: candidates' words, over several lines."""
    text = "NotNullViolation: no\nDETAIL:  Failing row contains (1, Zoe\nSecretname opened).\n[SQL: INSERT INTO x]"
    assert "Secretname" not in scrub_text(text)
    assert "[SQL: INSERT INTO x]" in scrub_text(text)
    assert "Zoe" not in scrub_text("Error: x\nDETAIL: Failing row contains (Zoe).")
