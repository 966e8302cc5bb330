"""Reports of meeting services: whose they are, what they prove, and that repetition and disorder change nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from invigilo.exams.model import JoinBy
from invigilo.monitoring.live import LiveConnection
from tests.meeting_site import EVENTS_SECRET, MeetingSite, meeting_site
from tests.server import Answer, SebWire

NATIVE = "client_id=lea&seb_machine_name=LAB-1&seb_os_name=Windows 10&seb_version=3.5.0"
AT = 1_790_000_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[MeetingSite]:
    async with meeting_site(tmp_path, join_by=JoinBy.NATIVE) as site:
        yield site


async def called_in(site: MeetingSite) -> SebWire:
    """A client that joins by itself, with its place in an open room."""
    wire = await site.server.ready(NATIVE)
    await site.server.app.rooms.finish_steps()
    await site.server.app.rooms.refresh()
    await site.server.app.connections.reload([wire.live.id])
    assert wire.live.room_state == "open"
    return wire


def occupant(
    site: MeetingSite, live: LiveConnection, what: str, at: int, stay: str = "one"
) -> dict[str, Any]:
    """As event_sync says it (jitsi.md §6)."""
    app = site.server.app
    exam = app.directory.exams[live.exam_id or 0]
    room = app.rooms.room(exam.id, live.room_id)
    assert room is not None
    times = {"joined_at": AT} | ({"left_at": at} if what == "left" else {"joined_at": at})
    return {
        "event_name": f"muc-occupant-{what}",
        "room_name": room.name,
        "is_breakout": False,
        "occupant": {
            "occupant_jid": f"{stay}@meet.jitsi/x",
            "id": app.meetings.identity_of(exam, live),
            **times,
        },
    }


async def post(
    site: MeetingSite,
    body: dict[str, Any] | bytes,
    *,
    secret: str = EVENTS_SECRET,
    what: str = "occupant/joined",
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    return await site.server.request(
        "POST", f"/hooks/{site.definition_id}/events/{what}", headers=headers, body=data
    )


def present(site: MeetingSite, live: LiveConnection) -> bool | None:
    return live.meeting.present(live.room_id, site.server.app.clock.now_ms())


async def test_a_client_is_in_the_room_when_the_service_says_so(site: MeetingSite) -> None:
    live = (await called_in(site)).live
    assert present(site, live) is None
    assert (await post(site, occupant(site, live, "joined", AT))).status == 200
    assert present(site, live) is True
    exam = site.server.app.directory.exams[live.exam_id]
    await post(site, occupant(site, live, "left", AT + 60))
    assert present(site, live) is False
    assert site.server.app.stream.judged(exam, live)["joined"] == "waiting"


async def test_reports_that_come_twice_late_or_in_the_wrong_order_change_nothing(site: MeetingSite) -> None:
    live = (await called_in(site)).live
    left = occupant(site, live, "left", AT + 60)
    joined = occupant(site, live, "joined", AT)
    assert (await post(site, left)).json == {"news": True}
    assert (await post(site, joined)).json == {"news": False}, "it was overtaken"
    assert (await post(site, left)).json == {"news": False}, "it is repeated"
    assert present(site, live) is False
    again = occupant(site, live, "joined", AT + 61, stay="two")
    assert (await post(site, again)).json == {"news": True}
    assert (await post(site, left)).status == 200
    assert present(site, live) is True


@pytest.mark.parametrize("secret", ["", "what-somebody-guesses"])
async def test_nobody_else_can_report(site: MeetingSite, secret: str) -> None:
    live = (await called_in(site)).live
    assert (await post(site, occupant(site, live, "joined", AT), secret=secret)).status == 403
    assert present(site, live) is None


async def test_an_unknown_definition_is_refused_like_a_wrong_secret(site: MeetingSite) -> None:
    headers = {"Authorization": f"Bearer {EVENTS_SECRET}"}
    for number in ("4711", "99999999999999999999999"):
        answer = await site.server.request("POST", f"/hooks/{number}", headers=headers, body=b"{}")
        assert answer.status in {400, 403, 404}
        assert answer.status != 500


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"event_name": "muc-occupant-joined"}',
        b"{" * 5_000,
        b'{"room_name": "\\u0000"}',
    ],
)
async def test_what_cannot_be_read_is_refused_and_breaks_nothing(site: MeetingSite, body: bytes) -> None:
    assert (await post(site, body)).status in {200, 400}


async def test_the_stand_in_s_own_reports_arrive(tmp_path: Path) -> None:
    """From somebody entering at the service to the fact here, over the service's own HTTP."""
    async with meeting_site(tmp_path, join_by=JoinBy.NATIVE, reports=True) as site:
        wire = await called_in(site)
        app = site.server.app
        ticket = app.meetings.entry(wire.live).ticket
        url = f"{site.jitsi.url}/stand-in/socket?room={ticket.room}&token={ticket.token}"
        async with site.server.session.ws_connect(url) as meeting:
            await meeting.receive_json()
            await site.jitsi.reports.drain()
            assert present(site, wire.live) is True
        async with asyncio.timeout(60):  # it notices that somebody is gone a moment after they are
            while [name for name, _ in site.jitsi.reports.sent][-2:] != ["occupant/left", "room/destroyed"]:
                await asyncio.sleep(0.02)
        await site.jitsi.reports.drain()
        assert present(site, wire.live) is False


async def test_a_rotated_secret_counts_from_the_next_report_on(site: MeetingSite) -> None:
    live = (await called_in(site)).live
    await site.change_definition(events_secret="another-one-from-today")
    assert (await post(site, occupant(site, live, "joined", AT))).status == 403
    assert (
        await post(site, occupant(site, live, "joined", AT), secret="another-one-from-today")
    ).status == 200
    assert present(site, live) is True
