"""What the smaller commands do, from arguments to printed lines."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from invigilo.accounts import passwords
from invigilo.accounts.model import Account, Role
from invigilo.activity.service import record
from invigilo.clock import SystemClock
from invigilo.declared import apply_text, read_declared, read_file, read_username
from invigilo.errors import BadInput, NotFound
from invigilo.exam_api.wire import DISCOVERY
from invigilo.sebconfig.connection_file import ConnectionFile, connection_file_bytes
from invigilo.sebconfig.container import Purpose
from invigilo.settings import Settings
from invigilo.storage.engine import Database
from invigilo.storage.migrate import migrate as migrate_database
from invigilo.storage.migrate import revision_of, revisions
from invigilo.storage.opening import Storage, open_storage, opening
from invigilo.storage.queries import accounts as account_queries
from invigilo.storage.queries import exams as exam_queries
from invigilo.storage.tables import institutions

Arguments = argparse.Namespace


def say(line: str = "") -> None:
    print(line, flush=True)  # noqa: T201


def read_text(path: str, what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"The {what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"The {what} {path} cannot be read: it is not in UTF-8. Save it as UTF-8 in your editor."
        ) from error


def password_in(path: str | None) -> str | None:
    """The password in a file: its first line."""
    return None if path is None else read_text(path, "password file").split("\n", 1)[0].rstrip("\r")


def apply(arguments: Arguments, settings: Settings) -> int:
    return asyncio.run(_apply(arguments, settings))


async def _apply(arguments: Arguments, settings: Settings) -> int:
    clock = SystemClock()
    text = read_file(Path(arguments.file))
    beside = Path(arguments.file).parent
    declared = read_declared(text, name=arguments.file, folder=beside)
    if not declared.users and not declared.institutions:
        raise BadInput(
            f"{arguments.file} declares nothing: no [[user]] and no [[institution]]. The README shows an example."
        )
    password = password_in(arguments.connection_password_file)
    folder = _folder_for_files(arguments.connection_files)
    storage = await open_storage(settings, clock=clock)
    try:
        report = await apply_text(text, storage, clock, folder=beside)
        files: list[str] = []
        if folder is not None:
            wanted = {c.client_id for i in declared.institutions for c in i.connections}
            files = await _write_connection_files(
                folder, arguments.server or _address(settings), password, storage, wanted
            )
    finally:
        await storage.close()
    if arguments.json:
        say(json.dumps(report.as_json() | {"connection_files": files}, ensure_ascii=False, indent=2))
        return 0
    for change in report.changes:
        say(str(change))
    for file in files:
        say(f"wrote {file}")
    say(f"{len(report.changes)} changed, {report.unchanged} unchanged.")
    return 0


def _folder_for_files(given: str | None) -> Path | None:
    """Made before anything is applied, so that a wrong one leaves nothing half done."""
    if not given:
        return None
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise BadInput(f"--connection-files needs a folder, and {error.filename} is a file.") from error
    except OSError as error:
        raise BadInput(f"--connection-files: {folder} cannot be made: {error.strerror}.") from error
    return folder


def _address(settings: Settings) -> str:
    scheme = "https" if settings.tls_certificate else "http"
    return settings.public_url or f"{scheme}://{settings.host}:{settings.port}"


def _write_for_owner(path: Path, data: bytes) -> None:
    """Whoever can read a connection file can connect, so only its owner can; also where an older one lay open."""
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_bytes(data)
    except OSError as error:
        raise BadInput(f"The connection file {path} cannot be written: {error.strerror}.") from error


async def _write_connection_files(
    folder: Path, server: str, password: str | None, storage: Storage, wanted: set[str]
) -> list[str]:
    written: list[str] = []
    async with storage.reading() as w:
        configurations = await exam_queries.all_configurations(w.db)
    for configuration, sealed in configurations:
        if configuration.client_id not in wanted:
            continue
        file = ConnectionFile(
            server_url=server,
            institution_id=str(configuration.institution_id),
            client_id=configuration.client_id,
            client_secret=storage.box.decrypt(sealed),
            discovery_path=DISCOVERY,
            ping_interval=timedelta(milliseconds=configuration.ping_interval_ms),
            purpose=Purpose.START_EXAM,
        )
        name = (
            re.sub(r"[^\w.-]+", "-", configuration.client_id).strip("-.") or f"connection-{configuration.id}"
        )
        path = folder / f"{name}.seb"
        _write_for_owner(path, connection_file_bytes(file, password=password))
        written.append(str(path))
    return written


def migrate(arguments: Arguments, settings: Settings) -> int:
    return asyncio.run(_migrate(arguments, settings))


async def _migrate(arguments: Arguments, settings: Settings) -> int:
    with opening(settings) as database:
        try:
            if arguments.list:
                await _list_revisions(database)
                return 0
            before, after = await migrate_database(database, to=arguments.to)
        finally:
            await database.dispose()
    say("Nothing to do." if before == after else f"Migrated from {before or 'empty'} to {after}.")
    return 0


async def _list_revisions(database: Database) -> None:
    now = await revision_of(database)
    for revision, title in revisions():
        say(f"{'→' if revision == now else ' '} {revision}  {title}")
    if now is None:
        say("The database is empty.")


def user(arguments: Arguments, settings: Settings) -> int:
    return asyncio.run(_user(arguments, settings))


_OPTIONS_OF = {"role": {"add", "role"}, "institution": {"add"}, "name": {"add"}}
"""Options of `user` → the actions that take them; elsewhere they would be silently without effect."""


def _refuse_without_effect(arguments: Arguments) -> None:
    for option, actions in _OPTIONS_OF.items():
        if getattr(arguments, option) is not None and arguments.action not in actions:
            hint = " `invigilo user role USERNAME --role ROLE` changes it." if option == "role" else ""
            raise BadInput(f"`user {arguments.action}` takes no --{option}.{hint}", field=option)


async def _user(arguments: Arguments, settings: Settings) -> int:
    _refuse_without_effect(arguments)
    clock = SystemClock()
    storage = await open_storage(settings, clock=clock)
    try:
        if arguments.action == "list":
            await _list_users(storage)
            return 0
        if not arguments.username:
            raise BadInput("Say whose account: invigilo user ACTION USERNAME.", field="username")
        if arguments.action == "add":
            await _add_user(arguments, storage, clock)
        else:
            await _change_user(arguments, storage, clock)
    finally:
        await storage.close()
    return 0


async def _list_users(storage: Storage) -> None:
    async with storage.reading() as w:
        names = await exam_queries.institution_names(w.db)
        accounts = await account_queries.all_accounts(w.db)
    for account in accounts:
        where = names.get(account.institution_id or 0, "–")
        active = "" if account.is_active else "  (not active)"
        say(f"{account.username:24} {account.role.value:18} {where}{active}")


def _ask_password(arguments: Arguments) -> str:
    given = password_in(arguments.password_file)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise BadInput("There is nobody to ask for the password: give --password-file.", field="password")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise BadInput("The two passwords differ. Nothing was changed.", field="password")
    return password


def _read_role(arguments: Arguments) -> Role:
    try:
        return Role(arguments.role or "")
    except ValueError as error:
        raise BadInput(f"--role is one of {', '.join(one.value for one in Role)}.", field="role") from error


def _check_move(account: Account, role: Role) -> None:
    """A role cannot move somebody into an institution or out of it."""
    if (role is Role.SERVER_ADMIN) == (account.institution_id is None):
        return
    where = "belongs to an institution" if account.institution_id else "belongs to no institution"
    raise BadInput(
        f"{account.username!r} {where} and cannot become {role.value}. Add another account for that.",
        field="role",
    )


async def _add_user(arguments: Arguments, storage: Storage, clock: SystemClock) -> None:
    role = _read_role(arguments)
    if role is Role.SERVER_ADMIN and arguments.institution:
        raise BadInput(
            "A server_admin belongs to no institution: leave --institution out.", field="institution"
        )
    if role is not Role.SERVER_ADMIN and not arguments.institution:
        raise BadInput("Every role but server_admin belongs to an --institution.", field="institution")
    try:
        read_username(arguments.username)
    except ValueError as error:
        raise BadInput(f"{arguments.username!r} cannot be used: {error}", field="username") from error
    password = _ask_password(arguments)
    passwords.check_rules(password, username=arguments.username)
    async with storage.work() as w:
        institution_id = None
        if arguments.institution:
            query = select(institutions.c.id).where(institutions.c.name == arguments.institution)
            institution_id = (await w.db.execute(query)).scalar_one_or_none()
            if institution_id is None:
                raise NotFound(
                    f"There is no institution {arguments.institution!r}. `invigilo apply` creates them."
                )
        if await account_queries.by_username(w.db, arguments.username) is not None:
            raise BadInput(f"There is a user {arguments.username!r} already.", field="username")
        await account_queries.add(
            w.db,
            institution_id=institution_id,
            username=arguments.username,
            display_name=arguments.name or arguments.username,
            role=role.value,
            password_hash=passwords.hash_password(password),
            created_at=clock.now_ms(),
        )
        await _note(w, clock, "user_created", institution_id, arguments.username)
    say(f"Added {arguments.username}.")


async def _change_user(arguments: Arguments, storage: Storage, clock: SystemClock) -> None:
    values: dict[str, Any] = {}
    if arguments.action == "password":
        password = _ask_password(arguments)
        passwords.check_rules(password, username=arguments.username)
        values["password_hash"] = passwords.hash_password(password)
    elif arguments.action == "role":
        values["role"] = _read_role(arguments).value
    else:
        values["is_active"] = arguments.action == "activate"
    async with storage.work() as w:
        found = await account_queries.by_username(w.db, arguments.username)
        if found is None:
            raise NotFound(f"There is no user {arguments.username!r}. `invigilo user list` shows them.")
        account, _ = found
        if arguments.action == "role":
            _check_move(account, Role(values["role"]))
        await account_queries.change(w.db, account.id, **values)
        if arguments.action != "activate":
            await account_queries.end_sessions_of(w.db, account.id)
        await _note(w, clock, f"user_{arguments.action}", account.institution_id, account.username)
    say(f"Done: {arguments.action} {arguments.username}.")


async def _note(w: Any, clock: SystemClock, deed: str, institution_id: int | None, username: str) -> None:
    await record(
        w, at=clock.now(), actor=None, deed=deed, institution_id=institution_id, detail={"username": username}
    )
