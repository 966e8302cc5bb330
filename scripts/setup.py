"""Make `.venv` ready: `setup.py [test] [check] [chromium]`. Safe to repeat; quick when nothing changed.

Runs on the machine's own Python with nothing installed, so it uses the standard library only.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
OLDEST = (3, 11)


def main() -> int:
    wanted = sys.argv[1:]
    if sys.version_info < OLDEST:
        return complain(
            f"Invigilo needs Python 3.11 or later; this is {platform.python_version()}. "
            "Install a newer one and name it: make PYTHON=python3.12 setup"
        )
    groups = ["runtime", "build", *(g for g in ("test", "check") if g in wanted)]
    steps: list[tuple[str, Callable[[], str]]] = [
        ("Python environment", make_venv),
        ("Packages", lambda: install(groups)),
        ("The command invigilo", install_ourselves),
    ]
    if "chromium" in wanted:
        steps.append(("Chromium", find_or_install_chromium))
    for number, (name, step) in enumerate(steps, 1):
        began = time.monotonic()
        show(f"[{number}/{len(steps)}] {name} …")
        try:
            outcome = step()
        except subprocess.CalledProcessError as error:
            return complain(
                f"“{name}” failed.\n{tail(error.output)}\nMend that and run the same command again."
            )
        except OSError as error:
            return complain(f"“{name}” failed: {error}. Mend that and run the same command again.")
        show(f"[{number}/{len(steps)}] {name}: {outcome} ({time.monotonic() - began:.1f} s)", end="\n")
    return 0


def show(line: str, end: str = "") -> None:
    """On a terminal the line of the running step is rewritten; elsewhere only its end is printed."""
    if sys.stdout.isatty():
        print(f"\r\033[K{line[:100]}", end=end, flush=True)
    elif end:
        print(line, flush=True)


def complain(message: str) -> int:
    print(f"\nSet-up stopped. {message}", file=sys.stderr)
    return 1


def tail(output: bytes | str | None) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output or ""
    return "\n".join(text.strip().splitlines()[-15:])


def run(*command: str | Path, watch: Callable[[str], None] | None = None) -> str:
    """Run it, hand each line to `watch`, return all output. Raises CalledProcessError."""
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", cwd=ROOT,
    )  # fmt: skip
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if watch:
            watch(line)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command[0], "".join(lines))
    return "".join(lines)


def works() -> bool:
    """A copied folder brings an environment whose interpreter is gone; then it is made anew."""
    try:
        done = subprocess.run(
            [PYTHON, "-c", "import sys, pip; print(sys.prefix)"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return Path(done.stdout.strip()).resolve() == VENV.resolve()


def make_venv() -> str:
    if works():
        return "there"
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        run(sys.executable, "-m", "venv", VENV)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(VENV, ignore_errors=True)
        error.output = f"{error.output}\nOn Debian and Ubuntu the missing part is the package python3-venv."
        raise
    return "made"


def install(groups: list[str]) -> str:
    files = [ROOT / "requirements" / f"{group}.txt" for group in groups]
    mark = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    stamp = VENV / f".installed-{'-'.join(groups)}"
    if stamp.exists() and stamp.read_text() == mark:
        return "there"
    total = sum(line.count("==") for file in files for line in file.read_text().splitlines() if "==" in line)
    seen = 0

    def watch(line: str) -> None:
        nonlocal seen
        if line.startswith(("Collecting", "Requirement already")):
            seen += 1
            show(f"      packages: {min(seen, total)} of about {total}")
        elif line.startswith("Installing collected"):
            show("      packages: installing")

    arguments = [part for file in files for part in ("-r", file)]
    run(
        PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
        "--require-hashes", *arguments, watch=watch,
    )  # fmt: skip
    stamp.write_text(mark)
    return "installed"


def install_ourselves() -> str:
    command = BIN / ("invigilo.exe" if os.name == "nt" else "invigilo")
    mark = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = VENV / ".installed-invigilo"
    if command.exists() and stamp.exists() and stamp.read_text() == mark:
        return "there"
    run(
        PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
        "--editable", ROOT,
    )  # fmt: skip
    stamp.write_text(mark)
    return str(command.relative_to(ROOT))


def find_or_install_chromium() -> str:
    """Tests drive a real Chromium: the machine's, or playwright's own build, or the system's package."""
    if (found := find_chromium()) is not None:
        return found
    attempts: list[tuple[str, list[str | Path]]] = [
        ("playwright's build", [PYTHON, "-m", "playwright", "install", "chromium"])
    ]
    apt = shutil.which("apt-get")
    as_root = [] if os.name == "nt" or os.geteuid() == 0 else ["sudo", "-n"]
    if apt and (not as_root or shutil.which("sudo")):
        attempts.append(("the list of system packages", [*as_root, apt, "update", "-q"]))
        install_it = [*as_root, apt, "install", "-q", "-y", "--no-install-recommends"]
        attempts.append(
            ("the system's package", [*install_it, "chromium", "fonts-liberation", "fonts-noto-core"])
        )
        attempts.append(
            (
                "playwright's build with its libraries",
                [*as_root, PYTHON, "-m", "playwright", "install-deps", "chromium"],
            )
        )
    trouble = ""
    for name, command in attempts:
        show(f"      Chromium: trying {name}")
        try:
            run(*command)
        except (subprocess.CalledProcessError, OSError) as error:
            trouble += f"\n{name}: {tail(getattr(error, 'output', str(error)))}"
        if (found := find_chromium()) is not None:
            return found
    raise subprocess.CalledProcessError(
        1,
        "chromium",
        f"{trouble}\nInstall Chromium or Google Chrome by hand, or name one in INVIGILO_CHROMIUM.",
    )


def find_chromium() -> str | None:
    """One that starts: a build without its libraries is none."""
    done = subprocess.run(
        [PYTHON, ROOT / "scripts" / "chromium.py"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    return done.stdout.strip() or None


if __name__ == "__main__":
    sys.exit(main())
