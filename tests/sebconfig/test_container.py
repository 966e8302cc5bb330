from __future__ import annotations

import base64
import datetime as dt
import gzip
import hashlib
import hmac
import itertools
import secrets
import unicodedata
import zlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, container, plist, rncryptor
from invigilo.sebconfig.config_key import config_key, seb_json
from invigilo.sebconfig.container import Prefix, Purpose, decode, encode
from invigilo.sebconfig.errors import DamagedFile, NoPrivateKey, NotASebFile, PasswordNeeded, WrongPassword

from .vectors import any_settings, known

_EXAMPLES = known("seb_files.json")["examples"]
_FILES = [(example, file) for example in _EXAMPLES for file in example["files"]]
_SOME: plist.Settings = {
    "sebConfigPurpose": 0,
    "allowQuit": True,
    "zoom": 1.5,
    "name": "Prüfung",
    "salt": b"\x00\xff",
}
_LAYERS = [
    (prefix, password, seal)
    for prefix, passwords in {
        Prefix.PLAIN: [None],
        Prefix.PASSWORD: ["", "examPass1", "grüezi 😀"],
        Prefix.PASSWORD_CONFIGURE: ["", "settings", "grüezi"],
    }.items()
    for password in passwords
    for seal in (None, Prefix.CERTIFICATE, Prefix.CERTIFICATE_SYMMETRIC)
]


def self_signed(key) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SEB test")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + dt.timedelta(days=9999))
    return builder.sign(key, hashes.SHA256())


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def certificate(key) -> x509.Certificate:
    return self_signed(key)


# --- reading what others wrote ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("example", "file"), _FILES, ids=lambda part: part.get("prefix"))
def test_worked_examples_open_and_have_their_config_key(example, file):
    decoded = decode(base64.b64decode(file["base64"]), password=file["password"])
    assert decoded.settings == plist.read(example["xml"].encode())
    assert config_key(decoded.settings) == example["config_key"]
    assert (decoded.prefix, decoded.certificate_prefix) == (file["prefix"], None)


def test_a_client_configuration_with_the_empty_password_opens_without_one():
    file = next(file for _, file in _FILES if file["prefix"] == "pwcc" and file["password"] == "")
    data = base64.b64decode(file["base64"])
    assert decode(data).settings == decode(data, password="typed for nothing").settings


@pytest.mark.parametrize("layers", range(2))
def test_bare_xml_opens_with_and_without_gzip(layers):
    xml = _EXAMPLES[0]["xml"].encode()
    assert decode(gzip.compress(xml) if layers else xml).prefix is Prefix.XML


def test_plain_blocks_without_inner_gzip_open_as_on_windows():
    assert decode(b"plnd" + plist.write(_SOME)).settings == _SOME


def test_pieces_of_any_size_under_a_certificate_are_read(key):
    """The reference server cuts at 128 bytes, Windows at the key's length less 32."""
    block = encode(_SOME, is_gzipped=False)
    for size in (128, 256 - 32, 245):
        pieces = (block[start : start + size] for start in range(0, len(block), size))
        sealed = b"".join(key.public_key().encrypt(piece, padding.PKCS1v15()) for piece in pieces)
        data = b"pkhs" + container.key_hash(key.public_key()) + sealed
        assert decode(data, private_keys=[key]).settings == _SOME


def test_a_gzipped_block_inside_a_certificate_is_read(key):
    block = gzip.compress(encode(_SOME))
    pieces = (block[start : start + 200] for start in range(0, len(block), 200))
    sealed = b"".join(key.public_key().encrypt(piece, padding.PKCS1v15()) for piece in pieces)
    with pytest.raises(DamagedFile):  # two layers of gzip are one too many
        decode(b"pkhs" + container.key_hash(key.public_key()) + sealed, private_keys=[key])
    pieces = (encode(_SOME)[start : start + 200] for start in range(0, len(encode(_SOME)), 200))
    sealed = b"".join(key.public_key().encrypt(piece, padding.PKCS1v15()) for piece in pieces)
    assert (
        decode(b"pkhs" + container.key_hash(key.public_key()) + sealed, private_keys=[key]).settings == _SOME
    )


@pytest.mark.parametrize(("prefix", "password"), [("pswd", "grüezi"), ("pwcc", ""), ("pwcc", "settings")])
def test_files_encrypted_as_windows_does_are_read(prefix, password):
    """RNCryptor version 2 differs in its first byte only."""
    block = encode(_SOME, prefix=Prefix(prefix), password=password, is_gzipped=False)
    typed = hashlib.sha256(password.encode()).hexdigest() if prefix == "pwcc" and password else password
    signed = b"\x02" + block[5:-32]
    mac = hmac.digest(rncryptor.derived_key(typed, signed[10:18]), signed, "sha256")
    assert decode(block[:4] + signed + mac, password=password).settings == _SOME


