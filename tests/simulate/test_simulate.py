"""Simulated clients against the real server: what the demo and the load runs rest on."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from aiortc import RTCRtpSender
from PIL import Image

from invigilo.errors import BadInput
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import InstructionType
from invigilo.sebconfig.connection_file import ConnectionFile, connection_file_bytes
from invigilo.simulate.camera import Camera, Mood
from invigilo.simulate.client import SebClient, form
from invigilo.simulate.life import Deed, Life, Plan, eventful_lives
from invigilo.simulate.names import NAMES, name_of
from invigilo.simulate.network import Network
from invigilo.simulate.page import Closing
from invigilo.simulate.profiles import ALL, BY_NAME, MIXED, Lock, Profile, profile_of
from invigilo.simulate.run import SimulateOptions, Simulation, Summary, simulate
from tests.server import Server, running
from tests.simulate.wall import wall_of
from tests.web.people import sign_in

PATIENCE = 60.0  # seconds; a busy machine must fail no test


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data") as server:
        yield server


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait for it; the message says what did not come."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"It did not come to this: {what}")


def quiet(_line: str) -> None:
    pass


async def file_of(server: Server) -> ConnectionFile:
    return ConnectionFile(
        server_url=server.url,
        institution_id=await server.institution(),
        client_id="lab-pcs",
        client_secret="0123456789abcdef",
        ping_interval=timedelta(milliseconds=200),
    )


async def options_for(server: Server, folder: Path, **more: object) -> SimulateOptions:
    path = folder / "lab.seb"
    path.write_bytes(connection_file_bytes(await file_of(server)))
    fields = {"connection_file": path, "rate": 50.0, "log_lines": 3, "ping_interval": 200}
    return SimulateOptions(**(fields | more))


@asynccontextmanager
async def simulated(server: Server, folder: Path, *lives: Life, **more: object) -> AsyncIterator[Simulation]:
    """A simulation at work; at the end it is asked to stop, and must stop cleanly."""
    options = await options_for(server, folder, candidates=len(lives), **more)
    simulation = Simulation(options, quiet, lives=lives)
    stop = asyncio.Event()
    task = asyncio.create_task(simulation.run(stop))
    try:
        yield simulation
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


def connections(server: Server) -> list[LiveConnection]:
    return sorted(server.app.live.by_id.values(), key=lambda live: live.id)


def row_of(server: Server, live: LiveConnection) -> dict:
    """As a proctor of the only exam would see it."""
    exam = next(iter(server.app.directory.exams.values()))
    return server.app.stream.judged(exam, live)


# --- every release ---


@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
async def test_every_release_completes_its_handshake_and_is_active_once_the_candidate_is_known(
    server: Server, profile: Profile
):
    async with Network() as network:
        client = SebClient(
            profile, await file_of(server), network, user="Zoë O'Neil, 50%", machine="Zoë’s [PC], 1"
        )
        exam = await client.connect()
        assert await client.ping()
        live = connections(server)[0]
        assert exam.id == str(live.exam_id)
        expected = "ready" if _establishes(profile) else "requested"
        assert live.state.value == expected
        await client.identify()
        assert live.state.value == "active"
        assert row_of(server, live)["name"] == "Zoë O'Neil, 50%"
        if profile.device_at_start or profile.device_with_user:
            assert live.device.machine_name == "Zoë’s [PC], 1"
        assert "unreadable_signature" not in row_of(server, live)["flags"]
        await client.goodbye()
        assert live.state.value == "closed"


def _establishes(profile: Profile) -> bool:
    """Releases that say PUT before they know the candidate."""
    return any("PUT" in step.value for step in profile.steps)


def test_mixed_plays_all_three_systems_within_six_candidates():
    assert {profile_of(MIXED, number).family.value for number in range(6)} == {"windows", "macos", "ios"}


def test_an_unknown_release_is_refused_with_the_known_ones():
    with pytest.raises(BadInput, match=r"windows-3\.10"):
        profile_of("windows-95", 0)


def test_forms_are_written_as_clients_write_them():
    """Nothing is escaped; what has no value is left out."""
    assert (
        form(("scope", "read write"), ("examId", None), ("n", "Zoë’s, 50%"))
        == "scope=read write&n=Zoë’s, 50%"
    )


# --- instructions ---


@asynccontextmanager
async def at_work(server: Server, profile: str) -> AsyncIterator[tuple[SebClient, LiveConnection]]:
    async with Network() as network:
        client = SebClient(BY_NAME[profile], await file_of(server), network, user="Ada", machine="LAB-01")
        await client.connect()
        await client.identify()
        async with client.working(log_lines=2):
            yield client, connections(server)[-1]
        await client.goodbye()


@pytest.mark.parametrize("profile", ["windows-3.10", "windows-3.5", "macos-3.7", "ios-3.6"])
async def test_a_forced_lock_is_reported_by_the_client_and_lifted_by_the_confirmation(
    server: Server, profile: str
):
    async with at_work(server, profile) as (client, live):
        await server.app.connections.send(live, InstructionType.LOCK_SCREEN, {"message": "Please wait"})
        await until(lambda: live.notifications, "the lock screen's notification arrived")
        assert client.is_locked
        number = next(iter(live.notifications))
        await server.app.connections.confirm_notification(live, number, by=None)
        await until(lambda: not client.is_locked, "the lock is lifted")


async def test_a_release_without_lock_screens_stays_as_it_is(server: Server):
    async with at_work(server, "windows-3.2") as (client, live):
        assert client.profile.lock is Lock.NONE
        await server.app.connections.send(live, InstructionType.LOCK_SCREEN, {"message": "Please wait"})
        await until(lambda: client.instructions, "the instruction arrived")
        assert not client.is_locked


@pytest.mark.parametrize("profile", ["windows-3.3", "windows-3.10", "macos-3.7"])
async def test_a_raised_hand_is_seen_and_goes_down_when_a_proctor_confirms(server: Server, profile: str):
    async with at_work(server, profile) as (client, live):
        assert client.raise_hand("Question — ขอถาม")
        await until(lambda: live.notifications, "the hand is seen")
        assert row_of(server, live)["notifications"][0]["text"] == "Question — ขอถาม"
        await server.app.connections.confirm_notification(live, 1, by=None)
        await until(lambda: not client.has_raised_hand, "the hand goes down")


async def test_a_refused_access_token_is_replaced_and_pings_go_on(server: Server):
    async with at_work(server, "windows-3.10") as (client, _):
        client._bearer = "Bearer of-yesterday"
        await until(lambda: client.counts.tokens_renewed, "a new token")
        pings = client.counts.pings
        await until(lambda: client.counts.pings > pings, "pings go on")


# --- whole candidates ---


async def test_a_candidate_with_camera_is_active_placed_joined_and_sends_moving_pictures(
    server: Server, tmp_path: Path
):
    async with simulated(server, tmp_path, Life(pace=4), Life(pace=4), camera=True) as simulation:
        await until(lambda: len(connections(server)) == 2, "two connections")
        first, second = connections(server)
        for live in (first, second):
            await until(lambda live=live: live.state.value == "active", "active")
            await until(lambda live=live: row_of(server, live)["joined"] == "ok", "joined")
            await until(lambda live=live: row_of(server, live)["frames"] == "ok", "pictures")
            assert row_of(server, live)["room"] == 1
        newest = server.app.hub.stills.newest
        before = newest[first.id].jpeg
        await until(lambda: newest[first.id].jpeg != before, "another still")
        assert len(newest[first.id].jpeg) <= 10_000
        assert all(candidate.has_page for candidate in simulation.candidates)
    assert [live.state.value for live in (first, second)] == ["closed", "closed"]


async def test_a_proctor_who_watches_decodes_the_candidates_video_and_sound(server: Server, tmp_path: Path):
    async with simulated(server, tmp_path, Life(), camera=True) as simulation:
        await until(lambda: simulation.candidates[0].has_page, "the page is there")
        live = connections(server)[0]
        ada = await sign_in(server, "ada")
        async with wall_of(ada, live.exam_id) as wall:
            await wall.watch(live.id)
            await until(lambda: wall.frames.get(live.id, 0) >= 15, "fifteen frames")
            await until(lambda: wall.sounds.get(live.id, 0) >= 15, "sound")
            frame = wall.newest[live.id]
            assert (frame.width, frame.height) == (320, 240)
            _looks_like(frame.to_ndarray(format="gray"), simulation.candidates[0].page.camera.still())
            await wall.page.send("restart", connection=live.id)
            await until(lambda: wall.offers[live.id] == 2, "a new offer")
            seen = wall.frames[live.id]
            await until(lambda: wall.frames[live.id] >= seen + 10, "frames after the restart")
            await wall.page.send("unwatch", connection=live.id)
            await until(lambda: not simulation.candidates[0].page.peers, "the peer connection is gone")
        assert simulation.summary.page.videos == 2
        assert simulation.summary.page.errors == 0


async def test_a_page_stopped_while_it_parts_from_a_proctor_leaves_no_thread(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ctrl-C a moment after the wall was closed: a decoder's thread that stays would keep the process from ending."""
    before = set(threading.enumerate())
    is_held, may_go = asyncio.Event(), asyncio.Event()
    stop, finish = RTCRtpSender.stop, Closing.finish

    async def stop_slowly(sender: RTCRtpSender) -> None:
        is_held.set()
        await may_go.wait()
        await stop(sender)

    async def finish_after_all(closing: Closing) -> None:
        may_go.set()
        await finish(closing)

    ada = await sign_in(server, "ada")
    async with (
        wall_of(ada, int(await server.exam_id())) as wall,
        simulated(server, tmp_path, Life(), camera=True) as simulation,
    ):
        await until(lambda: simulation.candidates[0].has_page, "the page is there")
        live = connections(server)[0]
        await wall.watch(live.id)
        await until(lambda: wall.sounds.get(live.id) and wall.frames.get(live.id), "sound and frames")
        monkeypatch.setattr(RTCRtpSender, "stop", stop_slowly)
        monkeypatch.setattr(Closing, "finish", finish_after_all)
        await wall.page.send("unwatch", connection=live.id)
        await asyncio.wait_for(is_held.wait(), PATIENCE)
    left = set(threading.enumerate()) - before
    assert [one.name for one in left if one.name.endswith("-decoder")] == []


