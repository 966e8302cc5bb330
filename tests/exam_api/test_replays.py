"""Whole sessions of the covered releases, in their own order of calls (seb-client-api.md §1.2, §1.3)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from invigilo.clock import SetClock
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import ConnectionState, InstructionType
from invigilo.sebconfig import container
from invigilo.secrets_box import digest
from invigilo.storage.queries import connections as queries
from tests.exam_api.clients import AppleClient, Client, WindowsClient
from tests.server import SET_UP, Answer, Server, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVER_KEY = "0123456789abcdef" * 4
WITH_SERVER_KEY = SET_UP.replace(
    'name = "Linear Algebra"', f'name = "Linear Algebra"\nbrowser_exam_key = "{SERVER_KEY}"'
)
WINDOWS_11 = "Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)"
START_BURST = [f"[Runtime] line {n}: “Über” <tag> 100% & more = ok" for n in range(40)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with running(tmp_path_factory.mktemp("server"), text=WITH_SERVER_KEY) as server:
        yield server


@asynccontextmanager
async def playing(server: Server, kind: type[Client], **details: Any) -> AsyncIterator[Any]:
    """A client with its discovery document and its access token."""
    client = kind(server.port, await server.institution(), **details)
    try:
        await client.discover()
        await client.fetch_token()
        yield client
    finally:
        await client.close()


def live_of(server: Server, client: Client) -> LiveConnection:
    return server.app.live.by_token_hash[digest(client.token)]


def state_of(server: Server, client: Client) -> ConnectionState:
    return live_of(server, client).state


def signature_key(client: Client) -> str:
    """The app's signature, sealed as §2.4 says."""
    key = hashlib.pbkdf2_hmac("sha1", client.token.encode(), bytes.fromhex(client.salt), 1024, 32)
    iv = secrets.token_bytes(16)
    return (iv + AESGCM(key).encrypt(iv, b"a1b2c3", None)).hex()


def assert_settings(body: bytes) -> None:
    assert container.decode(body).settings["sebConfigPurpose"] == 0


def assert_quiet(answer: Answer) -> None:
    assert (answer.status, answer.body) == (204, b"")


async def texts(server: Server, client: Client) -> list[str]:
    await server.app.writer.flush()
    async with server.app.reading() as w:
        return [row.text for row in await queries.events_of(w.db, live_of(server, client).id)]


async def windows_at_work(client: WindowsClient) -> None:
    """The client process: its whole log so far, then pings."""
    await client.start_client_process()
    for line in START_BURST:
        assert_quiet(await client.log(line))
    for number in (1, 2, 4):
        assert_quiet(await client.ping(f"timestamp=1764064800123&ping-number={number}"))
    assert_quiet(await client.log("<battery> Discharging at 81%", 81))
    assert_quiet(await client.log("<wlan> not connected"))


# --- Windows ---


async def test_windows_3_2(server: Server) -> None:
    """It says nothing of its device, never reads a salt, and is `REQUESTED` until a user is detected."""
    async with playing(server, WindowsClient, version=(3, 2)) as seb:
        await seb.create(f"institutionId={seb.institution}")
        assert_settings(await seb.configuration())
        await windows_at_work(seb)
        assert state_of(server, seb) is ConnectionState.REQUESTED
        live = live_of(server, seb)
        assert server.app.stream.judged(server.app.directory.exams[live.exam_id], live)["missing"] is False
        detected = await seb.handshake(
            "PUT", f"examId={seb.exams[0]['examId']}&seb_user_session_id=lea müller"
        )
        assert (detected.status, detected.body) == (200, b"")
        assert state_of(server, seb) is ConnectionState.ACTIVE
        assert live.user_session_id == "lea müller"
        assert (await seb.leave()).status == 200
        assert state_of(server, seb) is ConnectionState.CLOSED
        stored = await texts(server, seb)
        assert stored == [*START_BURST, "<battery> Discharging at 81%", "<wlan> not connected"]


async def test_windows_3_3_names_its_device_with_the_user(server: Server) -> None:
    async with playing(server, WindowsClient, version=(3, 3)) as seb:
        await seb.create(f"institutionId={seb.institution}")
        await seb.configuration()
        form = (
            f"examId={seb.exams[0]['examId']}&seb_user_session_id=17"
            f"&client_id=EXAM\\zoë&seb_machine_name=LAB-07&seb_os_name={WINDOWS_11}&seb_version=3.3.2 (x64)"
        )
        assert (await seb.handshake("PUT", form)).status == 200
        device = live_of(server, seb).device
        assert (device.account_name, device.machine_name) == ("EXAM\\zoë", "LAB-07")
        assert (device.os_name, device.seb_version) == (WINDOWS_11, "3.3.2 (x64)")


