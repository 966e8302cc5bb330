"""What the pages of exams, rosters and exam templates show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from invigilo.exams.model import Candidate, Exam, ExamLine, Holdings, Template
from invigilo.exams.readiness import Check, Finding
from invigilo.exams.roster_file import Plan
from invigilo.exams.rules import Deed
from invigilo.exams.service import Offers, Overview
from invigilo.web.forms.form import FormView
from invigilo.web.lists import ListView
from invigilo.web.pages.views import Frame
from invigilo.web.zones import Moment, moment_of


@dataclass(frozen=True, slots=True)
class ExamRow:
    """One line of the list."""

    line: ExamLine
    starts: Moment
    ends: Moment

    @classmethod
    def of(cls, line: ExamLine) -> ExamRow:
        return cls(line, moment_of(line.starts_at, line.time_zone), moment_of(line.ends_at, line.time_zone))


@dataclass(frozen=True, slots=True)
class ExamOfficePage:
    frame: Frame
    list: ListView[ExamRow]
    institutions: Sequence[tuple[str, str]]
    """For server administrators: who filters by them."""
    may_create: bool
    may_see_templates: bool
    states: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key that clients get otherwise than edited."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ExamFormPage:
    """For a new exam, and for a changed one."""

    frame: Frame
    form: FormView
    offers: Offers
    zones: Sequence[str]
    exam: Exam | None = None
    template: Template | None = None
    has_quit_password: bool = False
    changes: Sequence[KeyLine] = ()
    """What the chosen configuration would be served with, to be read before it is assigned."""
    former: Sequence[tuple[int, str]] = ()
    """Assigned supporters who could not be assigned anew: they stay until somebody takes them off."""


@dataclass(frozen=True, slots=True)
class CopyPage:
    frame: Frame
    form: FormView
    exam: Exam
    candidates: int


@dataclass(frozen=True, slots=True)
class DeletePage:
    frame: Frame
    exam: Exam
    holdings: Holdings
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class FindingLine:
    finding: Finding
    text: str
    link: str
    """Where it is mended; "" when this person cannot."""


@dataclass(frozen=True, slots=True)
class ExamPage:
    frame: Frame
    overview: Overview
    institution: str
    starts: Moment
    ends: Moment
    closes: Moment | None
    """When the last candidate's extra time is over, where there is any."""
    findings: Sequence[FindingLine]
    missing: int
    changes: Sequence[KeyLine]
    config_keys: Sequence[tuple[str, str]]
    """Pairs of platform name ("" for all) and key."""
    may_change: bool
    may_proctor: bool
    may_look_back: bool
    quit_password: str = ""
    """Only on the one answer that reveals it."""

    @property
    def exam(self) -> Exam:
        return self.overview.exam

    def can(self, deed: str) -> bool:
        return self.may_change and Deed(deed) in self.overview.deeds


@dataclass(frozen=True, slots=True)
class RosterPage:
    frame: Frame
    exam: Exam
    list: ListView[Candidate]
    may_change: bool
    upload: FormView = field(default_factory=lambda: FormView({}))

    def own_end(self, candidate: Candidate) -> Moment:
        return moment_of(candidate.ends_at(self.exam), self.exam.time_zone)


@dataclass(frozen=True, slots=True)
class RosterPreviewPage:
    frame: Frame
    exam: Exam
    plan: Plan
    problems: Sequence[tuple[int, str]]
    """Line number and what is wrong with it, in the reader's language."""
    mode: str
    text: str
    """The file, carried to the deed."""
    mark: str
    """Of the roster the plan was made against."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class CandidateFormPage:
    frame: Frame
    exam: Exam
    form: FormView
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True)
class TemplateListPage:
    frame: Frame
    list: ListView[Template]
    may_change: bool
    configurations: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class TemplateFormPage:
    frame: Frame
    form: FormView
    offers: Offers
    template: Template | None = None
    former: Sequence[tuple[int, str]] = ()
    may_change: bool = True


MENDS: dict[Check, str] = {
    Check.TIME: "/exams/{id}/edit",
    Check.CONFIGURATION: "/exams/{id}/edit",
    Check.PROCTORING: "/exams/{id}/proctoring",
    Check.SERVICE: "/exams/{id}/proctoring",
    Check.CAMERA_KEYS: "/exams/{id}#settings",
    Check.ADDRESS: "/connections",
    Check.SUPPORTERS: "/exams/{id}/edit",
    Check.ROSTER: "/exams/{id}/roster",
    Check.QUIT_PASSWORD: "/exams/{id}/edit",
    Check.CONNECTION_FILE: "/connections",
}
"""Where each line of the exam page is mended."""


def closes_of(exam: Exam) -> Moment | None:
    return moment_of(exam.closes_at, exam.time_zone) if exam.longest_extra else None
