"""The commands as people type them: a real process, its words and its exit status."""

from __future__ import annotations

import json
import logging
import os
import shutil
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

ROOT = Path(__file__).resolve().parent.parent.parent
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
        (["add", "ada", "--role", "server_admin", "--institution", "X"], "leave --institution out"),
        (["add", "ada", "--role", "auditor", "--institution", "X"], "There is no institution 'X'"),
        (["add", "a da", "--role", "server_admin"], "no blanks"),
        (["add", "x" * 65, "--role", "server_admin"], "at most 64"),
        (["add"], "Say whose account"),
        (["password", "nobody"], "There is no user 'nobody'"),
        (["activate", "nobody"], "There is no user 'nobody'"),
        (["password", "ada", "--role", "auditor"], "`invigilo user role USERNAME --role ROLE` changes it"),
        (["deactivate", "ada", "--institution", "X"], "takes no --institution"),
        (["role", "ada"], "--role is one of server_admin"),
        (["role", "nobody", "--role", "auditor"], "There is no user 'nobody'"),
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


def test_a_role_is_changed_but_nobody_leaves_an_institution_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exams.toml").write_text(SET_UP)
    with_data = ["--data-dir", tmp_path / "data"]
    assert _call(capsys, "apply", tmp_path / "exams.toml", *with_data)[0] == 0
    assert _call(capsys, "user", "role", "ada", "--role", "exam_admin", *with_data)[0] == 0
    status, _, said = _call(capsys, "user", "role", "ada", "--role", "server_admin", *with_data)
    assert (status, "belongs to an institution" in said) == (2, True)
    _, listed, _ = _call(capsys, "user", "list", *with_data)
    assert listed.splitlines()[0].split()[:2] == ["ada", "exam_admin"]


def test_nobody_else_on_the_machine_reads_database_key_or_connection_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also not a connection file that lay open before."""
    (tmp_path / "exams.toml").write_text(SET_UP)
    seb = tmp_path / "files" / "lab-pcs.seb"
    seb.parent.mkdir()
    seb.touch(mode=0o644)
    before = os.umask(0o022)
    try:
        arguments = ["--data-dir", tmp_path / "data", "--connection-files", seb.parent]
        assert _call(capsys, "apply", tmp_path / "exams.toml", *arguments)[0] == 0
        assert os.umask(0o022) == 0o022, "only while a command runs"
    finally:
        os.umask(before)
    made = [seb, *(tmp_path / "data").iterdir()]
    assert {"invigilo.sqlite3", "secret.key"} <= {path.name for path in made}
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in made} == {
        path.name: "0o600" for path in made
    }
    (tmp_path / "data" / "invigilo.sqlite3").chmod(0o644)
    _, told, _ = _call(capsys, "doctor", "--data-dir", tmp_path / "data")
    assert "invigilo.sqlite3 can be read by others" in told


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["migrate"], ["user", "list"]])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{folder}/missing/x.db", "its folder {folder}/missing does not exist"),
        ("sqlite:///{folder}/text", "it is no SQLite database"),
        ("sqlite:///{folder}", "it cannot be opened"),
        ("postgresql://ada:hush@127.0.0.1:9/x", "postgresql://ada:***@127.0.0.1:9/x"),
        ("postgresql://ada@127.0.0.1:9/x?password=hush", "refused"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], url: str, said: str
) -> None:
    (tmp_path / "text").write_text("This is no database, but some text that is long enough to be one.")
    status, _, told = _call(capsys, *command, "--database-url", url.format(folder=tmp_path))
    assert status == 2
    assert told.startswith("invigilo: The database ")
    assert said.format(folder=tmp_path) in told
    assert "`invigilo doctor`" in told
    assert "hush" not in told
    assert "aiosqlite" not in told
    assert "try again" not in told


def test_a_database_that_can_only_be_read_is_refused_at_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`mode=ro` is what a file of somebody else is; root, who may run the tests, can write those."""
    assert _call(capsys, "migrate", "--data-dir", tmp_path)[0] == 0
    url = f"sqlite:///file:{tmp_path}/invigilo.sqlite3?mode=ro&uri=true"
    status, _, told = _call(capsys, "serve", "--port", "0", "--database-url", url)
    assert (status, "cannot be written by this user; give it to the user" in told) == (2, True)
    status, told, _ = _call(capsys, "doctor", "--database-url", url)
    assert (status, "FAIL Database" in told, "cannot be written" in told) == (1, True, True)


