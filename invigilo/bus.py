"""How the parts, and the nodes, hear of each other's changes.

One process: a call. Several nodes on one PostgreSQL: LISTEN/NOTIFY, no further service. A notification carries at most
8,000 bytes, so longer ones are cut into numbered pieces. Subscribers must cope with hearing the same thing twice, and with
`RESYNC`, sent after the connection to PostgreSQL was lost: whatever was said meanwhile is gone, so reload.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import msgspec
import structlog
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

log = structlog.get_logger()

RESYNC = "resync"
_CHANNEL = "invigilo"
_AT_ONCE = 200  # notifications in one statement
_PIECE = 7000  # bytes of one notification, below PostgreSQL's 8,000 with room for the envelope

Handler = Callable[[Any], None]


class Bus:
    """Announcements inside one process."""

    def __init__(self) -> None:
        self.node = secrets.token_hex(4)
        self._handlers: dict[str, list[Handler]] = defaultdict(list)

    def subscribe(self, topic: str, handler: Handler) -> None:
        self._handlers[topic].append(handler)

    def announce_locally(self, announcements: Sequence[tuple[str, Any]]) -> None:
        for topic, payload in announcements:
            for handler in self._handlers[topic]:
                handler(payload)

    async def announce_within(self, db: AsyncConnection, announcements: Sequence[tuple[str, Any]]) -> None:
        """Nobody else to tell."""

    def tell_others(self, topic: str, payload: Any) -> None:
        """Tell the other nodes something that is not stored (a signal, a fact): may be lost, never waits."""

    @property
    def has_others(self) -> bool:
        """Whether there may be other nodes at all."""
        return False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class _Envelope(msgspec.Struct, array_like=True):
    node: str
    message: str
    piece: int
    pieces: int
    body: str


class PostgresBus(Bus):
    """Announcements between the nodes that share one PostgreSQL."""

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._url = url
        self._outbox: asyncio.Queue[str] = asyncio.Queue(maxsize=20_000)
        self._partial: dict[str, list[str | None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._shed = 0
        self._connected = asyncio.Event()

    @property
    def has_others(self) -> bool:
        return True

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run(), name="bus")]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), 5)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def announce_within(self, db: AsyncConnection, announcements: Sequence[tuple[str, Any]]) -> None:
        said = [piece for topic, payload in announcements for piece in self._pieces(topic, payload)]
        for at in range(0, len(said), _AT_ONCE):
            await db.execute(
                text("SELECT pg_notify(:channel, piece) FROM unnest(cast(:pieces AS text[])) AS piece"),
                {"channel": _CHANNEL, "pieces": said[at : at + _AT_ONCE]},
            )

    def tell_others(self, topic: str, payload: Any) -> None:
        for piece in self._pieces(topic, payload):
            try:
                self._outbox.put_nowait(piece)
            except asyncio.QueueFull:
                self._shed += 1
                return

    def _pieces(self, topic: str, payload: Any) -> list[str]:
        body = base64.b64encode(msgspec.json.encode((topic, payload))).decode()
        message = secrets.token_hex(8)
        parts = [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]
        return [
            msgspec.json.encode(_Envelope(self.node, message, number, len(parts), part)).decode()
            for number, part in enumerate(parts)
        ]

    async def _run(self) -> None:
        delay = 0.2
        was_lost = False
        while True:
            try:
                connection = await asyncpg.connect(
                    dsn=self._url.set(drivername="postgresql").render_as_string(False)
                )
                try:
                    await connection.add_listener(_CHANNEL, self._heard)
                    self._connected.set()
                    if was_lost:
                        log.info("bus_restored")
                        self.announce_locally([(RESYNC, None)])
                    was_lost, delay = False, 0.2
                    await self._send(connection)
                finally:
                    with contextlib.suppress(Exception):
                        await connection.close(timeout=1)
            except Exception as error:  # noqa: BLE001  (drivers and loops say it in many ways; a node must hear again)
                if not was_lost:
                    log.warning("bus_lost", reason=type(error).__name__)
                was_lost = True
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5)

    async def _send(self, connection: asyncpg.Connection) -> None:
        while True:
            try:
                piece = await asyncio.wait_for(self._outbox.get(), 5)
            except TimeoutError:
                await connection.execute(
                    "SELECT 1"
                )  # a listening connection that died silently must be noticed
                continue
            batch = [piece]
            while len(batch) < 200 and not self._outbox.empty():
                batch.append(self._outbox.get_nowait())
            await connection.execute(
                "SELECT pg_notify($1, piece) FROM unnest($2::text[]) AS piece", _CHANNEL, batch
            )

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        try:
            envelope = msgspec.json.decode(payload, type=_Envelope)
        except msgspec.DecodeError:
            return
        if envelope.node == self.node:
            return
        if envelope.pieces == 1:
            self._deliver(envelope.body)
            return
        parts = self._partial.setdefault(envelope.message, [None] * envelope.pieces)
        if envelope.piece < len(parts):
            parts[envelope.piece] = envelope.body
        if all(part is not None for part in parts):
            del self._partial[envelope.message]
            self._deliver("".join(part for part in parts if part is not None))
        elif len(self._partial) > 500:  # pieces of a node that died half way
            self._partial.pop(next(iter(self._partial)))

    def _deliver(self, body: str) -> None:
        try:
            topic, payload = msgspec.json.decode(base64.b64decode(body), type=tuple[str, Any])
        except (msgspec.DecodeError, ValueError):
            return
        try:
            self.announce_locally([(topic, payload)])
        except Exception:
            log.exception("bus_handler_failed", topic=topic)
