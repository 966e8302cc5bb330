"""The exam office's deeds on a real database, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, insert, select

from invigilo.accounts.model import Account
from invigilo.app import App, build
from invigilo.clock import SetClock, to_ms
from invigilo.errors import CHANGED_MEANWHILE, BadInput, Invalid, NotAllowed, NotFound, Refused
from invigilo.exams import roster_file
from invigilo.exams.model import Exam, ExamState, ExamWish, JoinBy, ProctoringSettings, TemplateWish
from invigilo.exams.roster_file import Line, Mode
from invigilo.exams.rules import Deed
from invigilo.exams.service import proctoring_columns
from invigilo.monitoring.model import Device
from invigilo.sebconfig import plist, values
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.connection_file import password_hash
from invigilo.sebconfig.exam_settings import camera_problems
from invigilo.storage import tables
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.queries import exam_office
from tests.server import set_up, settings_for
from tests.web.people import TWO_INSTITUTIONS

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Office:
    """The parts without a server, and everybody by name."""

    app: App
    clock: SetClock
    people: dict[str, Account]

    def __getitem__(self, name: str) -> Account:
        return self.people[name]

    def wish(self, **more: Any) -> ExamWish:
        base = ExamWish(
            name="Topology",
            starts_at=NOW + HOUR,
            ends_at=NOW + 3 * HOUR,
            time_zone="Europe/Berlin",
            url="https://lms.example.org/quiz",
        )
        return dataclasses.replace(base, **more)

    async def exam(self, **more: Any) -> Exam:
        return await self.app.exams.create(self.wish(**more), self["grace"])

    async def deeds(self, exam_id: int | None = None) -> list[Any]:
        query = select(tables.activity).order_by(tables.activity.c.id)
        if exam_id is not None:
            query = query.where(tables.activity.c.exam_id == exam_id)
        async with self.app.reading() as w:
            return list((await w.db.execute(query)).all())

    async def served(self, exam: Exam) -> dict[str, Any]:
        await self.app.directory.reload()
        return plist.read(await self.app.settings_file(self.app.directory.exams[exam.id], Device()))

    async def configuration(self, *, is_template: bool = False, quit_url: str = "https://x.example/") -> int:
        """One that is published, of Example University."""
        edited = values.default_values() | {"quitURL": quit_url, "browserMediaCaptureCamera": False}
        settings = values.to_settings(edited)
        async with self.app.work() as w:
            return await exam_office.add_published_configuration(
                w.db,
                configuration={
                    "institution_id": self["grace"].institution_id,
                    "name": f"Settings {quit_url} {is_template}",
                    "is_template": is_template,
                    "draft": edited,
                    "published_version": 1,
                    "created_at": 0,
                    "changed_at": 0,
                },
                version={
                    "values": edited,
                    "settings": plist.write(settings),
                    "config_key": config_key(settings),
                    "published_at": 0,
                    "published_by": "grace",
                },
            )

    async def publish(self, configuration_id: int, number: int, **changes: Any) -> None:
        """As the room of configurations does: store the next version, then call back in the same transaction."""
        edited = values.default_values() | changes
        settings = values.to_settings(edited)
        async with self.app.work() as w:
            await w.db.execute(
                insert(tables.configuration_versions).values(
                    configuration_id=configuration_id,
                    number=number,
                    values=edited,
                    settings=plist.write(settings),
                    config_key=config_key(settings),
                    published_at=0,
                    published_by="grace",
                )
            )
            table = tables.exam_configurations
            await w.db.execute(
                table.update().where(table.c.id == configuration_id).values(published_version=number)
            )
            await self.app.exams.configuration_published(w, configuration_id, number)

    async def proctor(self, exam: Exam, **settings: Any) -> Exam:
        """As the dialog does."""
        proctoring = ProctoringSettings(enabled=True, **settings)
        async with self.app.work() as w:
            await exam_office.update_exam(w.db, exam.id, **proctoring_columns(proctoring))
            return await self.app.exams.proctoring_changed(w, exam.id)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")


@pytest_asyncio.fixture
async def office(tmp_path: Path, database: str | None) -> AsyncIterator[Office]:
    await set_up(tmp_path, database, TWO_INSTITUTIONS)
    clock = SetClock(NOW)
    app = await build(settings_for(tmp_path, database), clock=clock)
    await app.directory.reload()
    async with app.reading() as w:
        people = {one.username: one for one in await account_queries.all_accounts(w.db)}
    yield Office(app, clock, people)
    await app.storage.close()


async def test_a_new_exam_is_listed_found_and_on_record(office: Office) -> None:
    exam = await office.exam(supporters=frozenset({office["bea"].id}))
    for name in ("grace", "bea", "ines", "aude", "root"):
        lines, _ = await office.app.exams.page(office[name], search="topo")
        assert [one.name for one in lines] == ["Topology"], name
    for name in ("ada", "other-grace"):
        assert (await office.app.exams.page(office[name], search="topo"))[1] == 0, name
    await office.app.directory.reload()
    assert office.app.directory.exams[exam.id] == exam
    assert [one.deed for one in await office.deeds(exam.id)] == ["exam_created"]
    settings = await office.served(exam)
    assert config_key(settings) == exam.config_key


async def test_two_people_editing_at_once_lose_nothing(office: Office) -> None:
    exam = await office.exam()
    first = await office.app.exams.change(
        exam.id, office.wish(name="Mine"), office["grace"], revision=exam.revision
    )
    with pytest.raises(Refused) as error:
        await office.app.exams.change(
            exam.id, office.wish(name="Yours"), office["grace"], revision=exam.revision
        )
    assert error.value.code == CHANGED_MEANWHILE
    assert (await office.app.exams.get(exam.id, office["grace"])).name == "Mine"
    wishes = [office.wish(name=f"Both {number}") for number in range(4)]
    outcomes = await asyncio.gather(
        *[office.app.exams.change(exam.id, one, office["grace"], revision=first.revision) for one in wishes],
        return_exceptions=True,
    )
    assert sum(isinstance(one, Exam) for one in outcomes) == 1
    assert sum(isinstance(one, Refused) for one in outcomes) == 3


async def test_two_exams_of_one_name_at_once_are_one_and_a_clear_problem(office: Office) -> None:
    made = await asyncio.gather(*[office.exam() for _ in range(3)], return_exceptions=True)
    assert sum(isinstance(one, Exam) for one in made) == 1
    refused = [one for one in made if isinstance(one, Invalid)]
    assert [one.problems[0].code for one in refused] == ["exam_name_taken"] * 2


async def test_everything_that_is_wrong_is_said_at_once(office: Office) -> None:
    theirs = office["other-ada"].id
    with pytest.raises(Invalid) as error:
        await office.exam(
            name=" ",
            url="ftp://x",
            ends_at=NOW,
            time_zone="Mars/Olympus",
            supporters=frozenset({theirs}),
            configuration_id=2**70,
            browser_exam_key="abc",
            quit_password="x\0y",
        )
    assert {one.field for one in error.value.problems} == {
        "name", "url", "ends_at", "time_zone", "supporters", "configuration_id", "browser_exam_key", "quit_password",
    }  # fmt: skip
    with pytest.raises(Invalid):
        await office.exam(name="\ud800")


async def test_who_may_not_finds_nothing_or_is_refused(office: Office) -> None:
    exam = await office.exam()
    for name in ("other-grace", "ada"):
        with pytest.raises(NotFound):
            await office.app.exams.get(exam.id, office[name])
    for deed in (
        office.app.exams.change(exam.id, office.wish(), office["ines"], revision=None),
        office.app.exams.do(exam.id, Deed.ARCHIVE, office["aude"]),
        office.app.exams.delete(exam.id, office["root"]),
        office.app.exams.create(office.wish(name="y"), office["ines"]),
    ):
        with pytest.raises(NotAllowed):
            await deed
    with pytest.raises(NotFound):
        await office.app.exams.get(2**70, office["grace"])


async def test_the_list_knows_the_states_the_exam_knows(office: Office) -> None:
    """The same rule stands in SQL and in Python: they must agree, extra time included."""
    moments = [None, NOW - HOUR, NOW + HOUR]
    async with office.app.work() as w:
        number = 0
        for start in (-30, -2, 0, 2):
            for length in (1, 2, 29):
                for ended, archived, tested in [
                    (a, b, c) for a in moments for b in moments[:2] for c in moments[:2]
                ]:
                    number += 1
                    exam_id = await exam_office.add_exam(
                        w.db, institution_id=office["grace"].institution_id, name=f"s{number}", salt="00",
                        starts_at=to_ms(NOW + start * HOUR), ends_at=to_ms(NOW + (start + length) * HOUR),
                        url="https://lms.example.org/", created_at=0, **{
                            name: None if at is None else to_ms(at)
                            for name, at in (("ended_at", ended), ("archived_at", archived), ("test_run_since", tested))
                        },
                    )  # fmt: skip
                    rows = [
                        {
                            "exam_id": exam_id,
                            "user_id": "u",
                            "name": "n",
                            "group_name": "",
                            "extra_minutes": 90,
                        }
                    ]
                    await exam_office.add_candidates(w.db, rows if number % 2 else [])
    seen = 0
    for state in ExamState:
        lines, total = await office.app.exams.page(office["grace"], state=state, limit=200)
        assert len(lines) == total
        for line in lines:
            exam = await office.app.exams.get(line.id, office["grace"])
            assert exam.state_at(NOW) is state is line.state
        seen += total
    assert seen == number + 2
    lines, total = await office.app.exams.page(office["grace"], limit=200)
    assert all(one.state is not ExamState.ARCHIVED for one in lines)
    ranks = ["running", "test_run", "upcoming", "finished"]
    assert [ranks.index(one.state.value) for one in lines] == sorted(
        ranks.index(one.state.value) for one in lines
    )
    pages = [
        one.id
        for page in range(4)
        for one in (await office.app.exams.page(office["grace"], offset=page * 50, limit=50, sort="name"))[0]
    ]
    assert len(pages) == len(set(pages)) == min(total, 200)


async def test_the_quit_password_is_hashed_for_clients_and_shown_on_record_only(office: Office) -> None:
    exam = await office.exam(quit_password="let me out", supporters=frozenset({office["ada"].id}))
    assert (await office.served(exam))["hashedQuitPassword"] == password_hash("let me out")
    async with office.app.reading() as w:
        assert "let me out" not in (await exam_office.quit_password_of(w.db, exam.id) or "")
    assert await office.app.exams.reveal_quit_password(exam.id, office["ada"]) == "let me out"
    with pytest.raises(NotAllowed):
        await office.app.exams.reveal_quit_password(exam.id, office["ines"])
    kept = await office.app.exams.change(exam.id, office.wish(name="Renamed"), office["grace"], revision=None)
    assert kept.has_quit_password
    assert kept.settings_revision == exam.settings_revision
    gone = await office.app.exams.change(
        exam.id, office.wish(quit_password=""), office["grace"], revision=None
    )
    assert not gone.has_quit_password
    assert gone.settings_revision == exam.settings_revision + 1
    assert (await office.served(gone))["hashedQuitPassword"] == ""
    record = await office.deeds(exam.id)
    assert [one.deed for one in record] == [
        "exam_created", "quit_password_revealed", "exam_changed", "exam_changed",
    ]  # fmt: skip
    assert record[1].actor == "ada"
    assert "let me out" not in str([one.detail for one in record])


async def test_a_new_version_reaches_exams_to_come_and_waits_for_those_under_way(office: Office) -> None:
    configuration_id = await office.configuration()
    coming = await office.exam(name="coming", configuration_id=configuration_id)
    under_way = await office.exam(name="under way", configuration_id=configuration_id)
    tried = await office.exam(name="tried", configuration_id=configuration_id)
    await office.app.exams.change(
        under_way.id,
        office.wish(name="under way", starts_at=NOW - HOUR, configuration_id=configuration_id),
        office["grace"],
        revision=None,
    )
    await office.app.exams.do(tried.id, Deed.START_TEST_RUN, office["grace"])
    await office.publish(configuration_id, 2, quitURL="https://two.example/")
    found = {
        one.name: await office.app.exams.get(one.id, office["grace"]) for one in (coming, under_way, tried)
    }
    assert {name: one.configuration_version for name, one in found.items()} == {
        "coming": 2, "under way": 1, "tried": 1,
    }  # fmt: skip
    assert (await office.served(coming))["quitURL"] == "https://two.example/"
    assert (await office.served(tried))["quitURL"] == "https://x.example/"
    overview = await office.app.exams.overview(tried.id, office["grace"], gives_camera=True)
    assert "newer" in {one.code for one in overview.findings}
    used = await office.app.exams.use_version(tried.id, 2, office["grace"])
    assert (await office.served(used))["quitURL"] == "https://two.example/"
    assert used.settings_revision == tried.settings_revision + 1
    with pytest.raises(Invalid):
        await office.app.exams.use_version(tried.id, 3, office["grace"])


async def test_camera_keys_are_served_whatever_was_edited_and_listed_before(office: Office) -> None:
    """Issue 3, letter E."""
    configuration_id = await office.configuration()
    exam = await office.exam(configuration_id=configuration_id)
    assert (await office.served(exam))["browserMediaCaptureCamera"] is False
    watched = ProctoringSettings(enabled=True)
    changes = await office.app.exams.changes_for(
        exam.id, office["grace"], configuration_id=configuration_id, proctoring=watched
    )
    assert ("browserMediaCaptureCamera", False, True) in {(one.key, one.before, one.after) for one in changes}
    after = await office.proctor(exam)
    settings = await office.served(after)
    assert camera_problems(settings) == []
    assert settings["quitURL"] == "https://x.example/"
    assert config_key(settings) == after.config_key != exam.config_key
    assert after.settings_revision == exam.settings_revision + 1
    overview = await office.app.exams.overview(exam.id, office["grace"], gives_camera=True)
    assert {one.key for one in overview.changes} >= {"browserMediaCaptureCamera"}


async def test_macos_is_never_told_to_join_by_itself(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """seb-client-api.md §8 Q20: native join is served per platform, each with its own Config Key."""

    def joins_natively(proctoring: ProctoringSettings) -> bool:
        """As with a service that has rooms for native clients; built-in rooms have none."""
        return proctoring.join_by is JoinBy.NATIVE

    monkeypatch.setattr("invigilo.exams.rules.joins_natively", joins_natively)
    exam = await office.proctor(await office.exam(), join_by=JoinBy.NATIVE)
    await office.app.directory.reload()
    files = {
        os: plist.read(
            await office.app.settings_file(office.app.directory.exams[exam.id], Device(os_name=os))
        )
        for os in ("Windows 11", "macOS Version 14.5 (Build 23F79)", "iPad (iPadOS 17.5)", None, "BeOS")
    }
    assert [one["jitsiMeetEnable"] for one in files.values()] == [True, False, True, False, False]
    overview = await office.app.exams.overview(exam.id, office["grace"], gives_camera=True)
    by_name = {one.value: key for one, key in overview.config_keys.items() if one is not None}
    assert by_name == {
        "windows": config_key(files["Windows 11"]),
        "macos": config_key(files["macOS Version 14.5 (Build 23F79)"]),
        "ios": config_key(files["iPad (iPadOS 17.5)"]),
    }


@pytest.mark.spec("live-proctoring", 10)
async def test_what_a_template_says_is_copied_once(office: Office) -> None:
    shared = await office.configuration(is_template=True)
    wish = TemplateWish(
        name="Oral",
        configuration_id=shared,
        supporters=frozenset({office["ada"].id}),
        quit_password="let me out",
    )
    template = await office.app.templates.create(wish, office["grace"])
    async with office.app.work() as w:
        columns = proctoring_columns(ProctoringSettings(enabled=True, collecting_room_size=7))
        await exam_office.update_template(w.db, template.id, revision=None, **columns)
    made = await office.app.exams.create(
        office.wish(configuration_id=shared, supporters=template.supporters),
        office["grace"],
        template_id=template.id,
    )
    assert made.proctoring == ProctoringSettings(enabled=True, collecting_room_size=7)
    assert await office.app.exams.reveal_quit_password(made.id, office["ada"]) == "let me out"
    assert made.configuration_id not in {None, shared}, "of a configuration template the exam gets its own"
    assert made.configuration_version == 1
    assert (await office.served(made))["quitURL"] == "https://x.example/"
    second = await office.app.exams.create(
        office.wish(name="Topology 2", configuration_id=shared), office["grace"], template_id=template.id
    )
    assert second.configuration_id != made.configuration_id
    changed = await office.app.templates.change(
        template.id, TemplateWish(name="Oral", quit_password=""), office["ines"], revision=None
    )
    async with office.app.work() as w:
        await exam_office.update_template(
            w.db, template.id, revision=changed.revision, **proctoring_columns(ProctoringSettings())
        )
    await office.app.templates.delete(template.id, office["grace"])
    assert await office.app.exams.get(made.id, office["grace"]) == made


async def test_a_template_configuration_is_assigned_to_no_exam_itself(office: Office) -> None:
    shared = await office.configuration(is_template=True)
    with pytest.raises(Invalid) as error:
        await office.exam(configuration_id=shared)
    assert error.value.problems[0].code == "is_template"


async def test_two_people_editing_a_template_at_once_lose_nothing(office: Office) -> None:
    template = await office.app.templates.create(TemplateWish(name="Oral"), office["grace"])
    await office.app.templates.change(template.id, TemplateWish(name="Mine"), office["grace"], revision=0)
    with pytest.raises(Refused):
        await office.app.templates.change(template.id, TemplateWish(name="Yours"), office["ines"], revision=0)
    with pytest.raises(Invalid):
        await office.app.templates.create(TemplateWish(name="Mine"), office["ines"])


async def test_a_copy_has_everything_but_the_time(office: Office) -> None:
    configuration_id = await office.configuration()
    exam = await office.exam(
        configuration_id=configuration_id,
        quit_password="let me out",
        supporters=frozenset({office["ada"].id}),
    )
    await office.proctor(exam, collecting_room_size=3)
    await office.app.rosters.add(exam.id, Line(0, "s1", "Zoë", "B2", 30), office["grace"])
    later = NOW + timedelta(days=7)
    copy = await office.app.exams.copy(
        exam.id, office["grace"], name="Again", starts_at=later, with_roster=True
    )
    assert (copy.starts_at, copy.ends_at) == (later, later + 2 * HOUR)
    assert (copy.url, copy.supporters, copy.configuration_id) == (exam.url, exam.supporters, configuration_id)
    assert copy.proctoring.collecting_room_size == 3
    assert copy.salt != exam.salt
    assert await office.app.exams.reveal_quit_password(copy.id, office["grace"]) == "let me out"
    _, roster, _ = await office.app.rosters.page(copy.id, office["grace"])
    assert [(one.user_id, one.extra_minutes) for one in roster] == [("s1", 30)]
    with pytest.raises(BadInput):
        await office.app.exams.copy(
            exam.id, office["grace"], name="z", starts_at=datetime(9999, 12, 31, tzinfo=UTC)
        )


async def _connection(office: Office, exam: Exam, state: str) -> int:
    async with office.app.work() as w:
        table = tables.client_connections
        made = await w.db.execute(
            insert(table)
            .values(
                token_hash=f"t{exam.id}{state}", entry_key_hash=f"e{exam.id}{state}", state=state, flags=[], created_at=0,
                institution_id=exam.institution_id, configuration_id=1, exam_id=exam.id,
            )
            .returning(table.c.id)
        )  # fmt: skip
        connection_id: int = made.scalar_one()
        events = [
            {"connection_id": connection_id, "type": 1, "server_time": 0, "text": str(number)}
            for number in range(25)
        ]
        await w.db.execute(insert(tables.client_events), events)
        return connection_id


async def test_deleting_takes_exactly_what_was_said(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam_office, "AT_ONCE", 10)
    exam, other = await office.exam(), await office.exam(name="stays")
    await office.app.rosters.add(exam.id, Line(0, "s1", "Zoë"), office["grace"])
    for one in (exam, other):
        await _connection(office, one, "closed")
    _, held = await office.app.exams.holdings(exam.id, office["grace"])
    assert (held.connections, held.events, held.candidates) == (1, 25, 1)
    assert await office.app.exams.delete(exam.id, office["grace"]) == held
    async with office.app.reading() as w:
        counts = [
            (await w.db.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (tables.client_connections, tables.client_events, tables.candidates)
        ]
    assert counts == [1, 25, 0]
    (deed,) = [one for one in await office.deeds(exam.id) if one.deed == "exam_deleted"]
    assert deed.detail["events"] == 25
    with pytest.raises(NotFound):
        await office.app.exams.get(exam.id, office["grace"])


async def test_an_exam_with_live_connections_or_in_a_test_run_is_not_deleted(office: Office) -> None:
    exam = await office.exam()
    await _connection(office, exam, "active")
    with pytest.raises(Refused) as error:
        await office.app.exams.delete(exam.id, office["grace"])
    assert error.value.code == "exam_has_connections"
    other = await office.exam(name="tried")
    await office.app.exams.do(other.id, Deed.START_TEST_RUN, office["grace"])
    with pytest.raises(Refused):
        await office.app.exams.delete(other.id, office["grace"])


async def test_an_archived_exam_stays_as_it_is_until_taken_back(office: Office) -> None:
    exam = await office.exam()
    archived = await office.app.exams.do(exam.id, Deed.ARCHIVE, office["grace"])
    assert archived.state_at(NOW) is ExamState.ARCHIVED
    with pytest.raises(Refused):
        await office.app.exams.change(exam.id, office.wish(name="y"), office["grace"], revision=None)
    with pytest.raises(Refused):
        await office.app.rosters.add(exam.id, Line(0, "s1", "Zoë"), office["grace"])
    await office.app.directory.reload()
    assert exam.id not in office.app.directory.exams
    back = await office.app.exams.do(exam.id, Deed.TAKE_BACK, office["grace"])
    assert back.state_at(NOW) is ExamState.UPCOMING


async def test_a_running_exam_is_not_moved_away_from_under_those_who_write_it(office: Office) -> None:
    exam = await office.exam(starts_at=NOW - HOUR)
    with pytest.raises(Invalid) as error:
        await office.app.exams.change(exam.id, office.wish(), office["grace"], revision=None)
    assert error.value.problems[0].code == "is_running"
    longer = office.wish(starts_at=NOW - HOUR, ends_at=NOW + 5 * HOUR)
    assert (
        await office.app.exams.change(exam.id, longer, office["grace"], revision=None)
    ).ends_at == NOW + 5 * HOUR


async def test_a_roster_is_imported_as_previewed_or_not_at_all(office: Office) -> None:
    exam = await office.exam()
    rosters, grace = office.app.rosters, office["grace"]
    first = roster_file.read(b"user_id,name,extra\ns1,Ada,\ns2,Bea,15\n")
    await rosters.apply(exam.id, first, Mode.ADD, grace)
    second = roster_file.read(b"user_id,name,extra\ns2,Bea,45\ns3,Cy,\n")
    preview = await rosters.preview(exam.id, second, Mode.REPLACE, grace)
    assert ([one.user_id for one in preview.plan.new], [one.user_id for one in preview.plan.removed]) == (
        ["s3"],
        ["s1"],
    )
    await rosters.add(exam.id, Line(0, "s4", "Di"), grace)
    with pytest.raises(Refused):
        await rosters.apply(exam.id, second, Mode.REPLACE, grace, mark=preview.mark)
    again = await rosters.preview(exam.id, second, Mode.REPLACE, grace)
    await rosters.apply(exam.id, second, Mode.REPLACE, grace, mark=again.mark)
    _, found, _ = await rosters.page(exam.id, grace)
    assert [(one.user_id, one.extra_minutes) for one in found] == [("s2", 45), ("s3", 0)]
    assert (await office.app.exams.get(exam.id, grace)).closes_at == exam.ends_at + timedelta(minutes=45)
    broken = roster_file.read(b"user_id,name\ns5,Eve\n,Nobody\n")
    with pytest.raises(Invalid):
        await rosters.apply(exam.id, broken, Mode.REPLACE, grace)
    assert len((await rosters.apply(exam.id, broken, Mode.ADD, grace)).new) == 1
    _, exported = await rosters.file(exam.id, grace)
    assert not roster_file.plan(
        {one.user_id: one for one in (await rosters.page(exam.id, grace))[1]},
        roster_file.read(exported),
        Mode.REPLACE,
    ).does_something
    with pytest.raises(Invalid):
        await rosters.add(exam.id, Line(0, "s2", "Twice"), grace)
    with pytest.raises(NotAllowed):
        await rosters.page(exam.id, office["aude"])
