"""Connection configurations from making to revoking: pages, API, files, links, and what clients then may do."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
import segno
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from invigilo.accounts.model import Account, Scope
from invigilo.clock import SetClock
from invigilo.configurations import connection_rules as rules
from invigilo.configurations.connections import MadeConnection
from invigilo.errors import Invalid, NotFound, Refused
from invigilo.exam_api import wire
from invigilo.exams.model import ConnectionWish, FallbackWish, FileProtection, FilePurpose
from invigilo.sebconfig.connection_file import (
    DEFAULT_DISCOVERY_PATH,
    ConnectionFile,
    password_hash,
    read_connection_file,
)
from invigilo.sebconfig.container import Purpose
from invigilo.simulate.client import HandshakeFailed, SebClient
from invigilo.simulate.network import Network
from invigilo.simulate.profiles import ALL
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.tables import activity, connection_configurations, connection_links
from tests.server import Answer, Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, exam_called, sign_in

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class Office:
    """The server, its exam administrator grace, and a token of hers."""

    server: Server
    grace: Account
    browser: Browser
    token: str

    @property
    def service(self) -> Any:
        return self.server.app.connection_configurations

    async def made(self, name: str = "Loan tablets", **wish: Any) -> MadeConnection:
        return await self.service.create(ConnectionWish(name=name, **wish), by=self.grace)

    async def file(self, made: MadeConnection, **how: Any) -> bytes:
        url = self.server.url
        return (await self.service.file(made.details.id, by=self.grace, server_url=url, **how)).content

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        return await self.server.request(method, f"/api/v1{path}", headers=headers, body=data)

    async def post(self, path: str, form: dict[str, Any]) -> Answer:
        """As the pages' forms do."""
        headers = {
            "Cookie": self.browser.cookie,
            "Accept": "text/html",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({"_csrf_token": self.browser.cookies["csrftoken"], **form}, doseq=True)
        return await self.server.request("POST", path, headers=headers, body=body)

    async def deeds(self) -> list[tuple[str, dict[str, Any]]]:
        async with self.server.app.reading() as w:
            rows = await w.db.execute(select(activity.c.deed, activity.c.detail).order_by(activity.c.id))
            return [(row.deed, row.detail) for row in rows]

    async def knows(self, holds: Callable[[], object]) -> None:
        """Until this node has heard of a change; nobody told it to look."""
        await until(lambda: _as_async(holds), "the directory follows")


async def _as_async(holds: Callable[[], object]) -> bool:
    return bool(holds())


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(60):
            while not await holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"It did not come to this: {what}")


async def office_of(server: Server) -> Office:
    async with server.app.reading() as w:
        accounts = {one.username: one for one in await account_queries.all_accounts(w.db)}
    lasts = server.app.clock.now() + timedelta(days=300)
    token = (await server.app.tokens.make("t", list(Scope), expires_at=lasts, by=accounts["grace"]))[1]
    return Office(server, accounts["grace"], await sign_in(server, "grace"), token)


@pytest_asyncio.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with running(tmp_path, text=TWO_INSTITUTIONS) as server:
        yield await office_of(server)


