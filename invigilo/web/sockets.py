"""The two sockets: a candidate's page and a proctor's page. What they say is docs/protocol.md; who may, is decided here.

Each socket is two tasks: one reads, checks and acts, one empties the outbox. The first to end ends the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect, WebSocketException
from prometheus_client import Gauge

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import access_exam
from invigilo.clock import Clock, to_ms
from invigilo.errors import BadInput, InvigiloError, NotFound, Refused, Unavailable
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam, Service
from invigilo.monitoring.duties import Duties
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.meeting import PageState
from invigilo.monitoring.service import Connections
from invigilo.monitoring.wall import name_of
from invigilo.proctoring.calls import Calls
from invigilo.proctoring.meetings import Entry, Found, Meetings
from invigilo.proctoring.messages import Messages
from invigilo.proctoring.model import Message, Perception, RoomKind, subject_of
from invigilo.proctoring.service import Rooms
from invigilo.rtc import limits, messages
from invigilo.rtc.hub import CandidateSocket, Hub, ProctorSocket
from invigilo.rtc.ice import IceServers
from invigilo.rtc.limits import Allowance
from invigilo.rtc.outbox import Outbox
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.work import WorkFactory
from invigilo.web.render import Renderer
from invigilo.web.stream import Stream

log = structlog.get_logger()

Socket = WebSocket[Any, Any, Any]
Handle = Callable[[str | bytes], Awaitable[bool]]
"""Acts on one frame; False when it was refused."""

HELLO_WITHIN = 10  # seconds
SELF_CHECK_SETTLES = 0.5  # seconds
CHECK_SIGN_IN_EVERY = 15  # seconds until a proctor's page whose sign-in has ended is closed
VIDEO = {"width": 320, "height": 240, "frame_rate": 12, "max_bitrate": 150_000}
STILL_INTERVAL = 1_000  # ms

_MEETING_IN_DOUBT = frozenset({3001, 3005, 3008, 3610, 3711, 4004})
"""What a meeting service tells a page whose meeting is gone, over, or kept from beginning (zoom.md §7.4)."""

_open = Gauge("invigilo_sockets_open", "Open sockets.", ["side"])


class Sockets:
    """Runs every socket of this node."""

    def __init__(
        self,
        *,
        hub: Hub,
        connections: Connections,
        rooms: Rooms,
        calls: Calls,
        messages_: Messages,
        meetings: Meetings,
        directory: Directory,
        stream: Stream,
        ice: IceServers,
        work: WorkFactory,
        clock: Clock,
        duties: Duties,
        renderer: Renderer,
    ) -> None:
        self._duties = duties
        self._renderer = renderer
        self._hub = hub
        self._connections = connections
        self._rooms = rooms
        self._calls = calls
        self._messages = messages_
        self._meetings = meetings
        self._directory = directory
        self._stream = stream
        self._ice = ice
        self._work = work
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._self_checks: dict[int, dict[str, str]] = {}
        """Results that wait to be written, by connection."""

    # --- the candidate's side ---

    async def candidate(self, socket: Socket, live: LiveConnection) -> None:
        """Serve one candidate's page until it goes."""
        await socket.accept()
        hello = await self._hello(socket)
        if hello is None:
            return
        if (ended := self._ended(live)) is not None:
            await _say_and_close(socket, {"t": "ended", "reason": ended}, 4002)
            return
        page = live.page
        now = self._clock.now_ms()
        page.connected, page.connected_at, page.heard_at, page.replaced = True, now, now, False
        page.peer_states.clear()
        page.meeting = PageState.NONE.value
        exam_id = live.exam_id or 0
        welcome = self._welcome(live, hello.language)
        mine = self._hub.candidate_arrived(
            live.id, exam_id, hello.tab, language=hello.language, welcome=welcome
        )
        mine.told_place, mine.told_watchers = self._place_of(live), welcome["watchers"]
        mine.told_about = self._about(live)
        self._connections.live.heard(live, "page")
        allowance = Allowance(limits.CANDIDATE_RATE, limits.CANDIDATE_BURST)
        stills = Allowance(limits.STILL_RATE, limits.STILL_BURST)
        entries = Allowance(limits.ENTRY_RATE, limits.ENTRY_BURST)
        sayings = Allowance(limits.SAY_RATE, limits.SAY_BURST)
        self._spawn(self._show_unread(mine, live))

        async def handle(frame: str | bytes) -> bool:
            live.page.heard_at = self._clock.now_ms()
            if isinstance(frame, bytes):
                return self._still(mine, live, frame, stills)
            return await self._from_candidate(mine, live, frame, entries, sayings)

        with _open.labels("candidate").track_inprogress():
            try:
                await _serve(socket, mine.outbox, handle, allowance)
            finally:
                self._candidate_gone(mine, live)

    def _candidate_gone(self, mine: CandidateSocket, live: LiveConnection) -> None:
        if not self._hub.candidate_left(mine):
            if mine.successor not in {None, mine.tab}:  # the same page on a new line replaces nobody
                live.page.replaced = True
            return
        live.page.connected = False
        live.page.lost_at = self._clock.now_ms()
        live.page.peer_states.clear()
        self._connections.live.heard(live, "page")

    async def _hello(self, socket: Socket) -> messages.Hello | None:
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                frame = await _receive(socket)
            if isinstance(frame, str) and len(frame) <= limits.MESSAGE_SIZE:
                message = messages.candidate_decoder.decode(frame)
                if isinstance(message, messages.Hello):
                    return message
        except (TimeoutError, msgspec.DecodeError):
            pass
        except WebSocketDisconnect:
            return None
        await _say_and_close(socket, _error("bad_message", "The first message must be hello."), 4008)
        return None

    def _ended(self, live: LiveConnection) -> str | None:
        """Why this page has nothing to do any more; None while it has."""
        if not live.state.is_open:
            return "disabled" if live.state.value == "disabled" else "connection_closed"
        exam = self._directory.exams.get(live.exam_id or 0)
        if live.exam_id is not None and (exam is None or not exam.is_running(self._clock.now())):
            return "exam_finished"
        return None

    def _about(self, live: LiveConnection) -> dict[str, Any]:
        """Who this is by the roster, and until when their own time goes."""
        exam = self._directory.exams.get(live.exam_id or 0)
        candidate = self._directory.candidate(live.exam_id, live.user_session_id)
        own_end = None
        if exam is not None:
            own_end = to_ms(exam.ends_at if candidate is None else candidate.ends_at(exam))
        return {
            "candidate": name_of(live, candidate),
            "ends_at": own_end,
            "time_zone": "UTC" if exam is None else exam.time_zone,
        }

    def _welcome(self, live: LiveConnection, language: str) -> dict[str, Any]:
        exam = self._directory.exams.get(live.exam_id or 0)
        return {
            "t": "welcome",
            **self._about(live),
            "exam": "" if exam is None else exam.name,
            "institution": self._directory.institutions.get(live.institution_id, ""),
            "language": language,
            "start_url": None if exam is None else exam.url,
            "still_interval_ms": STILL_INTERVAL,
            "video": VIDEO,
            "ice_servers": self._ice.for_peer(f"c{live.id}", now_ms=self._clock.now_ms()),
            "watchers": len(self._hub.watchers_of(live.id))
            if self._exam_at_service(live) is None
            else live.meeting.watchers(live.room_id, self._clock.now_ms()),
            **self._place_message(live),
        }

    def _place_message(self, live: LiveConnection) -> dict[str, Any]:
        return {
            **place_message(live),
            "alone": self._rooms.is_alone(live),
            "meeting": self._exam_at_service(live) is not None,
        }

    def _place_of(self, live: LiveConnection) -> tuple[Any, ...]:
        return (
            live.revision,
            live.room_id,
            live.room_state,
            live.receive,
            live.is_beyond,
            self._rooms.is_alone(live),
        )

    def _still(self, mine: CandidateSocket, live: LiveConnection, jpeg: bytes, allowance: Allowance) -> bool:
        if len(jpeg) > limits.STILL_SIZE:
            mine.outbox.put(_error("too_large", f"A still has at most {limits.STILL_SIZE} bytes."))
            return False
        if not allowance.take(time.monotonic()):
            mine.outbox.put(_error("too_many", "One still a second is enough."))
            return False
        still = self._hub.still(mine, jpeg)
        if still is None:
            mine.outbox.put(_error("bad_message", "This is no JPEG of at most 640×640."))
            return False
        live.page.last_still_at, live.page.still_kind = still.at, still.kind
        self._connections.live.heard(live, "page")
        return True

    async def _from_candidate(
        self,
        mine: CandidateSocket,
        live: LiveConnection,
        frame: str,
        entries: Allowance,
        sayings: Allowance,
    ) -> bool:
        message = _decode(messages.candidate_decoder, frame, mine.outbox)
        page = live.page
        match message:
            case messages.Ping(n=n):
                mine.outbox.put({"t": "pong", "n": n})
                self._connections.live.heard(live, "page", shows=False)
                self._tell_watchers(mine, live)
                return True
            case messages.CandidateSignal():
                fields = {"peer": message.peer, **messages.signal_fields(message)}
                if not self._hub.from_candidate(mine, fields):
                    mine.outbox.put(_error("no_such_peer", "Nobody you may talk to has this name."))
                    return False
                return True
            case messages.PeerState():
                if message.peer not in self._hub.watchers_of(live.id):
                    page.peer_states.pop(message.peer, None)
                    return message.state == "closed"
                page.peer_states[message.peer] = message.state
            case messages.SelfCheck():
                page.camera_check, page.microphone_check = message.camera, message.microphone
                page.path_check = message.path
                self._keep_self_check(live, message)
            case messages.Media():
                page.camera, page.microphone = message.camera, message.microphone
                page.visible, page.exam_opened = message.visible, message.exam_opened
                page.media_at = self._clock.now_ms()
            case messages.Confirm(revision=revision):
                if revision > live.revision:
                    return False
                if revision > mine.confirming:
                    mine.confirming = revision
                    self._spawn(self._confirm(mine, live, revision))
            case messages.MeetingState(state=state):
                page.meeting = state
                self._doubt_place(live, state, message.code)
            case messages.Enter():
                if not mine.is_entering:
                    mine.is_entering = True
                    self._spawn(self._let_in(mine, live, entries))
                return True
            case messages.MessageDelivered(id=message_id):
                self._messages.receipt(live, message_id, is_read=False)
                return True
            case messages.MessageRead(id=message_id):
                self._messages.receipt(live, message_id, is_read=True)
                return True
            case messages.Say(text=text):
                if not sayings.take(time.monotonic()):
                    mine.outbox.put(_error("too_many", "Wait before you write again."))
                    return False
                self._spawn(self._say(mine, live, text))
                return True
            case messages.Hello():
                return True
            case _:
                return False
        self._connections.live.heard(live, "page")
        return True

    # --- messages ---

    async def _show_unread(self, mine: CandidateSocket, live: LiveConnection) -> None:
        for message in await self._messages.unread(live.id):
            mine.outbox.put(_shown(message))

    async def _say(self, mine: CandidateSocket, live: LiveConnection, text: str) -> None:
        try:
            await self._messages.say(live, text)
        except Refused as refusal:
            mine.outbox.put(_error(refusal.code, self._renderer.error_text(mine.language, refusal)))
        except BadInput as wrong:
            mine.outbox.put(_error("bad_message", wrong.message))

    def show_to_candidates(self, message: Message, connection_ids: Sequence[int]) -> None:
        """To those whose page is at this node."""
        for connection_id in connection_ids:
            socket = self._hub.candidates.get(connection_id)
            if socket is not None:
                socket.outbox.put(_shown(message))

    def show_to_proctors(self, message: Message) -> None:
        """What a candidate wrote, to every page of a proctor of the exam."""
        said = {
            "t": "said",
            "id": message.id,
            "connection": message.from_connection_id,
            "at": message.at,
            "text": message.text,
        }
        for socket in self._hub.proctors_of(message.exam_id):
            socket.outbox.put(said)

    async def _let_in(self, mine: CandidateSocket, live: LiveConnection, entries: Allowance) -> None:
        """When it is this page's turn; its token is made then, and asking again meanwhile changes nothing."""
        try:
            await asyncio.sleep(self._meetings.wait(live) / 1000)
            if self._hub.candidates.get(live.id) is mine:
                self._answer_entry(mine, lambda: self._meetings.entry(live), entries)
        finally:
            mine.is_entering = False

    async def _let_proctor_in(
        self, mine: ProctorSocket, account: Account, room: int, entries: Allowance
    ) -> None:
        """A service that has hosts is asked for the host's key first."""
        if not entries.take(time.monotonic()):
            mine.outbox.put(self._no_meeting(mine.language, _too_soon()))
            return
        try:
            exam = self._directory.exam(mine.exam_id)
            entry = await self._meetings.host_entry(exam, room, account, mine.peer)
        except InvigiloError as error:
            mine.outbox.put(self._no_meeting(mine.language, error))
            return
        mine.outbox.put(meeting_message(entry))

    def _answer_entry(
        self, mine: CandidateSocket | ProctorSocket, enter: Callable[[], Entry], allowance: Allowance
    ) -> bool:
        """The way into a meeting, for the page that asked and nobody else."""
        if not allowance.take(time.monotonic()):
            mine.outbox.put(self._no_meeting(mine.language, _too_soon()))
            return True
        try:
            entry = enter()
        except InvigiloError as error:
            mine.outbox.put(self._no_meeting(mine.language, error))
            return True
        mine.outbox.put(meeting_message(entry))
        return True

    def _no_meeting(self, language: str, error: InvigiloError) -> dict[str, str]:
        code = error.code if isinstance(error, Refused) else "unavailable"
        return {"t": "no_meeting", "code": code, "message": self._renderer.error_text(language, error)}

    def _tell_watchers(self, mine: CandidateSocket, live: LiveConnection) -> None:
        """In a service's meeting nothing passes through us, so who looks is known from the proctors' pages there."""
        if self._exam_at_service(live) is None:
            return
        count = live.meeting.watchers(live.room_id, self._clock.now_ms())
        if count != mine.told_watchers:
            mine.told_watchers = count
            mine.outbox.put({"t": "watchers", "count": count})

    def _doubt_place(self, live: LiveConnection, state: str, code: int) -> None:
        """What a candidate's page is told by its meeting service may mean that the meeting itself is gone or blocked."""
        exam = self._exam_at_service(live)
        if exam is None or not self._meetings.needs_host(exam):
            return
        if code in _MEETING_IN_DOUBT and state not in {PageState.JOINED.value, PageState.JOINING.value}:
            self._meetings.doubt(live.room_id)
        elif state == PageState.FULL.value:
            self._spawn(self._rooms.place_elsewhere(live.id, live.room_id))

    def _doubt_room(self, exam: Exam, room_id: int, code: int) -> None:
        room = self._rooms.room(exam.id, room_id)
        if room is not None and code in _MEETING_IN_DOUBT:
            self._meetings.doubt(room.id)

    def _exam_at_service(self, live: LiveConnection) -> Exam | None:
        """The exam, where its rooms are meetings of a service."""
        exam = self._directory.exams.get(live.exam_id or 0)
        return None if exam is None or exam.proctoring.service is Service.BUILTIN else exam

    def _keep_self_check(self, live: LiveConnection, check: messages.SelfCheck) -> None:
        """Results come in bursts; only the newest is worth a write."""
        is_waiting = live.id in self._self_checks
        self._self_checks[live.id] = {
            "camera": check.camera,
            "microphone": check.microphone,
            "path": check.path,
            "detail": check.detail,
        }
        if not is_waiting:
            self._spawn(self._store_self_check(live.id))

    async def _store_self_check(self, connection_id: int) -> None:
        await asyncio.sleep(SELF_CHECK_SETTLES)
        result = self._self_checks.pop(connection_id)
        async with self._work() as w:
            await connection_queries.change(w.db, connection_id, self_check=result)

    async def _confirm(self, mine: CandidateSocket, live: LiveConnection, revision: int) -> None:
        """The page says this once; a database in trouble is tried again as long as the page is there."""
        while mine.confirming == revision and self._hub.candidates.get(live.id) is mine:
            with contextlib.suppress(Unavailable):
                await self._rooms.confirm(live, revision)
                return
            await asyncio.sleep(1)

    def _spawn(self, work: Awaitable[None]) -> None:
        """Something that need not be waited for; a database in trouble is noted elsewhere."""

        async def run() -> None:
            with contextlib.suppress(Unavailable):
                await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_connection_changed(self, live: LiveConnection) -> None:
        """A stored change: the page learns of its place, or of the end. Subscribed to every change, so cheap."""
        mine = self._hub.candidates.get(live.id)
        if mine is None:
            return
        if live.exam_id is not None and mine.exam_id != live.exam_id:
            # The page was open before the exam was chosen: start over with the right exam.
            mine.outbox.close(4000, "exam chosen")
            return
        ended = self._ended(live)
        if ended is not None:
            self._hub.end_candidate(live.id, ended)
            return
        place = self._place_of(live)
        if mine.told_place != place:
            mine.outbox.put({"t": "placed", **self._place_message(live)})
            mine.told_place = place
        self._tell_watchers(mine, live)
        about = self._about(live)
        if mine.told_about is not None and mine.told_about != about:  # None: its welcome is under way
            mine.outbox.put({"t": "about", **about})
            mine.told_about = about

    # --- the proctor's side ---

    async def proctor(
        self,
        socket: Socket,
        account: Account,
        exam: Exam,
        still_valid: Callable[[], Awaitable[bool]],
        *,
        language: str,
    ) -> None:
        """Serve one proctor's page until it goes, or until the sign-in behind it ends."""
        await socket.accept()
        if not self._hub.may_open_another(account.id):
            refusal = _error("too_many", "You have too many pages open. Close some and reload this one.")
            await _say_and_close(socket, refusal, 4008)
            return
        mine = self._hub.proctor_arrived(exam.id, account.id, language=language)
        self._duties.arrive(mine.peer, exam.id, account)
        me = {"name": account.display_name, "peer": mine.peer}
        ice = self._ice.for_peer(f"p{account.id}", now_ms=self._clock.now_ms())
        mine.outbox.put_text(self._stream.snapshot(exam, ice_servers=ice, me=me))
        allowance = Allowance(limits.PROCTOR_RATE, limits.PROCTOR_BURST)
        entries = Allowance(limits.ENTRY_RATE, limits.ENTRY_BURST)

        async def handle(frame: str | bytes) -> bool:
            return isinstance(frame, str) and self._from_proctor(mine, account, frame, entries)

        async def keep_checking() -> None:
            while mine.outbox.closing is None:
                await asyncio.sleep(CHECK_SIGN_IN_EVERY)
                try:
                    may_stay = await self._may_stay(account, exam, still_valid)
                except Exception:  # once not known is no reason never to ask again
                    log.exception("socket_failed")
                    continue
                if not may_stay:
                    mine.outbox.close(4003, "signed out")

        checking = asyncio.create_task(keep_checking())
        with _open.labels("proctor").track_inprogress():
            try:
                await _serve(socket, mine.outbox, handle, allowance)
            finally:
                checking.cancel()
                self._hub.proctor_left(mine)
                self._duties.leave(mine.peer)
                self._calls.page_left(mine.peer)
                self._meetings.host_left(mine.peer)
                if mine.in_meeting is not None:
                    self._meetings.proctor_left(exam.id, mine.peer)

    async def _may_stay(
        self, account: Account, exam: Exam, still_valid: Callable[[], Awaitable[bool]]
    ) -> bool:
        try:
            if not await still_valid():
                return False
            access_exam(account, self._directory.exam(exam.id), Right.PROCTOR)
        except Unavailable:
            return True  # a database in trouble must not blind the proctors
        except InvigiloError:
            return False
        return True

    def _from_proctor(self, mine: ProctorSocket, account: Account, frame: str, entries: Allowance) -> bool:
        message = _decode(messages.proctor_decoder, frame, mine.outbox)
        match message:
            case messages.Ping(n=n):
                mine.outbox.put({"t": "pong", "n": n})
            case messages.Watch(connection=connection):
                if not self._hub.watch(mine, connection):
                    return _refuse(mine.outbox, connection)
                if connection not in mine.introduced and connection not in self._hub.candidates:
                    live = self._connections.live.by_id[connection]
                    row = self._stream.judged(self._directory.exam(mine.exam_id), live)
                    mine.outbox.put({"t": "not_watching", "connection": connection, "cause": row["cause"]})
            case messages.Unwatch(connection=connection):
                self._hub.unwatch(mine, connection)
            case messages.ProctorSignal(connection=connection):
                passed = {"t": "signal", **messages.signal_fields(message)}
                return self._hub.from_proctor(mine, connection, passed) or _refuse(mine.outbox, connection)
            case messages.Restart(connection=connection):
                return self._hub.from_proctor(mine, connection, {"t": "restart"}) or _refuse(
                    mine.outbox, connection
                )
            case messages.Frames(reports=reports):
                self._take_frames(mine, reports)
            case messages.Stills(connections=connections):
                self._hub.subscribe_stills(mine, None if isinstance(connections, str) else connections)
            case messages.EnterRoom(room=room):
                exam = self._directory.exam(mine.exam_id)
                if self._meetings.needs_host(exam):
                    self._doubt_room(exam, room, message.trouble)
                    self._spawn(self._let_proctor_in(mine, account, room, entries))
                    return True
                enter = partial(self._meetings.entry_of_proctor, exam, room, account)
                return self._answer_entry(mine, enter, entries)
            case messages.HoldRoom(room=room):
                if not mine.hold_allowance.take(time.monotonic()):
                    mine.outbox.put(
                        {**_error("too_many", "Once every three seconds is enough."), "room": room}
                    )
                    return False
                self._spawn(self._hold(mine, account, message))
            case messages.Seen():
                self._take_seen(mine, account, message)
            case messages.Look(view=view, room=room):
                self._duties.look(mine.peer, view, room)
            case _:
                return False
        return True

    def _take_frames(self, mine: ProctorSocket, reports: list[messages.FrameReport]) -> None:
        now = self._clock.now_ms()
        for report in reports:
            live = self._connections.live.by_id.get(report.connection)
            if live is None or report.connection not in mine.watching or report.frames == 0:
                continue
            live.page.last_frames_at = now
            self._connections.live.heard(live, "frames")

    async def _hold(self, mine: ProctorSocket, account: Account, message: messages.HoldRoom) -> None:
        """One after the other for each page: an answer says what counts now."""
        async with mine.holding:
            wish = Perception(message.audio, message.video, message.chat)
            try:
                exam = self._directory.exam(mine.exam_id)
                held = await self._calls.hold(exam, message.room, mine.peer, wish, by=account)
            except (NotFound, Refused) as refusal:
                code = refusal.code if isinstance(refusal, Refused) else "no_such_room"
                said = self._renderer.error_text(mine.language, refusal)
                mine.outbox.put({**_error(code, said), "room": message.room})
                return
            mine.outbox.put(
                {
                    "t": "held",
                    "room": message.room,
                    "audio": held.audio,
                    "video": held.video,
                    "chat": held.chat,
                }
            )

    def _take_seen(self, mine: ProctorSocket, account: Account, message: messages.Seen) -> None:
        mine.in_meeting = None if message.participants is None else message.room
        if message.participants is None:
            self._meetings.proctor_left(mine.exam_id, mine.peer)
            return
        found = [Found(one.identity, one.video, one.moderator) for one in message.participants]
        exam = self._directory.exam(mine.exam_id)
        self._meetings.seen(exam, message.room, mine.peer, found)
        if message.host and self._meetings.needs_host(exam):
            self._meetings.still_holds(exam, message.room, account, mine.peer)

    async def close_all(self) -> None:
        """The server stops: pages are told to come back."""
        for outbox in [
            *(s.outbox for s in self._hub.candidates.values()),
            *(s.outbox for s in self._hub.proctors.values()),
        ]:
            outbox.close(1012, "restarting")
        await asyncio.sleep(0.1)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def place_message(live: LiveConnection) -> dict[str, Any]:
    """Where a client should be and what it may perceive."""
    room = (
        None
        if live.room_number is None or live.room_kind is None
        else {
            "id": live.room_id,
            "kind": live.room_kind,
            "number": live.room_number,
            "subject": subject_of(RoomKind(live.room_kind), live.room_number),
            "state": live.room_state,
        }
    )
    audio, video, chat = live.receive
    return {
        "room": room,
        "revision": live.revision,
        "receive_audio": audio,
        "receive_video": video,
        "chat": chat,
        "beyond": live.is_beyond,
    }


