"""A stand-in for Zoom: token endpoint, REST, webhooks, meetings and the browser's SDK, on one port (zoom.md §10).

No media: the pages of its meetings send a small picture a second through the stand-in, so that a proctor sees somebody. All
else follows the tables of zoom.md, by a clock of its own that tests may move. `/_ctl/` is the tests' door, and everything
behind it can be had in Python too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from email.utils import formatdate
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from invigilo.simulate.zoom_api import Api, Fault
from invigilo.simulate.zoom_meetings import Core, Meeting
from invigilo.simulate.zoom_page import Visit
from invigilo.simulate.zoom_reports import Webhooks
from invigilo.simulate.zoom_rules import Clock, JoinRefused, Seed, User

PAGES = Path(__file__).parent / "zoom_pages"
VENDOR = ("react", "react-dom", "redux", "redux-thunk", "react-redux", "lodash")


class ZoomMood(StrEnum):
    """What is the matter with the account; each but the first is a row of zoom.md §2, §8 or §9."""

    WELL = "well"
    WRONG_SECRET = "wrong_secret"  # noqa: S105  (a mood)
    APP_OFF = "app_off"
    OTHER_ACCOUNT = "other_account"
    FEW_SCOPES = "few_scopes"
    OLD_SCOPES = "old_scopes"
    BASIC_HOST = "basic_host"
    INACTIVE_HOST = "inactive_host"
    NO_HOST = "no_host"
    FOREIGN_HOST = "foreign_host"
    MAY_NOT_HOST = "may_not_host"
    NO_ZAK = "no_zak"
    LOCKED_WAITING_ROOM = "locked_waiting_room"
    LOCKED_AUTHENTICATION = "locked_authentication"
    NUMERIC_PASSCODES = "numeric_passcodes"
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_OFF_BY_A_MINUTE = "clock_off_by_a_minute"
    SDK_TOO_OLD = "sdk_too_old"
    SDK_NOT_SERVED = "sdk_not_served"
    OTHER_SDK_SECRET = "other_sdk_secret"  # noqa: S105
    OTHER_SDK_KEY = "other_sdk_key"
    SDK_DISABLED = "sdk_disabled"
    SMALL_ROOMS = "small_rooms"
    SLOW_RATES = "slow_rates"
    DOWN = "down"
    PROXY_PAGE = "proxy_page"


def seed_in(mood: ZoomMood, seed: Seed) -> Seed:
    """An account set up well, with what this mood has wrong."""
    first = seed.users[0]
    match mood:
        case ZoomMood.WRONG_SECRET:
            seed.client_secret = "quite-another-secret"  # noqa: S105
        case ZoomMood.APP_OFF:
            seed.app_active = False
        case ZoomMood.OTHER_ACCOUNT:
            seed.account_id = "acc-2"
        case ZoomMood.FEW_SCOPES:
            seed.without_scopes = (
                "meeting:update:status:admin",
                "user:read:token:admin",
                "user:read:zak:admin",
            )
        case ZoomMood.OLD_SCOPES:
            seed.scopes = ("meeting:write:admin", "meeting:read:admin", "user:read:admin")
        case ZoomMood.BASIC_HOST:
            first.type = 1
        case ZoomMood.INACTIVE_HOST:
            first.status = "inactive"
        case ZoomMood.NO_HOST:
            seed.users = []
        case ZoomMood.FOREIGN_HOST:
            seed.shown_account_id = "acc-2"
        case ZoomMood.MAY_NOT_HOST:
            first.allowed_to_host = False
        case ZoomMood.NO_ZAK:
            seed.zak_refused = True
        case ZoomMood.LOCKED_WAITING_ROOM:
            first.locked["waiting_room"] = True
        case ZoomMood.LOCKED_AUTHENTICATION:
            first.locked["meeting_authentication"] = True
        case ZoomMood.NUMERIC_PASSCODES:
            first.passcode_numeric = True
        case ZoomMood.SDK_TOO_OLD:
            seed.sdk_minimum = "99.0.0"
        case ZoomMood.SDK_NOT_SERVED:
            seed.sdk_versions = ("1.2.3",)
        case ZoomMood.OTHER_SDK_SECRET:
            seed.sdk_secret = "quite-another-sdk-secret"  # noqa: S105
        case ZoomMood.OTHER_SDK_KEY:
            seed.sdk_key = "another-sdk-key"
        case ZoomMood.SDK_DISABLED:
            seed.sdk_disabled = True
        case ZoomMood.SMALL_ROOMS:
            first.capacity = 1
        case ZoomMood.SLOW_RATES:
            seed.limits = {"light": (2.0, None), "medium": (1.0, None)}
        case _:
            pass
    return seed


class ZoomStandIn:
    """One account on a port of its own."""

    host = "127.0.0.1"

    def __init__(self, seed: Seed | None = None, *, mood: ZoomMood = ZoomMood.WELL) -> None:
        self.mood = mood
        self.clock = Clock()
        if mood in {ZoomMood.CLOCK_AHEAD, ZoomMood.CLOCK_OFF_BY_A_MINUTE}:
            self.clock.ahead = 600.0 if mood is ZoomMood.CLOCK_AHEAD else 60.0
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._build(seed_in(mood, seed or Seed()))

    def _build(self, seed: Seed) -> None:
        self.seed = seed
        self.core = Core(seed, self.clock)
        self.api = Api(seed, self.core, self.clock)
        self.hooks = Webhooks(seed, self.clock)
        self.core.report = self._report
        if self.mood is ZoomMood.DOWN:
            self.api.faults.append(Fault(times=1_000_000, status=503, body={"code": 503, "message": "down"}))
        if self.mood is ZoomMood.PROXY_PAGE:
            self.api.faults.append(
                Fault(path="^/v2", times=1_000_000, status=200, body="<html>Please sign in</html>")
            )

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def _report(self, event: str, meeting: Meeting, more: dict[str, Any]) -> None:
        self.hooks.take(event, meeting, more)

    # --- life ---

    async def start(self, *, port: int = 0) -> None:
        app = web.Application()
        app.on_response_prepare.append(self._set_headers)
        app.add_routes(
            [
                web.route("*", "/oauth/token", self._face),
                web.route("*", "/v2/{rest:.*}", self._face),
                web.get("/stand-in/socket", self._socket),
                web.post("/_ctl/{what}", self._control),
                web.get("/_ctl/{what}", self._control),
                web.get("/{file:zoom-meeting.*[.]js}", self._sdk),
                web.get("/{version}/lib/vendor/{file}", self._vendor),
                web.get("/{version}/lib/{rest:.*}", self._vendor),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        await self.hooks.start()

    async def stop(self) -> None:
        await self.hooks.stop()
        self.core.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _set_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(self.clock.now(), usegmt=True)

    async def _face(self, request: web.Request) -> web.StreamResponse:
        """By what is built now: a reset builds it anew."""
        self.core.end_overlong()
        return await self.api.answer(request)

    # --- the browser's side (§10.8) ---

    async def _sdk(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        found = re.fullmatch(r"zoom-meeting(-embedded)?-([0-9.]+?)(?:\.min)?\.js", name)
        if found is None or (self.seed.sdk_versions and found[2] not in self.seed.sdk_versions):
            return web.Response(status=404, text="not found")
        script = (PAGES / "sdk.js").read_text("utf-8").replace("SDK_VERSION", found[2])
        return web.Response(text=script, content_type="application/javascript", headers=_OPEN)

    async def _vendor(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("file", "").removesuffix(".min.js")
        if name not in VENDOR:
            return web.Response(status=404, text="not found")
        text = f'window.zoomVendor = [...(window.zoomVendor ?? []), "{name}"];'
        return web.Response(text=text, content_type="application/javascript", headers=_OPEN)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        return await Visit(self.core, request).run()

    # --- the tests' door (§10.7) ---

    async def _control(self, request: web.Request) -> web.StreamResponse:
        try:
            wish = await request.json() if request.can_read_body else {}
        except ValueError:
            wish = {}
        what = request.match_info["what"].replace("-", "_")
        handler = getattr(self, f"ctl_{what}", None)
        if handler is None:
            return web.json_response({"message": "no such control"}, status=404)
        try:
            said = handler(cast("dict[str, Any]", wish))
        except JoinRefused as refused:
            said = web.json_response({"errorCode": refused.code, "reason": refused.reason}, status=400)
        answer: web.StreamResponse = said if isinstance(said, web.StreamResponse) else web.json_response(said)
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    def ctl_reset(self, _wish: dict[str, Any]) -> Any:
        self.core.close()
        self._build(Seed(hook_url=self.seed.hook_url))
        return {}

    def ctl_seed(self, wish: dict[str, Any]) -> Any:
        """Changes the account from here on; `users` replaces everybody."""
        names = {one.name for one in fields(Seed)}
        for name, value in wish.items():
            if name == "users":
                self.core.users.clear()
                for user in value:
                    self.core.add_user(User(**user))
            elif name in names:
                setattr(self.seed, name, value)
        return {}

    def ctl_clock(self, wish: dict[str, Any]) -> Any:
        if "set" in wish:
            self.clock.fixed, self.clock.ahead = float(wish["set"]), 0.0
        self.clock.advance(float(wish.get("advance", 0)))
        self.core.end_overlong()
        return {"now": self.clock.now()}

    def ctl_fault(self, wish: dict[str, Any]) -> Any:
        match = wish.pop("match", {})
        delay = wish.pop("delay_ms", 0) / 1000
        self.api.faults.append(Fault(**match, delay=delay, **wish))
        return {}

    def ctl_log(self, _wish: dict[str, Any]) -> Any:
        return [asdict(one) for one in self.api.log]

    def ctl_state(self, _wish: dict[str, Any]) -> Any:
        return {
            "users": {
                one.id: {"live": len(self.core.live_of(one)), "created_today": self.core.created_today(one)}
                for one in self.core.users.values()
            },
            "meetings": [
                {"id": one.id, "host": one.host.id, "started": one.is_started, "inside": len(one.inside())}
                for one in self.core.meetings.values()
            ],
            "created_ever": self.core.created_ever,
            "tokens_given": self.api.given,
            "refused_by_rate": self.api.rates.refused,
        }

    def ctl_join(self, wish: dict[str, Any]) -> Any:
        member = self.core.join(wish)
        return {"user_id": member.user_id, "participant_uuid": member.uuid, "state": member.state}

    def ctl_leave(self, wish: dict[str, Any]) -> Any:
        found = self.core.find(str(wish.get("participant_uuid")))
        if found is not None:
            self.core.leave(*found)
        return {}

    def ctl_admit(self, wish: dict[str, Any]) -> Any:
        found = self.core.find(str(wish.get("participant_uuid")))
        if found is not None:
            self.core.admit(*found)
        return {}

    def ctl_end_by_host(self, wish: dict[str, Any]) -> Any:
        meeting = self.core.meetings.get(int(wish.get("meetingNumber", 0)))
        return {"was_live": meeting is not None and self.core.end(meeting)}

    def ctl_drop_all(self, wish: dict[str, Any]) -> Any:
        meeting = self.core.meetings.get(int(wish.get("meetingNumber", 0)))
        for member in list(meeting.members.values()) if meeting is not None else []:
            assert meeting is not None
            self.core.leave(meeting, member, "lost the connection")
        return {}


_OPEN = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
"""Zoom's own files; whether they carry a CORP header was never verified (§7.3), so these carry none."""


@asynccontextmanager
async def zoom_stand_in(
    seed: Seed | None = None, mood: ZoomMood = ZoomMood.WELL, *, port: int = 0
) -> AsyncGenerator[ZoomStandIn]:
    """Start one on any free port of this machine, stop it afterwards."""
    stand_in = ZoomStandIn(seed, mood=mood)
    await stand_in.start(port=port)
    try:
        yield stand_in
    finally:
        await stand_in.stop()
