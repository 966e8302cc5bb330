"""What every meeting service promises, asked of each one beside its stand-in: built-in rooms, Jitsi, JaaS, Zoom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from invigilo.clock import SetClock, SystemClock, from_ms
from invigilo.errors import (
    BadInput,
    NotAllowed,
    ProviderCredentials,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from invigilo.monitoring.model import OsFamily
from invigilo.providers.base import (
    CALLS,
    Challenge,
    Feature,
    Guest,
    JitsiTicket,
    KeepsMeetings,
    PageTicket,
    Presence,
    Provider,
    ProviderEvent,
    RoomHandle,
    RoomSpec,
    Slots,
    ZoomTicket,
)
from invigilo.providers.builtin import BuiltinProvider
from invigilo.providers.description import DESCRIPTIONS
from invigilo.providers.jaas import JaasProvider
from invigilo.providers.jitsi import JitsiProvider
from invigilo.providers.jitsi_settings import JaasSettings, JitsiSettings
from invigilo.providers.jitsi_site import http_to
from invigilo.providers.jitsi_tokens import new_room_name
from invigilo.providers.registry import provider_from
from invigilo.providers.webhooks import Inbox
from invigilo.providers.xmpp import Address, Participant, XmppError, participant
from invigilo.providers.zoom import ZoomProvider
from invigilo.providers.zoom_settings import ZoomSettings
from invigilo.simulate.jaas import JaasMood, JaasStandIn, SignedReports, jaas_stand_in
from invigilo.simulate.jitsi import JitsiStandIn, Mood, Reports, jitsi_stand_in
from invigilo.simulate.zoom import ZoomMood, ZoomStandIn, zoom_stand_in
from invigilo.simulate.zoom_rules import JoinRefused, Seed, User
from tests.providers.keys import APP_ID, KEY_ID, jaas_values, jitsi_values, public_half, zoom_values
from tests.providers.proving import QUICK, WELL

EVENTS_SECRET = "north-of-the-river"
WITHIN = 5.0  # seconds


class Received:
    """Where a service sends its reports: each is read by the provider as it comes."""

    def __init__(self) -> None:
        self.raw: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def start(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.router.add_post("/{rest:.*}", self._take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"

    async def _take(self, request: web.Request) -> web.Response:
        self.raw.append((dict(request.headers), await request.read()))
        return web.Response(status=204)


@dataclass
class Me:
    """Somebody as the meeting has them."""

    identity: str | None
    is_moderator: bool


class ZoomGuest:
    """Somebody in a meeting of the Zoom stand-in, with the face of a participant at a Jitsi."""

    def __init__(self, zoom: ZoomStandIn) -> None:
        self.ended: str | None = None
        self._zoom = zoom

    async def join(self, ticket: ZoomTicket, key: str) -> None:
        wish = {
            "signature": ticket.signature, "meetingNumber": ticket.number, "passcode": ticket.passcode, "userName": "Guest",
            "customerKey": ticket.customer_key, "zak": key, "sdkVersion": "6.2.0",
        }  # fmt: skip
        member = self._zoom.core.join(wish, self._hear)
        self.me = Me(member.customer_key, member.is_host)
        self.was_moderator = member.is_host
        self.stay = member.uuid

    def _hear(self, said: dict[str, Any]) -> None:
        if said["t"] in {"ended", "expelled"}:
            self.ended = "kicked"

    async def watch(self, until: Callable[[], bool], within: float) -> bool:
        return until()

    def leave(self) -> None:
        self._zoom.ctl_leave({"participant_uuid": self.stay})


@dataclass
class World:
    """A provider beside its service."""

    name: str
    provider: Provider
    stand_in: JitsiStandIn | None = None
    received: Received = field(default_factory=Received)
    http: aiohttp.ClientSession | None = None
    zoom: ZoomStandIn | None = None

    async def drain(self) -> None:
        """Until every report has been sent."""
        if self.zoom is not None:
            await self.zoom.hooks.drain()
        if self.stand_in is not None:
            await self.stand_in.reports.drain()

    def go_on(self, seconds: float) -> None:
        """At the service it is later."""
        if self.zoom is not None:
            self.zoom.clock.advance(seconds)
        if self.stand_in is not None:
            self.stand_in.rooms.now = lambda: SystemClock().now_ms() / 1000 + seconds

    async def stop(self) -> None:
        """The service is gone."""
        for one in (self.zoom, self.stand_in):
            if one is not None:
                await one.stop()

    @property
    def address(self) -> Address:
        from yarl import URL

        assert self.stand_in is not None
        base = URL(f"http://127.0.0.1:{self.stand_in.port}{self.stand_in.path}")
        server = self.stand_in.server
        return Address(
            server.xmpp_domain, server.muc_domain, f"focus.{server.xmpp_domain}",
            (base / "xmpp-websocket").with_scheme("ws"), base / "http-bind",
        )  # fmt: skip

    async def enter(self, stack: AsyncExitStack, ticket: JitsiTicket | ZoomTicket) -> Participant | ZoomGuest:
        """As a client would, by this ticket alone; whoever holds a meeting at Zoom has its host's key besides."""
        if isinstance(ticket, ZoomTicket):
            assert self.zoom is not None
            key = self.zoom.core.new_zak(self.zoom.core.users["zu1"]) if ticket.is_host else ""
            who = ZoomGuest(self.zoom)
            await who.join(ticket, key)
            stack.callback(who.leave)
            return who
        assert self.http is not None
        room = ticket.room.rpartition("/")[2]
        one = await stack.enter_async_context(
            participant(self.http, self.address, room=room, token=ticket.token)
        )
        assert self.stand_in is not None
        self.stand_in.rooms.request(room)
        await one.join(self.address.room(room))
        return one


