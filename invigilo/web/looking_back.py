"""What pages and API of the looking-back part share: questions as they stand in an address, and tables to take along."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar.response import Stream

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import require_exams
from invigilo.activity.service import record
from invigilo.clock import from_ms, to_ms
from invigilo.errors import BadInput
from invigilo.exams.model import Exam
from invigilo.monitoring.event_search import words_of
from invigilo.monitoring.model import ConnectionState, EventType, EventWish, MomentKind
from invigilo.monitoring.records import ConnectionWish
from invigilo.storage.queries.events import FoundEvent
from invigilo.storage.queries.listing import is_row_id
from invigilo.storage.queries.records import ConnectionRecord
from invigilo.web.parts import AnyRequest, Site
from invigilo.web.spreadsheet import BOM, download, lines, shown_time

SEARCHABLE = (
    EventType.ERROR_LOG,
    EventType.WARN_LOG,
    EventType.INFO_LOG,
    EventType.DEBUG_LOG,
    EventType.UNKNOWN,
)
"""Kinds of client events, the worst first. Raised hands and lock screens are kept by themselves."""
ASKED = ("q", "candidate", "exam", "exam_id", "connection_id", "from", "to", "value_from", "value_to", "zone")
LONGEST = 200


# --- questions ---


def asked_of(request: AnyRequest) -> dict[str, str]:
    """What stands in the address, each at most 200 characters; `types` is put together with commas."""
    query = request.query_params
    found = {name: str(query.get(name) or "").replace("\0", "").strip()[:LONGEST] for name in ASKED}
    types = [str(one) for value in query.getall("types", []) for one in str(value).split(",")]
    return found | {"types": ",".join(dict.fromkeys(one for one in types if one))[:LONGEST]}


def wish_of(asked: dict[str, str], zone: ZoneInfo | None) -> EventWish:
    """Times without zone are the reader's; without a reader's zone they are refused. Raises BadInput."""
    wish = EventWish(
        words=words_of(asked["q"]),
        types=types_of(asked["types"]),
        since=_moment(asked["from"], zone, "from"),
        until=_moment(asked["to"], zone, "to"),
        value_from=_number(asked["value_from"], "value_from"),
        value_to=_number(asked["value_to"], "value_to"),
        candidate=asked["candidate"],
        exam_id=_id(asked["exam_id"], "exam_id"),
        exam=asked["exam"],
        connection_id=_id(asked["connection_id"], "connection_id"),
    )
    if wish.since is not None and wish.until is not None and wish.since >= wish.until:
        raise BadInput("`from` must be before `to`.", field="to")
    return wish


def types_of(text: str) -> frozenset[EventType]:
    names = [one.name for one in SEARCHABLE]
    chosen = [one for one in text.split(",") if one]
    for one in chosen:
        if one not in names:
            raise BadInput(f"types are some of {', '.join(names)}.", field="types")
    return frozenset(EventType[one] for one in chosen)


def kinds_of(request: AnyRequest) -> frozenset[MomentKind]:
    """Which kinds of moments a timeline shows. Raises BadInput."""
    every = [one.value for one in MomentKind]
    chosen = [
        one for value in request.query_params.getall("kinds", []) for one in str(value).split(",") if one
    ]
    for one in chosen:
        if one not in every:
            raise BadInput(f"kinds are some of {', '.join(every)}.", field="kinds")
    return frozenset(MomentKind(one) for one in chosen)


def _moment(text: str, zone: ZoneInfo | None, field: str) -> int | None:
    if not text:
        return None
    wanted = "like 2026-01-31T08:00:00Z" if zone is None else "like 2026-01-31T08:00"
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in an address is read as a blank
        if moment.tzinfo is None and zone is not None:
            moment = moment.replace(tzinfo=zone)
        if moment.tzinfo is None:
            raise BadInput(f"Give the time with its zone, {wanted}.", field=field)
        found = to_ms(moment.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise BadInput(f"Write a time {wanted}.", field=field) from error
    return found


def _number(text: str, field: str) -> float | None:
    if not text:
        return None
    try:
        found = float(text.replace(",", "."))
    except ValueError as error:
        raise BadInput(f"{field} is a number.", field=field) from error
    if not math.isfinite(found):
        raise BadInput(f"{field} is a number.", field=field)
    return found


def _id(text: str, field: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and is_row_id(int(text))):
        raise BadInput(f"{field} is a number.", field=field)
    return int(text)


# --- tables ---

EVENT_COLUMNS = (
    *("time", "exam", "candidate", "user_id", "computer", "type", "value", "text"),
    *("client_time", "event", "connection"),
)
CONNECTION_COLUMNS = (
    *("candidate", "user_id", "group", "state", "first_seen", "last_seen", "ended", "events", "errors"),
    *(
        "warnings",
        "notifications",
        "incidents",
        "rooms",
        "computer",
        "account",
        "system",
        "seb_version",
        "address",
    ),
    "connection",
)


async def events_table(
    site: Site, account: Account, wish: EventWish, asked: dict[str, str], *, language: str, zone: ZoneInfo
) -> Stream:
    """All events that fit. That they were taken, and which, is on record before the first line."""
    require_exams(account, Right.LOOK_BACK)
    detail = {name: value for name, value in asked.items() if value and name not in {"exam_id", "zone"}}
    exam = None if wish.exam_id is None else await site.records.exam(wish.exam_id, account)
    await _note(site, account, "events_exported", exam, detail)
    pieces = site.event_search.export(wish, account)
    day = site.clock.now().astimezone(zone).date().isoformat()
    return download(_event_lines(site, pieces, language, zone), name=f"events-{day}")


async def connections_table(
    site: Site, account: Account, exam: Exam, wish: ConnectionWish, *, language: str, zone: ZoneInfo
) -> Stream:
    """All connections of an exam; the same."""
    state = "" if wish.state is None else wish.state.value
    detail = {name: value for name, value in (("q", wish.search), ("state", state)) if value}
    await _note(site, account, "record_exported", exam, detail)
    pieces = site.records.export(exam, wish)
    return download(_connection_lines(site, pieces, language, zone), name=f"exam-{exam.id}-connections")


async def _note(site: Site, account: Account, deed: str, exam: Exam | None, detail: dict[str, Any]) -> None:
    async with site.work() as w:
        await record(
            w,
            at=site.clock.now(),
            actor=account,
            deed=deed,
            institution_id=account.institution_id if exam is None else exam.institution_id,
            exam_id=None if exam is None else exam.id,
            detail=detail,
        )


async def _event_lines(
    site: Site, pieces: AsyncIterable[list[FoundEvent]], language: str, zone: ZoneInfo
) -> AsyncIterable[bytes]:
    say = site.renderer.catalogue.text
    yield BOM + lines([[say(language, f"records.column.{name}", zone=zone.key) for name in EVENT_COLUMNS]])
    types = {one: say(language, f"proctor.event.{one.name}") for one in EventType}
    async for events in pieces:
        rows = [
            [
                _exact(one.server_time, zone),
                one.exam,
                one.candidate or "",
                one.user_session_id or one.account_name or "",
                one.machine_name or "",
                types[one.type],
                "" if one.numeric_value is None else f"{one.numeric_value:g}",
                one.text,
                _exact(one.client_time, zone),
                str(one.id),
                str(one.connection_id),
            ]
            for one in events
        ]
        if rows:
            yield lines(rows)


async def _connection_lines(
    site: Site, pieces: AsyncIterable[list[ConnectionRecord]], language: str, zone: ZoneInfo
) -> AsyncIterable[bytes]:
    say = site.renderer.catalogue.text
    yield BOM + lines(
        [[say(language, f"records.column.{name}", zone=zone.key) for name in CONNECTION_COLUMNS]]
    )
    states = {one: say(language, f"records.state.{one.value}") for one in ConnectionState}
    async for records in pieces:
        yield lines(
            [
                [
                    one.candidate or "",
                    one.user_session_id or "",
                    one.group or "",
                    states[one.state],
                    shown(one.first_seen, zone),
                    shown(one.last_seen, zone),
                    shown(one.closed_at, zone),
                    *(
                        str(n)
                        for n in (one.events, one.errors, one.warnings, one.notifications, one.incidents)
                    ),
                    room_names(site, language, one.rooms),
                    *(
                        one.machine_name or "",
                        one.account_name or "",
                        one.os_name or "",
                        one.seb_version or "",
                    ),
                    one.address or "",
                    str(one.id),
                ]
                for one in records
            ]
        )


def room_names(site: Site, language: str, rooms: Sequence[tuple[str, int]]) -> str:
    return ", ".join(room_name(site, language, kind, number) for kind, number in rooms)


def room_name(site: Site, language: str, kind: str, number: int) -> str:
    """A kind of room this version does not know is named by its word."""
    catalogue = site.renderer.catalogue
    key = f"records.room.{kind}"
    if key not in catalogue.texts["en"]:
        return f"{kind.replace('_', ' ')} {number}"
    return catalogue.text(language, key, number=number)


def shown(ms: int | None, zone: ZoneInfo) -> str:
    """A stored time in a zone; "" for none, and for one that no calendar has: a client's clock may say anything."""
    try:
        return "" if ms is None else shown_time(from_ms(ms), zone)
    except (OverflowError, ValueError, OSError):
        return ""


def _exact(ms: int | None, zone: ZoneInfo) -> str:
    try:
        return "" if ms is None else from_ms(ms).astimezone(zone).isoformat(sep=" ", timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return ""
