"""The record of who did what and when: searched, and taken along as a table."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.response import Stream

from invigilo.accounts.model import Kind, Right
from invigilo.accounts.permissions import institution_of, require
from invigilo.activity.reading import ActivityWish, DeedPage, Place
from invigilo.clock import to_ms
from invigilo.errors import BadInput
from invigilo.storage.queries.listing import is_row_id
from invigilo.web.deeds import csv_of, deed_names, more, sentence, zone_of
from invigilo.web.frame import frame_of
from invigilo.web.pages.views_activity import ActivityPage, DeedRow
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts
from invigilo.web.spreadsheet import shown_time

ASKED = ("q", "actor", "deed", "exam", "exam_id", "from", "to", "zone")
LONGEST = 200


def asked_of(request: AnyRequest) -> dict[str, str]:
    found = {name: str(request.query_params.get(name) or "").replace("\0", "").strip() for name in ASKED}
    return {name: value[:LONGEST] for name, value in found.items()}


def _day(text: str, field: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput("Write a day like 2026-01-31.", field=field) from error


def wish_of(asked: dict[str, str], zone: ZoneInfo) -> ActivityWish:
    """From the address; days are whole days in the reader's zone. Raises BadInput."""
    first, last = _day(asked["from"], "from"), _day(asked["to"], "to")
    if asked["deed"] and not re.fullmatch(r"[a-z0-9_]{1,64}", asked["deed"]):
        raise BadInput("There is no such kind of deed.", field="deed")
    return ActivityWish(
        words=asked["q"],
        actor=asked["actor"],
        deed=asked["deed"],
        exam_id=exam_id_of(asked["exam_id"]),
        exam=asked["exam"],
        since=None if first is None else _start(first, zone),
        until=None if last is None or last == date.max else _start(last + timedelta(days=1), zone),
    )


def exam_id_of(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and is_row_id(int(text))):
        raise BadInput("exam_id is an exam's number.", field="exam_id")
    return int(text)


def _start(day: date, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.combine(day, time(), tzinfo=zone)
        to_ms(moment)
    except (OverflowError, ValueError) as error:
        raise BadInput("Write a day like 2026-01-31.", field="from") from error
    return moment


@get("/activity")
async def show(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.ACTIVITY, Right.SEE)
    frame = frame_of(request, site, account)
    asked = asked_of(request)
    zone = zone_of(account.time_zone, asked["zone"])
    before_text = str(request.query_params.get("before") or "")
    problem = ""
    found = DeedPage([], None)
    try:
        before = Place.read(before_text) if before_text else None
        wish = wish_of(asked, zone)
        found = await site.activity.page(wish, institution_id=institution_of(account), before=before)
    except BadInput:
        problem = site.renderer.catalogue.text(frame.language, "activity.problem")
    page = ActivityPage(
        frame=frame,
        rows=_rows(site, frame.language, found, zone),
        asked=asked,
        deeds=deed_names(site.renderer.catalogue, frame.language),
        exam=next((one.exam or "" for one in found.deeds), "") or asked["exam_id"],
        next="" if found.next is None else str(found.next),
        looked_back_to=None if found.looked_back_to is None else to_ms(found.looked_back_to),
        is_first=not before_text,
        has_institutions=institution_of(account) is None,
        problem=problem,
    )
    return site.renderer.respond(
        request, "activity.html", page, language=frame.language, status=400 if problem else 200
    )


def _rows(site: Site, language: str, found: DeedPage, zone: ZoneInfo) -> list[DeedRow]:
    catalogue = site.renderer.catalogue
    return [
        DeedRow(
            at=to_ms(one.at),
            shown_at=shown_time(one.at, zone),
            actor=one.actor,
            what=sentence(catalogue, language, one),
            more=more(catalogue, language, one),
            exam_id=one.exam_id,
            exam=one.exam or "",
            institution=site.directory.institutions.get(one.institution_id or 0, ""),
        )
        for one in found.deeds
    ]


@get("/activity.csv")
async def export(request: AnyRequest, site: SiteParts, account: SignedIn) -> Stream:
    require(account, Kind.ACTIVITY, Right.SEE)
    asked = asked_of(request)
    zone = zone_of(account.time_zone, asked["zone"])
    language = site.renderer.language_of(request, account.language)
    return await csv_of(site, account, wish_of(asked, zone), language=language, zone=zone)


handlers = [show, export]
