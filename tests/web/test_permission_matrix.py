"""Every address × everybody: what live-proctoring.md §4 (rule N) allows, and nothing else.

The table below must name every route of the application: a new page without a rule fails here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from invigilo.storage.tables import activity
from tests.rtc.pages import SocketClosedError, socket_to
from tests.server import Server, running
from tests.web.people import (
    TWO_INSTITUTIONS,
    Browser,
    Candidate,
    candidate_in,
    exam_called,
    sign_in,
    visitor,
)
from tests.web.rights import OTHERS, PEOPLE, SIGNED_IN, Rule, all_rules
from tests.web.rights import rule as _rule
from tests.web.rights.services import CHANGED, add_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYBODY = dict.fromkeys(PEOPLE, "ok")
ANY_ACCOUNT = _rule(ok=SIGNED_IN)
PROCTORS = _rule(ok=["ada", "grace"], refused=["ines", "aude", "root"], hidden=["bea", *OTHERS])
"""Watching: supporters of the exam and exam administrators. Other administrators know of it, and watch nobody."""
FILE_GIVERS = _rule(ok=["grace"], refused=["ada", "bea", "ines", "aude"], hidden=["root", *OTHERS])
EXAM_ADMINS = _rule(
    ok=["grace", "other-grace"],
    refused=[name for name in SIGNED_IN if name not in {"grace", "other-grace"}],
)

CONNECTION = "/monitoring/{exam_id}/connections/{connection_id}"
RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/"): EVERYBODY,
    ("GET", "/login"): EVERYBODY,
    ("POST", "/login"): EVERYBODY,
    ("POST", "/logout"): EVERYBODY,
    ("GET", "/login/link/{token}"): EVERYBODY,
    ("GET", "/monitoring"): ANY_ACCOUNT,
    ("GET", "/monitoring/{exam_id}"): PROCTORS,
    ("GET", "/monitoring/{exam_id}/rooms/{number}"): PROCTORS,
    ("GET", "/monitoring/{exam_id}/rooms/{room_id}/meeting"): PROCTORS,
    ("GET", "/monitoring/{exam_id}/overview"): PROCTORS,
    ("GET", CONNECTION): PROCTORS,
    ("GET", f"{CONNECTION}/events"): PROCTORS,
    ("POST", f"{CONNECTION}/notifications/{{number}}/confirm"): PROCTORS,
    ("POST", f"{CONNECTION}/lock"): PROCTORS,
    ("POST", f"{CONNECTION}/quit"): PROCTORS,
    ("POST", f"{CONNECTION}/disable"): PROCTORS,
    ("WEBSOCKET", "/monitoring/{exam_id}/socket"): PROCTORS,
    ("WEBSOCKET", "/services/{service_id}/join"): CHANGED,
    ("GET", "/e/{key}"): EVERYBODY,  # the key is the right
    ("GET", "/e/{key}/meeting"): EVERYBODY,
    ("WEBSOCKET", "/e/{key}/socket"): EVERYBODY,
    ("GET", "/connections"): EXAM_ADMINS,
    ("POST", "/connections/{configuration_id}/file"): FILE_GIVERS,
    ("GET", "/healthz"): EVERYBODY,
    ("GET", "/readyz"): EVERYBODY,
    ("GET", "/metrics"): EVERYBODY,
    ("GET", "/api/openapi.json"): EVERYBODY,
    ("GET", "/api"): EVERYBODY,  # the same
    ("GET", "/api/{path}"): EVERYBODY,  # nothing
    ("GET", "/static/{version}/{name}"): EVERYBODY,
}
STATUS = {"sign in": 401, "refused": 403, "hidden": 404}
PASSED = {200, 204, 303, 401, 404, 429}
"""What an address open to everybody may answer: a wrong password or a link that is over are not about rights."""


@dataclass
class Site:
    server: Server
    people: dict[str, Browser]
    candidate: Candidate | None = None
    service_id: str = ""
    targets: dict[str, Candidate] = field(default_factory=dict)
    """Address of a deed → the candidate whom everybody without the right tries it on."""

    @property
    def exam_id(self) -> int:
        return exam_called(self.server, "Linear Algebra")

    @property
    def configuration_id(self) -> int:
        found = self.server.app.directory.configurations.values()
        return next(one.id for one in found if one.client_id == "lab-pcs")

    async def deeds(self) -> int:
        async with self.server.app.reading() as w:
            return (await w.db.execute(select(func.count()).select_from(activity))).scalar_one()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("matrix"), text=TWO_INSTITUTIONS) as server:
        people = {name: await sign_in(server, name) for name in SIGNED_IN}
        people["nobody"] = await visitor(server)
        institution = int(await server.institution())
        yield Site(
            server,
            people,
            candidate=await candidate_in(server, "Linear Algebra"),
            service_id=await add_service(server, institution),
        )


def _routes(server: Server) -> set[tuple[str, str]]:
    """The application's own route table."""
    found: set[tuple[str, str]] = set()
    for route in server.app.pages.pages.routes:
        path = "/".join(
            part if isinstance(part, str) else f"{{{part.name}}}" for part in ["", *route.path_components]
        )
        methods = getattr(route, "methods", None) or ["WEBSOCKET"]
        found |= {(method, path or "/") for method in methods if method != "OPTIONS"}
    return found


