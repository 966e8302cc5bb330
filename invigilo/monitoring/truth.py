"""The truth about one candidate: three facts, and the likeliest reason why one is missing.

*SEB alive*, *in the room*, *frames arriving* are independent facts, each with the time it was last proved. A
fact holds only while its proof is fresh: what nobody has proved lately is not shown as ok, whatever was true
before. When something is missing, `CAUSES` is read from the top, most specific first, and the first row that
fits names the cause; the sentence and the next step for the proctor are in the message catalogue, and
`docs/causes.md` shows it all in one table.

Everything here is a pure function of `Evidence`: no clock, no memory. Ask again every second and the facts
decay by themselves. (architecture §5; rows of the monitoring page: docs/protocol.md.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from invigilo.exams.model import JoinBy
from invigilo.monitoring.capability import UNKNOWN_CLIENT, Capability
from invigilo.monitoring.meeting import PageState
from invigilo.monitoring.model import ConnectionState
from invigilo.monitoring.rules import MISSING_AFTER_MS, Severity, is_live

PAGE_PROOF_MS = 10_000
"""A camera page pings every 3 s; three missed ones and it is not there, even if its socket is still open."""
VIDEO_PROOF_MS = 2_500
"""A proctor's page reports decoded frames once a second. Short, so that a lost network shows on the wall within five."""
STILL_PROOF_MS = 3_500
"""A camera page sends a still once a second."""
MEDIA_PROOF_MS = 25_000
"""A camera page says what it sends every 10 s; two missed reports and its scripts are asleep."""
CLOCK_SKEW_MS = 5_000
"""A proof may come from another node's clock, this much ahead; one further in the future proves nothing."""

STARTING_MS = 60_000
"""From connecting to the first ping with an exam: settings are loaded, processes started meanwhile."""
ARRIVAL_MS = 20_000
"""From having a place to the camera page being there, before anybody should worry."""
SELF_CHECK_MS = 60_000
"""For reading the notice and answering the system's question for the camera."""
PICTURE_START_MS = 5_000
"""From the page's arrival to its first still."""
VIDEO_START_MS = 5_000
"""From asking for live video to the first decoded frame."""
MEETING_JOIN_MS = 20_000
"""From the page's arrival, or a new place, until it is in the service's meeting."""
COMES_BACK_MS = 20_000
"""A page that lost its connection comes back by itself within this time, or it has been left."""


class Seb(StrEnum):
    OK = "ok"
    MISSING = "missing"
    CLOSED = "closed"


class Joined(StrEnum):
    OK = "ok"
    WAITING = "waiting"
    """Expected, not there yet."""
    LEFT = "left"
    """Was there."""
    NONE = "none"
    """Cannot, or need not."""


class Frames(StrEnum):
    OK = "ok"
    """Live video, or fresh stills while nobody asked for video."""
    STILLS = "stills"
    """Only stills arrive though live video was tried."""
    BLACK = "black"
    FROZEN = "frozen"
    NONE = "none"


