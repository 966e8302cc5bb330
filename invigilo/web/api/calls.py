"""`/api/v1/exams/{id}/calls` and `…/messages`: town halls, one-to-one calls, and what is written to candidates."""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody

from invigilo.accounts.model import Scope
from invigilo.web.api.base import ApiCaller, needs
from invigilo.web.call_wishes import (
    Call,
    CallWish,
    MessageOut,
    MessageWish,
    SentMessage,
    close_call,
    newest_messages,
    open_call,
    send_message,
)
from invigilo.web.parts import SiteParts

TAGS = ["calls"]


@post(
    "/exams/{exam_id:int}/calls",
    opt=needs(Scope.PROCTORING_WRITE),
    tags=TAGS,
    summary="Open a town hall or a one-to-one call, or enter the one that is there",
    responses={200: ResponseSpec(Call, description="It was there")},
)
async def open_exam_call(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[CallWish]
) -> Response[Call]:
    call, is_new = await open_call(site, caller.account, exam_id, data)
    return Response(call, status_code=201 if is_new else 200)


@delete(
    "/exams/{exam_id:int}/calls/{room_id:int}",
    opt=needs(Scope.PROCTORING_WRITE),
    tags=TAGS,
    summary="Close a call; closed already is fine",
)
async def close_exam_call(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], room_id: FromPath[int]
) -> None:
    await close_call(site, caller.account, exam_id, room_id)


@post(
    "/exams/{exam_id:int}/messages",
    opt=needs(Scope.PROCTORING_WRITE),
    tags=TAGS,
    summary="Write to candidates",
)
async def write_to_candidates(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], data: JSONBody[MessageWish]
) -> SentMessage:
    return await send_message(site, caller.account, exam_id, data)


@get(
    "/exams/{exam_id:int}/messages",
    opt=needs(Scope.PROCTORING_READ),
    tags=TAGS,
    summary="The newest 200 messages of an exam, or of one connection",
)
async def exam_messages(
    site: SiteParts, caller: ApiCaller, exam_id: FromPath[int], connection: FromQuery[int | None] = None
) -> list[MessageOut]:
    return await newest_messages(site, caller.account, exam_id, connection)


handlers = [open_exam_call, close_exam_call, write_to_candidates, exam_messages]
