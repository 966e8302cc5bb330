"""People who sign in, and what each role may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """The roles of architecture.md §9; the values are what declared set-up files say."""

    SERVER_ADMIN = "server_admin"
    INSTITUTION_ADMIN = "institution_admin"
    EXAM_ADMIN = "exam_admin"
    EXAM_SUPPORTER = "exam_supporter"
    AUDITOR = "auditor"


class Right(StrEnum):
    """What one may do with an exam (live-proctoring.md §4, rule N)."""

    SEE = "see"
    """See that the exam exists, its settings without secrets, its rooms and counts."""
    PROCTOR = "proctor"
    """Watch candidates, confirm notifications, send instructions."""
    CHANGE = "change"
    """Change the exam and its proctoring settings, hand out its connection files."""


class Kind(StrEnum):
    """What belongs to an institution and is administered in it; exams have rules of their own."""

    INSTITUTION = "institution"
    USER = "user"
    TEMPLATE = "template"
    CONFIGURATION = "configuration"
    """What SEB loads for an exam."""
    CONNECTION = "connection"
    """What SEB needs to find this server."""
    SERVICE = "service"
    """A meeting service with its credentials."""
    ACTIVITY = "activity"


class Scope(StrEnum):
    """What an API token may be used for; its owner's role bounds it further."""

    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    EXAMS_READ = "exams:read"
    EXAMS_WRITE = "exams:write"
    CONFIGURATIONS_READ = "configurations:read"
    CONFIGURATIONS_WRITE = "configurations:write"
    CONNECTIONS_READ = "connections:read"
    CONNECTIONS_WRITE = "connections:write"
    SERVICES_READ = "services:read"
    SERVICES_WRITE = "services:write"
    ACTIVITY_READ = "activity:read"
    PROCTORING_READ = "proctoring:read"
    PROCTORING_WRITE = "proctoring:write"


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A key to the API that a person made for a program. The key itself is shown once and never stored."""

    id: int
    user_id: int
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Institution:
    """A tenant: people, exams and configurations belong to one, and nobody sees another's."""

    id: int
    name: str
    time_zone: str = "UTC"
    """In which times are meant that carry none, and shown where nobody's own zone is known."""
    revision: int = 0

    @property
    def institution_id(self) -> int:
        """An institution belongs to itself."""
        return self.id


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in that is in force."""

    since: datetime
    until: datetime
    is_this_one: bool


@dataclass(frozen=True, slots=True)
class Account:
    id: int
    institution_id: int | None
    """None only for server administrators, who belong to no institution."""
    username: str
    display_name: str
    role: Role
    language: str = "auto"
    """`auto` is the browser's."""
    is_active: bool = True
    time_zone: str = "auto"
    """An IANA name, or `auto` for the browser's."""
    must_change_password: bool = False
    """Somebody else chose it; nothing else can be done until its owner chose another."""
    revision: int = 0
