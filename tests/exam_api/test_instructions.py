"""Checks 45 to 47 of seb-client-api.md §9: who is called into a meeting, and with what words."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

import invigilo
from invigilo.proctoring.model import Perception
from invigilo.proctoring.places import perceive_words
from invigilo.simulate.stand_in import StandInService
from tests.server import SET_UP, Answer, SebWire, Server, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

NATIVE = SET_UP.replace("collecting_room_size = 5", 'collecting_room_size = "no limit"\njoin_by = "native"')
WINDOWS = "Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)"
MAC = "macOS Version 14.5 (Build 23F79)"
IPAD = "iPad (iPadOS 17.5)"
JOIN_WORDS = {
    "service-type",
    "method",
    "jitsiMeetServerURL",
    "jitsiMeetRoom",
    "jitsiMeetSubject",
    "jitsiMeetToken",
    "roomType",
    "instruction-confirm",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Its meeting service can be joined by instruction, and its one room is open."""
    service = StandInService()
    folder = tmp_path_factory.mktemp("server")
    async with running(folder, text=NATIVE, providers=lambda _exam: service) as server:
        first = await _active(server, WINDOWS, "3.6.0")
        async with asyncio.timeout(60):
            while (await first.ping()).status == 204:
                pass
        yield server


async def _active(server: Server, os_name: str, version: str) -> SebWire:
    """In the exam with a user, so that a join is due at once."""
    wire = await server.connect(f"seb_os_name={os_name}&seb_version={version}")
    assert (await wire.configuration()).status == 200
    assert (await wire.put("seb_user_session_id=lea")).status == 200
    return wire


async def _answered(wire: SebWire) -> Answer:
    """The first ping with an instruction: a room lets in two a second, and in this one many have just arrived."""
    async with asyncio.timeout(60):
        while (answer := await wire.ping()).status == 204:
            await asyncio.sleep(0.05)
        return answer


def _assert_is_join(answer: Answer) -> dict[str, str]:
    assert answer.status == 200
    assert answer.json["instruction"] == "SEB_PROCTORING"
    attributes = answer.json["attributes"]
    assert attributes.keys() == JOIN_WORDS
    assert all(isinstance(value, str) and value for value in attributes.values())
    assert (attributes["service-type"], attributes["method"]) == ("JITSI_MEET", "JOIN")
    return attributes


@pytest.mark.spec("seb-client-api", 38, 45, 47)
@pytest.mark.parametrize(
    ("os_name", "version", "address"),
    [
        (WINDOWS, "3.2.0", "meet.example.org/seb"),
        (WINDOWS, "3.3.2 (x64)", "meet.example.org/seb"),
        (WINDOWS, "3.5.0", "meet.example.org/seb"),
        (WINDOWS, "3.6.0", "meet.example.org/seb"),
        (IPAD, "3.0", "https://meet.example.org/seb"),
        (IPAD, "3.6.1", "https://meet.example.org/seb"),
        (IPAD, "3.7", "https://meet.example.org/seb"),
    ],
)
async def test_clients_that_can_are_called_into_the_meeting(
    server: Server, os_name: str, version: str, address: str
) -> None:
    wire = await _active(server, os_name, version)
    attributes = _assert_is_join(await _answered(wire))
    assert attributes["jitsiMeetServerURL"] == address
    assert (await wire.ping(confirm=attributes["instruction-confirm"])).status == 204


async def test_a_user_who_is_known_late_is_called_in_then(server: Server) -> None:
    """Windows and Apple of 3.6.1 and later establish first; the join that was held back is due with the user."""
    wire = await server.ready(f"seb_os_name={IPAD}&seb_version=3.7")
    await wire.patch("seb_user_session_id=lea")
    _assert_is_join(await _answered(wire))


@pytest.mark.spec("seb-client-api", 47)
@pytest.mark.parametrize(
    ("os_name", "version"),
    [
        (MAC, "3.0"),
        (MAC, "3.6.1"),
        (MAC, "3.7"),
        (WINDOWS, "3.1.0"),
        (WINDOWS, "3.8.0"),
        (WINDOWS, "3.9.0"),
        (WINDOWS, "3.10.2 (x64)"),
        (WINDOWS, "1.0.0.0"),
        (WINDOWS, ""),
        ("", ""),
        ("Plan 9", "3.6"),
    ],
)
async def test_clients_that_cannot_get_no_proctoring_instruction(
    server: Server, os_name: str, version: str
) -> None:
    """Some would join a meeting without a name, some would only confirm; ours is told nothing it cannot do."""
    wire = await _active(server, os_name, version)
    assert not wire.live.queue
    assert (await wire.ping()).status == 204


def _words_of_the_package() -> dict[str, set[str]]:
    """Module → every text and every `Name.ATTRIBUTE` in its code; `simulate/` plays the receivers, so it may say all."""
    package = Path(invigilo.__file__).parent
    found: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        if file.is_relative_to(package / "simulate"):
            continue
        words = found.setdefault(file.relative_to(package).as_posix(), set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                words.add(f"{node.value.id}.{node.attr}")
    return found


@pytest.mark.spec("seb-client-api", 46)
@pytest.mark.parametrize("service_type", ["JITSI_MEET", "ZOOM"])
@pytest.mark.parametrize("perceives", [Perception(), Perception(audio=True), Perception(True, True, True)])
async def test_a_reconfiguration_names_all_three_flags(service_type: str, perceives: Perception) -> None:
    """Windows 3.2 refuses fewer, the others take a missing one for off; all of one family, never of both."""
    words = perceive_words(service_type, perceives)
    assert len(words) == 3
    assert words.keys() in (
        {"jitsiMeetReceiveAudio", "jitsiMeetReceiveVideo", "jitsiMeetFeatureFlagChat"},
        {"zoomReceiveAudio", "zoomReceiveVideo", "zoomFeatureFlagChat"},
    )
    assert set(words.values()) <= {"true", "false"}


@pytest.mark.spec("seb-client-api", 46)
async def test_only_one_place_makes_reconfigurations() -> None:
    """So there is no other whose flags would have to be looked at."""
    senders = {m for m, words in _words_of_the_package().items() if "InstructionType.RECONFIGURE" in words}
    assert senders == {
        "monitoring/capability.py",
        "monitoring/instructions.py",
        "monitoring/model.py",
        "monitoring/service.py",
        "proctoring/places.py",
        "storage/queries/calls.py",
    }
