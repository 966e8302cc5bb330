from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invigilo.errors import BadInput
from invigilo.sebconfig import container, plist
from invigilo.sebconfig.config_key import config_key, seb_json
from invigilo.sebconfig.connection_file import (
    ConnectionFile,
    Fallback,
    connection_file,
    connection_file_bytes,
    connection_settings,
    password_hash,
    read_connection_file,
)
from invigilo.sebconfig.container import Prefix, Purpose
from invigilo.sebconfig.errors import NotASebFile, PasswordNeeded

from .vectors import known

_EXAMPLE = known("seb_files.json")["examples"][1]
_FILE = ConnectionFile(
    server_url="https://exam.example.org",
    institution_id="1",
    client_id="demo-client",
    client_secret="demo-secret",
    purpose=Purpose.CONFIGURE_CLIENT,
    quit_password_hash=password_hash("quit"),
    fallback=Fallback(start_url="https://lms.example.org/fallback", password_hash=password_hash("fallback")),
)
_PLAIN = replace(_FILE, purpose=Purpose.START_EXAM, quit_password_hash="", fallback=None)


def test_the_worked_example_is_what_we_write():
    written = connection_settings(_FILE)
    assert seb_json(written) == _EXAMPLE["seb_json"]
    assert config_key(written) == _EXAMPLE["config_key"]


@pytest.mark.parametrize("file", _EXAMPLE["files"], ids=lambda file: f"{file['prefix']}-{file['password']}")
def test_the_worked_examples_are_understood(file):
    assert read_connection_file(base64.b64decode(file["base64"]), password=file["password"]) == _FILE


def test_without_wishes_only_what_clients_need_is_written():
    assert connection_settings(_PLAIN) == {
        "sebMode": 1,
        "sebConfigPurpose": 0,
        "sebServerURL": "https://exam.example.org",
        "sebServerFallback": False,
        "sebServerConfiguration": {
            "institution": "1",
            "clientName": "demo-client",
            "clientSecret": "demo-secret",
            "apiDiscovery": "/exam-api/discovery",
            "pingInterval": 1000,
        },
    }


def test_everything_about_the_server_but_the_ping_interval_is_text():
    """Windows ignores other types, and an empty exam would leave the candidate without a list."""
    xml = plist.write(connection_settings(replace(_PLAIN, exam_id="88")))
    assert b"<key>exam</key><string>88</string>" in xml
    assert b"<key>institution</key><string>1</string>" in xml
    assert b"<key>pingInterval</key><integer>1000</integer>" in xml
    assert b"exam</key>" not in plist.write(connection_settings(_PLAIN))


def test_the_server_address_has_no_slash_at_its_end():
    written = connection_settings(replace(_PLAIN, server_url="https://exam.example.org/seb//"))
    assert written["sebServerURL"] == "https://exam.example.org/seb"


def test_the_discovery_path_begins_with_one_slash():
    written = connection_settings(replace(_PLAIN, discovery_path="exam-api/discovery"))
    assert connection_file(written).discovery_path == "/exam-api/discovery"


_TEXT = st.text(
    st.characters(min_codepoint=33, exclude_categories=("Cs", "Cn", "Cc", "Z")), min_size=1, max_size=20
)
_DURATIONS = st.integers(1, 2**31 - 1).map(lambda ms: timedelta(milliseconds=ms))
_HASHES = st.just("") | _TEXT.map(password_hash)
_FILES = st.builds(
    ConnectionFile,
    server_url=st.sampled_from(
        ["https://exam.example.org", "http://127.0.0.1:8080", "https://[::1]:8443/seb"]
    ),
    institution_id=st.integers(1, 999).map(str),
    client_id=_TEXT,
    client_secret=_TEXT,
    discovery_path=st.sampled_from(["/exam-api/discovery", "/d"]),
    ping_interval=_DURATIONS,
    purpose=st.sampled_from(Purpose),
    exam_id=st.none() | _TEXT,
    quit_password_hash=_HASHES,
    fallback=st.none()
    | st.builds(
        Fallback,
        start_url=st.just("https://lms.example.org/x?a=1&b=<2>"),
        timeout=_DURATIONS,
        attempts=st.integers(1, 99),
        attempt_interval=_DURATIONS,
        password_hash=_HASHES,
    ),
)


