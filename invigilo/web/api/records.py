"""`/api/v1/finished-exams`, an exam's connections with their timelines, and `/api/v1/events`: looking back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.response import Stream

from invigilo.accounts.model import Right, Scope
from invigilo.accounts.permissions import require_exams
from invigilo.clock import from_ms
from invigilo.errors import BadInput
from invigilo.exams.model import Exam
from invigilo.monitoring.event_search import read_before
from invigilo.monitoring.model import ConnectionState, Moment, MomentKind
from invigilo.monitoring.records import read_place
from invigilo.storage.queries.events import FoundEvent
from invigilo.storage.queries.records import CONNECTION_SORTS, FINISHED_SORTS, ConnectionRecord
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.deeds import zone_of
from invigilo.web.lists import list_query
from invigilo.web.looking_back import (
    SEARCHABLE,
    asked_of,
    connections_table,
    events_table,
    kinds_of,
    wish_of,
)
from invigilo.web.pages.records import connection_query, moment_words
from invigilo.web.parts import AnyRequest, Site, SiteParts

TAGS = ["looking back"]
QUERY = (
    "Query: `q` (words of the text; what stands in double quotes is one), `types` (some of "
    f"{', '.join(one.name for one in SEARCHABLE)}, with commas), `candidate` (words of their name, user id or computer),"
    " `exam_id`, `exam` (words of its name), `connection_id`, `from`, `to` (times with their zone; `to` is not included),"
    " `value_from`, `value_to`"
)
LIST = f"Query: `q` (words of the candidate's name, user id or computer), `state`, `sort` ({', '.join(CONNECTION_SORTS)})"
CSV = {200: ResponseSpec(bytes, media_type="text/csv", generate_examples=False)}


class FinishedExamOut(msgspec.Struct, frozen=True):
    """An exam that is over. Errors and warnings are those that its clients sent."""

    id: int
    institution_id: int
    name: str
    starts_at: datetime
    ended_at: datetime
    is_archived: bool
    connections: int
    errors: int
    warnings: int


class RoomOut(msgspec.Struct, frozen=True):
    """A room a client was in."""

    kind: str
    number: int


class ConnectionRecordOut(msgspec.Struct, frozen=True):
    """One client connection of an exam, now or past."""

    id: int
    exam_id: int
    state: ConnectionState
    candidate: str | None
    """The name on the roster."""
    user_id: str | None
    """As the learning system sent it; several, when several people used this connection."""
    group: str | None
    account_name: str | None
    machine_name: str | None
    os_name: str | None
    seb_version: str | None
    address: str | None
    flags: list[str]
    first_seen: datetime
    config_downloaded_at: datetime | None
    established_at: datetime | None
    last_seen: datetime
    closed_at: datetime | None
    replaced_by: int | None
    """The connection on which the same candidate came back."""
    events: int
    """Kept lines; the counts by kind also count what was dropped."""
    errors: int
    warnings: int
    infos: int
    notifications: int
    incidents: int
    rooms: list[RoomOut]


class MomentOut(msgspec.Struct, frozen=True):
    """Something that happened to a connection."""

    at: datetime
    kind: MomentKind
    id: int
    """Of this kind and `what`."""
    what: str
    """Stable word: of an event its type, of a deed its word, of an instruction its type."""
    words: str
    """The same as a sentence, in the language of `Accept-Language`; empty for events, which say it in `text`."""
    text: str
    """What the client or a proctor wrote."""
    detail: dict[str, Any]


class Timeline(msgspec.Struct, frozen=True):
    """Moments in order."""

    items: list[MomentOut]
    next: str | None
    """Give it as `after` for what follows; null at the end."""


class EventOut(msgspec.Struct, frozen=True):
    """One line that a client sent."""

    id: int
    at: datetime
    """By the server's clock."""
    client_time: int | None
    """By the client's clock, in ms since 1970; it may be anything."""
    type: str
    value: float | None
    text: str
    exam_id: int
    exam: str
    institution_id: int
    connection_id: int
    candidate: str | None
    user_id: str | None
    account_name: str | None
    machine_name: str | None


class EventList(msgspec.Struct, frozen=True):
    """Events, newest first."""

    items: list[EventOut]
    next: str | None
    """Give it as `before` for older ones; null when all were looked at."""
    looked_back_to: datetime | None
    """Set when the search stopped because its time was over, before the page was full: from here `next` searches on."""