@pytest.mark.parametrize("content", ["", "garbage\n", "schlüssel", "A" * 43])
def test_a_broken_key_is_found_before_there_is_a_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "secret.key").write_text(content)
    status, told, _ = _call(capsys, "doctor", "--data-dir", tmp_path)
    assert (status, "FAIL Key" in told, "secret.key" in told) == (1, True, True)
    status, _, told = _call(capsys, "serve", "--port", "0", "--data-dir", tmp_path)
    assert (status, str(tmp_path / "secret.key") in told) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_a_lost_key_is_not_replaced_by_a_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(capsys, "user", "list", "--data-dir", tmp_path)[0] == 0
    (tmp_path / "secret.key").unlink()
    status, _, told = _call(capsys, "user", "list", "--data-dir", tmp_path)
    assert (status, "another key" in told) == (2, True)
    assert not (tmp_path / "secret.key").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder in which nobody can make one")
def test_a_folder_that_nobody_can_make_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, told = _call(capsys, "user", "list", "--data-dir", "/proc/invigilo")
    assert (status, told.startswith("invigilo: /proc/invigilo: ")) == (2, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "declares nothing"),
        ('[[institution]]\nname = "Universität"\n'.encode("latin-1"), "Save it as UTF-8"),
        (b"[[institution]]\nname = Example University\n", "Texts stand in quotes"),
        (b'[[institutions]]\nname = "x"\n', "\n  institutions: there is no such key"),
        (b'[institution]\nname = "x"\n', "\n  institution: write it as [[institution]]"),
    ],
)
def test_a_file_that_declares_nothing_usable_is_named_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (tmp_path / "exams.toml").write_bytes(content)
    status, _, told = _call(capsys, "apply", tmp_path / "exams.toml", "--data-dir", tmp_path / "data")
    assert (status, said in told) == (2, True), told
    assert "exams.toml" in told
    assert not (tmp_path / "data").exists()


def test_a_byte_order_mark_does_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "exams.toml").write_text(SET_UP, encoding="utf-8-sig")
    assert _call(capsys, "apply", tmp_path / "exams.toml", "--data-dir", tmp_path / "data")[0] == 0


def test_a_missing_file_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["apply", tmp_path / "x.toml"], ["simulate", "--connection", tmp_path / "x.toml"]):
        status, _, told = _call(capsys, *arguments)
        assert (status, told.count("x.toml"), "Errno" in told) == (2, 1, False), told


def test_a_file_instead_of_the_folder_for_connection_files_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "exams.toml"
    file.write_text(SET_UP)
    status, _, told = _call(
        capsys, "apply", file, "--data-dir", tmp_path / "data", "--connection-files", file
    )
    assert (status, told) == (2, f"invigilo: --connection-files needs a folder, and {file} is a file.\n")
    assert not (tmp_path / "data").exists()


def test_simulated_candidates_say_in_words_and_once_why_they_are_not_let_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invigilo.simulate.run.TRY_AGAIN_AFTER", 0)
    (tmp_path / "exams.toml").write_text(SET_UP)
    arguments = ["--data-dir", tmp_path / "data", "--connection-files", tmp_path]
    _call(capsys, "apply", tmp_path / "exams.toml", *arguments)
    file = ["--connection", tmp_path / "lab-pcs.seb"]
    status, _, told = _call(capsys, "simulate", *file, "--server", "127.0.0.1:9")
    assert (status, "begin with http:// or https://" in told) == (2, True)
    status, told, _ = _call(capsys, "simulate", *file, "--server", "http://127.0.0.1:9")
    assert status == 1
    assert "Nothing answers at 127.0.0.1:9" in told
    assert told.count("is not let in") == 1
    assert "Cannot connect" not in told


@pytest.mark.skipif(shutil.which("make") is None, reason="without make nobody can call it")
@pytest.mark.parametrize(
    ("python", "said"), [("false", "Invigilo needs Python 3.11 or later"), ("no-python", "no no-python")]
)
def test_make_asks_for_a_newer_python_before_it_runs_anything(python: str, said: str) -> None:
    """`false` answers as an older Python does: with 1."""
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, said in done.stderr, "PYTHON=python3.12" in done.stderr) == (2, True, True)


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
