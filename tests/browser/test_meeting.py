"""Meetings at a Jitsi, in a real Chromium with a fake camera, against the stand-in: who gets in, who is seen, and what is
said when somebody does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from invigilo.simulate.jitsi import Mood
from tests.browser.test_candidate_page import check, connected, entry, opened, state
from tests.browser.waiting import PATIENCE_MS, alive, until
from tests.meeting_site import SECRET, MeetingSite, jaas_site, meeting_site
from tests.providers.keys import APP_ID
from tests.server import SET_UP, SebWire
from tests.web.people import sign_in

pytestmark = pytest.mark.browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


async def test_a_candidate_is_in_the_meeting_and_the_proof_reaches_the_server(
    context: BrowserContext, tmp_path: Path
) -> None:
    """The page enters by itself, as no moderator, sends its camera, and nothing but the two hosts is asked."""
    async with meeting_site(tmp_path) as site:
        wire = await site.server.ready()
        complaints: list[str] = []
        asked: list[str] = []
        context.on("console", lambda message: complaints.append(message.text))
        context.on("request", lambda request: asked.append(request.url))
        page = await opened(context, entry(wire))
        await connected(page)
        await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
        await expect(check(page, "camera")).to_have_attribute("data-result", "ok")
        await expect(state(page, "place")).to_have_text("Room 1")
        await until(lambda: wire.live.page.meeting == "joined")
        await until(lambda: wire.live.page.last_still_at is not None)
        (room,) = site.jitsi.rooms.by_name.values()
        (member,) = [one for one in room.members.values() if one.nick != "focus"]
        assert not member.is_moderator
        assert member.token_name == "SEB 1"
        hosts = (f"http://127.0.0.1:{site.server.port}/", f"http://127.0.0.1:{site.jitsi.port}/")
        assert [url for url in asked if not url.startswith((*hosts, "data:"))] == []
        assert complaints == []


@pytest.mark.parametrize(
    ("mood", "app_secret", "result"),
    [
        (Mood.WELL, "quite-another-secret", "refused"),
        (Mood.JICOFO_DOWN, "", "unreachable"),
    ],
)
async def test_what_keeps_a_candidate_out_is_named_on_both_sides(
    context: BrowserContext, tmp_path: Path, mood: Mood, app_secret: str, result: str
) -> None:
    more = {"app_secret": app_secret} if app_secret else {}
    async with meeting_site(tmp_path, mood, **more) as site:
        wire = await site.server.ready()
        async with alive(wire):
            page = await opened(context, entry(wire))
            await named_on_both_sides(page, wire, result)


async def named_on_both_sides(page: Page, wire: SebWire, result: str) -> None:
    """The candidate reads what keeps them out and what to do; the wall's cause says the same."""
    await expect(check(page, "meeting")).to_have_attribute("data-result", result)
    await expect(check(page, "meeting").locator("[data-remedy]")).to_be_visible()
    await until(lambda: wire.live.page.meeting == result)
    app = wire.server.app
    exam = app.directory.exams[wire.live.exam_id]
    await until(lambda: app.stream.judged(exam, wire.live)["cause"] == f"meeting_{result}")


# --- the proctor's window ---


async def seb(site: MeetingSite, name: str) -> SebWire:
    device = "seb_os_name=Windows 11&seb_version=3.10.2"
    return await site.server.ready(f"client_id={name}&seb_machine_name=LAB-{name}&{device}")


