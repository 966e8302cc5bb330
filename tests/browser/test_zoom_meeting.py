"""Meetings at Zoom, in a real Chromium with a fake camera, against the stand-in and its face of the SDK."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from operator import itemgetter
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Error, Locator, Page, expect
from sqlalchemy import update

from invigilo.exams.directory import directory_changed
from invigilo.simulate.zoom import ZoomMood
from invigilo.simulate.zoom_api import Fault
from invigilo.simulate.zoom_rules import Seed
from invigilo.storage.tables import exams
from tests.browser.test_candidate_page import check, connected, entry, opened
from tests.browser.test_meeting import member, named_on_both_sides
from tests.browser.test_meeting_calls import frame, in_meeting, press, says
from tests.browser.waiting import PATIENCE, PATIENCE_MS, alive, until
from tests.meeting_site import ZoomSite, zoom_hosts, zoom_site
from tests.server import SebWire
from tests.web.people import exam_called, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


async def seb(site: ZoomSite, name: str) -> SebWire:
    device = "seb_os_name=Windows 11&seb_version=3.10.2"
    return await site.server.ready(f"client_id={name}&seb_machine_name=LAB-{name}&{device}")


async def proctor(browser: Browser, site: ZoomSite, name: str = "ada") -> BrowserContext:
    ada = await sign_in(site.server, name)
    context = await browser.new_context(locale="en", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    cookies = [{"name": name, "value": value, "url": site.server.url} for name, value in ada.cookies.items()]
    await context.add_cookies(cookies)  # type: ignore[arg-type]
    return context


def window(site: ZoomSite, wire: SebWire) -> str:
    return f"{site.server.url}/monitoring/{wire.live.exam_id}/rooms/{wire.live.room_number}"


async def in_frame(page: Page, expression: str) -> object:
    """Asked of the SDK's stand-in, inside the frame page."""
    (inner,) = [one for one in page.frames if one.url.endswith("/meeting")] or [None]
    if inner is None:
        raise LookupError("no meeting is open in this page")
    return await inner.evaluate(expression)


