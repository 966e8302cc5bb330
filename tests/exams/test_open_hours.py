"""What the running server makes of times: test runs, extra time, the end by hand, the archive, and names of the roster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from invigilo.accounts.model import Account
from invigilo.clock import SetClock, to_ms
from invigilo.exams.roster_file import Line
from invigilo.exams.rules import Deed
from invigilo.storage.queries import accounts as account_queries
from tests.rtc.pages import socket_to
from tests.server import SET_UP, Server, running
from tests.web.people import sign_in

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
END = START + timedelta(hours=2)
TEXT = SET_UP.replace("2026-01-01T08:00:00Z", "2026-03-02T08:00:00Z").replace(
    "2036-01-01T12:00:00Z", "2026-03-02T10:00:00Z"
)


class Day:
    """A server whose clock is moved, and the exam's administrator."""

    def __init__(self, server: Server, clock: SetClock, grace: Account) -> None:
        self.server, self.clock, self.grace = server, clock, grace
        (self.exam_id,) = server.app.directory.exams

    async def at(self, moment: datetime) -> None:
        self.clock.move(moment - self.clock.now())
        await self.server.app.directory.reload()

    async def do(self, deed: Deed) -> None:
        await self.server.app.exams.do(self.exam_id, deed, self.grace)
        await self.server.app.directory.reload()

    async def expect(self, user_id: str, name: str, *, group: str = "", extra: int = 0) -> None:
        line = Line(0, user_id, name, group, extra)
        await self.server.app.rosters.add(self.exam_id, line, self.grace)
        await self.server.app.directory.reload()

    async def is_open(self) -> bool:
        return (await self.server.create(await self.server.bearer())).json != []


@pytest_asyncio.fixture
async def day(tmp_path: Path) -> AsyncIterator[Day]:
    clock = SetClock(START - timedelta(days=1))
    async with running(tmp_path, text=TEXT, clock=clock) as server:
        async with server.app.reading() as w:
            people = {one.username: one for one in await account_queries.all_accounts(w.db)}
        yield Day(server, clock, people["grace"])


async def test_clients_connect_in_a_test_run_and_are_let_go_when_it_stops(day: Day) -> None:
    assert not await day.is_open()
    await day.do(Deed.START_TEST_RUN)
    seb = await day.server.ready()
    assert (await seb.ping()).status == 204
    await day.do(Deed.STOP_TEST_RUN)
    assert (await seb.ping()).json["instruction"] == "SEB_QUIT"
    assert not await day.is_open()


async def test_a_test_run_goes_over_into_the_exam(day: Day) -> None:
    await day.do(Deed.START_TEST_RUN)
    seb = await day.server.ready()
    await day.at(START + timedelta(minutes=1))
    assert (await seb.ping()).status == 204


async def test_with_extra_time_an_exam_stays_open_past_its_end(day: Day) -> None:
    await day.expect("s1", "Zoë Müller", extra=30)
    await day.at(END + timedelta(minutes=29))
    seb = await day.server.ready()
    assert (await seb.ping()).status == 204
    await day.at(END + timedelta(minutes=30))
    assert (await seb.ping()).json["instruction"] == "SEB_QUIT"
    assert not await day.is_open()


async def test_without_extra_time_it_closes_at_its_end(day: Day) -> None:
    await day.expect("s1", "Zoë Müller")
    await day.at(END)
    assert not await day.is_open()


async def test_an_exam_ended_by_hand_can_be_opened_again(day: Day) -> None:
    await day.at(START + timedelta(minutes=5))
    seb = await day.server.ready()
    await day.do(Deed.END)
    assert (await seb.ping()).json["instruction"] == "SEB_QUIT"
    await day.do(Deed.REOPEN)
    assert (await (await day.server.ready()).ping()).status == 204


async def test_the_roster_names_people_wherever_they_are_seen(day: Day) -> None:
    """The LMS's user id comes late; the candidate's page learns the name and the own end the moment it does."""
    await day.expect("s1", "Zoë Müller", group="B2", extra=30)
    await day.at(START + timedelta(minutes=5))
    seb = await day.server.ready()
    key = seb.created.json[0]["url"].rpartition("/e/")[2]
    async with socket_to(day.server, f"/e/{key}/socket") as page:
        await page.send("hello", tab="one")
        assert (await page.until(t="welcome"))["ends_at"] == to_ms(END)
        assert (await seb.patch("seb_user_session_id=s1")).status == 200
        message = await page.until(t="about")
        own_end = to_ms(END + timedelta(minutes=30))
        assert (message["candidate"], message["ends_at"]) == ("Zoë Müller", own_end)
    assert "Zoë Müller" in (await day.server.request("GET", f"/e/{key}")).body.decode()
    exam = day.server.app.directory.exams[day.exam_id]
    row = day.server.app.stream.judged(exam, seb.live)
    assert (row["name"], row["user"], row["group"], row["own_end"]) == ("Zoë Müller", "s1", "B2", own_end)
    ada = await sign_in(day.server, "ada")
    connection = await ada.get(f"/monitoring/{day.exam_id}/connections/{seb.live.id}", accept="text/html")
    assert "Zoë Müller" in connection.body.decode()
    exam_page = await ada.get(f"/exams/{day.exam_id}", accept="text/html")
    assert "1 of 1 connected" in exam_page.body.decode()


@pytest.mark.parametrize("address", ["/exams", "/exams/{id}", "/exams/{id}/roster"])
async def test_supporters_see_their_exam(day: Day, address: str) -> None:
    ada = await sign_in(day.server, "ada")
    answer = await ada.get(address.replace("{id}", str(day.exam_id)), accept="text/html")
    assert answer.status == 200
    assert "Linear Algebra" in answer.body.decode()
