"""The proctors' pages in a real Chromium, against the real server and simulated candidates with moving pictures."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from invigilo.simulate.life import Life, Plan
from tests.browser.test_candidate_page import entry, line_to
from tests.browser.waiting import PATIENCE_MS, STANDSTILL, alive, until, until_page
from tests.server import PASSWORD, SebWire, Server, running
from tests.simulate.test_simulate import connections, simulated

pytestmark = pytest.mark.browser

PATIENCE = PATIENCE_MS


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en", viewport={"width": 1366, "height": 768})
    context.set_default_timeout(PATIENCE)
    yield context
    await context.close()


async def signed_in(
    context: BrowserContext, server: Server, path: str = "", *, who: str = "ada", port: int | None = None
) -> Page:
    """Somebody signs in as people do, is led to the exam's page, and has it before them: live, and listening to keys."""
    page = await context.new_page()
    exam = await server.exam_id()
    await page.goto(f"http://127.0.0.1:{port or server.port}/login?next=/monitoring/{exam}{path}")
    await page.get_by_label("User name").fill(who)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"**/monitoring/{exam}{path}")
    await expect(page.locator("[data-feed-state]")).to_have_attribute("data-feed-state", "live")
    return page


async def named(server: Server, name: str) -> SebWire:
    """A SEB in the exam and in a room, whose candidate is known by this name."""
    from urllib.parse import quote

    wire = await server.ready()
    assert (await wire.patch(f"seb_user_session_id={quote(name)}")).status == 200
    await until(lambda: wire.live.room_number)
    return wire


def row(page: Page, name: str):
    return page.locator(".table-row", has=page.get_by_role("link", name=name, exact=True))


async def test_the_table_fills_and_changes_without_reload(server: Server, context: BrowserContext) -> None:
    page = await signed_in(context, server)
    await expect(page.get_by_text("No candidate has connected yet.")).to_be_visible()
    wire = await named(server, "Zoë O'Neil")
    async with alive(wire):
        await expect(row(page, "Zoë O'Neil").locator(".cell-seb")).to_contain_text("alive")
    await expect(row(page, "Zoë O'Neil").locator(".cell-room")).to_have_text("1")
    await expect(page.locator("[data-room-list]")).to_contain_text("Room 1 (1/5)")
    await wire.delete()
    await expect(row(page, "Zoë O'Neil")).to_have_attribute("data-state", "closed")
    await expect(page.locator("[data-room-list]")).to_contain_text("(0/5)")


async def test_names_are_shown_as_they_are(server: Server, context: BrowserContext) -> None:
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    names = [
        "ณัฐธิดา ศรีสุข",
        "</script><script>alert(1)</script>",
        "\"Quote\" & 'tick'",
        "<img src=x onerror=alert(1)>",
    ]
    for name in names:
        await named(server, name)
    page = await signed_in(context, server)
    for name in names:
        await expect(row(page, name)).to_be_visible()
    await row(page, names[1]).get_by_role("link", name=names[1]).press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(names[1])
    await page.goto(f"http://127.0.0.1:{server.port}/monitoring/{await server.exam_id()}/overview")
    await expect(page.get_by_text(names[3], exact=True)).to_be_visible()
    assert complaints == []


async def test_search_and_filters_find_people(server: Server, context: BrowserContext) -> None:
    wires = [await named(server, name) for name in ("Anna Nowak", "Ben Okafor", "Chloé Martin")]
    await wires[1].log(
        {"type": "NOTIFICATION", "timestamp": 1, "numericValue": 3, "text": "<raisehand> Question"}
    )
    page = await signed_in(context, server)
    await expect(page.locator(".table-row")).to_have_count(3)
    await page.get_by_role("button", name="Hands up 1", exact=True).click()
    await expect(page.locator(".table-row")).to_have_count(1)
    await expect(row(page, "Ben Okafor")).to_be_visible()
    await page.get_by_role("button", name="All 3").click()
    await page.get_by_label("Search name, computer, room").fill("chlo room 1")
    await expect(page.locator(".table-row")).to_have_count(1)
    await page.get_by_label("Search name, computer, room").fill("nobody")
    await page.get_by_role("button", name="Show all").click()
    await expect(page.locator(".table-row")).to_have_count(3)


async def test_a_proctor_settles_a_hand_and_seb_is_told(server: Server, context: BrowserContext) -> None:
    wire = await named(server, "Ben Okafor")
    await wire.log(
        {"type": "NOTIFICATION", "timestamp": 1, "numericValue": 3, "text": "<raisehand> Question"}
    )
    page = await signed_in(context, server)
    await page.get_by_role("button", name="Settle the raised hand of Ben Okafor").click()
    await expect(page.get_by_role("button", name="Settle the raised hand of Ben Okafor")).to_have_count(0)
    told = await wire.told()
    assert told["instruction"] == "NOTIFICATION_CONFIRM"
    assert told["attributes"]["id"] == "3"


