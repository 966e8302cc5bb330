"""The XMPP side of the Jitsi stand-in, by WebSocket and by BOSH: jitsi.md §5.2, §5.3, and RFC 7395, XEP-0124, XEP-0206."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from xml.etree.ElementTree import Element, ParseError, register_namespace, tostring

from aiohttp import WSMsgType, web
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from invigilo.simulate.jitsi_rooms import Member, Notice, Room, Rooms, What, new_session_id
from invigilo.simulate.jitsi_rules import LONGEST_TOKEN, Claims, DoorClosed, TokenRefused, may, verify

CLIENT, STREAMS = "jabber:client", "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
BOSH, XBOSH = "http://jabber.org/protocol/httpbind", "urn:xmpp:xbosh"
MUC = "http://jabber.org/protocol/muc"
FOCUS_NS = "http://jitsi.org/protocol/focus"
JITMEET = "http://jitsi.org/jitmeet"

register_namespace("", CLIENT)

_FEATURES = f'<stream:features xmlns:stream="{STREAMS}" xmlns="{CLIENT}">'


@dataclass(slots=True)
class Stream:
    """One session's stream, whatever carries it; `say` sends a stanza, `end` closes with a condition."""

    rooms: Rooms
    token: str | None
    say: Callable[[str], None]
    end: Callable[[str], None]
    domain: str = ""
    jid: str = ""
    claims: Claims | None = None
    is_logged_in: bool = False
    is_guest: bool = False
    member: Member | None = None
    room: Room | None = None
    room_name: str = ""

    def open(self, domain: str) -> bool:
        """A stream to a domain, at first and again after the login; False when there is no such domain here."""
        server = self.rooms.server
        self.is_guest = server.enable_guests and domain == server.guest_domain
        if domain != server.xmpp_domain and not self.is_guest:
            return False
        self.domain = domain
        return True

    def features(self) -> str:
        if self.is_logged_in:
            return f'{_FEATURES}<bind xmlns="{BIND}"/></stream:features>'
        server = self.rooms.server
        tokens = not server.enable_auth or server.auth_type == "jwt" or self.is_guest
        kinds = ("ANONYMOUS",) if tokens else ("SCRAM-SHA-1", "PLAIN")
        listed = "".join(f"<mechanism>{kind}</mechanism>" for kind in kinds)
        return f'{_FEATURES}<mechanisms xmlns="{SASL}">{listed}</mechanisms></stream:features>'

    def take(self, stanza: Element) -> None:
        match _name(stanza):
            case "auth":
                self._log_in(stanza)
            case "iq" if self.is_logged_in:
                self._iq(stanza)
            case "presence" if self.is_logged_in and self.jid:
                self._presence(stanza)
            case "message" if self.is_logged_in:
                self._message(stanza)
            case _:
                self.end("not-authorized")

    def closed(self) -> None:
        if self.room is not None and self.member is not None:
            self.rooms.leave(self.room, self.member)
        self.room = None

    # --- login ---

    def _log_in(self, stanza: Element) -> None:
        if stanza.get("mechanism") != "ANONYMOUS":
            self.say(f'<failure xmlns="{SASL}"><invalid-mechanism/></failure>')
            return
        try:
            if not self.is_guest:
                self.claims = verify(self.token, self.rooms.server, now=self.rooms.now())
        except TokenRefused as refused:
            self.say(
                f'<failure xmlns="{SASL}"><{refused.condition}/><text>{escape(refused.text)}</text></failure>'
            )
            return
        self.is_logged_in = True
        self.say(f'<success xmlns="{SASL}"/>')

    # --- queries ---

    def _iq(self, iq: Element) -> None:
        number, to = iq.get("id", ""), iq.get("to", "")
        if iq.find(f"{{{BIND}}}bind") is not None:
            self.jid = f"{new_session_id()}@{self.domain}/{secrets.token_urlsafe(6)}"
            self._answer(number, "", f'<bind xmlns="{BIND}"><jid>{escape(self.jid)}</jid></bind>')
            return
        conference = iq.find(f"{{{FOCUS_NS}}}conference")
        if to == f"focus.{self.rooms.server.xmpp_domain}" and conference is not None:
            self._conference(number, to, conference)
            return
        kick = iq.find(f"{{{MUC}#admin}}query/{{{MUC}#admin}}item")
        if kick is not None and self.room is not None and self.member is not None:
            if self.rooms.kick(self.room, self.member, kick.get("nick", "")):
                self._answer(number, to, "")
            else:
                self._error(number, to, "not-allowed")
            return
        self._error(number, to, "service-unavailable")

    def _conference(self, number: str, to: str, conference: Element) -> None:
        server = self.rooms.server
        if not server.jicofo_runs:
            self._error(number, to, "service-unavailable")
            return
        if server.jicofo_enable_auth and not conference.get("machine-uid"):
            self._error(number, to, "not-acceptable")
            return
        room = conference.get("room", "")
        ready = self.rooms.request(room.partition("@")[0].lower())
        needs_login = "true" if server.jicofo_enable_auth else "false"
        self._answer(
            number,
            to,
            f'<conference xmlns="{FOCUS_NS}" room="{escape(room)}" ready="{"true" if ready else "false"}" '
            f'focusjid="focus@auth.{server.xmpp_domain}">'
            f'<property name="authentication" value="{needs_login}"/></conference>',
        )

    def _answer(self, number: str, sender: str, content: str) -> None:
        origin = f' from="{escape(sender)}"' if sender else ""
        self.say(f'<iq xmlns="{CLIENT}" type="result" id="{escape(number)}"{origin}>{content}</iq>')

    def _error(self, number: str, sender: str, condition: str) -> None:
        origin = f' from="{escape(sender)}"' if sender else ""
        self.say(
            f'<iq xmlns="{CLIENT}" type="error" id="{escape(number)}"{origin}>'
            f'<error type="cancel"><{condition} xmlns="{STANZAS}"/></error></iq>'
        )

    # --- the room ---

    def _presence(self, presence: Element) -> None:
        to = presence.get("to", "")
        name, nick = to.partition("@")[0].lower(), to.partition("/")[2]
        if presence.get("type") == "unavailable":
            if self.room is not None and self.member is not None:
                self.rooms.leave(self.room, self.member)
                self.room = self.member = None
            return
        if self.room is not None and self.member is not None:
            self._note_claims(self.member, presence)
            self.rooms.change_presence(self.room, self.member)
            return
        member = Member(nick, self.jid, self._hear, self.claims, self.is_guest)
        self._note_claims(member, presence)
        self.member, self.room_name = member, name
        try:
            self.room = self.rooms.join(name, member)
        except DoorClosed as closed:
            self.member = None
            own = f'<{closed.own} xmlns="{JITMEET}"/>' if closed.own else ""
            text = f'<text xmlns="{STANZAS}">{escape(closed.text)}</text>' if closed.text else ""
            self.say(
                f'<presence xmlns="{CLIENT}" type="error" from="{escape(to)}" to="{escape(self.jid)}">'
                f'<error type="{closed.kind}"><{closed.condition} xmlns="{STANZAS}"/>{text}{own}</error></presence>'
            )

    def _note_claims(self, member: Member, presence: Element) -> None:
        """What a client says of itself: kept as it is, but the identity only where no module replaces it."""
        kept: list[str] = []
        for child in presence:
            match _name(child):
                case "identity":
                    found = {_name(e): e.text for e in child.iter()}
                    member.claimed_identity = found.get("id")
                    member.claimed_name = found.get("name") or member.claimed_name
                case "nick":
                    member.claimed_name = child.text or ""
                    kept.append(tostring(child, encoding="unicode"))
                case "x":
                    pass
                case _:
                    kept.append(tostring(child, encoding="unicode"))
        member.said = "".join(kept)

    def _message(self, message: Element) -> None:
        body = message.findtext(f"{{{CLIENT}}}body")
        if not body or self.room is None or self.member is None or message.get("type") != "groupchat":
            return
        if may(self.claims, "send-groupchat", is_moderator=self.member.is_moderator):
            self.room.tell(What.CHAT, self.member, body=body[:1_000])

    def _hear(self, notice: Notice) -> None:
        about = notice.about
        source = f"{self.room_name}@{self.rooms.server.muc_domain}/{about.nick}"
        match notice.what:
            case What.PRESENCE | What.LEFT:
                self.say(self._presence_of(notice, source))
            case What.CHAT:
                self.say(
                    f'<message xmlns="{CLIENT}" type="groupchat" from="{escape(source)}" to="{escape(self.jid)}">'
                    f"<body>{escape(str(notice.body))}</body></message>"
                )
            case What.PICTURE | What.MUTED:
                return
        if notice.is_self and "307" in notice.codes:
            self.room = self.member = None

    def _presence_of(self, notice: Notice, source: str) -> str:
        about = notice.about
        gone = notice.what is What.LEFT
        role, affiliation = ("none", about.affiliation) if gone else (about.role, about.affiliation)
        codes = "".join(f'<status code="{code}"/>' for code in notice.codes)
        content = "" if gone else about.said + self._identity(about)
        kind = ' type="unavailable"' if gone else ""
        return (
            f'<presence xmlns="{CLIENT}"{kind} from="{escape(source)}" to="{escape(self.jid)}">{content}'
            f'<x xmlns="{MUC}#user"><item jid="{escape(about.jid)}" affiliation="{affiliation}" role="{role}"/>'
            f"{codes}</x></presence>"
        )

    def _identity(self, about: Member) -> str:
        identity, name = self.rooms.identity_of(about)
        if identity is None:
            return ""
        return f"<identity><user><id>{escape(identity)}</id><name>{escape(name)}</name></user></identity>"


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _parsed(text: str | bytes) -> Element | None:
    try:
        return fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return None


