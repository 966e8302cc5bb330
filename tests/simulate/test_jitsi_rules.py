"""The stand-in's Prosody against the tables it is written from: what is let in (jitsi.md §1), and as what (§3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from invigilo.simulate.jitsi_rules import (
    Deployment,
    DoorClosed,
    TokenRefused,
    check_room,
    is_owner_by_token,
    may,
    verify,
)

NOW = 1_764_000_000.4
SERVER = Deployment(jwt_app_id="office", jwt_app_secret="north-and-south")
GOOD = {"iss": "office", "aud": "jitsi", "sub": "*", "room": "room1", "exp": int(NOW) + 60}


def made(
    claims: dict[str, Any], secret: str = SERVER.jwt_app_secret, alg: str = "HS256", **header: Any
) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    signed = f"{part({'typ': 'JWT', 'alg': alg} | header)}.{part(claims)}"
    mac = hmac.new(
        secret.encode(), signed.encode(), hashlib.sha256 if alg == "HS256" else hashlib.sha512
    ).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def without(name: str) -> dict[str, Any]:
    return {k: v for k, v in GOOD.items() if k != name}


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (None, "token required"),
        ("", "token required"),
        ("garbage", "Invalid token"),
        ("a.b.c", "Invalid header"),
        (made(GOOD, secret="another"), "Invalid signature"),
        (made(GOOD, alg="HS512"), "Invalid or incorrect alg"),
        (made(GOOD, alg="none"), "Invalid or incorrect alg"),
        (made(GOOD, typ="jwt"), "Invalid typ"),
        (made(GOOD | {"iss": "other"}), "invalid 'iss' claim"),
        (made(without("iss")), "'iss' claim is missing"),
        (made(without("aud")), "'aud' claim is missing"),
        (made(GOOD | {"exp": int(NOW)}), "Not acceptable by exp"),
        (made(GOOD | {"exp": str(int(NOW) + 60)}), "exp must be number"),
        (made(GOOD | {"nbf": int(NOW) + 1}), "Not acceptable by nbf"),
        (made(GOOD | {"nbf": int(NOW) * 1000}), "Not acceptable by nbf"),
        (made(without("room")), "room claim is missing"),
        (made(without("sub")), "sub claim is missing"),
    ],
)
def test_refusals_read_as_prosodys(token: str | None, text: str) -> None:
    with pytest.raises(TokenRefused) as refused:
        verify(token, SERVER, now=NOW)
    assert refused.value.text == text
    assert refused.value.condition == ("not-authorized" if "room" in text or "sub" in text else "not-allowed")


@pytest.mark.parametrize(
    "claims",
    [
        GOOD,
        without("exp"),
        GOOD | {"exp": int(NOW) * 1000},
        GOOD | {"aud": "anything"},
        GOOD | {"nbf": int(NOW)},
    ],
)
def test_what_prosody_lets_in_without_a_word(claims: dict[str, Any]) -> None:
    """An `exp` in milliseconds, or none, never ends: only our own tests can notice (jitsi.md §0.1)."""
    assert verify(made(claims), SERVER, now=NOW) == claims


def test_a_list_of_audiences_is_never_a_configured_one() -> None:
    server = replace(SERVER, jwt_accepted_audiences=("jitsi",))
    assert verify(made(GOOD), server, now=NOW)
    with pytest.raises(TokenRefused, match="aud"):
        verify(made(GOOD | {"aud": ["jitsi"]}), server, now=NOW)


@pytest.mark.parametrize(
    ("claim", "room", "verifies", "opens"),
    [
        ("room1", "room1", False, True),
        ("ROOM1", "room1", False, True),
        ("*", "room1", False, True),
        ("room1", "room2", False, False),
        ("room1", "room10", False, False),
        ("room1@muc.meet.jitsi", "room1", False, False),
        ("room1", "room1", True, True),
        ("room1", "room2", True, False),
    ],
)
def test_a_token_opens_the_room_it_names(claim: str, room: str, verifies: bool, opens: bool) -> None:
    server = replace(SERVER, jwt_enable_domain_verification=verifies)
    claims = GOOD | {"room": claim}
    if opens:
        check_room(claims, room, server, is_guest=False)
        return
    with pytest.raises(DoorClosed) as closed:
        check_room(claims, room, server, is_guest=False)
    assert closed.value.own == ("" if verifies else "room-mismatch")


def test_the_subject_counts_only_where_domains_are_checked() -> None:
    claims = GOOD | {"sub": "example.org"}
    check_room(claims, "room1", SERVER, is_guest=False)
    with pytest.raises(DoorClosed, match="not-allowed"):
        check_room(claims, "room1", replace(SERVER, jwt_enable_domain_verification=True), is_guest=False)


@pytest.mark.parametrize(
    ("user", "owns"),
    [({"affiliation": "owner"}, True), ({"affiliation": "teacher"}, True), ({"moderator": True}, True),
     ({"moderator": "true"}, True), ({"moderator": "false", "affiliation": "member"}, False), ({}, False)],
)  # fmt: skip
def test_the_role_plugin_reads_both_flags(user: dict[str, Any], owns: bool) -> None:
    assert is_owner_by_token({"context": {"user": user}}) is owns
    assert not is_owner_by_token({"moderator": True})  # another plugin's flag


def test_features_once_named_are_all_there_is() -> None:
    named = {"context": {"features": {"send-groupchat": "true", "recording": "false"}}}
    assert may(named, "send-groupchat", is_moderator=False)
    assert not may(named, "recording", is_moderator=True)
    assert not may(named, "livestreaming", is_moderator=True)
    assert may(None, "livestreaming", is_moderator=True)
