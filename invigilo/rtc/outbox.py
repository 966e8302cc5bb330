"""What waits to be sent on one socket. Messages keep their order; of stills only the newest of each candidate waits."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from invigilo.rtc.limits import OUTBOX_MESSAGES

Frame = str | bytes


class Outbox:
    """Filled by anyone on the loop, emptied by the socket's one writing task."""

    def __init__(self) -> None:
        self._messages: deque[str] = deque()
        self._stills: dict[int, bytes] = {}
        self._ready = asyncio.Event()
        self.closing: tuple[int, str] | None = None
        """(WebSocket close code, reason) once the socket is to end."""

    def put(self, message: object) -> None:
        """Queue one JSON message. A page that does not read is cut off, and comes back to a fresh snapshot."""
        self.put_text(msgspec.json.encode(message).decode())

    def put_text(self, text: str) -> None:
        if len(self._messages) >= OUTBOX_MESSAGES:
            self.close(4008, "too slow")
            return
        self._messages.append(text)
        self._ready.set()

    def put_still(self, connection_id: int, frame: bytes) -> None:
        self._stills[connection_id] = frame
        self._ready.set()

    def close(self, code: int, reason: str) -> None:
        """End the socket after what already waits."""
        if self.closing is None:
            self.closing = (code, reason)
        self._ready.set()

    async def next(self) -> Frame | None:
        """The next frame; None when the socket is to be closed."""
        while True:
            if self._messages:
                return self._messages.popleft()
            if self.closing is not None:
                return None
            if self._stills:
                connection_id = next(iter(self._stills))
                return self._stills.pop(connection_id)
            self._ready.clear()
            await self._ready.wait()