@settings(max_examples=40, deadline=None)
@given(_FILES, st.sampled_from([None, "", "öffnen"]))
def test_what_is_written_is_understood(file, password):
    assert read_connection_file(connection_file_bytes(file, password=password), password=password) == file


def test_the_kind_of_file_follows_from_purpose_and_password():
    kinds = {
        (file.purpose, password): container.decode(
            connection_file_bytes(file, password=password), password=password
        ).prefix
        for file in (_FILE, _PLAIN)
        for password in (None, "pw")
    }
    assert kinds == {
        (Purpose.START_EXAM, None): Prefix.PLAIN,
        (Purpose.START_EXAM, "pw"): Prefix.PASSWORD,
        (Purpose.CONFIGURE_CLIENT, None): Prefix.PLAIN,
        (Purpose.CONFIGURE_CLIENT, "pw"): Prefix.PASSWORD_CONFIGURE,
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"server_url": "exam.example.org"}, "server_url"),
        ({"server_url": "ftp://exam.example.org"}, "server_url"),
        ({"server_url": "https://"}, "server_url"),
        ({"server_url": "https://[broken"}, "server_url"),
        ({"server_url": "https://host:99999"}, "server_url"),
        ({"server_url": " https://exam.example.org"}, "server_url"),
        ({"institution_id": ""}, "institution_id"),
        ({"client_id": " "}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"discovery_path": ""}, "discovery_path"),
        ({"exam_id": ""}, "exam_id"),
        ({"ping_interval": timedelta(0)}, "ping_interval"),
        ({"ping_interval": timedelta(days=30)}, "ping_interval"),
        ({"quit_password_hash": "password"}, "quit_password_hash"),
        ({"fallback": Fallback(start_url="")}, "fallback.start_url"),
        ({"fallback": Fallback(start_url="https://a.example.org", attempts=0)}, "fallback.attempts"),
        (
            {"fallback": Fallback(start_url="https://a.example.org", password_hash="x")},
            "fallback.password_hash",
        ),
    ],
)
def test_what_clients_would_choke_on_is_refused_at_its_field(change, field):
    with pytest.raises(BadInput) as refusal:
        connection_settings(replace(_PLAIN, **change))
    assert refusal.value.field == field


def test_control_characters_are_refused():
    with pytest.raises(BadInput, match=r"U\+0007"):
        connection_file_bytes(replace(_PLAIN, client_id="lab\x07"))


@pytest.mark.parametrize("key", ["institution", "clientName", "clientSecret", "apiDiscovery"])
@pytest.mark.parametrize("value", [None, "", 7])
def test_a_file_without_what_clients_need_names_it(key, value):
    written = connection_settings(_PLAIN)
    server = written["sebServerConfiguration"]
    assert isinstance(server, dict)
    server.pop(key) if value is None else server.update({key: value})
    with pytest.raises(BadInput, match=key):
        connection_file(written)


@pytest.mark.parametrize(
    "change", [{"sebMode": 0}, {"sebServerURL": 1}, {"sebServerConfiguration": []}, {"sebServerURL": "x"}]
)
def test_a_file_for_something_else_is_refused(change):
    with pytest.raises(BadInput):
        connection_file(connection_settings(_PLAIN) | change)


@pytest.mark.parametrize("interval", [None, 0, -5, "1000", True])
def test_an_odd_ping_interval_counts_as_a_second(interval):
    written = connection_settings(_PLAIN)
    server = written["sebServerConfiguration"]
    assert isinstance(server, dict)
    server.pop("pingInterval") if interval is None else server.update(pingInterval=interval)
    assert connection_file(written).ping_interval == timedelta(seconds=1)


def test_files_of_virtual_desktops_are_understood():
    """The reference server writes sebMode 2 for them."""
    assert connection_file(connection_settings(_PLAIN) | {"sebMode": 2}) == _PLAIN


def test_errors_of_opening_pass_through():
    with pytest.raises(NotASebFile):
        read_connection_file(b"hello")
    with pytest.raises(PasswordNeeded):
        read_connection_file(connection_file_bytes(_PLAIN, password="pw"))


def test_the_secret_does_not_show_when_printed():
    assert "demo-secret" not in repr(_FILE)


def test_passwords_are_hashed_in_composed_form():
    assert password_hash("gru\u0308ezi") == password_hash("grüezi")
    assert password_hash("quit") == "8577da2ea54085708b3b851bc50315a36bb740ba5135e747cfb12457b5d3060f"
    assert password_hash("") == ""
