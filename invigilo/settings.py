"""Everything that can be set, in one typed object, read once.

Order, later wins: default, file (TOML), environment (`INVIGILO_<NAME>`), flags. A wrong value stops the start and says which
setting, from where, and what to do. With nothing set at all the server runs on SQLite with built-in rooms.
`docs/settings.md` is made from the table below.
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from invigilo.errors import BadInput

FILE_NAME = "invigilo.toml"
ENVIRONMENT_PREFIX = "INVIGILO_"
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Secret:
    """A text that shows itself only when asked by name: in logs, errors and tracebacks it is `***`."""

    __slots__ = ("_clear",)

    def __init__(self, clear: str) -> None:
        self._clear = clear

    def reveal(self) -> str:
        return self._clear

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._clear)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._clear == self._clear

    def __hash__(self) -> int:
        return hash(self._clear)


def _text(value: Any) -> str:
    return str(value).strip()


def _path(value: Any) -> Path:
    return Path(str(value)).expanduser()


def _number(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,12}", str(value).strip()):
            raise ValueError("a whole number is needed")
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"a number from {low} to {high} is needed")
        return number

    return read


def _seconds(low: int, high: int) -> Callable[[Any], timedelta]:
    read_number = _number(low, high)

    def read(value: Any) -> timedelta:
        return value if isinstance(value, timedelta) else timedelta(seconds=read_number(value))

    return read


def _list(item: Callable[[str], str]) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        items: Sequence[Any] = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise ValueError("a list is needed, or texts separated by commas")
        return tuple(item(str(one).strip()) for one in items if str(one).strip())

    return read


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError(f"{value!r} is no address or network such as 10.0.0.5 or 10.0.0.0/24") from error
    return value


def _scheme(*schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.partition(":")[0].lower() not in schemes or not value.partition(":")[2]:
            raise ValueError(f"{value!r} does not start with {' or '.join(s + ':' for s in schemes)}")
        return value

    return read


def _public_url(value: Any) -> str:
    try:
        parts = urlsplit(str(value).strip())
        _ = parts.port  # read now, because only reading it finds a wrong one
    except ValueError as error:
        raise ValueError(
            "write it like https://exams.example.org or https://exams.example.org:8443"
        ) from error
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.username
        or parts.query
        or parts.fragment
    ):
        raise ValueError("write it like https://exams.example.org, without user, query or fragment")
    if parts.path.strip("/"):
        raise ValueError("SEB clients lose a path: serve Invigilo at the root of a host name")
    return f"{parts.scheme}://{parts.netloc}"


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(f"one of {', '.join(words)} is needed")
        return word

    return read


def _setting(default: Any, read: Callable[[Any], Any], help_: str) -> Any:
    return field(default=default, metadata={"read": read, "help": help_})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings; each field carries how it is read and what it is for."""

    data_dir: Path = _setting(
        Path("invigilo-data"),
        _path,
        "Folder for the SQLite database and the installation key. Made if missing.",
    )
    database_url: str | None = _setting(
        None,
        _text,
        "Address of the database: sqlite:///path/to/file or postgresql://user@host/name. Empty: SQLite in data_dir.",
    )
    host: str = _setting("127.0.0.1", _text, "Address to listen on. 0.0.0.0 is every network interface.")
    port: int = _setting(8080, _number(0, 65535), "Port to listen on. 0 takes any free one.")
    public_url: str | None = _setting(
        None,
        _public_url,
        "Address under which SEB clients and browsers reach this server, when it is behind a proxy. "
        "Browsers give the camera only to https (or localhost).",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        _list(_network),
        "Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    tls_certificate: Path | None = _setting(
        None, _path, "Certificate chain (PEM): the server then speaks https itself."
    )
    tls_key: Path | None = _setting(None, _path, "Private key (PEM) of tls_certificate.")
    secret_key: Secret | None = _setting(
        None,
        lambda value: value if isinstance(value, Secret) else Secret(_text(value)),
        "Key that encrypts stored secrets (`invigilo doctor --new-key` makes one). Several, separated by commas: "
        "the first writes, all read.",
    )
    secret_key_file: Path | None = _setting(None, _path, "File that holds secret_key.")
    stun_urls: tuple[str, ...] = _setting(
        (),
        _list(_scheme("stun", "stuns")),
        "STUN servers for built-in rooms, for example stun:stun.example.org:3478.",
    )
    turn_urls: tuple[str, ...] = _setting(
        (),
        _list(_scheme("turn", "turns")),
        "TURN servers for built-in rooms, for networks that block direct video.",
    )
    turn_secret: Secret | None = _setting(
        None,
        lambda value: value if isinstance(value, Secret) else Secret(_text(value)),
        "Shared secret of the TURN server (coturn: static-auth-secret); short-lived credentials are made from it.",
    )
    turn_lifetime: timedelta = _setting(
        timedelta(hours=12),
        _seconds(60, 604_800),
        "Seconds a TURN credential is valid; longer than the longest exam.",
    )
    place_grace: timedelta = _setting(
        timedelta(seconds=120), _seconds(20, 86_400), "Seconds a silent client keeps its place in its room."
    )
    session_hours: int = _setting(12, _number(1, 168), "Hours a sign-in lasts.")
    max_events_per_connection: int = _setting(
        50_000,
        _number(100, 10_000_000),
        "Events kept of one client; after that its debug and information lines are counted, not stored.",
    )
    log_level: str = _setting(
        "info", _one_of("debug", "info", "warning", "error"), "Least severe log line written."
    )
    log_format: str = _setting("console", _one_of("console", "json"), "How log lines are written.")


