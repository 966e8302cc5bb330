"""The dialog "Proctoring Settings" in a real Chromium: switching on, errors beside fields, testing a service, German."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.waiting import PATIENCE_MS
from tests.proctoring.office import RIGHT, WRONG, Office, office
from tests.server import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as desk:
        yield desk


async def opened(browser: Browser, desk: Office, *, who: str = "grace", **context: object) -> Page:
    """Somebody signs in and is led to the dialog of Linear Algebra."""
    page = await (await browser.new_context(locale="en", **context)).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(f"{desk.server.url}/login?next=/exams/{desk.exam_id}/proctoring")
    await page.get_by_label("User name").fill(who)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"**/exams/{desk.exam_id}/proctoring")
    return page


async def save(page: Page) -> None:
    await page.get_by_role("button", name=re.compile("Save settings|Einstellungen speichern")).click()


@pytest.mark.spec("live-proctoring", 11)
async def test_what_is_saved_is_there_again_and_the_eye_says_whether_it_is_on(
    browser: Browser, desk: Office
) -> None:
    page = await opened(browser, desk)
    badge = page.locator(".page-head .badge")
    await expect(badge.locator(".icon-eye")).to_be_visible()
    await page.get_by_role("switch", name="Proctor with live cameras").uncheck()
    await page.get_by_role("spinbutton", name="Candidates in one room").fill("12")
    await page.get_by_role("checkbox", name="write messages").uncheck()
    await save(page)
    await expect(page.get_by_role("status").filter(has_text="Proctoring is off")).to_be_visible()
    await expect(badge.locator(".icon-eye-off")).to_be_visible()
    assert not (await desk.settings())["enabled"]

    await page.reload()
    await expect(page.get_by_role("spinbutton")).to_have_value("12")
    await expect(page.get_by_role("checkbox", name="write messages")).not_to_be_checked()
    await page.get_by_role("switch").check()
    await page.get_by_role("radio", name="No limit: everybody in one room").check()
    await save(page)
    await expect(page.get_by_role("status").filter(has_text="Proctoring is on")).to_be_visible()
    await expect(badge.locator(".icon-eye")).to_be_visible()
    settings = await desk.settings()
    assert (settings["enabled"], settings["collecting_room_size"]) == (True, None)
    assert settings["features"] == ["broadcast", "one_to_one", "town_hall"]


@pytest.mark.spec("live-proctoring", 2, 5)
async def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
    browser: Browser, desk: Office
) -> None:
    page = await opened(browser, desk)
    await page.get_by_role("radio", name="Jitsi Meet").check()
    section = page.get_by_role("region", name="Jitsi Meet")
    await section.get_by_label("Application id").fill("exams")
    await page.get_by_role("radio", name="JaaS by 8x8").check()
    await expect(section).to_be_hidden()
    await page.get_by_role("radio", name="Jitsi Meet").check()
    await expect(section.get_by_label("Application id")).to_have_value("exams")
    await page.get_by_role("spinbutton").fill("0")
    await save(page)
    for name, text in {
        "jitsi.name": "Fill this in.",
        "jitsi.server_url": "This is needed.",
        "jitsi.app_secret": "This is needed with the chosen algorithm.",
        "collecting_room_size": "Enter a whole number from 1 to 500.",
    }.items():
        await expect(page.locator(f"[id='{name}-problem']")).to_have_text(text)
    await expect(section.get_by_label("Application id")).to_have_value("exams")
    await page.goto(page.url + "?lang=de")
    await page.get_by_role("radio", name="Jitsi Meet").check()
    await page.get_by_role("spinbutton").fill("0")
    await save(page)
    await expect(page.locator("[id='jitsi.app_id-problem']")).to_have_text("Bitte ausfüllen.")
    await expect(page.locator("[id='collecting_room_size-problem']")).to_contain_text(
        "ganze Zahl von 1 bis 500"
    )


async def test_a_service_is_entered_tested_and_switched_on_in_one_dialog(
    browser: Browser, desk: Office
) -> None:
    """Each step shows as it is known; only what passed is switched on without saying that it did not."""
    page = await opened(browser, desk)
    await page.get_by_role("radio", name="Jitsi Meet").check()
    section = page.get_by_role("region", name="Jitsi Meet")
    await section.get_by_label("Name").fill("Our Jitsi")
    await section.get_by_label("Address of the server").fill("https://meet.example.org")
    await section.get_by_label("Application id").fill("exams")
    await section.get_by_label("Application secret").fill(WRONG)
    desk.proofs.may_go_on.clear()
    await section.get_by_role("button", name="Test now").click()
    steps = section.locator(".proof-step")
    await expect(steps).to_have_count(1)
    await expect(section.locator(".proof-word")).to_contain_text("Testing")
    desk.proofs.may_go_on.set()
    await expect(steps).to_have_count(3)
    await expect(section.locator(".proof-word")).to_contain_text("Failed")
    await expect(section.locator("[data-outcome=failed]")).to_contain_text("Our token is accepted")
    await save(page)
    await expect(page.locator("#accept_unproven-problem")).to_contain_text("has not passed its test")

    await section.get_by_role("link", name="Open this service").click()
    await page.wait_for_url("**/services/*")
    await page.get_by_label("Application secret").fill(RIGHT)
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".page-head .badge")).to_have_text("not tested")
    await page.get_by_role("button", name="Test now").click()
    await expect(page.locator(".page-head .badge")).to_have_text("tested")

    await page.goto(f"{desk.server.url}/exams/{desk.exam_id}/proctoring")
    await page.get_by_role("radio", name="Jitsi Meet").check()
    await section.get_by_label("Jitsi Meet to use").select_option(label="Our Jitsi (tested)")
    await expect(page.get_by_role("checkbox", name=re.compile("Switch on although"))).to_be_hidden()
    await save(page)
    await expect(page.get_by_role("status").filter(has_text="Proctoring is on")).to_be_visible()
    settings = await desk.settings()
    assert (settings["service"], settings["is_proven"]) == ("jitsi", True)


async def test_it_works_without_script(browser: Browser, desk: Office) -> None:
    page = await opened(browser, desk, java_script_enabled=False)
    await page.get_by_role("radio", name="Jitsi Meet").check()
    section = page.get_by_role("region", name="Jitsi Meet")
    await section.get_by_label("Name").fill("Our Jitsi")
    await section.get_by_label("Address of the server").fill("https://meet.example.org")
    await section.get_by_label("Application id").fill("exams")
    await section.get_by_label("Application secret").fill(RIGHT)
    await save(page)
    await expect(page.locator("#accept_unproven-problem")).to_be_visible()
    await section.get_by_role("link", name="Open this service").click()
    await page.wait_for_url("**/services/*")
    await page.get_by_role("button", name="Test now").click()
    await expect(page.locator(".proof-step")).to_have_count(3)
    await expect(page.locator(".page-head .badge")).to_have_text("tested")


async def test_who_may_only_look_changes_nothing(browser: Browser, desk: Office) -> None:
    page = await opened(browser, desk, who="ada")
    await expect(page.get_by_text("Changing them is for exam administrators.")).to_be_visible()
    await expect(page.get_by_role("button", name="Save settings")).to_have_count(0)
    await expect(page.get_by_role("switch")).to_be_disabled()
