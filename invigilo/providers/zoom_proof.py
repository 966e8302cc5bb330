"""Proving a Zoom account before anything depends on it: app, scopes, hosts, meetings, host key, SDK (zoom.md §8).

Nothing that Zoom's API answers proves the SDK's key and secret; only a join does. So that step never says ok here, and the
browser of whoever tests joins afterwards (`meeting_to_join`, `zoom_join`). A meeting is made at each host and deleted again,
for what an account has locked shows nowhere else. None of them stays.

Steps come as they are known. Every one is bounded in time. Only the configured hosts are asked.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import date, timedelta
from typing import Any, cast

import aiohttp
from yarl import URL

from invigilo.clock import Clock
from invigilo.errors import (
    InvigiloError,
    ProviderCredentials,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from invigilo.providers.base import RoomSpec, ZoomTicket
from invigilo.providers.steps import Outcome, Patience, ProofFailed, Step
from invigilo.providers.zoom_client import (
    CREATE,
    DELETE,
    END,
    LIVE_PARTICIPANTS,
    MEETING,
    MEETINGS,
    NEEDED,
    USER,
    USER_SETTINGS,
    USER_TOKEN,
    HostDayOver,
    MissingScope,
    NotZoom,
    Reply,
    Token,
    TokenRefused,
    Uncertain,
    Unreachable,
    Waits,
    ZoomClient,
    ZoomError,
)
from invigilo.providers.zoom_meeting import (
    MARK,
    PROBE,
    PasscodeRules,
    capacity_of,
    is_about_passcode,
    meeting_body,
    new_passcode,
    number_of,
    objects,
)
from invigilo.providers.zoom_settings import LOWEST_ADVISABLE, ZoomSettings, version_of
from invigilo.providers.zoom_signature import BEGINS_BEFORE, PARTICIPANT, SHORTEST, signature

CLOCK_WARNS, CLOCK_FAILS = 30.0, 300.0  # seconds
STEP_WITHIN = 25.0  # seconds
WHOLE_PROOF = 300.0  # seconds
SCRIPT_WITHIN = 10.0
WARN_BEFORE = timedelta(days=45)
RAISED_IN = (2, 5, 8, 11)
"""Months on whose first weekend Zoom raises the lowest SDK version it lets in (zoom.md §4.2)."""
LIVE_LIMITS = {"None": 1, "Basic": 2}
_STILL_RUNNING = 3002
CLEAN_UP_WITHIN = 20.0
PROBE_SUBJECT = "Invigilo test"

Note = tuple[str, Mapping[str, object]] | None


class _Unproven(ProofFailed):
    """A step that cannot say anything."""


@asynccontextmanager
async def meeting_to_join(
    settings: ZoomSettings,
    *,
    clock: Clock,
    trust: ssl.SSLContext | None = None,
    waits: Waits | None = None,
) -> AsyncGenerator[ZoomTicket]:
    """A meeting for one join by a browser. Whatever came of it, and whoever went away, it is ended and deleted.

    Raises ProofFailed when there is none to be had.
    """
    client = ZoomClient(settings, clock=clock, trust=trust, waits=waits)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(client.session())
        run = _Run(settings, client, http, clock, trust, waits or Waits())
        stack.push_async_callback(run.clean_up)
        try:
            async with asyncio.timeout(STEP_WITHIN):
                ticket = await run.to_join()
        except TimeoutError:
            raise ProofFailed("zoom_no_answer", seconds=round(STEP_WITHIN)) from None
        yield ticket


async def prove_zoom(
    settings: ZoomSettings,
    *,
    clock: Clock,
    trust: ssl.SSLContext | None = None,
    patience: Patience | None = None,
    waits: Waits | None = None,
) -> AsyncGenerator[Step]:
    """Z1 to Z7 (live-proctoring.md §2.9)."""
    del patience  # Zoom's own limits set the pace here
    client = ZoomClient(settings, clock=clock, trust=trust, waits=waits)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(client.session())
        run = _Run(settings, client, http, clock, trust, waits or Waits())
        stack.push_async_callback(run.clean_up)
        yield await run.step("zoom_token", run.token)
        yield await run.step("zoom_scopes", run.scopes)
        yield await run.step("zoom_clock", run.clock_agrees)
        for host in settings.hosts:
            yield await run.step("zoom_host", lambda host=host: run.host(host), host)
            yield await run.step("zoom_capacity", lambda host=host: run.capacity(host), host)
            yield await run.step("zoom_host_key", lambda host=host: run.host_key(host), host)
            yield await run.step("zoom_meeting", lambda host=host: run.meeting(host), host)
            yield await run.step("zoom_removed", lambda host=host: run.removed(host), host)
        yield await run.step("zoom_sdk", run.sdk)
        yield await run.step("zoom_account", run.account)
        yield await run.step("zoom_sdk_version", run.sdk_version)
        yield await run.step("zoom_reports", run.reports)
        yield Step("zoom_media", Outcome.NOT_PROVABLE, "zoom_media_needs_people")


class _Run:
    """One proof under way."""

    def __init__(
        self,
        settings: ZoomSettings,
        client: ZoomClient,
        http: aiohttp.ClientSession,
        clock: Clock,
        trust: ssl.SSLContext | None,
        waits: Waits,
    ) -> None:
        self._settings = settings
        self._waits = waits
        self._client = client
        self._http = http
        self._clock = clock
        self._trust = trust
        self._token: Token | None = None
        self._reply: Reply | None = None
        self._users: dict[str, Mapping[str, Any]] = {}
        self._probes: dict[str, str] = {}
        """Meetings made and not deleted yet, by host."""
        self._marks: dict[str, str] = {}
        """Hosts at which a meeting may have been made whose answer was lost."""
        self._done: dict[tuple[str, str], Outcome] = {}
        self._ends_at = asyncio.get_running_loop().time() + WHOLE_PROOF

    async def step(self, code: str, do: Callable[[], Awaitable[Note]], host: str = "") -> Step:
        """Do one step within its time; whatever stops it becomes its answer."""
        step = await self._answer(code, do)
        if host:
            step = Step(step.code, step.outcome, step.cause, {"host": host, **step.values})
        self._done[(code, host)] = step.outcome
        return step

    async def _answer(self, code: str, do: Callable[[], Awaitable[Note]]) -> Step:
        left = self._ends_at - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(STEP_WITHIN, max(left, 0.0))):
                note = await do()
        except _Unproven as why:
            return Step(code, Outcome.NOT_PROVABLE, why.cause, why.values)
        except ProofFailed as why:
            return Step(code, Outcome.FAILED, why.cause, why.values)
        except TimeoutError:
            return Step(code, Outcome.FAILED, "zoom_no_answer", {"seconds": round(STEP_WITHIN)})
        except (ZoomError, InvigiloError) as error:
            cause, values = cause_of(error)
            return Step(code, Outcome.FAILED, cause, values)
        cause, values = note or (None, {})
        return Step(code, Outcome.OK, cause, values)

    def need(self, code: str, host: str = "") -> None:
        """Without that step this one cannot be made."""
        if self._done.get((code, host)) is not Outcome.OK:
            raise _Unproven("needs_step", step=code)

    # --- the app ---

    async def token(self) -> Note:
        self._token, self._reply = await self._client.first_token(self._http)
        return None

    async def scopes(self) -> Note:
        self.need("zoom_token")
        assert self._token is not None
        held = self._token.scopes
        missing = [one.scopes[0] for one in NEEDED if not held & set(one.scopes)]
        if missing:
            raise ProofFailed("zoom_scopes_missing", scopes=", ".join(missing), count=len(missing))
        if not self._settings.events_secret and not held & set(LIVE_PARTICIPANTS.scopes):
            return "zoom_no_presence", {}
        return None

    async def clock_agrees(self) -> Note:
        self.need("zoom_token")
        date_there = None if self._reply is None else self._reply.date
        if date_there is None:
            raise _Unproven("no_date")
        off = (date_there - self._clock.now()).total_seconds()
        if abs(off) > CLOCK_FAILS:
            raise ProofFailed("zoom_clock_off", seconds=round(abs(off)))
        return ("zoom_clock_near", {"seconds": round(abs(off))}) if abs(off) > CLOCK_WARNS else None

    # --- hosts ---

    async def host(self, host: str) -> Note:
        self.need("zoom_token")
        try:
            user = (await self._client.call(self._http, USER, host=host)).body
        except ZoomError as error:
            if error.code in {1001, 1010} or error.status == 404:
                raise ProofFailed("zoom_host_unknown") from None
            raise
        self._users[host] = user
        if user.get("status") not in {"active", None}:
            raise ProofFailed("zoom_host_inactive", status=str(user.get("status"))[:40])
        if user.get("type") != 2:
            raise ProofFailed("zoom_host_basic" if user.get("type") == 1 else "zoom_host_without_licence")
        return None

    async def capacity(self, host: str) -> Note:
        self.need("zoom_host", host)
        settings = (await self._client.call(self._http, USER_SETTINGS, host=host)).body
        feature, capacity = _block(settings, "feature"), capacity_of(settings)
        limit = LIVE_LIMITS.get(str(feature.get("concurrent_meeting")))
        wanted = self._settings.per_host
        if limit is not None and wanted > limit:
            raise ProofFailed("zoom_too_many_live", limit=limit, wanted=wanted)
        if 0 < capacity < 2:
            raise ProofFailed("zoom_capacity_small", capacity=capacity)
        meeting = _block(settings, "in_meeting")
        if meeting.get("show_a_join_from_your_browser_link") is False:
            return "zoom_browser_join_off", {"capacity": capacity}
        return ("zoom_capacity_is", {"capacity": capacity, "rooms": wanted}) if capacity else None

    async def host_key(self, host: str) -> Note:
        self.need("zoom_host", host)
        try:
            reply = await self._client.call(self._http, USER_TOKEN, host=host, params={"type": "zak"})
        except ZoomError as error:
            raise ProofFailed("zoom_no_host_key", hint=str(error)) from None
        if not reply.body.get("token"):
            raise ProofFailed("zoom_no_host_key", hint="?")
        return None

    # --- a meeting, made and removed ---

    async def meeting(self, host: str) -> Note:
        self.need("zoom_host", host)
        settings = _block(await self._probe_at(host), "settings")
        if settings.get("meeting_authentication") is True:
            raise ProofFailed("zoom_authentication_locked")
        if settings.get("waiting_room") is True:
            raise ProofFailed("zoom_waiting_room_locked")
        if settings.get("join_before_host") is False:
            raise ProofFailed("zoom_join_before_host_locked")
        return None

    async def _probe_at(self, host: str) -> Mapping[str, Any]:
        """A meeting at this host, as Zoom says that it is. Raises ProofFailed."""
        mark = self._marks[host] = PROBE + secrets.token_hex(8)
        rules = PasscodeRules()
        try:
            made = await self._make(host, mark, rules)
        except ZoomError as error:
            if not is_about_passcode(error):
                del self._marks[host]
                raise ProofFailed(_cause_of_creation(error), hint=_hint(error)) from None
            reply = await self._client.call(
                self._http, USER_SETTINGS, host=host, params={"option": "meeting_security"}
            )
            try:
                made = await self._make(host, mark, PasscodeRules.of(reply.body))
            except ZoomError as again:
                del self._marks[host]
                raise ProofFailed("zoom_passcode_rules", hint=_hint(again)) from None
        number = self._probes[host] = number_of(made.get("id"))
        self._marks.pop(host, None)
        if not number or not made.get("password"):
            raise ProofFailed("zoom_meeting_without_passcode")
        return made

    async def to_join(self) -> ZoomTicket:
        """Entry to a meeting made at a host that has room for one. Raises ProofFailed."""
        last = ProofFailed("zoom_join_hosts_busy")
        for host in self._settings.hosts:
            try:
                if await self._held_at(host) >= self._settings.per_host:
                    continue  # an exam is there, or about to begin: neither may keep the other out
                return self._ticket(await self._probe_at(host))
            except ProofFailed as why:
                last = why
            except (ZoomError, InvigiloError) as error:
                cause, values = cause_of(error)
                last = ProofFailed(cause, **values)
        raise last

    async def _held_at(self, host: str) -> int:
        """Meetings of this host that are live, or are rooms in which nobody is yet."""
        live, planned = [
            objects(
                (
                    await self._client.call(
                        self._http, MEETINGS, host=host, params={"type": kind, "page_size": "300"}
                    )
                ).body.get("meetings")
            )
            for kind in ("live", "scheduled")
        ]
        rooms = [one for one in planned if _is_room(str(one.get("agenda") or ""))]
        return len({number_of(one.get("id")) for one in (*live, *rooms)})

    def _ticket(self, made: Mapping[str, Any]) -> ZoomTicket:
        """As a candidate's: key and secret sign it like a host's, and no host key leaves the server for a test."""
        settings, now = self._settings, self._clock.now()
        number = number_of(made.get("id"))
        signed = signature(
            settings.sdk_key,
            settings.sdk_secret,
            number=number,
            role=PARTICIPANT,
            issued_at=now - BEGINS_BEFORE,
            ends_at=now + SHORTEST,
        )
        return ZoomTicket(
            server_url=settings.web_base,
            number=number,
            subject=PROBE_SUBJECT,
            signature=signed,
            sdk_key=settings.sdk_key,
            passcode=str(made["password"]),
            encrypted_passcode=str(made.get("encrypted_password") or ""),
            customer_key=secrets.token_hex(16),
        )

    async def _make(self, host: str, mark: str, rules: PasscodeRules) -> Mapping[str, Any]:
        now = self._clock.now()
        body = meeting_body(
            RoomSpec("", PROBE_SUBJECT, 1),
            mark=mark,
            passcode=new_passcode(rules),
            start=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            minutes=5,
            focus_mode=self._settings.focus_mode,
        )
        return (await self._client.call(self._http, CREATE, host=host, body=body)).body

    async def removed(self, host: str) -> Note:
        """Ended, deleted, and then really not there."""
        number = self._probes.get(host)
        if not number:
            raise _Unproven("needs_step", step="zoom_meeting")
        try:
            with suppress(ZoomError):
                await self._client.call(self._http, END, meeting=number, body={"action": "end"})
            await self._client.call(self._http, DELETE, meeting=number)
        except ZoomError as error:
            if error.code != 3001:
                raise ProofFailed("zoom_not_deleted", hint=_hint(error)) from None
        try:
            await self._client.call(self._http, MEETING, meeting=number)
        except ZoomError as error:
            if error.code == 3001 or error.status == 404:
                del self._probes[host]
                return None
            raise
        raise ProofFailed("zoom_still_there")

    async def clean_up(self) -> None:
        """Whatever was made is deleted, also when the asker went away in the middle."""
        with suppress(ProviderError, ZoomError, TimeoutError):
            async with asyncio.timeout(CLEAN_UP_WITHIN):
                for host, mark in list(self._marks.items()):
                    found = await self._find(host, mark)
                    if found:
                        self._probes[host] = found
                for number in list(self._probes.values()):
                    with suppress(ProviderError, ZoomError):
                        await self._end_and_delete(number)

    async def _end_and_delete(self, number: str) -> None:
        """One that still ends is asked again: the browser may have been in it a moment ago (zoom.md §3.4)."""
        for pause in (1.0, 2.0, 4.0, 0.0):
            with suppress(ZoomError, MissingScope):
                await self._client.call(self._http, END, meeting=number, body={"action": "end"})
            try:
                await self._client.call(self._http, DELETE, meeting=number)
            except ZoomError as error:
                if error.code != _STILL_RUNNING:
                    return
                await self._waits.sleep(pause)
            else:
                return

    async def _find(self, host: str, mark: str) -> str:
        reply = await self._client.call(
            self._http, MEETINGS, host=host, params={"type": "scheduled", "page_size": "300"}
        )
        ours = (one for one in objects(reply.body.get("meetings")) if one.get("agenda") == mark)
        return next((number_of(one.get("id")) for one in ours), "")

    # --- the SDK ---

    async def sdk(self) -> Note:
        """A signature is computed; whether Zoom takes it is known only when somebody joins."""
        settings, now = self._settings, self._clock.now()
        if settings.sdk_key == settings.client_id:
            raise ProofFailed("zoom_sdk_is_s2s")
        signature(
            settings.sdk_key,
            settings.sdk_secret,
            number="91234567890",
            role=PARTICIPANT,
            issued_at=now - BEGINS_BEFORE,
            ends_at=now + SHORTEST,
        )
        raise _Unproven("zoom_sdk_needs_join")

    async def account(self) -> Note:
        """Hosts of another account are no use to the SDK's app (zoom.md §4.4)."""
        if not self._users:
            raise _Unproven("needs_step", step="zoom_host")
        strangers = [
            host
            for host, user in self._users.items()
            if user.get("account_id") not in {None, self._settings.account_id}
        ]
        if strangers:
            raise ProofFailed("zoom_other_account", hosts=", ".join(strangers))
        raise _Unproven("zoom_account_needs_join")

    async def sdk_version(self) -> Note:
        settings = self._settings
        shown: dict[str, object] = {"version": settings.sdk_version}
        if version_of(settings.sdk_version) < LOWEST_ADVISABLE:
            raise ProofFailed("zoom_sdk_old", lowest=".".join(map(str, LOWEST_ADVISABLE)), **shown)
        status = await self._look_at(URL(sdk_script(settings.sdk_base, settings.sdk_version)))
        if status is None:
            raise _Unproven("zoom_sdk_not_reached", address=settings.sdk_base)
        if status != 200:
            raise ProofFailed("zoom_sdk_not_served", address=settings.sdk_base, status=status, **shown)
        soon = next_raise(self._clock.now().date())
        if soon - self._clock.now().date() <= WARN_BEFORE:
            return "zoom_sdk_soon", {"date": soon.isoformat(), **shown}
        return None

    async def _look_at(self, url: URL) -> int | None:
        """The status of the script's address; None when this server does not get there, though browsers might."""
        timeout = aiohttp.ClientTimeout(total=SCRIPT_WITHIN)
        connector = aiohttp.TCPConnector(ssl=self._trust if self._trust is not None else True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as http,
                http.get(url, allow_redirects=False) as answer,
            ):
                is_page = answer.status == 200 and answer.content_type == "text/html"
                return 404 if is_page else answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def reports(self) -> Note:
        raise _Unproven("zoom_reports_unseen" if self._settings.events_secret else "zoom_reports_unset")


