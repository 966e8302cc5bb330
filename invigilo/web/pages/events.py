"""Searching client events over all exams one may look back on, and taking them along as a table."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.response import Stream

from invigilo.accounts.model import Right
from invigilo.accounts.permissions import require_exams
from invigilo.errors import BadInput, NotFound
from invigilo.monitoring.event_search import read_before, words_of
from invigilo.storage.queries.events import SHORTEST, Found, FoundEvent
from invigilo.web.deeds import zone_of
from invigilo.web.frame import frame_of
from invigilo.web.looking_back import SEARCHABLE, asked_of, events_table, wish_of
from invigilo.web.pages.records import tone_of, when
from invigilo.web.pages.views_records import EventRow, EventsPage
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts


@get("/events")
async def show(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require_exams(account, Right.LOOK_BACK)
    frame = frame_of(request, site, account)
    say = site.renderer.catalogue.text
    asked = asked_of(request)
    zone = zone_of(account.time_zone, asked["zone"])
    before_text = str(request.query_params.get("before") or "")
    found, exam, problem = Found(), "", ""
    try:
        wish = wish_of(asked, zone)
        if wish.exam_id is not None:
            exam = (await site.records.exam(wish.exam_id, account)).name
        before = read_before(before_text)
        found = await site.event_search.page(wish, account, before=before, count=before is None)
    except BadInput as error:
        field = say(frame.language, f"events.field.{error.field}")
        problem = say(frame.language, "events.problem", field=field)
    except NotFound:
        problem = say(frame.language, "events.no_exam")
    page = EventsPage(
        frame=frame,
        rows=[_row(site, frame.language, zone, one) for one in found.events],
        asked=asked,
        types=[(one.name, say(frame.language, f"proctor.event.{one.name}")) for one in SEARCHABLE],
        chosen=[one for one in asked["types"].split(",") if one],
        exam=exam,
        next="" if found.next is None else str(found.next),
        looked_back_to=found.looked_back_to,
        counted=found.counted,
        has_more=found.has_more,
        is_first=not before_text,
        has_short_words=any(len(word) < SHORTEST for word in words_of(asked["q"])),
        problem=problem,
    )
    return site.renderer.respond(
        request, "events.html", page, language=frame.language, status=400 if problem else 200
    )


def _row(site: Site, language: str, zone: ZoneInfo, one: FoundEvent) -> EventRow:
    nameless = site.renderer.catalogue.text(language, "records.nameless", number=one.connection_id)
    return EventRow(
        id=one.id,
        at=when(one.server_time, zone),
        type=site.renderer.catalogue.text(language, f"proctor.event.{one.type.name}"),
        tone=tone_of(one.type.name),
        text=one.text,
        value="" if one.numeric_value is None else f"{one.numeric_value:g}",
        candidate=one.candidate or one.user_session_id or one.account_name or one.machine_name or nameless,
        exam_id=one.exam_id,
        exam=one.exam,
        connection_id=one.connection_id,
    )


@get("/events.csv")
async def export(request: AnyRequest, site: SiteParts, account: SignedIn) -> Stream:
    require_exams(account, Right.LOOK_BACK)
    asked = asked_of(request)
    zone = zone_of(account.time_zone, asked["zone"])
    language = site.renderer.language_of(request, account.language)
    return await events_table(site, account, wish_of(asked, zone), asked, language=language, zone=zone)


handlers = [show, export]
