"""Messages: proctors write to one, a room or all; candidates answer while the chat is on.

A message is stored with a line for each recipient before anybody sees it, then every node shows it to the pages it serves.
What is not read yet is shown again to a page that comes back. Pages say what arrived and what was read; those receipts
come a thousand at once when everybody is written to, so they are written in batches, and one that is lost with a crash
is said again, because the page is shown the message again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from invigilo.accounts.model import Account
from invigilo.activity.service import record
from invigilo.bus import RESYNC, Bus
from invigilo.clock import Clock
from invigilo.errors import BadInput, NotFound, Refused, Unavailable
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam, ProctoringFeature
from invigilo.monitoring.live import LiveConnection, LiveConnections
from invigilo.monitoring.wall import name_of
from invigilo.proctoring.model import Message, MessageScope, Receipt
from invigilo.proctoring.service import Rooms
from invigilo.storage.queries import messages as queries
from invigilo.storage.work import Work, WorkFactory

log = structlog.get_logger()

MESSAGE_ADDED = "message"
RECEIPTS_WRITTEN = "message.receipts"
LONGEST, LONGEST_SAID = 2_000, 500  # characters
NEWEST = 200
SHOWN_AGAIN = 50
"""Unread messages that a page which comes back is shown."""
WRITE_EVERY = 0.5  # seconds between two batches of receipts
MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class Sent:
    id: int
    recipients: int
    unreachable: int
    """Of these, those whose SEB shows no page of ours now: they see it if one is opened."""


ToCandidates = Callable[[Message, Sequence[int]], None]
"""Shows a message to the pages of these candidates, as far as they are at this node."""
ToProctors = Callable[[Message], None]


def _shown_to_nobody(_message: Message, _ids: Sequence[int] = ()) -> None: ...


class Messages:
    """Messages of all exams; `to_candidates` and `to_proctors` are this node's sockets."""

    def __init__(
        self,
        *,
        work: WorkFactory,
        reading: WorkFactory,
        directory: Directory,
        rooms: Rooms,
        live: LiveConnections,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._work = work
        self._reading = reading
        self._directory = directory
        self._rooms = rooms
        self._live = live
        self._clock = clock
        self.to_candidates: ToCandidates = _shown_to_nobody
        self.to_proctors: ToProctors = _shown_to_nobody
        self._added: list[tuple[int, list[int]]] = []
        self._receipts: dict[tuple[int, int], Receipt] = {}
        self._uncounted: set[int] = set()
        self._wake = asyncio.Event()
        bus.subscribe(MESSAGE_ADDED, self._heard_message)
        bus.subscribe(RECEIPTS_WRITTEN, self._heard_receipts)
        bus.subscribe(RESYNC, self._heard_resync)

    # --- writing ---

    async def send(
        self,
        exam: Exam,
        text: str,
        *,
        by: Account,
        connections: Sequence[int] | None = None,
        room_id: int | None = None,
    ) -> Sent:
        """Write to these connections, to a room, or (neither given) to everybody of the exam.

        Raises NotFound, BadInput, and Refused (`feature_off`, `nobody`).
        """
        if ProctoringFeature.CHAT not in exam.proctoring.features:
            raise Refused("feature_off", "Messages are switched off for this exam.", key="messages_off")
        text = _checked(text, LONGEST)
        scope = MessageScope.EVERYBODY
        if connections is not None:
            scope = MessageScope.CONNECTIONS
            self._must_be_of(exam, connections)
        elif room_id is not None:
            scope = MessageScope.ROOM
            if self._rooms.room(exam.id, room_id) is None:
                raise NotFound("There is no such room in this exam.", key="no_such_room")
        async with self._work() as w:
            ids = await queries.recipients(
                w.db, exam.id, only=None if connections is None else sorted(set(connections)), room_id=room_id
            )
            if not ids:
                raise Refused("nobody", "Nobody this would go to is connected.")
            message_id = await queries.add(
                w.db,
                exam_id=exam.id,
                at=self._clock.now_ms(),
                user_id=by.id,
                actor=by.display_name,
                scope=scope,
                text_=text,
                room_id=room_id,
            )
            await queries.address(w.db, message_id, ids)
            await self._record(w, exam, by, scope, ids, room_id)
            w.announce(MESSAGE_ADDED, [message_id, ids])
        live = (self._live.by_id.get(one) for one in ids)
        shown = sum(one is not None and one.page.connected for one in live)
        return Sent(message_id, len(ids), len(ids) - shown)

    def _must_be_of(self, exam: Exam, connections: Sequence[int]) -> None:
        if not connections:
            raise Refused("nobody", "Choose to whom to write.", key="no_recipient_chosen")
        for one in connections:
            live = self._live.by_id.get(one)
            if live is None or live.exam_id != exam.id:
                raise NotFound("There is no such connection in this exam.", key="no_such_connection")

    async def _record(
        self,
        w: Work,
        exam: Exam,
        by: Account,
        scope: MessageScope,
        ids: Sequence[int],
        room_id: int | None,
    ) -> None:
        """That, and to whom; what was written stands with the messages."""
        await record(
            w,
            at=self._clock.now(),
            actor=by,
            deed="message_sent",
            institution_id=exam.institution_id,
            exam_id=exam.id,
            room_id=room_id,
            connection_id=ids[0] if scope is MessageScope.CONNECTIONS and len(ids) == 1 else None,
            detail={"to": scope.value, "recipients": len(ids)},
        )

    async def say(self, live: LiveConnection, text: str) -> None:
        """A candidate writes to the proctors of the exam. Raises BadInput, and Refused `chat_off`."""
        if live.exam_id is None or not live.receive[2] or not live.state.is_open:
            raise Refused("chat_off", "The chat is not open for you now.")
        text = _checked(text, LONGEST_SAID)
        candidate = self._directory.candidate(live.exam_id, live.user_session_id)
        async with self._work() as w:
            message_id = await queries.add(
                w.db,
                exam_id=live.exam_id,
                at=self._clock.now_ms(),
                user_id=None,
                actor=name_of(live, candidate)[:255],
                scope=MessageScope.PROCTORS,
                text_=text,
                from_connection_id=live.id,
            )
            w.announce(MESSAGE_ADDED, [message_id, []])

    # --- reading ---

    async def unread(self, connection_id: int) -> list[Message]:
        """What a candidate's page is shown when it comes."""
        async with self._reading() as w:
            return await queries.unread(w.db, connection_id, limit=SHOWN_AGAIN)

    async def newest(self, exam: Exam, *, connection_id: int | None = None) -> list[Message]:
        """Newest first; of one connection what went to it and came from it. Raises NotFound."""
        if connection_id is not None:
            self._must_be_of(exam, [connection_id])
        async with self._reading() as w:
            return await queries.newest(w.db, exam.id, connection_id=connection_id, limit=NEWEST)

    # --- what pages say ---

    def receipt(self, live: LiveConnection, message_id: int, *, is_read: bool) -> None:
        """Noted now, written with the next batch. Which messages are this candidate's, the database knows."""
        if len(self._receipts) >= MOST_WAITING:
            return
        key = (message_id, live.id)
        before = self._receipts.get(key)
        is_read = is_read or (before is not None and before.is_read)
        self._receipts[key] = Receipt(message_id, live.id, self._clock.now_ms(), is_read)

    # --- the clock's part ---

    def _heard_message(self, payload: Any) -> None:
        message_id, ids = payload
        self._added.append((message_id, ids))
        self._uncounted.update(ids)
        self._wake.set()

    def _heard_receipts(self, payload: Any) -> None:
        self._uncounted.update(payload)

    def _heard_resync(self, _payload: Any) -> None:
        self._uncounted.update(self._live.by_id)

    async def run_once(self) -> None:
        """Wait for a message or for the time of the next batch, then show, write and count."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), WRITE_EVERY)
        self._wake.clear()
        await self.work_off()

    async def work_off(self) -> None:
        """Show what is new, write the receipts that came, count what changed."""
        await self._show()
        await self._write_receipts()
        await self._count()

    async def _show(self) -> None:
        while self._added:
            message_id, ids = self._added[0]
            async with self._reading() as w:
                message = await queries.by_id(w.db, message_id)
            self._added.pop(0)
            if message is None:
                continue
            if message.scope is MessageScope.PROCTORS:
                self.to_proctors(message)
            else:
                self.to_candidates(message, ids)

    async def _write_receipts(self) -> None:
        if not self._receipts:
            return
        taken, self._receipts = self._receipts, {}
        try:
            async with self._work() as w:
                await queries.write_receipts(w.db, taken.values())
                w.announce(RECEIPTS_WRITTEN, sorted({one.connection_id for one in taken.values()}))
        except Unavailable:
            self._receipts = {**taken, **self._receipts}
            raise

    async def _count(self) -> None:
        uncounted = {one.id for one in self._live.by_id.values() if one.messages is None}
        ids = sorted((uncounted | self._uncounted) & self._live.by_id.keys())
        self._uncounted = set()
        if not ids:
            return
        try:
            async with self._reading() as w:
                counts = await queries.counts(w.db, ids)
        except Unavailable:
            self._uncounted.update(ids)
            raise
        for connection_id, count in counts.items():
            live = self._live.by_id.get(connection_id)
            if live is not None and live.messages != count:
                was, live.messages = live.messages, count
                if was is not None or any(count):
                    self._live.changed(live)


def _checked(text: str, longest: int) -> str:
    text = text.strip()
    if not text or len(text) > longest:
        raise BadInput(f"A message has 1 to {longest} characters.", field="text")
    if any(ord(one) < 32 and one not in "\n\t" for one in text) or "\x7f" in text:
        raise BadInput("A message is plain text.", field="text")
    return text
