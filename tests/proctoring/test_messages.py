"""Messages to candidates and from them: stored before they are shown, shown until they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from invigilo.errors import BadInput, NotFound, Refused
from invigilo.proctoring.model import Message, Perception, RoomKind
from tests.proctoring.test_calls import ADA
from tests.world import World, open_world


@dataclass
class Shown:
    """What this node's sockets were given."""

    candidates: list[tuple[str, list[int]]] = field(default_factory=list)
    proctors: list[Message] = field(default_factory=list)

    def to_candidates(self, message: Message, ids: Sequence[int]) -> None:
        self.candidates.append((message.text, list(ids)))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with open_world(url, tmp_path) as world:
        await world.set_up(size=2)
        yield world


async def test_to_one_to_a_room_to_all_and_how_far_each_got(world: World) -> None:
    one, two, three = [await world.enter(user=f"user-{n}") for n in range(3)]
    await world.settle()
    shown = Shown()
    world.messages.to_candidates = shown.to_candidates
    sent = await world.messages.send(world.exam, "  For you  ", by=ADA, connections=[two.id, two.id])
    assert (sent.recipients, sent.unreachable) == (1, 1), "no page of ours is open there"
    room = world.live.by_id[three.id].home_id
    await world.messages.send(world.exam, "For room 2", by=ADA, room_id=room)
    await world.messages.send(world.exam, "For all", by=ADA)
    await world.messages.work_off()
    assert shown.candidates == [
        ("For you", [two.id]),
        ("For room 2", [three.id]),
        ("For all", [one.id, two.id, three.id]),
    ]
    world.messages.receipt(two, sent.id, is_read=True)
    world.messages.receipt(two, sent.id, is_read=False)
    world.messages.receipt(one, sent.id, is_read=True)  # not hers: changes nothing
    await world.messages.work_off()
    assert [m.text for m in await world.messages.unread(two.id)] == ["For all"]
    (newest, of_room, first) = await world.messages.newest(world.exam)
    assert [(m.recipients, m.delivered, m.read) for m in (newest, of_room, first)] == [
        (3, 0, 0),
        (1, 0, 0),
        (1, 1, 1),
    ]
    assert [live.messages for live in (one, two, three)] == [(1, 0, 0), (2, 1, 1), (2, 0, 0)]
    (all_, own) = await world.messages.newest(world.exam, connection_id=two.id)
    assert (all_.read_at, own.text, own.read_at) == (None, "For you", world.clock.now_ms())


async def test_somebody_called_aside_reads_what_goes_to_that_room_and_to_home(world: World) -> None:
    one, two = [await world.enter(user=f"user-{n}") for n in range(2)]
    await world.settle()
    opened = await world.calls.open(world.exam, RoomKind.BREAK_OUT, [one.id], by=ADA)
    await world.rooms.refresh()
    assert (await world.messages.send(world.exam, "x", by=ADA, room_id=opened.room.id)).recipients == 1
    home = world.live.by_id[two.id].home_id
    assert (await world.messages.send(world.exam, "x", by=ADA, room_id=home)).recipients == 2


async def test_who_is_gone_is_written_to_no_more(world: World) -> None:
    one = await world.enter(user="lea")
    await world.connections.close(world.tokens[one.id])
    with pytest.raises(Refused, match="connected"):
        await world.messages.send(world.exam, "Hello", by=ADA, connections=[one.id])
    with pytest.raises(NotFound):
        await world.messages.send(world.exam, "Hello", by=ADA, connections=[999])
    for text in ("", "  ", "a\x00b", "x" * 2_001):
        with pytest.raises(BadInput):
            await world.messages.send(world.exam, text, by=ADA)


@pytest.mark.spec("live-proctoring", 49)
async def test_with_the_chat_off_nobody_writes(world: World) -> None:
    lea = await world.enter(user="lea")
    await world.settle()
    await world.change_exam(features=["town_hall", "one_to_one", "broadcast"])
    with pytest.raises(Refused) as refused:
        await world.messages.send(world.exam, "Hello", by=ADA)
    assert refused.value.code == "feature_off"
    with pytest.raises(Refused) as refused:
        await world.calls.hold(world.exam, lea.home_id or 0, "page", Perception(chat=True), by=ADA)
    assert refused.value.code == "feature_off"


async def test_a_candidate_writes_while_the_chat_is_on(world: World) -> None:
    shown = Shown()
    world.messages.to_proctors = shown.proctors.append
    lea = await world.enter(user="lea")
    await world.settle()
    with pytest.raises(Refused):
        await world.messages.say(lea, "Hello?")
    await world.calls.hold(world.exam, lea.home_id or 0, "page", Perception(chat=True), by=ADA)
    await world.settle()
    await world.messages.say(lea, "Hello?")
    await world.messages.work_off()
    assert [(m.text, m.from_connection_id, m.by) for m in shown.proctors] == [("Hello?", lea.id, "lea")]
    (said,) = await world.messages.newest(world.exam, connection_id=lea.id)
    assert said.text == "Hello?"


async def test_counts_come_back_after_a_restart(
    world: World,
) -> None:
    lea = await world.enter(user="lea")
    sent = await world.messages.send(world.exam, "Hello", by=ADA)
    world.messages.receipt(lea, sent.id, is_read=True)
    await world.messages.work_off()
    await world.restart()
    await world.messages.work_off()
    assert world.live.by_id[lea.id].messages == (1, 1, 1)
