"""Passwords: what is accepted, and how they are kept (argon2id)."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from invigilo.errors import BadInput

SHORTEST, LONGEST = 8, 256

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(2, thread_name_prefix="passwords")
"""Each check takes 64 MiB on purpose: a flood of sign-ins waits in line here, and takes no other work's threads."""


def check_rules(password: str, *, username: str) -> None:
    """Raise BadInput when a password must not be used."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(f"A password has {SHORTEST} to {LONGEST} characters.", field="password")
    if password.casefold() == username.casefold():
        raise BadInput("A password must differ from the user name.", field="password")


@cache
def _nobody() -> str:
    """What a password is compared with when there is no such user, so that both cases take as long."""
    return _hasher.hash(secrets.token_hex(16))


def _normal(password: str) -> str:
    """The same typed text on every keyboard and system."""
    return unicodedata.normalize("NFC", password)


def hash_password(password: str) -> str:
    return _hasher.hash(_normal(password))


def verify(password_hash: str | None, password: str) -> bool:
    """Slow on purpose. None stands for "no such user"."""
    if len(password) > LONGEST:
        return False
    try:
        return _hasher.verify(password_hash or _nobody(), _normal(password)) and password_hash is not None
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


async def verify_aside(password_hash: str | None, password: str) -> bool:
    """The same beside the event loop: pings go on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_threads, verify, password_hash, password)
