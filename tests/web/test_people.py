"""People in pages and by the API: made, changed, locked out; and what nobody can do to others or to themselves."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from invigilo.accounts.model import Account, Scope
from invigilo.storage.queries import accounts as account_queries
from tests.server import PASSWORD, Answer, Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD_NAMES = ["ณัฐธิดา ศรีสุข", "🦉 Owl", "O'Neil", '<script>alert("x")</script>', "=1+1", "Öko %_"]


@dataclass
class Site:
    server: Server
    browsers: dict[str, Browser] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    async def browser(self, who: str) -> Browser:
        if who not in self.browsers:
            self.browsers[who] = await sign_in(self.server, who)
        return self.browsers[who]

    async def account(self, who: str) -> Account:
        async with self.server.app.reading() as w:
            found = await account_queries.by_username(w.db, who)
        assert found is not None
        return found[0]

    async def call(self, who: str, method: str, path: str, body: Any = None) -> Answer:
        if who not in self.tokens:
            app = self.server.app
            until = app.clock.now() + timedelta(hours=1)
            account = await self.account(who)
            self.tokens[who] = (await app.tokens.make("test", list(Scope), expires_at=until, by=account))[1]
        headers = {"Authorization": f"Bearer {self.tokens[who]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        return await self.server.request(method, f"/api/v1{path}", headers=headers, body=data)

    async def add(self, username: str, role: str = "exam_supporter", *, by: str = "ines", **more: Any) -> int:
        answer = await self.call(by, "POST", "/people", {"username": username, "role": role, **more})
        assert answer.status == 201, answer.body
        return answer.json["person"]["id"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("people"), text=TWO_INSTITUTIONS) as server:
        yield Site(server)


# --- making ---


async def test_an_administrator_makes_a_colleague_in_the_pages(site: Site) -> None:
    """The first password is shown once, and signs in."""
    ines = await site.browser("ines")
    answer = await ines.post("/people", {"username": "kim", "display_name": "Kim Lee", "role": "exam_admin"})
    assert answer.status == 200, answer.body
    found = re.search(r'id="new-password">([^<]+)<', answer.body.decode())
    assert found is not None
    kim = await site.account("kim")
    assert (kim.display_name, kim.role.value, kim.must_change_password) == ("Kim Lee", "exam_admin", True)
    page = (await ines.get(f"/people/{kim.id}", accept="text/html")).body.decode()
    assert found[1] not in page
    assert "kim" in page
    await sign_in(site.server, "kim", found[1])


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_names_are_shown_and_found_as_they_are(site: Site, name: str) -> None:
    username = f"odd{ODD_NAMES.index(name)}"
    await site.add(username, display_name=name)
    found = (await site.call("ines", "GET", f"/people?q={username}")).json["items"]
    assert [one["display_name"] for one in found] == [name]
    html = (await (await site.browser("ines")).get("/people?q=odd", accept="text/html")).body.decode()
    assert "<script>alert" not in html
    assert username in html


async def test_a_search_knows_every_letter(site: Site) -> None:
    await site.add("umlaut", display_name="ÄRZTE-Prüfung Straße")
    for words in ("%C3%A4rzte", "%C3%84RZTE", "pr%C3%BCfung stra", "UMLAUT%20%C3%A4rzte"):
        found = (await site.call("ines", "GET", f"/people?q={words.replace(' ', '%20')}")).json["items"]
        assert [one["username"] for one in found] == ["umlaut"], words


async def test_everything_wrong_is_said_at_once(site: Site) -> None:
    wrong = {
        "username": "a b",
        "role": "auditor",
        "display_name": "",
        "password": "12345678",
        "language": "xx",
    }
    answer = await site.call("ines", "POST", "/people", wrong | {"time_zone": "Mars/Base"})
    assert answer.status == 400
    assert {one["field"]: one["code"] for one in answer.json["problems"]} == {
        "username": "not_a_username",
        "display_name": "missing",
        "password": "password_common",
        "language": "not_a_choice",
        "time_zone": "not_a_time_zone",
    }


async def test_a_wrong_form_comes_back_with_what_was_typed_but_no_password(site: Site) -> None:
    ines = await site.browser("ines")
    form = {
        "username": "a b",
        "display_name": "Typed Name",
        "role": "auditor",
        "password": "secret-not-shown",
    }
    answer = await ines.post("/people", form)
    html = answer.body.decode()
    assert answer.status == 400
    assert 'value="Typed Name"' in html
    assert "username-problem" in html
    assert "secret-not-shown" not in html


async def test_a_user_name_is_given_once_on_the_whole_server(site: Site) -> None:
    answer = await site.call("ines", "POST", "/people", {"username": "other-ada", "role": "auditor"})
    assert answer.status == 400
    assert answer.json["problems"][0]["code"] == "username_taken"


async def test_an_institution_administrator_makes_no_server_administrator(site: Site) -> None:
    for body in (
        {"username": "boss", "role": "server_admin"},
        {
            "username": "boss",
            "role": "server_admin",
            "institution_id": (await site.account("ines")).institution_id,
        },
    ):
        assert (await site.call("ines", "POST", "/people", body)).status in {400, 403}
    bea = await site.account("bea")
    answer = await site.call("ines", "PATCH", f"/people/{bea.id}", {"role": "server_admin"})
    assert answer.status == 403
    assert (await site.account("bea")).role.value == "exam_supporter"


async def test_nobody_makes_people_elsewhere(site: Site) -> None:
    elsewhere = (await site.account("other-ines")).institution_id
    body = {"username": "spy", "role": "auditor", "institution_id": elsewhere}
    assert (await site.call("ines", "POST", "/people", body)).status == 404
    form = {"username": "spy", "role": "auditor", "institution_id": str(elsewhere)}
    await (await site.browser("ines")).post("/people", form)
    assert (await site.account("spy")).institution_id == (await site.account("ines")).institution_id


@pytest.mark.parametrize("role", ["server_admin", "auditor"])
async def test_a_role_moves_nobody_into_or_out_of_an_institution(site: Site, role: str) -> None:
    user_id = await site.add(f"mover-{role}", "exam_admin")
    root = await site.account("root")
    target = user_id if role == "server_admin" else await site.add("root2", "server_admin", by="root")
    answer = await site.call("root", "PATCH", f"/people/{target}", {"role": role})
    assert answer.json["code"] == "role_moves", answer.body
    assert root.institution_id is None


# --- locking out ---


async def test_deactivating_ends_sign_ins_and_tokens_at_once(site: Site) -> None:
    ines = await site.browser("ines")
    user_id = await site.add("leaver", "institution_admin")
    await site.call("ines", "POST", f"/people/{user_id}/password", {"password": PASSWORD})
    leaver = await sign_in(site.server, "leaver")
    account = await site.account("leaver")
    assert (await leaver.get("/account/password")).status == 200
    form = {"display_name": "Leaver", "role": "institution_admin", "revision": str(account.revision)}
    assert (await ines.post(f"/people/{user_id}", form)).status == 303
    assert (await leaver.get("/account/password")).status == 401
    assert (await site.call("leaver", "GET", "/people")).status == 401


async def test_nobody_locks_themselves_out(site: Site) -> None:
    for who in ("ines", "root"):
        me = await site.account(who)
        answer = await site.call(who, "PATCH", f"/people/{me.id}", {"is_active": False})
        assert answer.json["code"] == "own_account"
    ines = await site.account("ines")
    answer = await site.call("ines", "PATCH", f"/people/{ines.id}", {"role": "auditor"})
    assert answer.json["code"] == "own_role"


async def test_the_last_administrator_of_an_institution_stays(site: Site) -> None:
    """Not even a server administrator leaves an institution without one; with a second one it goes."""
    other = await site.account("other-ines")
    for change in ({"is_active": False}, {"role": "auditor"}):
        answer = await site.call("root", "PATCH", f"/people/{other.id}", change)
        assert (answer.status, answer.json["code"]) == (409, "last_administrator")
    await site.add("other-iris", "institution_admin", by="root", institution_id=other.institution_id)
    answer = await site.call("root", "PATCH", f"/people/{other.id}", {"role": "auditor"})
    assert answer.status == 200
    assert (
        await site.call("root", "PATCH", f"/people/{other.id}", {"role": "institution_admin"})
    ).status == 200


# --- two at once ---


async def test_of_two_who_edit_one_person_the_second_is_told(site: Site) -> None:
    """What the second typed is still there, and saving again replaces the first's."""
    user_id = await site.add("shared")
    ines, root = await site.browser("ines"), await site.browser("root")
    form = {"display_name": "By Ines", "role": "auditor", "is_active": "on", "revision": "0"}
    assert (await ines.post(f"/people/{user_id}", form)).status == 303
    answer = await root.post(f"/people/{user_id}", form | {"display_name": "By Root"})
    html = answer.body.decode()
    assert answer.status == 400
    assert 'value="By Root"' in html
    assert (await site.account("shared")).display_name == "By Ines"
    revision = re.search(r'name="revision" value="(\d+)"', html)
    assert revision is not None
    again = form | {"display_name": "By Root", "revision": revision[1]}
    assert (await root.post(f"/people/{user_id}", again)).status == 303
    assert (await site.account("shared")).display_name == "By Root"


