"""The command `invigilo doctor`: check this installation, and say for each thing found what to mend.

Every check is a function that yields findings; nothing it does changes anything. Exit status 1 when something is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import shutil
import stat
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from sqlalchemy import func, select

from invigilo import __version__
from invigilo.commands import say
from invigilo.errors import BadInput, InvigiloError
from invigilo.secrets_box import KEY_FILE, SecretBox, new_key
from invigilo.settings import LOCAL_NAMES, Settings, gives_camera
from invigilo.storage.engine import (
    SQLITE_FILE,
    Database,
    database_url,
    file_of,
    look_into,
    open_database,
    shown_address,
)
from invigilo.storage.migrate import revision_of, revisions
from invigilo.storage.opening import given_keys, why_unusable
from invigilo.storage.tables import connection_configurations, exams, installation, users
from invigilo.storage.work import try_writing
from invigilo.tls import check_tls

CERTIFICATE_SOON = timedelta(days=21)
DISK_LOW, DISK_EMPTY = 2 * 2**30, 200 * 2**20  # bytes
STUN_WITHIN = 3.0  # seconds


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    level: Level
    subject: str
    finding: str
    remedy: str = ""


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.new_key:
        say(new_key())
        return 0
    findings = asyncio.run(examine(settings))
    if arguments.json:
        say(json.dumps([dataclasses.asdict(one) for one in findings], ensure_ascii=False, indent=2))
    else:
        for one in findings:
            say(f"{_SIGNS[one.level]} {one.subject}: {one.finding}")
            if one.remedy:
                say(f"     {one.remedy}")
    return 1 if any(one.level is Level.BROKEN for one in findings) else 0


_SIGNS = {Level.OK: "ok  ", Level.NOTE: "note", Level.WARNING: "WARN", Level.BROKEN: "FAIL"}


async def examine(settings: Settings) -> list[Finding]:
    """All checks, in the order one would mend things."""
    findings = [*_program(), *_address(settings), *_certificate(settings), *_folder(settings)]
    findings += _key(settings)
    findings += [one async for one in _database(settings)]
    findings += [one async for one in _media(settings)]
    return findings


def _program() -> Iterator[Finding]:
    yield Finding(Level.OK, "Program", f"Invigilo {__version__} on Python {platform.python_version()}")


def _address(settings: Settings) -> Iterator[Finding]:
    scheme = "https" if settings.tls_certificate else "http"
    url = settings.public_url or f"{scheme}://{settings.host}:{settings.port}"
    if gives_camera(url):
        yield Finding(Level.OK, "Camera", f"browsers give the camera to pages of {url}")
    else:
        yield Finding(
            Level.BROKEN,
            "Camera",
            f"browsers give no camera to pages of {url}: the address is neither https nor localhost",
            "Give tls_certificate and tls_key, or put a proxy with https in front and name it in public_url.",
        )
    if urlsplit(url).hostname in LOCAL_NAMES:
        yield Finding(
            Level.NOTE,
            "Address",
            f"{url} is reached from this machine only",
            "For other machines set host (0.0.0.0 is every interface) and serve https.",
        )
    is_behind_proxy = settings.public_url is not None and not settings.tls_certificate
    if is_behind_proxy and not settings.trusted_proxies:
        yield Finding(
            Level.WARNING,
            "Proxy",
            "public_url is set, but no proxy is trusted: every client seems to come from the proxy's address",
            "Name the proxy's address in trusted_proxies, so that sign-in limits count per client.",
        )


def _certificate(settings: Settings) -> Iterator[Finding]:
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    try:
        check_tls(settings)
        certificate = x509.load_pem_x509_certificates(settings.tls_certificate.read_bytes())[0]
    except BadInput as error:
        yield Finding(Level.BROKEN, "TLS", error.message)
        return
    except ValueError as error:
        yield Finding(Level.BROKEN, "TLS", f"the certificate cannot be read: {error}")
        return
    yield _validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    host = urlsplit(settings.public_url or "").hostname
    names = _names(certificate)
    if host and not any(_covers(name, host) for name in names):
        yield Finding(
            Level.BROKEN,
            "TLS",
            f"the certificate is for {', '.join(names) or 'no name'}, not for {host}",
            "SEB refuses such a server. Get a certificate for the name in public_url.",
        )


def _validity(begins: datetime, ends: datetime) -> Finding:
    now = datetime.now(UTC)
    if now < begins or now > ends:
        return Finding(
            Level.BROKEN, "TLS", f"the certificate is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}, not today",
            "Renew it, or correct this machine's clock.",
        )  # fmt: skip
    if ends - now < CERTIFICATE_SOON:
        return Finding(
            Level.WARNING, "TLS", f"the certificate ends on {ends:%Y-%m-%d}", "Renew it before the next exam."
        )
    return Finding(Level.OK, "TLS", f"certificate and key belong together, valid until {ends:%Y-%m-%d}")


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return []
    assert isinstance(names, x509.SubjectAlternativeName)
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return names.get_values_for_type(x509.DNSName) + addresses


def _covers(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.partition(".")[2].lower() == name[2:].lower()
    return name.lower() == host.lower()


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if settings.database_url and not folder.exists():
        return
    if not folder.exists():
        yield Finding(Level.NOTE, "Folder", f"{folder} does not exist yet; the first start makes it")
        return
    if not os.access(folder, os.W_OK):
        yield Finding(
            Level.BROKEN, "Folder", f"{folder} cannot be written", "Give it to the user the server runs as."
        )
    free = shutil.disk_usage(folder).free
    if free < DISK_LOW:
        level = Level.BROKEN if free < DISK_EMPTY else Level.WARNING
        yield Finding(
            level, "Disk", f"{free // 2**20} MiB are free at {folder}", "Make room before the next exam."
        )
    if not settings.database_url:
        yield from _open_to_others(folder / SQLITE_FILE, "Database")
    yield from _open_to_others(folder / KEY_FILE, "Key")


def _open_to_others(path: Path, subject: str) -> Iterator[Finding]:
    if path.exists() and os.name != "nt" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding(
            Level.WARNING,
            subject,
            f"{path} can be read by others on this machine",
            f"chmod 600 {path}{'*' if subject == 'Database' else ''}",
        )


def _key(settings: Settings) -> Iterator[Finding]:
    """Also where no database can say whether it fits: a broken key stops the start."""
    try:
        given_keys(settings)
    except BadInput as error:
        yield Finding(Level.BROKEN, "Key", error.message)


async def _database(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.database_url and not settings.data_dir.exists():
        return
    try:
        database = open_database(database_url(settings.database_url, settings.data_dir))
    except InvigiloError as error:
        yield Finding(Level.BROKEN, "Database", error.message)
        return
    shown = shown_address(settings.database_url, settings.data_dir)
    file = file_of(database.url)
    try:
        if file is not None and not file.exists() and file.parent.is_dir():
            yield Finding(Level.NOTE, "Database", f"{shown} does not exist yet; the first start makes it")
            return
        if file is not None:
            look_into(file)
        revision = await revision_of(database)
        known = [name for name, _ in revisions()]
        if revision is None:
            yield Finding(Level.NOTE, "Database", f"{shown} is empty; the first start sets it up")
            return
        if revision not in known:
            yield Finding(
                Level.BROKEN, "Database", f"{shown} is of a newer Invigilo (revision {revision})",
                "Start the newer version, or restore a copy from before the upgrade.",
            )  # fmt: skip
            return
        await try_writing(database)
        behind = "" if revision == known[0] else "; the next start brings it up to date"
        yield Finding(
            Level.OK, "Database", f"{shown} answers and can be written, revision {revision}{behind}"
        )
        async for one in _content(database, settings):
            yield one
    except Exception as error:  # noqa: BLE001  (whatever a driver raises, the doctor's answer is the same)
        yield Finding(
            Level.BROKEN, "Database", f"{shown} cannot be used: {why_unusable(error, file)}",
            "Check that it runs, that the address, user and password are right, and that the disk is not full.",
        )  # fmt: skip
    finally:
        await database.dispose()


async def _content(database: Database, settings: Settings) -> AsyncIterator[Finding]:
    async with database.reading.connect() as db:
        row = (await db.execute(select(installation))).one_or_none()
        counts = {
            name: (await db.execute(select(func.count()).select_from(table))).scalar_one()
            for name, table in (
                ("users", users),
                ("exams", exams),
                ("connection configurations", connection_configurations),
            )
        }
    if row is not None:
        for one in _key_fits(settings, row):
            yield one
    missing = [name for name, count in counts.items() if not count]
    if missing:
        yield Finding(
            Level.NOTE,
            "Set-up",
            f"there are no {', no '.join(missing)} yet",
            "Declare them in a file and run `invigilo apply FILE.toml`.",
        )


def _key_fits(settings: Settings, row: Any) -> Iterator[Finding]:
    try:
        keys = given_keys(settings)
    except BadInput:
        return  # told already
    if not keys and settings.database_url and row.secret_key:
        keys = [row.secret_key]
        yield Finding(
            Level.NOTE,
            "Key",
            "the key lies in the database itself: whoever has a copy of it can read the client secrets",
            "To keep them apart, set secret_key before an installation's first start.",
        )
    if keys and SecretBox(keys).opens(row.key_check):
        yield Finding(Level.OK, "Key", "the stored secrets can be read")
    else:
        yield Finding(
            Level.BROKEN, "Key", "the stored secrets cannot be read with this key",
            "Give the key this database was made with: secret_key, secret_key_file, or its data folder.",
        )  # fmt: skip


async def _media(settings: Settings) -> AsyncIterator[Finding]:
    if not settings.turn_urls:
        yield Finding(
            Level.NOTE,
            "Video",
            "no TURN server is set: live video works on one network, and by stills elsewhere",
            "For candidates in other networks set turn_urls and turn_secret.",
        )
    for url in (*settings.stun_urls, *settings.turn_urls):
        host, port = _host_and_port(url)
        if "transport=tcp" in url or url.startswith(("turns:", "stuns:")):
            reached = await _tcp_answers(host, port)
        else:
            reached = await _stun_answers(host, port)
        if reached:
            yield Finding(Level.OK, "Video", f"{url} answers")
        else:
            yield Finding(
                Level.WARNING, "Video", f"{url} does not answer from here",
                "Check its name, port and firewall; candidates behind strict networks need it.",
            )  # fmt: skip


def _host_and_port(url: str) -> tuple[str, int]:
    scheme, _, rest = url.partition(":")
    parts = urlsplit(f"//{rest.partition('?')[0]}")
    return parts.hostname or "", parts.port or (5349 if scheme in {"stuns", "turns"} else 3478)


async def _tcp_answers(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(STUN_WITHIN):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


class _StunProbe(asyncio.DatagramProtocol):
    """One binding request (RFC 8489); any answer with our transaction id counts."""

    def __init__(self) -> None:
        self.transaction = os.urandom(12)
        self.answered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.DatagramTransport", transport).sendto(
            struct.pack("!HHI", 0x0001, 0, 0x2112A442) + self.transaction
        )

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:  # noqa: ARG002
        if data[8:20] == self.transaction and not self.answered.done():
            self.answered.set_result(True)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002
        if not self.answered.done():
            self.answered.set_result(False)


async def _stun_answers(host: str, port: int) -> bool:
    loop = asyncio.get_running_loop()
    try:
        transport, probe = await loop.create_datagram_endpoint(_StunProbe, remote_addr=(host, port))
    except OSError:
        return False
    try:
        async with asyncio.timeout(STUN_WITHIN):
            return bool(await probe.answered)
    except TimeoutError:
        return False
    finally:
        transport.close()
