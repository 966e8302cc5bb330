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
    meeting_origin: str | None = None
    """Where the exam's rooms are meetings of a service: the host whose program this page lets in."""

    @property
    def meeting_host(self) -> str:
        return (self.meeting_origin or "").partition("://")[2]


@dataclass(frozen=True, slots=True)
class CandidateEndedPage:
    language: str
    exam: str
    institution: str