class WayIn(StrEnum):
    """How this client gets into a room of this exam."""

    PAGE = "page"
    NATIVE = "native"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All the server knows of one connection. Times are ms since the epoch by our clock; None means never."""

    now_ms: int
    state: ConnectionState
    created_at: int = 0
    """When the handshake began."""
    last_ping: int | None = None
    exam_bound: bool = True
    """The client has chosen its exam."""
    config_downloaded_at: int | None = None
    established_at: int | None = None
    """Older clients never establish; `rules.is_live` knows."""
    capability: Capability = UNKNOWN_CLIENT

    proctoring_enabled: bool = True
    exam_running: bool = True
    service: str = "builtin"
    """Value of `exams.model.Service`."""
    join_by: JoinBy = JoinBy.PAGE
    provider_can: bool = False
    """The meeting service lets clients be called in by instruction, whatever it is called."""

    room_number: int | None = None
    """The desired place; None while there is none."""
    room_state: str | None = None
    """Value of `proctoring.model.RoomState`."""
    room_reason: str | None = None
    """Why the room could not be opened, in the provider's words."""
    revision: int = 0
    confirmed_revision: int = 0
    """What the client says it acts on; behind `revision` while a newer wish is under way."""
    placed_at: int | None = None
    """When the present revision was wished for; None when not known, which counts as long ago."""

    native_sent_at: int | None = None
    """When the join instruction was last delivered with a ping."""
    native_confirmed: bool = False
    """The client confirmed it. Proves delivery only (seb-client-api.md §8 Q15)."""
    native_present: bool | None = None
    """The meeting service says the client is in the meeting; None: it cannot say."""

    meeting: str | None = None
    """What the camera page says of its way into the service's meeting (`meeting.PageState`); None: built-in rooms."""
    is_moderator: bool = False
    """The candidate has a moderator's rights in the meeting, as the service or a proctor's page says."""

    link_opened_at: int | None = None
    """The entry link was first requested."""
    socket_connected: bool = False
    socket_connected_at: int | None = None
    socket_heard_at: int | None = None
    """Anything at all arrived on the page's socket."""
    socket_lost_at: int | None = None
    replaced: bool = False
    """Another tab of the same link has taken over once."""
    camera_check: str = "pending"
    """Self-check codes of docs/protocol.md; unknown ones count as `failed`."""
    microphone_check: str = "pending"
    path_check: str = "pending"
    camera: str = "off"
    """What the page says it sends: `live`, `muted`, `ended`, `off`."""
    microphone: str = "off"
    """The same; `silent` when it is on and nothing at all is heard."""
    visible: bool = True
    """False: the page is hidden; normal while stills come, for the exam's window lies on top."""
    exam_opened: bool = False
    media_at: int | None = None
    """When the page last said what it sends."""

    last_still_at: int | None = None
    still_kind: str = "ok"
    """The server's own look at the stills: `ok`, `black`, `frozen`."""
    watchers: int = 0
    """Proctors who want this candidate's live video now."""
    watched_since: int | None = None
    peer_states: tuple[str, ...] = ()
    """The page's view of its peer connections, one per watching proctor."""
    last_frames_at: int | None = None
    """A proctor's page decoded a frame of live video: the only proof that video arrives. In a service's meeting, whose
    frames are not ours to count, its program there shows the candidate with the camera on."""
    turn_configured: bool = False
    """The server hands out a TURN server."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a row of the monitoring page says, with the times of the last proofs; `cause` is a code."""

    seb: Seb
    joined: Joined
    frames: Frames
    cause: str | None
    severity: Severity
    seb_at: int | None = None
    joined_at: int | None = None
    frames_at: int | None = None


def assess(evidence: Evidence) -> Truth:
    """Name the state of one connection. Never raises; `cause` is None only when nothing is missing."""
    case = _look_at(evidence)
    cause = next((c for c in CAUSES if c.fits(case)), None)
    return Truth(
        seb=case.seb,
        joined=case.joined,
        frames=case.frames,
        cause=None if cause is None else cause.code,
        severity=Severity.OK if cause is None else cause.severity,
        seb_at=evidence.last_ping,
        joined_at=_joined_at(evidence),
        frames_at=_latest(evidence.last_frames_at, evidence.last_still_at),
    )


def next_doubt(
    now: int,
    *,
    last_ping: int | None,
    last_still_at: int | None,
    last_frames_at: int | None,
    socket_heard_at: int | None,
) -> int | None:
    """When the next of these proofs stops proving anything; None when all have, or none was."""
    proofs = (
        (last_ping, MISSING_AFTER_MS),
        (last_still_at, STILL_PROOF_MS),
        (last_frames_at, VIDEO_PROOF_MS),
        (socket_heard_at, PAGE_PROOF_MS),
    )
    return min((at + span for at, span in proofs if at is not None and at + span > now), default=None)


def way_in(*, capability: Capability, join_by: JoinBy, service: str, provider_can: bool = False) -> WayIn:
    """The client's own meeting program where the exam asks for it and it can, else our page, else none."""
    if join_by is JoinBy.NATIVE:
        is_offered = provider_can or service in {"jitsi", "jaas", "zoom"}
        can_join = is_offered and (capability.join_zoom if service == "zoom" else capability.join_jitsi)
        if can_join:
            return WayIn.NATIVE
    return WayIn.PAGE if capability.can_camera_page else WayIn.NONE


