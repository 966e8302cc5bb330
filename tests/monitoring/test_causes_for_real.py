"""Every cause brought about for real: a SEB over HTTP, a camera page and a proctor's page over sockets, a clock that is moved.

`test_truth.py` asks the table itself; here each row of it is what the running server tells the proctor's page. A scene is a
function under `brings`, with the severity and the three facts that stand beside the cause; the last test says that no cause
is without its scene.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert, update

from invigilo.clock import SetClock
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import Exam
from invigilo.monitoring import truth
from invigilo.monitoring.truth import CAUSES
from invigilo.providers.base import Provider, RoomHandle, RoomSpec
from invigilo.providers.registry import provider_of
from invigilo.settings import Secret
from invigilo.simulate.stand_in import Mood, StandInService
from invigilo.storage.engine import SQLITE_FILE
from invigilo.storage.tables import exams, service_definitions
from invigilo.web import stream
from tests.providers.keys import jitsi_values
from tests.rtc.pages import PATIENCE, Page, candidate_page, jpeg, proctor_page
from tests.server import PASSWORD, SebWire, Server, running
from tests.web.people import Browser, Candidate, exam_called, sign_in
from tests.world import MORNING

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOWS = "seb_os_name=Windows 11&seb_version=3.10.2"
OLD_WINDOWS = "seb_os_name=Windows 10&seb_version=3.2.0"
OLDER_WINDOWS = "seb_os_name=Windows 10&seb_version=3.1.0"
IPAD = "seb_os_name=iPad (iPadOS 17.5)&seb_version=3.5"

ARRIVED = truth.ARRIVAL_MS // 1000 + 1  # seconds after which a candidate is late
COMES_BACK = truth.COMES_BACK_MS // 1000 + 1
STALE = truth.STILL_PROOF_MS // 1000 + 1  # seconds after which the last still proves nothing

PAGE, OFF, SHORT, NATIVE, DOWN = "Algebra", "Essay", "Quiz", "Music", "Biology"
SLOW, LATE = "Chemistry", "Physics"
MEET = "History"
EXAMS = {
    PAGE: "enabled = true",
    OFF: "enabled = false",
    SHORT: "enabled = true",
    NATIVE: 'enabled = true\njoin_by = "native"',
    DOWN: "enabled = true",
    SLOW: "enabled = true",
    LATE: "enabled = true",
    MEET: "enabled = true",
}
LAST_MINUTE = "2026-03-02T14:00:00Z"  # the end of the short exam


def _exam(name: str, proctoring: str) -> str:
    end = LAST_MINUTE if name == SHORT else "2036-01-01T12:00:00Z"
    return f"""
[[institution.exam]]
name = "{name}"
start = "2026-01-01T08:00:00Z"
end = "{end}"
url = "https://lms.example.org/mod/quiz/view.php?id=88"
supporters = ["ada"]
[institution.exam.proctoring]
{proctoring}
collecting_room_size = 100
"""


SET_UP = f"""
[[institution]]
name = "Example University"
[[institution.user]]
username = "ada"
role = "exam_supporter"
password = "{PASSWORD}"
[[institution.connection]]
name = "Lab PCs"
client_id = "lab-pcs"
client_secret = "0123456789abcdef"
{"".join(_exam(name, proctoring) for name, proctoring in EXAMS.items())}
"""


@dataclass(slots=True)
class SlowService(StandInService):
    """Opens no room before it is let."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        await self.gate.wait()
        return await StandInService.open_room(self, spec)


@dataclass
class Site:
    server: Server
    clock: SetClock
    ada: Browser
    services: dict[str, Provider]
    """By exam, where they are not the built-in rooms."""
    folder: Path

    def open_rooms_of(self, exam: str) -> None:
        service = self.services[exam]
        assert isinstance(service, SlowService)
        service.gate.set()


