"""`invigilo seb`: look into SEB files, compute their Config Key, convert them. Needs no server and no database.

Passwords come from files, never from the command line, where every user of the machine could read them. What is
shown holds no secret; `convert` to XML is the way to see everything. What is written only its owner can read.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from invigilo.commands import password_in, say
from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, checks, container, plist
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.container import Decoded, Prefix
from invigilo.sebconfig.errors import NoPrivateKey, PasswordNeeded
from invigilo.sebconfig.plist import PlistValue
from invigilo.sebconfig.values import Imported, from_settings
from invigilo.settings import Settings
from invigilo.web.catalogue import FALLBACK, Catalogue

_HIDDEN = "***"
_SECRET_ENDINGS = (
    "password", "passwordhash", "secret", "token", "salt", "apikey", "meetingkey", "examkey", "certificatedata",
    "certificatedatabase64",
)  # fmt: skip
_KINDS = {
    Prefix.XML: "bare XML",
    Prefix.PLAIN: "plain",
    Prefix.PASSWORD: "protected by a password, starts an exam",
    Prefix.PASSWORD_CONFIGURE: "protected by a password, configures clients",
    Prefix.CERTIFICATE: "sealed for a certificate",
    Prefix.CERTIFICATE_SYMMETRIC: "sealed for a certificate, with a symmetric key",
}


def run(arguments: argparse.Namespace, _settings: Settings) -> int:
    actions = {"show": _show, "key": _key, "convert": _convert, "defaults": _defaults}
    try:
        actions[arguments.action](arguments)
    except BadInput as error:
        raise BadInput(_printable(error.message)) from error  # it may quote a key of the file
    return 0


# --- the four ------------------------------------------------------------------------------------------------


def _show(arguments: argparse.Namespace) -> None:
    decoded = _opened(arguments)
    imported = None if _is_connection(decoded.settings) else from_settings(decoded.settings)
    if arguments.json:
        say(json.dumps(_as_json(decoded, imported), ensure_ascii=False, indent=2))
        return
    layers = [prefix for prefix in (decoded.certificate_prefix, decoded.prefix) if prefix]
    say(f"Form        {', '.join(_KINDS[prefix] for prefix in layers)}")
    purpose = decoded.settings.get("sebConfigPurpose", 0)
    say(f"Purpose     {'configure a client' if purpose == 1 else 'start an exam'}")
    say(f"Session     {'exam server' if imported is None else 'no exam server'}")
    say(f"Keys        {len(decoded.settings)}")
    say(f"Config Key  {config_key(decoded.settings)}")
    say()
    for key, value in plist.in_key_order(decoded.settings):
        shown = json.dumps(_shown(key, value), ensure_ascii=False)
        say(_printable(f"{key} = {shown}{_remark(key, value)}"))
    if imported is not None:
        _show_import(imported)


def _key(arguments: argparse.Namespace) -> None:
    say(config_key(_opened(arguments).settings))


def _convert(arguments: argparse.Namespace) -> None:
    decoded = _opened(arguments)
    password = password_in(arguments.encrypt_password_file)
    if not (password or password is None or decoded.settings.get("sebConfigPurpose") == 1):
        raise BadInput(f"{arguments.encrypt_password_file} holds no password. Write one into its first line.")
    certificate = None
    if arguments.certificate:
        certificate = container.load_certificate(_read(arguments.certificate, "certificate"))
    is_xml = arguments.xml or Path(arguments.out).suffix.lower() == ".xml"
    if is_xml and (password is not None or certificate):
        raise BadInput(
            "XML is never encrypted. Leave the password and certificate out, or write a .seb file."
        )
    data = container.encode(
        decoded.settings,
        prefix=Prefix.XML if is_xml else None,
        password=password,
        certificate=certificate,
        is_gzipped=not is_xml,
    )
    _write(arguments, data)
    say(f"Config Key {config_key(decoded.settings)}")


def _defaults(arguments: argparse.Namespace) -> None:
    is_xml = arguments.xml or Path(arguments.out).suffix.lower() == ".xml"
    defaults = catalogue.exported_defaults()
    _write(
        arguments, container.encode(defaults, prefix=Prefix.XML if is_xml else None, is_gzipped=not is_xml)
    )
    say(f"Config Key {config_key(defaults)}")


# --- what is shown -------------------------------------------------------------------------------------------


def _as_json(decoded: Decoded, imported: Imported | None) -> dict[str, object]:
    shown: dict[str, object] = {
        "prefix": decoded.prefix.value,
        "certificate_prefix": decoded.certificate_prefix.value if decoded.certificate_prefix else None,
        "config_key": config_key(decoded.settings),
        "settings": {key: _shown(key, value) for key, value in plist.in_key_order(decoded.settings)},
    }
    if imported is not None:
        shown["unknown"] = imported.unknown
        shown["dropped"] = imported.dropped
        shown["mistyped"] = [
            {"key": one.key, "found": one.found, "expected": one.expected} for one in imported.mistyped
        ]
        shown["findings"] = [
            {"setting": one.setting_id, "code": str(one.code), "severity": one.severity.value}
            for one in checks.findings(imported.values)
        ]
    return shown


def _shown(key: str, value: PlistValue) -> object:
    """A value as JSON, without what grants anything."""
    if value and not isinstance(value, bool | dict) and key.lower().endswith(_SECRET_ENDINGS):
        return _HIDDEN
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_shown(key, item) for item in value]
    if isinstance(value, dict):
        return {inner: _shown(inner, item) for inner, item in plist.in_key_order(value)}
    return value


def _remark(key: str, value: PlistValue) -> str:
    row = catalogue.all_settings().get(key)
    if row is None or not row.is_root:
        return "   (SEB knows no such setting)"
    if isinstance(row.default, dict):
        return "" if value == catalogue.row_defaults(key) else "   (changed)"
    return "" if value == row.default and type(value) is type(row.default) else "   (changed)"


def _show_import(imported: Imported) -> None:
    """What an import into this server would leave out or change, and what it would object to."""
    sentences = [f"{key}: left out on import; this server has no such setting." for key in imported.unknown]
    sentences += [
        f"{one.key}: {one.found} instead of {one.expected}; the default would be taken."
        for one in imported.mistyped
    ]
    texts = Catalogue.load()
    sentences += [
        f"{one.setting_id}: {texts.text(FALLBACK, f'finding.{one.code}', **one.values)}"
        for one in checks.findings(imported.values)
    ]
    if sentences:
        say()
        say("To look at:")
    for sentence in sentences:
        say(_printable(f"- {sentence}"))


def _printable(line: str) -> str:
    """Keep a file from speaking to the terminal, or from adding lines of its own."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line)


