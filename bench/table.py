"""Printing: plain text tables, and goals with an honest word behind each."""

from __future__ import annotations

from collections.abc import Sequence


def title(name: str, what: str) -> None:
    print(f"\n{name}: {what}", flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as they must be; numbers to the right."""
    cells = [list(head), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        first, *others = (
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "   ".join([first, *others]).rstrip())


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def goal(words: str, measured: str, *, met: bool | None) -> None:
    """`met` is None when this machine, as busy as it was, cannot tell."""
    verdict = {True: "Met.", False: "NOT MET.", None: "Not to be judged: the bare server misses it too."}[met]
    print(f"  goal: {words}. Measured: {measured}. {verdict}", flush=True)


def note(words: str) -> None:
    print(f"  {words}", flush=True)
