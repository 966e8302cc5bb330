"""The truth about joining: facts that decay, and a cause for everything that is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invigilo.exams.model import JoinBy
from invigilo.monitoring import truth
from invigilo.monitoring.capability import TABLE, UNKNOWN_CLIENT, capability
from invigilo.monitoring.meeting import PageState
from invigilo.monitoring.model import ConnectionState, OsFamily
from invigilo.monitoring.rules import Severity
from invigilo.monitoring.truth import CAUSES, Evidence, Frames, Joined, Seb, assess

ROOT = Path(__file__).parents[2]
NOW = 1_764_064_800_000
AGO = 3_600_000  # an hour ago: every grace is over

WELL = Evidence(
    now_ms=NOW,
    state=ConnectionState.ACTIVE,
    created_at=NOW - AGO,
    last_ping=NOW - 400,
    config_downloaded_at=NOW - AGO,
    established_at=NOW - AGO,
    capability=capability(OsFamily.WINDOWS, (3, 10, 2)),
    room_number=1,
    room_state="open",
    revision=1,
    confirmed_revision=1,
    placed_at=NOW - AGO,
    link_opened_at=NOW - AGO,
    socket_connected=True,
    socket_connected_at=NOW - AGO,
    socket_heard_at=NOW - 300,
    camera_check="ok",
    microphone_check="ok",
    path_check="ok",
    camera="live",
    microphone="live",
    exam_opened=True,
    media_at=NOW - 2_000,
    last_still_at=NOW - 700,
    turn_configured=True,
)
"""A candidate with whom all is well, seen by stills; nobody watches."""

WATCHED = replace(
    WELL, watchers=1, watched_since=NOW - AGO, peer_states=("connected",), last_frames_at=NOW - 500
)
NO_PICTURE = replace(WELL, last_still_at=None)
NO_PAGE = replace(
    NO_PICTURE,
    link_opened_at=None,
    socket_connected=False,
    socket_connected_at=None,
    socket_heard_at=None,
    media_at=None,
)
LOST = replace(NO_PAGE, link_opened_at=NOW - AGO, socket_connected_at=NOW - AGO, socket_heard_at=NOW - AGO)
VIDEO_FAILS = replace(WATCHED, last_frames_at=None, peer_states=("failed",))
NATIVE = replace(
    NO_PAGE,
    capability=capability(OsFamily.IOS, (3, 5)),
    service="jitsi",
    join_by=JoinBy.NATIVE,
    native_sent_at=NOW - AGO,
    native_confirmed=True,
)
AT_SERVICE = replace(WELL, service="jitsi", meeting="joined")
"""The same candidate where the room is a service's meeting."""
TOO_OLD = capability(OsFamily.WINDOWS, (3, 2))

