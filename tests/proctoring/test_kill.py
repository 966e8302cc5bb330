"""The server is killed under twelve candidates of several releases, and started again where it was."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from invigilo.sebconfig.connection_file import ConnectionFile, connection_file_bytes
from invigilo.simulate.client import Reply, SebClient
from invigilo.simulate.life import Life
from invigilo.simulate.run import SimulateOptions, Simulation
from invigilo.storage.tables import client_connections, client_events
from tests.proctoring.processes import PATIENCE, Node, Stored, node, stored_in, until
from tests.rtc.pages import proctor_page
from tests.server import set_up
from tests.web.people import sign_in

CANDIDATES = 12
SETTLED = 1.1
"""Seconds after which an accepted event is promised to be stored, a little stretched."""

Line = tuple[str, str]
"""Whose, by connection token, and its text."""


@dataclass
class Record:
    """What every client sent, and what it was answered."""

    attempts: Counter[Line] = field(default_factory=Counter)
    accepted: dict[Line, float] = field(default_factory=dict)
    """Line → server's seconds when it was answered 204."""
    pings: Counter[str] = field(default_factory=Counter)
    prompt: float = 0.0
    """Seconds in which the server answered promptly: on a machine that stalls, nobody's second is a second."""
    answered_at: float = field(default_factory=time.monotonic)

    def answer(self, token: str, path: str, body: str | None, reply: Reply) -> None:
        now = time.monotonic()
        self.prompt += min(now - self.answered_at, 0.05)
        self.answered_at = now
        if path.endswith("/sebping") and reply.is_success:
            self.pings[token] += 1
        if path.endswith("/seblog") and reply.status == 204:
            self.accepted[token, json.loads(body or "{}").get("text", "")] = self.prompt


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    found, send = Record(), SebClient._send

    async def recorded(
        self: SebClient, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> Reply:
        if path.endswith("/seblog"):
            found.attempts[self.connection_token, json.loads(body or "{}").get("text", "")] += 1
        reply = await send(self, method, path, headers, body)
        found.answer(self.connection_token, path, body, reply)
        return reply

    monkeypatch.setattr(SebClient, "_send", recorded)
    return found


def _quiet(_line: str) -> None: ...


@asynccontextmanager
async def simulated(server: Node, folder: Path) -> AsyncIterator[Simulation]:
    file = ConnectionFile(
        server_url=server.url,
        institution_id=str(server.institution_id),
        client_id="lab-pcs",
        client_secret="0123456789abcdef",
        ping_interval=timedelta(milliseconds=100),
    )
    path = folder / "lab.seb"
    path.write_bytes(connection_file_bytes(file))
    options = SimulateOptions(
        connection_file=path, candidates=CANDIDATES, rate=20, client="mixed", log_lines=3, ping_interval=100
    )
    simulation = Simulation(options, _quiet, lives=[Life(seed=n, pace=5) for n in range(CANDIDATES)])
    stop = asyncio.Event()
    running = asyncio.create_task(simulation.run(stop))
    try:
        yield simulation
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE)


async def stored_lines(stored: Stored) -> Counter[tuple[int, str]]:
    query = select(client_events.c.connection_id, client_events.c.text)
    return Counter(tuple(row) for row in await stored.rows(query))


async def _everybody_is_in(simulation: Simulation, stored: Stored) -> None:
    async def active() -> bool:
        states = Counter(state for (state,) in await stored.rows(select(client_connections.c.state)))
        return states == {"active": CANDIDATES} and all(one.is_inside for one in simulation.candidates)

    await until(active, "every candidate is in, with its name known")


async def _chatter(simulation: Simulation, record: Record, name: str, seconds: float) -> None:
    """Everybody's client logs line after line until the server was there for so long."""
    until_ = record.prompt + seconds
    number = 0
    async with asyncio.timeout(2 * PATIENCE):
        while record.prompt < until_:
            for candidate in simulation.candidates:
                assert candidate.client is not None
                candidate.client.say(f"{name} {number}")
            number += 1
            await asyncio.sleep(0.05)


async def test_a_killed_server_finds_everybody_in_their_rooms(tmp_path: Path, record: Record) -> None:
    """The same rooms, no accepted line lost but those of the last second, none stored twice, and nobody had to come again."""
    data = tmp_path / "data"
    await set_up(data)
    async with stored_in(data) as stored:
        async with node(data) as server, simulated(server, tmp_path) as simulation:
            await _everybody_is_in(simulation, stored)
            before = await stored.room_of_everyone()
            assert sorted(Counter(before.values()).values()) == [2, 5, 5]
            await _chatter(simulation, record, "before", 2 * SETTLED)
            killed_at = record.prompt
            await server.kill()
            early = [line for line, at in record.accepted.items() if at < killed_at - SETTLED]
            tokens = {one.client.connection_token for one in simulation.candidates if one.client is not None}
            id_of = {token: await stored.connection_id(token) for token in tokens}
            kept = await stored_lines(stored)
            assert early
            assert [line for line in early if not kept[id_of[line[0]], line[1]]] == []

            async with node(data, port=server.port) as again:
                pings = record.pings.copy()

                async def all_ping() -> bool:
                    return all(record.pings[token] > pings[token] + 2 for token in tokens)

                await until(all_ping, "everybody pings again")
                await _chatter(simulation, record, "after", SETTLED)
                await _look_at_the_wall(again, before)
                late = [line for line in record.accepted if line[1].startswith("after")]

                async def late_are_stored() -> bool:
                    lines = await stored_lines(stored)
                    return all(lines[id_of[token], text] for token, text in late)

                await until(late_are_stored, "what was accepted after the restart is stored")
                assert await stored.room_of_everyone() == before
                assert simulation.summary.connections == CANDIDATES

        sent = {(id_of[token], text): times for (token, text), times in record.attempts.items()}
        kept = await stored_lines(stored)
    assert {line: count for line, count in kept.items() if count > sent.get(line, 0)} == {}
    assert {token for token, _ in record.accepted} == tokens


async def _look_at_the_wall(server: Node, rooms: dict[int, int]) -> None:
    """A proctor sees every candidate alive in the room it was in."""
    ada = await sign_in(server, "ada")
    async with proctor_page(ada, server.the_exam) as (page, _):
        (snapshot,) = [f for f in page.new if isinstance(f, dict) and f["t"] == "snapshot"]
    assert {row["id"]: row["room"] for row in snapshot["rows"]} == rooms
    assert {row["seb"] for row in snapshot["rows"]} == {"ok"}
