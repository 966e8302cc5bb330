"""What an exam may be like, and when which deed is possible. Pure: wish, exam and time in, problems or a refusal out."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from invigilo import fields
from invigilo.errors import Invalid, Problem, Refused, Sentence
from invigilo.exams.model import (
    ConfigurationChoice,
    Exam,
    ExamState,
    ExamWish,
    Holdings,
    JoinBy,
    ProctoringSettings,
    Service,
    TemplateWish,
)

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
LONGEST_EXTRA = 1_440
"""Minutes: nobody gets more than a day."""
QUIT_PASSWORD_LONGEST = 128
OPEN = frozenset({ExamState.RUNNING, ExamState.TEST_RUN})


class Deed(StrEnum):
    """What one can do with an exam as a whole."""

    END = "end"
    START_TEST_RUN = "start_test_run"
    STOP_TEST_RUN = "stop_test_run"
    REOPEN = "reopen"
    ARCHIVE = "archive"
    TAKE_BACK = "take_back"
    DELETE = "delete"


_WHEN: dict[Deed, frozenset[ExamState]] = {
    Deed.END: frozenset({ExamState.RUNNING}),
    Deed.START_TEST_RUN: frozenset({ExamState.UPCOMING}),
    Deed.STOP_TEST_RUN: frozenset({ExamState.TEST_RUN}),
    Deed.REOPEN: frozenset({ExamState.FINISHED}),
    Deed.ARCHIVE: frozenset({ExamState.UPCOMING, ExamState.FINISHED}),
    Deed.TAKE_BACK: frozenset({ExamState.ARCHIVED}),
    Deed.DELETE: frozenset({ExamState.UPCOMING, ExamState.FINISHED, ExamState.ARCHIVED}),
}

_IS_OPEN = Sentence("exam_running", "The exam is open to candidates. End it or its test run first.")
_REFUSALS: dict[Deed, Sentence] = {
    Deed.END: Sentence("exam_not_running", "Only a running exam can be ended."),
    Deed.START_TEST_RUN: Sentence("exam_not_upcoming", "A test run is for an exam that has not started yet."),
    Deed.STOP_TEST_RUN: Sentence("no_test_run", "This exam is in no test run."),
    Deed.REOPEN: Sentence(
        "exam_not_ended_by_hand",
        "Only an exam that was ended by hand before its time can be opened again. Give it a later end instead.",
    ),
    Deed.ARCHIVE: _IS_OPEN,
    Deed.TAKE_BACK: Sentence("exam_not_archived", "This exam is not archived."),
    Deed.DELETE: _IS_OPEN,
}
"""The keys are the codes."""


def possible_deeds(exam: Exam, now: datetime) -> frozenset[Deed]:
    """Those that would not be refused now, as far as the exam itself tells."""
    state = exam.state_at(now)
    return frozenset(
        deed
        for deed, states in _WHEN.items()
        if state in states and (deed is not Deed.REOPEN or _may_reopen(exam, now))
    )


def _may_reopen(exam: Exam, now: datetime) -> bool:
    return exam.ended_at is not None and now < exam.closes_at


def check_deed(exam: Exam, deed: Deed, now: datetime, holdings: Holdings | None = None) -> None:
    """Raise Refused when it cannot be done now. Who archives or deletes must know the `holdings`."""
    if deed not in possible_deeds(exam, now):
        raise Refused(_REFUSALS[deed].key, _REFUSALS[deed])
    if deed in {Deed.ARCHIVE, Deed.DELETE} and (holdings is None or holdings.open_rooms):
        raise Refused(
            "exam_has_rooms",
            "The exam's rooms are still being closed at the meeting service. Try again in a moment.",
        )
    if deed is Deed.DELETE and (holdings is None or holdings.open_connections):
        raise Refused(
            "exam_has_connections",
            "Clients are still connected with this exam. They are let go ten minutes after their last sign of life.",
        )


def problems(wish: ExamWish) -> list[Problem]:
    """Everything that is wrong with a wish by itself."""
    return fields.found(
        fields.text("name", wish.name),
        fields.text("description", wish.description, longest=fields.TEXT_LONGEST, shortest=0, lines=True),
        fields.time_zone("time_zone", wish.time_zone),
        _moment_problem("starts_at", wish.starts_at),
        _moment_problem("ends_at", wish.ends_at) or _order_problem(wish.starts_at, wish.ends_at),
        fields.url("url", wish.url),
        browser_exam_key_problem(wish.browser_exam_key),
        quit_password_problem(wish.quit_password),
    )


def template_problems(wish: TemplateWish) -> list[Problem]:
    """Everything that is wrong with a template by itself."""
    return fields.found(
        fields.text("name", wish.name),
        fields.text("description", wish.description, longest=fields.TEXT_LONGEST, shortest=0, lines=True),
        quit_password_problem(wish.quit_password),
    )


def browser_exam_key_problem(key: str | None) -> Problem | None:
    """64 hexadecimal characters, as clients compare them (seb-client-api.md §2.3)."""
    if key is None or re.fullmatch("[0-9a-f]{64}", key):
        return None
    return Problem(
        "browser_exam_key", "not_a_key", "A Browser Exam Key has 64 characters, each 0 to 9 or a to f."
    )


def quit_password_problem(password: str | None) -> Problem | None:
    return fields.text("quit_password", password or "", longest=QUIT_PASSWORD_LONGEST, shortest=0)


def _moment_problem(field: str, moment: datetime) -> Problem | None:
    if EARLIEST <= moment < LATEST:
        return None
    return Problem(
        field,
        "not_in_our_time",
        f"Choose a time from the year {EARLIEST.year} to {LATEST.year - 1}.",
        {"first": EARLIEST.year, "last": LATEST.year - 1},
    )


def _order_problem(starts_at: datetime, ends_at: datetime) -> Problem | None:
    if ends_at > starts_at:
        return None
    return Problem("ends_at", "ends_before_start", "The end must be later than the start.")


def change_problems(exam: Exam, wish: ExamWish, now: datetime) -> list[Problem]:
    """What a change would do to those who write the exam now."""
    if exam.state_at(now) is ExamState.RUNNING and wish.starts_at > now:
        return [
            Problem(
                "starts_at",
                "is_running",
                "The exam is running: a later start would throw everybody out. End it first.",
            )
        ]
    return []


def supporter_problems(wished: Collection[int], offered: Collection[int]) -> list[Problem]:
    """Supporters are active people of the exam's institution with the role for it."""
    if set(wished) <= set(offered):
        return []
    return [
        Problem(
            "supporters",
            "not_a_supporter",
            "Choose active exam supporters and exam administrators of this institution.",
        )
    ]