@asynccontextmanager
async def open_site(folder: Path, **settings: Any) -> AsyncIterator[Site]:
    clock = SetClock(MORNING)
    services: dict[str, Provider] = {
        NATIVE: StandInService(),
        DOWN: StandInService(mood=Mood.DOWN),
        SLOW: SlowService(),
        LATE: SlowService(),
        MEET: StandInService(),
    }

    def service_of(exam: Exam) -> Provider:
        return services.get(exam.name) or provider_of(exam)

    async with running(folder, text=SET_UP, clock=clock, providers=service_of, **settings) as server:
        await meet_at_a_service(server)
        yield Site(server, clock, await sign_in(server, "ada"), services, folder)


async def meet_at_a_service(server: Server) -> None:
    """One exam's rooms are meetings of a Jitsi. Nobody calls it: the pages of these scenes only say how far they got."""
    definition = {
        "institution_id": int(await server.institution()),
        "name": "Our Jitsi",
        "service": "jitsi",
        "values": jitsi_values(),
        "secrets_encrypted": {},
        "created_at": 0,
    }
    async with server.app.work() as w:
        made = await w.db.execute(
            insert(service_definitions).values(definition).returning(service_definitions.c.id)
        )
        query = update(exams).where(exams.c.name == MEET)
        await w.db.execute(query.values(service="jitsi", service_definition_id=made.scalar_one()))
        await directory_changed(w)
    await server.app.directory.follow()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "TICK", 0.03)  # many scenes wait for the next one
        async with open_site(tmp_path_factory.mktemp("causes")) as site:
            yield site


# --- the people of a scene ---


@dataclass
class Camera:
    """The candidate's page as a script; `page` is its socket."""

    page: Page
    stack: AsyncExitStack
    open: list[Camera]
    """All of the scene that are there."""
    stills: int = 0

    async def check(self, camera: str = "ok", microphone: str = "ok", path: str = "ok") -> None:
        await self.page.send("self_check", camera=camera, microphone=microphone, path=path)

    async def media(self, camera: str = "live", microphone: str = "live", **more: bool) -> None:
        fields = {"visible": True, "exam_opened": True} | more
        await self.page.send("media", camera=camera, microphone=microphone, **fields)

    async def still(self, *, grey: int = 128, same: bool = False) -> None:
        self.stills += not same
        await self.page.socket.send_bytes(jpeg(grey=grey, mark=grey and self.stills))

    async def confirm(self) -> None:
        await self.page.send("confirm", revision=self.page.place["revision"])

    async def ping(self) -> None:
        await self.page.barrier()

    async def leave(self) -> None:
        self.open.remove(self)
        await self.stack.aclose()


