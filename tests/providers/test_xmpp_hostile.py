"""What a server may send a proof: whatever it is, the proof ends in time and with a name for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from invigilo.providers.proof import Outcome, Patience
from invigilo.providers.xmpp import LARGEST_STANZA, Address, NoXmpp, Occupant, Participant, XmppError, parse
from tests.providers.keys import jitsi_values
from tests.providers.proving import Proof, proof_of

Speak = Callable[[web.WebSocketResponse], Awaitable[None]]
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
OPEN = f'<open xmlns="{FRAMING}" from="x"/>'
FEATURES = (
    '<stream:features xmlns:stream="http://etherx.jabber.org/streams">'
    '<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>ANONYMOUS</mechanism></mechanisms></stream:features>'
)
SUCCESS = '<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>'


@asynccontextmanager
async def server(speak: Speak, asked: Callable[[], None]) -> AsyncIterator[str]:
    """A web side that is well, and a WebSocket that says what it likes."""

    async def script(_request: web.Request) -> web.Response:
        asked()
        return web.Response(text="var config = {};", content_type="application/javascript")

    async def socket(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse(protocols=("xmpp",))
        await answer.prepare(request)
        with suppress(ConnectionError, RuntimeError):
            await speak(answer)
        return answer

    app = web.Application()
    app.add_routes([
        web.get("/external_api.js", script), web.get("/config.js", script), web.get("/xmpp-websocket", socket),
    ])  # fmt: skip
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def hostile_proof(speak: Speak, *, step: float = 60.0) -> Proof:
    """`step`: seconds for each step that begins after the address was looked at."""
    patience = Patience(step=60.0, comes=0.1, settle=0.1, spacing=0.0)
    async with server(speak, lambda: object.__setattr__(patience, "step", step)) as url:
        return await proof_of("jitsi", jitsi_values(server_url=url), patience=patience)


async def _says(socket: web.WebSocketResponse, *texts: str) -> None:
    for text in texts:
        message = await socket.receive()
        if message.type is not WSMsgType.TEXT:
            return
        await socket.send_str(text)
    while (await socket.receive()).type is WSMsgType.TEXT:
        pass


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing">&b;</open>'
)
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><open>&a;</open>'
DEEP = "<a>" * 40_000


@pytest.mark.parametrize(
    "text",
    [BOMB, EXTERNAL, DEEP, "no xml", "", "<a", "\x00", "<open/>", "<a>" + "x" * LARGEST_STANZA + "</a>"],
)
async def test_an_answer_that_is_no_stanza_has_a_name(text: str) -> None:
    proof = await hostile_proof(lambda socket: _says(socket, text))
    assert proof.failed()["credentials"] in {"no_xmpp", "stream_ended", "connection_lost"}


async def test_silence_is_bounded() -> None:
    async def silent(socket: web.WebSocketResponse) -> None:
        while (await socket.receive()).type is WSMsgType.TEXT:
            pass

    assert (await hostile_proof(silent, step=0.2)).failed()["credentials"] == "no_answer_in_time"


async def test_a_flood_is_bounded() -> None:
    """Presences without end: neither memory nor time runs away."""

    async def flood(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str(OPEN)
        await socket.send_str(FEATURES)
        await socket.receive()
        await socket.send_str(SUCCESS)
        await socket.receive()
        await socket.send_str(OPEN)
        await socket.send_str(FEATURES)
        for number in range(20_000):
            await socket.send_str(f'<presence xmlns="jabber:client" from="r@m/{number}"/>')
            if number % 100 == 0:
                await asyncio.sleep(0)

    proof = await hostile_proof(flood)
    assert proof.steps["credentials"].outcome is Outcome.FAILED


async def test_a_refusal_in_the_servers_own_words_is_shown_in_one_bounded_line() -> None:
    words = "line one\nline two " + "x" * 5_000
    failure = (
        f'<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-allowed/><text>{words}</text></failure>'
    )

    async def refuse(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str(OPEN)
        await _says_then(socket, FEATURES, failure)

    proof = await hostile_proof(refuse)
    assert proof.failed()["credentials"] == "login_refused"
    hint = proof.values("credentials")["hint"]
    assert len(hint) <= 200
    assert "\n" not in hint


async def _says_then(socket: web.WebSocketResponse, first: str, then: str) -> None:
    await socket.send_str(first)
    await socket.receive()
    await socket.send_str(then)
    while (await socket.receive()).type is WSMsgType.TEXT:
        pass


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_anything_is_parsed_or_refused(text: str | bytes) -> None:
    try:
        parse(text)
    except NoXmpp:
        return


def seated() -> Participant:
    address = Address("meet.jitsi", "muc.meet.jitsi", "focus.meet.jitsi", None, None)
    return Participant(None, address, nick="mine0001", room="r@muc.meet.jitsi")  # type: ignore[arg-type]


_ATTRIBUTES = st.sampled_from(
    ["from='r@muc.meet.jitsi/a'", "from='r@muc.meet.jitsi/mine0001'", "from='r@muc.meet.jitsi'", "from=''", "type='error'",
     "type='unavailable'", "id='q1'", "type='result'"]
)  # fmt: skip
_CHILDREN = st.sampled_from(
    [
        "<x xmlns='http://jabber.org/protocol/muc#user'><item role='moderator'/><status code='110'/></x>",
        "<x xmlns='http://jabber.org/protocol/muc#user'><status code='307'/><status code='110'/></x>",
        "<error xmlns='jabber:client'/>",
        "<error xmlns='jabber:client'><text/></error>",
        "<identity/>",
        "<identity><user><id/></user></identity>",
        "<identity><id>x</id></identity>",
        "text",
    ]
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["presence", "iq", "message", "x"]),
            st.sets(_ATTRIBUTES, max_size=2),
            st.lists(_CHILDREN, max_size=3),
        ),
        max_size=12,
    )
)
def test_any_stanza_in_the_room_is_taken_without_a_stumble(
    stanzas: list[tuple[str, set[str], list[str]]],
) -> None:
    one = seated()
    for name, attributes, children in stanzas:
        names = {a.partition("=")[0]: a for a in attributes}
        text = f"<{name} xmlns='jabber:client' {' '.join(names.values())}>{''.join(children)}</{name}>"
        try:
            one._take(parse(text))
        except XmppError:
            continue
    assert all(isinstance(o, Occupant) for o in one.occupants.values())
