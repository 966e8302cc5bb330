"""Every page of a signed-in person in Chromium: nothing that keeps people out, nothing wider than a phone, no complaint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext

from invigilo.accounts.model import Scope
from invigilo.storage.queries import accounts as account_queries
from tests.server import running
from tests.web.people import TWO_INSTITUTIONS, candidate_in, sign_in
from tests.web.rights import Address, all_rules, module_of
from tests.web.test_rights import Site

pytestmark = pytest.mark.browser

RULES = all_rules()
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
BY_LOOK = {
    "light": {"runOnly": LEVELS},
    "dark": {"runOnly": ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]},
}
"""All rules in light; in dark and on a phone those that may come out differently there."""
PEOPLE = ("grace", "ines", "root", "ada")
"""Between them they may open every page there is."""


def pages_of(person: str) -> list[Address]:
    """Pages are what is fetched and is neither the API nor a file; each is looked at by the first who may open it."""
    return [
        address
        for address, rule in RULES.items()
        if address[0] == "GET"
        and not address[1].startswith("/api/")
        and next((one for one in PEOPLE if rule[one] == "ok"), None) == person
    ]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(tmp_path / "data", text=TWO_INSTITUTIONS) as server:
        people = {name: await sign_in(server, name) for name in PEOPLE}
        async with server.app.reading() as w:
            accounts = {one.username: one for one in await account_queries.all_accounts(w.db)}
        site = Site(server, people, accounts, {})
        lasts = server.app.clock.now() + timedelta(hours=1)
        for name in PEOPLE:
            made = await server.app.tokens.make("test", list(Scope), expires_at=lasts, by=accounts[name])
            site.tokens[name] = made[1]
        await candidate_in(server, "Linear Algebra")
        yield site


async def _paths(site: Site, person: str) -> list[str]:
    paths: list[str] = []
    for address in pages_of(person):
        module = module_of(address)
        ids = await module.ids(site, address) if hasattr(module, "ids") else {}
        path = address[1]
        for hole, value in ids.items():
            path = path.replace(f"{{{hole}}}", str(value))
        answer = await site.people[person].get(path, accept="text/html")
        if answer.status == 200 and answer.body.lower().startswith(
            b"<!doctype html>"
        ):  # not a part of a page
            paths.append(path)
    return [*paths, "/monitoring", f"/monitoring/{site.exam_id}"] if person == "ada" else paths


async def _context(browser: Browser, site: Site, person: str, **options: object) -> BrowserContext:
    context = await browser.new_context(reduced_motion="reduce", **options)  # type: ignore[arg-type]
    cookies = site.people[person].cookies.items()
    await context.add_cookies([{"name": n, "value": v, "url": site.server.url} for n, v in cookies])
    return context


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("look", ["light", "dark"])
async def test_no_page_keeps_anybody_out(site: Site, browser: Browser, person: str, look: str) -> None:
    """WCAG A and AA as far as a program can tell; on a desk in light, on a phone in dark."""
    size = {"width": 1280, "height": 800} if look == "light" else {"width": 360, "height": 740}
    context = await _context(browser, site, person, color_scheme=look, viewport=size, locale="en")
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on(
        "console", lambda message: complaints.append(message.text) if message.type == "error" else None
    )
    page = await context.new_page()
    wrong: list[str] = []
    for path in await _paths(site, person):
        await page.goto(site.server.url + path)
        await page.wait_for_load_state("load")
        found = await Axe().run(page, options=BY_LOOK[look])
        wrong += [
            f"{path}: {one['id']}: {one['nodes'][0]['html'][:160]}" for one in found.response["violations"]
        ]
        wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wider > 0:
            wrong.append(f"{path}: {wider} px wider than the window")
        wrong += [f"{path}: {one}" for one in complaints]
        complaints.clear()
    await context.close()
    assert wrong == []
