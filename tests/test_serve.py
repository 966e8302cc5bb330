"""The command `serve` as the people who run it know it: ready line, TLS, proxies, signals, numbers for monitors."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import signal
import sqlite3
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from invigilo.clock import SystemClock
from invigilo.errors import NotAllowed, Unavailable
from invigilo.storage.opening import open_storage
from tests.server import BASIC, PASSWORD, running, set_up, settings_for

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60


@dataclass
class Serving:
    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    async def bearer(self) -> str:
        form = "grant_type=client_credentials&scope=read write"
        headers = {"Authorization": BASIC, "Content-Type": "application/x-www-form-urlencoded"}
        async with self.session.post(f"{self.url}/oauth/token", data=form, headers=headers) as answer:
            assert answer.status == 200
            return f"Bearer {(await answer.json())['access_token']}"

    async def handshake(self, **headers: str) -> tuple[dict[str, str], str]:
        """Headers of a connection, and the address its exam begins at."""
        bearer = await self.bearer()
        sent = {"Authorization": bearer, "Content-Type": "application/x-www-form-urlencoded", **headers}
        async with self.session.post(
            f"{self.url}/exam-api/v1/handshake", data="institutionId=1", headers=sent
        ) as answer:
            assert answer.status == 200
            token = answer.headers["SEBConnectionToken"]
            return {"Authorization": bearer, "SEBConnectionToken": token}, (await answer.json())[0]["url"]

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


async def command(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "invigilo.cli", "serve", "--data-dir", str(folder), "--port", "0", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def serving(
    folder: Path, *arguments: str, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Serving]:
    await set_up(folder)
    process = await command(folder, "--log-level", "warning", *arguments)
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        assert line.startswith("Invigilo is ready at http"), line
        connector = aiohttp.TCPConnector(ssl=trust or True)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as session:
            yield Serving(process, line.split()[-1], session)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_monitor_finds_health_readiness_and_numbers(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with server.session.get(f"{server.url}/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with server.session.get(f"{server.url}/readyz") as answer:
            assert answer.status == 200
            assert await answer.json() == {"is_ready": True, "problems": []}
        await server.bearer()
        async with server.session.get(f"{server.url}/metrics") as answer:
            text = await answer.text()
        assert "invigilo_exam_api_requests_total" in text
        assert "invigilo_sockets_open" in text


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_asked_to_stop_loses_nothing_it_accepted(tmp_path: Path, by: signal.Signals) -> None:
    async with serving(tmp_path) as server:
        headers, _ = await server.handshake()
        headers["Content-Type"] = "application/json;charset=UTF-8"
        for n in range(300):
            body = json.dumps({"type": "INFO_LOG", "timestamp": 1, "text": f"line {n}"})
            async with server.session.post(
                f"{server.url}/exam-api/v1/seblog", data=body, headers=headers
            ) as answer:
                assert answer.status == 204
        assert await server.stop(by) == 0
    with closing(sqlite3.connect(tmp_path / "invigilo.sqlite3")) as database:
        texts = [text for (text,) in database.execute("SELECT text FROM client_events ORDER BY id")]
    assert texts == [f"line {n}" for n in range(300)]


async def test_a_server_with_open_pages_stops_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        _, url = await server.handshake()
        async with server.session.ws_connect(f"{url}/socket") as socket:
            await socket.send_json({"t": "hello", "tab": "one"})
            assert (await socket.receive_json())["t"] == "welcome"
            stopping = asyncio.create_task(server.stop())
            while (message := await socket.receive(PATIENCE)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.data == 1012, "pages are told that the server restarts"
        assert await stopping == 0


# --- TLS ---


def certificate_in(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private


async def test_it_speaks_tls_itself(tmp_path: Path) -> None:
    """And then everything it hands out is https, and its cookies never travel in the clear."""
    certificate, key = certificate_in(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    tls = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    async with serving(tmp_path / "data", *tls, trust=trust) as server:
        assert server.url.startswith("https://127.0.0.1:")
        _, url = await server.handshake()
        assert url.startswith(f"{server.url}/e/")
        async with server.session.get(f"{server.url}/login") as answer:
            assert "secure" in answer.headers["set-cookie"].lower()
        async with server.session.ws_connect(f"{url}/socket") as socket:
            await socket.send_json({"t": "hello", "tab": "one"})
            assert (await socket.receive_json())["t"] == "welcome"


async def test_doctor_knows_a_certificate_for_another_name(tmp_path: Path) -> None:
    from invigilo.doctor import Level, examine
    from invigilo.settings import Settings

    certificate, key = certificate_in(tmp_path)
    good = Settings(
        data_dir=tmp_path, tls_certificate=certificate, tls_key=key, public_url="https://127.0.0.1:8443"
    )
    assert [one for one in await examine(good) if one.level is Level.BROKEN] == []
    bad = Settings(
        data_dir=tmp_path, tls_certificate=certificate, tls_key=key, public_url="https://exams.example.org"
    )
    assert [one.subject for one in await examine(bad) if one.level is Level.BROKEN] == ["TLS"]


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://exams.example.org", True),
        ("http://localhost:8080", True),
        ("http://127.0.0.1", True),
        ("http://exams.example.org", False),
        ("http://192.0.2.7:8080", False),
    ],
)
async def test_doctor_says_where_the_camera_will_not_work(tmp_path: Path, url: str, is_fine: bool) -> None:
    from invigilo.doctor import Level, examine
    from invigilo.settings import Settings

    found = next(
        one
        for one in await examine(Settings(data_dir=tmp_path / "none", public_url=url))
        if one.subject == "Camera"
    )
    assert (found.level is Level.OK) == is_fine
    assert is_fine or "tls_certificate" in found.remedy


def wrong_tls(folder: Path, case: str) -> tuple[Path, Path, list[str]]:
    certificate, key = certificate_in(folder)
    (other := folder / "other").mkdir()
    match case:
        case "another key":
            return certificate, certificate_in(other)[1], []
        case "swapped":
            return key, certificate, []
        case "passphrase":
            locked = serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"hush"),
            )
            key.write_bytes(locked)
        case "no certificate":
            certificate.write_text("hello")
        case "cut off":
            certificate.write_bytes(certificate.read_bytes()[:200])
        case _:
            return certificate, key, ["--public-url", "http://exams.example.org"]
    return certificate, key, []


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("another key", "tls_certificate and tls_key do not belong together"),
        ("swapped", "tls_certificate and tls_key are swapped"),
        ("passphrase", "has a passphrase; remove it with `openssl pkey"),
        ("no certificate", "holds no certificate"),
        ("cut off", "cannot be used"),
        ("http", "Write https://"),
    ],
)
async def test_wrong_tls_files_stop_the_start_with_a_remedy(tmp_path: Path, case: str, said: str) -> None:
    """Nobody is asked for a passphrase, and the doctor says the same."""
    from invigilo.doctor import Level, examine
    from invigilo.settings import Settings

    certificate, key, more = wrong_tls(tmp_path, case)
    files = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    process = await command(tmp_path / "data", *files, *more)
    _, told = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 2
    assert said in told.decode()
    assert "Traceback" not in told.decode()
    assert not (tmp_path / "data").exists()
    settings = Settings(
        data_dir=tmp_path / "data", tls_certificate=certificate, tls_key=key, public_url=(more or [None])[-1]
    )
    found = next(one for one in await examine(settings) if one.subject == "TLS")
    assert (found.level, said in found.finding) == (Level.BROKEN, True)


# --- a database that takes nothing ---


async def test_a_server_whose_database_can_only_be_read_is_not_ready(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        assert (await server.request("GET", "/readyz")).status == 200
        async with server.app.storage.database.writing.connect() as db:
            await db.exec_driver_sql("PRAGMA query_only = ON")
        answer = await server.request("GET", "/readyz")
        assert answer.status == 503
        assert "cannot be written" in answer.json["problems"][0]
        await server.app.storage.database.writing.dispose()  # the next connection is an ordinary one
        assert (await server.request("GET", "/readyz")).status == 200


@pytest.mark.postgresql
async def test_a_postgresql_that_can_only_be_read_is_refused(tmp_path: Path, fresh_postgresql: str) -> None:
    await set_up(tmp_path, fresh_postgresql)
    storage = await open_storage(settings_for(tmp_path, fresh_postgresql), clock=SystemClock())
    async with storage.database.writing.connect() as db:
        name = (await db.exec_driver_sql("SELECT current_database()")).scalar_one()
        await db.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await db.commit()
    await storage.close()
    with pytest.raises(Unavailable, match="cannot be written by this user"):
        await open_storage(settings_for(tmp_path, fresh_postgresql), clock=SystemClock())


# --- what the log says of people who cannot sign in ---


async def test_a_failed_sign_in_is_a_warning_with_the_address(tmp_path: Path) -> None:
    """Many from one address: somebody is guessing. The name tried is not in the line."""
    async with running(tmp_path) as server:
        with structlog.testing.capture_logs() as lines, pytest.raises(NotAllowed):
            await server.app.accounts.sign_in("ada", "wrong", address="198.51.100.9")
    said = [line for line in lines if line["event"] != "job_failed"]  # the server is running too
    assert said == [{"event": "sign_in_failed", "log_level": "warning", "address": "198.51.100.9"}]


# --- behind a proxy ---


async def test_a_named_proxy_is_believed_and_nobody_else(tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.9", "Host": "exams.example.org"}
    async with serving(tmp_path / "one", "--trusted-proxies", "127.0.0.1") as server:
        _, url = await server.handshake(**forwarded)
        assert url.startswith("https://exams.example.org/e/")
    async with serving(tmp_path / "two") as server:
        _, url = await server.handshake(**forwarded)
        assert url.startswith("http://exams.example.org/e/")


async def test_the_public_address_wins(tmp_path: Path) -> None:
    async with serving(tmp_path, "--public-url", "https://exams.example.org") as server:
        _, url = await server.handshake()
        assert url.startswith("https://exams.example.org/e/")


# --- starts that cannot be ---


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "99999"], "--port"),
        (["--public-url", "exams.example.org"], "--public-url"),
        (["--trusted-proxies", "everybody"], "--trusted-proxies"),
        (["--tls-certificate", "nowhere.pem"], "tls_key"),
        (["--host", "192.0.2.1"], "Cannot listen on 192.0.2.1"),
    ],
)
async def test_a_wrong_value_stops_the_start_with_a_remedy(
    tmp_path: Path, arguments: list[str], named: str
) -> None:
    process = await command(tmp_path, *arguments)
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 2
    assert named in said.decode()
    assert "Traceback" not in said.decode()
    assert PASSWORD not in said.decode()
