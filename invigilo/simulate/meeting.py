"""A simulated candidate in a meeting of the stand-in: what the page's meeting program does, without a browser.

A stand-in has a socket of its own for its meeting pages; no real meeting server has, and from one of those this gets no
further than "unreachable".
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from invigilo.simulate.camera import Camera

PICTURE_EVERY = 1.0  # seconds
_STATES = {
    "notAllowed": "refused",
    "passwordRequired": "refused",
    "max_users": "full",
    "membersOnly": "locked",
}
_ZOOM_STATES = {
    3704: "refused",
    3705: "refused",
    3710: "refused",
    3712: "refused",
    4005: "full",
    3008: "no_host",
    10_000: "outdated",
}


@dataclass(frozen=True, slots=True)
class Stay:
    """Which meeting a page is in, and what it may receive there: another one is another visit, as in a browser."""

    room: int | None
    hears: bool = False
    sees: bool = False


class MeetingVisit:
    """One stay in one meeting, from the ticket to the end."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ticket: dict[str, Any],
        camera: Camera,
        tell: Callable[[str], Awaitable[None]],
        *,
        sees: bool = False,
    ) -> None:
        self._session = session
        self._ticket = ticket
        self._camera = camera
        self._tell = tell
        self._sees = sees
        self._proctor: str | None = None
        self.pictures_of: dict[str, int] = {}
        """How many pictures came, by session."""

    async def run(self) -> str:
        """Stay until it is over; the last state, as docs/protocol.md names it."""
        try:
            async with self._session.ws_connect(self._address) as socket:
                return await (self._stay_at_zoom(socket) if self._is_zoom else self._stay(socket))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return "unreachable"

    @property
    def _is_zoom(self) -> bool:
        return self._ticket.get("kind") == "zoom"

    @property
    def _address(self) -> URL:
        if self._is_zoom:
            return URL(str(self._ticket["script"])).with_path("/stand-in/socket")
        base = str(self._ticket["script"]).rpartition("/")[0]
        query = {name: str(self._ticket[name]) for name in ("room", "token", "name")}
        return URL(f"{base}/stand-in/socket").with_query(query)

    async def _stay(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        state = "lost"
        sending: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                match json.loads(message.data):
                    case {"type": "presence", "self": True} if sending is None:
                        await self._tell("joined")
                        await self._receive(socket)
                        sending = asyncio.create_task(self._send_pictures(socket))
                    case {"type": "presence", "participant": {"role": "moderator", "id": str(nick)}}:
                        self._proctor = nick
                        if sending is not None:
                            await self._receive(socket)
                    case {"type": "picture", "id": str(nick)}:
                        self.pictures_of[nick] = self.pictures_of.get(nick, 0) + 1
                    case {"type": "error", "name": str(name)}:
                        state = next((s for part, s in _STATES.items() if part in name), "unreachable")
                    case {"type": "left", "self": True, "kicked": True}:
                        state = "kicked"
                        break
                    case _:
                        pass
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        return state

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Nobody's picture, or the proctor's alone: one picture, and the proctor selected (as meeting/jitsi.js does)."""
        is_there = self._sees and self._proctor is not None
        selected = [self._proctor] if is_there else []
        await socket.send_json({"type": "receive", "last_n": int(is_there), "selected": selected})

    async def _send_pictures(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """A page with no picture says that its camera is off, as Jitsi does."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await socket.send_json({"type": "muted", "media": "video", "muted": not self._camera.has_picture})
            while self._camera.has_picture:
                picture = base64.b64encode(self._camera.still()).decode()
                await socket.send_json({"type": "picture", "data": f"data:image/jpeg;base64,{picture}"})
                await asyncio.sleep(PICTURE_EVERY)

    # --- at Zoom ---

    async def _stay_at_zoom(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        ticket = self._ticket
        await socket.send_json(
            {
                "t": "join",
                "signature": ticket["token"],
                "meetingNumber": ticket["number"],
                "passcode": ticket["passcode"],
                "userName": ticket["name"],
                "customerKey": ticket["customer_key"],
                "sdkVersion": ticket["version"],
            }
        )
        state = "lost"
        sending: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                match json.loads(message.data):
                    case {"t": "joined", "state": "in_meeting"} if sending is None:
                        await self._tell("joined")
                        await socket.send_json({"t": "receive", "pictures": False})
                        sending = asyncio.create_task(self._send_zoom_pictures(socket))
                    case {"t": "error", "errorCode": int(code)}:
                        state = _ZOOM_STATES.get(code, "unreachable")
                        break
                    case {"t": "expelled"}:
                        state = "kicked"
                        break
                    case _:
                        pass
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        return state

    async def _send_zoom_pictures(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await socket.send_json({"t": "video", "on": self._camera.has_picture})
            while self._camera.has_picture:
                picture = base64.b64encode(self._camera.still()).decode()
                await socket.send_json({"t": "picture", "data": f"data:image/jpeg;base64,{picture}"})
                await asyncio.sleep(PICTURE_EVERY)
