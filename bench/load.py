"""The load generator: raw sockets and requests made beforehand, in a process of its own.

`python -m bench.load` reads one job as JSON from its standard input and prints the result as JSON. Any HTTP client in Python
costs more than the server does per request, so none is used: an answer is read only as far as its end must be found.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from bench import machine

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def request(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def ping_request(port: int, bearer: str, token: str, number: int = 1) -> bytes:
    headers = {
        "Authorization": f"Bearer {bearer}",
        "SEBConnectionToken": token,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return request(
        port,
        "POST",
        "/exam-api/v1/sebping",
        headers,
        f"timestamp=1764064800123&ping-number={number}".encode(),
    )


class Wire(asyncio.Protocol):
    """One keep-alive connection; `answered` is called with status and bytes at the end of each answer."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.pieces = b""
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_lost = True

    def data_received(self, data: bytes) -> None:
        if self.pieces:
            data = self.pieces + data
        if data[9:12] == b"204" and data.endswith(b"\r\n\r\n"):  # a ping's answer, nearly always
            self.pieces = b""
            self.answered(204, data)
            return
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end + 2) if end >= 0 else None
        if end < 0 or len(data) < end + 4 + (int(length[1]) if length else 0):
            self.pieces = data
            return
        self.pieces = b""
        self.answered(int(data[9:12]), data)

    def answered(self, status: int, data: bytes) -> None:
        raise NotImplementedError


# --- as fast as the server answers ---


class Hammer(Wire):
    """Sends the next request as soon as the last is answered."""

    def __init__(self, requests: Iterator[bytes], count: Counter[int]) -> None:
        super().__init__()
        self.requests = requests
        self.count = count
        self.goes_on = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(next(self.requests))

    def answered(self, status: int, _data: bytes) -> None:
        self.count[status] += 1
        if self.goes_on:
            self.transport.write(next(self.requests))


async def hammer(job: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    requests = itertools.cycle([ping_request(job["port"], job["bearer"], token) for token in job["tokens"]])
    count: Counter[int] = Counter()
    own = time.process_time()
    began = time.perf_counter()
    wires: list[Hammer] = []
    for _ in range(job["sockets"]):
        _, wire = await loop.create_connection(lambda: Hammer(requests, count), "127.0.0.1", job["port"])
        wires.append(wire)
    await asyncio.sleep(job["seconds"])
    seconds = time.perf_counter() - began
    answers = sum(count.values())
    for wire in wires:
        wire.goes_on = False
    await asyncio.sleep(0.05)
    return {
        "answers": answers,
        "all_answers": sum(count.values()),
        "seconds": seconds,
        "statuses": dict(count),
        "lost": sum(wire.is_lost for wire in wires),
        "own_core": (time.process_time() - own) / seconds,
    }


# --- at the pace of real clients ---


class Client(Wire):
    """Pings every `every` seconds over a connection of its own, and times each answer."""

    def __init__(self, ping: bytes, times: list[tuple[float, float]], count: Counter[int]) -> None:
        super().__init__()
        self.ping = ping
        self.times = times
        self.count = count
        self.sent_at = 0.0

    def answered(self, status: int, _data: bytes) -> None:
        now = time.perf_counter()
        self.times.append((now, now - self.sent_at))
        self.count[status] += 1
        self.sent_at = 0.0

    async def live(self, first: float, every: float, until: float, late: list[float]) -> None:
        due = first
        while due < until:
            await asyncio.sleep(due - time.perf_counter())
            if self.is_lost:
                self.count[0] += 1
                return
            if self.sent_at:
                self.count[-1] += 1  # the one before is not answered yet
            else:
                self.sent_at = time.perf_counter()
                late.append(self.sent_at - due)
                self.transport.write(self.ping)
            due += every


async def pace(job: dict[str, Any]) -> dict[str, Any]:
    """Connect all, spread their pings evenly over the interval, print `ready` when every one has pinged once."""
    loop = asyncio.get_running_loop()
    times: list[tuple[float, float]] = []
    count: Counter[int] = Counter()
    late: list[float] = []
    clients: list[Client] = []
    for token in job["tokens"]:
        ping = ping_request(job["port"], job["bearer"], token)
        _, client = await loop.create_connection(
            lambda ping=ping: Client(ping, times, count), "127.0.0.1", job["port"]
        )
        clients.append(client)
    every = job["every"]
    start = time.perf_counter() + 0.2
    until = start + every + job["seconds"]
    lives = [
        asyncio.create_task(client.live(start + every * n / len(clients), every, until, late))
        for n, client in enumerate(clients)
    ]
    await asyncio.sleep(start + every - time.perf_counter())
    print("ready", flush=True)
    warm_late = len(late)
    await asyncio.gather(*lives)
    await asyncio.sleep(0.3)
    found = sorted(took for at, took in times if at >= start + every)
    return {
        "pings": len(found),
        "p50": part(found, 0.5) * 1000,
        "p99": part(found, 0.99) * 1000,
        "p999": part(found, 0.999) * 1000,
        "worst": found[-1] * 1000 if found else 0.0,
        "late_p99": part(sorted(late[warm_late:]), 0.99) * 1000,
        "statuses": {str(k): v for k, v in count.items()},
        "unanswered": sum(bool(client.sent_at) for client in clients) + count[-1] + count[0],
    }


def part(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)] if values else 0.0