EXAMPLES = {
    "seb_disabled": replace(WELL, state=ConnectionState.DISABLED),
    "exam_not_running": replace(WELL, exam_running=False),
    "seb_closed_by_candidate": replace(WELL, state=ConnectionState.CLOSED),
    "seb_starting": Evidence(now_ms=NOW, state=ConnectionState.REQUESTED, created_at=NOW - 59_000),
    "seb_never_established": Evidence(now_ms=NOW, state=ConnectionState.REQUESTED, created_at=NOW - 60_000),
    "seb_missing": replace(WELL, last_ping=NOW - 15_000),
    "proctoring_off": replace(WELL, proctoring_enabled=False),
    "client_cannot_join_native": replace(NO_PAGE, capability=TOO_OLD, join_by=JoinBy.NATIVE),
    "client_cannot_open_page": replace(NO_PAGE, capability=TOO_OLD),
    "provider_down": replace(NO_PAGE, room_state="failed", room_reason="timeout"),
    "room_opening": replace(NO_PAGE, room_state="opening"),
    "arriving": replace(NO_PAGE, placed_at=NOW - 19_000),
    "no_place_yet": replace(WELL, room_number=None, room_state=None),
    "native_not_confirmed": replace(NATIVE, native_confirmed=False),
    "native_not_watched": replace(NATIVE, native_present=True),
    "native_not_present": replace(NATIVE, native_present=False),
    "page_asleep": replace(NO_PICTURE, media_at=NOW - 25_000),
    "page_lost_connection": replace(LOST, socket_lost_at=NOW - 19_000),
    "replaced_by_other_tab": replace(LOST, socket_lost_at=NOW - 20_000, replaced=True),
    "page_left": replace(LOST, socket_lost_at=NOW - 20_000),
    "page_cannot_connect": replace(NO_PAGE, link_opened_at=NOW - 30_000),
    "page_not_opened": NO_PAGE,
    "assigned_not_confirmed": replace(WELL, revision=2),
    "candidate_is_moderator": replace(AT_SERVICE, is_moderator=True),
    "meeting_script_failed": replace(AT_SERVICE, meeting="script_failed"),
    "meeting_unreachable": replace(AT_SERVICE, meeting="unreachable"),
    "meeting_refused": replace(AT_SERVICE, meeting="refused"),
    "meeting_locked": replace(AT_SERVICE, meeting="locked"),
    "meeting_full": replace(AT_SERVICE, meeting="full"),
    "meeting_no_host": replace(AT_SERVICE, meeting="no_host"),
    "meeting_outdated": replace(AT_SERVICE, meeting="outdated"),
    "meeting_kicked": replace(AT_SERVICE, meeting="kicked"),
    "meeting_lost": replace(AT_SERVICE, meeting="lost"),
    "meeting_joining": replace(AT_SERVICE, meeting="joining", socket_connected_at=NOW - 19_000),
    "meeting_not_joined": replace(AT_SERVICE, meeting="none"),
    "camera_denied_by_settings": replace(NO_PICTURE, camera="off", camera_check="denied_by_settings"),
    "camera_denied_by_system": replace(NO_PICTURE, camera="off", camera_check="denied_by_system"),
    "no_camera": replace(NO_PICTURE, camera="off", camera_check="no_device"),
    "camera_in_use": replace(NO_PICTURE, camera="off", camera_check="in_use"),
    "camera_failed": replace(NO_PICTURE, camera="off", camera_check="failed"),
    "camera_stopped": replace(NO_PICTURE, camera="ended"),
    "picture_black": replace(WELL, still_kind="black"),
    "picture_frozen": replace(WELL, still_kind="frozen"),
    "self_check_running": replace(
        NO_PICTURE, camera="off", camera_check="pending", socket_connected_at=NOW - 59_000
    ),
    "picture_starting": replace(NO_PICTURE, socket_connected_at=NOW - 4_000),
    "camera_not_allowed_yet": replace(NO_PICTURE, camera="off", camera_check="pending"),
    "ice_failed_no_turn": replace(VIDEO_FAILS, turn_configured=False),
    "ice_failed": VIDEO_FAILS,
    "no_frames_while_watched": replace(VIDEO_FAILS, peer_states=("connected",)),
    "stills_only": replace(WELL, path_check="stills_only"),
    "no_picture": NO_PICTURE,
    "microphone_stopped": replace(WELL, microphone="ended"),
    "microphone_silent": replace(WELL, microphone="silent"),
    "microphone_missing": replace(WELL, microphone_check="no_device"),
    "exam_not_started": replace(WELL, exam_opened=False),
}


@pytest.mark.parametrize("code", [c.code for c in CAUSES])
def test_every_cause_can_be_reached(code):
    assert assess(EXAMPLES[code]).cause == code


def test_codes_are_unique_and_examples_complete():
    assert list(EXAMPLES) == [c.code for c in CAUSES]


