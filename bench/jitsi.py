"""Meetings at a Jitsi: what a token and a proof cost, and how long candidates wait until they are called or in."""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.generator import arrival, generate
from bench.load import part
from bench.servers import Exam, exam_with, serving
from bench.table import goal, note, table, title
from invigilo import demo
from invigilo.clock import SystemClock
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import JoinBy
from invigilo.proctoring.pace import AT_ONCE, JOIN_EVERY
from invigilo.providers.jitsi_tokens import Entry, TokenKey, new_room_name, opaque_identity, room_token
from invigilo.providers.proof import Outcome, collected, prove
from invigilo.settings import Settings
from invigilo.simulate.jitsi import JitsiStandIn
from invigilo.storage.opening import open_storage
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.tables import exams

TOKENS = 1_000
CLIENTS, WITHIN = 200, 10.0
ROOM_SIZE = 25
PING_INTERVAL = 1.0
WINDOWS = "Windows 10, Microsoft Windows NT 10.0.19045.0 (x64)"


async def run() -> None:
    title("jitsi", "meetings at a Jitsi; the Jitsi is the stand-in, so only our own part is measured")
    _tokens()
    async with demo.stand_in(argparse.Namespace(service="jitsi")) as jitsi:
        assert jitsi is not None
        await _proof(jitsi)
        rows = [
            await _arrivals(jitsi, JoinBy.NATIVE, "called in, to JOIN with a ping"),
            await _arrivals(jitsi, JoinBy.PAGE, "by page, to the loaded meeting"),
        ]
    table([f"{CLIENTS} within {WITHIN:.0f} s, from establish, s", "in", "p50", "p99", "worst"], rows)
    queue = (ROOM_SIZE - AT_ONCE) * JOIN_EVERY / 1000
    note(
        f"A room lets in {AT_ONCE} at once and {1000 / JOIN_EVERY:.0f} a second after that, as a Jitsi's own queue does; "
        f"they arrive at {CLIENTS / WITHIN:.0f} a second, and rooms fill one after the other."
    )
    worst = max(float(str(row[4])) for row in rows)
    met = worst <= queue + 2 * PING_INTERVAL and all(str(row[1]).startswith(f"{CLIENTS} ") for row in rows)
    goal(
        f"nobody waits longer than a full room's queue and two pings ({queue + 2 * PING_INTERVAL:.0f} s)",
        f"worst {worst:.1f} s",
        met=met,
    )


@contextmanager
def _timed() -> Generator[list[float]]:
    took = [0.0]
    began = time.perf_counter()
    yield took
    took[0] = time.perf_counter() - began


def _tokens() -> None:
    pem = (
        rsa.generate_private_key(65_537, 2_048)
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
    )
    keys = [("HS256", "a-shared-secret-of-the-bench"), ("RS256", pem)]
    rows: list[list[object]] = []
    for algorithm, secret in keys:
        key = TokenKey(
            algorithm,
            secret,
            issuer="bench",
            audience="jitsi",
            subject="*",
            key_id="k" * (algorithm[0] == "R"),
        )
        room, now = new_room_name(), datetime.now(UTC)
        with _timed() as took:
            for number in range(TOKENS):
                entry = Entry(
                    room, opaque_identity(room, str(number)), f"Candidate {number}", is_proctor=False
                )
                room_token(key, entry, now=now, expires_at=now + timedelta(hours=3))
        rows.append([algorithm, 1000 * took[0], TOKENS / took[0]])
    table([f"signing {TOKENS:,} tokens", "ms", "a second"], rows)


async def _proof(jitsi: JitsiStandIn) -> None:
    values = {
        "server_url": jitsi.url,
        "app_id": jitsi.server.jwt_app_id,
        "app_secret": jitsi.server.jwt_app_secret,
    }
    with _timed() as took:
        steps = await collected(prove("jitsi", values, clock=SystemClock()))
    failed = sum(step.outcome is Outcome.FAILED for step in steps)
    table(
        ["the whole proof", "s", "steps", "failed"], [["as the dialog runs it", took[0], len(steps), failed]]
    )


@asynccontextmanager
async def _exam_at(jitsi: JitsiStandIn, join_by: JoinBy) -> AsyncGenerator[Exam]:
    async with exam_with(0, room_size=ROOM_SIZE) as exam:
        clock = SystemClock()
        storage = await open_storage(Settings(data_dir=exam.folder), clock=clock)
        try:
            async with storage.reading() as w:
                (found,) = await exam_queries.all_exams(w.db)
            await demo.meet_at(jitsi, found, storage, clock, url=f"http://127.0.0.1:{exam.port}")
            async with storage.work() as w:
                await w.db.execute(exams.update().values(join_by=join_by.value))
                await directory_changed(w)
        finally:
            await storage.close()
        yield exam


async def _arrivals(jitsi: JitsiStandIn, join_by: JoinBy, words: str) -> list[object]:
    async with _exam_at(jitsi, join_by) as exam, serving(exam) as server:
        is_native = join_by is JoinBy.NATIVE
        found = await generate(
            "join",
            **arrival(exam, server),
            clients=CLIENTS,
            within=WITHIN,
            until="join" if is_native else "meeting",
            device=f"&seb_version=3.5.0&seb_os_name={WINDOWS}" if is_native else None,
        )
    seconds = found["seconds"]
    for reason, count in found["count"].items():
        note(f"{words}: {count} times {reason}")
    return [words, f"{len(seconds)} of {CLIENTS}", *(part(seconds, share) for share in (0.5, 0.99, 1.0))]
