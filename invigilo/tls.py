"""The certificate and key of a server that speaks https itself, looked at before anything starts.

OpenSSL's own words for a wrong pair help nobody, and it would ask the terminal for a passphrase, which hangs a service.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from invigilo.errors import BadInput
from invigilo.settings import Settings


def check_tls(settings: Settings) -> None:
    """Raise BadInput that names the setting and what to do."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    certificate, key = settings.tls_certificate, settings.tls_key
    in_certificate, in_key = _pem(certificate, "tls_certificate"), _pem(key, "tls_key")
    if "PRIVATE KEY-----" in in_certificate and "PRIVATE KEY-----" not in in_key and _CERTIFICATE in in_key:
        raise BadInput(
            f"tls_certificate and tls_key are swapped: {certificate} holds a key and {key} a certificate.",
            field="tls_certificate",
        )
    if _CERTIFICATE not in in_certificate:
        raise BadInput(
            f"tls_certificate: {certificate} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----).",
            field="tls_certificate",
        )
    if "PRIVATE KEY-----" not in in_key:
        raise BadInput(
            f"tls_key: {key} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----).", field="tls_key"
        )
    if "ENCRYPTED" in in_key:
        raise BadInput(
            f"tls_key: the key in {key} has a passphrase; remove it with "
            f"`openssl pkey -in {key} -out new-key.pem` and name the new file.",
            field="tls_key",
        )
    _check_pair(certificate, key)
    if (settings.public_url or "").startswith("http://"):
        raise BadInput(
            f"public_url is {settings.public_url}, but with tls_certificate and tls_key this server speaks https. "
            "Write https:// there.",
            field="public_url",
        )


_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


def _pem(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise BadInput(
            f"{setting}: {path} cannot be read: {error.strerror}. Let the user the server runs as read it.",
            field=setting,
        ) from error


def _check_pair(certificate: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise BadInput(
                f"tls_certificate and tls_key do not belong together: {key} is not the key of the first certificate "
                f"in {certificate}. Name the key it was made with; the server's certificate comes first, then its chain.",
                field="tls_key",
            ) from error
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise BadInput(
            f"tls_certificate {certificate} and tls_key {key} cannot be used ({reason}). Both must be whole PEM files; "
            "the certificate first, then its chain.",
            field="tls_certificate",
        ) from error
