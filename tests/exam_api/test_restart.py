"""Check 61 of seb-client-api.md §9: the server is killed in mid-exam and comes back, and no client need notice."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest

import invigilo
from invigilo.clock import SetClock, from_ms
from invigilo.monitoring.model import ConnectionState, InstructionType
from invigilo.secrets_box import digest
from tests.exam_api.clients import AppleClient, WindowsClient
from tests.exam_api.raw import RawConnection
from tests.server import running, set_up

PATIENCE = 60
SETTLED = 1.1
"""Seconds after which an accepted event is promised to be stored, a little stretched."""


@asynccontextmanager
async def server_process(folder: Path) -> AsyncIterator[int]:
    """The real command; yields its port, and ends with SIGKILL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "invigilo.cli", "serve", "--data-dir", str(folder), "--port", "0",
        "--log-level", "warning", cwd=Path(invigilo.__file__).parents[1], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            ready = (await process.stdout.readline()).decode()
        assert "ready at http://127.0.0.1:" in ready, ready
        yield int(ready.rsplit(":", 1)[1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _work_on(client: WindowsClient, accepted: dict[str, float]) -> None:
    """Events one after the other until the first have certainly been accepted long enough ago.

    Only the time in which the server answered promptly counts: on a machine that stalls, nobody's second is a second.
    """
    loop, prompt, number = asyncio.get_running_loop(), 0.0, 0
    async with asyncio.timeout(PATIENCE):
        while prompt < 2 * SETTLED:
            sent = loop.time()
            text = f"{client.token[:8]} line {number}"
            assert (await client.log(text)).status == 204
            accepted[text] = prompt
            prompt += min(loop.time() - sent, 0.05)
            number += 1
    for text in [text for text, at in accepted.items() if at > prompt - SETTLED]:
        del accepted[text]


def _stored(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / "invigilo.sqlite3")) as db:
        return Counter(text for (text,) in db.execute("SELECT text FROM client_events"))


def _institution(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "invigilo.sqlite3")) as db:
        return str(db.execute("SELECT id FROM institutions").fetchone()[0])


def _last_sent(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "invigilo.sqlite3")) as db:
        return db.execute("SELECT max(sent_at) FROM instructions").fetchone()[0]


@pytest.mark.spec("seb-client-api", 61)
async def test_a_killed_server_goes_on_where_it_was(tmp_path: Path) -> None:
    """Tokens and states survive; what was accepted more than a second before the kill is stored exactly once."""
    await set_up(tmp_path)
    accepted: dict[str, float] = {}
    async with server_process(tmp_path) as port:
        windows = WindowsClient(port, _institution(tmp_path))
        apple = AppleClient(port, _institution(tmp_path))
        for seb in (windows, apple):
            await seb.discover()
            await seb.fetch_token()
            await seb.create(f"institutionId={seb.institution}&seb_version=3.10.2")
        await windows.configuration()
        assert (await windows.handshake("PUT", "seb_user_session_id=lea")).status == 200
        assert (await windows.log("<raisehand> Question 3", 1, "NOTIFICATION")).status == 204
        await _work_on(windows, accepted)
    stored = _stored(tmp_path)
    assert accepted
    assert {text: stored[text] for text in accepted} == dict.fromkeys(accepted, 1)
    assert set(stored.values()) == {1}

    async with server_process(tmp_path) as port:
        for seb in (windows, apple):
            await seb.close()
            seb.connection = RawConnection(port)
            assert (await seb.ping("timestamp=1764064800123&ping-number=7")).status == 204
        assert (await windows.log("after the kill")).status == 204
        await apple.configuration()
        assert (await apple.handshake("PUT", "")).status == 200
        assert (await windows.handshake("PATCH", "seb_user_session_id=lea")).status == 200
        assert (await windows.leave()).status == 200
        await windows.close()
        await apple.close()

    async with running(tmp_path, text=None) as server:
        live = server.app.live.by_token_hash
        assert live[digest(windows.token)].state is ConnectionState.CLOSED
        assert live[digest(apple.token)].state is ConnectionState.READY
        hands = live[digest(windows.token)].notifications
        assert [n.text for n in hands.values()] == ["Question 3"]
    stored = _stored(tmp_path)
    assert {text: stored[text] for text in accepted} == dict.fromkeys(accepted, 1)


@pytest.mark.spec("seb-client-api", 61)
async def test_an_unconfirmed_instruction_survives_a_kill(tmp_path: Path) -> None:
    """Sent just before the kill and never confirmed, it is sent again, with the same id, until it is."""
    async with running(tmp_path) as server:
        wire = await server.ready()
        await server.app.connections.send(wire.live, InstructionType.PROCTORING, {"method": "JOIN"})
    seb = AppleClient(0, "", bearer=wire.bearer, token=wire.token)
    async with server_process(tmp_path) as port:
        seb.connection = RawConnection(port)
        await seb.discover()
        async with asyncio.timeout(PATIENCE):  # a ping does not wait for a claim that takes long
            while (first := await seb.ping("timestamp=1&ping-number=1")).status == 204:
                pass
        assert first.json["instruction"] == "SEB_PROCTORING"
        await seb.close()
    clock = SetClock(from_ms(_last_sent(tmp_path)) + timedelta(seconds=6))
    async with running(tmp_path, text=None, clock=clock) as server:
        seb.connection = RawConnection(server.port)
        again = await seb.ping("timestamp=1&ping-number=1")
        assert again.json == first.json
        confirm = first.json["attributes"]["instruction-confirm"]
        assert (await seb.ping(f"instruction-confirm={confirm}")).status == 204
        clock.move(timedelta(seconds=6))
        assert (await seb.ping("timestamp=1&ping-number=3")).status == 204
        await seb.close()
    async with running(tmp_path, text=None, clock=clock) as server:
        seb.connection = RawConnection(server.port)
        assert (await seb.ping("timestamp=1&ping-number=4")).status == 204
        await seb.close()
