"""Rooms at Zoom against the stand-in: every row of zoom.md's failure table with the reaction named there."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invigilo.clock import from_ms
from invigilo.errors import (
    ProviderCredentials,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from invigilo.providers.base import Condition, KeepsMeetings, Presence, RoomHandle, RoomSpec, ZoomTicket
from invigilo.providers.jitsi_tokens import new_room_name
from invigilo.providers.zoom_client import MissingScope, retry_after
from invigilo.providers.zoom_meeting import PasscodeRules, new_passcode
from invigilo.providers.zoom_pool import Booking, BookingState, HostState, choose_host
from invigilo.providers.zoom_signature import PARTICIPANT, ends, signature
from invigilo.simulate.zoom import ZoomMood
from invigilo.simulate.zoom_rules import JoinRefused, Seed, User
from tests.providers.zoom_world import START, two_hosts, zoom_world

QPS = {"X-RateLimit-Type": "QPS", "X-RateLimit-Category": "Medium"}


# --- signatures and passcodes ---


def test_the_known_signature() -> None:
    """zoom.md §4.1."""
    made = signature(
        "sdk-key-1", "sdk-secret-1", number="91234567890", role=PARTICIPANT,
        issued_at=from_ms(1_767_225_600_000), ends_at=from_ms(1_767_268_800_000),
    )  # fmt: skip
    assert made == (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhcHBLZXkiOiJzZGsta2V5LTEiLCJzZGtLZXkiOiJzZGsta2V5LTEiLCJtbiI6IjkxMjM0NTY3"
        "ODkwIiwicm9sZSI6MCwiaWF0IjoxNzY3MjI1NjAwLCJleHAiOjE3NjcyNjg4MDAsInRva2VuRXhwIjoxNzY3MjY4ODAwfQ."
        "Onq7DB2LFOC2uuYS5eqoMdHjy2UfNWXHTXcMSQ3ElRM"
    )


@given(st.integers(-100, 5_000))
def test_a_signature_lives_two_hours_at_least_and_a_day_at_most(minutes: int) -> None:
    now = from_ms(round(START * 1000))
    life = ends(now, now + timedelta(minutes=minutes)) - now
    assert timedelta(hours=2) <= life <= timedelta(hours=24)


@pytest.mark.parametrize(("number", "role"), [("abc", 0), ("", 0), ("123", 2)])
def test_no_other_signature_is_made(number: str, role: int) -> None:
    now = from_ms(round(START * 1000))
    with pytest.raises(ValueError, match="signature"):
        signature("k", "s", number=number, role=role, issued_at=now, ends_at=now + timedelta(hours=2))


@given(st.booleans(), st.booleans())
def test_passcodes_keep_the_rules(only_digits: bool, special: bool) -> None:
    passcode = new_passcode(PasscodeRules(only_digits=only_digits, special=special and not only_digits))
    assert len(passcode) == 10
    assert all(abs(ord(a) - ord(b)) > 1 for a, b in itertools.pairwise(passcode))
    if only_digits:
        assert passcode.isdigit()
    else:
        assert re.search(r"[A-Z]", passcode)
        assert re.search(r"[a-z]", passcode)
        assert re.search(r"\d", passcode)
        assert bool(re.search(r"[@*_-]", passcode)) or not special


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("Mon, 01 Jun 2026 08:02:00 GMT", 120), ("2026-06-01T08:02:00Z", 120), ("", None), ("soon", None),
     ("2020-01-01T00:00:00Z", None)],
)  # fmt: skip
def test_when_to_come_back_is_read_in_every_form(text: str, seconds: int | None) -> None:
    now = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
    found = retry_after({"retry-after": text}, now)
    assert found == (None if seconds is None else now + timedelta(seconds=seconds))


# --- the pool ---


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(list(BookingState))), max_size=12),
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(st.integers(0, 120), st.integers(0, 2_000))),
)
def test_no_host_is_booked_over_its_limits(
    held: list[tuple[str, BookingState]], per_host: int, states: dict[str, tuple[int, int]]
) -> None:
    """Live bookings never exceed the limit, the day's hundred is kept, and a host that is free is found."""
    bookings = [Booking(at, f"r{at}", host, state, 0) for at, (host, state) in enumerate(held)]
    known = {h: HostState(h, 0, creations, until) for h, (creations, until) in states.items()}
    chosen = choose_host(["a", "b", "c"], known, bookings, per_host=per_host, now=1_000)

    def fits(host: str) -> bool:
        live = sum(b.host == host and b.state is not BookingState.GIVEN_UP for b in bookings)
        state = known.get(host, HostState(host))
        return live < per_host and state.creations < 100 and state.blocked_until <= 1_000

    assert (chosen is None) == (not any(map(fits, "abc")))
    assert chosen is None or fits(chosen)


