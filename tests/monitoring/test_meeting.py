"""Who is in a meeting, from several who say so: of each the newest word counts, whatever order they come in."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from invigilo.monitoring.meeting import SIGHT_PROOF_MS, STAYS, MeetingFacts, Sight

NOW = 1_764_064_800_000
ROOM = 7

REPORTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 50), st.booleans()),
    max_size=12,
    unique_by=lambda r: r[:2],
)


@given(REPORTS, st.randoms())
def test_reports_say_the_same_in_any_order_and_however_often(reports, chance):
    """Services repeat and reorder (jitsi.md §4, §6)."""
    first, second = MeetingFacts(), MeetingFacts()
    for stay, at, left in reports:
        first.report(ROOM, stay, at_ms=at, left=left)
    shuffled = [*reports, *reports]
    chance.shuffle(shuffled)
    for stay, at, left in shuffled:
        second.report(ROOM, stay, at_ms=at, left=left)
    assert first.stays == second.stays
    assert first.present(ROOM, NOW) == second.present(ROOM, NOW)


@given(REPORTS, REPORTS)
def test_two_nodes_that_tell_each_other_agree(mine, theirs):
    one, other = MeetingFacts(), MeetingFacts()
    for facts, reports in ((one, mine), (other, theirs)):
        for stay, at, left in reports:
            facts.report(ROOM, stay, at_ms=at, left=left)
    told = other.as_json()
    other.take(one.as_json())
    one.take(told)
    assert one.stays == other.stays


def test_nobody_who_can_say_is_unknown_and_not_absent():
    assert MeetingFacts().present(ROOM, NOW) is None


def test_a_proctors_page_proves_for_a_few_seconds_only():
    facts = MeetingFacts()
    facts.sight("p", Sight(NOW, ROOM, is_present=True, has_video=True))
    assert facts.present(ROOM, NOW) is True
    assert facts.watchers(ROOM, NOW) == 1
    assert facts.present(ROOM, NOW + SIGHT_PROOF_MS) is None
    assert facts.watchers(ROOM, NOW + SIGHT_PROOF_MS) == 0


def test_the_service_is_believed_before_a_proctors_page():
    facts = MeetingFacts()
    facts.report(ROOM, "stay", at_ms=NOW - 60_000, left=True)
    facts.sight("p", Sight(NOW, ROOM, is_present=True))
    assert facts.present(ROOM, NOW) is False


def test_a_stay_nobody_finds_any_more_is_unknown():
    """A meeting server that crashed never said "left"."""
    facts = MeetingFacts()
    facts.report(ROOM, "stay", at_ms=NOW - 60_000, left=False)
    assert facts.present(ROOM, NOW) is True
    facts.sight("p", Sight(NOW, ROOM, is_present=False))
    assert facts.present(ROOM, NOW) is None


def test_a_closed_room_ends_what_began_before_it():
    facts = MeetingFacts()
    facts.report(ROOM, "old", at_ms=NOW - 10, left=False)
    facts.report(ROOM, "new", at_ms=NOW + 10, left=False)
    assert facts.end_stays(ROOM, NOW)
    assert facts.present(ROOM, NOW) is True
    assert facts.report(ROOM, "new", at_ms=NOW + 20, left=True)
    assert facts.present(ROOM, NOW) is False


def test_memory_of_stays_is_bounded():
    facts = MeetingFacts()
    for number in range(10 * STAYS):
        facts.report(ROOM, str(number), at_ms=number + 1, left=True)
    assert len(facts.stays) == STAYS


def test_who_is_in_another_room_is_not_in_this_one() -> None:
    """A candidate who was called into the town hall, and is still found at home, is not where it should be."""
    facts = MeetingFacts()
    facts.report(ROOM, "stay", at_ms=NOW - 60_000, left=False)
    facts.sight("p", Sight(NOW, ROOM, is_present=True))
    assert facts.present(ROOM, NOW) is True
    assert facts.present(ROOM + 1, NOW) is None
    assert facts.watchers(ROOM + 1, NOW) == 0
    facts.report(ROOM + 1, "other", at_ms=NOW, left=False)
    assert facts.present(ROOM + 1, NOW) is True
    other = MeetingFacts()
    other.take(json.loads(json.dumps(facts.as_json())))
    assert other.present(ROOM + 1, NOW) is True