async def proctor(browser: Browser, site: MeetingSite) -> BrowserContext:
    ada = await sign_in(site.server, "ada")
    context = await browser.new_context(locale="en", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    cookies = [{"name": name, "value": value, "url": site.server.url} for name, value in ada.cookies.items()]
    await context.add_cookies(cookies)  # type: ignore[arg-type]
    return context


def window(site: MeetingSite, wire: SebWire) -> str:
    return f"{site.server.url}/monitoring/{wire.live.exam_id}/rooms/{wire.live.room_number}"


def member(page: Page, wire: SebWire, where: str) -> Any:
    return page.locator(f"[data-{where}] [data-id='{wire.live.id}']")


@pytest.mark.spec("live-proctoring", 60)
async def test_the_window_shows_who_is_there_and_why_the_others_are_not(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    """By the identity in their tokens: two candidates of one name are two people."""
    async with meeting_site(tmp_path) as site:
        lea, lea_too, tom = await seb(site, "Lea"), await seb(site, "Lea"), await seb(site, "Tom")
        async with alive(lea, lea_too, tom):
            for wire in (lea, lea_too):
                page = await opened(context, entry(wire))
                await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            ada = await proctor(browser, site)
            complaints: list[str] = []
            ada.on("console", lambda message: complaints.append(message.text))
            room = await opened(ada, window(site, lea))
            for wire in (lea, lea_too):
                await expect(member(room, wire, "present")).to_be_visible()
                await until(lambda wire=wire: wire.live.page.last_frames_at is not None)
            missing = member(room, tom, "missing")
            await expect(missing).to_be_visible()
            await expect(room.locator("[data-meeting-state]")).to_have_attribute("data-tone", "ok")
            await expect(missing).to_contain_text("Tom")
            await until(
                lambda: tom.live.meeting.present(tom.live.room_id, site.server.app.clock.now_ms()) is False
            )
            await expect(state(page, "watchers")).to_have_attribute("data-count", "1")
            assert [line for line in complaints if "favicon" not in line] == []
            frames = room.frame_locator("[data-meeting-frame] iframe").locator(".tile img[src^='data:']")
            await expect(frames.first).to_be_visible()

            await member(room, lea, "present").locator("[data-act='leave']").click()
            await room.locator("[data-ask] button[value='yes']").click()
            await until(lambda: lea.live.page.meeting == "kicked")
            await expect(member(room, lea, "missing")).to_contain_text("removed from the meeting")
            await expect(member(room, lea_too, "present")).to_be_visible()

            await room.reload()
            await expect(member(room, lea_too, "present")).to_be_visible()
            await room.close()
            await expect(state(page, "watchers")).to_have_attribute("data-count", "0")
            await ada.close()


@pytest.mark.spec("live-proctoring", 60)
async def test_two_rooms_in_two_windows_do_not_know_of_each_other(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    set_up = SET_UP.replace("collecting_room_size = 5", "collecting_room_size = 1")
    async with meeting_site(tmp_path, text=set_up) as site:
        lea, tom = await seb(site, "Lea"), await seb(site, "Tom")
        async with alive(lea, tom):
            for wire in (lea, tom):
                page = await opened(context, entry(wire))
                await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            ada = await proctor(browser, site)
            windows = [await opened(ada, window(site, wire)) for wire in (lea, tom)]
            for room, inside, outside in ((windows[0], lea, tom), (windows[1], tom, lea)):
                await expect(member(room, inside, "present")).to_be_visible()
                await expect(room.locator(f"[data-id='{outside.live.id}']")).to_have_count(0)
            assert len(site.jitsi.rooms.by_name) == 2
            await ada.close()


@pytest.mark.spec("live-proctoring", 60)
async def test_meetings_at_jaas_lie_under_the_app_id_on_both_sides(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    """Script, room and token are the tenant's; its signed webhooks say who is there before any proctor looks."""
    async with jaas_site(tmp_path) as site:
        lea = await seb(site, "Lea")
        async with alive(lea):
            page = await opened(context, entry(lea))
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            await until(
                lambda: lea.live.meeting.present(lea.live.room_id, site.server.app.clock.now_ms()) is True
            )
            (room,) = site.jitsi.rooms.by_name.values()
            (candidate,) = [one for one in room.members.values() if one.nick != "focus"]
            assert not candidate.is_moderator
            ada = await proctor(browser, site)
            there = await opened(ada, window(site, lea))
            await expect(member(there, lea, "present")).to_be_visible()
            await until(lambda: lea.live.page.last_frames_at is not None)
            await until(lambda: any(one.is_moderator for one in room.members.values() if one.nick != "focus"))
            await ada.close()
        scripts = {path for path in site.jitsi.requests if path.endswith("external_api.js")}
        assert scripts == {f"/{APP_ID}/external_api.js"}


@pytest.mark.spec("live-proctoring", 19)
async def test_port_and_path_of_the_server_survive_into_both_pages(
    context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    async with meeting_site(tmp_path, path="/halls/exams") as site:
        lea = await seb(site, "Lea")
        async with alive(lea):
            page = await opened(context, entry(lea))
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            ada = await proctor(browser, site)
            room = await opened(ada, window(site, lea))
            await expect(room.locator("[data-meeting-state]")).to_have_attribute("data-tone", "ok")
            await expect(member(room, lea, "present")).to_be_visible()
            await ada.close()
        asked = [path for path in site.jitsi.requests if not path.startswith("/halls/exams/")]
        assert asked == []


async def test_only_pages_of_this_exam_let_the_meeting_server_in(tmp_path: Path) -> None:
    """And no other host; other pages of the same person, the monitoring page too, stay as strict as ever."""
    async with meeting_site(tmp_path) as site:
        wire = await site.server.ready()
        ada = await sign_in(site.server, "ada")
        origin = f"http://127.0.0.1:{site.jitsi.port}"
        page = await site.server.request("GET", entry(wire).partition(str(site.server.port))[2])
        room = await ada.get(f"/monitoring/{wire.live.exam_id}/rooms/1")
        for answer in (page, room):
            policy = answer.headers["content-security-policy"]
            assert f"script-src 'self' {origin};" in policy
            assert f"frame-src {origin}" in policy
            assert f'camera=(self "{origin}")' in answer.headers["permissions-policy"]
            assert "cross-origin-embedder-policy" not in answer.headers
            assert "jwt" not in answer.body.decode().lower()
        monitoring = await ada.get(f"/monitoring/{wire.live.exam_id}")
        assert origin not in str(monitoring.headers)


async def test_a_rotated_secret_lets_the_next_try_in(context: BrowserContext, tmp_path: Path) -> None:
    """No restart, no reload: the page goes on trying, and every try has a token made then."""
    async with meeting_site(tmp_path, app_secret="an-older-secret") as site:
        wire = await site.server.ready()
        async with alive(wire):
            page = await opened(context, entry(wire))
            await expect(check(page, "meeting")).to_have_attribute("data-result", "refused")
            await site.change_definition(app_secret=SECRET)
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")


async def test_a_meeting_server_that_restarts_is_entered_again(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with meeting_site(tmp_path) as site:
        wire = await site.server.ready()
        async with alive(wire):
            page = await opened(context, entry(wire))
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")
            port = site.jitsi.port
            await site.jitsi.stop()
            await until(lambda: wire.live.page.meeting in {"lost", "script_failed", "unreachable"})
            await site.jitsi.start(port=port)
            await expect(check(page, "meeting")).to_have_attribute("data-result", "ok")


async def test_a_blocked_script_is_named(context: BrowserContext, tmp_path: Path) -> None:
    """SEB's own filter, or the hall's network, keeps the meeting server away."""
    async with meeting_site(tmp_path) as site:
        wire = await site.server.ready()
        await context.route("**/external_api.js", lambda route: route.abort())
        async with alive(wire):
            page = await opened(context, entry(wire))
            await expect(check(page, "meeting")).to_have_attribute("data-result", "script_failed")
            await until(lambda: wire.live.page.meeting == "script_failed")
