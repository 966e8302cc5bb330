"""The life of a client connection: the steps of the exam client API, each one transaction.

The database decides, not memory: with several nodes any of them may serve any step. A step locks the connection's row,
applies the rules of `rules.py`, lets the rooms to the right place the client (`when_live`, handed in by `app`), commits, and
only then shows the result to this node's memory and announces it to the others.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog

from invigilo.bus import RESYNC, Bus
from invigilo.clock import Clock
from invigilo.errors import NotFound, Refused, Unavailable
from invigilo.exams.directory import Directory
from invigilo.exams.model import ConnectionConfiguration, Exam
from invigilo.monitoring import answers, rules
from invigilo.monitoring.instructions import RESEND_AFTER, STEPS
from invigilo.monitoring.live import LiveConnection, LiveConnections, take_volatile_facts, volatile_facts
from invigilo.monitoring.model import (
    ClientEvent,
    ConnectionState,
    DeskDeed,
    Device,
    EventType,
    Instruction,
    InstructionType,
    Notification,
    Sent,
)
from invigilo.monitoring.writer import Writer
from invigilo.secrets_box import SecretBox, digest
from invigilo.storage.queries import connections as queries
from invigilo.storage.queries.connections import ConnectionRow, NotificationChange
from invigilo.storage.together import Together
from invigilo.storage.work import Work, WorkFactory

log = structlog.get_logger()

CONNECTION_CHANGED = "connection"
CONNECTIONS_CHANGED = "connections"
"""Many at once, as a list."""
INSTRUCTION_ADDED = "instruction"
INSTRUCTIONS_ADDED = "instructions"
INSTRUCTION_HURRIED = "instruction.hurried"
INSTRUCTION_SENT = "instruction.sent"
PLACES_CONFIRMED = "places.confirmed"
"""(connection id, revision) pairs."""
NOTIFICATION_SETTLED = "notification"
FACTS = "facts"
CLOSED_STAYS = 3_600_000  # ms a closed connection stays in memory, and so on the wall's "left" list
QUIT_PAUSE = 5_000  # ms between two SEB_QUIT while the reason lasts (seb-client-api.md §8 Q22)
UNKNOWN_STAYS = 10_000  # ms an unknown connection token is remembered as unknown
UNKNOWN_LIMIT = 10_000
PING_WAITS = 0.2
"""Seconds a ping may wait until what it is to carry is claimed; the next one carries it then."""
RELOAD_AT_ONCE = 200
"""Connections read again in one go: when a thousand are called at once, pings are answered in between."""
NOTIFICATIONS = 2_000  # of one client in a day; each is a row of its own
OPEN_NOTIFICATIONS = 50  # of one client; nobody has so many hands

WhenLive = Callable[[Work, ConnectionRow, Exam], Awaitable[None]]
WhenGone = Callable[[Work, ConnectionRow], Awaitable[None]]
Complete = Callable[[LiveConnection, Instruction], Instruction | None]
"""From a stored instruction to what is sent; None when it cannot be sent now, and is tried again."""


@dataclass(frozen=True, slots=True)
class Created:
    """What a new connection is told: its token, and the exams open to it with their addresses."""

    connection_token: str
    entry_key: str
    exams: list[Exam]
    exam: Exam | None


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction to be queued."""

    connection_id: int
    type: InstructionType
    attributes: dict[str, str]
    not_before: int
    revision: int | None = None
    """The desired place the client acts on once it has confirmed this."""


class _Box(Protocol):
    def encrypt(self, clear: str) -> str: ...
    def decrypt(self, sealed: str) -> str: ...


async def _nobody_placed(_w: Work, _row: ConnectionRow, _exam: Exam) -> None: ...


async def _nobody_freed(_w: Work, _row: ConnectionRow) -> None: ...


def _as_it_is(_live: LiveConnection, instruction: Instruction) -> Instruction | None:
    return instruction


