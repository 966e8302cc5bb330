"""What is ready and what is missing before an exam, at a glance. Pure: facts in, findings out, in the order to mend them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from invigilo.exams import rules
from invigilo.exams.model import ConfigurationChoice, Exam, ExamState, Service


class Check(StrEnum):
    """What is looked at; the page has a link for each, where it is mended."""

    TIME = "time"
    CONFIGURATION = "configuration"
    PROCTORING = "proctoring"
    SERVICE = "service"
    CAMERA_KEYS = "camera_keys"
    ADDRESS = "address"
    SUPPORTERS = "supporters"
    ROSTER = "roster"
    QUIT_PASSWORD = "quit_password"  # noqa: S105  (a name)
    CONNECTION_FILE = "connection_file"


class Verdict(StrEnum):
    READY = "ready"
    ADVICE = "advice"
    """The exam works without it; somebody may have forgotten it."""
    MISSING = "missing"
    """Without it the exam, or watching it, fails."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the page. Its text is `exams.ready.<check>.<code>`, filled with `values`."""

    check: Check
    verdict: Verdict
    code: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known of an exam before it."""

    exam: Exam
    state: ExamState
    now: datetime
    active_supporters: int
    configuration: ConfigurationChoice | None
    camera_problems: int
    """Keys of the served file that keep our page from the camera."""
    changed_keys: int
    """Keys that clients get otherwise than edited."""
    is_service_proven: bool
    connection_files: int
    """Active connection configurations that offer the exam."""
    handed_out: int
    """Those of them whose file somebody took."""
    gives_camera: bool
    """Whether browsers give the camera to pages of our address."""
    candidates: int


def findings(facts: Facts) -> list[Finding]:
    """One for each check that concerns the exam."""
    is_watched = facts.exam.proctoring.enabled
    found = [_time(facts), _configuration(facts), _proctoring(facts)]
    if is_watched:
        found += [_service(facts), _camera_keys(facts), _address(facts)]
    return [*found, _supporters(facts), _roster(facts), _quit_password(facts), _connection_file(facts)]


def is_ready(found: list[Finding]) -> bool:
    """Nothing is missing, whatever else one might wish for."""
    return all(one.verdict is not Verdict.MISSING for one in found)


def _time(facts: Facts) -> Finding:
    if facts.state in {ExamState.FINISHED, ExamState.ARCHIVED}:
        return Finding(Check.TIME, Verdict.MISSING, "over")
    return Finding(Check.TIME, Verdict.READY, facts.state.value)


def _configuration(facts: Facts) -> Finding:
    choice = facts.configuration
    used = facts.exam.configuration_version
    if choice is None:
        return Finding(Check.CONFIGURATION, Verdict.ADVICE, "none")
    names = {"name": choice.name, "version": used, "newest": choice.published_version}
    if used is None:
        return Finding(Check.CONFIGURATION, Verdict.MISSING, "not_published", names)
    if choice.published_version is not None and used < choice.published_version:
        return Finding(Check.CONFIGURATION, Verdict.ADVICE, "newer", names)
    return Finding(Check.CONFIGURATION, Verdict.READY, "assigned", names)


def _proctoring(facts: Facts) -> Finding:
    if facts.exam.proctoring.enabled:
        return Finding(Check.PROCTORING, Verdict.READY, "on")
    return Finding(Check.PROCTORING, Verdict.ADVICE, "off")


def _service(facts: Facts) -> Finding:
    exam = facts.exam
    if exam.proctoring.service is Service.BUILTIN:
        return Finding(Check.SERVICE, Verdict.READY, "builtin")
    if facts.is_service_proven:
        return Finding(Check.SERVICE, Verdict.READY, "proven")
    if exam.unproven_accepted_at is not None:
        return Finding(Check.SERVICE, Verdict.ADVICE, "accepted")
    return Finding(Check.SERVICE, Verdict.MISSING, "not_tested")


def _camera_keys(facts: Facts) -> Finding:
    if facts.camera_problems:
        return Finding(Check.CAMERA_KEYS, Verdict.MISSING, "wrong", {"n": facts.camera_problems})
    if facts.changed_keys:
        return Finding(Check.CAMERA_KEYS, Verdict.READY, "changed", {"n": facts.changed_keys})
    return Finding(Check.CAMERA_KEYS, Verdict.READY, "right")


def _address(facts: Facts) -> Finding:
    if not facts.gives_camera and rules.uses_page(facts.exam.proctoring):
        return Finding(Check.ADDRESS, Verdict.MISSING, "no_camera")
    return Finding(Check.ADDRESS, Verdict.READY, "camera")


def _supporters(facts: Facts) -> Finding:
    if facts.active_supporters:
        return Finding(Check.SUPPORTERS, Verdict.READY, "assigned", {"n": facts.active_supporters})
    verdict = Verdict.MISSING if facts.exam.proctoring.enabled else Verdict.ADVICE
    return Finding(Check.SUPPORTERS, verdict, "none")


def _roster(facts: Facts) -> Finding:
    if facts.candidates:
        return Finding(Check.ROSTER, Verdict.READY, "there", {"n": facts.candidates})
    return Finding(Check.ROSTER, Verdict.ADVICE, "none")


def _quit_password(facts: Facts) -> Finding:
    if facts.exam.has_quit_password:
        return Finding(Check.QUIT_PASSWORD, Verdict.READY, "set")
    return Finding(Check.QUIT_PASSWORD, Verdict.ADVICE, "none")


def _connection_file(facts: Facts) -> Finding:
    if facts.handed_out:
        return Finding(Check.CONNECTION_FILE, Verdict.READY, "handed_out")
    if facts.connection_files:
        return Finding(Check.CONNECTION_FILE, Verdict.MISSING, "not_handed_out")
    return Finding(Check.CONNECTION_FILE, Verdict.MISSING, "none")