@pytest.mark.spec("live-proctoring", 60)
async def test_candidates_and_proctor_meet_at_zoom(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    """Role 0 and role 1, the gallery isolated, nobody else asked, and the missing listed with their cause."""
    async with zoom_site(tmp_path) as site:
        lea, tom = await seb(site, "Lea"), await seb(site, "Tom")
        async with alive(lea, tom):
            asked: list[str] = []
            complaints: list[str] = []
            context.on("request", lambda request: asked.append(request.url))
            context.on("console", lambda message: complaints.append(message.text))
            page = await opened(context, entry(lea))
            await connected(page)
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            await until(lambda: lea.live.page.meeting == "joined")
            (meeting,) = site.zoom.core.meetings.values()
            (candidate,) = meeting.inside()
            assert (candidate.is_host, candidate.is_muted, candidate.name) == (False, True, "Lea")
            now = site.server.app.clock.now_ms
            await until(lambda: lea.live.meeting.present(lea.live.room_id, now()) is True)
            assert await in_frame(page, "zoomStandIn.violations.length") == 0
            assert await page.evaluate("crossOriginIsolated") is False, "a candidate's page stays as it was"
            hosts = (f"http://127.0.0.1:{site.server.port}/", f"http://127.0.0.1:{site.zoom.port}/")
            assert [url for url in asked if not url.startswith((*hosts, "data:"))] == []
            assert complaints == []

            ada = await proctor(browser, site)
            room = await opened(ada, window(site, lea))
            await expect(room.locator("[data-meeting-state]")).to_have_attribute("data-tone", "ok")
            await expect(member(room, lea, "present")).to_be_visible()
            await expect(member(room, tom, "missing")).to_contain_text("Tom")
            await until(lambda: lea.live.page.last_frames_at is not None)
            async with asyncio.timeout(PATIENCE):  # what only an entry proves is proven
                while await site.entered_at() is None:  # the server's own round may be writing it just now
                    await site.server.app.tending.run()
            hosts_inside = [one for one in meeting.inside() if one.is_host]
            assert len(hosts_inside) == 1, "the proctor holds the meeting"
            assert await in_frame(room, "zoomStandIn.isolated") is True
            assert await in_frame(room, "zoomStandIn.violations.length") == 0
            assert await in_frame(room, "zoomStandIn.options.disableCORP") is False
            await expect(frame(room).locator(".zoom-tile img[src^='data:']").first).to_be_visible()
            await expect(room.locator("[data-meeting-note]")).to_be_hidden()

            grace = await proctor(browser, site, "grace")
            second = await opened(grace, window(site, lea))
            await expect(second.locator("[data-meeting-note]")).to_contain_text("colleague")
            await expect(second.locator("[data-do='mute_all']")).to_be_disabled()
            await expect(room.locator("[data-others]")).to_have_text("grace, supervising")
            again = await opened(ada, window(site, lea))
            await expect(again.locator("[data-meeting-note]")).to_contain_text("another window")
            await again.close()

            await member(room, lea, "present").locator("[data-act='leave']").click()
            await room.locator("[data-ask] button[value='yes']").click()
            await until(lambda: lea.live.page.meeting == "kicked")
            await expect(member(room, lea, "missing")).to_contain_text("removed from the meeting")
            await room.close()
            await until(lambda: [one.name for one in meeting.inside()] == ["grace"])
            await second.get_by_role("button", name="Enter again").click()
            await expect(second.locator("[data-do='mute_all']")).to_be_enabled()
            await expect(second.locator("[data-meeting-note]")).to_be_hidden()
            await grace.close()
            await until(lambda: meeting.inside() == [])
            assert meeting.id in site.zoom.core.meetings, "closing a window ends nothing"
            await ada.close()


@pytest.mark.parametrize(
    ("mood", "result"),
    [
        (ZoomMood.OTHER_SDK_SECRET, "refused"),
        (ZoomMood.SDK_TOO_OLD, "outdated"),
        (ZoomMood.SDK_NOT_SERVED, "script_failed"),
    ],
)
async def test_what_keeps_a_candidate_out_is_named_on_both_sides(
    context: BrowserContext, tmp_path: Path, mood: ZoomMood, result: str
) -> None:
    async with zoom_site(tmp_path, mood) as site:
        wire = await seb(site, "Lea")
        async with alive(wire):
            page = await opened(context, entry(wire))
            await named_on_both_sides(page, wire, result)


async def test_a_meeting_deleted_at_zoom_is_entered_anew(context: BrowserContext, tmp_path: Path) -> None:
    """Somebody deletes the room by hand: the page is in another one moments later."""
    async with zoom_site(tmp_path) as site:
        wire = await seb(site, "Lea")
        async with alive(wire):
            page = await opened(context, entry(wire))
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            (meeting,) = site.zoom.core.meetings.values()
            site.zoom.core.delete(meeting)
            await until(
                lambda: any(m.id != meeting.id and m.inside() for m in site.zoom.core.meetings.values())
            )
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")


@pytest.mark.spec("live-proctoring", 18)
async def test_the_sdks_pair_is_proven_by_a_join_of_the_administrators_browser(
    browser: Browser, tmp_path: Path
) -> None:
    """In the dialog and on the service's page: right pair, wrong ones, an old SDK, no script, an asker who goes away."""
    async with zoom_site(tmp_path) as site:
        grace = await proctor(browser, site, "grace")
        seed, core = site.zoom.seed, site.zoom.core
        asked: list[str] = []
        grace.on("request", lambda request: asked.append(request.url))
        page = await opened(grace, f"{site.server.url}/services/{site.definition_id}")
        entry, word = page.locator(".proof-entry"), page.locator(".proof-word")
        await expect(entry).to_contain_text("Not verified yet")

        async def tested(outcome: str) -> None:
            await page.get_by_role("button", name="Test now").click()
            await expect(word).to_contain_text(outcome)
            await until(lambda: core.meetings == {})  # whatever came of it, no meeting stays

        def step(code: str) -> Locator:
            return page.locator(f".proof-step[data-step={code}]")

        # What was right from the start.
        await tested("Passed")
        await expect(step("zoom_sdk")).to_have_attribute("data-outcome", "ok")
        await expect(step("zoom_account")).to_have_attribute("data-outcome", "ok")
        await expect(entry).to_contain_text("last in a meeting")
        assert any(url.endswith(f"/services/{site.definition_id}/meeting") for url in asked)
        await page.reload()
        await expect(step("zoom_sdk")).to_have_attribute("data-outcome", "ok")
        await expect(entry.locator("time")).to_be_visible()

        # What is wrong is named, with what to do.
        right_key, right_secret = seed.sdk_key, seed.sdk_secret
        seed.sdk_key = "another-sdk-key"
        await tested("Failed")
        await expect(step("zoom_sdk")).to_contain_text("does not know this SDK key (code 3704)")
        seed.sdk_key, seed.sdk_secret = right_key, "quite-another-sdk-secret"
        await tested("Failed")
        await expect(step("zoom_sdk")).to_contain_text("code 3712")
        await expect(step("zoom_sdk").locator(".proof-remedy")).to_be_visible()
        seed.sdk_secret, seed.sdk_minimum = right_secret, "99.0.0"
        await tested("Failed")
        await expect(step("zoom_sdk_version")).to_have_attribute("data-outcome", "failed")
        await expect(step("zoom_sdk")).to_contain_text("lets SDK version")
        seed.sdk_minimum, seed.sdk_versions = "5.0.0", ("1.2.3",)
        await tested("Failed")
        await expect(step("zoom_sdk")).to_contain_text("could not load the SDK")
        seed.sdk_versions, seed.sdk_account_id = (), "acc-2"
        await tested("Failed")
        await expect(step("zoom_account")).to_contain_text("code 4011")
        seed.sdk_account_id = "acc-1"

        # Nothing is said of the pair when every host is at work, and nothing when the asker goes away.
        hosts_live = Fault("GET", "meetings$", times=4, status=200, body={"meetings": [{"id": 1}]})
        site.zoom.api.faults.append(hosts_live)
        await tested("Passed")
        await expect(step("zoom_sdk")).to_have_attribute("data-outcome", "not_provable")
        await expect(step("zoom_sdk")).to_contain_text("every host holds a meeting")
        await expect(entry).to_contain_text("last in a meeting")
        await page.route("**/services/*/meeting", lambda _route: None)  # the frame never comes
        await page.get_by_role("button", name="Test now").click()
        await expect(page.locator(".proof-frame iframe")).to_be_attached()
        assert len(core.meetings) == 1
        await page.close()
        await until(lambda: core.meetings == {})

        # In the dialog, where it is kept too.
        page = await opened(
            grace, f"{site.server.url}/exams/{exam_called(site.server, 'Linear Algebra')}/proctoring"
        )
        section = page.get_by_role("region", name="Zoom")
        await expect(section.locator(".proof-entry")).to_contain_text("last in a meeting")
        await section.get_by_role("button", name="Test now").click()
        await expect(section.locator(".proof-word")).to_contain_text("Passed")
        await expect(section.locator("[data-step=zoom_sdk]")).to_have_attribute("data-outcome", "ok")
        await until(lambda: core.meetings == {})
        await section.get_by_role("link", name="Open this service").click()
        await page.get_by_label("SDK secret").fill("one-that-was-made-anew")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".page-head .badge")).to_have_text("not tested")
        await expect(page.locator(".proof-entry")).to_contain_text("Not verified yet")
        await grace.close()


