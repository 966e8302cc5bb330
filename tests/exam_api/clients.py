"""The requests of real clients, byte for byte (seb-client-api.md §1, §2): unescaped forms, each release's own headers.

A test calls the steps in the order its release does. The Windows client is two processes with a TCP connection each; the
Apple clients are one.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from tests.exam_api.raw import RawConnection
from tests.server import Answer

FORM = "application/x-www-form-urlencoded"
ACCEPT = "application/json, */*"


@dataclass
class Client:
    """What both families share; the places come from discovery, as in the real ones."""

    port: int
    institution: str
    name: str = "lab-pcs"
    secret: str = "0123456789abcdef"
    places: dict[str, str] = field(default_factory=dict)
    schemes: dict[str, str] = field(default_factory=dict)
    bearer: str = ""
    token: str = ""
    exams: list[dict[str, str]] = field(default_factory=list)
    salt: str = ""
    server_key: str = ""

    def __post_init__(self) -> None:
        self.connection = RawConnection(self.port)

    async def discover(self) -> None:
        answer = await self.send("GET", "/exam-api/discovery", [])
        assert answer.status == 200
        version = answer.json["api-versions"][0]
        self.places = {e["name"]: e["location"] for e in version["endpoints"]}
        self.schemes = {e["name"]: e["authorization"] for e in version["endpoints"]}

    async def fetch_token(self) -> None:
        basic = base64.b64encode(f"{self.name}:{self.secret}".encode()).decode()
        answer = await self.form(
            "POST",
            "access-token-endpoint",
            "grant_type=client_credentials&scope=read write",
            [("Authorization", f"{self.schemes['access-token-endpoint']} {basic}")],
        )
        assert answer.status == 200, answer.body
        self.bearer = f"{self.schemes['seb-handshake-endpoint']} {answer.json['access_token']}"

    async def create(self, form: str) -> Answer:
        answer = await self.form("POST", "seb-handshake-endpoint", form, [("Authorization", self.bearer)])
        assert answer.status == 200, answer.body
        self.token = answer.headers["sebconnectiontoken"]
        self.exams = answer.json
        self.take_exam_headers(answer)
        return answer

    def take_exam_headers(self, answer: Answer) -> None:
        self.salt = answer.headers.get("sebexamsalt", self.salt)
        self.server_key = answer.headers.get("sebserverbek", self.server_key)

    async def configuration(self) -> bytes:
        place = f"{self.places['seb-configuration-endpoint']}?examId={self.exams[0]['examId']}"
        answer = await self.send("GET", place, self.authorised())
        assert answer.status == 200, answer.body
        return answer.body

    async def handshake(self, method: str, form: str) -> Answer:
        answer = await self.form(method, "seb-handshake-endpoint", form, self.authorised())
        if answer.status < 300:
            self.take_exam_headers(answer)
        return answer

    async def ping(self, form: str) -> Answer:
        return await self.form("POST", "seb-ping-endpoint", form, self.authorised())

    async def event(self, event: dict[str, Any]) -> Answer:
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = [*self.authorised(), ("Content-Type", "application/json;charset=UTF-8")]
        return await self.send("POST", self.places["seb-log-endpoint"], headers, body)

    def authorised(self) -> list[tuple[str, str]]:
        return [("Authorization", self.bearer), ("SEBConnectionToken", self.token)]

    async def form(
        self,
        method: str,
        place: str,
        form: str,
        headers: list[tuple[str, str]],
    ) -> Answer:
        return await self.send(method, self.places[place], [*headers, ("Content-Type", FORM)], form.encode())

    async def send(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None = None
    ) -> Answer:
        raise NotImplementedError

    async def leave(self) -> Answer:
        raise NotImplementedError

    async def close(self) -> None:
        await self.connection.close()


@dataclass
class WindowsClient(Client):
    """.NET Framework: announces a body and waits to be told to go on; `Accept` only from 3.4."""

    version: tuple[int, int] = (3, 10)

    async def send(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None = None
    ) -> Answer:
        accept = [("Accept", ACCEPT)] if self.version >= (3, 4) else []
        if body is None and method not in {"GET", "HEAD"}:
            body = b""
        return await self.connection.request(
            method, path, [*accept, *headers], body, waits_for_continue=bool(body)
        )

    async def start_client_process(self) -> None:
        """The second process: its own TCP connection, the tokens handed over."""
        await self.connection.close()
        self.connection = RawConnection(self.port)

    async def establish_without_body(self) -> Answer:
        """3.9 and later when no salt came: neither body nor content type."""
        answer = await self.send("PUT", self.places["seb-handshake-endpoint"], self.authorised())
        self.take_exam_headers(answer)
        return answer

    async def log(self, text: str, number: float | None = None, kind: str = "INFO_LOG") -> Answer:
        event: dict[str, Any] = {"type": kind, "timestamp": 1764064800123}
        if number is not None:
            event["numericValue"] = number
        return await self.event(event | ({"text": text} if text else {}))

    async def leave(self) -> Answer:
        return await self.form("DELETE", "seb-handshake-endpoint", "delete=true", self.authorised())


@dataclass
class AppleClient(Client):
    """URL loading of macOS and iOS: times of events are texts, every event has a number, DELETE has no body."""

    user_agent: str = "SafeExamBrowser/3.6.1 CFNetwork/1496.0.7 Darwin/23.5.0"

    async def send(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes | None = None
    ) -> Answer:
        own = [("Accept", ACCEPT), ("User-Agent", self.user_agent), ("Accept-Language", "de-CH,de;q=0.9")]
        return await self.connection.request(method, path, [*own, *headers], body)

    async def log(self, text: str, number: float = 0, kind: str = "INFO_LOG") -> Answer:
        event: dict[str, Any] = {"type": kind, "timestamp": "1764064800123", "numericValue": number}
        return await self.event(event | ({"text": text} if text else {}))

    async def leave(self) -> Answer:
        headers = [*self.authorised(), ("Content-Type", FORM)]
        return await self.send("DELETE", self.places["seb-handshake-endpoint"], headers)
