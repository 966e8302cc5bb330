"""The candidate's camera page without a browser: the same socket, the same messages, a real peer connection.

What it says is docs/protocol.md. Two differences from the page in SEB: aiortc sends its ICE candidates inside the offer
instead of one by one, and has no ICE restart, so a restart is a new peer connection under the old name.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import random
import secrets
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aioice.ice
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.codecs import vpx
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from yarl import URL

from invigilo.simulate.camera import Camera, CameraTrack, MicrophoneTrack, Mood
from invigilo.simulate.meeting import MeetingVisit, Stay
from invigilo.simulate.network import Network, NetworkLost

PING_EVERY = 3.0  # seconds
MEDIA_EVERY = 10.0
PONG_WITHIN = 12.0
"""A socket that is silent for so long is given up."""
BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0)
MAX_BITRATE = 150_000
REPLACED, ENDED = 4001, 4002
ANSWERS = ("Thank you, all is well here.", "Ja, danke.", "I have a question about task 3.", "ขอบคุณครับ")
"""What a candidate writes when a proctor opens the chat."""
_BROWSER = {
    "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) SEB/3.10.2",
}

_gather_all = aioice.ice.get_host_addresses


def use_loopback(*, only: bool = True) -> None:
    """Let peer connections of this process use 127.0.0.1, which aioice leaves out.

    With `only` nothing else is gathered: the server is on this machine, so the connection works whether or not the
    machine has a network, and no packet leaves it.
    """

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return ["127.0.0.1", *([] if only else _gather_all(use_ipv4, use_ipv6))]

    aioice.ice.get_host_addresses = addresses


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def limit_video(bitrate: int = MAX_BITRATE) -> None:
    """Hold every VP8 encoder of this process at one bitrate; aiortc would begin at 500 kbit/s and never go below 250."""
    vpx.DEFAULT_BITRATE = vpx.MIN_BITRATE = vpx.MAX_BITRATE = bitrate


class PageEnd(StrEnum):
    """Why a page does not come back by itself."""

    REPLACED = "replaced"
    ENDED = "ended"
    NOT_OURS = "not our page"
    """The exam's address is no entry link: there is no camera page."""


@dataclass(slots=True)
class PageCounts:
    opened: int = 0
    reconnects: int = 0
    stills: int = 0
    offers: int = 0
    videos: int = 0
    """Peer connections that came to life."""
    meetings: int = 0
    """Times a page was in a service's meeting."""
    called: int = 0
    """Times a proctor called somebody into a talk or a town hall."""
    spoken_to: int = 0
    """Times a proctor began to speak to somebody."""
    messages: int = 0
    errors: int = 0


CLOSES_WITHIN = 10.0  # seconds for peer connections; what takes longer never ends