def _looks_like(grey: np.ndarray, jpeg: bytes) -> None:
    """The decoded video shows the still's picture: the same room, but for the moving head and clock."""
    still = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), dtype=float)
    assert np.median(abs(grey.astype(float) - still)) < 12


async def test_a_denied_camera_shows_as_such(server: Server, tmp_path: Path):
    async with simulated(server, tmp_path, Life(Plan.CAMERA_DENIED, pace=4), camera=True):
        await until(lambda: len(connections(server)) == 1, "the connection")
        live = connections(server)[0]
        await until(lambda: row_of(server, live)["cause"] == "camera_denied_by_system", "the cause")
        assert live.id not in server.app.hub.stills.newest


async def test_who_leaves_and_returns_is_a_new_connection_of_the_same_person(server: Server, tmp_path: Path):
    life = Life(Plan.LEAVES_AND_RETURNS, pace=40)
    async with simulated(server, tmp_path, life, camera=True) as simulation:
        await until(lambda: simulation.summary.left and len(connections(server)) >= 2, "a return")
        first, second = connections(server)[:2]
        assert first.state.value == "closed"
        for live in (first, second):
            await until(lambda live=live: row_of(server, live)["name"] == NAMES[0], "the same name")


async def test_a_lost_network_silences_a_client_that_comes_back_with_its_old_connection(
    server: Server, tmp_path: Path
):
    async with simulated(server, tmp_path, Life(), camera=True) as simulation:
        candidate = simulation.candidates[0]
        await until(lambda: candidate.has_page, "the page is there")
        live = connections(server)[0]
        assert candidate.network is not None
        await candidate.network.lose()
        await until(lambda: not live.page.connected, "the page is gone")
        failed = simulation.summary.seb.pings_failed
        await until(lambda: simulation.summary.seb.pings_failed > failed + 1, "pings fail")
        last = live.last_ping
        candidate.network.join()
        await until(lambda: live.last_ping != last and live.page.connected, "back again")
        assert connections(server) == [live]
        assert simulation.summary.networks_lost == 0  # the test cut the cable, not the life


