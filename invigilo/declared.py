"""Declared set-up: a TOML file says what should exist; applying it makes it so, and says what changed.

Applying the same file twice changes nothing. Everything happens in one transaction, and every mistake in the file is
reported at once, each with its place (`institution[0].exam[1].start`). What the file does not mention stays as it is.
"""

from __future__ import annotations

import difflib
import re
import secrets
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.accounts import passwords, rules
from invigilo.accounts.model import Role
from invigilo.activity.service import record
from invigilo.clock import Clock, to_ms
from invigilo.errors import BadInput
from invigilo.exams.directory import directory_changed
from invigilo.exams.model import JoinBy, Service
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.exam_settings import exam_settings, exam_settings_bytes
from invigilo.secrets_box import SecretBox
from invigilo.storage.opening import Storage
from invigilo.storage.queries.accounts import end_sessions_of
from invigilo.storage.tables import connection_configurations, exam_supporters, exams, institutions, users
from invigilo.storage.work import Work

NO_LIMIT = "no limit"
LARGEST_ROOM = 500
OTHER_SERVICES = ("jitsi", "jaas", "zoom")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that was created or changed."""

    kind: str
    name: str
    deed: str
    """`created` or `changed`."""
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.deed} {self.kind} {self.name!r}" + (
            f": {', '.join(self.details)}" if self.details else ""
        )


@dataclass(slots=True)
class Report:
    """What applying did; `unchanged` counts the things that already were as declared."""

    changes: list[Change] = field(default_factory=list[Change])
    unchanged: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": [
                {"kind": c.kind, "name": c.name, "deed": c.deed, "details": list(c.details)}
                for c in self.changes
            ],
            "unchanged": self.unchanged,
        }


# --- reading the file: every mistake with its place ---


class _Mistakes:
    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, place: str, message: str) -> None:
        self.found.append(f"{place}: {message}")


_MISSING: Any = object()
_UNSAID: Any = object()
"""Not mentioned, where None means something else."""


class _Table:
    """One table of the file, read key by key; what is left over is a mistake."""

    def __init__(self, place: str, content: Any, mistakes: _Mistakes) -> None:
        self.place = place
        self._mistakes = mistakes
        self._asked: set[str] = set()
        if not isinstance(content, dict):
            mistakes.add(place, "a table is needed here.")
            content = {}
        self._content: dict[str, Any] = content

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}".lstrip(".")

    def get(self, key: str, read: Callable[[Any], Any], default: Any = _MISSING) -> Any:
        self._asked.add(key)
        if key not in self._content:
            if default is _MISSING:
                self._mistakes.add(self._at(key), "is missing.")
                return None
            return default
        try:
            return read(self._content[key])
        except (ValueError, TypeError, BadInput) as error:
            self._mistakes.add(self._at(key), f"{error}")
            return None

    def tables(self, key: str) -> Iterator[_Table]:
        self._asked.add(key)
        content = self._content.get(key, [])
        if not isinstance(content, list):
            self._mistakes.add(self._at(key), f"write it as [[{key}]], a list of tables.")
            content = []
        for number, one in enumerate(content):
            yield _Table(f"{self._at(key)}[{number}]", one, self._mistakes)

    def table(self, key: str) -> _Table | None:
        self._asked.add(key)
        if key not in self._content:
            return None
        return _Table(self._at(key), self._content[key], self._mistakes)

    def done(self) -> None:
        for key in self._content:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, 1)
                hint = (
                    f" Did you mean {near[0]!r}?"
                    if near
                    else f" Known here: {', '.join(sorted(self._asked))}."
                )
                self._mistakes.add(self._at(key), f"there is no such key.{hint}")


def _text(longest: int = 255) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError("a text is needed.")
        if len(value) > longest or "\0" in value:
            raise ValueError(f"at most {longest} characters are allowed.")
        return value.strip()

    return read


def read_username(value: Any) -> str:
    """A name to sign in with. Raises ValueError that says what is wrong."""
    name = _text(rules.USERNAME_LONGEST)(value)
    if not rules.is_username(name):
        raise ValueError("a user name has no blanks, colons or slashes.")
    return name


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("write a time like 2026-01-31T08:00:00Z.") from error
    if not isinstance(value, datetime):
        raise ValueError("write a time like 2026-01-31T08:00:00Z.")  # noqa: TRY004
    if value.tzinfo is None:
        raise ValueError("the time zone is missing: write Z for UTC, or an offset such as +01:00.")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("write a time like 2026-01-31T08:00:00Z.") from error


def _url(value: Any) -> str:
    url = _text(2_000)(value)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an absolute address is needed, like https://lms.example.org/quiz.")
    return url


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("write true or false.")  # noqa: TRY004
    return value


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high} is needed.")
        return value

    return read


def _room_size(value: Any) -> int | None:
    if value == NO_LIMIT:
        return None
    try:
        return _integer(1, LARGEST_ROOM)(value)
    except ValueError as error:
        raise ValueError(f'a whole number from 1 to {LARGEST_ROOM} is needed, or "{NO_LIMIT}".') from error


def _service(value: Any) -> Service:
    if value in OTHER_SERVICES:
        raise ValueError(f"{value!r} is not available in this version yet. Use {Service.BUILTIN.value!r}.")
    return _word(Service)(value)


def _word(kind: Any) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            return kind(value)
        except ValueError as error:
            raise ValueError(f"one of {', '.join(one.value for one in kind)} is needed.") from error

    return read


def _names(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError("a list of user names is needed.")  # noqa: TRY004
    return [read_username(one) for one in value]


def _hex64(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("64 lower-case hexadecimal characters are needed.")
    return value


@dataclass(slots=True)
class _User:
    username: str
    role: Role
    password: str | None
    name: str | None
    language: str | None
    is_active: bool | None


@dataclass(slots=True)
class _Exam:
    place: str
    values: dict[str, Any]
    supporters: list[str] | None
    if_new: dict[str, Any] = field(default_factory=dict[str, Any])
    """What a new exam gets where the file says nothing."""


@dataclass(slots=True)
class _Connection:
    name: str
    client_id: str
    client_secret: str | None
    ping_interval_ms: int | None
    is_active: bool | None


@dataclass(slots=True)
class _Institution:
    name: str
    users: list[_User]
    exams: list[_Exam]
    connections: list[_Connection]


@dataclass(slots=True)
class Declared:
    """A file, read and checked."""

    users: list[_User]
    institutions: list[_Institution]


def read_file(path: Path) -> str:
    """The text of a declared set-up. Raises BadInput that says what to do with the file."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"The file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"The file {path} cannot be read: it is not in UTF-8. Save it as UTF-8 in your editor."
        ) from error


