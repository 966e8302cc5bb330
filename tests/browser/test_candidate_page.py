"""The candidate's page in a real Chromium with a fake camera: what the candidate sees, and what the server learns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.browser.waiting import PATIENCE_MS, STANDSTILL, until, until_page
from tests.conftest import CHROMIUM_FLAGS
from tests.rtc.pages import proctor_page
from tests.server import SebWire, Server, running
from tests.web.people import sign_in

pytestmark = pytest.mark.browser

LMS = "https://lms.example.org/**"

REFUSE = """
navigator.mediaDevices.getUserMedia = async () => {
  throw new DOMException(%(words)r, %(name)r);
};
"""


@dataclass
class Line:
    """A TCP line to the server that keeps its address when the server restarts, and can be cut or go dead."""

    target: int
    port: int = 0
    is_cut: bool = False
    is_silent: bool = False
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            if self.is_cut:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            self.writers.add(back)
            if self.is_cut:  # meanwhile
                back.close()
                return
            pumps = [
                asyncio.create_task(self._pump(reader, back)),
                asyncio.create_task(self._pump(there, writer)),
            ]
            self.tasks.update(pumps)
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            back.close()
        except OSError:
            pass
        finally:
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not self.is_silent:
                    writer.write(data)

    def cut(self) -> None:
        self.is_cut = True
        for writer in self.writers:
            writer.close()

    def mend(self, target: int | None = None) -> None:
        self.is_cut = self.is_silent = False
        self.target = target or self.target


@contextlib.asynccontextmanager
async def line_to(server: Server) -> AsyncIterator[Line]:
    line = Line(server.port)
    listener = await asyncio.start_server(line.joined, "127.0.0.1", 0)
    line.port = listener.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        line.cut()
        listener.close()
        await asyncio.gather(*line.tasks, return_exceptions=True)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


def entry(wire: SebWire, port: int | None = None) -> str:
    """The personal address out of the handshake answer, led to this server."""
    path = urlsplit(wire.created.json[0]["url"]).path
    return f"http://127.0.0.1:{port or wire.server.port}{path}"


async def opened(context: BrowserContext, address: str) -> Page:
    page = await context.new_page()
    await page.goto(address)
    return page


def state(page: Page, name: str) -> Any:
    return page.locator(f'[data-state-of="{name}"]')


def check(page: Page, name: str) -> Any:
    return page.locator(f'[data-check="{name}"]')


async def connected(page: Page) -> None:
    await expect(state(page, "connection")).to_have_text("Connected")


async def test_the_self_check_finds_everything_and_the_server_gets_a_picture(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    asked: list[str] = []
    complaints: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = await opened(context, entry(wire))
    await connected(page)
    for name in ("camera", "microphone", "path"):
        await expect(check(page, name)).to_have_attribute("data-result", "ok")
        await expect(check(page, name)).to_have_attribute("data-mark", "ok")
    await expect(state(page, "place")).to_have_text("Room 1")
    facts = attrgetter("camera_check", "microphone_check", "path_check", "camera", "microphone", "still_kind")
    await until(lambda: facts(wire.live.page) == ("ok", "ok", "ok", "live", "live", "ok"))
    await until(lambda: wire.live.page.last_still_at is not None)
    await until(lambda: wire.live.confirmed_revision == wire.live.revision > 0)
    stills = server.app.hub.stills.newest
    still = stills[wire.live.id]
    await until(lambda: stills.get(wire.live.id, still).jpeg != still.jpeg)
    await until_page(page, "document.querySelector('[data-own-picture]').currentTime > 0.5")
    await expect(page.locator("[data-level]")).to_have_attribute("data-shows", "heard")
    assert complaints == []
    outside = [url for url in asked if not url.startswith(f"http://127.0.0.1:{server.port}/")]
    assert [url for url in outside if not url.startswith("data:")] == []


async def test_a_page_opened_before_the_exam_is_chosen_gets_its_room_and_address_by_itself(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.connect()
    page = await opened(context, entry(wire))
    await connected(page)
    await expect(state(page, "place")).to_have_text("No room yet")
    await expect(page.locator("[data-start]")).to_be_disabled()
    assert (await wire.configuration()).status == 200
    await expect(page.locator("[data-start]")).to_be_enabled()
    assert (await wire.put("")).status == 200
    await expect(state(page, "place")).to_have_text("Room 1")
    await until(lambda: wire.live.confirmed_revision == wire.live.revision > 0)


@pytest.mark.parametrize(
    ("name", "words", "camera"),
    [
        ("NotAllowedError", "Permission denied by system", "denied_by_system"),
        ("NotAllowedError", "Permission denied by permissions policy", "denied_by_settings"),
        ("NotFoundError", "Requested device not found", "no_device"),
        ("NotReadableError", "Could not start video source", "in_use"),
        ("TypeError", "odd", "failed"),
    ],
)
async def test_each_failure_of_the_camera_is_named_with_a_remedy(
    server: Server, context: BrowserContext, name: str, words: str, camera: str
) -> None:
    wire = await server.ready()
    await context.add_init_script(REFUSE % {"name": name, "words": words})
    page = await opened(context, entry(wire))
    await expect(check(page, "camera")).to_have_attribute("data-result", camera)
    await expect(check(page, "camera")).to_have_attribute("data-mark", "problem")
    await expect(check(page, "camera").locator("[data-remedy]")).to_be_visible()
    await until(lambda: (wire.live.page.camera_check, wire.live.page.camera) == (camera, "off"))


async def test_a_refused_permission_is_named_and_the_exam_can_be_started_all_the_same(
    server: Server, chromium_path: str
) -> None:
    wire = await server.ready()
    flags = [flag for flag in CHROMIUM_FLAGS if "fake-ui" not in flag]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path, args=[*flags, "--use-fake-ui-for-media-stream=deny"]
        )
        page = await opened(await browser.new_context(locale="de"), entry(wire))
        await expect(check(page, "camera")).to_contain_text("wurde abgelehnt")
        await expect(check(page, "microphone")).to_contain_text("wurde abgelehnt")
        await until(lambda: wire.live.page.camera_check == "denied_by_system")
        await expect(page.locator("[data-start]")).to_be_enabled()
        await browser.close()


async def test_seb_that_refuses_the_camera_is_told_from_a_person_who_does(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    await context.add_init_script("window.SafeExamBrowser = {version: 'SEB_macOS_3.6'};")
    await context.add_init_script(
        REFUSE % {"name": "NotAllowedError", "words": "The request is not allowed by the user agent"}
    )
    page = await opened(context, entry(wire))
    await expect(check(page, "camera")).to_have_attribute("data-result", "denied_by_settings")
    await until(lambda: wire.live.page.camera_check == "denied_by_settings")


@pytest.mark.parametrize(("there", "missing"), [("camera", "microphone"), ("microphone", "camera")])
async def test_one_device_works_without_the_other_and_the_other_joins_when_plugged_in(
    server: Server, context: BrowserContext, there: str, missing: str
) -> None:
    wire = await server.ready()
    kind = "audio" if missing == "microphone" else "video"
    await context.add_init_script(
        f"""
        const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        window.plugged = false;
        navigator.mediaDevices.getUserMedia = async (wish) => {{
          if (wish.{kind} && !window.plugged) throw new DOMException("Requested device not found", "NotFoundError");
          return real(wish);
        }};
        """
    )
    page = await opened(context, entry(wire))
    await expect(check(page, there)).to_have_attribute("data-result", "ok")
    await expect(check(page, missing)).to_have_attribute("data-result", "no_device")
    await until(
        lambda: getattr(wire.live.page, there) == "live" and getattr(wire.live.page, missing) == "off"
    )
    await page.evaluate("plugged = true; navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    await expect(check(page, missing)).to_have_attribute("data-result", "ok")
    await until(lambda: getattr(wire.live.page, missing) == "live")


async def test_a_camera_that_stops_is_said_and_got_again(server: Server, context: BrowserContext) -> None:
    wire = await server.ready()
    await context.add_init_script(STANDSTILL)  # the only reason for another socket would be the camera
    page = await opened(context, entry(wire))
    await until(lambda: wire.live.page.camera == "live")
    connected_at = wire.live.page.connected_at
    first = await page.evaluate(
        """() => {
          const track = document.querySelector("[data-own-picture]").srcObject.getTracks()[0];
          track.stop();
          track.dispatchEvent(new Event("ended"));
          return track.id;
        }"""
    )
    await until_page(
        page,
        "before => document.querySelector('[data-own-picture]').srcObject.getTracks()[0].id !== before",
        first,
    )
    await until(lambda: wire.live.page.camera == "live")
    sent_before = wire.live.page.last_still_at or 0
    await until(lambda: (wire.live.page.last_still_at or 0) > sent_before)
    assert wire.live.page.connected_at == connected_at, "the same line all the time"


async def test_a_page_behind_the_exams_window_keeps_sending(server: Server, context: BrowserContext) -> None:
    """Browsers hold back the timers and frames of a page that is not in front; here they never come at all."""
    wire = await server.ready()
    await context.add_init_script(
        """
        window.setTimeout = window.setInterval = window.requestAnimationFrame = () => 0;
        Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
        """
    )
    await context.add_init_script(
        STANDSTILL
    )  # the line it began with is kept, however late this machine answers
    await opened(context, entry(wire))
    stills = server.app.hub.stills.newest
    await until(lambda: wire.live.id in stills and not wire.live.page.visible)
    first = stills[wire.live.id].at
    await until(lambda: stills[wire.live.id].at > first + 3000)
    assert wire.live.page.connected_at <= first


async def test_an_unanswered_question_for_permission_keeps_nobody_from_the_exam(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    await context.add_init_script("navigator.mediaDevices.getUserMedia = () => new Promise(() => {});")
    page = await opened(context, entry(wire))
    await expect(check(page, "camera")).to_contain_text("waits for permission")
    await expect(page.locator("[data-start]")).to_be_enabled()


async def test_more_watchers_get_smaller_pictures(server: Server, context: BrowserContext) -> None:
    """Each watcher costs the candidate an upload, so together they get no more than three times one."""
    wire = await server.ready()
    await context.add_init_script(
        """
        window.senders = [];
        const real = RTCPeerConnection.prototype.addTransceiver;
        RTCPeerConnection.prototype.addTransceiver = function (...given) {
          const made = real.apply(this, given);
          if (made.receiver.track.kind === "video") window.senders.push([this, made.sender]);
          return made;
        };
        window.limits = () => window.senders
          .filter(([connection]) => connection.signalingState !== "closed")
          .map(([, sender]) => sender.getParameters().encodings[0]);
        """
    )
    page = await opened(context, entry(wire))
    await expect(check(page, "camera")).to_have_attribute("data-result", "ok")
    ada = await sign_in(server, "ada")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(6):
            socket, _peer = await stack.enter_async_context(proctor_page(ada, await server_exam(server)))
            await socket.send("watch", connection=wire.live.id)
        await until_page(
            page,
            "limits().length === 6 && limits().every(one => one.maxBitrate === 75000 && one.maxFramerate === 9)",
        )
        await expect(state(page, "watchers")).to_have_text("6 proctors are watching live now")


async def test_a_second_tab_takes_over_and_the_first_can_take_back(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    first = await opened(context, entry(wire))
    await connected(first)
    await expect(check(first, "camera")).to_have_attribute("data-result", "ok")
    second = await opened(context, entry(wire))
    await connected(second)
    await expect(first.locator("[data-stopped]")).to_contain_text("open in another tab")
    await expect(first.locator("[data-work]")).to_be_hidden()
    assert await first.evaluate("document.querySelector('[data-own-picture]').srcObject.active") is False
    await expect(second.locator("[data-stopped]")).to_be_hidden()
    await first.get_by_role("button", name="Use this tab").click()
    await connected(first)
    await expect(check(first, "camera")).to_have_attribute("data-result", "ok")
    await expect(second.locator("[data-stopped]")).to_contain_text("open in another tab")


async def test_a_reload_comes_back_with_picture_and_knows_that_the_exam_is_open(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    await context.route(LMS, lambda route: route.fulfill(body="<h1>Quiz</h1>", content_type="text/html"))
    page = await opened(context, entry(wire))
    await page.get_by_role("button", name="Start exam").click()
    await until(lambda: wire.live.page.exam_opened)
    await page.reload()
    await connected(page)
    await expect(page.locator("[data-stopped]")).to_be_hidden()
    await expect(page.get_by_role("button", name="Show exam window")).to_be_enabled()
    came = wire.live.page.connected_at
    await until(lambda: (wire.live.page.last_still_at or 0) > came and wire.live.page.exam_opened)


@pytest.mark.parametrize("language", ["en", "de"])
async def test_a_name_of_any_letters_is_shown_as_it_is(
    server: Server, context: BrowserContext, language: str
) -> None:
    name = """สมชาย "ใจดี" O'Neil </script><b>&amp;"""
    wire = await server.connect()
    assert (await wire.configuration()).status == 200
    body = urlencode({"seb_user_session_id": name})
    assert (await wire.patch(body)).status == 200
    assert (await wire.put(body)).status == 200
    page = await opened(context, f"{entry(wire)}?lang={language}")
    await expect(page.locator("[data-candidate]")).to_have_text(name)
    await expect(page.locator("html")).to_have_attribute("lang", language)
    await expect(state(page, "connection")).to_have_text({"en": "Connected", "de": "Verbunden"}[language])


