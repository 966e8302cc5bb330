"""What a proctor sees of one connection: evidence gathered, judged, and put into a row of the monitoring page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from invigilo.clock import to_ms
from invigilo.exams.model import Candidate, Exam, Service
from invigilo.monitoring import answers, rules
from invigilo.monitoring.capability import capability_of, os_family
from invigilo.monitoring.indicators import STANDARD, Thresholds, Values, levels
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import ConnectionState, InstructionType, NotificationKind
from invigilo.monitoring.notes import EMPTY, Tally
from invigilo.monitoring.truth import Evidence, Severity, Truth, assess, next_doubt

Row = dict[str, Any]
"""A row as docs/protocol.md describes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What is the same for everybody in an exam at one moment."""

    now_ms: int
    exam_running: bool
    has_turn: bool
    provider_can: bool
    """The exam's meeting service lets clients be called in by instruction."""
    present: frozenset[str] = frozenset()
    """User session ids of those who are connected: a closed connection of one of them needs nobody's attention."""
    roster: Mapping[str, Candidate] = field(default_factory=dict[str, Candidate])
    """Who is expected in the exam, by the user id that clients send."""
    thresholds: Thresholds = STANDARD
    tally: Tally = field(default_factory=lambda: EMPTY)
    """How many notes and incidents stand with whom."""


def present_users(connections: Iterable[LiveConnection]) -> frozenset[str]:
    return frozenset(
        live.user_session_id for live in connections if live.user_session_id and _state_of(live).is_open
    )


def evidence_of(live: LiveConnection, exam: Exam, conditions: Conditions) -> Evidence:
    page, meeting, now = live.page, live.meeting, conditions.now_ms
    by_service = exam.proctoring.service is not Service.BUILTIN
    join = next((p for p in live.queue.waiting if p.instruction.type is InstructionType.PROCTORING), None)
    return Evidence(
        now_ms=now,
        state=_state_of(live),
        created_at=live.created_at,
        last_ping=live.last_ping,
        exam_bound=live.exam_id is not None,
        config_downloaded_at=live.config_downloaded_at,
        established_at=live.established_at,
        capability=capability_of(live.device.os_name, live.device.seb_version),
        proctoring_enabled=exam.proctoring.enabled,
        exam_running=conditions.exam_running,
        service=exam.proctoring.service.value,
        join_by=exam.proctoring.join_by,
        provider_can=conditions.provider_can,
        room_number=live.room_number,
        room_state=live.room_state,
        room_reason=live.room_reason,
        revision=live.room_revision,
        confirmed_revision=live.confirmed_revision,
        placed_at=live.placed_at,
        native_sent_at=None if join is None else join.sent_at,
        native_confirmed=join is None and live.revision > 0 and live.confirmed_revision >= live.room_revision,
        native_present=meeting.present(live.room_id, now),
        meeting=page.meeting if by_service else None,
        is_moderator=meeting.is_moderator(now),
        link_opened_at=page.link_opened_at,
        socket_connected=page.connected,
        socket_connected_at=page.connected_at,
        socket_heard_at=page.heard_at,
        socket_lost_at=page.lost_at,
        replaced=page.replaced,
        camera_check=page.camera_check,
        microphone_check=page.microphone_check,
        path_check=page.path_check,
        camera=page.camera,
        microphone=page.microphone,
        visible=page.visible,
        exam_opened=page.exam_opened,
        media_at=page.media_at,
        last_still_at=page.last_still_at,
        still_kind=page.still_kind,
        watchers=meeting.watchers(live.room_id, now) if by_service else page.watchers,
        watched_since=meeting.watched_since if by_service else page.watched_since,
        peer_states=tuple(page.peer_states.values()),
        last_frames_at=page.last_frames_at,
        turn_configured=conditions.has_turn,
    )


def _state_of(live: LiveConnection) -> ConnectionState:
    """A connection whose candidate is back on another one shows as closed: nothing is missing."""
    return ConnectionState.CLOSED if live.is_replaced else live.state


def name_of(live: LiveConnection, candidate: Candidate | None = None) -> str:
    """The name proctors read, never empty; whoever stands on the exam's roster (`candidate`) is called as there."""
    if candidate is not None:
        return candidate.name
    name = rules.display_name(
        user_session_id=live.user_session_id,
        account_name=live.device.account_name,
        machine_name=live.device.machine_name,
        address=live.device.address,
    )
    return name or f"SEB {live.id}"


def row_of(live: LiveConnection, exam: Exam, truth: Truth, conditions: Conditions) -> Row:
    """The row; times that tick with every ping are kept apart (`last_ping`, `seb_at`, …) by `without_ticks`."""
    now_ms = conditions.now_ms
    candidate = conditions.roster.get(live.user_session_id or "")
    sent = live.messages or (0, 0, 0)
    returned = not _state_of(live).is_open and live.user_session_id in conditions.present
    notes, incidents = conditions.tally.of(live)
    return {
        "id": live.id,
        "name": name_of(live, candidate),
        "user": live.user_session_id,
        "group": "" if candidate is None else candidate.group,
        "own_end": to_ms(candidate.ends_at(exam))
        if candidate is not None and candidate.extra_minutes
        else None,
        "returned": returned,
        "room": live.home_number,
        "room_id": live.home_id,
        "called": called_of(live),
        "hears": dict(zip(("audio", "video", "chat"), live.receive, strict=True)),
        "messages": dict(zip(("sent", "delivered", "read"), sent, strict=True)),
        "unread": sent[0] - sent[2],
        "state": _state_of(live).value,
        "seb_version": live.device.seb_version,
        "os": live.device.os_name,
        "family": os_family(live.device.os_name).value,
        "machine": live.device.machine_name,
        "last_ping": live.last_ping,
        "missing": _state_of(live).is_open and rules.is_missing(live.last_ping or live.created_at, now_ms),
        "seb": truth.seb.value,
        "seb_at": truth.seb_at,
        "joined": truth.joined.value,
        "joined_at": truth.joined_at,
        "frames": truth.frames.value,
        "frames_at": truth.frames_at,
        "cause": None if returned else truth.cause,
        "severity": Severity.OK.value if returned else truth.severity.value,
        "notifications": [
            {"number": n.number, "kind": n.kind.value, "text": n.text, "at": n.opened_at}
            for n in sorted(live.notifications.values(), key=lambda n: n.opened_at)
        ],
        "battery": live.battery,
        "wlan": live.wlan,
        "wlan_connected": live.wlan_connected,
        "errors": live.errors,
        "warnings": live.warnings,
        "flags": list(live.flags),
        "levels": _levels(live, conditions),
        "microphone": _microphone(live),
        "deed": _deed(live, now_ms),
        "notes": notes,
        "incidents": incidents,
    }


def called_of(live: LiveConnection) -> dict[str, Any] | None:
    """The call it belongs in now; None while it belongs at home, or nowhere."""
    if live.home_id is None or live.room_id == live.home_id:
        return None
    return {
        "room": live.room_id,
        "kind": live.room_kind,
        "number": live.room_number,
        "beyond": live.is_beyond,
    }


def _levels(live: LiveConnection, conditions: Conditions) -> dict[str, str]:
    last_ping = live.last_ping or live.created_at
    values = Values(
        is_open=_state_of(live).is_open,
        ping_age_ms=max(0, conditions.now_ms - last_ping),
        errors=live.errors,
        warnings=live.warnings,
        battery=live.battery,
        wlan=live.wlan,
        wlan_connected=live.wlan_connected,
    )
    return levels(values, conditions.thresholds)


def _microphone(live: LiveConnection) -> str:
    """What the candidate's page says it sends of sound; `none` while it says nothing."""
    page = live.page
    return page.microphone if page.connected and page.media_at is not None else "none"


def _deed(live: LiveConnection, now: int) -> dict[str, Any] | None:
    """The newest thing a proctor asked of this client, and how far it got."""
    if live.sent is None:
        return None
    is_open = live.state.is_open
    is_locked = any(one.kind is NotificationKind.LOCK_SCREEN for one in live.notifications.values())
    live.sent = answers.after_looking(live.sent, is_open=is_open, is_locked=is_locked, now=now)
    answer = answers.answer_of(live.sent, is_open=is_open, now=now)
    if not answers.is_shown(live.sent, answer, now=now):
        return None
    return {"what": live.sent.deed.value, "answer": answer.value, "at": live.sent.asked_at}


def doubt_at(live: LiveConnection, now: int) -> int | None:
    """When a row may change though nothing happens: a proof gets too old."""
    page = live.page
    return next_doubt(
        now,
        last_ping=live.last_ping,
        last_still_at=page.last_still_at,
        last_frames_at=page.last_frames_at,
        socket_heard_at=page.heard_at,
    )


TICKS = ("last_ping", "seb_at", "joined_at", "frames_at")
"""Fields that move all the time without anybody needing to be told at once."""


def without_ticks(row: Row) -> Row:
    return {key: value for key, value in row.items() if key not in TICKS}


def judge(live: LiveConnection, exam: Exam, conditions: Conditions) -> Row:
    """Gather, judge, show."""
    return row_of(live, exam, assess(evidence_of(live, exam, conditions)), conditions)
