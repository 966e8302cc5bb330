"""Calls where rooms are meetings of a Jitsi: who is heard and seen on a candidate's page, and how both sides move."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, FrameLocator, Page, expect

from tests.browser.test_candidate_page import check, entry, opened
from tests.browser.test_meeting import member, proctor, seb, window
from tests.browser.waiting import PATIENCE_MS, alive, until
from tests.meeting_site import MeetingSite, jaas_site, meeting_site
from tests.server import SebWire

pytestmark = pytest.mark.browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


def says(page: Page, what: str) -> Any:
    return expect(page.locator("[data-proctor]")).to_have_attribute("data-says", what)


def frame(page: Page) -> FrameLocator:
    return page.frame_locator("[data-meeting-frame] iframe")


def press(page: Page, name: str) -> Any:
    return page.locator(f'[data-call="{name}"]').click()


async def in_meeting(context: BrowserContext, *wires: SebWire) -> list[Page]:
    pages = [await opened(context, entry(wire)) for wire in wires]
    for page in pages:
        await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
    return pages


async def only_the_proctor(page: Page) -> None:
    """One picture is received, the proctor's; and nobody else is heard."""
    await expect(frame(page).locator(".tile.moderator img[src^='data:']")).to_be_visible()
    await expect(frame(page).locator(".tile img[src^='data:']")).to_have_count(1)
    await expect(frame(page).locator(".tile:not(.moderator)[data-audible='yes']")).to_have_count(0)
    await expect(frame(page).locator(".tile.moderator[data-audible='yes']")).to_have_count(1)


async def nobody(page: Page) -> None:
    await expect(page.locator("[data-meeting]")).to_have_attribute("data-receives", "nothing")
    await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
    await expect(frame(page).locator(".tile img[src]")).to_have_count(0)
    await expect(frame(page).locator("[data-audible='yes']")).to_have_count(0)


@pytest.mark.spec("live-proctoring", 50)
async def test_a_broadcast_shows_the_proctor_alone_and_ends_with_the_page(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    async with meeting_site(tmp_path) as site:
        lea, tom = await seb(site, "Lea"), await seb(site, "Tom")
        async with alive(lea, tom):
            pages = await in_meeting(context, lea, tom)
            ada = await proctor(browser, site)
            room = await opened(ada, window(site, lea))
            for wire in (lea, tom):
                await expect(member(room, wire, "present")).to_be_visible()
            for page in pages:
                await nobody(page)
            await press(room, "audio")
            await press(room, "video")
            for page in pages:
                await says(page, "room.shows")
                await expect(page.locator("[data-meeting]")).to_have_attribute("data-receives", "something")
                await only_the_proctor(page)
            await expect(room.locator("[data-call-state]")).to_contain_text("Heard by 2 of 2.")

            # who is pinned is large, who is muted is silent, and neither changes what candidates get
            await member(room, lea, "present").locator("[data-act='enlarge']").click()
            await expect(frame(room).locator(".tile.pinned")).to_have_count(1)
            await member(room, lea, "present").locator("[data-act='mute']").click()
            await expect(frame(room).locator(".tile.silent:not(.moderator)")).not_to_have_count(0)

            await room.reload()
            for wire in (lea, tom):
                await expect(member(room, wire, "present")).to_be_visible()
            for page in pages:
                await says(page, "nothing")
                await nobody(page)
            await press(room, "audio")
            for page in pages:
                await says(page, "room.speaks")
                await expect(frame(page).locator(".tile.moderator[data-audible='yes']")).to_have_count(1)
                await expect(frame(page).locator(".tile img[src]")).to_have_count(0)
            await room.close()
            for page in pages:
                await says(page, "nothing")
                await nobody(page)
            await ada.close()


async def _move_through_calls(
    site: MeetingSite, context: BrowserContext, browser: Browser, lea: SebWire, tom: SebWire
) -> None:
    """Into a talk and a town hall and home again, each in a meeting of its own."""
    page, other = await in_meeting(context, lea, tom)
    home = set(site.jitsi.rooms.by_name)
    ada = await proctor(browser, site)
    room = await opened(ada, window(site, lea))
    await expect(member(room, lea, "present")).to_be_visible()
    async with ada.expect_page() as opening:
        await member(room, lea, "present").get_by_role("button", name=re.compile("^Talk alone")).click()
    talk = await opening.value
    await says(page, "break_out.quiet")
    await expect(member(talk, lea, "present")).to_be_visible()
    await expect(member(room, lea, "missing")).to_contain_text("in a talk")
    await says(other, "nothing")
    (aside,) = set(site.jitsi.rooms.by_name) - home
    await press(talk, "audio")
    await press(talk, "video")
    await says(page, "break_out.shows")
    await only_the_proctor(page)

    await press(room, "town_hall")
    async with ada.expect_page() as opening:
        await room.get_by_role("dialog").get_by_role("button", name="Open the town hall").click()
    hall = await opening.value
    await says(other, "town_hall.quiet")
    await says(page, "break_out.shows")  # who is in a talk stays there
    await expect(member(hall, tom, "present")).to_be_visible()
    await press(talk, "close")
    await says(page, "town_hall.quiet")
    for wire in (lea, tom):
        await expect(member(hall, wire, "present")).to_be_visible()
    await until(lambda: aside not in site.jitsi.rooms.by_name)
    await expect(talk.locator("[data-call-gone]")).to_be_visible()
    await press(hall, "audio")
    for one in (page, other):
        await says(one, "town_hall.speaks")
        await expect(frame(one).locator(".tile.moderator[data-audible='yes']")).to_have_count(1)
    await press(hall, "close")
    await hall.get_by_role("dialog").get_by_role("button", name="Close the town hall").click()
    for one, wire in ((page, lea), (other, tom)):
        await says(one, "nothing")
        await nobody(one)
        await expect(member(room, wire, "present")).to_be_visible()
    await until(lambda: set(site.jitsi.rooms.by_name) == home)
    await ada.close()


@pytest.mark.spec("live-proctoring", 44)
async def test_candidates_move_through_a_talk_and_a_town_hall_at_jitsi(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    async with meeting_site(tmp_path) as site:
        lea, tom = await seb(site, "Lea"), await seb(site, "Tom")
        async with alive(lea, tom):
            await _move_through_calls(site, context, browser, lea, tom)


async def test_candidates_move_through_a_talk_and_a_town_hall_at_jaas(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    async with jaas_site(tmp_path) as site:
        lea, tom = await seb(site, "Lea"), await seb(site, "Tom")
        async with alive(lea, tom):
            await _move_through_calls(site, context, browser, lea, tom)
