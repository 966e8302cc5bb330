"""Proctors speak to candidates in built-in rooms: two real pages with fake devices, the real server, and sound that arrives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.test_candidate_page import check, connected, entry
from tests.browser.test_proctor_pages import signed_in
from tests.browser.waiting import PATIENCE, PATIENCE_MS, alive, until, until_page
from tests.server import SebWire, Server, running

pytestmark = pytest.mark.browser

# What a candidate's page plays, seen from outside: the elements it made for sound, and its connections.
EAVESDROP = """
window.voices = [];
window.connections = [];
const Plain = window.Audio;
window.Audio = function () { const one = new Plain(); window.voices.push(one); return one; };
const Connection = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Connection {
    constructor(...all) { super(...all); window.connections.push(this); }
};
"""
PLAYING = "() => window.voices.some((one) => one.srcObject && !one.paused)"
SILENT = "() => window.voices.every((one) => !one.srcObject)"
# Bytes of sound and frames of video that have come to this page over all its connections.
ARRIVED = """async () => {
    const found = { sound: 0, energy: 0, frames: 0 };
    for (const one of window.connections) {
        for (const stat of (await one.getStats()).values()) {
            if (stat.type !== "inbound-rtp") continue;
            if (stat.kind === "audio") { found.sound += stat.bytesReceived; found.energy += stat.totalAudioEnergy ?? 0; }
            else found.frames += stat.framesDecoded ?? 0;
        }
    }
    return found;
}"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@asynccontextmanager
async def candidates(browser: Browser, *wires: SebWire, locale: str = "en") -> AsyncIterator[list[Page]]:
    """Their camera pages, in a browser context of their own, while their SEB pings on."""
    context = await browser.new_context(locale=locale)
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(EAVESDROP)
    async with alive(*wires):
        pages = [await context.new_page() for _ in wires]
        for page, wire in zip(pages, wires, strict=True):
            await page.goto(entry(wire))
            await expect(check(page, "camera")).to_have_attribute("data-result", "ok")
            await until(lambda wire=wire: wire.live.room_number)
        yield pages
    await context.close()


def says(page: Page, what: str) -> Any:
    return expect(page.locator("[data-proctor]")).to_have_attribute("data-says", what)


async def hears(page: Page) -> None:
    """Sound is played and is more than silence."""
    await until_page(page, PLAYING)
    async with asyncio.timeout(PATIENCE):
        before = (await page.evaluate(ARRIVED))["energy"]
        while (now := (await page.evaluate(ARRIVED))["energy"]) <= before:
            before = now  # less than before is a new connection
            await asyncio.sleep(0.05)


def press(page: Page, name: str) -> Any:
    return page.locator(f'[data-call="{name}"]').click()


@pytest.mark.spec("live-proctoring", 50)
async def test_a_proctor_speaks_to_a_room_and_nobody_hears_anybody_else(
    server: Server, context: BrowserContext, browser: Browser
) -> None:
    lea, tom = await server.ready(), await server.ready()
    async with candidates(browser, lea, tom) as pages:
        room = await signed_in(context, server, "/rooms/1")
        await expect(room.locator(".tile.has-video")).to_have_count(2)
        for page in pages:
            await until_page(page, SILENT)
            arrived = await page.evaluate(ARRIVED)
            assert arrived == {"sound": 0, "energy": 0, "frames": 0}, "nothing comes before somebody speaks"

        await press(room, "audio")
        await expect(room.locator("[data-call-state]")).to_have_attribute("data-tone", "live")
        await expect(room.locator("[data-call-state]")).to_contain_text("Heard by 2 of 2.")
        for page in pages:
            await says(page, "room.speaks")
            await hears(page)
            assert (await page.evaluate(ARRIVED))["frames"] == 0

        await press(room, "video")
        for page in pages:
            await says(page, "room.shows")
            await expect(page.locator("[data-proctor-pictures] video:not([hidden])")).to_be_visible()
            await until_page(
                page,
                "() => window.connections.filter(one => one.connectionState === 'connected').length === 1",
            )

        # a candidate whose page reloads hears again, and so does the other meanwhile
        await pages[0].reload()
        await says(pages[0], "room.shows")
        await hears(pages[0])

        # a proctor who reloads is silent until the next click
        await room.reload()
        for page in pages:
            await says(page, "nothing")
            await until_page(page, SILENT)
        await expect(room.locator('[data-call="audio"]')).to_have_attribute("aria-pressed", "false")
        await press(room, "audio")
        for page in pages:
            await hears(page)

        # a proctor's page that dies ends it within the lease
        await room.close()
        for page in pages:
            await says(page, "nothing")
            await until_page(page, SILENT)


@pytest.mark.spec("live-proctoring", 40)
async def test_a_talk_alone_goes_both_ways_and_ends_at_home(
    server: Server, context: BrowserContext, browser: Browser
) -> None:
    lea, tom = await server.ready(), await server.ready()
    async with candidates(browser, lea, tom) as (page, other):
        room = await signed_in(context, server, "/rooms/1")
        tile = room.locator(f".tile[data-id='{lea.live.id}']")
        async with context.expect_page() as opening:
            await tile.get_by_role("button", name=re.compile("^Talk alone with")).click()
        talk = await opening.value
        await says(page, "break_out.quiet")
        await says(other, "nothing")
        await expect(tile).to_contain_text("in a talk")
        await expect(talk.locator(".tile.has-video")).to_have_count(1)
        await press(talk, "audio")
        await press(talk, "video")
        await says(page, "break_out.shows")
        await hears(page)
        await expect(page.locator("[data-proctor-pictures] video:not([hidden])")).to_be_visible()
        await until_page(
            talk,
            "() => [...document.querySelectorAll('.tile video')].some((one) => !one.muted && !one.paused)",
        )
        await until_page(other, SILENT)

        # what is said to the room is not for somebody who was called out of it
        await press(room, "audio")
        await hears(other)
        await expect(room.locator("[data-call-state]")).to_contain_text("Heard by 1 of 1.")

        await press(talk, "close")
        await says(page, "room.speaks")
        await hears(page)
        await expect(talk.locator("[data-call-gone]")).to_be_visible()
        await expect(talk.locator('[data-call="audio"]')).to_have_attribute("aria-pressed", "false")


