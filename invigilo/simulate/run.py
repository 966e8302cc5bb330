"""A room full of simulated candidates, from the first arrival to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp

from invigilo.errors import BadInput, InvigiloError
from invigilo.sebconfig.connection_file import ConnectionFile, read_connection_file
from invigilo.simulate.camera import Camera, Mood
from invigilo.simulate.client import Counts, HandshakeFailed, SebClient
from invigilo.simulate.life import Deed, Life, Moment, ordinary_lives
from invigilo.simulate.names import name_of
from invigilo.simulate.network import Network
from invigilo.simulate.page import (
    CandidatePage,
    PageCounts,
    is_loopback,
    limit_video,
    use_loopback,
)
from invigilo.simulate.profiles import NEWEST, Family, profile_of

Report = Callable[[str], None]

TRIES = 4
"""How often a candidate presses "retry" before giving up."""
TRY_AGAIN_AFTER = 3.0  # seconds
USER_AGAIN_AFTER = 2.0  # Windows repeats a refused user id for ever
STORIES_UP_TO = 50
"""With more candidates than this their single deeds are not reported."""
PROGRESS_EVERY = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    connection_file: Path
    server: str | None = None
    """Instead of the connection file's address."""
    password: str | None = None
    candidates: int = 1
    camera: bool = False
    rate: float = 2.0
    """Arrivals per second."""
    client: str = NEWEST
    seconds: float | None = None
    """How long each candidate stays; None is until the end."""
    log_lines: int = 40
    ping_interval: int | None = None
    """Milliseconds, instead of the connection file's."""
    exam: str | None = None
    seed: int = 0


@dataclass(slots=True)
class Summary:
    """What became of it; as text, a few lines to print."""

    candidates: int = 0
    arrived: int = 0
    connections: int = 0
    left: int = 0
    networks_lost: int = 0
    quit_by_server: int = 0
    hands: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])
    """Why candidates did not get in, and how many."""
    seb: Counts = field(default_factory=Counts)
    page: PageCounts = field(default_factory=PageCounts)
    seconds: float = 0.0

    @property
    def gave_up(self) -> int:
        return self.failures.total()

    def ping_ms(self, part: float) -> float:
        """The time below which this part of all pings was answered, in milliseconds."""
        times = sorted(self.seb.ping_ms)
        return times[min(int(len(times) * part), len(times) - 1)] if times else 0.0

    def __str__(self) -> str:
        seb, page = self.seb, self.page
        times = (
            f", median {statistics.median(seb.ping_ms):.1f} ms, p99 {self.ping_ms(0.99):.1f} ms"
            if seb.ping_ms
            else ""
        )
        came = f"{self.arrived} of {self.candidates} candidates got in ({self.connections} connections)"
        went = f"{self.left} left in between, {self.networks_lost} networks lost, {self.quit_by_server} ended by the server"
        pings = f"{seb.pings} pings ({seb.pings_failed} failed{times})"
        events = f"{seb.events} events ({seb.events_lost} lost)"
        lines = [
            f"{came} in {self.seconds:.0f} s; {went}.",
            f"SEB: {pings}, {events}, {self.hands} hands raised, {seb.instructions} instructions.",
        ]
        if page.opened:
            lines.append(
                f"Camera pages: {page.opened} opened, {page.reconnects} came back, {page.stills} stills, "
                f"{page.offers} offers, {page.videos} live videos, {page.errors} refused messages."
            )
        if page.called or page.spoken_to or page.messages:
            lines.append(
                f"Proctors called {page.called} times, spoke {page.spoken_to} times, wrote {page.messages} messages."
            )
        if page.meetings:
            lines.append(f"Meetings: {page.meetings} times a page was in one.")
        lines += [f"Not let in, {count} times: {reason}" for reason, count in self.failures.most_common()]
        return "\n".join(lines)


async def simulate(
    options: SimulateOptions,
    report: Report,
    *,
    stop: asyncio.Event | None = None,
    lives: Sequence[Life] | None = None,
) -> Summary:
    """Play all candidates until each has stayed its time, or until `stop`; cancelling ends it as cleanly.

    `lives` says what each candidate does, over and over if there are fewer lives than candidates.
    """
    return await Simulation(options, report, lives=lives).run(stop or asyncio.Event())


