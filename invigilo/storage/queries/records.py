"""What an exam left behind: its connections, and of each one everything that happened, in the order it happened.

The timeline of a connection is put together from sources. Each is one function that gives its moments after a place, in
order; to add one, write it and put it into `SOURCES`. Moments at the same millisecond stand in the order of the sources.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, and_, case, exists, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.clock import from_ms
from invigilo.exams.model import ExamState
from invigilo.monitoring.model import (
    ConnectionState,
    EventType,
    FinishedExam,
    Moment,
    MomentKind,
    Place,
    Sight,
)
from invigilo.storage.queries.events import is_candidate
from invigilo.storage.queries.exam_office import state_column
from invigilo.storage.queries.listing import containing, is_row_id, page_of
from invigilo.storage.tables import (
    activity,
    call_members,
    candidates,
    client_connections,
    client_events,
    exam_supporters,
    exams,
    institutions,
    instructions,
    message_deliveries,
    messages,
    notes,
    notifications,
    room_members,
    rooms,
    users,
)

FINISHED_SORTS = ("end", "name", "start")
CONNECTION_SORTS = ("name", "state", "first", "last", "errors", "warnings")

_c = client_connections.c


# --- exams that are over ---


async def finished_page(
    db: AsyncConnection,
    sight: Sight,
    *,
    now: int,
    search: str,
    sort: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[FinishedExam], int]:
    """One page of the exams that are over, archived ones among them."""
    state = state_column(now)
    over = (ExamState.FINISHED.value, ExamState.ARCHIVED.value)
    query = select(
        exams.c.id, exams.c.institution_id, exams.c.name, exams.c.starts_at, exams.c.ends_at, exams.c.ended_at
    )
    query = query.add_columns(exams.c.time_zone, state.label("state")).where(state.in_(over))
    if sight.institution_id is not None:
        query = query.where(exams.c.institution_id == sight.institution_id)
    if sight.supporter_id is not None:
        theirs = select(exam_supporters.c.exam_id).where(exam_supporters.c.user_id == sight.supporter_id)
        query = query.where(exams.c.id.in_(theirs))
    if search:
        query = query.where(containing(search, exams.c.name, exams.c.description))
    columns: dict[str, ColumnElement[Any]] = {
        "name": func.lower(exams.c.name),
        "start": exams.c.starts_at,
        "end": func.coalesce(exams.c.ended_at, exams.c.ends_at),
    }
    by = columns[sort]
    rows, total = await page_of(
        db, query, order=[by.desc() if is_descending else by.asc(), exams.c.id], offset=offset, limit=limit
    )
    sums = await _sums(db, [row.id for row in rows])
    named = select(institutions.c.id, institutions.c.name)
    named = named.where(institutions.c.id.in_({row.institution_id for row in rows}))
    names = {row.id: row.name for row in await db.execute(named)}
    return [
        FinishedExam(
            id=row.id,
            institution_id=row.institution_id,
            institution=names.get(row.institution_id, ""),
            name=row.name,
            starts_at=from_ms(row.starts_at),
            ended_at=from_ms(min(row.ended_at or row.ends_at, row.ends_at)),
            time_zone=row.time_zone,
            is_archived=row.state == ExamState.ARCHIVED.value,
            **sums.get(row.id, {"connections": 0, "errors": 0, "warnings": 0}),
        )
        for row in rows
    ], total


async def _sums(db: AsyncConnection, exam_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    query = (
        select(
            _c.exam_id,
            func.count().label("connections"),
            func.sum(_c.error_count).label("errors"),
            func.sum(_c.warning_count).label("warnings"),
        )
        .where(_c.exam_id.in_(exam_ids))
        .group_by(_c.exam_id)
    )
    found: dict[int, dict[str, int]] = {}
    for row in (await db.execute(query)).mappings():
        found[row["exam_id"]] = {name: int(row[name]) for name in ("connections", "errors", "warnings")}
    return found


# --- the connections of an exam ---


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One connection of an exam, with what is counted of it. Times in ms."""

    id: int
    exam_id: int
    institution_id: int
    state: ConnectionState
    user_session_id: str | None
    candidate: str | None
    """The name on the roster."""
    group: str | None
    account_name: str | None
    machine_name: str | None
    os_name: str | None
    seb_version: str | None
    address: str | None
    flags: tuple[str, ...]
    first_seen: int
    config_downloaded_at: int | None
    established_at: int | None
    last_seen: int
    closed_at: int | None
    replaced_by: int | None
    replaced_at: int | None
    errors: int
    warnings: int
    infos: int
    events: int = 0
    """Lines that are kept; the counts by kind above count what was dropped, too."""
    notifications: int = 0
    incidents: int = 0
    """That count: those taken back do not."""
    rooms: tuple[tuple[str, int], ...] = ()
    """Kind and number of each room it was in, in that order."""

    @property
    def name(self) -> str:
        """By whatever is known of the candidate, the roster first."""
        return self.candidate or self.user_session_id or self.account_name or self.machine_name or ""