# --- opening, entering, closing ---


async def test_a_room_is_made_as_an_exam_needs_it_and_leaves_nothing_behind() -> None:
    async with zoom_world() as world:
        room = await world.open()
        meeting = world.meeting(room)
        assert world.stand_in.api.ignored == [], "Zoom ignores what it does not know without a word"
        assert meeting.body["topic"] == "Room 1"
        assert meeting.body["agenda"] == f"invigilo:memory:{room.name}"
        assert meeting.body["type"] == 2
        wanted = {
            "join_before_host": True, "waiting_room": False, "mute_upon_entry": True, "audio": "voip", "auto_recording": "none",
            "meeting_authentication": False, "focus_mode": True, "host_video": False, "use_pmi": False,
        }  # fmt: skip
        assert {name: meeting.settings[name] for name in wanted} == wanted
        assert world.booking(room).passcode == meeting.password
        world.join(room)
        await world.provider.close_room(room)
        assert world.stand_in.core.meetings == {}
        assert list(world.book.bookings()) == []


@pytest.mark.spec("live-proctoring", 54)
async def test_candidates_enter_as_participants_and_proctors_hold_the_meeting() -> None:
    async with zoom_world() as world:
        assert isinstance(world.provider, KeepsMeetings)
        room = await world.open()
        candidate = world.provider.ticket(room, world.guest())
        assert isinstance(candidate, ZoomTicket)
        assert not candidate.is_host
        assert world.join(room)["state"] == "in_meeting"
        proctor = world.guest("ada", is_proctor=True)
        with pytest.raises(JoinRefused) as without:
            world.join(room, proctor)
        assert without.value.code == 3265
        key = await world.provider.host_key(room)
        assert world.join(room, proctor, zak=key)["state"] == "in_meeting"
        inside = world.meeting(room).inside()
        assert [one.is_host for one in inside] == [False, True]
        assert inside[0].customer_key == world.provider.identity_of(room, "17")
        assert len(inside[0].customer_key) <= 36
        assert key not in repr(candidate) + repr(world.booking(room))
        assert candidate.passcode not in repr(candidate)


async def test_a_wrong_sdk_secret_and_a_late_clock_are_refused_at_the_join() -> None:
    async with zoom_world() as world:
        room = await world.open()
        world.stand_in.seed.sdk_secret = "another"
        with pytest.raises(JoinRefused) as wrong:
            world.join(room)
        assert wrong.value.code == 3712
        world.stand_in.seed.sdk_secret = "sdk-secret-1"
        world.stand_in.clock.advance(3 * 3_600)
        with pytest.raises(JoinRefused) as late:
            world.join(room)
        assert late.value.code == 3705


async def test_one_token_serves_many_calls_and_is_renewed_before_it_ends() -> None:
    async with zoom_world(two_hosts(), hosts="host1@example.org host2@example.org") as world:
        for _ in range(2):
            room = await world.open()
            await world.provider.close_room(room)
        assert world.stand_in.api.given == 1
        world.pass_by(minutes=56)
        await world.open()
        assert world.stand_in.api.given == 2


async def test_the_token_is_asked_for_in_the_body_and_never_in_an_address() -> None:
    async with zoom_world(Seed(reject_query=True)) as world:
        await world.open()
        assert all(not one.query for one in world.stand_in.api.log if one.path == "/oauth/token")


# --- the failure table (zoom.md §9), row by row ---


async def test_refused_credentials_are_tried_once_a_minute_at_most() -> None:
    for mood in (ZoomMood.WRONG_SECRET, ZoomMood.APP_OFF, ZoomMood.OTHER_ACCOUNT):
        async with zoom_world(mood=mood) as world:
            name = new_room_name()
            for _ in range(5):
                with pytest.raises(ProviderCredentials):
                    await world.open(name)
            assert world.asked("POST", "/oauth/token") == 1
            world.pass_by(seconds=61)
            with pytest.raises(ProviderCredentials):
                await world.open(name)
            assert world.asked("POST", "/oauth/token") == 2