# --- from evidence to the three facts ---


@dataclass(frozen=True, slots=True)
class Case:
    """Evidence weighed: the three facts, and what the conditions of `CAUSES` share."""

    e: Evidence
    seb: Seb
    joined: Joined
    frames: Frames
    way_in: WayIn
    is_live: bool
    page_there: bool
    video_fresh: bool
    still_fresh: bool
    peers: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def by_page(self) -> bool:
        return self.way_in is WayIn.PAGE

    @property
    def enters_meeting(self) -> bool:
        """The camera page is there, and its next step is the service's meeting."""
        return self.by_page and self.page_there and self.e.meeting is not None

    @property
    def no_picture(self) -> bool:
        return self.frames is Frames.NONE

    @property
    def page_not_there(self) -> bool:
        return self.by_page and not self.page_there

    @property
    def video_is_due(self) -> bool:
        """Live video was asked for long enough ago and does not arrive."""
        return _video_is_due(self.e) and not self.video_fresh

    @property
    def ice_failed(self) -> bool:
        """No path for live video: every peer connection failed, or the self-check found none. In a service's meeting
        the path is the service's.
        """
        if self.e.meeting is not None:
            return False
        only_failed = "failed" in self.peers and not self.peers & {"connected", "connecting"}
        return not self.video_fresh and (
            only_failed or (self.e.path_check == "no_path" and "connected" not in self.peers)
        )

    def within(self, since: int | None, span_ms: int) -> bool:
        return _is_fresh(since, self.e.now_ms, span_ms)


def _look_at(e: Evidence) -> Case:
    way = way_in(capability=e.capability, join_by=e.join_by, service=e.service, provider_can=e.provider_can)
    seb = _seb(e)
    live = is_live(e.state, exam_bound=e.exam_bound, config_downloaded=e.config_downloaded_at is not None)
    is_heard = any(
        _is_fresh(at, e.now_ms, PAGE_PROOF_MS) for at in (e.socket_heard_at, e.socket_connected_at)
    )
    page_there = e.socket_connected and is_heard
    video_fresh = _is_fresh(e.last_frames_at, e.now_ms, VIDEO_PROOF_MS)
    still_fresh = _is_fresh(e.last_still_at, e.now_ms, STILL_PROOF_MS)
    return Case(
        e=e,
        seb=seb,
        joined=_joined(
            e,
            way,
            page_there=page_there,
            is_wanted=e.proctoring_enabled and e.exam_running and e.state.is_open,
        ),
        frames=_frames(e, video_fresh=video_fresh, still_fresh=still_fresh),
        way_in=way,
        is_live=live,
        page_there=page_there,
        video_fresh=video_fresh,
        still_fresh=still_fresh,
        peers=frozenset(e.peer_states),
    )


def _seb(e: Evidence) -> Seb:
    if not e.state.is_open:
        return Seb.CLOSED
    return Seb.OK if _is_fresh(e.last_ping, e.now_ms, MISSING_AFTER_MS) else Seb.MISSING


def _joined(e: Evidence, way: WayIn, *, page_there: bool, is_wanted: bool) -> Joined:
    if not is_wanted or way is WayIn.NONE:
        return Joined.NONE
    placed = e.room_number is not None and e.room_state == "open" and e.confirmed_revision >= e.revision
    if way is WayIn.NATIVE:
        seen = e.native_present or _is_fresh(e.last_frames_at, e.now_ms, VIDEO_PROOF_MS)
        if seen:
            return Joined.OK if placed else Joined.WAITING
        return Joined.LEFT if e.native_present is False and e.last_frames_at is not None else Joined.WAITING
    if page_there:
        is_in = e.meeting in {None, PageState.JOINED}
        return Joined.OK if placed and is_in else Joined.WAITING
    was_there = e.socket_connected or e.socket_connected_at is not None or e.socket_lost_at is not None
    return Joined.LEFT if was_there else Joined.WAITING


