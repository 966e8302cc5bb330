"""The commands. Thin: each one's work is in the module named in `COMMANDS`, loaded only when it is called.

This is the only place, with `settings.py`, that looks at the environment.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invigilo import __version__
from invigilo.errors import InvigiloError
from invigilo.log import set_up
from invigilo.settings import Settings, read_settings

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("invigilo.app", "serve"),
    "demo": ("invigilo.demo", "run"),
    "apply": ("invigilo.commands", "apply"),
    "simulate": ("invigilo.simulate.command", "run"),
    "migrate": ("invigilo.commands", "migrate"),
    "user": ("invigilo.commands", "user"),
    "seb": ("invigilo.seb_command", "run"),
    "service": ("invigilo.service_command", "run"),
    "doctor": ("invigilo.doctor", "run"),
}
"""Command → (module, function taking the arguments and the settings, returning an exit status)."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="invigilo",
        description="Live cameras on the wall for exams in Safe Exam Browser.",
        epilog="Start with `invigilo demo`. Every setting: docs/settings.md.",
    )
    top.add_argument("--version", action="version", version=f"invigilo {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("storage and settings")
    group.add_argument(
        "--data-dir", metavar="DIR", help="folder of the SQLite database and the key (default: invigilo-data)"
    )
    group.add_argument(
        "--database-url", metavar="URL", help="sqlite:///file or postgresql://user@host/name instead"
    )
    group.add_argument(
        "--config", metavar="FILE", help="settings file (default: invigilo.toml in the data folder)"
    )
    group.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error"], help="least severe line logged"
    )
    group.add_argument("--log-format", choices=["console", "json"], help="how log lines are written")

    def add(name: str, help_: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            parents=[common],
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog=f"Example: {example}",
        )

    _serve(
        add(
            "serve",
            "run the server",
            "invigilo serve --data-dir /var/lib/invigilo --host 0.0.0.0 --port 8443",
        )
    )
    _demo(
        add(
            "demo",
            "run a whole exam with simulated candidates",
            "invigilo demo --candidates 25 --room-size 10",
        )
    )
    _apply(
        add(
            "apply",
            "create or change what a file declares",
            "invigilo apply exams.toml --data-dir /var/lib/invigilo",
        )
    )
    _simulate(
        add(
            "simulate",
            "play SEB clients against a server",
            "invigilo simulate --server http://127.0.0.1:8080 --connection lab.seb --candidates 12 --camera",
        )
    )
    _migrate(
        add(
            "migrate",
            "bring the database to this version's tables",
            "invigilo migrate --data-dir /var/lib/invigilo",
        )
    )
    _user(
        add("user", "add, list and change people who sign in", "invigilo user add ada --role exam_supporter")
    )
    _seb(
        add(
            "seb",
            "look into SEB files, give their Config Key, convert them",
            "invigilo seb show exam.seb --password-file password.txt",
        )
    )
    _service(
        add(
            "service",
            "prove a meeting service before exams depend on it",
            "invigilo service test jitsi.toml --json",
        )
    )
    _doctor(
        add(
            "doctor",
            "check this installation and say what to mend",
            "invigilo doctor --data-dir /var/lib/invigilo",
        )
    )
    return top


def _serve(p: argparse.ArgumentParser) -> None:
    p.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    p.add_argument("--port", type=int, help="port to listen on (default: 8080; 0 takes any free one)")
    p.add_argument("--public-url", metavar="URL", help="address seen from outside, behind a proxy")
    p.add_argument("--trusted-proxies", metavar="LIST", help="proxies whose X-Forwarded headers are believed")
    p.add_argument("--tls-certificate", metavar="FILE", help="certificate chain: serve https itself")
    p.add_argument("--tls-key", metavar="FILE", help="private key of the certificate")


def _demo(p: argparse.ArgumentParser) -> None:
    p.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    p.add_argument("--port", type=int, help="port to listen on (default: 8080, or the next free one)")
    p.add_argument(
        "--candidates", type=int, default=12, metavar="N", help="simulated candidates (default: 12)"
    )
    p.add_argument("--room-size", type=int, default=5, metavar="N", help="collecting room size (default: 5)")
    p.add_argument(
        "--seconds", type=int, metavar="N", help="end by itself after so long (default: at Ctrl-C)"
    )
    p.add_argument("--no-cameras", action="store_true", help="SEB clients only, no pictures")
    p.add_argument(
        "--service",
        choices=["builtin", "jitsi", "zoom"],
        default="builtin",
        help="where the cameras are: in built-in rooms, or in meetings of a stand-in for Jitsi or Zoom (default: builtin)",
    )


