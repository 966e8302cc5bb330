"""As much XMPP as a Jitsi participant speaks: log in with a token, ask for the conference, enter the room, listen, leave.

Two ways carry the same stanzas: a WebSocket (RFC 7395) and BOSH, long-polled HTTP, where no WebSocket gets through. The
exchange and what its refusals look like: jitsi.md §5.2 to §5.4. What a server sends is foreign text: it is parsed without
entities or document types, in bounded pieces, and too much of it ends the session.

The token stands in the address of both ways, so no exception of the HTTP client leaves this module: it could quote it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Protocol
from xml.etree.ElementTree import Element, ParseError

import aiohttp
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from yarl import URL

CLIENT = "jabber:client"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
BOSH = "http://jabber.org/protocol/httpbind"
XBOSH = "urn:xmpp:xbosh"
MUC = "http://jabber.org/protocol/muc"
MUC_ADMIN = "http://jabber.org/protocol/muc#admin"
FOCUS = "http://jitsi.org/protocol/focus"

LARGEST_STANZA = 256 * 1024  # bytes
MOST_STANZAS = 5_000
MOST_OCCUPANTS = 1_000
BOSH_WAIT = 5  # seconds the server may hold a poll
GOODBYE = 2.0  # seconds for leaving
READY_PAUSE = 1.0  # seconds until a conference that is not ready is asked for again
OWN_PRESENCE = "110"
KICKED = "307"

_NICK = re.compile(r"[A-Za-z0-9_]{8}")


class XmppError(Exception):
    """Something in the exchange did not go on. Never holds the address or the token."""


class Unreachable(XmppError):
    """No connection, or it broke; worth another try."""


class NoXmpp(XmppError):
    """Something answers there that speaks no XMPP; `status` is its HTTP status, if it has one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class StreamEnded(XmppError):
    """The server closed the stream; `condition` as it said."""

    def __init__(self, condition: str = "") -> None:
        super().__init__(f"The server closed the stream: {condition or 'no reason given'}.")
        self.condition = condition


class NoTokenLogin(XmppError):
    """The server offers no ANONYMOUS login, so it is not set up for tokens."""

    def __init__(self, mechanisms: tuple[str, ...]) -> None:
        super().__init__("The server offers another kind of login.")
        self.mechanisms = mechanisms


class Declined(XmppError):
    """The server said no; `text` is its own reason, which varies with its age and is a hint at most."""

    def __init__(self, condition: str, text: str = "", detail: str = "") -> None:
        super().__init__(f"Refused: {condition}.")
        self.condition = condition
        self.text = text[:200]
        self.detail = detail
        """A condition of Jitsi's own beside the general one."""


class LoginRefused(Declined):
    """At the login: the token."""


class ConferenceRefused(Declined):
    """By the focus (Jicofo)."""


class JoinRefused(Declined):
    """At the door of the room."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a deployment speaks XMPP."""

    domain: str
    muc_domain: str
    focus: str
    websocket: URL | None
    bosh: URL | None

    def room(self, name: str) -> str:
        return f"{name}@{self.muc_domain}"


# --- two ways to carry stanzas ---


class Transport(Protocol):
    """Carries stanzas; the first thing it delivers is the stream's features."""

    async def open(self, domain: str) -> None: ...
    async def send(self, stanza: str) -> None: ...
    async def receive(self) -> Element: ...
    async def restart(self, domain: str) -> None: ...
    async def say_goodbye(self, last: str) -> None: ...
    async def close(self) -> None: ...


def parse(text: str | bytes) -> Element:
    """One element from outside. Raises NoXmpp."""
    if len(text) > LARGEST_STANZA:
        raise NoXmpp("The server sent more than a stanza may hold.")
    try:
        return fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise NoXmpp("The server sent something that is no XML.") from None


class WebSocketTransport:
    """One stanza per text frame (RFC 7395)."""

    def __init__(self, http: aiohttp.ClientSession, url: URL) -> None:
        self._http = http
        self._url = url
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self, domain: str) -> None:
        try:
            self._socket = await self._http.ws_connect(
                self._url, protocols=("xmpp",), max_msg_size=LARGEST_STANZA, autoclose=True
            )
        except aiohttp.WSServerHandshakeError as error:
            raise NoXmpp("There is no XMPP WebSocket there.", error.status) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(type(error).__name__) from None
        await self._greet(domain)

    async def _greet(self, domain: str) -> None:
        await self.send(f'<open xmlns="{FRAMING}" to="{escape(domain)}" version="1.0"/>')
        answer = await self.receive()
        if answer.tag != f"{{{FRAMING}}}open":
            raise NoXmpp("The server does not open a stream.")

    async def send(self, stanza: str) -> None:
        if self._socket is None or self._socket.closed:
            raise StreamEnded
        try:
            await self._socket.send_str(stanza)
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(type(error).__name__) from None

    async def receive(self) -> Element:
        if self._socket is None:
            raise StreamEnded
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise StreamEnded
        element = parse(message.data)
        if element.tag == f"{{{FRAMING}}}close" or _name(element) == "error":
            raise StreamEnded(_condition(element))
        return element

    async def restart(self, domain: str) -> None:
        await self._greet(domain)

    async def say_goodbye(self, last: str) -> None:
        if last:
            await self.send(last)
        await self.send(f'<close xmlns="{FRAMING}"/>')

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()


