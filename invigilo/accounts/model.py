"""People who sign in, and what each role may do."""

from __future__ import annotations

from dataclasses import dataclass
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
