"""`invigilo seb` as IT staff type it: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from invigilo.cli import main
from invigilo.sebconfig import catalogue, container, plist
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.connection_file import password_hash

_EXAMPLES = json.loads((Path(__file__).parents[1] / "vectors" / "seb_files.json").read_text("utf-8"))[
    "examples"
]
_DEFAULTS_KEY = "a7f27ca92f4e16a067b53f8c1fc6805faccbcda1529f4fe7be1c3e3a83c1fd69"


@pytest.fixture
def seb(tmp_path, monkeypatch, capsys):
    """Call it in a folder of its own; gives the status and what was said on both channels."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        status = main(["seb", *map(str, arguments)])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.fixture
def examples(tmp_path) -> list[tuple[Path, Path | None, str]]:
    """The worked examples of the specification as files: file, password file, Config Key."""
    made = []
    for example in _EXAMPLES:
        for index, file in enumerate(example["files"]):
            path = tmp_path / f"{example['name'].replace(' ', '-')}-{index}.seb"
            path.write_bytes(base64.b64decode(file["base64"]))
            password = None
            if file["password"]:
                password = path.with_suffix(".password")
                password.write_text(f"{file['password']}\n")
            made.append((path, password, example["config_key"]))
    return made


def with_password(password: Path | None) -> list[object]:
    return ["--password-file", password] if password else []


def test_the_key_stands_alone_on_the_last_line(seb, examples):
    for path, password, key in examples:
        status, said, complained = seb("key", path, *with_password(password))
        assert (status, said.splitlines()[-1], complained) == (0, key, "")


def test_every_kind_of_file_converts_to_every_other_with_the_same_key(seb, examples, tmp_path):
    (tmp_path / "new").write_text("grüezi\n")
    for number, (path, password, key) in enumerate(examples):
        xml, sealed = f"{number}.xml", f"{number}.seb"
        assert seb("convert", path, xml, *with_password(password))[0] == 0
        assert seb("convert", xml, sealed, "--encrypt-password-file", "new")[0] == 0
        assert seb("key", sealed, "--password-file", "new")[1].strip() == key
        assert Path(xml).read_bytes().startswith(b"<?xml")
        block = container.decode(Path(sealed).read_bytes(), password="grüezi")
        assert block.prefix == ("pwcc" if block.settings["sebConfigPurpose"] == 1 else "pswd")


def test_defaults_have_the_key_of_the_self_check(seb):
    for name in ("d.seb", "d.xml"):
        status, said, _ = seb("defaults", name)
        assert (status, said) == (0, f"wrote {name}\nConfig Key {_DEFAULTS_KEY}\n")
        assert container.decode(Path(name).read_bytes()).settings == catalogue.exported_defaults()
    assert Path("d.xml").read_bytes().startswith(b"<?xml")
    assert seb("defaults", "plain.seb", "--xml")[0] == 0
    assert Path("plain.seb").read_bytes() == Path("d.xml").read_bytes()


def test_show_names_the_form_and_marks_what_is_not_the_default(seb, tmp_path):
    settings = catalogue.exported_defaults() | {
        "allowPrint": True,
        "own": 1,
        "logLevel": "3",
        "zoomEnable": True,
        "hashedQuitPassword": password_hash("quit"),
    }
    Path("a.seb").write_bytes(container.encode(settings))
    status, said, _ = seb("show", "a.seb")
    assert status == 0
    for line in (
        "Form        plain",
        "Keys        321",
        f"Config Key  {config_key(settings)}",
        "allowPrint = true   (changed)",
        "allowQuit = true",
        'hashedQuitPassword = "***"   (changed)',
        "own = 1   (SEB knows no such setting)",
        "- own: left out on import; this server has no such setting.",
        "- logLevel: string instead of integer; the default would be taken.",
    ):
        assert line in said.splitlines()
    assert "Locks out Windows, macOS, iOS" in said


def test_show_as_json_holds_the_same(seb):
    Path("a.seb").write_bytes(container.encode({"allowQuit": False, "own": [b"\x00"], "quitURL": "x"}))
    shown = json.loads(seb("show", "a.seb", "--json")[1])
    assert (shown["prefix"], shown["certificate_prefix"], shown["unknown"]) == ("plnd", None, ["own"])
    assert shown["settings"] == {"allowQuit": False, "own": ["AA=="], "quitURL": "x"}
    assert {"setting": "quitURL", "code": "url", "severity": "error"} in shown["findings"]


def test_no_secret_is_shown(seb, examples):
    for path, password, _ in examples:
        for form in ([], ["--json"]):
            _, said, _ = seb("show", path, *with_password(password), *form)
            settings = container.decode(
                path.read_bytes(), password=password.read_text().strip() if password else None
            ).settings
            assert str(settings["hashedQuitPassword"]) not in said
            assert "demo-secret" not in said
            assert "***" in said


def test_a_file_cannot_speak_to_the_terminal_or_add_lines(seb):
    settings = {"key\nConfig Key  0000": "\x9b31m", "a\u202e": "b\u2028c"}
    Path("a.seb").write_bytes(container.encode(settings))
    _, said, _ = seb("show", "a.seb")
    assert not [line for line in said.split("\n") if not all(char.isprintable() for char in line)]
    assert not [line for line in said.split("\n") if line.endswith("0000")]