@dataclass
class Scene:
    """One SEB of its own, and the proctor who looks on."""

    site: Site
    exam: str
    proctor: Page
    peer: str
    stack: AsyncExitStack
    wire: SebWire = field(init=False)
    candidate: Candidate = field(init=False)
    cameras: list[Camera] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)

    @property
    def exam_id(self) -> int:
        return exam_called(self.site.server, self.exam)

    async def connect(self, device: str = WINDOWS) -> None:
        """The handshake's first step: the client has connected to the exam, and loads nothing so far."""
        self.wire = await self.site.server.connect(f"{device}&examId={self.exam_id}")
        url: str = self.wire.created.json[0]["url"]
        self.candidate = Candidate(self.wire, self.wire.live.id, url.rpartition("/e/")[2])

    async def arrive(self, device: str = WINDOWS) -> None:
        """A SEB that is ready and pings."""
        await self.connect(device)
        assert (await self.wire.configuration(str(self.exam_id))).status == 200
        assert (await self.wire.put("")).status == 200
        await self.ping()

    async def ping(self, confirm: str | None = None) -> Any:
        answer = await self.wire.ping(confirm=confirm)
        assert answer.status in {200, 204}
        return answer.json if answer.status == 200 else None

    async def pass_time(self, seconds: float, *, silently: bool = False) -> None:
        """Later; SEB pings on unless it is silent. What the pages have said so far was said before."""
        for camera in self.cameras:
            await camera.ping()
        self.site.clock.move(timedelta(seconds=seconds))
        if not silently:
            await self.ping()

    async def open_link(self) -> None:
        answer = await self.site.server.request("GET", f"/e/{self.candidate.key}")
        assert answer.status == 200

    async def open_page(self, tab: str = "one") -> Camera:
        """The page is there and takes its place; what it says of its camera is the scene's affair."""
        await self.open_link()
        stack = await self.stack.enter_async_context(AsyncExitStack())
        page = await stack.enter_async_context(candidate_page(self.site.server, self.candidate, tab=tab))
        camera = self.script(page, stack)
        await camera.confirm()
        return camera

    def script(self, page: Page, stack: AsyncExitStack) -> Camera:
        camera = Camera(page, stack, self.cameras)
        self.cameras.append(camera)
        return camera

    async def open_working_page(self, tab: str = "one") -> Camera:
        """All is well with it."""
        camera = await self.open_page(tab)
        await camera.check()
        await camera.media()
        await camera.still()
        return camera

    async def watch(self, camera: Camera) -> None:
        await self.proctor.send("watch", connection=self.candidate.id)
        await camera.page.until(t="watch", peer=self.peer)

    async def row(self, **wanted: Any) -> dict[str, Any]:
        """The connection's row on the proctor's page, once it says this."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    frame = await self.proctor.receive()
                    for row in frame.get("rows", ()) if isinstance(frame, dict) else ():
                        if row["id"] == self.candidate.id:
                            self.seen.append(row)
                            if wanted.items() <= row.items():
                                return row
        except TimeoutError:
            told = [{key: row[key] for key in ("cause", *wanted)} for row in self.seen]
            pytest.fail(f"The proctor was never told {wanted}, but {told}.")


@asynccontextmanager
async def a_scene(site: Site, exam: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        opened = proctor_page(site.ada, exam_called(site.server, exam))
        proctor, peer = await stack.enter_async_context(opened)
        yield Scene(site, exam, proctor, peer, stack)


Play = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Expected:
    """A scene, and what the row says at its end beside the cause."""

    play: Play
    severity: str
    facts: tuple[str, str, str]
    exam: str
    settings: dict[str, Any]

    def row(self, cause: str) -> dict[str, str]:
        seb, joined, frames = self.facts
        return {"cause": cause, "severity": self.severity, "seb": seb, "joined": joined, "frames": frames}


SCENES: dict[str, Expected] = {}


def brings(
    cause: str, severity: str, *facts: str, exam: str = PAGE, settings: dict[str, Any] | None = None
) -> Callable[[Play], Play]:
    """`facts`: SEB, joined, frames. A scene with settings of its own gets a server of its own."""
    seb, joined, frames = facts

    def keep(play: Play) -> Play:
        SCENES[cause] = Expected(play, severity, (seb, joined, frames), exam, settings or {})
        return play

    return keep


# --- SEB itself, and whether a camera is wanted at all ---


@brings("seb_disabled", "info", "closed", "none", "none")
async def a_supervisor_cancels_a_lost_connection(s: Scene) -> None:
    await s.arrive()
    await s.pass_time(16, silently=True)
    done = await s.site.ada.post(f"/monitoring/{s.exam_id}/connections/{s.candidate.id}/disable")
    assert done.status == 200, done.body


@brings("exam_not_running", "info", "ok", "none", "none", exam=SHORT)
async def the_exam_ends(s: Scene) -> None:
    await s.arrive()
    exam = s.site.server.app.directory.exam(s.exam_id)
    await s.pass_time((exam.ends_at - s.site.clock.now()).total_seconds())


@brings("seb_closed_by_candidate", "warning", "closed", "none", "none")
async def seb_says_goodbye(s: Scene) -> None:
    await s.arrive()
    assert (await s.wire.delete()).status == 200


@brings("seb_starting", "info", "missing", "waiting", "none")
async def seb_has_just_connected(s: Scene) -> None:
    await s.connect()


@brings("seb_never_established", "warning", "ok", "waiting", "none")
async def seb_connected_and_loads_nothing(s: Scene) -> None:
    await s.connect()
    await s.pass_time(61)


@brings("seb_missing", "problem", "missing", "ok", "ok")
async def seb_goes_silent_while_its_camera_page_lives_on(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    await s.pass_time(15, silently=True)
    await camera.still()


@brings("proctoring_off", "info", "ok", "none", "none", exam=OFF)
async def nobody_wants_a_camera(s: Scene) -> None:
    await s.arrive()


# --- a way into a room ---


@brings("client_cannot_join_native", "problem", "ok", "none", "none", exam=NATIVE)
async def a_client_without_any_way_in_is_called(s: Scene) -> None:
    await s.arrive(OLDER_WINDOWS)


@brings("client_cannot_open_page", "problem", "ok", "none", "none")
async def a_client_that_lets_no_page_use_the_camera(s: Scene) -> None:
    await s.arrive(OLD_WINDOWS)


@brings("provider_down", "problem", "ok", "waiting", "none", exam=DOWN)
async def the_meeting_service_does_not_answer(s: Scene) -> None:
    await s.arrive()


@brings("room_opening", "info", "ok", "waiting", "none", exam=SLOW)
async def the_meeting_service_takes_its_time(s: Scene) -> None:
    s.stack.callback(s.site.open_rooms_of, SLOW)
    await s.arrive()


@brings("arriving", "info", "ok", "waiting", "none")
async def ready_and_on_the_way(s: Scene) -> None:
    await s.arrive()


@brings("no_place_yet", "warning", "ok", "waiting", "none")
async def back_after_its_place_was_freed_while_the_database_takes_nothing(s: Scene) -> None:
    await s.arrive()
    await s.pass_time(121, silently=True)
    await s.row(room=None, cause="seb_missing")
    await s.stack.enter_async_context(locked_database(s.site))
    await s.pass_time(ARRIVED)


@asynccontextmanager
async def locked_database(site: Site) -> AsyncIterator[None]:
    """Another program holds the database, as a backup may."""
    file = site.folder / SQLITE_FILE
    other = sqlite3.connect(file, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
    try:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


# --- called in by instruction ---


async def called_in(s: Scene) -> str:
    """An iPad that was sent its join; returns what it confirms it with."""
    await s.arrive(IPAD)
    await s.row(cause="arriving")
    await s.pass_time(ARRIVED)
    async with asyncio.timeout(PATIENCE):
        while (instruction := await s.ping()) is None:
            if s.wire.live.queue:  # a join is held back until the client has settled
                s.site.clock.move(timedelta(seconds=1))
            await asyncio.sleep(0.02)
    assert instruction["instruction"] == "SEB_PROCTORING"
    return str(instruction["attributes"]["instruction-confirm"])


@brings("native_not_confirmed", "warning", "ok", "waiting", "none", exam=NATIVE)
async def a_call_without_an_answer(s: Scene) -> None:
    await called_in(s)


@brings("native_not_watched", "info", "ok", "waiting", "none", exam=NATIVE)
async def called_in_and_nobody_looks(s: Scene) -> None:
    await s.ping(confirm=await called_in(s))


@brings("native_not_present", "warning", "ok", "waiting", "none", exam=NATIVE)
async def called_in_and_the_proctor_sees_nobody(s: Scene) -> None:
    await s.ping(confirm=await called_in(s))
    await s.proctor.send("watch", connection=s.candidate.id)


# --- the camera page ---


@brings("page_asleep", "warning", "ok", "ok", "none")
async def the_page_answers_and_reports_nothing(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    await s.pass_time(26)
    await camera.ping()


@brings("page_lost_connection", "warning", "ok", "left", "none")
async def the_page_breaks_off(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    await camera.leave()
    await s.pass_time(STALE)


@brings("replaced_by_other_tab", "warning", "ok", "left", "none")
async def a_second_tab_takes_over_and_is_closed(s: Scene) -> None:
    await s.arrive()
    older = await s.open_working_page("older")
    newer = await s.open_working_page("newer")
    assert await older.page.closing() == 4001
    await older.leave()
    await newer.leave()
    await s.row(joined="left")
    await s.pass_time(COMES_BACK)


@brings("page_left", "problem", "ok", "left", "none")
async def the_page_is_closed_and_stays_away(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    await camera.leave()
    await s.row(joined="left")
    await s.pass_time(COMES_BACK)


@brings("page_cannot_connect", "problem", "ok", "waiting", "none")
async def the_page_loads_and_its_socket_never_comes(s: Scene) -> None:
    await s.arrive()
    await s.open_link()
    await s.pass_time(ARRIVED)


@brings("page_not_opened", "problem", "ok", "waiting", "none")
async def nobody_asks_for_the_page(s: Scene) -> None:
    await s.arrive()
    await s.pass_time(ARRIVED)


@brings("assigned_not_confirmed", "warning", "ok", "waiting", "ok")
async def the_page_does_not_act_on_its_place(s: Scene) -> None:
    await s.arrive()
    page = await s.stack.enter_async_context(candidate_page(s.site.server, s.candidate))
    camera = s.script(page, s.stack)
    await camera.check()
    await camera.media()
    await s.pass_time(ARRIVED)
    await camera.still()


# --- the meeting of a service ---


@brings("candidate_is_moderator", "problem", "ok", "ok", "ok", exam=MEET)
async def a_proctor_finds_a_candidate_with_moderators_rights(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    await camera.page.send("meeting", state="joined")
    someone = {"identity": str(s.candidate.id), "video": True, "moderator": True}
    await s.proctor.send("seen", room=s.candidate.wire.live.room_id, participants=[someone])


def _a_page_says(state: str) -> Play:
    async def play(s: Scene) -> None:
        await s.arrive()
        camera = await s.open_working_page()
        await camera.page.send("meeting", state=state)

    return play


for _state, _severity in {
    **dict.fromkeys(
        ("script_failed", "unreachable", "refused", "locked", "full", "no_host", "outdated"), "problem"
    ),
    **dict.fromkeys(("kicked", "lost"), "warning"),
}.items():
    brings(f"meeting_{_state}", _severity, "ok", "waiting", "ok", exam=MEET)(_a_page_says(_state))


@brings("meeting_joining", "info", "ok", "waiting", "ok", exam=MEET)
async def a_page_is_on_its_way_into_the_meeting(s: Scene) -> None:
    await s.arrive()
    await s.pass_time(ARRIVED)
    camera = await s.open_working_page()
    await camera.page.send("meeting", state="joining")


@brings("meeting_not_joined", "warning", "ok", "waiting", "ok", exam=MEET)
async def a_page_does_not_get_into_the_meeting(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    await camera.page.send("meeting", state="joining")
    await s.pass_time(truth.MEETING_JOIN_MS // 1000 + 1)
    await camera.media()
    await camera.still()


# --- the camera ---


def a_failed_check(camera_says: str) -> Play:
    async def the_self_check_fails(s: Scene) -> None:
        await s.arrive()
        camera = await s.open_page()
        await camera.check(camera=camera_says)
        await camera.media(camera="off")

    return the_self_check_fails


for _cause, _code in {
    "camera_denied_by_settings": "denied_by_settings",
    "camera_denied_by_system": "denied_by_system",
    "no_camera": "no_device",
    "camera_in_use": "in_use",
    "camera_failed": "failed",
}.items():
    brings(_cause, "problem", "ok", "ok", "none")(a_failed_check(_code))


@brings("camera_stopped", "problem", "ok", "ok", "none")
async def the_cable_is_pulled(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    await camera.media(camera="ended")
    await s.pass_time(STALE)
    await camera.ping()


@brings("picture_black", "warning", "ok", "ok", "black")
async def the_cover_is_shut(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check()
    await camera.media()
    await camera.still(grey=0)


@brings("picture_frozen", "warning", "ok", "ok", "frozen")
async def the_picture_stands_still(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_working_page()
    for _ in range(3):
        await s.pass_time(3)
        await camera.still(same=True)


# --- why no picture comes though page and camera are there ---


@brings("self_check_running", "info", "ok", "ok", "none")
async def the_candidate_reads_the_notice(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.media(camera="off", exam_opened=False)


@brings("picture_starting", "info", "ok", "ok", "none")
async def the_camera_has_just_started(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check()
    await camera.media()


@brings("camera_not_allowed_yet", "warning", "ok", "ok", "none")
async def the_systems_question_stays_open(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await s.pass_time(61)
    await camera.media(camera="off", exam_opened=False)


async def video_fails(s: Scene, state: str) -> None:
    """Watched for long enough, stills come, and this is what becomes of the peer connection."""
    await s.arrive()
    camera = await s.open_working_page()
    await s.watch(camera)
    await camera.page.send("peer", peer=s.peer, state=state)
    await s.pass_time(6)
    await camera.still()


@brings("ice_failed_no_turn", "warning", "ok", "ok", "stills")
async def no_path_and_no_relay(s: Scene) -> None:
    await video_fails(s, "failed")


TURN = {"turn_urls": ("turn:turn.example.org:3478",), "turn_secret": Secret("not-the-real-one")}


@brings("ice_failed", "warning", "ok", "ok", "stills", settings=TURN)
async def no_path_in_spite_of_the_relay(s: Scene) -> None:
    await video_fails(s, "failed")


@brings("no_frames_while_watched", "warning", "ok", "ok", "stills")
async def connected_and_nothing_is_decoded(s: Scene) -> None:
    await video_fails(s, "connected")


@brings("stills_only", "info", "ok", "ok", "stills")
async def only_stills_get_through(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check(path="stills_only")
    await camera.media()
    await camera.still()


@brings("no_picture", "problem", "ok", "ok", "none")
async def the_camera_runs_and_nothing_arrives(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check()
    await camera.media()
    await s.pass_time(6)
    await camera.ping()


# --- nothing is missing, yet worth a word ---


@brings("microphone_stopped", "warning", "ok", "ok", "ok")
async def heard_until_the_plug_was_pulled(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check()
    await camera.media(microphone="ended")
    await camera.still()


@brings("microphone_silent", "info", "ok", "ok", "ok")
async def switched_off_at_the_cable(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check()
    await camera.media(microphone="silent")
    await camera.still()


@brings("microphone_missing", "info", "ok", "ok", "ok")
async def seen_and_not_heard(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check(microphone="no_device")
    await camera.media(microphone="off")
    await camera.still()


@brings("exam_not_started", "info", "ok", "ok", "ok")
async def all_is_well_and_the_exam_is_not_open(s: Scene) -> None:
    await s.arrive()
    camera = await s.open_page()
    await camera.check()
    await camera.media(exam_opened=False)
    await camera.still()


# --- the tests ---


@pytest.mark.parametrize("cause", list(SCENES))
async def test_what_goes_wrong_is_what_the_proctor_reads(site: Site, cause: str, tmp_path: Path) -> None:
    """The row that arrives on the proctor's page names the cause, with its severity and the three facts beside it."""
    expected = SCENES[cause]
    async with AsyncExitStack() as stack:
        if expected.settings:
            site = await stack.enter_async_context(open_site(tmp_path, **expected.settings))
        scene = await stack.enter_async_context(a_scene(site, expected.exam))
        await expected.play(scene)
        await scene.row(**expected.row(cause))
        exam = site.server.app.directory.exam(scene.exam_id)
        judged = site.server.app.stream.judged(exam, scene.wire.live)
        assert expected.row(cause).items() <= judged.items(), "and so it stays"