def test_a_bomb_behind_a_password_stops_at_the_limit():
    bomb = rncryptor.encrypt(gzip.compress(bytes(plist.MAX_XML_BYTES + 1)), "pw")
    with pytest.raises(BadInput, match="unpacks to more than"):
        decode(b"pswd" + bomb, password="pw")


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prefix", "password", "seal"), _LAYERS)
@pytest.mark.parametrize("is_gzipped", [True, False])
def test_every_kind_of_file_comes_back(prefix, password, seal, is_gzipped, key, certificate):
    data = encode(
        _SOME,
        prefix=prefix,
        password=password,
        certificate=certificate if seal else None,
        certificate_prefix=seal or Prefix.CERTIFICATE,
        is_gzipped=is_gzipped,
    )
    assert data.startswith(b"\x1f\x8b\x08" if is_gzipped else (seal or prefix).value.encode())
    decoded = decode(data, password=password, private_keys=[key])
    assert seb_json(decoded.settings) == seb_json(_SOME)
    assert (decoded.prefix, decoded.certificate_prefix) == (prefix, seal)


@settings(max_examples=40, deadline=None)
@given(any_settings, st.sampled_from([None, "", "pässword"]))
def test_export_import_export_is_the_identity(wished, password):
    first = decode(encode(wished, password=password), password=password).settings
    second = decode(encode(first, password=password), password=password).settings
    assert seb_json(first) == seb_json(wished) == seb_json(second)
    assert config_key(second) == config_key(wished)


def test_the_same_settings_give_the_same_bytes():
    """Exam settings are cached and compared by their bytes."""
    assert encode(_SOME) == encode(dict(reversed(_SOME.items())))


@pytest.mark.parametrize(
    ("purpose", "password", "prefix"),
    [(0, None, "plnd"), (0, "pw", "pswd"), (1, None, "plnd"), (1, "pw", "pwcc"), (1, "", "pwcc")],
)
def test_the_prefix_follows_from_purpose_and_password(purpose, password, prefix):
    block = encode({"sebConfigPurpose": purpose}, password=password, is_gzipped=False)
    assert block[:4].decode() == prefix
    assert container.prefix_for(Purpose(purpose), has_password=password is not None) == prefix


def test_passwords_open_however_the_keyboard_sends_accents():
    composed, apart = unicodedata.normalize("NFC", "grüezi"), unicodedata.normalize("NFD", "grüezi")
    for written, typed in itertools.product((composed, apart), repeat=2):
        assert decode(encode(_SOME, password=written), password=typed).settings == _SOME


def test_the_key_hash_is_the_subject_key_identifier(key):
    assert (
        container.key_hash(key.public_key())
        == x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    )


# --- refusals --------------------------------------------------------------------------------------------------------


def test_wrong_password_missing_password_and_no_seb_file_are_told_apart():
    data = encode(_SOME, password="right")
    with pytest.raises(WrongPassword):
        decode(data, password="wrong")
    with pytest.raises(PasswordNeeded):
        decode(data)
    with pytest.raises(PasswordNeeded):
        decode(encode(_SOME | {"sebConfigPurpose": 1}, password="right"))
    with pytest.raises(NotASebFile):
        decode(b"PK\x03\x04 a zip archive", password="right")


def test_a_certificate_without_its_key_names_the_key(certificate):
    data = encode(_SOME, certificate=certificate)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for keys in ([], [other]):
        with pytest.raises(NoPrivateKey, match=container.key_hash(certificate.public_key()).hex()):
            decode(data, private_keys=keys)


