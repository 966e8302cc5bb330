"""Looking back in the pages and by the API: what is found, what is taken along, and who goes away in the middle of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from invigilo.monitoring import event_search
from invigilo.monitoring.model import ClientEvent, EventType
from invigilo.storage.queries import events as event_queries
from invigilo.storage.queries.connections import write_events
from tests.server import running
from tests.web.people import TWO_INSTITUTIONS, Candidate, candidate_in, exam_called
from tests.web.test_people import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEGIN = 1_760_000_000_000
PATIENCE = 30  # seconds


class Day(Site):
    """Three candidates in three exams, of two institutions."""

    candidates: dict[str, Candidate]

    async def events(self, query: str, who: str = "aude") -> list[dict[str, Any]]:
        answer = await self.call(who, "GET", f"/events?{query}")
        assert answer.status == 200, answer.body
        return answer.json["items"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def day(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Day]:
    async with running(tmp_path_factory.mktemp("records"), text=TWO_INSTITUTIONS) as server:
        made = Day(server)
        made.candidates = {exam: await candidate_in(server, exam) for exam in ("Linear Algebra", "Biology")}
        lines = [
            (EventType.ERROR_LOG, '=HYPERLINK("x")', None),
            (EventType.WARN_LOG, 'Öko-Prüfung\nzweite Zeile; "x"', None),
            (EventType.INFO_LOG, "<battery> 81%", 81.0),
            (EventType.DEBUG_LOG, "<script>alert(1)</script>", None),
        ]
        for exam, candidate in made.candidates.items():
            some = [
                ClientEvent(
                    candidate.id, type_, BEGIN + 1_000 * n, BEGIN, value, f"{text} {exam}" if n else text
                )
                for n, (type_, text, value) in enumerate(lines)
            ]
            async with server.app.work() as w:
                await write_events(w.db, some)
        yield made


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 8),
        ("q=%C3%96KO", 2),
        ("q=%22zweite%20zeile%22", 2),
        ("q=zweite%20algebra", 1),
        ("types=ERROR_LOG,WARN_LOG", 4),
        ("types=ERROR_LOG&types=DEBUG_LOG&exam=biolog", 2),
        ("value_from=81&value_to=81.0", 2),
        ("value_from=81.5", 0),
        ("from=2025-10-09T08:53:21Z&to=2025-10-09T08:53:22%2B00:00", 2),
        ("to=2025-10-09T10:53:20%2B02:00", 0),
        ("candidate=nobody", 0),
        ("exam_id=999999", 0),
    ],
)
async def test_a_search_finds_what_fits(day: Day, query: str, count: int) -> None:
    assert len(await day.events(query)) == count


async def test_supporters_find_events_of_their_own_exams_only(day: Day) -> None:
    for who, exams in (
        ("ada", {"Linear Algebra"}),
        ("bea", {"Biology"}),
        ("grace", {"Linear Algebra", "Biology"}),
        ("other-grace", set()),
    ):
        assert {one["exam"] for one in await day.events("", who)} == exams
        html = (await (await day.browser(who)).get("/events", accept="text/html")).body.decode()
        assert ("HYPERLINK" in html) == bool(exams)
        table = (await day.call(who, "GET", "/events.csv")).body.decode("utf-8-sig")
        assert {row[1] for row in csv.reader(io.StringIO(table, newline=""))} - {"Exam"} == exams


@pytest.mark.parametrize(
    "query",
    [
        "types=NOTIFICATION",
        "types=x",
        "from=yesterday",
        "from=2025-10-09T08:53:21",
        "from=2025-10-10T00:00:00Z&to=2025-10-09T00:00:00Z",
        "value_from=much",
        "value_to=nan",
        "value_to=inf",
        "before=x",
        "exam_id=-1",
        "connection_id=1.5",
        "size=0",
    ],
)
async def test_a_question_that_cannot_be_is_refused_in_words(day: Day, query: str) -> None:
    assert (await day.call("grace", "GET", f"/events?{query}")).status == 400
    html = (await (await day.browser("grace")).get(f"/events?{query}", accept="text/html")).body.decode()
    assert "<form" in html


async def test_pages_of_events_follow_each_other(day: Day) -> None:
    whole = [one["id"] for one in await day.events("")]
    found: list[int] = []
    place = ""
    for _ in range(20):
        page = (await day.call("aude", "GET", f"/events?size=3{place}")).json
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        place = f"&before={page['next']}"
    assert found == whole


async def test_a_search_that_is_cut_says_so_and_how_to_go_on(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_queries, "FIRST_WINDOW", 1)
    monkeypatch.setattr(event_search, "BUDGET", 0)
    page = (await day.call("aude", "GET", "/events?q=81")).json
    assert page["items"] == []
    assert page["next"] is not None
    assert page["looked_back_to"] is not None
    html = (await (await day.browser("aude")).get("/events?q=81", accept="text/html")).body.decode()
    assert "This search was stopped" in html
    assert "Search on" in html
    assert "one or two characters" in html
    table = (await day.call("aude", "GET", "/events.csv?q=81")).body.decode("utf-8-sig")
    assert table.count("81%") == 2, "an export goes on to the end"


# --- tables ---


async def test_tables_are_what_spreadsheet_programs_read(day: Day) -> None:
    """UTF-8 with its mark, CRLF, a head in the reader's language, formulas as text; lines within a cell stay one cell."""
    browser = await day.browser("ada")
    exam_id = exam_called(day.server, "Linear Algebra")
    headers = {"Cookie": browser.cookie, "Accept-Language": "de"}
    answer = await day.server.request(
        "GET", f"/events.csv?exam_id={exam_id}&zone=Europe/Berlin", headers=headers
    )
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert answer.body.startswith(b"\xef\xbb\xbf")
    head, *rows = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))
    assert head[0] == "Zeit (Europe/Berlin)"
    assert [row[5] for row in rows] == ["Debug", "Info", "Warnung", "Fehler"]
    assert rows[3][7] == '\'=HYPERLINK("x")'
    assert rows[2][7] == 'Öko-Prüfung\nzweite Zeile; "x" Linear Algebra'
    assert rows[1][6] == "81"
    assert rows[0][0] == "2025-10-09 10:53:23.000+02:00"
    record = await day.server.request("GET", f"/exams/{exam_id}/record.csv", headers=headers)
    head, *rows = list(csv.reader(io.StringIO(record.body.decode("utf-8-sig"), newline="")))
    assert head[3] == "Zustand"
    assert [row[-1] for row in rows] == [str(day.candidates["Linear Algebra"].id)]


