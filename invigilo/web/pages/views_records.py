"""What the pages of looking back show: finished exams, an exam's record, a connection's, and the search for events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from invigilo.exams.model import Exam
from invigilo.monitoring.model import FinishedExam
from invigilo.monitoring.records import Absent
from invigilo.storage.queries.records import ConnectionRecord
from invigilo.web.lists import ListView
from invigilo.web.pages.views import Frame
from invigilo.web.zones import Moment


@dataclass(frozen=True, slots=True)
class When:
    """A moment in ms; `text` is for those without scripts, in the zone the server knows."""

    ms: int
    text: str


@dataclass(frozen=True, slots=True)
class FinishedRow:
    exam: FinishedExam
    starts: Moment
    ended: Moment


@dataclass(frozen=True, slots=True)
class FinishedPage:
    frame: Frame
    list: ListView[FinishedRow]
    has_institutions: bool


@dataclass(frozen=True, slots=True)
class RecordRow:
    record: ConnectionRecord
    first_seen: When
    last_seen: When
    rooms: str


@dataclass(frozen=True, slots=True)
class RecordPage:
    """The record of an exam."""

    frame: Frame
    exam: Exam
    starts: Moment
    ends: Moment
    state: str
    list: ListView[RecordRow]
    states: Sequence[tuple[str, str]]
    absent: Absent
    is_running: bool
    may_watch: bool

    @property
    def path(self) -> str:
        return f"/exams/{self.exam.id}/record"

    @property
    def export(self) -> str:
        return self.list.link().replace(self.path, f"{self.path}.csv", 1)


@dataclass(frozen=True, slots=True)
class MomentRow:
    at: When
    kind: str
    label: str
    """The kind in a word; of a client event, its level."""
    tone: str
    what: str
    text: str
    more: str


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """One connection with everything that happened to it."""

    frame: Frame
    exam: Exam
    record: ConnectionRecord
    facts: Sequence[tuple[str, str]]
    times: Sequence[tuple[str, When]]
    rows: Sequence[MomentRow]
    kinds: Sequence[tuple[str, str]]
    """Every kind with its name."""
    chosen: Sequence[str]
    is_backwards: bool
    is_first: bool
    next: str
    problem: str = ""

    @property
    def path(self) -> str:
        return f"/exams/{self.exam.id}/record/{self.record.id}"

    def link(self, *, after: str = "", turned: bool = False) -> str:
        said = [("kinds", one) for one in self.chosen]
        if self.is_backwards != turned:
            said.append(("order", "newest"))
        if after:
            said.append(("after", after))
        return self.path + (f"?{urlencode(said)}" if said else "")


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    at: When
    type: str
    tone: str
    text: str
    value: str
    candidate: str
    exam_id: int
    exam: str
    connection_id: int


@dataclass(frozen=True, slots=True)
class EventsPage:
    frame: Frame
    rows: Sequence[EventRow]
    asked: Mapping[str, str]
    """What was asked for, as it stands in the address."""
    types: Sequence[tuple[str, str]]
    chosen: Sequence[str]
    exam: str
    """Name of the one exam asked for by number."""
    next: str
    looked_back_to: int | None
    counted: int
    has_more: bool
    is_first: bool
    has_short_words: bool
    problem: str = ""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])

    def link(self, path: str = "/events", **changes: str) -> str:
        said = {name: value for name, value in {**self.asked, **changes}.items() if value}
        return path + (f"?{urlencode(said)}" if said else "")

    @property
    def is_filtered(self) -> bool:
        return any(value for name, value in self.asked.items() if name != "zone")