def _frames(e: Evidence, *, video_fresh: bool, still_fresh: bool) -> Frames:
    if still_fresh and e.still_kind in {"black", "frozen"}:
        return Frames(e.still_kind)  # whatever way it came, there is nothing to see on it
    if video_fresh:
        return Frames.OK
    if not still_fresh:
        return Frames.NONE
    tried = _video_is_due(e) or e.path_check in {"no_path", "stills_only"}
    return Frames.STILLS if tried else Frames.OK


def _video_is_due(e: Evidence) -> bool:
    """Watched long enough by somebody, with a page there to be watched."""
    since = _latest(e.watched_since, e.socket_connected_at)
    return e.watchers > 0 and not _is_fresh(since, e.now_ms, VIDEO_START_MS)


def _joined_at(e: Evidence) -> int | None:
    if e.socket_heard_at is None and e.socket_connected_at is None:
        return e.last_frames_at
    return _latest(e.socket_heard_at, e.socket_connected_at)


def _is_fresh(at: int | None, now: int, span_ms: int) -> bool:
    return at is not None and -CLOCK_SKEW_MS <= now - at < span_ms


def _latest(*times: int | None) -> int | None:
    return max((t for t in times if t is not None), default=None)


# --- the causes ---


@dataclass(frozen=True, slots=True)
class Cause:
    """One row: `when` is the condition in words, for docs/causes.md; `fits` is the same in code."""

    code: str
    severity: Severity
    when: str
    fits: Callable[[Case], bool]


def _is_starting(c: Case) -> bool:
    e = c.e
    begun = _latest(e.created_at, e.config_downloaded_at, e.established_at)
    never_heard_of_exam = c.seb is Seb.MISSING and e.last_ping is None
    return (never_heard_of_exam or not c.is_live) and e.state.is_open and c.within(begun, STARTING_MS)


_ON_THE_WAY = frozenset({PageState.NONE, PageState.JOINING, PageState.JOINED})


def _is_arriving(c: Case) -> bool:
    e = c.e
    since = _latest(e.config_downloaded_at, e.established_at, e.placed_at)
    if c.enters_meeting and e.meeting not in _ON_THE_WAY:
        return False  # what keeps it out is known, so nobody need wait for it to pass
    return c.joined is Joined.WAITING and e.room_state != "failed" and c.within(since, ARRIVAL_MS)


def _native_unconfirmed(c: Case) -> bool:
    e = c.e
    return c.way_in is WayIn.NATIVE and (not e.native_confirmed or e.confirmed_revision < e.revision)


def _camera_check_failed(*codes: str) -> Callable[[Case], bool]:
    """A result of the self-check explains a missing picture only while no picture has come since."""
    return lambda c: c.by_page and c.no_picture and c.e.camera_check in codes


def _camera_failed(c: Case) -> bool:
    return c.by_page and c.no_picture and c.e.camera_check not in {"ok", "pending"}


def _camera_stopped(c: Case) -> bool:
    e = c.e
    told = e.media_at is not None and e.camera in {"ended", "muted", "off"}
    seen_before = e.camera_check == "ok" or e.last_still_at is not None
    return c.by_page and told and seen_before and c.frames in {Frames.NONE, Frames.BLACK, Frames.FROZEN}


def _page_asleep(c: Case) -> bool:
    """Hidden alone is normal: the exam's window lies on top. Hidden and sending nothing is not."""
    e = c.e
    if not (c.by_page and c.no_picture and e.socket_connected) or e.camera_check not in {"ok", "pending"}:
        return False
    is_silent = not c.within(_latest(e.media_at, e.socket_connected_at), MEDIA_PROOF_MS)
    is_throttled = (
        not e.visible and e.camera == "live" and not c.within(e.socket_connected_at, PICTURE_START_MS)
    )
    return is_throttled or (c.page_there and is_silent)


def _picture_starting(c: Case) -> bool:
    begun = c.e.socket_connected_at if c.by_page else c.e.watched_since
    return c.no_picture and c.within(begun, PICTURE_START_MS)


def _self_check_running(c: Case) -> bool:
    e = c.e
    unseen = c.no_picture and e.camera_check == "pending"
    return c.by_page and unseen and c.within(e.socket_connected_at, SELF_CHECK_MS)


def _meeting(*states: PageState) -> Callable[[Case], bool]:
    """The camera page says this of its way into the service's meeting."""
    return lambda c: c.enters_meeting and c.e.meeting in states