async def test_taking_a_table_along_is_on_record_with_what_was_asked(day: Day) -> None:
    exam_id = exam_called(day.server, "Linear Algebra")
    await day.call("grace", "GET", f"/events.csv?exam_id={exam_id}&q=needle&types=ERROR_LOG")
    await day.call("grace", "GET", f"/exams/{exam_id}/connections.csv?state=closed")
    deeds = (await day.call("aude", "GET", f"/activity?actor=grace&exam_id={exam_id}")).json["items"]
    found = {one["deed"]: one for one in deeds}
    assert found["events_exported"]["detail"] == {"q": "needle", "types": "ERROR_LOG"}
    assert found["record_exported"]["detail"] == {"state": "closed"}
    refused = await day.call("bea", "GET", f"/events.csv?exam_id={exam_id}")
    assert refused.status == 404


@pytest.mark.filterwarnings("error")
async def test_who_goes_away_in_the_middle_of_a_table_leaves_no_connection_behind(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that was cut off once left a database connection to the garbage collector."""
    monkeypatch.setattr(event_search, "EXPORT_PAGE", 200)
    candidate = day.candidates["Biology"]
    app = day.server.app
    async with app.reading() as w:
        _, end = await event_queries._bounds(w.db)
    async with app.work() as w:
        some = [
            ClientEvent(candidate.id, EventType.DEBUG_LOG, BEGIN + n, None, None, "long " * 200)
            for n in range(10_000)
        ]
        await write_events(w.db, some)
    browser = await day.browser("grace")
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", day.server.port)
        lines = ["GET /events.csv HTTP/1.1", "Host: x", f"Cookie: {browser.cookie}", "", ""]
        writer.write("\r\n".join(lines).encode())
        await reader.readexactly(20_000)
        writer.transport.abort()
    pool: Any = app.storage.database.reading.pool
    until = time.monotonic() + PATIENCE
    while pool.checkedout() or event_search._reading:
        assert time.monotonic() < until, "a database connection is still held"
        await asyncio.sleep(0.02)
    async with app.work() as w:
        gone = await event_queries.forget(w.db, list(range(end, end + len(some))))
    assert gone == len(some), "what was written for this test must not be met by others"


# --- an exam's record ---


async def test_a_record_leads_from_the_exam_to_everything_that_happened(day: Day) -> None:
    exam_id = exam_called(day.server, "Linear Algebra")
    candidate = day.candidates["Linear Algebra"]
    browser = await day.browser("ada")
    page = (await browser.get(f"/exams/{exam_id}/record", accept="text/html")).body.decode()
    assert f'href="/exams/{exam_id}/record/{candidate.id}"' in page
    timeline = (
        await browser.get(f"/exams/{exam_id}/record/{candidate.id}", accept="text/html")
    ).body.decode()
    assert "HYPERLINK" in timeline
    assert "<script>alert" not in timeline
    assert "The client connected" in timeline
    only = await browser.get(f"/exams/{exam_id}/record/{candidate.id}?kinds=state", accept="text/html")
    assert "HYPERLINK" not in only.body.decode()
    for odd in ("kinds=x", "after=1-2", "after=a-b-c", f"after={'9' * 30}-1-1"):
        answer = await browser.get(f"/exams/{exam_id}/record/{candidate.id}?{odd}", accept="text/html")
        assert answer.status == 400, odd


async def test_the_api_tells_the_same(day: Day) -> None:
    exam_id, candidate = exam_called(day.server, "Linear Algebra"), day.candidates["Linear Algebra"]
    api = f"/exams/{exam_id}/connections"
    listed = (await day.call("ada", "GET", api)).json
    assert [one["id"] for one in listed["items"]] == [candidate.id]
    one = (await day.call("ada", "GET", f"{api}/{candidate.id}")).json
    assert (one["events"], one["exam_id"]) == (4, exam_id)
    moments: list[dict[str, Any]] = []
    after = ""
    for _ in range(50):
        page = (
            await day.call("ada", "GET", f"{api}/{candidate.id}/timeline?size=2&order=newest{after}")
        ).json
        moments += page["items"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert [m["what"] for m in moments if m["kind"] == "state"][-1] == "connected"
    assert len({json.dumps(m) for m in moments}) == len(moments)
    assert (await day.call("ada", "GET", f"{api}/{candidate.id}/timeline?order=sideways")).status == 400
    assert (await day.call("ada", "GET", f"{api}/{day.candidates['Biology'].id}")).status == 404


async def test_what_clients_send_is_soon_in_the_index(day: Day) -> None:
    """The server indexes behind the events by itself."""
    until = time.monotonic() + PATIENCE
    while True:
        async with day.server.app.reading() as w:
            state = await event_queries.indexed(w.db)
            first, end = await event_queries._bounds(w.db)
        if state is not None and state[0] <= first and state[1] >= end:
            break
        assert time.monotonic() < until, f"indexed {state} of {(first, end)}"
        await asyncio.sleep(0.05)
    assert len(await day.events("q=zweite")) == 2
