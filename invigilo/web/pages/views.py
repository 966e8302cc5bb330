"""What each page shows: one frozen dataclass per template, handed in as `page`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Area:
    """One entry of the bar on top; its text is `admin.area.<name>`."""

    name: str
    path: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """What the surrounding page needs, on every page of a signed-in person."""

    language: str
    person: str
    areas: tuple[Area, ...] = ()
    """Where this person may go, in the order of the bar on top."""
    time_zone: str = "auto"
    """Of the times on the page; `auto` is the browser's."""
    done: str = ""
    """What was just done, said once after the page that did it led here."""


@dataclass(frozen=True, slots=True)
class SignInPage:
    language: str
    next: str = "/monitoring"
    username: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorPage:
    status: int
    title: str
    message: str
    is_english: bool
    """Nobody has put the message into another language."""
    language: str


@dataclass(frozen=True, slots=True)
class ExamCard:
    """One exam of the list. Times in ms since the epoch; the page shows them in the reader's zone."""

    id: int
    name: str
    institution: str
    starts_at: int
    ends_at: int
    connected: int
    problems: int
    may_watch: bool


@dataclass(frozen=True, slots=True)
class ExamListPage:
    frame: Frame
    exams: list[ExamCard]
    now: int


@dataclass(frozen=True, slots=True)
class MonitoringPage:
    """The monitoring page, a room's window, and the overview: all live on the exam's socket."""

    frame: Frame
    exam_id: int
    exam_name: str
    institution: str
    starts_at: int
    ends_at: int
    may_watch: bool
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    """For the scripts: socket address, texts, room number."""
    room_number: int | None = None
    room_title: str = "proctor.room.number"
    """Text of what a room of this kind is called, with its number."""
    meeting_host: str = ""
    """Where the room is a service's meeting: whose."""


@dataclass(frozen=True, slots=True)
class ConnectionPage:
    frame: Frame
    exam_id: int
    exam_name: str
    connection_id: int
    name: str
    row: dict[str, Any]
    data: dict[str, Any] = field(default_factory=dict[str, Any])