async def test_every_route_has_a_rule(site: Site) -> None:
    routes, ruled = _routes(site.server), RULES.keys() | all_rules().keys()
    assert routes - ruled == set(), "these have no rule"
    assert ruled - routes == set(), "these rules have no route"


async def test_options_tell_nothing(site: Site) -> None:
    """The framework answers OPTIONS by itself: only which methods an address has."""
    for method, path in RULES:
        if method != "WEBSOCKET":
            answer = await site.server.request("OPTIONS", _fill(site, path, _candidate(site)))
            assert answer.status == 204
            assert answer.body == b""


def _candidate(site: Site) -> Candidate:
    assert site.candidate is not None
    return site.candidate


def _fill(site: Site, path: str, candidate: Candidate) -> str:
    version, name = "any", "no-such-file.css"
    return (
        path.replace("{exam_id}", str(site.exam_id))
        .replace("{connection_id}", str(candidate.id))
        .replace("{number}", "1")
        .replace("{room_id}", "1")
        .replace("{service_id}", site.service_id)
        .replace("{configuration_id}", str(site.configuration_id))
        .replace("{key}", candidate.key)
        .replace("{token}", "not-a-link")
        .replace("{version}", version)
        .replace("{name}", name)
    )


async def _raise_hand(candidate: Candidate) -> None:
    event = {"type": "NOTIFICATION", "timestamp": 1, "numericValue": 1, "text": "<raisehand> Help"}
    assert (await candidate.wire.log(event)).status in {200, 204}
    assert 1 in candidate.wire.live.notifications


async def _target(site: Site, path: str, *, is_spent: bool) -> Candidate:
    """A candidate to try a deed on; of its own where the deed will be done, so that no test meets another's."""
    if not is_spent and path in site.targets:
        return site.targets[path]
    candidate = await candidate_in(site.server, "Linear Algebra")
    if path.endswith("/confirm"):
        await _raise_hand(candidate)
    if path.endswith("/disable"):
        assert (await candidate.wire.delete()).status == 200
    if not is_spent:
        site.targets[path] = candidate
    return candidate


@pytest.mark.spec("live-proctoring", 56)
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("address", RULES, ids=lambda address: f"{address[0]} {address[1]}")
async def test_everybody_gets_what_the_rule_says(site: Site, address: tuple[str, str], person: str) -> None:
    method, path = address
    expected = RULES[address][person]
    browser = site.people[person]
    if path == "/logout":
        browser = await visitor(site.server)  # the others still need their sessions
    is_deed = method == "POST" and path.startswith("/monitoring")
    candidate = await _target(site, path, is_spent=expected == "ok") if is_deed else _candidate(site)
    full = _fill(site, path, candidate)
    if method == "WEBSOCKET":
        await _check_socket(browser, full, expected)
        return
    before, deeds = candidate.wire.live.revision, await site.deeds()
    state = candidate.wire.live.state
    answer = await (browser.post(full) if method == "POST" else browser.get(full))
    if expected != "ok":
        assert answer.status == STATUS[expected], answer.body
        assert answer.json.keys() == {"code", "message"}
        assert await site.deeds() == deeds
    elif RULES[address] is EVERYBODY:
        assert answer.status in PASSED, answer.body
    elif path.endswith("/rooms/{room_id}/meeting"):
        assert "by such a frame" in answer.json["message"]  # they may; built-in rooms have none
    else:
        assert answer.status == 200, answer.body
    if is_deed and expected != "ok":
        live = candidate.wire.live
        assert (live.revision, live.state) == (before, state)
        assert 1 in live.notifications or not path.endswith("/confirm")
        ping = await candidate.wire.ping()
        assert b"LOCK" not in ping.body
        assert b"QUIT" not in ping.body or path.endswith("/disable")
    elif is_deed:
        assert await site.deeds() == deeds + 1, "who did it must be on record"