_last_seen = func.coalesce(
    case((_c.last_ping > func.coalesce(_c.closed_at, 0), _c.last_ping), else_=_c.closed_at),
    _c.last_ping,
    _c.created_at,
)


def _records() -> Select[Any]:
    on_roster = and_(candidates.c.exam_id == _c.exam_id, candidates.c.user_id == _c.user_session_id)
    return select(
        client_connections,
        _last_seen.label("last_seen"),
        candidates.c.name.label("candidate"),
        candidates.c.group_name.label("group"),
    ).select_from(client_connections.outerjoin(candidates, on_roster))


def _record(row: Row[Any]) -> ConnectionRecord:
    return ConnectionRecord(
        id=row.id,
        exam_id=row.exam_id,
        institution_id=row.institution_id,
        state=ConnectionState(row.state),
        user_session_id=row.user_session_id,
        candidate=row.candidate,
        group=row.group,
        account_name=row.account_name,
        machine_name=row.machine_name,
        os_name=row.os_name,
        seb_version=row.seb_version,
        address=row.address,
        flags=tuple(row.flags),
        first_seen=row.created_at,
        config_downloaded_at=row.config_downloaded_at,
        established_at=row.established_at,
        last_seen=row.last_seen,
        closed_at=row.closed_at,
        replaced_by=row.replaced_by,
        replaced_at=row.replaced_at,
        errors=row.error_count,
        warnings=row.warning_count,
        infos=row.info_count,
    )


async def connection_page(
    db: AsyncConnection,
    exam_id: int,
    *,
    search: str,
    state: ConnectionState | None,
    sort: str,
    is_descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[ConnectionRecord], int]:
    query = _of_exam(exam_id, search, state)
    columns: dict[str, ColumnElement[Any]] = {
        "name": func.lower(
            func.coalesce(candidates.c.name, _c.user_session_id, _c.account_name, _c.machine_name, "")
        ),
        "state": _c.state,
        "first": _c.created_at,
        "last": _last_seen,
        "errors": _c.error_count,
        "warnings": _c.warning_count,
    }
    by = columns[sort]
    rows, total = await page_of(
        db, query, order=[by.desc() if is_descending else by.asc(), _c.id], offset=offset, limit=limit
    )
    return await _counted(db, [_record(row) for row in rows]), total


async def connections_after(
    db: AsyncConnection, exam_id: int, after: int, *, search: str, state: ConnectionState | None, limit: int
) -> list[ConnectionRecord]:
    """In the order they came, a piece at a time."""
    query = _of_exam(exam_id, search, state).where(_c.id > after).order_by(_c.id).limit(limit)
    return await _counted(db, [_record(row) for row in await db.execute(query)])


