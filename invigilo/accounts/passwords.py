"""Passwords: how they are kept (argon2id). What is accepted stands in `rules.py`."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from invigilo.accounts import rules
from invigilo.errors import BadInput

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(2, thread_name_prefix="passwords")
"""Each check takes 64 MiB on purpose: a flood of sign-ins waits in line here, and takes no other work's threads."""


def check_rules(password: str, *, username: str) -> None:
    """Raise BadInput when a password must not be used."""
    problem = rules.password_problem(password, username=username)
    if problem is not None:
        raise BadInput(problem.message, field=problem.field)


def temporary() -> str:
    """A password to hand over, changed at the first sign-in: easy to read aloud, hard to guess (74 bits)."""
    groups = ("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(3))
    return "-".join(groups)


_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what is easily taken for another: i, l, o, 0, 1."""


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
    if len(password) > rules.LONGEST_PASSWORD:
        return False
    try:
        return _hasher.verify(password_hash or _nobody(), _normal(password)) and password_hash is not None
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


async def hash_aside(password: str) -> str:
    """Hashing beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_threads, hash_password, password)


async def verify_aside(password_hash: str | None, password: str) -> bool:
    """The same beside the event loop: pings go on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_threads, verify, password_hash, password)