def read_file(options: SimulateOptions) -> ConnectionFile:
    try:
        data = options.connection_file.read_bytes()
    except OSError as error:
        raise BadInput(
            f"The connection file {options.connection_file} cannot be read: {error.strerror}.",
            field="connection",
        ) from error
    return read_connection_file(data, password=options.password)


class Simulation:
    """Holds the candidates while they are there, so that tests can look at them."""

    def __init__(
        self, options: SimulateOptions, report: Report, *, lives: Sequence[Life] | None = None
    ) -> None:
        if options.candidates < 1 or options.rate <= 0:
            raise BadInput("There must be one candidate at least, and a positive rate of arrival.")
        if options.server is not None and not options.server.startswith(("http://", "https://")):
            raise BadInput(
                f"The server {options.server} cannot be used: begin with http:// or https://, "
                "as in http://127.0.0.1:8080.",
                field="server",
            )
        self.options = options
        self.file = read_file(options)
        self.summary = Summary(candidates=options.candidates)
        chosen = lives or ordinary_lives(options.candidates, seed=options.seed)
        self.candidates = [
            Candidate(self, number, chosen[number % len(chosen)]) for number in range(options.candidates)
        ]
        self._report = report

    def tell(self, line: str) -> None:
        if self.options.candidates <= STORIES_UP_TO:
            self._report(line)

    async def run(self, stop: asyncio.Event) -> Summary:
        if is_loopback(self.options.server or self.file.server_url):
            use_loopback()
        limit_video()
        began = time.monotonic()
        tasks: list[asyncio.Task[None]] = []
        helpers = [asyncio.create_task(self._progress())]
        try:
            for number, candidate in enumerate(self.candidates):
                if await _within(stop.wait(), began + number / self.options.rate - time.monotonic()):
                    break
                tasks.append(asyncio.create_task(candidate.live()))
            await self._wait(tasks, stop)
        finally:
            for candidate in self.candidates:
                candidate.done.set()
            await _end(*helpers)
            await _end_gently(tasks)
            self.summary.seconds = time.monotonic() - began
        return self.summary

    async def _wait(self, tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        everyone = asyncio.gather(*tasks)
        try:
            await asyncio.wait({stopping, everyone}, return_when=asyncio.FIRST_COMPLETED)
            if everyone.done():
                everyone.result()
            else:
                for candidate in self.candidates:
                    candidate.done.set()
                await everyone
        finally:
            await _end(stopping)

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY)
            inside = sum(candidate.is_inside for candidate in self.candidates)
            pages = sum(candidate.has_page for candidate in self.candidates)
            videos = sum(candidate.videos for candidate in self.candidates)
            self._report(
                f"{inside} connected, {pages} camera pages, {videos} live videos, "
                f"{self.summary.seb.pings_failed} failed pings, {self.summary.gave_up} gave up"
            )


def why_not_in(error: Exception) -> str:
    """What stood between a candidate and the server, and what to do where that is known."""
    match error:
        case InvigiloError():
            return error.message
        case aiohttp.ClientConnectorCertificateError():
            return (
                f"The certificate of {error.host}:{error.port} is not trusted here. If it is your own, name its file in "
                "the environment variable SSL_CERT_FILE."
            )
        case aiohttp.ClientConnectorDNSError():
            return f"There is no machine called {error.host}. Check the address."
        case aiohttp.ClientConnectorSSLError():
            return (
                f"{error.host}:{error.port} speaks no https, or no version of TLS we know. Check the address."
            )
        case aiohttp.ClientConnectorError():
            return f"Nothing answers at {error.host}:{error.port} ({error.strerror}). Is the server running there?"
        case aiohttp.ServerDisconnectedError():
            return "The server closed the connection without an answer. If it speaks TLS, write https:// before its address."
        case TimeoutError():
            return "The server did not answer in time."
        case _:
            return str(error) or type(error).__name__


_SAID = {
    Deed.COVER_CAMERA: "covers the camera",
    Deed.FREEZE_PICTURE: "has a picture that stands still",
    Deed.CLEAR_PICTURE: "can be seen again",
    Deed.SILENCE: "has a microphone without sound",
    Deed.SOUND: "can be heard again",
}


class _End(StrEnum):
    """How one session of SEB came to its end."""

    DONE = "done"
    LEFT = "left"
    QUIT = "quit"


