"""The Config Key: what lets an LMS be sure that SEB runs with exactly the published settings.

It is a SHA-256 over *SEB-JSON*, a text that looks like JSON without being it: strings are not escaped
(`seb-config-files` §5). Encryption, compression and the order of keys in the file do not matter; every key
that is in the file does, whether a client knows it or not.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping

from invigilo.errors import BadInput
from invigilo.sebconfig.plist import PlistValue, in_key_order


def config_key(settings: Mapping[str, PlistValue]) -> str:
    """Give the Config Key of settings as lower-case hex.

    Raises `BadInput` when a text holds half a character (a lone surrogate), which no file can hold.
    """
    try:
        text = seb_json(settings).encode()
    except UnicodeEncodeError as error:
        raise BadInput("A setting holds half a character (a lone surrogate). Remove it.") from error
    return hashlib.sha256(text).hexdigest()


def config_key_header(url: str, key: str) -> str:
    """Give what a client sends as `X-SafeExamBrowser-ConfigKeyHash` with a request for this absolute URL.

    The fragment does not count. With a Browser Exam Key as `key` it is the value of the request hash header.
    """
    return hashlib.sha256((url.partition("#")[0] + key).encode()).hexdigest()


def seb_json(settings: Mapping[str, PlistValue]) -> str:
    """Give the text under the Config Key."""
    return "".join(_dict_pieces(settings))


def _dict_pieces(entries: Mapping[str, PlistValue]) -> Iterator[str]:
    """Leave out empty dicts, and `originatorVersion` wherever it stands, as Windows does; sort the rest."""
    counting = ((k, v) for k, v in in_key_order(entries) if k.lower() != "originatorversion" and v != {})
    separator = "{"
    for key, value in counting:
        yield f'{separator}"{key}":'
        yield from _pieces(value)
        separator = ","
    yield "{}" if separator == "{" else "}"


def _pieces(value: PlistValue) -> Iterator[str]:
    match value:
        case bool():
            yield "true" if value else "false"
        case int():
            yield str(value)
        case float():
            yield _real(value)
        case str():
            yield f'"{value}"'
        case bytes():
            yield f'"{base64.b64encode(value).decode()}"'
        case list():
            yield "["
            for index, item in enumerate(value):
                yield "," if index else ""
                yield from _pieces(item)
            yield "]"
        case dict():
            yield from _dict_pieces(value)
        case _:  # pyright: ignore[reportUnnecessaryComparison] - programs may send other values
            raise BadInput(f"A setting holds a {type(value).__name__}, which no SEB file can hold.")


def _real(value: float) -> str:
    """Write up to 15 significant digits in the shortest form, as .NET does: 0.3, 1E-05, never -0."""
    if not math.isfinite(value):
        raise BadInput("A setting is not a finite number; enter one.")
    return f"{value:.15G}" if value else "0"