async def test_windows_3_5(server: Server) -> None:
    """Selects with PATCH, sends the signature key in a PATCH of its own, and establishes only with a user."""
    async with playing(server, WindowsClient, version=(3, 5)) as seb:
        await seb.create(
            f"institutionId={seb.institution}&client_id=zoë&seb_machine_name=Zoë’s PC, 50%"
            f"&seb_os_name={WINDOWS_11}&seb_version=3.5.0 (x64)"
        )
        assert not seb.salt
        assert_settings(await seb.configuration())
        await seb.handshake("PATCH", f"examId={seb.exams[0]['examId']}")
        assert seb.salt
        assert seb.server_key == SERVER_KEY
        assert (await seb.handshake("PATCH", f"seb_signature_key={signature_key(seb)}")).status == 200
        await windows_at_work(seb)
        live = live_of(server, seb)
        assert live.state is ConnectionState.REQUESTED
        assert live.device.machine_name == "Zoë’s PC, 50%"
        assert "unreadable_signature" not in live.flags
        await seb.handshake("PUT", f"examId={seb.exams[0]['examId']}&seb_user_session_id=lea")
        assert live.state is ConnectionState.ACTIVE
        assert_quiet(await seb.log("<raisehand> May I, please?", 1, "NOTIFICATION"))
        assert [n.text for n in live.notifications.values()] == ["May I, please?"]
        await server.app.connections.confirm_notification(live, 1, by=1)
        told = await seb.ping("timestamp=1764064800123&ping-number=5")
        assert told.json == {
            "instruction": "NOTIFICATION_CONFIRM",
            "attributes": {"type": "raisehand", "id": "1"},
        }
        assert (await seb.leave()).status == 200
        assert live.state is ConnectionState.CLOSED


async def test_windows_3_8(server: Server) -> None:
    """Reads salt and server key from the answer to its first PUT."""
    async with playing(server, WindowsClient, version=(3, 8)) as seb:
        await seb.create(
            f"institutionId={seb.institution}&client_id=lea&seb_machine_name=LAB-08"
            f"&seb_os_name={WINDOWS_11}&seb_version=3.8.0 (x64)"
        )
        assert_settings(await seb.configuration())
        assert not seb.salt
        await seb.handshake("PUT", f"examId={seb.exams[0]['examId']}")
        assert (bool(seb.salt), seb.server_key) == (True, SERVER_KEY)
        assert (await seb.handshake("PATCH", f"seb_signature_key={signature_key(seb)}")).status == 200
        assert state_of(server, seb) is ConnectionState.READY
        await windows_at_work(seb)
        detected = await seb.handshake("PATCH", f"examId={seb.exams[0]['examId']}&seb_user_session_id=lea")
        assert detected.status == 200
        assert state_of(server, seb) is ConnectionState.ACTIVE
        assert "unreadable_signature" not in live_of(server, seb).flags
        assert (await seb.leave()).status == 200


@pytest.mark.parametrize("has_signature", [True, False])
async def test_windows_3_10(server: Server, has_signature: bool) -> None:
    """Selects with PATCH, establishes with PUT: with the signature key, or with no body and no content type at all."""
    async with playing(server, WindowsClient) as seb:
        await seb.create(
            f"institutionId={seb.institution}&client_id=lea&seb_machine_name=LAB-09"
            f"&seb_os_name={WINDOWS_11}&seb_version=3.10.2 (x64)"
        )
        assert_settings(await seb.configuration())
        await seb.handshake("PATCH", f"examId={seb.exams[0]['examId']}")
        assert (bool(seb.salt), seb.server_key) == (True, SERVER_KEY)
        if has_signature:
            established = await seb.handshake("PUT", f"seb_signature_key={signature_key(seb)}")
        else:
            established = await seb.establish_without_body()
        assert (established.status, established.body) == (200, b"")
        assert state_of(server, seb) is ConnectionState.READY
        await windows_at_work(seb)
        await seb.handshake("PATCH", f"examId={seb.exams[0]['examId']}&seb_user_session_id=lea")
        assert state_of(server, seb) is ConnectionState.ACTIVE
        assert (await seb.leave()).status == 200
        assert_quiet(await seb.ping("timestamp=1764064800123&ping-number=9"))


