"""The command `invigilo demo`: a whole running exam on this machine, from an empty folder to a live wall.

The server runs as its own process, exactly as `invigilo serve` does, and is started again when it dies: so a demo also
shows what a crash in the middle of an exam looks like. The candidates are simulated in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from invigilo.accounts.service import Accounts
from invigilo.app import bind
from invigilo.clock import Clock, SystemClock
from invigilo.commands import say
from invigilo.declared import apply_text
from invigilo.errors import BadInput
from invigilo.exam_api.wire import DISCOVERY
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import Exam, Service
from invigilo.proctoring.definitions import ServiceDefinitions
from invigilo.proctoring.model import DefinitionWish, HolderKind
from invigilo.providers.registry import offer
from invigilo.sebconfig.connection_file import ConnectionFile, connection_file_bytes
from invigilo.sebconfig.container import Purpose
from invigilo.settings import Settings
from invigilo.simulate.jitsi import JitsiStandIn, Reports, jitsi_stand_in
from invigilo.simulate.jitsi_rules import Deployment
from invigilo.simulate.life import eventful_lives
from invigilo.simulate.run import SimulateOptions, simulate
from invigilo.simulate.zoom import ZoomStandIn, zoom_stand_in
from invigilo.simulate.zoom_rules import Seed, User
from invigilo.storage.opening import Storage, open_storage
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.queries import proctoring as proctoring_queries

FIRST_PORT = 8080
PORTS_TRIED = 50
ARRIVAL_TIME = 20.0  # seconds over which the candidates arrive
READY_WITHIN = 30.0  # seconds
LINK_LASTS = timedelta(hours=12)
EXAM = "Linear Algebra"
CLIENT_ID = "demo-lab"
STAND_IN = {"jitsi": "Jitsi stand-in", "zoom": "Zoom stand-in"}
SPARE_HOSTS = 2
"""Of the Zoom stand-in: for candidates who come back on another machine, and rooms somebody adds."""


@dataclass(frozen=True, slots=True)
class Person:
    username: str
    name: str
    role: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(9), repr=False)


def people() -> list[Person]:
    """Their passwords are new for every demo: an open port with known sign-ins is nobody's wish, even here."""
    return [
        Person("grace", "Grace Hopper", "exam_admin"),
        Person("ada", "Ada Lovelace", "exam_supporter"),
        Person("alan", "Alan Turing", "exam_supporter"),
    ]


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.candidates < 0 or arguments.room_size < 1:
        raise BadInput("A demo needs --candidates of at least 0 and a --room-size of at least 1.")
    host = settings.host
    port = arguments.port if arguments.port is not None else free_port(host)
    if arguments.port is not None:
        bind(host, port).close()  # raises when another program has it
    if arguments.data_dir or arguments.database_url:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return asyncio.run(_demo(arguments, settings, settings.data_dir, host, port))
    folder = Path(tempfile.mkdtemp(prefix="invigilo-demo-"))
    try:
        return asyncio.run(_demo(arguments, settings, folder, host, port))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port(host: str) -> int:
    """8080, or the next one that nobody listens on. Raises BadInput when fifty are taken."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with contextlib.suppress(BadInput):
            bind(host, port).close()
            return port
    raise BadInput(
        f"Ports {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} are all taken. Name one with --port."
    )


def declared(persons: list[Person], room_size: int, client_secret: str) -> str:
    """The set-up as `invigilo apply` takes it."""
    now = datetime.now(UTC)
    lines = ["[[institution]]", 'name = "Example University"']
    for person in persons:
        lines += [
            "[[institution.user]]",
            f"username = {json.dumps(person.username)}",
            f"name = {json.dumps(person.name)}",
            f"role = {json.dumps(person.role)}",
            f"password = {json.dumps(person.password)}",
        ]
    supporters = [person.username for person in persons if person.role == "exam_supporter"]
    lines += [
        "[[institution.configuration]]",
        'name = "Computer rooms"',
        'description = "SEB settings for the exams of this demo"',
        "[[institution.exam]]",
        f"name = {json.dumps(EXAM)}",
        f"start = {json.dumps((now - timedelta(minutes=10)).isoformat(timespec='seconds'))}",
        f"end = {json.dumps((now + timedelta(hours=12)).isoformat(timespec='seconds'))}",
        'url = "https://lms.example.org/mod/quiz/view.php?id=88"',
        f"supporters = {json.dumps(supporters)}",
        'configuration = "Computer rooms"',
        "[institution.exam.proctoring]",
        "enabled = true",
        'service = "builtin"',
        f"collecting_room_size = {room_size}",
        "[[institution.connection]]",
        'name = "Demo lab"',
        f"client_id = {json.dumps(CLIENT_ID)}",
        f"client_secret = {json.dumps(client_secret)}",
        "ping_interval = 1000",
    ]
    return "\n".join(lines) + "\n"


async def _prepare(
    arguments: argparse.Namespace,
    settings: Settings,
    folder: Path,
    url: str,
    persons: list[Person],
    meeting: StandIn | None = None,
) -> tuple[Path, str]:
    """Set up the database; returns the connection file and the path that signs the first proctor in."""
    clock = SystemClock()
    client_secret = secrets.token_urlsafe(18)
    storage = await open_storage(_settings_in(settings, folder), clock=clock)
    try:
        await apply_text(declared(persons, arguments.room_size, client_secret), storage, clock)
        async with storage.reading() as w:
            configurations = [c for c, _ in await exam_queries.all_configurations(w.db)]
            exams = await exam_queries.all_exams(w.db)
        configuration = next(c for c in configurations if c.client_id == CLIENT_ID)
        exam = max((e for e in exams if e.name == EXAM), key=lambda e: e.id)
        if meeting is not None:
            await meet_at(meeting, exam, storage, clock, url=url)
        accounts = Accounts(work=storage.work, reading=storage.reading, clock=clock, session_hours=12)
        watcher = next(p for p in persons if p.role == "exam_supporter")
        token = await accounts.make_link(watcher.username, path=f"/monitoring/{exam.id}", lasts=LINK_LASTS)
    finally:
        await storage.close()
    file = ConnectionFile(
        server_url=url,
        institution_id=str(configuration.institution_id),
        client_id=CLIENT_ID,
        client_secret=client_secret,
        discovery_path=DISCOVERY,
        ping_interval=timedelta(milliseconds=configuration.ping_interval_ms),
        purpose=Purpose.START_EXAM,
    )
    path = folder / "demo.seb"
    path.write_bytes(connection_file_bytes(file))
    return path, f"/login/link/{token}"


StandIn = JitsiStandIn | ZoomStandIn


async def meet_at(meeting: StandIn, exam: Exam, storage: Storage, clock: Clock, *, url: str) -> int:
    """Enter the stand-in as an administrator would, and let the exam use it though nobody has tested it yet."""
    definitions = ServiceDefinitions(
        work=storage.work, reading=storage.reading, box=storage.box, clock=clock, offer=offer(clock)
    )
    service = Service.JITSI if isinstance(meeting, JitsiStandIn) else Service.ZOOM
    wish = DefinitionWish(name=STAND_IN[service.value], values=_values_of(meeting))
    async with storage.work() as w:
        made = await definitions.create_in(w, exam.institution_id, service, wish, by=None)
        holder = await proctoring_queries.holder(w.db, HolderKind.EXAM, exam.id, lock=True)
        assert holder is not None
        settings = replace(holder.settings, service=service, definition_id=made.id)
        await proctoring_queries.store(w.db, holder, settings, accepted=(clock.now(), "demo"))
        await directory_changed(w)
    address = f"{url}/hooks/{made.id}"
    if isinstance(meeting, JitsiStandIn):
        meeting.reports.url = address
    else:
        meeting.seed.hook_url = address
    return made.id


def _values_of(meeting: StandIn) -> dict[str, str]:
    """What an administrator would type."""
    if isinstance(meeting, JitsiStandIn):
        return {
            "server_url": meeting.url,
            "app_id": meeting.server.jwt_app_id,
            "app_secret": meeting.server.jwt_app_secret,
            "events_secret": meeting.reports.secret,
        }
    seed = meeting.seed
    return {
        "account_id": seed.account_id,
        "client_id": seed.client_id,
        "client_secret": seed.client_secret,
        "sdk_key": seed.sdk_key,
        "sdk_secret": seed.sdk_secret,
        "hosts": "\n".join(user.email for user in seed.users),
        "events_secret": seed.hook_secret,
        "oauth_base": meeting.url,
        "api_base": f"{meeting.url}/v2",
        "sdk_base": meeting.url,
        "web_base": meeting.url,
    }


@asynccontextmanager
async def zoom_account(arguments: argparse.Namespace) -> AsyncGenerator[ZoomStandIn | None]:
    """What plays Zoom: a Pro account with a host for every room."""
    if arguments.service != "zoom":
        yield None
        return
    rooms = -(-arguments.candidates // arguments.room_size) + SPARE_HOSTS
    seed = Seed(
        client_secret=secrets.token_urlsafe(18),
        sdk_secret=secrets.token_urlsafe(18),
        hook_secret=secrets.token_urlsafe(18),
        users=[User(f"zu{n}", f"exam{n}@example.org") for n in range(1, rooms + 1)],
    )
    async with zoom_stand_in(seed) as zoom:
        yield zoom


@asynccontextmanager
async def stand_in(arguments: argparse.Namespace) -> AsyncGenerator[JitsiStandIn | None]:
    """What plays the Jitsi, on this machine only; None for a demo that needs none."""
    if arguments.service != "jitsi":
        yield None
        return
    server = Deployment(jwt_app_id="demo", jwt_app_secret=secrets.token_urlsafe(24))
    async with jitsi_stand_in(server, reports=Reports(secret=secrets.token_urlsafe(24))) as jitsi:
        yield jitsi


def _settings_in(settings: Settings, folder: Path) -> Settings:
    return Settings(data_dir=folder, database_url=settings.database_url, secret_key=settings.secret_key)


async def _demo(arguments: argparse.Namespace, settings: Settings, folder: Path, host: str, port: int) -> int:
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}"
    async with stand_in(arguments) as jitsi, zoom_account(arguments) as zoom:
        return await _run(arguments, settings, folder, host, port, url, jitsi or zoom)


async def _run(
    arguments: argparse.Namespace,
    settings: Settings,
    folder: Path,
    host: str,
    port: int,
    url: str,
    meeting: StandIn | None,
) -> int:
    persons = people()
    file, link = await _prepare(arguments, settings, folder, url, persons, meeting)
    stop = asyncio.Event()
    _stop_on_signals(stop)
    if arguments.seconds is not None:
        asyncio.get_running_loop().call_later(arguments.seconds, stop.set)
    server = ServerProcess(_command(settings, folder, host, port), url)
    await server.start()
    watching = asyncio.create_task(server.keep(stop))
    try:
        _tell(arguments, url, link, persons, folder, meeting)
        ended_well = await _play(arguments, file, stop)
        await stop.wait()
    finally:
        stop.set()
        await watching
        await server.end()
    say("The demo has ended; nothing of it is left running.")
    return 0 if ended_well else 1


def _command(settings: Settings, folder: Path, host: str, port: int) -> list[str]:
    command = [sys.executable, "-m", "invigilo.cli", "serve", "--host", host, "--port", str(port)]
    command += [
        "--data-dir",
        str(folder),
        "--log-level",
        settings.log_level if settings.log_level != "info" else "warning",
    ]
    return command + (["--database-url", settings.database_url] if settings.database_url else [])


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, stop.set)


async def _play(arguments: argparse.Namespace, file: Path, stop: asyncio.Event) -> bool:
    """Let the candidates live until the end; False when not one got in."""
    count = arguments.candidates
    if not count:
        return True
    options = SimulateOptions(
        connection_file=file,
        candidates=count,
        camera=not arguments.no_cameras,
        rate=max(count / ARRIVAL_TIME, 0.1),
        client="mixed",
    )
    summary = await simulate(
        options, lambda line: say(f"  {line}"), stop=stop, lives=eventful_lives(count, seed=7)
    )
    say(str(summary))
    return summary.arrived > 0


def _tell(
    arguments: argparse.Namespace,
    url: str,
    link: str,
    persons: list[Person],
    folder: Path,
    meeting: StandIn | None,
) -> None:
    say()
    say(f"  {EXAM}: {arguments.candidates} candidates, rooms of {arguments.room_size}")
    say()
    say(f"  Watch     {url}{link}")
    say(f"            opens the monitoring page, signed in as {persons[1].name}")
    say()
    for person in persons:
        label = "Sign-ins" if person is persons[0] else ""
        say(f"  {label:9} {person.username:8} {person.password:16} {person.role.replace('_', ' ')}")
    say(f"  Server    {url}")
    say(
        f"  Folder    {folder}"
        + ("" if arguments.data_dir or arguments.database_url else "  (removed at the end)")
    )
    if meeting is not None:
        name = "Jitsi" if isinstance(meeting, JitsiStandIn) else "Zoom"
        say(f"  {name:9} {meeting.url}")
        real = "a Jitsi" if name == "Jitsi" else "Zoom"
        say(
            f"            a stand-in of ours, not {real}: its rooms, tokens and reports are as in the real one,"
        )
        say("            its video is one small picture a second. As grace, test or change it under")
        say(f"            {url}/services")
    elif not _has_network():
        say("  Note      no network interface: Chromium shows stills unless started with")
        say("            --allow-loopback-in-peer-connection")
    until = f"ends by itself after {arguments.seconds} s" if arguments.seconds is not None else "Ctrl-C"
    say(f"  End       {until}")
    say()


def _has_network() -> bool:
    """Whether any interface but loopback is up: without one a browser offers no address for video."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(
                ("192.0.2.1", 9)
            )  # a documentation address; connecting a datagram socket sends nothing
        except OSError:
            return False
    return True


class ServerProcess:
    """`invigilo serve` as a child of its own process group, so that Ctrl-C reaches it only through us."""

    def __init__(self, command: list[str], url: str) -> None:
        self._command = command
        self._url = url
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises BadInput with its own words when it does not."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + READY_WITHIN
        while not await asyncio.to_thread(self._answers):
            if self._process.returncode is not None:
                raise BadInput("The demo's server did not start; its own message stands above.")
            if time.monotonic() > deadline:
                await self.end()
                raise BadInput(f"The demo's server did not answer within {READY_WITHIN:.0f} s.")
            await asyncio.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with build_opener(ProxyHandler({})).open(f"{self._url}/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    async def keep(self, stop: asyncio.Event) -> None:
        """Until `stop`: when it dies, start it again on what is stored."""
        while not stop.is_set():
            assert self._process is not None
            death, end = asyncio.create_task(self._process.wait()), asyncio.create_task(stop.wait())
            await asyncio.wait({death, end}, return_when=asyncio.FIRST_COMPLETED)
            for task in (death, end):
                task.cancel()
            if stop.is_set():
                return
            say("  The server has died; starting it again on the same data.")
            await self.start()

    async def end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 12)
        except TimeoutError:
            process.kill()
            await process.wait()
