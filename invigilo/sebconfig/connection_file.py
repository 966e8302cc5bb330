"""The connection file: the few settings that tell a client where this server is and how to sign in to it.

Written for administrators to hand out, read by our simulated clients, with the same care for types as real
clients: everything in `sebServerConfiguration` but the ping interval is text, and Windows silently ignores
what is not (`seb-config-files` §7, `seb-client-api` §1.4).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from invigilo.errors import BadInput
from invigilo.sebconfig import container
from invigilo.sebconfig.container import Prefix, Purpose
from invigilo.sebconfig.plist import PlistValue, Settings

DEFAULT_DISCOVERY_PATH = "/exam-api/discovery"
DEFAULT_PING_INTERVAL = timedelta(seconds=1)

_SEB_SERVER_MODE = 1
_HASH = re.compile("[0-9a-f]{64}")


def password_hash(password: str) -> str:
    """Give a password as settings hold it: lower-case hex SHA-256 of its composed form; empty is none."""
    if not password:
        return ""
    return hashlib.sha256(unicodedata.normalize("NFC", password).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What clients offer when the server cannot be reached while connecting: an address without it."""

    start_url: str
    timeout: timedelta = timedelta(seconds=30)
    attempts: int = 5
    attempt_interval: timedelta = timedelta(seconds=2)
    password_hash: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFile:
    """One connection configuration as it goes to clients. `exam_id` offers that exam only and chooses it."""

    server_url: str
    institution_id: str
    client_id: str
    client_secret: str = field(repr=False)
    discovery_path: str = DEFAULT_DISCOVERY_PATH
    ping_interval: timedelta = DEFAULT_PING_INTERVAL
    purpose: Purpose = Purpose.START_EXAM
    exam_id: str | None = None
    quit_password_hash: str = field(default="", repr=False)
    fallback: Fallback | None = None


# --- writing -----------------------------------------------------------------------------------------------


def connection_settings(file: ConnectionFile) -> Settings:
    """Give the settings of a connection file; keys without use are left out, never empty.

    Raises `BadInput` naming the field for an address that is not absolute http(s), an empty sign-in or a
    hash that is not one.
    """
    settings: Settings = {
        "sebMode": _SEB_SERVER_MODE,
        "sebConfigPurpose": int(file.purpose),
        "sebServerURL": _address(file.server_url, "server_url").rstrip("/"),
        "sebServerFallback": file.fallback is not None,
        "sebServerConfiguration": _server_configuration(file),
    }
    if file.quit_password_hash:
        settings["hashedQuitPassword"] = _checked_hash(file.quit_password_hash, "quit_password_hash")
    if file.fallback is not None:
        settings |= _fallback_settings(file.fallback)
    return settings


def connection_file_bytes(
    file: ConnectionFile,
    *,
    password: str | None = None,
    certificate: x509.Certificate | None = None,
    certificate_prefix: Prefix = Prefix.CERTIFICATE,
) -> bytes:
    """Give the file to download; encrypted when a password or a certificate is given."""
    return container.encode(
        connection_settings(file),
        password=password or None,
        certificate=certificate,
        certificate_prefix=certificate_prefix,
    )


def _server_configuration(file: ConnectionFile) -> dict[str, PlistValue]:
    configuration: dict[str, PlistValue] = {
        "institution": _filled(file.institution_id, "institution_id"),
        "clientName": _filled(file.client_id, "client_id"),
        "clientSecret": _filled(file.client_secret, "client_secret"),
        "apiDiscovery": "/" + _filled(file.discovery_path, "discovery_path").lstrip("/"),
        "pingInterval": _milliseconds(file.ping_interval, "ping_interval"),
    }
    if file.exam_id is not None:
        configuration["exam"] = _filled(file.exam_id, "exam_id")
    return configuration


def _fallback_settings(fallback: Fallback) -> Settings:
    if fallback.attempts < 1:
        raise BadInput("The number of attempts must be 1 or more.", field="fallback.attempts")
    settings: Settings = {
        "startURL": _address(fallback.start_url, "fallback.start_url"),
        "sebServerFallbackTimeout": _milliseconds(fallback.timeout, "fallback.timeout"),
        "sebServerFallbackAttempts": fallback.attempts,
        "sebServerFallbackAttemptInterval": _milliseconds(
            fallback.attempt_interval, "fallback.attempt_interval"
        ),
    }
    if fallback.password_hash:
        settings["sebServerFallbackPasswordHash"] = _checked_hash(
            fallback.password_hash, "fallback.password_hash"
        )
    return settings


