"""A whole .seb file: settings wrapped in gzip, a prefix, and a password or a certificate.

The layers are those of `seb-config-files` §1 and §3. Files come from strangers and are opened within
limits: each unpacking stops at a size, one certificate layer is opened, and everything that is wrong is a
`BadInput` of `errors.py` whose message says what to do.
"""

from __future__ import annotations

import base64
import hashlib
import os
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from invigilo.errors import BadInput
from invigilo.sebconfig import plist, rncryptor
from invigilo.sebconfig.errors import (
    DamagedFile,
    NoPrivateKey,
    NotASebFile,
    PasswordNeeded,
    WrongPassword,
)
from invigilo.sebconfig.plist import PlistValue, Settings

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_ASYMMETRIC_BYTES = 1024 * 1024
"""Limit of a `pkhs` file: each 256 bytes are one private key operation, so more would be seconds of work."""

_GZIP = b"\x1f\x8b\x08"
_KEY_HASH = 20
_RSA_PADDING = 11
_MIN_RSA_BITS = 2048


class Prefix(StrEnum):
    """The four bytes at the head of a block; they say how the rest is wrapped."""

    XML = "<?xm"
    PLAIN = "plnd"
    PASSWORD = "pswd"  # noqa: S105 - the name of a layer
    PASSWORD_CONFIGURE = "pwcc"  # noqa: S105
    CERTIFICATE = "pkhs"
    CERTIFICATE_SYMMETRIC = "phsk"


_PASSWORDS = (Prefix.PASSWORD, Prefix.PASSWORD_CONFIGURE)
_CERTIFICATES = (Prefix.CERTIFICATE, Prefix.CERTIFICATE_SYMMETRIC)


class Purpose(IntEnum):
    """What a client does with the settings: `sebConfigPurpose`."""

    START_EXAM = 0
    CONFIGURE_CLIENT = 1


@dataclass(frozen=True, slots=True)
class Decoded:
    """An opened file: its settings and the layers they came in (no `certificate_prefix`: no such layer)."""

    settings: Settings = field(repr=False)
    prefix: Prefix
    certificate_prefix: Prefix | None


def prefix_for(purpose: Purpose, *, has_password: bool) -> Prefix:
    """Choose the prefix clients expect; without password `plnd` for both purposes, as SEB Server does."""
    if not has_password:
        return Prefix.PLAIN
    return Prefix.PASSWORD if purpose is Purpose.START_EXAM else Prefix.PASSWORD_CONFIGURE


# --- writing -----------------------------------------------------------------------------------------------


def encode(
    settings: Mapping[str, PlistValue],
    *,
    prefix: Prefix | None = None,
    password: str | None = None,
    certificate: x509.Certificate | None = None,
    certificate_prefix: Prefix = Prefix.CERTIFICATE,
    is_gzipped: bool = True,
) -> bytes:
    """Wrap settings into a file.

    Without `prefix` it follows from `sebConfigPurpose` and the password. `is_gzipped` is the outer layer,
    which files have and the exam API leaves away. With a certificate the block is sealed for its owner:
    `pkhs` is read by every client, `phsk` by Windows only but has no limit of size. `password` may be empty
    for `pwcc`, where it means that every client opens the file by itself.

    Raises `BadInput` when the wishes do not fit together or a value cannot stand in a file.
    """
    if prefix is None:
        purpose = Purpose.CONFIGURE_CLIENT if settings.get("sebConfigPurpose") == 1 else Purpose.START_EXAM
        prefix = prefix_for(purpose, has_password=password is not None)
    block = _content_block(plist.write(settings), prefix, password)
    if certificate is not None:
        if prefix is Prefix.XML:
            raise BadInput(
                "Bare XML cannot be sealed by a certificate; use a plain or password block inside."
            )
        block = _sealed(block, certificate, certificate_prefix)
    return _gzip(block) if is_gzipped else block


def _content_block(xml: bytes, prefix: Prefix, password: str | None) -> bytes:
    if prefix in _CERTIFICATES:
        raise BadInput("A certificate prefix is chosen with a certificate, around a plain or password block.")
    if (password is not None) != (prefix in _PASSWORDS):
        wish = "needs a password; give one" if prefix in _PASSWORDS else "has no password; leave it out"
        raise BadInput(f"A file of the kind {prefix.value} {wish}.", field="password")
    if prefix is Prefix.XML:
        return xml
    payload = _gzip(xml)
    if password is not None:
        secret = _block_password(prefix, unicodedata.normalize("NFC", password))
        payload = rncryptor.encrypt(payload, secret)
    return prefix.value.encode() + payload