TABLE = {one.name: one for one in dataclasses.fields(Settings)}


def read_settings(
    *, flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Put the sources together. Raises BadInput naming the setting, its source and the remedy.

    `flags` holds what was given on the command line; None means not given.
    """
    values: dict[str, tuple[Any, str]] = {}
    given = {
        name: (value, f"--{name.replace('_', '-')}") for name, value in flags.items() if value is not None
    }
    from_environment = _from_environment(environment)
    folder = given.get("data_dir") or from_environment.get("data_dir") or (Path("invigilo-data"), "")
    values |= _from_file(file or Path(str(folder[0])) / FILE_NAME, must_exist=file is not None)
    values |= from_environment
    values |= given
    read = {name: _read(name, value, source) for name, (value, source) in values.items()}
    settings = Settings(**read)
    _check_together(settings)
    return settings


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    found: dict[str, tuple[Any, str]] = {}
    for variable, value in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if variable.startswith(ENVIRONMENT_PREFIX) and name in TABLE and value != "":
            found[name] = (value, f"environment variable {variable}")
    return found


def _from_file(file: Path, *, must_exist: bool) -> dict[str, tuple[Any, str]]:
    if not file.exists():
        if must_exist:
            raise BadInput(f"The settings file {file} does not exist. Check --config.", field="config")
        return {}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"The settings file {file} cannot be read: {error}.", field="config") from error
    for name in content:
        if name not in TABLE:
            near = difflib.get_close_matches(name, TABLE, 1)
            hint = f" Did you mean {near[0]!r}?" if near else " docs/settings.md lists all settings."
            raise BadInput(f"{file}: there is no setting {name!r}.{hint}", field=name)
    return {name: (value, str(file)) for name, value in content.items()}


def gives_camera(url: str) -> bool:
    """Whether browsers give the camera to pages of this address: https, or this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" or host in LOCAL_NAMES or host.endswith(".localhost")


def _read(name: str, value: Any, source: str) -> Any:
    one = TABLE[name]
    try:
        return one.metadata["read"](value)
    except (ValueError, TypeError) as error:
        secret = "secret" in name
        shown = "" if secret else f" {str(value)!r}"
        raise BadInput(f"{source}: {name}{shown} cannot be used: {error}.", field=name) from error


def _check_together(settings: Settings) -> None:
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        missing = "tls_key" if settings.tls_key is None else "tls_certificate"
        raise BadInput(f"{missing} is missing: TLS needs both the certificate and its key.", field=missing)
    for name in ("tls_certificate", "tls_key", "secret_key_file"):
        path: Path | None = getattr(settings, name)
        if path is not None and not path.is_file():
            raise BadInput(f"{name}: there is no file {path}.", field=name)
    if settings.turn_urls and not settings.turn_secret:
        raise BadInput(
            "turn_secret is missing: TURN servers need the shared secret credentials are made from.",
            field="turn_secret",
        )


def settings_page() -> str:
    """The text of `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Made from `invigilo/settings.py` by `make docs`; do not edit.",
        "",
        f"A later source wins: default, settings file (`{FILE_NAME}` in the data folder, or `--config`), environment",
        f"(`{ENVIRONMENT_PREFIX}` and the name in capitals), flags. A wrong value stops the start and names the setting.",
        "",
        "| Setting | Environment | Default | What it is for |",
        "|---|---|---|---|",
    ]
    for one in TABLE.values():
        shown = _shown_default(one.default)
        environment = ENVIRONMENT_PREFIX + one.name.upper()
        lines.append(f"| `{one.name}` | `{environment}` | {shown} | {one.metadata['help']} |")
    return "\n".join(lines) + "\n"


def _shown_default(default: Any) -> str:
    if default is None or default == ():
        return ""
    if isinstance(default, timedelta):
        return f"`{round(default.total_seconds())}`"
    return f"`{default}`"