def _shown(message: Message) -> dict[str, Any]:
    return {"t": "message", "id": message.id, "at": message.at, "by": message.by, "text": message.text}


def meeting_message(entry: Entry) -> dict[str, Any]:
    """All a page needs to enter, token included."""
    return {"t": "meeting", **entry.as_json()}


def find_page(live: LiveConnection | None) -> LiveConnection:
    if live is None:
        raise NotFound(
            "This link is not known. Close this window and start SEB again with the exam's file.",
            key="link_not_known",
        )
    return live


def _error(code: str, message: str) -> dict[str, str]:
    return {"t": "error", "code": code, "message": message}


def _too_soon() -> Refused:
    return Refused("too_many", "Wait before asking again.", key="too_soon")


def _refuse(outbox: Outbox, connection: int) -> bool:
    outbox.put(_error("no_such_connection", f"Connection {connection} is not one you watch in this exam."))
    return False


def _decode(decoder: msgspec.json.Decoder[Any], frame: str, outbox: Outbox) -> Any:
    if len(frame) > limits.MESSAGE_SIZE:
        outbox.put(_error("too_large", f"A message has at most {limits.MESSAGE_SIZE} bytes."))
        return None
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        outbox.put(_error("bad_message", str(error)[:200]))
        return None


async def _receive(socket: Socket) -> str | bytes:
    message = await socket.receive()
    if message["type"] != "websocket.receive":
        raise WebSocketDisconnect(detail="gone")
    text = message.get("text")
    return text if text is not None else (message.get("bytes") or b"")


