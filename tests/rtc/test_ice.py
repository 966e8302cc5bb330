"""STUN and TURN servers as pages get them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta

from invigilo.rtc.ice import IceServers


def test_without_servers_pages_find_each_other_on_one_network() -> None:
    assert IceServers().for_peer("c1", now_ms=0) == []


def test_turn_credentials_are_short_lived_and_of_the_shared_secret() -> None:
    """What coturn's `use-auth-secret` computes: the user name is the end of its life, the password its HMAC."""
    servers = IceServers(
        stun_urls=["stun:turn.example.org"],
        turn_urls=["turn:turn.example.org"],
        turn_secret="north",
        turn_lifetime=timedelta(hours=2),
    )
    stun, turn = servers.for_peer("c17", now_ms=1_764_000_000_000)
    assert stun == {"urls": ["stun:turn.example.org"]}
    assert turn["username"] == f"{1_764_000_000 + 7200}:c17"
    mac = hmac.new(b"north", turn["username"].encode(), hashlib.sha1).digest()
    assert base64.b64decode(turn["credential"]) == mac
    assert "north" not in repr(servers)
