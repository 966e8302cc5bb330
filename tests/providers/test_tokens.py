"""Entry tokens: whole seconds, one room, one guest, and never more than that guest may."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from invigilo.providers.jitsi_tokens import (
    LONGEST_LIFE,
    LONGEST_TOKEN,
    ROOM_NAME,
    Entry,
    TokenKey,
    new_room_name,
    opaque_identity,
    room_claims,
    room_token,
    shown_name,
)
from tests.providers.keys import APP_ID, KEY_ID, public_half, rsa_key

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SHARED = TokenKey("HS256", "north-south-east-west", issuer="exam-office", audience="jitsi", subject="*")
ROOM = "0123456789abcdef0123456789abcdef"
NAMES = [
    "Ἀριστοτέλης",
    "ابن رشد",
    "👩‍🎓 Ada",
    "O'Neill",
    "</script><script>",
    'a"b\\c',
    "\ud800lone",
    "a\u202eb",
]


def jaas_key() -> TokenKey:
    return TokenKey(
        "RS256", rsa_key(), issuer="chat", audience="jitsi", subject=APP_ID, key_id=f"{APP_ID}/{KEY_ID}", flags_as_text=True
    )  # fmt: skip


def entry(**more: Any) -> Entry:
    return Entry(**{"room": ROOM, "identity": "c17", "display_name": "Ada", "is_proctor": False} | more)


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload, _ = (base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in token.split("."))
    return json.loads(header), json.loads(payload)


def truths(value: Any) -> list[Any]:
    """Every leaf that any plugin could take for yes."""
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in truths(one)]
    return [value] if value is True or str(value).lower() in {"true", "owner", "moderator", "teacher"} else []


@pytest.mark.spec("live-proctoring", 51)
def test_a_candidates_token_says_what_the_table_says() -> None:
    header, claims = parts(room_token(SHARED, entry(), now=NOW, expires_at=NOW + timedelta(hours=4)))
    assert header == {"alg": "HS256", "typ": "JWT"}
    seconds = int(NOW.timestamp())
    assert (claims["nbf"], claims["exp"]) == (seconds - 30, seconds + 4 * 3600)
    assert all(type(claims[name]) is int for name in ("nbf", "exp"))
    assert (claims["iss"], claims["aud"], claims["sub"], claims["room"]) == (
        "exam-office",
        "jitsi",
        "*",
        ROOM,
    )
    assert claims["moderator"] is False
    user = claims["context"]["user"]
    assert user == {"id": "c17", "name": "Ada", "moderator": False, "affiliation": "member"}
    assert truths(claims) == []


def test_a_proctor_is_moderator_in_every_way_a_plugin_looks_for_it() -> None:
    claims = parts(room_token(SHARED, entry(is_proctor=True), now=NOW, expires_at=NOW + timedelta(hours=1)))[
        1
    ]
    assert claims["moderator"] is True
    assert (claims["context"]["user"]["moderator"], claims["context"]["user"]["affiliation"]) == (
        True,
        "owner",
    )


@pytest.mark.spec("live-proctoring", 16)
def test_a_jaas_token_has_its_key_id_and_says_flags_as_text() -> None:
    token = room_token(jaas_key(), entry(is_proctor=True), now=NOW, expires_at=NOW + timedelta(hours=1))
    header, claims = parts(token)
    assert header == {"alg": "RS256", "typ": "JWT", "kid": f"{APP_ID}/{KEY_ID}"}
    assert (claims["aud"], claims["iss"], claims["sub"]) == ("jitsi", "chat", APP_ID)
    assert claims["context"]["user"]["moderator"] == "true"
    assert set(claims["context"]["features"].values()) == {"true", "false"}
    assert claims["context"]["features"]["recording"] == "false"
    jwt.decode(token, RSAKey.import_key(public_half()), algorithms=["RS256"])


@given(
    now=st.integers(1_704_067_200, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    life=st.timedeltas(timedelta(seconds=1), LONGEST_LIFE - timedelta(seconds=1)),
    name=st.text(max_size=300),
    chat=st.booleans(),
    algorithm=st.sampled_from(["HS256", "HS384", "HS512"]),
)
@pytest.mark.spec("live-proctoring", 51)
def test_any_candidates_token_ends_in_seconds_opens_one_room_and_grants_no_role(
    now: datetime, life: timedelta, name: str, chat: bool, algorithm: str
) -> None:
    """D1 and D3 of live-proctoring.md §7: milliseconds never end, and every token holder became moderator."""
    key = TokenKey(algorithm, SHARED.key, issuer="exam-office", audience="jitsi", subject="*")
    token = room_token(key, entry(display_name=name, may_chat=chat), now=now, expires_at=now + life)
    claims = parts(token)[1]
    assert 0 < claims["exp"] - now.timestamp() + 1 <= 48 * 3600 + 1
    assert claims["exp"] < 5_000_000_000
    assert claims["room"] == ROOM
    assert truths(
        claims | {"context": claims["context"] | {"user": claims["context"]["user"] | {"name": ""}}}
    ) == ([True] if chat else [])
    assert len(token) <= LONGEST_TOKEN
    jwt.decode(token, OctKey.import_key(SHARED.key.encode()), algorithms=[algorithm])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.spec("live-proctoring", 51)
def test_names_of_any_script_survive(name: str) -> None:
    """Only what is no letter of anything goes: controls, halves of characters, marks that turn the text round."""
    claims = parts(
        room_token(jaas_key(), entry(display_name=name), now=NOW, expires_at=NOW + timedelta(hours=1))
    )[1]
    assert claims["context"]["user"]["name"] == name.replace("\ud800", "").replace("\u202e", "")


@pytest.mark.parametrize(
    "life",
    [
        timedelta(0),
        timedelta(seconds=-1),
        LONGEST_LIFE,
        timedelta(days=365),
        timedelta(days=365 * 5000),
    ],
)
def test_an_end_in_the_past_too_far_off_or_in_milliseconds_is_never_signed(life: timedelta) -> None:
    with pytest.raises(ValueError, match=r"within 48 h|seconds"):
        room_token(SHARED, entry(), now=NOW, expires_at=NOW + life)


@pytest.mark.parametrize(
    "wrong",
    [
        {"room": "*"},
        {"room": "Room-With-Capitals-1"},
        {"room": "short"},
        {"room": "r" * 65},
        {"room": "0123456789abcdef\n"},
        {"room": "raum-mit-ümlaut-0123"},
        {"room": "tenant/0123456789abcdef"},
        {"room": "01234567-89ab-4def-8123-456789abcdef"},
        {"identity": ""},
        {"identity": "ada@example.org"},
        {"identity": "Ada Lovelace"},
    ],
)
def test_a_room_or_identity_out_of_the_ordinary_is_never_signed(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"room's name|identity"):
        room_claims(SHARED, entry(**wrong), now=NOW, expires_at=NOW + timedelta(hours=1))


def test_room_names_are_128_random_bits_and_no_uuids() -> None:
    names = {new_room_name() for _ in range(200)}
    assert len(names) == 200
    assert all(ROOM_NAME.fullmatch(name) and len(name) == 32 and "-" not in name for name in names)


def test_an_opaque_identity_is_the_same_again_and_differs_by_room() -> None:
    assert opaque_identity(ROOM, "17") == opaque_identity(ROOM, "17")
    assert (
        len({opaque_identity(ROOM, "17"), opaque_identity(ROOM, "18"), opaque_identity("other", "17")}) == 3
    )


def test_nothing_secret_shows_in_a_traceback() -> None:
    assert SHARED.key not in repr(SHARED)
    assert "PRIVATE" not in repr(jaas_key())


def test_a_name_is_one_line_of_bearable_length() -> None:
    assert shown_name("  Ada\r\nLovelace\x00 " + "x" * 200) == ("AdaLovelace " + "x" * 200)[:60]
