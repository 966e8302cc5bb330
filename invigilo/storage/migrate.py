"""Bringing a database to this version of the tables; refusing one that is newer than we are."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from invigilo.errors import Refused
from invigilo.storage.engine import Database
from invigilo.storage.work import storage_errors

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x1271617  # any number, the same on every node: one node migrates, the others wait


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision this program knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def revisions() -> list[tuple[str, str]]:
    """Every revision this program knows with its title, newest first."""
    return [(r.revision, r.doc) for r in ScriptDirectory.from_config(_config()).walk_revisions()]


async def revision_of(database: Database) -> str | None:
    """The revision the database stands at; None when it is empty."""
    with storage_errors():
        async with database.writing.connect() as db, db.begin():
            return await db.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())


async def migrate(database: Database, *, to: str = "head") -> tuple[str | None, str]:
    """Run what is missing in one transaction; returns the revision before and after.

    Raises Refused (`database_too_new`) when the database knows a revision that this program does not: an older server
    must not write into tables it does not understand.
    """
    with storage_errors():
        async with database.writing.connect() as db, db.begin():
            if not database.is_sqlite:
                await db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            return await db.run_sync(_migrate, to)


def _migrate(connection: Connection, to: str) -> tuple[str | None, str]:
    before = MigrationContext.configure(connection).get_current_revision()
    refuse_newer(before)
    config = _config(connection)
    known = [*(revision for revision, _ in revisions()), "base"]
    if to not in {"head", *known}:
        raise Refused(
            "unknown_revision", f"There is no revision {to!r}. `invigilo migrate --list` shows them."
        )
    if to == (before or "base"):
        return before, to
    goes_down = to != "head" and known.index(to) > known.index(before or "base")
    (command.downgrade if goes_down else command.upgrade)(config, to)
    after = MigrationContext.configure(connection).get_current_revision()
    return before, after or "base"


def refuse_newer(revision: str | None) -> None:
    """Raise Refused when the revision is not one of ours."""
    if revision is None:
        return
    try:
        ScriptDirectory.from_config(_config()).get_revision(revision)
    except CommandError as error:
        raise Refused(
            "database_too_new",
            f"This database is at revision {revision}, which this version of Invigilo does not know. "
            "It was used by a newer version: start that one, or restore a backup made before the update.",
        ) from error