def _meeting_joining(c: Case) -> bool:
    e = c.e
    since = _latest(e.socket_connected_at, e.placed_at)
    may_come = c.no_picture and e.camera_check in {"ok", "pending"}  # else why there is none is known
    is_under_way = e.meeting in _ON_THE_WAY and (e.meeting != PageState.JOINED or may_come)
    return c.enters_meeting and is_under_way and c.within(since, MEETING_JOIN_MS)


def _microphone_missing(c: Case) -> bool:
    return c.by_page and c.e.microphone_check not in {"ok", "pending"}


def _microphone(*states: str) -> Callable[[Case], bool]:
    """It passed the self-check, and now the page says this of it."""

    def fits(c: Case) -> bool:
        e = c.e
        told = e.media_at is not None and e.microphone in states
        return c.by_page and c.page_there and e.microphone_check == "ok" and told

    return fits


def _still_without_video(c: Case) -> bool:
    return c.frames is Frames.STILLS


def _no_live_path(c: Case) -> bool:
    return c.frames in {Frames.STILLS, Frames.NONE} and c.ice_failed


_PROBLEM, _WARNING, _INFO = Severity.PROBLEM, Severity.WARNING, Severity.INFO

CAUSES: tuple[Cause, ...] = (
    # SEB itself, and whether a camera is wanted at all
    Cause(
        "seb_disabled",
        _INFO,
        "A supervisor has cancelled this connection.",
        lambda c: c.e.state is ConnectionState.DISABLED,
    ),
    Cause("exam_not_running", _INFO, "The exam has not begun or is over.", lambda c: not c.e.exam_running),
    Cause(
        "seb_closed_by_candidate",
        _WARNING,
        "SEB has said goodbye while the exam is running.",
        lambda c: c.seb is Seb.CLOSED,
    ),
    Cause(
        "seb_starting",
        _INFO,
        f"SEB connected less than {STARTING_MS // 1000} s ago and is still loading the exam.",
        _is_starting,
    ),
    Cause(
        "seb_never_established",
        _WARNING,
        f"SEB connected more than {STARTING_MS // 1000} s ago and has not loaded the exam's settings.",
        lambda c: not c.is_live,
    ),
    Cause(
        "seb_missing",
        _PROBLEM,
        f"No ping from SEB for {MISSING_AFTER_MS // 1000} s.",
        lambda c: c.seb is Seb.MISSING,
    ),
    Cause(
        "proctoring_off",
        _INFO,
        "Live proctoring is switched off for this exam.",
        lambda c: not c.e.proctoring_enabled,
    ),
    # A way into a room
    Cause(
        "client_cannot_join_native",
        _PROBLEM,
        "The exam calls clients in by their own meeting program; this SEB has none, and no camera page.",
        lambda c: c.way_in is WayIn.NONE and c.e.join_by is JoinBy.NATIVE,
    ),
    Cause(
        "client_cannot_open_page",
        _PROBLEM,
        "This SEB version lets no web page use the camera.",
        lambda c: c.way_in is WayIn.NONE,
    ),
    Cause(
        "provider_down",
        _PROBLEM,
        "The room could not be opened at the meeting service; the server keeps trying.",
        lambda c: c.e.room_number is not None and c.e.room_state == "failed",
    ),
    Cause(
        "room_opening",
        _INFO,
        "The room is being opened at the meeting service.",
        lambda c: c.e.room_number is not None and c.e.room_state == "opening",
    ),
    Cause(
        "arriving",
        _INFO,
        f"Ready, or given a new place, less than {ARRIVAL_MS // 1000} s ago, and on the way.",
        _is_arriving,
    ),
    Cause(
        "no_place_yet",
        _WARNING,
        "SEB is ready, but the server has given it no open room.",
        lambda c: c.e.room_number is None or c.e.room_state != "open",
    ),
    # Called in by instruction
    Cause(
        "native_not_confirmed",
        _WARNING,
        "The join instruction has not been confirmed by SEB.",
        lambda c: c.joined is not Joined.OK and _native_unconfirmed(c),
    ),
    Cause(
        "native_not_watched",
        _INFO,
        "SEB confirmed the join instruction; nobody watches, so nothing proves its picture.",
        lambda c: (
            c.way_in is WayIn.NATIVE and c.no_picture and not c.e.watchers and c.e.native_present is not False
        ),
    ),
    Cause(
        "native_not_present",
        _WARNING,
        "SEB confirmed the join instruction, but nothing shows it in the meeting.",
        lambda c: c.joined is not Joined.OK and c.way_in is WayIn.NATIVE,
    ),
    # The camera page
    Cause(
        "page_asleep",
        _WARNING,
        "The page's socket is open, but no report or picture comes, or it is hidden and sends no picture.",
        _page_asleep,
    ),
    Cause(
        "page_lost_connection",
        _WARNING,
        f"The camera page broke off less than {COMES_BACK_MS // 1000} s ago, or its open socket is silent.",
        lambda c: (
            c.page_not_there
            and (
                c.e.socket_connected
                or c.within(_latest(c.e.socket_lost_at, c.e.socket_connected_at), COMES_BACK_MS)
            )
        ),
    ),
    Cause(
        "replaced_by_other_tab",
        _WARNING,
        "A second tab took over the camera page and is gone now.",
        lambda c: c.page_not_there and c.e.replaced,
    ),
    Cause(
        "page_left",
        _PROBLEM,
        f"The camera page has been gone for more than {COMES_BACK_MS // 1000} s while SEB is alive.",
        lambda c: c.page_not_there and c.joined is Joined.LEFT,
    ),
    Cause(
        "page_cannot_connect",
        _PROBLEM,
        "The camera page was loaded, but its WebSocket never came.",
        lambda c: c.page_not_there and c.e.link_opened_at is not None,
    ),
    Cause(
        "page_not_opened",
        _PROBLEM,
        "SEB is ready, but has not asked for the camera page.",
        lambda c: c.page_not_there,
    ),
    Cause(
        "assigned_not_confirmed",
        _WARNING,
        f"The camera page is there, but does not act on the place it was given more than {ARRIVAL_MS // 1000} s ago.",
        lambda c: c.e.confirmed_revision < c.e.revision and not c.within(c.e.placed_at, ARRIVAL_MS),
    ),
    # The meeting of a service
    Cause(
        "candidate_is_moderator",
        _PROBLEM,
        "The meeting service, or a proctor's page in the meeting, says that the candidate is a moderator there.",
        lambda c: c.e.meeting is not None and c.e.is_moderator,
    ),
    Cause(
        "meeting_script_failed",
        _PROBLEM,
        "The camera page could not load the meeting server's script.",
        _meeting(PageState.SCRIPT_FAILED),
    ),
    Cause(
        "meeting_unreachable",
        _PROBLEM,
        "The meeting server's script loaded, but the camera page gets no connection to the meeting.",
        _meeting(PageState.UNREACHABLE),
    ),
    Cause(
        "meeting_refused",
        _PROBLEM,
        "The meeting server did not take the entry token of the camera page.",
        _meeting(PageState.REFUSED),
    ),
    Cause(
        "meeting_locked",
        _PROBLEM,
        "The meeting asks the camera page for a password, or keeps it waiting in a lobby.",
        _meeting(PageState.LOCKED),
    ),
    Cause("meeting_full", _PROBLEM, "The meeting takes no more participants.", _meeting(PageState.FULL)),
    Cause(
        "meeting_no_host",
        _PROBLEM,
        "The meeting has not begun, and the service wants its host there first.",
        _meeting(PageState.NO_HOST),
    ),
    Cause(
        "meeting_outdated",
        _PROBLEM,
        "The meeting service refuses the version of its program that is set here.",
        _meeting(PageState.OUTDATED),
    ),
    Cause(
        "meeting_kicked",
        _WARNING,
        "A moderator removed the candidate from the meeting.",
        _meeting(PageState.KICKED),
    ),
    Cause(
        "meeting_lost",
        _WARNING,
        "The camera page was in the meeting, lost it, and enters again.",
        _meeting(PageState.LOST),
    ),
    Cause(
        "meeting_joining",
        _INFO,
        f"The camera page has been on the way into the meeting for less than {MEETING_JOIN_MS // 1000} s.",
        _meeting_joining,
    ),
    Cause(
        "meeting_not_joined",
        _WARNING,
        f"The camera page has been on the way into the meeting for more than {MEETING_JOIN_MS // 1000} s.",
        _meeting(PageState.NONE, PageState.JOINING),
    ),
    # The camera
    Cause(
        "camera_denied_by_settings",
        _PROBLEM,
        "SEB's settings or an insecure address refused the camera at the self-check; no picture comes.",
        _camera_check_failed("denied_by_settings"),
    ),
    Cause(
        "camera_denied_by_system",
        _PROBLEM,
        "The system or the candidate refused the camera at the self-check; no picture comes.",
        _camera_check_failed("denied_by_system"),
    ),
    Cause("no_camera", _PROBLEM, "The self-check found no camera.", _camera_check_failed("no_device")),
    Cause(
        "camera_in_use",
        _PROBLEM,
        "The self-check found the camera held by another program.",
        _camera_check_failed("in_use"),
    ),
    Cause(
        "camera_failed",
        _PROBLEM,
        "The self-check could not start the camera for another reason.",
        _camera_failed,
    ),
    Cause(
        "camera_stopped",
        _PROBLEM,
        "The camera worked; the page says it is ended, muted or off, and no usable picture comes.",
        _camera_stopped,
    ),
    Cause(
        "picture_black",
        _WARNING,
        "Pictures arrive and are black.",
        lambda c: c.frames is Frames.BLACK,
    ),
    Cause(
        "picture_frozen",
        _WARNING,
        "Pictures arrive and do not change.",
        lambda c: c.frames is Frames.FROZEN,
    ),
    # Why no picture comes though page and camera are there
    Cause(
        "self_check_running",
        _INFO,
        f"The camera page came less than {SELF_CHECK_MS // 1000} s ago; the candidate is at the self-check.",
        _self_check_running,
    ),
    Cause(
        "picture_starting",
        _INFO,
        f"In the room, or watched, for less than {PICTURE_START_MS // 1000} s; no picture so far.",
        _picture_starting,
    ),
    Cause(
        "camera_not_allowed_yet",
        _WARNING,
        f"The self-check has waited more than {SELF_CHECK_MS // 1000} s for an answer about the camera.",
        lambda c: c.by_page and c.no_picture and c.e.camera_check == "pending",
    ),
    Cause(
        "ice_failed_no_turn",
        _WARNING,
        "No path for live video was found, and the server offers no TURN server.",
        lambda c: _no_live_path(c) and not c.e.turn_configured,
    ),
    Cause(
        "ice_failed",
        _WARNING,
        "No path for live video was found, even with the TURN server.",
        _no_live_path,
    ),
    Cause(
        "no_frames_while_watched",
        _WARNING,
        f"Live video was asked for more than {VIDEO_START_MS // 1000} s ago, and no frame is decoded.",
        lambda c: (
            c.video_is_due and c.frames in {Frames.STILLS, Frames.NONE} and c.e.path_check != "stills_only"
        ),
    ),
    Cause(
        "stills_only",
        _INFO,
        "The self-check found that only stills get through, and they arrive.",
        _still_without_video,
    ),
    Cause(
        "no_picture",
        _PROBLEM,
        "Page and camera are there, and neither video nor stills arrive.",
        lambda c: c.no_picture,
    ),
    # Nothing is missing, yet worth a word
    Cause(
        "microphone_stopped",
        _WARNING,
        "Picture arrives; the microphone worked, and the page says it is ended, muted or off.",
        _microphone("ended", "muted", "off"),
    ),
    Cause(
        "microphone_silent",
        _INFO,
        "Picture arrives; the microphone is on, and for 3 s not even a room's noise came from it.",
        _microphone("silent"),
    ),
    Cause("microphone_missing", _INFO, "Picture arrives; the microphone does not work.", _microphone_missing),
    Cause(
        "exam_not_started",
        _INFO,
        "All is well, but the candidate has not opened the exam.",
        lambda c: c.by_page and not c.e.exam_opened,
    ),
)
"""Most specific first: the first row that fits is the cause."""