async def words_of(site: Site, language: str) -> dict[str, str]:
    """The texts that the monitoring page's scripts are given."""
    address = f"/monitoring/{exam_called(site.server, PAGE)}?lang={language}"
    page = (await site.ada.get(address, accept="text/html")).body.decode()
    data = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    texts: dict[str, str] = json.loads(unescape(data[1]))["texts"]
    return texts


async def test_every_cause_is_put_into_words(site: Site) -> None:
    """The page has a sentence and a next step of its own for each, in English and in German."""
    english, german = await words_of(site, "en"), await words_of(site, "de")
    for cause in SCENES:
        for part in ("sentence", "next"):
            key = f"cause.{cause}.{part}"
            assert english[key].endswith("."), key
            assert german[key].endswith("."), key
            assert english[key] != german[key], key


async def test_all_is_well(site: Site) -> None:
    """The scenes' common beginning has no cause: what they name is what went wrong in them."""
    async with a_scene(site, PAGE) as scene:
        await scene.arrive()
        camera = await scene.open_working_page()
        await scene.row(cause=None, severity="ok", seb="ok", joined="ok", frames="ok")
        await scene.watch(camera)
        await scene.pass_time(6)
        await camera.ping()
        await scene.row(cause="no_frames_while_watched", frames="none")
        await scene.proctor.send("frames", reports=[{"connection": scene.candidate.id, "frames": 12}])
        await scene.row(cause=None, severity="ok", seb="ok", joined="ok", frames="ok")


