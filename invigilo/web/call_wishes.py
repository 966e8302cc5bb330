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
