"""What each SEB release can do, row by row of the specification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invigilo.monitoring.capability import (
    TABLE,
    UNKNOWN_CLIENT,
    Confirms,
    UrlForm,
    capability,
    capability_of,
    os_family,
    parse_version,
)
from invigilo.monitoring.model import InstructionType, OsFamily

W, M, I, U = OsFamily.WINDOWS, OsFamily.MACOS, OsFamily.IOS, OsFamily.UNKNOWN  # noqa: E741


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)", W),
        ("Win 10", W),
        ("macOS Version 14.5 (Build 23F79)", M),
        ("iPad (iPadOS 17.5)", I),
        ("iPhone (iOS 16.1)", I),
        ("Mac OS X 10.15", M),
        ("Darwin Kernel 23.5", U),
        ("Ubuntu 24.04", U),
        ("", U),
        (None, U),
    ],
)
def test_the_system_is_read_from_the_handshake_text(text, family):
    assert os_family(text) is family


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.10.2", (3, 10, 2)),
        ("3.7", (3, 7)),
        ("1.0.0.0", (1, 0, 0, 0)),
        ("3.7.1 (x64)", (3, 7, 1)),
        (" 3.8.0.742", (3, 8, 0, 742)),
        ("3.6b2", (3, 6)),
        ("Safe Exam Browser", None),
        ("3", None),
        ("3.", None),
        ("3.1.2.3.4", None),
        ("٣.٧", None),
        ("", None),
        (None, None),
    ],
)
def test_versions_are_read_or_are_unknown(text, version):
    assert parse_version(text) == version


@given(st.text(), st.text())
def test_no_handshake_text_breaks_the_lookup(os_name, version):
    capability_of(os_name, version)


# seb-client-api.md §4.2, one row per client release; the columns follow it:
# jitsi, zoom, screen proctoring, lock screen, settles hand, settles lock, sends hands, reconfigure jitsi, ... zoom
ROWS = [
    (W, (3, 1), "- - - - - - - - -"),
    (W, (3, 2, 0), "j - - - - - - r -"),
    (W, (3, 3, 0), "j z - - - - - r q"),
    (W, (3, 3, 1), "j z - - h - n r q"),
    (W, (3, 3, 2), "j z - - h - n r q"),
    (W, (3, 4, 1), "j z - - h - n r q"),
    (W, (3, 5, 0), "j z - l h k n r q"),
    (W, (3, 6, 1), "j - - l h k n r -"),
    (W, (3, 7, 1), "- - s l h k n - -"),
    (W, (3, 8, 0), "- - s l h k n - -"),
    (W, (3, 10, 2), "- - s l h k n - -"),
    (M, (3, 0), "- - - - - - - - -"),
    (M, (3, 1), "- - - - h k n - -"),
    (M, (3, 2, 3), "- - - - h k n - -"),
    (M, (3, 2, 4), "- - - l h k n - -"),
    (M, (3, 3), "- - - l h k n - -"),
    (M, (3, 4), "- - s l h k n - -"),
    (M, (3, 7), "- - s l h k n - -"),
    (I, (3, 0), "j - - - - - - r -"),
    (I, (3, 1), "j - - - h k n r -"),
    (I, (3, 3, 2), "j - - - h k n r -"),
    (I, (3, 3, 3), "j - - l h k n r -"),
    (I, (3, 4), "j - s l h k n r -"),
    (I, (3, 7), "j - s l h k n r -"),
]


@pytest.mark.parametrize(("family", "version", "row"), ROWS)
def test_what_a_release_acts_on(family, version, row):
    c = capability(family, version)
    marks = [
        ("j", c.join_jitsi),
        ("z", c.join_zoom),
        ("s", c.screen_proctoring),
        ("l", c.lock_screen),
        ("h", c.settles_hand),
        ("k", c.settles_lock),
        ("n", c.raise_hand),
        ("r", c.reconfigure_jitsi),
        ("q", c.reconfigure_zoom),
    ]
    assert " ".join(letter if can else "-" for letter, can in marks) == row
    assert c.is_known


@pytest.mark.parametrize(
    ("family", "version", "can"),
    [
        (W, (3, 2, 0), False),
        (W, (3, 3, 0), True),
        (W, (3, 10, 0), True),
        (M, (3, 1), False),
        (M, (3, 1, 1), True),
        (I, (3, 1, 1), True),
    ],
)
def test_web_pages_get_the_camera_from_these_versions_on(family, version, can):
    """seb-settings.md §3: Windows since 3.3, Apple with a key known since 3.1.1."""
    assert capability(family, version).can_camera_page is can


@pytest.mark.parametrize(
    ("family", "version", "confirms"),
    [
        (W, (3, 1), Confirms.NOTHING),
        (W, (3, 2), Confirms.EVERYTHING),
        (W, (3, 10), Confirms.EVERYTHING),
        (M, (3, 3), Confirms.NOTHING),
        (M, (3, 4), Confirms.SCREEN_PROCTORING),
        (I, (3, 2), Confirms.PROCTORING_AND_RECONFIGURE),
    ],
)
def test_who_confirms_what(family, version, confirms):
    assert capability(family, version).confirms is confirms


def test_windows_gets_a_host_and_ios_a_full_url():
    """Q16."""
    assert capability(W, (3, 5)).jitsi_url_form is UrlForm.HOST
    assert capability(I, (3, 5)).jitsi_url_form is UrlForm.FULL_URL
    assert capability(M, (3, 5)).jitsi_url_form is None


@pytest.mark.parametrize(
    ("family", "version", "is_join"),
    [(W, (3, 6), True), (W, (3, 7), False), (I, (3, 7), True), (M, (3, 7), False)],
)
def test_leave_is_a_join_for_old_windows_and_ios(family, version, is_join):
    """Q18."""
    assert capability(family, version).leave_is_join is is_join


def test_mac_is_locked_out_by_meeting_switches_ios_by_zoom_alone():
    """Q20 and §4.6."""
    mac, ios = capability(M, (3, 6)), capability(I, (3, 6))
    assert (mac.locked_out_by_jitsi, mac.locked_out_by_zoom) == (True, True)
    assert (ios.locked_out_by_jitsi, ios.locked_out_by_zoom) == (False, True)


@pytest.mark.parametrize("version", [None, (1, 0, 0, 0), (2, 4), (0, 1)])
@pytest.mark.parametrize("family", list(OsFamily))
def test_an_unknown_client_is_sent_nothing_but_quit(family, version):
    """Q17: unknown version, do not send. A local build says 1.0.0.0."""
    c = capability(family, version)
    assert c is UNKNOWN_CLIENT
    assert [t for t in InstructionType if c.may_be_sent(t)] == [InstructionType.QUIT]
    assert c.can_camera_page


@pytest.mark.spec("seb-client-api", 47)
@given(st.sampled_from(OsFamily), st.tuples(st.integers(0, 5), st.integers(0, 20), st.integers(0, 20)))
def test_no_instruction_goes_where_it_does_harm(family, version):
    c = capability(family, version)
    if c.join_jitsi or c.reconfigure_jitsi:
        assert family is I or (family is W and (3, 2) <= version < (3, 7))
        assert c.jitsi_url_form is not None
    if c.join_zoom or c.reconfigure_zoom:
        assert family is W
        assert (3, 3) <= version < (3, 6)
    if c.screen_proctoring:
        assert version >= ((3, 7) if family is W else (3, 4))


def test_the_table_is_newest_first():
    for rows in TABLE.values():
        versions = [since for since, _ in rows]
        assert versions == sorted(versions, reverse=True)


def test_a_release_newer_than_the_table_is_the_newest_known():
    assert capability(W, (4, 1)) == capability(W, (3, 10))
