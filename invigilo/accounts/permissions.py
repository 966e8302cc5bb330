"""Who may do what: one function per kind of object, and nothing else hands objects out (live-proctoring.md §4, rule N).

Somebody of another institution, or a supporter who is not assigned, is told that there is no such thing: not even its
existence is theirs to know. An administrator without the right to proctor sees lists and counts, and watches nobody.
"""

from __future__ import annotations

from invigilo.accounts.model import Account, Right, Role
from invigilo.errors import NotAllowed, NotFound
from invigilo.exams.model import ConnectionConfiguration, Exam

_EXAM_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.SERVER_ADMIN: frozenset({Right.SEE}),
    Role.INSTITUTION_ADMIN: frozenset({Right.SEE}),
    Role.EXAM_ADMIN: frozenset({Right.SEE, Right.PROCTOR, Right.CHANGE}),
    Role.EXAM_SUPPORTER: frozenset({Right.SEE, Right.PROCTOR}),
    Role.AUDITOR: frozenset({Right.SEE}),
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
            "There is no such exam, or it is not yours to see. Ask its exam administrator to assign you."
        )
    if right not in rights:
        raise NotAllowed(_REFUSALS[right])
    return exam


_REFUSALS = {
    Right.SEE: "You may not see this exam.",
    Right.PROCTOR: "Watching candidates is for the exam's supporters and exam administrators.",
    Right.CHANGE: "Changing an exam is for exam administrators.",
}


def access_configuration(
    account: Account, configuration: ConnectionConfiguration | None
) -> ConnectionConfiguration:
    """A connection configuration, for those who hand out its file. Raises NotFound or NotAllowed."""
    mine = (
        configuration is not None
        and account.is_active
        and account.institution_id == configuration.institution_id
    )
    if configuration is None or not mine:
        raise NotFound("There is no such connection configuration.")
    if account.role is not Role.EXAM_ADMIN:
        raise NotAllowed("Connection files are handed out by exam administrators.")
    return configuration