async def test_who_is_sent_home_by_the_server_says_goodbye(server: Server, tmp_path: Path):
    async with simulated(server, tmp_path, Life()) as simulation:
        await until(lambda: simulation.candidates[0].is_inside, "the candidate is in")
        live = connections(server)[0]
        await server.app.connections.send(live, InstructionType.QUIT, {})
        await until(lambda: live.state.value == "closed", "goodbye")
        assert simulation.summary.quit_by_server == 1


async def test_the_start_burst_arrives_whole(server: Server, tmp_path: Path):
    """What real clients send at their start is one request a line, and none may be lost."""
    lives = [Life() for _ in range(3)]
    async with simulated(server, tmp_path, *lives, client=MIXED, log_lines=30) as simulation:
        counts = simulation.summary.seb
        await until(lambda: counts.events >= 90 and counts.pings > 3, "every line, and pings")
        assert (counts.events_lost, counts.pings_failed) == (0, 0)


async def test_everybody_leaves_after_their_time(server: Server, tmp_path: Path):
    options = await options_for(server, tmp_path, candidates=3, client=MIXED, seconds=0.5)
    summary = await asyncio.wait_for(simulate(options, quiet), PATIENCE)
    assert summary.arrived == summary.connections == 3
    assert {live.state.value for live in connections(server)} == {"closed"}
    assert "3 of 3 candidates" in str(summary)