def _is_connection(settings: Mapping[str, PlistValue]) -> bool:
    return settings.get("sebMode") in {1, 2}


# --- files ---------------------------------------------------------------------------------------------------


def _opened(arguments: argparse.Namespace) -> Decoded:
    data, password, keys = (
        _read(arguments.file, "file"),
        password_in(arguments.password_file),
        _private_keys(arguments),
    )
    try:
        return container.decode(data, password=password, private_keys=keys)
    except PasswordNeeded as error:
        raise BadInput(f"{arguments.file} is protected by a password: give --password-file.") from error
    except NoPrivateKey as error:
        raise BadInput(f"{error.message} Its place is --certificate-key.") from error


def _private_keys(arguments: argparse.Namespace) -> Sequence[rsa.RSAPrivateKey]:
    if not arguments.certificate_key:
        return ()
    pem = _read(arguments.certificate_key, "private key")
    password = password_in(arguments.certificate_key_password_file)
    return [container.load_private_key(pem, password=None if password is None else password.encode())]


def _read(path: str, what: str) -> bytes:
    """Read no more than any SEB file may have, and one byte, so that a larger one is noticed."""
    try:
        with Path(path).open("rb") as file:
            return file.read(container.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadInput(f"The {what} {path} cannot be read: {error.strerror}.") from error


def _write(arguments: argparse.Namespace, data: bytes) -> None:
    """Write a file for its owner only. With --force the old one is replaced when the new one is whole."""
    path = Path(arguments.out)
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}" if arguments.force else path
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                file.write(data)
                file.flush()
                draft.replace(path)
            except OSError:
                draft.unlink()
                raise
    except FileExistsError as error:
        raise BadInput(
            f"{path} exists already. Choose another name, or give --force to replace it."
        ) from error
    except OSError as error:
        raise BadInput(f"The file {path} cannot be written: {error.strerror}.") from error
    say(f"wrote {path}")
