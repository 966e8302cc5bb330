"""Two institutions with one person of every role, three exams, and how a browser signs somebody in."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.server import PASSWORD, Answer, SebWire, Server

EXAM = """
[[institution.exam]]
name = "{name}"
start = "2026-01-01T08:00:00Z"
end = "2036-01-01T12:00:00Z"
url = "https://lms.example.org/mod/quiz/view.php?id=88"
supporters = ["{supporter}"]
[institution.exam.proctoring]
enabled = true
collecting_room_size = 5
"""


def _person(username: str, role: str, table: str = "institution.user") -> str:
    return f'[[{table}]]\nusername = "{username}"\nrole = "{role}"\npassword = "{PASSWORD}"\n'


TWO_INSTITUTIONS = "\n".join(
    [
        _person("root", "server_admin", "user"),
        '[[institution]]\nname = "Example University"',
        _person("ada", "exam_supporter"),
        _person("bea", "exam_supporter"),
        _person("grace", "exam_admin"),
        _person("ines", "institution_admin"),
        _person("aude", "auditor"),
        EXAM.format(name="Linear Algebra", supporter="ada"),
        EXAM.format(name="Biology", supporter="bea"),
        '[[institution.connection]]\nname = "Lab PCs"\nclient_id = "lab-pcs"\nclient_secret = "0123456789abcdef"',
        '[[institution]]\nname = "Other College"',
        _person("other-ada", "exam_supporter"),
        _person("other-grace", "exam_admin"),
        _person("other-ines", "institution_admin"),
        _person("other-aude", "auditor"),
        EXAM.format(name="Chemistry", supporter="other-ada"),
        '[[institution.connection]]\nname = "College PCs"\nclient_id = "other-pcs"\nclient_secret = "fedcba9876543210"',
    ]
)
"""Algebra is ada's, Biology bea's, both of Example University; Chemistry is Other College's."""


@dataclass(frozen=True)
class Browser:
    """One person's cookies; every deed carries the CSRF token, as the pages' scripts do."""

    server: Server
    cookies: dict[str, str]

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def get(self, path: str, *, accept: str = "application/json") -> Answer:
        return await self.server.request("GET", path, headers={"Cookie": self.cookie, "Accept": accept})

    async def post(self, path: str, form: dict[str, str] | None = None) -> Answer:
        headers = {
            "Cookie": self.cookie,
            "Accept": "application/json",
            "X-CSRFToken": self.cookies["csrftoken"],
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return await self.server.request("POST", path, headers=headers, body=urlencode(form or {}))


def cookies_of(answer: Answer) -> dict[str, str]:
    return {name: one.value for name, one in SimpleCookie(answer.headers.get("set-cookie", "")).items()}


async def visitor(server: Server) -> Browser:
    """Somebody who is not signed in, with the CSRF cookie every page gives."""
    answer = await server.request("GET", "/monitoring", headers={"Accept": "application/json"})
    return Browser(server, {"csrftoken": cookies_of(answer)["csrftoken"]})


async def sign_in(server: Server, username: str, password: str = PASSWORD) -> Browser:
    browser = await visitor(server)
    answer = await browser.post("/login", {"username": username, "password": password})
    assert answer.status == 303, answer.body
    return Browser(server, browser.cookies | cookies_of(answer))


def exam_called(server: Server, name: str) -> int:
    return next(exam.id for exam in server.app.directory.exams.values() if exam.name == name)


@dataclass(frozen=True)
class Candidate:
    """A SEB in the exam, and the key of its camera page."""

    wire: SebWire
    id: int
    key: str


async def candidate_in(server: Server, exam: str) -> Candidate:
    wire = await server.connect()
    exam_id = exam_called(server, exam)
    assert (await wire.configuration(str(exam_id))).status == 200
    assert (await wire.put("")).status == 200
    url: str = wire.created.json[0]["url"]
    return Candidate(wire, wire.live.id, url.rpartition("/e/")[2])