async def test_a_token_that_dies_in_mid_flight_is_renewed_once() -> None:
    async with zoom_world(two_hosts(), hosts="host1@example.org,host2@example.org") as world:
        await world.open()
        world.stand_in.api.void_tokens()
        await world.open()
        assert world.stand_in.api.given == 2
        world.fault("", "^/v2", times=50, status=401, body={"code": 124, "message": "Invalid access token."})
        with pytest.raises(ProviderCredentials):
            await world.provider.close_room(RoomHandle(next(iter(world.book.bookings())).room, ""))


@pytest.mark.spec("live-proctoring", 17)
async def test_a_missing_scope_is_named_and_a_new_token_is_tried_once() -> None:
    async with zoom_world(Seed(without_scopes=("meeting:write:meeting:admin",))) as world:
        name = new_room_name()
        with pytest.raises(MissingScope, match="meeting:write:meeting:admin"):
            await world.open(name)
        world.pass_by(minutes=2)
        world.stand_in.seed.without_scopes = ()
        await world.open(name)
        assert world.stand_in.api.given == 2, "a scope added a moment ago is in a new token"


async def test_no_plan_is_something_for_an_administrator() -> None:
    async with zoom_world() as world:
        world.fault("POST", "meetings$", status=400, body={"code": 200, "message": "No permission."})
        with pytest.raises(ProviderCredentials, match="plan"):
            await world.open()


async def test_a_refused_passcode_is_made_again_by_the_hosts_rules() -> None:
    async with zoom_world(mood=ZoomMood.NUMERIC_PASSCODES) as world:
        room = await world.open()
        assert world.booking(room).passcode.isdigit()
        assert world.meeting(room).password == world.booking(room).passcode


async def test_another_refused_field_is_named() -> None:
    async with zoom_world() as world:
        errors = [{"field": "settings.audio", "message": "Invalid field."}]
        world.fault("POST", "meetings$", status=400, body={"code": 300, "message": "x", "errors": errors})
        with pytest.raises(ProviderRefused, match=r"settings\.audio"):
            await world.open()
        assert world.asked("POST", "meetings") == 1


@pytest.mark.parametrize(
    ("status", "code"), [(404, 1001), (400, 1010), (400, 3161), (400, 3000)]
)  # fmt: skip
async def test_a_host_that_cannot_is_left_for_another(status: int, code: int) -> None:
    async with zoom_world(two_hosts(), hosts="host1@example.org\nhost2@example.org") as world:
        world.fault("POST", "host1@example.org", times=9, status=status, body={"code": code, "message": "x"})
        first, second = await world.open(), None
        assert world.booking(first).host == "host2@example.org"
        (out, _) = world.provider.host_views()
        assert (out.blocked_until is not None) == (code != 3000)
        with pytest.raises(ProviderUnavailable, match="No Zoom host is free"):
            second = await world.open()
        assert second is None


async def test_a_meeting_that_is_gone_is_lost_and_the_room_gets_another() -> None:
    async with zoom_world(two_hosts(), hosts="host1@example.org host2@example.org") as world:
        room = await world.open()
        assert await world.provider.condition(room) is Condition.WELL
        world.stand_in.core.delete(world.meeting(room))
        assert await world.provider.condition(room) is Condition.LOST
        before = world.booking(room).meeting_id
        await world.provider.give_up(room, reason="lost")
        await world.open(room.name)
        assert world.booking(room).meeting_id != before
        await world.provider.tidy(lambda _name: True)
        assert [b.state for b in world.book.bookings()] == [BookingState.OPEN]


async def test_gone_on_clean_up_is_success() -> None:
    async with zoom_world() as world:
        room = await world.open()
        world.stand_in.core.delete(world.meeting(room))
        await world.provider.close_room(room)
        assert list(world.book.bookings()) == []


async def test_a_meeting_in_progress_is_ended_first_and_deleted_then() -> None:
    async with zoom_world(Seed(delete_live=400, end_idle=400)) as world:
        room = await world.open()
        world.join(room)
        await world.provider.close_room(room)
        assert world.stand_in.core.meetings == {}
        other = await world.open()
        await world.provider.close_room(other)
        assert world.stand_in.core.meetings == {}, "an end that is refused for an idle meeting is no failure"


async def test_a_personal_meeting_is_never_deleted() -> None:
    async with zoom_world() as world:
        room = await world.open()
        world.fault("DELETE", "/meetings/", status=400, body={"code": 3018, "message": "x"})
        with pytest.raises(ProviderRefused, match="personal"):
            await world.provider.close_room(room)


