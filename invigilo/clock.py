"""Time, handed in. Nothing else in the package asks the operating system what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and shown; milliseconds since the Unix epoch for the hot path."""

    def now(self) -> datetime: ...
    def now_ms(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class SetClock:
    """A clock that stands until it is moved: for tests and for replaying a day."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def now_ms(self) -> int:
        return to_ms(self._at)

    def move(self, by: timedelta) -> None:
        self._at += by


def to_ms(moment: datetime) -> int:
    """Milliseconds since the Unix epoch; the moment must carry its time zone."""
    return round(moment.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """The moment in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)