def _of_exam(exam_id: int, search: str, state: ConnectionState | None) -> Select[Any]:
    query = _records().where(_c.exam_id == exam_id)
    if search:
        query = query.where(is_candidate(search))
    return query if state is None else query.where(_c.state == state.value)


async def connection_record(db: AsyncConnection, exam_id: int, connection_id: int) -> ConnectionRecord | None:
    """One connection, if it is of this exam."""
    if not is_row_id(connection_id):
        return None
    query = _records().where(_c.id == connection_id, _c.exam_id == exam_id)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else (await _counted(db, [_record(row)]))[0]


async def never_connected(db: AsyncConnection, exam_id: int, limit: int) -> tuple[list[tuple[str, str]], int]:
    """Candidates of the roster of whom no client ever came: user id and name, and how many they are in all."""
    came = exists().where(_c.exam_id == exam_id, _c.user_session_id == candidates.c.user_id)
    query: Select[Any] = select(candidates).where(candidates.c.exam_id == exam_id, not_(came))
    order = [func.lower(candidates.c.name), candidates.c.id]
    rows, total = await page_of(db, query, order=order, offset=0, limit=limit)
    return [(row.user_id, row.name) for row in rows], total


async def _counted(db: AsyncConnection, found: list[ConnectionRecord]) -> list[ConnectionRecord]:
    ids = [one.id for one in found]
    events = await _counts(db, client_events.c.connection_id, ids)
    notified = await _counts(db, notifications.c.connection_id, ids)
    incidents = await _counts(
        db, notes.c.connection_id, ids, notes.c.is_incident, notes.c.taken_back_at.is_(None)
    )
    been: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
    for stays in (room_members, call_members):
        query = (
            select(stays.c.connection_id, stays.c.since, rooms.c.kind, rooms.c.number)
            .join(rooms, rooms.c.id == stays.c.room_id)
            .where(stays.c.connection_id.in_(ids))
        )
        for row in await db.execute(query):
            been[row.connection_id].append((row.since, row.kind, row.number))
    return [
        replace(
            one,
            events=events.get(one.id, 0),
            notifications=notified.get(one.id, 0),
            incidents=incidents.get(one.id, 0),
            rooms=tuple(dict.fromkeys((kind, number) for _, kind, number in sorted(been[one.id]))),
        )
        for one in found
    ]


async def _counts(
    db: AsyncConnection, column: Any, ids: Sequence[int], *of: ColumnElement[bool]
) -> dict[int, int]:
    query = select(column, func.count()).where(column.in_(ids), *of).group_by(column)
    return {row[0]: row[1] for row in await db.execute(query)}


# --- the timeline of a connection ---


@dataclass(frozen=True, slots=True)
class Slice:
    """Which moments of a source are wanted."""

    rank: int
    """The source's place in `SOURCES`."""
    after: Place | None
    is_backwards: bool
    limit: int

    def cut(self, query: Select[Any], at: ColumnElement[Any], id_: ColumnElement[Any]) -> Select[Any]:
        """Those behind the place, in order, no more than wanted."""
        if self.after is not None:
            query = query.where(self._is_behind(self.after, at, id_))
        order = (at.desc(), id_.desc()) if self.is_backwards else (at, id_)
        return query.order_by(*order).limit(self.limit)

    def _is_behind(
        self, place: Place, at: ColumnElement[Any], id_: ColumnElement[Any]
    ) -> ColumnElement[bool]:
        back = self.is_backwards
        later = at < place.at if back else at > place.at
        if self.rank == place.rank:
            return or_(later, and_(at == place.at, id_ < place.id if back else id_ > place.id))
        comes_behind = self.rank < place.rank if back else self.rank > place.rank
        return or_(later, at == place.at) if comes_behind else later

    def pick(self, moments: Sequence[Moment]) -> list[Moment]:
        """The same of moments that no table holds as rows of its own."""
        mine = (self.rank,)

        def key(one: Moment) -> tuple[int, int, int]:
            return (one.at, *mine, one.id)

        ordered = sorted(moments, key=key, reverse=self.is_backwards)
        if self.after is not None:
            place = (self.after.at, self.after.rank, self.after.id)
            ordered = [
                one for one in ordered if (key(one) < place if self.is_backwards else key(one) > place)
            ]
        return ordered[: self.limit]


