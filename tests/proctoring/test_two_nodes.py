"""Two server processes on one PostgreSQL: nobody is master, and either goes on without the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.proctoring.processes import PATIENCE, Node, Stored, handshake, node, stored_in, until
from tests.rtc.pages import Page, candidate_page, jpeg, proctor_page
from tests.server import SET_UP, SebWire, set_up
from tests.web.people import Candidate, sign_in

CLASS = 50
SIZE = 5
"""As the set-up says."""
pytestmark = pytest.mark.postgresql


@pytest.fixture
async def nodes(fresh_postgresql: str, tmp_path: Path) -> AsyncIterator[tuple[Node, Node, Stored]]:
    """Node A and node B, which share nothing but the database, and a look into it."""
    await set_up(tmp_path / "a", fresh_postgresql, SET_UP)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(node(tmp_path / "a", fresh_postgresql))
        two = await stack.enter_async_context(node(tmp_path / "b", fresh_postgresql))
        stored = await stack.enter_async_context(stored_in(tmp_path, fresh_postgresql))
        yield one, two, stored


async def class_arrives(nodes: list[Node], count: int, name: str) -> list[SebWire]:
    """All at once, each at the next node in turn."""
    bearer = await nodes[0].bearer()
    async with asyncio.timeout(2 * PATIENCE):
        return await asyncio.gather(
            *(handshake(nodes[number % len(nodes)], bearer, f"{name}-{number}") for number in range(count))
        )


def lines(wire: SebWire, when: str) -> list[str]:
    return [f"{wire.token[:12]} {when} {number}" for number in range(3)]


async def work_on(wire: SebWire, when: str) -> None:
    """A few pings and log lines, each of which must be accepted."""
    for number, line in enumerate(lines(wire, when)):
        assert (await wire.ping(number + 2)).status in {200, 204}
        assert (await wire.log({"type": "INFO_LOG", "timestamp": 1764064800123, "text": line})).status == 204


@pytest.mark.spec("live-proctoring", 22)
async def test_a_class_arrives_at_both_and_outlives_one(nodes: tuple[Node, Node, Stored]) -> None:
    """No room is over its size, numbers are unique; after a node is killed everybody stays where they are."""
    one, two, stored = nodes
    wires = await class_arrives([one, two], CLASS, "user")
    rooms = await stored.rooms()
    assert {number: len(ids) for number, ids in rooms.items()} == dict.fromkeys(
        range(1, CLASS // SIZE + 1), SIZE
    )
    places = await stored.room_of_everyone()
    assert sorted(places) == sorted([await stored.connection_id(wire.token) for wire in wires])

    await one.kill()
    left = [replace(wire, server=two) for wire in wires]
    async with asyncio.timeout(2 * PATIENCE):
        await asyncio.gather(*(work_on(wire, "after") for wire in left))
    newcomers = await class_arrives([two], 7, "late")
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(work_on(wire, "late") for wire in newcomers))

    now = await stored.room_of_everyone()
    assert places.items() <= now.items()
    assert len(now) == CLASS + 7
    sizes = {number: len(ids) for number, ids in (await stored.rooms()).items()}
    assert sizes == {**dict.fromkeys(range(1, 12), SIZE), 12: 2}

    accepted = [line for wire in left for line in lines(wire, "after")]
    accepted += [line for wire in newcomers for line in lines(wire, "late")]

    async def are_stored() -> bool:
        return set(accepted) <= (await stored.events()).keys()

    await until(are_stored, "what the survivor accepted is stored")
    assert await stored.events() == dict.fromkeys(accepted, 1)


@pytest.mark.spec("live-proctoring", 26)
async def test_a_seb_restarted_at_the_other_node_returns_to_its_room(
    nodes: tuple[Node, Node, Stored],
) -> None:
    """Also while the node it was at is gone, and with it what that node had heard last."""
    one, two, stored = nodes
    wires = await class_arrives([one], 2 * SIZE, "user")
    before = await stored.room_of_everyone()
    rooms = [before[await stored.connection_id(wire.token)] for wire in wires]
    await one.kill()
    again = await class_arrives([two], 2 * SIZE, "user")
    now = await stored.room_of_everyone()
    assert [now[await stored.connection_id(wire.token)] for wire in again] == rooms
    assert len(now) == 2 * SIZE


async def test_a_proctor_at_one_node_watches_a_candidate_at_the_other(
    nodes: tuple[Node, Node, Stored],
) -> None:
    """Offer, answer and still pass between them."""
    one, two, stored = nodes
    wire = await handshake(one, await one.bearer(), "lea")
    key: str = wire.created.json[0]["url"].rpartition("/e/")[2]
    lea = Candidate(wire, await stored.connection_id(wire.token), key)
    ada = await sign_in(two, "ada")
    async with candidate_page(one, lea) as page, proctor_page(ada, two.the_exam) as (wall, peer):
        await knows(wall, lea)
        await wall.send("watch", connection=lea.id)
        assert (await wall.until(t="watching"))["connection"] == lea.id
        assert (await page.until(t="watch"))["peer"] == peer

        await page.send("signal", peer=peer, kind="offer", sdp="v=0 offer")
        offer = await wall.until(t="signal", kind="offer")
        assert offer == {"t": "signal", "connection": lea.id, "kind": "offer", "sdp": "v=0 offer"}

        await wall.send("signal", connection=lea.id, kind="answer", sdp="v=0 answer")
        answer = await page.until(t="signal", kind="answer")
        assert answer == {"t": "signal", "peer": peer, "kind": "answer", "sdp": "v=0 answer"}

        await wall.send("stills", connections=[lea.id])
        still = jpeg()
        filming = asyncio.create_task(_film(page, still))
        try:
            assert await wall.still() == lea.id.to_bytes(4, "big") + still
        finally:
            filming.cancel()


async def knows(wall: Page, candidate: Candidate) -> None:
    """The node of this proctor's page has heard of a candidate who arrived at the other."""
    if not any(row["id"] == candidate.id for frame in wall.new for row in frame.get("rows", ())):
        await wall.row(candidate.id)


