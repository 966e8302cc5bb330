"""The settings editor in a real Chromium: saved as one types, with two people at once, by keyboard alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.waiting import PATIENCE_MS
from tests.server import PASSWORD, Server, running
from tests.web.people import TWO_INSTITUTIONS, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data", text=TWO_INSTITUTIONS) as server:
        yield server


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en", viewport={"width": 1366, "height": 768})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


async def editor(context: BrowserContext, server: Server) -> Page:
    """grace makes a configuration by what the pages offer, and has it open."""
    page = await context.new_page()
    await page.goto(f"{server.url}/login?next=/configurations")
    await page.get_by_label("User name").fill("grace")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="New configuration").click()
    await page.get_by_label("Name").fill("Mathematics")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="Mathematics")).to_be_visible()
    await listens(page)
    return page


async def listens(page: Page) -> None:
    """Its scripts are there; what is typed before is a plain form's."""
    await expect(page.get_by_role("tab", name="General", exact=True)).to_have_attribute("role", "tab")


async def second(context: BrowserContext, page: Page) -> Page:
    """The same editor in another window, which hears of nothing by itself."""
    other = await context.new_page()
    await other.route("**/state?*", lambda route: route.abort())
    await other.goto(await page.evaluate("location.href"))
    return other


async def tab(page: Page, name: str) -> None:
    await page.get_by_role("tab", name=name, exact=True).click()
    await expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
    await expect(page.locator("[data-panel]")).not_to_have_attribute("aria-busy", "true")


async def saved(page: Page) -> None:
    await expect(page.locator("[data-saved-word]")).to_have_text("Saved")


async def test_locks_and_problems_appear_as_one_types(context: BrowserContext, server: Server) -> None:
    page = await editor(context, server)
    await tab(page, "Browser")
    audio = page.locator("[data-setting=browserMediaAutoplayAudio]")
    await page.locator("[data-setting=browserMediaAutoplay] input").uncheck()
    await expect(audio.locator("input")).to_be_disabled()
    await expect(audio.locator("input")).not_to_be_checked()
    await expect(audio.locator(".is-lock")).to_be_visible()
    await page.locator("[data-setting=browserMediaAutoplay] input").check()
    await expect(audio.locator("input")).to_be_enabled()
    await tab(page, "Exam")
    link = page.get_by_label("Quit link", exact=True)
    await link.press_sequentially("lms")
    await expect(page.locator("[data-setting=quitURL] .is-error")).to_be_visible()
    await expect(page.get_by_role("tab", name="Exam", exact=True)).to_have_attribute("data-mark", "error")
    await link.fill("https://lms.example.org/quit")
    await expect(page.locator("[data-setting=quitURL] .is-error")).to_have_count(0)
    await saved(page)
    await page.reload()
    await expect(link).to_have_value("https://lms.example.org/quit")
    await page.get_by_role("button", name="Set “Quit link” back to the default").click()
    await expect(link).to_have_value("")


async def test_two_people_at_one_setting_both_see_both_values(
    context: BrowserContext, server: Server
) -> None:
    page = await editor(context, server)
    await tab(page, "Exam")
    other = await second(context, page)
    link, others = (one.get_by_label("Quit link", exact=True) for one in (page, other))
    await link.fill("https://one.example.org")
    await saved(page)
    await other.get_by_label("Confirm quit link", exact=True).uncheck()
    await saved(other)
    await expect(others, "what the other saved is shown").to_have_value("https://one.example.org")
    await link.fill("https://three.example.org")
    await saved(page)
    await others.fill("https://two.example.org")
    conflict = other.locator("[data-setting=quitURL]")
    await expect(conflict).to_contain_text("grace changed this meanwhile to: https://three.example.org")
    await expect(others, "what was typed stays").to_have_value("https://two.example.org")
    await conflict.get_by_role("button", name="Save mine").click()
    await saved(other)
    await expect(page.locator("[data-others]"), "the first window hears of it").to_contain_text("Quit link")
    await expect(link).to_have_value("https://two.example.org")


