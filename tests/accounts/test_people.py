"""Two at the same moment: on both databases the second finds what the first left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from invigilo.accounts.model import Account, Role
from invigilo.accounts.people import People
from invigilo.accounts.rules import InstitutionWish, NewPerson, PersonWish
from invigilo.errors import InvigiloError, Refused
from invigilo.exams.directory import directory_changed
from tests.world import World, open_world

ROOT = Account(10**6, None, "root", "Root", Role.SERVER_ADMIN)


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with open_world(url, tmp_path) as world:
        await world.set_up()
        yield world


@pytest.fixture
def people(world: World) -> People:
    return People(
        work=world.work, reading=world.reading, clock=world.clock, institutions_changed=directory_changed
    )


async def _add(world: World, people: People, username: str, role: Role) -> Account:
    wish = NewPerson(username, username, role, world.institution_id)
    async with world.work() as w:
        return await people.create_in(w, wish, password_hash="-", by=None)


async def test_two_administrators_who_deactivate_each_other_leave_one(world: World, people: People) -> None:
    one = await _add(world, people, "one", Role.INSTITUTION_ADMIN)
    two = await _add(world, people, "two", Role.INSTITUTION_ADMIN)

    def off(of: Account) -> PersonWish:
        return PersonWish(of.display_name, of.role, "auto", "auto", is_active=False, revision=of.revision)

    outcomes = await asyncio.gather(
        people.change(two.id, off(two), by=one),
        people.change(one.id, off(one), by=two),
        return_exceptions=True,
    )
    refused = [error for error in outcomes if isinstance(error, Refused)]
    assert [error.code for error in refused] == ["last_administrator"]
    left = [one for one in outcomes if isinstance(one, Account)]
    assert len(left) == 1


async def test_of_two_who_want_one_name_the_second_is_told(world: World, people: People) -> None:
    wish = NewPerson("wanted", "Wanted", Role.AUDITOR, world.institution_id)
    outcomes = await asyncio.gather(*(people.create(wish, by=ROOT) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(one, tuple) for one in outcomes) == 1
    assert all(isinstance(one, tuple | InvigiloError) for one in outcomes)


async def test_of_two_who_want_one_institution_the_second_is_told(people: People) -> None:
    outcomes = await asyncio.gather(
        *(people.create_institution(InstitutionWish("Same", "UTC"), by=ROOT) for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in outcomes) == 1
    assert all(isinstance(one, InvigiloError) for one in outcomes if isinstance(one, BaseException))
