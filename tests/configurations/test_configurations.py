"""Exam configurations on a real database: drafts that several people edit, versions, history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from invigilo.accounts.model import Account
from invigilo.clock import SetClock, SystemClock
from invigilo.configurations.model import Configuration, ConfigurationWish, Draft
from invigilo.configurations.rules import ChangedMeanwhile
from invigilo.configurations.service import ONE_EDIT, Configurations
from invigilo.errors import CHANGED_MEANWHILE, BadInput, Invalid, NotAllowed, NotFound, Refused
from invigilo.sebconfig import plist, values
from invigilo.sebconfig.config_key import config_key
from invigilo.storage.opening import Storage, open_storage
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.tables import (
    activity,
    configuration_changes,
    configuration_versions,
    exam_configurations,
    exam_templates,
    exams,
)
from tests.server import set_up, settings_for
from tests.web.people import TWO_INSTITUTIONS


@dataclass
class Office:
    """An exam office at work."""

    storage: Storage
    clock: SetClock
    configurations: Configurations
    people: dict[str, Account]

    @property
    def grace(self) -> Account:
        return self.people["grace"]

    @property
    def ben(self) -> Account:
        """A second exam administrator of the same institution."""
        return replace(self.grace, id=self.people["ines"].id, username="ben")

    async def new(self, name: str = "Mathematics", **more: Any) -> Configuration:
        return await self.configurations.create(ConfigurationWish(name), by=self.grace, **more)

    async def draft(self, made: Configuration) -> Draft:
        return await self.configurations.draft(made.id, self.grace)

    async def change(
        self, made: Configuration, base: int, by: Account | None = None, /, **changes: object
    ) -> Draft:
        saved = await self.configurations.change(made.id, changes, base_revision=base, by=by or self.grace)
        return saved.draft

    async def count(self, table: Any) -> int:
        async with self.storage.reading() as w:
            return (await w.db.execute(select(func.count()).select_from(table))).scalar_one()


@asynccontextmanager
async def open_office(url: str | None, tmp_path: Path) -> AsyncGenerator[Office]:
    await set_up(tmp_path, url, TWO_INSTITUTIONS)
    storage = await open_storage(settings_for(tmp_path, url), clock=SystemClock())
    clock = SetClock(SystemClock().now())
    async with storage.reading() as w:
        people = {one.username: one for one in await account_queries.all_accounts(w.db)}
    made = Configurations(work=storage.work, reading=storage.reading, clock=clock)
    yield Office(storage, clock, made, people)
    await storage.close()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(None, tmp_path) as office:
        yield office


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    """An office on either database, for what a database may do otherwise: locks, JSON, constraints."""
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgresql")
    async with open_office(url, tmp_path) as office:
        yield office


# --- beginnings ---


async def test_a_new_configuration_starts_with_the_defaults_and_known_programs_prohibited(
    office: Office,
) -> None:
    made = await office.new()
    draft = await office.draft(made)
    assert draft.values == values.new_configuration_values()
    assert len(draft.values["prohibitedProcesses"]) > 30
    assert made.published_version is None


async def test_a_template_gives_its_published_settings_once_and_for_all(anywhere: Office) -> None:
    """What the template's draft says, and what it says later, changes no configuration made from it."""
    office = anywhere
    template = await office.configurations.create(
        ConfigurationWish("Ours", is_template=True), by=office.grace
    )
    await office.change(template, 0, quitURL="https://lms.example.org/quit")
    await office.configurations.publish(template.id, base_revision=1, by=office.grace)
    await office.change(template, 1, quitURL="https://draft.example.org")
    made = await office.new(template_id=template.id)
    assert made.template_id == template.id
    assert (await office.draft(made)).values["quitURL"] == "https://lms.example.org/quit"
    await office.configurations.publish(template.id, base_revision=2, by=office.grace)
    assert (await office.draft(made)).values["quitURL"] == "https://lms.example.org/quit"


async def test_only_templates_of_ones_own_institution_are_started_from(office: Office) -> None:
    plain = await office.new()
    with pytest.raises(Invalid) as no_template:
        await office.new("Another", template_id=plain.id)
    assert [one.code for one in no_template.value.problems] == ["not_a_template"]
    with pytest.raises(NotFound):
        await office.configurations.create(
            ConfigurationWish("Stolen"), by=office.people["other-grace"], copy_of=plain.id
        )


