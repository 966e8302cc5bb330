"""Configurations as files: read before anything of them is kept, and written in the form somebody asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from invigilo import fields
from invigilo.errors import Invalid, Problem
from invigilo.sebconfig import container, values
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.container import Prefix
from invigilo.sebconfig.plist import Settings
from invigilo.sebconfig.values import Imported


class ExportForm(StrEnum):
    """How an exported file is wrapped."""

    XML = "xml"
    """Bare XML: to look into it, or to serve it."""
    PLAIN = "plain"
    PASSWORD = "password"  # noqa: S105 - the name of a form
    CERTIFICATE = "certificate"


class ExportPurpose(StrEnum):
    """What a client does with the file."""

    START = "start"
    CONFIGURE = "configure"


@dataclass(frozen=True, slots=True)
class ExportWish:
    """`start_url` makes it a file of its own, for use without an exam server; such a file has another Config Key."""

    form: ExportForm = ExportForm.PLAIN
    purpose: ExportPurpose = ExportPurpose.START
    start_url: str = ""
    password: str = field(default="", repr=False)
    certificate: bytes = b""
    is_windows_only: bool = False
    """Sealed for a certificate with a symmetric key, which Windows alone reads but which has no limit of size."""


@dataclass(frozen=True, slots=True)
class Exported:
    data: bytes = field(repr=False)
    config_key: str
    """What clients that load this very file compute."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that somebody wants to import."""

    imported: Imported
    keys: int
    """How many keys stand at its root."""
    config_key: str
    """Of the file as it is; what is imported and exported again has in general another one."""


def problems(wish: ExportWish) -> list[Problem]:
    found = fields.found(fields.url("start_url", wish.start_url, required=False))
    if wish.form is ExportForm.PASSWORD and not wish.password:
        found.append(Problem("password", "missing", "Fill this in."))
    if wish.form is ExportForm.CERTIFICATE and not wish.certificate:
        found.append(Problem("certificate", "no_certificate", "Choose a certificate (PEM or DER)."))
    return found


def settings_of(held: Mapping[str, Any], wish: ExportWish) -> Settings:
    """The settings as the file will have them."""
    settings = values.to_settings(held)
    if wish.start_url:
        settings |= {"startURL": wish.start_url}
    if wish.purpose is ExportPurpose.CONFIGURE:
        settings |= {"sebConfigPurpose": 1}
    return settings


def export(held: Mapping[str, Any], wish: ExportWish) -> Exported:
    """Make the file. Raises Invalid for a wish that lacks something, BadInput for a certificate that cannot be used."""
    found = problems(wish)
    if found:
        raise Invalid(*found)
    settings = settings_of(held, wish)
    certificate = (
        container.load_certificate(wish.certificate) if wish.form is ExportForm.CERTIFICATE else None
    )
    is_xml = wish.form is ExportForm.XML
    data = container.encode(
        settings,
        prefix=Prefix.XML if is_xml else None,
        password=wish.password or None if wish.form in _WITH_PASSWORD else None,
        certificate=certificate,
        certificate_prefix=Prefix.CERTIFICATE_SYMMETRIC if wish.is_windows_only else Prefix.CERTIFICATE,
        is_gzipped=not is_xml,
    )
    return Exported(data, config_key(settings))


_WITH_PASSWORD = {ExportForm.PASSWORD, ExportForm.CERTIFICATE}
"""A file sealed for a certificate may ask for a password besides."""


def open_file(data: bytes, *, password: str = "", key: bytes = b"", key_password: str = "") -> Opened:
    """Read any SEB file. Raises BadInput with the sentence for the person: wrong password, damaged, no SEB file …"""
    keys = [container.load_private_key(key, password=key_password.encode() or None)] if key else []
    decoded = container.decode(data, password=password or None, private_keys=keys)
    return Opened(values.from_settings(decoded.settings), len(decoded.settings), config_key(decoded.settings))