def test_all_well_by_stills_and_by_video():
    for well in (WELL, WATCHED, replace(WATCHED, last_still_at=None)):
        seen = assess(well)
        assert (seen.seb, seen.joined, seen.frames) == ("ok", "ok", "ok")
        assert (seen.cause, seen.severity) == (None, "ok")


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        ("seb_missing", ("missing", "ok", "ok")),
        ("seb_closed_by_candidate", ("closed", "none", "ok")),
        ("proctoring_off", ("ok", "none", "ok")),
        ("client_cannot_open_page", ("ok", "none", "none")),
        ("page_not_opened", ("ok", "waiting", "none")),
        ("page_left", ("ok", "left", "none")),
        ("assigned_not_confirmed", ("ok", "waiting", "ok")),
        ("no_camera", ("ok", "ok", "none")),
        ("picture_black", ("ok", "ok", "black")),
        ("picture_frozen", ("ok", "ok", "frozen")),
        ("ice_failed", ("ok", "ok", "stills")),
        ("stills_only", ("ok", "ok", "stills")),
        ("native_not_watched", ("ok", "ok", "none")),
    ],
)
def test_the_three_facts_beside_a_cause(code, facts):
    seen = assess(EXAMPLES[code])
    assert (seen.seb, seen.joined, seen.frames) == facts


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        # pictures that arrive prove the camera, whatever the self-check once said
        (replace(WELL, camera_check="denied_by_system"), None),
        # SEB itself comes before everything that hangs on it
        (replace(NO_PAGE, last_ping=NOW - 60_000), "seb_missing"),
        # an exam that is over explains a SEB that is gone
        (replace(WELL, state=ConnectionState.CLOSED, exam_running=False), "exam_not_running"),
        # a Windows 3.7 never establishes and is live all the same (§8 Q1)
        (replace(WELL, state=ConnectionState.REQUESTED, established_at=None), None),
        # native wished for, not possible: the page is the way in
        (replace(WELL, join_by=JoinBy.NATIVE, service="jitsi"), None),
        (replace(NO_PAGE, join_by=JoinBy.NATIVE, service="jitsi"), "page_not_opened"),
        # a client of unknown version is expected on the page, never by instruction
        (
            replace(NO_PAGE, capability=UNKNOWN_CLIENT, join_by=JoinBy.NATIVE, service="jitsi"),
            "page_not_opened",
        ),
        # confirmed proves delivery, not action (§8 Q15)
        (replace(NATIVE, watchers=1, watched_since=NOW - AGO), "native_not_present"),
        (replace(NATIVE, watchers=1, watched_since=NOW - AGO, last_frames_at=NOW), None),
        # an open socket that says nothing proves nothing
        (replace(NO_PICTURE, socket_heard_at=NOW - 10_000), "page_lost_connection"),
        (replace(NO_PICTURE, visible=False), "page_asleep"),
        (replace(WELL, visible=False), None),
        # one of two proctors gets no path: the other sees the candidate
        (replace(WATCHED, peer_states=("failed", "connected")), None),
        # live video just asked for: give it its time
        (replace(WELL, watchers=1, watched_since=NOW - 4_000, peer_states=("connecting",)), None),
        (replace(WELL, path_check="no_path", turn_configured=False), "ice_failed_no_turn"),
        # the page died in the middle of a call: its video may outlive its socket
        (replace(WATCHED, socket_connected=False, socket_lost_at=NOW - 1_000), "page_lost_connection"),
        # in the meeting a moment ago, and why no picture follows is known already
        (
            replace(
                NO_PICTURE,
                service="jitsi",
                meeting="joined",
                socket_connected_at=NOW - 2_000,
                camera_check="denied_by_system",
            ),
            "camera_denied_by_system",
        ),
        # just given a newer place, which changes nothing about what keeps it out
        (replace(AT_SERVICE, meeting="refused", revision=2, placed_at=NOW - 1_000), "meeting_refused"),
        # a code this server does not know yet
        (replace(NO_PICTURE, camera_check="stolen_by_magpie"), "camera_failed"),
    ],
)
def test_the_likelier_cause_wins(evidence, cause):
    assert assess(evidence).cause == cause