# --- WebSocket ---


async def websocket(request: web.Request, rooms: Rooms) -> web.WebSocketResponse:
    """`/xmpp-websocket?room=…&token=…`, subprotocol xmpp."""
    socket = web.WebSocketResponse(protocols=("xmpp",), max_msg_size=256 * 1024)
    await socket.prepare(request)
    outbox: asyncio.Queue[str | None] = asyncio.Queue()
    token = _token(request)

    def end(condition: str) -> None:
        outbox.put_nowait(
            f'<stream:error xmlns:stream="{STREAMS}"><{condition} xmlns="{STREAM_ERRORS}"/></stream:error>'
        )
        outbox.put_nowait(f'<close xmlns="{FRAMING}"/>')
        outbox.put_nowait(None)

    stream = Stream(rooms, token, outbox.put_nowait, end)

    async def write() -> None:
        while (one := await outbox.get()) is not None:
            await socket.send_str(one)
        await socket.close()

    writer = asyncio.create_task(write())
    try:
        async for message in socket:
            if message.type is not WSMsgType.TEXT or len(token or "") > LONGEST_TOKEN:
                continue
            element = _parsed(message.data)
            if element is None:
                end("not-well-formed")
            elif element.tag == f"{{{FRAMING}}}open":
                _open_stream(stream, element.get("to", ""), outbox, end)
            elif element.tag == f"{{{FRAMING}}}close":
                outbox.put_nowait(f'<close xmlns="{FRAMING}"/>')
                outbox.put_nowait(None)
            else:
                stream.take(element)
    except (ConnectionError, RuntimeError):
        pass
    finally:
        stream.closed()
        writer.cancel()
    return socket


