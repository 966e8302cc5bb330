"""People and their accounts in a real Chromium: what an administrator clicks, and what the new colleague meets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.browser.waiting import PATIENCE_MS, lingering
from tests.server import PASSWORD, Server, running
from tests.web.people import TWO_INSTITUTIONS

pytestmark = pytest.mark.browser

DESK: ViewportSize = {"width": 1440, "height": 900}
NEW = "wholly unrelated garden words"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data", text=TWO_INSTITUTIONS) as server:
        yield server


@pytest.fixture
async def contexts(browser: Browser) -> AsyncIterator[list[BrowserContext]]:
    """Two people, each with a browser of their own."""
    made = [
        await browser.new_context(locale="en", timezone_id="America/New_York", viewport=DESK)
        for _ in range(2)
    ]
    for context in made:
        context.set_default_timeout(PATIENCE_MS)
    yield made
    for context in made:
        await context.close()


async def _sign_in(context: BrowserContext, server: Server, who: str, password: str = PASSWORD) -> Page:
    page = await context.new_page()
    await page.goto(f"{server.url}/login")
    await page.get_by_label("User name").fill(who)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(re.compile("/(monitoring|account/password)$"))
    return page


async def test_a_colleague_is_added_signs_in_and_chooses_a_password(
    server: Server, contexts: list[BrowserContext]
) -> None:
    admin = await _sign_in(contexts[0], server, "ines")
    await admin.get_by_role("navigation", name="Parts of Invigilo").get_by_role("link", name="People").click()
    await admin.get_by_role("link", name="Add a person").click()
    await admin.get_by_label("User name").fill("new colleague")
    await admin.get_by_label("Role").select_option(label="Exam administrator")
    await admin.get_by_role("button", name="Create account").click()
    await expect(admin.get_by_label("User name")).to_be_focused()
    await expect(admin.get_by_text("A user name has no blanks, colons or slashes.")).to_be_visible()
    await admin.get_by_label("User name").fill("zoë")
    await admin.get_by_label("Name", exact=True).fill("Zoë O'Neil 🦉")
    await admin.get_by_role("button", name="Create account").click()
    await expect(admin.get_by_role("heading", level=1)).to_have_text("Zoë O'Neil 🦉")
    given = await admin.locator("#new-password").inner_text()

    colleague = await _sign_in(contexts[1], server, "zoë", given)
    await expect(colleague.get_by_role("heading", level=1)).to_have_text("Choose a password of your own")
    await colleague.goto(f"{server.url}/people")
    await expect(colleague.get_by_role("heading", level=1)).to_have_text("Choose a password of your own")
    await colleague.get_by_label("The password you were given").fill(given)
    await colleague.locator("#new_password").fill(NEW)
    await colleague.get_by_label("New password again").fill(NEW)
    await colleague.get_by_role("button", name="Change password").click()
    await expect(colleague.get_by_role("status")).to_have_text("Your password was changed.")
    await colleague.get_by_role("link", name="Zoë O'Neil 🦉").click()
    await expect(colleague.get_by_role("heading", level=1)).to_have_text("Account")

    await admin.goto(f"{server.url}/activity")
    await expect(admin.get_by_role("row", name="Created the account “zoë”")).to_be_visible()
    await expect(admin.get_by_role("row", name="Changed their own password")).to_be_visible()


async def test_an_api_token_is_made_used_and_revoked(server: Server, contexts: list[BrowserContext]) -> None:
    await contexts[0].grant_permissions(["clipboard-read", "clipboard-write"])
    await lingering(contexts[0], 2_000)  # that it was copied
    page = await _sign_in(contexts[0], server, "ines")
    await page.goto(f"{server.url}/account")
    await page.get_by_text("New token").click()
    await page.get_by_role("button", name="Make token").click()
    form = page.locator(".token-form")
    await form.get_by_label("Name").fill("Campus sync")
    await page.get_by_role("button", name="Make token").click()
    await expect(page.get_by_text("Choose what the token may be used for.")).to_be_visible()
    await page.get_by_label("see people and institutions").check()
    await page.get_by_role("button", name="Make token").click()
    key = await page.locator("#new-key").inner_text()
    await page.wait_for_load_state()
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == key
    headers = {"Authorization": f"Bearer {key}"}
    assert (await server.request("GET", "/api/v1/people", headers=headers)).json["total"] == 5
    await page.goto(f"{server.url}/account")
    await expect(page.get_by_text("never used")).to_have_count(0)
    await page.get_by_role("button", name="Revoke: Campus sync").click()
    await expect(page.get_by_role("status")).to_have_text("The token was revoked.")
    assert (await server.request("GET", "/api/v1/people", headers=headers)).status == 401


async def test_times_are_shown_in_the_zone_of_the_account(
    server: Server, contexts: list[BrowserContext]
) -> None:
    """The browser stands in New York; the account says Bangkok, eleven or twelve hours on."""
    page = await _sign_in(contexts[0], server, "ines")
    shown = "document.querySelector('table.activity time').textContent"
    expected = """zone => new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short', timeZone: zone })
        .format(Number(document.querySelector('table.activity time').dataset.ms))"""
    await page.goto(f"{server.url}/activity")
    assert await page.evaluate(shown) == await page.evaluate(expected, "America/New_York")
    await page.goto(f"{server.url}/account")
    await page.get_by_label("Time zone").select_option("Asia/Bangkok")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    await page.goto(f"{server.url}/activity")
    assert await page.evaluate(shown) == await page.evaluate(expected, "Asia/Bangkok")
