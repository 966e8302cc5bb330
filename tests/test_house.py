"""House rules no linter knows: which way imports point, that texts exist in every language, that pages ask nobody else."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from invigilo import errors
from invigilo.cli import COMMANDS, parser
from invigilo.log import scrub  # noqa: F401  (part of the public face: kept importable)
from invigilo.settings import TABLE, settings_page
from invigilo.web.catalogue import Catalogue

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "invigilo"
WEB = PACKAGE / "web"

BASE = {"errors", "fields", "clock", "bus", "secrets_box", "settings", "log"}
ROOMS = ["accounts", "configurations", "exams", "monitoring", "proctoring"]
MAY = {
    "storage": BASE | {"models"},
    "providers": BASE | {"models"},
    "sebconfig": {"errors"},
    "rtc": BASE,
    "activity": BASE | {"models", "storage"},
    "accounts": BASE | {"models", "storage", "activity"},
    "configurations": BASE | {"models", "storage", "activity", "accounts", "sebconfig"},
    "exams": BASE | {"models", "storage", "activity", "accounts", "configurations", "sebconfig", "providers"},
    "monitoring": BASE | {"models", "storage", "activity", "accounts", "exams"},
    "proctoring": BASE
    | {
        "models",
        "storage",
        "activity",
        "accounts",
        "exams",
        "monitoring",
        "providers",
        "configurations",
        "sebconfig",
    },
    "exam_api": BASE | {"models", "storage", "sebconfig", "activity", *ROOMS},
    "web": BASE | {"models", "storage", "sebconfig", "activity", "rtc", "health", "exam_api.wire", *ROOMS},
    "fields": {"errors"},
    "simulate": BASE | {"models", "sebconfig", "providers", "commands"},
    "health": BASE | {"storage", *ROOMS},
    "jobs": BASE | {"storage", "rtc", *ROOMS},
    "declared": BASE | {"models", "storage", "activity", "sebconfig", "providers", *ROOMS},
}
"""Room → what it may import. `models` is model.py of any room; app, cli, commands, demo and doctor may import all."""
PURE = {"model", "rules"}
UNCLEAN = (
    "sqlalchemy",
    "litestar",
    "uvicorn",
    "aiohttp",
    "invigilo.storage",
    "invigilo.web",
    "invigilo.providers",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(file.read_text("utf-8"))


def imports_of(tree: ast.Module) -> set[str]:
    """Whole names imported at run time; what only type checkers see is left out."""
    hidden: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            hidden |= {id(inner) for inner in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def offences(name: str, imports: set[str]) -> list[str]:
    parts = name.split(".")
    if len(parts) < 2 or parts[1] not in MAY:
        return []
    room, allowed = parts[1], MAY[parts[1]]
    wrong = []
    for one in imports:
        there = one.split(".")
        if there[0] != "invigilo" or len(there) < 2 or there[1] == room or there[1].startswith("__"):
            continue
        is_model = len(there) > 2 and there[2] == "model" and "models" in allowed
        if not (there[1] in allowed or ".".join(there[1:3]) in allowed or is_model):
            wrong.append(f"{name} imports {one}")
    return wrong


def test_imports_point_one_way() -> None:
    """style.md §2: a room may use those to its left; only app joins everything."""
    assert [wrong for name, tree in modules() for wrong in offences(name, imports_of(tree))] == []


def test_models_and_rules_know_no_database_and_no_web() -> None:
    wrong = [
        f"{name} imports {one}"
        for name, tree in modules()
        if name.rpartition(".")[2] in PURE
        for one in imports_of(tree)
        if one.startswith(UNCLEAN)
    ]
    assert wrong == []


def test_nothing_imports_tests() -> None:
    assert [
        name
        for name, tree in modules()
        if any(one.split(".")[0] in {"tests", "bench", "scripts"} for one in imports_of(tree))
    ] == []


def test_a_wrong_import_would_be_seen() -> None:
    """The check itself is checked."""
    tree = ast.parse("from invigilo.web.parts import Site\nimport invigilo.app")
    assert offences("invigilo.monitoring.rules", imports_of(tree)) != []


def test_rooms_import_each_other_in_no_ring() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for name, tree in modules():
        parts = name.split(".")
        for one in imports_of(tree):
            there = one.split(".")
            is_inside = there[0] == "invigilo" and len(there) > 2 and len(parts) > 2
            if (
                is_inside
                and parts[1] in ROOMS
                and there[1] in ROOMS
                and there[1] != parts[1]
                and there[2] != "model"
            ):
                graph[parts[1]].add(there[1])
    for room, uses in list(graph.items()):
        for other in uses:
            assert room not in graph.get(other, set()), f"{room} and {other} import each other"


# --- texts ---


@pytest.mark.parametrize("part", sorted(file.stem for file in (WEB / "messages" / "en").glob("*.json")))
def test_every_text_is_there_in_both_languages(part: str) -> None:
    english, german = (
        json.loads((WEB / "messages" / language / f"{part}.json").read_text("utf-8"))
        for language in ("en", "de")
    )
    assert english.keys() == german.keys()
    for key in english:
        assert set(re.findall(r"\{(\w+)\}", english[key])) == set(re.findall(r"\{(\w+)\}", german[key])), key


def test_every_problem_has_its_german_text() -> None:
    """English stands at the rule; what the rule fills in must have its hole in German too."""
    texts = Catalogue.load().texts["de"]
    code = re.compile(r"""(?:\bProblem\(\s*[^,()]+|\.wrong\(\s*[^,()]+),\s*"([a-z_]+)\"""")
    asked = {
        f"{name}: {found}": f"problem.{found}"
        for file in PACKAGE.rglob("*.py")
        for name, found in ((file.name, one) for one in code.findall(file.read_text("utf-8")))
    }
    assert len(asked) > 10
    assert [where for where, key in asked.items() if key not in texts] == []


@dataclass(frozen=True)
class Said:
    """A sentence people are told, as it stands in the source."""

    key: str
    holes: frozenset[str]
    where: str


SAY = {"Sentence", "PasswordNeeded"} | {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
}
ALWAYS_ENGLISH = {
    *("connect_again", "institution", "no_exam", "no_running_exam", "other_exam", "token_not_known"),
    "foreign_report",
    *("database_too_new", "unknown_revision"),
}
"""What only SEB, meeting services and commands are told."""
READ_BY_PROCTORS = (
    "invigilo.monitoring",
    "invigilo.proctoring",
    "invigilo.web.pages",
    "invigilo.web.sockets",
)
"""Where whatever is not found or not allowed needs a key, too."""


def sentences(name: str, tree: ast.Module) -> Iterator[Said]:
    """Every Refused, every Sentence, and other errors that have a key or should have one."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAY):
            continue
        kind, named = node.func.id, {one.arg: one.value for one in node.keywords}
        begins_with_key = kind in {"Refused", "Sentence"}
        texts = [one for one in node.args if isinstance(one, ast.JoinedStr | ast.Constant)]
        if kind == "Refused" and len(node.args) == 2 and node.args[1] not in texts:
            continue  # its Sentence is checked where it is made
        key = named.get("key") or (node.args[0] if begins_with_key else None)
        if key is None and not (kind in {"NotFound", "NotAllowed"} and name.startswith(READ_BY_PROCTORS)):
            continue
        values = node.args[2] if len(node.args) > 2 and kind == "Sentence" else named.get("values")
        holes = frozenset(ast.literal_eval(one) for one in getattr(values, "keys", []))
        yield Said("" if key is None else _constant(key), holes, f"{name}:{node.lineno}")


def _constant(node: ast.expr) -> str:
    return getattr(errors, node.id) if isinstance(node, ast.Name) else ast.literal_eval(node)


def test_every_refusal_has_its_german_sentence() -> None:
    """English stands where it is said; what it fills in must have its hole in German too."""
    german = Catalogue.load().texts["de"]
    said = [one for name, tree in modules() if name != "invigilo.errors" for one in sentences(name, tree)]
    assert len(said) > 100
    wanted = [one for one in said if one.key not in ALWAYS_ENGLISH]
    assert [one.where for one in wanted if f"refused.{one.key}" not in german] == []
    assert [one.where for one in wanted if Catalogue.holes(german[f"refused.{one.key}"]) != one.holes] == []
    unsaid = {f"refused.{one.key}" for one in said}
    assert [key for key in german if key.startswith("refused.") and key not in unsaid] == []


def test_a_refusal_without_german_would_be_seen() -> None:
    """The check itself is checked."""
    tree = ast.parse('Refused("full", f"{n} are here.", values={"n": n})\nNotFound("Gone.")')
    seen = [(one.key, one.holes) for one in sentences("invigilo.proctoring.calls", tree)]
    assert seen == [("full", {"n"}), ("", frozenset())]
    assert [one.key for one in sentences("invigilo.accounts.people", tree)] == ["full"]


def test_every_text_asked_for_exists() -> None:
    texts = Catalogue.load().texts["en"]
    templates = r"\bt\('([\w.]+)'\s*[,)]"
    scripts = r"\bt\(\"([\w.]+)\""
    asked = {
        f"{file.name}: {key}": key
        for folder, pattern in (("templates/**/*.html", templates), ("static/proctor/*.js", scripts))
        for file in WEB.glob(folder)
        for key in re.findall(pattern, file.read_text("utf-8"))
    }
    assert [where for where, key in asked.items() if key not in texts and f"proctor.{key}" not in texts] == []


# --- pages ---


def test_pages_hold_nothing_inline_and_ask_nobody_else() -> None:
    """The Content-Security-Policy would stop it; this says so before a browser does."""
    for file in (WEB / "templates").rglob("*.html"):
        text = file.read_text("utf-8")
        assert not re.search(r"\sstyle=|\son\w+=|<style", text), file.name
        assert not re.search(r"<script(?![^>]*(src=|application/json))", text), file.name
        assert not re.search(r"(src|href)=\"(https?:)?//", text), file.name
    for file in (WEB / "static").rglob("*.*"):
        if file.suffix in {".js", ".css"}:
            addresses = re.findall(r"https?://[^\s\"'`)]+", file.read_text("utf-8"))
            assert [one for one in addresses if "www.w3.org" not in one] == [], file.name


# --- documents ---


def test_every_command_helps(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            parser().parse_args([command, "--help"])
        assert ended.value.code == 0
        assert "--data-dir" in capsys.readouterr().out


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page == settings_page(), "run `make docs`"
    assert all(f"`{name}`" in page for name in TABLE)


def test_every_direct_dependency_is_justified() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [re.match(r"[a-z0-9-]+", one)[0] for one in project["dependencies"]]
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8").lower()
    assert [name for name in declared if f"| {name}" not in page] == []


def test_lock_files_pin_with_hashes_and_name_no_host() -> None:
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text("utf-8")
        assert "://" not in text
        for line in text.splitlines():
            if line and not line.startswith((" ", "#")):
                assert "==" in line, f"{file.name}: {line}"
        assert text.count("==") <= text.count("--hash=sha256:")
