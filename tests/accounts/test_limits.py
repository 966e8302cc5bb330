"""How failed tries cost time: plain rules, no server."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from invigilo.accounts.service import FORGET_AFTER, LONGEST_PAUSE, REMEMBERED, SignInLimit


def test_the_pause_doubles_up_to_a_limit() -> None:
    limit, now, pauses = SignInLimit(free=3), 0, []
    for _ in range(16):
        limit.failed("ada", now)
        pauses.append(limit.pause("ada", now))
        now += pauses[-1]
    assert pauses[:7] == [0, 0, 1_000, 2_000, 4_000, 8_000, 16_000]
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE


def test_success_forgives_and_so_does_time() -> None:
    limit = SignInLimit(free=1)
    limit.failed("ada", 0)
    limit.failed("grace", 0)
    limit.succeeded("ada")
    assert limit.pause("ada", 0) == 0
    assert limit.pause("grace", 0) > 0
    assert limit.pause("grace", FORGET_AFTER + 1) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**6)), max_size=60))
def test_one_persons_tries_never_slow_another(tries: list[tuple[str, int]]) -> None:
    limit, now = SignInLimit(free=2), 0
    for key, later in tries:
        now += later
        limit.failed(key, now)
        assert 0 <= limit.pause(key, now) <= LONGEST_PAUSE
    assert limit.pause("somebody else", now) == 0


def test_memory_is_bounded_when_names_are_invented() -> None:
    """Old tries go first; what is fresh stays, or a flood of names would free its sender."""
    limit = SignInLimit(free=1)
    for number in range(REMEMBERED):
        limit.failed(f"old{number}", 0)
    limit.failed("new", FORGET_AFTER)
    assert len(limit._tries) == 1