async def _builtin(stack: AsyncExitStack) -> World:
    return World("builtin", BuiltinProvider())


async def _jitsi(stack: AsyncExitStack, mood: Mood = Mood.WELL) -> World:
    received = Received()
    await received.start(stack)
    reports = Reports(received.url, EVENTS_SECRET)
    stand_in = await stack.enter_async_context(jitsi_stand_in(WELL, mood, reports=reports))
    settings = JitsiSettings.of(jitsi_values(server_url=stand_in.url, events_secret=EVENTS_SECRET))
    provider = JitsiProvider(settings, clock=SystemClock(), patience=QUICK)
    return World("jitsi", provider, stand_in, received)


async def _jaas(stack: AsyncExitStack, mood: JaasMood = JaasMood.WELL) -> World:
    received = Received()
    await received.start(stack)
    reports = SignedReports(received.url, EVENTS_SECRET)
    keys = {f"{APP_ID}/{KEY_ID}": public_half()}
    stand_in: JaasStandIn = await stack.enter_async_context(
        jaas_stand_in(APP_ID, keys, mood, reports=reports, other_public_key=public_half("other"))
    )
    settings = JaasSettings.of(jaas_values(server_url=stand_in.url, events_secret=EVENTS_SECRET))
    provider = JaasProvider(settings, clock=SystemClock(), patience=QUICK)
    return World("jaas", provider, stand_in, received)


async def _zoom(stack: AsyncExitStack, mood: ZoomMood = ZoomMood.WELL) -> World:
    received = Received()
    await received.start(stack)
    seed = Seed(users=[User("zu1", "host1@example.org", concurrent=3)], hook_url=received.url)
    zoom = await stack.enter_async_context(zoom_stand_in(seed, mood))
    values = zoom_values(zoom.url, events_secret=seed.hook_secret, per_host="3")
    return World(
        "zoom", ZoomProvider(ZoomSettings.of(values), clock=SystemClock()), received=received, zoom=zoom
    )


MAKE: dict[str, Callable[[AsyncExitStack], Awaitable[World]]] = {
    "builtin": _builtin,
    "jitsi": _jitsi,
    "jaas": _jaas,
    "zoom": _zoom,
}


@pytest_asyncio.fixture(params=list(MAKE))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = await MAKE[request.param](stack)
        made.http = await stack.enter_async_context(http_to("127.0.0.1"))
        yield made


