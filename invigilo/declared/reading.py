"""Reading a declared set-up: every mistake with its place, all of them at once."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from invigilo import fields
from invigilo.accounts import passwords, rules
from invigilo.accounts.model import Role
from invigilo.declared.services import read_values
from invigilo.errors import BadInput
from invigilo.exams.model import JoinBy, ProctoringFeature, Service
from invigilo.proctoring.rules import LARGEST_ROOM
from invigilo.providers.description import DESCRIPTIONS

NO_LIMIT = "no limit"


class _Mistakes:
    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, place: str, message: str) -> None:
        self.found.append(f"{place}: {message}")


_MISSING: Any = object()
UNSAID: Any = object()
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

    def rest(self) -> dict[str, Any]:
        """Whatever nobody asked for so far, for a reader that knows its own keys."""
        found = {key: value for key, value in self._content.items() if key not in self._asked}
        self._asked.update(found)
        return found

    def mistake(self, key: str, message: str) -> None:
        self._mistakes.add(self._at(key), message)

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
class DeclaredUser:
    username: str
    role: Role
    password: str | None
    name: str | None
    language: str | None
    is_active: bool | None


@dataclass(slots=True)
class DeclaredConfiguration:
    place: str
    name: str
    description: str | None
    is_template: bool | None
    settings: dict[str, Any]
    """By setting, as an edit in the editor says it; those not named stay as they are."""


@dataclass(slots=True)
class DeclaredService:
    place: str
    name: str
    service: Service
    values: dict[str, str]
    """By field, secrets too."""


@dataclass(slots=True)
class DeclaredExam:
    place: str
    values: dict[str, Any]
    supporters: list[str] | None
    configuration: str | None
    quit_password: str | None
    definition: str | None = None
    """Name of the service definition it uses."""
    accept_unproven: bool = False
    """Proctor by a service although it has not passed its test. Goes on record."""
    if_new: dict[str, Any] = field(default_factory=dict[str, Any])
    """What a new exam gets where the file says nothing."""

    @property
    def says_proctoring(self) -> bool:
        return bool(self.if_new)


@dataclass(slots=True)
class DeclaredConnection:
    name: str
    client_id: str
    client_secret: str | None
    ping_interval_ms: int | None
    is_active: bool | None


@dataclass(slots=True)
class DeclaredInstitution:
    name: str
    users: list[DeclaredUser]
    configurations: list[DeclaredConfiguration]
    services: list[DeclaredService]
    exams: list[DeclaredExam]
    connections: list[DeclaredConnection]


@dataclass(slots=True)
class Declared:
    """A file, read and checked."""

    users: list[DeclaredUser]
    institutions: list[DeclaredInstitution]


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


def read_declared(text: str, *, name: str = "", folder: Path = Path()) -> Declared:
    """Read a declared set-up. Raises BadInput that lists every mistake with its place; `name` is the file's.

    `folder` is where files of secrets are looked for.
    """
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
        institutions=[_read_institution(table, folder) for table in root.tables("institution")],
    )
    root.done()
    _check_names(declared, mistakes)
    if mistakes.found:
        raise BadInput(
            f"Nothing was changed. Please mend{name and f' in {name}'}:\n  " + "\n  ".join(mistakes.found)
        )
    return declared


def _read_institution(table: _Table, folder: Path) -> DeclaredInstitution:
    found = DeclaredInstitution(
        name=table.get("name", _text()),
        users=[_read_user(one, None) for one in table.tables("user")],
        configurations=[_read_configuration(one) for one in table.tables("configuration")],
        services=[_read_service(one, folder) for one in table.tables("service")],
        exams=[_read_exam(one) for one in table.tables("exam")],
        connections=[_read_connection(one) for one in table.tables("connection")],
    )
    table.done()
    return found


def _read_user(table: _Table, only_role: Role | None) -> DeclaredUser:
    def role(value: Any) -> Role:
        read: Role = _word(Role)(value)
        if (read is Role.SERVER_ADMIN) != (only_role is Role.SERVER_ADMIN):
            raise ValueError("server_admin stands outside institutions, every other role inside one.")
        return read

    user = DeclaredUser(
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


def _read_configuration(table: _Table) -> DeclaredConfiguration:
    found = DeclaredConfiguration(
        place=table.place,
        name=table.get("name", _text()),
        description=table.get("description", _text(fields.TEXT_LONGEST), None),
        is_template=table.get("template", _flag, None),
        settings=table.get("settings", _settings, {}) or {},
    )
    table.done()
    return found


def _settings(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a table of settings is needed.")  # noqa: TRY004
    return cast("dict[str, Any]", value)


def _read_service(table: _Table, folder: Path) -> DeclaredService:
    found = DeclaredService(
        place=table.place, name=table.get("name", _text()), service=table.get("service", _offered), values={}
    )
    content = table.rest()
    if found.service:
        try:
            found.values = read_values(content, DESCRIPTIONS[found.service.value], folder)
        except BadInput as error:
            table.mistake(error.field or "", error.message)
    return found


def _offered(value: Any) -> Service:
    """A service that has something to be entered."""
    if value not in DESCRIPTIONS or not DESCRIPTIONS[value].fields:
        raise ValueError(
            f"one of {', '.join(k for k, said in DESCRIPTIONS.items() if said.fields)} is needed."
        )
    return Service(value)


def _features(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError("a list of features is needed.")  # noqa: TRY004
    return sorted({_word(ProctoringFeature)(one).value for one in cast("list[Any]", value)})


def _time_zone(value: Any) -> str:
    name = _text()(value)
    problem = fields.time_zone("time_zone", name)
    if problem is not None:
        raise ValueError(problem.message)
    return name


def _read_exam(table: _Table) -> DeclaredExam:
    values = {
        "name": table.get("name", _text()),
        "starts_at": table.get("start", _moment),
        "ends_at": table.get("end", _moment),
        "url": table.get("url", _url),
        "browser_exam_key": table.get("browser_exam_key", _hex64, UNSAID),
        "description": table.get("description", _text(fields.TEXT_LONGEST), UNSAID),
        "time_zone": table.get("time_zone", _time_zone, UNSAID),
    }
    supporters = table.get("supporters", _names, None)
    configuration = table.get("configuration", _text(), None)
    quit_password = table.get("quit_password", _password, None)
    proctoring = table.table("proctoring")
    definition: str | None = None
    accept_unproven = False
    if_new: dict[str, Any] = {}
    if proctoring is not None:
        if_new = {"proctoring_enabled": True, "collecting_room_size": 20}
        values |= {
            "proctoring_enabled": proctoring.get("enabled", _flag, UNSAID),
            "service": proctoring.get("service", _word(Service), UNSAID),
            "collecting_room_size": proctoring.get("collecting_room_size", _room_size, UNSAID),
            "join_by": proctoring.get("join_by", _word(JoinBy), UNSAID),
            "features": proctoring.get("features", _features, UNSAID),
        }
        definition = proctoring.get("definition", _text(), None)
        accept_unproven = bool(proctoring.get("accept_unproven", _flag, False))
        proctoring.done()
    if values["starts_at"] and values["ends_at"] and values["ends_at"] <= values["starts_at"]:
        table.get("end", _refuse("the end must be later than the start."), None)
    table.done()
    said = {name: value for name, value in values.items() if value is not UNSAID}
    return DeclaredExam(
        table.place, said, supporters, configuration, quit_password, definition, accept_unproven, if_new
    )


def _refuse(message: str) -> Callable[[Any], Any]:
    def read(_value: Any) -> Any:
        raise ValueError(message)

    return read


def _read_connection(table: _Table) -> DeclaredConnection:
    connection = DeclaredConnection(
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
        *(
            (f"configuration names in {i.name!r}", [c.name for c in i.configurations])
            for i in declared.institutions
        ),
        *((f"service names in {i.name!r}", [c.name for c in i.services]) for i in declared.institutions),
    ]
    for what, names in groups:
        for name in sorted({n for n in names if n is not None and names.count(n) > 1}):
            mistakes.add(name, f"stands twice; {what} must differ.")