async def test_a_name_is_used_once_in_an_institution(office: Office) -> None:
    await office.new()
    with pytest.raises(Invalid) as taken:
        await office.new(" Mathematics ")
    assert [one.code for one in taken.value.problems] == ["configuration_name_taken"]
    await office.configurations.create(ConfigurationWish("Mathematics"), by=office.people["other-grace"])


async def test_one_of_two_who_take_a_name_at_once_gets_it(anywhere: Office) -> None:
    office = anywhere
    made = await asyncio.gather(*(office.new("Both") for _ in range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in made) == ["Configuration", "Invalid", "Invalid", "Invalid"]


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "a\0b", "line\nbreak"])
async def test_a_name_is_printable_and_there(office: Office, name: str) -> None:
    with pytest.raises(Invalid):
        await office.new(name)


async def test_a_copy_has_the_draft_and_goes_its_own_way(office: Office) -> None:
    first = await office.new()
    await office.change(first, 0, allowQuit=False)
    copy = await office.new("Copy", copy_of=first.id)
    await office.change(copy, 0, allowQuit=True)
    assert (await office.draft(first)).values["allowQuit"] is False


# --- editing ---


async def test_what_follows_from_an_edit_is_saved_with_it(office: Office) -> None:
    """Autoplay off locks and resets autoplay of audio and video (`seb-settings` §5)."""
    made = await office.new()
    saved = await office.configurations.change(
        made.id, {"browserMediaAutoplay": False}, base_revision=0, by=office.grace
    )
    assert saved.changed == {
        "browserMediaAutoplay",
        "browserMediaAutoplayAudio",
        "browserMediaAutoplayVideo",
    }
    assert saved.draft.values["browserMediaAutoplayVideo"] is False


async def test_two_people_at_different_settings_lose_nothing_and_hear_of_each_other(
    office: Office,
) -> None:
    made = await office.new()
    await office.change(made, 0, quitURL="https://lms.example.org/quit")
    saved = await office.configurations.change(made.id, {"allowQuit": False}, base_revision=0, by=office.ben)
    assert saved.draft.values["quitURL"] == "https://lms.example.org/quit"
    assert [(one.setting_id, one.actor) for one in saved.by_others] == [("quitURL", "grace")]


async def test_the_second_at_the_same_setting_is_told_and_nothing_is_saved(office: Office) -> None:
    made = await office.new()
    await office.change(made, 0, quitURL="https://one.example.org")
    with pytest.raises(ChangedMeanwhile) as told:
        await office.change(made, 0, office.ben, quitURL="https://two.example.org", allowQuit=False)
    assert told.value.code == CHANGED_MEANWHILE
    assert [(one.setting_id, one.actor) for one in told.value.conflicts] == [("quitURL", "grace")]
    draft = await office.draft(made)
    assert (draft.values["quitURL"], draft.values["allowQuit"]) == ("https://one.example.org", True)
    await office.change(made, 1, office.ben, quitURL="https://two.example.org")


async def test_a_request_whose_answer_was_lost_may_be_sent_again(office: Office) -> None:
    made = await office.new()
    await office.change(made, 0, quitURL="https://lms.example.org/quit")
    again = await office.change(made, 0, quitURL="https://lms.example.org/quit")
    assert again.configuration.draft_revision == 1, "a repeated edit changes nothing"


async def test_keys_of_proxies_are_settings_of_their_own(office: Office) -> None:
    made = await office.new()
    await office.change(made, 0, **{"proxies.HTTPPort": 3128})
    merged = await office.change(made, 0, office.ben, **{"proxies.HTTPSPort": 3129})
    assert (merged.values["proxies"]["HTTPPort"], merged.values["proxies"]["HTTPSPort"]) == (3128, 3129)
    with pytest.raises(ChangedMeanwhile):
        await office.change(made, 0, office.ben, **{"proxies.HTTPPort": 8080})


async def test_many_at_once_lose_nothing(anywhere: Office) -> None:
    """Each edits another key, all from the same revision."""
    office = anywhere
    made = await office.new()
    keys = [f"enableF{n}" for n in range(1, 13)]
    await asyncio.gather(*(office.change(made, 0, **{key: True}) for key in keys))
    draft = await office.draft(made)
    assert all(draft.values[key] for key in keys)
    assert draft.configuration.draft_revision == len(keys)