def certified(key: Any) -> str:
    """A self-signed certificate in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab devices")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOON)
        .not_valid_after(NOON + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


@pytest.fixture(scope="module")
def device_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


async def seated(file: ConnectionFile, network: Network, exam: str | None = None) -> SebClient:
    """A SEB with this file, in an exam."""
    client = SebClient(ALL[-1], file, network, user="ann", machine="pc", exam=exam)
    await client.connect()
    return client


def address_in(answer: Answer) -> str:
    return re.search(r'id="link-address">([^<]+)<', answer.body.decode())[1]


# --- files ---


@pytest.mark.parametrize("purpose", list(FilePurpose))
@pytest.mark.parametrize("protection", list(FileProtection))
async def test_a_client_with_any_kind_of_file_gets_into_the_exam(
    office: Office, purpose: FilePurpose, protection: FileProtection, device_key: rsa.RSAPrivateKey
) -> None:
    made = await office.made(
        purpose=purpose,
        protection=protection,
        password="öffne dich" if protection is FileProtection.PASSWORD else None,
        certificate=certified(device_key) if protection.is_by_certificate else "",
    )
    content = await office.file(made)
    assert content.startswith(b"\x1f\x8b")
    password = "öffne dich" if protection is FileProtection.PASSWORD else None
    file = read_connection_file(content, password=password, private_keys=[device_key])
    assert file.purpose is (
        Purpose.CONFIGURE_CLIENT if purpose is FilePurpose.CONFIGURE else Purpose.START_EXAM
    )
    async with Network() as network:
        client = await seated(file, network)
        assert client.exam is not None
        assert await client.ping()


async def test_the_file_says_everything_that_was_wished(office: Office) -> None:
    exam_id = exam_called(office.server, "Biology")
    fallback = FallbackWish("https://lms.example.org/fallback", 10_000, 3, 500, "fall back")
    made = await office.made(
        quit_password="quit", fallback=fallback, ping_interval_ms=2_500, only_exams=frozenset({exam_id})
    )
    file = read_connection_file(await office.file(made))
    assert (file.client_id, file.client_secret) == (made.details.client_id, made.client_secret)
    assert file.server_url == office.server.url
    assert file.exam_id == str(exam_id), "with exactly one exam SEB goes straight to it"
    assert file.ping_interval == timedelta(milliseconds=2_500)
    assert file.quit_password_hash == password_hash("quit")
    assert file.fallback is not None
    assert file.fallback.start_url == "https://lms.example.org/fallback"
    assert (file.fallback.attempts, file.fallback.timeout) == (3, timedelta(seconds=10))
    assert file.fallback.attempt_interval == timedelta(milliseconds=500)
    assert file.fallback.password_hash == password_hash("fall back")


def test_files_lead_to_the_discovery_that_is_served() -> None:
    assert DEFAULT_DISCOVERY_PATH == wire.DISCOVERY


async def test_a_password_that_is_not_stored_is_asked_for_at_each_download(office: Office) -> None:
    made = await office.made(protection=FileProtection.PASSWORD)
    assert made.details.asks_for_password
    with pytest.raises(Invalid) as refused:
        await office.file(made)
    assert refused.value.problems[0].code == "password_needed"
    content = await office.file(made, password="for today")
    assert read_connection_file(content, password="for today").client_id == made.details.client_id
    with pytest.raises(Refused, match="password"):
        await office.service.make_link(made.details.id, expires_at=datetime.now(UTC), by=office.grace)


async def test_a_stored_password_is_not_asked_again(office: Office) -> None:
    made = await office.made(protection=FileProtection.PASSWORD, password="stored one")
    with pytest.raises(Invalid) as refused:
        await office.file(made, password="another")
    assert refused.value.problems[0].code == "password_not_needed"
    assert read_connection_file(await office.file(made), password="stored one")


# --- limits ---


async def test_a_limited_client_is_offered_its_exams_and_binds_to_no_other(office: Office) -> None:
    algebra, biology = (exam_called(office.server, name) for name in ("Linear Algebra", "Biology"))
    made = await office.made(only_exams=frozenset({biology}))
    server = office.server
    basic = basic_of(made)
    bearer = await server.bearer(basic)
    listed = await server.create(bearer)
    assert [one["examId"] for one in listed.json] == [str(biology)]
    refused = await server.create(bearer, f"examId={algebra}")
    assert (refused.status, "sebconnectiontoken" in refused.headers) == (400, False)
    assert "1010" in refused.body.decode()
    token = {"Authorization": bearer, "SEBConnectionToken": listed.headers["sebconnectiontoken"]}
    form = token | {"Content-Type": "application/x-www-form-urlencoded"}
    for method in ("PATCH", "PUT"):
        answer = await server.request(method, wire.HANDSHAKE, headers=form, body=f"examId={algebra}")
        assert answer.status == 400, method
    answer = await server.request("GET", f"{wire.CONFIGURATION}?examId={algebra}", headers=token)
    assert answer.status >= 400
    answer = await server.request("GET", f"{wire.CONFIGURATION}?examId={biology}", headers=token)
    assert answer.status == 200
    assert (await server.request("PUT", wire.HANDSHAKE, headers=form, body="")).status == 200


async def test_an_unlimited_client_is_offered_every_running_exam_of_its_institution(office: Office) -> None:
    made = await office.made()
    listed = await office.server.create(await office.server.bearer(basic_of(made)))
    assert {one["name"] for one in listed.json} == {"Linear Algebra", "Biology"}


async def test_who_is_in_an_exam_stays_when_the_limit_changes(office: Office) -> None:
    """A limit says what may be chosen; nobody is thrown out of an exam by an edit."""
    algebra, biology = (exam_called(office.server, name) for name in ("Linear Algebra", "Biology"))
    made = await office.made(only_exams=frozenset({algebra, biology}))
    file = read_connection_file(await office.file(made))
    assert file.exam_id is None
    async with Network() as network:
        client = await seated(file, network, exam=str(algebra))
        wish = ConnectionWish(name="Loan tablets", only_exams=frozenset({biology}))
        await office.service.change(made.details.id, wish, by=office.grace)
        directory = office.server.app.directory
        await office.knows(lambda: not directory.configurations[made.details.id].offers(algebra))
        assert await client.ping()
        token = {"Authorization": client._bearer, "SEBConnectionToken": client.connection_token}
        answer = await office.server.request(
            "PATCH",
            wire.HANDSHAKE,
            headers=token | {"Content-Type": "application/x-www-form-urlencoded"},
            body=f"examId={algebra}&seb_user_session_id=ann",
        )
        assert answer.status == 200, answer.body


async def test_only_exams_of_the_institution_can_be_chosen(office: Office) -> None:
    with pytest.raises(Invalid) as refused:
        await office.made(only_exams=frozenset({exam_called(office.server, "Chemistry")}))
    assert refused.value.problems[0].code == "no_such_exam"


def basic_of(made: MadeConnection) -> str:
    return "Basic " + base64.b64encode(f"{made.details.client_id}:{made.client_secret}".encode()).decode()


# --- revoking ---


@pytest.mark.spec("seb-client-api", 9)
@pytest.mark.parametrize("deed", ["revoke", "deactivate"])
async def test_what_is_revoked_or_not_active_gives_no_token_answers_no_call_and_no_link(
    office: Office, deed: str
) -> None:
    made = await office.made()
    file = read_connection_file(await office.file(made))
    lasts = datetime.now(UTC) + timedelta(hours=1)
    link = await office.service.make_link(made.details.id, expires_at=lasts, by=office.grace)
    server, basic = office.server, basic_of(made)
    bearer = await server.bearer(basic)
    async with Network() as network:
        client = await seated(file, network)
        assert await client.ping()
        answer = await office.post(f"/connections/{made.details.id}/{deed}", {})
        assert answer.status == 303

        async def is_refused() -> bool:
            created = await server.create(bearer)
            return created.status == 401

        await until(is_refused, "calls with its token are refused")
        created = await server.create(bearer)
        assert created.json["error"] == "invalid_token"
        token = await server.request(
            "POST", wire.TOKEN, headers={"Authorization": basic}, body="scope=read write"
        )
        assert (token.status, token.json["error"]) == (401, "invalid_client")
        assert not await client.ping()
        assert (await server.request("GET", f"/seb/{link.key}.seb")).status == 404
        with pytest.raises(HandshakeFailed):
            await seated(file, network)
    with pytest.raises(Refused):
        await office.file(made)
    if deed == "deactivate":
        assert (await office.post(f"/connections/{made.details.id}/activate", {})).status == 303
        await office.knows(lambda: server.app.directory.configurations[made.details.id].is_active)
        assert (await server.bearer(basic)).startswith("Bearer ")
        assert (await server.request("GET", f"/seb/{link.key}.seb")).status == 200
    else:
        for path in ("activate", "deactivate", "secret", "edit", "links", "file"):
            answer = await office.call("POST", f"/connections/{made.details.id}/activate")
            assert (answer.status, answer.json["code"]) == (409, "connection_revoked"), path


async def test_a_new_secret_replaces_the_old_one_and_leaves_those_connected_in_peace(office: Office) -> None:
    made = await office.made()
    old = read_connection_file(await office.file(made))
    async with Network() as network:
        client = await seated(old, network)
        renewed = await office.service.renew_secret(made.details.id, by=office.grace)
        assert renewed.client_secret != made.client_secret

        async def old_is_refused() -> bool:
            answer = await office.server.request(
                "POST", wire.TOKEN, headers={"Authorization": basic_of(made)}
            )
            return answer.status == 401

        await until(old_is_refused, "the old secret is refused")
        assert await client.ping(), "half of the clients could not get another token"
        new = read_connection_file(await office.file(renewed))
        assert new.client_secret == renewed.client_secret
        await seated(new, network)


async def test_reloading_the_page_of_a_new_secret_makes_no_second_one(office: Office) -> None:
    made = await office.made()
    path, form = f"/connections/{made.details.id}/secret", {"revision": made.details.revision}
    first = await office.post(path, form)
    assert (first.status, b'id="client-secret"' in first.body) == (200, True)
    again = await office.post(path, form)
    assert (again.status, b'id="client-secret"' in again.body) == (409, False)


async def test_deleting_is_for_what_was_never_used(office: Office) -> None:
    unused = await office.made("Unused")
    lasts = datetime.now(UTC) + timedelta(hours=1)
    link = await office.service.make_link(unused.details.id, expires_at=lasts, by=office.grace)
    assert (await office.call("DELETE", f"/connections/{unused.details.id}")).status == 204
    assert (await office.call("GET", f"/connections/{unused.details.id}")).status == 404
    assert (await office.server.request("GET", f"/seb/{link.key}.seb")).status == 404
    used = await office.made("Used")
    await office.server.create(await office.server.bearer(basic_of(used)))
    answer = await office.call("DELETE", f"/connections/{used.details.id}")
    assert (answer.status, answer.json["code"]) == (409, "connection_in_use")


# --- links ---


async def test_a_link_gives_the_file_and_its_qr_code_the_link(office: Office) -> None:
    made = await office.made(only_exams=frozenset({exam_called(office.server, "Biology")}))
    answer = await office.post(f"/connections/{made.details.id}/links", {"hours": "24"})
    html, address = answer.body.decode(), address_in(answer)
    assert address.startswith(f"seb://127.0.0.1:{office.server.port}/seb/")
    assert "Biology" in html
    assert "Example University" in html
    assert {"Was Sie tun", "What to do"} <= set(re.findall(r"<h3>([^<]+)</h3>", html))
    expected = segno.make_qr(address, error="m").svg_inline(
        border=4, omitsize=True, light="#fff", svgclass="qr", lineclass=None
    )
    assert re.search(r'<path stroke="#000" d="([^"]+)"', html)[1] in expected
    assert "style=" not in html
    path = "/" + address.split("/", 3)[3]
    fetched = await office.server.request("GET", path)
    assert fetched.headers["content-type"] == "application/seb"
    assert fetched.headers["cache-control"] == "no-store"
    assert read_connection_file(fetched.body).client_secret == made.client_secret
    asked = await office.server.request("HEAD", path)
    assert (asked.status, asked.body, asked.headers["content-type"]) == (200, b"", "application/seb")
    page = (await office.browser.get(f"/connections/{made.details.id}", accept="text/html")).body.decode()
    key = path.removeprefix("/seb/").removesuffix(".seb")
    assert key not in page
    assert len(key) >= 43, "256 random bits"
    async with office.server.app.reading() as w:
        stored = str((await w.db.execute(select(connection_links))).all())
    assert key not in stored


async def test_a_secure_server_gives_sebs_links(tmp_path: Path) -> None:
    async with running(tmp_path, text=TWO_INSTITUTIONS, public_url="https://exams.example.org") as server:
        office = await office_of(server)
        made = await office.made()
        lasts = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        answer = await office.call("POST", f"/connections/{made.details.id}/links", {"expires_at": lasts})
        assert answer.status == 201, answer.body
        assert re.fullmatch(r"sebs://exams\.example\.org/seb/[\w-]{43}\.seb", answer.json["address"])
        assert answer.json["qr_code"].startswith("<svg")
        key = answer.json["address"].rpartition("/")[2]
        file = read_connection_file((await server.request("GET", f"/seb/{key}")).body)
        assert file.server_url == "https://exams.example.org"


@pytest.mark.parametrize(
    "name", ["x.seb", "x", ".seb", "x" * 5_000 + ".seb", "ü.seb", "%00.seb", "a.seb.seb", "%ff.seb"]
)
async def test_what_is_no_link_is_not_there(office: Office, name: str) -> None:
    answer = await office.server.request("GET", f"/seb/{name}", headers={"Accept": "application/json"})
    assert answer.status == 404


async def test_a_link_is_over_when_its_time_is_and_when_somebody_says_so(tmp_path: Path) -> None:
    clock = SetClock(NOON)
    async with running(tmp_path, text=TWO_INSTITUTIONS, clock=clock) as server:
        office = await office_of(server)
        made = await office.made()
        one, two = [
            await office.service.make_link(
                made.details.id, expires_at=NOON + timedelta(hours=hours), by=office.grace
            )
            for hours in (1, 3)
        ]
        assert (await server.request("GET", f"/seb/{one.key}.seb")).status == 200
        clock.move(timedelta(hours=1))
        assert (await server.request("GET", f"/seb/{one.key}.seb")).status == 404
        assert (await server.request("GET", f"/seb/{two.key}.seb")).status == 200
        path = f"/connections/{made.details.id}/links"
        assert [link["id"] for link in (await office.call("GET", path)).json] == [two.link.id]
        assert (await office.post(f"{path}/{two.link.id}/revoke", {})).status == 303
        assert (await server.request("GET", f"/seb/{two.key}.seb")).status == 404
        assert (await office.call("DELETE", f"{path}/{two.link.id}")).status == 404


async def test_a_link_always_gives_the_file_as_it_is_now(office: Office) -> None:
    """What links gave out is remembered; a change must not be hidden by that."""
    made = await office.made()
    lasts = datetime.now(UTC) + timedelta(hours=1)
    link = await office.service.make_link(made.details.id, expires_at=lasts, by=office.grace)

    async def fetched() -> ConnectionFile:
        return read_connection_file((await office.server.request("GET", f"/seb/{link.key}.seb")).body)

    first = await fetched()
    assert first == await fetched()
    wish = ConnectionWish(name="Loan tablets", ping_interval_ms=5_000, quit_password="quit")
    await office.service.change(made.details.id, wish, by=office.grace)
    renewed = await office.service.renew_secret(made.details.id, by=office.grace)
    now = await fetched()
    assert now.ping_interval == timedelta(seconds=5)
    assert now.quit_password_hash == password_hash("quit")
    assert now.client_secret == renewed.client_secret != first.client_secret


@pytest.mark.parametrize("after", [timedelta(0), timedelta(seconds=-1), timedelta(days=181)])
async def test_a_link_lasts_a_while_and_not_for_ever(office: Office, after: timedelta) -> None:
    made = await office.made()
    expires = (office.server.app.clock.now() + after).isoformat()
    answer = await office.call("POST", f"/connections/{made.details.id}/links", {"expires_at": expires})
    assert (answer.status, answer.json["problems"][0]["field"]) == (400, "expires_at")


# --- secrets ---


async def test_secrets_are_shown_once_and_stand_nowhere_else(office: Office) -> None:
    form = {
        "name": "Kiosks",
        "ping_interval_ms": "1000",
        "protection": "password",
        "password": "file-password",
        "password_again": "file-password",
        "quit_password": "quit-password",
        "quit_password_again": "quit-password",
    }
    answer = await office.post("/connections/new", form)
    assert answer.status == 200, answer.body
    secret = re.search(r'id="client-secret">([^<]+)<', answer.body.decode())[1]
    found = (await office.call("GET", "/connections?q=kiosks")).json["items"]
    configuration_id = found[0]["id"]
    hidden = [secret, "file-password", "quit-password", password_hash("quit-password")]
    for path in (
        "/connections",
        f"/connections/{configuration_id}",
        f"/connections/{configuration_id}/edit",
        "/connections/new",
    ):
        body = (await office.browser.get(path, accept="text/html")).body.decode()
        assert [one for one in hidden if one in body] == [], path
    for path in ("/connections", f"/connections/{configuration_id}"):
        body = (await office.call("GET", path)).body.decode()
        assert [one for one in hidden if one in body] == [], path
    said = json.dumps(await office.deeds())
    assert [one for one in hidden if one in said] == []
    async with office.server.app.reading() as w:
        stored = str((await w.db.execute(select(connection_configurations))).all())
    assert [one for one in hidden[:3] if one in stored] == []


async def test_a_password_left_blank_stays_and_one_ticked_goes(office: Office) -> None:
    made = await office.made(quit_password="quit", protection=FileProtection.PASSWORD, password="stored one")
    path = f"/connections/{made.details.id}/edit"
    form = {"name": "Loan tablets", "ping_interval_ms": "1000", "protection": "password"}
    assert (await office.post(path, form)).status == 303
    file = read_connection_file(await office.file(made), password="stored one")
    assert file.quit_password_hash == password_hash("quit")
    gone = form | {"no_quit_password": "on", "no_password": "on"}
    assert (await office.post(path, gone)).status == 303
    after = await office.service.get(made.details.id, office.grace)
    assert (after.has_quit_password, after.has_password, after.asks_for_password) == (False, False, True)


async def test_a_password_of_another_protection_does_not_come_back(office: Office) -> None:
    made = await office.made(protection=FileProtection.PASSWORD, password="stored one")
    for protection in (FileProtection.NONE, FileProtection.PASSWORD):
        after = await office.service.change(
            made.details.id, ConnectionWish(name="Loan tablets", protection=protection), by=office.grace
        )
    assert after.asks_for_password


# --- what is said of a form ---


async def test_a_form_that_comes_back_names_every_field_and_keeps_what_was_typed(office: Office) -> None:
    form = {
        "name": "ab",
        "purpose": "configure",
        "ping_interval_ms": "499",
        "protection": "pkhs",
        "certificate": "no certificate",
        "has_fallback": "on",
        "fallback_url": "lms.example.org",
        "fallback_attempts": "x",
        "quit_password": "one",
        "quit_password_again": "two",
        "is_limited": "on",
    }
    answer = await office.post("/connections/new", form)
    html = answer.body.decode()
    assert answer.status == 400
    problems = set(re.findall(r'id="(\w+)-problem"', html))
    assert problems == {
        "name",
        "ping_interval_ms",
        "certificate",
        "only_exams",
        "fallback_url",
        "fallback_timeout_ms",
        "fallback_attempts",
        "fallback_interval_ms",
        "quit_password_again",
    }
    assert "no certificate" in html
    assert '<option value="configure" selected' in html
    assert ">one<" not in html


async def test_who_saves_what_somebody_else_changed_is_told(office: Office) -> None:
    made = await office.made()
    path = f"/connections/{made.details.id}/edit"
    form = {"name": "Mine", "ping_interval_ms": "1000", "revision": str(made.details.revision)}
    assert (await office.post(path, form | {"name": "Theirs"})).status == 303
    answer = await office.post(path, form)
    assert answer.status == 400
    assert 'value="Mine"' in answer.body.decode()
    assert (await office.service.get(made.details.id, office.grace)).name == "Theirs"
    answer = await office.call("PATCH", f"/connections/{made.details.id}", {"name": "Mine", "revision": 0})
    assert (answer.status, answer.json["code"]) == (409, "changed_meanwhile")


async def test_a_name_is_there_once_in_an_institution(office: Office) -> None:
    answer = await office.call("POST", "/connections", {"name": "Lab PCs"})
    assert (answer.status, answer.json["problems"][0]["code"]) == (400, "connection_name_taken")
    assert (await office.call("POST", "/connections", {"name": "College PCs"})).status == 201, (
        "another's name"
    )


@pytest.mark.parametrize("kind", ["key", "elliptic", "short"])
async def test_a_certificate_seb_could_not_use_is_refused(
    office: Office, kind: str, device_key: rsa.RSAPrivateKey
) -> None:
    pem = {
        "key": certified(device_key) + "-----BEGIN PRIVATE KEY-----",
        "elliptic": certified(ec.generate_private_key(ec.SECP256R1())),
        "short": certified(device_key)[:300],
    }[kind]
    answer = await office.call(
        "POST", "/connections", {"name": "Sealed", "protection": "pkhs", "certificate": pem}
    )
    assert (answer.status, answer.json["problems"][0]["field"]) == (400, "certificate")


@given(
    name=st.text(max_size=300),
    ping=st.none() | st.integers(-(2**70), 2**70),
    protection=st.sampled_from(list(FileProtection)),
    certificate=st.text(max_size=200),
    url=st.text(max_size=100),
    password=st.none() | st.text(max_size=300),
)
def test_whatever_is_wished_gets_problems_and_no_crash(
    name: str, ping: int | None, protection: FileProtection, certificate: str, url: str, password: str | None
) -> None:
    wish = ConnectionWish(
        name=name,
        protection=protection,
        password=password,
        certificate=certificate,
        quit_password=password,
        fallback=FallbackWish(url, ping, ping, ping, password),
        ping_interval_ms=ping,
    )
    for one in rules.problems(wish):
        assert one.message


# --- lists, records, API ---


async def test_the_list_is_searched_filtered_and_ordered(office: Office) -> None:
    for name in ("Alpha room", "beta room", "Gamma hall"):
        await office.made(name, purpose=FilePurpose.CONFIGURE if "hall" in name else FilePurpose.START)
    found = await office.call("GET", "/connections?q=ROOM&sort=-name")
    assert [one["name"] for one in found.json["items"]] == ["beta room", "Alpha room"]
    found = await office.call("GET", "/connections?purpose=configure")
    assert [one["name"] for one in found.json["items"]] == ["Gamma hall"]
    found = await office.call("GET", "/connections?state=revoked")
    assert found.json["total"] == 0
    assert (await office.call("GET", "/connections?state=nonsense")).status == 400
    html = (await office.browser.get("/connections?q=hall", accept="text/html")).body.decode()
    assert "Gamma hall" in html
    assert "beta room" not in html


async def test_every_deed_is_on_record_with_what_it_changed(office: Office) -> None:
    made = await office.made()
    one = made.details.id
    before = len(await office.deeds())
    assert (await office.call("PATCH", f"/connections/{one}", {"ping_interval_ms": 2_000})).status == 200
    assert (await office.call("POST", f"/connections/{one}/file", {})).status == 200
    lasts = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    link = await office.call("POST", f"/connections/{one}/links", {"expires_at": lasts})
    for method, path in (
        ("DELETE", f"/links/{link.json['link']['id']}"),
        ("POST", "/deactivate"),
        ("POST", "/activate"),
        ("POST", "/secret"),
        ("POST", "/revoke"),
        ("DELETE", ""),
    ):
        assert (await office.call(method, f"/connections/{one}{path}")).status in {200, 204}, path
    deeds = (await office.deeds())[before:]
    assert [deed for deed, _ in deeds] == [
        "connection_changed",
        "connection_file_downloaded",
        "connection_link_made",
        "connection_link_revoked",
        "connection_deactivated",
        "connection_activated",
        "connection_secret_renewed",
        "connection_revoked",
        "connection_deleted",
    ]
    assert deeds[0][1] == {"name": "Loan tablets", "changes": ["ping_interval_ms"]}


async def test_handing_out_is_noted(office: Office) -> None:
    made = await office.made()
    assert made.details.handed_out_at is None
    await office.file(made)
    after = (await office.call("GET", f"/connections/{made.details.id}")).json
    assert abs(datetime.fromisoformat(after["handed_out_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_patch_leaves_what_it_does_not_name(office: Office) -> None:
    fallback = FallbackWish("https://lms.example.org/fallback", 10_000, 3, 500, "fall back")
    made = await office.made(quit_password="quit", fallback=fallback)
    answer = await office.call("PATCH", f"/connections/{made.details.id}", {"purpose": "configure"})
    assert answer.json["fallback"] == {
        "url": "https://lms.example.org/fallback",
        "timeout_ms": 10_000,
        "attempts": 3,
        "interval_ms": 500,
        "has_password": True,
    }
    assert (answer.json["has_quit_password"], answer.json["purpose"]) == (True, "configure")
    answer = await office.call("PATCH", f"/connections/{made.details.id}", {"fallback": None})
    assert answer.json["fallback"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a\x00bc"},
        {"name": "\ud800abc"},
        {"name": "abc", "ping_interval_ms": 10**30},
        {"name": "abc", "only_exams": [10**30]},
        {"name": "abc", "only_exams": []},
        {"name": "abc", "unknown": 1},
        {"name": "abc", "fallback": {"url": "https://a/\x00"}},
        {"name": "abc", "quit_password": "\x00"},
        {"name": "abc", "protection": "pkhs", "certificate": "\x00"},
        {"name": None},
        [],
    ],
)
async def test_what_cannot_be_is_refused(office: Office, body: Any) -> None:
    assert (await office.call("POST", "/connections", body)).status == 400


@pytest.mark.parametrize("number", ["9223372036854775808", "0", "1" * 400, "-1"])
async def test_a_number_that_names_nothing_is_not_there(office: Office, number: str) -> None:
    assert (await office.call("GET", f"/connections/{number}")).status == 404
    assert (await office.call("DELETE", f"/connections/1/links/{number}")).status == 404


@pytest.mark.parametrize(
    "expires_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01", 5]
)
async def test_a_time_at_the_edge_of_time_is_refused(office: Office, expires_at: Any) -> None:
    made = await office.made()
    answer = await office.call("POST", f"/connections/{made.details.id}/links", {"expires_at": expires_at})
    assert answer.status == 400


async def test_all_of_it_on_postgresql(tmp_path: Path, fresh_postgresql: str) -> None:
    async with running(tmp_path, url=fresh_postgresql, text=TWO_INSTITUTIONS) as server:
        office = await office_of(server)
        biology = exam_called(server, "Biology")
        made = await office.made(only_exams=frozenset({biology}))
        with pytest.raises(Invalid):
            await office.made()
        lasts = datetime.now(UTC) + timedelta(hours=1)
        link = await office.service.make_link(made.details.id, expires_at=lasts, by=office.grace)
        fetched = await server.request("GET", f"/seb/{link.key}.seb")
        async with Network() as network:
            client = await seated(read_connection_file(fetched.body), network)
            assert client.exam is not None
            assert client.exam.id == str(biology)
        with pytest.raises(Refused):
            await office.service.delete(made.details.id, by=office.grace)
        items, total = await office.service.page(office.grace, search="loan", sort="state")
        assert (total, items[0].only_exams) == (1, frozenset({biology}))
        await office.service.revoke(made.details.id, by=office.grace)
        with pytest.raises(NotFound):
            await office.service.file_of_link(link.key, server_url=server.url)

        async def is_refused() -> bool:
            answer = await server.request("POST", wire.TOKEN, headers={"Authorization": basic_of(made)})
            return answer.status == 401

        await until(is_refused, "the token endpoint refuses it")