def sdk_script(base: str, version: str) -> str:
    """Where the client view's script lies (zoom.md §7.1)."""
    return f"{base.rstrip('/')}/zoom-meeting-{version}.min.js"


def next_raise(today: date) -> date:
    """The next first weekend of February, May, August or November."""
    for year in (today.year, today.year + 1):
        for month in RAISED_IN:
            first = date(year, month, 1)
            saturday = first + timedelta(days=(5 - first.weekday()) % 7)
            if saturday >= today:
                return saturday
    raise AssertionError("every year has a February")


# --- what an answer means ---


def cause_of(error: ZoomError | InvigiloError) -> tuple[str, dict[str, object]]:
    """Code and values for what stopped a step."""
    match error:
        case TokenRefused():
            return error.cause, {}
        case MissingScope():
            return "zoom_scopes_missing", {"scopes": error.scopes[0], "count": 1}
        case Unreachable():
            return error.cause, {"host": error.host, "reason": "not valid"}
        case NotZoom():
            return "zoom_not_zoom", {}
        case Uncertain():
            return "zoom_down", {}
        case HostDayOver():
            return "zoom_day_over", {}
        case ZoomError(code=200):
            return "zoom_no_plan", {}
        case ZoomError():
            return "zoom_refused", {"hint": _hint(error)}
        case ProviderCredentials():
            return "zoom_token_dropped", {}
        case _:
            return "zoom_down", {}


