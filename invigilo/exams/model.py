"""An exam, and who supervises it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Service(StrEnum):
    """The meeting services an exam may use."""

    BUILTIN = "builtin"


class ExamState(StrEnum):
    """By the clock, unless somebody ended the exam by hand."""

    UPCOMING = "upcoming"
    RUNNING = "running"
    FINISHED = "finished"


class JoinBy(StrEnum):
    """How candidates get into a room: our page for everybody, or the client's own meeting code where it has one."""

    PAGE = "page"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class ProctoringSettings:
    """How one exam is proctored.

    `collecting_room_size` is None for "no limit", which must be said explicitly
    (live-proctoring.md §2.3).
    """

    enabled: bool = False
    service: Service = Service.BUILTIN
    collecting_room_size: int | None = 20
    join_by: JoinBy = JoinBy.PAGE


@dataclass(frozen=True, slots=True)
class Exam:
    id: int
    institution_id: int
    name: str
    starts_at: datetime
    ends_at: datetime
    url: str
    salt: str
    """Even-length lower-case hex, one value per exam (seb-client-api.md §2.3)."""
    browser_exam_key: str | None = None
    ended_at: datetime | None = None
    """When somebody ended it by hand; later than that it is finished whatever the clock says."""
    supporters: frozenset[int] = frozenset()
    proctoring: ProctoringSettings = field(default_factory=ProctoringSettings)

    def state_at(self, now: datetime) -> ExamState:
        if self.ended_at is not None and self.ended_at <= now:
            return ExamState.FINISHED
        if now < self.starts_at:
            return ExamState.UPCOMING
        return ExamState.RUNNING if now < self.ends_at else ExamState.FINISHED

    def is_running(self, now: datetime) -> bool:
        return self.state_at(now) is ExamState.RUNNING


@dataclass(frozen=True, slots=True)
class ConnectionConfiguration:
    """What a SEB needs to find us: becomes a connection file, and is the client of the token endpoint."""

    id: int
    institution_id: int
    name: str
    client_id: str
    ping_interval_ms: int
    is_active: bool