async def test_without_the_right_to_end_a_meeting_it_is_deleted_all_the_same() -> None:
    async with zoom_world(Seed(without_scopes=("meeting:update:status:admin",))) as world:
        room = await world.open()
        world.join(room)
        await world.provider.close_room(room)
        assert world.stand_in.core.meetings == {}


@pytest.mark.spec("live-proctoring", 53)
async def test_a_storm_of_limits_ends_with_every_room_made_once() -> None:
    """Forty rooms at once, more than the account's calls a second."""
    users = [User(f"zu{n}", f"host{n}@example.org") for n in range(40)]
    seed = Seed(users=users, limits={"medium": (2.0, None), "light": (4.0, None)})
    hosts = " ".join(user.email for user in users)
    async with zoom_world(seed, hosts=hosts, pace="20") as world:
        names = [new_room_name() for _ in range(40)]
        waiting = list(names)
        for _ in range(200):
            for name in list(waiting):
                try:
                    await world.open(name)
                except ProviderUnavailable:
                    world.pass_by(seconds=1)
                else:
                    waiting.remove(name)
            if not waiting:
                break
        assert waiting == []
        assert world.stand_in.api.rates.refused > 0, "there was a storm"
        agendas = [m.body["agenda"].rpartition(":")[2] for m in world.stand_in.core.meetings.values()]
        assert sorted(agendas) == sorted(names)


async def test_calls_a_second_are_tried_again_with_growing_pauses() -> None:
    async with zoom_world() as world:
        world.fault("POST", "meetings$", times=3, status=429, body={"code": 429, "message": "x"}, headers=QPS)
        await world.open()
        pauses = [one for one in world.slept if one >= 1]
        assert pauses == sorted(pauses)
        assert len(pauses) == 3


@pytest.mark.parametrize(
    "headers",
    [{"X-RateLimit-Type": "Daily-limit", "Retry-After": "2026-06-02T00:00:00Z"}, {"X-RateLimit-Type": "Daily-limit"},
     {"Retry-After": "57600"}],
)  # fmt: skip
async def test_a_days_limit_stops_that_label_and_cleaning_goes_on(headers: dict[str, str]) -> None:
    async with zoom_world(two_hosts(), hosts="host1@example.org host2@example.org") as world:
        room = await world.open()
        world.fault("POST", "meetings$", status=429, body={"code": 429, "message": "x"}, headers=headers)
        name = new_room_name()
        for _ in range(3):
            with pytest.raises(ProviderUnavailable, match="2026-06-02T00:00"):
                await world.open(name)
        assert world.asked("POST", "meetings") == 2
        await world.provider.close_room(room)
        assert world.stand_in.core.meetings == {}
        world.pass_by(hours=16, minutes=1)
        await world.open(name)


async def test_a_hosts_hundred_is_kept_counted_and_shown() -> None:
    async with zoom_world(two_hosts(), hosts="host1@example.org host2@example.org") as world:
        for _ in range(99):
            await world.book.count_creation("host1@example.org", now=world.clock.now_ms())
        for _ in range(100):
            world.stand_in.core.count_creation(world.stand_in.core.users["zu1"])
        for _ in range(60):
            await world.book.count_creation("host2@example.org", now=world.clock.now_ms())
        room = await world.open()
        assert world.booking(room).host == "host2@example.org", "the one with most of its day left"
        second = RoomSpec(new_room_name(), "Room 2", 5)
        with pytest.raises(ProviderUnavailable, match="No Zoom host is free"):
            await world.provider.open_room(second)
        views = {one.name: one for one in world.provider.host_views()}
        assert views["host1@example.org"].reason == "zoom_day_over"
        assert views["host1@example.org"].blocked_until == round((START + 16 * 3_600) * 1000), (
            "midnight by UTC"
        )
        assert views["host2@example.org"].creations == 61
        world.pass_by(hours=17)
        await world.provider.open_room(second)


async def test_a_limit_nobody_recognises_is_waited_for_until_the_full_hour() -> None:
    async with zoom_world() as world:
        room = await world.open()
        fault = world.fault("", "^/v2/meetings", times=99, status=429, body={"code": 429, "message": "x"})
        with pytest.raises(ProviderUnavailable):
            await world.provider.condition(room)
        asked = 99 - fault.times
        assert asked == 3
        with pytest.raises(ProviderUnavailable, match="09:00"):
            await world.provider.condition(room)
        assert 99 - fault.times == asked


