"""Every address of the exam office and of the API × everybody, from the rules in `rights/`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from invigilo.accounts.model import Account, Scope
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.queries import exam_office
from invigilo.storage.tables import activity
from tests.server import Answer, Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, exam_called, sign_in, visitor
from tests.web.rights import PEOPLE, SIGNED_IN, Address, all_rules, module_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULES = all_rules()
API = [address for address in RULES if address[1].startswith("/api/")]
SCOPED = [one for one in API if one not in getattr(module_of(one), "ANY_SCOPE", ())]
_NAMES = {401: "sign in", 403: "refused", 404: "hidden"}


@dataclass
class Site:
    """Both institutions, everybody signed in and with a token of every scope."""

    server: Server
    people: dict[str, Browser]
    accounts: dict[str, Account]
    tokens: dict[str, str]

    @property
    def exam_id(self) -> int:
        return exam_called(self.server, "Linear Algebra")

    async def deeds(self) -> int:
        async with self.server.app.reading() as w:
            return (await w.db.execute(select(func.count()).select_from(activity))).scalar_one()

    async def token(self, person: str, scopes: list[Scope]) -> str:
        app = self.server.app
        lasts = app.clock.now() + timedelta(hours=1)
        return (await app.tokens.make("for a test", scopes, expires_at=lasts, by=self.accounts[person]))[1]

    async def reopen(self) -> None:
        """Some deeds end the exam: for whoever comes next, in whatever order, it runs and its candidate has a room."""
        app = self.server.app
        exam = app.directory.exams[self.exam_id]
        if exam.ended_at is not None:
            async with app.work() as w:
                await exam_office.update_exam(w.db, exam.id, ended_at=None)
            await app.directory.reload()

    async def call(self, person: str, address: Address, *, token: str | None = None) -> Answer:
        """As this person, with the body the subject's module gives."""
        await self.reopen()
        module = module_of(address)
        method, path = address
        ids = await module.ids(self, address) if hasattr(module, "ids") else {}
        for hole, value in ids.items():
            path = path.replace(f"{{{hole}}}", str(value))
        body = getattr(module, "BODIES", {}).get(address)
        body = await body(self) if callable(body) else body
        browser = self.people[person]
        headers = {"Accept": "application/json"}
        if path.startswith("/api/"):
            key = token or self.tokens.get(person)
            headers |= {"Authorization": f"Bearer {key}"} if key else {}
            headers |= {"Content-Type": "application/json"} if body is not None else {}
            data = None if body is None else json.dumps(body)
        else:
            headers |= {"Cookie": browser.cookie, "X-CSRFToken": browser.cookies["csrftoken"]}
            headers |= {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else {}
            data = urlencode(body or {}, doseq=True) if method == "POST" else None
        answer = await self.server.request(method, path, headers=headers, body=data)
        if address in getattr(module, "ENDS_SESSIONS", ()) and person != "nobody":
            self.people[person] = await sign_in(self.server, person)
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("rights"), text=TWO_INSTITUTIONS) as server:
        people = {name: await sign_in(server, name) for name in SIGNED_IN}
        people["nobody"] = await visitor(server)
        async with server.app.reading() as w:
            accounts = {one.username: one for one in await account_queries.all_accounts(w.db)}
        site = Site(server, people, accounts, {})
        site.tokens = {name: await site.token(name, list(Scope)) for name in SIGNED_IN}
        yield site


@pytest.mark.parametrize("address", RULES, ids=lambda address: f"{address[0]} {address[1]}")
async def test_everybody_gets_what_the_rule_says(site: Site, address: Address) -> None:
    rule = RULES[address]
    assert {person: await _outcome(site, address, person) for person in PEOPLE} == {
        person: rule[person] for person in PEOPLE
    }


async def _outcome(site: Site, address: Address, person: str) -> str:
    """What this person got, in the rules' words."""
    deeds = await site.deeds()
    answer = await site.call(person, address)
    outcome = _NAMES.get(answer.status)
    if outcome is None:
        return "ok" if answer.status < 500 else f"{answer.status} {answer.body.decode()}"
    assert {"code", "message"} <= answer.json.keys()
    made_for_this_call: Any = getattr(module_of(address), "DEEDS_OF_IDS", {}).get(address, 0)
    assert await site.deeds() == deeds + made_for_this_call, "a refused call leaves no deed behind"
    return outcome


@pytest.mark.parametrize("address", SCOPED, ids=lambda address: f"{address[0]} {address[1]}")
async def test_a_token_reaches_only_what_its_scopes_name(site: Site, address: Address) -> None:
    for person in [name for name, outcome in RULES[address].items() if outcome == "ok" and name in SIGNED_IN][
        :1
    ]:
        read_only_of_others = await site.token(person, [Scope.ACTIVITY_READ])
        if "activity" in address[1]:
            read_only_of_others = await site.token(person, [Scope.PEOPLE_READ])
        answer = await site.call(person, address, token=read_only_of_others)
        assert answer.status == 403, answer.body
        assert "scope" in answer.json["message"]


@pytest.mark.parametrize("key", ["invigilo_wrong", "", "x" * 5_000, "\u00fc"])
async def test_a_key_that_is_none_is_refused_everywhere(site: Site, key: str) -> None:
    for method, path in API:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        answer = await site.server.request(method, path.replace("{", "").replace("}", ""), headers=headers)
        assert answer.status in {401, 404, 400}, (path, answer.body)
