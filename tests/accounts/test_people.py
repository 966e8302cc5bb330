"""Two at the same moment: on both databases the second finds what the first left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from invigilo.accounts.model import Account, Role
from invigilo.accounts.people import People
from invigilo.accounts.rules import InstitutionWish, NewPerson, PersonWish
from invigilo.accounts.service import Accounts
from invigilo.errors import InvigiloError, Refused
from invigilo.exams.directory import directory_changed
from invigilo.storage.work import Work
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


@pytest.mark.parametrize("asked", ["before its commit", "in a reading that began sooner"])
async def test_whoever_signed_out_is_not_believed_because_somebody_asked_meanwhile(
    world: World, people: People, asked: str
) -> None:
    """An open page asks every few seconds whose it is; what it was told a moment before must not outlive the sign-out."""
    await _add(world, people, "ada", Role.EXAM_SUPPORTER)
    token = ""
    is_leaving = False

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with world.work() as w:
            yield w
            if is_leaving and asked == "before its commit":
                assert await accounts.account_of_session(token) is not None

    @asynccontextmanager
    async def reading() -> AsyncGenerator[Work]:
        async with world.reading() as w:
            yield w
        if is_leaving and asked == "in a reading that began sooner":
            await accounts.sign_out(token)

    accounts = Accounts(work=work, reading=reading, clock=world.clock)
    link = await accounts.make_link("ada", path="/", lasts=timedelta(days=1))
    token, _ = await accounts.follow_link(link)
    is_leaving = True
    if asked == "before its commit":
        await accounts.sign_out(token)
    else:
        await accounts.account_of_session(token)
    is_leaving = False
    assert await accounts.account_of_session(token) is None
