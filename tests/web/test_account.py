"""One's own account: the first password is changed first, other sign-ins end, tokens give no more than they have."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from invigilo.accounts.model import Scope
from invigilo.accounts.service import FREE_TRIES
from invigilo.clock import SetClock
from tests.rtc.pages import SocketClosedError, socket_to
from tests.server import PASSWORD, running
from tests.web.people import TWO_INSTITUTIONS, exam_called, sign_in
from tests.web.test_people import Site
from tests.world import MORNING

NEW = "wholly unrelated garden words"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(tmp_path, text=TWO_INSTITUTIONS, clock=SetClock(MORNING)) as server:
        yield Site(server)


def _change(current: str, new: str, again: str | None = None) -> dict[str, str]:
    return {"current_password": current, "new_password": new, "again": new if again is None else again}


# --- the first password ---


async def test_every_page_leads_to_the_first_password_until_it_is_chosen(site: Site) -> None:
    answer = await site.call("ines", "POST", "/people", {"username": "new", "role": "exam_admin"})
    given = answer.json["password"]
    new = await sign_in(site.server, "new", given)
    exam = exam_called(site.server, "Linear Algebra")
    for path in ("/monitoring", f"/monitoring/{exam}", "/people", "/account", "/activity", "/activity.csv"):
        shown = await new.get(path, accept="text/html")
        assert (shown.status, shown.headers["location"]) == (302, "/account/password"), path
        assert (await new.get(path)).status == 403
    assert (await new.post("/account", {"display_name": "X"})).status == 403
    async with socket_to(site.server, f"/monitoring/{exam}/socket", Cookie=new.cookie) as page:
        with pytest.raises(SocketClosedError) as closed:
            await page.receive()
    assert closed.value.code == 4401
    assert (await site.call("new", "GET", "/me")).status == 403
    assert (await new.post("/account/password", _change(given, NEW))).status == 303
    assert (await new.get("/people")).status == 200
    assert (await site.call("new", "GET", "/me")).status == 200


REFUSED = [
    (_change("wrong", NEW), "current_password", "not your current password"),
    (_change(PASSWORD, NEW, "other"), "again", "two passwords differ"),
    (_change(PASSWORD, "short"), "new_password", "8 to 256 characters"),
    (_change(PASSWORD, "PassWord123"), "new_password", "among the first"),
    (_change(PASSWORD, "zzzzzzzzzzzz"), "new_password", "among the first"),
    (_change(PASSWORD, "example UNIVERSITY"), "new_password", "institution"),
    (_change(PASSWORD, PASSWORD), "new_password", "another than the current"),
]


async def test_a_password_that_cannot_be_is_refused_beside_its_field(site: Site) -> None:
    grace = await site.browser("grace")
    for form, field, words in REFUSED:
        answer = await grace.post("/account/password", form)
        assert answer.status == 400
        problem = re.search(rf'id="{field}-problem">.*?</svg>([^<]+)<', answer.body.decode(), re.DOTALL)
        assert problem is not None, form
        assert words in problem[1]
        assert form["new_password"] not in answer.body.decode()


async def test_a_new_password_ends_every_other_sign_in_and_keeps_this_one(site: Site) -> None:
    here, elsewhere = await sign_in(site.server, "grace"), await sign_in(site.server, "grace")
    assert (await elsewhere.get("/people")).status == 200
    assert (await here.post("/account/password", _change(PASSWORD, NEW))).status == 303
    assert (await here.get("/people")).status == 200
    assert (await elsewhere.get("/people")).status == 401
    await sign_in(site.server, "grace", NEW)


async def test_whoever_sits_at_an_open_page_cannot_guess_the_password(site: Site) -> None:
    grace = await site.browser("grace")
    for _ in range(FREE_TRIES):
        assert (await grace.post("/account/password", _change("guess", NEW))).status == 400
    answer = await grace.post("/account/password", _change(PASSWORD, NEW))
    assert answer.status == 400
    assert "Too many tries" in answer.body.decode()


# --- the rest of the account ---


async def test_language_and_time_zone_are_used_on_the_next_page(site: Site) -> None:
    grace = await site.browser("grace")
    form = {"display_name": "Grace", "language": "de", "time_zone": "Asia/Bangkok", "revision": "0"}
    assert (await grace.post("/account", form)).status == 303
    html = (await grace.get("/account", accept="text/html")).body.decode()
    assert '<html lang="de">' in html
    assert 'data-time-zone="Asia/Bangkok"' in html


async def test_a_new_name_ends_nobodys_watch(site: Site) -> None:
    """An open wall stays open when its proctor changes their own account."""
    grace = await site.browser("grace")
    exam = exam_called(site.server, "Linear Algebra")
    async with socket_to(site.server, f"/monitoring/{exam}/socket", Cookie=grace.cookie) as page:
        assert (await page.receive())["t"] == "snapshot"
        await grace.post("/account", {"display_name": "New Name", "revision": "0"})
        await page.send("ping", n=7)
        pong = await _until(page, "pong")
    assert pong["n"] == 7


async def _until(page: Any, kind: str) -> dict[str, Any]:
    for _ in range(50):
        message = await page.receive()
        if message["t"] == kind:
            return message
    raise AssertionError(f"no {kind} came")


async def test_signing_out_everywhere_else(site: Site) -> None:
    here, elsewhere = await sign_in(site.server, "grace"), await sign_in(site.server, "grace")
    assert (await here.post("/account/sessions/end")).status == 303
    assert (await elsewhere.get("/people")).status == 401
    assert (await here.get("/people")).status == 200


# --- tokens ---


async def _api(site: Site, key: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body)
    return await site.server.request(method, f"/api/v1{path}", headers=headers, body=data)


async def _token(site: Site, scopes: list[Scope], hours: int = 1, who: str = "ines") -> str:
    app = site.server.app
    until = app.clock.now() + timedelta(hours=hours)
    return (await app.tokens.make("test", scopes, expires_at=until, by=await site.account(who)))[1]


async def test_a_token_made_on_the_page_works_until_it_is_revoked(site: Site) -> None:
    ines = await site.browser("ines")
    form = {"name": "Campus <sync>", "life": "30", "scopes": "people:read"}
    html = (await ines.post("/account/tokens", form)).body.decode()
    found = re.search(r'id="new-key">([^<]+)<', html)
    assert found is not None
    assert "Campus &lt;sync&gt;" in html
    assert (await _api(site, found[1], "GET", "/people")).status == 200
    assert (await _api(site, found[1], "GET", "/activity")).status == 403
    listed = (await _api(site, found[1], "GET", "/tokens")).json
    assert found[1] not in (await ines.get("/account", accept="text/html")).body.decode()
    assert (await ines.post(f"/account/tokens/{listed[0]['id']}/revoke")).status == 303
    assert (await _api(site, found[1], "GET", "/people")).status == 401


async def test_a_token_makes_none_that_can_do_more_or_lasts_longer(site: Site) -> None:
    key = await _token(site, [Scope.PEOPLE_READ])
    now = site.server.app.clock.now()
    good = {"name": "x", "scopes": ["people:read"], "expires_at": (now + timedelta(minutes=50)).isoformat()}
    for change, code in (
        ({"scopes": ["people:read", "people:write"]}, "scope_not_yours"),
        ({"expires_at": (now + timedelta(hours=2)).isoformat()}, "outlives_its_maker"),
        ({"expires_at": now.isoformat()}, "in_the_past"),
        ({"name": ""}, "missing"),
        ({"scopes": []}, "no_scope"),
    ):
        answer = await _api(site, key, "POST", "/tokens", good | change)
        assert (answer.status, answer.json["problems"][0]["code"]) == (400, code)
    made = await _api(site, key, "POST", "/tokens", good)
    assert made.status == 201
    assert (await _api(site, made.json["key"], "GET", "/people")).status == 200
    assert (await _api(site, made.json["key"], "DELETE", f"/tokens/{made.json['token']['id']}")).status == 204
    assert (await _api(site, made.json["key"], "GET", "/people")).status == 401


async def test_a_time_without_zone_is_no_end_of_a_token(site: Site) -> None:
    key = await _token(site, [Scope.PEOPLE_READ])
    body = {"name": "x", "scopes": ["people:read"], "expires_at": "2030-01-01T00:00:00"}
    assert (await _api(site, key, "POST", "/tokens", body)).status == 400


async def test_the_api_changes_ones_own_account(site: Site) -> None:
    key = await _token(site, [Scope.PEOPLE_WRITE], who="grace")
    changed = await _api(site, key, "PATCH", "/me", {"time_zone": "Europe/Berlin"})
    assert changed.json["time_zone"] == "Europe/Berlin"
    assert (await _api(site, key, "PATCH", "/me", {"time_zone": "Nowhere"})).status == 400
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await _api(site, key, "POST", "/me/password", body)).status == 204
    await sign_in(site.server, "grace", NEW)
    assert len((await _api(site, key, "GET", "/me/sessions")).json) == 1
    assert (await _api(site, key, "DELETE", "/me/sessions")).json == {"ended": 1}
