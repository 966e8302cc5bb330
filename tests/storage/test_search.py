"""Searching lists: whatever the case, in every alphabet, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from invigilo.activity.reading import Activity, ActivityWish
from invigilo.activity.service import record
from invigilo.storage.queries import people as queries
from invigilo.storage.tables import users
from tests.world import MORNING, World, open_world

NAMES = [
    "Öko Straße",
    "ÖKO ELF",
    "anna_b",
    "annaxb",
    "100% sure",
    "ΣΊΣΥΦΟΣ",
    "ЖУРНАЛ",
    "ณัฐธิดา",
    "O'Neil",
    "back\\slash",
]


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    is_sqlite = request.param == "sqlite"
    url = None if is_sqlite else request.getfixturevalue("fresh_postgresql")
    async with open_world(url, tmp_path) as world:
        await world.set_up()
        async with world.work() as w:
            for number, name in enumerate(NAMES):
                values: dict[str, Any] = {"username": f"u{number}", "display_name": name, "role": "auditor"}
                more = {"institution_id": world.institution_id, "password_hash": "-", "created_at": 0}
                await w.db.execute(insert(users).values(**values, **more))
                detail = {"name": name, "quote": f'"{name}"'}
                await record(
                    w,
                    at=MORNING,
                    actor=None,
                    deed="user_created",
                    institution_id=world.institution_id,
                    detail=detail,
                )
        yield world


async def _people(world: World, search: str, **more: Any) -> tuple[list[str], int]:
    asked: dict[str, Any] = {
        "institution_id": world.institution_id,
        "role": None,
        "is_active": None,
        "sort": "username",
        "is_descending": False,
        "offset": 0,
        "limit": 50,
    }
    async with world.reading() as w:
        found, total = await queries.people_page(w.db, search=search, **{**asked, **more})
    return [one.display_name for one in found], total


SEARCHES = [
    ("öko", ["Öko Straße", "ÖKO ELF"]),
    ("ÖKO elf", ["ÖKO ELF"]),
    ("STRAßE", ["Öko Straße"]),
    ("anna_b", ["anna_b"]),
    ("ANNA", ["anna_b", "annaxb"]),
    ("100%", ["100% sure"]),
    ("журнал", ["ЖУРНАЛ"]),
    ("ณัฐ", ["ณัฐธิดา"]),
    ("o'neil", ["O'Neil"]),
    ("back\\slash", ["back\\slash"]),
    ("a\0b\0nothing", []),
    ("u3 annaxb", ["annaxb"]),
]


async def test_a_search_finds_people_whatever_the_case(world: World) -> None:
    for search, names in SEARCHES:
        assert await _people(world, search) == (names, len(names)), search


async def test_a_searched_page_counts_all_and_shows_its_part(world: World) -> None:
    assert await _people(world, "u", limit=3) == (NAMES[:3], 10)
    assert await _people(world, "u", limit=3, offset=9) == (NAMES[9:], 10)
    assert await _people(world, "u", limit=3, offset=90) == ([], 10)
    assert (await _people(world, "u", limit=2, sort="name", is_descending=True))[1] == 10


async def test_the_record_is_searched_the_same_way(world: World) -> None:
    activity = Activity(reading=world.reading)
    for search, names in SEARCHES:
        if search.startswith("u3"):
            continue
        page = await activity.page(ActivityWish(words=search), institution_id=world.institution_id)
        assert sorted(one.detail["name"] for one in page.deeds) == sorted(names), search
    quoted = await activity.page(ActivityWish(words='"anna_b"'), institution_id=world.institution_id)
    assert [one.detail["name"] for one in quoted.deeds] == ["anna_b"]


async def test_numbers_that_no_row_has_are_nobodys(world: World) -> None:
    async with world.reading() as w:
        for number in (0, -1, 2**63, 10**40):
            assert await queries.person_by_id(w.db, number) is None
            assert await queries.institution_by_id(w.db, number) is None