def _when(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _record(one: ConnectionRecord) -> ConnectionRecordOut:
    return ConnectionRecordOut(
        id=one.id,
        exam_id=one.exam_id,
        state=one.state,
        candidate=one.candidate,
        user_id=one.user_session_id,
        group=one.group,
        account_name=one.account_name,
        machine_name=one.machine_name,
        os_name=one.os_name,
        seb_version=one.seb_version,
        address=one.address,
        flags=list(one.flags),
        first_seen=from_ms(one.first_seen),
        config_downloaded_at=_when(one.config_downloaded_at),
        established_at=_when(one.established_at),
        last_seen=from_ms(one.last_seen),
        closed_at=_when(one.closed_at),
        replaced_by=one.replaced_by,
        events=one.events,
        errors=one.errors,
        warnings=one.warnings,
        infos=one.infos,
        notifications=one.notifications,
        incidents=one.incidents,
        rooms=[RoomOut(kind, number) for kind, number in one.rooms],
    )


def _event(one: FoundEvent) -> EventOut:
    return EventOut(
        id=one.id,
        at=from_ms(one.server_time),
        client_time=one.client_time,
        type=one.type.name,
        value=one.numeric_value,
        text=one.text,
        exam_id=one.exam_id,
        exam=one.exam,
        institution_id=one.institution_id,
        connection_id=one.connection_id,
        candidate=one.candidate,
        user_id=one.user_session_id,
        account_name=one.account_name,
        machine_name=one.machine_name,
    )


def _moment(site: Site, language: str, exam: Exam, one: Moment) -> MomentOut:
    words, _ = moment_words(site, language, exam, one)
    return MomentOut(from_ms(one.at), one.kind, one.id, one.what, words, one.text, one.detail)


@get(
    "/finished-exams",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="Exams that are over",
    description=f"Query: `q` (words of name and description), `sort` ({', '.join(FINISHED_SORTS)}), `page`, `size`.",
)
async def finished(request: AnyRequest, caller: ApiCaller, site: SiteParts) -> ApiList[FinishedExamOut]:
    query = list_query(request, sorts=FINISHED_SORTS, default="-end")
    found, total = await site.records.finished(
        caller.account,
        search=query.search,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    items = [
        FinishedExamOut(
            id=one.id,
            institution_id=one.institution_id,
            name=one.name,
            starts_at=one.starts_at,
            ended_at=one.ended_at,
            is_archived=one.is_archived,
            connections=one.connections,
            errors=one.errors,
            warnings=one.warnings,
        )
        for one in found
    ]
    return listed(items, total, page=query.page, size=query.size)


@get(
    "/exams/{exam_id:int}/connections",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="All connections of an exam",
    description=f"Running, closed and lost ones. {LIST}, `page`, `size`.",
)
async def connections(
    request: AnyRequest, caller: ApiCaller, site: SiteParts, exam_id: FromPath[int]
) -> ApiList[ConnectionRecordOut]:
    exam = await site.records.exam(exam_id, caller.account)
    query, wish = connection_query(request)
    found, total = await site.records.connections(exam, wish, offset=query.offset, limit=query.size)
    return listed([_record(one) for one in found], total, page=query.page, size=query.size)


@get(
    "/exams/{exam_id:int}/connections.csv",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="All connections of an exam as CSV",
    responses=CSV,
    description="UTF-8, in the order they came; its head is in the language of `Accept-Language`. Query: `q`, `state`.",
)
async def connections_csv(
    request: AnyRequest, caller: ApiCaller, site: SiteParts, exam_id: FromPath[int]
) -> Stream:
    exam = await site.records.exam(exam_id, caller.account)
    _, wish = connection_query(request)
    return await connections_table(
        site,
        caller.account,
        exam,
        wish,
        language=site.renderer.language_of(request),
        zone=zone_of(caller.account.time_zone, exam.time_zone),
    )


@get(
    "/exams/{exam_id:int}/connections/{connection_id:int}",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="One connection of an exam",
)
async def connection(
    caller: ApiCaller, site: SiteParts, exam_id: FromPath[int], connection_id: FromPath[int]
) -> ConnectionRecordOut:
    exam = await site.records.exam(exam_id, caller.account)
    return _record(await site.records.connection(exam, connection_id))


@get(
    "/exams/{exam_id:int}/connections/{connection_id:int}/timeline",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="Everything that happened to a connection",
    description=(
        f"Query: `kinds` (some of {', '.join(one.value for one in MomentKind)}, with commas),"
        " `order` (`oldest`, `newest` first), `after` (`next` of the page before), `size`."
    ),
)
async def timeline(
    request: AnyRequest,
    caller: ApiCaller,
    site: SiteParts,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
) -> Timeline:
    exam = await site.records.exam(exam_id, caller.account)
    record = await site.records.connection(exam, connection_id)
    order = str(request.query_params.get("order") or "oldest")
    if order not in {"oldest", "newest"}:
        raise BadInput("order is oldest or newest.", field="order")
    found = await site.records.timeline(
        record,
        kinds=kinds_of(request),
        after=read_place(str(request.query_params.get("after") or "")),
        is_backwards=order == "newest",
        limit=list_query(request, sorts=["at"], default="at").size,
    )
    language = site.renderer.language_of(request)
    items = [_moment(site, language, exam, one) for one in found.moments]
    return Timeline(items, None if found.next is None else str(found.next))


@get(
    "/events",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="Search client events",
    description=(
        f"{QUERY}, `before` (`next` of the page before), `size`. A search takes about a second at most; one that did not get"
        " through has `looked_back_to`. Words of three characters and more, an exam, a span of time or types make it quick."
    ),
)
async def events(request: AnyRequest, caller: ApiCaller, site: SiteParts) -> EventList:
    require_exams(caller.account, Right.LOOK_BACK)
    found = await site.event_search.page(
        wish_of(asked_of(request), None),
        caller.account,
        before=read_before(str(request.query_params.get("before") or "")),
        limit=list_query(request, sorts=["at"], default="at").size,
    )
    return EventList(
        [_event(one) for one in found.events],
        None if found.next is None else str(found.next),
        _when(found.looked_back_to),
    )


@get(
    "/events.csv",
    opt=needs(Scope.EXAMS_READ),
    tags=TAGS,
    summary="Export client events",
    responses=CSV,
    description=f"{QUERY}. UTF-8, all that fit, newest first; its head is in the language of `Accept-Language`.",
)
async def events_csv(request: AnyRequest, caller: ApiCaller, site: SiteParts) -> Stream:
    require_exams(caller.account, Right.LOOK_BACK)
    asked = asked_of(request)
    return await events_table(
        site,
        caller.account,
        wish_of(asked, None),
        asked,
        language=site.renderer.language_of(request),
        zone=zone_of(caller.account.time_zone),
    )


handlers = [finished, connections, connections_csv, connection, timeline, events, events_csv]