async def test_an_outage_is_tried_four_times_and_then_left_alone_for_half_a_minute() -> None:
    async with zoom_world() as world:
        room = await world.open()
        fault = world.fault("", "^/v2", times=99, status=503, body={"code": 503, "message": "x"})
        with pytest.raises(ProviderUnavailable):
            await world.provider.condition(room)
        with pytest.raises(ProviderUnavailable):
            await world.provider.condition(room)
        assert 99 - fault.times == 4
        fault.times = 0
        world.pass_by(seconds=31)
        assert await world.provider.condition(room) is Condition.WELL


async def test_a_connection_cut_after_the_create_gives_no_double_meeting() -> None:
    async with zoom_world() as world:
        world.fault("POST", "meetings$", drop="after")
        room = await world.open()
        assert len(world.stand_in.core.meetings) == 1
        assert world.asked("POST", "meetings") == 1
        assert world.booking(room).passcode == world.meeting(room).password
        world.join(room)


async def test_a_connection_cut_before_the_create_makes_it_again() -> None:
    async with zoom_world() as world:
        world.fault("POST", "meetings$", drop="before")
        await world.open()
        assert len(world.stand_in.core.meetings) == 1
        assert world.asked("POST", "meetings") == 2


async def test_a_create_that_died_with_its_server_is_looked_for_by_the_next() -> None:
    """Killed between the question and the answer: the booking says that there may be a meeting."""
    async with zoom_world() as world:
        world.fault("POST", "meetings$", drop="after")
        world.fault("GET", "meetings$", times=99, status=503, body={"code": 503, "message": "x"})
        name = new_room_name()
        with pytest.raises(ProviderUnavailable):
            await world.open(name)
        world.stand_in.api.faults.clear()
        world.pass_by(minutes=1)
        await world.open(name, provider=world.new_provider())
        assert len(world.stand_in.core.meetings) == 1
        assert world.asked("POST", "meetings") == 1


async def test_a_page_of_a_proxy_is_not_taken_for_zoom() -> None:
    async with zoom_world(mood=ZoomMood.PROXY_PAGE) as world:
        with pytest.raises(ProviderUnavailable, match="not Zoom"):
            await world.open()


async def test_an_unknown_host_name_is_said() -> None:
    async with zoom_world() as world:
        provider = world.new_provider(api_base="https://api.zoom.invalid/v2")
        with pytest.raises(ProviderUnavailable, match=r"api\.zoom\.invalid"):
            await world.open(provider=provider)


async def test_a_reply_without_a_passcode_is_read_again_and_else_undone() -> None:
    async with zoom_world(Seed(forget_passcode=True)) as world:
        room = await world.open()
        assert world.booking(room).passcode == world.meeting(room).password
        await world.provider.close_room(room)
        world.fault("GET", "/meetings/", status=200, body={"id": 1})
        with pytest.raises(ProviderRefused, match="passcode"):
            await world.open()
        assert world.stand_in.core.meetings == {}
        assert list(world.book.bookings()) == []


async def test_a_host_that_holds_another_meeting_is_blocked_and_left() -> None:
    """Somebody uses the host's account besides: 3711 at the join."""
    async with zoom_world(two_hosts(), hosts="host1@example.org host2@example.org") as world:
        room = await world.open()
        taken = world.booking(room).host
        user = world.stand_in.core.user(taken)
        assert user is not None
        private = world.stand_in.core.create(
            user, {"settings": {"join_before_host": True, "waiting_room": False}}
        )
        private.is_started = True
        with pytest.raises(JoinRefused) as busy:
            world.join(room)
        assert busy.value.code == 3711
        assert await world.provider.condition(room) is Condition.BLOCKED
        await world.provider.give_up(room, reason="busy")
        await world.open(room.name)
        assert world.booking(room).host != taken
        world.join(room)
        await world.provider.tidy(lambda _name: True)
        assert private.id in world.stand_in.core.meetings, "what is not ours stays"
        assert len(world.stand_in.core.meetings) == 2


async def test_a_clean_up_that_fails_is_tried_ever_more_seldom_for_a_week_and_shown() -> None:
    async with zoom_world() as world:
        room = await world.open()
        world.fault("DELETE", "/meetings/", times=10_000, status=400, body={"code": 9_999, "message": "x"})
        with pytest.raises(ProviderRefused):
            await world.provider.close_room(room)
        with pytest.raises(ProviderUnavailable):
            await world.provider.close_room(room)
        assert world.asked("DELETE", "/meetings/") == 1, "not before its time"
        gaps = list[int]()
        for _ in range(12):
            (booking,) = world.book.bookings()
            gaps.append(booking.retry_at - world.clock.now_ms())
            world.pass_by(milliseconds=gaps[-1])
            await world.provider.tidy(lambda _name: False)
        assert gaps == sorted(gaps)
        assert world.provider.leftovers() == 1
        world.pass_by(days=7)
        await world.provider.tidy(lambda _name: False)
        (booking,) = world.book.bookings()
        assert booking.state is BookingState.GIVEN_UP
        assert world.provider.leftovers() == 1
        await world.provider.close_room(room)