def spec() -> RoomSpec:
    return RoomSpec(new_room_name(), "Room 1", 5)


def guest(name: str = "17", *, is_proctor: bool = False, life: timedelta = timedelta(hours=2)) -> Guest:
    return Guest(
        name, f"Guest {name}", is_proctor, SystemClock().now_ms() + round(life.total_seconds() * 1000)
    )


async def test_a_service_says_of_itself_what_its_description_says(world: World) -> None:
    assert world.provider.features == DESCRIPTIONS[world.name].features


async def test_what_it_cannot_do_in_calls_is_said_with_a_reason(world: World) -> None:
    provider = world.provider
    missing = {one for one in CALLS if one not in provider.features}
    assert provider.cannot.keys() == missing
    assert all(reason.english.endswith(".") for reason in provider.cannot.values())
    assert provider.hall_size is None or provider.hall_size > 0


async def test_a_service_that_is_well_passes_its_own_check(world: World) -> None:
    await world.provider.check()


async def test_opening_twice_is_quiet(world: World) -> None:
    """A restart repeats its last step."""
    wish = spec()
    first, second = await world.provider.open_room(wish), await world.provider.open_room(wish)
    assert first == second == RoomHandle(wish.name, wish.subject)


async def test_closing_a_room_twice_or_one_that_never_was_is_quiet(world: World) -> None:
    room = await world.provider.open_room(spec())
    await world.provider.close_room(room)
    await world.provider.close_room(room)
    await world.provider.close_room(RoomHandle(new_room_name(), "never"))


async def test_what_a_service_with_hosts_still_bears_is_known_and_its_refusal_says_why(world: World) -> None:
    """Every room and every call takes a slot, and gives it back when it is closed."""
    provider = world.provider
    assert isinstance(provider, KeepsMeetings) == (Feature.KEEPS_MEETINGS in provider.features)
    if not isinstance(provider, KeepsMeetings):
        return
    assert provider.slots() == Slots(3, 3)
    rooms = [await world.provider.open_room(spec()) for _ in range(3)]
    assert provider.slots() == Slots(0, 3)
    one_more = spec()
    with pytest.raises(ProviderUnavailable, match="No Zoom host is free"):
        await world.provider.open_room(one_more)
    assert provider.has_host(rooms[0])
    assert not provider.has_host(RoomHandle(one_more.name, one_more.subject))
    await world.provider.close_room(rooms[0])
    assert provider.slots() == Slots(1, 3)
    await world.provider.open_room(one_more)
    await provider.learn_capacities()
    assert world.provider.hall_size == 97


async def test_closing_sends_everybody_out(world: World) -> None:
    """Clients that know no LEAVE leave all the same (seb-client-api.md §8 Q18; live-proctoring.md check 55)."""
    if world.name == "builtin":
        pytest.skip("sockets end with their connections")
    room = await world.provider.open_room(spec())
    async with AsyncExitStack() as stack:
        guests = [guest("1"), guest("2"), guest("3", is_proctor=True)]
        people = [await world.enter(stack, ticket_of(world, room, one)) for one in guests]
        await world.provider.close_room(room)
        for one in people:
            await one.watch(lambda one=one: one.ended is not None, WITHIN)
            assert "kicked" in str(one.ended)


def ticket_of(world: World, room: RoomHandle, who: Guest) -> JitsiTicket | ZoomTicket:
    ticket = world.provider.ticket(room, who)
    assert isinstance(ticket, JitsiTicket | ZoomTicket)
    return ticket


async def test_a_ticket_is_computed_and_enters_its_room(world: World) -> None:
    room = await world.provider.open_room(spec())
    ticket = world.provider.ticket(room, guest())
    if world.name == "builtin":
        assert isinstance(ticket, PageTicket)
        return
    assert isinstance(ticket, JitsiTicket | ZoomTicket)
    secret = ticket.token if isinstance(ticket, JitsiTicket) else ticket.signature
    assert secret not in repr(ticket)
    async with AsyncExitStack() as stack:
        me = await world.enter(stack, ticket)
        assert me.me is not None
        assert not me.me.is_moderator
        assert me.me.identity == world.provider.identity_of(room, "17")
        proctor = await world.enter(stack, ticket_of(world, room, guest("ada", is_proctor=True)))
        assert proctor.was_moderator


