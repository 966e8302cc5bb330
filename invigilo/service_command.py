"""The command `invigilo service test`: prove a meeting service from a file, step by step, without any database.

The file declares one service: `service = "jitsi"` and its fields by name. A secret may stand in a file of its own, named by
`<field>_file` and looked for beside the TOML file. Exit status 0 when no step failed, 1 when one did, 2 for a file that
cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import tomllib
from contextlib import aclosing
from pathlib import Path
from typing import Any

from invigilo.clock import SystemClock
from invigilo.commands import read_text, say
from invigilo.declared.services import read_values
from invigilo.errors import BadInput
from invigilo.providers.description import DESCRIPTIONS, BadFields, ServiceDescription, check_values
from invigilo.providers.proof import Outcome, Patience, Step, prove
from invigilo.settings import Settings
from invigilo.web.catalogue import Catalogue

SIGNS = {Outcome.OK: "✓", Outcome.FAILED: "✗", Outcome.NOT_PROVABLE: "?"}
_SAID_BY_THE_PROOF = frozenset(
    {
        "app_id_form",
        "key_id_form",
        "key_id_of_other_app",
        "key_not_rsa",
        "key_too_short",
        "not_pem",
        "public_key",
    }
    | {"key_has_passphrase"}
)
"""Problems of JaaS keys that are steps of the proof themselves (live-proctoring.md §2.9 A1)."""


def run(arguments: argparse.Namespace, _settings: Settings, *, patience: Patience | None = None) -> int:
    description, values = read_service(Path(arguments.file))
    trust = _trust(arguments.ca_file)
    steps = asyncio.run(_test(description, values, arguments, trust, patience))
    failed = sum(step.outcome is Outcome.FAILED for step in steps)
    if not arguments.json:
        proven = sum(step.outcome is Outcome.OK for step in steps)
        say(f"{proven} of {len(steps)} steps proven, {failed} failed.")
    return 1 if failed else 0


async def _test(
    description: ServiceDescription,
    values: dict[str, str],
    arguments: argparse.Namespace,
    trust: ssl.SSLContext | None,
    patience: Patience | None,
) -> list[Step]:
    catalogue = Catalogue.load()
    found: list[Step] = []
    steps = prove(description.service, values, clock=SystemClock(), trust=trust, patience=patience)
    async with aclosing(steps):
        async for step in steps:
            found.append(step)
            for line in _lines(step, catalogue, arguments):
                say(line)
    return found


def _lines(step: Step, catalogue: Catalogue, arguments: argparse.Namespace) -> list[str]:
    sentences = sentences_of(step, catalogue, arguments.language)
    if arguments.json:
        return [json.dumps(step.as_json() | sentences, ensure_ascii=False)]
    lines = [f"{SIGNS[step.outcome]} {step.number:2} {sentences['title']}"]
    if sentences["finding"]:
        lines.append(f"     {sentences['finding']}")
    if sentences["next"]:
        lines.append(f"     → {sentences['next']}")
    return lines


def sentences_of(step: Step, catalogue: Catalogue, language: str) -> dict[str, str]:
    """What people read of a step: what was tried, what was found, what to do. Pages say the same."""
    values: dict[str, object] = dict(step.values)
    if "step" in values:
        values["step"] = catalogue.text(language, f"proof.{values['step']}", **step.values)
    return {
        "title": catalogue.text(language, f"proof.{step.code}", **step.values),
        "finding": catalogue.text(language, f"proof.cause.{step.cause}", **values) if step.cause else "",
        "next": catalogue.text(language, f"proof.remedy.{step.remedy}", **values) if step.remedy else "",
    }


# --- the file ---


def read_service(path: Path) -> tuple[ServiceDescription, dict[str, str]]:
    """One declared service, its secrets read in. Raises BadInput that names the field."""
    content = _toml(path)
    kind = content.pop("service", None)
    description = DESCRIPTIONS.get(kind) if isinstance(kind, str) else None
    if description is None:
        raise BadInput(f"{path}: service is one of {', '.join(DESCRIPTIONS)}.", field="service")
    try:
        values = read_values(content, description, path.parent)
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", field=error.field) from error
    try:
        return description, check_values(description, values, stored=frozenset())
    except BadFields as bad:
        others = [p for p in bad.problems if p.code not in _SAID_BY_THE_PROOF]
        if description.service != "jaas" or others:
            raise BadInput(
                "\n".join([f"{path} cannot be used:", *(f"  {p.field}: {p.sentence}" for p in bad.problems)]),
                field=bad.field,
            ) from bad
        defaults = {f.name: f.default for f in description.fields if f.default}
        return description, defaults | {name: value.strip() for name, value in values.items()}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(str(path), "file"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is no TOML: {error}.") from error


def _trust(ca_file: str | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"--ca-file: {ca_file} holds no certificate in PEM form that can be read.") from error
    return context
