"""Meetings at Zoom: how long fifty rooms take under Zoom's limits, and what its reports cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace

from bench.table import goal, note, table, title
from invigilo.clock import SystemClock
from invigilo.errors import ProviderUnavailable
from invigilo.providers.base import ProviderEvent, RoomSpec
from invigilo.providers.jitsi_tokens import new_room_name
from invigilo.providers.webhooks import Inbox
from invigilo.providers.zoom import ZoomProvider
from invigilo.providers.zoom_settings import ZoomSettings
from invigilo.simulate.zoom import ZoomStandIn, zoom_stand_in
from invigilo.simulate.zoom_reports import signature
from invigilo.simulate.zoom_rules import Seed, User

ROOMS = 50
AT_ONCE = 4
"""As many calls as the server makes at one service."""
PACES = (2.0, 20.0)
"""Calls a second: what every plan allows, and what Pro allows for making meetings."""
REPORTS = 10_000
PEOPLE = 200


async def run() -> None:
    title("zoom", "meetings at Zoom; Zoom is the stand-in with its limits, so only our own part is measured")
    rows = [await _rooms(pace) for pace in PACES]
    table(
        ["opening 50 rooms at once", "s", "the limit's floor, s", "times", "calls refused", "meetings"], rows
    )
    worst = max(float(str(row[3])) for row in rows if row[0] == f"{PACES[0]:.0f} a second")
    goal(
        "fifty rooms take no more than 1.2 times the limit's own floor",
        f"{worst:.2f} times",
        met=worst <= 1.2,
    )
    note("The floor is a meeting with each call the limit lets through, the first at once.")
    await _reports()


def _provider(zoom: ZoomStandIn, pace: float) -> ZoomProvider:
    values = {
        "account_id": zoom.seed.account_id,
        "client_id": zoom.seed.client_id,
        "client_secret": zoom.seed.client_secret,
        "sdk_key": zoom.seed.sdk_key,
        "sdk_secret": zoom.seed.sdk_secret,
        "events_secret": zoom.seed.hook_secret,
        "hosts": " ".join(user.email for user in zoom.seed.users),
        "oauth_base": zoom.url,
        "api_base": f"{zoom.url}/v2",
    }
    settings = replace(ZoomSettings.of(values), pace=pace)
    return ZoomProvider(settings, clock=SystemClock())


async def _rooms(pace: float) -> list[object]:
    users = [User(f"zu{n}", f"exam{n}@example.org") for n in range(ROOMS)]
    seed = Seed(users=users, limits={"medium": (pace, None), "light": (2 * pace, None)})
    async with zoom_stand_in(seed) as zoom:
        provider = _provider(zoom, pace)
        line = asyncio.Semaphore(AT_ONCE)
        began = time.perf_counter()

        async def open_one() -> None:
            spec = RoomSpec(new_room_name(), "Room", 24)
            while True:
                try:
                    async with line:
                        await provider.open_room(spec)
                except ProviderUnavailable:
                    await asyncio.sleep(0.5)
                else:
                    return

        await asyncio.gather(*(open_one() for _ in range(ROOMS)))
        took = time.perf_counter() - began
        floor = (ROOMS - 1) / pace
        made = len(zoom.core.meetings)
        return [f"{pace:.0f} a second", took, floor, took / floor, zoom.api.rates.refused, made]


async def _reports() -> None:
    async with zoom_stand_in(Seed()) as zoom:
        provider = _provider(zoom, 20.0)
        room = await provider.open_room(RoomSpec(new_room_name(), "Room", PEOPLE))
        (meeting,) = zoom.core.meetings
        bodies = [_report(zoom, meeting, number) for number in range(REPORTS)]
        rows = [_timed("signature checked, read, sorted out", bodies, provider, Inbox())]
        assert room.name
    table([f"{REPORTS:,} reports of {PEOPLE} people", "ms", "a second", "news"], rows)
    goal(
        "a hundred reports a second are no burden",
        f"{float(str(rows[0][2])):,.0f} a second",
        met=float(str(rows[0][2])) > 1_000,
    )


def _report(zoom: ZoomStandIn, meeting: int, number: int) -> tuple[dict[str, str], bytes]:
    at = int(time.time() * 1000) + number
    who = number % PEOPLE
    event = "meeting.participant_joined" if number // PEOPLE % 2 == 0 else "meeting.participant_left"
    person = {
        "participant_uuid": f"stay-{who}-{number // PEOPLE // 2}",
        "customer_key": f"{who:032x}",
        "user_name": "x",
    }
    about = {"id": str(meeting), "uuid": "u==", "participant": person}
    body = json.dumps(
        {"event": event, "event_ts": at, "payload": {"account_id": zoom.seed.account_id, "object": about}}
    ).encode()
    stamp = str(int(time.time()))
    return {
        "x-zm-request-timestamp": stamp,
        "x-zm-signature": signature(zoom.seed.hook_secret, stamp, body),
    }, body


def _timed(
    words: str, bodies: list[tuple[dict[str, str], bytes]], provider: ZoomProvider, inbox: Inbox
) -> list[object]:
    take: Callable[[ProviderEvent], bool] = inbox.take
    began = time.perf_counter()
    news = 0
    for headers, body in bodies:
        event = provider.read_webhook(headers, body)
        news += isinstance(event, ProviderEvent) and take(event)
    took = time.perf_counter() - began
    return [words, 1000 * took, REPORTS / took, news]
