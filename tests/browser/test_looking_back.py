"""After an exam: from the list of finished ones to a candidate's whole story, and a search over all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from invigilo.exams.rules import Deed
from invigilo.storage.queries import accounts as account_queries
from tests.browser.waiting import PATIENCE_MS, until
from tests.server import Server, running
from tests.web.people import TWO_INSTITUTIONS, candidate_in, exam_called, sign_in

pytestmark = pytest.mark.browser


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path, text=TWO_INSTITUTIONS) as server:
        yield server


async def an_exam_that_is_over(server: Server) -> int:
    """One candidate named by the learning system, who raised a hand, was locked, met an error and left."""
    exam_id = exam_called(server, "Linear Algebra")
    candidate = await candidate_in(server, "Linear Algebra")
    wire = candidate.wire
    await until(lambda: wire.live.room_number == 1)
    await wire.patch("seb_user_session_id=zoe.mueller")
    proctor = await sign_in(server, "ada")
    for number in range(12):
        await wire.log(
            {"type": "INFO_LOG", "timestamp": 1764064800000 + number, "text": f"Window {number} opened"}
        )
    await wire.log({"type": "ERROR_LOG", "timestamp": 1764064801000, "text": "Öko page failed to load"})
    hand = {
        "type": "NOTIFICATION",
        "timestamp": 1764064802000,
        "numericValue": 1,
        "text": "<raisehand> Help me",
    }
    await wire.log(hand)
    path = f"/monitoring/{exam_id}/connections/{candidate.id}"
    assert (await proctor.post(f"{path}/notifications/1/confirm")).status == 200
    assert (await proctor.post(f"{path}/lock", {"message": "Please wait"})).status == 200
    await wire.ping()
    await wire.delete()
    app = server.app
    await app.writer.flush()
    async with app.reading() as w:
        grace = next(one for one in await account_queries.all_accounts(w.db) if one.username == "grace")
    await app.exams.do(exam_id, Deed.END, grace)
    return exam_id


async def test_from_a_finished_exam_to_everything_that_happened(browser: Browser, server: Server) -> None:
    await an_exam_that_is_over(server)
    ada = await sign_in(server, "ada")
    context = await browser.new_context(locale="en", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    await context.add_cookies([{"name": n, "value": v, "url": server.url} for n, v in ada.cookies.items()])
    page = await context.new_page()
    troubles: list[str] = []
    page.on("console", lambda said: troubles.append(said.text) if said.type in {"error", "warning"} else None)
    await page.goto(f"{server.url}/monitoring")

    await (
        page.get_by_role("navigation", name="Parts of Invigilo")
        .get_by_role("link", name="Looking back")
        .click()
    )
    await page.get_by_role("link", name="Linear Algebra").click()
    row = page.get_by_role("row", name="zoe.mueller")
    await expect(row).to_contain_text("Closed")
    await expect(row).to_contain_text("room 1")
    await row.get_by_role("link", name="zoe.mueller", exact=True).click()
    moments = page.locator(".moments li")
    for said in ("The client connected", "Window 11 opened", "Öko page failed", "Help me", "Please wait"):
        await expect(moments.filter(has_text=said).first).to_be_visible()
    await expect(moments.filter(has_text="by ada").first).to_be_visible()
    for kind in ("State", "Room", "Staff", "Instruction", "Notification"):
        await page.get_by_role("checkbox", name=kind).uncheck()
    await page.get_by_role("button", name="Show").click()
    await expect(moments).to_have_count(13)

    await (
        page.get_by_role("navigation", name="Parts of Invigilo")
        .get_by_role("link", name="Looking back")
        .click()
    )
    await page.get_by_role("navigation", name="Looking back").get_by_role("link", name="Events").click()
    await page.get_by_label("Words of the text").fill("öko")
    await page.get_by_role("checkbox", name="Error").check()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("One event fits.")).to_be_visible()
    await expect(page.locator("table.events tbody tr")).to_have_count(1)
    async with page.expect_download() as taken:
        await page.get_by_role("link", name="Export as CSV").click()
    file = await (await taken.value).path()
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline="")))
    assert [row[7] for row in rows[1:]] == ["Öko page failed to load"]
    await page.get_by_role("link", name="zoe.mueller").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("zoe.mueller")
    assert troubles == []
    await context.close()
