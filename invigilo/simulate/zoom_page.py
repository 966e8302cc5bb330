"""A page in a meeting of the Zoom stand-in, seen from the server: one JSON socket per stay, and a picture a second.

What it speaks is ours; who is let in, and as what, is decided by the core alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, cast

from aiohttp import WSMsgType, web

from invigilo.simulate.zoom_meetings import Core, Meeting, Member, person
from invigilo.simulate.zoom_rules import JoinRefused

LARGEST_PICTURE = 64 * 1024  # characters of a data URL
WAITING_MOST = 200
"""Messages a slow page may fall behind; pictures beyond it are left out."""


class Visit:
    """One page, from its join to its end."""

    def __init__(self, core: Core, request: web.Request) -> None:
        self._core = core
        self._request = request
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._meeting: Meeting | None = None
        self._member: Member | None = None
        self._wants_pictures = True

    async def run(self) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=256 * 1024)
        await socket.prepare(self._request)
        writer = asyncio.create_task(self._write(socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
        except (ConnectionError, RuntimeError):
            pass
        finally:
            if self._meeting is not None and self._member is not None:
                self._core.leave(self._meeting, self._member)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._outbox.join(), 0.5)
            writer.cancel()
        return socket

    async def _write(self, socket: web.WebSocketResponse) -> None:
        while True:
            said = await self._outbox.get()
            with contextlib.suppress(ConnectionError, RuntimeError):
                await socket.send_json(said)
            self._outbox.task_done()

    # --- from the page ---

    def _take(self, text: str) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        message = cast("dict[str, Any]", said)
        if message.get("t") == "join" and self._member is None:
            self._join(message)
        elif self._meeting is not None and self._member is not None and self._member.state == "in_meeting":
            self._act(self._meeting, self._member, message)

    def _join(self, wish: dict[str, Any]) -> None:
        try:
            member = self._core.join(wish, self._hear)
        except JoinRefused as refused:
            self._outbox.put_nowait({"t": "error", "errorCode": refused.code, "errorMessage": refused.reason})
            return
        found = self._core.find(member.uuid)
        assert found is not None
        self._meeting, self._member = found
        member.has_video = member.has_sound = False  # until the page starts them
        press = self._core.seed.wants_press or member.is_host
        focus = bool(self._meeting.settings.get("focus_mode")) and not member.is_host
        how = {"press": press, "focus": focus}
        self._outbox.put_nowait({"t": "joined", "state": member.state, "me": person(member)} | how)
        self._outbox.put_nowait({"t": "users", "users": [person(one) for one in self._meeting.inside()]})

    def _act(self, meeting: Meeting, me: Member, message: dict[str, Any]) -> None:
        target = next((one for one in meeting.inside() if one.user_id == message.get("userId")), None)
        match message.get("t"):
            case "picture" if len(str(message.get("data", ""))) <= LARGEST_PICTURE:
                said = {"t": "picture", "userId": me.user_id, "data": str(message.get("data", ""))}
                self._show(meeting, me, said)
            case "receive":
                self._wants_pictures = message.get("pictures") is True
            case "video":
                me.has_video = message.get("on") is True
                self._tell_all(meeting)
            case "sound":
                me.has_sound = message.get("on") is True
                self._tell_all(meeting)
            case "mute" if target is not None and target.has_sound and (me.is_host or target is me):
                target.is_muted = message.get("mute") is True
                self._tell_all(meeting)
            case "muteAll" if me.is_host:
                for one in meeting.inside():
                    one.is_muted = one.is_muted or not one.is_host
                self._tell_all(meeting)
            case "expel" if me.is_host and target is not None and target is not me:
                target.hear({"t": "expelled"})
                self._core.leave(meeting, target, "was removed by host")
            case _:
                return

    def _show(self, meeting: Meeting, me: Member, said: dict[str, Any]) -> None:
        """In focus mode hosts alone see everybody."""
        focused = bool(meeting.settings.get("focus_mode"))
        for one in meeting.inside():
            if one is not me and (not focused or one.is_host or me.is_host):
                one.hear(said)

    def _tell_all(self, meeting: Meeting) -> None:
        meeting.tell({"t": "users", "users": [person(one) for one in meeting.inside()]})

    # --- to the page ---

    def _hear(self, said: dict[str, Any]) -> None:
        is_late = self._outbox.qsize() >= WAITING_MOST
        if said["t"] == "picture" and (not self._wants_pictures or is_late):
            return
        self._outbox.put_nowait(said)
