"""A proctor's page with real peer connections: what reaches it was encoded, sent and decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from tests.rtc.pages import Page, proctor_page
from tests.web.people import Browser


class Wall:
    """Answers every offer, and keeps the newest decoded frame of each connection."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.peers: dict[int, RTCPeerConnection] = {}
        self.offers: dict[int, int] = {}
        self.frames: dict[int, int] = {}
        self.sounds: dict[int, int] = {}
        self.newest: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def watch(self, connection: int) -> None:
        await self.page.send("watch", connection=connection)

    async def read(self) -> None:
        while True:
            frame = await self.page.receive()
            if isinstance(frame, dict) and frame["t"] == "signal" and frame["kind"] == "offer":
                await self._answer(frame["connection"], frame["sdp"])

    async def _answer(self, connection: int, sdp: str) -> None:
        before = self.peers.pop(connection, None)
        if before is not None:
            await before.close()
        peer = self.peers[connection] = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.offers[connection] = self.offers.get(connection, 0) + 1
        peer.on("track", lambda track: self._spawn(self._count(connection, track)))
        await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        answer = peer.localDescription.sdp
        await self.page.send("signal", connection=connection, kind="answer", sdp=answer)

    async def _count(self, connection: int, track: Any) -> None:
        counts = self.frames if track.kind == "video" else self.sounds
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            counts[connection] = counts.get(connection, 0) + 1
            if track.kind == "video":
                self.newest[connection] = frame

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        await asyncio.gather(*(peer.close() for peer in self.peers.values()))
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def wall_of(browser: Browser, exam_id: int) -> AsyncIterator[Wall]:
    async with proctor_page(browser, exam_id) as (page, _):
        wall = Wall(page)
        reading = asyncio.create_task(wall.read())
        try:
            yield wall
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await wall.close()