Source = Callable[[AsyncConnection, ConnectionRecord, Slice], Awaitable[list[Moment]]]


async def _states(_db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    """What the connection itself remembers of its states."""
    steps = (
        ("connected", of.first_seen),
        ("settings_taken", of.config_downloaded_at),
        ("established", of.established_at),
        ("replaced", of.replaced_at),
        (of.state.value, of.closed_at),
    )
    found = [Moment(at, MomentKind.STATE, n, what) for n, (what, at) in enumerate(steps) if at is not None]
    return wanted.pick(
        [replace(one, detail={"by": of.replaced_by}) if one.what == "replaced" else one for one in found]
    )


async def _events(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    e = client_events.c
    query = wanted.cut(select(client_events).where(e.connection_id == of.id), e.server_time, e.id)
    return [
        Moment(
            row.server_time,
            MomentKind.EVENT,
            row.id,
            EventType(row.type).name,
            row.text,
            {"client_time": row.client_time, "value": row.numeric_value},
        )
        for row in await db.execute(query)
    ]


async def _opened(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    n = notifications.c
    query = wanted.cut(select(notifications).where(n.connection_id == of.id), n.opened_at, n.id)
    return [
        Moment(row.opened_at, MomentKind.NOTIFICATION, row.id, row.kind, row.text, {"number": row.number})
        for row in await db.execute(query)
    ]


async def _settled(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    """By whom is None when the client itself took it back, or lowered the hand."""
    n = notifications.c
    query = select(notifications, users.c.username.label("by")).outerjoin(users, users.c.id == n.settled_by)
    query = query.where(n.connection_id == of.id, n.settled_at.is_not(None))
    return [
        Moment(
            row.settled_at,
            MomentKind.NOTIFICATION,
            row.id,
            f"{row.kind}_settled",
            detail={"number": row.number, "by": row.by},
        )
        for row in await db.execute(wanted.cut(query, n.settled_at, n.id))
    ]


async def _instructed(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    i = instructions.c
    query = wanted.cut(select(instructions).where(i.connection_id == of.id), i.created_at, i.id)
    return [
        Moment(
            row.created_at,
            MomentKind.INSTRUCTION,
            row.id,
            row.type,
            detail={"sent_at": row.sent_at},
            sealed=row.attributes_encrypted,
        )
        for row in await db.execute(query)
    ]


async def _instruction_ends(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    """Confirmed, or why it was not sent any more; one that was only to be sent ends with that."""
    i = instructions.c
    query = select(instructions).where(i.connection_id == of.id, i.done_at.is_not(None))
    return [
        Moment(row.done_at, MomentKind.INSTRUCTION, row.id, row.type, detail={"outcome": row.outcome or ""})
        for row in await db.execute(wanted.cut(query, i.done_at, i.id))
    ]


async def _rooms_entered(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    return await _stays(db, of, wanted, room_members, "since")


async def _rooms_left(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    return await _stays(db, of, wanted, room_members, "until")


async def _calls_entered(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    return await _stays(db, of, wanted, call_members, "since")


async def _calls_left(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    return await _stays(db, of, wanted, call_members, "until")


async def _stays(
    db: AsyncConnection, of: ConnectionRecord, wanted: Slice, table: Table, end: str
) -> list[Moment]:
    at = table.c[end]
    query: Select[Any] = select(table, at.label("at"), rooms.c.kind, rooms.c.number).join(
        rooms, rooms.c.id == table.c.room_id
    )
    query = query.where(table.c.connection_id == of.id, at.is_not(None))
    what = "entered" if end == "since" else "left"
    return [
        Moment(row.at, MomentKind.ROOM, row.id, what, detail={"room_kind": row.kind, "room": row.number})
        for row in await db.execute(wanted.cut(query, at, table.c.id))
    ]


async def _noted(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    n = notes.c
    query = wanted.cut(select(notes).where(n.connection_id == of.id), n.happened_at, n.id)
    return [
        Moment(
            row.happened_at,
            MomentKind.NOTE,
            row.id,
            row.category,
            row.text,
            {"by": row.author, "is_incident": row.is_incident, "taken_back_by": row.taken_back_by},
        )
        for row in await db.execute(query)
    ]


async def _written_to(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    m, d = messages.c, message_deliveries.c
    query = select(messages, d.delivered_at, d.read_at).join(message_deliveries, d.message_id == m.id)
    query = query.where(d.connection_id == of.id)
    return [
        Moment(
            row.at,
            MomentKind.MESSAGE,
            row.id,
            "to",
            row.text,
            {"by": row.actor, "delivered_at": row.delivered_at, "read_at": row.read_at},
        )
        for row in await db.execute(wanted.cut(query, m.at, m.id))
    ]


async def _written_by(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    m = messages.c
    query = wanted.cut(select(messages).where(m.from_connection_id == of.id), m.at, m.id)
    return [Moment(row.at, MomentKind.MESSAGE, row.id, "from", row.text) for row in await db.execute(query)]


async def _deeds(db: AsyncConnection, of: ConnectionRecord, wanted: Slice) -> list[Moment]:
    """What the staff did to or with it."""
    a = activity.c
    query = select(activity).where(a.exam_id == of.exam_id, a.connection_id == of.id)
    return [
        Moment(row.at, MomentKind.DEED, row.id, row.deed, detail={"actor": row.actor, "detail": row.detail})
        for row in await db.execute(wanted.cut(query, a.at, a.id))
    ]


SOURCES: dict[str, tuple[MomentKind, Source]] = {
    "states": (MomentKind.STATE, _states),
    "rooms_left": (MomentKind.ROOM, _rooms_left),
    "rooms_entered": (MomentKind.ROOM, _rooms_entered),
    "calls_left": (MomentKind.ROOM, _calls_left),
    "calls_entered": (MomentKind.ROOM, _calls_entered),
    "deeds": (MomentKind.DEED, _deeds),
    "instructions": (MomentKind.INSTRUCTION, _instructed),
    "instruction_ends": (MomentKind.INSTRUCTION, _instruction_ends),
    "events": (MomentKind.EVENT, _events),
    "notifications": (MomentKind.NOTIFICATION, _opened),
    "notifications_settled": (MomentKind.NOTIFICATION, _settled),
    "notes": (MomentKind.NOTE, _noted),
    "messages_to": (MomentKind.MESSAGE, _written_to),
    "messages_from": (MomentKind.MESSAGE, _written_by),
}
"""Where moments come from, in the order in which they stand when they happened at once."""


@dataclass(slots=True)
class TimelinePage:
    moments: list[Moment] = field(default_factory=list[Moment])
    next: Place | None = None


async def timeline(
    db: AsyncConnection,
    of: ConnectionRecord,
    *,
    kinds: frozenset[MomentKind],
    after: Place | None,
    is_backwards: bool,
    limit: int,
) -> TimelinePage:
    """One page of what happened, of these kinds; of all when none is named."""
    found: list[tuple[Place, Moment]] = []
    for rank, (kind, source) in enumerate(SOURCES.values()):
        if kinds and kind not in kinds:
            continue
        some = await source(db, of, Slice(rank, after, is_backwards, limit + 1))
        found += [(Place(one.at, rank, one.id), one) for one in some]
    found.sort(key=lambda pair: pair[0], reverse=is_backwards)
    page = found[:limit]
    return TimelinePage([one for _, one in page], page[-1][0] if len(found) > limit else None)
