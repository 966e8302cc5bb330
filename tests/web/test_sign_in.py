"""Signing in and out: what is kept, what is refused, and what ends when a session ends."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from invigilo.accounts.service import FREE_TRIES
from invigilo.clock import SetClock
from invigilo.declared import apply_text
from invigilo.secrets_box import digest
from invigilo.storage.opening import open_storage
from invigilo.storage.tables import sessions, users
from tests.rtc.pages import PATIENCE, proctor_page, socket_to
from tests.server import PASSWORD, Answer, Server, running, settings_for
from tests.web.people import TWO_INSTITUTIONS as TEXT
from tests.web.people import Browser, candidate_in, cookies_of, exam_called, sign_in, visitor
from tests.web.test_permission_matrix import RULES
from tests.world import MORNING

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION = "invigilo_session"


@dataclass
class Site:
    server: Server
    clock: SetClock
    folder: Path
    grace: Browser | None = None
    asked_at: int = 0

    async def signed_in(self) -> Browser:
        """Grace, signed in less than some hours ago: passwords are slow on purpose."""
        now = self.clock.now_ms()
        if self.grace is None or now - self.asked_at > 8 * 3_600_000:
            self.grace, self.asked_at = await sign_in(self.server, "grace"), now
        return self.grace

    async def declare(self, *people: str) -> None:
        """What `invigilo apply` in another process does to people of Example University."""
        storage = await open_storage(settings_for(self.folder), clock=self.clock)
        tables = "\n".join(f"[[institution.user]]\n{one}" for one in people)
        await apply_text(f'[[institution]]\nname = "Example University"\n{tables}', storage, self.clock)
        await storage.close()

    async def add(self, username: str) -> None:
        await self.declare(f'username = "{username}"\nrole = "exam_admin"\npassword = "{PASSWORD}"')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("sign-in")
    clock = SetClock(MORNING)
    async with running(folder, text=TEXT, clock=clock) as server:
        yield Site(server, clock, folder)


async def _try(server: Server, username: str, password: str = PASSWORD) -> Answer:
    return await (await visitor(server)).post("/login", {"username": username, "password": password})


def _problem(answer: Answer) -> str:
    found = re.search(r'role="alert">([^<]+)<', answer.body.decode())
    assert found is not None, answer.body
    return found[1]


# --- the form ---


async def test_the_form_works_without_scripts(site: Site) -> None:
    """The hidden field alone carries the CSRF token."""
    shown = await site.server.request("GET", "/login?next=/connections")
    assert shown.status == 200
    token = re.search(r'name="_csrf_token" value="([^"]+)"', shown.body.decode())
    assert token is not None
    answer = await site.server.request(
        "POST",
        "/login",
        headers={
            "Cookie": f"csrftoken={cookies_of(shown)['csrftoken']}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=f"_csrf_token={token[1]}&username=grace&password={PASSWORD.replace(' ', '+')}&next=/connections",
    )
    assert (answer.status, answer.headers["location"]) == (303, "/connections")


async def test_whoever_is_signed_in_is_not_asked_again(site: Site) -> None:
    answer = await (await sign_in(site.server, "grace")).get("/login?next=/connections")
    assert (answer.status, answer.headers["location"]) == (303, "/connections")


async def test_a_page_leads_to_the_sign_in_and_back(site: Site) -> None:
    answer = await (await visitor(site.server)).get("/monitoring/1/rooms/2", accept="text/html")
    assert (answer.status, answer.headers["location"]) == (302, "/login?next=/monitoring/1/rooms/2")


async def test_passwords_are_kept_as_argon2id_only(site: Site) -> None:
    async with site.server.app.reading() as w:
        hashes = (await w.db.execute(select(users.c.password_hash))).scalars().all()
    assert len(hashes) >= 10
    assert all(one.startswith("$argon2id$") for one in hashes)
    assert len(set(hashes)) == len(hashes), "each has its own salt"


@pytest.mark.parametrize("password", ["wrong", "", "x" * 257, PASSWORD.upper(), PASSWORD + " ", "\0"])
async def test_a_wrong_password_signs_nobody_in(site: Site, password: str) -> None:
    await site.add("wrong")
    answer = await _try(site.server, "wrong", password)
    assert answer.status in {401, 429}
    assert SESSION not in cookies_of(answer)


async def test_one_cannot_learn_which_users_exist(site: Site) -> None:
    """No such user, wrong password, not active: the same words."""
    await site.declare(f'username = "gone"\nrole = "auditor"\npassword = "{PASSWORD}"\nactive = false')
    answers = [
        await _try(site.server, "nobody-of-this-name"),
        await _try(site.server, "bea", "wrong password"),
        await _try(site.server, "gone"),
        await _try(site.server, "x" * 500),
        await _try(site.server, "be\0a"),
        await _try(site.server, ""),
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({_problem(answer) for answer in answers}) == 1


async def test_what_was_typed_is_shown_as_text(site: Site) -> None:
    answer = await _try(site.server, '"><script>alert(1)</script>', "wrong password")
    assert b"<script>alert" not in answer.body


# --- trying passwords ---


async def test_guessing_a_password_takes_ever_longer(site: Site) -> None:
    """After a few free tries not even the right password helps, until the pause is over; then all is forgiven."""
    await site.add("patient")
    for _ in range(FREE_TRIES):
        assert (await _try(site.server, "patient", "a wrong guess")).status == 401
    assert (await _try(site.server, "patient")).status == 429
    assert (await _try(site.server, "PATIENT ")).status == 429, "the same user by another spelling"
    site.clock.move(timedelta(seconds=2))
    assert (await _try(site.server, "patient", "a wrong guess")).status == 401
    site.clock.move(timedelta(seconds=1))
    assert (await _try(site.server, "patient")).status == 429, "the second pause is longer"
    site.clock.move(timedelta(seconds=2))
    assert (await _try(site.server, "patient")).status == 303
    assert (await _try(site.server, "patient", "a wrong guess")).status == 401


async def test_tries_at_the_same_moment_are_not_free(site: Site) -> None:
    """Twenty guesses sent at once are no more guesses than five, one after the other."""
    await site.add("hasty")
    site.clock.move(timedelta(hours=1))
    visitors = [await visitor(site.server) for _ in range(20)]
    form = {"username": "hasty", "password": "a wrong guess"}
    answers = await asyncio.gather(*(one.post("/login", form) for one in visitors))
    assert sorted(one.status for one in answers) == [401] * FREE_TRIES + [429] * (20 - FREE_TRIES)
    site.clock.move(timedelta(hours=1))


async def test_trying_one_password_on_many_users_is_slowed_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.server.app.accounts._by_address, "free", 6)
    site.clock.move(timedelta(hours=1))
    for number in range(6):
        assert (await _try(site.server, f"guess{number}", "x")).status == 401
    assert (await _try(site.server, "grace")).status == 429
    site.clock.move(timedelta(hours=1))
    assert (await _try(site.server, "grace")).status == 303


# --- the cookie ---


async def test_the_session_cookie_is_for_the_server_only(site: Site) -> None:
    answer = await _try(site.server, "grace")
    morsel = SimpleCookie(answer.headers["set-cookie"])[SESSION]
    assert morsel["httponly"] is True
    assert morsel["samesite"].lower() == "lax"
    assert morsel["path"] == "/"
    assert morsel["domain"] == ""
    assert not morsel["secure"], "plain http on this machine must work"
    assert len(morsel.value) >= 43
    assert answer.headers["cache-control"] == "no-store"


async def test_over_https_no_cookie_ever_travels_in_the_clear(tmp_path: Path) -> None:
    async with running(tmp_path, text=TEXT, public_url="https://exams.example.org") as server:
        shown = await server.request("GET", "/login")
        assert SimpleCookie(shown.headers["set-cookie"])["csrftoken"]["secure"] is True
        answer = await _try(server, "grace")
        assert SimpleCookie(answer.headers["set-cookie"])[SESSION]["secure"] is True


async def test_the_database_holds_no_session_token(site: Site) -> None:
    token = (await sign_in(site.server, "grace")).cookies[SESSION]
    async with site.server.app.reading() as w:
        stored = set((await w.db.execute(select(sessions.c.token_hash))).scalars())
    assert digest(token) in stored
    assert token not in stored


async def test_a_session_somebody_else_chose_is_not_taken_over(site: Site) -> None:
    """Signing in makes a new session whatever cookie came along."""
    browser = await visitor(site.server)
    planted = Browser(site.server, browser.cookies | {SESSION: "planted-by-somebody-else"})
    answer = await planted.post("/login", {"username": "grace", "password": PASSWORD})
    assert answer.status == 303
    assert cookies_of(answer)[SESSION] != "planted-by-somebody-else"
    assert (await planted.get("/monitoring")).status == 401


# --- forged requests ---

POSTS = [path for method, path in RULES if method == "POST"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("forged", ["no token", "another token", "no cookie", "token in the address"])
async def test_a_form_of_another_site_does_nothing(site: Site, path: str, forged: str) -> None:
    """Every deed needs the token that only our own pages can read."""
    browser = await site.signed_in()
    candidate = await candidate_in(site.server, "Linear Algebra")
    full = (
        path.replace("{exam_id}", str(exam_called(site.server, "Linear Algebra")))
        .replace("{connection_id}", str(candidate.id))
        .replace("{configuration_id}", "1")
        .replace("{number}", "1")
    )
    token = browser.cookies["csrftoken"]
    stranger = (await visitor(site.server)).cookies["csrftoken"]
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    cookie = {"Cookie": browser.cookie}
    match forged:
        case "no token":
            headers |= cookie
        case "another token":
            headers |= cookie | {"X-CSRFToken": stranger}
        case "no cookie":
            headers |= {"Cookie": f"{SESSION}={browser.cookies[SESSION]}", "X-CSRFToken": token}
        case _:
            headers |= cookie
            full += f"?_csrf_token={token}"
    answer = await site.server.request(
        "POST", full, headers=headers, body=f"username=grace&password={PASSWORD}"
    )
    assert (answer.status, answer.json["code"]) == (403, "csrf")
    assert (await browser.get("/monitoring")).status == 200, "still signed in"
    assert candidate.wire.live.state.is_open


@pytest.mark.parametrize("path", [path for method, path in RULES if method == "GET" and "{" not in path])
async def test_no_get_changes_who_is_signed_in(site: Site, path: str) -> None:
    """SameSite=Lax lets other sites make plain links to us."""
    browser = await site.signed_in()
    answer = await browser.get(path)
    assert SESSION not in cookies_of(answer)
    assert (await browser.get("/monitoring")).status == 200


# --- where it leads ---


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example.org/",
        "//evil.example.org/",
        "/\\evil.example.org/",
        "/\t/evil.example.org",
        "/\n/evil.example.org",
        "\\\\evil.example.org",
        "javascript:alert(1)",
        "monitoring",
        "",
        "/login",
        "/logout",
        "/monitoring\r\nSet-Cookie: a=b",
        "/" + "x" * 1_000,
    ],
    ids=repr,
)
async def test_signing_in_never_leads_to_another_site(site: Site, to: str) -> None:
    browser = await visitor(site.server)
    answer = await browser.post("/login", {"username": "grace", "password": PASSWORD, "next": to})
    assert (answer.status, answer.headers["location"]) == (303, "/monitoring")


@pytest.mark.parametrize("to", ["/monitoring/1?lang=de", "/connections", "/monitoring/1/rooms/3"])
async def test_signing_in_leads_back_to_the_page(site: Site, to: str) -> None:
    browser = await visitor(site.server)
    answer = await browser.post("/login", {"username": "grace", "password": PASSWORD, "next": to})
    assert answer.headers["location"] == to


# --- the end ---


async def test_signing_out_ends_the_session_itself(site: Site) -> None:
    """Not only the browser forgets: a copy of the cookie is worth nothing any more."""
    browser = await sign_in(site.server, "grace")
    assert (await browser.get("/monitoring")).status == 200
    answer = await browser.post("/logout")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    assert cookies_of(answer)[SESSION] in {"", "null"}
    assert (await browser.get("/monitoring")).status == 401


async def test_signing_out_leaves_other_sessions_alone(site: Site) -> None:
    here, there = await sign_in(site.server, "grace"), await sign_in(site.server, "grace")
    await here.post("/logout")
    assert (await there.get("/monitoring")).status == 200


@pytest.fixture
def quick_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invigilo.web.sockets.CHECK_SIGN_IN_EVERY", 0.02)


@pytest.mark.usefixtures("quick_check")
async def test_the_wall_of_somebody_who_signed_out_goes_dark(site: Site) -> None:
    browser, other = await sign_in(site.server, "grace"), await sign_in(site.server, "ada")
    exam_id = exam_called(site.server, "Linear Algebra")
    async with proctor_page(browser, exam_id) as (page, _), proctor_page(other, exam_id) as (stays, _):
        await browser.post("/logout")
        assert await page.closing() == 4003
        await stays.barrier()


@pytest.mark.usefixtures("quick_check")
async def test_a_check_that_broke_once_is_made_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the page of somebody who signs out afterwards would stay for as long as it likes."""
    browser = await sign_in(site.server, "grace")
    accounts = site.server.app.accounts
    ask, is_broken = accounts.account_of_session, asyncio.Event()

    async def breaks_once(token: str) -> Any:
        if not is_broken.is_set():
            is_broken.set()
            raise ValueError("nobody thought of this")
        return await ask(token)

    async with proctor_page(browser, exam_called(site.server, "Linear Algebra")) as (page, _):
        monkeypatch.setattr(accounts, "account_of_session", breaks_once)
        await asyncio.wait_for(is_broken.wait(), PATIENCE)
        await browser.post("/logout")
        assert await page.closing() == 4003


