"""Password encryption of SEB files: RNCryptor version 3, reading version 2 as well (`seb-config-files` §2).

Version 3 is what we write because every client reads it with every password; macOS and iOS cut passwords with
characters beyond ASCII when they meet version 2.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from invigilo.sebconfig.errors import DamagedFile, WrongPassword

_WRITTEN_VERSION = 3
_READ_VERSIONS = (2, 3)
_PASSWORD_BASED = 1
_HEADER = 34  # version, options, two salts of 8, IV of 16
_BLOCK = 16
_HMAC = 32


def derived_key(password: str, salt: bytes) -> bytes:
    """Stretch a password into 32 bytes. The rounds and the hash are the format's, not our choice."""
    sha1 = hashes.SHA1()  # noqa: S303 - what every SEB client computes
    return PBKDF2HMAC(algorithm=sha1, length=32, salt=salt, iterations=10_000).derive(password.encode())


def encrypt(
    plaintext: bytes,
    password: str,
    *,
    encryption_salt: bytes | None = None,
    hmac_salt: bytes | None = None,
    iv: bytes | None = None,
) -> bytes:
    """Encrypt under a password, which may be empty. Salts (8 bytes) and IV (16) are for known answers."""
    encryption_salt = os.urandom(8) if encryption_salt is None else encryption_salt
    hmac_salt = os.urandom(8) if hmac_salt is None else hmac_salt
    iv = os.urandom(_BLOCK) if iv is None else iv
    padder = PKCS7(8 * _BLOCK).padder()
    padded = padder.update(plaintext) + padder.finalize()
    cipher = Cipher(algorithms.AES(derived_key(password, encryption_salt)), modes.CBC(iv)).encryptor()
    header = bytes((_WRITTEN_VERSION, _PASSWORD_BASED)) + encryption_salt + hmac_salt + iv
    signed = header + cipher.update(padded) + cipher.finalize()
    return signed + _hmac(signed, password, hmac_salt).finalize()


def decrypt(message: bytes, password: str) -> bytes:
    """Decrypt a message. Nothing is decrypted before its HMAC is right (compared in constant time).

    Raises `DamagedFile` for what cannot be such a message, `WrongPassword` when the HMAC differs: that also
    happens when a byte was damaged, and nobody can tell which.
    """
    signed, signature = message[:-_HMAC], message[-_HMAC:]
    if len(signed) < _HEADER + _BLOCK or (len(signed) - _HEADER) % _BLOCK:
        raise DamagedFile("The encrypted part of the file is cut off. Get a fresh copy of the file.")
    if signed[0] not in _READ_VERSIONS or signed[1] != _PASSWORD_BASED:
        raise DamagedFile("The file is encrypted in a way SEB does not use. Get a fresh copy of the file.")
    encryption_salt, hmac_salt, iv = signed[2:10], signed[10:18], signed[18:_HEADER]
    try:
        _hmac(signed, password, hmac_salt).verify(signature)
    except InvalidSignature:
        raise WrongPassword(
            "The password does not open this file, or the file is damaged. Check the password and try again.",
            field="password",
        ) from None
    cipher = Cipher(algorithms.AES(derived_key(password, encryption_salt)), modes.CBC(iv)).decryptor()
    padded = cipher.update(signed[_HEADER:]) + cipher.finalize()
    unpadder = PKCS7(8 * _BLOCK).unpadder()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise DamagedFile(
            "The encrypted part of the file is malformed. Get a fresh copy of the file."
        ) from None


def _hmac(signed: bytes, password: str, salt: bytes) -> HMAC:
    hmac = HMAC(derived_key(password, salt), hashes.SHA256())
    hmac.update(signed)
    return hmac
