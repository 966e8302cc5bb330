"""Meetings at a Jitsi, in a real Chromium with a fake camera, against the stand-in: who gets in, who is seen, and what is
said when somebody does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, expect

from invigilo.simulate.jitsi import Mood
from tests.browser.test_candidate_page import PATIENCE, check, connected, entry, opened, state, until
from tests.meeting_site import meeting_site

pytestmark = pytest.mark.browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en")
    context.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
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
        page = await opened(context, entry(wire))
        await expect(check(page, "meeting")).to_have_attribute("data-result", result)
        await expect(check(page, "meeting").locator("[data-remedy]")).to_be_visible()
        await until(lambda: wire.live.page.meeting == result)
        exam = site.server.app.directory.exams[wire.live.exam_id]
        assert site.server.app.stream.judged(exam, wire.live)["cause"] == f"meeting_{result}"