def _apply(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", metavar="FILE.toml", help="the declared set-up")
    p.add_argument("--json", action="store_true", help="print what changed as JSON")
    p.add_argument(
        "--connection-files",
        metavar="DIR",
        help="also write a .seb file per declared connection configuration",
    )
    p.add_argument(
        "--server", metavar="URL", help="address of this server in those files (default: the public URL)"
    )
    p.add_argument(
        "--connection-password-file", metavar="FILE", help="encrypt those files with the password in FILE"
    )


def _simulate(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--server", metavar="URL", help="server to play against (default: the one in the connection file)"
    )
    p.add_argument("--connection", required=True, metavar="FILE.seb", help="connection file")
    p.add_argument("--password-file", metavar="FILE", help="file with the password of the connection file")
    p.add_argument("--candidates", type=int, default=1, metavar="N", help="how many (default: 1)")
    p.add_argument("--camera", action="store_true", help="open the camera page too and send pictures")
    p.add_argument("--rate", type=float, default=2.0, metavar="N", help="arrivals per second (default: 2)")
    p.add_argument(
        "--client", default="windows-3.10", metavar="NAME", help="client release to play, or `mixed`"
    )
    p.add_argument("--seconds", type=float, metavar="N", help="how long each stays (default: until Ctrl-C)")
    p.add_argument(
        "--log-lines", type=int, default=40, metavar="N", help="lines of the start burst (default: 40)"
    )
    p.add_argument("--ping-interval", type=int, metavar="MS", help="instead of the connection file's")
    p.add_argument("--exam", metavar="ID", help="exam to choose (default: the first offered)")


def _migrate(p: argparse.ArgumentParser) -> None:
    p.add_argument("--to", default="head", metavar="REVISION", help="revision to go to (default: the newest)")
    p.add_argument("--list", action="store_true", help="show the revisions and where the database stands")


def _user(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "action", choices=["add", "password", "role", "list", "deactivate", "activate"], help="what to do"
    )
    p.add_argument("username", nargs="?", help="whose account")
    p.add_argument("--role", help="server_admin, institution_admin, exam_admin, exam_supporter or auditor")
    p.add_argument("--institution", metavar="NAME", help="for every role but server_admin")
    p.add_argument("--name", help="name shown")
    p.add_argument("--password-file", metavar="FILE", help="file with the password (default: asked for)")


def _seb(p: argparse.ArgumentParser) -> None:
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    reads = argparse.ArgumentParser(add_help=False)
    reads.add_argument("file", metavar="FILE", help="SEB file of any kind")
    reads.add_argument("--password-file", metavar="P", help="file with the password that opens it")
    reads.add_argument(
        "--certificate-key", metavar="PEM", help="private key of the certificate it is made for"
    )
    reads.add_argument(
        "--certificate-key-password-file", metavar="P", help="file with the password of that key"
    )
    writes = argparse.ArgumentParser(add_help=False)
    writes.add_argument(
        "out", metavar="OUT", help="file to write, for its owner only; XML if it ends in .xml"
    )
    writes.add_argument("--xml", action="store_true", help="write bare XML, whatever the name")
    writes.add_argument("--force", action="store_true", help="replace OUT if it exists")

    def add(name: str, help_: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        description = help_[0].upper() + help_[1:] + "."
        return actions.add_parser(name, parents=list(parents), help=help_, description=description)

    show = add("show", "show what a file holds, its secrets hidden", reads)
    show.add_argument("--json", action="store_true", help="print it as JSON")
    add("key", "print the Config Key of a file, alone on the last line", reads)
    convert = add("convert", "open a file and write it anew; the Config Key stays the same", reads, writes)
    convert.add_argument(
        "--encrypt-password-file", metavar="P", help="file with the password OUT is to be encrypted with"
    )
    convert.add_argument("--certificate", metavar="FILE", help="certificate OUT is to be sealed for")
    add("defaults", "write all settings with their defaults", writes)


def _service(p: argparse.ArgumentParser) -> None:
    p.add_argument("action", choices=["test"], help="run every step of its proof")
    p.add_argument("file", metavar="FILE.toml", help="the service: its kind and fields (docs/providers/)")
    p.add_argument("--json", action="store_true", help="print the steps as JSON, one a line as they come")
    p.add_argument(
        "--language", choices=["en", "de"], default="en", help="language of the sentences (default: en)"
    )
    p.add_argument(
        "--ca-file", metavar="FILE", help="also trust certificates signed by the authority in FILE"
    )


def _doctor(p: argparse.ArgumentParser) -> None:
    p.add_argument("--json", action="store_true", help="print the results as JSON")
    p.add_argument("--new-key", action="store_true", help="print a new secret key and do nothing else")


_NOT_SETTINGS = {"server", "name"}


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings, with this command's flags on top."""
    fields = set(Settings.__dataclass_fields__)
    flags = {k: v for k, v in vars(arguments).items() if k in fields and k not in _NOT_SETTINGS}
    config = Path(arguments.config) if arguments.config else None
    return read_settings(flags=flags, environment=os.environ, file=config)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 (did not work out), 2 (wrong call or settings) or 130 (Ctrl-C)."""
    arguments = parser().parse_args(argv)
    before = os.umask(
        0o077
    )  # database, key and connection files hold secrets: nobody else on this machine reads them
    try:
        return _run(arguments)
    except InvigiloError as error:
        return _complain(error.message)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _complain(f"{what}. Check --data-dir and what this user may do there.")
    finally:
        os.umask(before)


def _run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    default_level = (
        "warning"
        if arguments.command in {"apply", "migrate", "user", "seb", "service", "doctor", "demo"}
        else settings.log_level
    )
    set_up(level=arguments.log_level or default_level, form=settings.log_format)
    module, function = COMMANDS[arguments.command]
    command: Any = getattr(importlib.import_module(module), function)
    return int(command(arguments, settings))


def _complain(sentence: str) -> int:
    print(f"invigilo: {sentence}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