async def _serve(socket: Socket, outbox: Outbox, handle: Handle, allowance: Allowance) -> None:
    reader = asyncio.create_task(_read(socket, outbox, handle, allowance))
    writer = asyncio.create_task(_write(socket, outbox))
    try:
        await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (reader, writer):
            task.cancel()
        results = await asyncio.gather(reader, writer, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(
                result, WebSocketException | RuntimeError | OSError
            ):
                log.error("socket_failed", exc_info=result)


async def _read(socket: Socket, outbox: Outbox, handle: Handle, allowance: Allowance) -> None:
    offences = 0
    while True:
        frame = await _receive(socket)
        if not allowance.take(time.monotonic()):
            outbox.put(_error("too_many", "Too many messages; some were not read."))
            offences += 1
        elif not await handle(frame):
            offences += 1
        if offences >= limits.OFFENCES:
            outbox.close(4008, "too many refused messages")
            return await asyncio.sleep(1)


async def _write(socket: Socket, outbox: Outbox) -> None:
    while (frame := await outbox.next()) is not None:
        await socket.send_data(frame, mode="text" if isinstance(frame, str) else "binary")
    assert outbox.closing is not None
    code, reason = outbox.closing
    await socket.close(code=code, reason=reason)


async def _say_and_close(socket: Socket, message: dict[str, Any], code: int) -> None:
    with contextlib.suppress(WebSocketException, RuntimeError, OSError):
        await socket.send_data(msgspec.json.encode(message).decode(), mode="text")
        await socket.close(code=code)
