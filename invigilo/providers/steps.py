"""The words of a proof: its steps, what comes of one, and their numbers in the specification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    NOT_PROVABLE = "not_provable"


@dataclass(frozen=True, slots=True)
class Step:
    """One answer. Texts: `proof.<code>`, `proof.cause.<cause>`, `proof.remedy.<remedy>`, with `values` in their holes.

    A step that is ok may still carry a cause: something worth knowing that stops nobody.
    """

    code: str
    outcome: Outcome
    cause: str | None = None
    values: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def number(self) -> str:
        """Its number in the specification (live-proctoring.md §2.9)."""
        return NUMBERS.get(self.code, "")

    @property
    def remedy(self) -> str | None:
        """Code of what to change, where there is something."""
        return self.cause if self.cause not in {None, *WITHOUT_REMEDY} else None

    def as_json(self) -> dict[str, Any]:
        return {
            "step": self.code,
            "number": self.number,
            "outcome": self.outcome.value,
            "cause": self.cause,
            "remedy": self.remedy,
            "values": dict(self.values),
        }


JITSI_STEPS: Mapping[str, str] = {
    "address": "J1",
    "clock": "J5",
    "iframe": "J1",
    "prejoin": "J1",
    "peer_to_peer": "J1",
    "forged_refused": "J3",
    "anonymous_refused": "J3",
    "guests_refused": "J3",
    "credentials": "J2",
    "expired_refused": "J5",
    "conference": "J2",
    "participant_joins": "J2",
    "participant_role": "J6",
    "other_room_refused": "J4",
    "proctor_role": "J6",
    "identity": "J6",
    "participant_stays": "J6",
    "room_size": "J7",
    "media": "",
}
"""Every step of a Jitsi's proof in its order, with its number in live-proctoring.md §2.9."""

JAAS_STEPS: Mapping[str, str] = {
    "key": "A1",
    "claims": "A2",
    "script": "A3",
    "clock": "A4",
    "forged_refused": "A4",
    "anonymous_refused": "A4",
    "credentials": "A4",
    "expired_refused": "A4",
    "conference": "A4",
    "participant_joins": "A4",
    "participant_role": "A4",
    "other_room_refused": "A4",
    "proctor_role": "A4",
    "participant_stays": "A4",
    "media": "",
}

ZOOM_STEPS: Mapping[str, str] = {
    "zoom_token": "Z1",
    "zoom_scopes": "Z1",
    "zoom_clock": "Z1",
    "zoom_host": "Z2",
    "zoom_capacity": "Z2",
    "zoom_host_key": "Z4",
    "zoom_meeting": "Z3",
    "zoom_removed": "Z3",
    "zoom_sdk": "Z5",
    "zoom_account": "Z6",
    "zoom_sdk_version": "Z7",
    "zoom_reports": "",
    "zoom_media": "",
}
"""Those about a host are made once for each."""

NUMBERS = {**JAAS_STEPS, **JITSI_STEPS, **ZOOM_STEPS}
STEPS: Mapping[str, tuple[str, ...]] = {
    "builtin": (),
    "jitsi": tuple(JITSI_STEPS),
    "jaas": tuple(JAAS_STEPS),
    "zoom": tuple(ZOOM_STEPS),
}

WITHOUT_REMEDY = frozenset(
    {
        "needs_step",
        "no_date",
        "limit_unknown",
        "media_needs_people",
        "zoom_capacity_is",
        "zoom_media_needs_people",
        "zoom_joined",
        "zoom_account_joined",
    }
)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for one step, for what should come after an entry, for what should not, between two logins (rate limits,
    jitsi.md §5.5).
    """

    step: float = 10.0
    comes: float = 2.5
    settle: float = 2.5
    spacing: float = 0.4


class ProofFailed(Exception):
    """A step fails, by name."""

    def __init__(self, cause: str, **values: object) -> None:
        super().__init__(cause)
        self.cause = cause
        self.values = values