def test_files_made_for_a_certificate_open_with_its_key(seb, tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SEB test")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + dt.timedelta(days=9999))
    Path("c.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    Path("open.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    Path("locked.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"key"))
    )
    Path("key.password").write_text("key\n")
    Path("password").write_text("pw\n")
    assert seb("defaults", "d.seb")[0] == 0
    both = ["--certificate", "c.pem", "--encrypt-password-file", "password"]
    assert seb("convert", "d.seb", "sealed.seb", *both)[0] == 0
    keys = (["open.pem"], ["locked.pem", "--certificate-key-password-file", "key.password"])
    for certificate_key in keys:
        opened = ["sealed.seb", "--certificate-key", *certificate_key, "--password-file", "password"]
        assert seb("key", *opened)[1].strip() == _DEFAULTS_KEY
    assert "sealed for a certificate, protected by a password" in seb("show", *opened)[1]
    status, _, complained = seb("key", "sealed.seb")
    assert (status, "--certificate-key" in complained) == (2, True)
    status, _, complained = seb("key", "sealed.seb", "--certificate-key", "locked.pem")
    assert (status, "Check file and password" in complained) == (2, True)


# --- what is written -------------------------------------------------------------------------------------------------


def test_what_is_written_only_its_owner_reads_and_nothing_is_lost_without_force(seb):
    Path("out.seb").write_text("precious")
    Path("out.seb").chmod(0o644)
    status, said, complained = seb("defaults", "out.seb")
    assert (status, said) == (2, "")
    assert (
        complained
        == "invigilo: out.seb exists already. Choose another name, or give --force to replace it.\n"
    )
    assert Path("out.seb").read_text() == "precious"
    assert seb("defaults", "out.seb", "--force")[0] == 0
    assert oct(Path("out.seb").stat().st_mode & 0o777) == "0o600"
    assert seb("defaults", "new.seb")[0] == 0
    assert oct(Path("new.seb").stat().st_mode & 0o777) == "0o600"
    assert {path.name for path in Path().iterdir()} == {"out.seb", "new.seb"}


def test_a_file_may_be_converted_in_its_place(seb):
    Path("pw").write_text("pw")
    assert seb("defaults", "a.seb")[0] == 0
    assert seb("convert", "a.seb", "a.seb", "--force", "--encrypt-password-file", "pw")[0] == 0
    assert seb("key", "a.seb", "--password-file", "pw")[1].strip() == _DEFAULTS_KEY


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["key", "missing.seb"], "missing.seb cannot be read: No such file"),
        (["key", "."], "cannot be read"),
        (["key", "zip"], "This is not a SEB file"),
        (["key", "cut"], "breaks off"),
        (["key", "bomb"], "unpacks to more than"),
        (["key", "entities"], "entities"),
        (["key", "lines"], r"a\u000ab is a date"),
        (["key", "protected"], "protected is protected by a password: give --password-file"),
        (["key", "protected", "--password-file", "other"], "The password does not open this file"),
        (["key", "protected", "--password-file", "nowhere"], "nowhere cannot be read"),
        (["key", "plain", "--certificate-key", "zip"], "The private key cannot be opened"),
        (["convert", "plain", "x.seb", "--certificate", "zip"], "This is not a certificate"),
        (["convert", "plain", "x.xml", "--encrypt-password-file", "other"], "XML is never encrypted"),
        (["convert", "plain", "x.seb", "--encrypt-password-file", "empty"], "empty holds no password"),
        (["convert", "plain", "nowhere/x.seb"], "nowhere/x.seb cannot be written: No such file"),
        (["defaults", ".", "--force"], "cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_line_that_says_what_to_do(seb, arguments, said):
    whole = container.encode({"allowQuit": True})
    bomb = container.encode({"a": "x" * 1000})
    Path("plain").write_bytes(whole)
    Path("cut").write_bytes(whole[:-9])
    Path("zip").write_bytes(b"PK\x03\x04")
    Path("bomb").write_bytes(container._gzip(bytes(plist.MAX_XML_BYTES + len(bomb))))
    Path("entities").write_bytes(
        b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "b">]><plist><dict/></plist>'
    )
    Path("protected").write_bytes(container.encode({"allowQuit": True}, password="right"))
    Path("lines").write_bytes(b'<?xml version="1.0"?><plist><dict><key>a\nb</key><date/></dict></plist>')
    Path("other").write_text("wrong")
    Path("empty").write_text("\n")
    before = {path.name for path in Path().iterdir()}
    status, shown, complained = seb(*arguments)
    assert (status, shown) == (2, "")
    assert complained.startswith("invigilo: ")
    assert complained.count("\n") == 1
    assert said in complained
    assert {path.name for path in Path().iterdir()} == before


def test_without_action_it_says_how(seb, capsys):
    with pytest.raises(SystemExit) as ended:
        seb()
    assert ended.value.code == 2
    assert "usage: invigilo seb" in capsys.readouterr().err


def test_it_works_as_a_process_and_makes_no_data_folder(tmp_path):
    command = [sys.executable, "-m", "invigilo.cli", "seb", "defaults", str(tmp_path / "d.xml")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=root, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"Config Key {_DEFAULTS_KEY}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["d.xml"]
