"""Requests that are cheap to send and were dear to answer."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import pytest
from sqlalchemy import insert

from invigilo.exam_api import v1, wire
from invigilo.exam_api.v1 import BEARER_LENGTH, FORM_LIMIT, ExamApi
from invigilo.storage.tables import connection_configurations
from tests.exam_api.raw import PATIENCE, RawConnection
from tests.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIECE = 64 * 1024
"""Bytes in which a server passes a body on."""


async def test_a_huge_authorization_header_is_not_remembered(server: Server) -> None:
    """Padding makes one access token into thousands of long ones; all are answered, none is kept."""
    wire_client = await server.ready()
    connection = RawConnection(server.port)
    for padding in range(20_000, 20_010):
        bearer = "Bearer " + " " * padding + wire_client.bearer.removeprefix("Bearer ")
        headers = [("Authorization", bearer), ("SEBConnectionToken", wire_client.token)]
        answer = await connection.request("POST", "/exam-api/v1/sebping", headers, b"ping-number=1")
        assert answer.status == 204
    await connection.close()
    assert max(map(len, server.app.exam_api._bearers), default=0) <= BEARER_LENGTH


async def test_half_a_request_body_is_not_taken_as_whole(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that breaks inside a form stores no cut-off user; the whole form sent again does."""
    client = await server.ready()
    is_read, is_done = asyncio.Event(), asyncio.Event()
    read_body, step = v1._read_body, ExamApi._step

    async def tell_when_read(receive: Any, limit: int) -> bytes | None:
        async def next_part() -> Any:
            part = await receive()
            is_read.set()
            return part

        return await read_body(next_part, limit)

    async def tell_when_done(self: ExamApi, *args: Any) -> None:
        await step(self, *args)
        is_done.set()

    form = f"examId={await server.exam_id()}&seb_user_session_id=alice.miller"
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(v1, "_read_body", tell_when_read)
        meanwhile.setattr(ExamApi, "_step", tell_when_done)
        connection = RawConnection(server.port)
        head = [
            "PATCH /exam-api/v1/handshake HTTP/1.1",
            "Host: 127.0.0.1",
            *(f"{name}: {value}" for name, value in client.headers().items()),
            f"Content-Length: {len(form)}",
        ]
        await connection.send(("\r\n".join(head) + "\r\n\r\n" + form.removesuffix("ler")).encode())
        await asyncio.wait_for(is_read.wait(), PATIENCE)
        await connection.close()
        await asyncio.wait_for(is_done.wait(), PATIENCE)
    assert client.live.user_session_id is None
    assert (await client.patch(form)).status == 200
    assert client.live.user_session_id == "alice.miller"


class Piece(bytes):
    """A part of a body that counts how many bytes of its kind somebody still holds."""

    held = 0
    most = 0

    def __init__(self, *_: Any) -> None:
        Piece.held += len(self)
        Piece.most = max(Piece.most, Piece.held)

    def __del__(self) -> None:
        Piece.held -= len(self)


async def test_bodies_of_strangers_are_not_kept(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an access token nobody has the server hold a log entry of megabytes, only as much as a form."""
    monkeypatch.setattr(Piece, "most", 0)
    parts = iter(range(100))
    answered: list[Any] = []

    async def receive() -> dict[str, Any]:
        number = next(parts)
        return {"type": "http.request", "body": Piece(PIECE), "more_body": number < 99}

    async def send(message: dict[str, Any]) -> None:
        answered.append(message.get("status"))

    scope: Any = {"type": "http", "method": "POST", "path": wire.LOG, "query_string": b"", "headers": []}
    await server.app.exam_api(scope, receive, send, wire.LOG)
    assert answered[0] == 401
    assert Piece.most <= FORM_LIMIT + 2 * PIECE
    assert Piece.held == 0


async def test_unknown_client_ids_cause_one_reading_a_second(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for access tokens with invented names does not make the database work for each."""
    readings = 0
    reload = server.app.directory.reload

    async def count() -> None:
        nonlocal readings
        readings += 1
        await reload()

    monkeypatch.setattr(server.app.directory, "reload", count)
    start = time.monotonic()
    for number in range(60):
        basic = base64.b64encode(f"nobody-{number}:secret".encode()).decode()
        answer = await server.request(
            "POST", "/oauth/token", headers={"Authorization": f"Basic {basic}"}, body=""
        )
        assert answer.status == 401
    assert readings <= 1 + (time.monotonic() - start)


async def test_a_class_with_a_file_made_a_moment_ago_is_not_refused(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process set it up: the first client has this node look again, and the others wait for what is found."""
    app, values = own_server.app, {"ping_interval_ms": 1000, "created_at": 0}
    async with app.work() as w:
        sealed = app.storage.box.encrypt("secret")
        query = insert(connection_configurations).values(
            institution_id=int(await own_server.institution()), name="New", client_id="new",
            client_secret_encrypted=sealed, **values,
        )  # fmt: skip
        await w.db.execute(query)
    is_looking, may_go, reload = asyncio.Event(), asyncio.Event(), app.directory.reload

    async def slowly() -> None:
        is_looking.set()
        await may_go.wait()
        await reload()

    monkeypatch.setattr(app.directory, "reload", slowly)
    basic = "Basic " + base64.b64encode(b"new:secret").decode()
    first = asyncio.create_task(own_server.bearer(basic))
    await asyncio.wait_for(is_looking.wait(), PATIENCE)
    others = [asyncio.create_task(own_server.bearer(basic)) for _ in range(3)]
    await asyncio.wait(others, timeout=0.1)
    may_go.set()
    assert all(one.startswith("Bearer ") for one in await asyncio.gather(first, *others))
