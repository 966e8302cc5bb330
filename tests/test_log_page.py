"""Every line the server can log is explained."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_log_line_is_explained() -> None:
    page = (ROOT / "docs" / "howto" / "log-messages.md").read_text("utf-8")
    calls = r"log\.(?:info|warning|error|exception|critical)\(\s*\"([a-z_]+)\""
    lines = {
        line
        for file in (ROOT / "invigilo").rglob("*.py")
        if "simulate" not in file.parts
        for line in re.findall(calls, file.read_text("utf-8"))
    }
    assert len(lines) > 10
    assert [line for line in sorted(lines) if f"`{line}`" not in page] == []