class BoshTransport:
    """Stanzas in the bodies of POSTs; the server holds one until it has something to say."""

    def __init__(self, http: aiohttp.ClientSession, url: URL) -> None:
        self._http = http
        self._url = url
        self._sid = ""
        self._rid = secrets.randbelow(2**31) + 1
        self._deliver_next = self._rid
        self._answers: dict[int, Element | XmppError] = {}
        self._arrived: asyncio.Queue[Element | XmppError] = asyncio.Queue()
        self._in_flight: set[asyncio.Task[None]] = set()

    async def open(self, domain: str) -> None:
        await self._post(
            f'to="{escape(domain)}" wait="{BOSH_WAIT}" hold="1" ver="1.6" xmpp:version="1.0" xmlns:xmpp="{XBOSH}"'
        )

    async def restart(self, domain: str) -> None:
        await self._post(f'to="{escape(domain)}" xmpp:restart="true" xmlns:xmpp="{XBOSH}"')

    async def send(self, stanza: str) -> None:
        self._start("", stanza)

    async def receive(self) -> Element:
        while self._arrived.empty() and not self._in_flight:
            await self._post("")
        answer = await self._arrived.get()
        if isinstance(answer, XmppError):
            raise answer
        return answer

    async def say_goodbye(self, last: str) -> None:
        if self._sid:
            await self._post('type="terminate"', last)

    async def close(self) -> None:
        running = list(self._in_flight)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, attributes: str, stanza: str) -> asyncio.Task[None]:
        """Requests may overtake each other on their way back, so what they bring is delivered in their order."""
        rid, self._rid = self._rid, self._rid + 1
        task = asyncio.create_task(self._exchange(rid, attributes, stanza))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)
        return task

    async def _post(self, attributes: str, stanza: str = "") -> None:
        await self._start(attributes, stanza)

    async def _exchange(self, rid: int, attributes: str, stanza: str) -> None:
        sid = f' sid="{escape(self._sid)}"' if self._sid else ""
        body = f'<body xmlns="{BOSH}" rid="{rid}"{sid} {attributes}>{stanza}</body>'
        try:
            self._answers[rid] = await self._ask(body)
        except XmppError as error:
            self._answers[rid] = error
        while (answer := self._answers.pop(self._deliver_next, None)) is not None:
            self._deliver_next += 1
            self._take(answer)

    async def _ask(self, body: str) -> Element:
        kind = {"Content-Type": "text/xml; charset=utf-8"}
        try:
            async with self._http.post(
                self._url, data=body.encode(), headers=kind, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise NoXmpp("There is no BOSH there.", answer.status)
                return parse(await answer.content.read(LARGEST_STANZA + 1))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(type(error).__name__) from None

    def _take(self, answer: Element | XmppError) -> None:
        if isinstance(answer, XmppError):
            self._arrived.put_nowait(answer)
            return
        if answer.tag != f"{{{BOSH}}}body":
            self._arrived.put_nowait(NoXmpp("The server answers without a body."))
            return
        self._sid = answer.get("sid", self._sid)
        for stanza in answer:
            self._arrived.put_nowait(
                StreamEnded(_condition(stanza))
                if _name(stanza) == "error" and "streams" in stanza.tag
                else stanza
            )
        if answer.get("type") == "terminate":
            self._arrived.put_nowait(StreamEnded(answer.get("condition", "")))


# --- one participant ---


@dataclass(slots=True)
class Occupant:
    """Somebody in the room, as the server tells the others."""

    nick: str
    role: str = "none"
    affiliation: str = "none"
    identity: str | None = None
    """The id of `<identity>`; who fills it in depends on the server (jitsi.md §6)."""

    @property
    def is_moderator(self) -> bool:
        return self.role == "moderator" or self.affiliation == "owner"


@dataclass(slots=True)
class Participant:
    """A session that was let in at the login, and what it has seen since."""

    transport: Transport
    address: Address
    jid: str = ""
    nick: str = ""
    room: str = ""
    occupants: dict[str, Occupant] = field(default_factory=dict[str, Occupant])
    was_moderator: bool = False
    """At any moment since entering, however short."""
    ended: XmppError | None = None
    _refusal: JoinRefused | None = None
    _answers: dict[str, asyncio.Future[Element]] = field(default_factory=dict[str, "asyncio.Future[Element]"])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _listener: asyncio.Task[None] | None = None
    _seen: int = 0
    _number: int = 0

    @property
    def me(self) -> Occupant | None:
        return self.occupants.get(self.nick)

    async def log_in(self) -> None:
        """Up to an address of our own. Raises LoginRefused when the token is not accepted."""
        await self.transport.open(self.address.domain)
        features = await self.transport.receive()
        mechanisms = tuple((one.text or "").strip() for one in features.iter(f"{{{SASL}}}mechanism"))
        if "ANONYMOUS" not in mechanisms:
            raise NoTokenLogin(mechanisms)
        await self.transport.send(f'<auth xmlns="{SASL}" mechanism="ANONYMOUS"/>')
        answer = await self.transport.receive()
        if answer.tag != f"{{{SASL}}}success":
            raise LoginRefused(_condition(answer), _text(answer))
        await self.transport.restart(self.address.domain)
        await self.transport.receive()
        self._listener = asyncio.create_task(self._listen())
        bound = await self._ask("", f'<bind xmlns="{BIND}"/>')
        self.jid = next((e.text or "" for e in bound.iter(f"{{{BIND}}}jid")), "")
        mine = self.jid.partition("@")[0][:8]
        self.nick = mine if _NICK.fullmatch(mine) else secrets.token_hex(4)

    async def request_conference(self, room: str, *, token: str) -> dict[str, str]:
        """Have the focus make the room: nobody else may (jitsi.md §5.2). Returns its properties, once it is ready."""
        content = (
            f'<conference xmlns="{FOCUS}" room="{escape(room)}" machine-uid="{secrets.token_hex(8)}" '
            f'token="{escape(token)}"/>'
        )
        while True:
            answer = await self._ask(self.address.focus, content)
            if answer.get("type") == "error":
                error = next(iter(answer.iter(f"{{{CLIENT}}}error")), answer)
                raise ConferenceRefused(_condition(error), _text(error))
            conference = next(iter(answer.iter(f"{{{FOCUS}}}conference")), answer)
            if conference.get("ready") != "false":
                return {
                    e.get("name", ""): e.get("value", "") for e in conference.iter(f"{{{FOCUS}}}property")
                }
            await asyncio.sleep(READY_PAUSE)

    async def join(self, room: str, *, extra: str = "") -> Occupant:
        """Enter. Raises JoinRefused."""
        self.room = room
        self._refusal = None
        await self.say_presence(f'<x xmlns="{MUC}"/>{extra}')
        await self._wait(lambda: self.me is not None or self._refusal is not None)
        if self._refusal is not None:
            self.room = ""
            raise self._refusal
        assert self.me is not None
        return self.me

    async def say_presence(self, content: str) -> None:
        """Tell the room something of ourselves."""
        await self.transport.send(
            f'<presence xmlns="{CLIENT}" to="{escape(self.room)}/{self.nick}">{content}</presence>'
        )

    async def kick(self, nick: str) -> None:
        """Send somebody out; moderators only. Raises Declined."""
        answer = await self._ask(
            self.room,
            f'<query xmlns="{MUC_ADMIN}"><item nick="{escape(nick)}" role="none"/></query>',
        )
        if answer.get("type") == "error":
            error = next(iter(answer.iter(f"{{{CLIENT}}}error")), answer)
            raise Declined(_condition(error), _text(error))

    async def watch(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Listen until it is so, at most so long; a stream that ends ends the watch."""
        try:
            async with asyncio.timeout(seconds):
                await self._wait(is_so)
        except TimeoutError:
            return is_so()
        return True

    async def leave(self) -> None:
        """Out of the room and off; quiet, whatever state things are in."""
        last = f'<presence xmlns="{CLIENT}" type="unavailable" to="{escape(self.room)}/{self.nick}"/>'
        with contextlib.suppress(XmppError, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self.transport.say_goodbye(last if self.room else "")
                if self._listener is not None:
                    await self._wait(
                        lambda: False
                    )  # until the server has closed: then it knows that we are gone
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self.transport.close()

    async def _ask(self, to: str, content: str) -> Element:
        self._number += 1
        number = f"q{self._number}"
        future: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        address = f' to="{escape(to)}"' if to else ""
        try:
            await self.transport.send(
                f'<iq xmlns="{CLIENT}" type="set" id="{number}"{address}>{content}</iq>'
            )
            await self._wait(future.done)
        finally:
            del self._answers[number]
        return future.result()

    async def _wait(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            if self.ended is not None:
                raise self.ended
            self._changed.clear()
            await self._changed.wait()

    async def _listen(self) -> None:
        try:
            while True:
                self._take(await self.transport.receive())
                self._changed.set()
        except XmppError as error:
            self.ended = error
        finally:
            self._changed.set()

    def _take(self, stanza: Element) -> None:
        self._seen += 1
        if self._seen > MOST_STANZAS:
            raise NoXmpp("The server does not stop talking.")
        match _name(stanza):
            case "iq":
                future = self._answers.get(stanza.get("id", ""))
                if future is not None and not future.done() and stanza.get("type") in {"result", "error"}:
                    future.set_result(stanza)
            case "presence":
                self._take_presence(stanza)
            case _:
                return

    def _take_presence(self, presence: Element) -> None:
        room, _, nick = presence.get("from", "").partition("/")
        if not self.room or room.lower() != self.room.lower():
            return
        kind = presence.get("type")
        if kind == "error":
            error = next(iter(presence.iter(f"{{{CLIENT}}}error")), presence)
            self._refusal = JoinRefused(_condition(error), _text(error), _own_condition(error))
            return
        codes = {e.get("code") for e in presence.iter(f"{{{MUC}#user}}status")}
        is_mine = OWN_PRESENCE in codes or nick == self.nick
        if is_mine and nick:
            self.nick = nick  # a server may have given us another one
        if kind == "unavailable":
            self.occupants.pop(nick, None)
            if is_mine:
                self.ended = StreamEnded("kicked" if KICKED in codes else "removed")
            return
        if nick not in self.occupants and len(self.occupants) >= MOST_OCCUPANTS:
            raise NoXmpp("The room holds more people than can be.")
        item = next(iter(presence.iter(f"{{{MUC}#user}}item")), None)
        one = self.occupants.setdefault(nick, Occupant(nick))
        if item is not None:
            one.role, one.affiliation = item.get("role", "none"), item.get("affiliation", "none")
        one.identity = _identity(presence)
        if is_mine and one.is_moderator:
            self.was_moderator = True


def _identity(presence: Element) -> str | None:
    for child in presence:
        if _name(child) == "identity":
            found = next((e.text for e in child.iter() if _name(e) == "id"), None)
            return (found or "").strip()[:128] or None
    return None


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _condition(element: Element) -> str:
    """The name of a failure's first general condition."""
    for child in element:
        namespace = child.tag.rpartition("}")[0].lstrip("{")
        if _name(child) != "text" and (namespace in {STANZAS, SASL} or "streams" in namespace):
            return _name(child)[:60]
    return element.get("condition", "")[:60]


def _own_condition(element: Element) -> str:
    for child in element:
        namespace = child.tag.rpartition("}")[0].lstrip("{")
        if _name(child) != "text" and namespace not in {STANZAS, SASL, ""}:
            return _name(child)[:60]
    return ""


def _text(element: Element) -> str:
    """The server's own words, one line of printable characters."""
    found = next((e.text or "" for e in element.iter() if _name(e) == "text"), "")
    return "".join(c if c.isprintable() else " " for c in found).strip()[:200]


# --- logging in ---


@asynccontextmanager
async def participant(
    http: aiohttp.ClientSession, address: Address, *, room: str, token: str | None
) -> AsyncGenerator[Participant]:
    """Log in as browsers do, by WebSocket or else by BOSH; leave when done. Raises XmppError."""
    query = {"room": room} | ({"token": token} if token is not None else {})
    one = await _log_in(http, address, query)
    try:
        yield one
    finally:
        await one.leave()


async def _log_in(http: aiohttp.ClientSession, address: Address, query: Mapping[str, str]) -> Participant:
    failure: XmppError = NoXmpp("The server names no address for XMPP.")
    ways: list[Transport] = []
    if address.websocket is not None:
        ways.append(WebSocketTransport(http, address.websocket.update_query(query)))
    if address.bosh is not None:
        ways.append(BoshTransport(http, address.bosh.update_query(query)))
    for transport in ways:
        one = Participant(transport, address)
        try:
            await one.log_in()
        except (Unreachable, NoXmpp) as error:
            # The first way's failure tells more, unless the second one got further.
            failure = failure if isinstance(failure, Unreachable) else error
            await one.leave()
        except BaseException:
            await one.leave()
            raise
        else:
            return one
    raise failure