# --- a whole start of exam ---


class Caller(Wire):
    """One request at a time, awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: asyncio.Future[tuple[int, bytes]] | None = None

    def answered(self, status: int, data: bytes) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result((status, data))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(ConnectionError("lost"))

    async def call(self, data: bytes) -> tuple[int, bytes]:
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return await self.waiting


def header_of(answer: bytes, name: bytes) -> str:
    found = re.search(rb"(?i)\r\n" + name + rb": *([^\r]*)", answer)
    return found[1].decode() if found else ""


NEW_WINDOWS = "&seb_version=3.10.2&seb_os_name=Windows 11, Microsoft Windows NT 10.0.22631.0 (x64)"


class Newcomer:
    """One client from discovery to the end of its start burst; `is_bare` expects nothing but 204."""

    def __init__(self, job: dict[str, Any], number: int, count: Counter[str]) -> None:
        self.job = job
        self.number = number
        self.count = count
        self.token = "none"
        self.entry_url = ""
        self.bearer = "none"
        self.wire: Caller | None = None

    async def live(self) -> None:
        try:
            _, self.wire = await asyncio.get_running_loop().create_connection(
                Caller, "127.0.0.1", self.job["port"]
            )
            await self.handshake()
            await self.establish()
            await self.call("PATCH", "/exam-api/v1/handshake", f"seb_user_session_id=Newcomer {self.number}")
            self.count["started"] += 1
            for line in range(self.job["log_lines"]):
                await self.log(line)
        except (OSError, ValueError) as error:
            self.count[f"failed: {error}"] += 1

    async def handshake(self) -> None:
        await self.call("GET", "/exam-api/discovery")
        answer = await self.call(
            "POST", "/oauth/token", "grant_type=client_credentials&scope=read write", basic=True
        )
        found = re.search(rb'"access_token":"([^"]+)"', answer)
        self.bearer = found[1].decode() if found else "none"
        form = f"institutionId={self.job['institution']}&seb_machine_name=NEW-{self.number}"
        form += self.job.get("device") or NEW_WINDOWS
        answer = await self.call("POST", "/exam-api/v1/handshake", form)
        self.token = header_of(answer, b"SEBConnectionToken") or "none"
        found = re.search(rb'"url":"([^"]+)"', answer)
        self.entry_url = found[1].decode() if found else ""
        await self.call("GET", f"/exam-api/v1/examconfig?examId={self.job['exam']}")

    async def establish(self) -> None:
        await self.call("PUT", "/exam-api/v1/handshake", f"examId={self.job['exam']}")

    async def log(self, line: int) -> None:
        event = {
            "type": "INFO_LOG",
            "timestamp": round(time.time() * 1000),
            "numericValue": 0,
            "text": f"Line {line} of the start of {self.number}: the window “Exam” was opened and has the focus.",
        }
        headers = self.headers("application/json;charset=UTF-8")
        assert self.wire is not None
        body = json.dumps(event, ensure_ascii=False).encode()
        status, _ = await self.wire.call(
            request(self.job["port"], "POST", "/exam-api/v1/seblog", headers, body)
        )
        self.count["events"] += status == 204

    def headers(self, kind: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.bearer}", "SEBConnectionToken": self.token, "Content-Type": kind,
        }  # fmt: skip

    async def call(self, method: str, path: str, form: str = "", *, basic: bool = False) -> bytes:
        headers = self.headers("application/x-www-form-urlencoded")
        if basic:
            credentials = f"{self.job['client_id']}:{self.job['client_secret']}".encode()
            headers = {**headers, "Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
        assert self.wire is not None
        status, answer = await self.wire.call(request(self.job["port"], method, path, headers, form.encode()))
        if status >= 300:
            raise ValueError(f"{method} {path}: {status}")
        return answer


async def arrive(job: dict[str, Any]) -> dict[str, Any]:
    count: Counter[str] = Counter()
    began = time.perf_counter()
    lives: list[asyncio.Task[None]] = []
    for number in range(job["clients"]):
        await asyncio.sleep(began + job["within"] * number / job["clients"] - time.perf_counter())
        lives.append(asyncio.create_task(Newcomer(job, number, count).live()))
    await asyncio.gather(*lives)
    return {"count": dict(count), "seconds": time.perf_counter() - began}


# --- from establish to a place in a room ---


async def join(job: dict[str, Any]) -> dict[str, Any]:
    """For each client: seconds from sending the PUT to the message on its page's socket that names its room.

    With `until` = `meeting` to being in the meeting of that room, with `join` to the instruction that calls it there.
    """
    arrived = {"join": _until_called, "meeting": _until_in_a_meeting}.get(
        job.get("until", ""), _until_in_a_room
    )
    took: list[float] = []
    count: Counter[str] = Counter()

    async def one(number: int) -> None:
        newcomer = Newcomer(job, number, count)
        try:
            _, newcomer.wire = await asyncio.get_running_loop().create_connection(
                Caller, "127.0.0.1", job["port"]
            )
            await newcomer.handshake()
            began = time.perf_counter()
            await newcomer.establish()
            await arrived(newcomer)
            took.append(time.perf_counter() - began)
        except (OSError, ValueError, TimeoutError) as error:
            count[f"failed: {error}"] += 1

    began = time.perf_counter()
    lives: list[asyncio.Task[None]] = []
    for number in range(job["clients"]):
        await asyncio.sleep(began + job["within"] * number / job["clients"] - time.perf_counter())
        lives.append(asyncio.create_task(one(number)))
    await asyncio.gather(*lives)
    return {"seconds": sorted(took), "count": dict(count)}


async def _until_called(newcomer: Newcomer) -> None:
    """A ping a second, as SEB sends them once its second process runs, until one is answered with JOIN."""
    await newcomer.call("PATCH", "/exam-api/v1/handshake", f"seb_user_session_id=Newcomer {newcomer.number}")
    async with asyncio.timeout(60):
        for number in itertools.count(1):
            answer = await newcomer.call("POST", "/exam-api/v1/sebping", f"ping-number={number}")
            if b"jitsiMeetToken" in answer:
                return
            await asyncio.sleep(1)


async def _until_in_a_meeting(newcomer: Newcomer) -> None:
    """The page, then the meeting's own page, as far as being let in."""
    from websockets.asyncio.client import connect

    address = newcomer.entry_url.replace("http://", "ws://", 1) + "/socket"
    async with asyncio.timeout(60), connect(address, proxy=None) as socket:
        await socket.send(
            json.dumps({"t": "hello", "tab": f"t{newcomer.number}", "language": "en", "seb": None})
        )
        asked = False
        async for frame in socket:
            message = json.loads(frame)
            is_open = (
                (message.get("room") or {}).get("state") == "open" if message["t"] != "meeting" else False
            )
            if is_open and not asked:
                asked = True
                await socket.send('{"t":"enter"}')
            if message["t"] == "meeting":
                return await _let_in(message)
    raise ValueError("the socket ended before a ticket came")


