"""Finding a Jitsi: what config.js says, and what is said of an address where there is none."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from invigilo.providers.jitsi_site import read_config
from invigilo.providers.proof import Outcome
from invigilo.simulate.jitsi import Mood, _debian_config, _docker_config, deployment_in, jitsi_stand_in
from tests.providers.keys import jitsi_values, public_half, rsa_key
from tests.providers.proving import WELL, jitsi_proof, proof_of


def certificate(folder: Path, *, name: str = "localhost", days: int = 30) -> ssl.SSLContext:
    """A server's own, signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = (
        [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
        if name == "localhost"
        else [x509.DNSName(name)]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "server.pem").write_bytes(pem)
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


async def test_a_name_nobody_has_is_said_to_be_unknown() -> None:
    proof = await proof_of("jitsi", jitsi_values(server_url="https://no-such-host.invalid"))
    assert proof.failed() == {"address": "name_not_found"}
    assert proof.values("address") == {"host": "no-such-host.invalid"}
    assert proof.unproven()["credentials"] == "needs_step"


async def test_a_certificate_of_nobody_known_stops_the_proof_before_any_token_is_sent(tmp_path: Path) -> None:
    async with jitsi_stand_in(WELL, tls=certificate(tmp_path), host="localhost") as stand_in:
        proof = await proof_of("jitsi", jitsi_values(server_url=stand_in.url))
        assert proof.failed() == {"address": "tls_invalid"}
        assert "self-signed" in proof.values("address")["reason"]
        assert stand_in.requests == []


@pytest.mark.parametrize(("name", "days"), [("localhost", -1), ("meet.example.org", 30)])
async def test_an_expired_certificate_or_one_for_another_name_is_not_valid(
    tmp_path: Path, name: str, days: int
) -> None:
    context = certificate(tmp_path, name=name, days=days)
    trust = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    async with jitsi_stand_in(WELL, tls=context, host="localhost") as stand_in:
        proof = await proof_of("jitsi", jitsi_values(server_url=stand_in.url), trust=trust)
        assert proof.failed() == {"address": "tls_invalid"}


async def test_with_tls_everything_goes_over_tls(tmp_path: Path) -> None:
    context = certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    async with jitsi_stand_in(WELL, tls=context, host="localhost") as stand_in:
        proof = await proof_of("jitsi", jitsi_values(server_url=stand_in.url), trust=trust)
        assert proof.failed() == {}


async def test_a_port_where_nobody_listens_is_said_so() -> None:
    with socket.socket() as taken:  # so that nobody else listens there meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        proof = await proof_of("jitsi", jitsi_values(server_url=url))
    assert proof.failed() == {"address": "refused_connection"}


@pytest.mark.spec("live-proctoring", 19)
@pytest.mark.parametrize("mood", [Mood.WELL, Mood.DEBIAN, Mood.BOSH_ONLY])
async def test_a_server_with_port_and_path_is_proven_under_its_whole_address(mood: Mood) -> None:
    stand_ins = []
    proof = await jitsi_proof(mood, path="/video/seb", stand_ins=stand_ins)
    assert proof.failed() == {}
    assert all(path.startswith("/video/seb/") for path in stand_ins[0].requests)


async def test_nothing_is_ever_asked_of_another_host() -> None:
    """config.js may name one, and a redirect may; neither is followed."""
    app = web.Application()

    async def script(_request: web.Request) -> web.Response:
        return web.Response(text="/* api */", content_type="application/javascript")

    async def config(_request: web.Request) -> web.Response:
        text = "var config = {hosts: {domain: 'meet.jitsi'}, websocket: 'wss://elsewhere.example/xmpp-websocket'}"
        return web.Response(text=text, content_type="application/javascript")

    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound("http://localhost:9/elsewhere")

    app.add_routes([
        web.get("/external_api.js", script), web.get("/config.js", config), web.get("/{rest:.*}", elsewhere),
    ])  # fmt: skip
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        proof = await proof_of("jitsi", jitsi_values(server_url=url))
    finally:
        await runner.cleanup()
    assert proof.notes()["address"] == "xmpp_on_other_host"
    assert proof.failed()["credentials"] in {"redirected_elsewhere", "no_xmpp"}


async def test_an_xmpp_domain_that_is_not_the_servers_is_named() -> None:
    proof = await jitsi_proof(xmpp_domain="another.jitsi")
    assert proof.failed()["credentials"] == "wrong_xmpp_domain"


async def test_a_wrong_issuer_is_told_from_a_wrong_app_id() -> None:
    """Once an issuer is given, it is the one at fault."""
    assert (await jitsi_proof(issuer="another")).failed() == {"credentials": "wrong_issuer"}
    assert (await jitsi_proof(app_id="another")).failed() == {"credentials": "wrong_app_id"}
    assert (await jitsi_proof(Mood.OTHER_ISSUER, issuer="learning-system")).failed() == {}


