"""Pictures that are legal, small, and made to keep the server busy."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from invigilo.rtc import stills
from invigilo.rtc.limits import STILL_SIZE

NOW = 10_000  # ms


def picture_of_scans(size: int = STILL_SIZE, side: int = 640) -> tuple[bytes, int]:
    """A progressive JPEG within all limits, filled up with refinements of nothing; and how many scans that makes."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True, quality=1)
    picture = file.getvalue().removesuffix(b"\xff\xd9")
    table = (
        b"\xff\xc4" + struct.pack(">H", 20) + bytes([0x10, 1, *[0] * 15, 0xE0])
    )  # one code: end of 2**14 blocks
    scan = b"\xff\xda" + struct.pack(">H", 8) + bytes([1, 1, 0, 1, 63, 0x10]) + b"\x00\x01"
    count = (size - len(picture) - len(table) - 2) // len(scan)
    return picture + table + scan * count + b"\xff\xd9", count


def never_decode(_jpeg: bytes) -> bool:
    raise AssertionError("This picture was decoded.")


def test_a_picture_of_thousands_of_scans_is_refused_undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A legal picture that takes seconds to decode is no picture, and nobody finds out by decoding it."""
    jpeg, scans = picture_of_scans()
    assert scans > 1_000
    assert len(jpeg) <= STILL_SIZE
    monkeypatch.setattr(stills, "_is_dark", never_decode)
    kept = stills.Stills()
    assert kept.take(1, jpeg, NOW) is None
    assert not kept.newest


def test_a_usual_progressive_picture_is_taken() -> None:
    """What an encoder writes by itself stays far below the limit, so no honest camera is refused."""
    file = io.BytesIO()
    Image.effect_noise((640, 480), 60).convert("RGB").save(file, "JPEG", progressive=True, quality=30)
    still = stills.Stills().take(1, file.getvalue(), NOW)
    assert still is not None
    assert still.kind == "ok"