class Closing:
    """Peer connections on their way out, each closed to the end, whoever is cancelled meanwhile: one that is closed half way
    keeps the thread of its decoder, and that thread the whole process from ending.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, connection: RTCPeerConnection) -> asyncio.Task[None]:
        task = asyncio.create_task(connection.close())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it is gone all the same

    async def close(self, connection: RTCPeerConnection) -> None:
        await asyncio.shield(self.begin(connection))

    async def finish(self) -> None:
        """Wait for all of them, even when cancelled while waiting."""
        is_cancelled = False
        deadline = asyncio.get_running_loop().time() + CLOSES_WITHIN
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.wait(self._tasks, timeout=left)
            except asyncio.CancelledError:
                is_cancelled = True
        if is_cancelled:
            raise asyncio.CancelledError


class CandidatePage:
    """Runs until cancelled, replaced or ended. What the server last said can be read from it."""

    def __init__(
        self,
        entry_url: str,
        camera: Camera,
        network: Network,
        *,
        language: str = "en",
        counts: PageCounts | None = None,
    ) -> None:
        self.entry_url = entry_url
        self.camera = camera
        self.network = network
        self.counts = counts or PageCounts()
        self.welcome: dict[str, Any] = {}
        self.place: dict[str, Any] = {}
        self.watchers = 0
        self.peers: dict[str, RTCPeerConnection] = {}
        self._closing = Closing()
        self.is_connected = asyncio.Event()
        self.exam_opened = False
        self.is_silent = False
        self.is_dumb = False
        self.last_error: dict[str, Any] | None = None
        self._language = language
        self._tab = secrets.token_urlsafe(12)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._heard_at = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._meeting: asyncio.Task[None] | None = None
        self.meeting_state = "none"
        self.sounds = 0
        """Pieces of sound of proctors that were played: only while the server lets this candidate hear."""
        self.pictures = 0
        self.unplayed = 0
        """What came of either while it may not be received."""
        self.messages: dict[int, str] = {}
        self._stay = Stay(None)
        self._chance = random.Random(entry_url)

    @staticmethod
    def is_entry(url: str) -> bool:
        """Whether an exam's address is a candidate's own link to the camera page."""
        steps = [step for step in urlsplit(url).path.split("/") if step]
        return len(steps) >= 2 and steps[-2] == "e"

    async def run(self) -> PageEnd:
        """Open the page, stay, and come back after every loss until there is a reason not to."""
        if not self.is_entry(self.entry_url):
            return PageEnd.NOT_OURS
        failures = 0
        try:
            while True:
                await self.network.until_joined()
                self.is_connected.clear()
                end: PageEnd | None = None
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    end = await self._visit()
                if end is not None:
                    return end
                failures = 0 if self.is_connected.is_set() else failures + 1
                self.counts.reconnects += 1
                await asyncio.sleep(self._pause(failures))
        finally:
            self.is_connected.clear()

    def _pause(self, failures: int) -> float:
        """Spread a little, so that a restarted server does not meet a whole room in one instant."""
        return BACK_OFF[min(failures, len(BACK_OFF) - 1)] * self._chance.uniform(0.7, 1.3)

    async def _visit(self) -> PageEnd | None:
        """The page once, from loading it to the end of its socket; None when it should come back."""
        session = self.network.session
        async with session.get(URL(self.entry_url, encoded=True), headers=_BROWSER) as response:
            await response.read()
            if response.status in {404, 410}:
                return PageEnd.ENDED
        socket_url = URL(self.entry_url.rstrip("/") + "/socket", encoded=True)
        async with session.ws_connect(socket_url, headers={"User-Agent": _BROWSER["User-Agent"]}) as socket:
            self._socket = socket
            self.counts.opened += 1
            try:
                await self._say({"t": "hello", "tab": self._tab, "language": self._language, "seb": None})
                await self._listen(socket)
            finally:
                self._socket = None
                await self._clear_up()
            return {REPLACED: PageEnd.REPLACED, ENDED: PageEnd.ENDED}.get(socket.close_code or 0)

    async def _clear_up(self) -> None:
        self._meeting = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        peers, self.peers = list(self.peers.values()), {}
        for peer in peers:
            self._closing.begin(peer)
        await self._closing.finish()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            self._heard_at = asyncio.get_running_loop().time()
            await self._take(json.loads(message.data))

    async def _take(self, message: dict[str, Any]) -> None:
        match message:
            case {"t": "welcome"}:
                await self._begin(message)
            case {"t": "placed"}:
                await self._move(message)
            case {"t": "watch", "peer": str(peer)}:
                self._spawn(self._offer(peer, message.get("ice_servers") or []))
            case {"t": "restart", "peer": str(peer)} if peer in self.peers:
                self._spawn(self._offer(peer, self.welcome.get("ice_servers") or []))
            case {"t": "unwatch", "peer": str(peer)}:
                self._spawn(self._part(peer))
            case {"t": "signal", "peer": str(peer)} if peer in self.peers:
                await self._hear(self.peers[peer], message)
            case {"t": "watchers", "count": int(count)}:
                self.watchers = count
            case {"t": "message", "id": int(number), "text": str(text)}:
                self._spawn(self._repeat(self._read(number, text)))
            case {"t": "meeting"}:
                await self._enter_meeting(message)
            case {"t": "no_meeting"}:
                self._spawn(self._repeat(self._ask_again()))
            case {"t": "error"}:
                self.counts.errors += 1
                self.last_error = message
            case _:
                pass

    # --- what the page says ---

    async def _begin(self, welcome: dict[str, Any]) -> None:
        """Everything anew: the server may be another one than before."""
        self.welcome = welcome
        self.watchers = welcome.get("watchers", 0)
        await self._say(self._self_check())
        await self._say(self._media())
        await self._move(welcome)
        self.is_connected.set()
        self._spawn(self._repeat(self._ping_on()))
        self._spawn(self._repeat(self._media_on()))
        if self.camera.has_picture:
            interval = float(welcome.get("still_interval_ms") or 1000) / 1000
            self._spawn(self._repeat(self._stills_on(interval)))

    async def _move(self, place: dict[str, Any]) -> None:
        before = self.place
        self.place = {
            key: place.get(key) for key in ("room", "revision", "receive_audio", "receive_video", "chat")
        }
        if self.place["revision"] is not None:
            await self._say({"t": "confirm", "revision": self.place["revision"]})
        self._notice(before)
        room = place.get("room")
        is_open = bool(place.get("meeting")) and room is not None and room.get("state") == "open"
        stay = Stay(
            room.get("id") if room is not None and is_open else None,
            bool(place["receive_audio"]),
            bool(place["receive_video"]),
        )
        if not is_open:
            await self._leave_meeting()
        elif self._meeting is None or stay != self._stay:
            await self._leave_meeting()
            await self._meeting_is("joining")
            await self._say({"t": "enter"})
        self._stay = stay

    def _notice(self, before: dict[str, Any]) -> None:
        """What a candidate would: being called, being spoken to, being asked to write."""
        self.counts.called += self._kind(self.place) != "collecting" and self._kind(before) == "collecting"
        self.counts.spoken_to += bool(self.place["receive_audio"]) and not before.get("receive_audio")
        if self.place["chat"] and not before.get("chat"):
            self._spawn(self._repeat(self._answer()))

    @staticmethod
    def _kind(place: dict[str, Any]) -> str:
        return str((place.get("room") or {}).get("kind") or "collecting")

    async def _answer(self) -> None:
        await asyncio.sleep(self._chance.uniform(1, 4))
        if self.place.get("chat"):
            await self._say({"t": "say", "text": self._chance.choice(ANSWERS)})

    async def _read(self, number: int, text: str) -> None:
        """A message arrives at once and is read after a while; one that comes again was read already."""
        await self._say({"t": "message_delivered", "id": number})
        if number not in self.messages:
            self.counts.messages += 1
            await asyncio.sleep(self._chance.uniform(0.5, 4))
        self.messages[number] = text
        await self._say({"t": "message_read", "id": number})

    async def _enter_meeting(self, ticket: dict[str, Any]) -> None:
        """As the page does: stay in it, and enter again after whatever ends it, except being sent out."""
        await self._leave_meeting()

        async def tell(state: str) -> None:
            self.counts.meetings += state == "joined"
            await self._try_meeting(state)

        sees = bool(self.place.get("receive_video"))

        async def stay() -> None:
            end = await MeetingVisit(self.network.session, ticket, self.camera, tell, sees=sees).run()
            self._meeting = None
            await self._try_meeting(end)
            if end != "kicked":
                await self._repeat(self._ask_again())

        self._meeting = asyncio.create_task(stay())
        self._tasks.add(self._meeting)
        self._meeting.add_done_callback(self._tasks.discard)

    async def _ask_again(self) -> None:
        await asyncio.sleep(self._chance.uniform(2, 4))
        await self._say({"t": "enter"})

    async def _leave_meeting(self) -> None:
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            meeting.cancel()
            await asyncio.gather(meeting, return_exceptions=True)

    async def _meeting_is(self, state: str) -> None:
        self.meeting_state = state
        await self._say({"t": "meeting", "state": state})

    async def _try_meeting(self, state: str) -> None:
        self.meeting_state = state
        await self._try({"t": "meeting", "state": state})

    def _self_check(self) -> dict[str, Any]:
        device = "ok" if self.camera.has_picture else "denied_by_system"
        return {"t": "self_check", "camera": device, "microphone": device, "path": "ok", "detail": ""}

    def _media(self) -> dict[str, Any]:
        sending = "live" if self.camera.has_picture else "off"
        sound = "silent" if self.camera.has_picture and self.is_silent else sending
        return {
            "t": "media", "camera": sending, "microphone": sound, "visible": True, "exam_opened": self.exam_opened,
        }  # fmt: skip

    async def set_silent(self, is_silent: bool) -> None:
        """Somebody switches the microphone off at its cable, and on again: the page hears not even the room."""
        self.is_silent = is_silent
        await self._try(self._media())

    async def set_mood(self, mood: Mood) -> None:
        """The camera changes under the page: covered, frozen, back."""
        self.camera.mood = mood
        await self._try(self._media())

    async def fall_dumb(self) -> None:
        """Nothing of this page reaches anybody any more, though its sockets stay open: the cable is out."""
        self.is_dumb = True
        peers, self.peers = list(self.peers.values()), {}
        for peer in peers:
            for sender in peer.getSenders():
                sender.replaceTrack(None)
        await asyncio.gather(*(self._closing.close(peer) for peer in peers))

    async def open_exam(self) -> None:
        """The candidate presses “Start exam”."""
        self.exam_opened = True
        await self._try(self._media())

    async def _ping_on(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(PING_EVERY)
            number += 1
            await self._say({"t": "ping", "n": number})
            if asyncio.get_running_loop().time() - self._heard_at > PONG_WITHIN and self._socket is not None:
                await self._socket.close()

    async def _media_on(self) -> None:
        while True:
            await asyncio.sleep(MEDIA_EVERY)
            await self._say(self._media())

    async def _stills_on(self, interval: float) -> None:
        await asyncio.sleep(self._chance.uniform(0, min(interval, 0.5)))
        while True:
            socket = self._socket
            if socket is not None and self.camera.has_picture and not self.is_dumb:
                await socket.send_bytes(self.camera.still())
                self.counts.stills += 1
            await asyncio.sleep(interval)

    async def _say(self, message: dict[str, Any]) -> None:
        if self.is_dumb:
            return
        if self._socket is None:
            raise NetworkLost("The page has no socket.")
        await self._socket.send_str(json.dumps(message, ensure_ascii=False))

    async def _try(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await self._say(message)

    @staticmethod
    async def _repeat(work: Coroutine[Any, Any, None]) -> None:
        """A socket that breaks ends its helpers; the reader sees the break too and starts over."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await work

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- one peer connection per proctor's page ---

    async def _offer(self, peer: str, ice_servers: list[dict[str, Any]]) -> None:
        await self._part(peer)
        if not self.camera.has_picture:
            return
        connection = RTCPeerConnection(RTCConfiguration(iceServers=self._ice(ice_servers)))
        self.peers[peer] = connection
        self._follow(peer, connection)
        video = connection.addTransceiver(CameraTrack(self.camera), direction="sendrecv")
        video.setCodecPreferences(
            [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType.lower() == "video/vp8"]
        )
        microphone = MicrophoneTrack(talks=lambda: self._kind(self.place) == "break_out")
        connection.addTransceiver(microphone, direction="sendrecv")
        await connection.setLocalDescription(await connection.createOffer())
        if self.peers.get(peer) is not connection:
            await self._closing.close(connection)
            return
        self.counts.offers += 1
        sdp = connection.localDescription.sdp
        await self._try({"t": "signal", "peer": peer, "kind": "offer", "sdp": sdp})

    def _ice(self, servers: list[dict[str, Any]]) -> list[RTCIceServer]:
        """With a server on this machine no relay is needed, and waiting for an unreachable one would only delay."""
        if is_loopback(self.entry_url):
            return []
        return [
            RTCIceServer(urls=one["urls"], username=one.get("username"), credential=one.get("credential"))
            for one in servers
            if one.get("urls")
        ]

    def _follow(self, peer: str, connection: RTCPeerConnection) -> None:
        @connection.on("connectionstatechange")
        async def changed() -> None:  # pyright: ignore[reportUnusedFunction]
            if self.peers.get(peer) is not connection:
                return
            state = connection.connectionState
            if state == "connected":
                self.counts.videos += 1
            if state != "new":
                await self._try({"t": "peer", "peer": peer, "state": state})

        @connection.on("track")
        def came(track: MediaStreamTrack) -> None:  # pyright: ignore[reportUnusedFunction]
            self._spawn(self._listen_to(track))

    async def _listen_to(self, track: MediaStreamTrack) -> None:
        """What a proctor sends, taken as it comes; played it is only while the server says so."""
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                if not self.place.get("receive_audio" if track.kind == "audio" else "receive_video"):
                    self.unplayed += 1
                elif track.kind == "audio":
                    self.sounds += 1
                else:
                    self.pictures += 1

    async def _part(self, peer: str) -> None:
        connection = self.peers.pop(peer, None)
        if connection is not None:
            await self._closing.close(connection)

    async def _hear(self, connection: RTCPeerConnection, message: dict[str, Any]) -> None:
        """An answer or a candidate that comes too late, or for the connection before, is no news."""
        if message.get("kind") == "answer":
            if connection.signalingState == "have-local-offer":
                answer = RTCSessionDescription(sdp=str(message.get("sdp")), type="answer")
                await _accept(connection, answer)  # before the candidates that follow it
            return
        self._spawn(self._add(connection, message.get("candidate") or {}))

    async def _add(self, connection: RTCPeerConnection, found: dict[str, Any]) -> None:
        """Browsers hide their own address behind a `.local` name that takes a second to look up.

        On one machine the look-up is left out, and so is the end of candidates: the browser's own checks show its address.
        """
        line = str(found.get("candidate") or "").removeprefix("candidate:")
        here = is_loopback(self.entry_url)
        if here and (not line or ".local " in line):
            return
        with contextlib.suppress(AssertionError, ValueError, IndexError, OSError):
            candidate = candidate_from_sdp(line) if line else None
            if candidate is not None:
                candidate.sdpMid, candidate.sdpMLineIndex = found.get("sdpMid"), found.get("sdpMLineIndex")
            await connection.addIceCandidate(candidate)


async def _accept(connection: RTCPeerConnection, answer: RTCSessionDescription) -> None:
    """An answer that does not fit is the other side's mistake; this page stays."""
    with contextlib.suppress(ValueError, ConnectionError):
        await connection.setRemoteDescription(answer)
