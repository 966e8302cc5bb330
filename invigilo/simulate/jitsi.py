"""A stand-in for a Jitsi Meet server: its web files, XMPP, rooms and reports, in named moods (jitsi.md).

No media server: the pages of its meetings send a small picture a second through the stand-in, so that a proctor sees
somebody. Everything else, above all who is let in and who becomes what, follows the tables of jitsi.md.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web

from invigilo.simulate.jitsi_page import Meeting
from invigilo.simulate.jitsi_rooms import Member, Room, Rooms
from invigilo.simulate.jitsi_rules import Deployment
from invigilo.simulate.jitsi_xmpp import Bosh, websocket

PAGES = Path(__file__).parent / "jitsi_pages"
REPORT_TRIES = 4
"""The first and three repeats, then a report is lost (jitsi.md §6)."""


class Mood(StrEnum):
    """What is the matter with it; each but the first is a row of jitsi.md §5.4 or §5.5, or of issue work on the proof."""

    WELL = "well"
    NOT_A_JITSI = "not_a_jitsi"
    REDIRECTING = "redirecting"
    ANONYMOUS = "anonymous"
    ALLOW_EMPTY = "allow_empty"
    SECURE_DOMAIN = "secure_domain"
    OTHER_APP = "other_app"
    OTHER_SECRET = "other_secret"  # noqa: S105  (a mood)
    OTHER_ISSUER = "other_issuer"
    OTHER_AUDIENCE = "other_audience"
    OTHER_ALGORITHM = "other_algorithm"
    OLD_TEXTS = "old_texts"
    VERIFIED_DOMAIN = "verified_domain"
    NO_ROOM_CHECK = "no_room_check"
    JICOFO_AUTH = "jicofo_auth"
    AUTO_OWNER = "auto_owner"
    ALL_OWNERS = "all_owners"
    WAIT_FOR_HOST = "wait_for_host"
    NO_ROLE_PLUGIN = "no_role_plugin"
    FORGEABLE = "forgeable"
    GUESTS = "guests"
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_BEHIND = "clock_behind"
    JICOFO_DOWN = "jicofo_down"
    JICOFO_SLOW = "jicofo_slow"
    LOBBY = "lobby"
    FULL = "full"
    PREJOIN = "prejoin"
    P2P = "p2p"
    IFRAME_DISABLED = "iframe_disabled"
    BOSH_ONLY = "bosh_only"
    DEBIAN = "debian"


_CHANGES: dict[Mood, dict[str, Any]] = {
    Mood.ANONYMOUS: {"enable_auth": False},
    Mood.ALLOW_EMPTY: {"jwt_allow_empty": True},
    Mood.SECURE_DOMAIN: {"auth_type": "internal"},
    Mood.OTHER_APP: {"jwt_app_id": "another-office"},
    Mood.OTHER_SECRET: {"jwt_app_secret": "quite-another-secret"},
    Mood.OTHER_ISSUER: {"jwt_accepted_issuers": ("learning-system",)},
    Mood.OTHER_AUDIENCE: {"jwt_accepted_audiences": ("seb-client", "seb-server")},
    Mood.OTHER_ALGORITHM: {"jwt_sign_type": "HS512"},
    Mood.OLD_TEXTS: {"jwt_accepted_audiences": ("seb-client",), "old_texts": True},
    Mood.VERIFIED_DOMAIN: {"jwt_enable_domain_verification": True},
    Mood.NO_ROOM_CHECK: {"checks_rooms": False},
    Mood.JICOFO_AUTH: {"jicofo_enable_auth": True},
    Mood.AUTO_OWNER: {"enable_auto_owner": True},
    Mood.ALL_OWNERS: {"muc_allowners": True},
    Mood.WAIT_FOR_HOST: {"muc_wait_for_host": True},
    Mood.NO_ROLE_PLUGIN: {"token_affiliation": False},
    Mood.FORGEABLE: {"presence_identity": False},
    Mood.GUESTS: {"enable_guests": True},
    Mood.CLOCK_AHEAD: {"clock_off": 600.0},
    Mood.CLOCK_BEHIND: {"clock_off": -600.0},
    Mood.JICOFO_DOWN: {"jicofo_runs": False},
    Mood.JICOFO_SLOW: {"jicofo_ready_after": 1},
    Mood.LOBBY: {"enable_lobby_for_all": True},
    Mood.FULL: {"max_participants": 1},
    Mood.PREJOIN: {"enable_prejoin_page": True},
    Mood.P2P: {"enable_p2p": True},
    Mood.IFRAME_DISABLED: {"disable_iframe_api": True},
    Mood.BOSH_ONLY: {"enable_xmpp_websocket": False},
    Mood.DEBIAN: {
        "config_shape": "debian",
        "xmpp_domain": "meet.example.org",
        "muc_domain": "conference.meet.example.org",
    },
}


def deployment_in(mood: Mood, well: Deployment) -> Deployment:
    """A deployment set up well, with what this mood has wrong."""
    return replace(well, **_CHANGES.get(mood, {}))


@dataclass(slots=True)
class Reports:
    """Reports of rooms and occupants to somebody else's server; kept too, for tests that look."""

    url: str = ""
    secret: str = field(default="", repr=False)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    _running: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def take(self, name: str, body: dict[str, Any]) -> None:
        self.sent.append((name, body))
        if self.url:
            task = asyncio.create_task(self._send(name, body))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _send(self, name: str, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        async with aiohttp.ClientSession() as http:
            for attempt in range(REPORT_TRIES):
                with suppress(aiohttp.ClientError, OSError):
                    async with http.post(self.address(name), data=data, headers=self.headers(data)) as answer:
                        if answer.status < 500:
                            return
                await asyncio.sleep(0.2 * 2**attempt)

    def address(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/events/{name}"

    def headers(self, body: bytes) -> Mapping[str, str]:  # noqa: ARG002  (JaaS signs it)
        return {"Content-Type": "application/json", "Authorization": f"Bearer {self.secret}"}

    async def drain(self) -> None:
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def stop(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class JitsiStandIn:
    """One deployment on a port of its own."""

    def __init__(
        self,
        server: Deployment,
        *,
        mood: Mood = Mood.WELL,
        path: str = "",
        reports: Reports | None = None,
        promotes_after: float = 0.5,
    ) -> None:
        self.server = deployment_in(mood, server)
        self.mood = mood
        self.path = path.rstrip("/") or (f"/{server.tenant}" if server.tenant else "")
        self.reports = reports or Reports()
        self.rooms = Rooms(self.server, promotes_after=promotes_after, report=self._report, now=self.now)
        self.requests: list[str] = []
        """Paths that were asked for, without their queries."""
        self.port = 0
        self.scheme = "http"
        self._bosh = Bosh(self.rooms)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """What an administrator enters."""
        return f"{self.scheme}://{self.host}:{self.port}{'' if self.server.tenant else self.path}"

    host = "127.0.0.1"

    def now(self) -> float:
        return time.time() + self.server.clock_off

    async def start(self, *, port: int = 0, tls: ssl.SSLContext | None = None, host: str = "") -> None:
        self.host = host or self.host
        self.scheme = "https" if tls is not None else "http"

        @web.middleware
        async def before(request: web.Request, handler: Any) -> web.StreamResponse:
            return await self._before(request, handler)

        app = web.Application(middlewares=[before])
        app.on_response_prepare.append(self._set_date)
        app.add_routes([*self.routes(), web.get("/{rest:.*}", self._meeting_page)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        self.port = cast("tuple[str, int]", self._runner.addresses[0])[1]

    async def stop(self) -> None:
        self.rooms.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self.reports.stop()

    def routes(self) -> list[web.RouteDef]:
        at = self.path
        found = [
            web.get(f"{at}/config.js", self._config),
            web.get(f"{at}/external_api.js", self._script("external_api.js")),
            web.get(f"{at}/stand-in/meeting.js", self._script("meeting.js")),
            web.get(f"{at}/stand-in/meeting.css", self._script("meeting.css")),
            web.get(f"{at}/stand-in/socket", self._meeting),
            web.post(f"{at}/http-bind", self._bosh.handle),
        ]
        if self.server.enable_xmpp_websocket:
            found.append(web.get(f"{at}/xmpp-websocket", self._websocket))
        return found

    # --- web files ---

    async def _set_date(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self.now(), usegmt=True)

    async def _before(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(request.path)
        match self.mood:
            case Mood.REDIRECTING:
                raise web.HTTPFound("https://elsewhere.example" + request.path)
            case Mood.NOT_A_JITSI:
                return web.Response(
                    text="<!doctype html><title>A page for everything</title>", content_type="text/html"
                )
            case _:
                return cast("web.StreamResponse", await handler(request))

    def _script(self, name: str) -> Any:
        async def answer(_request: web.Request) -> web.FileResponse:
            return web.FileResponse(PAGES / name, headers={"Cache-Control": "no-cache"})

        return answer

    async def _config(self, request: web.Request) -> web.Response:
        shape = _debian_config if self.server.config_shape == "debian" else _docker_config
        text = shape(self.server, self.scheme, request.host, self.path.lstrip("/"))
        return web.Response(text=text, content_type="application/javascript")

    async def _meeting_page(self, _request: web.Request) -> web.Response:
        page = (PAGES / "meeting.html").read_text("utf-8").replace("BASE", self.path)
        return web.Response(text=page, content_type="text/html")

    # --- doors ---

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        return await websocket(request, self.rooms)

    async def _meeting(self, request: web.Request) -> web.StreamResponse:
        return await Meeting(self.rooms, request).run()

    # --- reports (jitsi.md §6, event_sync) ---

    def _report(self, name: str, room: Room, member: Member | None) -> None:
        event = f"muc-{name.replace('/', '-')}"
        body: dict[str, Any] = {
            "event_name": event,
            "room_name": room.name,
            "room_jid": f"{room.name}@{self.server.muc_domain}",
            "is_breakout": False,
            "created_at": int(room.created_at),
        }
        if name == "room/destroyed":
            body["destroyed_at"] = int(self.now())
        if member is not None:
            body["occupant"] = self._occupant(name, member)
            body["active_occupants_count"] = len(room.members) - 1
        self.reports.take(name, body)

    def _occupant(self, name: str, member: Member) -> dict[str, Any]:
        occupant: dict[str, Any] = {"occupant_jid": member.jid, "joined_at": int(member.joined_at)}
        if member.token_id is not None:
            occupant |= {"id": member.token_id, "name": member.token_name}
        if name == "occupant/left":
            occupant["left_at"] = int(self.now())
        return occupant


def _word(is_so: bool) -> str:
    return "true" if is_so else "false"


def _docker_config(server: Deployment, scheme: str, host: str, path: str) -> str:
    socket = "wss" if scheme == "https" else "ws"
    subdir = f"{path}/" if path else ""
    rooms, _, below = server.muc_domain.partition(".")
    lines = [
        "// Jitsi Meet configuration.",
        "var config = {};",
        f"var subdir = '{subdir}';",
        "var subdomain = '';",
        "config.hosts = {};",
        f"config.hosts.domain = '{server.xmpp_domain}';",
        f"config.focusUserJid = 'focus@auth.{server.xmpp_domain}';",
        f"config.hosts.muc = '{rooms}.' + subdomain + '{below}';",
        f"config.bosh = '{scheme}://{host}/' + subdir + 'http-bind';",
    ]
    if server.enable_xmpp_websocket:
        lines.append(f"config.websocket = '{socket}://{host}/' + subdir + 'xmpp-websocket';")
    if server.enable_guests:
        lines.append(f"config.hosts.anonymousdomain = '{server.guest_domain}';")
    lines += [
        "config.prejoinConfig = {",
        f"  enabled: {_word(server.enable_prejoin_page)},",
        "  hideDisplayName: false,",
        "};",
        "config.p2p = {",
        f"  enabled: {_word(server.enable_p2p)},",
        "  codecPreferenceOrder: ['AV1', 'VP9'],",
        "};",
    ]
    if server.disable_iframe_api:
        lines.append("config.disableIframeAPI = true;")
    return "\n".join(lines) + "\n"


def _debian_config(server: Deployment, scheme: str, host: str, path: str) -> str:
    subdir = f"{path}/" if path else ""
    prefix, _, rest = server.muc_domain.partition(".")
    guests = (
        f"anonymousdomain: '{server.guest_domain}',"
        if server.enable_guests
        else "// anonymousdomain: 'guest.example.com',"
    )
    return f"""/* eslint-disable comma-dangle, no-unused-vars, no-var, prefer-template, vars-on-top */
/*
 * NOTE: If you add a new option please remember to document it here: 'bosh: //never.example/'
 */
var subdomain = '<!--# echo var="subdomain" default="" -->';
var subdir = '{subdir}';
var config = {{
    // Connection
    hosts: {{
        // XMPP domain.
        domain: '{server.xmpp_domain}',
        // When using authentication, domain for guest users.
        {guests}
        // Focus component domain. Defaults to focus.<domain>.
        // focus: 'focus.jitsi-meet.example.com',
        muc: '{prefix}.' + subdomain + '{rest}',
    }},
    // BOSH URL. FIXME: use XEP-0156 to discover it.
    bosh: '{scheme}://{host}/' + subdir + 'http-bind',
    // Websocket URL (XMPP)
    // websocket: 'wss://jitsi-meet.example.com/' + subdir + 'xmpp-websocket',
    prejoinConfig: {{
        enabled: {_word(server.enable_prejoin_page)},
    }},
    {"disableIframeAPI: true," if server.disable_iframe_api else "// disableIframeAPI: false,"}
    p2p: {{
        enabled: {_word(server.enable_p2p)},
        // stunServers: [],
    }},
    makeJsonParserHappy: 'even if last key had a trailing comma'
}};
"""


@asynccontextmanager
async def jitsi_stand_in(
    server: Deployment,
    mood: Mood = Mood.WELL,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "",
    promotes_after: float = 0.05,
    path: str = "",
    reports: Reports | None = None,
) -> AsyncGenerator[JitsiStandIn]:
    """Start one on any free port of this machine, stop it afterwards."""
    stand_in = JitsiStandIn(server, mood=mood, path=path, reports=reports, promotes_after=promotes_after)
    await stand_in.start(tls=tls, host=host)
    try:
        yield stand_in
    finally:
        await stand_in.stop()