async def _check_socket(browser: Browser, path: str, expected: str) -> None:
    async with socket_to(browser.server, path, Cookie=browser.cookie) as page:
        if path.startswith("/e/"):
            await page.send("hello", tab=browser.cookie[-20:])
        if expected == "ok":
            assert (await page.receive())["t"] in {"snapshot", "welcome", "end"}
            return
        with pytest.raises(SocketClosedError) as closed:
            await page.receive()
        assert closed.value.code == (4401 if expected == "sign in" else 4403)


@pytest.mark.parametrize(
    "address", [a for a, rule in RULES.items() if rule is PROCTORS and a[0] != "WEBSOCKET"]
)
async def test_what_is_hidden_looks_as_if_it_were_not_there(site: Site, address: tuple[str, str]) -> None:
    """Not even the existence of another institution's exam, or one not assigned, can be learned."""
    method, path = address
    full = _fill(site, path, _candidate(site))
    made_up = full.replace(f"/monitoring/{site.exam_id}", "/monitoring/999999", 1)
    for person in ("bea", "other-grace"):
        browser = site.people[person]
        ask = browser.post if method == "POST" else browser.get
        real, invented = await ask(full), await ask(made_up)
        assert (real.status, real.body) == (invented.status, invented.body)


@pytest.mark.parametrize("address", [a for a in RULES if "{connection_id}" in a[1]])
async def test_a_connection_is_reached_only_through_its_own_exam(
    site: Site, address: tuple[str, str]
) -> None:
    """Grace may proctor both exams; the address must still be true."""
    stranger = await candidate_in(site.server, "Biology")
    await _raise_hand(stranger)
    method, path = address
    ask = site.people["grace"].post if method == "POST" else site.people["grace"].get
    assert (await ask(_fill(site, path, stranger))).status == 404
    assert stranger.wire.live.state.is_open
    assert 1 in stranger.wire.live.notifications


SEEN = {
    "ada": {"Linear Algebra"},
    "bea": {"Biology"},
    "grace": {"Linear Algebra", "Biology"},
    "ines": {"Linear Algebra", "Biology"},
    "aude": {"Linear Algebra", "Biology"},
    "root": {"Linear Algebra", "Biology", "Chemistry"},
    "other-ada": {"Chemistry"},
    "other-grace": {"Chemistry"},
    "other-ines": {"Chemistry"},
    "other-aude": {"Chemistry"},
}


@pytest.mark.parametrize("person", SEEN)
async def test_the_list_shows_exams_one_may_see_and_opens_those_one_may_watch(
    site: Site, person: str
) -> None:
    html = (await site.people[person].get("/monitoring", accept="text/html")).body.decode()
    assert {name for name in SEEN["root"] if name in html} == SEEN[person]
    for name in SEEN["root"]:
        may_watch = name in SEEN[person] and PEOPLE[person].startswith(("exam supporter", "exam admin"))
        assert (f'href="/monitoring/{exam_called(site.server, name)}"' in html) == may_watch


@pytest.mark.parametrize("person", ["grace", "other-grace"])
async def test_connection_files_are_those_of_ones_own_institution(site: Site, person: str) -> None:
    html = (await site.people[person].get("/connections", accept="text/html")).body.decode()
    assert ("Lab PCs" in html) == (person == "grace")
    assert ("College PCs" in html) == (person == "other-grace")


async def test_no_page_and_no_message_shows_a_secret(site: Site) -> None:
    """Nobody sees the client secret, nor another's entry key or connection token, on anything but the file itself."""
    candidate = _candidate(site)
    secrets = [b"0123456789abcdef", candidate.key.encode(), candidate.wire.token.encode()]
    browser = site.people["grace"]
    for method, path in RULES:
        if method == "GET" and not path.startswith(("/e/", "/static/")):
            body = (await browser.get(_fill(site, path, candidate), accept="text/html")).body
            assert [secret for secret in secrets if secret in body] == [], path
    socket = f"/monitoring/{site.exam_id}/socket"
    async with socket_to(site.server, socket, Cookie=browser.cookie) as page:
        text = json.dumps(await page.receive()).encode()
        assert [secret for secret in secrets if secret in text] == []
