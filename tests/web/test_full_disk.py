"""A full disk in the middle of an exam: pings go on, pages say what is wrong, nothing is half-written or lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from sqlalchemy import func, select

from invigilo.storage.tables import client_connections, client_events
from tests.rtc.pages import proctor_page
from tests.server import Server, form_headers, running
from tests.web.people import exam_called, sign_in

PATIENCE = 60
LONG = "x" * 500


async def limit_pages(server: Server, limit: int | None) -> None:
    """Let the database file not grow beyond what it has, as a full disk does; None lets it grow again."""
    async with server.app.storage.database.writing.connect() as db:
        pages = (
            (await db.exec_driver_sql("PRAGMA page_count")).scalar_one() if limit is not None else 1_000_000
        )
        await db.exec_driver_sql(f"PRAGMA max_page_count = {pages + (limit or 0)}")


async def test_a_full_disk_loses_no_event_and_is_said(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        wire = await server.ready()
        ada = await sign_in(server, "ada")
        async with proctor_page(ada, exam_called(server, "Linear Algebra")) as (page, _):
            await limit_pages(server, 2)
            texts = [f"{n} {LONG}" for n in range(120)]
            for text in texts:
                assert (await wire.log({"type": "INFO_LOG", "timestamp": 1, "text": text})).status == 204
            async with asyncio.timeout(PATIENCE):
                while (await page.until(t="changes"))["storage_trouble_since"] is None:
                    assert (await wire.ping()).status == 204
            ready = await server.request("GET", "/readyz")
            assert ready.status == 503
            assert "wait in memory" in json.dumps(ready.json)
            assert (await server.request("GET", "/healthz")).status == 200
            exam = exam_called(server, "Linear Algebra")
            overview = await ada.get(f"/monitoring/{exam}/overview", accept="text/html")
            assert overview.status == 200, "proctors are not blinded"
            await _handshakes_are_refused_whole(server, wire.bearer)
            await limit_pages(server, None)
            async with asyncio.timeout(PATIENCE):
                while (await page.until(t="changes"))["storage_trouble_since"] is not None:
                    assert (await wire.ping()).status == 204
        assert await server.app.writer.flush()
        async with server.app.reading() as w:
            stored = (
                (await w.db.execute(select(client_events.c.text).order_by(client_events.c.id)))
                .scalars()
                .all()
            )
        assert list(stored) == texts


async def _handshakes_are_refused_whole(server: Server, bearer: str) -> None:
    """Sooner or later a new client finds no room on the disk: it is told to try again, and has left nothing behind."""
    answers = [await _handshake(server, bearer) for _ in range(60)]
    assert {status for status, _ in answers} <= {200, 503}
    refused = [body for status, body in answers if status == 503]
    assert refused, "the disk was not full"
    async with server.app.reading() as w:
        rows = (await w.db.execute(select(func.count()).select_from(client_connections))).scalar_one()
    assert rows == 1 + sum(status == 200 for status, _ in answers)


async def _handshake(server: Server, bearer: str) -> tuple[int, bytes]:
    form = f"institutionId={await server.institution()}&client_id={'long-name-' * 20}"
    answer = await server.request("POST", "/exam-api/v1/handshake", headers=form_headers(bearer), body=form)
    return answer.status, answer.body
