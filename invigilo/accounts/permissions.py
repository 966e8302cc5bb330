"""Who may do what: one function per kind of object, and nothing else hands objects out (live-proctoring.md §4, rule N).

Somebody of another institution, or a supporter who is not assigned, is told that there is no such thing: not even its
existence is theirs to know. An administrator without the right to proctor sees lists and counts, and watches nobody.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from invigilo.accounts.model import Account, Kind, Right, Role
from invigilo.errors import NotAllowed, NotFound, Sentence
from invigilo.exams.model import Exam
from invigilo.monitoring.model import Sight

_EXAM_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.SERVER_ADMIN: frozenset({Right.SEE}),
    Role.INSTITUTION_ADMIN: frozenset({Right.SEE}),
    Role.EXAM_ADMIN: frozenset({Right.SEE, Right.PROCTOR, Right.LOOK_BACK, Right.CHANGE}),
    Role.EXAM_SUPPORTER: frozenset({Right.SEE, Right.PROCTOR, Right.LOOK_BACK}),
    Role.AUDITOR: frozenset({Right.SEE, Right.LOOK_BACK}),
}


def rights_on(account: Account, exam: Exam) -> frozenset[Right]:
    """Everything this person may do with this exam; empty when they may not know of it."""
    if not account.is_active:
        return frozenset()
    if account.role is not Role.SERVER_ADMIN and account.institution_id != exam.institution_id:
        return frozenset()
    if account.role is Role.EXAM_SUPPORTER and account.id not in exam.supporters:
        return frozenset()
    return _EXAM_RIGHTS[account.role]


def access_exam(account: Account, exam: Exam | None, right: Right) -> Exam:
    """The exam, if this person has the right. Raises NotFound or NotAllowed."""
    rights = frozenset[Right]() if exam is None else rights_on(account, exam)
    if exam is None or not rights:
        raise NotFound(
            "There is no such exam, or it is not yours to see. Ask its exam administrator to assign you.",
            key="no_such_exam",
        )
    if right not in rights:
        raise NotAllowed(_REFUSALS[right])
    return exam


def require_exams(account: Account, right: Right) -> None:
    """For lists of exams and for making new ones. Raises NotAllowed."""
    if not account.is_active or right not in _EXAM_RIGHTS[account.role]:
        raise NotAllowed(_REFUSALS[right])


def may_look_back(account: Account) -> bool:
    """Whether there is anything of exams past that this person may read."""
    return account.is_active and Right.LOOK_BACK in _EXAM_RIGHTS[account.role]


def sight_of(account: Account) -> Sight:
    """On whose exams this person looks back, for queries over many; `rights_on` says the same of one."""
    return Sight(
        institution_id=institution_of(account),
        supporter_id=account.id if account.role is Role.EXAM_SUPPORTER else None,
    )


_REFUSALS = {
    Right.SEE: Sentence("may_not_see", "You may not see this exam."),
    Right.PROCTOR: Sentence(
        "may_not_proctor", "Watching candidates is for the exam's supporters and exam administrators."
    ),
    Right.LOOK_BACK: Sentence(
        "may_not_look_back",
        "Looking back on candidates is for the exam's supporters, exam administrators and auditors.",
    ),
    Right.CHANGE: Sentence("may_not_change", "Changing an exam is for exam administrators."),
}


# --- everything else that belongs to an institution ---

_SEE = frozenset({Right.SEE})
_CHANGE = frozenset({Right.SEE, Right.CHANGE})

_RIGHTS: dict[Kind, dict[Role, frozenset[Right]]] = {
    Kind.INSTITUTION: {
        Role.SERVER_ADMIN: _CHANGE,
        Role.INSTITUTION_ADMIN: _CHANGE,
        Role.EXAM_ADMIN: _SEE,
        Role.AUDITOR: _SEE,
    },
    Kind.USER: {
        Role.SERVER_ADMIN: _CHANGE,
        Role.INSTITUTION_ADMIN: _CHANGE,
        Role.EXAM_ADMIN: _SEE,
        Role.AUDITOR: _SEE,
    },
    Kind.TEMPLATE: {Role.INSTITUTION_ADMIN: _CHANGE, Role.EXAM_ADMIN: _CHANGE, Role.AUDITOR: _SEE},
    Kind.CONFIGURATION: {Role.INSTITUTION_ADMIN: _SEE, Role.EXAM_ADMIN: _CHANGE, Role.AUDITOR: _SEE},
    Kind.CONNECTION: {Role.EXAM_ADMIN: _CHANGE},
    Kind.SERVICE: {Role.INSTITUTION_ADMIN: _CHANGE, Role.EXAM_ADMIN: _CHANGE, Role.AUDITOR: _SEE},
    Kind.ACTIVITY: {
        Role.SERVER_ADMIN: _SEE,
        Role.INSTITUTION_ADMIN: _SEE,
        Role.EXAM_ADMIN: _SEE,
        Role.AUDITOR: _SEE,
    },
}

_NAMES = {
    Kind.INSTITUTION: "institution",
    Kind.USER: "person",
    Kind.TEMPLATE: "exam template",
    Kind.CONFIGURATION: "exam configuration",
    Kind.CONNECTION: "connection configuration",
    Kind.SERVICE: "meeting service",
    Kind.ACTIVITY: "record",
}


class _OfInstitution(Protocol):
    @property
    def institution_id(self) -> int | None: ...


T = TypeVar("T", bound=_OfInstitution)


def rights_in(account: Account, kind: Kind) -> frozenset[Right]:
    """What this person may do with things of a kind in their own institution; a server administrator: in all."""
    return _RIGHTS[kind].get(account.role, frozenset()) if account.is_active else frozenset()


def require(account: Account, kind: Kind, right: Right) -> None:
    """For lists and for making something new. Raises NotAllowed."""
    if right not in rights_in(account, kind):
        raise NotAllowed(_refusal(kind, right))


def access(account: Account, kind: Kind, thing: T | None, right: Right) -> T:
    """One thing of an institution, if this person has the right. Raises NotFound or NotAllowed."""
    may_know = thing is not None and (
        account.role is Role.SERVER_ADMIN or account.institution_id == thing.institution_id
    )
    rights = rights_in(account, kind)
    if thing is None or not may_know or (account.role is Role.SERVER_ADMIN and not rights):
        raise NotFound(f"There is no such {_NAMES[kind]}.")
    if right not in rights:
        raise NotAllowed(_refusal(kind, right))
    return thing


def institution_of(account: Account) -> int | None:
    """Whose things lists show: this person's institution's; None, for a server administrator, is everybody's."""
    return None if account.role is Role.SERVER_ADMIN else account.institution_id


def _refusal(kind: Kind, right: Right) -> str:
    who = [role.value.replace("_", " ") for role, rights in _RIGHTS[kind].items() if right in rights]
    deed = "Changing" if right is Right.CHANGE else "Seeing"
    return f"{deed} a {_NAMES[kind]} is for: {', '.join(who)}. Ask one of them."
