from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invigilo.errors import BadInput
from invigilo.sebconfig import rncryptor
from invigilo.sebconfig.errors import DamagedFile, WrongPassword

from .vectors import known

_KNOWN = known("rncryptor.json")
_SALTS = {
    "encryption_salt": bytes.fromhex(_KNOWN["encryption_salt"]),
    "hmac_salt": bytes.fromhex(_KNOWN["hmac_salt"]),
    "iv": bytes.fromhex(_KNOWN["iv"]),
}
_ANSWERS = pytest.mark.parametrize(
    "answer", _KNOWN["answers"], ids=lambda answer: answer["password"] or "empty"
)


@_ANSWERS
def test_known_answers_byte_for_byte(answer):
    password, plaintext = answer["password"], _KNOWN["plaintext"].encode()
    assert rncryptor.derived_key(password, _SALTS["encryption_salt"]).hex() == answer["encryption_key"]
    assert rncryptor.derived_key(password, _SALTS["hmac_salt"]).hex() == answer["hmac_key"]
    assert rncryptor.encrypt(plaintext, password, **_SALTS).hex() == answer["message"]
    assert rncryptor.decrypt(bytes.fromhex(answer["message"]), password) == plaintext


@_ANSWERS
def test_version_2_is_read(answer):
    """Windows writes it; the layout is that of version 3."""
    signed = b"\x02" + bytes.fromhex(answer["message"])[1:-32]
    message = signed + hmac.digest(bytes.fromhex(answer["hmac_key"]), signed, hashlib.sha256)
    assert rncryptor.decrypt(message, answer["password"]) == _KNOWN["plaintext"].encode()


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=100), st.text(st.characters(exclude_categories=("Cs",)), max_size=10))
def test_what_is_encrypted_is_decrypted(plaintext, password):
    assert rncryptor.decrypt(rncryptor.encrypt(plaintext, password), password) == plaintext


def test_two_encryptions_of_the_same_differ():
    assert rncryptor.encrypt(b"same", "pw") != rncryptor.encrypt(b"same", "pw")


def test_a_wrong_password_is_told_so():
    with pytest.raises(WrongPassword, match="Check the password") as refusal:
        rncryptor.decrypt(rncryptor.encrypt(b"x", "right"), "wrong")
    assert refusal.value.field == "password"


def test_every_damaged_byte_is_refused():
    message = bytes.fromhex(_KNOWN["answers"][0]["message"])
    for index in range(len(message)):
        damaged = message[:index] + bytes([message[index] ^ 1]) + message[index + 1 :]
        with pytest.raises(BadInput):
            rncryptor.decrypt(damaged, "examPass1")


@pytest.mark.parametrize("length", [0, 1, 31, 32, 65, 66, 81])
def test_messages_that_break_off_are_damaged(length):
    message = bytes.fromhex(_KNOWN["answers"][0]["message"])
    with pytest.raises(DamagedFile):
        rncryptor.decrypt(message[:length], "examPass1")


@pytest.mark.parametrize("head", [b"\x01\x01", b"\x04\x01", b"\x03\x00"])
def test_other_versions_and_keys_without_password_are_refused(head):
    message = bytes.fromhex(_KNOWN["answers"][0]["message"])
    with pytest.raises(DamagedFile, match="a way SEB does not use"):
        rncryptor.decrypt(head + message[2:], "examPass1")


def test_malformed_padding_under_a_right_signature_is_damaged():
    """Only somebody who knows the password can make one, but it must not crash."""
    signed = bytes.fromhex(_KNOWN["answers"][0]["message"])[:34] + bytes(16)
    message = signed + hmac.digest(bytes.fromhex(_KNOWN["answers"][0]["hmac_key"]), signed, hashlib.sha256)
    with pytest.raises(DamagedFile):
        rncryptor.decrypt(message, "examPass1")