async def _let_in(ticket: dict[str, Any]) -> None:
    from websockets.asyncio.client import connect

    base = ticket["script"].rpartition("/")[0].replace("http://", "ws://", 1)
    query = urlencode({name: ticket[name] for name in ("room", "token", "name")})
    async with connect(f"{base}/stand-in/socket?{query}", proxy=None) as meeting:
        async for frame in meeting:
            message = json.loads(frame)
            if message.get("type") == "presence" and message.get("self"):
                return
            if message.get("type") == "error":
                raise ValueError(f"the meeting: {message.get('name')}")


async def _until_in_a_room(newcomer: Newcomer) -> None:
    """What the browser in SEB does next: load the page, open its socket, say hello."""
    from websockets.asyncio.client import connect

    assert newcomer.wire is not None
    path = re.sub(r"^https?://[^/]+", "", newcomer.entry_url)
    await newcomer.wire.call(request(newcomer.job["port"], "GET", path, {"Accept": "text/html"}))
    address = newcomer.entry_url.replace("http://", "ws://", 1) + "/socket"
    async with asyncio.timeout(10), connect(address, proxy=None) as socket:
        await socket.send(
            json.dumps({"t": "hello", "tab": f"t{newcomer.number}", "language": "en", "seb": None})
        )
        async for frame in socket:
            message = json.loads(frame)
            if message.get("t") in {"welcome", "placed"} and message.get("room"):
                return
    raise ValueError("the socket ended before a room came")