@pytest.mark.usefixtures("quick_check")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("not-active", 'role = "exam_admin"\nactive = false'),
        ("another-role", 'role = "auditor"'),
        ("another-password", 'role = "exam_admin"\npassword = "another long one"'),
    ],
)
async def test_what_another_process_takes_away_is_gone_within_seconds(
    site: Site, name: str, change: str
) -> None:
    """Deactivated, given another role, or a new password: pages and sockets that are open end too."""
    await site.add(name)
    browser = await sign_in(site.server, name)
    exam_id = exam_called(site.server, "Linear Algebra")
    async with proctor_page(browser, exam_id) as (page, _):
        await site.declare(f'username = "{name}"\n{change}')
        site.clock.move(timedelta(seconds=6))
        assert await page.closing() == 4003
    assert (await browser.get(f"/monitoring/{exam_id}")).status in {401, 403}
    async with socket_to(site.server, f"/monitoring/{exam_id}/socket", Cookie=browser.cookie) as page:
        assert await page.closing() in {4401, 4403}


async def test_a_session_ends_by_itself(site: Site) -> None:
    browser = await sign_in(site.server, "grace")
    site.clock.move(timedelta(hours=11))
    assert (await browser.get("/monitoring")).status == 200
    site.clock.move(timedelta(hours=2))
    assert (await browser.get("/monitoring")).status == 401


async def test_a_sign_in_link_works_until_it_is_over(site: Site) -> None:
    token = await site.server.app.accounts.make_link("grace", path="/connections", lasts=timedelta(minutes=5))
    answer = await (await visitor(site.server)).get(f"/login/link/{token}")
    assert (answer.status, answer.headers["location"]) == (303, "/connections")
    assert SimpleCookie(answer.headers["set-cookie"])[SESSION]["httponly"] is True
    signed_in = Browser(site.server, cookies_of(answer))
    assert (await signed_in.get("/monitoring")).status == 200
    site.clock.move(timedelta(minutes=6))
    assert (await site.server.request("GET", f"/login/link/{token}")).status == 404