async def _film(page: Page, still: bytes) -> None:
    """One a second, as pages do: the other node must first hear that somebody looks."""
    while True:
        await page.socket.send_bytes(still)
        await asyncio.sleep(1)


async def eventually(page: Page, t: str) -> dict[str, Any]:
    """A message that comes only when a lease runs out, which takes longer than any answer."""
    async with asyncio.timeout(2 * PATIENCE):
        while True:
            for frame in await page.barrier():
                if isinstance(frame, dict) and frame["t"] == t:
                    return frame
            await asyncio.sleep(1)


async def test_a_candidate_is_told_when_the_node_of_its_watcher_dies(
    nodes: tuple[Node, Node, Stored],
) -> None:
    """A watch is a lease: nobody is filmed for a proctor who is gone, and the next proctor can watch."""
    one, two, stored = nodes
    wire = await handshake(one, await one.bearer(), "lea")
    key: str = wire.created.json[0]["url"].rpartition("/e/")[2]
    lea = Candidate(wire, await stored.connection_id(wire.token), key)
    ada = await sign_in(two, "ada")
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(candidate_page(one, lea))
        wall, peer = await stack.enter_async_context(proctor_page(ada, two.the_exam))
        await knows(wall, lea)
        await wall.send("watch", connection=lea.id)
        assert (await page.until(t="watch"))["peer"] == peer
        await two.kill()
        assert (await eventually(page, "unwatch"))["peer"] == peer
        ada = replace(ada, server=one)  # her session is the database's, not the node's
        wall, peer = await stack.enter_async_context(proctor_page(ada, one.the_exam))
        await wall.send("watch", connection=lea.id)
        assert (await page.until(t="watch"))["peer"] == peer
