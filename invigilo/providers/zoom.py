"""Meetings at Zoom, held by a pool of licensed users (zoom.md).

A room is a scheduled meeting at one of the hosts: mute, without waiting room, with a passcode, and with a mark of ours by
which it is found again when an answer was lost. It stays until it is deleted, so it is ended and deleted with its room, and
what is left all the same is swept up. Entry is a signature, made here and asked of nobody.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import aiohttp
import structlog

from invigilo.clock import Clock, from_ms, to_ms
from invigilo.errors import ProviderCredentials, ProviderError, ProviderRefused, ProviderUnavailable, Sentence
from invigilo.providers import zoom_pool as pool
from invigilo.providers.base import (
    Challenge,
    Condition,
    Feature,
    Guest,
    Headers,
    HostView,
    JoinTicket,
    Presence,
    ProviderEvent,
    RoomHandle,
    RoomSpec,
    Slots,
    ZoomTicket,
)
from invigilo.providers.description import PROCTOR_SEATS, UNFOCUSED, ZOOM
from invigilo.providers.jitsi_tokens import ROOM_NAME, opaque_identity
from invigilo.providers.zoom_client import (
    CREATE,
    DELETE,
    END,
    LIVE_PARTICIPANTS,
    MEETING,
    MEETINGS,
    USER_SETTINGS,
    USER_TOKEN,
    HostDayOver,
    MissingScope,
    Reply,
    Uncertain,
    Waits,
    ZoomClient,
    ZoomError,
    next_midnight,
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
from invigilo.providers.zoom_pool import Booking, BookingState, HostBook, MemoryBook
from invigilo.providers.zoom_proof import failure, prove_zoom
from invigilo.providers.zoom_reports import check_zoom_signature, read_zoom, time_of
from invigilo.providers.zoom_settings import ZoomSettings
from invigilo.providers.zoom_signature import BEGINS_BEFORE, HOST, PARTICIPANT, ends, signature

log = structlog.get_logger()

CALL_WITHIN = 14.0  # seconds for one call, all its parts
ENDS_WITHIN = 10.0  # seconds an ended meeting may still say that it runs
HOST_IS_OUT = timedelta(minutes=15)
HOST_IS_BUSY = timedelta(minutes=10)
KEPT_TRYING = timedelta(days=7)
FIRST_RETRY, LONGEST_RETRY = 5_000, 3_600_000  # ms between two tries to delete a meeting
PROBE_IS_OVER = 3_600_000  # ms; no test runs that long
PAGE_SIZE = "300"
MOST_PAGES = 40
DURATION_MOST = 24 * 60  # minutes; Zoom ends nothing by it
_NOT_RUNNING = {3000, 3007, 3161}
_HOST_GONE = {1001, 1010, 3161}


class ZoomProvider:
    """One service definition's rooms."""

    def __init__(
        self,
        settings: ZoomSettings,
        *,
        clock: Clock,
        book: HostBook | None = None,
        trust: ssl.SSLContext | None = None,
        waits: Waits | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._waits = waits or Waits()
        self._book: HostBook = book or MemoryBook()
        self._trust = trust
        self.client = ZoomClient(settings, clock=clock, trust=trust, waits=self._waits)
        self._cannot_list_participants = False
        self._capacities: dict[str, int] = {}
        self.hall_size: int | None = ZOOM.hall_size

    @property
    def features(self) -> frozenset[Feature]:
        return ZOOM.features if self._is_focused else ZOOM.features - {Feature.BROADCAST_VIDEO}

    @property
    def cannot(self) -> Mapping[Feature, Sentence]:
        focused = ZOOM.calls_missing
        return focused if self._is_focused else {**focused, Feature.BROADCAST_VIDEO: UNFOCUSED}

    @property
    def _is_focused(self) -> bool:
        """A meeting without focus mode shows candidates each other, so as long as there is one nobody is shown to them."""
        return self._settings.focus_mode and all(
            one.is_focused for one in self._book.bookings() if one.is_current
        )

    async def check(self) -> None:
        """Prove it all; the first step that fails is raised."""
        steps = prove_zoom(self._settings, clock=self._clock, trust=self._trust, waits=self._waits)
        async with aclosing(steps):
            async for step in steps:
                if step.outcome.value == "failed":
                    raise failure(step.cause or "")

    # --- opening ---

    async def open_room(self, spec: RoomSpec) -> RoomHandle:
        """Book a host, make the meeting there; found made when it was."""
        check_room_name(spec.name)
        async with named_failures(), self.client.session() as http:
            await self._open(http, spec)
        return RoomHandle(spec.name, spec.subject)

    async def _open(self, http: aiohttp.ClientSession, spec: RoomSpec) -> None:
        avoid: list[str] = []
        for _ in range(len(self._settings.hosts)):
            booking = await self._book.book(
                spec.name,
                self._settings.hosts,
                per_host=self._settings.per_host,
                now=self._clock.now_ms(),
                avoid=avoid,
            )
            if booking is None:
                break
            if booking.state is BookingState.OPEN:
                return
            try:
                await self._make(http, booking, spec)
            except HostUnfit as why:
                avoid.append(booking.host)
                await self._book.remove(booking)
                if why.until is not None:
                    await self._book.block(booking.host, until=why.until, reason=why.reason)
                log.warning("zoom_host_skipped", reason=why.reason, host_number=self._number_of(booking.host))
            else:
                return
        raise ProviderUnavailable(self.why_full())

    def _number_of(self, host: str) -> int:
        """A host's place in the settings: addresses of people do not belong into logs."""
        return self._settings.hosts.index(host) + 1 if host in self._settings.hosts else 0

    def slots(self) -> Slots:
        left = pool.slots_left(
            self._settings.hosts,
            self._book.hosts(),
            self._book.bookings(),
            per_host=self._settings.per_host,
            now=self._clock.now_ms(),
        )
        return Slots(sum(left.values()), len(left) * self._settings.per_host)

    def has_host(self, room: RoomHandle) -> bool:
        return pool.current(self._book, room.name) is not None

    def why_full(self) -> Sentence:
        views = self.host_views()
        now = self._clock.now_ms()
        out = sum((one.blocked_until or 0) > now or one.creations >= one.creations_most for one in views)
        each = self._settings.per_host
        full = (
            f"No Zoom host is free: all {len(views)} are in use, each for {each} at once, rooms and "
            "calls together."
        )
        remedy = "End a call, or have an administrator add hosts to the service."
        if not out:
            return Sentence("zoom_hosts_full", f"{full} {remedy}", {"all": len(views), "each": each})
        return Sentence(
            "zoom_hosts_full_or_out",
            f"{full} {out} of them cannot be used now. {remedy}",
            {"all": len(views), "each": each, "out": out},
        )

    async def _make(self, http: aiohttp.ClientSession, booking: Booking, spec: RoomSpec) -> None:
        """Raises HostUnfit, ProviderError."""
        if booking.state is BookingState.CREATING:
            found = await self._look_for(http, booking)
            if found is not None:
                await self._take_over(http, booking, found)
                return
        booking = await self._book.change(booking, state=BookingState.CREATING)
        rules = PasscodeRules()
        for is_last in (False, True):
            try:
                reply = await self._create(http, booking, spec, rules)
            except ZoomError as error:
                await self._book.change(booking, state=BookingState.BOOKED)
                if is_last or not is_about_passcode(error):
                    raise self._unfit(error) from None
                rules = await self._rules_of(http, booking.host)
                await self._book.change(booking, state=BookingState.CREATING)
            except Uncertain:
                found = await self._look_for(http, booking)
                if found is not None:
                    await self._take_over(http, booking, found)
                    return
                if is_last:
                    raise
            except ProviderError:
                await self._book.change(booking, state=BookingState.BOOKED)
                raise
            else:
                await self._take_over(http, booking, dict(reply.body))
                return

    async def _create(
        self, http: aiohttp.ClientSession, booking: Booking, spec: RoomSpec, rules: PasscodeRules
    ) -> Reply:
        count = await self._book.count_creation(booking.host, now=self._clock.now_ms())
        if count == pool.WARN_AT:
            log.warning("zoom_host_day_nearly_over", host_number=self._number_of(booking.host), calls=count)
        now = self._clock.now()
        body = meeting_body(
            spec,
            mark=self._mark(spec.name),
            passcode=new_passcode(rules),
            start=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            minutes=_minutes(to_ms(now), spec.ends_at),
            focus_mode=self._settings.focus_mode,
        )
        return await self.client.call(http, CREATE, host=booking.host, body=body)

    def _mark(self, room: str) -> str:
        return f"{MARK}:{self._book.instance}:{room}"

    async def _rules_of(self, http: aiohttp.ClientSession, host: str) -> PasscodeRules:
        reply = await self.client.call(http, USER_SETTINGS, host=host, params={"option": "meeting_security"})
        return PasscodeRules.of(reply.body)

    def _unfit(self, error: ZoomError) -> Exception:
        """What a refused creation means (zoom.md §9)."""
        now = self._clock.now()
        if isinstance(error, HostDayOver):
            return HostUnfit("zoom_day_over", until=next_midnight(now))
        if error.code in _HOST_GONE:
            reason = "zoom_may_not_host" if error.code == 3161 else "zoom_host_gone"
            return HostUnfit(reason, until=to_ms(now + HOST_IS_OUT))
        if error.code == 3000:
            return HostUnfit("zoom_host_refused")
        if error.code == 200:
            return ProviderCredentials(
                "The Zoom plan or the role of the app's creator does not allow making meetings. An administrator should "
                "test the service's settings."
            )
        named = f": {', '.join(error.fields)}" if error.fields else ""
        return ProviderRefused(f"Zoom refuses to make such a meeting ({error.status}/{error.code}{named}).")

    async def _look_for(self, http: aiohttp.ClientSession, booking: Booking) -> dict[str, Any] | None:
        """The meeting with the room's mark at its host, if Zoom made one whose answer was lost (zoom.md §3.6)."""
        mark = self._mark(booking.room)
        try:
            async with aclosing(self._meetings_of(http, booking.host)) as all_of_host:
                async for one in all_of_host:
                    if one.get("agenda") == mark:
                        return one
        except ZoomError as error:
            if error.code in _HOST_GONE:
                return None
            raise ProviderUnavailable("Zoom does not list the meetings of a host.") from None
        return None

    async def _meetings_of(
        self, http: aiohttp.ClientSession, host: str, kind: str = "scheduled"
    ) -> AsyncGenerator[dict[str, Any]]:
        page = ""
        for _ in range(MOST_PAGES):
            params = {"type": kind, "page_size": PAGE_SIZE} | ({"next_page_token": page} if page else {})
            reply = await self.client.call(http, MEETINGS, host=host, params=params)
            for one in objects(reply.body.get("meetings")):
                yield one
            page = str(reply.body.get("next_page_token") or "")
            if not page:
                return

    async def _take_over(
        self, http: aiohttp.ClientSession, booking: Booking, found: Mapping[str, Any]
    ) -> None:
        """The meeting exists: its number and its passcode, read back, are the room's from now on."""
        number = number_of(found.get("id"))
        if number and not found.get("password"):
            try:
                found = (await self.client.call(http, MEETING, meeting=number)).body
            except ZoomError:
                found = {}
        passcode = str(found.get("password") or "")
        if not number or not passcode:
            if number:
                booking = await self._book.change(booking, meeting_id=number, state=BookingState.DELETING)
                await self._delete(http, booking)
            await self._book.remove(booking)
            raise ProviderRefused("Zoom made a meeting without a number or a passcode; it was deleted again.")
        block = found.get("settings")
        settings = cast("dict[str, Any]", block) if isinstance(block, dict) else {}
        is_open = settings.get("join_before_host") is not False
        is_focused = settings.get("focus_mode") is not False
        if self._settings.focus_mode and not is_focused:
            log.warning("zoom_without_focus_mode", host_number=self._number_of(booking.host))
        await self._book.change(
            booking,
            state=BookingState.OPEN,
            meeting_id=number,
            passcode=passcode,
            encrypted_passcode=str(found.get("encrypted_password") or passcode),
            waits_for_host=not is_open,
            is_focused=is_focused,
        )

    # --- closing ---

    async def close_room(self, room: RoomHandle) -> None:
        """End the meeting, wait until it is over, delete it. Not there any more is what was wanted."""
        check_room_name(room.name)
        booking = pool.current(self._book, room.name)
        if booking is None:
            booking = next(
                (
                    b
                    for b in self._book.bookings()
                    if b.room == room.name and b.state is BookingState.DELETING
                ),
                None,
            )
        if booking is None:
            return
        await self._remove(booking)

    async def _remove(self, booking: Booking) -> None:
        """Raises ProviderError when it is still there; it is tried again, ever more seldom."""
        now = self._clock.now_ms()
        if booking.state is BookingState.DELETING and now < booking.retry_at:
            raise ProviderUnavailable(booking.reason or "The meeting at Zoom is deleted a little later.")
        try:
            async with named_failures(), self.client.session() as http:
                if booking.state is BookingState.CREATING:
                    found = await self._look_for(http, booking)
                    number = number_of((found or {}).get("id"))
                    booking = await self._book.change(booking, meeting_id=number)
                booking = await self._book.change(booking, state=BookingState.DELETING)
                await self._delete(http, booking)
        except ProviderError as error:
            await self._put_off(booking, error.message)
            raise
        await self._book.remove(booking)

    async def _put_off(self, booking: Booking, reason: str) -> None:
        now = self._clock.now_ms()
        attempts = booking.attempts + 1
        is_over = now - booking.created_at > KEPT_TRYING.total_seconds() * 1000 and attempts > 10
        if is_over:
            log.error("zoom_meeting_left_behind", room=booking.room, reason=reason)
        await self._book.change(
            booking,
            state=BookingState.GIVEN_UP if is_over else BookingState.DELETING,
            attempts=attempts,
            retry_at=now + min(FIRST_RETRY * 2 ** min(attempts - 1, 20), LONGEST_RETRY),
            reason=reason,
        )

    async def _delete(self, http: aiohttp.ClientSession, booking: Booking) -> None:
        """Raises ProviderError."""
        if not booking.meeting_id:
            return
        for is_last in (False, True):
            await self._end(http, booking.meeting_id)
            params = {"schedule_for_reminder": "false", "cancel_meeting_reminder": "false"}
            try:
                await self.client.call(http, DELETE, meeting=booking.meeting_id, params=params)
            except ZoomError as error:
                if error.code in {3001, 3007} or error.status == 404:
                    return
                if error.code in {3018, 3037}:
                    raise ProviderRefused(
                        "This is somebody's personal meeting: it is not ours to delete."
                    ) from None
                if error.code != 3002 or is_last:
                    raise ProviderRefused(
                        f"Zoom does not delete the meeting ({error.status}/{error.code})."
                    ) from None
            else:
                return

    async def _end(self, http: aiohttp.ClientSession, number: str) -> None:
        """Everybody leaves. Without the right to end it, it is deleted all the same."""
        try:
            await self.client.call(http, END, meeting=number, body={"action": "end"})
        except ZoomError as error:
            if error.code == 3001 or error.status == 404:
                return
            if error.code not in _NOT_RUNNING:
                log.warning("zoom_meeting_not_ended", status=error.status, code=error.code)
        except MissingScope:
            log.warning("zoom_may_not_end_meetings")
            return
        began = self._waits.monotonic()
        while self._waits.monotonic() - began < ENDS_WITHIN:
            try:
                reply = await self.client.call(http, MEETING, meeting=number)
            except ZoomError:
                return
            if reply.body.get("status") != "started":
                return
            await self._waits.sleep(1.0)

    # --- entering ---

    def ticket(self, room: RoomHandle, guest: Guest) -> JoinTicket:
        check_room_name(room.name)
        now = self._clock.now()
        if from_ms(guest.expires_at) <= now:
            raise ProviderRefused("The exam is over: nobody enters its rooms any more.", key="exam_over")
        booking = pool.current(self._book, room.name)
        if booking is None or booking.state is not BookingState.OPEN:
            raise ProviderUnavailable("The room has no meeting at Zoom yet.", key="no_meeting_yet")
        settings = self._settings
        signed = signature(
            settings.sdk_key,
            settings.sdk_secret,
            number=booking.meeting_id,
            role=HOST if guest.is_proctor else PARTICIPANT,
            issued_at=now - BEGINS_BEFORE,
            ends_at=ends(now, from_ms(guest.expires_at)),
        )
        return ZoomTicket(
            server_url=settings.web_base,
            number=booking.meeting_id,
            subject=room.subject,
            signature=signed,
            sdk_key=settings.sdk_key,
            passcode=booking.passcode,
            encrypted_passcode=booking.encrypted_passcode,
            customer_key=self.identity_of(room, guest.identity),
            is_host=guest.is_proctor,
            native_passcode=settings.native_passcode,
        )

    def identity_of(self, room: RoomHandle, identity: str) -> str:
        """At most 36 characters (zoom.md §3.5)."""
        return opaque_identity(room.name, identity)

    async def host_key(self, room: RoomHandle) -> str:
        booking = pool.current(self._book, room.name)
        if booking is None:
            raise ProviderUnavailable("The room has no meeting at Zoom yet.", key="no_meeting_yet")
        async with named_failures(), self.client.session() as http:
            try:
                reply = await self.client.call(http, USER_TOKEN, host=booking.host, params={"type": "zak"})
            except ZoomError as error:
                raise ProviderRefused(f"Zoom gives no host key ({error.status}/{error.code}).") from None
        token = reply.body.get("token")
        if not isinstance(token, str) or not token:
            raise ProviderRefused("Zoom gives no host key.")
        return token

    # --- how it stands ---

    def read_webhook(self, headers: Headers, body: bytes) -> ProviderEvent | Challenge | None:
        settings = self._settings
        check_zoom_signature(headers, body, settings.events_secret, now_ms=self._clock.now_ms())

        def room_of(number: str) -> str | None:
            booking = pool.of_meeting(self._book, number)
            return booking.room if booking is not None and booking.is_current else None

        return read_zoom(body, account_id=settings.account_id, secret=settings.events_secret, room_of=room_of)

    async def condition(self, room: RoomHandle) -> Condition:
        booking = pool.current(self._book, room.name)
        if booking is None or booking.state is not BookingState.OPEN:
            return Condition.WELL
        async with named_failures(), self.client.session() as http:
            try:
                reply = await self.client.call(http, MEETING, meeting=booking.meeting_id)
            except ZoomError as error:
                return Condition.LOST if error.code == 3001 or error.status == 404 else Condition.WELL
            if reply.body.get("status") == "started":
                return Condition.WELL
            try:
                others = [
                    one
                    async for one in self._meetings_of(http, booking.host, "live")
                    if number_of(one.get("id")) != booking.meeting_id
                ]
            except ZoomError:
                return Condition.WELL
        return Condition.BLOCKED if len(others) >= self._settings.per_host else Condition.WELL

    async def give_up(self, room: RoomHandle, *, reason: str) -> None:
        booking = pool.current(self._book, room.name)
        if booking is None:
            return
        await self._book.change(booking, state=BookingState.DELETING, retry_at=0, reason=reason)
        if reason == "busy":
            until = to_ms(self._clock.now() + HOST_IS_BUSY)
            await self._book.block(booking.host, until=until, reason="zoom_host_busy")

    async def present(self, room: RoomHandle) -> list[ProviderEvent] | None:
        """By the dashboard, where plan and scopes have it (zoom.md §3.5); where they have not, it is not asked again."""
        booking = pool.current(self._book, room.name)
        if self._cannot_list_participants or booking is None or booking.state is not BookingState.OPEN:
            return None
        found: list[ProviderEvent] = []
        async with named_failures(), self.client.session() as http:
            token = await self.client.token(http)
            if not set(LIVE_PARTICIPANTS.scopes) & token.scopes:
                self._cannot_list_participants = True
                return None
            page = ""
            for _ in range(MOST_PAGES):
                params = {"type": "live", "page_size": PAGE_SIZE} | (
                    {"next_page_token": page} if page else {}
                )
                try:
                    reply = await self.client.call(
                        http, LIVE_PARTICIPANTS, meeting=booking.meeting_id, params=params
                    )
                except MissingScope:
                    self._cannot_list_participants = True
                    return None
                except ZoomError as error:
                    if error.code == 200:
                        self._cannot_list_participants = True
                        return None
                    return []
                found += self._stays(room, objects(reply.body.get("participants")))
                page = str(reply.body.get("next_page_token") or "")
                if not page:
                    break
        return found

    def _stays(self, room: RoomHandle, people: Sequence[Mapping[str, Any]]) -> list[ProviderEvent]:
        events: list[ProviderEvent] = []
        for one in people:
            stay, key = str(one.get("participant_uuid") or ""), str(one.get("customer_key") or "")
            left = time_of(one.get("leave_time"))
            at = left or time_of(one.get("join_time"))
            if stay and at:
                kind = Presence.LEFT if left else Presence.JOINED
                events.append(
                    ProviderEvent(
                        kind, room.name, at, f"poll:{stay}:{kind.value}:{at}", stay[:200], key[:36] or None
                    )
                )
        return events

    # --- keeping tidy ---

    async def tidy(self, wanted: Callable[[str], bool]) -> None:
        now = self._clock.now_ms()
        for booking in list(self._book.bookings()):
            is_due = booking.state is BookingState.DELETING and now >= booking.retry_at
            is_unknown = booking.is_current and not wanted(booking.room)
            if is_due or is_unknown:
                try:
                    await self._remove(booking)
                except ProviderError as error:
                    log.info("zoom_meeting_not_deleted_yet", room=booking.room, reason=error.message)

    async def sweep(self) -> int:
        """Raises ProviderError when not every host could be looked at."""
        known = {one.meeting_id for one in self._book.bookings()}
        making = {one.room for one in self._book.bookings() if one.state is BookingState.CREATING}
        gone = 0
        async with self.client.session() as http:
            for host in self._settings.hosts:
                try:
                    async with aclosing(self._meetings_of(http, host)) as all_of_host:
                        strays = [one async for one in all_of_host if self._is_stray(one, known, making)]
                except ZoomError as error:
                    log.warning("zoom_host_not_swept", host_number=self._number_of(host), code=error.code)
                    continue
                for one in strays:
                    number = number_of(one.get("id"))
                    await self._delete(
                        http, Booking(0, "", host, BookingState.DELETING, self._clock.now_ms(), number)
                    )
                    gone += 1
        if gone:
            log.warning("zoom_orphans_deleted", count=gone)
        return gone

    def _is_stray(self, meeting: Mapping[str, Any], known: Collection[str], making: Collection[str]) -> bool:
        """Carries our own mark and belongs to no booking; or is what a test left behind an hour ago."""
        number, agenda = number_of(meeting.get("id")), str(meeting.get("agenda", ""))
        if not number or number in known:
            return False
        if agenda.startswith(PROBE):
            made_at = time_of(meeting.get("created_at"))
            return 0 < made_at < self._clock.now_ms() - PROBE_IS_OVER
        ours, _, room = agenda.rpartition(":")
        return ours == f"{MARK}:{self._book.instance}" and room not in making

    async def learn_capacities(self) -> None:
        async with self.client.session() as http:
            for host in self._settings.hosts:
                try:
                    reply = await self.client.call(http, USER_SETTINGS, host=host)
                except (MissingScope, ZoomError) as error:
                    log.info(
                        "zoom_capacity_unknown",
                        host_number=self._number_of(host),
                        reason=type(error).__name__,
                    )
                    continue
                if capacity := capacity_of(reply.body):
                    self._capacities[host] = capacity
        # By the smallest: which host holds the next town hall is not decided yet.
        if self._capacities:
            self.hall_size = max(1, min(self._capacities.values()) - PROCTOR_SEATS)

    def host_views(self) -> list[HostView]:
        now = self._clock.now_ms()
        states = self._book.hosts()
        bookings = self._book.bookings()
        views: list[HostView] = []
        for host in self._settings.hosts:
            state = states.get(host, pool.HostState(host))
            live = sum(b.host == host and b.state is not BookingState.GIVEN_UP for b in bookings)
            is_blocked = now < state.blocked_until
            views.append(
                HostView(
                    host,
                    live,
                    self._settings.per_host,
                    state.creations_on(now),
                    pool.CREATIONS_A_DAY,
                    state.blocked_until if is_blocked else None,
                    state.reason if is_blocked else "",
                )
            )
        return views

    def leftovers(self) -> int:
        return sum(
            b.state is BookingState.GIVEN_UP or (b.state is BookingState.DELETING and b.attempts > 0)
            for b in self._book.bookings()
        )


class HostUnfit(Exception):
    """This host takes no room now; another may."""

    def __init__(self, reason: str, *, until: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.until = until


@asynccontextmanager
async def named_failures() -> AsyncGenerator[None]:
    """One call, all its parts, within its time; what goes wrong at Zoom leaves as one of our errors."""
    try:
        async with asyncio.timeout(CALL_WITHIN):
            yield
    except ZoomError as error:
        raise ProviderRefused(f"Zoom refuses ({error.status}/{error.code}).") from None
    except HostUnfit as error:
        raise ProviderUnavailable(f"A Zoom host cannot be used now ({error.reason}).") from None
    except TimeoutError:
        raise ProviderUnavailable("Zoom does not answer in time.") from None


def check_room_name(name: str) -> None:
    """Raises ProviderRefused."""
    if not ROOM_NAME.fullmatch(name):
        raise ProviderRefused("A room is called by 16 to 64 of a-z, 0-9 and -.")


def _minutes(now: int, ends_at: int | None) -> int:
    if ends_at is None:
        return DURATION_MOST
    return max(1, min(DURATION_MOST, (ends_at - now) // 60_000 + 30))