def _cause_of_creation(error: ZoomError) -> str:
    if isinstance(error, HostDayOver):
        return "zoom_day_over"
    match error.code:
        case 3161:
            return "zoom_may_not_host"
        case 200:
            return "zoom_no_plan"
        case _:
            return "zoom_meeting_refused"


def _hint(error: ZoomError) -> str:
    named = f" {', '.join(error.fields)}" if error.fields else ""
    return f"{error.status}/{error.code}{named}"


_CREDENTIALS = frozenset(
    {"zoom_wrong_client", "zoom_not_s2s", "zoom_wrong_account", "zoom_login_refused", "zoom_scopes_missing"}
    | {"zoom_token_dropped", "zoom_no_plan"}
)
_UNAVAILABLE = frozenset({"zoom_down", "zoom_no_answer", "zoom_not_zoom", "name_not_found", "tls_invalid"})


def failure(cause: str) -> ProviderError:
    """The error for a cause of the proof, by what happens next: later, an administrator, or never."""
    if cause in _UNAVAILABLE:
        return ProviderUnavailable("Zoom does not answer as it should at present.")
    if cause in _CREDENTIALS:
        return ProviderCredentials(
            "Zoom does not accept the credentials of the app. An administrator should test the service's settings."
        )
    return ProviderRefused(
        "The Zoom account is not set up for exams. An administrator should test the service's settings."
    )


def _is_room(agenda: str) -> bool:
    return agenda.startswith(f"{MARK}:") and not agenda.startswith(PROBE)


def _block(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
