"""The messages of docs/protocol.md, as types: what does not fit one of them is refused before anything looks at it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

ShortText = Annotated[str, Meta(max_length=64)]
Sdp = Annotated[str, Meta(max_length=64_000)]
ConnectionId = Annotated[int, Meta(ge=1, lt=2**31)]
RoomId = Annotated[int, Meta(ge=1, lt=2**31)]
MessageId = Annotated[int, Meta(ge=1, lt=2**53)]
DeviceCheck = Literal[
    "pending", "ok", "denied_by_settings", "denied_by_system", "no_device", "in_use", "failed"
]
PathCheck = Literal["pending", "ok", "no_path", "stills_only"]
Sending = Literal["live", "muted", "ended", "off"]
Sound = Literal["live", "silent", "muted", "ended", "off"]
"""`silent`: the microphone is on, and not even a room's noise comes from it."""


class IceCandidate(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An RTCIceCandidateInit."""

    candidate: Annotated[str, Meta(max_length=2_000)] = ""
    sdpMid: Annotated[str, Meta(max_length=64)] | None = None  # noqa: N815  (the browser's spelling)
    sdpMLineIndex: Annotated[int, Meta(ge=0, le=64)] | None = None  # noqa: N815
    usernameFragment: Annotated[str, Meta(max_length=256)] | None = None  # noqa: N815


class _Message(Struct, tag_field="t", forbid_unknown_fields=True): ...


class Hello(_Message, tag="hello"):
    tab: ShortText
    language: ShortText = "en"
    seb: Annotated[str, Meta(max_length=200)] | None = None


class SelfCheck(_Message, tag="self_check"):
    camera: DeviceCheck
    microphone: DeviceCheck
    path: PathCheck
    detail: Annotated[str, Meta(max_length=200)] = ""


class Media(_Message, tag="media"):
    camera: Sending
    microphone: Sound
    visible: bool = True
    exam_opened: bool = False


class CandidateSignal(_Message, tag="signal"):
    peer: ShortText
    kind: Literal["offer", "candidate"]
    sdp: Sdp | None = None
    candidate: IceCandidate | None = None


class PeerState(_Message, tag="peer"):
    peer: ShortText
    state: Literal["connecting", "connected", "disconnected", "failed", "closed"]


class Confirm(_Message, tag="confirm"):
    revision: Annotated[int, Meta(ge=0, lt=2**31)]


class Enter(_Message, tag="enter"):
    """The candidate's page asks for its way into the meeting."""


class MessageDelivered(_Message, tag="message_delivered"):
    """The candidate's page shows a message."""

    id: MessageId


class MessageRead(_Message, tag="message_read"):
    """The candidate has read it."""

    id: MessageId


class Say(_Message, tag="say"):
    """The candidate writes to the proctors."""

    text: Annotated[str, Meta(max_length=500)]


class MeetingState(_Message, tag="meeting"):
    """How far the candidate's page got on that way."""

    state: Literal[
        "none",
        "joining",
        "joined",
        "script_failed",
        "unreachable",
        "refused",
        "locked",
        "full",
        "kicked",
        "lost",
        "no_host",
        "outdated",
    ]
    code: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    """The meeting service's own number for what went wrong; 0 is none."""


class Ping(_Message, tag="ping"):
    n: Annotated[int, Meta(ge=0, lt=2**53)]


class Watch(_Message, tag="watch"):
    connection: ConnectionId


class Unwatch(_Message, tag="unwatch"):
    connection: ConnectionId


class ProctorSignal(_Message, tag="signal"):
    connection: ConnectionId
    kind: Literal["answer", "candidate"]
    sdp: Sdp | None = None
    candidate: IceCandidate | None = None


class Restart(_Message, tag="restart"):
    connection: ConnectionId


class FrameReport(Struct, forbid_unknown_fields=True):
    connection: ConnectionId
    frames: Annotated[int, Meta(ge=0, lt=100_000)]
    width: Annotated[int, Meta(ge=0, lt=20_000)] = 0
    height: Annotated[int, Meta(ge=0, lt=20_000)] = 0


class Frames(_Message, tag="frames"):
    reports: Annotated[list[FrameReport], Meta(max_length=200)]


class Stills(_Message, tag="stills"):
    connections: Annotated[list[ConnectionId], Meta(max_length=1_000)] | Literal["all"]


class EnterRoom(_Message, tag="enter"):
    """A proctor's page asks for its way into the meeting of a room."""

    room: RoomId
    trouble: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    """What the meeting service told this page when it tried before; 0 is nothing."""


class HoldRoom(_Message, tag="hold"):
    """A proctor's page lets a room perceive it, and says so again every few seconds; all false ends it."""

    room: RoomId
    audio: bool = False
    video: bool = False
    chat: bool = False


class Participant(Struct, forbid_unknown_fields=True):
    identity: ShortText
    video: bool = False
    moderator: bool = False


class Seen(_Message, tag="seen"):
    """Whom a proctor's page finds in the meeting; null when it has left it."""

    room: RoomId
    participants: Annotated[list[Participant], Meta(max_length=600)] | None
    host: bool = False
    """This page was let in to hold the meeting."""


class Look(_Message, tag="look"):
    """What this proctor's page shows now, so that the others know who is looking at which room."""

    view: Literal["table", "heat", "room", "overview", "connection"]
    room: ConnectionId | None = None
    """The room's id."""


FromCandidate = (
    Hello
    | SelfCheck
    | Media
    | CandidateSignal
    | PeerState
    | Confirm
    | Enter
    | MeetingState
    | MessageDelivered
    | MessageRead
    | Say
    | Ping
)
FromProctor = (
    Watch | Unwatch | ProctorSignal | Restart | Frames | Stills | EnterRoom | HoldRoom | Seen | Look | Ping
)

candidate_decoder: msgspec.json.Decoder[FromCandidate] = msgspec.json.Decoder(FromCandidate)
proctor_decoder: msgspec.json.Decoder[FromProctor] = msgspec.json.Decoder(FromProctor)


def signal_fields(message: CandidateSignal | ProctorSignal) -> dict[str, Any]:
    """What is passed on: the description or the ICE candidate, in the browser's spelling."""
    if message.kind == "candidate":
        found = message.candidate
        return {"kind": "candidate", "candidate": None if found is None else msgspec.to_builtins(found)}
    return {"kind": message.kind, "sdp": message.sdp or ""}
