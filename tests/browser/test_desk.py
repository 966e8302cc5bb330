"""The monitoring desk in a real Chromium: what a proctor does there, and what does not move under the hand."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.test_proctor_pages import named, row, signed_in
from tests.browser.waiting import PATIENCE_MS, lingering, until_page
from tests.server import SebWire, Server, running

pytestmark = pytest.mark.browser

CLOCKS_APART = 2_000  # ms between a page's clock and the server's, however late the stream's messages come


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en", viewport={"width": 1366, "height": 768})
    context.set_default_timeout(PATIENCE_MS)
    await lingering(context, 6_000)  # what became of a deed, told in the corner
    yield context
    await context.close()


async def hand(wire: SebWire, text: str, number: int = 3) -> None:
    event = {"type": "NOTIFICATION", "timestamp": 1, "numericValue": number, "text": f"<raisehand> {text}"}
    assert (await wire.log(event)).status == 204


def names_in_order(page: Page):
    """Top to bottom, as the eye reads."""
    return page.locator(".table-row").evaluate_all(
        "rows => rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)"
        ".map(row => row.querySelector('.cell-name a').textContent)"
    )


async def test_several_are_ended_only_by_typing_how_many(server: Server, context: BrowserContext) -> None:
    wires = {name: await named(server, name) for name in ("Anna", "Ben", "Chloe")}
    page = await signed_in(context, server)
    for name in ("Anna", "Ben"):
        await page.get_by_role("checkbox", name=f"Select {name}").check()
    await expect(page.get_by_text("2 selected")).to_be_visible()
    await page.get_by_role("button", name="End SEB").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("End the SEB session of 2 candidates?")
    go = dialog.get_by_role("button", name="End: 2 candidates")
    await expect(go).to_be_disabled()
    await dialog.get_by_label("type how many").fill("3")
    await expect(go).to_be_disabled()
    await dialog.get_by_label("type how many").fill("2")
    async with page.expect_response("**/deeds") as sending:
        await go.click()
    assert (await sending.value).status == 200
    await expect(page.locator("[data-outcomes]")).to_contain_text("End sent: 2 candidates.")
    await expect(row(page, "Anna").locator(".deed-state")).to_have_text("End SEB: waiting")
    assert (await wires["Anna"].told())["instruction"] == "SEB_QUIT"
    await expect(row(page, "Anna").locator(".deed-state")).to_have_text("End SEB: delivered")
    await wires["Anna"].delete()
    await expect(row(page, "Anna").locator(".deed-state")).to_have_text("End SEB: done")
    assert (await wires["Ben"].told())["instruction"] == "SEB_QUIT"
    assert (await wires["Chloe"].ping()).status == 204


async def test_a_key_flags_the_moment_and_words_follow_on_the_candidates_story(
    server: Server, context: BrowserContext
) -> None:
    wire = await named(server, "Ben Okafor")
    page = await signed_in(context, server)
    await expect(row(page, "Ben Okafor")).to_be_visible()
    await page.keyboard.press("j")
    await expect(page.get_by_role("link", name="Ben Okafor", exact=True)).to_be_focused()
    before = server.app.clock.now_ms()
    async with page.expect_response("**/notes") as flagging:
        await page.keyboard.press("f")
    after = server.app.clock.now_ms()
    note = await (await flagging.value).json()
    assert note["is_incident"]
    assert note["text"] == ""
    exam = server.app.directory.exams[wire.live.exam_id]
    (stored,) = await server.app.notes.of_exam(exam)
    assert before - CLOCKS_APART <= stored.happened_at <= after + CLOCKS_APART
    await expect(page.get_by_role("link", name="Ben Okafor", exact=True)).to_be_focused()
    await page.get_by_role("button", name="Add words").click()
    await page.get_by_label("What happened").fill("Spoke to the neighbour.")
    await page.get_by_text("Talking", exact=True).click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(row(page, "Ben Okafor").locator(".flag")).to_have_attribute("data-incidents", "1")
    (said,) = await server.app.notes.of_exam(exam)
    assert said.happened_at == stored.happened_at, "the words came later, the moment is the press"
    await row(page, "Ben Okafor").get_by_role("link", name="Ben Okafor", exact=True).click()
    await expect(page.locator("[data-feed-state]")).to_have_attribute("data-feed-state", "live")
    story = page.locator("[data-story]")
    await expect(story).to_contain_text("Incident · Talking")
    await expect(story).to_contain_text("Spoke to the neighbour.")
    await page.keyboard.press("l")
    await page.get_by_role("dialog").get_by_label("Message on the locked screen").fill("Wait")
    async with page.expect_response("**/deeds") as locking:
        await page.keyboard.press("Enter")
    assert (await locking.value).status == 200
    assert (await wire.told())["attributes"] == {"message": "Wait"}
    await expect(page.locator("[data-deed-state]")).to_have_text("Lock: delivered")
    await expect(story).to_contain_text("Locked a candidate's screen")


async def test_rows_keep_their_places_under_the_hand_and_sort_when_asked(
    server: Server, context: BrowserContext
) -> None:
    wires = {name: await named(server, name) for name in ("Anna", "Ben", "Chloe")}
    page = await signed_in(context, server)
    await expect(page.locator(".table-row")).to_have_count(3)
    before = await names_in_order(page)
    await row(page, "Anna").get_by_role("link", name="Anna", exact=True).focus()
    await hand(wires["Chloe"], "Page 2 does not load")
    await expect(row(page, "Chloe")).to_contain_text("Page 2 does not load")
    await expect(page.get_by_role("button", name="Order has changed: sort now")).to_be_visible()
    assert await names_in_order(page) == before, "a row moved while the focus was on the list"
    await named(server, "Aaron")
    await expect(row(page, "Aaron")).to_be_visible()
    assert (await names_in_order(page))[-1] == "Aaron", "newcomers come last until the list is let go"
    await expect(page.get_by_role("link", name="Anna", exact=True)).to_be_focused()
    await page.keyboard.press("o")
    await until_page(
        page,
        "() => [...document.querySelectorAll('.table-row')].sort((a, b) => a.getBoundingClientRect().top - "
        "b.getBoundingClientRect().top)[0].textContent.includes('Chloe')",
    )
    await expect(page.get_by_role("button", name="Order has changed: sort now")).to_be_hidden()


async def test_help_names_every_key_and_keys_can_be_switched_off(
    server: Server, context: BrowserContext
) -> None:
    await named(server, "Ben Okafor")
    page = await signed_in(context, server)
    await expect(row(page, "Ben Okafor")).to_be_visible()
    await page.get_by_label("Search name, computer, room").press_sequentially("?jf")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.get_by_label("Search name, computer, room").fill("")
    await page.locator("h2#candidates-title").click()
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("dt")).to_have_count(17)
    await dialog.get_by_label("Shortcuts are on").uncheck()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("m")
    await page.keyboard.press("j")
    await expect(page.locator("[data-view=table]")).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("link", name="Ben Okafor", exact=True)).not_to_be_focused()


async def test_the_heat_map_says_by_shape_and_word_what_the_exams_thresholds_say(
    server: Server, context: BrowserContext
) -> None:
    wire = await named(server, "Ben Okafor")
    await named(server, "Anna")
    page = await signed_in(context, server, who="grace")
    await page.get_by_role("button", name="Heat map").click()
    cell = page.locator(".heat-cell", has=page.get_by_text("Ben Okafor"))
    await wire.log({"type": "INFO_LOG", "timestamp": 1, "numericValue": 40, "text": "<battery> 40%"})
    await page.get_by_role("button", name="Battery", exact=True).click()
    await expect(cell).to_have_attribute("data-level", "ok")
    await expect(cell).to_contain_text("Battery 40 %")
    await page.get_by_role("button", name="Thresholds").click()
    dialog = page.get_by_role("dialog")
    battery = dialog.get_by_role("group", name="Battery, percent")
    await battery.get_by_label("Warning").fill("90")
    await battery.get_by_label("Problem").fill("95")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_contain_text("A problem cannot begin above a warning.")
    await battery.get_by_label("Problem").fill("50")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    await expect(cell).to_have_attribute("data-level", "problem")
    await expect(cell.get_by_role("link")).to_have_attribute(
        "aria-label", "Ben Okafor: Problem, Battery 40 %"
    )
    await expect(cell.locator("use")).to_have_attribute("href", re.compile("#problem$"))
    await cell.get_by_role("checkbox").check()
    await expect(page.get_by_text("1 selected")).to_be_visible()


async def test_rooms_change_hands_before_everybodys_eyes(
    server: Server, context: BrowserContext, browser: Browser
) -> None:
    for name in ("Anna", "Ben"):
        await named(server, name)
    ada = await signed_in(context, server)
    other = await browser.new_context(locale="en")
    grace = await signed_in(other, server, "/rooms/1", who="grace")
    card = ada.locator("[data-room-list]")
    await expect(card).to_contain_text("Nobody has it")
    await expect(card).to_contain_text("Watched by grace")
    await until_page(ada, "() => window.invigilo.feed.exam.people.length === 2")
    await ada.get_by_role("button", name="Who has which room").click()
    await ada.get_by_label("Who has Room 1").select_option(label="ada (here)")
    await expect(ada.get_by_role("dialog")).to_contain_text("Saved: Room 1.")
    await expect(grace.locator("[data-duty-here]")).to_contain_text("ada has it")
    await ada.get_by_role("dialog").locator("select[name=to]").select_option(label="grace (here)")
    await ada.get_by_role("button", name="Hand over").click()
    await expect(grace.locator("[data-duty-here]")).to_contain_text("grace has it")
    await other.close()
    await expect(card).to_contain_text("Nobody is looking")


@pytest.mark.parametrize("path", ["", "/rooms/1", "/connections/{id}"])
async def test_fingers_find_everything_on_a_tablet(server: Server, browser: Browser, path: str) -> None:
    """Whatever may be pressed is at least 44 px high and wide, or its label is."""
    wire = await named(server, "Ben Okafor")
    await hand(wire, "Question")
    context = await browser.new_context(
        locale="en", viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True
    )
    page = await signed_in(context, server, path.format(id=wire.live.id), who="grace")
    await expect(page.locator(".settle").first).to_be_visible()
    small = await page.evaluate(
        """() => [...document.querySelectorAll("main button, main a[href], main input, main select, main summary")]
            .map((one) => one.type === "checkbox" || one.type === "radio" ? one.closest("label") : one)
            .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length)
            .filter((one) => getComputedStyle(one).clipPath === "none")
            .map((one) => [one.outerHTML.slice(0, 120), one.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.height < 43.5 || box.width < 43.5))
            .map(([html, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${html}`)"""
    )
    assert small == []
    await context.close()


async def test_the_enlarged_tile_goes_round_and_rests_while_somebody_is_at_the_wall(
    server: Server, context: BrowserContext
) -> None:
    for name in ("Anna", "Ben", "Chloe"):
        await named(server, name)
    page = await signed_in(context, server, "/rooms/1")
    await expect(page.locator(".tile")).to_have_count(3)
    await page.locator("[data-rotate-every]").select_option("5")
    await page.keyboard.press("Escape")
    await page.locator("h1").evaluate("() => document.activeElement.blur()")
    await page.keyboard.press("r")
    first = page.locator(".tile.is-large")
    await expect(first).to_contain_text("Anna")
    await expect(first).to_contain_text("Ben")
    await page.keyboard.press("j")
    await expect(page.locator("[data-rotate]")).to_have_attribute("aria-pressed", "true")
    await expect(page.locator(".tile :focus")).to_have_count(1)
    await page.keyboard.press("r")
    await expect(page.locator("[data-rotate]")).to_have_attribute("aria-pressed", "false")
    await expect(first).to_contain_text(re.compile("Anna|Ben|Chloe"))