@pytest.mark.parametrize(
    ("evidence", "fact", "lasts_ms", "after"),
    [
        (WELL, "seb", truth.MISSING_AFTER_MS - 400, Seb.MISSING),
        (WELL, "joined", truth.PAGE_PROOF_MS - 300, Joined.LEFT),
        (WELL, "frames", truth.STILL_PROOF_MS - 700, Frames.NONE),
        (replace(WATCHED, last_still_at=None), "frames", truth.VIDEO_PROOF_MS - 500, Frames.NONE),
    ],
)
def test_facts_decay_by_themselves(evidence, fact, lasts_ms, after):
    """A page never shows a value older than its badge says."""
    assert getattr(assess(replace(evidence, now_ms=NOW + lasts_ms - 1)), fact) == "ok"
    assert getattr(assess(replace(evidence, now_ms=NOW + lasts_ms)), fact) is after


def test_video_that_stops_leaves_the_stills():
    seen = assess(replace(WATCHED, last_frames_at=NOW - truth.VIDEO_PROOF_MS))
    assert (seen.frames, seen.cause) == ("stills", "no_frames_while_watched")


def test_a_clock_slightly_ahead_proves_and_one_far_ahead_does_not():
    ahead = replace(WELL, last_ping=NOW + truth.CLOCK_SKEW_MS)
    assert assess(ahead).seb is Seb.OK
    assert assess(replace(ahead, last_ping=NOW + truth.CLOCK_SKEW_MS + 1)).seb is Seb.MISSING


def test_the_times_of_the_last_proofs_are_told():
    seen = assess(WATCHED)
    assert (seen.seb_at, seen.joined_at, seen.frames_at) == (NOW - 400, NOW - 300, NOW - 500)


# --- any evidence at all ---

AGE = st.sampled_from(
    [-AGO, -10_000, -1, 0, 900, 2_999, 3_000, 3_999, 4_000, 5_000, 9_999, 10_000, 15_000, 20_000, 60_000, AGO]
)
TIME = st.none() | AGE.map(lambda age: NOW - age)
CHECK = st.sampled_from(
    ["pending", "ok", "denied_by_settings", "denied_by_system", "no_device", "in_use", "failed", "?"]
)
TRACK = st.sampled_from(["live", "muted", "ended", "off", "?"])
ROWS = [UNKNOWN_CLIENT, *(row for rows in TABLE.values() for _, row in rows)]
FIELDS = {
    "state": st.sampled_from(ConnectionState),
    "created_at": AGE.map(lambda age: NOW - age),
    "last_ping": TIME,
    "exam_bound": st.booleans(),
    "config_downloaded_at": TIME,
    "established_at": TIME,
    "capability": st.sampled_from(ROWS),
    "proctoring_enabled": st.booleans(),
    "exam_running": st.booleans(),
    "service": st.sampled_from(["builtin", "jitsi", "jaas", "zoom", "?"]),
    "join_by": st.sampled_from(JoinBy),
    "room_number": st.none() | st.integers(1, 3),
    "room_state": st.none() | st.sampled_from(["opening", "open", "failed", "closing", "closed", "?"]),
    "revision": st.integers(0, 2),
    "confirmed_revision": st.integers(0, 2),
    "placed_at": TIME,
    "native_sent_at": TIME,
    "native_confirmed": st.booleans(),
    "native_present": st.none() | st.booleans(),
    "link_opened_at": TIME,
    "socket_connected": st.booleans(),
    "socket_connected_at": TIME,
    "socket_heard_at": TIME,
    "socket_lost_at": TIME,
    "replaced": st.booleans(),
    "camera_check": CHECK,
    "microphone_check": CHECK,
    "path_check": st.sampled_from(["pending", "ok", "no_path", "stills_only", "?"]),
    "camera": TRACK,
    "microphone": TRACK,
    "visible": st.booleans(),
    "exam_opened": st.booleans(),
    "media_at": TIME,
    "last_still_at": TIME,
    "still_kind": st.sampled_from(["ok", "black", "frozen", "?"]),
    "watchers": st.integers(0, 2),
    "watched_since": TIME,
    "peer_states": st.lists(
        st.sampled_from(["connecting", "connected", "disconnected", "failed", "closed", "?"]), max_size=3
    ).map(tuple),
    "last_frames_at": TIME,
    "turn_configured": st.booleans(),
}
ANY = st.builds(Evidence, now_ms=st.just(NOW), **FIELDS)
CHANGED = st.builds(
    lambda base, change: replace(base, **change),
    st.sampled_from([WELL, WATCHED, NATIVE, VIDEO_FAILS, *EXAMPLES.values()]),
    st.fixed_dictionaries({}, optional=FIELDS),
)
"""Near the examples: pure chance hardly ever gets past the first rows of the table."""
EVIDENCE = ANY | CHANGED


