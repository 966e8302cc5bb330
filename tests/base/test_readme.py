"""The README's example is kept working: applied as it stands, twice."""

from __future__ import annotations

import re
from pathlib import Path

from invigilo.clock import SystemClock
from invigilo.declared import apply_text
from invigilo.storage.opening import open_storage
from tests.server import settings_for

README = Path(__file__).resolve().parents[2] / "README.md"


async def test_the_example_of_the_readme_can_be_applied_and_again_changes_nothing(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert found is not None
    storage = await open_storage(settings_for(tmp_path), clock=SystemClock())
    try:
        first = await apply_text(found[1], storage, SystemClock())
        again = await apply_text(found[1], storage, SystemClock())
    finally:
        await storage.close()
    assert len(first.changes) == 4
    assert again.changes == []
