"""What the candidate's page shows before its socket speaks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CandidatePage:
    language: str
    candidate: str
    exam: str
    institution: str
    messages: dict[str, str]
    socket_path: str


@dataclass(frozen=True, slots=True)
class CandidateEndedPage:
    language: str
    exam: str
    institution: str