@pytest.mark.spec("live-proctoring", 53)
async def test_the_sweep_takes_only_what_carries_our_mark() -> None:
    async with zoom_world() as world:
        room = await world.open()
        user = world.stand_in.core.users["zu1"]
        lost = world.stand_in.core.create(user, {"agenda": f"invigilo:memory:{new_room_name()}"})
        others = world.stand_in.core.create(user, {"agenda": f"invigilo:another:{new_room_name()}"})
        private = world.stand_in.core.create(user, {"agenda": "Lunch"})
        probe = world.stand_in.core.create(user, {"agenda": "invigilo:probe:1234"})
        assert await world.provider.sweep() == 1
        left = set(world.stand_in.core.meetings)
        assert lost.id not in left
        assert {others.id, private.id, probe.id, world.meeting(room).id} == left
        world.pass_by(hours=2)
        assert await world.provider.sweep() == 1, "a test that broke off long ago"
        assert probe.id not in world.stand_in.core.meetings


async def test_rooms_nobody_wants_are_removed() -> None:
    """An exam was deleted with its rooms: their bookings remember the meetings."""
    async with zoom_world(two_hosts(), hosts="host1@example.org host2@example.org") as world:
        kept, forgotten = await world.open(), await world.open()
        await world.provider.tidy(lambda name: name == kept.name)
        assert [m.body["agenda"].rpartition(":")[2] for m in world.stand_in.core.meetings.values()] == [
            kept.name
        ]
        assert [b.room for b in world.book.bookings()] == [kept.name]
        assert forgotten.name != kept.name


async def test_the_host_key_refused_is_said_and_nothing_breaks() -> None:
    async with zoom_world(Seed(zak_refused=True)) as world:
        room = await world.open()
        with pytest.raises(ProviderRefused):
            await world.provider.host_key(room)


async def test_who_is_there_is_asked_only_where_plan_and_scope_allow() -> None:
    async with zoom_world(Seed(plan="business", dashboard=True)) as world:
        room = await world.open()
        joined = world.join(room)
        events = await world.provider.present(room)
        assert events is not None
        assert [(e.kind, e.identity, e.participant) for e in events] == [
            (Presence.JOINED, world.provider.identity_of(room, "17"), joined["participant_uuid"])
        ]
    async with zoom_world(Seed(plan="pro")) as world:
        room = await world.open()
        assert await world.provider.present(room) is None
        asked = world.asked("GET", "/metrics/")
        assert await world.provider.present(room) is None
        assert world.asked("GET", "/metrics/") == asked == 1, "switched off, not asked again"


async def test_no_secret_is_in_an_error_or_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    async with zoom_world() as world:
        room = await world.open()
        key = await world.provider.host_key(room)
        texts = [repr(world.provider._settings), repr(world.booking(room))]
        passcode = world.booking(room).passcode
        world.fault("", "^/v2", times=20, status=400, body={"code": 9_999, "message": "x"})
        for call in (world.provider.host_key(room), world.provider.close_room(room)):
            with pytest.raises(ProviderError) as why:
                await call
            texts.append(why.value.message)
        out = capsys.readouterr()
        said = " ".join(texts) + out.out + out.err
        for secret in (
            "secret-1",
            "sdk-secret-1",
            key,
            passcode,
        ):
            assert secret not in said


async def test_calls_are_paced() -> None:
    users = [User(f"zu{n}", f"host{n}@example.org") for n in range(6)]
    async with zoom_world(Seed(users=users), hosts=" ".join(u.email for u in users), pace="2") as world:
        await asyncio.gather(*(world.open() for _ in range(6)))
        assert sum(world.slept) >= 2.4
        assert world.stand_in.api.rates.refused == 0


async def test_what_is_asked_of_zoom_is_json_of_known_fields() -> None:
    async with zoom_world() as world:
        room = await world.open()
        await world.provider.close_room(room)
        bodies: list[Any] = [one.body for one in world.stand_in.api.log if one.body]
        assert all(json.dumps(body) for body in bodies)
        assert world.stand_in.api.ignored == []
