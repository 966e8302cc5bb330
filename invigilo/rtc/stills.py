"""The newest still of each candidate, in memory only, and what the server itself can tell from it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

BLACK_MEAN = 14  # of 255, grey
BLACK_SPREAD = 6  # standard deviation
LOOK_EVERY = 2_000  # ms between two looks at one candidate's picture
SCANS = 16  # a browser writes one, a usual progressive picture ten; thousands fit and take seconds to decode
FROZEN_AFTER = (
    2_000  # ms of byte-identical stills: no real camera gives the same bytes twice; shows within five seconds
)


@dataclass(slots=True)
class Still:
    """One candidate's newest picture."""

    jpeg: bytes
    at: int
    kind: str = "ok"
    """`ok`, `black` or `frozen`."""
    digest: bytes = b""
    same_since: int = 0
    looked_at: int = 0
    is_dark: bool = False


@dataclass(slots=True)
class Stills:
    """Newest only: a still replaces the one before it, and goes when its candidate's page goes."""

    newest: dict[int, Still] = field(default_factory=dict[int, Still])

    def take(self, connection_id: int, jpeg: bytes, now: int) -> Still | None:
        """Keep it; None when it is no JPEG. Decoding is coarse (an eighth) and rare, about 0.1 ms each."""
        if not (jpeg.startswith(b"\xff\xd8\xff") and len(jpeg) > 100) or jpeg.count(b"\xff\xda") > SCANS:
            return None
        before = self.newest.get(connection_id)
        mark = hashlib.blake2b(jpeg, digest_size=8).digest()
        still = Still(jpeg, now, digest=mark, same_since=now)
        if before is not None:
            still.looked_at, still.is_dark = before.looked_at, before.is_dark
            if before.digest == mark:
                still.same_since = before.same_since
        if now - still.looked_at >= LOOK_EVERY:
            dark = _is_dark(jpeg)
            if dark is None:
                return None
            still.is_dark, still.looked_at = dark, now
        if still.is_dark:
            still.kind = "black"
        elif now - still.same_since >= FROZEN_AFTER:
            still.kind = "frozen"
        self.newest[connection_id] = still
        return still

    def forget(self, connection_id: int) -> None:
        self.newest.pop(connection_id, None)


def _is_dark(jpeg: bytes) -> bool | None:
    """Whether the picture is black; None when it cannot be decoded, or is larger than a still may be."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            if image.width > 640 or image.height > 640:
                return None
            image.draft("L", (40, 30))
            grey = image.convert("L").resize((40, 30))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    histogram = grey.histogram()
    count = sum(histogram)
    mean = sum(value * n for value, n in enumerate(histogram)) / count
    spread = (sum((value - mean) ** 2 * n for value, n in enumerate(histogram)) / count) ** 0.5
    return mean < BLACK_MEAN and spread < BLACK_SPREAD
