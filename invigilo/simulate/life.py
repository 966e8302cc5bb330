"""What a simulated candidate does in the course of an exam. The same seed gives the same life, to the second."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from invigilo.simulate.camera import Mood


class Plan(StrEnum):
    STEADY = "steady"
    RAISES_HAND = "raises_hand"
    """A question now and then; the hand goes down by itself when nobody comes."""
    LEAVES_AND_RETURNS = "leaves_and_returns"
    """Closes SEB and starts it again: a new connection of the same person."""
    CAMERA_DENIED = "camera_denied"
    COVERS_CAMERA = "covers_camera"
    """A hand on the camera for half a minute."""
    FREEZES = "freezes"
    """The camera's driver hangs: the same picture again and again."""
    GOES_SILENT = "goes_silent"
    """The microphone is switched off at its cable."""
    CRASHES = "crashes"
    """SEB is gone without a goodbye, and started again: a new connection of the same person."""
    IS_LOCKED = "is_locked"
    """SEB locks itself: a forbidden program was started."""
    LOSES_NETWORK = "loses_network"
    """The cable is out for about twenty seconds; SEB comes back with its old connection token."""


class Deed(StrEnum):
    SAY = "say"
    BATTERY = "battery"
    WLAN = "wlan"
    RAISE_HAND = "raise_hand"
    LOWER_HAND = "lower_hand"
    LEAVE = "leave"
    RETURN = "return"
    COVER_CAMERA = "cover_camera"
    FREEZE_PICTURE = "freeze_picture"
    CLEAR_PICTURE = "clear_picture"
    SILENCE = "silence"
    SOUND = "sound"
    CRASH = "crash"
    LOCK = "lock"
    UNLOCK = "unlock"
    LOSE_NETWORK = "lose_network"
    FIND_NETWORK = "find_network"


QUESTIONS = ("", "I have a question", "Darf ich auf die Toilette?", "ขอกระดาษเพิ่มครับ", "Page 2 does not load…")


@dataclass(frozen=True, slots=True)
class Moment:
    at: float
    """Seconds since the candidate arrived."""
    deed: Deed
    text: str = ""
    value: int = 0


@dataclass(frozen=True, slots=True)
class Life:
    """One candidate's day. `pace` 2 lives twice as fast."""

    plan: Plan = Plan.STEADY
    seed: int = 0
    pace: float = 1.0

    @property
    def mood(self) -> Mood:
        return Mood.NONE if self.plan is Plan.CAMERA_DENIED else Mood.OK

    def settles_in(self) -> tuple[float, float]:
        """Seconds after the exam's page opened until the candidate is known, and until the exam is begun."""
        chance = random.Random(f"{self.seed} settles in")
        return chance.uniform(1, 3) / self.pace, chance.uniform(6, 15) / self.pace

    def moments(self) -> Iterator[Moment]:
        """Everything this candidate does, in order and without end."""
        streams = [
            _battery(self._chance("battery")),
            _wlan(self._chance("wlan")),
            _work(self._chance("work")),
        ]
        match self.plan:
            case Plan.RAISES_HAND:
                streams.append(_hands(self._chance("hands")))
            case Plan.LEAVES_AND_RETURNS:
                streams.append(_pairs(self._chance("leaves"), Deed.LEAVE, Deed.RETURN, away_for=(18, 25)))
            case Plan.LOSES_NETWORK:
                network = self._chance("network")
                streams.append(_pairs(network, Deed.LOSE_NETWORK, Deed.FIND_NETWORK, away_for=(19, 22)))
            case Plan.CRASHES:
                streams.append(_pairs(self._chance("crash"), Deed.CRASH, Deed.RETURN, away_for=(20, 30)))
            case Plan.STEADY | Plan.CAMERA_DENIED:
                pass
            case _:
                away, back = _TROUBLES[self.plan]
                streams.append(_pairs(self._chance(self.plan.value), away, back, away_for=(20, 40)))
        for moment in heapq.merge(*streams, key=lambda moment: moment.at):
            yield Moment(moment.at / self.pace, moment.deed, moment.text, moment.value)

    def _chance(self, what: str) -> random.Random:
        return random.Random(f"{self.seed} {what}")


def _battery(chance: random.Random) -> Iterator[Moment]:
    percent = chance.randrange(60, 100)
    at = chance.uniform(2, 6)
    while True:
        yield Moment(at, Deed.BATTERY, value=percent)
        percent = percent - 1 if percent > 5 else 100
        at += chance.uniform(40, 90)


def _wlan(chance: random.Random) -> Iterator[Moment]:
    at, strength = chance.uniform(2, 6), chance.randrange(50, 95)
    while True:
        yield Moment(at, Deed.WLAN, value=strength)
        strength = min(max(strength + chance.choice((-15, -7, 6, 12)), 20), 99)
        at += chance.uniform(30, 80)


def _work(chance: random.Random) -> Iterator[Moment]:
    """The log lines a browser leaves behind while somebody turns pages."""
    at = chance.uniform(5, 15)
    page = 1
    while True:
        yield Moment(at, Deed.SAY, text=f"Navigated to page {page} of the exam.")
        page += 1
        at += chance.uniform(15, 60)


def _hands(chance: random.Random) -> Iterator[Moment]:
    at = chance.uniform(12, 40)
    while True:
        yield Moment(at, Deed.RAISE_HAND, text=chance.choice(QUESTIONS))
        at += chance.uniform(30, 60)
        yield Moment(at, Deed.LOWER_HAND)
        at += chance.uniform(60, 150)


def _pairs(
    chance: random.Random, away: Deed, back: Deed, *, away_for: tuple[float, float]
) -> Iterator[Moment]:
    at = chance.uniform(35, 50)
    while True:
        yield Moment(at, away)
        at += chance.uniform(*away_for)
        yield Moment(at, back)
        at += chance.uniform(90, 150)


_TROUBLES = {
    Plan.COVERS_CAMERA: (Deed.COVER_CAMERA, Deed.CLEAR_PICTURE),
    Plan.FREEZES: (Deed.FREEZE_PICTURE, Deed.CLEAR_PICTURE),
    Plan.GOES_SILENT: (Deed.SILENCE, Deed.SOUND),
    Plan.IS_LOCKED: (Deed.LOCK, Deed.UNLOCK),
}
"""What begins and, after a while, ends again."""


def ordinary_lives(count: int, *, seed: int = 0) -> list[Life]:
    """A calm exam: everybody stays, every fourth has a question now and then."""
    plans = (Plan.STEADY, Plan.STEADY, Plan.RAISES_HAND, Plan.STEADY)
    return [Life(plans[number % 4], seed + number) for number in range(count)]


_EVENTFUL = (
    Plan.STEADY, Plan.RAISES_HAND, Plan.STEADY, Plan.CAMERA_DENIED, Plan.STEADY, Plan.LEAVES_AND_RETURNS,
    Plan.STEADY, Plan.LOSES_NETWORK, Plan.RAISES_HAND, Plan.STEADY, Plan.COVERS_CAMERA, Plan.IS_LOCKED,
)  # fmt: skip


def eventful_lives(count: int, *, seed: int = 0, plans: Sequence[Plan] = _EVENTFUL) -> list[Life]:
    """An exam with something to see: of twelve one leaves and returns, one has no camera, one loses the network."""
    return [Life(plans[number % len(plans)], seed + number) for number in range(count)]
