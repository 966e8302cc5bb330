"""The record: everything is found, nothing of others is seen, and a spreadsheet program runs none of it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from invigilo.activity import reading
from invigilo.activity.service import record
from tests.server import running
from tests.web.people import TWO_INSTITUTIONS, exam_called
from tests.web.test_people import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = datetime(2025, 3, 10, 23, 30, tzinfo=UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("activity"), text=TWO_INSTITUTIONS) as server:
        made = Site(server)
        await _note(made, "ines", "user_created", {"username": '=HYPERLINK("x")'}, DAY)
        await _note(made, "ines", "exam_created", {"name": 'Öko "Prüfung", früh'}, DAY + timedelta(hours=1))
        await _note(
            made, "grace", "not_known_to_us", {"odd": "+49 30", "list": [1, "two"]}, DAY + timedelta(hours=2)
        )
        await _note(made, "other-ines", "user_created", {"username": "their-secret"}, DAY)
        yield made


async def _note(site: Site, who: str, deed: str, detail: dict[str, Any], at: datetime) -> None:
    actor = await site.account(who)
    exam_id = exam_called(site.server, "Biology") if deed == "not_known_to_us" else None
    async with site.server.app.work() as w:
        await record(
            w,
            at=at,
            actor=actor,
            deed=deed,
            institution_id=actor.institution_id,
            exam_id=exam_id,
            detail=detail,
        )


async def _found(site: Site, query: str, who: str = "aude") -> list[str]:
    answer = await site.call(who, "GET", f"/activity?{query}")
    assert answer.status == 200, answer.body
    return [one["deed"] for one in answer.json["items"]]


@pytest.mark.parametrize(
    ("query", "deeds"),
    [
        ("q=%C3%B6KO", ["exam_created"]),
        ("q=fr%C3%BCh%20pr%C3%BCfung", ["exam_created"]),
        ("q=%22Pr%C3%BCfung%22", ["exam_created"]),
        ("q=GRACE%20two", ["not_known_to_us"]),
        ("q=100%25", []),
        ("actor=grace&to=2025-12-31T00:00:00Z", ["not_known_to_us"]),
        ("deed=not_known_to_us", ["not_known_to_us"]),
        ("exam=biolog&actor=grace", ["not_known_to_us"]),
        ("from=2025-03-10T23:30:00Z&to=2025-03-11T00:30:00Z", ["user_created"]),
        ("from=2025-03-11T00:30:00%2B00:00&to=2025-03-11T02:00:00Z", ["not_known_to_us", "exam_created"]),
    ],
)
async def test_a_search_finds_what_fits_and_nothing_else(site: Site, query: str, deeds: list[str]) -> None:
    assert await _found(site, query) == deeds


async def test_days_are_those_of_the_readers_zone(site: Site) -> None:
    """23:30 UTC is the next day in Berlin."""
    aude = await site.browser("aude")
    for day, zone, is_there in (
        ("2025-03-10", "UTC", True),
        ("2025-03-10", "Europe/Berlin", False),
        ("2025-03-11", "Europe/Berlin", True),
        ("2025-03-10", "Nowhere/Land", True),
    ):
        html = (
            await aude.get(f"/activity?from={day}&to={day}&zone={zone}", accept="text/html")
        ).body.decode()
        assert ("HYPERLINK" in html) == is_there, (day, zone)


async def test_nobody_reads_of_another_institution(site: Site) -> None:
    for path in ("/activity?q=their-secret", "/activity.csv"):
        assert b"their-secret" not in (await site.call("aude", "GET", path)).body
        assert b"their-secret" in (await site.call("root", "GET", path)).body
    html = (await (await site.browser("aude")).get("/activity?from=2025-01-01", accept="text/html")).body
    assert b"their-secret" not in html


async def test_pages_follow_each_other_without_gap_or_repetition(site: Site) -> None:
    everything = (await site.call("root", "GET", "/activity?size=200")).json["items"]
    found: list[int] = []
    place = ""
    for _ in range(100):
        page = (await site.call("root", "GET", f"/activity?size=3{place}")).json
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        place = f"&before={page['next']}"
    assert [one for one in found if one in {e["id"] for e in everything}] == [one["id"] for one in everything]
    assert len(found) == len(set(found))


async def test_a_long_search_stops_on_its_way_and_can_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how far it looked, and the next pages find the rest; the export finds all at once."""
    monkeypatch.setattr(reading, "STRETCH", 5)
    page = (await site.call("root", "GET", "/activity?q=their-secret")).json
    for _ in range(100):
        if page["items"] or page["next"] is None:
            break
        page = (await site.call("root", "GET", f"/activity?q=their-secret&before={page['next']}")).json
    assert [one["detail"]["username"] for one in page["items"]] == ["their-secret"]
    assert b"their-secret" in (await site.call("root", "GET", "/activity.csv?q=their-secret")).body
    html = (
        await (await site.browser("root")).get("/activity?q=their-secret", accept="text/html")
    ).body.decode()
    assert "Search on" in html


@pytest.mark.parametrize(
    "query",
    [
        "before=x",
        "before=1-",
        "from=yesterday",
        "from=2025-01-01",
        "exam_id=0",
        "deed=A%20B",
    ],
)
async def test_a_question_that_cannot_be_is_refused_in_words(site: Site, query: str) -> None:
    assert (await site.call("root", "GET", f"/activity?{query}")).status == 400


@pytest.mark.parametrize(
    "query", ["from=0001-01-01&zone=Asia/Tokyo", "to=9999-12-31", "from=31.01.2025", "exam_id=x", "q=%00"]
)
async def test_the_page_survives_every_question(site: Site, query: str) -> None:
    answer = await (await site.browser("root")).get(f"/activity?{query}", accept="text/html")
    assert answer.status in {200, 400}
    assert b"<form" in answer.body


# --- the table ---


async def test_the_table_is_what_spreadsheet_programs_read(site: Site) -> None:
    """UTF-8 with its mark, CRLF, quotes doubled, a head in the reader's language, formulas as text."""
    aude = await site.browser("aude")
    headers = {"Cookie": aude.cookie, "Accept-Language": "de"}
    answer = await site.server.request(
        "GET", "/activity.csv?from=2025-01-01&to=2025-12-31&zone=Europe/Berlin", headers=headers
    )
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert answer.body.startswith(b"\xef\xbb\xbf")
    text = answer.body.decode("utf-8-sig")
    assert text.count("\r\n") == text.count("\n") == 4
    head, *rows = list(csv.reader(io.StringIO(text, newline="")))
    assert head[:3] == ["Zeit (Europe/Berlin)", "Benutzername", "Was"]
    assert [row[-1] for row in rows] == ["not_known_to_us", "exam_created", "user_created"]
    assert rows[1][2] == 'Prüfung „Öko "Prüfung", früh“ angelegt'
    assert rows[2][0] == "2025-03-11 00:30:00+01:00"
    assert rows[0][3] == "Biology"


async def test_taking_the_record_along_is_itself_on_record(site: Site) -> None:
    await site.call("other-aude", "GET", "/activity.csv")
    assert "activity_exported" in await _found(site, "actor=other-aude", who="other-ines")


async def test_a_deed_of_another_version_is_shown_by_its_word(site: Site) -> None:
    items = (await site.call("aude", "GET", "/activity?deed=not_known_to_us")).json["items"]
    assert items[0]["what"] == "not known to us"
