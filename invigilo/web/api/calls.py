"""`/api/v1/exams/{id}/calls`: town halls and one-to-one calls."""

from __future__ import annotations

from litestar import Response, delete, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from invigilo.accounts.model import Scope
from invigilo.web.api.base import ApiCaller, needs
from invigilo.web.call_wishes import Call, CallWish, close_call, open_call
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


handlers = [open_exam_call, close_exam_call]