def read_declared(text: str, *, name: str = "") -> Declared:
    """Read a declared set-up. Raises BadInput that lists every mistake with its place; `name` is the file's."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(
            f'{name or "The file"} is no TOML: {error}. Texts stand in quotes: name = "Example University".'
        ) from error
    mistakes = _Mistakes()
    root = _Table("", content, mistakes)
    declared = Declared(
        users=[_read_user(table, Role.SERVER_ADMIN) for table in root.tables("user")],
        institutions=[_read_institution(table) for table in root.tables("institution")],
    )
    root.done()
    _check_names(declared, mistakes)
    if mistakes.found:
        raise BadInput(
            f"Nothing was changed. Please mend{name and f' in {name}'}:\n  " + "\n  ".join(mistakes.found)
        )
    return declared


def _read_institution(table: _Table) -> _Institution:
    found = _Institution(
        name=table.get("name", _text()),
        users=[_read_user(one, None) for one in table.tables("user")],
        exams=[_read_exam(one) for one in table.tables("exam")],
        connections=[_read_connection(one) for one in table.tables("connection")],
    )
    table.done()
    return found


def _read_user(table: _Table, only_role: Role | None) -> _User:
    def role(value: Any) -> Role:
        read: Role = _word(Role)(value)
        if (read is Role.SERVER_ADMIN) != (only_role is Role.SERVER_ADMIN):
            raise ValueError("server_admin stands outside institutions, every other role inside one.")
        return read

    user = _User(
        username=table.get("username", read_username),
        role=table.get("role", role),
        password=table.get("password", _password, None),
        name=table.get("name", _text(), None),
        language=table.get("language", _text(8), None),
        is_active=table.get("active", _flag, None),
    )
    if user.password is not None and user.username:
        table.get("password", _password_for(user.username), None)
    table.done()
    return user


def _password(value: Any) -> str:
    """As it stands: blanks at its ends are part of it."""
    _text(rules.LONGEST_PASSWORD)(value)
    return str(value)


def _password_for(username: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        passwords.check_rules(str(value), username=username)
        return str(value)

    return read


def _read_exam(table: _Table) -> _Exam:
    values = {
        "name": table.get("name", _text()),
        "starts_at": table.get("start", _moment),
        "ends_at": table.get("end", _moment),
        "url": table.get("url", _url),
        "browser_exam_key": table.get("browser_exam_key", _hex64, _UNSAID),
    }
    supporters = table.get("supporters", _names, None)
    proctoring = table.table("proctoring")
    if_new: dict[str, Any] = {}
    if proctoring is not None:
        if_new = {"proctoring_enabled": True, "collecting_room_size": 20}
        values |= {
            "proctoring_enabled": proctoring.get("enabled", _flag, _UNSAID),
            "service": proctoring.get("service", _service, _UNSAID),
            "collecting_room_size": proctoring.get("collecting_room_size", _room_size, _UNSAID),
            "join_by": proctoring.get("join_by", _word(JoinBy), _UNSAID),
        }
        proctoring.done()
    if values["starts_at"] and values["ends_at"] and values["ends_at"] <= values["starts_at"]:
        table.get("end", _refuse("the end must be later than the start."), None)
    table.done()
    said = {name: value for name, value in values.items() if value is not _UNSAID}
    return _Exam(table.place, said, supporters, if_new)


def _refuse(message: str) -> Callable[[Any], Any]:
    def read(_value: Any) -> Any:
        raise ValueError(message)

    return read


def _read_connection(table: _Table) -> _Connection:
    connection = _Connection(
        name=table.get("name", _text()),
        client_id=table.get("client_id", _client_id),
        client_secret=table.get("client_secret", _secret, None),
        ping_interval_ms=table.get("ping_interval", _integer(500, 60_000), None),
        is_active=table.get("active", _flag, None),
    )
    table.done()
    return connection


def _client_id(value: Any) -> str:
    name = _text(255)(value)
    if ":" in name or not name.isascii():
        raise ValueError("a client id is plain ASCII without a colon.")
    return name


def _secret(value: Any) -> str:
    secret = _text(255)(value)
    if len(secret) < 16:
        raise ValueError("a client secret has at least 16 characters. Leave it out to have one made.")
    return secret


def _check_names(declared: Declared, mistakes: _Mistakes) -> None:
    people = [u.username for u in declared.users] + [
        u.username for i in declared.institutions for u in i.users
    ]
    clients = [c.client_id for i in declared.institutions for c in i.connections]
    groups = [
        ("institution names", [i.name for i in declared.institutions]),
        ("user names", people),
        ("client ids", clients),
        *((f"exam names in {i.name!r}", [e.values["name"] for e in i.exams]) for i in declared.institutions),
    ]
    for what, names in groups:
        for name in sorted({n for n in names if n is not None and names.count(n) > 1}):
            mistakes.add(name, f"stands twice; {what} must differ.")


# --- making it so ---


async def apply_text(text: str, storage: Storage, clock: Clock) -> Report:
    """Read and apply. Raises BadInput; nothing is half applied."""
    declared = read_declared(text)
    report = Report()
    async with storage.work() as w:
        applier = _Applier(w, storage.box, clock, report)
        for user in declared.users:
            await applier.user(user, None)
        for institution in declared.institutions:
            await applier.institution(institution)
        await directory_changed(w)
    return report


async def apply_file(path: Path, storage: Storage, clock: Clock) -> Report:
    return await apply_text(read_file(path), storage, clock)


class _Applier:
    def __init__(self, w: Work, box: SecretBox, clock: Clock, report: Report) -> None:
        self._w = w
        self._db: AsyncConnection = w.db
        self._box = box
        self._clock = clock
        self._report = report

    async def institution(self, wish: _Institution) -> None:
        row = (
            await self._db.execute(select(institutions).where(institutions.c.name == wish.name))
        ).one_or_none()
        if row is None:
            query = insert(institutions).values(name=wish.name, created_at=self._clock.now_ms())
            institution_id = int((await self._db.execute(query.returning(institutions.c.id))).scalar_one())
            await self._note(institution_id, "institution", wish.name, "created")
        else:
            institution_id = row.id
            self._report.unchanged += 1
        for user in wish.users:
            await self.user(user, institution_id)
        for exam in wish.exams:
            await self._exam(exam, institution_id)
        for connection in wish.connections:
            await self._connection(connection, institution_id)

    async def user(self, wish: _User, institution_id: int | None) -> None:
        row = (await self._db.execute(select(users).where(users.c.username == wish.username))).one_or_none()
        values: dict[str, Any] = {
            "role": wish.role.value,
            **_said(display_name=wish.name, language=wish.language, is_active=wish.is_active),
        }
        if row is None:
            if wish.password is None:
                raise BadInput(f"User {wish.username!r} is new and needs a password.")
            values = {"display_name": wish.username, **values}
            values |= {"username": wish.username, "institution_id": institution_id}
            values |= {
                "password_hash": passwords.hash_password(wish.password),
                "created_at": self._clock.now_ms(),
            }
            await self._db.execute(insert(users).values(**values))
            await self._note(institution_id, "user", wish.username, "created")
            return
        if row.institution_id != institution_id:
            raise BadInput(
                f"User name {wish.username!r} is taken in another institution. Choose another one."
            )
        details = _differences(row, values)
        if wish.password is not None and not passwords.verify(row.password_hash, wish.password):
            values["password_hash"] = passwords.hash_password(wish.password)
            details.append("password")
            await end_sessions_of(self._db, row.id)
        await self._change(users, row.id, values, institution_id, "user", wish.username, details)

    async def _exam(self, wish: _Exam, institution_id: int) -> None:
        values = {k: _stored(v) for k, v in wish.values.items()}
        query = select(
            *[c for c in exams.c if c.name != "settings"], exams.c.settings.is_(None).label("lacks_settings")
        )
        query = query.where(exams.c.institution_id == institution_id, exams.c.name == values["name"])
        row = (await self._db.execute(query)).one_or_none()
        if row is None:
            values = wish.if_new | values
            values |= {
                "institution_id": institution_id,
                "salt": secrets.token_hex(8),
                "created_at": self._clock.now_ms(),
            }
            values |= _settings_file()
            exam_id = int(
                (await self._db.execute(insert(exams).values(**values).returning(exams.c.id))).scalar_one()
            )
            await self._supporters(exam_id, institution_id, wish)
            await self._note(institution_id, "exam", values["name"], "created", exam_id=exam_id)
            return
        details = _differences(row, values)
        if row.lacks_settings:
            values |= _settings_file()
        details += await self._supporters(row.id, institution_id, wish)
        await self._change(
            exams, row.id, values, institution_id, "exam", values["name"], details, exam_id=row.id
        )

    async def _supporters(self, exam_id: int, institution_id: int, wish: _Exam) -> list[str]:
        query = select(users.c.id, users.c.username).where(users.c.institution_id == institution_id)
        if wish.supporters is None:
            return []
        ids = {row.username: row.id for row in await self._db.execute(query)}
        unknown = [name for name in wish.supporters if name not in ids]
        if unknown:
            raise BadInput(f"{wish.place}.supporters: there is no user {unknown[0]!r} in this institution.")
        table = exam_supporters
        now = set(
            (await self._db.execute(select(table.c.user_id).where(table.c.exam_id == exam_id))).scalars()
        )
        wanted = {ids[name] for name in wish.supporters}
        if now == wanted:
            return []
        await self._db.execute(delete(table).where(table.c.exam_id == exam_id))
        if wanted:
            await self._db.execute(
                insert(table), [{"exam_id": exam_id, "user_id": user_id} for user_id in wanted]
            )
        return ["supporters"]

    async def _connection(self, wish: _Connection, institution_id: int) -> None:
        table = connection_configurations
        row = (await self._db.execute(select(table).where(table.c.client_id == wish.client_id))).one_or_none()
        values: dict[str, Any] = {
            "name": wish.name,
            **_said(ping_interval_ms=wish.ping_interval_ms, is_active=wish.is_active),
        }
        if row is None:
            secret = wish.client_secret or secrets.token_urlsafe(24)
            values |= {
                "institution_id": institution_id,
                "client_id": wish.client_id,
                "client_secret_encrypted": self._box.encrypt(secret),
                "created_at": self._clock.now_ms(),
            }
            await self._db.execute(insert(table).values(**values))
            made = () if wish.client_secret else ("client secret made; it is in the connection file",)
            await self._note(institution_id, "connection", wish.name, "created", details=made)
            return
        if row.institution_id != institution_id:
            raise BadInput(
                f"Client id {wish.client_id!r} is taken in another institution. Choose another one."
            )
        details = _differences(row, values)
        if wish.client_secret and self._box.decrypt(row.client_secret_encrypted) != wish.client_secret:
            values["client_secret_encrypted"] = self._box.encrypt(wish.client_secret)
            details.append("client secret")
        await self._change(table, row.id, values, institution_id, "connection", wish.name, details)

    async def _change(
        self,
        table: Any,
        row_id: int,
        values: dict[str, Any],
        institution_id: int | None,
        kind: str,
        name: str,
        details: list[str],
        *,
        exam_id: int | None = None,
    ) -> None:
        if not details:
            self._report.unchanged += 1
            return
        await self._db.execute(update(table).where(table.c.id == row_id).values(**values))
        await self._note(institution_id, kind, name, "changed", details=tuple(details), exam_id=exam_id)

    async def _note(
        self,
        institution_id: int | None,
        kind: str,
        name: str,
        deed: str,
        *,
        details: tuple[str, ...] = (),
        exam_id: int | None = None,
    ) -> None:
        self._report.changes.append(Change(kind, name, deed, details))
        await record(
            self._w,
            at=self._clock.now(),
            actor=None,
            deed=f"{kind}_{deed}",
            institution_id=institution_id,
            exam_id=exam_id,
            detail={"name": name, "changes": list(details)},
        )


def _settings_file() -> dict[str, Any]:
    made = exam_settings()
    return {"settings": exam_settings_bytes(made), "config_key": config_key(made)}


def _said(**values: Any) -> dict[str, Any]:
    """Only what the file mentions: the rest stays as it is, or as new things are."""
    return {name: value for name, value in values.items() if value is not None}


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_ms(value)
    return value.value if isinstance(value, Service | JoinBy) else value


_SHOWN = {
    "collecting_room_size": "room size",
    "proctoring_enabled": "proctoring",
    "starts_at": "start",
    "ends_at": "end",
    "is_active": "active",
    "display_name": "name",
    "ping_interval_ms": "ping interval",
    "join_by": "join by",
    "browser_exam_key": "Browser Exam Key",
}


def _differences(row: Any, values: dict[str, Any]) -> list[str]:
    """What would change, in words; times and keys are named without their values."""
    found: list[str] = []
    for name, value in values.items():
        before = getattr(row, name)
        if before == value:
            continue
        shown = _SHOWN.get(name, name)
        is_plain = name not in {"starts_at", "ends_at", "browser_exam_key"}
        found.append(f"{shown} {_say(before)} → {_say(value)}" if is_plain else shown)
    return found


def _say(value: Any) -> str:
    if value is None:
        return NO_LIMIT
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)
