"""Proctoring settings saved at one node are in force at the other within the directory's bound (live-proctoring.md §2.5)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from invigilo.accounts.model import Scope
from invigilo.accounts.tokens import ApiTokens
from invigilo.clock import SystemClock
from invigilo.exams.directory import REFRESH
from invigilo.storage.opening import open_storage
from invigilo.storage.queries import accounts as account_queries
from tests.proctoring.processes import Node, Stored, handshake, node, stored_in, until
from tests.server import SET_UP, set_up, settings_for

pytestmark = pytest.mark.postgresql


async def token_of_grace(folder: Path, url: str) -> str:
    storage = await open_storage(settings_for(folder, url), clock=SystemClock())
    try:
        async with storage.reading() as w:
            grace = next(one for one in await account_queries.all_accounts(w.db) if one.username == "grace")
        tokens = ApiTokens(work=storage.work, reading=storage.reading, clock=SystemClock())
        lasts = datetime.now(UTC) + timedelta(hours=1)
        return (await tokens.make("for a test", list(Scope), expires_at=lasts, by=grace))[1]
    finally:
        await storage.close()


@pytest.fixture
async def nodes(fresh_postgresql: str, tmp_path: Path) -> AsyncIterator[tuple[Node, Node, Stored, str]]:
    await set_up(tmp_path / "a", fresh_postgresql, SET_UP)
    token = await token_of_grace(tmp_path / "a", fresh_postgresql)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(node(tmp_path / "a", fresh_postgresql))
        two = await stack.enter_async_context(node(tmp_path / "b", fresh_postgresql))
        stored = await stack.enter_async_context(stored_in(tmp_path, fresh_postgresql))
        yield one, two, stored, token


async def call(server: Node, token: str, method: str, path: str, body: object = None) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    address = f"/api/v1/exams/{server.the_exam}/proctoring{path}"
    answer = await server.request(method, address, headers=headers, body=json.dumps(body) if body else None)
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.spec("live-proctoring", 8, 9)
async def test_what_is_saved_at_one_node_is_in_force_at_the_other(
    nodes: tuple[Node, Node, Stored, str],
) -> None:
    one, two, stored, token = nodes
    await call(one, token, "PUT", "", {"enabled": False})
    assert (await call(two, token, "GET", ""))["enabled"] is False
    bearer = await two.bearer()
    prompt = 0.0
    """Seconds in which node B answered promptly: on a machine that stalls, nobody's second is a second."""

    async def serves_the_exam_itself() -> bool:
        """With proctoring off the exam's address is its own, not our page's."""
        nonlocal prompt
        asked = time.monotonic()
        created = await two.create(bearer, "client_id=x")
        prompt += min(time.monotonic() - asked, 0.1)
        return "/e/" not in created.json[0]["url"]

    await until(serves_the_exam_itself, "node B offers the exam without our page")
    assert prompt < REFRESH.total_seconds()

    await call(one, token, "PUT", "", {"enabled": True, "collecting_room_size": 1})

    async def serves_our_page() -> bool:
        return not await serves_the_exam_itself()

    await until(serves_our_page, "node B leads to our page again")
    wires = [await handshake(two, bearer, f"user-{number}") for number in range(2)]
    assert sorted(len(ids) for ids in (await stored.rooms()).values()) == [1, 1]
    for wire in wires:
        assert (await wire.delete()).status == 200
