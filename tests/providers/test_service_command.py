"""`invigilo service test FILE.toml`: the proof without pages, and its texts."""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from invigilo import service_command
from invigilo.cli import main, parser
from invigilo.errors import BadInput
from invigilo.providers import jitsi_site, proof, zoom_client, zoom_proof
from invigilo.providers.steps import (
    JAAS_STEPS,
    JITSI_STEPS,
    NUMBERS,
    STEPS,
    WITHOUT_REMEDY,
    ZOOM_STEPS,
    Outcome,
)
from invigilo.settings import Settings
from invigilo.simulate.jitsi import Mood, jitsi_stand_in
from invigilo.web.catalogue import Catalogue
from tests.logged import logging_in_memory
from tests.providers.keys import APP_ID, ec_key, jaas_values
from tests.providers.proving import QUICK, SECRET, WELL

CATALOGUE = Catalogue.load()


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "service.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items()), "utf-8")
    return path


async def exit_status(path: Path, *flags: str) -> int:
    arguments: argparse.Namespace = parser().parse_args(["service", "test", str(path), *flags])
    return await asyncio.to_thread(service_command.run, arguments, Settings(), patience=QUICK)


async def test_a_service_that_is_well_ends_with_0_and_says_each_step(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n", "utf-8")
    async with jitsi_stand_in(WELL) as stand_in:
        path = written(
            tmp_path, service="jitsi", server_url=stand_in.url, app_id="exam-office", app_secret_file="secret"
        )
        assert await exit_status(path) == 0
        assert await exit_status(path, "--json") == 0
    said = capsys.readouterr().out
    assert "✓ J2 Our token is accepted" in said
    assert f"{len(JITSI_STEPS) - 2} of {len(JITSI_STEPS)} steps proven, 0 failed." in said
    steps = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert [one["step"] for one in steps] == list(JITSI_STEPS)
    assert {one["outcome"] for one in steps} == {"ok", "not_provable"}


async def test_one_step_that_fails_ends_with_1_and_names_the_setting(tmp_path: Path, capsys: Any) -> None:
    async with jitsi_stand_in(WELL, Mood.AUTO_OWNER) as stand_in:
        path = written(
            tmp_path, service="jitsi", server_url=stand_in.url, app_id="exam-office", app_secret=SECRET
        )
        assert await exit_status(path, "--language", "de") == 1
    said = capsys.readouterr().out
    assert "ENABLE_AUTO_OWNER=0" in said
    assert "Ein Prüfling allein im Raum wird nicht Moderator" in said


async def test_neither_output_nor_log_holds_a_secret_or_a_token(tmp_path: Path, capsys: Any) -> None:
    with logging_in_memory("debug") as log:
        for mood in (Mood.WELL, Mood.OTHER_SECRET, Mood.NOT_A_JITSI, Mood.BOSH_ONLY, Mood.SECURE_DOMAIN):
            async with jitsi_stand_in(WELL, mood) as stand_in:
                path = written(
                    tmp_path,
                    service="jitsi",
                    server_url=stand_in.url,
                    app_id="exam-office",
                    app_secret=SECRET,
                )
                await exit_status(path, "--json")
    everything = capsys.readouterr().out + log.getvalue()
    assert SECRET not in everything
    assert not re.search(r"eyJ[\w-]{10,}\.", everything)


def test_a_jaas_key_of_another_kind_is_a_step_that_fails(tmp_path: Path, capsys: Any) -> None:
    """Nothing was asked of anybody, and the exit status says so too."""
    path = written(
        tmp_path, service="jaas", **jaas_values(private_key=ec_key(), server_url="http://127.0.0.1:9")
    )
    assert main(["service", "test", str(path)]) == 1
    assert "✗ A1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "service is one of builtin, jitsi, jaas"),
        ({"service": "teams"}, "service is one of"),
        ({"service": ["jitsi"]}, "service is one of"),
        (
            {"service": "jitsi"},
            "server_url: This is needed. app_id: This is needed. app_secret: This is needed",
        ),
        ({"service": "jitsi", "sever_url": "x"}, "Did you mean server_url?"),
        ({"service": "jitsi", "app_id_file": "x"}, "has no field app_id_file"),
        ({"service": "jitsi", "app_id": 7}, "put it in quotes"),
        ({"service": "jitsi", "app_secret_file": "nowhere"}, "cannot be read"),
        ({"service": "jitsi", "app_secret_file": 7}, "name of a file"),
        ({"service": "jaas", "app_id": APP_ID}, "key_id: This is needed"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, fields: dict[str, Any], words: str, capsys: Any
) -> None:
    path = written(tmp_path, **fields)
    assert main(["service", "test", str(path)]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_no_file_and_no_toml_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        service_command.read_service(tmp_path / "nowhere.toml")
    (tmp_path / "broken.toml").write_text("service =", "utf-8")
    with pytest.raises(BadInput, match="no TOML"):
        service_command.read_service(tmp_path / "broken.toml")


def test_the_builtin_service_has_nothing_to_prove(tmp_path: Path) -> None:
    assert main(["service", "test", str(written(tmp_path, service="builtin"))]) == 0


def test_an_authority_that_cannot_be_read_is_said_so(tmp_path: Path, capsys: Any) -> None:
    path = written(tmp_path, service="builtin")
    assert main(["service", "test", str(path), "--ca-file", str(tmp_path / "ca.pem")]) == 2
    assert "--ca-file" in capsys.readouterr().err


# --- texts ---


def causes() -> set[str]:
    """Every cause a proof can give, read from its source."""
    found: set[str] = {cause for _, cause in proof._TEXTS if cause not in {"wrong_signature", "key_unknown"}}
    for module in (proof, jitsi_site, zoom_proof, zoom_client):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="ProofFailed" | "_Unproven" | "SiteFault" | "Step" | "Unreachable"),
                    args=args,
                ):
                    found |= {c.value for arg in args for c in ast.walk(arg) if isinstance(c, ast.Constant)}
                case ast.Return(value=ast.Constant(value=str(value))):
                    found.add(value)
                case ast.Return(value=ast.IfExp() as choice):
                    found |= {c.value for c in ast.walk(choice) if isinstance(c, ast.Constant)}
                case ast.Return(value=ast.Tuple(elts=[ast.Constant(value=str(value)), *_])):
                    found.add(value)
                case ast.Assign(value=ast.IfExp(body=ast.Constant(value=str(value)))):
                    found.add(value)
    words = {one for one in found if isinstance(one, str) and re.fullmatch(r"[a-z_]{3,}", one)}
    nothing = {
        *NUMBERS,
        "true",
        "host",
        "other_host",
        "proctor",
        "candidate",
        "seconds",
        "type",
        "rooms",
        "capacity",
    }
    return words - nothing | {"jicofo_down", *zoom_client._TOKEN_CAUSES.values()}


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_step_cause_and_remedy_has_its_text(language: str) -> None:
    texts = json.loads(
        (Path(service_command.__file__).parent / "web" / "messages" / language / "proof.json").read_text(
            "utf-8"
        )
    )
    known = {key.removeprefix("proof.cause.") for key in texts if key.startswith("proof.cause.")}
    assert causes() <= known
    assert {f"proof.remedy.{c}" for c in known - WITHOUT_REMEDY} <= set(texts)
    assert {f"proof.{code}" for code in (*JITSI_STEPS, *JAAS_STEPS, *ZOOM_STEPS)} <= set(texts)
    assert {f"proof.outcome.{one.value}" for one in Outcome} <= set(texts)
    assert set(STEPS) == {"builtin", "jitsi", "jaas", "zoom"}


def test_both_languages_have_the_same_texts_with_the_same_holes() -> None:
    for part in ("proof.", "service."):
        english, german = (
            {k: v for k, v in CATALOGUE.texts[language].items() if k.startswith(part)}
            for language in ("en", "de")
        )
        assert english.keys() == german.keys()
        for key in english:
            assert Catalogue.holes(english[key]) == Catalogue.holes(german[key]), key


def test_every_remedy_stands_in_the_documentation() -> None:
    """docs/providers/ says what each failed step means, in the words of the pages."""
    folder = Path(__file__).resolve().parents[2] / "docs" / "providers"
    pages = "".join(page.read_text("utf-8") for page in folder.glob("*.md"))
    for key, sentence in CATALOGUE.texts["en"].items():
        if key.startswith("proof.remedy."):
            assert sentence.replace("{", "‹").replace("}", "›") in pages, key
