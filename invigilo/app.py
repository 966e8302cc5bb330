"""The one place where everything is built and joined.

`build` makes the parts and hands each what it needs; nothing is built at import. `serve` runs them under uvicorn. The
outermost ASGI application sends the exam API's paths to `exam_api` and everything else to the pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn

from invigilo.accounts.people import ACCOUNT_CHANGED, People
from invigilo.accounts.service import Accounts
from invigilo.accounts.tokens import ApiTokens
from invigilo.activity.reading import Activity
from invigilo.clock import Clock, SystemClock
from invigilo.configurations.connections import ConnectionConfigurations
from invigilo.configurations.service import Configurations
from invigilo.errors import BadInput, Unavailable
from invigilo.exam_api import wire
from invigilo.exam_api.v1 import ExamApi, Receive, Scope, Send
from invigilo.exams.directory import Directory, directory_changed
from invigilo.exams.model import Exam, JoinBy
from invigilo.exams.rosters import Rosters
from invigilo.exams.served import ServedFiles
from invigilo.exams.service import Exams
from invigilo.exams.templates import Templates
from invigilo.jobs import Jobs
from invigilo.monitoring.capability import capability_of, os_family
from invigilo.monitoring.desk import Desk
from invigilo.monitoring.duties import Duties
from invigilo.monitoring.event_index import EventIndex
from invigilo.monitoring.event_search import EventSearch
from invigilo.monitoring.live import LiveConnections
from invigilo.monitoring.model import Device, OsFamily
from invigilo.monitoring.notes import Notes
from invigilo.monitoring.records import Records
from invigilo.monitoring.service import Connections
from invigilo.monitoring.story import Stories
from invigilo.monitoring.truth import WayIn, way_in
from invigilo.monitoring.writer import Writer
from invigilo.proctoring.calls import Calls
from invigilo.proctoring.definitions import ServiceDefinitions
from invigilo.proctoring.meeting_hosts import MeetingHosts
from invigilo.proctoring.meetings import Meetings
from invigilo.proctoring.messages import Messages
from invigilo.proctoring.model import Holder, HolderKind
from invigilo.proctoring.service import Rooms
from invigilo.proctoring.settings import ProctoringSettingsService
from invigilo.proctoring.tending import Tending
from invigilo.providers.jitsi_tokens import new_room_name
from invigilo.providers.registry import Offer, ProviderOf, Registry, offer
from invigilo.rtc.hub import Hub
from invigilo.rtc.ice import IceServers
from invigilo.sebconfig.exam_settings import Platform
from invigilo.settings import Settings
from invigilo.storage.opening import Storage, open_storage
from invigilo.storage.work import Work
from invigilo.tls import check_tls
from invigilo.web.catalogue import Catalogue
from invigilo.web.parts import Site
from invigilo.web.render import Renderer
from invigilo.web.site import build_site
from invigilo.web.sockets import Sockets
from invigilo.web.stream import Stream

log = structlog.get_logger()

SHUTDOWN_GRACE = 5  # seconds open requests get to finish
KEEP_ALIVE = 75  # seconds; far above any ping interval, or clients reconnect for every ping


class App:
    """One node: all its parts, and the ASGI callable over them."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        clock: Clock | None = None,
        providers: ProviderOf | None = None,
        services: Offer | None = None,
    ) -> None:
        """`providers` in the place of the exams' own service definitions: for tests."""
        self.settings = settings
        self.storage = storage
        self.clock = clock or SystemClock()
        self.bus = storage.bus
        self.work, self.reading = storage.work, storage.reading
        self.ice = IceServers(
            stun_urls=settings.stun_urls,
            turn_urls=settings.turn_urls,
            turn_secret=settings.turn_secret.reveal() if settings.turn_secret else "",
            turn_lifetime=settings.turn_lifetime,
        )
        self.directory = Directory(self.reading, self.clock)
        self.meeting_hosts = MeetingHosts(work=self.work, reading=self.reading, box=storage.box, bus=self.bus)
        self.registry = Registry(self.directory, storage.box, self.clock, self.meeting_hosts.book_of)
        self.live = LiveConnections()
        self.writer = Writer(
            storage.urgent_work, self.clock, events_per_connection=settings.max_events_per_connection
        )
        self.connections = Connections(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            live=self.live,
            writer=self.writer,
            bus=self.bus,
            box=storage.box,
            clock=self.clock,
            urgent_work=storage.urgent_work,
        )
        self.records = Records(reading=self.reading, box=storage.box, clock=self.clock)
        self.event_search = EventSearch(reading=self.reading)
        self.event_index = EventIndex(storage.database, self.work, waiting=lambda: self.writer.waiting_events)
        self.rooms = Rooms(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            connections=self.connections,
            live=self.live,
            bus=self.bus,
            clock=self.clock,
            provider_of=providers or self.registry.provider_of,
            place_grace=settings.place_grace,
            new_name=new_room_name,
        )
        self.meetings = Meetings(
            directory=self.directory,
            rooms=self.rooms,
            live=self.live,
            clock=self.clock,
            provider_of=providers or self.registry.provider_of,
            page_of=self.registry.page_of,
            provider_by=self.registry.provider,
        )
        self.calls = Calls(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            rooms=self.rooms,
            clock=self.clock,
            provider_of=providers or self.registry.provider_of,
        )
        self.messages = Messages(
            work=self.work,
            reading=self.reading,
            directory=self.directory,
            rooms=self.rooms,
            live=self.live,
            bus=self.bus,
            clock=self.clock,
        )
        self.tending = Tending(
            directory=self.directory,
            rooms=self.rooms,
            meetings=self.meetings,
            hosts=self.meeting_hosts,
            provider_by=self.registry.provider,
            clock=self.clock,
        )
        self.connections.complete = self.meetings.complete
        self.connections.when_live = self.rooms.place
        self.connections.when_gone = self.rooms.free
        self.hub = Hub(
            bus=self.bus,
            clock=self.clock,
            ice=self.ice,
            exam_of=self._exam_of_connection,
            on_page=self._page_event,
        )
        self.desk = Desk(
            work=self.work,
            reading=self.reading,
            connections=self.connections,
            live=self.live,
            writer=self.writer,
            bus=self.bus,
            clock=self.clock,
        )
        self.notes = Notes(
            work=self.work, reading=self.reading, live=self.live, bus=self.bus, clock=self.clock
        )
        self.duties = Duties(
            work=self.work, reading=self.reading, live=self.live, bus=self.bus, clock=self.clock
        )
        self.stories = Stories(
            reading=self.reading, connections=self.connections, notes=self.notes, clock=self.clock
        )
        self.renderer = Renderer(Catalogue.load())
        self.stream = Stream(
            live=self.live,
            rooms=self.rooms,
            meetings=self.meetings,
            directory=self.directory,
            hub=self.hub,
            writer=self.writer,
            clock=self.clock,
            has_turn=self.ice.has_turn,
            desk=self.desk,
            notes=self.notes,
            duties=self.duties,
            renderer=self.renderer,
        )
        self.sockets = Sockets(
            hub=self.hub,
            connections=self.connections,
            rooms=self.rooms,
            calls=self.calls,
            messages_=self.messages,
            meetings=self.meetings,
            directory=self.directory,
            stream=self.stream,
            ice=self.ice,
            work=self.work,
            clock=self.clock,
            duties=self.duties,
            renderer=self.renderer,
        )
        self.messages.to_candidates = self.sockets.show_to_candidates
        self.messages.to_proctors = self.sockets.show_to_proctors
        self.live.on_change(self.sockets.on_connection_changed)
        self.accounts = Accounts(
            work=self.work, reading=self.reading, clock=self.clock, session_hours=settings.session_hours
        )
        self.bus.subscribe(ACCOUNT_CHANGED, self.accounts.forget)
        self.tokens = ApiTokens(work=self.work, reading=self.reading, clock=self.clock)
        self.activity = Activity(reading=self.reading)
        self.people = People(
            work=self.work,
            reading=self.reading,
            clock=self.clock,
            institutions_changed=directory_changed,
        )
        self.connection_configurations = ConnectionConfigurations(
            work=self.work,
            reading=self.reading,
            box=storage.box,
            clock=self.clock,
            changed=directory_changed,
        )
        self.services = ServiceDefinitions(
            work=self.work,
            reading=self.reading,
            box=storage.box,
            clock=self.clock,
            offer=services or offer(self.clock),
        )
        self.tending.remember = self.services.remember_entries
        self.proctoring = ProctoringSettingsService(
            work=self.work,
            reading=self.reading,
            clock=self.clock,
            rooms=self.rooms,
            definitions=self.services,
        )
        self.configurations = Configurations(work=self.work, reading=self.reading, clock=self.clock)
        self.exams = Exams(work=self.work, reading=self.reading, box=storage.box, clock=self.clock)
        self.templates = Templates(work=self.work, reading=self.reading, box=storage.box, clock=self.clock)
        self.rosters = Rosters(work=self.work, reading=self.reading, clock=self.clock)
        self.served_files = ServedFiles(work=self.work, reading=self.reading)
        self.configurations.when_published = self.exams.configuration_published
        self.proctoring.when_saved = self._proctoring_saved
        self.exam_api = ExamApi(
            connections=self.connections,
            directory=self.directory,
            work=self.work,
            reading=self.reading,
            box=storage.box,
            clock=self.clock,
            settings_of=self.settings_file,
            exam_url=self.exam_url,
            address_of=_address_of,
            base_url_of=self.base_url,
        )
        self.jobs = Jobs(
            bus=self.bus,
            work=self.work,
            directory=self.directory,
            live=self.live,
            connections=self.connections,
            rooms=self.rooms,
            calls=self.calls,
            messages=self.messages,
            hub=self.hub,
            stream=self.stream.run,
            keep_events_indexed=self.event_index.keep,
            tell_looking=self.duties.tell,
            tending=self.tending,
            clock=self.clock,
        )
        self.pages = build_site(self._site(), lifespan=self._lifespan)

    def _site(self) -> Site:
        return Site(
            accounts=self.accounts,
            tokens=self.tokens,
            people=self.people,
            services=self.services,
            proctoring=self.proctoring,
            activity=self.activity,
            connection_configurations=self.connection_configurations,
            configurations=self.configurations,
            exams=self.exams,
            templates=self.templates,
            rosters=self.rosters,
            connections=self.connections,
            records=self.records,
            event_search=self.event_search,
            desk=self.desk,
            notes=self.notes,
            duties=self.duties,
            stories=self.stories,
            rooms=self.rooms,
            calls=self.calls,
            messages=self.messages,
            meetings=self.meetings,
            directory=self.directory,
            writer=self.writer,
            hub=self.hub,
            stream=self.stream,
            sockets=self.sockets,
            work=self.work,
            reading=self.reading,
            box=self.storage.box,
            clock=self.clock,
            renderer=self.renderer,
            base_url=self.base_url,
            has_https=self.settings.tls_certificate is not None
            or (self.settings.public_url or "").startswith("https://"),
        )

    # --- life ---

    @asynccontextmanager
    async def _lifespan(self, _pages: Any) -> AsyncGenerator[None]:
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def start(self) -> None:
        await self.bus.start()
        await self.directory.reload()
        await self.connections.load_all()
        await self.rooms.load_all()
        await self.desk.load_all()
        await self.notes.load_all()
        await self.duties.load_all()
        await self.meeting_hosts.load()
        await self.writer.start()
        await self.jobs.start()

    async def stop(self) -> None:
        """Stop so that nothing accepted is lost: sockets, jobs, then the last batch, then the database."""
        await self.sockets.close_all()
        await self.jobs.stop()
        await self.rooms.stop()
        await self.writer.stop()
        await self.bus.stop()
        await self.storage.close()

    # --- the door ---

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("//"):
                path = "/" + path.lstrip("/")
            if path in wire.PATHS or path.startswith("/exam-api/"):
                await self.exam_api(scope, receive, send, path)
                return
        await self.pages(scope, receive, send)  # type: ignore[arg-type]

    # --- what parts ask the whole ---

    def _exam_of_connection(self, connection_id: int) -> int | None:
        live = self.live.by_id.get(connection_id)
        return live.exam_id if live is not None and live.state.is_open else None

    async def _proctoring_saved(self, w: Work, holder: Holder) -> None:
        if holder.kind is HolderKind.EXAM:
            await self.exams.proctoring_changed(w, holder.id)

    def _page_event(self, connection_id: int, what: str, details: dict[str, Any]) -> None:
        live = self.live.by_id.get(connection_id)
        if live is None or what != "watchers":
            return
        before, live.page.watchers = live.page.watchers, details["count"]
        if live.page.watchers == 0:
            live.page.watched_since = None
            live.page.last_frames_at = None
        elif before == 0:
            live.page.watched_since = self.clock.now_ms()
        if connection_id in self.hub.candidates:
            self.live.heard(live, "page")
        else:
            self.live.changed(live)  # its page, if any, is at another node, which tells of it

    def exam_url(self, exam: Exam, base_url: str, entry_key: str, device: Device) -> str:
        """The address a client opens as its start page: personal for one that uses our page (architecture.md §3).

        Where clients are called in, those that cannot come use the page. One that does not say yet what it is, is so old
        that it can (`simulate/profiles.py`: who sends its version late).
        """
        way = way_in(
            capability=capability_of(device.os_name, device.seb_version),
            join_by=exam.proctoring.join_by,
            service=exam.proctoring.service.value,
            provider_can=self.rooms.provider_is_native(exam),
        )
        is_called = exam.proctoring.join_by is JoinBy.NATIVE and self.rooms.provider_is_native(exam)
        by_page = way is not WayIn.NATIVE and not (is_called and device.seb_version is None)
        if exam.proctoring.enabled and by_page:
            return f"{base_url}/e/{entry_key}"
        return exam.url

    def base_url(self, scope: Scope) -> str:
        """Our address as the outside sees it: the setting, or what this client used."""
        if self.settings.public_url:
            return self.settings.public_url
        host = wire.header(scope["headers"], b"host")
        name = host.decode("latin-1") if host else f"{self.settings.host}:{self.settings.port}"
        return f"{scope['scheme']}://{name}"

    async def settings_file(self, exam: Exam, device: Device) -> bytes:
        """The exam's settings file for a client that says it is this."""
        can = capability_of(device.os_name, device.seb_version)
        platform = _PLATFORMS[os_family(device.os_name)]
        return await self.served_files.of(exam, platform, can_join_zoom=can.join_zoom)


