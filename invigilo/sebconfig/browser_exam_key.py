"""The Browser Exam Key: what of it a server can compute, and what it cannot.

A client makes its own key from its settings *and from its program file*: macOS and iOS over the list of all their
settings, Windows in a closed module, or from the hash of its signer's certificate and its build number. So no server
can tell the key of a client beforehand, and none is computed here (`seb-config-files` §5).

What works instead: in a server session the exam may have a key of its own. It is sent in the header `SEBServerBEK`
when the client chooses the exam, and the client uses it in place of the one it made. That key can be given to an LMS,
and with it the value of `X-SafeExamBrowser-RequestHash` can be checked: it is made like that of the Config Key.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable

from invigilo.errors import BadInput
from invigilo.sebconfig.config_key import config_key_header

_KEY = re.compile("[0-9a-f]{64}")


def new_browser_exam_key(*, randomness: Callable[[int], bytes] = os.urandom) -> str:
    """Make a key for one exam, to be sent to its clients: 64 lower-case hex digits of chance."""
    return randomness(32).hex()


def read_browser_exam_key(text: str) -> str:
    """Read a key that somebody entered. Raises `BadInput` unless it has 64 hex digits."""
    key = text.strip().lower()
    if not _KEY.fullmatch(key):
        raise BadInput(
            "A Browser Exam Key has 64 hexadecimal digits. Copy it again as a whole.",
            field="browser_exam_key",
        )
    return key


def request_hash(url: str, key: str) -> str:
    """Give what a client with this key sends as `X-SafeExamBrowser-RequestHash` for this absolute URL."""
    return config_key_header(url, key)


def is_request_hash(header: str, *, url: str, key: str) -> bool:
    """Does this header prove the key? Compared in constant time."""
    return hmac.compare_digest(header.strip().lower().encode(), request_hash(url, key).encode())
