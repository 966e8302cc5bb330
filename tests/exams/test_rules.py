"""States, deeds and times of exams."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invigilo.errors import Problem, Refused
from invigilo.exams import rules
from invigilo.exams.model import Exam, ExamState, Holdings
from invigilo.exams.rules import Deed

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
HOURS = st.integers(-72, 72).map(lambda hours: START + timedelta(hours=hours))
MAYBE = st.one_of(st.none(), HOURS)
EXAMS = st.builds(
    Exam,
    id=st.just(1),
    institution_id=st.just(1),
    name=st.just("x"),
    starts_at=st.just(START),
    ends_at=st.just(START + timedelta(hours=4)),
    url=st.just("https://lms.example.org/"),
    salt=st.just("00"),
    ended_at=MAYBE,
    archived_at=MAYBE,
    test_run_since=MAYBE,
    longest_extra=st.integers(0, 90).map(lambda minutes: timedelta(minutes=minutes)),
)
NOTHING = Holdings(0, 0, 0, 0, 0, 0)
LEADS_TO = {
    Deed.END: {ExamState.FINISHED},
    Deed.START_TEST_RUN: {ExamState.TEST_RUN},
    Deed.STOP_TEST_RUN: {ExamState.UPCOMING},
    Deed.REOPEN: {ExamState.RUNNING, ExamState.TEST_RUN, ExamState.UPCOMING},
    Deed.ARCHIVE: {ExamState.ARCHIVED},
    Deed.TAKE_BACK: set(ExamState) - {ExamState.ARCHIVED},
}


def after(exam: Exam, deed: Deed, now: datetime) -> Exam:
    sets = {
        Deed.END: {"ended_at": now},
        Deed.START_TEST_RUN: {"test_run_since": now},
        Deed.STOP_TEST_RUN: {"test_run_since": None},
        Deed.REOPEN: {"ended_at": None},
        Deed.ARCHIVE: {"archived_at": now},
        Deed.TAKE_BACK: {"archived_at": None},
    }
    return dataclasses.replace(exam, **sets[deed])


@given(EXAMS, HOURS)
def test_every_possible_deed_leads_to_the_state_it_names(exam: Exam, now: datetime) -> None:
    for deed in rules.possible_deeds(exam, now) - {Deed.DELETE}:
        rules.check_deed(exam, deed, now, NOTHING)
        assert after(exam, deed, now).state_at(now) in LEADS_TO[deed]
    for deed in set(Deed) - rules.possible_deeds(exam, now):
        with pytest.raises(Refused):
            rules.check_deed(exam, deed, now, NOTHING)


@given(EXAMS, HOURS)
def test_an_exam_that_is_open_is_neither_deleted_nor_archived(exam: Exam, now: datetime) -> None:
    if exam.is_running(now):
        assert not rules.possible_deeds(exam, now) & {Deed.DELETE, Deed.ARCHIVE}


def test_what_still_has_connections_or_rooms_stays() -> None:
    exam = Exam(1, 1, "x", START, START + timedelta(hours=1), "https://lms.example.org/", "00")
    later = START + timedelta(days=1)
    rules.check_deed(exam, Deed.DELETE, later, NOTHING)
    for held in (Holdings(3, 1, 0, 0, 0, 0), Holdings(3, 0, 0, 1, 1, 0)):
        with pytest.raises(Refused):
            rules.check_deed(exam, Deed.DELETE, later, held)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001  (as typed: without a zone)
def test_a_typed_time_is_the_one_instant_it_names_or_a_problem(typed: datetime) -> None:
    """Europe/Berlin: nothing is guessed where clocks change."""
    found = rules.local_moment(typed.isoformat(), BERLIN)
    if isinstance(found, datetime):
        assert found.astimezone(BERLIN).replace(tzinfo=None) == typed
    else:
        assert isinstance(found, Problem)
        offsets = {typed.replace(tzinfo=BERLIN, fold=fold).utcoffset() for fold in (0, 1)}
        assert len(offsets) == 2


def test_the_missing_and_the_double_hour_are_said() -> None:
    missing = rules.local_moment("2026-03-29T02:30", BERLIN)
    double = rules.local_moment("2026-10-25T02:30", BERLIN)
    assert isinstance(missing, Problem)
    assert isinstance(double, Problem)
    assert (missing.code, double.code) == ("skipped_time", "twice_time")


@pytest.mark.parametrize("hour", [0, 1])
def test_a_time_in_the_double_hour_that_was_not_touched_stays(hour: int) -> None:
    kept = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    typed = kept.astimezone(BERLIN).strftime("%Y-%m-%dT%H:%M")
    assert rules.local_moment(typed, BERLIN, keep=kept) == kept


@pytest.mark.parametrize(
    "text", ["tomorrow", "2026-13-01T00:00", "0001-01-01T00:00", "9999-12-31T23:59-23:00"]
)
def test_what_is_no_time_is_a_problem(text: str) -> None:
    found = rules.local_moment(text, ZoneInfo("Asia/Tokyo"))
    assert isinstance(found, Problem | datetime)
    if isinstance(found, datetime):
        assert not rules.EARLIEST <= found < rules.LATEST
