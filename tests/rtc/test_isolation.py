"""A candidate with a scripting tool and a media stack of its own, against another candidate's picture and voice.

The proctor is the real page in a real browser; what counts is what arrives, frame by frame, not what anybody says.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from playwright.async_api import Browser, BrowserContext, expect

from invigilo.simulate.camera import Camera, CameraTrack, MicrophoneTrack
from invigilo.simulate.life import Life, Plan
from invigilo.simulate.network import Network
from invigilo.simulate.page import CandidatePage
from tests.browser.test_calls import press
from tests.browser.test_candidate_page import entry
from tests.browser.test_proctor_pages import PATIENCE, signed_in
from tests.server import Server, running
from tests.simulate.test_simulate import connections, simulated, until

pytestmark = pytest.mark.browser


class Attacker(CandidatePage):
    """Asks for more streams than there are, plays nothing by the rules, and counts all that comes."""

    def __init__(self, entry_url: str, network: Network) -> None:
        super().__init__(entry_url, Camera("Mallory", 666), network)
        self.came: Counter[str] = Counter()
        self.answers: list[dict[str, Any]] = []

    async def _offer(self, peer: str, ice_servers: list[dict[str, Any]]) -> None:
        await self._part(peer)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers[peer] = connection
        self._follow(peer, connection)
        connection.addTransceiver(CameraTrack(self.camera), direction="sendrecv")
        connection.addTransceiver(MicrophoneTrack(), direction="sendrecv")
        for kind in ("video", "audio", "video", "audio"):
            connection.addTransceiver(kind, direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        await self._say(
            {"t": "signal", "peer": peer, "kind": "offer", "sdp": connection.localDescription.sdp}
        )

    async def _listen_to(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                await track.recv()
                self.came[track.kind] += 1
        except MediaStreamError:
            return

    async def _take(self, message: dict[str, Any]) -> None:
        if message["t"] in {"signal", "error", "message", "said"}:
            self.answers.append(message)
        await super()._take(message)

    async def tries(self, peer: str, names: list[str]) -> None:
        """To be watched by, or to speak with, everybody whose name can be guessed; to act as a proctor's page."""
        offer = {"kind": "offer", "sdp": self.peers[peer].localDescription.sdp}
        for name in names:
            await self._say({"t": "signal", "peer": name, **offer})
        for wish in (
            {"t": "watch", "connection": 1},
            {"t": "hold", "room": 1, "audio": True, "video": True, "chat": True},
            {"t": "stills", "connections": "all"},
            {"t": "signal", "connection": 1, **offer},
        ):
            await self._say(wish)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    yield context
    await context.close()


@pytest.mark.spec("live-proctoring", 50)
async def test_no_trick_brings_a_candidate_the_picture_or_voice_of_another(
    server: Server, context: BrowserContext, tmp_path: Path
) -> None:
    async with (
        simulated(server, tmp_path, Life(Plan.STEADY, 1), camera=True) as simulation,
        Network() as network,
    ):
        await until(lambda: simulation.candidates[0].has_page, "the victim's page")
        wire = await server.ready()
        attacker = Attacker(entry(wire), network)
        running_page = asyncio.create_task(attacker.run())
        try:
            victim_live = next(one for one in connections(server) if one.id != wire.live.id)
            victim = simulation.candidates[0].page
            assert victim is not None
            room = await signed_in(context, server, "/rooms/1")
            await expect(room.locator(".tile.has-video")).to_have_count(2)  # both are seen, the attacker too
            (peer,) = attacker.peers
            await attacker.tries(
                peer, [victim._tab, str(victim_live.id), "proctor", next(iter(victim.peers))[::-1]]
            )
            await until(lambda: sum(one["t"] == "error" for one in attacker.answers) >= 8, "eight refusals")
            assert attacker.came == {}, "nothing comes while nobody speaks"
            assert victim.unplayed == 0

            # the proctor's voice comes, once, however many streams were asked for; a picture comes from nobody
            await press(room, "audio")
            await until(lambda: attacker.came["audio"] > 50 and victim.sounds > 50, "the proctor's voice")
            assert attacker.came["video"] == 0
            answer = attacker.peers[peer].remoteDescription.sdp
            assert answer.count("a=inactive") == 4
            await press(room, "audio")
            await expect(room.locator('[data-call="audio"]')).to_have_attribute("aria-pressed", "false")
            await until(lambda: not victim.place["receive_audio"], "silence")

            # a talk with the other one is no business of the attacker's
            async with context.expect_page() as opening:
                tile = room.locator(f".tile[data-id='{victim_live.id}']")
                await tile.get_by_role("button", name="Talk alone").click()
            talk = await opening.value
            await expect(talk.locator(".tile.has-video")).to_have_count(1)
            before = attacker.came["audio"]
            heard = victim.sounds
            await press(talk, "audio")
            await press(talk, "video")
            await until(lambda: victim.sounds > heard + 50 and victim.pictures > 5, "the talk")
            assert attacker.came["video"] == 0
            assert attacker.came["audio"] == before
            assert len(attacker.peers) == 1, "the talk's window never asked the attacker for anything"
        finally:
            running_page.cancel()
            await asyncio.gather(running_page, return_exceptions=True)
