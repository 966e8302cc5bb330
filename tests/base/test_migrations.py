"""The database's tables: made from nothing, equal to what the queries expect, and never touched by an older program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from invigilo.app import build
from invigilo.errors import Refused
from invigilo.storage.engine import Database, database_url, open_database
from invigilo.storage.migrate import _config, head, migrate, revision_of, revisions
from invigilo.storage.tables import metadata
from tests.server import running, set_up, settings_for


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(database_url(None, tmp_path))
    yield database
    await database.dispose()


async def _tables(database: Database) -> set[str]:
    async with database.writing.connect() as db:
        return set(await db.run_sync(lambda c: inspect(c).get_table_names()))


async def test_from_nothing_to_this_versions_tables(database: Database) -> None:
    assert await revision_of(database) is None
    assert await migrate(database) == (None, head())
    assert await revision_of(database) == head()
    assert await _tables(database) == {*metadata.tables, "alembic_version"}


async def test_no_migration_is_missing(database: Database) -> None:
    """Whoever changes `tables.py` and forgets the migration is told here what differs."""
    await migrate(database)

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with database.writing.connect() as db:
        assert await db.run_sync(differences) == []


async def test_migrating_again_does_nothing(database: Database) -> None:
    await migrate(database)
    assert await migrate(database) == (head(), head())


async def test_every_migration_can_be_taken_back_and_repeated(database: Database) -> None:
    """An update that goes wrong must have a way back."""
    await migrate(database)
    for revision, _ in revisions()[1:]:
        assert (await migrate(database, to=revision))[1] == revision
    assert await migrate(database, to="base") == (revisions()[-1][0], "base")
    assert await _tables(database) <= {"alembic_version"}
    assert await migrate(database) == (None, head())


async def test_a_migration_loses_nothing_on_its_way_up_and_back(database: Database) -> None:
    """SQLite takes along by cascade what hangs on a table that is made anew: nobody noticed until the rows were gone."""
    await migrate(database, to="0001")
    async with database.writing.begin() as db:
        for statement in (
            "INSERT INTO institutions (id, name, created_at) VALUES (1, 'Example University', 0)",
            (
                "INSERT INTO exams (id, institution_id, name, starts_at, ends_at, url, salt, created_at)"
                " VALUES (1, 1, 'Linear Algebra', 0, 1, 'https://lms.example.org', 'aa', 0)"
            ),
            (
                "INSERT INTO users (id, institution_id, username, display_name, role, password_hash, created_at)"
                " VALUES (1, 1, 'ada', 'Ada', 'exam_supporter', '-', 0)"
            ),
            "INSERT INTO exam_supporters (exam_id, user_id) VALUES (1, 1)",
            "INSERT INTO rooms (exam_id, kind, number, name, state, created_at) VALUES (1, 'collecting', 1, 'x', 'open', 0)",
        ):
            await db.execute(text(statement))

    async def rows() -> list[int]:
        async with database.writing.connect() as db:
            tables = ("institutions", "exams", "users", "exam_supporters", "rooms")
            return [(await db.execute(text(f"SELECT count(*) FROM {one}"))).scalar_one() for one in tables]

    await migrate(database)
    assert await rows() == [1, 1, 1, 1, 1]
    await migrate(database, to="0001")
    assert await rows() == [1, 1, 1, 1, 1]


def test_revisions_form_one_line_with_titles() -> None:
    script = ScriptDirectory.from_config(_config())
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
    assert all(title.strip() for _, title in revisions())


async def test_an_unknown_revision_is_refused(database: Database) -> None:
    await migrate(database)
    with pytest.raises(Refused, match="invigilo migrate --list"):
        await migrate(database, to="9999")


async def test_an_unknown_revision_on_an_empty_database_is_refused_too(database: Database) -> None:
    with pytest.raises(Refused, match="invigilo migrate --list"):
        await migrate(database, to="9999")
    assert await _tables(database) == set()


async def _made_newer(folder: Path) -> None:
    database = open_database(database_url(None, folder))
    async with database.writing.begin() as db:
        await db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.dispose()


async def test_a_newer_database_is_not_touched(tmp_path: Path) -> None:
    """Neither by the server nor by any command; the message says what to do."""
    await set_up(tmp_path)
    await _made_newer(tmp_path)
    with pytest.raises(Refused, match="revision 9999") as refused:
        await build(settings_for(tmp_path))
    assert refused.value.code == "database_too_new"
    assert "start that one, or restore a backup" in refused.value.message
    with pytest.raises(Refused, match="revision 9999"):
        await set_up(tmp_path)
    database = open_database(database_url(None, tmp_path))
    assert await revision_of(database) == "9999"
    await database.dispose()


async def test_a_server_migrates_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path / "new", text=None) as server:
        assert (await server.request("GET", "/healthz")).status == 200
        assert await revision_of(server.app.storage.database) == head()
