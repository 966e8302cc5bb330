"""The system's own PostgreSQL, where there is one with `pg_trgm`: the one from the tests' packages has no extensions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))


def has_trigrams() -> bool:
    return bool(PROGRAMS) and bool(list(Path("/usr/share/postgresql").glob("*/extension/pg_trgm.control")))


@contextmanager
def system_postgresql(settings: str = "-c fsync=off") -> Iterator[Callable[[], str]]:
    """Gives URLs of empty databases on a server of our own, which is stopped afterwards."""
    programs = PROGRAMS[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, user=user, timeout=60, cwd=folder)

    data = str(folder / "data")
    try:
        run(
            *(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8"),
            *("--locale=C.UTF-8", "--no-sync"),
        )
        options = f"-k {folder} -c listen_addresses='' {settings}"
        run(str(programs / "pg_ctl"), "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:

            def make() -> str:
                name = f"t{uuid4().hex[:12]}"
                run(str(programs / "createdb"), "-h", str(folder), "-U", "postgres", name)
                return f"postgresql://postgres@/{name}?host={folder}"

            yield make
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