async def test_windows_3_10_with_the_exam_in_its_configuration(server: Server) -> None:
    """The first exam of the list is taken unseen, so it must be the one that was asked for; salt comes at once."""
    exam = await server.exam_id()
    async with playing(server, WindowsClient) as seb:
        await seb.create(f"institutionId={seb.institution}&examId={exam}&client_id=lea&seb_version=3.10.2")
        assert [one["examId"] for one in seb.exams] == [exam]
        assert (bool(seb.salt), seb.server_key) == (True, SERVER_KEY)
        assert_settings(await seb.configuration())
        assert (await seb.handshake("PUT", f"seb_signature_key={signature_key(seb)}")).status == 200
        assert state_of(server, seb) is ConnectionState.READY


async def test_windows_3_10_reconfigures_inside_a_session(server: Server) -> None:
    """It leaves and begins again at discovery: a new connection, the old one closed."""
    async with playing(server, WindowsClient) as seb:
        await seb.create(f"institutionId={seb.institution}&client_id=lea&seb_version=3.10.2")
        await seb.configuration()
        await seb.establish_without_body()
        first = live_of(server, seb)
        assert (await seb.leave()).status == 200
        await seb.discover()
        await seb.fetch_token()
        await seb.create(f"institutionId={seb.institution}&client_id=lea&seb_version=3.10.2")
        await seb.configuration()
        await seb.establish_without_body()
        second = live_of(server, seb)
        assert first.id != second.id
        assert (first.state, second.state) == (ConnectionState.CLOSED, ConnectionState.READY)


async def test_windows_confirms_even_what_it_does_not_understand(server: Server) -> None:
    async with playing(server, WindowsClient, version=(3, 8)) as seb:
        await seb.create(f"institutionId={seb.institution}")
        await seb.configuration()
        live = live_of(server, seb)
        await server.app.connections.send(live, InstructionType.PROCTORING, {"method": "JOIN"})
        told = await seb.ping("timestamp=1764064800123&ping-number=1")
        confirm = told.json["attributes"]["instruction-confirm"]
        assert_quiet(await seb.ping(f"timestamp=1764064801123&ping-number=2&instruction-confirm={confirm}"))
        assert not live.queue


# --- Apple ---


async def test_macos_3_6_1(server: Server) -> None:
    """Pings and battery events begin while the exam list is on screen; it selects, establishes, then downloads."""
    async with playing(server, AppleClient) as seb:
        await seb.create(
            f"institutionId={seb.institution}&client_id=lea&seb_machine_name=Zoë’s MacBook Pro"
            "&seb_os_name=macOS Version 14.5 (Build 23F79)&seb_version=3.6.1"
        )
        for number in (1, 2, 3):
            assert_quiet(await seb.ping(f"timestamp=1764064800123&ping-number={number}"))
        assert_quiet(await seb.log("<battery> Charging at 99.5%", 99.5))
        live = live_of(server, seb)
        assert (live.exam_id, live.battery) == (None, 99.5)
        exam = seb.exams[0]["examId"]
        await seb.handshake("PATCH", f"examId={exam}")
        assert (bool(seb.salt), seb.server_key) == (True, SERVER_KEY)
        key = signature_key(seb)
        assert (await seb.handshake("PUT", f"examId={exam}&seb_signature_key={key}")).status == 200
        assert live.state is ConnectionState.READY
        assert_settings(await seb.configuration())
        for line in START_BURST:
            assert_quiet(await seb.log(line))
        detected = (
            f"examId={exam}&seb_user_session_id=lea+exam@example.org&seb_signature_key={signature_key(seb)}"
        )
        assert (await seb.handshake("PATCH", detected)).status == 200
        assert live.state is ConnectionState.ACTIVE
        assert live.user_session_id == "lea exam@example.org", "a plus sign arrives unescaped and is a blank"
        assert "unreadable_signature" not in live.flags
        left = await seb.leave()
        assert (left.status, left.body) == (200, b"")
        assert live.state is ConnectionState.CLOSED
        stored = await texts(server, seb)
        assert stored == ["<battery> Charging at 99.5%", *START_BURST]