def _filled(text: str, name: str) -> str:
    if not text.strip():
        raise BadInput("This must be filled in: clients refuse to connect without it.", field=name)
    return text


def _address(url: str, name: str) -> str:
    refusal = BadInput("Give an absolute address that begins with https:// (or http://).", field=name)
    try:
        parts = urlsplit(url)
        is_absolute = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise refusal from None
    if not is_absolute or url != url.strip():
        raise refusal
    return url


def _milliseconds(duration: timedelta, name: str) -> int:
    milliseconds = duration // timedelta(milliseconds=1)
    if not 0 < milliseconds < 2**31:
        raise BadInput("This must be longer than nothing and shorter than 24 days.", field=name)
    return milliseconds


def _checked_hash(text: str, name: str) -> str:
    if not _HASH.fullmatch(text):
        raise BadInput("A password is kept as 64 lower-case hexadecimal digits of its SHA-256.", field=name)
    return text


# --- reading -----------------------------------------------------------------------------------------------


def read_connection_file(
    data: bytes, *, password: str | None = None, private_keys: Iterable[rsa.RSAPrivateKey] = ()
) -> ConnectionFile:
    """Read a connection file, ours or of any server that speaks the protocol, as a client would.

    Raises `BadInput` when the file cannot be opened, is not made for a server session, or lacks what
    clients need.
    """
    return connection_file(container.decode(data, password=password, private_keys=private_keys).settings)


def connection_file(settings: Mapping[str, PlistValue]) -> ConnectionFile:
    """Understand the settings of a connection file. Missing numbers get the clients' defaults."""
    if settings.get("sebMode") not in {1, 2}:
        raise BadInput("This file holds settings, but no connection to an exam server (sebMode is not 1).")
    configuration = settings.get("sebServerConfiguration")
    if not isinstance(configuration, dict):
        raise BadInput(
            "The file lacks sebServerConfiguration. Download it again.", field="sebServerConfiguration"
        )
    return ConnectionFile(
        server_url=_address(_text(settings, "sebServerURL"), "sebServerURL").rstrip("/"),
        institution_id=_text(configuration, "institution"),
        client_id=_text(configuration, "clientName"),
        client_secret=_text(configuration, "clientSecret"),
        discovery_path=_text(configuration, "apiDiscovery"),
        ping_interval=_duration(configuration, "pingInterval", DEFAULT_PING_INTERVAL),
        purpose=Purpose.CONFIGURE_CLIENT if settings.get("sebConfigPurpose") == 1 else Purpose.START_EXAM,
        exam_id=_text_or_empty(configuration, "exam") or None,
        quit_password_hash=_text_or_empty(settings, "hashedQuitPassword"),
        fallback=_fallback(settings),
    )


def _fallback(settings: Mapping[str, PlistValue]) -> Fallback | None:
    if settings.get("sebServerFallback") is not True:
        return None
    defaults = Fallback(start_url="")
    attempts = settings.get("sebServerFallbackAttempts")
    return Fallback(
        start_url=_text(settings, "startURL"),
        timeout=_duration(settings, "sebServerFallbackTimeout", defaults.timeout),
        attempts=attempts if type(attempts) is int and attempts > 0 else defaults.attempts,
        attempt_interval=_duration(settings, "sebServerFallbackAttemptInterval", defaults.attempt_interval),
        password_hash=_text_or_empty(settings, "sebServerFallbackPasswordHash"),
    )


def _text(settings: Mapping[str, PlistValue], key: str) -> str:
    value = settings.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"The file lacks {key} as a text; clients refuse to connect without it.", field=key)
    return value


def _text_or_empty(settings: Mapping[str, PlistValue], key: str) -> str:
    value = settings.get(key, "")
    return value if isinstance(value, str) else ""


def _duration(settings: Mapping[str, PlistValue], key: str, default: timedelta) -> timedelta:
    """Read milliseconds as clients do: what is no positive integer counts as missing."""
    value = settings.get(key)
    return timedelta(milliseconds=value) if type(value) is int and value > 0 else default
