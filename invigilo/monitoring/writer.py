"""What pings and events leave behind, written in batches; no request waits for it.

An event is accepted (answered 204) when it stands in the bounded queue here, and is in the database at the latest
`FLUSH_EVERY` plus one write later: a killed server loses at most the last half second. A database that is locked or full
keeps the batch in memory and is tried again; when the queue is full, debug and information lines are shed first, warnings
and errors last, and what was shed is counted and shown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import structlog
from prometheus_client import Counter, Gauge, Histogram

from invigilo.clock import Clock
from invigilo.errors import Unavailable
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import ClientEvent, EventType
from invigilo.storage.queries.connections import Batch, IndicatorRow, NotificationChange, write_batch
from invigilo.storage.work import WorkFactory

log = structlog.get_logger()

FLUSH_EVERY = 0.4  # seconds
QUEUE_LIMIT = 100_000  # events; about 30 MB
BATCH_LIMIT = 10_000  # events in one transaction

_shed = Counter(
    "invigilo_events_shed_total", "Client events dropped because the queue or a client's quota was full."
)
_written = Counter("invigilo_events_written_total", "Client events written to the database.")
_delay = Histogram(
    "invigilo_events_delay_seconds",
    "From accepting a batch's oldest client event to its being stored.",
    buckets=(0.25, 0.5, 0.75, 1, 1.5, 2, 5, 10, 60),
)
_waiting = Gauge("invigilo_events_waiting", "Client events accepted and not yet written.")


class Writer:
    """Collects and flushes. All methods but `flush` are synchronous and never fail."""

    def __init__(self, work: WorkFactory, clock: Clock, *, events_per_connection: int = 50_000) -> None:
        self._work = work
        self._clock = clock
        self._quota = events_per_connection
        self._events: deque[ClientEvent] = deque()
        self._notifications: list[NotificationChange] = []
        self._pinged: dict[int, LiveConnection] = {}
        self._counted: dict[int, LiveConnection] = {}
        self._confirmed: list[int] = []
        self._task: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()
        self._stopping = asyncio.Event()
        self.shed = 0
        self.in_trouble_since: int | None = None
        """When writing first failed, ms; None while all is well. Pages show it."""

    @property
    def waiting_events(self) -> int:
        return len(self._events)

    def ping(self, live: LiveConnection) -> None:
        self._pinged[live.id] = live

    def count(self, live: LiveConnection) -> None:
        self._counted[live.id] = live

    def confirmed(self, instruction_id: int) -> None:
        self._confirmed.append(instruction_id)

    def notification(self, change: NotificationChange) -> None:
        self._notifications.append(change)

    def event(self, live: LiveConnection, event: ClientEvent) -> None:
        """Accept one event, or shed it: by the client's quota, or because the queue is full."""
        is_chatter = event.type in {EventType.DEBUG_LOG, EventType.INFO_LOG, EventType.UNKNOWN}
        live.event_count += 1
        if is_chatter and (live.event_count > self._quota or len(self._events) >= QUEUE_LIMIT * 9 // 10):
            self.shed_one()
            return
        if len(self._events) >= QUEUE_LIMIT:
            self.shed_one()
            return
        self._events.append(event)

    def shed_one(self) -> None:
        """Count one that is not kept."""
        self.shed += 1
        _shed.inc()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="writer")

    async def stop(self) -> None:
        """Write everything accepted; gives a locked database ten seconds."""
        self._stopping.set()
        if self._task is not None:
            await self._task  # never cancelled: a write cut off at its commit could be written twice
        for _ in range(20):
            if await self.flush():
                return
            await asyncio.sleep(0.5)
        log.error("events_lost_at_shutdown", events=len(self._events))

    async def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                pause = FLUSH_EVERY if self.in_trouble_since is None else 1.0
                await asyncio.wait_for(self._stopping.wait(), pause)
            try:
                await self.flush()
            except Exception:
                log.exception("writer_failed")

    async def flush(self) -> bool:
        """Write all that waits now; False when the database did not take it (it is kept).

        What comes in meanwhile waits for the next flush. On a busy server something always does, and a transaction for every
        few pings would keep the database from everybody else, and whoever waits for this flush waiting.
        """
        async with self._flushing:
            for _ in range(len(self._events) // BATCH_LIMIT + 1):
                batch = self._take()
                if batch and not await self._write([batch]):
                    return False
            _waiting.set(len(self._events))
            return True

    async def _write(self, pieces: list[Batch]) -> bool:
        """Write the pieces, the last one first. One that the database refuses is halved until the bad row stands alone:
        it must not take others along.
        """
        while pieces:
            batch = pieces[-1]
            try:
                async with asyncio.timeout(20), self._work() as w:
                    await write_batch(w.db, batch, now=self._clock.now_ms())
            except (Unavailable, TimeoutError) as error:
                self._give_back(pieces)
                self._note_trouble(error)
                return False
            except Exception:
                del pieces[-1]
                if batch.size == 1:
                    log.exception("row_refused_by_database")
                    continue
                pieces.extend(reversed([half for half in batch.halves() if half]))
                continue
            del pieces[-1]
            _written.inc(len(batch.events))
            if batch.events:
                _delay.observe((self._clock.now_ms() - batch.events[0].server_time) / 1000)
            self._note_success()
        return True

    def _take(self) -> Batch:
        batch = Batch(
            pings=[(live.id, live.last_ping) for live in self._pinged.values() if live.last_ping is not None],
            indicators=[
                IndicatorRow(
                    live.id,
                    live.errors,
                    live.warnings,
                    live.infos,
                    live.battery,
                    live.wlan,
                    live.wlan_connected,
                )
                for live in self._counted.values()
            ],
            events=[self._events.popleft() for _ in range(min(len(self._events), BATCH_LIMIT))],
            notifications=self._notifications,
            confirmed=self._confirmed,
        )
        self._taken = (self._pinged, self._counted)
        self._pinged, self._counted, self._notifications, self._confirmed = {}, {}, [], []
        return batch

    def _give_back(self, pieces: list[Batch]) -> None:
        pinged, counted = self._taken
        self._pinged = pinged | self._pinged
        self._counted = counted | self._counted
        for batch in pieces:  # the last one is the oldest
            self._events.extendleft(reversed(batch.events))
            self._notifications = batch.notifications + self._notifications
            self._confirmed = batch.confirmed + self._confirmed

    def _note_trouble(self, error: Exception) -> None:
        if self.in_trouble_since is None:
            self.in_trouble_since = self._clock.now_ms()
            log.error(
                "database_not_writable",
                reason=type(error.__cause__ or error).__name__,
                waiting=len(self._events),
            )

    def _note_success(self) -> None:
        if self.in_trouble_since is not None:
            self.in_trouble_since = None
            log.info("database_writable_again", waiting=len(self._events))