# --- pages that send stills ---


async def stills(job: dict[str, Any]) -> dict[str, Any]:
    """One socket per candidate, one JPEG a second each, until the time is over or this process is ended."""
    from websockets.asyncio.client import connect

    pictures = [base64.b64decode(picture) for picture in job["pictures"]]
    sent = 0

    async def page(number: int, entry_key: str) -> None:
        nonlocal sent
        await asyncio.sleep(number / len(job["entry_keys"]))
        async with connect(f"ws://127.0.0.1:{job['port']}/e/{entry_key}/socket", proxy=None) as socket:
            reader = asyncio.create_task(_ignore(socket))
            for message in (
                {"t": "hello", "tab": f"t{number}", "language": "en", "seb": None},
                {"t": "self_check", "camera": "ok", "microphone": "ok", "path": "stills_only", "detail": ""},
                {"t": "media", "camera": "live", "microphone": "live", "visible": True, "exam_opened": True},
            ):
                await socket.send(json.dumps(message))
            for turn in itertools.count(number):
                await socket.send(pictures[turn % len(pictures)])
                sent += 1
                if turn % 5 == 0:
                    await socket.send('{"t":"ping","n":1}')
                await asyncio.sleep(1)
            reader.cancel()

    pages = [asyncio.create_task(page(n, key)) for n, key in enumerate(job["entry_keys"])]
    await asyncio.sleep(1.5)
    print("ready", flush=True)
    await asyncio.wait(pages, timeout=job["seconds"], return_when=asyncio.FIRST_EXCEPTION)
    broken = [task for task in pages if task.done()]
    for task in pages:
        task.cancel()
    await asyncio.gather(*pages, return_exceptions=True)
    return {"sent": sent, "broken": len(broken)}