async def small_rooms(site: ZoomSite) -> None:
    """A room for each."""
    app = site.server.app
    async with app.work() as w:
        await w.db.execute(update(exams).values(collecting_room_size=1))
        await directory_changed(w)
    await app.directory.follow()


async def hears(page: Page, *, sound: bool) -> None:
    """Until sound of the meeting reaches this candidate, or does not; each meeting has a frame of its own."""
    async with asyncio.timeout(PATIENCE):
        while await silent(page) is not (not sound):
            await asyncio.sleep(0.05)


async def silent(page: Page) -> object:
    """None while there is no meeting."""
    try:
        return await in_frame(page, "window.zoomStandIn?.silent")
    except (LookupError, Error):
        return None


async def speak(window: Page) -> None:
    """Zoom joins sound by a press of its own, once for each meeting."""
    await press(window, "audio")
    await frame(window).get_by_role("button", name="Join Audio").click()
    await expect(window.locator("[data-call-state]")).to_contain_text("You are live")


MUTED_AGAIN = """new Promise((done) => {
  let wasHeard = false;
  const look = () => ZoomMtg.getCurrentUser({ success: ({ result: { currentUser: me } }) => {
    wasHeard ||= me.muted === false;
    if (wasHeard && me.muted) done(true);
  } });
  ZoomMtg.inMeetingServiceListener("onUserUpdate", look);
  ZoomMtg.getCurrentUser({ success: ({ result }) => ZoomMtg.mute({ userId: result.currentUser.userId, mute: false }) });
})"""
"""A candidate unmutes in Zoom's own bar while a proctor speaks to all."""