async def test_a_wrong_subject_shows_only_where_domains_are_checked() -> None:
    assert (await jitsi_proof(subject="example.org")).failed() == {}
    failed = (await jitsi_proof(Mood.VERIFIED_DOMAIN, subject="example.org")).failed()
    assert failed == {"participant_joins": "wrong_subject"}


async def test_an_asymmetric_jitsi_is_proven_and_its_faults_told_apart() -> None:
    from dataclasses import replace

    server = replace(WELL, jwt_sign_type="RS256", public_keys={"exam": public_half()})
    values = {"algorithm": "RS256", "key_id": "exam", "private_key": rsa_key(), "app_secret": ""}
    assert (await jitsi_proof(server=server, **values)).failed() == {}
    wrong = {"key_id": "another"}
    assert (await jitsi_proof(server=server, **(values | wrong))).failed() == {
        "credentials": "key_id_unknown"
    }
    wrong = {"private_key": rsa_key("other")}
    assert (await jitsi_proof(server=server, **(values | wrong))).failed() == {
        "credentials": "wrong_private_key"
    }


@pytest.mark.parametrize("mood", [Mood.PREJOIN, Mood.P2P])
async def test_what_stops_nobody_is_a_note_and_no_failure(mood: Mood) -> None:
    proof = await jitsi_proof(mood)
    assert proof.failed() == {}
    assert len(proof.notes()) == 1


@pytest.mark.parametrize("mood", [Mood.WELL, Mood.FULL, Mood.AUTO_OWNER, Mood.FORGEABLE, Mood.NO_ROOM_CHECK])
async def test_a_proof_leaves_nobody_behind(mood: Mood) -> None:
    stand_ins = []
    await jitsi_proof(mood, stand_ins=stand_ins)
    assert stand_ins[0].rooms.by_name == {}


async def test_a_proof_that_is_given_up_leaves_nobody_behind() -> None:
    from contextlib import aclosing

    from invigilo.clock import SystemClock
    from invigilo.providers.description import JITSI, check_values
    from invigilo.providers.proof import prove
    from tests.providers.proving import QUICK

    async with jitsi_stand_in(WELL) as stand_in:
        values = check_values(JITSI, jitsi_values(server_url=stand_in.url), stored=frozenset())
        async with aclosing(prove("jitsi", values, clock=SystemClock(), patience=QUICK)) as steps:
            async for step in steps:
                if step.code == "participant_joins":
                    assert step.outcome is Outcome.OK
                    assert len(stand_in.rooms.by_name) == 1
                    break
        async with asyncio.timeout(60):  # the server notices a moment later
            while stand_in.rooms.by_name:
                await asyncio.sleep(0.02)


# --- config.js ---


@pytest.mark.parametrize("shape", [_docker_config, _debian_config])
@pytest.mark.parametrize("path", ["", "video/seb"])
def test_both_shapes_of_config_js_are_read(shape, path: str) -> None:
    server = deployment_in(Mood.GUESTS, WELL)
    config = read_config(shape(server, "https", "meet.example.org:8443", path))
    assert (config.domain, config.muc, config.guest_domain) == (
        "meet.jitsi",
        "muc.meet.jitsi",
        "guest.meet.jitsi",
    )
    assert config.bosh == f"https://meet.example.org:8443/{path + '/' if path else ''}http-bind"
    assert (config.prejoin, config.p2p, config.iframe_disabled) == (False, False, False)
    off = read_config(
        shape(deployment_in(Mood.IFRAME_DISABLED, deployment_in(Mood.P2P, WELL)), "https", "x", path)
    )
    assert (off.guest_domain, off.p2p, off.iframe_disabled) == (None, True, True)


def test_comments_and_unknown_variables_do_not_deceive() -> None:
    config = read_config(
        """
        /* websocket: 'wss://never.example/' */
        var subdomain = '<!--# echo var="subdomain" default="" -->';
        var config = {
            hosts: { domain: "meet.example.org", // domain: 'never.example'
                     muc: 'conference.' + subdomain + 'meet.example.org' },
            // bosh: '//never.example/http-bind',
            bosh: '//meet.example.org/' + what + 'http-bind', p2p: { useUnifiedPlan: true, enabled: false },
        };
        """
    )
    assert (config.domain, config.muc) == ("meet.example.org", "conference.meet.example.org")
    assert (config.bosh, config.websocket, config.p2p, config.prejoin) == (
        "//meet.example.org/http-bind",
        None,
        False,
        None,
    )


@given(st.text(alphabet="configdomain.mucbosh:='\"\\/+{}`*\n ,;<!-", max_size=400))
def test_any_text_is_read_without_a_stumble(text: str) -> None:
    read_config(text)