def _block_password(prefix: Prefix, typed: str) -> str:
    """A client configuration is encrypted under the typed password's hash; only empty stays empty."""
    if prefix is Prefix.PASSWORD_CONFIGURE and typed:
        return hashlib.sha256(typed.encode()).hexdigest()
    return typed


def _gzip(data: bytes) -> bytes:
    """Compress without a time stamp, so that the same settings give the same bytes."""
    compressor = zlib.compressobj(level=9, wbits=31)
    return compressor.compress(data) + compressor.flush()


# --- reading -----------------------------------------------------------------------------------------------


def decode(
    data: bytes, *, password: str | None = None, private_keys: Iterable[rsa.RSAPrivateKey] = ()
) -> Decoded:
    """Open a file. The first bytes decide what it is; its name does not matter.

    A client configuration (`pwcc`) opens without password if its password is the empty one. Typed passwords
    are tried as given and in composed form (NFC), because keyboards differ in how they send accents.

    Raises `NotASebFile`, `DamagedFile`, `PasswordNeeded`, `WrongPassword`, `NoPrivateKey`, or plain
    `BadInput` for a file that is too large or hostile.
    """
    if len(data) > MAX_FILE_BYTES:
        raise BadInput(f"The file is larger than {MAX_FILE_BYTES // 2**20} MiB. Remove large embedded files.")
    block = _gunzipped(data)
    prefix = _prefix(block)
    certificate_prefix: Prefix | None = None
    if prefix in _CERTIFICATES:
        certificate_prefix = prefix
        block = _gunzipped(_unsealed(prefix, block[4:], private_keys))
        prefix = _inner_prefix(block)
    xml = block if prefix is Prefix.XML else _gunzipped(_payload(prefix, block[4:], password))
    return Decoded(plist.read(xml), prefix, certificate_prefix)


def _prefix(block: bytes) -> Prefix:
    try:
        return Prefix(block[:4].decode("latin-1"))
    except ValueError:
        raise NotASebFile("This is not a SEB file. Choose a file that SEB or this server wrote.") from None


def _inner_prefix(block: bytes) -> Prefix:
    """Tell the prefix inside a certificate layer; what decrypts to nonsense was damaged on its way."""
    try:
        prefix = _prefix(block)
    except NotASebFile:
        raise _damaged_seal() from None
    if prefix in _CERTIFICATES:
        raise _damaged_seal()
    return prefix


def _payload(prefix: Prefix, payload: bytes, password: str | None) -> bytes:
    if prefix is Prefix.PLAIN:
        return payload
    candidates = _typed_forms(prefix, password)
    for typed in candidates[:-1]:
        try:
            return rncryptor.decrypt(payload, _block_password(prefix, typed))
        except WrongPassword:
            continue
    try:
        return rncryptor.decrypt(payload, _block_password(prefix, candidates[-1]))
    except WrongPassword:
        if password is not None:
            raise
        raise _password_needed() from None


def _typed_forms(prefix: Prefix, password: str | None) -> Sequence[str]:
    """List what may have been meant, likeliest first; a client configuration may have the empty password."""
    forms = [] if password is None else [password, unicodedata.normalize("NFC", password)]
    if prefix is Prefix.PASSWORD_CONFIGURE:
        forms.append("")
    if not forms:
        raise _password_needed()
    return list(dict.fromkeys(forms))


def _password_needed() -> PasswordNeeded:
    return PasswordNeeded("The file is protected by a password. Enter it.", field="password")


def _gunzipped(data: bytes) -> bytes:
    """Unpack one gzip layer if there is one, up to the size settings may have."""
    if not data.startswith(_GZIP):
        return data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(data, plist.MAX_XML_BYTES + 1)
    except zlib.error:
        raise DamagedFile("The file is damaged: it cannot be unpacked. Get a fresh copy.") from None
    if len(unpacked) > plist.MAX_XML_BYTES:
        raise BadInput(
            f"The file unpacks to more than {plist.MAX_XML_BYTES // 2**20} MiB. Remove large embedded files."
        )
    if not unpacker.eof or unpacker.unused_data:
        raise DamagedFile("The file is damaged: it breaks off or goes on after its end. Get a fresh copy.")
    return unpacked


# --- certificates ------------------------------------------------------------------------------------------


