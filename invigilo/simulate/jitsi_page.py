"""The stand-in's own meeting page, seen from the server: one JSON socket per page, and a picture a second.

What it speaks is ours; who is let in, and as what, is decided by the same rules as over XMPP.

Whose pictures a page gets is the videobridge's rule (`channelLastN`, jitsi.md §7; the bridge's own `doc/allocation.md`): all
others in the order of their speech, those without video last, then those the page has selected moved to the top, whether or
not they send video; of that list the first N, all for -1. Who pins somebody in the stage view has selected that one, so
N = 1 with a pin is that one's picture and nobody else's. Nobody speaks here, so the order is the one of arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, cast

from aiohttp import WSMsgType, web

from invigilo.simulate.jitsi_rooms import FOCUS, Member, Notice, Room, Rooms, What, new_session_id
from invigilo.simulate.jitsi_rules import Claims, DoorClosed, TokenRefused, may, verify

LARGEST_PICTURE = 64 * 1024  # characters of a data URL
WAITING_MOST = 200
"""Messages a slow page may fall behind; pictures beyond it are left out."""


class Meeting:
    """One page in one room."""

    def __init__(self, rooms: Rooms, request: web.Request) -> None:
        self._rooms = rooms
        self._request = request
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._claims: Claims | None = None
        self._room: Room | None = None
        self._member: Member | None = None
        self._last_n = -1
        self._selected: list[str] = []
        self._forwarded: list[str] = []

    async def run(self) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=256 * 1024)
        await socket.prepare(self._request)
        writer = asyncio.create_task(self._write(socket))
        try:
            if self._enter():
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        self._take(message.data)
        except (ConnectionError, RuntimeError):
            pass
        finally:
            if self._room is not None and self._member is not None:
                self._rooms.leave(self._room, self._member)
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

    def _enter(self) -> bool:
        query = self._request.query
        name = query.get("room", "").rpartition("/")[2].lower()
        try:
            self._claims = verify(query.get("token"), self._rooms.server, now=self._rooms.now())
        except TokenRefused as refused:
            self._refuse("connection.passwordRequired", "CONNECTION", refused.text)
            return False
        if not self._rooms.server.jicofo_runs or not (self._rooms.request(name) or self._rooms.request(name)):
            self._refuse("conference.focusDisconnected", "CONFERENCE", "focus")
            return False
        session = new_session_id()
        self._member = Member(
            session[:8], f"{session}@{self._rooms.server.xmpp_domain}/page", self._hear, self._claims
        )
        self._member.claimed_name = query.get("name", "")[:100] or self._member.token_name
        self._member.claimed_identity = self._member.token_id
        try:
            self._room = self._rooms.join(name, self._member)
        except DoorClosed as closed:
            self._refuse("conference.connectionError.notAllowed", "CONFERENCE", closed.text or closed.own)
            return False
        return True

    def _refuse(self, name: str, kind: str, hint: str) -> None:
        self._outbox.put_nowait({"type": "error", "name": name, "kind": kind, "hint": hint})

    # --- from the page ---

    def _take(self, text: str) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            return
        if not isinstance(said, dict) or self._room is None or self._member is None:
            return
        message = cast("dict[str, Any]", said)
        room, me = self._room, self._member
        match message.get("type"):
            case "picture" if len(str(message.get("data", ""))) <= LARGEST_PICTURE:
                room.tell(What.PICTURE, me, body=str(message.get("data", "")))
            case "receive":
                self._receive(message)
            case "chat" if may(self._claims, "send-groupchat", is_moderator=me.is_moderator):
                to = message.get("to")
                body = {"text": str(message.get("text", ""))[:1_000], "to": to if isinstance(to, str) else ""}
                room.tell(What.CHAT, me, body=body)
            case "mute" if me.is_moderator:
                self._mute(room, message)
            case "muted":
                if message.get("media") == "video":
                    me.shows_video = message.get("muted") is not True
                body = {"media": str(message.get("media")), "muted": message.get("muted") is True}
                room.tell(What.MUTED, me, body=body)
            case "kick":
                self._rooms.kick(room, me, str(message.get("id", "")))
            case "name" if not self._rooms.server.presence_identity:
                me.claimed_name = str(message.get("name", ""))[:100]
                self._rooms.change_presence(room, me)
            case "end" if me.is_moderator:
                for nick in [n for n in room.members if n not in {FOCUS, me.nick}]:
                    self._rooms.kick(room, me, nick)
            case _:
                return

    def _receive(self, message: dict[str, Any]) -> None:
        last_n, selected = message.get("last_n"), message.get("selected")
        self._last_n = last_n if isinstance(last_n, int) else -1
        chosen = cast("list[Any]", selected) if isinstance(selected, list) else []
        self._selected = [str(nick)[:32] for nick in chosen[:25]]
        self._choose()

    def _choose(self) -> list[str]:
        """Whose pictures are forwarded now; the page is told when that changes, as by a bridge."""
        if self._room is None or self._member is None:
            return []
        others = [one for one in self._room.members.values() if one is not self._member and one.nick != FOCUS]
        others.sort(key=lambda one: (one.nick not in self._selected, not one.shows_video, one.joined_at))
        found = [one.nick for one in (others if self._last_n < 0 else others[: self._last_n])]
        if found != self._forwarded:
            self._forwarded = found
            self._outbox.put_nowait({"type": "forwarded", "ids": found})
        return found

    def _mute(self, room: Room, message: dict[str, Any]) -> None:
        wanted = message.get("id")
        for one in room.members.values():
            if one is not self._member and (wanted in {None, one.nick}):
                one.hear(Notice(What.MUTED, one, True, ("force",), {"media": str(message.get("media"))}))

    # --- to the page ---

    def _hear(self, notice: Notice) -> None:
        about = notice.about
        if about.nick == FOCUS:
            return
        match notice.what:
            case What.PRESENCE:
                self._outbox.put_nowait(
                    {"type": "presence", "self": notice.is_self, "participant": self._shown(about)}
                )
            case What.LEFT:
                kicked = "307" in notice.codes
                self._outbox.put_nowait(
                    {"type": "left", "self": notice.is_self, "id": about.nick, "kicked": kicked}
                )
                if notice.is_self:
                    self._room = None
            case What.PICTURE:
                is_wanted = not notice.is_self and about.nick in self._choose()
                if is_wanted and self._outbox.qsize() < WAITING_MOST:
                    self._outbox.put_nowait({"type": "picture", "id": about.nick, "data": notice.body})
            case What.CHAT:
                body = notice.body if isinstance(notice.body, dict) else {"text": str(notice.body), "to": ""}
                body = cast("dict[str, Any]", body)
                if not body["to"] or self._member is None or body["to"] == self._member.nick:
                    self._outbox.put_nowait(
                        {
                            "type": "chat",
                            "self": notice.is_self,
                            "id": about.nick,
                            "text": body["text"],
                            "private": bool(body["to"]),
                        }
                    )
            case What.MUTED:
                self._outbox.put_nowait(
                    {
                        "type": "muted",
                        "self": notice.is_self,
                        "id": about.nick,
                        "by_moderator": "force" in notice.codes,
                    }
                    | notice.body
                )

    def _shown(self, about: Member) -> dict[str, Any]:
        identity, name = self._rooms.identity_of(about)
        return {
            "id": about.nick,
            "jid": about.jid,
            "role": about.role,
            "displayName": name or about.claimed_name or f"Guest {about.nick}",
            "userContext": {"id": identity, "name": name} if identity else None,
        }