async def test_a_room_that_opens_late_is_entered(site: Site) -> None:
    """The meeting service took its time: the candidate goes on as soon as the room is open."""
    async with a_scene(site, LATE) as scene:
        await scene.arrive()
        await scene.row(cause="room_opening")
        site.open_rooms_of(LATE)
        await scene.row(cause="arriving")


async def test_a_place_comes_once_the_database_takes_it(site: Site) -> None:
    async with a_scene(site, PAGE) as scene:
        await scene.arrive()
        await scene.pass_time(121, silently=True)
        await scene.row(room=None, cause="seb_missing")
        async with locked_database(site):
            await scene.pass_time(ARRIVED)
            await scene.row(cause="no_place_yet")
        await scene.row(cause="arriving", room=1)


async def test_a_proctor_who_watched_before_the_page_came_learns_of_missing_video(site: Site) -> None:
    """A room's window is usually open before its candidates arrive."""
    async with a_scene(site, PAGE) as scene:
        await scene.arrive()
        await scene.proctor.send("watch", connection=scene.candidate.id)
        await scene.proctor.until(t="not_watching", connection=scene.candidate.id)
        await scene.pass_time(10)
        camera = await scene.open_working_page()
        await scene.row(cause=None, frames="ok")
        await camera.page.until(t="watch", peer=scene.peer)
        await camera.page.send("peer", peer=scene.peer, state="failed")
        await scene.pass_time(6)
        await camera.still()
        await scene.row(cause="ice_failed_no_turn", frames="stills")


async def test_a_proctor_who_left_while_the_page_was_away_is_not_waited_for(site: Site) -> None:
    """Nobody watches any more, so no video is missing when the page comes back."""
    async with a_scene(site, PAGE) as scene:
        await scene.arrive()
        camera = await scene.open_working_page()
        await scene.watch(camera)
        await camera.leave()
        await scene.row(joined="left")
        await scene.proctor.send("unwatch", connection=scene.candidate.id)
        await scene.proctor.barrier()
        camera = await scene.open_working_page("again")
        await scene.row(cause=None, joined="ok")
        await scene.pass_time(6)
        await scene.row(cause="no_picture", frames="none")
        await camera.still()
        assert (await scene.row(joined="ok"))["frames"] == "ok"


async def test_no_cause_is_without_its_scene() -> None:
    assert SCENES.keys() == {cause.code for cause in CAUSES}