def load_certificate(data: bytes) -> x509.Certificate:
    """Read a certificate, PEM or DER. Raises `BadInput` unless it holds an RSA key that SEB can use."""
    try:
        is_pem = data.lstrip().startswith(b"-----")
        certificate = (x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate)(data)
    except ValueError as error:
        raise BadInput("This is not a certificate. Give a PEM or DER file.", field="certificate") from error
    _rsa_key(certificate)
    return certificate


def load_private_key(pem: bytes, *, password: bytes | None = None) -> rsa.RSAPrivateKey:
    """Read a private key in PEM. Raises `BadInput` when it cannot be opened or is no RSA key."""
    try:
        key = load_pem_private_key(pem, password)
    except (ValueError, TypeError) as error:
        raise BadInput("The private key cannot be opened. Check file and password.", field="key") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadInput("SEB files need an RSA key. Give one.", field="key")
    return key


def key_hash(key: rsa.RSAPublicKey) -> bytes:
    """Give the 20 bytes by which a file names the key it was made for."""
    return hashlib.sha1(key.public_bytes(Encoding.DER, PublicFormat.PKCS1), usedforsecurity=False).digest()


def _rsa_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _MIN_RSA_BITS:
        raise BadInput(
            f"SEB needs a certificate with an RSA key of {_MIN_RSA_BITS} bits or more. Choose another one.",
            field="certificate",
        )
    return key


def _sealed(block: bytes, certificate: x509.Certificate, prefix: Prefix) -> bytes:
    if prefix not in _CERTIFICATES:
        raise BadInput("With a certificate the outer prefix is pkhs or phsk.", field="certificate_prefix")
    key = _rsa_key(certificate)
    head = prefix.value.encode() + key_hash(key)
    if prefix is Prefix.CERTIFICATE:
        return head + _rsa_encrypted(block, key)
    secret = os.urandom(32)
    sealed_secret = key.encrypt(secret, padding.PKCS1v15())
    length = len(sealed_secret).to_bytes(4, "little")
    message = rncryptor.encrypt(block, base64.b64encode(secret).decode())
    return head + length + sealed_secret + message


def _rsa_encrypted(block: bytes, key: rsa.RSAPublicKey) -> bytes:
    if len(block) > MAX_ASYMMETRIC_BYTES // 2:
        raise BadInput("These settings are too large for a file sealed by certificate alone; use phsk.")
    size = key.key_size // 8 - _RSA_PADDING
    pieces = (block[start : start + size] for start in range(0, len(block), size))
    return b"".join(key.encrypt(piece, padding.PKCS1v15()) for piece in pieces)


def _unsealed(prefix: Prefix, sealed: bytes, private_keys: Iterable[rsa.RSAPrivateKey]) -> bytes:
    wanted, sealed = sealed[:_KEY_HASH], sealed[_KEY_HASH:]
    key = next((key for key in private_keys if key_hash(key.public_key()) == wanted), None)
    if key is None:
        raise NoPrivateKey(
            f"The file was made for a certificate whose key has the identifier {wanted.hex()}. "
            "Give the private key of that certificate, or get the file without certificate."
        )
    if prefix is Prefix.CERTIFICATE:
        return _rsa_decrypted(sealed, key)
    return _symmetric_decrypted(sealed, key)


def _rsa_decrypted(sealed: bytes, key: rsa.RSAPrivateKey) -> bytes:
    if len(sealed) > MAX_ASYMMETRIC_BYTES:
        raise BadInput("The file is too large for one sealed by certificate alone. Get it in another form.")
    step = key.key_size // 8
    if not sealed or len(sealed) % step:
        raise _damaged_seal()
    try:
        return b"".join(
            key.decrypt(sealed[start : start + step], padding.PKCS1v15())
            for start in range(0, len(sealed), step)
        )
    except ValueError:
        raise _damaged_seal() from None


def _symmetric_decrypted(sealed: bytes, key: rsa.RSAPrivateKey) -> bytes:
    length = int.from_bytes(sealed[:4], "little")
    if length != key.key_size // 8 or len(sealed) < 4 + length:
        raise _damaged_seal()
    secret = _rsa_decrypted(sealed[4 : 4 + length], key)
    try:
        return rncryptor.decrypt(sealed[4 + length :], base64.b64encode(secret).decode())
    except WrongPassword:
        raise _damaged_seal() from None


def _damaged_seal() -> DamagedFile:
    return DamagedFile(
        "The part of the file made for a certificate is damaged. Get a fresh copy of the file."
    )
