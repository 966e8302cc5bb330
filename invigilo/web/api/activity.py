"""`/api/v1/activity`: the record of who did what and when."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec
from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from invigilo.accounts.model import Kind, Right, Scope
from invigilo.accounts.permissions import institution_of, require
from invigilo.activity.reading import ActivityWish, Place
from invigilo.activity.reading import Deed as Found
from invigilo.errors import BadInput
from invigilo.web.api.base import ApiCaller, needs
from invigilo.web.deeds import csv_of, sentence, zone_of
from invigilo.web.lists import list_query
from invigilo.web.pages.activity import exam_id_of
from invigilo.web.parts import AnyRequest, Site, SiteParts

QUERY = (
    "Query: `q` (words in the actor's name or the detail), `actor`, `deed`, `exam_id`, `exam` (words of its name), `from`,"
    " `to` (times with their zone; `to` is not included)"
)


class Deed(msgspec.Struct, frozen=True):
    """One line of the record."""

    id: int
    at: datetime
    institution_id: int | None
    user_id: int | None
    """None for what the server did by itself or an operator on the command line."""
    actor: str
    deed: str
    """Stable word."""
    what: str
    """The same as a sentence, in the language of `Accept-Language`."""
    exam_id: int | None
    exam: str | None
    """Its name; None when the deed was about none, or the exam is gone."""
    connection_id: int | None
    room_id: int | None
    detail: dict[str, Any]


class DeedList(msgspec.Struct, frozen=True):
    """Deeds, newest first."""

    items: list[Deed]
    next: str | None
    """Give it as `before` for older ones; None when there are none. A search that looked through a long stretch without
    filling the page has a `next` too."""


def _wish(request: AnyRequest) -> ActivityWish:
    query = request.query_params
    texts = {
        name: str(query.get(name) or "").replace("\0", "").strip()[:200]
        for name in ("q", "actor", "deed", "exam", "exam_id")
    }
    if texts["deed"] and not re.fullmatch(r"[a-z0-9_]{1,64}", texts["deed"]):
        raise BadInput("A deed is named by a word such as exam_created.", field="deed")
    return ActivityWish(
        words=texts["q"],
        actor=texts["actor"],
        deed=texts["deed"],
        exam_id=exam_id_of(texts["exam_id"]),
        exam=texts["exam"],
        since=_moment(query.get("from"), "from"),
        until=_moment(query.get("to"), "to"),
    )


def _moment(text: Any, field: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(
            str(text).replace(" ", "+")
        )  # a plus in an address is read as a blank
        if moment.tzinfo is None:
            raise BadInput("Give the time with its zone, like 2026-01-31T08:00:00Z.", field=field)
        moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise BadInput("Give the time with its zone, like 2026-01-31T08:00:00Z.", field=field) from error
    return moment


def _deed(site: Site, language: str, one: Found) -> Deed:
    return Deed(
        id=one.id,
        at=one.at,
        institution_id=one.institution_id,
        user_id=one.user_id,
        actor=one.actor,
        deed=one.deed,
        what=sentence(site.renderer.catalogue, language, one),
        exam_id=one.exam_id,
        exam=one.exam,
        connection_id=one.connection_id,
        room_id=one.room_id,
        detail=one.detail,
    )


@get(
    "/activity",
    opt=needs(Scope.ACTIVITY_READ),
    tags=["activity"],
    summary="Read the activity record",
    description=f"{QUERY}, `before` (`next` of the page before), `size`.",
)
async def activity(request: AnyRequest, caller: ApiCaller, site: SiteParts) -> DeedList:
    require(caller.account, Kind.ACTIVITY, Right.SEE)
    size = list_query(request, sorts=["at"], default="at").size
    before = str(request.query_params.get("before") or "")
    found = await site.activity.page(
        _wish(request),
        institution_id=institution_of(caller.account),
        before=Place.read(before) if before else None,
        limit=size,
    )
    language = site.renderer.language_of(request)
    items = [_deed(site, language, one) for one in found.deeds]
    return DeedList(items, None if found.next is None else str(found.next))


@get(
    "/activity.csv",
    opt=needs(Scope.ACTIVITY_READ),
    tags=["activity"],
    summary="Export the activity record",
    responses={200: ResponseSpec(bytes, media_type="text/csv", generate_examples=False)},
    description=f"{QUERY}. A table in UTF-8, all that fits, newest first; its head is in the language of `Accept-Language`.",
)
async def export(request: AnyRequest, caller: ApiCaller, site: SiteParts) -> Stream:
    require(caller.account, Kind.ACTIVITY, Right.SEE)
    language = site.renderer.language_of(request)
    zone = zone_of(caller.account.time_zone)
    return await csv_of(site, caller.account, _wish(request), language=language, zone=zone)


handlers = [activity, export]
