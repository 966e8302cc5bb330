"""What the pages of connection configurations show."""

from __future__ import annotations

from dataclasses import dataclass, field

from invigilo.clock import to_ms
from invigilo.exams.model import ConfigurationState, ConnectionDetails, ConnectionLink
from invigilo.storage.queries.connection_configurations import ExamChoice
from invigilo.web.forms.form import FormView
from invigilo.web.lists import ListView
from invigilo.web.pages.views import Frame

TONES = {
    ConfigurationState.ACTIVE: "ok",
    ConfigurationState.INACTIVE: "warning",
    ConfigurationState.REVOKED: "problem",
}


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    id: int
    name: str
    client_id: str
    purpose: str
    state: str
    tone: str
    handed_out_at: int | None
    """ms since the epoch."""
    exam_count: int | None
    """How many exams it is limited to; None is no limit."""


def row_of(one: ConnectionDetails) -> ConnectionRow:
    return ConnectionRow(
        id=one.id,
        name=one.name,
        client_id=one.client_id,
        purpose=one.purpose.value,
        state=one.state.value,
        tone=TONES[one.state],
        handed_out_at=None if one.handed_out_at is None else to_ms(one.handed_out_at),
        exam_count=None if one.only_exams is None else len(one.only_exams),
    )


@dataclass(frozen=True, slots=True)
class ConnectionListPage:
    frame: Frame
    list: ListView[ConnectionRow]
    server_url: str
    is_secure: bool
    """The camera works only from https or localhost: the pages warn where this address is neither."""


@dataclass(frozen=True, slots=True)
class ConnectionFormPage:
    """For a new one, or for one that exists."""

    frame: Frame
    form: FormView
    exams: list[ExamChoice]
    action: str
    back: str
    configuration: ConnectionDetails | None = None

    @property
    def has_password(self) -> bool:
        return self.configuration is not None and self.configuration.has_password

    @property
    def has_quit_password(self) -> bool:
        return self.configuration is not None and self.configuration.has_quit_password

    @property
    def has_fallback_password(self) -> bool:
        fallback = None if self.configuration is None else self.configuration.fallback
        return fallback is not None and fallback.has_password


@dataclass(frozen=True, slots=True)
class LinkRow:
    id: int
    created_at: int
    expires_at: int
    created_by: str


def link_row(one: ConnectionLink) -> LinkRow:
    return LinkRow(one.id, to_ms(one.created_at), to_ms(one.expires_at), one.created_by)


@dataclass(frozen=True, slots=True)
class ConnectionPage:
    frame: Frame
    configuration: ConnectionDetails
    tone: str
    handed_out_at: int | None
    revoked_at: int | None
    exams: list[str]
    links: list[LinkRow]
    is_used: bool
    server_url: str
    is_secure: bool
    download: FormView = field(default_factory=lambda: FormView({}))
    link: FormView = field(default_factory=lambda: FormView({}))
    note: str = ""
    """What a rule said to a deed of this page."""
    client_secret: str = ""
    """Shown once: after it was made."""

    @property
    def is_active(self) -> bool:
        return self.configuration.state is ConfigurationState.ACTIVE

    @property
    def is_revoked(self) -> bool:
        return self.configuration.state is ConfigurationState.REVOKED


@dataclass(frozen=True, slots=True)
class Sheet:
    """What candidates do, in one language."""

    language: str
    title: str
    steps: list[str]


@dataclass(frozen=True, slots=True)
class HandoutPage:
    """A new link as it is handed out: its address is in no other page, and this one is shown once."""

    frame: Frame
    configuration: ConnectionDetails
    exam: str
    """The one exam it is for; "" when it is for several or all."""
    institution: str
    address: str
    qr: str
    """SVG."""
    expires_at: int
    is_secure: bool
    sheets: list[Sheet]
    """The reader's language first: candidates of either language read the same paper."""