async def test_start_exam_opens_a_second_window_with_the_keyboard_and_only_once(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    visits: list[str] = []

    async def quiz(route: Any) -> None:
        visits.append(route.request.url)
        await route.fulfill(body="<title>Quiz</title>", content_type="text/html")

    await context.route(LMS, quiz)
    page = await opened(context, entry(wire))
    await expect(page.locator("[data-start]")).to_be_enabled()
    await page.locator("[data-start]").focus()
    async with context.expect_page() as coming:
        await page.keyboard.press("Enter")
    window = await coming.value
    await window.wait_for_url("https://lms.example.org/mod/quiz/view.php?id=88")
    await until_page(window, "opener === null && document.referrer === ''")
    await until(lambda: wire.live.page.exam_opened)
    await page.get_by_role("button", name="Show exam window").click()
    await expect(page.locator("[data-start-words]")).to_have_text("The exam is open in its own window.")
    await connected(page)
    assert visits == ["https://lms.example.org/mod/quiz/view.php?id=88"]


async def test_a_blocked_window_leaves_a_link(server: Server, context: BrowserContext) -> None:
    wire = await server.ready()
    await context.route(
        LMS, lambda route: route.fulfill(body="<title>Quiz</title>", content_type="text/html")
    )
    await context.add_init_script("window.open = () => null;")
    page = await opened(context, entry(wire))
    await page.get_by_role("button", name="Start exam").click()
    link = page.get_by_role("link", name="Open the exam with this link")
    await expect(link).to_be_visible()
    async with context.expect_page() as coming:
        await link.click()
    await (await coming.value).wait_for_url("https://lms.example.org/**")
    await until(lambda: wire.live.page.exam_opened)


async def test_the_page_comes_back_after_a_server_restart(tmp_path: Path, context: BrowserContext) -> None:
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(tmp_path / "data"))
        line = await stack.enter_async_context(line_to(server))
        wire = await server.ready()
        page = await opened(context, entry(wire, line.port))
        await connected(page)
        await until(lambda: wire.live.page.last_still_at is not None)
        await server.stop()
        await expect(state(page, "connection")).to_contain_text("Connection lost")
        await expect(page.locator("[data-own-picture]")).to_be_visible()
        second = await stack.enter_async_context(running(tmp_path / "data", text=None))
        line.mend(second.port)
        await connected(page)
        wire.server = second
        await until(lambda: wire.live.page.last_still_at is not None and wire.live.page.camera_check == "ok")