async def test_a_cancelled_simulation_leaves_nobody_behind(server: Server, tmp_path: Path):
    options = await options_for(server, tmp_path, candidates=2, camera=True)
    simulation = Simulation(options, quiet)
    task = asyncio.create_task(simulation.run(asyncio.Event()))
    await until(lambda: all(candidate.has_page for candidate in simulation.candidates), "both are in")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {live.state.value for live in connections(server)} == {"closed"}


async def test_a_client_the_server_does_not_know_is_counted_with_the_reason(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("invigilo.simulate.run.TRY_AGAIN_AFTER", 0.01)
    wrong = await file_of(server)
    path = tmp_path / "wrong.seb"
    path.write_bytes(connection_file_bytes(_with_secret(wrong, "wrong")))
    summary: Summary = await simulate(SimulateOptions(connection_file=path), quiet)
    assert summary.arrived == 0
    assert summary.gave_up == 1
    assert "access token" in str(summary)


def _with_secret(file: ConnectionFile, secret: str) -> ConnectionFile:
    return ConnectionFile(
        server_url=file.server_url,
        institution_id=file.institution_id,
        client_id=file.client_id,
        client_secret=secret,
    )


# --- what they are made of ---


def test_no_two_cameras_look_alike_and_the_same_seed_looks_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: 1_764_064_800.0)
    stills = [Camera("Ada", seed).still() for seed in range(25)]
    assert len(set(stills)) == 25
    assert Camera("Ada", 3).still() == stills[3]
    assert max(map(len, stills)) <= 10_000


def test_a_black_camera_is_black_and_a_frozen_one_stands_still(monkeypatch: pytest.MonkeyPatch):
    now = [1_764_064_800.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    camera = Camera("Ada", 1)
    first = camera.still()
    now[0] += 1
    assert camera.still() != first
    camera.mood = Mood.FROZEN
    frozen = camera.still()
    now[0] += 60
    assert camera.still() == frozen
    camera.mood = Mood.BLACK
    assert np.asarray(Image.open(io.BytesIO(camera.still())).convert("L")).max() < 4


def test_a_life_is_the_same_every_time_and_follows_the_clock():
    for plan in Plan:
        moments = list(islice(Life(plan, 7).moments(), 60))
        assert moments == list(islice(Life(plan, 7).moments(), 60))
        assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)


def test_the_network_is_lost_for_about_twenty_seconds():
    moments = [m for m in islice(Life(Plan.LOSES_NETWORK, 3).moments(), 200) if "network" in m.deed.value]
    lost, found = moments[0], moments[1]
    assert (lost.deed, found.deed) == (Deed.LOSE_NETWORK, Deed.FIND_NETWORK)
    assert 18 < found.at - lost.at < 23


def test_of_twelve_eventful_lives_one_leaves_one_has_no_camera_and_one_loses_the_network():
    plans = [life.plan for life in eventful_lives(12)]
    for plan in (Plan.LEAVES_AND_RETURNS, Plan.CAMERA_DENIED, Plan.LOSES_NETWORK):
        assert plans.count(plan) == 1


def test_names_survive_an_unescaped_form_and_never_repeat():
    assert len({name_of(number) for number in range(180)}) == 180
    assert not any(sign in name for name in NAMES for sign in "&+=%")
