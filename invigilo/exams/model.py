"""An exam, and who supervises it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Service(StrEnum):
    """The meeting services an exam may use."""

    BUILTIN = "builtin"
    JITSI = "jitsi"
    JAAS = "jaas"
    ZOOM = "zoom"


class ExamState(StrEnum):
    """By the clock, unless somebody said otherwise: a test run opens it early, ending and archiving close it."""

    UPCOMING = "upcoming"
    TEST_RUN = "test_run"
    RUNNING = "running"
    FINISHED = "finished"
    ARCHIVED = "archived"


class ProctoringFeature(StrEnum):
    """What proctors may do in an exam beyond watching its collecting rooms (live-proctoring.md §2.4)."""

    TOWN_HALL = "town_hall"
    ONE_TO_ONE = "one_to_one"
    BROADCAST = "broadcast"
    CHAT = "chat"


class JoinBy(StrEnum):
    """How candidates get into a room: our page for everybody, or the client's own meeting code where it has one."""

    PAGE = "page"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class ProctoringSettings:
    """How one exam is proctored.

    `collecting_room_size` is None for "no limit", which must be said explicitly
    (live-proctoring.md §2.3).
    """

    enabled: bool = False
    service: Service = Service.BUILTIN
    collecting_room_size: int | None = 20
    join_by: JoinBy = JoinBy.PAGE
    features: frozenset[ProctoringFeature] = frozenset(ProctoringFeature)
    definition_id: int | None = None
    """The service definition with address and credentials; None for built-in rooms, which need none."""


@dataclass(frozen=True, slots=True)
class SealedDefinition:
    """A service definition as meetings use it: address and account of a meeting service, its secrets still encrypted."""

    id: int
    institution_id: int
    service: Service
    values: Mapping[str, str]
    sealed: Mapping[str, str] = field(repr=False)
    """Secret → what the installation's key opens."""
    revision: int


@dataclass(frozen=True, slots=True)
class Exam:
    id: int
    institution_id: int
    name: str
    starts_at: datetime
    ends_at: datetime
    url: str
    salt: str
    """Even-length lower-case hex, one value per exam (seb-client-api.md §2.3)."""
    browser_exam_key: str | None = None
    ended_at: datetime | None = None
    """When somebody ended it by hand; later than that it is finished whatever the clock says."""
    supporters: frozenset[int] = frozenset()
    proctoring: ProctoringSettings = field(default_factory=ProctoringSettings)
    description: str = ""
    time_zone: str = "UTC"
    """IANA name: in which zone the exam office thinks of this exam. Start and end are instants all the same."""
    test_run_since: datetime | None = None
    archived_at: datetime | None = None
    longest_extra: timedelta = timedelta()
    """The most extra time of anybody on the roster: for that long after the end the exam stays open."""
    configuration_id: int | None = None
    configuration_version: int | None = None
    """The published version whose settings clients get."""
    settings_revision: int = 0
    """Counts up with every other file for clients."""
    config_key: str | None = None
    has_quit_password: bool = False
    unproven_accepted_at: datetime | None = None
    revision: int = 0
    """Counts up with every change; who saves an older one is told."""

    @property
    def closes_at(self) -> datetime:
        """When the last candidate's time is over."""
        return self.ends_at + self.longest_extra

    def state_at(self, now: datetime) -> ExamState:
        if self.archived_at is not None and self.archived_at <= now:
            return ExamState.ARCHIVED
        if self.ended_at is not None and self.ended_at <= now:
            return ExamState.FINISHED
        if now >= self.closes_at:
            return ExamState.FINISHED
        if now >= self.starts_at:
            return ExamState.RUNNING
        is_tested = self.test_run_since is not None and self.test_run_since <= now
        return ExamState.TEST_RUN if is_tested else ExamState.UPCOMING

    def is_running(self, now: datetime) -> bool:
        """Whether clients may connect: in its time, or in a test run before it."""
        return self.state_at(now) in {ExamState.RUNNING, ExamState.TEST_RUN}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamWish:
    """What a person says about an exam: all of it, for a new one and for a changed one alike."""

    name: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    url: str
    description: str = ""
    supporters: frozenset[int] = frozenset()
    configuration_id: int | None = None
    browser_exam_key: str | None = None
    quit_password: str | None = field(default=None, repr=False)
    """None keeps what there is, "" removes it."""


