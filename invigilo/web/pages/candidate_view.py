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
    """Where the exam's rooms are meetings of a service: the host whose program is let in."""
    meeting_kind: str = ""
    """By which program the meeting is entered: `jitsi`, `zoom`."""
    frame_path: str = ""
    """The page of ours in which that program runs, where it does not run in this one."""

    @property
    def meeting_host(self) -> str:
        return (self.meeting_origin or "").partition("://")[2]

    def notice_of(self, point: str) -> str:
        """Which wording of a point of the notice: what others see depends on who holds the meeting."""
        if not self.meeting_origin:
            return ""
        if point == "others" and self.meeting_kind == "zoom":
            return ".zoom"
        return ".meeting" if point in {"stored", "others"} else ""


@dataclass(frozen=True, slots=True)
class CandidateEndedPage:
    language: str
    exam: str
    institution: str
