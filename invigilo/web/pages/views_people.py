"""What the pages of people, institutions and one's own account show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from invigilo.accounts.model import Account, Institution
from invigilo.web.forms.form import FormView
from invigilo.web.lists import ListView
from invigilo.web.pages.views import Frame

Choices = Sequence[tuple[str, str]]
"""Pairs of value and text."""


@dataclass(frozen=True, slots=True)
class PersonRow:
    id: int
    username: str
    display_name: str
    role: str
    institution: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class PeopleListPage:
    frame: Frame
    list: ListView[PersonRow]
    roles: Choices
    institutions: Choices
    """Empty where there is nothing to choose from."""
    may_change: bool


@dataclass(frozen=True, slots=True)
class NewPersonPage:
    frame: Frame
    form: FormView
    roles: Choices
    institutions: Choices
    languages: Choices
    zones: Choices


@dataclass(frozen=True, slots=True)
class PersonPage:
    frame: Frame
    person: Account
    institution: Institution | None
    form: FormView
    password_form: FormView
    roles: Choices
    languages: Choices
    zones: Choices
    may_change: bool
    is_self: bool
    password: str = ""
    """Just made, shown once."""
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class InstitutionRow:
    id: int
    name: str
    time_zone: str
    people: int


@dataclass(frozen=True, slots=True)
class InstitutionListPage:
    frame: Frame
    list: ListView[InstitutionRow]
    may_create: bool


@dataclass(frozen=True, slots=True)
class InstitutionPage:
    frame: Frame
    institution: Institution | None
    """None while it is made."""
    form: FormView
    zones: Choices
    in_use: Sequence[str]
    """What it has, in words."""
    may_change: bool
    may_delete: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Times are milliseconds since the Unix epoch."""

    id: int
    name: str
    scopes: tuple[str, ...]
    expires_at: int
    is_over: bool
    last_used_at: int | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    since: int
    until: int
    is_this_one: bool


@dataclass(frozen=True, slots=True)
class AccountPage:
    frame: Frame
    me: Account
    form: FormView
    token_form: FormView
    languages: Choices
    zones: Choices
    scopes: Choices
    lives: Choices
    tokens: Sequence[TokenRow]
    sessions: Sequence[SessionRow]
    key: str = ""
    """Of a token just made, shown once."""


@dataclass(frozen=True, slots=True)
class PasswordPage:
    frame: Frame
    username: str
    form: FormView
    is_first: bool
    """Somebody else chose the present one."""
