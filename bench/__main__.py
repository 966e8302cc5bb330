"""`make bench`, or `make bench ARGS="pings burst"` for some: each section is printed as soon as it is done."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import time

from bench import machine

SECTIONS = (
    "pings", "burst", "join", "jitsi", "zoom", "townhall", "voice", "tiles", "overview", "desk", "memory", "office",
    "search",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("section", nargs="*", help=f"some of {', '.join(SECTIONS)} (default: all)")
    chosen = parser.parse_args().section or SECTIONS
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}; choose from {', '.join(SECTIONS)}")
    print(machine.describe(), flush=True)
    machine.pin(0, machine.LOAD_CORE)
    for section in chosen:
        began = time.monotonic()
        asyncio.run(importlib.import_module(f"bench.{section}").run())
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
