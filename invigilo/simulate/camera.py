"""A camera that never was: somebody in front of a wall, with a clock that proves the picture is live.

Drawing must cost next to nothing, because dozens of these share one process with their encoders. So each picture is drawn
once with Pillow, turned into the planes a video encoder wants (YUV 4:2:0), and from then on only two small pieces move:
the head, pasted through a mask, and the digits of the clock.
"""

from __future__ import annotations

import asyncio
import functools
import io
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from invigilo.simulate.names import plain

WIDTH, HEIGHT = 320, 240
FRAMES_PER_SECOND = 10
STILL_QUALITY = 55

_PIXELS = WIDTH * HEIGHT
_VIDEO_CLOCK = Fraction(1, 90_000)
_AUDIO_RATE = 48_000
_AUDIO_CLOCK = Fraction(1, _AUDIO_RATE)
_SOUND_PACKET_MS = 60

Bytes = NDArray[np.uint8]


class Mood(StrEnum):
    """What the camera does."""

    OK = "ok"
    BLACK = "black"
    FROZEN = "frozen"
    NONE = "none"
    """Permission denied: there is no camera."""


@dataclass(frozen=True, slots=True)
class _Planes:
    """A picture as an encoder wants it: brightness in full, colour at half size."""

    y: Bytes
    u: Bytes
    v: Bytes


@dataclass(frozen=True, slots=True)
class _Sprite:
    """A piece that moves: its planes, and where it covers what is behind."""

    planes: _Planes
    mask: NDArray[np.bool_]
    mask_small: NDArray[np.bool_]


def _planes_of(image: Image.Image) -> _Planes:
    """In video range (16 to 235), which decoders expect."""
    rgb = np.asarray(image.convert("RGB"), dtype=np.float32)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    return _Planes(_whole(y), _whole(_halved(u)), _whole(_halved(v)))


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    height, width = plane.shape
    return plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


def _whole(plane: NDArray[Any]) -> Bytes:
    return np.ascontiguousarray(plane.round().clip(0, 255).astype(np.uint8))


def _sprite_of(image: Image.Image) -> _Sprite:
    covers = np.asarray(image.getchannel("A")) > 127
    return _Sprite(_planes_of(image), covers, np.ascontiguousarray(covers[::2, ::2]))


