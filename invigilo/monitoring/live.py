"""Every client connection this node knows, in memory: what pings, events and pages read and write.

A `LiveConnection` has three kinds of fields. *Stored* ones mirror the database row and change only through
`apply_row`, after a commit, here or on another node. *Counted* ones (last ping, indicators, open notifications) change with
each request and are written in batches by `writer.py`. *Volatile* ones (what the candidate's page and the proctors'
receivers say) are never stored: after a restart the pages tell them again within a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from invigilo.monitoring.instructions import InstructionQueue
from invigilo.monitoring.meeting import MeetingFacts
from invigilo.monitoring.model import ConnectionState, Device, Instruction, Notification
from invigilo.storage.queries.connections import ConnectionRow

REPLACED_SILENCE = 5_000
"""Ms a replaced connection may still be heard of (pings under way); later ones mean that it is alive after all."""


@dataclass(slots=True)
class PageFacts:
    """What is known of the candidate's page, from its socket and from those who watch it. Times in ms, ours."""

    link_opened_at: int | None = None
    connected: bool = False
    connected_at: int | None = None
    lost_at: int | None = None
    heard_at: int | None = None
    replaced: bool = False
    camera_check: str = "pending"
    microphone_check: str = "pending"
    path_check: str = "pending"
    camera: str = "off"
    microphone: str = "off"
    visible: bool = True
    exam_opened: bool = False
    media_at: int | None = None
    last_still_at: int | None = None
    still_kind: str = "ok"
    watchers: int = 0
    watched_since: int | None = None
    peer_states: dict[str, str] = field(default_factory=dict[str, str])
    meeting: str = "none"
    """What the page says of its way into a service's meeting: a value of `meeting.PageState`."""
    last_frames_at: int | None = None


@dataclass(slots=True)
class LiveConnection:
    id: int
    token_hash: str
    entry_key_hash: str
    institution_id: int
    configuration_id: int
    created_at: int
    state: ConnectionState
    exam_id: int | None = None
    user_session_id: str | None = None
    device: Device = field(default_factory=Device)
    flags: tuple[str, ...] = ()
    config_downloaded_at: int | None = None
    established_at: int | None = None
    closed_at: int | None = None
    replaced_by: int | None = None
    replaced_at: int | None = None
    room_id: int | None = None
    room_number: int | None = None
    room_state: str | None = None
    room_reason: str | None = None
    room_kind: str | None = None
    home_id: int | None = None
    home_number: int | None = None
    revision: int = 0
    room_revision: int = 0
    confirmed_revision: int = 0
    placed_at: int | None = None
    receive: tuple[bool, bool, bool] = (False, False, False)
    is_beyond: bool = False
    messages: tuple[int, int, int] | None = None
    """Messages of proctors sent to it, arrived, read; None until they were counted."""

    last_ping: int | None = None
    errors: int = 0
    warnings: int = 0
    infos: int = 0
    battery: float | None = None
    wlan: float | None = None
    wlan_connected: bool | None = None
    notifications: dict[int, Notification] = field(default_factory=dict[int, Notification])
    event_count: int = 0
    notification_count: int = 0

    page: PageFacts = field(default_factory=PageFacts)
    meeting: MeetingFacts = field(default_factory=MeetingFacts)
    queue: InstructionQueue = field(default_factory=InstructionQueue)
    quit_wanted: bool = False
    """One SEB_QUIT is owed after a refused step on a closed connection (seb-client-api.md §2.10)."""
    quit_sent_at: int = 0
    claimed: list[Instruction] = field(default_factory=list[Instruction])
    """Claimed too late for the ping that asked; the next one carries them."""
    read_turn: int = 0
    """Which reading of the database this memory is from; an older one that ends later is not taken."""

    @property
    def is_replaced(self) -> bool:
        """The candidate is back on another connection, and this one has been silent since."""
        return self.replaced_at is not None and (self.last_ping or 0) <= self.replaced_at + REPLACED_SILENCE

    def apply_row(self, row: ConnectionRow) -> None:
        """Take over what is stored. A last ping never goes back: the row's may be a second old."""
        for name in (
            "exam_id", "state", "user_session_id", "device", "flags", "config_downloaded_at", "established_at", "closed_at",
            "replaced_by", "replaced_at",
            "room_id", "room_number", "room_state", "room_reason", "room_kind", "home_id", "home_number", "revision",
            "room_revision", "placed_at", "receive", "is_beyond",
        ):  # fmt: skip
            setattr(self, name, getattr(row, name))
        self.confirmed_revision = max(self.confirmed_revision, row.confirmed_revision)
        if row.last_ping is not None:
            self.last_ping = max(self.last_ping or 0, row.last_ping)

    @classmethod
    def from_row(cls, row: ConnectionRow) -> LiveConnection:
        live = cls(
            id=row.id,
            token_hash=row.token_hash,
            entry_key_hash=row.entry_key_hash,
            institution_id=row.institution_id,
            configuration_id=row.configuration_id,
            created_at=row.created_at,
            state=row.state,
            errors=row.error_count,
            warnings=row.warning_count,
            infos=row.info_count,
            battery=row.battery,
            wlan=row.wlan,
            wlan_connected=row.wlan_connected,
        )
        live.apply_row(row)
        if row.self_check:
            live.page.camera_check = row.self_check.get("camera", "pending")
            live.page.microphone_check = row.self_check.get("microphone", "pending")
            live.page.path_check = row.self_check.get("path", "pending")
        return live


