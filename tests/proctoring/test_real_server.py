"""A whole class at the door: fifty handshakes at once over real HTTP (check 22 of live-proctoring.md §9, on one node)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries import rooms as queries
from tests.proctoring.processes import handshake
from tests.server import Server, running

CLASS = 50
SIZE = 5
"""As the set-up says."""
PATIENCE = 60  # seconds


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with running(tmp_path / "data", url=url) as server:
        yield server


async def stored_rooms(server: Server) -> dict[int, list[int]]:
    """Who is in which room, by number, from the database."""
    exam_id = int(await server.exam_id())
    async with server.app.reading() as w:
        return {
            room.number: await queries.members(w.db, room.id) for room in await queries.of_exam(w.db, exam_id)
        }


@pytest.mark.spec("live-proctoring", 22)
async def test_a_whole_class_arrives_at_once(server: Server) -> None:
    """Everybody is placed by the time their handshake is answered, rooms are filled to their size and no further."""
    bearer = await server.bearer()
    async with asyncio.timeout(PATIENCE):
        wires = await asyncio.gather(*(handshake(server, bearer, f"user-{n}") for n in range(CLASS)))
    rooms = await stored_rooms(server)
    assert {number: len(ids) for number, ids in rooms.items()} == dict.fromkeys(
        range(1, CLASS // SIZE + 1), SIZE
    )
    everyone = sorted(wire.live.id for wire in wires)
    assert sorted(one for ids in rooms.values() for one in ids) == everyone
    for number, ids in rooms.items():
        assert {server.app.live.by_id[one].room_number for one in ids} == {number}


@pytest.mark.spec("live-proctoring", 21)
async def test_a_class_leaves_while_the_next_arrives(server: Server) -> None:
    """Places are freed and taken at the same time: nobody is without a place, no room is over its size."""
    bearer = await server.bearer()
    async with asyncio.timeout(PATIENCE):
        first = await asyncio.gather(*(handshake(server, bearer, f"first-{n}") for n in range(20)))
        leaving = [wire.delete() for wire in first]
        *left, next_ = await asyncio.gather(
            *leaving, asyncio.gather(*(handshake(server, bearer, f"next-{n}") for n in range(20)))
        )
    assert {answer.status for answer in left} == {200}
    rooms = await stored_rooms(server)
    assert sorted(one for ids in rooms.values() for one in ids) == sorted(wire.live.id for wire in next_)
    assert max(len(ids) for ids in rooms.values()) <= SIZE
    assert list(rooms) == list(range(1, len(rooms) + 1))
    assert len(rooms) <= 8


@pytest.mark.spec("live-proctoring", 26)
async def test_every_seb_of_a_class_restarts_at_once(server: Server) -> None:
    """A power cut in the lab: the same users on the same machines are back in the rooms they were in."""
    bearer = await server.bearer()
    async with asyncio.timeout(PATIENCE):
        before = await asyncio.gather(*(handshake(server, bearer, f"user-{n}") for n in range(25)))
        numbers = [wire.live.room_number for wire in before]
        again = await asyncio.gather(*(handshake(server, bearer, f"user-{n}") for n in range(25)))
    rooms = await stored_rooms(server)
    assert sorted(one for ids in rooms.values() for one in ids) == sorted(wire.live.id for wire in again)
    assert Counter(wire.live.room_number for wire in again) == Counter(numbers)
    assert [wire.live.room_number for wire in again] == numbers
    async with server.app.reading() as w:
        rows = await connection_queries.by_ids(w.db, [wire.live.id for wire in before])
    assert {row.id: row.replaced_by for row in rows} == {
        old.live.id: new.live.id for old, new in zip(before, again, strict=True)
    }