@pytest.mark.parametrize(
    ("setting_id", "raw"),
    [
        ("allowQuit", "yes"),
        ("audioVolumeLevel", "loud"),
        ("audioVolumeLevel", 10**400),
        ("URLFilterRules", [{"no such column": 1}]),
        ("noSuchSetting", 1),
        ("proxies.NoSuchKey", 1),
        ("quitURL.x", "a"),
        ("hashedQuitPassword", "clear text"),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(
    office: Office, setting_id: str, raw: object
) -> None:
    made = await office.new()
    with pytest.raises(BadInput) as refused:
        await office.change(made, 0, **{setting_id: raw})
    assert (refused.value.field or "").startswith(setting_id.partition(".")[0])
    assert await office.count(configuration_changes) == 0


async def test_a_reset_gives_the_default(office: Office) -> None:
    made = await office.new()
    await office.change(made, 0, audioVolumeLevel=80)
    saved = await office.configurations.change(
        made.id, {}, base_revision=1, by=office.grace, reset=("audioVolumeLevel", "proxies.HTTPPort")
    )
    assert saved.draft.values["audioVolumeLevel"] == 25
    for wrong in ("nothing", "proxies.nothing", "quitURL.nothing"):
        with pytest.raises(BadInput):
            await office.configurations.change(made.id, {}, base_revision=2, by=office.grace, reset=(wrong,))


# --- versions ---


async def test_publishing_makes_a_numbered_version_with_the_config_key_of_its_file(
    anywhere: Office,
) -> None:
    office = anywhere
    made = await office.new()
    heard: list[tuple[int, int]] = []

    async def listen(_w: Any, configuration_id: int, number: int) -> None:
        heard.append((configuration_id, number))

    office.configurations.when_published = listen
    await office.change(made, 0, allowQuit=False)
    version = await office.configurations.publish(made.id, base_revision=1, by=office.grace, note="For May")
    assert (version.number, version.published_by, version.note) == (1, "grace", "For May")
    assert heard == [(made.id, 1)]
    async with office.storage.reading() as w:
        row = (await w.db.execute(select(configuration_versions))).one()
    assert config_key(plist.read(row.settings)) == row.config_key == version.config_key


async def test_what_fails_within_publishing_takes_the_version_back(office: Office) -> None:
    made = await office.new()

    async def fail(_w: Any, _configuration_id: int, _number: int) -> None:
        raise Refused("test", "No.")

    office.configurations.when_published = fail
    with pytest.raises(Refused):
        await office.configurations.publish(made.id, base_revision=0, by=office.grace)
    assert await office.count(configuration_versions) == 0
    assert (await office.draft(made)).configuration.published_version is None


async def test_errors_stop_publishing_and_warnings_do_not(office: Office) -> None:
    made = await office.new()
    await office.change(made, 0, quitURL="no address")
    with pytest.raises(Refused) as refused:
        await office.configurations.publish(made.id, base_revision=1, by=office.grace)
    assert refused.value.code == "configuration_has_errors"
    assert "quitURL" in refused.value.message
    await office.change(made, 1, quitURL="")
    await office.configurations.publish(made.id, base_revision=2, by=office.grace)


async def test_nobody_publishes_what_they_have_not_seen(office: Office) -> None:
    made = await office.new()
    await office.change(made, 0, office.ben, allowQuit=False)
    for deed in (office.configurations.publish, office.configurations.undo):
        with pytest.raises(Refused) as refused:
            await deed(made.id, base_revision=0, by=office.grace)
        assert refused.value.code == CHANGED_MEANWHILE


async def test_undo_returns_to_the_published_version_and_keeps_the_history(anywhere: Office) -> None:
    office = anywhere
    made = await office.new()
    with pytest.raises(Refused):
        await office.configurations.undo(made.id, base_revision=0, by=office.grace)
    await office.configurations.publish(made.id, base_revision=0, by=office.grace)
    await office.change(made, 0, allowQuit=False, quitURL="https://lms.example.org/quit")
    draft = await office.configurations.undo(made.id, base_revision=1, by=office.grace)
    assert draft.values == draft.published
    lines, _ = await office.configurations.page(
        office.grace, search="", is_template=None, sort="name", is_descending=False, offset=0, limit=9
    )
    assert [one.has_changes for one in lines] == [False]
    changes, total = await office.configurations.history(made.id, office.grace, offset=0, limit=99)
    assert total >= 2
    assert {one.version for one in changes} == {0}


async def test_nothing_new_is_not_published_again(office: Office) -> None:
    made = await office.new()
    await office.configurations.publish(made.id, base_revision=0, by=office.grace)
    with pytest.raises(Refused) as refused:
        await office.configurations.publish(made.id, base_revision=0, by=office.grace)
    assert refused.value.code == "nothing_to_publish"


async def test_history_says_who_changed_what_and_in_which_version(anywhere: Office) -> None:
    office = anywhere
    made = await office.new()
    await office.change(made, 0, audioVolumeLevel=80)
    await office.configurations.publish(made.id, base_revision=1, by=office.grace)
    await office.change(made, 1, office.ben, audioVolumeLevel=10)
    changes, _ = await office.configurations.history(made.id, office.grace, offset=0, limit=9)
    assert [(one.actor, one.path, one.before, one.after, one.version) for one in changes] == [
        ("ben", "audioVolumeLevel", 80, 10, None),
        ("grace", "audioVolumeLevel", 25, 80, 1),
    ]
    found, total = await office.configurations.history(
        made.id, office.grace, search="ben volume", offset=0, limit=9
    )
    assert (len(found), total) == (1, 1)


async def test_what_is_typed_letter_by_letter_is_one_line_of_history(office: Office) -> None:
    """…of one person within a few minutes; another person's change, or a later one, is a line of its own."""
    made = await office.new()
    for revision, text in enumerate(("h", "ht", "http", "https://lms.example.org")):
        await office.change(made, revision, quitURL=text)
    changes, _ = await office.configurations.history(made.id, office.grace, offset=0, limit=9)
    assert [(one.before, one.after) for one in changes] == [("", "https://lms.example.org")]
    office.clock.move(ONE_EDIT + timedelta(seconds=1))
    await office.change(made, 4, quitURL="https://lms.example.org/quit")
    await office.change(made, 5, office.ben, quitURL="")
    assert await office.count(configuration_changes) == 3


async def test_neither_history_nor_record_knows_a_password(office: Office) -> None:
    made = await office.new()
    wish: dict[str, Any] = {"hashedQuitPassword": {"password": "correct horse"}}
    await office.change(made, 0, **wish, **{"proxies.HTTPPassword": "battery"})
    held = (await office.draft(made)).values["hashedQuitPassword"]
    async with office.storage.reading() as w:
        written = str((await w.db.execute(select(configuration_changes))).all())
        written += str((await w.db.execute(select(activity.c.detail))).all())
    assert "hashedQuitPassword" in written
    assert not any(secret in written for secret in (held, "correct horse", "battery"))


async def test_values_of_an_older_server_are_made_whole(office: Office) -> None:
    """A setting added to the catalogue since gets its default, in drafts and versions alike."""
    made = await office.new()
    async with office.storage.work() as w:
        draft = values.new_configuration_values()
        del draft["quitURL"], draft["proxies"]["HTTPPort"]
        await w.db.execute(update(exam_configurations).values(draft=draft))
    assert (await office.draft(made)).values == values.new_configuration_values()


# --- rights and uses ---


async def test_what_is_in_use_is_not_deleted_and_says_by_what(anywhere: Office) -> None:
    office = anywhere
    made = await office.new()
    async with office.storage.work() as w:
        await w.db.execute(update(exams).where(exams.c.name == "Biology").values(configuration_id=made.id))
        await w.db.execute(
            insert(exam_templates).values(
                institution_id=made.institution_id, name="Quizzes", configuration_id=made.id, created_at=0
            )
        )
    with pytest.raises(Refused) as refused:
        await office.configurations.delete(made.id, by=office.grace)
    assert "Biology" in refused.value.message
    assert "Quizzes" in refused.value.message
    with pytest.raises(Refused):
        await office.configurations.describe(
            made.id, ConfigurationWish("Mathematics", is_template=True), by=office.grace
        )
    async with office.storage.work() as w:
        await w.db.execute(update(exams).values(configuration_id=None))
        await w.db.execute(update(exam_templates).values(configuration_id=None))
    await office.change(made, 0, allowQuit=False)
    await office.configurations.delete(made.id, by=office.grace)
    assert await office.count(configuration_changes) == 0


@pytest.mark.parametrize(
    ("who", "error"),
    [("aude", NotAllowed), ("ada", NotAllowed), ("other-grace", NotFound), ("root", NotFound)],
)
async def test_the_service_itself_refuses_whoever_may_not(
    office: Office, who: str, error: type[Exception]
) -> None:
    made = await office.new()
    by = office.people[who]
    with pytest.raises(error):
        await office.configurations.change(made.id, {"allowQuit": False}, base_revision=0, by=by)
    with pytest.raises(error):
        await office.configurations.delete(made.id, by=by)
    with pytest.raises(error):
        await office.configurations.exported(made.id, by=by, form="xml", version=None)