async def test_a_room_shows_its_tiles_live_and_the_broken_one_says_why(
    server: Server, context: BrowserContext, tmp_path: Path
) -> None:
    lives = [Life(Plan.STEADY, 1), Life(Plan.STEADY, 2), Life(Plan.CAMERA_DENIED, 3)]
    async with simulated(server, tmp_path, *lives, camera=True):
        await until(lambda: sum(live.page.connected for live in connections(server)) == 3)
        page = await signed_in(context, server)
        await page.locator("[data-room-list] a", has_text="(3/5)").click()
        await expect(page.locator(".tile")).to_have_count(3)
        await expect(page.locator(".tile.has-video")).to_have_count(2)
        broken = page.locator(
            ".tile[data-severity=problem]", has_text="The device or the candidate refused the camera."
        )
        await expect(broken).to_contain_text("Have the camera allowed for SEB")
        first = await page.locator(".tile.has-video video").first.element_handle()
        before = await first.evaluate("video => video.currentTime")
        await until_page(page, "([video, before]) => video.currentTime > before + 0.5", [first, before])
        await _enlarge_and_listen(page)
        await page.reload()
        await expect(page.locator(".tile.has-video")).to_have_count(2)
        await until(lambda: sum(one.page.last_frames_at is not None for one in connections(server)) == 2)


async def _enlarge_and_listen(page: Page) -> None:
    """By keyboard, as somebody without a mouse does."""
    tile = page.locator(".tile.has-video").first
    await tile.locator(".stage-button").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".tile.is-large")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".tile.is-large")).to_have_count(0)
    listen = page.get_by_role("button", name=re.compile("^Listen to"))
    await listen.nth(0).click()
    await expect(page.locator("button.round[aria-pressed=true]")).to_have_count(1)
    await listen.nth(0).click()  # the next one's: only one is heard
    await expect(page.locator("button.round[aria-pressed=true]")).to_have_count(1)
    await until_page(
        page, "() => [...document.querySelectorAll('video')].filter(one => !one.muted).length === 1"
    )


