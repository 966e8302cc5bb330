"""The candidate's and the proctor's page as scripts over real WebSockets, honest or not."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from PIL import Image

from tests.server import Server
from tests.web.people import Browser, Candidate

PATIENCE = 40  # seconds: far more than any answer takes, so that a busy machine fails no test


class SocketClosedError(Exception):
    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Page:
    """One open socket. `new` is what came since the last `barrier`."""

    socket: aiohttp.ClientWebSocketResponse
    new: list[Any] = field(default_factory=list)
    barriers: int = 1_000
    place: dict[str, Any] = field(default_factory=dict)
    """What the candidate's page was told last of its place."""

    async def send(self, t: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"t": t, **fields}))

    async def receive(self) -> Any:
        """The next frame: a dict, or the bytes of a still. Raises SocketClosedError."""
        message = await self.socket.receive(PATIENCE)
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                frame = json.loads(message.data)
            case aiohttp.WSMsgType.BINARY:
                frame = message.data
            case _:
                raise SocketClosedError(self.socket.close_code)
        self.new.append(frame)
        if isinstance(frame, dict) and frame["t"] in {"welcome", "placed"}:
            self.place = frame
        return frame

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """Read up to the first message with these fields."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = await self.receive()
                if isinstance(frame, dict) and wanted.items() <= frame.items():
                    return frame

    async def still(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while not isinstance(frame := await self.receive(), bytes):
                pass
            return frame

    async def row(self, connection_id: int, **wanted: Any) -> dict[str, Any]:
        """The connection's row once it says this."""
        async with asyncio.timeout(PATIENCE):
            while True:
                frame = await self.receive()
                rows = frame.get("rows", ()) if isinstance(frame, dict) else ()
                for row in rows:
                    if row["id"] == connection_id and wanted.items() <= row.items():
                        return row

    async def barrier(self) -> list[Any]:
        """Everything that came until now: the server answers in order, so what is not there will not come."""
        self.barriers += 1
        await self.send("ping", n=self.barriers)
        await self.until(t="pong", n=self.barriers)
        seen, self.new = self.new, []
        return seen

    async def closing(self) -> int | None:
        """The close code, once the server has closed."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await self.receive()
                except SocketClosedError as closed:
                    return closed.code


def signals(frames: list[Any]) -> list[dict[str, Any]]:
    """What another side can have caused; the live stream, counts and the server's own placing left out."""
    quiet = {"changes", "snapshot", "pong", "welcome", "placed", "watchers"}
    return [f for f in frames if isinstance(f, bytes) or f["t"] not in quiet]


@asynccontextmanager
async def socket_to(server: Server, path: str, **headers: str) -> AsyncIterator[Page]:
    async with server.session.ws_connect(server.url + path, headers=headers) as socket:
        yield Page(socket)


@asynccontextmanager
async def candidate_page(server: Server, candidate: Candidate, tab: str = "one") -> AsyncIterator[Page]:
    """A page that has said hello and was welcomed."""
    async with socket_to(server, f"/e/{candidate.key}/socket") as page:
        await page.send("hello", tab=tab)
        await page.until(t="welcome")
        yield page


@asynccontextmanager
async def proctor_page(browser: Browser, exam_id: int) -> AsyncIterator[tuple[Page, str]]:
    """A proctor's page after its snapshot, and the name candidates' pages know it by."""
    async with socket_to(browser.server, f"/monitoring/{exam_id}/socket", Cookie=browser.cookie) as page:
        snapshot = await page.until(t="snapshot")
        yield page, snapshot["me"]["peer"]


def jpeg(width: int = 320, height: int = 240, *, grey: int = 128, mark: int = 0) -> bytes:
    """A picture; another `mark` gives other bytes."""
    image = Image.new("L", (width, height), grey)
    image.putpixel((0, 0), mark % 256)
    image.paste(mark % 256, (0, 0, 8, 8))
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()