async def test_macos_3_4(server: Server) -> None:
    """Selects, downloads, and establishes only when it knows the user."""
    async with playing(server, AppleClient) as seb:
        await seb.create(
            f"institutionId={seb.institution}&client_id=tom&seb_machine_name=mac-17"
            "&seb_os_name=macOS Version 13.6&seb_version=3.4"
        )
        assert_quiet(await seb.ping("timestamp=1764064800123&ping-number=1"))
        exam = seb.exams[0]["examId"]
        await seb.handshake("PATCH", f"examId={exam}")
        assert_settings(await seb.configuration())
        assert state_of(server, seb) is ConnectionState.REQUESTED
        detected = f"examId={exam}&seb_user_session_id=tom&seb_signature_key={signature_key(seb)}"
        assert (await seb.handshake("PUT", detected)).status == 200
        assert state_of(server, seb) is ConnectionState.ACTIVE


async def test_ios_3_0(server: Server) -> None:
    """The oldest: no device, no retries, first ping after the user is known and in seconds."""
    async with playing(server, AppleClient) as seb:
        await seb.create(f"institutionId={seb.institution}")
        assert_settings(await seb.configuration())
        exam = seb.exams[0]["examId"]
        assert (await seb.handshake("PUT", f"examId={exam}&seb_user_session_id=lea")).status == 200
        live = live_of(server, seb)
        assert live.state is ConnectionState.ACTIVE
        before = server.app.clock.now_ms()
        assert_quiet(await seb.ping("timestamp=1764064800&ping-number=1"))
        assert live.last_ping >= before, "the time of arrival counts, not the client's"
        assert (await seb.leave()).status == 200


async def test_ios_3_7(server: Server) -> None:
    """An iPad whose name holds an ampersand: the name is cut there, nothing else suffers."""
    async with playing(server, AppleClient) as seb:
        await seb.create(
            f"institutionId={seb.institution}&client_id=mobile&seb_machine_name=Zoë & Tom’s iPad"
            "&seb_os_name=iPad (iPadOS 17.5)&seb_version=3.7"
        )
        live = live_of(server, seb)
        assert (live.device.machine_name, live.device.os_name) == ("Zoë", "iPad (iPadOS 17.5)")
        exam = seb.exams[0]["examId"]
        await seb.handshake("PATCH", f"examId={exam}")
        await seb.handshake("PUT", f"examId={exam}&seb_signature_key=")
        assert_settings(await seb.configuration())
        assert_quiet(await seb.log("<raisehand>", 1, "NOTIFICATION"))
        assert_quiet(await seb.log("<lockscreen> Screen was shared", 2, "NOTIFICATION"))
        assert sorted(live.notifications) == [1, 2]
        assert_quiet(await seb.log("", 1, "NOTIFICATION_CONFIRMED"))
        assert_quiet(await seb.log("", 2, "NOTIFICATION_CONFIRMED"))
        assert not live.notifications
        await seb.handshake("PATCH", f"examId={exam}&seb_user_session_id=lea")
        assert live.state is ConnectionState.ACTIVE
        assert (await seb.leave()).status == 200


# --- an access token that ends in mid-exam (§2.11) ---


@pytest.mark.parametrize("kind", [WindowsClient, AppleClient])
async def test_an_expired_access_token_is_replaced_and_the_session_goes_on(
    tmp_path: Path, kind: type[Client]
) -> None:
    """Apple repeats once with the old token before it uses the new one; Windows uses the new one at once."""
    clock = SetClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    async with running(tmp_path, clock=clock) as server, playing(server, kind) as seb:
        await seb.create(f"institutionId={seb.institution}")
        await seb.configuration()
        assert_quiet(await seb.ping("timestamp=1764064800123&ping-number=1"))
        clock.move(timedelta(days=2, seconds=1))
        refused = await seb.ping("timestamp=1764064800123&ping-number=2")
        assert (refused.status, refused.json["error"]) == (401, "invalid_token")
        old = seb.bearer
        await seb.fetch_token()
        if kind is AppleClient:
            new, seb.bearer = seb.bearer, old
            assert (await seb.ping("timestamp=1764064800123&ping-number=2")).status == 401
            seb.bearer = new
        assert_quiet(await seb.ping("timestamp=1764064800123&ping-number=3"))
        assert_quiet(await seb.log("still here", 0))
        assert await texts(server, seb) == ["still here"]