async def test_a_town_hall_says_its_size_first_and_reaches_every_room(
    server: Server, context: BrowserContext, browser: Browser
) -> None:
    lea = await server.ready()
    async with candidates(browser, lea, locale="de") as (page,):
        monitoring = await signed_in(context, server)
        await press(monitoring, "town_hall")
        dialog = monitoring.get_by_role("dialog")
        await expect(dialog).to_contain_text("A town hall has room for 100.")
        async with context.expect_page() as opening:
            await dialog.get_by_role("button", name="Open the town hall").click()
        hall = await opening.value
        await says(page, "town_hall.quiet")
        await expect(page.locator("[data-proctor-title]")).to_have_text(
            "Die Aufsicht hat alle Prüflinge zusammengerufen."
        )
        await press(hall, "audio")
        await hears(page)
        await expect(monitoring.locator("[data-call-others]")).to_contain_text(
            "has been speaking to Town hall since"
        )
        await hall.close()
        await says(page, "town_hall.quiet")
        await expect(monitoring.locator("[data-call-others]")).not_to_contain_text("has been speaking")
        await monitoring.locator("[data-call-others]").get_by_role("button", name="End").click()
        await monitoring.get_by_role("dialog").get_by_role("button", name="End").click()
        await says(page, "nothing")
        await until_page(page, SILENT)
        await until(lambda: lea.live.room_number == 1)


@pytest.mark.spec("live-proctoring", 47)
async def test_a_message_arrives_is_read_and_answered_in_the_chat(
    server: Server, context: BrowserContext, browser: Browser
) -> None:
    lea, tom = await server.ready(), await server.ready()
    async with candidates(browser, lea, tom) as (page, late):
        await late.close()
        room = await signed_in(context, server, "/rooms/1")
        await room.locator("body").press("w")
        panel = room.locator(".message-panel")
        await panel.get_by_label("Message").fill("Ten minutes left. <b>Zehn</b> Minuten.")
        await panel.get_by_role("button", name="Send").click()
        await expect(panel.get_by_role("status")).to_have_text(re.compile("^Sent to 2 candidates."))
        message = page.locator("[data-message-list] .message")
        await expect(message).to_contain_text("Ten minutes left. <b>Zehn</b> Minuten.")
        await expect(page.locator("[data-proctor-say]")).to_have_text(
            re.compile("^Message of ada: Ten minutes left.")
        )
        await expect(panel.locator(".message-state")).to_have_text("to Room 1 · arrived 1 of 2, read 0")
        await message.get_by_role("button", name="I have read this").click()
        await expect(panel.locator(".message-state")).to_have_text("to Room 1 · arrived 1 of 2, read 1")

        # who was away finds it on coming back; what was read already is not asked for again
        back = await late.context.new_page()
        await back.goto(entry(tom))
        await expect(back.locator("[data-message-list] .message")).to_have_count(1)
        await expect(panel.locator(".message-state")).to_have_text("to Room 1 · arrived 2 of 2, read 1")
        await page.reload()
        await connected(page)
        await says(page, "nothing")

        await panel.press("Escape")
        await room.locator("body").press("c")
        await says(page, "room.writes")  # told after everything that was still to be read
        await expect(page.locator("[data-message-list] .message")).to_have_count(0)
        await page.get_by_role("textbox", name="Write to the proctors").fill("May I use the dictionary?")
        await page.get_by_role("textbox", name="Write to the proctors").press("Enter")
        await expect(room.locator("[data-message-count]")).to_have_text("1")
        await room.locator("body").press("w")
        await expect(panel.locator(".message[data-said]")).to_contain_text("May I use the dictionary?")
        await expect(back.locator("[data-message-list]")).not_to_contain_text("dictionary")


WANTS_A_CLICK = """
const play = HTMLMediaElement.prototype.play;
let clicked = false;
addEventListener("pointerdown", () => { clicked = true; }, true);
HTMLMediaElement.prototype.play = function () {
    if (this.muted || clicked) return play.call(this);
    return Promise.reject(new DOMException("not without a click", "NotAllowedError"));
};
"""


async def test_sound_that_wants_a_click_first_asks_for_it(
    server: Server, context: BrowserContext, browser: Browser
) -> None:
    """Some engines keep a page silent until somebody has clicked in it; Chromium does not while it captures."""
    lea = await server.ready()
    async with candidates(browser, lea) as (page,):
        await page.add_init_script(WANTS_A_CLICK)
        await page.reload()
        room = await signed_in(context, server, "/rooms/1")
        await expect(room.locator(".tile.has-video")).to_have_count(1)
        await press(room, "audio")
        await says(page, "room.speaks")
        await expect(page.locator("[data-blocked]")).to_be_visible()
        assert not await page.evaluate(PLAYING)
        await page.get_by_role("button", name="Hear the proctor").click()
        await hears(page)
        await expect(page.locator("[data-blocked]")).to_be_hidden()
