"""States, names, returning candidates, indicators, events and notifications."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from invigilo.errors import Refused
from invigilo.monitoring import rules
from invigilo.monitoring.model import (
    ClientEvent,
    ConnectionState,
    Device,
    EventType,
    Notification,
    NotificationKind,
)
from invigilo.monitoring.rules import Severity

REQUESTED, READY, ACTIVE = ConnectionState.REQUESTED, ConnectionState.READY, ConnectionState.ACTIVE
CLOSED, DISABLED = ConnectionState.CLOSED, ConnectionState.DISABLED


@pytest.mark.spec("seb-client-api", 28)
@pytest.mark.parametrize(
    ("state", "user_given", "after"),
    [
        (REQUESTED, False, REQUESTED),
        (REQUESTED, True, REQUESTED),
        (READY, False, READY),
        (READY, True, ACTIVE),
        (ACTIVE, False, ACTIVE),
        (ACTIVE, True, ACTIVE),
    ],
)
def test_patch(state, user_given, after):
    assert rules.after_patch(state, user_given=user_given) is after


@pytest.mark.parametrize(
    ("state", "user_known", "after"),
    [
        (REQUESTED, False, READY),
        (REQUESTED, True, ACTIVE),
        (READY, False, READY),
        (READY, True, ACTIVE),
        (ACTIVE, False, ACTIVE),
        (ACTIVE, True, ACTIVE),
    ],
)
def test_put(state, user_known, after):
    assert rules.after_put(state, user_known=user_known) is after


@pytest.mark.parametrize("state", [CLOSED, DISABLED])
def test_a_connection_that_is_over_refuses_every_step(state):
    for step in (
        lambda: rules.after_patch(state, user_given=True),
        lambda: rules.after_put(state, user_known=True),
    ):
        with pytest.raises(Refused) as refused:
            step()
        assert refused.value.code == "connection_closed"


@given(st.lists(st.tuples(st.sampled_from(["patch", "put"]), st.booleans())))
def test_no_order_of_steps_ever_goes_back(steps):
    rank = [REQUESTED, READY, ACTIVE].index
    state = REQUESTED
    for step, user in steps:
        after = (
            rules.after_patch(state, user_given=user)
            if step == "patch"
            else rules.after_put(state, user_known=user)
        )
        assert rank(after) >= rank(state)
        state = after


@pytest.mark.parametrize(
    ("state", "missing", "may"),
    [
        (REQUESTED, True, True),
        (READY, True, True),
        (ACTIVE, True, True),
        (ACTIVE, False, False),
        (CLOSED, True, True),
        (CLOSED, False, True),
        (DISABLED, True, False),
    ],
)
def test_only_what_is_lost_or_gone_can_be_disabled(state, missing, may):
    assert rules.may_disable(state, missing=missing) is may


def test_refusing_to_disable_says_why():
    with pytest.raises(Refused) as alive:
        rules.refuse_disabling(ACTIVE, missing=False)
    with pytest.raises(Refused) as again:
        rules.refuse_disabling(DISABLED, missing=True)
    assert (alive.value.code, again.value.code) == ("still_alive", "connection_closed")
    rules.refuse_disabling(CLOSED, missing=False)


@pytest.mark.parametrize(
    ("state", "bound", "downloaded", "live"),
    [
        (REQUESTED, True, True, True),
        (REQUESTED, True, False, False),
        (REQUESTED, False, True, False),
        (READY, True, False, True),
        (ACTIVE, True, False, True),
        (ACTIVE, False, True, False),
        (CLOSED, True, True, False),
        (DISABLED, True, True, False),
    ],
)
def test_a_client_is_live_once_it_has_the_exam(state, bound, downloaded, live):
    """Q1: old clients stay requested for the whole exam."""
    assert rules.is_live(state, exam_bound=bound, config_downloaded=downloaded) is live


@pytest.mark.parametrize(
    ("user", "account", "machine", "address", "name"),
    [
        ("Zoë", "zk", "LAB-07", "10.0.0.7", "Zoë"),
        (None, "zk", "LAB-07", "10.0.0.7", "zk"),
        ("  ", None, "LAB-07", "10.0.0.7", "LAB-07"),
        (None, None, None, "10.0.0.7", "10.0.0.7"),
        (None, "mobile", "Zoë’s iPad", "10.0.0.7", "Zoë’s iPad"),
        (None, "mobile", None, None, "mobile"),
        (None, None, None, None, ""),
    ],
)
def test_a_placeholder_stands_in_until_the_user_is_known(user, account, machine, address, name):
    shown = rules.display_name(
        user_session_id=user, account_name=account, machine_name=machine, address=address
    )
    assert shown == name


@dataclass(frozen=True)
class Who:
    exam_id: int | None = 1
    user_session_id: str | None = None
    device: Device = field(default_factory=Device)


LAB = Device("zk", "LAB-07", "Windows 11, Microsoft Windows NT 10.0", "3.8.0")
IPAD = Device("mobile", "iPad", "iPad (iPadOS 17.5)", "3.4")


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize(
    ("old", "new", "when_missing", "when_alive"),
    [
        (Who(user_session_id="7"), Who(user_session_id="7", device=LAB), True, True),
        (Who(user_session_id="7 | 6"), Who(user_session_id="7"), True, True),
        (Who(user_session_id="7"), Who(exam_id=2, user_session_id="7"), False, False),
        (Who(exam_id=None, user_session_id="7"), Who(exam_id=None, user_session_id="7"), False, False),
        (Who(device=LAB), Who(device=LAB), True, False),
        (Who(user_session_id="7", device=LAB), Who(device=LAB), True, False),
        (Who(user_session_id="7", device=LAB), Who(user_session_id="8", device=LAB), False, False),
        (Who(device=IPAD), Who(device=IPAD), False, False),
        (Who(), Who(), False, False),
        (Who(device=LAB), Who(device=Device("zk", "LAB-08", LAB.os_name)), False, False),
        (Who(device=LAB), Who(device=Device("zk", "LAB-07", "macOS Version 14.5")), False, False),
        (Who(device=LAB), Who(device=Device("zk", "LAB-07", "Windows 10")), True, False),
    ],
)
def test_who_counts_as_the_same_candidate_come_back(old, new, when_missing, when_alive, missing):
    expected = when_missing if missing else when_alive
    assert rules.same_candidate(old, new, old_is_missing=missing) is expected


@pytest.mark.spec("seb-client-api", 33)
def test_a_signature_key_is_read_with_connection_token_and_salt():
    token, salt, iv = "some-connection", "00ff10ab00ff10ab", bytes(range(16))
    key = hashlib.pbkdf2_hmac("sha1", token.encode(), bytes.fromhex(salt), 1024, 32)
    sealed = (iv + AESGCM(key).encrypt(iv, b"signature", None)).hex()
    expected = hashlib.sha256(b"signature").hexdigest()
    assert rules.decrypt_signature_key(sealed, connection_token=token, salt=salt) == expected
    assert rules.decrypt_signature_key(sealed, connection_token="another", salt=salt) is None


@given(st.text())
def test_a_signature_key_that_is_no_key_is_none(text):
    assert rules.decrypt_signature_key(text, connection_token="t", salt="00ff") is None


@pytest.mark.spec("seb-client-api", 59)
@pytest.mark.parametrize(
    ("age", "severity", "missing"),
    [
        (0, Severity.OK, False),
        (4_999, Severity.OK, False),
        (5_000, Severity.INFO, False),
        (10_000, Severity.WARNING, False),
        (14_999, Severity.WARNING, False),
        (15_000, Severity.PROBLEM, True),
    ],
)
def test_pings_grow_worse_and_are_missing_from_15_seconds(age, severity, missing):
    assert rules.ping_severity(age) is severity
    assert rules.is_missing(1_000_000, 1_000_000 + age) is missing


def test_never_pinged_is_missing():
    assert rules.is_missing(None, 5)
    assert rules.ping_severity(None) is Severity.PROBLEM


@pytest.mark.parametrize(
    ("percent", "severity"),
    [
        (100, "ok"),
        (31, "ok"),
        (30, "info"),
        (20, "warning"),
        (10.5, "warning"),
        (10, "problem"),
        (0, "problem"),
        (None, "ok"),
    ],
)
def test_low_battery_grows_worse(percent, severity):
    assert rules.battery_severity(percent) == severity


@pytest.mark.spec("seb-client-api", 52)
@pytest.mark.parametrize(
    ("percent", "connected", "severity"),
    [
        (74, True, "ok"),
        (40, True, "info"),
        (25, True, "warning"),
        (10, True, "problem"),
        (None, False, "ok"),
        (None, None, "ok"),
    ],
)
def test_weak_wlan_grows_worse_and_no_wlan_is_no_alarm(percent, connected, severity):
    assert rules.wlan_severity(percent, connected=connected) == severity


@pytest.mark.parametrize(
    ("text", "tag", "rest"),
    [
        ("<battery> Discharging at 81%", "battery", "Discharging at 81%"),
        ("<wlan> not connected", "wlan", "not connected"),
        ("<raisehand>", "raisehand", ""),
        ("<raisehand>  two blanks", "raisehand", " two blanks"),
        ("<lockscreen>x", "lockscreen", "x"),
        (" <battery> 1", None, " <battery> 1"),
        ("my <battery> 1", None, "my <battery> 1"),
        ("<script> 1", None, "<script> 1"),
        ("<battery", None, "<battery"),
        ("", None, ""),
    ],
)
def test_a_tag_counts_only_at_the_very_start(text, tag, rest):
    assert rules.split_tag(text) == (tag, rest)


@pytest.mark.spec("seb-client-api", 51)
@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        ("👩‍🔬", ""),
        ("👍🏽", ""),
        ("e\u0301", ""),
        ("🇨🇭", ""),
        ("ab", "a"),
    ],
)
def test_a_cut_goes_through_no_emoji(tail, kept):
    text = "x" * 511 + tail + "more"
    assert rules.cut_text(text) == "x" * 511 + kept


def test_flags_are_cut_between_flags():
    assert rules.cut_text("🇨🇭" * 4, limit=5) == "🇨🇭" * 2


def test_halves_of_surrogate_pairs_and_nul_become_storable():
    assert rules.cut_text("a\ud83d\ude00b\ud83dc\0") == "a😀b�c�"


def test_one_endless_heap_of_accents_is_cut_all_the_same():
    assert len(rules.cut_text("e" + "\u0301" * 10_000)) == 512


@given(st.text(st.characters(exclude_categories=[]), max_size=80), st.integers(1, 40))
def test_cut_text_is_always_storable_and_short(text, limit):
    cut = rules.cut_text(text, limit)
    cut.encode()
    assert len(cut) <= limit
    assert "\0" not in cut
    assert rules.cut_text(cut, limit) == cut


def event(
    number: float | None, text: str = "<raisehand> Help", type_: EventType = EventType.NOTIFICATION
) -> ClientEvent:
    return ClientEvent(17, type_, 1_000, None, number, text)


def settle(number: float | None) -> ClientEvent:
    return event(number, "", EventType.NOTIFICATION_CONFIRMED)


@pytest.mark.spec("seb-client-api", 53)
def test_the_same_number_again_is_the_same_hand():
    once = rules.after_notification_event({}, event(3))
    assert dict(once) == {3: Notification(17, 3, NotificationKind.RAISE_HAND, "Help", 1_000)}
    assert rules.after_notification_event(once, event(3, "<raisehand> Other")) is once


@pytest.mark.spec("seb-client-api", 54)
def test_settling_goes_by_number_and_unknown_numbers_are_ignored():
    both = rules.after_notification_event(
        rules.after_notification_event({}, event(1)), event(2, "<lockscreen> locked")
    )
    assert rules.after_notification_event(both, settle(9)) is both
    left = rules.after_notification_event(both, settle(1))
    assert [n.kind for n in left.values()] == [NotificationKind.LOCK_SCREEN]


def test_a_settled_number_opens_a_new_one():
    """Q24: Windows counts from 1 again."""
    closed = rules.after_notification_event(rules.after_notification_event({}, event(1)), settle(1))
    again = rules.after_notification_event(closed, event(1, "<raisehand> again"))
    assert again[1].text == "again"


@pytest.mark.parametrize("number", [None, float("nan"), float("inf"), -1.0, 1e300])
def test_a_notification_without_a_usable_number_changes_nothing(number):
    before = dict(rules.after_notification_event({}, event(1)))
    assert rules.after_notification_event(before, event(number)) is before
    assert rules.after_notification_event(before, settle(number)) is before


def test_only_hands_and_locks_open_anything():
    assert rules.after_notification_event({}, event(1, "<battery> 5")) == {}
    assert rules.after_notification_event({}, event(1, type_=EventType.INFO_LOG)) == {}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4))))
def test_open_notifications_are_a_set_of_numbers(steps):
    """Whatever comes in whatever order: open is what was opened and not settled since."""
    now, model = {}, set()
    for opens, number in steps:
        now = rules.after_notification_event(now, event(number) if opens else settle(number))
        (model.add if opens else model.discard)(number)
    assert set(now) == model
