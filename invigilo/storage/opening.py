"""Opening the storage for any command: the database at this version's tables, and the key for its secrets."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError

from invigilo.bus import Bus, PostgresBus
from invigilo.clock import Clock
from invigilo.errors import BadInput, Unavailable
from invigilo.secrets_box import KEY_FILE, SecretBox, new_key, store_key_in_folder
from invigilo.settings import Settings
from invigilo.storage.engine import Database, database_url, file_of, look_into, open_database, shown_address
from invigilo.storage.migrate import migrate
from invigilo.storage.tables import installation
from invigilo.storage.work import Work, WorkFactory, reading_factory, try_writing, work_factory


@dataclass(frozen=True, slots=True)
class Storage:
    """An open database, and what is needed to use it."""

    database: Database
    work: WorkFactory
    urgent_work: WorkFactory
    """For what was already answered: on SQLite it goes first."""
    reading: WorkFactory
    box: SecretBox
    bus: Bus

    async def close(self) -> None:
        await self.database.dispose()


async def open_storage(settings: Settings, *, clock: Clock) -> Storage:
    """Migrate, find the key, and refuse a wrong one. The bus is not started.

    Raises Refused for a database newer than this program, BadInput for another key, Unavailable when it is out of reach or
    cannot be written.
    """
    given_keys(settings)  # a wrong key is told before anything is made
    with opening(settings) as database:
        try:
            await migrate(database)
            await try_writing(database)
            bus = Bus() if database.is_sqlite else PostgresBus(database.url)
            work = work_factory(database, bus)
            async with work() as w:
                box = await _find_box(w, settings, clock)
        except BaseException:
            await database.dispose()
            raise
    urgent = work_factory(database, bus, urgent=True)
    return Storage(database, work, urgent, reading_factory(database), box, bus)


@contextmanager
def opening(settings: Settings) -> Generator[Database]:
    """The database, not yet connected; trouble inside names it, says why, and where to look further.

    While a command starts "try again in a moment" would be wrong: somebody has to mend something first.
    """
    if not settings.database_url:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = open_database(database_url(settings.database_url, settings.data_dir))
    file = file_of(database.url)
    try:
        if file is not None:
            look_into(file)
        yield database
    except (Unavailable, DBAPIError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        shown = shown_address(settings.database_url, settings.data_dir)
        raise Unavailable(
            f"The database {shown} cannot be used: {why_unusable(error, file)} "
            "`invigilo doctor`, with the same settings, checks it."
        ) from error


def why_unusable(error: BaseException, file: Path | None) -> str:
    """The driver's reason, or a better one where we know what it means."""
    cause = error
    while below := getattr(cause, "orig", None) or cause.__cause__:
        cause = below
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return "it is no SQLite database. Name another file, or move this one away."
    if code == sqlite3.SQLITE_CANTOPEN and file is not None and not file.parent.is_dir():
        return (
            f"its folder {file.parent} does not exist. Make it, and give it to the user the server runs as."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return "it cannot be opened. Give it and its folder to the user the server runs as."
    if code == sqlite3.SQLITE_READONLY or "25006" in str(getattr(cause, "sqlstate", "")):
        return "it cannot be written by this user; give it to the user the server runs as."
    if isinstance(cause, ConnectionRefusedError):
        return "nothing answers there (connection refused). Is it running?"
    reason = str(cause).strip() or type(cause).__name__
    return reason.splitlines()[0][:300].rstrip(".") + "."


async def _find_box(w: Work, settings: Settings, clock: Clock) -> SecretBox:
    row = (await w.db.execute(select(installation))).one_or_none()
    keys, in_database = given_keys(settings), False
    if not keys and settings.database_url:
        in_database = True
        keys = [row.secret_key] if row is not None and row.secret_key else [new_key()]
    elif not keys:
        keys = [new_key()]
        if (
            row is None
        ):  # a database that has one is refused below, and a new key beside it would hide which is missing
            store_key_in_folder(settings.data_dir, keys[0])
    box = SecretBox(keys)
    if row is None:
        values = {
            "id": 1,
            "key_check": box.seal_check(),
            "secret_key": keys[0] if in_database else None,
            "created_at": clock.now_ms(),
        }
        make = sqlite_insert if w.is_sqlite else postgresql_insert
        await w.db.execute(make(installation).values(**values).on_conflict_do_nothing())
        row = (await w.db.execute(select(installation))).one()
        if in_database and row.secret_key and row.secret_key != keys[0]:
            box = SecretBox([row.secret_key])  # another node was first
    if not box.opens(row.key_check):
        raise BadInput(
            "This database was set up with another key, so its stored secrets cannot be read. Start with the key it was "
            "made with (setting secret_key or secret_key_file, or the --data-dir that holds secret.key).",
            field="secret_key",
        )
    return box


def given_keys(settings: Settings) -> list[str]:
    """The keys that were given, or lie in the data folder; empty when there is none yet.

    Raises BadInput that names the setting or the file whose key cannot be used.
    """
    if settings.secret_key:
        source, text = "secret_key", settings.secret_key.reveal().replace(",", "\n")
    elif settings.secret_key_file is not None:
        source, text = f"secret_key_file {settings.secret_key_file}", _read_key(settings.secret_key_file)
    elif settings.database_url or not (file := settings.data_dir / KEY_FILE).exists():
        return []
    else:
        source, text = str(file), _read_key(file)
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys:
        raise BadInput(f"{source} holds no key. {_REMEDY}", field="secret_key")
    try:
        SecretBox(keys)
    except BadInput as error:
        raise BadInput(
            f"{source}: the key is not 32 bytes in URL-safe base64. {_REMEDY}", field="secret_key"
        ) from error
    return keys


_REMEDY = "Put back the key this database was made with; for a new database make one with `invigilo doctor --new-key`."


def _read_key(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError as error:
        raise BadInput(
            f"The key file {file} cannot be read: {error.strerror}. Let the user the server runs as read it.",
            field="secret_key",
        ) from error
