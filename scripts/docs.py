"""Write the pages that are made from the code; `--check` only says whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from invigilo.settings import settings_page

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    pages = {ROOT / "docs" / "settings.md": settings_page()}
    stale = [page for page, text in pages.items() if not page.exists() or page.read_text("utf-8") != text]
    if "--check" not in sys.argv:
        for page in stale:
            page.write_text(pages[page], "utf-8")
            print(f"wrote {page.relative_to(ROOT)}")
        return 0
    for page in stale:
        print(f"{page.relative_to(ROOT)} is out of date: run `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