_PLATFORMS = {
    OsFamily.WINDOWS: Platform.WINDOWS,
    OsFamily.MACOS: Platform.MACOS,
    OsFamily.IOS: Platform.IOS,
    OsFamily.UNKNOWN: None,
}


def _address_of(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


async def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    providers: ProviderOf | None = None,
    services: Offer | None = None,
) -> App:
    """Open (and migrate) the database and join the parts; nothing runs yet."""
    the_clock = clock or SystemClock()
    storage = await open_storage(settings, clock=the_clock)
    return App(settings, storage, clock=the_clock, providers=providers, services=services)


def bind(host: str, port: int) -> socket.socket:
    """Take the address. Raises BadInput when another program has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise BadInput(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with --host and --port.",
            field="port",
        ) from error
    listener.set_inheritable(True)
    return listener


async def run(settings: Settings, *, announce: bool = True, stop: asyncio.Event | None = None) -> int:
    """Serve until told to stop; prints one line when ready."""
    check_tls(settings)
    listener = bind(settings.host, settings.port)
    try:
        app = await build(settings)
    except BaseException:
        listener.close()
        raise
    tls = settings.tls_certificate is not None
    config = uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
        backlog=4096,
        ws_max_size=256 * 1024,
        ws_ping_interval=10,
        ws_ping_timeout=10,
        server_header=False,
        date_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies) or None,
        ssl_certfile=str(settings.tls_certificate) if tls else None,
        ssl_keyfile=str(settings.tls_key) if tls else None,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()

    def leave() -> None:
        server.should_exit = True

    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(name, leave)
    serving = asyncio.create_task(_serve_quietly(server, listener))
    while not server.started and not serving.done():  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.02)
    if server.started:
        gc.collect()
        gc.freeze()  # what was imported stays: a full collection that visits it costs 100 ms in which no ping is answered
    if server.started and announce:
        scheme = "https" if tls else "http"
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        here = f"{scheme}://{shown}:{port}"
        at = f"{settings.public_url}, listening on {here}" if settings.public_url else here
        print(f"Invigilo is ready at {at}", flush=True)  # noqa: T201
    if stop is not None:
        waiter = asyncio.create_task(stop.wait())
        await asyncio.wait({waiter, serving}, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        server.should_exit = True
    await serving
    return 0 if server.started else 1


async def _serve_quietly(server: uvicorn.Server, listener: socket.socket) -> None:
    """Signal handling of uvicorn's own would re-raise the signal after shutdown; ours is above."""
    with contextlib.suppress(asyncio.CancelledError, Unavailable):
        await server._serve(sockets=[listener])  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def serve(_arguments: object, settings: Settings) -> int:
    """The command: run under uvloop where it exists."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(run(settings))
    return uvloop.run(run(settings))
