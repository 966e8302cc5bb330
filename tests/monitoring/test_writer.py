"""What was accepted is written, whatever stands beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from invigilo.monitoring.model import ClientEvent, EventType
from invigilo.storage.tables import client_events, notifications
from tests.world import World, open_world


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with open_world(url, tmp_path) as world:
        await world.set_up(size=3)
        yield world


def event(
    connection_id: int, text: str, *, type_: EventType = EventType.INFO_LOG, number: float | None = None
) -> ClientEvent:
    return ClientEvent(connection_id, type_, 1_000, 1_000, number, text)


async def texts(world: World) -> list[str]:
    async with world.reading() as w:
        return list((await w.db.execute(select(client_events.c.text).order_by(client_events.c.id))).scalars())


async def test_a_row_the_database_refuses_takes_no_other_along(world: World) -> None:
    live = await world.enter(user="ada")
    for n in range(20):
        world.writer.event(live, event(live.id, f"line {n}"))
        if n in {3, 11}:
            world.writer.event(live, event(live.id, "no text: \ud800"))
    assert await world.writer.flush()
    assert sorted(await texts(world)) == sorted(f"line {n}" for n in range(20))


async def test_open_notifications_of_one_client_are_limited(world: World) -> None:
    live = await world.enter(user="ada")
    for n in range(200):
        world.connections.event(
            live, event(live.id, f"<raisehand> {n}", type_=EventType.NOTIFICATION, number=n)
        )
    assert await world.writer.flush()
    async with world.reading() as w:
        rows = (await w.db.execute(select(notifications))).all()
    assert len(live.notifications) == len(rows) == 50
    assert world.writer.shed == 150
