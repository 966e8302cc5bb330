from __future__ import annotations

import pytest

from invigilo.errors import BadInput
from invigilo.sebconfig.browser_exam_key import (
    is_request_hash,
    new_browser_exam_key,
    read_browser_exam_key,
    request_hash,
)

from .vectors import known

_HEADER = known("seb_files.json")["examples"][0]["header"]
_KEY = known("seb_files.json")["examples"][0]["config_key"]


def test_a_key_handed_out_is_64_digits_of_chance():
    assert new_browser_exam_key(randomness=lambda size: b"\xab" * size) == "ab" * 32
    assert new_browser_exam_key() != new_browser_exam_key()


def test_its_header_is_made_like_that_of_the_config_key():
    assert request_hash(_HEADER["url"] + "#part", _KEY) == _HEADER["value"]
    assert is_request_hash(_HEADER["value"].upper(), url=_HEADER["url"], key=_KEY)
    assert not is_request_hash(_HEADER["value"], url=_HEADER["url"] + "?x", key=_KEY)
    assert not is_request_hash("é", url=_HEADER["url"], key=_KEY)


def test_a_key_that_was_entered_is_read_with_patience_but_whole():
    assert read_browser_exam_key(f" {_KEY.upper()}\n") == _KEY
    for text in ("", _KEY[1:], _KEY + "0", "x" * 64):
        with pytest.raises(BadInput, match="64 hexadecimal"):
            read_browser_exam_key(text)
