"""The rooms of the Jitsi stand-in: who is in them, in which role, and what everybody is told (jitsi.md §3, §6).

A room knows nothing of XMPP or of pages: a member hears `Notice`s and turns them into its own language.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from invigilo.simulate.jitsi_rules import (
    Claims,
    Deployment,
    DoorClosed,
    check_room,
    is_owner_by_token,
    user_of,
)

FOCUS = "focus"
_NICK = re.compile(r"[A-Za-z0-9_]{1,32}")


class What(StrEnum):
    PRESENCE = "presence"
    LEFT = "left"
    CHAT = "chat"
    PICTURE = "picture"
    MUTED = "muted"


@dataclass(slots=True)
class Member:
    """One session in a room."""

    nick: str
    jid: str
    hear: Callable[[Notice], None]
    claims: Claims | None = None
    is_guest: bool = False
    said: str = ""
    """What it put into its presence, as XML."""
    claimed_identity: str | None = None
    claimed_name: str = ""
    role: str = "participant"
    affiliation: str = "none"
    joined_at: float = 0.0
    shows_video: bool = True

    @property
    def is_moderator(self) -> bool:
        return self.role == "moderator"

    @property
    def token_id(self) -> str | None:
        found = user_of(self.claims).get("id")
        return None if found is None else str(found)

    @property
    def token_name(self) -> str:
        return str(user_of(self.claims).get("name") or "")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a member is told."""

    what: What
    about: Member
    is_self: bool = False
    codes: tuple[str, ...] = ()
    body: Any = None


@dataclass(slots=True)
class Room:
    name: str
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    elected: str | None = None
    created_at: float = 0.0

    def tell(self, what: What, about: Member, *, codes: tuple[str, ...] = (), body: Any = None) -> None:
        for one in list(self.members.values()):
            is_self = one is about
            own = ("110",) if is_self else ()
            one.hear(Notice(what, about, is_self, own + codes, body))


Report = Callable[[str, Room, Member | None], None]


@dataclass(slots=True)
class Rooms:
    """All rooms of a deployment."""

    server: Deployment
    promotes_after: float = 0.05
    """Seconds until Jicofo makes somebody an owner: always a moment after the join."""
    report: Report = lambda _name, _room, _member: None
    now: Callable[[], float] = time.time
    by_name: dict[str, Room] = field(default_factory=dict[str, Room])
    _requests: dict[str, int] = field(default_factory=dict[str, int])
    _later: set[asyncio.TimerHandle] = field(default_factory=set[asyncio.TimerHandle])

    def request(self, name: str) -> bool:
        """Jicofo is asked for the conference; False while it is not ready."""
        asked = self._requests[name] = self._requests.get(name, 0) + 1
        if asked <= self.server.jicofo_ready_after:
            return False
        if name not in self.by_name:
            focus = Member(
                FOCUS, f"focus@auth.{self.server.xmpp_domain}/focus", _deaf, role="moderator", affiliation="owner"
            )  # fmt: skip
            room = self.by_name[name] = Room(name, {FOCUS: focus}, created_at=self.now())
            self.report("room/created", room, None)
        return True

    def join(self, name: str, member: Member) -> Room:
        """Raises DoorClosed, in the order of jitsi.md §5.4."""
        room = self.by_name.get(name)
        if room is None:
            raise DoorClosed("not-allowed", own="room-does-not-exist")
        if not _NICK.fullmatch(member.nick) or member.nick == FOCUS:
            raise DoorClosed("not-allowed", "Invalid resource")
        check_room(member.claims, name, self.server, is_guest=member.is_guest)
        most = self.server.max_participants
        if most is not None and len(room.members) - 1 >= most:
            raise DoorClosed("service-unavailable", "Max occupants", kind="wait")
        if self.server.enable_lobby_for_all and not is_owner_by_token(member.claims):
            raise DoorClosed("registration-required", kind="auth")
        if member.nick in room.members:
            raise DoorClosed("conflict", kind="cancel")
        self._give_role(member)
        member.joined_at = self.now()
        for other in room.members.values():
            member.hear(Notice(What.PRESENCE, other))
        room.members[member.nick] = member
        room.tell(What.PRESENCE, member)
        self.report("occupant/joined", room, member)
        self._promote_later(room, member)
        return room

    def _give_role(self, member: Member) -> None:
        server = self.server
        member.affiliation = "member" if server.token_affiliation and member.claims is not None else "none"
        owns = server.token_affiliation and is_owner_by_token(member.claims)
        if owns or server.muc_allowners or (server.muc_wait_for_host and member.claims is not None):
            _make_owner(member)

    def _promote_later(self, room: Room, member: Member) -> None:
        by_login = self.server.jicofo_enable_auth and not member.is_guest
        by_election = self.server.enable_auto_owner and room.elected is None
        if by_election:
            room.elected = member.nick
        if by_login or by_election:
            self._soon(lambda: self.promote(room, member.nick))

    def promote(self, room: Room, nick: str) -> None:
        member = room.members.get(nick)
        if member is not None and not member.is_moderator:
            _make_owner(member)
            room.tell(What.PRESENCE, member)

    def leave(self, room: Room, member: Member, *, codes: tuple[str, ...] = ()) -> None:
        if room.members.get(member.nick) is not member:
            return
        room.tell(What.LEFT, member, codes=codes)
        del room.members[member.nick]
        self.report("occupant/left", room, member)
        if room.elected == member.nick:
            room.elected = next((nick for nick in room.members if nick != FOCUS), None)
            if room.elected is not None:
                heir = room.elected
                self._soon(lambda: self.promote(room, heir))
        if set(room.members) <= {FOCUS}:
            self.by_name.pop(room.name, None)
            self._requests.pop(room.name, None)
            self.report("room/destroyed", room, None)

    def kick(self, room: Room, by: Member, nick: str) -> bool:
        """False: not a moderator, or nobody of that name."""
        target = room.members.get(nick)
        if not by.is_moderator or target is None or nick == FOCUS:
            return False
        self.leave(room, target, codes=("307",))
        return True

    def change_presence(self, room: Room, member: Member) -> None:
        room.tell(What.PRESENCE, member)

    def _soon(self, do: Callable[[], None]) -> None:
        handle = asyncio.get_running_loop().call_later(self.promotes_after, do)
        self._later = {one for one in self._later if not one.cancelled() and one.when() > time.monotonic()}
        self._later.add(handle)

    def close(self) -> None:
        for handle in self._later:
            handle.cancel()

    def identity_of(self, member: Member) -> tuple[str | None, str]:
        """Id and name as others are told: from the token where presence_identity is loaded, else what the client says."""
        if member.nick == FOCUS:
            return None, ""
        if self.server.presence_identity:
            return member.token_id, member.token_name
        return member.claimed_identity, member.claimed_name


def new_session_id() -> str:
    """Like the uuid Prosody gives an anonymous session; nicknames are its first eight characters."""
    raw = secrets.token_hex(16)
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"


def _deaf(_notice: Notice) -> None:
    """The focus listens to nobody here."""


def _make_owner(member: Member) -> None:
    member.affiliation, member.role = "owner", "moderator"
