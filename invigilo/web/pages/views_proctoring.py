"""What the pages of meeting services and of proctoring settings show."""

from __future__ import annotations

from dataclasses import dataclass

from invigilo.web.forms.form import FormView
from invigilo.web.lists import ListView
from invigilo.web.pages.views import Frame
from invigilo.web.proof_view import StepView


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of a service, as its description gives it. `input` is the form's name for it."""

    input: str
    kind: str
    label: str
    help: str
    is_required: bool
    choices: tuple[tuple[str, str], ...]
    default: str
    since: int | None = None
    """A secret that is set: since when, in ms."""
    is_rare: bool = False
    """A plain text that may stay open."""
    is_locked: bool = False
    """It says which service this is, and an exam has rooms there."""


@dataclass(frozen=True, slots=True)
class ProofView:
    """The last test of a definition. `state` is `none` (not tested), `ok` or `failed`."""

    state: str
    at: int | None = None
    steps: tuple[StepView, ...] = ()
    entered_at: int | None = None
    """When somebody was last in a meeting by what only that proves."""


@dataclass(frozen=True, slots=True)
class ServiceRow:
    id: int
    name: str
    title: str
    proof: ProofView


@dataclass(frozen=True, slots=True)
class KindView:
    """A kind of service: its words, and what it can and cannot do."""

    service: str
    title: str
    help: str
    isolates: bool
    native: bool
    cannot: tuple[str, ...]
    needs_entry: bool
    """Only an entry into a meeting proves some of its fields."""
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, slots=True)
class ServicesPage:
    frame: Frame
    list: ListView[ServiceRow]
    kinds: tuple[KindView, ...]
    """Those that need a definition."""
    may_change: bool


@dataclass(frozen=True, slots=True)
class ServicePage:
    """A definition, new or stored."""

    frame: Frame
    form: FormView
    kind: KindView
    may_change: bool
    id: int | None = None
    name: str = ""
    proof: ProofView | None = None
    users: tuple[str, ...] = ()
    is_in_use: bool = False
    reports: ReportsView | None = None
    hosts: HostsView | None = None


@dataclass(frozen=True, slots=True)
class ReportsView:
    """Where a service is to send its reports, and what has come of it."""

    address: str
    has_secret: bool
    last_at: int | None
    refused: int
    needs_https: bool


@dataclass(frozen=True, slots=True)
class HostRow:
    name: str
    live: str
    today: str
    tone: str
    blocked_until: int | None
    reason: str
    is_taken: bool


@dataclass(frozen=True, slots=True)
class HostsView:
    """A service's hosts, and how many meetings should be gone and are not."""

    rows: tuple[HostRow, ...]
    leftovers: int


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """A definition that can be chosen in the dialog."""

    id: int
    name: str
    proof: ProofView


@dataclass(frozen=True, slots=True)
class SectionView:
    """One service in the dialog: its definitions to choose from, and the fields of a new one."""

    kind: KindView
    choices: tuple[ChoiceView, ...]


@dataclass(frozen=True, slots=True)
class NoticeView:
    key: str
    found: str
    needed: str
    platforms: str


@dataclass(frozen=True, slots=True)
class NoticesView:
    """Keys of one sort: `tone` is `info` where the server mends it, `warning` where somebody must."""

    code: str
    tone: str
    keys: tuple[NoticeView, ...]


@dataclass(frozen=True, slots=True)
class ProctoringPage:
    """The dialog "Proctoring Settings" of an exam or a template."""

    frame: Frame
    form: FormView
    path: str
    """Of the exam or template itself."""
    name: str
    is_template: bool
    may_change: bool
    is_archived: bool
    enabled: bool
    is_proven: bool
    revision: int
    sections: tuple[SectionView, ...]
    notices: tuple[NoticesView, ...]
    configuration: str
    in_use: bool
    open_rooms: int
    members: int
    live: int
    stuck: tuple[tuple[str, str], ...]
    largest_room: int
    asks_unproven: bool
    """The box that confirms an untested service is shown."""
    asks_rooms: bool
    """The box that confirms closing open rooms is shown."""
    accepted_at: int | None
    accepted_by: str
    may_enter: bool
    """New services may be entered here."""
