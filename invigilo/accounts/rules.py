"""What names, passwords and roles may be. The same rules serve pages, the API, `invigilo user` and `invigilo apply`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from invigilo import fields
from invigilo.accounts.model import Account, Role
from invigilo.errors import NotAllowed, Problem, Refused

USERNAME_LONGEST = 64
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 256
LANGUAGES = ("auto", "en", "de")

_USERNAME = re.compile(r"[^\s:/\\]+")

COMMONEST = frozenset({
    "password", "password1", "password12", "password123", "passw0rd", "p@ssw0rd", "p@ssword",
    "passwort", "passwort1", "passwort123", "kennwort", "12345678", "123456789", "1234567890",
    "87654321", "11111111", "00000000", "12341234", "abcd1234", "abc12345", "1q2w3e4r", "1qaz2wsx",
    "qwertyui", "qwertyuiop", "qwerty123", "qwertzui", "qwertzuiop", "qwertz123", "asdfghjk",
    "asdfasdf", "iloveyou", "sunshine", "princess", "football", "baseball", "superman", "trustno1",
    "letmein1", "welcome1", "welcome123", "willkommen", "hallo123", "changeme", "changeme1",
    "adminadmin", "admin123", "administrator", "examexam", "pruefung", "invigilo",
})  # fmt: skip
"""The first ones anybody tries."""


@dataclass(frozen=True, slots=True)
class NewPerson:
    """What is asked for when somebody is added. Without a password one is made, to be handed over."""

    username: str
    display_name: str
    role: Role
    institution_id: int | None
    language: str = "auto"
    time_zone: str = "auto"
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PersonWish:
    """How a person should be; `revision` is the one that was read before."""

    display_name: str
    role: Role
    language: str
    time_zone: str
    is_active: bool
    revision: int


@dataclass(frozen=True, slots=True)
class ProfileWish:
    """What everybody may change of their own account."""

    display_name: str
    language: str
    time_zone: str
    revision: int


@dataclass(frozen=True, slots=True)
class InstitutionWish:
    name: str
    time_zone: str
    revision: int = 0


def is_username(value: str) -> bool:
    return _USERNAME.fullmatch(value) is not None and fields.is_printable(value)


def username_problem(value: str) -> Problem | None:
    problem = fields.text("username", value, longest=USERNAME_LONGEST)
    if problem is not None or is_username(value):
        return problem
    return Problem("username", "not_a_username", "A user name has no blanks, colons or slashes.")


def password_problem(
    password: str, *, username: str, institution: str | None = None, field: str = "password"
) -> Problem | None:
    """What is wrong with a password that somebody is to use. Blanks at its ends are part of it."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return Problem(
            field,
            "password_length",
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
            {"shortest": SHORTEST_PASSWORD, "longest": LONGEST_PASSWORD},
        )
    if not fields.is_printable(password):
        return Problem(
            field, "password_broken", "The password holds characters that nobody can type. Choose another."
        )
    folded = password.casefold().strip()
    if folded == username.casefold():
        return Problem(field, "password_is_username", "A password must differ from the user name.")
    if institution is not None and folded == institution.casefold().strip():
        return Problem(
            field, "password_is_institution", "A password must differ from the institution's name."
        )
    if folded in COMMONEST or len(set(folded)) == 1:
        return Problem(
            field,
            "password_common",
            "This password is among the first that anybody tries. Choose another, for example four unrelated words.",
        )
    return None


def new_person_problems(wish: NewPerson, *, institution: str | None) -> list[Problem]:
    is_outside = wish.role is Role.SERVER_ADMIN
    return fields.found(
        username_problem(wish.username),
        fields.text("display_name", wish.display_name),
        fields.one_of("language", wish.language, LANGUAGES),
        fields.time_zone("time_zone", wish.time_zone, auto=True),
        Problem("institution_id", "no_institution", "A server administrator belongs to no institution.")
        if is_outside and wish.institution_id is not None
        else None,
        Problem("institution_id", "institution_needed", "Choose the institution this person belongs to.")
        if not is_outside and wish.institution_id is None
        else None,
        None
        if wish.password is None
        else password_problem(wish.password, username=wish.username, institution=institution),
    )