async def test_a_tables_rows_are_edited_by_keyboard_alone(context: BrowserContext, server: Server) -> None:
    page = await editor(context, server)
    await page.get_by_role("tab", name="General").focus()
    for _ in range(7):
        await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("tab", name="Network")).to_have_attribute("aria-selected", "true")
    add = page.get_by_role("button", name="Add a row")
    for expression in ("first.example.org", "second.example.org"):
        await add.focus()
        await page.keyboard.press("Enter")
        await page.keyboard.type(expression)
    expressions = page.get_by_role("textbox", name="Expression")
    await expect(expressions).to_have_count(2)
    await page.get_by_role("button", name="Move row up").last.press("Enter")
    await expect(expressions.first).to_have_value("second.example.org")
    await expect(page.get_by_role("button", name="Move row down").first).to_be_focused()
    await page.get_by_role("button", name="Remove row").first.press("Enter")
    await expect(expressions).to_have_count(1)
    await saved(page)
    await page.reload()
    await expect(expressions).to_have_value("first.example.org")


async def test_a_search_leads_to_the_setting_wherever_it_is(context: BrowserContext, server: Server) -> None:
    page = await editor(context, server)
    await page.get_by_label("Search all settings").fill("SOCKSPort")
    await expect(page.locator("[data-hit]")).to_have_count(1)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-setting='proxies.SOCKSPort'] input")).to_be_focused()
    await expect(page.locator("[data-setting='proxies.SOCKSPort'] input")).to_have_value("1080")


async def test_publish_change_compare_and_take_back(context: BrowserContext, server: Server) -> None:
    page = await editor(context, server)
    await expect(page.locator("[data-status]")).to_have_text("Never published")
    await page.get_by_text("Publish", exact=True).click()
    await page.get_by_label("What is new?").fill("First")
    await page.get_by_role("button", name="Publish now").click()
    await expect(page.locator("[data-status]")).to_have_text("Version 1 is published")
    await listens(page)
    await page.get_by_label("User may quit SEB", exact=True).uncheck()
    await expect(page.locator("[data-status]")).to_have_text("Draft differs from version 1 in one value")
    await saved(page)
    await page.get_by_role("link", name="Compare").click()
    await expect(page.get_by_role("row", name="User may quit SEB")).to_contain_text("allowQuit")
    await page.go_back()
    await page.get_by_text("Undo", exact=True).click()
    await page.get_by_role("button", name="Take the draft back").click()
    await expect(page.get_by_label("User may quit SEB", exact=True)).to_be_checked()
    await expect(page.locator("[data-status]")).to_have_text("Version 1 is published")


async def test_what_cannot_be_saved_is_kept_until_it_can(context: BrowserContext, server: Server) -> None:
    """The server is out of reach for a while: the bar says so, and nothing typed is lost."""
    page = await editor(context, server)
    await page.route("**/changes", lambda route: route.abort())
    await page.get_by_label("User may quit SEB", exact=True).uncheck()
    await expect(page.locator("[data-saved-word]")).to_have_text("Not saved yet – trying again")
    await page.unroute("**/changes")
    await saved(page)
    await page.reload()
    await expect(page.get_by_label("User may quit SEB", exact=True)).not_to_be_checked()


async def test_whoever_only_looks_changes_nothing(context: BrowserContext, server: Server) -> None:
    page = await editor(context, server)
    auditor = await sign_in(server, "aude")
    await page.context.clear_cookies()
    await page.context.add_cookies(
        [{"name": name, "value": value, "url": server.url} for name, value in auditor.cookies.items()]
    )
    await page.reload()
    await expect(page.get_by_label("User may quit SEB", exact=True)).to_be_disabled()
    await expect(page.get_by_text("Publish", exact=True)).to_have_count(0)