@pytest.mark.parametrize(
    "data",
    [b"", b"pln", b"plnD", b"\x1f\x8b", b"<html>", b"\xef\xbb\xbf<?xml", gzip.compress(b"text", mtime=0)],
)
def test_other_data_is_no_seb_file(data):
    with pytest.raises(NotASebFile):
        decode(data)


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_damaged_prefix_is_refused(index):
    block = bytearray(encode(_SOME, password="pw", is_gzipped=False))
    block[index] ^= 1
    with pytest.raises(BadInput):
        decode(bytes(block), password="pw")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_damaged_byte_of_a_password_file_is_refused(data):
    block = bytearray(encode(_SOME, password="pw", is_gzipped=False))
    block[data.draw(st.integers(0, len(block) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadInput):
        decode(bytes(block), password="pw")


@pytest.mark.parametrize(
    ("password", "is_gzipped"), [(None, True), (None, False), ("pw", True), ("pw", False)]
)
def test_files_that_break_off_are_refused(password, is_gzipped):
    whole = encode(_SOME, password=password, is_gzipped=is_gzipped)
    for length in range(0, len(whole), 3 if password else 1):
        with pytest.raises(BadInput):
            decode(whole[:length], password=password)


def test_data_after_the_end_is_refused():
    with pytest.raises(DamagedFile):
        decode(encode(_SOME) + b"more")


@pytest.mark.parametrize("seal", [Prefix.CERTIFICATE, Prefix.CERTIFICATE_SYMMETRIC])
def test_damaged_and_cut_files_under_a_certificate_are_refused(seal, key, certificate):
    block = encode(_SOME, certificate=certificate, certificate_prefix=seal, is_gzipped=False)
    for index in range(0, len(block), 23):
        damaged = block[:index] + bytes([block[index] ^ 0x10]) + block[index + 1 :]
        with pytest.raises(BadInput):
            decode(damaged, private_keys=[key])
        with pytest.raises(BadInput):
            decode(block[:index], private_keys=[key])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([p.value.encode() for p in Prefix] + [b"", b"\x1f\x8b\x08"]), st.binary(max_size=300))
def test_no_data_raises_anything_but_bad_input(key, head, rest):
    for data in (
        head + rest,
        zlib.compress(head + rest, wbits=31),
        head + container.key_hash(key.public_key()) + rest,
    ):
        with pytest.raises(BadInput):
            decode(data, password="pw", private_keys=[key])


def test_gzip_bombs_stop_at_the_limit():
    bomb = gzip.compress(bytes(plist.MAX_XML_BYTES + 1))
    for data in (bomb, b"plnd" + bomb, gzip.compress(b"plnd" + bomb)):
        assert len(data) < 100_000
        with pytest.raises(BadInput, match="unpacks to more than"):
            decode(data)


def test_huge_files_are_refused_before_anything_is_done():
    with pytest.raises(BadInput, match="larger than"):
        decode(bytes(container.MAX_FILE_BYTES + 1))


def test_huge_files_under_a_certificate_are_refused_before_the_work(key):
    head = b"pkhs" + container.key_hash(key.public_key())
    with pytest.raises(BadInput, match="too large"):
        decode(head + bytes(2 * container.MAX_ASYMMETRIC_BYTES), private_keys=[key])


@pytest.mark.parametrize(
    "wish",
    [
        {"prefix": Prefix.PASSWORD},
        {"prefix": Prefix.PLAIN, "password": "pw"},
        {"prefix": Prefix.XML, "password": "pw"},
        {"prefix": Prefix.CERTIFICATE},
    ],
)
def test_wishes_that_do_not_fit_together_are_refused(wish):
    with pytest.raises(BadInput):
        encode(_SOME, **wish)


def test_bare_xml_and_other_prefixes_do_not_go_under_a_certificate(certificate):
    with pytest.raises(BadInput):
        encode(_SOME, prefix=Prefix.XML, certificate=certificate)
    with pytest.raises(BadInput):
        encode(_SOME, certificate=certificate, certificate_prefix=Prefix.PLAIN)


def test_settings_too_large_for_the_certificate_alone_are_refused(certificate):
    large = {"icon": secrets.token_bytes(container.MAX_ASYMMETRIC_BYTES)}
    with pytest.raises(BadInput, match="use phsk"):
        encode(large, certificate=certificate)


def test_certificates_and_keys_are_read_from_files(key, certificate):
    for encoding in (Encoding.PEM, Encoding.DER):
        assert container.load_certificate(certificate.public_bytes(encoding)) == certificate
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert container.load_private_key(pem).private_numbers() == key.private_numbers()


def test_what_is_no_rsa_certificate_or_key_is_refused():
    elliptic = ec.generate_private_key(ec.SECP256R1())
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    certificates = [
        self_signed(elliptic).public_bytes(Encoding.PEM),
        self_signed(small).public_bytes(Encoding.DER),
    ]
    for data in (
        *certificates,
        b"",
        b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
        b"\x30\x00",
    ):
        with pytest.raises(BadInput):
            container.load_certificate(data)
    pem = elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data in (pem, b"", b"nonsense"):
        with pytest.raises(BadInput):
            container.load_private_key(data)


def test_a_full_export_comes_back():
    defaults = catalogue.exported_defaults()
    assert decode(encode(defaults, password="examPass1"), password="examPass1").settings == defaults