def configuration_problems(
    choice: ConfigurationChoice | None,
    *,
    wished: int | None,
    institution_id: int,
    template_allowed: bool = False,
) -> list[Problem]:
    """What is assigned is a published configuration of the same institution."""
    if wished is None:
        return []
    if choice is None or choice.institution_id != institution_id:
        return [Problem("configuration_id", "no_configuration", "Choose one of the offered configurations.")]
    if choice.is_template and not template_allowed:
        return [
            Problem(
                "configuration_id",
                "is_template",
                "A configuration template is assigned to no exam. Make a configuration from it first.",
            )
        ]
    if choice.published_version is None and not choice.is_template:
        return [
            Problem(
                "configuration_id",
                "not_published",
                "This configuration was never published. Publish it first.",
            )
        ]
    return []


def local_moment(text: str, zone: ZoneInfo, *, keep: datetime | None = None) -> datetime | Problem | None:
    """A time as typed, meant in a zone; None when blank. The problem's field is left to the caller.

    When clocks are set forward an hour is missing, when they are set back one comes twice: neither is guessed. `keep` is
    the instant shown before: typed unchanged, it is meant again, even when its hour came twice.
    """
    text = text.strip()
    if not text:
        return None
    try:
        typed = datetime.fromisoformat(text)
        if typed.tzinfo is not None:
            return typed.astimezone(UTC)
        if keep is not None and keep.astimezone(zone).replace(tzinfo=None) == typed:
            return keep
        first, second = (typed.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    except (ValueError, OverflowError):
        return Problem("", "not_a_time", "Enter date and time, like 2026-01-31 08:00.")
    if first == second:
        return first
    if first > second:  # read with the offset before the change, a skipped time lies after it
        return Problem(
            "",
            "skipped_time",
            f"That time does not exist in {zone.key}: clocks are set forward. Choose an earlier or a later one.",
            {"zone": zone.key},
        )
    return Problem(
        "",
        "twice_time",
        f"That time comes twice in {zone.key}: clocks are set back. Choose another one, or the time zone UTC.",
        {"zone": zone.key},
    )


def uses_page(proctoring: ProctoringSettings) -> bool:
    """Whether candidates of such an exam open our page: then what clients load must let it use the camera.

    Where clients may join by themselves, those that cannot are left with the page.
    """
    return proctoring.enabled


def joins_natively(proctoring: ProctoringSettings) -> bool:
    """Whether clients that can are to enter the meeting by themselves."""
    is_native = proctoring.join_by is JoinBy.NATIVE and proctoring.service is not Service.BUILTIN
    return proctoring.enabled and is_native


def joins_zoom(proctoring: ProctoringSettings) -> bool:
    """Whether clients may enter a meeting at Zoom by themselves: few releases can, later ones end the session."""
    return joins_natively(proctoring) and proctoring.service is Service.ZOOM


def copied_times(exam: Exam, starts_at: datetime) -> tuple[datetime, datetime]:
    """Start and end of a copy that lasts as long as its original. Raises Invalid for a start out of our time."""
    problem = _moment_problem("starts_at", starts_at)
    if problem is not None:
        raise Invalid(problem)
    length: timedelta = exam.ends_at - exam.starts_at
    return starts_at, starts_at + length
