"""The real server inside a test: real sockets, real database, the real application; and raw requests to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from sqlalchemy.engine import make_url

from invigilo.app import KEEP_ALIVE, App, bind, build
from invigilo.clock import Clock, SystemClock
from invigilo.declared import apply_text
from invigilo.providers.registry import Offer, ProviderOf
from invigilo.settings import Settings
from invigilo.storage.opening import open_storage

SET_UP = """
[[institution]]
name = "Example University"

[[institution.user]]
username = "ada"
role = "exam_supporter"
password = "correct horse battery staple"

[[institution.user]]
username = "grace"
role = "exam_admin"
password = "correct horse battery staple"

[[institution.exam]]
name = "Linear Algebra"
start = "2026-01-01T08:00:00Z"
end = "2036-01-01T12:00:00Z"
url = "https://lms.example.org/mod/quiz/view.php?id=88"
supporters = ["ada"]
[institution.exam.proctoring]
enabled = true
service = "builtin"
collecting_room_size = 5

[[institution.connection]]
name = "Lab PCs"
client_id = "lab-pcs"
client_secret = "0123456789abcdef"
"""
PASSWORD = "correct horse battery staple"
BASIC = "Basic bGFiLXBjczowMTIzNDU2Nzg5YWJjZGVm"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server; `app` is its inside, for looking, never for acting."""

    app: App
    port: int
    session: aiohttp.ClientSession
    uvicorn: uvicorn.Server
    task: asyncio.Task[None]
    bearers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | str | None = None,
    ) -> Answer:
        """Exactly these headers and bytes; nothing is added but Host and Content-Length."""
        data = body.encode() if isinstance(body, str) else body
        async with self.session.request(
            method,
            self.url + path,
            headers=headers or {},
            data=data,
            skip_auto_headers={"Content-Type", "User-Agent", "Accept", "Accept-Encoding"},
            allow_redirects=False,
        ) as response:
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, await response.read())

    async def bearer(self, basic: str = BASIC) -> str:
        answer = await self.request(
            "POST",
            "/oauth/token",
            headers={"Authorization": basic},
            body="grant_type=client_credentials&scope=read write",
        )
        assert answer.status == 200, answer.body
        return f"Bearer {answer.json['access_token']}"

    async def institution(self) -> str:
        return str(next(iter(self.app.directory.institutions)))

    async def exam_id(self) -> str:
        return str(next(iter(self.app.directory.exams)))

    async def create(self, bearer: str, body: str = "") -> Answer:
        form = f"institutionId={await self.institution()}" + (f"&{body}" if body else "")
        return await self.request("POST", "/exam-api/v1/handshake", headers=form_headers(bearer), body=form)

    async def connect(self, body: str = "") -> SebWire:
        bearer = await self.bearer()
        answer = await self.create(bearer, body)
        assert answer.status == 200, answer.body
        return SebWire(self, bearer, answer.headers["sebconnectiontoken"], answer)

    async def ready(self, body: str = "") -> SebWire:
        """A connection after the handshake of Windows 3.9 and later, without a user."""
        wire = await self.connect(body)
        assert (await wire.configuration()).status == 200
        assert (await wire.put("")).status == 200
        return wire

    async def stop(self) -> None:
        self.uvicorn.should_exit = True
        await self.task


@dataclass
class SebWire:
    """One connection, step by step, byte for byte."""

    server: Server
    bearer: str
    token: str
    created: Answer

    def headers(self, kind: str | None = "application/x-www-form-urlencoded") -> dict[str, str]:
        found = {"Authorization": self.bearer, "SEBConnectionToken": self.token}
        return found | ({"Content-Type": kind} if kind else {})

    async def configuration(self, exam: str | None = "") -> Answer:
        if exam == "":
            exam = await self.server.exam_id()
        query = "" if exam is None else f"?examId={exam}"
        return await self.server.request("GET", f"/exam-api/v1/examconfig{query}", headers=self.headers(None))

    async def patch(self, body: str) -> Answer:
        return await self.server.request("PATCH", "/exam-api/v1/handshake", headers=self.headers(), body=body)

    async def put(self, body: str | None) -> Answer:
        kind = None if not body else "application/x-www-form-urlencoded"
        return await self.server.request(
            "PUT", "/exam-api/v1/handshake", headers=self.headers(kind), body=body or None
        )

    async def delete(self, body: str | None = "delete=true") -> Answer:
        return await self.server.request(
            "DELETE", "/exam-api/v1/handshake", headers=self.headers(), body=body
        )

    async def ping(self, number: int = 1, confirm: str | None = None) -> Answer:
        body = f"timestamp=1764064800123&ping-number={number}"
        if confirm is not None:
            body += f"&instruction-confirm={confirm}"
        return await self.server.request("POST", "/exam-api/v1/sebping", headers=self.headers(), body=body)

    async def told(self) -> dict[str, Any]:
        """The instruction of the first ping from now on that carries one: what was asked for has been stored, but a page
        may hear of it a moment before this client's queue.
        """
        async with asyncio.timeout(40):
            while (answer := await self.ping()).status != 200:
                await asyncio.sleep(0.02)
            return answer.json

    async def log(self, event: dict[str, Any] | bytes) -> Answer:
        body = event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False).encode()
        headers = self.headers("application/json;charset=UTF-8")
        return await self.server.request("POST", "/exam-api/v1/seblog", headers=headers, body=body)

    @property
    def live(self) -> Any:
        from invigilo.secrets_box import digest

        return self.server.app.live.by_token_hash[digest(self.token)]


def form_headers(bearer: str) -> dict[str, str]:
    return {"Authorization": bearer, "Content-Type": "application/x-www-form-urlencoded"}


def settings_for(folder: Path, url: str | None = None, **more: Any) -> Settings:
    return Settings(data_dir=folder, database_url=url, port=0, **more)


_made: dict[str, dict[str, bytes]] = {}
"""Data folders set up before in this process, by set-up: migrating and hashing passwords costs more than most tests."""


async def set_up(folder: Path, url: str | None = None, text: str = SET_UP) -> None:
    """Apply a set-up; a fresh SQLite folder gets copies of the files that the same set-up made before."""
    is_fresh = url is None and not _files(folder)
    if is_fresh and text in _made:
        _write(folder, _made[text])
        return
    storage = await open_storage(settings_for(folder, url), clock=SystemClock())
    await apply_text(text, storage, SystemClock())
    await storage.close()
    if is_fresh:
        _made[text] = _files(folder)


def _files(folder: Path) -> dict[str, bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)


@asynccontextmanager
async def running(
    folder: Path,
    *,
    url: str | None = None,
    text: str | None = SET_UP,
    clock: Clock | None = None,
    providers: ProviderOf | None = None,
    services: Offer | None = None,
    **settings: Any,
) -> AsyncIterator[Server]:
    """Set up and start; stop at the end."""
    if text is not None:
        await set_up(folder, url, text)
    app = await build(
        settings_for(folder, url, **settings), clock=clock, providers=providers, services=services
    )
    app.connections.ping_waits = 30  # on a busy machine too a ping carries what it is to carry
    app.calls.opens_within = 30  # and whoever opens a call hears what became of it
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(
        app, http="httptools", ws="websockets-sansio", lifespan="on", log_config=None, access_log=False,
        timeout_graceful_shutdown=2, ws_max_size=256 * 1024, server_header=False, date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets=[listener]))
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        running_server = Server(app, listener.getsockname()[1], session, server, task)
        try:
            yield running_server
        finally:
            if not task.done():
                await running_server.stop()
            listener.close()


def database_name(url: str) -> str:
    return make_url(url).database or ""