def _open_stream(
    stream: Stream, domain: str, outbox: asyncio.Queue[str | None], end: Callable[[str], None]
) -> None:
    known = stream.open(domain)
    outbox.put_nowait(
        f'<open xmlns="{FRAMING}" from="{escape(domain)}" id="{secrets.token_hex(8)}" version="1.0"/>'
    )
    if known:
        outbox.put_nowait(stream.features())
    else:
        end("host-unknown")


def _token(request: web.Request) -> str | None:
    """In the address, or as newer plugins take it besides."""
    bearer = request.headers.get("Authorization", "")
    return request.query.get("token") or (
        bearer.removeprefix("Bearer ") if bearer.startswith("Bearer ") else None
    )


# --- BOSH ---


@dataclass(slots=True)
class BoshSession:
    stream: Stream
    wait: float
    waiting: list[str] = field(default_factory=list[str])
    news: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str | None = None
    holding: asyncio.Event | None = None

    def say(self, stanza: str) -> None:
        self.waiting.append(stanza)
        self.news.set()

    def end(self, condition: str) -> None:
        self.ended = condition
        self.news.set()


@dataclass(slots=True)
class Bosh:
    """`/http-bind?room=…&token=…`: the token is read when the session is made."""

    rooms: Rooms
    sessions: dict[str, BoshSession] = field(default_factory=dict[str, BoshSession])

    async def handle(self, request: web.Request) -> web.Response:
        body = _parsed(await request.read())
        if body is None or body.tag != f"{{{BOSH}}}body" or not body.get("rid"):
            return web.Response(status=400, text="bad request")
        sid = body.get("sid")
        if sid is None:
            return self._begin(request, body)
        session = self.sessions.get(sid)
        if session is None:
            return _body('type="terminate" condition="item-not-found"', "")
        return await self._go_on(sid, session, body)

    def _begin(self, request: web.Request, body: Element) -> web.Response:
        sid = secrets.token_hex(8)
        stream = Stream(self.rooms, _token(request), _nothing, _nothing)
        session = BoshSession(stream, min(float(body.get("wait") or 5), 30))
        stream.say, stream.end = session.say, session.end
        if not stream.open(body.get("to", "")):
            return _body('type="terminate" condition="improper-addressing"', "")
        self.sessions[sid] = session
        return _body(f'sid="{sid}" wait="{session.wait:g}" hold="1" ver="1.6"', stream.features())

    async def _go_on(self, sid: str, session: BoshSession, body: Element) -> web.Response:
        if session.holding is not None:
            session.holding.set()  # a second request frees the first: one is held at most
        if body.get(f"{{{XBOSH}}}restart") == "true":
            session.say(session.stream.features())
        for stanza in body:
            session.stream.take(stanza)
        if body.get("type") == "terminate":
            del self.sessions[sid]
            session.stream.closed()
            return _body('type="terminate"', "")
        if not session.waiting and session.ended is None:
            await self._hold(session)
        said, session.waiting = "".join(session.waiting), []
        session.news.clear()
        if session.ended is not None:
            self.sessions.pop(sid, None)
            session.stream.closed()
            return _body(f'type="terminate" condition="{session.ended}"', said)
        return _body("", said)

    async def _hold(self, session: BoshSession) -> None:
        freed = session.holding = asyncio.Event()
        waits = [asyncio.create_task(session.news.wait()), asyncio.create_task(freed.wait())]
        try:
            await asyncio.wait(waits, timeout=session.wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            if session.holding is freed:
                session.holding = None


def _nothing(_said: str) -> None:
    """Until the session exists, nobody speaks."""


def _body(attributes: str, content: str) -> web.Response:
    text = f'<body xmlns="{BOSH}" {attributes}>{content}</body>'
    return web.Response(text=text, content_type="text/xml")