@settings(max_examples=600)
@given(EVIDENCE)
def test_whatever_is_missing_has_a_cause(evidence):
    seen = assess(evidence)
    assert seen.cause is not None or (seen.seb, seen.joined, seen.frames) == ("ok", "ok", "ok")
    assert (seen.cause is None) == (seen.severity is Severity.OK)


@settings(max_examples=600)
@given(EVIDENCE)
def test_nothing_is_ok_without_fresh_proof(evidence):
    seen = assess(evidence)

    def is_proved(at, span):
        return at is not None and -truth.CLOCK_SKEW_MS <= NOW - at < span

    if seen.seb is Seb.OK:
        assert is_proved(evidence.last_ping, truth.MISSING_AFTER_MS)
    video = is_proved(evidence.last_frames_at, truth.VIDEO_PROOF_MS)
    if seen.frames is Frames.OK:
        assert video or is_proved(evidence.last_still_at, truth.STILL_PROOF_MS)
    elif seen.frames is not Frames.NONE:
        assert is_proved(evidence.last_still_at, truth.STILL_PROOF_MS)
    if seen.joined is Joined.OK:
        by_page = evidence.socket_connected and (
            is_proved(evidence.socket_heard_at, truth.PAGE_PROOF_MS)
            or is_proved(evidence.socket_connected_at, truth.PAGE_PROOF_MS)
        )
        assert by_page or evidence.native_present or video
        assert evidence.room_state == "open"
        assert evidence.confirmed_revision >= evidence.revision


@given(EVIDENCE, st.integers(0, AGO))
def test_waiting_alone_never_makes_anything_ok(evidence, later):
    """Time only takes proofs away (beyond clocks that run ahead)."""
    in_time = all(
        getattr(evidence, name) is None or getattr(evidence, name) <= NOW
        for name in ("last_ping", "socket_heard_at", "socket_connected_at", "last_still_at", "last_frames_at")
    )
    before, after = assess(evidence), assess(replace(evidence, now_ms=NOW + later))
    if not in_time:
        return
    for fact in ("seb", "joined", "frames"):
        if getattr(after, fact) == "ok":
            assert getattr(before, fact) == "ok"


# --- the meeting of a service ---


def test_in_the_room_means_in_the_meeting():
    """A camera page that is there, and not yet in the service's meeting, is in no room."""
    assert assess(AT_SERVICE).joined == "ok"
    assert assess(AT_SERVICE).cause is None
    for state in PageState:
        expected = "ok" if state is PageState.JOINED else "waiting"
        assert assess(replace(AT_SERVICE, meeting=state.value)).joined == expected


def test_our_own_network_path_explains_nothing_about_a_service():
    failing = replace(
        AT_SERVICE, path_check="no_path", watchers=1, watched_since=NOW - AGO, turn_configured=False
    )
    assert assess(failing).cause == "no_frames_while_watched"


# --- the table and its words ---


def catalogue(language: str) -> dict[str, str]:
    path = ROOT / "invigilo" / "web" / "messages" / language / "cause.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_cause_has_a_sentence_and_a_next_step(language):
    words = catalogue(language)
    assert set(words) == {f"cause.{c.code}.{part}" for c in CAUSES for part in ("sentence", "next")}
    for text in words.values():
        assert text == text.strip()
        assert text[-1] == "."
        assert len(text) <= 120, "one short sentence"


def test_the_document_is_the_table():
    words = catalogue("en")
    lines = (ROOT / "docs" / "causes.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert rows == [
        f"| `{c.code}` | {c.severity} | {c.when} | {words[f'cause.{c.code}.sentence']} | {words[f'cause.{c.code}.next']} |"
        for c in CAUSES
    ]
