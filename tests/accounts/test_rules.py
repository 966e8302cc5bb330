"""What names, passwords and roles may be."""

from __future__ import annotations

import subprocess
import sys

import pytest
from argon2 import extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from invigilo.accounts import passwords, rules
from invigilo.accounts.model import Account, Role
from invigilo.accounts.rules import COMMONEST, PersonWish, check_change, password_problem, username_problem
from invigilo.errors import NotAllowed, Refused


def person(role: Role = Role.AUDITOR, *, number: int = 1, is_active: bool = True) -> Account:
    institution = None if role is Role.SERVER_ADMIN else 7
    return Account(number, institution, f"p{number}", "P", role, is_active=is_active)


def wish(role: Role, *, is_active: bool = True) -> PersonWish:
    return PersonWish("P", role, "auto", "auto", is_active=is_active, revision=0)


@given(st.text(max_size=80))
def test_a_user_name_can_always_be_typed_and_split(name: str) -> None:
    """Basic authentication splits at a colon, addresses at a slash, commands at a blank."""
    if username_problem(name) is None:
        assert 1 <= len(name) <= rules.USERNAME_LONGEST
        assert not set(name) & set(" :/\\\t\n\0")
        name.encode()


@given(st.text(max_size=300))
def test_an_accepted_password_is_none_of_those_tried_first(password: str) -> None:
    if password_problem(password, username="ada", institution="Example University") is None:
        assert 8 <= len(password) <= 256
        assert password.casefold() not in {*COMMONEST, "ada", "example university"}
        assert len(set(password)) > 1


@pytest.mark.parametrize("word", sorted(COMMONEST))
def test_the_commonest_are_refused_in_any_case(word: str) -> None:
    """Every word of the list is long enough to be accepted otherwise: a shorter one would be idle."""
    found = password_problem(word.upper(), username="ada")
    assert found is not None
    assert found.code == "password_common"


def test_a_made_password_is_accepted_and_another_each_time() -> None:
    made = {passwords.temporary() for _ in range(200)}
    assert len(made) == 200
    assert all(password_problem(one, username="ada") is None for one in made)


@given(giver=st.sampled_from(Role), role=st.sampled_from(Role))
def test_nobody_gives_a_role_above_their_own(giver: Role, role: Role) -> None:
    may = giver is Role.SERVER_ADMIN or (giver is Role.INSTITUTION_ADMIN and role is not Role.SERVER_ADMIN)
    if may:
        rules.check_role(role, person(giver))
    else:
        with pytest.raises(NotAllowed):
            rules.check_role(role, person(giver))


@given(
    role=st.sampled_from(Role),
    to=st.sampled_from(Role),
    was_active=st.booleans(),
    is_active=st.booleans(),
    is_self=st.booleans(),
    others=st.lists(st.integers(10, 20), max_size=2),
)
def test_no_change_leaves_a_place_without_administrator(
    *, role: Role, to: Role, was_active: bool, is_active: bool, is_self: bool, others: list[int]
) -> None:
    one = person(role, is_active=was_active)
    by = one if is_self else person(Role.SERVER_ADMIN, number=2)
    try:
        check_change(one, wish(to, is_active=is_active), by=by, other_administrators=others)
    except Refused:
        return
    was_administrator = was_active and role in {Role.SERVER_ADMIN, Role.INSTITUTION_ADMIN}
    assert not was_administrator or others or (is_active and to is role)
    assert not is_self or (is_active and to is role)
    assert (role is Role.SERVER_ADMIN) == (to is Role.SERVER_ADMIN)


def test_the_products_own_hashes_are_expensive_to_guess() -> None:
    """In a process of its own, because the tests' hashes are cheap."""
    ask = "from invigilo.accounts import passwords; print(passwords.hash_password('x'))"
    made = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    parameters = extract_parameters(made.strip())
    assert parameters.memory_cost >= 46 * 1024  # KiB; with one pass already beyond what OWASP asks for
    assert parameters.time_cost >= 1
