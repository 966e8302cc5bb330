"""Servers for these tests: one shared by a module's independent tests, and a fresh one for tests that change set-up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.server import Server, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """Shared: a test may add connections, and must look only at its own."""
    async with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def own_server(tmp_path: Path) -> AsyncIterator[Server]:
    """A test's own, to be changed as it likes."""
    async with running(tmp_path) as server:
        yield server
