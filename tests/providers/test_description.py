"""What an administrator may enter for a meeting service, and what is said about the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invigilo.errors import BadInput
from invigilo.providers.description import (
    BUILTIN,
    DESCRIPTIONS,
    JAAS,
    JITSI,
    PROBLEMS,
    BadFields,
    ServiceDescription,
    check_values,
)
from tests.providers.keys import (
    OTHER_APP_ID,
    ec_key,
    jaas_values,
    jitsi_values,
    public_half,
    rsa_key,
    sealed_key,
)

MESSAGES = Path(__file__).resolve().parents[2] / "invigilo" / "web" / "messages"


def problems(
    description: ServiceDescription, values: dict[str, str], stored: frozenset[str] = frozenset()
) -> dict[str, str]:
    with pytest.raises(BadFields) as refused:
        check_values(description, values, stored=stored)
    return {one.field: one.code for one in refused.value.problems}


def test_a_plain_jitsi_is_taken_and_completed_with_defaults() -> None:
    kept = check_values(
        JITSI, jitsi_values(server_url=" https://Meet.example.org:8443/seb/ "), stored=frozenset()
    )
    assert kept["server_url"] == "https://meet.example.org:8443/seb"
    assert (kept["algorithm"], kept["audience"], kept["subject"], kept["issuer"]) == (
        "HS256",
        "jitsi",
        "*",
        "",
    )
    assert "events_secret" not in kept


@pytest.mark.spec("live-proctoring", 2)
def test_all_that_is_missing_is_said_at_once() -> None:
    assert problems(JITSI, {}) == {
        "server_url": "missing", "app_id": "missing", "app_secret": "missing_secret",
    }  # fmt: skip
    assert problems(JAAS, {}) == {"app_id": "missing", "key_id": "missing", "private_key": "missing"}
    with pytest.raises(BadInput, match=r"server_url: .* app_id: .* app_secret: "):
        check_values(JITSI, {}, stored=frozenset())


@pytest.mark.spec("live-proctoring", 4)
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://meet.example.org", "url_https"),
        ("meet.example.org", "url_absolute"),
        ("https://", "url_absolute"),
        ("https://meet.example.org:port", "url_absolute"),
        ("https://meet example.org", "url_absolute"),
        ("https://meet.example.org\\@evil.example", "url_absolute"),
        ("https://ada:north@meet.example.org", "url_user"),
        ("https://meet.example.org/?", "url_query"),
        ("https://meet.example.org/?jwt=x", "url_query"),
        ("https://meet.example.org/#config", "url_fragment"),
        ("ftp://meet.example.org", "url_https"),
        ("javascript://meet.example.org/", "url_https"),
        ("https://[::1", "url_absolute"),
    ],
)
def test_an_address_is_https_and_nothing_but_an_address(url: str, code: str) -> None:
    assert problems(JITSI, jitsi_values(server_url=url)) == {"server_url": code}


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_this_machine_may_be_called_without_tls(url: str) -> None:
    assert check_values(JITSI, jitsi_values(server_url=url), stored=frozenset())["server_url"] == url


@pytest.mark.spec("live-proctoring", 6)
def test_a_blank_secret_keeps_the_old_one() -> None:
    kept = check_values(JITSI, jitsi_values(app_secret=""), stored=frozenset({"app_secret"}))
    assert "app_secret" not in kept
    kept = check_values(JAAS, jaas_values(private_key=" "), stored=frozenset({"private_key"}))
    assert "private_key" not in kept


def test_an_asymmetric_jitsi_needs_key_and_key_id() -> None:
    values = jitsi_values(algorithm="RS256", app_secret="")
    assert problems(JITSI, values) == {"private_key": "missing_secret", "key_id": "missing_secret"}
    check_values(JITSI, values | {"key_id": "exam", "private_key": rsa_key()}, stored=frozenset())


@pytest.mark.spec("live-proctoring", 16)
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("private_key", ec_key(), "key_not_rsa"),
        ("private_key", public_half(), "public_key"),
        ("private_key", sealed_key(), "key_has_passphrase"),
        ("private_key", rsa_key("short", 1024), "key_too_short"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not_pem"),
        ("private_key", "north", "not_pem"),
        ("app_id", "vpaas-magic-cookie-123", "app_id_form"),
        ("app_id", OTHER_APP_ID, "key_id_of_other_app"),
        ("key_id", "", "missing"),
        ("key_id", "a/b", "key_id_form"),
        ("key_id", "spaced out", "key_id_form"),
    ],
)
def test_each_mistake_with_a_jaas_key_has_its_own_name(field: str, value: str, code: str) -> None:
    assert list(problems(JAAS, jaas_values(**{field: value})).values()) == [code]


def test_what_is_unknown_or_no_choice_is_refused() -> None:
    assert problems(JITSI, jitsi_values(algorithm="none", colour="red")) == {
        "algorithm": "not_a_choice", "colour": "unknown",
    }  # fmt: skip
    assert problems(BUILTIN, {"server_url": "https://x.example"}) == {"server_url": "unknown"}
    assert problems(JITSI, jitsi_values(xmpp_domain="meet..jitsi")) == {"xmpp_domain": "domain"}
    assert problems(JITSI, jitsi_values(app_secret="short")) == {"app_secret": "short_secret"}


@given(st.dictionaries(st.sampled_from([f.name for f in JITSI.fields] + ["x"]), st.text(max_size=40)))
def test_whatever_is_entered_is_taken_or_explained(values: dict[str, str]) -> None:
    for description in DESCRIPTIONS.values():
        try:
            check_values(description, values, stored=frozenset())
        except BadFields as refused:
            found = refused.problems
        else:
            continue
        assert all(one.sentence for one in found)


def test_no_secret_is_quoted_in_a_refusal() -> None:
    with pytest.raises(BadFields) as refused:
        check_values(
            JITSI, jitsi_values(app_secret="nór\x00th-and-south", server_url="x"), stored=frozenset()
        )
    assert "south" not in f"{refused.value} {refused.value.problems}"


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_field_problem_and_limitation_has_its_text(language: str) -> None:
    texts = json.loads((MESSAGES / language / "service.json").read_text("utf-8"))
    wanted = {f"service.problem.{code}" for code in PROBLEMS}
    for one in DESCRIPTIONS.values():
        wanted |= {f"service.{one.service}.title", f"service.{one.service}.help"}
        wanted |= {f"service.{one.service}.{f.name}{end}" for f in one.fields for end in ("", ".help")}
        wanted |= {f"service.cannot.{code}" for code in one.cannot}
    assert set(texts) == wanted
    if language == "en":
        assert all(texts[f"service.problem.{code}"] == sentence for code, sentence in PROBLEMS.items())
