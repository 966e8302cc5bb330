"""Patience for every test with a browser, whichever helpers it takes."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.waiting import PATIENCE_MS


@pytest.fixture(autouse=True)
def _patient() -> None:
    expect.set_options(timeout=PATIENCE_MS)
