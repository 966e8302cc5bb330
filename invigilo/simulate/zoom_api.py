"""The Zoom stand-in's OAuth and REST faces: tokens, scopes, limits and the error codes of zoom.md §2, §3 and §10.3.

What a test wants to go wrong is a `Fault`; what came in is in the log, with the fields Zoom would have ignored.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

from aiohttp import web

from invigilo.simulate.zoom_meetings import Core, Meeting
from invigilo.simulate.zoom_rules import GRANULAR, Clock, Rates, Seed, User, body_problems, iso, scopes_of

TOKEN_LENGTH = 640
PAGE_TOKEN_LASTS = 900.0  # seconds
LONGEST_TTL = 31_536_000

Answer = tuple[int, Any]
Handler = Callable[["Call"], Answer]


class Failed(Exception):
    """A call ends with this answer."""

    def __init__(
        self, status: int, code: int, message: str, *, errors: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"code": code, "message": message}
        if errors:
            self.body["errors"] = errors


@dataclass(slots=True)
class Fault:
    """What the next calls that fit it meet instead of an answer."""

    method: str = ""
    path: str = ""
    """A pattern, found anywhere in the path."""
    times: int = 1
    status: int = 500
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    drop: str = ""
    """`before`: the connection is cut at once; `after`: the work is done, then it is cut."""
    lets_pass: bool = False
    """Only delays."""

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in {"", method} and re.search(self.path, path) is not None


@dataclass(slots=True)
class Logged:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any = None
    ignored: list[str] = field(default_factory=list[str])
    status: int = 0
    token: str = field(default="", repr=False)


@dataclass(slots=True)
class Call:
    """A request on its way through the checks."""

    found: Mapping[str, str]
    query: Mapping[str, str]
    body: dict[str, Any]
    logged: Logged


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    scopes: tuple[str, ...]
    """Any of them will do, beside the one of old apps."""
    label: str
    handler: Handler


class Api:
    """Token endpoint and `/v2`."""

    def __init__(self, seed: Seed, core: Core, clock: Clock) -> None:
        self.seed = seed
        self.core = core
        self.clock = clock
        self.rates = Rates(seed, clock)
        self.faults: list[Fault] = []
        self.log: list[Logged] = []
        self.tokens: dict[str, tuple[float, set[str]]] = {}
        """Token → until when, and its scopes."""
        self.given = 0
        self._pages: dict[str, tuple[float, int]] = {}
        self._writing: set[str] = set()
        self._number = 0
        self._routes = self._make_routes()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        return await (self._token(request) if request.path == "/oauth/token" else self._rest(request))

    @property
    def ignored(self) -> list[str]:
        """Fields of all requests that Zoom has never heard of."""
        return [name for one in self.log for name in one.ignored]

    def void_tokens(self) -> None:
        self.tokens.clear()

    # --- OAuth (§10.2) ---

    async def _token(self, request: web.Request) -> web.StreamResponse:
        given = dict(request.query)
        logged = Logged(request.method, request.path, given)
        self.log.append(logged)
        answer = await self._fault(request, logged)
        if answer is not None:
            return answer
        form = dict(await request.post())
        from_query = bool(given.get("grant_type")) and not form
        wish: dict[str, Any] = {**given, **form}
        status, body = self._token_answer(
            request.headers.get("Authorization", ""), wish, from_query=from_query, method=request.method
        )
        logged.status = status
        return await self._say(request, status, body, {})

    def _token_answer(
        self, authorization: str, wish: Mapping[str, Any], *, from_query: bool, method: str
    ) -> Answer:
        seed = self.seed
        bad = {"reason": "Bad Request", "error": "invalid_request"}
        unsupported = {"reason": "unsupported grant type", "error": "unsupported_grant_type"}
        if method != "POST":
            return 405, bad
        if from_query and seed.reject_query:
            return 400, bad
        try:
            kind, _, pair = authorization.partition(" ")
            name, _, secret = base64.b64decode(pair, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            kind, name, secret = "", "", ""
        if (name, secret) == (seed.sdk_key, seed.sdk_secret):
            return 400, unsupported
        is_right = kind.lower() == "basic" and (name, secret) == (seed.client_id, seed.client_secret)
        if not is_right or not seed.app_active:
            return 400, {"reason": "Invalid client_id or client_secret", "error": "invalid_client"}
        if wish.get("grant_type") != "account_credentials":
            return 400, unsupported
        if wish.get("account_id") != seed.account_id:
            return 400, bad
        if seed.single_token:
            self.tokens.clear()
        token = secrets.token_urlsafe(TOKEN_LENGTH)
        scopes = scopes_of(seed)
        self.tokens[token] = (self.clock.now() + seed.token_lasts, scopes)
        self.given += 1
        return 200, {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": seed.token_lasts,
            "scope": " ".join(sorted(scopes)),
            "api_url": "https://api.zoom.us",
        }

    # --- REST (§10.3): fault, token, scope, rate, then the call itself ---

    async def _rest(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        logged = Logged(request.method, request.path, dict(request.query), token=token)
        self.log.append(logged)
        answer = await self._fault(request, logged)
        if answer is not None:
            return answer
        headers: dict[str, str] = {}
        try:
            status, body = await self._do(request, logged, token, headers)
        except Failed as failed:
            status, body = failed.status, failed.body
        logged.status = status
        return await self._say(request, status, body, headers)

    async def _do(self, request: web.Request, logged: Logged, token: str, headers: dict[str, str]) -> Answer:
        until, scopes = self.tokens.get(token, (0.0, set[str]()))
        if until <= self.clock.now():
            raise Failed(401, 124, "Access token is expired." if until else "Invalid access token.")
        path = request.rel_url.raw_path.removeprefix("/v2")
        fitting = [(one, found) for one in self._routes if (found := one.pattern.fullmatch(path))]
        if not fitting:
            raise Failed(404, 2300, "This API endpoint is not recognized.")
        route, found = next(((r, f) for r, f in fitting if r.method == request.method), (None, None))
        if route is None or found is None:
            raise Failed(405, 405, "Method not allowed.")
        if not any(one in scopes or GRANULAR[one] in scopes for one in route.scopes):
            raise Failed(
                400, 4711, f"Invalid access token, does not contain scopes:[{', '.join(route.scopes)}]."
            )
        verdict = self.rates.take(route.label)
        headers |= verdict.headers
        if not verdict.is_let:
            raise Failed(429, 429, _DAILY if verdict.daily else _PER_SECOND)
        body = await _json_of(request)
        logged.body = body
        parts = {name: unquote(unquote(value)) for name, value in found.groupdict().items()}
        return route.handler(Call(parts, request.query, body, logged))

    async def _fault(self, request: web.Request, logged: Logged) -> web.StreamResponse | None:
        fault = next((one for one in self.faults if one.fits(request.method, request.path)), None)
        if fault is None or fault.drop == "after":
            return None
        fault.times -= 1
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return _cut(request)
        if fault.lets_pass:
            return None
        logged.status = fault.status
        is_text = isinstance(fault.body, str)
        text = fault.body if is_text else json.dumps(fault.body if fault.body is not None else {})
        kind = (
            {"Content-Type": "text/html"} if is_text else {"Content-Type": "application/json;charset=UTF-8"}
        )
        return web.Response(status=fault.status, text=text, headers=kind | fault.headers)

    async def _say(
        self, request: web.Request, status: int, body: Any, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        fault = next((one for one in self.faults if one.fits(request.method, request.path)), None)
        if fault is not None and fault.drop == "after":
            fault.times -= 1
            return _cut(request)
        self._number += 1
        shown = {
            "Content-Type": "application/json;charset=UTF-8",
            "x-zm-trackingid": f"v=2.0;clid=test;rid={self._number}",
            **headers,
        }
        return web.Response(
            status=status, body=b"" if body is None else json.dumps(body).encode(), headers=shown
        )

    # --- the calls ---

    def _make_routes(self) -> list[Route]:
        def route(method: str, path: str, scopes: str, label: str, handler: Handler) -> Route:
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
            return Route(method, pattern, tuple(f"{one}:admin" for one in scopes.split()), label, handler)

        return [
            route("GET", "/users", "user:read:list_users", "medium", self._users),
            route("GET", "/users/{user}", "user:read:user", "light", self._user_alone),
            route("GET", "/users/{user}/settings", "user:read:settings", "medium", self._user_settings),
            route("PATCH", "/users/{user}/settings", "user:update:settings", "medium", self._change_settings),
            route("GET", "/users/{user}/token", "user:read:token user:read:zak", "light", self._user_token),
            route("POST", "/users", "user:write:user", "light", self._add_user),
            route("DELETE", "/users/{user}", "user:delete:user", "light", self._remove_user),
            route("POST", "/users/{user}/meetings", "meeting:write:meeting", "medium", self._create),
            route("GET", "/users/{user}/meetings", "meeting:read:list_meetings", "medium", self._meetings),
            route("GET", "/meetings/{meeting}", "meeting:read:meeting", "light", self._meeting_alone),
            route("PATCH", "/meetings/{meeting}", "meeting:update:meeting", "light", self._change),
            route("PUT", "/meetings/{meeting}/status", "meeting:update:status", "light", self._status),
            route("DELETE", "/meetings/{meeting}", "meeting:delete:meeting", "light", self._delete),
            route(
                "PATCH", "/live_meetings/{meeting}/events", "meeting:update:in_meeting_controls", "medium", self._control,
            ),
            route(
                "GET", "/metrics/meetings/{meeting}/participants", "dashboard:read:list_meeting_participants", "heavy",
                self._live_participants,
            ),
            route(
                "GET", "/past_meetings/{meeting}/participants", "meeting:read:list_past_participants", "medium",
                self._past_participants,
            ),
        ]  # fmt: skip

    def _user(self, call: Call) -> User:
        found = self.core.user(call.found["user"])
        if found is None:
            raise Failed(404, 1001, f"User does not exist: {call.found['user']}.")
        return found

    def _meeting(self, call: Call) -> Meeting:
        text = call.found["meeting"]
        number = int(text) if text.isascii() and text.isdigit() else -1
        found = self.core.meetings.get(number) or next(
            (one for one in self.core.meetings.values() if one.uuid == text), None
        )
        if found is None:
            raise Failed(404, 3001, f"Meeting does not exist: {text}.")
        return found

    def _page(self, items: list[Any], call: Call, name: str) -> Answer:
        size = _whole(call.query.get("page_size", "30"))
        if not 1 <= size <= 300:
            raise _invalid("page_size")
        start, token = 0, call.query.get("next_page_token", "")
        if token:
            until, start = self._pages.get(token, (0.0, 0))
            if until <= self.clock.now():
                raise _invalid("next_page_token")
        more = ""
        if start + size < len(items):
            more = secrets.token_urlsafe(16)
            self._pages[more] = (self.clock.now() + PAGE_TOKEN_LASTS, start + size)
        return 200, {
            "page_count": max(1, -(-len(items) // size)),
            "page_size": size,
            "total_records": len(items),
            "next_page_token": more,
            name: items[start : start + size],
        }

    def _users(self, call: Call) -> Answer:
        status = call.query.get("status", "active")
        ours = [one for one in self.core.users.values() if one.account_id == self.seed.account_id]
        return self._page([_shown_user(one) for one in ours if one.status == status], call, "users")

    def _user_alone(self, call: Call) -> Answer:
        shown = _shown_user(self._user(call))
        return 200, shown | ({"account_id": self.seed.shown_account_id} if self.seed.shown_account_id else {})

    def _user_settings(self, call: Call) -> Answer:
        user = self._user(call)
        security = {
            "meeting_password_requirement": {
                "length": user.passcode_length,
                "have_letter": False,
                "have_number": False,
                "have_special_character": user.passcode_special,
                "only_allow_numeric": user.passcode_numeric,
                "have_upper_and_lower_characters": False,
                "consecutive_characters_length": 0,
                "weak_enhance_detection": False,
            },
            "waiting_room": user.locked.get("waiting_room", False),
            "encryption_type": "enhanced_encryption",
            "end_to_end_encrypted_meetings": False,
            "embed_password_in_join_link": True,
        }
        if call.query.get("option") == "meeting_security":
            return 200, {"meeting_security": security}
        concurrent = (
            "Plus" if (user.concurrent or 0) > 2 else ("Basic" if self.seed.plan == "business" else "None")
        )
        return 200, {
            "schedule_meeting": {
                "join_before_host": user.locked.get("join_before_host", True),
                "meeting_authentication": user.locked.get("meeting_authentication", False),
            },
            "in_meeting": {
                "chat": True,
                "private_chat": True,
                "waiting_room": user.locked.get("waiting_room", False),
                "show_a_join_from_your_browser_link": True,
                **user.settings,
            },
            "email_notification": {},
            "recording": {},
            "telephony": {},
            "feature": {
                "meeting_capacity": user.capacity,
                "large_meeting": False,
                "concurrent_meeting": concurrent,
            },
        }

    def _change_settings(self, call: Call) -> Answer:
        user = self._user(call)
        wish = call.body.get("in_meeting", {})
        allowed = wish.get("allow_participants_chat_with", 1) if isinstance(wish, dict) else 0
        if not isinstance(wish, dict) or allowed not in {1, 2, 3, 4}:
            raise _invalid("in_meeting.allow_participants_chat_with")
        wishes = cast("dict[str, Any]", wish)
        if any(name in user.locked for name in wishes):
            raise _invalid("in_meeting")
        user.settings |= wishes
        return 204, None

    def _user_token(self, call: Call) -> Answer:
        user = self._user(call)
        if call.query.get("type", "token") not in {"token", "zak", "onbehalf"}:
            raise _invalid("type")
        ttl = _whole(call.query.get("ttl", "7200"))
        if not 0 <= ttl <= LONGEST_TTL:
            raise _invalid("ttl")
        if self.seed.zak_refused:
            raise Failed(400, 200, "No permission.")
        return 200, {"token": self.core.new_zak(user, ttl or 7_200)}

    def _add_user(self, call: Call) -> Answer:
        wish = call.body.get("user_info")
        if not isinstance(wish, dict) or call.body.get("action") not in {
            "create", "autoCreate", "custCreate", "ssoCreate",
        }:  # fmt: skip
            raise _invalid("action")
        about = cast("dict[str, Any]", wish)
        if call.body["action"] == "custCreate" and not self.seed.isv:
            raise Failed(400, 200, "No privilege.")
        paid = sum(one.type == 2 for one in self.core.users.values())
        if about.get("type") == 2 and paid >= self.seed.paid_users:
            raise Failed(400, 200, f"You can add max {self.seed.paid_users} paid users.")
        if self.core.user(str(about.get("email"))):
            raise Failed(409, 1005, "User already in the account.")
        made = User(f"zu{len(self.core.users) + 1}", str(about.get("email")), int(about.get("type", 1)))
        self.core.add_user(made)
        return 201, {"id": made.id, "email": made.email, "first_name": "", "last_name": "", "type": made.type}

    def _remove_user(self, call: Call) -> Answer:
        user = self._user(call)
        if user.id in self._writing:
            raise Failed(
                429, 429, "Too many concurrent requests. A request to disassociate this user has been made."
            )
        for meeting in [one for one in self.core.meetings.values() if one.host is user]:
            self.core.delete(meeting)
        self.core.users.pop(user.id, None)
        return 204, None

    def _create(self, call: Call) -> Answer:
        user, body = self._user(call), call.body
        if not user.allowed_to_host:
            raise Failed(
                400, 3161, "Your user account is not allowed meeting hosting and scheduling capabilities."
            )
        wrong, ignored = body_problems(body, user)
        call.logged.ignored += ignored
        if wrong:
            raise Failed(400, 300, "Validation Failed.", errors=wrong)
        if body.get("type") == 1 and body.get("schedule_for"):
            raise Failed(400, 3000, "You cannot schedule an instant meeting for another user.")
        if not self.core.count_creation(user):
            raise Failed(429, 429, _PER_HOST)
        shown = self.core.shown(self.core.create(user, body))
        if self.seed.forget_passcode:
            shown = {name: value for name, value in shown.items() if name != "password"}
        return 201, shown

    def _meetings(self, call: Call) -> Answer:
        user, kind = self._user(call), call.query.get("type", "scheduled")
        if kind not in {"scheduled", "live", "upcoming", "upcoming_meetings", "previous_meetings"}:
            raise _invalid("type")
        found = [one for one in self.core.meetings.values() if one.host is user]
        if kind == "live":
            found = [one for one in found if one.is_started]
        names = (
            "id",
            "host_id",
            "topic",
            "type",
            "start_time",
            "duration",
            "timezone",
            "created_at",
            "join_url",
        )
        items = [
            {name: one.body[name] for name in names}
            | {"uuid": one.uuid, "agenda": str(one.body["agenda"])[:250]}
            for one in (found if kind != "previous_meetings" else [])
        ]
        return self._page(items, call, "meetings")

    def _meeting_alone(self, call: Call) -> Answer:
        meeting = self._meeting(call)
        return 200, self.core.shown(meeting) | {"assistant_id": ""}

    def _change(self, call: Call) -> Answer:
        meeting = self._meeting(call)
        wrong, ignored = body_problems(call.body, meeting.host)
        call.logged.ignored += ignored
        if wrong:
            raise Failed(400, 300, "Validation Failed.", errors=wrong)
        if not self.core.count_creation(meeting.host):
            raise Failed(429, 429, _PER_HOST)
        settings = dict(meeting.settings) | dict(call.body.get("settings") or {})
        meeting.body |= {**call.body, "settings": settings}
        return 204, None

    def _status(self, call: Call) -> Answer:
        meeting = self._meeting(call)
        if call.body.get("action") not in {"end", "recover"}:
            raise _invalid("action")
        if call.body["action"] == "end" and not self.core.end(meeting) and self.seed.end_idle != 204:
            raise Failed(400, 3000, "The meeting is not running.")
        return 204, None

    def _delete(self, call: Call) -> Answer:
        meeting = self._meeting(call)
        if meeting.is_started and self.seed.delete_live != 204:
            raise Failed(400, 3002, "Sorry, you cannot delete this meeting since it's in progress.")
        self.core.delete(meeting)
        return 204, None

    def _control(self, call: Call) -> Answer:
        self._meeting(call)
        if call.body.get("method") not in {
            "recording.start", "recording.stop", "recording.pause", "recording.resume", "participant.invite",
            "participant.invite.callout", "waiting_room.update",
        }:  # fmt: skip
            raise _invalid("method")
        return 202, None

    def _live_participants(self, call: Call) -> Answer:
        if self.seed.plan != "business" or not self.seed.dashboard:
            raise Failed(400, 200, "Only available for paid account and enabled Dashboard feature.")
        meeting = self._meeting(call)
        if not meeting.is_started:
            raise Failed(404, 3001, f"Meeting {meeting.id} is not found or has expired.")
        items = [
            {
                "id": one.account_user,
                "user_id": str(one.user_id),
                "participant_uuid": one.uuid,
                "user_name": one.name,
                "email": "",
                "customer_key": one.customer_key,
                "role": "host" if one.is_host else "attendee",
                "join_time": iso(one.joined_at),
                "device": "Web Browser",
                "client": "Web Meeting SDK",
                "ip_address": "192.0.2.1",
                "camera": "on" if one.has_video else "",
                "microphone": "",
                "status": "in_meeting",
            }
            for one in meeting.inside()
        ]
        return self._page(items, call, "participants")

    def _past_participants(self, call: Call) -> Answer:
        if self.seed.plan == "free":
            raise Failed(400, 200, "Only available for paid account.")
        self._meeting(call)
        return self._page([], call, "participants")


_PER_SECOND = "You have reached the maximum per-second rate limit for this API. Try again later."
_DAILY = (
    "You have reached the maximum daily rate limit for this API. Refer to the response header for details on when you can "
    "make another request."
)
_PER_HOST = (
    "You have exceeded the daily rate limit (100) of Meeting Create/Update API requests permitted for this particular user. "
    "You may resume these requests at GMT 00:00:00."
)


def _invalid(name: str) -> Failed:
    return Failed(400, 300, "Validation Failed.", errors=[{"field": name, "message": "Invalid field."}])


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1


def _shown_user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "first_name": "Host",
        "last_name": user.id,
        "type": user.type,
        "status": user.status,
        "account_id": user.account_id,
        "pmi": 1_234_567_890,
        "timezone": "UTC",
        "created_at": "2024-05-01T08:00:00Z",
    }


async def _json_of(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Failed(400, 300, "Request Body should be a valid JSON object.")
    return cast("dict[str, Any]", found)


def _cut(request: web.Request) -> web.StreamResponse:
    """Cut the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
