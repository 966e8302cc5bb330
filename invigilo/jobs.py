"""What runs by the clock. Each job is a loop that survives its own failures; any node may run all of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from invigilo.bus import RESYNC, Bus
from invigilo.clock import Clock
from invigilo.errors import Unavailable
from invigilo.exams.directory import REFRESH, TOPIC, Directory
from invigilo.monitoring.live import LiveConnections
from invigilo.monitoring.service import CLOSED_STAYS, Connections
from invigilo.proctoring.calls import Calls
from invigilo.proctoring.messages import Messages
from invigilo.proctoring.service import Rooms
from invigilo.proctoring.tending import EVERY as TEND_EVERY
from invigilo.proctoring.tending import Tending
from invigilo.rtc.hub import Hub
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.queries import connection_configurations as configuration_queries
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.work import WorkFactory

log = structlog.get_logger()

SWEEP_EVERY = 1.0  # seconds
SHARE_EVERY = 1.0
RENEW_EVERY = 4.0
HOUSEKEEPING_EVERY = 60.0
UNBOUND_STALE = 3_600_000  # ms without a ping after which a connection that chose no exam counts as closed
ENDED_STALE = 600_000  # ms the same, once its exam is over


@dataclass(kw_only=True)
class Jobs:
    """The loops of one node."""

    bus: Bus
    work: WorkFactory
    directory: Directory
    live: LiveConnections
    connections: Connections
    rooms: Rooms
    calls: Calls
    messages: Messages
    hub: Hub
    stream: Callable[[], Awaitable[None]]
    """The live stream's own loop."""
    keep_events_indexed: Callable[[], Awaitable[None]]
    tell_looking: Callable[[], None]
    """Says to the other nodes which rooms are looked at here."""
    clock: Clock
    tending: Tending | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    _directory_wake: asyncio.Event = field(default_factory=asyncio.Event)
    _next_sweep: float = 0.0
    _shown: int = 0
    """How many of the directory's changes open pages were told of."""

    def __post_init__(self) -> None:
        self.bus.subscribe(TOPIC, self._heard_directory)
        self.bus.subscribe(RESYNC, self._heard_directory)
        if self.bus.has_others:
            self.live.share_with_others()

    def _heard_directory(self, _payload: Any) -> None:
        self._directory_wake.set()

    async def start(self) -> None:
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "stream": self.stream,
            "directory": self._follow_directory,
            "rooms": self._follow_rooms,
            "messages": self.messages.run_once,
            "housekeeping": self._keep_house,
            "signalling": self._renew,
            "event_index": self.keep_events_indexed,
        }
        if self.tending is not None:
            loops["meetings"] = self._tend
        if self.bus.has_others:
            loops["facts"] = self._share_facts
        self._tasks = [
            asyncio.create_task(self._forever(name, loop), name=name) for name, loop in loops.items()
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _forever(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        was_out = False
        while True:
            try:
                await loop()
                was_out = False
            except Unavailable:
                if not was_out:
                    log.warning("job_waits_for_database", job=name)
                was_out = True
                await asyncio.sleep(1)
            except Exception:
                log.exception("job_failed", job=name)
                await asyncio.sleep(1)

    async def _follow_directory(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._directory_wake.wait(), REFRESH.total_seconds())
        self._directory_wake.clear()
        await self.directory.follow()
        if self._shown != self.directory.changes:  # whoever read it first: a client's request may have
            self._shown = self.directory.changes
            for live in list(self.live.by_id.values()):
                self.live.changed(live)

    async def _follow_rooms(self) -> None:
        """Steps at once, as rooms come up; the sweep looks at everybody, so once a second is enough."""
        await self.rooms.wait_for_work(SWEEP_EVERY)
        await self.rooms.refresh()  # who is told of a call asks for the way into it at once
        await self.rooms.finish_steps(within=self.rooms.sweep_waits)
        await self.rooms.refresh()
        if time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + SWEEP_EVERY
        await self.rooms.sweep()
        await self.calls.sweep()
        await self.rooms.refresh()
        now = self.clock.now()
        for exam_id in self.rooms.exams_with_rooms():
            exam = self.directory.exams.get(exam_id)
            if exam is None or not (exam.is_running(now) and exam.proctoring.enabled):
                await self.rooms.close_rooms(exam_id)
                await self.rooms.refresh()

    async def _tend(self) -> None:
        assert self.tending is not None
        await self.tending.run()
        await asyncio.sleep(TEND_EVERY)

    async def _renew(self) -> None:
        await asyncio.sleep(RENEW_EVERY)
        self.hub.renew()
        self.tell_looking()

    async def _share_facts(self) -> None:
        await asyncio.sleep(SHARE_EVERY)
        self.connections.share_facts()

    async def _keep_house(self) -> None:
        await asyncio.sleep(HOUSEKEEPING_EVERY)
        now = self.clock.now_ms()
        async with self.work() as w:
            await exam_queries.drop_expired_tokens(w.db, now)
            await account_queries.drop_expired(w.db, now)
            await configuration_queries.remove_links(w.db, until_ms=now)
        await self.connections.close_stale(self._stale(now))
        for live in list(self.live.by_id.values()):
            if live.closed_at is not None and now - live.closed_at > CLOSED_STAYS:
                self.live.forget(live)

    def _stale(self, now: int) -> list[int]:
        """Open connections whose DELETE was lost, long silent."""
        stale: list[int] = []
        for live in self.live.by_id.values():
            if not live.state.is_open:
                continue
            exam = self.directory.exams.get(live.exam_id or 0)
            is_over = live.exam_id is not None and (exam is None or not exam.is_running(self.clock.now()))
            limit = ENDED_STALE if is_over else UNBOUND_STALE
            if (live.exam_id is None or is_over) and now - (live.last_ping or live.created_at) > limit:
                stale.append(live.id)
        return stale
