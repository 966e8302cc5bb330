"""One TCP connection that sends exactly the bytes it is told, as the clients' own HTTP stacks would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tests.server import Answer

PATIENCE = 30
"""Seconds an answer may take on a busy machine; the clients themselves wait as long (seb-client-api.md §2.11)."""

RawHeaders = Sequence[tuple[str | bytes, str | bytes]]


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


@dataclass
class RawConnection:
    """A keep-alive connection; opened at the first request, and again when the server closed it."""

    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def request(
        self,
        method: str,
        path: str | bytes,
        headers: RawHeaders = (),
        body: bytes | None = None,
        *,
        waits_for_continue: bool = False,
    ) -> Answer:
        """Send one request and read its answer; `waits_for_continue` as .NET Framework does before a body (§0)."""
        async with asyncio.timeout(PATIENCE):
            lines = [_bytes(method) + b" " + _bytes(path) + b" HTTP/1.1", b"Host: 127.0.0.1"]
            lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
            if body is not None:
                lines.append(b"Content-Length: %d" % len(body))
            if waits_for_continue:
                lines.append(b"Expect: 100-continue")
            await self.send(b"\r\n".join(lines) + b"\r\n\r\n")
            if waits_for_continue:
                assert (await self._head())[0] == 100
            if body:
                await self.send(body)
            return await self.answer(has_body=method != "HEAD")

    async def send(self, raw: bytes) -> None:
        if self.writer is None or self.reader is None or self.reader.at_eof():
            await self.close()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, *, has_body: bool = True) -> Answer:
        assert self.reader is not None
        status, headers = await self._head()
        length = 0 if status == 204 or not has_body else int(headers["content-length"])
        answer = Answer(status, headers, await self.reader.readexactly(length))
        if headers.get("connection") == "close":
            await self.close()
        return answer

    async def _head(self) -> tuple[int, dict[str, str]]:
        assert self.reader is not None
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        return int(head[0].split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None