async def test_a_cut_network_and_a_silent_one_are_both_noticed_and_survived(
    server: Server, context: BrowserContext
) -> None:
    """A line that is cut says so; one that only goes silent shows by a pong that does not come."""
    wire = await server.ready()
    async with line_to(server) as line:
        page = await opened(context, entry(wire, line.port))
        await connected(page)
        line.cut()
        await expect(state(page, "connection")).to_contain_text("Connection lost")
        line.mend()
        await connected(page)
        line.is_silent = True
        await expect(state(page, "connection")).to_contain_text("Connection lost")
        line.mend()
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await connected(page)
        came = wire.live.page.connected_at
        await until(lambda: (wire.live.page.last_still_at or 0) >= came)


async def test_the_end_of_the_connection_turns_the_camera_off_and_says_so(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    page = await opened(context, entry(wire))
    await expect(check(page, "camera")).to_have_attribute("data-result", "ok")
    assert (await wire.delete()).status == 200
    await expect(page.locator("[data-stopped]")).to_contain_text("This connection is closed")
    await expect(page.locator("[data-take-over]")).to_be_hidden()
    assert await page.evaluate("document.querySelector('[data-own-picture]').srcObject.active") is False
    answer = await page.reload()
    assert answer is not None
    assert answer.status == 410
    await expect(page.locator("main")).to_contain_text("this connection was closed")


ANSWERER = """
window.frames_seen = () => document.querySelector("video") ? document.querySelector("video").currentTime : 0;
window.start = () => {
  const connection = new RTCPeerConnection();
  window.connection = connection;
  connection.onicecandidate = ({ candidate }) => {
    if (candidate) window.say({ kind: "candidate", candidate: candidate.toJSON() });
  };
  connection.ontrack = ({ track, streams }) => {
    if (track.kind !== "video") return;
    const video = document.createElement("video");
    video.muted = true;
    video.srcObject = streams[0];
    document.body.append(video);
    video.play();
  };
};
window.hear = async (message) => {
  if (message.kind === "candidate") {
    if (message.candidate) await window.connection.addIceCandidate(message.candidate);
    return;
  }
  await window.connection.setRemoteDescription({ type: "offer", sdp: message.sdp });
  await window.connection.setLocalDescription(await window.connection.createAnswer());
  window.say({ kind: "answer", sdp: window.connection.localDescription.sdp });
};
window.start();
"""


@contextlib.asynccontextmanager
async def watching(
    server: Server, context: BrowserContext, connection: int
) -> AsyncIterator[tuple[Page, Any]]:
    """A proctor who watches: the socket in Python, the peer connection in another page of the browser."""
    ada = await sign_in(server, "ada")
    viewer = await context.new_page()
    await viewer.goto(f"{server.url}/healthz")
    async with proctor_page(ada, await server_exam(server)) as (socket, _peer):

        async def say(message: dict[str, Any]) -> None:
            await socket.send("signal", connection=connection, **message)

        await viewer.expose_function("say", say)
        await viewer.evaluate(ANSWERER)

        async def relay() -> None:
            while True:
                frame = await socket.until(t="signal")
                fields = {key: frame[key] for key in ("kind", "sdp", "candidate") if key in frame}
                await viewer.evaluate("message => window.hear(message)", fields)

        await socket.send("watch", connection=connection)
        task = asyncio.create_task(relay())
        try:
            yield viewer, socket
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def server_exam(server: Server) -> int:
    return int(await server.exam_id())


async def plays(viewer: Page) -> None:
    now = await viewer.evaluate("frames_seen()")
    await until_page(viewer, "before => frames_seen() > before + 0.3", now)


async def test_a_proctor_who_watches_sees_moving_pictures_and_the_candidate_is_told(
    server: Server, context: BrowserContext
) -> None:
    wire = await server.ready()
    await context.add_init_script(STANDSTILL)
    page = await opened(context, entry(wire))
    await expect(check(page, "camera")).to_have_attribute("data-result", "ok")
    async with watching(server, context, wire.live.id) as (viewer, socket):
        await plays(viewer)
        await expect(state(page, "watchers")).to_have_text("One proctor is watching live now")
        await until(lambda: list(wire.live.page.peer_states.values()) == ["connected"])
        kinds = await viewer.evaluate(
            "connection.getReceivers().map((receiver) => receiver.track.kind).sort()"
        )
        assert kinds == ["audio", "video"]
        directions = await viewer.evaluate("connection.getTransceivers().map((one) => one.currentDirection)")
        assert directions == ["recvonly", "recvonly"]
        before = await viewer.evaluate("connection.remoteDescription.sdp.match(/ice-ufrag:(.*)/)[1]")
        await socket.send("restart", connection=wire.live.id)
        await until_page(
            viewer, "before => connection.remoteDescription.sdp.match(/ice-ufrag:(.*)/)[1] !== before", before
        )
        await plays(viewer)
        await socket.send("unwatch", connection=wire.live.id)
        await expect(state(page, "watchers")).to_have_text("No proctor is watching live now")


async def test_live_video_survives_a_lost_socket(server: Server, context: BrowserContext) -> None:
    """Pictures do not need the socket: they go on while it is away, and are asked for anew when it is back."""
    wire = await server.ready()
    await context.add_init_script(STANDSTILL)  # the line is lost when it is cut, and not before
    async with line_to(server) as line:
        page = await opened(context, entry(wire, line.port))
        await connected(page)
        async with watching(server, context, wire.live.id) as (viewer, _socket):
            await plays(viewer)
            line.cut()
            await expect(state(page, "connection")).to_contain_text("Connection lost")
            await plays(viewer)
            await viewer.evaluate("document.querySelector('video').remove(); connection.close(); start()")
            line.mend()
            await connected(page)
            await plays(viewer)
