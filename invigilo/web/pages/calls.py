"""What the proctors' pages ask for to call candidates and to write to them; and the window of a call."""

from __future__ import annotations

from typing import Any

from litestar import Response, delete, get, post
from litestar.params import FromPath

from invigilo.errors import NotFound
from invigilo.exams.model import Exam
from invigilo.proctoring.service import RoomView
from invigilo.web.call_wishes import (
    Call,
    CallWish,
    MessageOut,
    MessageWish,
    SentMessage,
    body_of,
    close_call,
    exam_of,
    newest_messages,
    open_call,
    send_message,
)
from invigilo.web.pages.monitoring import record_sight, room_window, whole
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts


@post("/monitoring/{exam_id:int}/calls")
async def open_exam_call(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Call]:
    exam_of(site, account, exam_id)  # whoever may not is told so, whatever they sent
    call, is_new = await open_call(site, account, exam_id, await body_of(request, CallWish))
    return Response(call, status_code=201 if is_new else 200)


@delete("/monitoring/{exam_id:int}/calls/{room_id:int}")
async def close_exam_call(
    site: SiteParts, account: SignedIn, exam_id: FromPath[int], room_id: FromPath[int]
) -> None:
    await close_call(site, account, exam_id, room_id)


@get("/monitoring/{exam_id:int}/calls/{room_id:int}")
async def call_window(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int], room_id: FromPath[int]
) -> Response[Any]:
    """The window of a call. Opening it is on record: somebody watches people."""
    exam = exam_of(site, account, exam_id)
    view = _call(site, exam, room_id)
    if view is None:
        await site.rooms.look_again(exam)  # opened a moment ago
        view = _call(site, exam, room_id)
    if view is None:
        raise NotFound("This call is closed, or there never was one.", key="no_such_open_call")
    await record_sight(site, account, exam, "call_watched", room_id=view.id, detail={"room": view.subject})
    return room_window(request, site, account, exam, view)


def _call(site: Site, exam: Exam, room_id: int) -> RoomView | None:
    return next((one for one in site.rooms.of_exam(exam) if one.id == room_id and one.is_call), None)


@post("/monitoring/{exam_id:int}/messages")
async def write_to_candidates(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> SentMessage:
    exam_of(site, account, exam_id)
    return await send_message(site, account, exam_id, await body_of(request, MessageWish))


@get("/monitoring/{exam_id:int}/messages")
async def exam_messages(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> list[MessageOut]:
    """The newest of the exam; with `connection`, what went to that one and came from it."""
    connection = whole(request.query_params.get("connection"), "connection")
    return await newest_messages(site, account, exam_id, connection)


handlers = [open_exam_call, close_exam_call, call_window, write_to_candidates, exam_messages]