class Connections:
    """Every step a SEB takes, and every instruction it is sent."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        directory: Directory,
        live: LiveConnections,
        writer: Writer,
        bus: Bus,
        box: SecretBox,
        clock: Clock,
        urgent_work: WorkFactory | None = None,
        when_live: WhenLive = _nobody_placed,
        when_gone: WhenGone = _nobody_freed,
        ping_waits: float = PING_WAITS,
    ) -> None:
        """`urgent_work` is for what clients wait for on their pings."""
        self._work = work
        self._reading = reading
        self._directory = directory
        self.live = live
        self.writer = writer
        self._bus = bus
        self._box: _Box = box
        self._clock = clock
        self.when_live = when_live
        self.when_gone = when_gone
        self.complete: Complete = _as_it_is
        self.ping_waits = ping_waits
        self._claims = Together(urgent_work or work, self._claim_all)
        self._claiming: set[int] = set()
        """Instructions a ping waits for now."""
        self._unknown: dict[str, int] = {}
        self._turn = 0
        self._resync_due = False
        self._reload_ids: set[int] = set()
        self._reload_task: asyncio.Task[None] | None = None
        self._confirmed: dict[int, int] = {}
        """Instructions confirmed lately, by id → when: a reload may come before their confirmation is written."""
        self._loading: dict[str, asyncio.Future[LiveConnection | None]] = {}
        bus.subscribe(CONNECTION_CHANGED, self._heard_change)
        bus.subscribe(CONNECTIONS_CHANGED, self._heard_changes)
        bus.subscribe(INSTRUCTION_ADDED, self._heard_change)
        bus.subscribe(INSTRUCTIONS_ADDED, self._heard_changes)
        bus.subscribe(INSTRUCTION_HURRIED, self._heard_hurry)
        bus.subscribe(INSTRUCTION_SENT, self._heard_sent)
        bus.subscribe(PLACES_CONFIRMED, self._heard_confirmed)
        bus.subscribe(FACTS, self._heard_facts)
        bus.subscribe(NOTIFICATION_SETTLED, self._heard_settled)
        bus.subscribe(RESYNC, self._heard_resync)

    # --- steps of the client ---

    async def create(
        self,
        configuration: ConnectionConfiguration,
        *,
        institution_id: str | None,
        exam_id: str | None,
        device: Device,
    ) -> Created:
        """Step 3: a new connection. Raises Refused (`institution`, `exam_not_running`)."""
        if institution_id != str(configuration.institution_id):
            raise Refused(
                "institution", f"Institution {institution_id!r} is not the one of this connection file."
            )
        now = self._clock.now()
        running = [
            exam
            for exam in self._directory.running(now, institution_id=configuration.institution_id)
            if configuration.offers(exam.id)
        ]
        exam = None if exam_id is None else self._offered_exam(exam_id, configuration)
        token, entry_key = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        values: dict[str, Any] = {
            "token_hash": digest(token),
            "entry_key_hash": digest(entry_key),
            "institution_id": configuration.institution_id,
            "configuration_id": configuration.id,
            "exam_id": None if exam is None else exam.id,
            "state": ConnectionState.REQUESTED.value,
            "flags": [],
            "created_at": self._clock.now_ms(),
            **_device_values(device),
        }
        async with self._work() as w:
            connection_id = await queries.add(w.db, **values)
            (row,) = await queries.by_ids(w.db, [connection_id])
            w.announce(CONNECTION_CHANGED, connection_id)
        self.live.put(row)
        return Created(token, entry_key, [exam] if exam is not None else running, exam)

    async def bind_and_download(self, token: str, *, exam_id: str | None) -> Exam:
        """Step 5: the exam whose settings file is to be sent; binds it. Raises NotFound, Refused."""

        def decide(row: ConnectionRow, exam: Exam | None) -> dict[str, Any]:
            if exam is None:
                raise Refused("no_exam", "No exam is chosen. Send examId, or choose an exam first.")
            return {"config_downloaded_at": row.config_downloaded_at or self._clock.now_ms()}

        _, exam = await self._step(token, exam_id=exam_id, decide=decide)
        assert exam is not None
        return exam

    async def select(
        self,
        token: str,
        *,
        exam_id: str | None,
        user_session_id: str | None,
        signature_key: str | None,
        device: Device,
    ) -> Exam | None:
        """PATCH: any of exam, user, signature key, device. Returns the bound exam. Raises NotFound, Refused."""

        def decide(row: ConnectionRow, exam: Exam | None) -> dict[str, Any]:
            known = {k: v for k, v in _device_values(device).items() if v and not getattr(row.device, k)}
            state = rules.after_patch(row.state, user_given=bool(user_session_id))
            return known | _changes(
                row,
                user_session_id=user_session_id,
                address=device.address,
                signature=_signature_flag(exam, token, signature_key),
                state=state,
            )

        _, exam = await self._step(token, exam_id=exam_id, decide=decide)
        return exam

    async def establish(
        self,
        token: str,
        *,
        exam_id: str | None,
        user_session_id: str | None,
        signature_key: str | None,
        device: Device,
    ) -> Exam:
        """PUT: the client is in. Returns the bound exam. Raises NotFound, Refused."""

        def decide(row: ConnectionRow, exam: Exam | None) -> dict[str, Any]:
            if exam is None:
                raise Refused(
                    "no_exam", "No exam is chosen. Send examId with this request or with an earlier one."
                )
            state = rules.after_put(row.state, user_known=bool(user_session_id or row.user_session_id))
            given = {k: v for k, v in _device_values(device).items() if v}
            return (
                given
                | {"established_at": row.established_at or self._clock.now_ms()}
                | _changes(
                    row,
                    user_session_id=user_session_id,
                    address=device.address,
                    signature=_signature_flag(exam, token, signature_key),
                    state=state,
                )
            )

        _, exam = await self._step(token, exam_id=exam_id, decide=decide)
        assert exam is not None
        return exam

    async def close(self, token: str) -> bool:
        """DELETE: the client is gone. Quiet when it already was; False when the token is unknown."""
        async with self._work() as w:
            row = await queries.by_token_hash(w.db, digest(token), lock=True)
            if row is None:
                return False
            if row.state.is_open:
                await self._end(w, row, ConnectionState.CLOSED)
        await self.reload([row.id])
        return True

    async def _end(self, w: Work, row: ConnectionRow, state: ConnectionState) -> None:
        await queries.change(w.db, row.id, state=state.value, closed_at=row.closed_at or self._clock.now_ms())
        await self.when_gone(w, row)
        w.announce(CONNECTION_CHANGED, row.id)

    async def _step(
        self,
        token: str,
        *,
        exam_id: str | None,
        decide: Callable[[ConnectionRow, Exam | None], dict[str, Any]],
    ) -> tuple[ConnectionRow, Exam | None]:
        async with self._work() as w:
            row = await queries.by_token_hash(w.db, digest(token), lock=True)
            if row is None:
                raise NotFound(
                    "This connection token is not known here. Connect again.", key="token_not_known"
                )
            if not row.state.is_open:
                self._owe_quit(row.id)
                raise Refused(
                    "connection_closed",
                    f"This connection is {row.state.value}. Connect again.",
                    key="connect_again",
                )
            exam = self._bound_exam(row, exam_id)
            values = {"exam_id": None if exam is None else exam.id, **decide(row, exam)}
            await queries.change(w.db, row.id, **values)
            (row,) = await queries.by_ids(w.db, [row.id])
            if exam is not None and rules.is_live(
                row.state, exam_bound=True, config_downloaded=row.config_downloaded_at is not None
            ):
                await self.when_live(w, row, exam)
            w.announce(CONNECTION_CHANGED, row.id)
        await self.reload([row.id])
        return row, exam

    def _bound_exam(self, row: ConnectionRow, exam_id: str | None) -> Exam | None:
        if exam_id is None:
            return None if row.exam_id is None else self._still_running(row.exam_id)
        if row.exam_id is not None:
            if str(row.exam_id) != exam_id:
                raise Refused(
                    "other_exam",
                    f"This connection belongs to exam {row.exam_id}. Connect again for another exam.",
                )
            return self._still_running(row.exam_id)
        configuration = self._directory.configurations.get(row.configuration_id)
        if configuration is None:
            raise Refused("exam_not_running", f"Exam {exam_id[:40]} is not running.", key="no_running_exam")
        return self._offered_exam(exam_id, configuration)

    def _still_running(self, exam_id: int) -> Exam:
        exam = self._directory.exams.get(exam_id)
        if exam is None or not exam.is_running(self._clock.now()):
            raise Refused("exam_not_running", f"Exam {exam_id} is not running.", key="no_running_exam")
        return exam

    def _offered_exam(self, exam_id: str, configuration: ConnectionConfiguration) -> Exam:
        """The running exam, if clients of this configuration may choose it; whether it exists is not theirs to know."""
        exam = (
            self._directory.exams.get(int(exam_id))
            if exam_id.isascii() and exam_id.isdigit() and len(exam_id) < 19
            else None
        )
        is_theirs = (
            exam is not None
            and exam.institution_id == configuration.institution_id
            and configuration.offers(exam.id)
        )
        if exam is None or not is_theirs or not exam.is_running(self._clock.now()):
            raise Refused("exam_not_running", f"Exam {exam_id[:40]} is not running.", key="no_running_exam")
        return exam

    def _owe_quit(self, connection_id: int) -> None:
        live = self.live.by_id.get(connection_id)
        if live is not None:
            live.quit_wanted = True

    # --- the hot path: pings and events ---

    def known(self, token_hash: str) -> LiveConnection | None:
        return self.live.by_token_hash.get(token_hash)

    async def find(self, token_hash: str) -> LiveConnection | None:
        """The connection of a token this node has not met: loaded once, and remembered as unknown for a while."""
        live = self.live.by_token_hash.get(token_hash)
        if live is not None:
            return live
        now = self._clock.now_ms()
        if self._unknown.get(token_hash, 0) > now:
            return None
        waiting = self._loading.get(token_hash)
        if waiting is not None:
            return await asyncio.shield(waiting)
        future: asyncio.Future[LiveConnection | None] = asyncio.get_running_loop().create_future()
        self._loading[token_hash] = future
        live = None
        try:
            live = await self._load(token_hash, now)
        finally:
            del self._loading[token_hash]
            future.set_result(live)
        return live

    async def _load(self, token_hash: str, now: int) -> LiveConnection | None:
        try:
            async with self._reading() as w:
                row = await queries.by_token_hash(w.db, token_hash)
        except Unavailable:
            return None
        if row is None:
            if len(self._unknown) >= UNKNOWN_LIMIT:
                self._unknown.clear()
            self._unknown[token_hash] = now + UNKNOWN_STAYS
            return None
        try:
            await self.reload([row.id])
        except Unavailable:
            return None
        return self.live.by_id.get(row.id)

    def ping(self, live: LiveConnection, confirm: str | None) -> None:
        """Note the time and the confirmation; no database, no waiting."""
        live.last_ping = self._clock.now_ms()
        self.writer.ping(live)
        self.live.heard(live, "ping", shows=False)
        if confirm and confirm.isascii() and confirm.isdigit():
            confirmed = live.queue.confirm(int(confirm))
            if confirmed is None:
                return
            self.writer.confirmed(int(confirm))
            self._confirmed[int(confirm)] = live.last_ping
            if confirmed.revision is not None:
                live.confirmed_revision = max(live.confirmed_revision, confirmed.revision)
                self.live.changed(live)

    def must_quit(self, live: LiveConnection) -> bool:
        """Whether this ping is answered SEB_QUIT: disabled, exam over, or owed after a refused step (§4.4)."""
        now = self._clock.now_ms()
        if live.quit_wanted:
            live.quit_wanted = False
            live.quit_sent_at = now
            return True
        if live.state is ConnectionState.CLOSED:
            return False
        ended = False
        if live.state is not ConnectionState.DISABLED:
            if live.exam_id is None:
                return False
            exam = self._directory.exams.get(live.exam_id)
            ended = exam is None or not exam.is_running(self._clock.now())
        if (live.state is ConnectionState.DISABLED or ended) and now - live.quit_sent_at >= QUIT_PAUSE:
            live.quit_sent_at = now
            return True
        return False

    async def next_instruction(self, live: LiveConnection) -> Instruction | None:
        """What this ping carries, completed now: a token for a meeting is younger than the ping, and never stored."""
        instruction = await self._next_claimed(live)
        return None if instruction is None else self.complete(live, instruction)

    async def _next_claimed(self, live: LiveConnection) -> Instruction | None:
        """Claimed in the database first so that no second node sends it too."""
        now = self._clock.now_ms()
        if not live.state.is_open or self.writer.in_trouble_since is not None:
            return (
                None  # nothing can be claimed while nothing can be written, and a ping must not wait for it
            )
        if (late := _claimed_late(live)) is not None:
            live.queue.mark_sent(late.id, now)
            return late
        while (instruction := live.queue.next(now)) is not None:
            if instruction.id in self._claiming:
                return None  # pings overlap: the other one carries it
            claimed = await self._claim(live, instruction)
            if claimed is None:
                return None  # the next ping tries again
            if claimed or instruction.type.is_confirmed:
                live.queue.mark_sent(instruction.id, now)
            else:
                live.queue.drop(instruction.id)
            if claimed:
                return instruction
        return None

    async def _claim(self, live: LiveConnection, instruction: Instruction) -> bool | None:
        """None when that is not known in time, or the database cannot answer.

        A claim whose transaction has begun is never cut off: its commit may happen, and then nobody else would send it.
        """
        claim = self._claims.ask(instruction)
        self._claiming.add(instruction.id)
        is_known = False
        try:
            done, _ = await asyncio.wait({claim}, timeout=self.ping_waits)
            is_known = bool(done)
        finally:
            if is_known or self._claims.withdraw(claim):
                self._claiming.discard(instruction.id)
            else:
                claim.add_done_callback(partial(self._carry_later, live, instruction))
        if not is_known:
            return None
        try:
            return claim.result()
        except Unavailable:
            return None

    def _carry_later(
        self, live: LiveConnection, instruction: Instruction, claim: asyncio.Future[bool | None]
    ) -> None:
        self._claiming.discard(instruction.id)
        if not claim.cancelled() and claim.exception() is None and claim.result():
            live.claimed.append(instruction)

    async def _claim_all(self, w: Work, asked: Sequence[Instruction]) -> list[bool | None]:
        now = self._clock.now_ms()
        claimed = await queries.claim_instructions(
            w.db, [one.id for one in asked], now=now, resend_before=now - RESEND_AFTER
        )
        for one in asked:
            sent = _as_sent(one, now) if claimed.get(one.id) else None
            if sent is not None:
                w.announce(
                    INSTRUCTION_SENT, [one.connection_id, sent.id, sent.deed.value, sent.asked_at, now]
                )
        return [claimed.get(one.id) for one in asked]

    def event(self, live: LiveConnection, event: ClientEvent) -> None:
        """Take one event in: indicators, notifications, and the log."""
        if event.type in {EventType.NOTIFICATION, EventType.NOTIFICATION_CONFIRMED}:
            self._notify(live, event)
            return
        tag, _ = rules.split_tag(event.text)
        self._count(live, event, tag)
        self.writer.event(live, replace(event, text=rules.cut_text(event.text)))
        self.writer.count(live)
        self.live.heard(live, "ping")

    def _count(self, live: LiveConnection, event: ClientEvent, tag: str | None) -> None:
        match event.type:
            case EventType.ERROR_LOG:
                live.errors += 1
            case EventType.WARN_LOG:
                live.warnings += 1
            case EventType.INFO_LOG:
                live.infos += 1
            case _:
                pass
        if event.type is EventType.INFO_LOG and tag == "battery" and event.numeric_value is not None:
            live.battery = event.numeric_value
        if event.type is EventType.INFO_LOG and tag == "wlan":
            live.wlan_connected = event.numeric_value is not None
            live.wlan = event.numeric_value

    def _notify(self, live: LiveConnection, event: ClientEvent) -> None:
        before, after = live.notifications, rules.after_notification_event(live.notifications, event)
        if after is before:
            return
        opens = len(after) > len(before)
        live.notification_count += opens
        if len(after) > OPEN_NOTIFICATIONS or (opens and live.notification_count > NOTIFICATIONS):
            self.writer.shed_one()
            return
        for number in before.keys() - after.keys():
            self.writer.notification(NotificationChange(live.id, number, settled_at=event.server_time))
        for number in after.keys() - before.keys():
            self.writer.notification(NotificationChange(live.id, number, opened=after[number]))
        live.notifications = dict(after)
        self.live.heard(live, "ping")

    # --- what a proctor does with one connection ---

    async def confirm_notification(
        self, live: LiveConnection, number: int, *, by: int, record: WhenGone | None = None
    ) -> None:
        """Settle a raised hand or lock screen and tell the client. Raises NotFound when it is not open."""
        notification = live.notifications.get(number)
        if notification is None:
            raise NotFound("This notification is already settled.", key="already_settled")
        await asyncio.shield(self.writer.flush())  # its opening must be stored before its end
        async with self._work() as w:
            if not await queries.settle_notification(w.db, live.id, number, self._clock.now_ms(), by):
                raise NotFound("This notification is already settled.", key="already_settled")
            await self.instruct(
                w,
                live.id,
                InstructionType.NOTIFICATION_CONFIRM,
                {"type": notification.kind.value, "id": str(number)},
            )
            if record is not None:
                (row,) = await queries.by_ids(w.db, [live.id])
                await record(w, row)
            w.announce(NOTIFICATION_SETTLED, [live.id, number])
        await self.reload([live.id])

    async def instruct(
        self,
        w: Work,
        connection_id: int,
        type_: InstructionType,
        attributes: dict[str, str],
    ) -> int:
        """Queue an instruction in this transaction; every node hears of it after the commit. Returns its id."""
        now = self._clock.now_ms()
        orders = [Order(connection_id, type_, attributes, now)]
        (instruction_id,) = await queries.add_instructions(w.db, self._stored(orders))
        w.announce(INSTRUCTION_ADDED, connection_id)
        return instruction_id

    async def guide(self, w: Work, orders: Sequence[Order], *, moved: Collection[int]) -> None:
        """Queue the steps of many clients to a new place, each client's in this order, a few statements for all.

        They replace what waited of earlier steps: all of it for those who are `moved` to another room; else only what was
        to be perceived. The caller announces the connections.
        """
        now = self._clock.now_ms()
        told = {order.connection_id for order in orders}
        await queries.supersede_instructions(w.db, sorted(moved), STEPS, now=now)
        stay = sorted(told - set(moved))
        await queries.supersede_instructions(w.db, stay, [InstructionType.RECONFIGURE], now=now)
        await queries.add_instructions(w.db, self._stored(orders))

    def _stored(self, orders: Iterable[Order]) -> list[dict[str, Any]]:
        now = self._clock.now_ms()
        sealed: dict[str, str] = {}
        rows: list[dict[str, Any]] = []
        for order in orders:
            clear = msgspec.json.encode(order.attributes).decode()
            if clear not in sealed:
                sealed[clear] = self._box.encrypt(clear)
            rows.append(
                {
                    "connection_id": order.connection_id,
                    "type": order.type.value,
                    "attributes_encrypted": sealed[clear],
                    "created_at": now,
                    "not_before": max(now, order.not_before),
                    "revision": order.revision,
                }
            )
        return rows

    async def instruct_all(
        self, w: Work, connection_ids: Sequence[int], type_: InstructionType, attributes: dict[str, str]
    ) -> list[int]:
        """The same instruction to many, in this transaction; returns their ids in the same order."""
        now = self._clock.now_ms()
        orders = [Order(one, type_, attributes, now) for one in connection_ids]
        ids = await queries.add_instructions(w.db, self._stored(orders))
        w.announce(INSTRUCTIONS_ADDED, list(connection_ids))
        return ids

    async def send(
        self,
        live: LiveConnection,
        type_: InstructionType,
        attributes: dict[str, str],
        *,
        record: WhenGone | None = None,
    ) -> None:
        """One instruction to one open connection. Raises Refused when it is closed."""
        if not live.state.is_open:
            raise Refused("connection_closed", "This SEB has left; nothing can be sent to it.")
        async with self._work() as w:
            await self.instruct(w, live.id, type_, attributes)
            if record is not None:
                (row,) = await queries.by_ids(w.db, [live.id])
                await record(w, row)
        await self.reload([live.id])

    async def disable(self, live: LiveConnection, *, record: WhenGone | None = None) -> None:
        """Mark a lost or closed connection as cancelled. Raises Refused while its pings still come."""
        now = self._clock.now_ms()
        is_missing = rules.is_missing(live.last_ping or live.created_at, now)
        if not rules.may_disable(live.state, missing=is_missing):
            raise Refused("still_alive", "This SEB is still connected. Send it “quit” instead.")
        async with self._work() as w:
            row = await queries.by_token_hash(w.db, live.token_hash, lock=True)
            if row is None:
                raise NotFound("This connection is gone.", key="connection_gone")
            await self._end(w, row, ConnectionState.DISABLED)
            if record is not None:
                await record(w, row)
        await self.reload([live.id])

    async def disable_in(self, w: Work, live: LiveConnection) -> None:
        """The same within a transaction of the caller's, who reloads afterwards."""
        row = await queries.by_token_hash(w.db, live.token_hash, lock=True)
        if row is not None:
            await self._end(w, row, ConnectionState.DISABLED)

    async def close_stale(self, ids: Iterable[int]) -> None:
        """Close connections whose DELETE never came (crash, power), decided by the caller."""
        for connection_id in ids:
            async with self._work() as w:
                live = self.live.by_id.get(connection_id)
                row = None if live is None else await queries.by_token_hash(w.db, live.token_hash, lock=True)
                if row is not None and row.state.is_open:
                    await self._end(w, row, ConnectionState.CLOSED)
            await self.reload([connection_id])

    # --- memory follows the database ---

    async def load_all(self) -> None:
        """At start: every open connection with its waiting instructions and open notifications."""
        now = self._clock.now_ms()
        async with self._reading() as w:
            rows = await queries.loadable(w.db, closed_since=now - CLOSED_STAYS)
            notifications = await queries.open_notifications(w.db)
            waiting = await queries.open_instructions(w.db, young_since=now - 60_000)
            lately = await queries.instructions_of(
                w.db, since=now - answers.TROUBLE_SHOWN_FOR, types=list(answers.TYPES.values())
            )
        for row in _without_future(rows, now):
            self.live.put(row)
        self._take_notifications(notifications)
        self._take_sent(lately)
        self._take_instructions(waiting, [row.id for row in rows])

    def _take_notifications(self, notifications: Iterable[Notification]) -> None:
        for notification in notifications:
            live = self.live.by_id.get(notification.connection_id)
            if live is not None:
                live.notifications.setdefault(notification.number, notification)

    def _take_sent(self, lately: Iterable[queries.StoredInstruction]) -> None:
        """After a start: what proctors asked of whom lately, so that no answer goes unnoticed for a restart."""
        for stored in lately:
            live = self.live.by_id.get(stored.connection_id)
            sent = None if live is None else self.sent_of(stored)
            if live is not None and sent is not None:
                live.sent = answers.newer(live.sent, sent)

    def sent_of(self, stored: queries.StoredInstruction) -> Sent | None:
        """A stored instruction as a deed and what became of it; None for what no proctor asked for."""
        attributes = msgspec.json.decode(self._box.decrypt(stored.attributes_encrypted), type=dict[str, str])
        deed = answers.deed_of(stored.type, attributes.get("type"))
        return (
            None
            if deed is None
            else Sent(stored.id, deed, stored.created_at, stored.sent_at, stored.answered_at)
        )

    def _take_instructions(self, waiting: Iterable[queries.StoredInstruction], ids: Iterable[int]) -> None:
        """Make the queues of these connections what the database says is still to be sent."""
        by_connection: dict[int, list[queries.StoredInstruction]] = {i: [] for i in ids}
        clear: dict[str, dict[str, str]] = {}  # a thousand are told the same, sealed once
        for stored in waiting:
            if stored.id not in self._confirmed:
                by_connection.setdefault(stored.connection_id, []).append(stored)
        for connection_id, instructions in by_connection.items():
            live = self.live.by_id.get(connection_id)
            if live is None:
                continue
            live.queue.keep({stored.id for stored in instructions})
            for stored in instructions:
                if stored.id in live.queue:
                    continue
                sealed = stored.attributes_encrypted
                if sealed not in clear:
                    clear[sealed] = msgspec.json.decode(self._box.decrypt(sealed), type=dict[str, str])
                instruction = Instruction(
                    stored.id,
                    connection_id,
                    stored.type,
                    clear[sealed],
                    stored.created_at,
                    stored.not_before,
                    stored.revision,
                )
                live.queue.add(instruction, sent_at=stored.sent_at)
                if (sent := _as_sent(instruction, stored.sent_at)) is not None:
                    live.sent = answers.newer(live.sent, sent)
                    self.live.changed(live)
        if len(self._confirmed) > 1000:
            old = self._clock.now_ms() - 60_000
            self._confirmed = {i: at for i, at in self._confirmed.items() if at > old}

    async def reload(self, ids: list[int]) -> None:
        """Read these connections again."""
        self._reload_ids.difference_update(ids)
        self._turn += 1
        turn = self._turn
        now = self._clock.now_ms()
        async with self._reading() as w:
            rows = await queries.by_ids(w.db, ids)
            waiting = await queries.open_instructions(w.db, ids=ids, young_since=now - 60_000)
            fresh = [row.id for row in rows if row.id not in self.live.by_id]
            notifications = await queries.open_notifications(w.db, fresh) if fresh else []
        newer = {i for i in ids if (live := self.live.by_id.get(i)) is not None and live.read_turn > turn}
        for row in _without_future(rows, now):
            self._unknown.pop(row.token_hash, None)
            if row.id not in newer:
                self.live.put(row).read_turn = turn
        self._take_notifications(notifications)
        self._take_instructions([one for one in waiting if one.connection_id not in newer], set(ids) - newer)

    def _heard_change(self, connection_id: Any) -> None:
        if isinstance(connection_id, int):
            self._reload_ids.add(connection_id)
            self._reload_soon()

    def _heard_changes(self, connection_ids: Any) -> None:
        if isinstance(connection_ids, list):
            self._reload_ids.update(connection_ids)
            self._reload_soon()

    def _heard_sent(self, payload: Any) -> None:
        """A proctor's instruction went out, from here or from another node."""
        connection_id, instruction_id, deed, asked_at, sent_at = payload
        live = self.live.by_id.get(connection_id)
        if live is not None:
            live.sent = answers.newer(live.sent, Sent(instruction_id, DeskDeed(deed), asked_at, sent_at))
            self.live.changed(live)

    def _heard_confirmed(self, pairs: Any) -> None:
        """Pages say that they act on a place; this changes nothing else, so nothing is read again."""
        for connection_id, revision in pairs:
            live = self.live.by_id.get(connection_id)
            if live is not None and live.confirmed_revision < revision:
                live.confirmed_revision = revision
                self.live.changed(live)

    def _heard_hurry(self, connection_id: Any) -> None:
        """Its instructions are due earlier than this node thought: read them again."""
        live = self.live.by_id.get(connection_id)
        if live is not None:
            live.queue.keep({p.instruction.id for p in live.queue.waiting if p.sent_at is not None})
            self._heard_change(connection_id)

    def _heard_resync(self, _payload: Any) -> None:
        self._resync_due = True
        self._reload_ids.update(self.live.by_id)
        self._reload_soon()

    def _reload_soon(self) -> None:
        if self._reload_task is None or self._reload_task.done():
            self._reload_task = asyncio.get_running_loop().create_task(self._reload_heard(), name="reload")

    async def _reload_heard(self) -> None:
        while self._reload_ids or self._resync_due:
            ids, self._reload_ids = list(self._reload_ids), set()
            try:
                if self._resync_due:
                    await self.load_all()  # also what other nodes made meanwhile
                    self._resync_due = False
                while ids:
                    await self.reload(ids[:RELOAD_AT_ONCE])
                    del ids[:RELOAD_AT_ONCE]
            except Unavailable:
                self._reload_ids.update(ids)
                await asyncio.sleep(1)

    def _heard_facts(self, payload: Any) -> None:
        for facts in payload:
            live = self.live.by_id.get(facts["id"])
            if live is not None:
                take_volatile_facts(live, facts)
                self.live.changed(live)

    def _heard_settled(self, payload: Any) -> None:
        live = self.live.by_id.get(payload[0])
        if live is not None and live.notifications.pop(payload[1], None) is not None:
            self.live.changed(live)

    def share_facts(self) -> None:
        """Tell the other nodes what only this one heard."""
        heard = self.live.take_heard()
        facts = [
            volatile_facts(self.live.by_id[i], what) for i, what in heard.items() if i in self.live.by_id
        ]
        if facts:
            self._bus.tell_others(FACTS, facts)