@dataclass(frozen=True, slots=True)
class ExamLine:
    """One exam in a list."""

    id: int
    institution_id: int
    institution: str
    name: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    state: ExamState
    is_proctored: bool
    supporters: int
    candidates: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What hangs on an exam, and goes with it."""

    connections: int
    open_connections: int
    events: int
    rooms: int
    open_rooms: int
    """At the meeting service still: they are being closed."""
    candidates: int


@dataclass(frozen=True, slots=True)
class Template:
    """What new exams of a kind start with. Everything is copied once: a later change of it changes no exam."""

    id: int
    institution_id: int
    name: str
    description: str = ""
    configuration_id: int | None = None
    """Assigned to the new exam; of a configuration template the exam gets a configuration of its own."""
    supporters: frozenset[int] = frozenset()
    has_quit_password: bool = False
    proctoring: ProctoringSettings = field(default_factory=ProctoringSettings)
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateWish:
    """What a person says about a template; how exams are proctored is said in a dialog of its own."""

    name: str
    description: str = ""
    configuration_id: int | None = None
    supporters: frozenset[int] = frozenset()
    quit_password: str | None = field(default=None, repr=False)
    """None keeps what there is, "" removes it."""


@dataclass(frozen=True, slots=True)
class ConfigurationChoice:
    """An exam configuration as the exam office sees it: something to assign."""

    id: int
    institution_id: int
    name: str
    is_template: bool
    published_version: int | None


@dataclass(frozen=True, slots=True)
class Supporter:
    """Somebody who may be assigned to exams."""

    id: int
    name: str
    username: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One line of an exam's roster. `user_id` is what the LMS calls the person, and what clients send."""

    id: int
    exam_id: int
    user_id: str
    name: str
    group: str = ""
    extra_minutes: int = 0

    def ends_at(self, exam: Exam) -> datetime:
        """When this person's own time is over."""
        return exam.ends_at + timedelta(minutes=self.extra_minutes)


@dataclass(frozen=True, slots=True)
class ConnectionConfiguration:
    """What a SEB needs to find us: becomes a connection file, and is the client of the token endpoint."""

    id: int
    institution_id: int
    name: str
    client_id: str
    ping_interval_ms: int
    is_active: bool
    purpose: str = "start"
    """`start` an exam with the file, or `configure` the client with it."""
    only_exams: frozenset[int] | None = None
    """The exams its clients are offered; None is every running one of the institution."""
    revision: int = 0

    def offers(self, exam_id: int) -> bool:
        return self.only_exams is None or exam_id in self.only_exams


class FilePurpose(StrEnum):
    """What a client does with a connection file."""

    START = "start"
    CONFIGURE = "configure"


class FileProtection(StrEnum):
    """How a connection file is encrypted; the two by certificate have the names files give them (seb-config-files.md §1)."""

    NONE = "none"
    PASSWORD = "password"  # noqa: S105 - the name of a kind
    CERTIFICATE = "pkhs"
    """The certificate's key alone: every client reads it."""
    CERTIFICATE_SYMMETRIC = "phsk"
    """A key of its own under the certificate's: Windows only."""

    @property
    def is_by_certificate(self) -> bool:
        return self in {FileProtection.CERTIFICATE, FileProtection.CERTIFICATE_SYMMETRIC}


class ConfigurationState(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    """Its clients are refused until somebody activates it again."""
    REVOKED = "revoked"
    """For ever."""


@dataclass(frozen=True, slots=True)
class FallbackWish:
    """What clients offer when they cannot reach us while connecting. Numbers are None where nothing was said.

    `password` is None for "as it is", and empty for none.
    """

    url: str
    timeout_ms: int | None = 30_000
    attempts: int | None = 5
    interval_ms: int | None = 2_000
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionWish:
    """A connection configuration as somebody wants it. Passwords: None for "as it is", empty for none."""

    name: str
    purpose: FilePurpose = FilePurpose.START
    protection: FileProtection = FileProtection.NONE
    password: str | None = field(default=None, repr=False)
    """Of the file. One without is asked for at each download."""
    certificate: str = ""
    """PEM."""
    quit_password: str | None = field(default=None, repr=False)
    fallback: FallbackWish | None = None
    ping_interval_ms: int | None = 1_000
    only_exams: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """As it is stored."""

    url: str
    timeout_ms: int
    attempts: int
    interval_ms: int
    has_password: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDetails:
    """Everything of a connection configuration that may be shown."""

    id: int
    institution_id: int
    name: str
    client_id: str
    purpose: FilePurpose
    protection: FileProtection
    has_password: bool
    certificate: str
    has_quit_password: bool
    fallback: Fallback | None
    ping_interval_ms: int
    only_exams: frozenset[int] | None
    state: ConfigurationState
    handed_out_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    revision: int

    @property
    def asks_for_password(self) -> bool:
        """Its file is to have a password, and none is stored: whoever downloads it says one."""
        return self.protection is FileProtection.PASSWORD and not self.has_password


@dataclass(frozen=True, slots=True)
class ConnectionLink:
    """An address under which SEB fetches the file by itself. The key in it is shown once and never stored."""

    id: int
    configuration_id: int
    created_at: datetime
    expires_at: datetime
    created_by: str
