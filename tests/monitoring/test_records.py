"""What an exam leaves behind is there in whole and in order, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from invigilo.accounts.model import Account, Role
from invigilo.activity.service import record
from invigilo.errors import NotAllowed, NotFound
from invigilo.monitoring.model import (
    ClientEvent,
    ConnectionState,
    EventType,
    InstructionType,
    Moment,
    MomentKind,
    NoteCategory,
    Place,
)
from invigilo.monitoring.notes import NoteWish
from invigilo.monitoring.records import ConnectionWish, Records
from invigilo.storage.queries.records import SOURCES, ConnectionRecord
from invigilo.storage.tables import candidates, users
from tests.world import World, open_world


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with open_world(url, tmp_path) as world:
        await world.set_up()
        yield world


def grace(world: World) -> Account:
    return Account(1, world.institution_id, "grace", "Grace", Role.EXAM_ADMIN)


def records_of(world: World) -> Records:
    return Records(reading=world.reading, box=world.box, clock=world.clock)


async def _a_morning(world: World) -> int:
    """One candidate's exam, with something from every source; returns the connection."""
    async with world.work() as w:
        query = insert(users).values(
            institution_id=world.institution_id,
            username="ada",
            display_name="Ada",
            role="exam_supporter",
            password_hash="-",
            created_at=0,
        )
        ada_id = (await w.db.execute(query.returning(users.c.id))).scalar_one()
        for user_id, name in (("s1", "Zoë Müller"), ("s2", "Absent Ann")):
            line = {"user_id": user_id, "name": name, "group_name": "A", "extra_minutes": 0}
            await w.db.execute(insert(candidates).values(exam_id=world.exam_id, **line))
    live = await world.enter(user="s1")
    ada = Account(ada_id, world.institution_id, "ada", "Ada", Role.EXAM_SUPPORTER)

    def send(type_: EventType, text: str, value: float | None = None) -> None:
        now = world.clock.now_ms()
        world.connections.event(live, ClientEvent(live.id, type_, now, now - 5, value, text))

    for n in range(3):
        send(EventType.INFO_LOG, f"<battery> {n}%", n)  # three at the same millisecond
    world.clock.move(timedelta(seconds=1))
    send(EventType.ERROR_LOG, "Something broke")
    send(EventType.NOTIFICATION, "<raisehand> Please help", 7)
    world.clock.move(timedelta(seconds=1))
    await world.writer.flush()
    await world.connections.confirm_notification(live, 7, by=ada_id)
    world.clock.move(timedelta(seconds=1))
    await world.connections.send(live, InstructionType.LOCK_SCREEN, {"message": "Please wait"})
    async with world.work() as w:
        await record(
            w,
            at=world.clock.now(),
            actor=ada,
            deed="screen_locked",
            institution_id=world.institution_id,
            exam_id=world.exam_id,
            connection_id=live.id,
        )
    wish = NoteWish(category=NoteCategory.TALKING, is_incident=True, text="Whispers")
    await world.notes.add(world.exam, live, wish, key="a-press", by=ada)
    await world.messages.send(world.exam, "Two more minutes", by=ada, connections=[live.id])
    world.clock.move(timedelta(seconds=1))
    await world.connections.close(world.tokens[live.id])
    world.clock.move(timedelta(hours=2))  # until the place that was kept for a return is given up
    await world.settle()
    return live.id


def _said(one: Moment) -> tuple[str, str]:
    return (one.kind.value, one.text or one.what)


async def test_a_timeline_holds_everything_in_the_order_it_happened(world: World) -> None:
    connection_id = await _a_morning(world)
    records = records_of(world)
    exam = await records.exam(world.exam_id, grace(world))
    of = await records.connection(exam, connection_id)
    page = await records.timeline(of)
    assert page.next is None
    said = [_said(one) for one in page.moments]
    assert {one.kind for one in page.moments} == set(MomentKind)
    assert [one for one in said if one[0] in {"state", "event", "deed"}] == [
        ("state", "connected"),
        ("state", "settings_taken"),
        ("state", "established"),
        ("event", "<battery> 0%"),
        ("event", "<battery> 1%"),
        ("event", "<battery> 2%"),
        ("event", "Something broke"),
        ("deed", "screen_locked"),
        ("deed", "incident_flagged"),
        ("deed", "message_sent"),
        ("state", "closed"),
    ]
    order = [
        ("room", "entered"),
        ("notification", "Please help"),
        ("notification", "raisehand_settled"),
        ("instruction", "Please wait"),
        ("note", "Whispers"),
        ("message", "Two more minutes"),
        ("room", "left"),
    ]
    found = [one for one in said if one in order]
    assert sorted(found) == sorted(order)
    assert found.index(order[1]) < found.index(order[2]) < found.index(order[3])
    settled = next(one for one in page.moments if one.what == "raisehand_settled")
    assert settled.detail["by"] == "ada"
    assert all(not one.sealed for one in page.moments), "what an instruction carried stays shut"


