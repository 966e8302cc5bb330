"""The live stream of each exam: computed once a tick, sent as the same bytes to every proctor's page.

A tick is a quarter of a second. Connections that changed are judged anew on each tick, and those of which a proof gets too
old in it; of all others a quarter in each, so everybody once a second, because facts decay with time alone. What is sent
are whole rows that differ from what was sent before; mere pings travel as pairs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from invigilo.clock import Clock, to_ms
from invigilo.exams.directory import Directory
from invigilo.exams.model import Exam
from invigilo.monitoring import wall
from invigilo.monitoring.desk import Desk
from invigilo.monitoring.duties import Duties
from invigilo.monitoring.live import LiveConnection, LiveConnections
from invigilo.monitoring.model import Duty
from invigilo.monitoring.notes import Notes
from invigilo.monitoring.writer import Writer
from invigilo.proctoring.meetings import Meetings
from invigilo.proctoring.service import Rooms, RoomView
from invigilo.rtc.hub import Hub
from invigilo.web.render import LANGUAGES, Renderer

log = structlog.get_logger()

_Ping = tuple[int, int | None]
"""A connection and its last ping."""
TICK = 0.25  # seconds
JUDGE_ALL_EVERY = 4  # ticks; a part of them in each
HEARTBEAT_EVERY = 6  # ticks without news until an empty message says "still alive"
JUDGED_AT_ONCE = 100
"""Rows, a few milliseconds; between two pieces pings are answered."""


@dataclass(slots=True)
class _ExamState:
    rows: dict[int, wall.Row] = field(default_factory=dict[int, wall.Row])
    pings: dict[int, int | None] = field(default_factory=dict[int, "int | None"])
    rooms: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    exam: dict[str, Any] = field(default_factory=dict[str, Any])
    dirty: set[int] = field(default_factory=set[int])
    doubts: dict[int, int] = field(default_factory=dict[int, int])
    """When the next proof of a connection gets too old."""
    quiet: int = 0


class Stream:
    """Keeps, per watched exam, what pages were told last."""

    def __init__(
        self,
        *,
        live: LiveConnections,
        rooms: Rooms,
        meetings: Meetings,
        directory: Directory,
        hub: Hub,
        writer: Writer,
        clock: Clock,
        has_turn: bool,
        desk: Desk,
        notes: Notes,
        duties: Duties,
        renderer: Renderer,
    ) -> None:
        self._renderer = renderer
        self._desk = desk
        self._notes = notes
        self._duties = duties
        self._writer = writer
        self._live = live
        self._rooms = rooms
        self._meetings = meetings
        self._directory = directory
        self._hub = hub
        self._clock = clock
        self._has_turn = has_turn
        self._exams: dict[int, _ExamState] = {}
        self._ticks = 0
        live.on_change(self._note)

    def _note(self, live: LiveConnection) -> None:
        state = self._exams.get(live.exam_id or 0)
        if state is not None:
            state.dirty.add(live.id)

    def snapshot(self, exam: Exam, **more: Any) -> str:
        """The whole state of an exam, for a page that has just connected."""
        state = self._exams.get(exam.id)
        if state is None:
            state = self._exams[exam.id] = _ExamState()
            for _ in self._judge(exam, state, set(self._live.by_exam.get(exam.id, {}))):
                pass
            state.rooms = self._room_list(exam, state)
            state.exam = self.exam_view(exam)
        return msgspec.json.encode(
            {
                "t": "snapshot",
                "now": self._clock.now_ms(),
                "exam": self.exam_view(exam),
                "rows": list(state.rows.values()),
                "rooms": state.rooms,
                "storage_trouble_since": self._writer.in_trouble_since,
                **more,
            }
        ).decode()

    def exam_view(self, exam: Exam) -> dict[str, Any]:
        return {
            "id": exam.id,
            "name": exam.name,
            "starts_at": to_ms(exam.starts_at),
            "ends_at": to_ms(exam.ends_at),
            "closes_at": to_ms(exam.closes_at),
            "state": exam.state_at(self._clock.now()).value,
            "service": exam.proctoring.service.value,
            "room_size": exam.proctoring.collecting_room_size,
            "features": sorted(exam.proctoring.features),
            **self._calls_view(exam),
            "thresholds": self._desk.measure(exam.id).thresholds.as_json(),
            "people": [
                one | {"identities": self._meetings.identities_of_proctor(exam, one["user"], one["rooms"])}
                for one in self._duties.people(exam.id)
            ],
        }

    def _calls_view(self, exam: Exam) -> dict[str, Any]:
        """What the meeting service has of what a proctor may do beyond watching, and why not the rest.

        All pages are sent the same bytes, so reasons stand in every language.
        """
        able = self._rooms.ability(exam)
        slots = self._rooms.slots(exam)
        say = self._renderer.sentence_text
        cannot = {need: {one: say(one, why) for one in LANGUAGES} for need, why in able.cannot.items()}
        hosts = None if slots is None else {"free": slots.free, "all": slots.all}
        return {"can": able.can, "cannot": cannot, "hall": self._rooms.hall(exam), "hosts": hosts}

    def judged(self, exam: Exam, live: LiveConnection) -> wall.Row:
        """One row, judged now."""
        return self._row(exam, live, self._conditions(exam))

    def judged_all(self, exam: Exam) -> list[wall.Row]:
        """Everybody in an exam, judged now."""
        conditions = self._conditions(exam)
        return [self._row(exam, live, conditions) for live in self._live.of_exam(exam.id)]

    def _row(self, exam: Exam, live: LiveConnection, conditions: wall.Conditions) -> wall.Row:
        """Beside the judgement, the name by which a service's meeting knows the candidate."""
        row = wall.judge(live, exam, conditions)
        row["identity"] = self._meetings.identity_of(exam, live)
        return row

    def _conditions(self, exam: Exam) -> wall.Conditions:
        return wall.Conditions(
            now_ms=self._clock.now_ms(),
            exam_running=exam.is_running(self._clock.now()),
            has_turn=self._has_turn,
            provider_can=self._rooms.provider_is_native(exam),
            present=wall.present_users(self._live.of_exam(exam.id)),
            roster=self._directory.rosters.get(exam.id, {}),
            thresholds=self._desk.measure(exam.id).thresholds,
            tally=self._notes.tally(exam.id),
        )

    async def run(self) -> None:
        """Tick until cancelled."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            due = max(due + TICK, clock() + TICK / 2)
            await asyncio.sleep(due - clock())
            self._ticks += 1
            for exam_id in list(self._exams):
                try:
                    await self._tick(exam_id)
                except Exception:
                    log.exception("stream_failed", exam_id=exam_id)

    async def _tick(self, exam_id: int) -> None:
        state = self._exams[exam_id]
        exam = self._directory.exams.get(exam_id)
        if exam is None or not any(self._hub.proctors_of(exam_id)):
            del self._exams[exam_id]
            return
        rows: list[wall.Row] = []
        pings: list[_Ping] = []
        for some_rows, some_pings in self._judge(exam, state, self._due(exam, state)):
            rows += some_rows
            pings += some_pings
            await asyncio.sleep(0)
        gone = self._forget_gone(exam, state)
        rooms, gone_rooms = [], []
        if rows or gone or self._ticks % JUDGE_ALL_EVERY == 0:
            rooms, gone_rooms = self._changed_rooms(exam, state)
        view = self.exam_view(exam)
        if not (rows or gone or pings or rooms or gone_rooms) and view == state.exam:
            state.quiet += 1
            if state.quiet < HEARTBEAT_EVERY:
                return
        state.quiet = 0
        message = {
            "t": "changes",
            "now": self._clock.now_ms(),
            "rows": rows,
            "gone": gone,
            "rooms": rooms,
            "gone_rooms": gone_rooms,
            "exam": view if view != state.exam else None,
            "pings": pings,
            "storage_trouble_since": self._writer.in_trouble_since,
        }
        text = msgspec.json.encode(message).decode()
        state.exam = view
        # Also to a page that came in the middle of this: what was judged after its snapshot stands in here only.
        for socket in self._hub.proctors_of(exam_id):
            socket.outbox.put_text(text)

    def _due(self, exam: Exam, state: _ExamState) -> set[int]:
        """Whoever is to be judged in this tick."""
        due, state.dirty = state.dirty, set()
        now, part = self._clock.now_ms(), self._ticks % JUDGE_ALL_EVERY
        due.update(i for i, at in state.doubts.items() if at <= now)
        due.update(i for i in self._live.by_exam.get(exam.id, {}) if i % JUDGE_ALL_EVERY == part)
        return due

    def _judge(
        self, exam: Exam, state: _ExamState, due: set[int]
    ) -> Iterator[tuple[list[wall.Row], list[_Ping]]]:
        """Piece by piece: rows that differ from what was sent before, and mere pings."""
        conditions = self._conditions(exam)
        now = conditions.now_ms
        ids = sorted(due)
        for at in range(0, len(ids), JUDGED_AT_ONCE):
            rows: list[wall.Row] = []
            pings: list[_Ping] = []
            for connection_id in ids[at : at + JUDGED_AT_ONCE]:
                live = self._live.by_exam.get(exam.id, {}).get(connection_id)
                if live is None:
                    continue
                row = self._row(exam, live, conditions)
                doubt = wall.doubt_at(live, now)
                if doubt is None:
                    state.doubts.pop(connection_id, None)
                else:
                    state.doubts[connection_id] = doubt
                before = state.rows.get(connection_id)
                state.rows[connection_id] = row
                if before is None or wall.without_ticks(before) != wall.without_ticks(row):
                    rows.append(row)
                elif state.pings.get(connection_id) != live.last_ping:
                    pings.append((connection_id, live.last_ping))
                state.pings[connection_id] = live.last_ping
            yield rows, pings

    def _forget_gone(self, exam: Exam, state: _ExamState) -> list[int]:
        present = self._live.by_exam.get(exam.id, {})
        gone = [connection_id for connection_id in state.rows if connection_id not in present]
        for connection_id in gone:
            del state.rows[connection_id]
            state.pings.pop(connection_id, None)
            state.doubts.pop(connection_id, None)
        return gone

    def _room_list(self, exam: Exam, state: _ExamState) -> list[dict[str, Any]]:
        members: dict[int, list[wall.Row]] = {}
        for row in state.rows.values():
            if row["room_id"] is None or row["state"] in {"closed", "disabled"}:
                continue
            members.setdefault(row["room_id"], []).append(row)
            if row["called"] is not None:
                members.setdefault(row["called"]["room"], []).append(row)
        duties = self._duties.of_exam(exam.id)
        return [
            _room(view, members.get(view.id, []), duties.get(view.id)) for view in self._rooms.of_exam(exam)
        ]

    def _changed_rooms(self, exam: Exam, state: _ExamState) -> tuple[list[dict[str, Any]], list[int]]:
        rooms = self._room_list(exam, state)
        before = {room["id"]: room for room in state.rooms}
        state.rooms = rooms
        changed = [room for room in rooms if before.get(room["id"]) != room]
        return changed, sorted(before.keys() - {room["id"] for room in rooms})


def _room(view: RoomView, rows: list[wall.Row], duty: Duty | None) -> dict[str, Any]:
    """`members` belong here, be it at home or in the call; `present` are here now, so not those called elsewhere."""
    return {
        "id": view.id,
        "number": view.number,
        "subject": view.subject,
        "kind": view.kind,
        "state": view.state,
        "reason": view.reason,
        "size": view.size,
        "members": len(rows),
        "present": sum(row["joined"] == "ok" and _is_here(row, view.id) for row in rows),
        "problems": sum(row["severity"] == "problem" for row in rows),
        "hands": sum(any(n["kind"] == "raisehand" for n in row["notifications"]) for row in rows),
        "opened_by": view.opened_by,
        "holds": [
            {
                "by": hold.actor,
                "peer": hold.holder,
                "audio": hold.perceived.audio,
                "video": hold.perceived.video,
                "chat": hold.perceived.chat,
                "since": hold.since,
            }
            for hold in view.holds
        ],
        "connections": list(view.connections),
        "duty": None if duty is None else {"user": duty.user_id, "name": duty.name},
    }


def _is_here(row: wall.Row, room_id: int) -> bool:
    return (row["room_id"] if row["called"] is None else row["called"]["room"]) == room_id