async def test_two_proctors_watch_the_same_room(
    server: Server, context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    async with simulated(server, tmp_path, Life(Plan.STEADY, 1), camera=True):
        await until(lambda: [live.page.connected and live.room_number for live in connections(server)] == [1])
        one = await signed_in(context, server, "/rooms/1")
        other_context = await browser.new_context(locale="en")
        two = await signed_in(other_context, server, "/rooms/1", who="grace")
        for page in (one, two):
            await expect(page.locator(".tile.has-video")).to_have_count(1)
        await one.close()
        await until(lambda: connections(server)[0].page.watchers == 1)
        await expect(two.locator(".tile.has-video")).to_have_count(1)
        await other_context.close()


async def test_browser_to_browser_survives_an_ice_restart_and_a_reload_of_the_candidate(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    await context.add_init_script(STANDSTILL)  # only what is asked for here makes a path anew
    candidate = await context.new_page()
    await candidate.goto(entry(wire))
    await until(lambda: wire.live.room_number)
    page = await signed_in(context, server, "/rooms/1")
    await expect(page.locator(".tile.has-video")).to_have_count(1)
    peer = "window.invigilo.watches.watches.values().next().value"
    session = await page.evaluate(f"{peer}.session")
    fragment = f"/a=ice-ufrag:(.*)/.exec({peer}.pc.remoteDescription.sdp)[1]"
    before = await page.evaluate(fragment)
    await page.evaluate(f"window.invigilo.feed.send({{t: 'restart', connection: {wire.live.id}}})")
    await until_page(page, f"{fragment} !== {before!r}")
    assert await page.evaluate(f"{peer}.session") == session, (
        "a restart mends the path, it makes no new connection"
    )
    await expect(page.locator(".tile.has-video")).to_have_count(1)
    await candidate.reload()
    await until_page(page, f"{peer}.session !== null && {peer}.session !== {session!r} && {peer}.isLive")
    await expect(page.locator(".tile.has-video")).to_have_count(1)
    sends_back = await candidate.evaluate(
        "() => [...document.querySelectorAll('video, audio')].filter(one => one.srcObject && !one.muted).length"
    )
    assert sends_back == 0, "nothing of anybody plays at the candidate"


async def test_the_page_says_when_it_is_not_live_and_comes_back_by_itself(
    server: Server, context: BrowserContext
) -> None:
    async with line_to(server) as line:
        page = await signed_in(context, server, port=line.port)
        line.is_silent = True  # the worst kind: the socket stays open and nothing comes
        await expect(page.locator("[data-banner]")).to_contain_text("out of date")
        await expect(page.locator("[data-feed-state]")).to_contain_text("Not live")
        line.cut()
        line.mend()
        await expect(page.locator("[data-feed-state]")).to_have_attribute("data-feed-state", "live")
        await expect(page.locator("[data-banner]")).to_be_hidden()
        await named(server, "Late Arrival")
        await expect(row(page, "Late Arrival")).to_be_visible()


async def test_a_signed_out_page_says_so(server: Server, context: BrowserContext) -> None:
    page = await signed_in(context, server)
    second = await context.new_page()
    await second.goto(page.url)
    await second.get_by_role("button", name="Sign out").click()
    await second.wait_for_url("**/login")
    await page.evaluate("window.invigilo.feed.socket?.close()")  # unless the server has ended it already
    await expect(page.locator("[data-banner]")).to_contain_text("You are no longer signed in.")
    await expect(page.get_by_role("link", name="Sign in again")).to_have_attribute(
        "href", re.compile("/login")
    )


async def test_a_thousand_rows_keep_few_in_the_document(server: Server, context: BrowserContext) -> None:
    """The page is fed by a scripted stream; what is shown of it is the page's own doing."""
    template = {
        "room": 1, "state": "active", "seb_version": "3.10.2", "os": "Windows 11", "family": "windows", "machine": "LAB",
        "last_ping": 1, "missing": False, "seb": "ok", "seb_at": 1, "joined": "ok", "joined_at": 1, "frames": "ok",
        "frames_at": 1, "cause": None, "severity": "ok", "notifications": [], "battery": 80, "wlan": 70,
        "wlan_connected": True, "errors": 0, "warnings": 0, "flags": [],
    }  # fmt: skip
    rows = [template | {"id": n, "name": f"Candidate {n:04}"} for n in range(1, 1001)]
    snapshot = {
        "t": "snapshot", "now": 10, "rows": rows, "rooms": [], "ice_servers": [], "storage_trouble_since": None,
        "exam": {"id": 1, "name": "x", "starts_at": 0, "ends_at": 1, "state": "running", "service": "builtin", "room_size": 5},
    }  # fmt: skip
    import json

    def script(socket) -> None:
        socket.send(json.dumps(snapshot))

    await context.route_web_socket(re.compile(r".*/socket$"), script)
    page = await signed_in(context, server)
    await expect(page.get_by_role("button", name="All 1000")).to_be_visible()
    await expect(row(page, "Candidate 0001")).to_be_visible()
    assert await page.locator(".table-row").count() < 60
    await page.evaluate("scrollTo(0, document.body.scrollHeight)")
    await expect(row(page, "Candidate 1000")).to_be_visible()
    assert await page.locator(".table-row").count() < 60
    assert await page.locator("[data-table]").get_attribute("aria-rowcount") == "1001"


async def test_the_overview_shows_stills_of_everybody(
    server: Server, context: BrowserContext, tmp_path: Path
) -> None:
    async with simulated(server, tmp_path, *[Life(Plan.STEADY, n) for n in range(6)], camera=True):
        page = await signed_in(context, server, "/overview")
        await expect(page.locator(".still.has-picture img[src]")).to_have_count(6)
        sections = page.locator(".overview-room:visible")  # one without people stays in the document
        await expect(sections).to_have_count(2)
        await expect(sections.first).to_contain_text(re.compile(r"Room 1\s*\(5/5\)"))


async def test_the_connection_page_tells_the_story_and_acts(server: Server, context: BrowserContext) -> None:
    wire = await named(server, "Ben Okafor")
    await wire.log({"type": "ERROR_LOG", "timestamp": 1, "text": "The printer is on fire."})
    async with alive(wire):
        page = await signed_in(context, server, f"/connections/{wire.live.id}")
        await expect(page.get_by_text("The printer is on fire.")).to_be_visible()
        await expect(page.locator("[data-cause]")).to_contain_text(
            re.compile("camera page|way into the room")
        )
    await page.locator("[data-lock]").get_by_label("Message on the locked screen").fill("Please wait")
    await page.get_by_role("button", name="Lock the screen").click()
    await expect(page.locator("[data-outcome]")).to_contain_text("Sent.")
    told = await wire.told()
    assert told["instruction"] == "SEB_FORCE_LOCK_SCREEN"
    assert told["attributes"]["message"] == "Please wait"
    await page.get_by_role("button", name="End this SEB session").click()
    await page.get_by_role("button", name="Cancel", exact=True).click()
    assert (await wire.ping()).status == 204, "what was cancelled is not sent"
    await page.get_by_role("button", name="End this SEB session").click()
    async with page.expect_response(lambda answer: answer.request.method == "POST") as quitting:
        await page.get_by_role("button", name="Yes, do it").click()
    assert (await quitting.value).status == 200
    await expect(page.locator("[data-outcome]")).to_contain_text("Sent.")
    assert (await wire.told())["instruction"] == "SEB_QUIT"


async def test_pages_speak_german_to_those_who_wish(server: Server, browser: Browser) -> None:
    context = await browser.new_context(locale="de-CH")
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{server.port}/login")
    await expect(page.get_by_role("button", name="Anmelden")).to_be_visible()
    assert await page.locator("html").get_attribute("lang") == "de"
    await context.close()