ChangeHandler = Callable[[LiveConnection], None]


class LiveConnections:
    """The connections by every key a request may bring."""

    def __init__(self) -> None:
        self.by_id: dict[int, LiveConnection] = {}
        self.by_token_hash: dict[str, LiveConnection] = {}
        self.by_entry_key_hash: dict[str, LiveConnection] = {}
        self.by_exam: dict[int, dict[int, LiveConnection]] = defaultdict(dict)
        self._on_change: list[ChangeHandler] = []
        self._heard: dict[int, set[str]] | None = None

    def share_with_others(self) -> None:
        """Start noting what only this node hears; `take_heard` collects it."""
        self._heard = {}

    def heard(self, live: LiveConnection, what: str, *, shows: bool = True) -> None:
        """This node itself heard of a connection: `ping`, `page`, `meeting` or `frames`; `shows` if a row may change."""
        if self._heard is not None:
            self._heard.setdefault(live.id, set()).add(what)
        if shows:
            self.changed(live)

    def take_heard(self) -> dict[int, set[str]]:
        heard, self._heard = self._heard or {}, {}
        return heard

    def on_change(self, handler: ChangeHandler) -> None:
        """Be told of every connection that may look different now. Called synchronously: only take a note."""
        self._on_change.append(handler)

    def changed(self, live: LiveConnection) -> None:
        for handler in self._on_change:
            handler(live)

    def put(self, row: ConnectionRow) -> LiveConnection:
        """Take a stored row in, new or changed."""
        live = self.by_id.get(row.id)
        if live is None:
            live = LiveConnection.from_row(row)
            self.by_id[live.id] = live
            self.by_token_hash[live.token_hash] = live
            self.by_entry_key_hash[live.entry_key_hash] = live
        else:
            live.apply_row(row)
        if live.exam_id is not None:
            self.by_exam[live.exam_id][live.id] = live
        self.changed(live)
        return live

    def forget(self, live: LiveConnection) -> None:
        """Drop one from memory (closed long ago); it is loaded again when somebody asks."""
        self.by_id.pop(live.id, None)
        self.by_token_hash.pop(live.token_hash, None)
        self.by_entry_key_hash.pop(live.entry_key_hash, None)
        if live.exam_id is not None:
            self.by_exam[live.exam_id].pop(live.id, None)
        self.changed(live)

    def of_exam(self, exam_id: int) -> Iterable[LiveConnection]:
        return self.by_exam[exam_id].values() if exam_id in self.by_exam else ()


def volatile_facts(live: LiveConnection, heard: set[str]) -> dict[str, Any]:
    """What another node cannot read from the database, as JSON: only the kinds this node heard itself."""
    facts: dict[str, Any] = {"id": live.id, "frames_at": live.page.last_frames_at}
    if "ping" in heard:
        facts["last_ping"] = live.last_ping
        facts["counts"] = [
            live.errors,
            live.warnings,
            live.infos,
            live.battery,
            live.wlan,
            live.wlan_connected,
        ]
        facts["notifications"] = [msgspec.to_builtins(n) for n in live.notifications.values()]
    if "page" in heard:
        facts["page"] = {
            f.name: getattr(live.page, f.name) for f in fields(PageFacts) if f.name != "last_frames_at"
        }
    if "meeting" in heard:
        facts["meeting"] = live.meeting.as_json()
    return facts


def take_volatile_facts(live: LiveConnection, facts: dict[str, Any]) -> None:
    """Merge what another node heard."""
    if "last_ping" in facts:
        live.last_ping = max(live.last_ping or 0, facts["last_ping"] or 0)
        live.errors, live.warnings, live.infos, live.battery, live.wlan, live.wlan_connected = facts["counts"]
        opened = msgspec.convert(facts["notifications"], list[Notification])
        live.notifications = {n.number: n for n in opened}
    for name, value in facts.get("page", {}).items():
        setattr(live.page, name, value)
    if "meeting" in facts:
        live.meeting.take(facts["meeting"])
    if facts["frames_at"] is not None:
        live.page.last_frames_at = max(live.page.last_frames_at or 0, facts["frames_at"])
