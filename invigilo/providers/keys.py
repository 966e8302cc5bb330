"""Keys and names as administrators paste them: what is wrong with one, before any service is asked."""

from __future__ import annotations

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

APP_ID_PREFIX = "vpaas-magic-cookie-"
LEAST_BITS = 2048

_APP_ID = re.compile(re.escape(APP_ID_PREFIX) + r"[0-9a-z]{32}")
_KEY_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


def key_problem(pem: str) -> str | None:
    """Code of what is wrong with a private key for RS256; None when it can be used."""
    if "PUBLIC KEY-----" in pem:
        return "public_key"
    if "PRIVATE KEY-----" not in pem:
        return "not_pem"
    if "ENCRYPTED" in pem:
        return "key_has_passphrase"
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "not_pem"
    if not isinstance(key, RSAPrivateKey):
        return "key_not_rsa"
    return "key_too_short" if key.key_size < LEAST_BITS else None


def app_id_problem(app_id: str) -> str | None:
    """JaaS: a tenant's name has one form (jitsi.md §4)."""
    return None if _APP_ID.fullmatch(app_id) else "app_id_form"


def key_id_problem(app_id: str, key_id: str) -> str | None:
    """JaaS: the console shows `<AppID>/<id>`; either all of it or the part after the slash may be pasted."""
    before, slash, after = key_id.rpartition("/")
    if slash and before != app_id:
        return "key_id_of_other_app" if app_id_problem(before) is None else "key_id_form"
    return None if _KEY_ID.fullmatch(after) else "key_id_form"


def whole_key_id(app_id: str, key_id: str) -> str:
    """The `kid` of a JaaS token: always with its AppID."""
    return key_id if "/" in key_id else f"{app_id}/{key_id}"