async def test_the_api_refuses_an_old_revision(site: Site) -> None:
    user_id = await site.add("versioned")
    change = {"display_name": "One", "revision": 0}
    assert (await site.call("ines", "PATCH", f"/people/{user_id}", change)).status == 200
    answer = await site.call("root", "PATCH", f"/people/{user_id}", change)
    assert (answer.status, answer.json["code"]) == (409, "changed_meanwhile")


# --- hostile numbers and words ---


@pytest.mark.parametrize("user_id", ["0", "-1", "9223372036854775808", "9" * 40])
async def test_a_number_that_no_row_has_is_not_found(site: Site, user_id: str) -> None:
    assert (await site.call("root", "GET", f"/people/{user_id}")).status in {404, 400}
    assert (await (await site.browser("root")).get(f"/people/{user_id}")).status in {404, 400}


@pytest.mark.parametrize(
    "query", ["role=king", "active=perhaps", "sort=password_hash", "page=0", "size=1000", "institution_id=x"]
)
async def test_a_list_refuses_what_it_does_not_offer(site: Site, query: str) -> None:
    assert (await site.call("root", "GET", f"/people?{query}")).status == 400


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 300, "line\nbreak"])
async def test_text_that_no_database_holds_is_refused_in_words(site: Site, text: str) -> None:
    body = {"username": "hostile", "role": "auditor", "display_name": text}
    assert (await site.call("ines", "POST", "/people", body)).status == 400
    assert (
        await site.call("ines", "POST", "/people", body | {"display_name": "x", "username": text})
    ).status == 400
    assert (
        await site.call("ines", "POST", "/people", body | {"display_name": "x", "password": text})
    ).status == 400
