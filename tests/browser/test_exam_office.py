"""An exam from nothing to ready, by what the pages offer; and two people who edit it at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from sqlalchemy import update

from invigilo.exams.model import ProctoringSettings
from invigilo.exams.service import proctoring_columns
from invigilo.storage.queries import exam_office
from invigilo.storage.tables import connection_configurations
from tests.server import PASSWORD, Server, running
from tests.web.people import TWO_INSTITUTIONS

pytestmark = pytest.mark.browser


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path, text=TWO_INSTITUTIONS) as server:
        yield server


async def signed_in(browser: Browser, server: Server, username: str = "grace") -> Page:
    context = await browser.new_context(locale="en", viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto(f"{server.url}/login")
    await page.get_by_label("User name").fill(username)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/monitoring")
    return page


async def new_exam(page: Page, name: str) -> int:
    await page.get_by_role("link", name="Exams", exact=True).click()
    await page.get_by_role("link", name="New exam").click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Start", exact=False).first.fill("2031-05-05T08:00")
    await page.locator("#ends_at").fill("2031-05-05T10:00")
    await page.locator("#time_zone").select_option("Europe/Berlin")
    await page.get_by_label("Start address").fill("https://lms.example.org/quiz")
    await page.get_by_role("checkbox", name="ada").check()
    await page.get_by_label("Quit password", exact=True).fill("let me out")
    await page.get_by_role("button", name="Create exam").click()
    await page.wait_for_url(re.compile(r"/exams/\d+$"))
    return int(page.url.rpartition("/")[2])


@pytest.mark.spec("live-proctoring", 11)
async def test_an_exam_becomes_ready_step_by_step(browser: Browser, server: Server, tmp_path: Path) -> None:
    page = await signed_in(browser, server)
    exam_id = await new_exam(page, "Topology")
    await expect(page.get_by_text("May 5, 2031, 8:00")).to_be_visible()
    await expect(page.locator("[data-check=connection_file]")).to_have_attribute("data-verdict", "missing")
    proctoring = page.get_by_role("link", name="Proctoring Settings")
    await expect(proctoring).to_have_attribute("data-proctoring", "off")
    await expect(proctoring.get_by_role("img", name="Live proctoring is off")).to_be_visible()

    file = tmp_path / "roster.csv"
    file.write_text("Matrikelnummer;Vorname;Nachname;Zusatzzeit\ns1;Zoë;Müller;30\n;Nobody;;\n", "utf-8")
    await page.locator("[data-check=roster]").get_by_role("link").click()
    await page.get_by_label("File (up to 2 MiB)").set_input_files(file)
    await page.get_by_role("button", name="Preview").click()
    await expect(page.get_by_text("The user id is missing.")).to_be_visible()
    await page.get_by_role("button", name="Import without the lines with mistakes").click()
    await expect(page.get_by_role("rowheader", name="Zoë Müller")).to_be_visible()

    app = server.app
    async with app.work() as w:  # what other pages do: the dialog, and taking a connection file
        await exam_office.update_exam(w.db, exam_id, **proctoring_columns(ProctoringSettings(enabled=True)))
        await app.exams.proctoring_changed(w, exam_id)
        await w.db.execute(update(connection_configurations).values(handed_out_at=1))
    await page.goto(f"{server.url}/exams/{exam_id}")
    await expect(page.get_by_text("Ready for a proctored exam.")).to_be_visible()
    await expect(proctoring).to_have_attribute("data-proctoring", "on")
    await expect(proctoring.get_by_role("img", name="Live proctoring is on")).to_be_visible()
    await page.get_by_text("settings are served otherwise than edited").last.click()
    await expect(page.get_by_role("row", name="browserMediaCaptureCamera")).to_be_visible()

    await page.get_by_role("button", name="Show it").click()
    await expect(page.locator("#quit-password")).to_have_text("let me out")
    await page.get_by_role("button", name="Start test run").click()
    await expect(page.get_by_text("The test run is on.")).to_be_visible()
    await expect(page.get_by_role("link", name="Monitor", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Stop test run").click()
    await page.get_by_role("dialog").get_by_role("button", name="Stop test run").click()
    await expect(page.get_by_text("The test run is over.")).to_be_visible()

    await page.get_by_role("link", name="Delete").click()
    await expect(page.get_by_text("candidates on the roster: 1")).to_be_visible()
    await page.get_by_role("button", name="Delete all of this").click()
    await page.wait_for_url("**/exams")
    await expect(page.get_by_role("link", name="Topology")).to_have_count(0)


async def test_of_two_people_editing_the_second_is_told_and_keeps_what_was_typed(
    browser: Browser, server: Server
) -> None:
    first, second = await signed_in(browser, server), await signed_in(browser, server)
    exam_id = await new_exam(first, "Topology")
    for page in (first, second):
        await page.goto(f"{server.url}/exams/{exam_id}/edit")
    await first.get_by_label("Name").fill("Topology I")
    await first.get_by_role("button", name="Save").click()
    await first.wait_for_url(f"**/exams/{exam_id}")
    await second.get_by_label("Description").fill("in the large hall")
    await second.get_by_role("button", name="Save").click()
    await expect(second.get_by_role("alert")).to_contain_text("Somebody else changed this meanwhile")
    await expect(second.get_by_label("Description")).to_have_value("in the large hall")
    await first.reload()
    await expect(first.get_by_role("heading", level=1)).to_contain_text("Topology I")
    await second.get_by_role("button", name="Save").click()
    await second.wait_for_url(f"**/exams/{exam_id}")
    await expect(second.get_by_text("in the large hall")).to_be_visible()


async def test_an_hour_that_does_not_exist_is_said_at_its_field(browser: Browser, server: Server) -> None:
    page = await signed_in(browser, server)
    await page.goto(f"{server.url}/exams/new")
    await page.get_by_label("Name").fill("Night")
    await page.locator("#starts_at").fill("2031-03-30T02:30")
    await page.locator("#ends_at").fill("2031-03-30T05:00")
    await page.locator("#time_zone").select_option("Europe/Berlin")
    await page.get_by_label("Start address").fill("https://lms.example.org/quiz")
    await page.get_by_role("button", name="Create exam").click()
    await expect(page.locator("#starts_at-problem")).to_contain_text("does not exist in Europe/Berlin")
    await expect(page.locator("#starts_at")).to_be_focused()
    await expect(page.locator("#starts_at")).to_have_value("2031-03-30T02:30")
