"""Refusals are said in the language of whoever reads them; programs read English."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from invigilo.accounts.model import Scope
from invigilo.storage.queries import accounts as account_queries
from tests.rtc.pages import candidate_page, proctor_page
from tests.server import Answer, Server, running
from tests.web.people import TWO_INSTITUTIONS, Browser, Candidate, candidate_in, exam_called, sign_in

GERMAN = {"display_name": "Grace", "language": "de", "time_zone": "Europe/Berlin", "revision": "0"}
NOBODY_CHOSEN = {"kind": "break_out", "connections": []}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path, text=TWO_INSTITUTIONS) as server:
        yield server


@pytest.fixture
async def ada(server: Server) -> Browser:
    """Reads English."""
    return await sign_in(server, "ada")


@pytest.fixture
async def grace(server: Server) -> Browser:
    """Reads German: her account says so."""
    browser = await sign_in(server, "grace")
    assert (await browser.post("/account", GERMAN)).status == 303
    return browser


async def refusal(browser: Browser, path: str, body: Any) -> tuple[str, str]:
    """Code and sentence, as a page's script gets them."""
    answer = await ask(browser, path, body)
    assert answer.status == 409, answer.body
    return answer.json["code"], answer.json["message"]


async def ask(browser: Browser, path: str, body: Any) -> Answer:
    headers = {
        "Cookie": browser.cookie,
        "Accept": "application/json",
        "X-CSRFToken": browser.cookies["csrftoken"],
        "Content-Type": "application/json",
    }
    exam = exam_called(browser.server, "Linear Algebra")
    return await browser.server.request(
        "POST", f"/monitoring/{exam}{path}", headers=headers, body=json.dumps(body)
    )


async def gone(server: Server) -> Candidate:
    candidate = await candidate_in(server, "Linear Algebra")
    assert (await candidate.wire.delete()).status == 200
    return candidate


async def test_a_refused_call_is_explained_in_the_readers_language(
    server: Server, ada: Browser, grace: Browser
) -> None:
    assert await refusal(ada, "/calls", NOBODY_CHOSEN) == ("no_place", "Choose whom to call.")
    assert await refusal(grace, "/calls", NOBODY_CHOSEN) == (
        "no_place",
        "Bitte wählen, wer gerufen werden soll.",
    )
    lea = await candidate_in(server, "Linear Algebra")
    tom = await candidate_in(server, "Linear Algebra")
    async with candidate_page(server, lea), candidate_page(server, tom):
        opened = await ask(ada, "/calls", {"kind": "break_out", "connections": [lea.id]})
        assert opened.status == 201, opened.body
        code, sentence = await refusal(
            grace, "/calls", {"kind": "break_out", "connections": [lea.id, tom.id]}
        )
    assert code == "in_call"
    assert sentence.endswith("ist in einem Gespräch, das ada geöffnet hat.")


async def test_those_a_deed_does_not_fit_are_listed_with_reasons_in_the_readers_language(
    server: Server, ada: Browser, grace: Browser
) -> None:
    here = await candidate_in(server, "Linear Algebra")
    left = await gone(server)
    body = {"deed": "lock", "connections": [here.id, left.id], "count": 2}
    for browser, reason in (
        (ada, "This SEB has left; nothing can be sent to it."),
        (grace, "Dieses SEB ist gegangen; ihm kann nichts mehr gesendet werden."),
    ):
        outcome = (await ask(browser, "/deeds", body)).json
        assert outcome["refused"] == [
            {"connection_id": left.id, "code": "connection_closed", "message": reason}
        ]
    _, sentence = await refusal(grace, "/deeds", {**body, "count": 1})
    assert sentence == "Das beträfe jetzt 2 Prüflinge. Bitte noch einmal hinsehen und diese Zahl bestätigen."


async def test_the_live_socket_refuses_in_the_readers_language(
    server: Server, ada: Browser, grace: Browser
) -> None:
    exam = exam_called(server, "Linear Algebra")
    hold = {"room": 4711, "audio": True, "video": False, "chat": False}
    for browser, sentence in (
        (ada, "There is no such room in this exam."),
        (grace, "Diesen Raum gibt es in dieser Prüfung nicht."),
    ):
        async with proctor_page(browser, exam) as (wall, _):
            await wall.send("hold", **hold)
            error = await wall.until(t="error")
            assert (error["code"], error["message"]) == ("no_such_room", sentence)


async def test_an_error_page_is_in_the_readers_language(server: Server, ada: Browser, grace: Browser) -> None:
    path = f"/monitoring/{exam_called(server, 'Linear Algebra')}/calls/4711"
    english = await ada.get(path, accept="text/html")
    german = await grace.get(path, accept="text/html")
    assert (english.status, german.status) == (404, 404)
    assert "This call is closed, or there never was one." in english.body.decode()
    assert "Dieses Gespräch ist beendet, oder es gab es nie." in german.body.decode()
    assert 'lang="en" class="muted"' not in german.body.decode()


@pytest.mark.usefixtures("grace")
async def test_programs_are_refused_in_english(server: Server) -> None:
    """Whatever language the person behind them reads."""
    app = server.app
    async with app.reading() as w:
        found = await account_queries.by_username(w.db, "grace")
    assert found is not None
    lasts = app.clock.now() + timedelta(days=1)
    _, key = await app.tokens.make("desk", [Scope.PROCTORING_WRITE], expires_at=lasts, by=found[0])
    exam = exam_called(server, "Linear Algebra")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = await server.request(
        "POST", f"/api/v1/exams/{exam}/calls", headers=headers, body=json.dumps(NOBODY_CHOSEN)
    )
    assert (answer.status, answer.json["message"]) == (409, "Choose whom to call.")
