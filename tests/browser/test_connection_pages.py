"""Handing out a connection, as an exam administrator does it in a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from invigilo.sebconfig.connection_file import read_connection_file
from tests.browser.waiting import PATIENCE_MS
from tests.server import PASSWORD, running
from tests.web.people import TWO_INSTITUTIONS, exam_called

pytestmark = pytest.mark.browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


async def test_from_nothing_to_a_sheet_with_a_code_and_back_to_revoked(
    tmp_path: Path, context: BrowserContext
) -> None:
    async with running(tmp_path / "data", text=TWO_INSTITUTIONS) as server:
        page = await context.new_page()
        refused: list[str] = []
        page.on("console", lambda said: refused.append(said.text) if "Policy" in said.text else None)
        await page.goto(f"{server.url}/login?next=/connections")
        await page.get_by_label("User name").fill("grace")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()

        await page.get_by_role("link", name="New connection configuration").click()
        await page.get_by_label("Name").fill("Loan tablets")
        await expect(page.get_by_label("Certificate (PEM)")).to_be_hidden()
        await expect(page.get_by_label("Biology")).to_be_hidden()
        await page.get_by_label("Limit to certain exams").check()
        await page.get_by_label("Biology").check()
        await page.get_by_label("Encryption").select_option(label="password, typed when the file is opened")
        await page.get_by_label("Password of the file").fill("open sesame")
        await page.get_by_role("button", name="Create").click()
        await expect(page.get_by_text("Nothing was saved yet")).to_be_visible()
        await expect(page.get_by_label("Biology")).to_be_checked()
        await page.get_by_label("Password of the file").fill("open sesame")
        await page.locator("#password_again").fill("open sesame")
        await page.get_by_role("button", name="Create").click()

        await expect(page.get_by_text("Shown this once and never again")).to_be_visible()
        secret = await page.locator("#client-secret").inner_text()
        async with page.expect_download() as coming:
            await page.get_by_role("button", name="Download .seb").click()
        download = await coming.value
        assert download.suggested_filename == "Loan tablets.seb"
        file = read_connection_file(Path(await download.path()).read_bytes(), password="open sesame")
        assert (file.client_secret, file.exam_id) == (secret, str(exam_called(server, "Biology")))

        await page.get_by_role("button", name="Make a link").click()
        await expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()
        address = await page.locator("#link-address").inner_text()
        fetched = await server.request("GET", "/" + address.split("/", 3)[3])
        assert read_connection_file(fetched.body, password="open sesame") == file
        await page.emulate_media(media="print")
        await expect(page.get_by_role("banner")).to_be_hidden()
        await expect(page.get_by_role("heading", name="Biology")).to_be_visible()
        await page.emulate_media(media="screen")

        await page.get_by_role("link", name="Done").click()
        await expect(page.locator("#client-secret")).to_have_count(0)
        await page.get_by_role("button", name="Revoke for good").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke for good").click()
        await expect(page.get_by_text("Revoked for good: none of its files")).to_be_visible()
        assert (await server.request("GET", "/" + address.split("/", 3)[3])).status == 404
        await page.goto(f"{server.url}/connections")
        row = page.get_by_role("row", name=re.compile("Loan tablets"))
        await expect(row.get_by_text("revoked")).to_be_visible()
        assert refused == [], "the pages' own policy stopped something"