@pytest.mark.parametrize("is_backwards", [False, True])
async def test_pages_of_a_timeline_follow_each_other_without_gap_or_repetition(
    world: World, is_backwards: bool
) -> None:
    connection_id = await _a_morning(world)
    records = records_of(world)
    exam = await records.exam(world.exam_id, grace(world))
    of = await records.connection(exam, connection_id)
    whole = (await records.timeline(of, is_backwards=is_backwards)).moments
    assert len(whole) > 10
    forward = (await records.timeline(of)).moments
    assert whole == (forward[::-1] if is_backwards else forward)
    for size in (1, 2, 5):
        found: list[Moment] = []
        after: Place | None = None
        for _ in range(100):
            page = await records.timeline(of, after=after, is_backwards=is_backwards, limit=size)
            found += page.moments
            after = page.next
            if after is None:
                break
        assert found == whole, size
    events = await records.timeline(of, kinds=frozenset({MomentKind.EVENT}), is_backwards=is_backwards)
    assert events.moments == [one for one in whole if one.kind is MomentKind.EVENT]


async def test_every_source_is_in_the_timeline(world: World) -> None:
    """Whoever adds a source has a moment of it in this test's morning."""
    connection_id = await _a_morning(world)
    records = records_of(world)
    of = await records.connection(await records.exam(world.exam_id, grace(world)), connection_id)
    page = await records.timeline(of, limit=1_000)
    kinds = {kind for kind, _ in SOURCES.values()}
    assert {one.kind for one in page.moments} == kinds


async def test_a_record_says_what_is_known_of_a_connection(world: World) -> None:
    connection_id = await _a_morning(world)
    records = records_of(world)
    exam = await records.exam(world.exam_id, grace(world))
    found, total = await records.connections(exam, ConnectionWish(), offset=0, limit=50)
    assert (total, [one.id for one in found]) == (1, [connection_id])
    (one,) = found
    assert (one.name, one.user_session_id, one.state) == ("Zoë Müller", "s1", ConnectionState.CLOSED)
    assert (one.events, one.errors, one.warnings, one.infos, one.notifications) == (4, 1, 0, 3, 1)
    assert one.rooms == (("collecting", 1),)
    assert one.first_seen < one.last_seen
    assert one.closed_at is not None
    assert one.last_seen == one.closed_at
    absent = await records.absent(exam)
    assert (absent.total, list(absent.some)) == (1, [("s2", "Absent Ann")])


async def test_connections_are_searched_sorted_and_taken_along_in_pieces(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        await world.enter(user=f"s{n}")
    await world.settle()
    records = records_of(world)
    exam = await records.exam(world.exam_id, grace(world))

    async def names(wish: ConnectionWish, **more: int) -> list[str]:
        asked = {"offset": 0, "limit": 50} | more
        return [one.name for one in (await records.connections(exam, wish, **asked))[0]]

    assert await names(ConnectionWish(search="S3")) == ["s3"]
    assert await names(ConnectionWish(state=ConnectionState.CLOSED)) == []
    assert await names(ConnectionWish(is_descending=True), limit=2, offset=1) == ["s3", "s2"]
    for sort in ("state", "first", "last", "errors", "warnings"):
        assert len(await names(ConnectionWish(sort=sort))) == 5, sort
    monkeypatch.setattr("invigilo.monitoring.records.EXPORT_PAGE", 2)
    pieces: list[list[ConnectionRecord]] = [one async for one in records.export(exam, ConnectionWish())]
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert [one.name for piece in pieces for one in piece] == [f"s{n}" for n in range(5)]


async def test_finished_exams_are_those_that_are_over(world: World) -> None:
    records = records_of(world)

    async def finished(by: Account) -> list[str]:
        asked = {"search": "", "sort": "end", "is_descending": True, "offset": 0, "limit": 50}
        return [one.name for one in (await records.finished(by, **asked))[0]]  # pyright: ignore[reportArgumentType]

    await _a_morning(world)
    assert await finished(grace(world)) == []
    world.clock.move(timedelta(days=4))
    assert await finished(grace(world)) == ["Linear Algebra"]
    assert await finished(Account(9, world.institution_id, "bea", "Bea", Role.EXAM_SUPPORTER)) == []
    assert await finished(Account(9, world.institution_id + 1, "x", "X", Role.EXAM_ADMIN)) == []
    with pytest.raises(NotAllowed):
        await finished(Account(9, world.institution_id, "ines", "Ines", Role.INSTITUTION_ADMIN))
    asked = {"search": "algebra", "sort": "name", "is_descending": False, "offset": 0, "limit": 50}
    (one,), total = await records.finished(grace(world), **asked)  # pyright: ignore[reportArgumentType]
    assert (total, one.connections, one.errors, one.is_archived) == (1, 1, 1, False)


async def test_a_connection_is_reached_only_through_its_own_exam(world: World) -> None:
    connection_id = await _a_morning(world)
    records = records_of(world)
    other = await world.add_exam("Biology")
    exam = await records.exam(other, grace(world))
    for number in (connection_id, 0, 2**70):
        with pytest.raises(NotFound):
            await records.connection(exam, number)