KEEP_ASKED = """(() => {
  window.asked = [];
  const { mute } = ZoomMtg;
  ZoomMtg.mute = (wish) => (window.asked.push(wish), mute.call(ZoomMtg, wish));
  window.isMuted = new Promise((done) => ZoomMtg.inMeetingServiceListener("onUserUpdate", () =>
    ZoomMtg.getCurrentUser({ success: ({ result }) => result.currentUser.muted && done() })));
})()"""
"""What a candidate's page asks of Zoom's microphone, until it has seen itself muted."""


@pytest.mark.spec("live-proctoring", 42)
async def test_candidates_are_called_aside_and_together_and_come_home(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    """Two rooms and three hosts: one call at once, which ends with its meeting deleted and its host free."""
    async with zoom_site(tmp_path, hosts=3) as site:
        await small_rooms(site)
        lea, tom = await seb(site, "Lea"), await seb(site, "Tom")
        async with alive(lea, tom):
            page, other = await in_meeting(context, lea, tom)
            meetings = site.zoom.core.meetings
            home = set(meetings)
            assert len(home) == 2
            ada = await proctor(browser, site)
            room = await opened(ada, window(site, lea))
            await expect(member(room, lea, "present")).to_be_visible()
            talk_button = member(room, lea, "present").get_by_role("button", name=re.compile("^Talk alone"))
            await expect(talk_button).to_have_attribute("title", re.compile("1 of 3 are free"))
            async with ada.expect_page() as opening:
                await talk_button.click()
            talk = await opening.value
            await says(page, "break_out.quiet")
            await expect(member(talk, lea, "present")).to_be_visible()
            await expect(talk.locator("[data-meeting-state]")).to_have_attribute("data-tone", "ok")
            assert await in_frame(talk, "zoomStandIn.isolated") is True
            (aside,) = set(meetings) - home
            await hears(page, sound=False)
            await says(other, "nothing")

            hall_button = room.locator('[data-call="town_hall"]')
            await expect(hall_button).to_have_attribute("aria-disabled", "true")
            await hall_button.click(force=True)
            await expect(room.locator("[data-call-state]")).to_contain_text("All 3 hosts")

            grace = await proctor(browser, site, "grace")
            second = await opened(grace, talk.url)
            await expect(second.locator("[data-meeting-note]")).to_contain_text("colleague")
            await speak(talk)
            await says(page, "break_out.speaks")
            await hears(page, sound=True)
            (leas,) = [one for one in meetings[aside].inside() if one.name == "Lea"]
            await until(lambda: not leas.is_muted)
            await in_frame(page, KEEP_ASKED)
            await member(talk, lea, "present").locator("[data-act='mute']").click()
            await in_frame(page, "isMuted")
            assert await in_frame(page, "asked") == [], "the host's muting is not undone"
            await grace.close()
            await press(talk, "close")
            await says(page, "nothing")
            await until(lambda: set(meetings) == home)
            await expect(talk.locator("[data-call-gone]")).to_be_visible()
            await expect(member(room, lea, "present")).to_be_visible()
            await hears(page, sound=False)

            await expect(hall_button).not_to_have_attribute("aria-disabled", "true")
            await press(room, "town_hall")
            await expect(room.get_by_role("dialog")).to_contain_text("1 of 3 are free")
            async with ada.expect_page() as opening:
                await room.get_by_role("dialog").get_by_role("button", name="Open the town hall").click()
            hall = await opening.value
            for one, wire in ((page, lea), (other, tom)):
                await says(one, "town_hall.quiet")
                await expect(member(hall, wire, "present")).to_be_visible()
                await expect(one.locator("[data-meeting]")).to_have_attribute("data-receives", "nothing")
                pictures = frame(one).locator("html")
                await expect(pictures).to_have_attribute("data-pictures", "hidden")
            assert len(set(meetings) - home) == 1
            await speak(hall)
            await press(hall, "video")
            await frame(hall).get_by_role("button", name="Start Video").click()
            for one in (page, other):
                await says(one, "town_hall.shows")
                await hears(one, sound=True)
                await expect(one.locator("[data-meeting]")).to_have_attribute("data-receives", "something")
                await expect(frame(one).locator(".zoom-tile img[src^='data:']")).to_have_count(1)
                await expect(frame(one).locator(".zoom-tile img[src^='data:']")).to_be_visible()
                await expect(frame(one).locator(".zoom-tile")).to_have_count(2)  # oneself and the host
            async with asyncio.timeout(PATIENCE):
                assert await in_frame(other, MUTED_AGAIN), "candidates do not hear each other"
            await site.change_definition(focus_mode="false")  # nobody may be shown any more, while one is
            for one in (page, other):
                await says(one, "town_hall.speaks")
            await expect(hall.locator("[data-call-state]")).to_contain_text("Without focus mode")
            await expect(hall.locator('[data-call="video"]')).to_have_attribute("aria-pressed", "false")
            await expect(hall.locator('[data-call="audio"]')).to_have_attribute("aria-pressed", "true")
            await press(hall, "chat")
            for one in (page, other):
                await expect(one.locator("[data-say]")).to_be_visible()  # by our own page, not by Zoom's chat

            exam = site.server.app.directory.exams[lea.live.exam_id]
            facts = itemgetter("joined", "cause")  # nothing of the way
            judged = site.server.app.stream.judged
            await until(lambda: facts(judged(exam, lea.live)) == ("ok", "exam_not_started"))

            await press(hall, "close")
            await hall.get_by_role("dialog").get_by_role("button", name="Close the town hall").click()
            for one in (page, other):
                await says(one, "nothing")
                await expect(check(one, "meeting")).to_have_attribute("data-result", "ok")
                await expect(one.locator("[data-meeting]")).to_have_attribute("data-receives", "nothing")
            await until(lambda: set(meetings) == home)
            await ada.close()


async def test_zoom_is_seen_while_it_wants_something_pressed(context: BrowserContext, tmp_path: Path) -> None:
    """Its sound and camera begin by a press in its own bar, where accounts and browsers want one."""
    async with zoom_site(tmp_path, seed=Seed(users=zoom_hosts(1), wants_press=True)) as site:
        wire = await seb(site, "Lea")
        async with alive(wire):
            page = await opened(context, entry(wire))
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            for name in ("Join Audio", "Start Video"):
                await expect(page.locator("[data-meeting]")).to_have_attribute("data-receives", "something")
                await frame(page).get_by_role("button", name=name).click()
            await expect(page.locator("[data-meeting]")).to_have_attribute("data-receives", "nothing")
