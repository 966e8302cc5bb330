"""Tables to take along: CSV as spreadsheet programs read it, written while it is read."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from litestar.response import Stream

BOM = "\ufeff".encode()
"""By it spreadsheet programs recognise UTF-8."""
_STARTS_FORMULA = ("=", "+", "-", "@")


def defused(text: str) -> str:
    """A spreadsheet program takes a cell that begins so for a formula and runs it; a quote in front makes it text."""
    begins = text.lstrip()[:1]
    is_risky = begins in _STARTS_FORMULA or text[:1] in {"\t", "\r", "\n"}
    return f"'{text}" if text and is_risky else text


def lines(rows: Sequence[Sequence[str]]) -> bytes:
    """RFC 4180."""
    into = io.StringIO()
    csv.writer(into, lineterminator="\r\n").writerows([[defused(cell) for cell in row] for row in rows])
    return into.getvalue().encode("utf-8", "replace")


def shown_time(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def download(pieces: AsyncIterable[bytes], *, name: str) -> Stream:
    """An answer that is kept as a file; `name` is without its ending."""
    return Stream(
        pieces,
        media_type="text/csv; charset=utf-8; header=present",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )
