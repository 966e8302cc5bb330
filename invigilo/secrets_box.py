"""Secrets at rest, and the digests of what is only compared.

One installation key encrypts what must be shown or sent again (client secrets, instruction attributes). It comes from the
settings, or lies beside the SQLite database in the data folder, or, when the database is given by address and no key is
set, in the database itself: then any number of nodes can start with nothing but the address, and `invigilo doctor` says
that a copy of the database is enough to read the secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from invigilo.errors import BadInput

KEY_FILE = "secret.key"
_CHECK = b"invigilo"


class SecretBox:
    """Encrypts and decrypts with the installation key; the first key writes, all keys read (rotation)."""

    def __init__(self, keys: list[str]) -> None:
        self._first = keys[0]
        try:
            self._fernet = MultiFernet([Fernet(key.encode()) for key in keys])
        except ValueError as error:
            raise BadInput(
                "The secret key is not 32 bytes in URL-safe base64. Make one with `invigilo doctor --new-key`.",
                field="secret_key",
            ) from error

    def derive(self, purpose: str) -> str:
        """A key for one purpose, the same on every node; hex."""
        return hmac.new(self._first.encode(), purpose.encode(), hashlib.sha256).hexdigest()

    def encrypt(self, clear: str) -> str:
        return self._fernet.encrypt(clear.encode()).decode()

    def decrypt(self, sealed: str) -> str:
        """The clear text. Raises BadInput when it was sealed with a key we do not have."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise BadInput(
                "A stored secret was encrypted with another key. Start with the key this database was made with "
                "(setting secret_key, or the same --data-dir).",
                field="secret_key",
            ) from error

    def seal_check(self) -> str:
        """A sealed constant, stored once, by which a wrong key is noticed at start and not at the first exam."""
        return self._fernet.encrypt(_CHECK).decode()

    def opens(self, check: str) -> bool:
        try:
            return self._fernet.decrypt(check.encode()) == _CHECK
        except InvalidToken:
            return False


def new_key() -> str:
    return Fernet.generate_key().decode()


def key_in_folder(data_dir: Path) -> str | None:
    path = data_dir / KEY_FILE
    return path.read_text().strip() if path.exists() else None


def store_key_in_folder(data_dir: Path, key: str) -> None:
    """Write the key readable by its owner only; an existing file is never replaced."""
    data_dir.mkdir(parents=True, exist_ok=True)
    handle = os.open(data_dir / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(key + "\n")


def digest(secret: str) -> str:
    """SHA-256, lower-case hex. Only for secrets of 128 random bits or more, where a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