class Candidate:
    """One person with one machine: SEB, and the camera page inside it."""

    def __init__(self, simulation: Simulation, number: int, life: Life) -> None:
        options = simulation.options
        self.number = number
        self.life = life
        self.name = name_of(number)
        self.profile = profile_of(options.client, number)
        self.done = asyncio.Event()
        self.client: SebClient | None = None
        self.page: CandidatePage | None = None
        self.network: Network | None = None
        self._simulation = simulation
        self._options = options
        self._summary = simulation.summary
        self._camera: Camera | None = None
        self._began = 0.0
        self._has_been_in = False

    @property
    def is_inside(self) -> bool:
        return self.client is not None

    @property
    def has_page(self) -> bool:
        return self.page is not None and self.page.is_connected.is_set()

    @property
    def videos(self) -> int:
        peers = [] if self.page is None else list(self.page.peers.values())
        return sum(peer.connectionState == "connected" for peer in peers)

    @property
    def machine(self) -> str:
        base = {Family.WINDOWS: "LAB-", Family.MACOS: "iMac-", Family.IOS: "iPad "}[self.profile.family]
        return f"{base}{self.number + 1:02d}"

    async def live(self) -> None:
        """Arrive, work, leave and come back as the life says; the last thing said is SEB's goodbye."""
        self._began = time.monotonic()
        loop = asyncio.get_running_loop()
        over = (
            None if self._options.seconds is None else loop.call_later(self._options.seconds, self.done.set)
        )
        moments = self.life.moments()
        try:
            async with Network() as self.network:
                while await self._enter_and_stay(self.network, moments) is _End.LEFT:
                    self._summary.left += 1
                    self._tell("closed SEB")
                    if await self._is_over_before_return(moments):
                        return
        finally:
            self.network = None
            if over is not None:
                over.cancel()

    async def _enter_and_stay(self, network: Network, moments: Iterator[Moment]) -> _End:
        client = await self._enter(network)
        if client is None:
            return _End.DONE
        self.client = client
        if not self._has_been_in:
            self._has_been_in = True
            self._summary.arrived += 1
        self._summary.connections += 1
        self._tell(f"is in, with {self.profile.name}")
        try:
            async with client.working(log_lines=self._options.log_lines):
                return await self._stay(client, network, moments)
        finally:
            self.client = None
            network.join()
            await client.goodbye()

    async def _enter(self, network: Network) -> SebClient | None:
        """The handshake, tried again as a person would; None when nothing helped."""
        reason = ""
        for number in range(TRIES):
            if number and await _within(self.done.wait(), TRY_AGAIN_AFTER):
                return None
            client = self._new_client(network)
            try:
                await client.connect()
            except (HandshakeFailed, aiohttp.ClientError, TimeoutError, OSError) as error:
                before, reason = reason, why_not_in(error)
                if reason != before:
                    self._tell(f"is not let in: {reason}")
                with contextlib.suppress(KeyError):
                    await client.goodbye()
            else:
                return client
        self._summary.failures[reason] += 1
        return None

    def _new_client(self, network: Network) -> SebClient:
        interval = self._options.ping_interval
        return SebClient(
            self.profile,
            self._simulation.file,
            network,
            user=self.name,
            machine=self.machine,
            server=self._options.server,
            exam=self._options.exam,
            ping_interval=None if interval is None else interval / 1000,
            settings_password=self._options.password,
            counts=self._summary.seb,
        )

    async def _stay(self, client: SebClient, network: Network, moments: Iterator[Moment]) -> _End:
        async with self._at_the_page(client, network) as page:
            ends = {
                asyncio.create_task(_after(self.done.wait(), _End.DONE)),
                asyncio.create_task(_after(client.quit.wait(), _End.QUIT)),
                asyncio.create_task(self._play(client, network, moments)),
            }
            helper = asyncio.create_task(self._settle_in(client, page))
            try:
                finished, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                end = finished.pop().result()
            finally:
                await _end(helper, *ends)
        if end is _End.QUIT:
            self._summary.quit_by_server += 1
            self._tell("was sent home by the server")
        return end

    @asynccontextmanager
    async def _at_the_page(self, client: SebClient, network: Network) -> AsyncGenerator[CandidatePage | None]:
        """The browser inside SEB; only an exam with our camera page has one."""
        if not self._options.camera or not CandidatePage.is_entry(client.url):
            yield None
            return
        if self._camera is None:
            seed = self._options.seed + self.number
            self._camera = Camera(self.name, seed, mood=self.life.mood)
        page = CandidatePage(client.url, self._camera, network, counts=self._summary.page)
        task = asyncio.create_task(page.run())
        self.page = page
        try:
            yield page
        finally:
            self.page = None
            await _end(task)

    async def _settle_in(self, client: SebClient, page: CandidatePage | None) -> None:
        """The exam's site learns who this is, then the candidate begins."""
        known_after, begins_after = self.life.settles_in()
        await asyncio.sleep(known_after)
        while True:
            try:
                await client.identify()
                break
            except (HandshakeFailed, aiohttp.ClientError, TimeoutError, OSError):
                if not self.profile.is_windows:
                    break  # treated as success (§2.11)
                await asyncio.sleep(USER_AGAIN_AFTER)
        client.start_pings()
        await asyncio.sleep(begins_after)
        if page is not None:
            await page.open_exam()

    # --- deeds ---

    async def _play(self, client: SebClient, network: Network, moments: Iterator[Moment]) -> _End:
        """Do what the life says; ends when the candidate leaves."""
        while True:
            moment = next(moments)
            await asyncio.sleep(self._until(moment))
            if moment.deed in {Deed.LEAVE, Deed.CRASH}:
                client.has_crashed = moment.deed is Deed.CRASH
                return _End.LEFT
            await self._do(moment, client, network)

    async def _do(self, moment: Moment, client: SebClient, network: Network) -> None:
        match moment.deed:
            case Deed.SAY:
                client.say(moment.text)
            case Deed.BATTERY:
                client.report_battery(moment.value)
            case Deed.WLAN:
                client.report_wlan(moment.value)
            case Deed.RAISE_HAND:
                if client.raise_hand(moment.text):
                    self._summary.hands += 1
                    self._tell("raises a hand")
            case Deed.LOWER_HAND:
                client.lower_hand()
            case Deed.LOSE_NETWORK:
                self._summary.networks_lost += 1
                self._tell("lost the network")
                await network.lose()
            case Deed.FIND_NETWORK:
                network.join()
                self._tell("has the network back")
            case Deed.LOCK:
                if client.lock_by_itself("A forbidden program was started."):
                    self._tell("is locked by SEB")
            case Deed.UNLOCK:
                client.unlock_by_itself()
            case Deed.LEAVE | Deed.RETURN | Deed.CRASH:
                pass
            case _:
                await self._at_camera(moment.deed)

    async def _at_camera(self, deed: Deed) -> None:
        """What happens to camera and microphone; without a camera page there are none."""
        if self.page is None:
            return
        match deed:
            case Deed.COVER_CAMERA:
                await self.page.set_mood(Mood.BLACK)
            case Deed.FREEZE_PICTURE:
                await self.page.set_mood(Mood.FROZEN)
            case Deed.CLEAR_PICTURE:
                await self.page.set_mood(Mood.OK)
            case _:
                await self.page.set_silent(deed is Deed.SILENCE)
        self._tell(_SAID[deed])

    async def _is_over_before_return(self, moments: Iterator[Moment]) -> bool:
        """What would have happened meanwhile does not: nobody is there."""
        moment = next(moment for moment in moments if moment.deed is Deed.RETURN)
        if await _within(self.done.wait(), self._until(moment)):
            return True
        self._tell("comes back")
        return False

    def _until(self, moment: Moment) -> float:
        return max(self._began + moment.at - time.monotonic(), 0)

    def _tell(self, what: str) -> None:
        self._simulation.tell(f"{self.name} {what}")


async def _after(event: Coroutine[Any, Any, Any], end: _End) -> _End:
    await event
    return end


async def _within(event: Coroutine[Any, Any, Any], seconds: float) -> bool:
    """Whether it came in time."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            await event
    except TimeoutError:
        return False
    return True


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end_gently(tasks: Sequence[asyncio.Task[Any]], *, within: float = 5.0) -> None:
    """Time for the goodbyes, then no more."""
    if tasks:
        await asyncio.wait(tasks, timeout=within)
    await _end(*tasks)
