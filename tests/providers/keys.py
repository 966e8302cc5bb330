"""Keys and values for tests, made once per process: nothing here is anybody's."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

APP_ID = "vpaas-magic-cookie-" + "0123456789abcdef" * 2
OTHER_APP_ID = "vpaas-magic-cookie-" + "fedcba9876543210" * 2
KEY_ID = "4f2a91"


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


@cache
def _rsa_key(which: str, bits: int) -> str:
    return _pem(rsa.generate_private_key(65537, bits))


def rsa_key(which: str = "ours", bits: int = 2048) -> str:
    return _rsa_key(which, bits)


@cache
def public_half(which: str = "ours") -> str:
    key = serialization.load_pem_private_key(rsa_key(which).encode(), None)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@cache
def ec_key() -> str:
    return _pem(ec.generate_private_key(ec.SECP256R1()))


@cache
def sealed_key() -> str:
    return _pem(rsa.generate_private_key(65537, 2048), b"passphrase of the test")


def jitsi_values(**more: str) -> dict[str, str]:
    return {
        "server_url": "https://meet.example.org",
        "app_id": "exam-office",
        "app_secret": "north-south-east-west",
        **more,
    }


def jaas_values(**more: str) -> dict[str, str]:
    return {"app_id": APP_ID, "key_id": f"{APP_ID}/{KEY_ID}", "private_key": rsa_key(), **more}


def zoom_values(url: str = "https://zoom.example.org", **more: str) -> dict[str, str]:
    """An account as the stand-in is seeded; every address is the stand-in's."""
    return {
        "account_id": "acc-1",
        "client_id": "client-1",
        "client_secret": "secret-1",
        "sdk_key": "sdk-key-1",
        "sdk_secret": "sdk-secret-1",
        "hosts": "host1@example.org",
        "oauth_base": url,
        "api_base": f"{url}/v2",
        "sdk_base": url,
        "web_base": url,
        "pace": "20",
        **more,
    }
