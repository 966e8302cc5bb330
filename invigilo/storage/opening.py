"""Opening the storage for any command: the database at this version's tables, and the key for its secrets."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from invigilo.bus import Bus, PostgresBus
from invigilo.clock import Clock
from invigilo.errors import BadInput
from invigilo.secrets_box import SecretBox, key_in_folder, new_key, store_key_in_folder
from invigilo.settings import Settings
from invigilo.storage.engine import Database, database_url, open_database
from invigilo.storage.migrate import migrate
from invigilo.storage.tables import installation
from invigilo.storage.work import Work, WorkFactory, reading_factory, work_factory


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

    Raises Refused for a database newer than this program, BadInput for another key, Unavailable when out of reach.
    """
    if not settings.database_url:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = database_url(settings.database_url, settings.data_dir)
    database = open_database(url)
    try:
        await migrate(database)
        bus = Bus() if database.is_sqlite else PostgresBus(url)
        work = work_factory(database, bus)
        async with work() as w:
            box = await _find_box(w, settings, clock)
    except BaseException:
        await database.dispose()
        raise
    urgent = work_factory(database, bus, urgent=True)
    return Storage(database, work, urgent, reading_factory(database), box, bus)


async def _find_box(w: Work, settings: Settings, clock: Clock) -> SecretBox:
    keys, in_database = _given_keys(settings), False
    row = (await w.db.execute(select(installation))).one_or_none()
    if not keys:
        in_database = True
        keys = [row.secret_key] if row is not None and row.secret_key else [new_key()]
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


def _given_keys(settings: Settings) -> list[str]:
    if settings.secret_key:
        return [key.strip() for key in settings.secret_key.reveal().split(",") if key.strip()]
    if settings.secret_key_file is not None:
        return [line.strip() for line in settings.secret_key_file.read_text().splitlines() if line.strip()]
    if settings.database_url:
        return []
    key = key_in_folder(settings.data_dir)
    if key is None:
        key = new_key()
        store_key_in_folder(settings.data_dir, key)
    return [key]
