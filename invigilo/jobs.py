"""What runs by the clock. Each job is a loop that survives its own failures; any node may run all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog

from invigilo.bus import RESYNC
from invigilo.errors import Unavailable
from invigilo.exams.directory import REFRESH, TOPIC
from invigilo.monitoring.service import CLOSED_STAYS
from invigilo.storage.queries import exams as exam_queries

if TYPE_CHECKING:
    from invigilo.app import App

log = structlog.get_logger()

SWEEP_EVERY = 1.0  # seconds
SHARE_EVERY = 1.0
RENEW_EVERY = 4.0
HOUSEKEEPING_EVERY = 60.0
UNBOUND_STALE = 3_600_000  # ms without a ping after which a connection that chose no exam counts as closed
ENDED_STALE = 600_000  # ms the same, once its exam is over


class Jobs:
    """The loops of one node."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._tasks: list[asyncio.Task[None]] = []
        self._directory_wake = asyncio.Event()
        app.bus.subscribe(TOPIC, self._heard_directory)
        app.bus.subscribe(RESYNC, self._heard_directory)
        if app.bus.has_others:
            app.live.share_with_others()

    def _heard_directory(self, _payload: Any) -> None:
        self._directory_wake.set()

    async def start(self) -> None:
        app = self._app
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "stream": app.stream.run,
            "directory": self._follow_directory,
            "rooms": self._follow_rooms,
            "housekeeping": self._keep_house,
            "signalling": self._renew,
        }
        if app.bus.has_others:
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
        if await self._app.directory.reload():
            for live in list(self._app.live.by_id.values()):
                self._app.live.changed(live)

    async def _follow_rooms(self) -> None:
        app = self._app
        await app.rooms.wait_for_work(SWEEP_EVERY)
        await app.rooms.finish_steps()
        await app.rooms.refresh()
        await app.rooms.sweep()
        await app.rooms.refresh()
        now = app.clock.now()
        for exam_id in app.rooms.exams_with_rooms():
            exam = app.directory.exams.get(exam_id)
            if exam is not None and not exam.is_running(now):
                await app.rooms.close_rooms(exam_id)
                await app.rooms.refresh()

    async def _renew(self) -> None:
        await asyncio.sleep(RENEW_EVERY)
        self._app.hub.renew()

    async def _share_facts(self) -> None:
        await asyncio.sleep(SHARE_EVERY)
        self._app.connections.share_facts()

    async def _keep_house(self) -> None:
        await asyncio.sleep(HOUSEKEEPING_EVERY)
        app = self._app
        now = app.clock.now_ms()
        async with app.work() as w:
            await exam_queries.drop_expired_tokens(w.db, now)
        await app.connections.close_stale(self._stale(now))
        for live in list(app.live.by_id.values()):
            if live.closed_at is not None and now - live.closed_at > CLOSED_STAYS:
                app.live.forget(live)

    def _stale(self, now: int) -> list[int]:
        """Open connections whose DELETE was lost, long silent."""
        app = self._app
        stale: list[int] = []
        for live in app.live.by_id.values():
            if not live.state.is_open:
                continue
            exam = app.directory.exams.get(live.exam_id or 0)
            is_over = exam is not None and not exam.is_running(app.clock.now())
            limit = ENDED_STALE if is_over else UNBOUND_STALE
            if (live.exam_id is None or is_over) and now - (live.last_ping or live.created_at) > limit:
                stale.append(live.id)
        return stale
