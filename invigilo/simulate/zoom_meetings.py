"""The Zoom stand-in's meetings: booked, started by the first who comes, ended by the last, and who is told what (§10.5).

A meeting knows nothing of HTTP or of pages: a member hears what concerns it, and `report` is told what Zoom would report.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from invigilo.simulate.zoom_rules import (
    ACCOUNT_ID,
    BASIC_LASTS,
    CREATE_A_DAY,
    DAY,
    DEFAULTS,
    Clock,
    JoinRefused,
    Seed,
    User,
    check_signature,
    iso,
    live_limit,
)

ZAK_LASTS = 7_200.0  # seconds


@dataclass(slots=True)
class Member:
    """One stay of somebody in one meeting."""

    user_id: int
    uuid: str
    name: str
    customer_key: str
    role: int
    state: str
    """`in_meeting`, `waiting_room` or `waiting_host`."""
    joined_at: float
    hear: Callable[[dict[str, Any]], None]
    account_user: str = ""
    is_muted: bool = True
    has_video: bool = True
    has_sound: bool = True
    """Joined the sound of the meeting: without it nobody is heard, and nobody hears."""

    @property
    def is_host(self) -> bool:
        return self.role == 1


def _deaf(_said: dict[str, Any]) -> None:
    """Nobody listens at the other end."""


@dataclass(slots=True)
class Meeting:
    id: int
    uuid: str
    host: User
    body: dict[str, Any]
    """As Zoom answers with it, settings included."""
    password: str
    encrypted: str
    created_at: float
    is_started: bool = False
    started_at: float = 0.0
    members: dict[str, Member] = field(default_factory=dict[str, Member])

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.body["settings"]

    def inside(self) -> list[Member]:
        return [one for one in self.members.values() if one.state == "in_meeting"]

    def tell(self, said: dict[str, Any], *, but: str = "") -> None:
        for one in list(self.members.values()):
            if one.uuid != but:
                one.hear(said)


Report = Callable[[str, Meeting, dict[str, Any]], None]
"""Name of the event, its meeting, and what its object says besides."""


class Core:
    """All meetings of the account."""

    def __init__(self, seed: Seed, clock: Clock, *, chance: int = 1) -> None:
        self.seed = seed
        self.clock = clock
        self.users: dict[str, User] = {}
        self.meetings: dict[int, Meeting] = {}
        self.report: Report = lambda _name, _meeting, _more: None
        self.started_ever = 0
        self.created_ever = 0
        self._random = random.Random(chance)
        self._zaks: dict[str, tuple[str, float]] = {}
        self._created: dict[tuple[str, int], int] = {}
        self._next_user = 16_778_240
        self._later: set[asyncio.TimerHandle] = set()
        for user in seed.users:
            self.add_user(user)

    # --- people ---

    def add_user(self, user: User) -> None:
        self.users[user.id] = user

    def user(self, name: str) -> User | None:
        """By id or address, of this account alone."""
        found = self.users.get(name) or next((u for u in self.users.values() if u.email == name), None)
        return found if found is not None and found.account_id == self.seed.account_id else None

    def new_zak(self, user: User, lasts: float = ZAK_LASTS) -> str:
        token = "zak." + self._text(60)
        self._zaks[token] = (user.id, self.clock.now() + lasts)
        return token

    def owner_of_zak(self, token: str) -> str | None:
        owner, until = self._zaks.get(token, ("", 0.0))
        return owner if owner and until > self.clock.now() else None

    # --- meetings ---

    def created_today(self, user: User) -> int:
        return self._created.get((user.id, int(self.clock.now() // DAY)), 0)

    def count_creation(self, user: User) -> bool:
        """False when this host has had its hundred today."""
        key = (user.id, int(self.clock.now() // DAY))
        if self._created.get(key, 0) >= CREATE_A_DAY:
            return False
        self._created[key] = self._created.get(key, 0) + 1
        return True

    def create(self, user: User, body: Mapping[str, Any]) -> Meeting:
        settings = dict(DEFAULTS) | user.settings | dict(body.get("settings") or {}) | user.locked
        if settings["waiting_room"]:
            settings["join_before_host"] = False
        password = str(body.get("password") or "")
        if not password and self.seed.default_passcode and body.get("default_password") is not False:
            password = "".join(self._random.choices("0123456789", k=6))
        number = self._number()
        encrypted = self._text(32)
        uuid = self._uuid()
        shown = {
            "id": number,
            "uuid": uuid,
            "host_id": user.id,
            "host_email": user.email,
            "topic": body.get("topic", "Zoom Meeting"),
            "type": body.get("type", 2),
            "status": "waiting",
            "start_time": body.get("start_time", iso(self.clock.now())),
            "duration": body.get("duration", 60),
            "timezone": body.get("timezone", "UTC"),
            "agenda": body.get("agenda", ""),
            "created_at": iso(self.clock.now()),
            "join_url": f"https://us02web.zoom.us/j/{number}?pwd={encrypted}",
            "password": password,
            "h323_password": "".join(self._random.choices("0123456789", k=6)),
            "pstn_password": "".join(self._random.choices("0123456789", k=6)),
            "encrypted_password": encrypted,
            "settings": settings,
            "creation_source": "open_api",
            "pre_schedule": False,
        }
        meeting = Meeting(number, uuid, user, shown, password, encrypted, self.clock.now())
        self.meetings[number] = meeting
        self.created_ever += 1
        return meeting

    def shown(self, meeting: Meeting) -> dict[str, Any]:
        status = "started" if meeting.is_started else "waiting"
        start = f"https://us02web.zoom.us/s/{meeting.id}?zak={self.new_zak(meeting.host)}"
        return meeting.body | {"uuid": meeting.uuid, "status": status, "start_url": start}

    def delete(self, meeting: Meeting) -> None:
        self.end(meeting)
        self.meetings.pop(meeting.id, None)
        self.report("meeting.deleted", meeting, {"id": meeting.id})

    def live_of(self, user: User) -> list[Meeting]:
        return [one for one in self.meetings.values() if one.host is user and one.is_started]

    # --- coming and going ---

    def join(self, wish: Mapping[str, Any], hear: Callable[[dict[str, Any]], None] = _deaf) -> Member:
        """Raises JoinRefused, by the order of §10.5."""
        seed, now = self.seed, self.clock.now()
        number = str(wish.get("meetingNumber") or "")
        sdk = str(wish.get("sdkVersion") or "0")
        role = check_signature(str(wish.get("signature") or ""), number=number, sdk=sdk, seed=seed, now=now)
        meeting = self.meetings.get(int(number)) if number.isascii() and number.isdigit() else None
        if meeting is None:
            raise JoinRefused(3001, "Meeting does not exist.")
        given = str(wish.get("passcode") or "")
        right = {meeting.password} | ({meeting.encrypted} if seed.takes_encrypted else set())
        if given not in right:
            raise JoinRefused(3004, "Wrong passcode.")
        zak = str(wish.get("zak") or "")
        self._check_account(meeting, zak, str(wish.get("obfToken") or ""))
        if meeting.settings.get("meeting_authentication") and not self.owner_of_zak(zak):
            raise JoinRefused(4012, "Anonymous join is not allowed.")
        if meeting.settings.get("approval_type") in {0, 1}:
            raise JoinRefused(3099, "Registration is needed.")
        if role == 1 and seed.zak_required and self.owner_of_zak(zak) != meeting.host.id:
            raise JoinRefused(3265, "Token error.")
        waits = role == 0 and not meeting.is_started and not meeting.settings.get("join_before_host")
        if waits and seed.waiting_host_code is not None:
            raise JoinRefused(seed.waiting_host_code, "The meeting has not started.")
        starts = not waits and not meeting.is_started
        if starts and len(self.live_of(meeting.host)) >= live_limit(meeting.host, seed.plan):
            raise JoinRefused(3711, "The host has another meeting running.")
        if len(meeting.inside()) >= meeting.host.capacity:
            raise JoinRefused(4005, "The meeting is full.")
        state = "waiting_host" if waits else "in_meeting"
        if not waits and role == 0 and meeting.settings.get("waiting_room"):
            state = "waiting_room"
        return self._let_in(meeting, wish, role, state, hear)

    def _check_account(self, meeting: Meeting, zak: str, obf: str) -> None:
        """Meetings of another account than the SDK app's (§4.4)."""
        if meeting.host.account_id == self.seed.sdk_account_id == ACCOUNT_ID:
            return
        if not zak and not obf:
            raise JoinRefused(4011, "This app may not join outside meetings.")
        if self.owner_of_zak(zak) is None:
            raise JoinRefused(4013, "The token is invalid.")

    def _let_in(
        self, meeting: Meeting, wish: Mapping[str, Any], role: int, state: str, hear: Callable[..., None]
    ) -> Member:
        self._next_user += 1_024
        member = Member(
            user_id=self._next_user,
            uuid=self._text(22),
            name=str(wish.get("userName") or "")[:64],
            customer_key=str(wish.get("customerKey") or "")[:36],
            role=role,
            state=state,
            joined_at=self.clock.now(),
            hear=hear,
            account_user=meeting.host.id if role == 1 else "",
            is_muted=bool(meeting.settings.get("mute_upon_entry")) or role == 1,
        )
        meeting.members[member.uuid] = member
        if state == "waiting_host":
            self._report_person("meeting.participant_jbh_waiting", meeting, member)
            return member
        if state == "waiting_room":
            self._report_person("meeting.participant_joined_waiting_room", meeting, member)
            return member
        self._enter(meeting, member)
        if role == 1:
            for other in [one for one in meeting.members.values() if one.state == "waiting_host"]:
                other.state = "in_meeting"
                self._enter(meeting, other)
        return member

    def _enter(self, meeting: Meeting, member: Member) -> None:
        if not meeting.is_started:
            meeting.is_started, meeting.started_at = True, self.clock.now()
            meeting.uuid = self._uuid()
            self.started_ever += 1
            self.report("meeting.started", meeting, {})
        member.joined_at = self.clock.now()
        self._report_person("meeting.participant_joined", meeting, member)
        meeting.tell({"t": "users", "users": [person(one) for one in meeting.inside()]})

    def admit(self, meeting: Meeting, member: Member) -> None:
        if member.state == "waiting_room":
            member.state = "in_meeting"
            self._report_person("meeting.participant_admitted", meeting, member)
            self._enter(meeting, member)

    def leave(self, meeting: Meeting, member: Member, reason: str = "left the meeting") -> None:
        if meeting.members.pop(member.uuid, None) is None:
            return
        if member.state == "in_meeting":
            left = {"leave_time": iso(self.clock.now()), "leave_reason": f"{member.name} {reason}."}
            self._report_person("meeting.participant_left", meeting, member, left)
            meeting.tell({"t": "users", "users": [person(one) for one in meeting.inside()]})
        elif member.state == "waiting_host":
            self._report_person("meeting.participant_jbh_waiting_left", meeting, member)
        if meeting.is_started and not meeting.inside():
            self._end_later(meeting)

    def _end_later(self, meeting: Meeting) -> None:
        if not self.seed.end_delay:
            self._stop(meeting)
            return
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if meeting.is_started and not meeting.inside():
                self._stop(meeting)

        self._later.add(loop.call_later(self.seed.end_delay, stop))

    def _stop(self, meeting: Meeting) -> None:
        meeting.is_started = False
        self.report("meeting.ended", meeting, {"end_time": iso(self.clock.now())})

    def end(self, meeting: Meeting) -> bool:
        """By the host or by REST: all leave. False when it was not running."""
        was_live = meeting.is_started
        for member in list(meeting.members.values()):
            member.hear({"t": "ended", "reason": "ended by host"})
            self.leave(meeting, member, "got disconnected from the meeting. Reason: Host ended the meeting")
        if meeting.is_started:
            self._stop(meeting)
        return was_live

    def end_overlong(self) -> None:
        """Meetings of free hosts end after forty minutes."""
        for meeting in list(self.meetings.values()):
            if (
                meeting.is_started
                and meeting.host.type == 1
                and self.clock.now() - meeting.started_at >= BASIC_LASTS
            ):
                self.end(meeting)

    def close(self) -> None:
        for handle in self._later:
            handle.cancel()

    def find(self, participant: str) -> tuple[Meeting, Member] | None:
        for meeting in self.meetings.values():
            if participant in meeting.members:
                return meeting, meeting.members[participant]
        return None

    def _report_person(
        self, event: str, meeting: Meeting, member: Member, more: Mapping[str, Any] | None = None
    ) -> None:
        who = {
            "user_id": str(member.user_id),
            "user_name": member.name,
            "id": member.account_user,
            "participant_uuid": member.uuid,
            "participant_user_id": member.account_user,
            "join_time": iso(member.joined_at),
            "email": "",
            "registrant_id": "",
            "customer_key": member.customer_key,
            "phone_number": "",
        }
        if "waiting" in event or "admitted" in event:
            who["date_time"] = iso(self.clock.now())
        self.report(event, meeting, {"participant": who | dict(more or {})})

    # --- numbers and names ---

    def _number(self) -> int:
        while True:
            number = self._random.randrange(80_000_000_000, 99_999_999_999)
            if number not in self.meetings:
                return number

    def _uuid(self) -> str:
        uuid = base64.b64encode(self._random.randbytes(16)).decode()
        return "/" + uuid[1:] if self.seed.slash_uuids else uuid

    def _text(self, length: int) -> str:
        return "".join(
            self._random.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789", k=length)
        )


def person(member: Member) -> dict[str, Any]:
    """As pages in the meeting are told of somebody."""
    return {
        "userId": member.user_id,
        "userName": member.name,
        "customerKey": member.customer_key,
        "isHost": member.is_host,
        "muted": member.is_muted,
        "audio": "computer" if member.has_sound else "",
        "bVideoOn": member.has_video,
        "participantUuid": member.uuid,
    }