def profile_problems(wish: PersonWish | ProfileWish) -> list[Problem]:
    return fields.found(
        fields.text("display_name", wish.display_name),
        fields.one_of("language", wish.language, LANGUAGES),
        fields.time_zone("time_zone", wish.time_zone, auto=True),
    )


def institution_problems(wish: InstitutionWish) -> list[Problem]:
    return fields.found(fields.text("name", wish.name), fields.time_zone("time_zone", wish.time_zone))


def roles_given_by(account: Account) -> tuple[Role, ...]:
    """The roles this person may give to others: never one above their own."""
    inside = tuple(role for role in Role if role is not Role.SERVER_ADMIN)
    if account.role is Role.SERVER_ADMIN:
        return tuple(Role)
    return inside if account.role is Role.INSTITUTION_ADMIN else ()


def check_role(role: Role, by: Account) -> None:
    """Raise NotAllowed when this person may not give that role."""
    if role not in roles_given_by(by):
        raise NotAllowed("Only server administrators make server administrators. Ask one of them.")


def check_change(
    person: Account, wish: PersonWish, *, by: Account, other_administrators: Sequence[int]
) -> None:
    """Raise Refused for changes that would lock somebody out, or move a person in or out of an institution.

    `other_administrators` are the active ones with the person's role in the same place, without the person.
    """
    if (wish.role is Role.SERVER_ADMIN) != (person.role is Role.SERVER_ADMIN):
        raise Refused(
            "role_moves",
            "A server administrator belongs to no institution, everybody else to one; a role cannot move them. "
            "Add another account for that.",
        )
    if person.id == by.id and not wish.is_active:
        raise Refused("own_account", "You cannot deactivate your own account. Ask another administrator.")
    if person.id == by.id and wish.role is not person.role:
        raise Refused("own_role", "You cannot change your own role. Ask another administrator.")
    is_administrator = person.role in {Role.SERVER_ADMIN, Role.INSTITUTION_ADMIN}
    is_leaving = person.is_active and (not wish.is_active or wish.role is not person.role)
    if is_administrator and is_leaving and not other_administrators:
        place = "server" if person.role is Role.SERVER_ADMIN else "institution"
        raise Refused(
            "last_administrator",
            f"This is the last active administrator of the {place}. Make somebody else one first.",
        )


def changes(before: Account, after: PersonWish | ProfileWish) -> list[str]:
    """What differs, in words, for the record."""
    shown = {"display_name": "name", "role": "role", "language": "language", "time_zone": "time zone"}
    found = [
        f"{word} {getattr(before, name)} → {getattr(after, name)}"
        for name, word in shown.items()
        if hasattr(after, name) and getattr(before, name) != getattr(after, name)
    ]
    if isinstance(after, PersonWish) and before.is_active != after.is_active:
        found.append("active off → on" if after.is_active else "active on → off")
    return found


def check_server_admin(by: Account) -> None:
    """Raise NotAllowed for making and deleting institutions."""
    if by.role is not Role.SERVER_ADMIN:
        raise NotAllowed("Only server administrators make and delete institutions. Ask one of them.")


_SHOWN = {
    "users": "people",
    "exams": "exams",
    "exam_templates": "exam templates",
    "exam_configurations": "SEB settings",
    "connection_configurations": "connection files",
    "service_definitions": "meeting services",
}


def check_empty(in_use: Mapping[str, int]) -> None:
    """Raise Refused that names what an institution still has; the numbers are by table."""
    if in_use:
        what = ", ".join(f"{n} {_SHOWN.get(table, table.replace('_', ' '))}" for table, n in in_use.items())
        raise Refused(
            "in_use", f"This institution still has: {what}. Only an empty institution can be deleted."
        )