def _as_sent(instruction: Instruction, sent_at: int | None) -> Sent | None:
    """The instruction as a proctor's deed; None when the server sends it by itself."""
    deed = answers.deed_of(instruction.type, instruction.attributes.get("type"))
    return None if deed is None else Sent(instruction.id, deed, instruction.created_at, sent_at)


def _without_future(rows: Iterable[ConnectionRow], now: int) -> list[ConnectionRow]:
    """A ping noted before the server's clock was set back proves nothing."""
    return [replace(r, last_ping=None) if (r.last_ping or 0) > now + 60_000 else r for r in rows]


def _claimed_late(live: LiveConnection) -> Instruction | None:
    """What was claimed after its ping had gone, unless the client shall not do it any more."""
    while live.claimed:
        instruction = live.claimed.pop(0)
        if not instruction.type.is_confirmed or instruction.id in live.queue:
            return instruction
    return None


def _device_values(device: Device) -> dict[str, Any]:
    return {
        "account_name": device.account_name,
        "machine_name": device.machine_name,
        "os_name": device.os_name,
        "seb_version": device.seb_version,
        "address": device.address,
    }


def _changes(
    row: ConnectionRow,
    *,
    user_session_id: str | None,
    address: str | None,
    signature: bool | None,
    state: ConnectionState,
) -> dict[str, Any]:
    """What a handshake step changes, and the flags it raises: odd things are shown to proctors, never refused (§6)."""
    flags = set(row.flags)
    values: dict[str, Any] = {"state": state.value}
    known = (row.user_session_id or "").split(" | ") if row.user_session_id else []
    if user_session_id and user_session_id not in known:
        # A second, different user is shown beside the first, never silently put in its place.
        values["user_session_id"] = " | ".join([user_session_id, *known][:4])
        if known:
            flags.add("second_user")
    if address and row.device.address and address != row.device.address:
        values["address"] = address
        flags.add("changed_address")
    if signature is not None:
        (flags.discard if signature else flags.add)("unreadable_signature")
    return values | {"flags": sorted(flags)}


def _signature_flag(exam: Exam | None, token: str, signature_key: str | None) -> bool | None:
    """Whether an app signature key could be decrypted (§2.4); None when none came."""
    if not signature_key or exam is None:
        return None
    return rules.decrypt_signature_key(signature_key, connection_token=token, salt=exam.salt) is not None
