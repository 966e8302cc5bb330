"""Looking back: exams that are over, who was connected in one, and everything that happened to a connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from invigilo.accounts.model import Right
from invigilo.accounts.permissions import institution_of, require_exams, rights_on
from invigilo.activity.reading import Deed
from invigilo.clock import from_ms
from invigilo.errors import BadInput
from invigilo.exams.model import Exam
from invigilo.monitoring.model import ConnectionState, EventType, Moment, MomentKind, Place
from invigilo.monitoring.records import ConnectionWish, read_place
from invigilo.storage.queries.records import CONNECTION_SORTS, FINISHED_SORTS, ConnectionRecord
from invigilo.web.deeds import more, sentence, zone_of
from invigilo.web.frame import frame_of
from invigilo.web.lists import ListQuery, ListView, list_query
from invigilo.web.looking_back import connections_table, kinds_of, room_name, room_names, shown
from invigilo.web.pages.views_records import (
    FinishedPage,
    FinishedRow,
    MomentRow,
    RecordPage,
    RecordRow,
    TimelinePage,
    When,
)
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts
from invigilo.web.zones import moment_of

MOMENTS = 200

_TONES = {EventType.ERROR_LOG.name: "problem", EventType.WARN_LOG.name: "warning"}


def tone_of(type_: str) -> str:
    """How a level looks: what is no warning is quiet."""
    return _TONES.get(type_, "quiet")


def when(ms: int, zone: ZoneInfo) -> When:
    return When(ms, shown(ms, zone))


@get("/finished")
async def finished(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require_exams(account, Right.LOOK_BACK)
    query = list_query(request, sorts=FINISHED_SORTS, default="-end")
    found, total = await site.records.finished(
        account,
        search=query.search,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    frame = frame_of(request, site, account)
    rows = [
        FinishedRow(one, moment_of(one.starts_at, one.time_zone), moment_of(one.ended_at, one.time_zone))
        for one in found
    ]
    page = FinishedPage(
        frame=frame,
        list=ListView(rows, total, query, "/finished"),
        has_institutions=institution_of(account) is None,
    )
    return site.renderer.respond(request, "finished.html", page, language=frame.language)


def connection_query(request: AnyRequest) -> tuple[ListQuery, ConnectionWish]:
    """Which connections of an exam are asked for. Raises BadInput."""
    query = list_query(
        request,
        sorts=CONNECTION_SORTS,
        default="name",
        filters={"state": [one.value for one in ConnectionState]},
    )
    state = query.filters.get("state")
    return query, ConnectionWish(
        search=query.search,
        state=ConnectionState(state) if state else None,
        sort=query.sort,
        is_descending=query.is_descending,
    )


@get("/exams/{exam_id:int}/record")
async def exam_record(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = await site.records.exam(exam_id, account)
    query, wish = connection_query(request)
    found, total = await site.records.connections(exam, wish, offset=query.offset, limit=query.size)
    frame = frame_of(request, site, account)
    zone = zone_of(account.time_zone, exam.time_zone)
    say = site.renderer.catalogue.text
    now = site.clock.now()
    page = RecordPage(
        frame=frame,
        exam=exam,
        starts=moment_of(exam.starts_at, exam.time_zone),
        ends=moment_of(exam.ends_at, exam.time_zone),
        state=exam.state_at(now).value,
        list=ListView(
            [
                RecordRow(
                    one,
                    when(one.first_seen, zone),
                    when(one.last_seen, zone),
                    room_names(site, frame.language, one.rooms),
                )
                for one in found
            ],
            total,
            query,
            f"/exams/{exam.id}/record",
        ),
        states=[(one.value, say(frame.language, f"records.state.{one.value}")) for one in ConnectionState],
        absent=await site.records.absent(exam),
        is_running=exam.is_running(now),
        may_watch=Right.PROCTOR in rights_on(account, exam),
    )
    return site.renderer.respond(request, "record.html", page, language=frame.language)


@get("/exams/{exam_id:int}/record.csv")
async def export(request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]) -> Stream:
    exam = await site.records.exam(exam_id, account)
    _, wish = connection_query(request)
    return await connections_table(
        site,
        account,
        exam,
        wish,
        language=site.renderer.language_of(request, account.language),
        zone=zone_of(account.time_zone, str(request.query_params.get("zone") or ""), exam.time_zone),
    )


@get("/exams/{exam_id:int}/record/{connection_id:int}")
async def connection_record(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
) -> Response[Any]:
    exam = await site.records.exam(exam_id, account)
    record = await site.records.connection(exam, connection_id)
    frame = frame_of(request, site, account)
    zone = zone_of(account.time_zone, exam.time_zone)
    is_backwards = request.query_params.get("order") == "newest"
    kinds: frozenset[MomentKind] = frozenset()
    after: Place | None = None
    moments: list[Moment] = []
    following: Place | None = None
    problem = ""
    try:
        kinds, after = kinds_of(request), read_place(str(request.query_params.get("after") or ""))
        found = await site.records.timeline(
            record, kinds=kinds, after=after, is_backwards=is_backwards, limit=MOMENTS
        )
        moments, following = found.moments, found.next
    except BadInput:
        problem = site.renderer.catalogue.text(frame.language, "records.problem")
    say = site.renderer.catalogue.text
    page = TimelinePage(
        frame=frame,
        exam=exam,
        record=record,
        facts=_facts(site, frame.language, record),
        times=_times(record, zone),
        rows=[_row(site, frame.language, zone, exam, one) for one in moments],
        kinds=[(one.value, say(frame.language, f"records.kind.{one.value}")) for one in MomentKind],
        chosen=[one.value for one in MomentKind if one in kinds],
        is_backwards=is_backwards,
        is_first=after is None,
        next="" if following is None else str(following),
        problem=problem,
    )
    return site.renderer.respond(
        request, "connection_record.html", page, language=frame.language, status=400 if problem else 200
    )


def _facts(site: Site, language: str, one: ConnectionRecord) -> list[tuple[str, str]]:
    """Name of a text, and what stands beside it; nothing that is not known."""
    facts: list[tuple[str, str | None]] = [
        ("user_id", one.user_session_id),
        ("group", one.group),
        ("account", one.account_name),
        ("computer", one.machine_name),
        ("system", one.os_name),
        ("seb_version", one.seb_version),
        ("address", one.address),
        ("rooms", room_names(site, language, one.rooms)),
        ("flags", _flags(site, language, one.flags)),
    ]
    return [(name, value) for name, value in facts if value]


def _flags(site: Site, language: str, flags: Iterable[str]) -> str:
    return ", ".join(
        site.renderer.catalogue.text(language, f"records.flag.{flag}")
        if site.renderer.has_text(f"records.flag.{flag}")
        else flag.replace("_", " ")
        for flag in flags
    )


def _times(one: ConnectionRecord, zone: ZoneInfo) -> list[tuple[str, When]]:
    times = [("first_seen", one.first_seen), ("last_seen", one.last_seen), ("ended", one.closed_at)]
    return [(name, when(ms, zone)) for name, ms in times if ms is not None]


# --- moments in words ---


def _row(site: Site, language: str, zone: ZoneInfo, exam: Exam, one: Moment) -> MomentRow:
    say = site.renderer.catalogue.text
    label, tone = say(language, f"records.kind.{one.kind.value}"), "info"
    if one.kind is MomentKind.EVENT:
        label, tone = say(language, f"proctor.event.{one.what}"), tone_of(one.what)
    if one.kind is MomentKind.NOTE and one.detail["is_incident"]:
        label, tone = say(language, "records.incident"), "problem"
    what, extra = moment_words(site, language, exam, one)
    return MomentRow(
        at=when(one.at, zone),
        kind=one.kind.value,
        label=label,
        tone=tone,
        what=what,
        text=one.text,
        more=extra,
    )


def moment_words(site: Site, language: str, exam: Exam, one: Moment) -> tuple[str, str]:
    """What happened, in a sentence, and what else is known; an event says it in its own text."""
    say = site.renderer.catalogue.text
    detail = one.detail
    match one.kind:
        case MomentKind.EVENT:
            value = detail.get("value")
            return "", "" if value is None else say(language, "records.value", value=f"{value:g}")
        case MomentKind.DEED:
            deed = _deed(exam, one)
            catalogue = site.renderer.catalogue
            return sentence(catalogue, language, deed), ": ".join(
                part for part in (str(detail["actor"]), more(catalogue, language, deed)) if part
            )
        case MomentKind.ROOM:
            room = room_name(site, language, detail["room_kind"], detail["room"])
            return say(language, f"records.moment.room_{one.what}", room=room), ""
        case MomentKind.INSTRUCTION:
            name = _known(site, language, "records.instruction", one.what)
            if "outcome" not in detail:
                return say(language, "records.moment.instruction", what=name), ""
            outcome = _known(site, language, "records.outcome", detail["outcome"])
            return say(language, "records.moment.instruction_end", what=name, outcome=outcome), ""
        case MomentKind.NOTE:
            about = _known(site, language, "proctor.note.category", one.what)
            key = "records.moment.note.taken_back" if detail["taken_back_by"] else "records.moment.note"
            return about, say(language, key, by=detail["by"], other=detail["taken_back_by"] or "")
        case MomentKind.MESSAGE if one.what == "from":
            return say(language, "records.moment.message.from"), ""
        case MomentKind.MESSAGE:
            got = "read" if detail["read_at"] else "delivered" if detail["delivered_at"] else "waiting"
            words = say(language, "records.moment.message.to", by=detail["by"])
            return words, say(language, f"records.moment.message.{got}")
        case MomentKind.NOTIFICATION | MomentKind.STATE:
            words = _known(site, language, f"records.moment.{one.kind.value}", one.what)
            by = detail.get("by")
            return words, "" if by is None else say(language, f"records.moment.{one.kind.value}.by", by=by)


def _known(site: Site, language: str, part: str, word: str) -> str:
    """The text of a word of ours; a word that this version does not know, as it is."""
    key = f"{part}.{word}"
    return (
        site.renderer.catalogue.text(language, key) if site.renderer.has_text(key) else word.replace("_", " ")
    )


def _deed(exam: Exam, one: Moment) -> Deed:
    return Deed(
        id=one.id,
        at=from_ms(one.at),
        institution_id=exam.institution_id,
        user_id=None,
        actor=one.detail["actor"],
        deed=one.what,
        exam_id=exam.id,
        exam=exam.name,
        connection_id=None,
        room_id=None,
        detail=one.detail["detail"],
    )


handlers = [finished, exam_record, export, connection_record]
