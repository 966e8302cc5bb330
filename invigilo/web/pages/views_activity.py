"""What the page of the record shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from invigilo.web.pages.views import Frame


@dataclass(frozen=True, slots=True)
class DeedRow:
    """`at` is milliseconds since the Unix epoch."""

    at: int
    shown_at: str
    """For those without scripts, in the zone the server knows."""
    actor: str
    what: str
    more: str
    exam_id: int | None
    exam: str
    institution: str


@dataclass(frozen=True, slots=True)
class ActivityPage:
    frame: Frame
    rows: Sequence[DeedRow]
    asked: Mapping[str, str]
    """What was asked for, as it stands in the address."""
    deeds: Sequence[tuple[str, str]]
    exam: str
    """Name of the one exam asked for by number."""
    next: str
    """Where the older ones begin; "" when there are none."""
    looked_back_to: int | None
    is_first: bool
    has_institutions: bool
    problem: str = ""

    def link(self, path: str = "/activity", **changes: str) -> str:
        said = {name: value for name, value in {**self.asked, **changes}.items() if value}
        return path + (f"?{urlencode(said)}" if said else "")

    @property
    def is_filtered(self) -> bool:
        return any(value for name, value in self.asked.items() if name != "zone")