async def events(job: dict[str, Any]) -> dict[str, Any]:
    """So many warnings a second, one client after the other: each changes one row of the monitoring page."""
    loop = asyncio.get_running_loop()
    sent = 0

    async def send(part_of_them: list[str], every: float) -> None:
        nonlocal sent
        _, wire = await loop.create_connection(Caller, "127.0.0.1", job["port"])
        due = time.monotonic()
        for turn in itertools.count():
            event = {"type": "WARN_LOG", "timestamp": round(time.time() * 1000), "text": f"Change {turn}"}
            headers = {
                "Authorization": f"Bearer {job['bearer']}",
                "SEBConnectionToken": part_of_them[turn % len(part_of_them)],
                "Content-Type": "application/json;charset=UTF-8",
            }
            body = json.dumps(event).encode()
            status, _ = await wire.call(request(job["port"], "POST", "/exam-api/v1/seblog", headers, body))
            sent += status == 204
            due += every
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    senders = 20
    parts = [job["tokens"][1:][n::senders] for n in range(senders)]
    tasks = [asyncio.create_task(send(one, senders / job["rate"])) for one in parts]
    await asyncio.sleep(1)
    print("ready", flush=True)
    await asyncio.wait(tasks, timeout=job["seconds"], return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"sent": sent}


async def _ignore(socket: Any) -> None:
    with contextlib.suppress(Exception):
        async for _ in socket:
            pass


# --- a town hall ---


