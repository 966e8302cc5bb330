"""The commands as people type them: a real process, its words and its exit status."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from invigilo import __version__
from invigilo.cli import COMMANDS, main, parser
from invigilo.sebconfig.connection_file import read_connection_file
from tests.server import PASSWORD, SET_UP

PATIENCE = 120  # seconds for a process to start on a busy machine


def _run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("INVIGILO_")}
    return subprocess.run(
        [sys.executable, "-m", "invigilo.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
        env=clean | {"PYTHONIOENCODING": "utf-8"} | environment,
        check=False,
    )


# --- help, without a process: nothing of it needs one ---


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: invigilo {command}" in shown
    assert f"Example: invigilo {command}" in " ".join(shown.split())


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert [command for command in COMMANDS if command not in shown] == []


@pytest.mark.parametrize(
    "arguments", [[], ["frobnicate"], ["serve", "--port", "x"], ["apply"], ["user", "fly"], ["serve", "-x"]]
)
def test_a_wrong_call_says_how_and_ends_with_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert "usage: invigilo" in capsys.readouterr().err


def test_a_wrong_setting_stops_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "invigilo.toml").write_text("prot = 1")
    assert main(["migrate", "--data-dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("invigilo: ")
    assert "Did you mean 'port'?" in said
    assert list(tmp_path.iterdir()) == [tmp_path / "invigilo.toml"]


# --- real processes: few, for each takes a second or more to start ---


def test_the_program_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"invigilo {__version__}\n"


def _call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The same without a process."""
    status = main([str(one) for one in arguments])
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def test_migrate_makes_the_database_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = _run("migrate", INVIGILO_DATA_DIR=str(tmp_path / "new"))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("Migrated from empty to ")
    assert (tmp_path / "new" / "invigilo.sqlite3").stat().st_size > 0
    assert _call(capsys, "migrate", "--data-dir", tmp_path / "new") == (0, "Nothing to do.\n", "")
    status, listed, _ = _call(capsys, "migrate", "--list", "--data-dir", tmp_path / "new")
    assert (status, listed[:2]) == (0, "→ ")
    status, _, said = _call(capsys, "migrate", "--to", "9999", "--data-dir", tmp_path / "new")
    assert (status, "There is no revision '9999'" in said) == (2, True)


def test_a_folder_that_cannot_be_made_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for command in (["migrate"], ["user", "list"]):
        status, _, said = _call(capsys, *command, "--data-dir", tmp_path / "file" / "below")
        assert status == 2
        assert said.startswith("invigilo: ")
        assert "Check --data-dir" in said


def test_apply_reports_json_and_writes_connection_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice: the second time nothing changes. The secret is in the file, not on the screen."""
    text = SET_UP.replace('client_secret = "0123456789abcdef"', "ping_interval = 2000")
    (tmp_path / "exams.toml").write_text(text)
    arguments = [
        "apply", tmp_path / "exams.toml", "--json", "--data-dir", tmp_path / "data",
        "--connection-files", tmp_path / "files", "--server", "https://exams.example.org",
    ]  # fmt: skip
    first = _run(*arguments)
    assert (first.returncode, first.stderr) == (0, "")
    report = json.loads(first.stdout)
    assert [change["deed"] for change in report["changes"]] == ["created"] * 5
    assert report["connection_files"] == [str(tmp_path / "files" / "lab-pcs.seb")]
    file = read_connection_file((tmp_path / "files" / "lab-pcs.seb").read_bytes())
    assert (file.server_url, file.client_id) == ("https://exams.example.org", "lab-pcs")
    assert file.ping_interval == timedelta(seconds=2)
    assert len(file.client_secret) >= 32
    assert file.client_secret not in first.stdout

    status, second, _ = _call(capsys, *arguments)
    assert (status, json.loads(second)["changes"], json.loads(second)["unchanged"]) == (0, [], 5)
    again = read_connection_file((tmp_path / "files" / "lab-pcs.seb").read_bytes())
    assert again.client_secret == file.client_secret


def test_apply_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "exams.toml").write_text(SET_UP)
    _, shown, _ = _call(capsys, "apply", tmp_path / "exams.toml", "--data-dir", tmp_path / "data")
    assert shown.splitlines()[0] == "created institution 'Example University'"
    assert shown.splitlines()[-1] == "5 changed, 0 unchanged."


def test_apply_with_mistakes_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "exams.toml").write_text(SET_UP.replace('role = "exam_admin"', 'role = "boss"'))
    arguments = ["apply", tmp_path / "exams.toml", "--json", "--data-dir", tmp_path / "data"]
    status, shown, said = _call(capsys, *arguments)
    assert (status, shown) == (2, "")
    assert "institution[0].user[1].role" in said
    assert not (tmp_path / "data").exists()
    assert _call(capsys, "apply", tmp_path / "missing.toml")[0] == 2


def test_people_are_added_listed_and_deactivated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    with_data = ["--data-dir", tmp_path / "data"]
    root = [
        "user",
        "add",
        "root",
        "--role",
        "server_admin",
        "--password-file",
        tmp_path / "password",
        *with_data,
    ]
    done = _run(*root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Added root.\n", "")
    status, _, said = _call(capsys, *root)
    assert (status, said) == (2, "invigilo: There is a user 'root' already.\n")
    assert _call(capsys, "user", "deactivate", "root", *with_data)[0] == 0
    _, listed, _ = _call(capsys, "user", "list", *with_data)
    assert listed.split() == ["root", "server_admin", "–", "(not", "active)"]


def test_without_a_terminal_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    done = _run("user", "add", "root", "--role", "server_admin", "--data-dir", tmp_path)
    assert done.returncode == 2
    assert "give --password-file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "ada", "--role", "boss"], "--role is one of server_admin"),
        (["add", "ada"], "--role is one of server_admin"),
        (["add", "ada", "--role", "auditor"], "belongs to an --institution"),
        (["add", "ada", "--role", "server_admin", "--institution", "X"], "belongs to an --institution"),
        (["add", "ada", "--role", "auditor", "--institution", "X"], "There is no institution 'X'"),
        (["add", "a da", "--role", "server_admin"], "no blanks"),
        (["add", "x" * 65, "--role", "server_admin"], "at most 64"),
        (["add"], "Say whose account"),
        (["password", "nobody"], "There is no user 'nobody'"),
        (["activate", "nobody"], "There is no user 'nobody'"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_wrong_wish_about_people_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    more = ["--password-file", str(tmp_path / "password"), "--data-dir", str(tmp_path / "data")]
    assert main(["user", *arguments, *more]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_password_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing")
    arguments = ["--role", "server_admin", "--password-file", missing, "--data-dir", str(tmp_path)]
    assert main(["user", "add", "root", *arguments]) == 2
    assert missing in capsys.readouterr().err


def test_a_password_too_short_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "password").write_text("short")
    arguments = ["--password-file", str(tmp_path / "password"), "--data-dir", str(tmp_path / "data")]
    assert main(["user", "add", "root", "--role", "server_admin", *arguments]) == 2
    assert "8 to 256 characters" in capsys.readouterr().err


def test_a_database_of_another_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, said = _call(capsys, "migrate", "--database-url", "mysql://root:hush@db.example.org/x")
    assert status == 2
    assert "Use sqlite:// or postgresql://" in said
    assert "hush" not in said


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of whoever runs the tests, and the logging of before when a command has set up its own."""
    for name in [name for name in os.environ if name.startswith("INVIGILO_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield
    root.handlers = before
    root.setLevel(level)
    structlog.reset_defaults()
