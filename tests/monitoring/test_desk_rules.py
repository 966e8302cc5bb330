"""The desk's rules, from their inputs alone: thresholds, answers, guards, the sharing of rooms, the moment of a flag."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invigilo.errors import BadInput, Invalid, Refused
from invigilo.monitoring import answers, desk_rules
from invigilo.monitoring.answers import ANSWER_WITHIN, answer_of
from invigilo.monitoring.capability import UNKNOWN_CLIENT, capability_of
from invigilo.monitoring.desk_rules import DeedWish, Target
from invigilo.monitoring.duty_rules import shared
from invigilo.monitoring.indicators import (
    DEFAULTS,
    STANDARD,
    Indicator,
    Threshold,
    Thresholds,
    Values,
    checked,
    levels,
)
from invigilo.monitoring.instructions import LIFETIME
from invigilo.monitoring.model import (
    Answer,
    ConnectionState,
    DeskDeed,
    InstructionType,
    NoteCategory,
    Notification,
    NotificationKind,
    Sent,
)
from invigilo.monitoring.notes import LONGEST_BACK_MS, NoteWish, moment_of, problems
from invigilo.monitoring.rules import MISSING_AFTER_MS
from invigilo.monitoring.truth import PAGE_PROOF_MS, STILL_PROOF_MS, VIDEO_PROOF_MS, next_doubt

NOW = 1_000_000_000
WELL = Values(is_open=True, ping_age_ms=900, errors=0, warnings=0, battery=80, wlan=70, wlan_connected=True)


# --- thresholds ---


@pytest.mark.parametrize(
    ("changed", "indicator", "expected"),
    [
        ({}, "ping", "ok"),
        ({"ping_age_ms": 4_999}, "ping", "ok"),
        ({"ping_age_ms": 5_000}, "ping", "warning"),
        ({"ping_age_ms": 15_000}, "ping", "problem"),
        ({"ping_age_ms": None}, "ping", "problem"),
        ({"ping_age_ms": None, "is_open": False}, "ping", "none"),
        ({"errors": 1}, "errors", "warning"),
        ({"errors": 10}, "errors", "problem"),
        ({"battery": 20}, "battery", "warning"),
        ({"battery": 21}, "battery", "ok"),
        ({"battery": 10}, "battery", "problem"),
        ({"battery": None}, "battery", "none"),
        ({"wlan": 5}, "wlan", "problem"),
        ({"wlan": 5, "wlan_connected": False}, "wlan", "none"),
    ],
)
def test_a_value_at_its_threshold_has_reached_it(
    changed: dict[str, Any], indicator: str, expected: str
) -> None:
    assert levels(replace(WELL, **changed), STANDARD)[indicator] == expected


def test_an_indicator_that_is_switched_off_judges_nothing() -> None:
    off = checked({Indicator.ERRORS: None})
    assert levels(replace(WELL, errors=99), off)["errors"] == "none"
    assert levels(replace(WELL, warnings=99), off)["warnings"] == "problem"


@given(st.sampled_from(Indicator), st.integers(0, 100), st.integers(0, 100), st.integers(0, 700))
def test_worse_values_are_never_judged_better(one: Indicator, a: int, b: int, value: int) -> None:
    low, high = sorted((a, b))
    pair = (high, low) if one.is_worse_when_low else (low, high)
    measure = checked({one: pair})
    rank = ["ok", "warning", "problem"]

    def judged(value: int) -> int:
        field = {"ping": "ping_age_ms"}.get(one.value, one.value)
        at = value * 1000 if one is Indicator.PING else value
        return rank.index(levels(replace(WELL, **{field: at}), measure)[one.value])

    worse = max(0, value - 1) if one.is_worse_when_low else value + 1
    assert judged(worse) >= judged(value)


@given(
    st.dictionaries(
        st.sampled_from(Indicator),
        st.none() | st.tuples(st.integers(-10, 200_000), st.integers(-10, 200_000)),
    )
)
def test_thresholds_are_refused_field_by_field_or_kept_as_they_were_said(wish: dict) -> None:
    with contextlib.suppress(Invalid):
        _kept(wish)
        return
    with pytest.raises(Invalid) as refused:
        checked(wish)
    assert {one.field.split(".")[0] for one in refused.value.problems} <= {one.value for one in wish}


def _kept(wish: dict) -> None:
    measure = checked(wish)
    assert Thresholds.from_json(measure.as_json()) == measure
    for one in Indicator:
        expected = DEFAULTS[one] if one not in wish else None if wish[one] is None else Threshold(*wish[one])
        assert measure.of[one] == expected


# --- what a client answered ---


def sent(deed: DeskDeed = DeskDeed.LOCK, **more: Any) -> Sent:
    return Sent(7, deed, NOW, **more)


def test_an_instruction_nobody_fetched_waits_and_then_is_not_delivered() -> None:
    assert answer_of(sent(), is_open=True, now=NOW + LIFETIME) is Answer.WAITING
    assert answer_of(sent(), is_open=True, now=NOW + LIFETIME + 1) is Answer.NOT_DELIVERED
    assert answer_of(sent(), is_open=False, now=NOW) is Answer.NOT_DELIVERED


@pytest.mark.parametrize("deed", [DeskDeed.LOCK, DeskDeed.QUIT])
def test_a_client_that_does_nothing_is_named(deed: DeskDeed) -> None:
    one = sent(deed, sent_at=NOW)
    assert answer_of(one, is_open=True, now=NOW + ANSWER_WITHIN) is Answer.DELIVERED
    assert answer_of(one, is_open=True, now=NOW + ANSWER_WITHIN + 1) is Answer.NO_ANSWER


@pytest.mark.parametrize("deed", [DeskDeed.SETTLE, DeskDeed.UNLOCK])
def test_of_what_has_no_answer_delivery_is_all_that_is_claimed(deed: DeskDeed) -> None:
    assert answer_of(sent(deed, sent_at=NOW), is_open=True, now=NOW + 10 * ANSWER_WITHIN) is Answer.DELIVERED


def test_what_the_client_did_shows_and_stays_known() -> None:
    locked = answers.after_looking(sent(sent_at=NOW), is_open=True, is_locked=True, now=NOW + 5)
    unlocked_since = answers.after_looking(locked, is_open=True, is_locked=False, now=NOW + 9_000)
    assert unlocked_since.done_at == NOW + 5
    assert answer_of(unlocked_since, is_open=True, now=NOW + 90_000) is Answer.DONE
    left = answers.after_looking(sent(DeskDeed.QUIT, sent_at=NOW), is_open=False, is_locked=False, now=NOW)
    assert answer_of(left, is_open=False, now=NOW) is Answer.DONE
    before_delivery = answers.after_looking(sent(), is_open=True, is_locked=True, now=NOW)
    assert before_delivery.done_at is None, "a lock from before is no answer to an instruction still waiting"


@given(st.permutations([sent(), sent(sent_at=NOW + 1), sent(sent_at=NOW + 1, done_at=NOW + 2)]))
def test_nodes_may_hear_in_any_order(heard: list[Sent]) -> None:
    known: Sent | None = None
    for one in heard:
        known = answers.newer(known, one)
    assert known == sent(sent_at=NOW + 1, done_at=NOW + 2)
    assert answers.newer(known, replace(sent(), id=6)) == known


def test_only_what_proctors_ask_for_counts_as_a_deed() -> None:
    assert answers.deed_of(InstructionType.PROCTORING, None) is None
    assert answers.deed_of(InstructionType.NOTIFICATION_CONFIRM, "lockscreen") is DeskDeed.UNLOCK
    assert answers.deed_of(InstructionType.NOTIFICATION_CONFIRM, "raisehand") is DeskDeed.SETTLE


# --- guards ---

HAND = Notification(1, 3, NotificationKind.RAISE_HAND, "", 5)
LOCK = Notification(1, 4, NotificationKind.LOCK_SCREEN, "", 6)


def target(**more: Any) -> Target:
    fields: dict[str, Any] = {
        "state": ConnectionState.ACTIVE,
        "is_missing": False,
        "capability": UNKNOWN_CLIENT,
        "notifications": [],
    }
    return Target(**(fields | more))


@given(st.integers(1, 40), st.none() | st.integers(0, 40), st.booleans())
def test_several_are_reached_only_with_their_true_number(targets: int, count: int | None, all_: bool) -> None:
    wish = DeedWish(DeskDeed.QUIT, None if all_ else frozenset(range(targets)), count)
    if count == targets or (targets == 1 and not all_):
        desk_rules.check(wish, targets)
        return
    with pytest.raises(Refused) as refused:
        desk_rules.check(wish, targets)
    assert refused.value.code == "count_differs"
    assert str(targets) in refused.value.message


@pytest.mark.parametrize("message", ["x" * 301, "nul \0", "half \ud800"])
def test_a_message_no_client_can_show_is_refused(message: str) -> None:
    with pytest.raises(BadInput):
        desk_rules.check(DeedWish(DeskDeed.LOCK, frozenset({1}), message=message), 1)


OLD = capability_of("Windows 10, Microsoft Windows NT 10.0.19045.0 (x64)", "3.3.2")
NEW = capability_of("Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)", "3.10.2")


@pytest.mark.parametrize(
    ("deed", "fields", "code"),
    [
        (DeskDeed.QUIT, {}, None),
        (DeskDeed.QUIT, {"state": ConnectionState.CLOSED}, "connection_closed"),
        (DeskDeed.LOCK, {"capability": OLD}, "cannot_lock"),
        (DeskDeed.LOCK, {"capability": NEW}, None),
        (DeskDeed.LOCK, {"capability": UNKNOWN_CLIENT}, None),
        (DeskDeed.UNLOCK, {"notifications": [HAND]}, "not_locked"),
        (DeskDeed.UNLOCK, {"notifications": [HAND, LOCK]}, None),
        (DeskDeed.SETTLE, {"notifications": [LOCK]}, "no_hand"),
        (DeskDeed.SETTLE, {"notifications": [HAND]}, None),
        (DeskDeed.DISABLE, {}, "still_alive"),
        (DeskDeed.DISABLE, {"is_missing": True}, None),
        (DeskDeed.DISABLE, {"state": ConnectionState.CLOSED}, None),
        (DeskDeed.DISABLE, {"state": ConnectionState.DISABLED}, "connection_closed"),
    ],
)
def test_whom_a_deed_fits(deed: DeskDeed, fields: dict[str, Any], code: str | None) -> None:
    if code is None:
        desk_rules.refuse(deed, target(**fields))
        return
    with pytest.raises(Refused) as refused:
        desk_rules.refuse(deed, target(**fields))
    assert refused.value.code == code


# --- sharing rooms ---

loads = st.dictionaries(st.integers(1, 60), st.integers(0, 30), min_size=1, max_size=30)
people = st.sets(st.integers(1, 12), min_size=1)


@given(loads, people, st.dictionaries(st.integers(1, 60), st.integers(1, 12)))
def test_rooms_are_shared_so_that_nobody_has_more_than_they_must(
    load: dict[int, int], who: set[int], before: dict[int, int]
) -> None:
    plan = shared(load, who, before)
    assert plan.keys() == load.keys(), "every room has somebody"
    assert set(plan.values()) <= who
    has = {one: sum(load[room] for room in plan if plan[room] == one) for one in who}
    assert max(has.values()) - min(has.values()) <= max(load.values()) + 1
    assert shared(load, who, before) == plan


@given(st.integers(1, 6), st.integers(1, 6))
def test_equal_rooms_that_are_shared_already_stay_where_they_are(each: int, count: int) -> None:
    before = {room: room % count + 1 for room in range(1, each * count + 1)}
    assert shared(dict.fromkeys(before, 5), set(range(1, count + 1)), before) == before


# --- notes ---


@given(st.none() | st.integers(0, 2 * NOW))
def test_the_moment_of_a_flag_is_its_press_unless_that_cannot_be(wished: int | None) -> None:
    at = moment_of(wished, now=NOW)
    can_be = wished is not None and NOW - LONGEST_BACK_MS <= wished <= NOW
    assert at == (wished if can_be else NOW)


def test_a_flag_may_be_wordless_and_a_note_may_not() -> None:
    wish = NoteWish(category=NoteCategory.OTHER, is_incident=True)
    assert problems(wish) == []
    assert [one.code for one in problems(replace(wish, is_incident=False))] == ["missing"]
    assert [one.code for one in problems(replace(wish, text="half \ud800"))] == ["control_characters"]


# --- when to look again ---


@given(
    st.tuples(*[st.none() | st.integers(NOW - 20_000, NOW) for _ in range(4)]),
)
def test_between_two_doubts_no_proof_gets_too_old(times: tuple[int | None, ...]) -> None:
    """Whoever looks again at that moment, and not before, misses nothing."""
    names = ("last_ping", "last_still_at", "last_frames_at", "socket_heard_at")
    spans = (MISSING_AFTER_MS, STILL_PROOF_MS, VIDEO_PROOF_MS, PAGE_PROOF_MS)

    def holding(now: int) -> list[bool]:
        return [at is not None and now - at < span for at, span in zip(times, spans, strict=True)]

    doubt = next_doubt(NOW, **dict(zip(names, times, strict=True)))
    if doubt is None:
        assert not any(holding(NOW))
        return
    assert doubt > NOW
    assert holding(doubt - 1) == holding(NOW)
    assert holding(doubt) != holding(NOW)