@pytest.mark.spec("live-proctoring", 52)
async def test_a_ticket_opens_no_other_room_and_nothing_after_its_end(world: World) -> None:
    if world.name == "builtin":
        pytest.skip("the page's own link is the ticket")
    room, other = await world.provider.open_room(spec()), await world.provider.open_room(spec())
    ticket = ticket_of(world, room, guest())
    async with AsyncExitStack() as stack:
        if isinstance(ticket, JitsiTicket):
            elsewhere: JitsiTicket | ZoomTicket = JitsiTicket(ticket.server_url, other.name, "", ticket.token)
        else:
            theirs = ticket_of(world, other, guest())
            assert isinstance(theirs, ZoomTicket)
            elsewhere = replace(theirs, signature=ticket.signature)
        with pytest.raises((XmppError, JoinRefused)):
            await world.enter(stack, elsewhere)
        world.go_on(7_300)
        with pytest.raises((XmppError, JoinRefused)):
            await world.enter(stack, ticket)


async def test_no_ticket_is_made_once_the_exam_and_its_grace_are_over(world: World) -> None:
    if world.name == "builtin":
        pytest.skip("the page's own link is the ticket")
    room = RoomHandle(new_room_name(), "Room 1")
    with pytest.raises(ProviderRefused, match="over"):
        world.provider.ticket(room, guest(life=timedelta(seconds=-1)))


async def test_an_exam_of_many_days_gives_tickets_of_two(world: World) -> None:
    """No token lives longer than 48 h; the next join brings the next one."""
    room = await world.provider.open_room(spec())
    world.provider.ticket(room, guest(life=timedelta(days=3650)))


@pytest.mark.spec("live-proctoring", 24)
async def test_each_client_gets_the_address_in_the_form_it_can_read(world: World) -> None:
    if world.name in {"builtin", "zoom"}:
        pytest.skip("no address, or the same for all")
    ticket = ticket_of(world, RoomHandle(new_room_name(), "Room 1"), guest())
    assert isinstance(ticket, JitsiTicket)
    assert ticket.server_for(OsFamily.IOS).startswith("http")
    assert "://" not in ticket.server_for(OsFamily.WINDOWS)


async def test_identities_are_opaque_and_steady(world: World) -> None:
    if world.name == "builtin":
        pytest.skip("nobody else hears them")
    room = RoomHandle(new_room_name(), "Room 1")
    first = world.provider.identity_of(room, "17")
    assert first == world.provider.identity_of(room, "17") != world.provider.identity_of(room, "18")
    assert first != "17"


async def test_who_comes_and_goes_is_reported(world: World) -> None:
    """By the service itself, with the identity of the ticket."""
    if world.name == "builtin":
        with pytest.raises(NotAllowed):
            world.provider.read_webhook({}, b"{}")
        return
    assert Feature.REPORTS_PRESENCE in world.provider.features
    room = await world.provider.open_room(spec())
    async with AsyncExitStack() as stack:
        await world.enter(stack, ticket_of(world, room, guest()))
    await world.drain()
    inbox = Inbox()
    read = [world.provider.read_webhook(*raw) for raw in world.received.raw]
    assert not [e for e in read if isinstance(e, Challenge)]
    read = [e for e in read if isinstance(e, ProviderEvent)]
    events = sorted((e for e in read if inbox.take(e)), key=lambda e: list(Presence).index(e.kind))
    ours = [
        (e.kind, e.identity)
        for e in events
        if e.room == room.name and e.kind in {Presence.JOINED, Presence.LEFT}
    ]
    who = world.provider.identity_of(room, "17")
    assert (Presence.JOINED, who) in ours or (Presence.LEFT, who) in ours
    everybodys = {Presence.ROOM_OPENED, Presence.ROOM_CLOSED, Presence.JOINED, Presence.LEFT}
    assert {e.kind for e in read} == everybodys
    assert not [e for e in read if inbox.take(e)], "repeated, they are no news"