class Camera:
    """One candidate's camera. The same seed gives the same person in the same room."""

    def __init__(self, name: str, seed: int, *, mood: Mood = Mood.OK) -> None:
        self.mood = mood
        look = random.Random(seed)
        self._phase = look.uniform(0, math.tau)
        self._pace = look.uniform(0.7, 1.4)
        self._sway = look.randrange(8, 26, 2)
        self._head_x = WIDTH // 2 + look.randrange(-40, 42, 2)
        background, self._heads = _draw_person(name, look, self._head_x)
        self._buffer = np.empty(_PIXELS * 3 // 2, dtype=np.uint8)
        self._canvas = _views(self._buffer)
        for mine, drawn in zip(self._canvas, (background.y, background.u, background.v), strict=True):
            mine[:] = drawn
        self._background = background
        self._behind: tuple[slice, slice, slice, slice] | None = None
        self._frozen_at: float | None = None

    @property
    def has_picture(self) -> bool:
        return self.mood is not Mood.NONE

    def frame(self) -> VideoFrame:
        """The picture now."""
        return VideoFrame.from_ndarray(self._drawn().reshape(HEIGHT * 3 // 2, WIDTH), format="yuv420p")

    def still(self) -> bytes:
        """The same picture as a JPEG of at most 10 kB."""
        y, u, v = _views(self._drawn())
        bands = [
            Image.fromarray(y).point(_FULL_BRIGHTNESS),
            Image.fromarray(u).point(_FULL_COLOUR).resize((WIDTH, HEIGHT)),
            Image.fromarray(v).point(_FULL_COLOUR).resize((WIDTH, HEIGHT)),
        ]
        out = io.BytesIO()
        Image.merge("YCbCr", bands).save(out, "JPEG", quality=STILL_QUALITY)
        return out.getvalue()

    def _drawn(self) -> Bytes:
        if self.mood is Mood.BLACK:
            return _black()
        now = time.time()
        if self.mood is Mood.FROZEN:
            self._frozen_at = now = self._frozen_at or now
        else:
            self._frozen_at = None
        self._draw(now)
        return self._buffer

    def _draw(self, now: float) -> None:
        if self._behind is not None:
            rows, columns, small_rows, small_columns = self._behind
            self._canvas[0][rows, columns] = self._background.y[rows, columns]
            self._canvas[1][small_rows, small_columns] = self._background.u[small_rows, small_columns]
            self._canvas[2][small_rows, small_columns] = self._background.v[small_rows, small_columns]
        angle = now * self._pace + self._phase
        x = self._head_x - _HEAD_WIDTH // 2 + round(self._sway * math.sin(angle) / 2) * 2
        y = _HEAD_TOP + round(3 * math.sin(angle * 1.7)) * 2
        blinks = (now * self._pace + self._phase) % 4 < 0.25
        self._behind = self._paste(self._heads[1 if blinks else 0], x, y)
        tenths = int(now * 10)
        text = time.strftime("%H:%M:%S", time.localtime(now)) + f".{tenths % 10}"
        for place, sign in enumerate(text):
            digit = _digits()[sign]
            left = WIDTH - 8 - (len(text) - place) * _DIGIT_WIDTH
            self._canvas[0][8 : 8 + _DIGIT_HEIGHT, left : left + _DIGIT_WIDTH] = digit

    def _paste(self, sprite: _Sprite, x: int, y: int) -> tuple[slice, slice, slice, slice]:
        """Even coordinates, so colour and brightness stay together."""
        height, width = sprite.mask.shape
        rows, columns = slice(y, y + height), slice(x, x + width)
        small_rows, small_columns = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
        np.copyto(self._canvas[0][rows, columns], sprite.planes.y, where=sprite.mask)
        np.copyto(self._canvas[1][small_rows, small_columns], sprite.planes.u, where=sprite.mask_small)
        np.copyto(self._canvas[2][small_rows, small_columns], sprite.planes.v, where=sprite.mask_small)
        return rows, columns, small_rows, small_columns


def _views(buffer: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    quarter = _PIXELS // 4
    return (
        buffer[:_PIXELS].reshape(HEIGHT, WIDTH),
        buffer[_PIXELS : _PIXELS + quarter].reshape(HEIGHT // 2, WIDTH // 2),
        buffer[_PIXELS + quarter :].reshape(HEIGHT // 2, WIDTH // 2),
    )


@functools.cache
def _black() -> Bytes:
    buffer = np.full(_PIXELS * 3 // 2, 128, dtype=np.uint8)
    buffer[:_PIXELS] = 16
    return buffer


_FULL_BRIGHTNESS = [round(min(max((value - 16) * 255 / 219, 0), 255)) for value in range(256)]
_FULL_COLOUR = [round(min(max((value - 128) * 255 / 224 + 128, 0), 255)) for value in range(256)]


# --- drawing, once per camera ---

_HEAD_WIDTH, _HEAD_HEIGHT, _HEAD_TOP = 84, 104, 46
_DIGIT_WIDTH, _DIGIT_HEIGHT = 10, 18
_SKIN = ("#f6d7c3", "#e8b796", "#d19a73", "#b07a50", "#8a5a38", "#5d3a24")
_HAIR = ("#20150f", "#4a2d1a", "#7a4a22", "#c79a4b", "#8f8f92", "#b5482a")
_CLOTHES = ("#35507a", "#7a3553", "#2f6b57", "#8a6d2f", "#5b4a86", "#3f3f46", "#9c4f3c", "#2d7a8a")
_WALLS = ("#c9d3d9", "#d8cfc0", "#bfcabb", "#cfc3d1", "#d9cdb8", "#b7c4d4")


def _draw_person(name: str, look: random.Random, head_x: int) -> tuple[_Planes, list[_Sprite]]:
    """The room with shoulders and name, and the head with open and with closed eyes."""
    skin, hair = look.choice(_SKIN), look.choice(_HAIR)
    room = Image.new("RGB", (WIDTH, HEIGHT), look.choice(_WALLS))
    draw = ImageDraw.Draw(room)
    for _ in range(3):
        _draw_furniture(draw, look)
    shoulders = (head_x - 78, 146, head_x + 78, 330)
    draw.rounded_rectangle(shoulders, radius=60, fill=look.choice(_CLOTHES))
    draw.rectangle((head_x - 15, 130, head_x + 15, 160), fill=skin)
    draw.rectangle((0, HEIGHT - 26, WIDTH, HEIGHT), fill="#22262b")
    draw.text((8, HEIGHT - 23), plain(name), font=_font(15), fill="#ffffff")
    draw.rectangle((WIDTH - 14 - 10 * _DIGIT_WIDTH, 4, WIDTH - 4, 12 + _DIGIT_HEIGHT), fill="#101010")
    style = look.randrange(3)
    heads = [_draw_head(skin, hair, style, eyes_open=True), _draw_head(skin, hair, style, eyes_open=False)]
    return _planes_of(room), [_sprite_of(head) for head in heads]


def _draw_furniture(draw: ImageDraw.ImageDraw, look: random.Random) -> None:
    """Shelves, pictures, lamps: what makes one room unlike the next."""
    x, y = look.randrange(0, 290), look.randrange(30, 150)
    width, height = look.randrange(30, 90), look.randrange(20, 80)
    colour = tuple(look.randrange(90, 220) for _ in range(3))
    if look.random() < 0.4:
        draw.ellipse((x, y, x + height, y + height), fill=colour, outline="#6b6b6b", width=2)
    else:
        draw.rectangle((x, y, x + width, y + height), fill=colour, outline="#6b6b6b", width=2)


def _draw_head(skin: str, hair: str, style: int, *, eyes_open: bool) -> Image.Image:
    head = Image.new("RGBA", (_HEAD_WIDTH, _HEAD_HEIGHT), (0, 0, 0, 0))
    draw = ImageDraw.Draw(head)
    if style == 1:
        draw.rounded_rectangle((2, 8, 82, 98), radius=30, fill=hair)  # long hair, behind the face
    draw.ellipse((8, 4, 76, 72), fill=hair)
    draw.ellipse((12, 14, 72, 100), fill=skin)
    if style == 2:
        draw.pieslice((10, 8, 74, 60), 180, 360, fill=hair)
    for x in (30, 54):
        if eyes_open:
            draw.ellipse((x - 6, 46, x + 6, 56), fill="#ffffff")
            draw.ellipse((x - 3, 47, x + 3, 55), fill="#1c1c22")
        else:
            draw.line((x - 6, 52, x + 6, 52), fill="#3a2a22", width=2)
    draw.line((42, 56, 39, 68, 44, 69), fill="#6b4430", width=2)
    draw.arc((30, 68, 54, 86), 20, 160, fill="#8a2f2f", width=3)
    return head


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one inside Pillow, so that a picture needs no font of the machine. It knows plain Latin letters only."""
    return ImageFont.load_default(size)


@functools.cache
def _digits() -> dict[str, Bytes]:
    """The clock's signs as pieces of the brightness plane: grey on black needs no colour."""
    signs: dict[str, Bytes] = {}
    for sign in "0123456789:.":
        image = Image.new("L", (_DIGIT_WIDTH, _DIGIT_HEIGHT), 16)
        ImageDraw.Draw(image).text((_DIGIT_WIDTH / 2, 0), sign, font=_font(16), fill=235, anchor="ma")
        signs[sign] = np.asarray(image).copy()
    return signs


# --- tracks: what a peer connection pulls ---


class CameraTrack(MediaStreamTrack):
    """The camera as a live track, at its own pace whatever the encoder does."""

    kind = "video"

    def __init__(self, camera: Camera) -> None:
        super().__init__()
        self._camera = camera
        self._next = _Ticks(1 / FRAMES_PER_SECOND)

    async def recv(self) -> VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        elapsed = await self._next()
        frame = self._camera.frame()
        frame.pts, frame.time_base = round(elapsed * 90_000), _VIDEO_CLOCK
        return frame


class MicrophoneTrack(MediaStreamTrack):
    """A microphone in a quiet room, or before somebody who talks.

    Encoded once for all: an Opus encoder each would outweigh the video.
    """

    kind = "audio"

    def __init__(self, *, talks: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._quiet, self._talk = _quiet_room(), _somebody_talking()
        self._talks = talks
        self._next = _Ticks(_SOUND_PACKET_MS / 1000)
        self._number = 0

    async def recv(self) -> Any:
        if self.readyState != "live":
            raise MediaStreamError
        await self._next()
        sound = self._talk if self._talks() else self._quiet
        packet = av.Packet(sound[self._number % len(sound)])
        packet.pts = self._number * _AUDIO_RATE * _SOUND_PACKET_MS // 1000
        packet.time_base = _AUDIO_CLOCK
        self._number += 1
        return packet


@dataclass(slots=True)
class _Ticks:
    """Waits for the next tick; gives the time since the first. A late caller does not have to catch up."""

    interval: float
    clock: Callable[[], float] = time.monotonic
    began: float | None = None
    due: float = 0.0

    async def __call__(self) -> float:
        now = self.clock()
        if self.began is None:
            self.began = self.due = now
        if (wait := self.due - now) > 0:
            await asyncio.sleep(wait)
        elapsed = max(self.due, now) - self.began
        self.due = max(self.due + self.interval, now)
        return elapsed


@functools.cache
def _quiet_room() -> list[bytes]:
    """Three seconds of faint noise as Opus packets."""
    noise = np.random.default_rng(1)
    return _encoded(noise.normal(0, 12, size=3 * _AUDIO_RATE))


@functools.cache
def _somebody_talking() -> list[bytes]:
    """Three seconds of a hum with the pace of syllables: not speech, but heard and seen on every level meter."""
    at = np.arange(3 * _AUDIO_RATE) / _AUDIO_RATE
    pitch = 130 + 18 * np.sin(math.tau * at / 1.5)
    hum = sum(np.sin(n * math.tau * np.cumsum(pitch) / _AUDIO_RATE) / n for n in range(1, 7))
    syllables = np.clip(np.sin(math.tau * 2 * at), 0, None) * (np.sin(math.tau * at / 3) > -0.7)
    return _encoded(3_000 * hum * syllables)


def _encoded(samples: NDArray[Any]) -> list[bytes]:
    """As Opus packets."""
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.bit_rate, encoder.format, encoder.layout = 16_000, "s16", "stereo"
    encoder.options = {"application": "voip", "frame_duration": str(_SOUND_PACKET_MS)}
    encoder.sample_rate, encoder.time_base = _AUDIO_RATE, _AUDIO_CLOCK
    size = _AUDIO_RATE * _SOUND_PACKET_MS // 1000
    packets: list[bytes] = []
    for number, start in enumerate(range(0, len(samples) - size + 1, size)):
        both = np.repeat(samples[start : start + size].astype(np.int16), 2).reshape(1, size * 2)
        frame = AudioFrame.from_ndarray(both, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = _AUDIO_RATE, number * size, _AUDIO_CLOCK
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets
