"""Where settings come from, which source wins, and what a wrong value says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from invigilo.errors import BadInput
from invigilo.settings import TABLE, Secret, Settings, read_settings


def _read(flags: dict[str, Any] | None = None, file: Path | None = None, **environment: str) -> Settings:
    return read_settings(flags=flags or {}, environment=environment, file=file)


def test_with_nothing_at_all_the_server_can_start() -> None:
    settings = _read(INVIGILO_DATA_DIR="/nowhere/at/all")
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.database_url is None
    assert settings.public_url is None


def test_file_environment_and_flags_win_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "invigilo.toml").write_text("port = 1111\nhost = '192.0.2.1'\nlog_level = 'error'\n")
    flags = {"data_dir": str(tmp_path), "port": 3333}
    settings = _read(flags, INVIGILO_PORT="2222", INVIGILO_HOST="192.0.2.2")
    assert settings.port == 3333
    assert settings.host == "192.0.2.2"
    assert settings.log_level == "error"
    assert settings.log_format == "console"


def test_the_file_of_the_data_folder_is_found_by_flag_and_environment(tmp_path: Path) -> None:
    (tmp_path / "invigilo.toml").write_text("port = 1111")
    assert _read({"data_dir": tmp_path}).port == 1111
    assert _read(INVIGILO_DATA_DIR=str(tmp_path)).port == 1111


def test_another_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 4444")
    assert _read(file=tmp_path / "other.toml").port == 4444


def test_a_flag_not_given_and_an_empty_variable_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "invigilo.toml").write_text("port = 1111")
    assert _read({"data_dir": tmp_path, "port": None}, INVIGILO_PORT="").port == 1111


def test_other_programs_variables_are_not_ours() -> None:
    assert _read(INVIGILO_SOMETHING_ELSE="x", PORT="99", invigilo_port="98").port == 8080


GOOD: list[tuple[str, Any, Any]] = [
    ("port", "0", 0),
    ("port", 65535, 65535),
    ("public_url", "https://exams.example.org/", "https://exams.example.org"),
    ("public_url", "http://[::1]:8080", "http://[::1]:8080"),
    ("trusted_proxies", "127.0.0.1, 10.0.0.0/8", ("127.0.0.1", "10.0.0.0/8")),
    ("trusted_proxies", ["::1"], ("::1",)),
    ("stun_urls", "stun:stun.example.org:3478", ("stun:stun.example.org:3478",)),
    ("turn_lifetime", "3600", timedelta(hours=1)),
    ("place_grace", 20, timedelta(seconds=20)),
    ("session_hours", "168", 168),
    ("log_level", "WARNING", "warning"),
]


@pytest.mark.parametrize(("name", "value", "read"), GOOD)
def test_a_good_value_is_taken(name: str, value: Any, read: Any) -> None:
    assert getattr(_read({name: value}), name) == read


BAD: list[tuple[str, Any, str]] = [
    ("port", "http", "whole number"),
    ("port", 65536, "from 0 to 65535"),
    ("port", "-1", "from 0 to 65535"),
    ("port", True, "whole number"),
    ("port", "8080.5", "whole number"),
    ("port", "", "whole number"),
    ("port", "²", "whole number"),
    ("port", "--1", "whole number"),
    ("public_url", "exams.example.org", "https://exams.example.org"),
    ("public_url", "ftp://exams.example.org", "https://exams.example.org"),
    ("public_url", "https://", "https://exams.example.org"),
    ("public_url", "https://exams.example.org/seb", "root of a host name"),
    ("public_url", "https://ada:pw@exams.example.org", "without user"),
    ("public_url", "https://exams.example.org?x=1", "without user"),
    ("public_url", "https://[", "https://exams.example.org"),
    ("public_url", "https://exams.example.org:port", ":8443"),
    ("trusted_proxies", "proxy.example.org", "10.0.0.0/24"),
    ("trusted_proxies", "10.0.0.1/8/8", "10.0.0.0/24"),
    ("stun_urls", "stun.example.org", "stun:"),
    ("turn_urls", "http://turn.example.org", "turn:"),
    ("turn_lifetime", "12h", "whole number"),
    ("turn_lifetime", 59, "from 60"),
    ("place_grace", 19, "from 20"),
    ("session_hours", 0, "from 1"),
    ("session_hours", 169, "to 168"),
    ("max_events_per_connection", 99, "from 100"),
    ("log_level", "loud", "debug, info, warning, error"),
    ("log_format", "xml", "console, json"),
    ("tls_certificate", "/no/such/cert.pem", "tls_key"),
    ("tls_key", "/no/such/key.pem", "tls_certificate"),
    ("secret_key_file", "/no/such/file", "there is no file"),
    ("turn_urls", "turn:turn.example.org", "turn_secret"),
]


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
@pytest.mark.parametrize(("name", "value", "remedy"), BAD, ids=lambda value: repr(value)[:40])
def test_a_wrong_value_names_the_setting_the_source_and_the_remedy(
    name: str, value: Any, remedy: str, source: str, tmp_path: Path
) -> None:
    flags: dict[str, Any] = {"data_dir": tmp_path}
    environment: dict[str, str] = {}
    match source:
        case "flag":
            flags[name] = value
        case "environment":
            if value == "":
                pytest.skip("an empty variable counts as not set")
            environment[f"INVIGILO_{name.upper()}"] = str(value)
        case _:
            shown = str(value).lower() if isinstance(value, bool) else repr(value)
            (tmp_path / "invigilo.toml").write_text(f"{name} = {shown}\n")
    with pytest.raises(BadInput) as refused:
        _read(flags, **environment)
    assert remedy in refused.value.message
    mentioned = {name, name.replace("_", "-")} | ({remedy} if remedy in TABLE else set())
    assert any(one in refused.value.message for one in mentioned)
    assert refused.value.message.endswith((".", "!"))
    assert "Traceback" not in refused.value.message


@pytest.mark.parametrize("text", ["port = ", "port 8080", "[[", "\x00", "host = 'a'\nhost = 'b'"])
def test_a_file_that_is_no_toml_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "invigilo.toml").write_text(text)
    with pytest.raises(BadInput, match=r"invigilo\.toml cannot be read"):
        _read({"data_dir": tmp_path})


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "invigilo.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"invigilo\.toml cannot be read"):
        _read({"data_dir": tmp_path})


def test_a_misspelt_setting_in_the_file_is_not_ignored(tmp_path: Path) -> None:
    (tmp_path / "invigilo.toml").write_text("pulic_url = 'https://exams.example.org'")
    with pytest.raises(BadInput, match=r"no setting 'pulic_url'\. Did you mean 'public_url'"):
        _read({"data_dir": tmp_path})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        _read(file=tmp_path / "missing.toml")


@pytest.mark.parametrize("name", ["secret_key", "turn_secret"])
def test_secrets_print_as_stars(name: str) -> None:
    settings = _read({name: "correct horse"})
    assert getattr(settings, name).reveal() == "correct horse"
    assert "correct horse" not in f"{settings!r} {settings} {getattr(settings, name)!s:>5}"


def test_a_wrong_secret_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "invigilo.toml").write_text("turn_secret = 'hush'\nturn_urls = ['http://hush']\n")
    with pytest.raises(BadInput) as refused:
        _read({"data_dir": tmp_path})
    assert "'hush'" not in refused.value.message


def test_equal_secrets_are_equal() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize("name", TABLE)
def test_every_setting_has_a_help_and_can_be_set_by_environment(name: str) -> None:
    help_ = TABLE[name].metadata["help"]
    assert re.fullmatch(r"[A-Z].+\.", help_, re.DOTALL)
    good = {
        "data_dir": "x", "port": "1", "max_events_per_connection": "100", "session_hours": "1",
        "turn_lifetime": "60", "place_grace": "20", "log_level": "info", "log_format": "json",
        "public_url": "http://a", "trusted_proxies": "::1", "stun_urls": "stun:a",
    }  # fmt: skip
    environment = {f"INVIGILO_{name.upper()}": good.get(name, "text")}
    if name in {"tls_certificate", "tls_key", "secret_key_file", "turn_urls"}:
        environment[f"INVIGILO_{name.upper()}"] = "turn:a" if name == "turn_urls" else "/no/such/file"
        with pytest.raises(BadInput):
            _read(**environment)
        return
    assert getattr(_read(**environment), name) != TABLE[name].default or name == "log_level"