async def test_reports_of_strangers_are_refused(world: World) -> None:
    if world.name == "builtin":
        pytest.skip("no reports")
    body = json.dumps({"event_name": "muc-room-created"}).encode()
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {EVENTS_SECRET}"},
        {"X-Jaas-Signature": "t=1,v1=AAAA"},
        {"X-Jaas-Signature": "nonsense"},
    ):
        with pytest.raises(NotAllowed):
            world.provider.read_webhook(headers, body)


async def test_a_room_of_an_impossible_name_is_refused_for_good(world: World) -> None:
    if world.name == "builtin":
        pytest.skip("any name will do")
    for name in ("short", "UPPER-CASE-ROOM-0001", "*", "room/../0123456789abc"):
        with pytest.raises(ProviderRefused):
            await world.provider.open_room(RoomSpec(name, "Room 1", 5))
        with pytest.raises(ProviderRefused):
            world.provider.ticket(RoomHandle(name, "Room 1"), guest())


# --- failures say what happens next ---


async def expect(raises: type[ProviderError], make: Awaitable[World]) -> None:
    provider = (await make).provider
    with pytest.raises(raises) as refused:
        await provider.check()
    assert EVENTS_SECRET not in refused.value.message


@pytest.mark.parametrize(
    ("mood", "raises"),
    [
        (Mood.JICOFO_DOWN, ProviderUnavailable),
        (Mood.OTHER_SECRET, ProviderCredentials),
        (Mood.OTHER_APP, ProviderCredentials),
        (Mood.AUTO_OWNER, ProviderRefused),
        (Mood.NOT_A_JITSI, ProviderRefused),
    ],
)
async def test_a_jitsis_failure_says_who_must_act(mood: Mood, raises: type[ProviderError]) -> None:
    async with AsyncExitStack() as stack:
        await expect(raises, _jitsi(stack, mood))


@pytest.mark.parametrize(
    ("mood", "raises"),
    [
        (JaasMood.DOWN, ProviderUnavailable),
        (JaasMood.UNKNOWN_KEY, ProviderCredentials),
        (JaasMood.OTHER_KEY, ProviderCredentials),
        (JaasMood.UNKNOWN_APP, ProviderCredentials),
    ],
)
async def test_a_jaas_failure_says_who_must_act(mood: JaasMood, raises: type[ProviderError]) -> None:
    async with AsyncExitStack() as stack:
        await expect(raises, _jaas(stack, mood))


@pytest.mark.parametrize(
    ("mood", "raises"),
    [
        (ZoomMood.PROXY_PAGE, ProviderUnavailable),
        (ZoomMood.WRONG_SECRET, ProviderCredentials),
        (ZoomMood.FEW_SCOPES, ProviderCredentials),
        (ZoomMood.BASIC_HOST, ProviderRefused),
    ],
)
async def test_a_zoom_failure_says_who_must_act(mood: ZoomMood, raises: type[ProviderError]) -> None:
    async with AsyncExitStack() as stack:
        await expect(raises, _zoom(stack, mood))


@pytest.mark.spec("live-proctoring", 25)
@pytest.mark.parametrize("make", [_jitsi, _jaas, _zoom])
async def test_a_server_that_is_gone_is_worth_another_try(
    make: Callable[[AsyncExitStack], Awaitable[World]],
) -> None:
    async with AsyncExitStack() as stack:
        world = await make(stack)
        room = await world.provider.open_room(spec())
        await world.stop()
        with pytest.raises(ProviderUnavailable):
            await world.provider.open_room(spec())
        with pytest.raises(ProviderUnavailable):
            await world.provider.close_room(room)


# --- reports: signatures, repetitions, disorder ---


def jaas_reader(at_ms: int) -> JaasProvider:
    settings = JaasSettings.of(jaas_values(events_secret=EVENTS_SECRET))
    return JaasProvider(settings, clock=SetClock(from_ms(at_ms)))


