"""Calls and messages as a page's script or an API call asks for them: checked, done, and told."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import access_exam
from invigilo.errors import BadInput
from invigilo.exams.model import Exam
from invigilo.proctoring.calls import BREAK_OUT_SIZE
from invigilo.proctoring.messages import LONGEST
from invigilo.proctoring.model import Room, RoomKind
from invigilo.web.parts import AnyRequest, Site

Id = Annotated[int, Meta(ge=1, le=2**53)]
CALL_KINDS = {RoomKind.TOWN_HALL.value: RoomKind.TOWN_HALL, RoomKind.BREAK_OUT.value: RoomKind.BREAK_OUT}


class CallWish(msgspec.Struct, forbid_unknown_fields=True):
    """A call as somebody wants it."""

    kind: Annotated[str, Meta(pattern="^(town_hall|break_out)$")]
    """`town_hall`: everybody of the exam; `break_out`: those named."""
    connections: Annotated[list[Id], Meta(max_length=BREAK_OUT_SIZE)] = []
    """Whom to call aside; not for a town hall."""


class Hall(msgspec.Struct, frozen=True):
    """How many a town hall bears at this exam's meeting service, and how many would hear it now."""

    size: int | None
    """null: as many as come."""
    hearers: int


class Call(msgspec.Struct, frozen=True):
    """A call as it is now."""

    id: int
    kind: str
    number: int
    subject: str
    state: str
    """`open`; `opening` or `failed` while the meeting service has not opened it: nobody is moved until then."""
    opened_by: str | None
    reason: str | None
    """Why it could not be opened yet."""
    hall: Hall


class MessageWish(msgspec.Struct, forbid_unknown_fields=True):
    """A message as somebody wants it written: to `connections`, to a `room`, or to `everybody`; one of the three."""

    text: Annotated[str, Meta(min_length=1, max_length=LONGEST)]
    connections: Annotated[list[Id], Meta(max_length=2_000)] | None = None
    room: Id | None = None
    everybody: bool = False


class SentMessage(msgspec.Struct, frozen=True):
    """A message on its way."""

    id: int
    recipients: int
    unreachable: int
    """Of these, those whose SEB shows no page of ours now: they see it if one is opened."""


class MessageOut(msgspec.Struct, frozen=True):
    """A message between proctors and candidates, and how far it got."""

    id: int
    at: int
    """Milliseconds since the epoch."""
    by: str
    text: str
    scope: str
    """`connections`, `room`, `everybody`; `proctors` from a candidate."""
    room: int | None
    connection: int | None
    """The candidate's connection that wrote it; null when a proctor did."""
    recipients: int
    delivered: int
    read: int
    delivered_at: int | None = None
    """At the connection that was asked about."""
    read_at: int | None = None


def exam_of(site: Site, by: Account, exam_id: int) -> Exam:
    """The exam, for whoever may proctor it."""
    return access_exam(by, site.directory.exams.get(exam_id), Right.PROCTOR)


async def open_call(site: Site, by: Account, exam_id: int, wish: CallWish) -> tuple[Call, bool]:
    """The call, and whether it is new."""
    exam = exam_of(site, by, exam_id)
    opened = await site.calls.open(exam, CALL_KINDS[wish.kind], wish.connections, by=by)
    return call_of(site, exam, opened.room), opened.is_new


async def close_call(site: Site, by: Account, exam_id: int, room_id: int) -> None:
    await site.calls.close(exam_of(site, by, exam_id), room_id, by=by)


def call_of(site: Site, exam: Exam, room: Room) -> Call:
    hall = site.rooms.hall(exam)
    return Call(
        id=room.id,
        kind=room.kind.value,
        number=room.number,
        subject=room.subject,
        state=room.state.value,
        opened_by=room.opened_by,
        reason=room.reason,
        hall=Hall(hall["size"], hall["hearers"] or 0),
    )


async def send_message(site: Site, by: Account, exam_id: int, wish: MessageWish) -> SentMessage:
    exam = exam_of(site, by, exam_id)
    if (wish.connections is not None) + (wish.room is not None) + wish.everybody != 1:
        raise BadInput("A message goes to connections, to a room, or to everybody.", field="connections")
    sent = await site.messages.send(exam, wish.text, by=by, connections=wish.connections, room_id=wish.room)
    return SentMessage(sent.id, sent.recipients, sent.unreachable)


async def newest_messages(
    site: Site, by: Account, exam_id: int, connection_id: int | None
) -> list[MessageOut]:
    exam = exam_of(site, by, exam_id)
    return [
        MessageOut(
            id=one.id,
            at=one.at,
            by=one.by,
            text=one.text,
            scope=one.scope.value,
            room=one.room_id,
            connection=one.from_connection_id,
            recipients=one.recipients,
            delivered=one.delivered,
            read=one.read,
            delivered_at=one.delivered_at,
            read_at=one.read_at,
        )
        for one in await site.messages.newest(exam, connection_id=connection_id)
    ]


async def body_of(request: AnyRequest, kind: type[Any]) -> Any:
    """What a page's script sends, JSON or a form. Raises BadInput."""
    if request.content_type[0] == "application/json":
        raw = await request.body()
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise BadInput(f"This cannot be read: {str(error)[:200]}") from None
    form = await request.form()
    fields = {name: form.getall(name) for name in form}
    many = {"connections"}
    plain = {name: values if name in many else values[-1] for name, values in fields.items()}
    plain.pop("csrftoken", None)
    try:
        return msgspec.convert(plain, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(f"This cannot be read: {str(error)[:200]}") from None