class Hall:
    """Who was told what, and when, since the last wish of the proctor."""

    def __init__(self) -> None:
        self.began = 0.0
        self.wanted = ""
        self.pages: dict[int, float] = {}
        self.natives: dict[int, float] = {}
        self.pings: list[float] = []
        """How long each ping waited for its answer since the last wish."""

    def begin(self, wanted: str) -> None:
        self.pages, self.natives, self.pings = {}, {}, []
        self.wanted, self.began = wanted, time.perf_counter()

    def page_heard(self, number: int, message: dict[str, Any]) -> None:
        if message.get("t") != "placed" or not message.get("room"):
            return
        kind = message["room"]["kind"]
        found = {"open": kind == "town_hall", "hold": message["receive_audio"], "close": kind == "collecting"}
        if found.get(self.wanted):
            self.pages.setdefault(number, time.perf_counter() - self.began)

    def native_heard(self, number: int, answer: bytes) -> None:
        words = {"open": b'"townhall"', "hold": b'"jitsiMeetReceiveAudio":"true"', "close": b'"proctoring"'}
        wanted = words.get(self.wanted)
        if wanted is not None and wanted in answer.replace(b'": "', b'":"'):
            self.natives.setdefault(number, time.perf_counter() - self.began)

    async def told(self, pages: int, natives: int) -> dict[str, Any]:
        """Until everybody was told, or a minute is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while len(self.pages) < pages or len(self.natives) < natives:  # noqa: ASYNC110  (sampled, not signalled)
                    await asyncio.sleep(0.02)
        return {
            "pages": list(self.pages.values()),
            "natives": list(self.natives.values()),
            "pings": self.pings,
        }


async def townhall(job: dict[str, Any]) -> dict[str, Any]:
    """Open a town hall, speak in it, close it; each time until the last page and the last client is told."""
    import aiohttp
    from yarl import URL

    hall = Hall()
    base = f"http://127.0.0.1:{job['port']}"
    lives = [asyncio.create_task(_page_in_hall(job, hall, n, key)) for n, key in enumerate(job["pages"])]
    lives += [
        asyncio.create_task(_native_in_hall(job, hall, n, token)) for n, token in enumerate(job["natives"])
    ]
    everybody = (len(job["pages"]), len(job["natives"]))
    await asyncio.sleep(5 + len(lives) / 200)
    hall.begin("")
    await asyncio.sleep(3)
    found: dict[str, Any] = {"quiet": {"pings": hall.pings}}
    jar = aiohttp.CookieJar(unsafe=True)  # our host is an address
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(base + job["link"]) as answer:
            answer.raise_for_status()
        headers = {"Accept": "application/json"}
        headers["X-CSRFToken"] = jar.filter_cookies(URL(base))["csrftoken"].value
        calls = f"{base}{job['exam_path']}/calls"
        async with session.ws_connect(f"{base}{job['exam_path']}/socket", max_msg_size=0) as wall:
            reader = asyncio.create_task(_ignore(wall))
            hall.begin("open")
            async with session.post(calls, json={"kind": "town_hall"}, headers=headers) as answer:
                call = (await answer.json())["id"]
            answered = time.perf_counter() - hall.began
            found["open"] = {**await hall.told(*everybody), "answered": answered}
            await asyncio.sleep(3)
            hall.begin("hold")
            hold = {"t": "hold", "room": call, "audio": True, "video": False, "chat": False}
            await wall.send_json(hold)
            found["hold"] = {**await hall.told(*everybody), "answered": time.perf_counter() - hall.began}
            await wall.send_json(hold)
            await asyncio.sleep(3)
            hall.begin("close")
            async with session.delete(f"{calls}/{call}", headers=headers) as answer:
                answer.raise_for_status()
            answered = time.perf_counter() - hall.began
            found["close"] = {**await hall.told(*everybody), "answered": answered}
            reader.cancel()
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    return found


async def _page_in_hall(job: dict[str, Any], hall: Hall, number: int, entry_key: str) -> None:
    from websockets.asyncio.client import connect

    await asyncio.sleep(number / 200)
    async with connect(f"ws://127.0.0.1:{job['port']}/e/{entry_key}/socket", proxy=None) as socket:
        await socket.send(json.dumps({"t": "hello", "tab": f"t{number}", "language": "en", "seb": None}))
        due = time.perf_counter() + 3
        while True:
            try:
                frame = await asyncio.wait_for(socket.recv(), max(0.01, due - time.perf_counter()))
            except TimeoutError:
                await socket.send('{"t":"ping","n":1}')
                due = time.perf_counter() + 3
                continue
            message = json.loads(frame)
            hall.page_heard(number, message)
            if message.get("t") in {"welcome", "placed"}:
                await socket.send(json.dumps({"t": "confirm", "revision": message["revision"]}))


async def _native_in_hall(job: dict[str, Any], hall: Hall, number: int, token: str) -> None:
    """Pings once a second, and confirms what it is told with the next ping, as iPads do."""
    _, wire = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", job["port"])
    headers = {
        "Authorization": f"Bearer {job['bearer']}",
        "SEBConnectionToken": token,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    confirm = ""
    due = time.perf_counter() + number / max(1, len(job["natives"]))
    for turn in itertools.count(1):
        await asyncio.sleep(due - time.perf_counter())
        due += 1
        form = f"ping-number={turn}" + (f"&instruction-confirm={confirm}" if confirm else "")
        sent = time.perf_counter()
        ping = request(job["port"], "POST", "/exam-api/v1/sebping", headers, form.encode())
        status, answer = await wire.call(ping)
        hall.pings.append(time.perf_counter() - sent)
        confirm = ""
        if status == 200:
            hall.native_heard(number, answer)
            found = re.search(rb'"instruction-confirm": *"(\d+)"', answer)
            confirm = found[1].decode() if found else ""


JOBS = {
    "townhall": townhall,
    "hammer": hammer,
    "pace": pace,
    "arrive": arrive,
    "join": join,
    "stills": stills,
    "events": events,
}


def main() -> None:
    machine.pin(0, machine.LOAD_CORE)
    job = json.loads(sys.stdin.read())
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    print(json.dumps(run(JOBS[job["kind"]](job))))


if __name__ == "__main__":
    main()