def report(**more: Any) -> bytes:
    found = {
        "idempotencyKey": "k1",
        "appId": APP_ID,
        "eventType": "PARTICIPANT_JOINED",
        "timestamp": 1_764_000_000_000,
        "fqn": f"{APP_ID}/0123456789abcdef0123456789abcdef",
        "data": {"id": "c17", "participantJid": "a@8x8.vc/1", "moderator": "false"},
    }
    return json.dumps(found | more).encode()


def signed(body: bytes, stamp: str) -> dict[str, str]:
    from invigilo.simulate.jaas import signature

    return {"x-jaas-signature": f"t={stamp}, v0=old, v1=AAAA,v1={signature(EVENTS_SECRET, stamp, body)}"}


@pytest.mark.parametrize("stamp", ["1764000000", "1764000000000"])
def test_a_signature_is_taken_in_seconds_and_milliseconds_and_any_of_several(stamp: str) -> None:
    body = report()
    event = jaas_reader(1_764_000_060_000).read_webhook(signed(body, stamp), body)
    assert event == ProviderEvent(
        Presence.JOINED, "0123456789abcdef0123456789abcdef", 1_764_000_000_000, "k1", "a@8x8.vc/1", "c17",
        is_moderator=False,
    )  # fmt: skip


def test_a_signed_report_cannot_be_changed_or_replayed_later() -> None:
    body = report()
    headers = signed(body, "1764000000")
    with pytest.raises(NotAllowed, match="not from"):
        jaas_reader(1_764_000_060_000).read_webhook(headers, body.replace(b"c17", b"c18"))
    with pytest.raises(NotAllowed, match="too old"):
        jaas_reader(1_764_000_000_000 + 301_000).read_webhook(headers, body)
    with pytest.raises(NotAllowed, match="too old"):
        jaas_reader(1_764_000_000_000 - 301_000).read_webhook(headers, body)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"[" * 50_000, b"\xff", report(timestamp="soon"), report(timestamp=-1), report(timestamp=True),
     report(idempotencyKey=None), report(timestamp=10**30), b"{}" + b" " * 70_000],
)  # fmt: skip
def test_a_report_that_cannot_be_read_is_bad_input_and_no_crash(body: bytes) -> None:
    with pytest.raises(BadInput):
        jaas_reader(1_764_000_060_000).read_webhook(signed(body, "1764000000"), body)


@pytest.mark.parametrize(
    "more",
    [{"eventType": "RECORDING_STARTED"}, {"fqn": "vpaas-magic-cookie-other/0123456789abcdef"}, {"fqn": f"{APP_ID}/x"},
     {"data": {"isBreakout": True}}, {"fqn": 7}],
)  # fmt: skip
def test_a_report_about_something_else_is_nothing(more: dict[str, Any]) -> None:
    body = report(**more)
    assert jaas_reader(1_764_000_060_000).read_webhook(signed(body, "1764000000"), body) is None


def test_a_left_that_overtakes_its_joined_stays_left() -> None:
    inbox = Inbox()

    def event(kind: Presence, at: int, key: str, who: str = "a") -> ProviderEvent:
        return ProviderEvent(kind, "r" * 16, at, key, who)

    assert inbox.take(event(Presence.LEFT, 2_000, "2"))
    assert not inbox.take(event(Presence.JOINED, 1_000, "1"))
    assert not inbox.take(event(Presence.LEFT, 2_000, "2"))
    assert not inbox.take(event(Presence.JOINED, 2_000, "3"))
    assert inbox.take(event(Presence.JOINED, 1_000, "4", who="b"))


def test_each_described_service_has_its_provider() -> None:
    made = {
        "builtin": provider_from("builtin", {}, clock=SystemClock()),
        "jitsi": provider_from("jitsi", jitsi_values(), clock=SystemClock()),
        "jaas": provider_from("jaas", jaas_values(), clock=SystemClock()),
        "zoom": provider_from("zoom", zoom_values(), clock=SystemClock()),
    }
    assert made.keys() == DESCRIPTIONS.keys()
    assert {name: provider.features for name, provider in made.items()} == {
        name: one.features for name, one in DESCRIPTIONS.items()
    }
