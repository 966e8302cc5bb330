"""Print the path of a Chromium that starts: $INVIGILO_CHROMIUM, the machine's, or playwright's own build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FAKE_CAMERA = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--no-sandbox",
    "--disable-dev-shm-usage",
]
"""A camera and microphone that need no device and no question; peer connections over 127.0.0.1."""
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)


def candidates() -> Iterator[str]:
    named = os.environ.get("INVIGILO_CHROMIUM")
    if named:
        yield named
        return
    for name in NAMES:
        if (found := shutil.which(name)) is not None:
            yield found
    yield from (place for place in PLACES if Path(place).exists())
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if Path(path).exists():
        yield path


def starts(path: str) -> bool:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find() -> str | None:
    return next((path for path in candidates() if starts(path)), None)


if __name__ == "__main__":
    path = find()
    if path is None:
        sys.exit("No Chromium was found. `make test` installs one; or name one in INVIGILO_CHROMIUM.")
    print(path)
