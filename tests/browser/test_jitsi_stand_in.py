"""The stand-in as pages meet it: a script from another origin, a frame, events and commands (jitsi.md §7)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from invigilo.providers.jitsi_tokens import Entry, TokenKey, new_room_name, room_token
from invigilo.simulate.jitsi import JitsiStandIn, Mood, jitsi_stand_in
from tests.browser.waiting import PATIENCE_MS
from tests.providers.proving import SECRET, WELL

pytestmark = pytest.mark.browser
KEY = TokenKey("HS256", SECRET, issuer="exam-office", audience="jitsi", subject="*")
SCRIPT = """
window.events = [];
const names = ["videoConferenceJoined", "participantJoined", "participantLeft", "participantRoleChanged", "errorOccurred",
    "participantKickedOut", "videoConferenceLeft", "readyToClose", "incomingMessage", "audioMuteStatusChanged",
    "participantMuted", "tileViewChanged"];
window.enter = (domain, options) => {
    const api = new JitsiMeetExternalAPI(domain, { parentNode: document.querySelector("#here"), height: 600, ...options });
    for (const name of names) api.addListener(name, (body) => window.events.push({ ...body, event: name }));
    window.api = api;
};
"""


@asynccontextmanager
async def embedding(stand_in: JitsiStandIn) -> AsyncIterator[str]:
    """A page of another origin, under headers like ours."""
    address = stand_in.url
    origin = f"http://127.0.0.1:{stand_in.port}"  # in a policy, a path without slash at its end is one file

    async def page(_request: web.Request) -> web.Response:
        text = (
            '<!doctype html><title>Around it</title><link rel="icon" href="data:,"><div id="here"></div>'
            f'<script src="{address}/external_api.js"></script><script src="/page.js"></script>'
        )
        policy = f"default-src 'self'; script-src 'self' {origin}; frame-src {origin}; img-src data:"
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def script(_request: web.Request) -> web.Response:
        return web.Response(text=SCRIPT, content_type="application/javascript")

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/page.js", script)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def token(room: str, identity: str, *, is_proctor: bool = False) -> str:
    now = datetime.now(UTC)
    entry = Entry(room, identity, f"Guest {identity}", is_proctor, may_chat=True)
    return room_token(KEY, entry, now=now, expires_at=now + timedelta(hours=1))


async def entered(
    browser: Browser, url: str, stand_in: JitsiStandIn, room: str, jwt: str | None, **config: Any
) -> Page:
    context = await browser.new_context(viewport={"width": 1000, "height": 640})
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script broke: {error}"))
    await page.goto(url)
    domain = stand_in.url.removeprefix("http://")
    options = {"roomName": room, "jwt": jwt, "configOverwrite": config}
    await page.evaluate("([domain, options]) => window.enter(domain, options)", [domain, options])
    return page


async def heard(page: Page, name: str, /, **fields: Any) -> dict[str, Any]:
    """Wait until the page around the meeting has heard this event."""
    script = """([name, fields]) => window.events.find((e) => e.event === name
        && Object.entries(fields).every(([k, v]) => JSON.stringify(e[k]) === JSON.stringify(v)))"""
    found = await page.wait_for_function(script, arg=[name, fields], timeout=PATIENCE_MS)
    return json.loads(json.dumps(await found.json_value()))


@pytest.mark.parametrize("path", ["", "/video/seb"])
async def test_candidate_and_proctor_meet_in_frames_of_another_origin(browser: Browser, path: str) -> None:
    room = new_room_name()
    async with AsyncExitStack() as stack:
        stand_in = await stack.enter_async_context(jitsi_stand_in(WELL, path=path))
        url = await stack.enter_async_context(embedding(stand_in))
        quiet = {
            "startWithAudioMuted": True,
            "channelLastN": 0,
            "toolbarButtons": [],
            "prejoinConfig": {"enabled": False},
        }
        candidate = await entered(browser, url, stand_in, room, token(room, "c17"), **quiet)
        mine = await heard(candidate, "videoConferenceJoined", roomName=room)
        proctor = await entered(
            browser, url, stand_in, room, token(room, "p1", is_proctor=True), startWithVideoMuted=True
        )
        me = await heard(proctor, "videoConferenceJoined")
        await heard(proctor, "participantRoleChanged", id=me["id"], role="moderator")
        seen = await heard(proctor, "participantJoined", id=mine["id"])
        assert seen["userContext"]["id"] == "c17"
        assert seen["displayName"] == "Guest c17"
        await heard(candidate, "participantJoined", id=me["id"])

        # the candidate's picture reaches the proctor, and nothing the other way
        frame = proctor.frame_locator("iframe")
        await expect(frame.locator(f"#p-{mine['id']} img[src^='data:image/jpeg']")).to_be_visible()
        await expect(candidate.frame_locator("iframe").locator("img[src]")).to_have_count(0)
        await expect(candidate.frame_locator("iframe").locator("#toolbar")).to_be_hidden()

        rooms = await proctor.evaluate("window.api.getRoomsInfo()")
        assert {p["role"] for p in rooms["rooms"][0]["participants"]} == {"participant", "moderator"}
        picture = await proctor.evaluate("window.api.captureLargeVideoScreenshot()")
        assert picture["dataURL"].startswith("data:image/jpeg")

        await proctor.evaluate(
            "id => window.api.executeCommand('sendChatMessage', 'Two minutes left', id)", mine["id"]
        )
        await heard(candidate, "incomingMessage", message="Two minutes left", privateMessage=True)
        await candidate.evaluate("window.api.executeCommand('toggleAudio')")
        await heard(candidate, "audioMuteStatusChanged", muted=False)
        await proctor.evaluate(
            "id => window.api.executeCommand('muteRemoteParticipant', id, 'audio')", mine["id"]
        )
        await candidate.wait_for_function(
            "() => window.events.filter(e => e.event === 'audioMuteStatusChanged').at(-1).muted"
        )
        await candidate.evaluate(
            "id => window.api.executeCommand('kickParticipant', id)", me["id"]
        )  # may not: nothing
        await proctor.evaluate("id => window.api.executeCommand('kickParticipant', id)", mine["id"])
        await heard(candidate, "videoConferenceLeft")
        await heard(proctor, "participantLeft", id=mine["id"])
        assert not await proctor.evaluate("window.events.some(e => e.event === 'videoConferenceLeft')")


async def test_one_picture_and_a_pin_is_the_picture_of_the_pinned_one_and_no_other(browser: Browser) -> None:
    """The bridge's rule: selected first, then those who send, then the first N. It is what a candidate's page relies on."""
    room = new_room_name()
    async with AsyncExitStack() as stack:
        stand_in = await stack.enter_async_context(jitsi_stand_in(WELL))
        url = await stack.enter_async_context(embedding(stand_in))
        for identity in ("c1", "c2"):
            await heard(
                await entered(browser, url, stand_in, room, token(room, identity), channelLastN=0),
                "videoConferenceJoined",
            )
        proctor = await entered(browser, url, stand_in, room, token(room, "p1", is_proctor=True))
        theirs = (await heard(proctor, "videoConferenceJoined"))["id"]
        page = await entered(browser, url, stand_in, room, token(room, "c3"), channelLastN=1)
        await heard(page, "participantRoleChanged", id=theirs, role="moderator")
        frame = page.frame_locator("iframe")
        pictures = frame.locator(".tile img[src^='data:']")
        await expect(pictures).to_have_count(1)  # whoever is first
        await page.evaluate(
            "id => { window.api.executeCommand('setTileView', false); window.api.executeCommand('pinParticipant', id); }",
            theirs,
        )
        await expect(frame.locator(f"#p-{theirs} img[src^='data:']")).to_be_visible()
        await expect(pictures).to_have_count(1)
        await page.evaluate("window.api.executeCommand('pinParticipant', null)")
        await expect(frame.locator(f"#p-{theirs} img[src^='data:']")).to_have_count(0)
        await expect(frame.locator(f"#p-{theirs}")).to_have_attribute("data-audible", "yes")
        await page.evaluate("id => window.api.executeCommand('setParticipantVolume', id, 0)", theirs)
        await expect(frame.locator(f"#p-{theirs}")).to_have_attribute("data-audible", "no")


async def test_two_rooms_in_two_windows_do_not_mix(browser: Browser) -> None:
    async with AsyncExitStack() as stack:
        stand_in = await stack.enter_async_context(jitsi_stand_in(WELL))
        url = await stack.enter_async_context(embedding(stand_in))
        rooms = [new_room_name(), new_room_name()]
        pages = [await entered(browser, url, stand_in, r, token(r, "p1", is_proctor=True)) for r in rooms]
        for page, room in zip(pages, rooms, strict=True):
            await heard(page, "videoConferenceJoined", roomName=room)
            assert not await page.evaluate("window.events.some(e => e.event === 'participantJoined')")


@pytest.mark.parametrize(
    ("jwt", "name"),
    [(None, "connection.passwordRequired"), ("other", "conference.connectionError.notAllowed")],
)
async def test_who_may_not_enter_is_told_in_jitsis_words(
    browser: Browser, jwt: str | None, name: str
) -> None:
    async with AsyncExitStack() as stack:
        stand_in = await stack.enter_async_context(jitsi_stand_in(WELL))
        url = await stack.enter_async_context(embedding(stand_in))
        page = await entered(browser, url, stand_in, new_room_name(), jwt and token(new_room_name(), "c17"))
        await heard(page, "errorOccurred", name=name, isFatal=True)
        await heard(page, "readyToClose")


async def test_a_prejoin_page_is_skipped_by_who_says_so(browser: Browser) -> None:
    room = new_room_name()
    async with AsyncExitStack() as stack:
        stand_in = await stack.enter_async_context(jitsi_stand_in(WELL, Mood.PREJOIN))
        url = await stack.enter_async_context(embedding(stand_in))
        page = await entered(browser, url, stand_in, room, token(room, "c17"))
        await expect(page.frame_locator("iframe").get_by_role("button", name="Join meeting")).to_be_visible()
        page = await entered(
            browser, url, stand_in, room, token(room, "c18"), prejoinConfig={"enabled": False}
        )
        await heard(page, "videoConferenceJoined")
