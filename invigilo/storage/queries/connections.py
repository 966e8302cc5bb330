"""Client connections, their events, notifications and instructions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, and_, case, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from invigilo.monitoring.model import (
    ClientEvent,
    ConnectionState,
    Device,
    EventType,
    InstructionType,
    Notification,
    NotificationKind,
)
from invigilo.storage.queries.events import NOTE_BLOCKS_OF_NEW, NOTE_BLOCKS_SQLITE
from invigilo.storage.tables import (
    client_connections,
    client_events,
    desired_places,
    instructions,
    notifications,
    room_members,
    rooms,
)

OPEN_STATES = (ConnectionState.REQUESTED.value, ConnectionState.READY.value, ConnectionState.ACTIVE.value)


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One client connection as stored, with its desired place beside it."""

    id: int
    token_hash: str
    entry_key_hash: str
    institution_id: int
    configuration_id: int
    exam_id: int | None
    state: ConnectionState
    user_session_id: str | None
    device: Device
    flags: tuple[str, ...]
    created_at: int
    config_downloaded_at: int | None
    established_at: int | None
    closed_at: int | None
    last_ping: int | None
    replaced_by: int | None
    replaced_at: int | None
    error_count: int
    warning_count: int
    info_count: int
    battery: float | None
    wlan: float | None
    wlan_connected: bool | None
    self_check: dict[str, Any] | None
    room_id: int | None = None
    room_number: int | None = None
    room_state: str | None = None
    room_reason: str | None = None
    room_kind: str | None = None
    home_id: int | None = None
    """The collecting room where it has its place, wherever it is called meanwhile."""
    home_number: int | None = None
    revision: int = 0
    room_revision: int = 0
    """The revision by which the room became this one."""
    confirmed_revision: int = 0
    placed_at: int | None = None
    receive: tuple[bool, bool, bool] = (False, False, False)
    """What the candidate may perceive: audio, video, chat."""
    is_beyond: bool = False
    """Its call has more people than the service bears."""


@cache
def _with_place() -> Select[Any]:
    """Made once: composing it costs more than sending it."""
    place, room, home = desired_places, rooms, rooms.alias("home")
    at_home = and_(room_members.c.connection_id == client_connections.c.id, room_members.c.until.is_(None))
    return (
        select(
            client_connections,
            place.c.room_id,
            place.c.revision,
            place.c.room_revision,
            place.c.confirmed_revision,
            place.c.is_beyond,
            place.c.receive_audio,
            place.c.receive_video,
            place.c.chat,
            place.c.changed_at.label("placed_at"),
            room.c.number.label("room_number"),
            room.c.state.label("room_state"),
            room.c.reason.label("room_reason"),
            room.c.kind.label("room_kind"),
            home.c.id.label("home_id"),
            home.c.number.label("home_number"),
        )
        .outerjoin(place, place.c.connection_id == client_connections.c.id)
        .outerjoin(room, room.c.id == place.c.room_id)
        .outerjoin(room_members, at_home)
        .outerjoin(home, home.c.id == room_members.c.room_id)
    )


def _row(row: Row[Any]) -> ConnectionRow:
    return ConnectionRow(
        id=row.id,
        token_hash=row.token_hash,
        entry_key_hash=row.entry_key_hash,
        institution_id=row.institution_id,
        configuration_id=row.configuration_id,
        exam_id=row.exam_id,
        state=ConnectionState(row.state),
        user_session_id=row.user_session_id,
        device=Device(row.account_name, row.machine_name, row.os_name, row.seb_version, row.address),
        flags=tuple(row.flags),
        created_at=row.created_at,
        config_downloaded_at=row.config_downloaded_at,
        established_at=row.established_at,
        closed_at=row.closed_at,
        last_ping=row.last_ping,
        replaced_by=row.replaced_by,
        replaced_at=row.replaced_at,
        error_count=row.error_count,
        warning_count=row.warning_count,
        info_count=row.info_count,
        battery=row.battery,
        wlan=row.wlan,
        wlan_connected=row.wlan_connected,
        self_check=row.self_check,
        room_id=row.room_id,
        room_number=row.room_number,
        room_state=row.room_state,
        room_reason=row.room_reason,
        room_kind=row.room_kind,
        home_id=row.home_id,
        home_number=row.home_number,
        revision=row.revision or 0,
        room_revision=row.room_revision or 0,
        confirmed_revision=row.confirmed_revision or 0,
        placed_at=row.placed_at,
        receive=(bool(row.receive_audio), bool(row.receive_video), bool(row.chat)),
        is_beyond=bool(row.is_beyond),
    )


async def add(db: AsyncConnection, **values: Any) -> int:
    result = await db.execute(insert(client_connections).values(**values).returning(client_connections.c.id))
    return int(result.scalar_one())


async def by_token_hash(db: AsyncConnection, token_hash: str, *, lock: bool = False) -> ConnectionRow | None:
    query = _with_place().where(client_connections.c.token_hash == token_hash)
    if lock:
        query = query.with_for_update(of=client_connections, key_share=True)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else _row(row)


async def by_entry_key_hash(db: AsyncConnection, entry_key_hash: str) -> ConnectionRow | None:
    row = (
        await db.execute(_with_place().where(client_connections.c.entry_key_hash == entry_key_hash))
    ).one_or_none()
    return None if row is None else _row(row)


async def by_ids(db: AsyncConnection, ids: Iterable[int]) -> list[ConnectionRow]:
    wanted = list(ids)
    found: list[ConnectionRow] = []
    for at in range(0, len(wanted), 500):  # SQLite limits the number of parameters
        query = _with_place().where(client_connections.c.id.in_(wanted[at : at + 500]))
        found += [_row(row) for row in await db.execute(query)]
    return found


async def loadable(db: AsyncConnection, *, closed_since: int) -> list[ConnectionRow]:
    """What a starting node holds in memory: open connections, and those closed lately (they stay on the wall a while)."""
    query = _with_place().where(
        or_(client_connections.c.state.in_(OPEN_STATES), client_connections.c.closed_at >= closed_since)
    )
    return [_row(row) for row in await db.execute(query)]


async def of_exam(db: AsyncConnection, exam_id: int) -> list[ConnectionRow]:
    query = _with_place().where(client_connections.c.exam_id == exam_id).order_by(client_connections.c.id)
    return [_row(row) for row in await db.execute(query)]


async def change(db: AsyncConnection, connection_id: int, **values: Any) -> None:
    if values:
        await db.execute(
            update(client_connections).where(client_connections.c.id == connection_id).values(**values)
        )


# --- batches: driver level, because the ORM's or Core's way costs ten times as much (trials.md §2) ---


async def write_pings(db: AsyncConnection, pings: Sequence[tuple[int, int]]) -> None:
    """(connection id, last ping) pairs. Never moves a last ping backwards: two nodes may write for one client."""
    if db.dialect.name == "sqlite":
        await db.exec_driver_sql(
            "UPDATE client_connections SET last_ping = max(coalesce(last_ping, 0), ?) WHERE id = ?",
            [(at, connection_id) for connection_id, at in pings],
        )
        return
    await db.exec_driver_sql(
        "UPDATE client_connections AS c SET last_ping = greatest(coalesce(c.last_ping, 0), new.at) "
        "FROM unnest($1::bigint[], $2::bigint[]) AS new(id, at) WHERE c.id = new.id",
        ([connection_id for connection_id, _ in pings], [at for _, at in pings]),
    )


@dataclass(slots=True)
class IndicatorRow:
    connection_id: int
    errors: int
    warnings: int
    infos: int
    battery: float | None
    wlan: float | None
    wlan_connected: bool | None


async def write_indicators(db: AsyncConnection, rows: Sequence[IndicatorRow]) -> None:
    values = [
        (r.errors, r.warnings, r.infos, r.battery, r.wlan, r.wlan_connected, r.connection_id) for r in rows
    ]
    statement = (
        "UPDATE client_connections SET error_count = {}, warning_count = {}, info_count = {}, battery = {}, wlan = {}, "
        "wlan_connected = {} WHERE id = {}"
    )
    marks = ["?"] * 7 if db.dialect.name == "sqlite" else [f"${n}" for n in range(1, 8)]
    await db.exec_driver_sql(statement.format(*marks), values)


async def write_events(db: AsyncConnection, events: Sequence[ClientEvent]) -> None:
    rows = [
        (e.connection_id, int(e.type), e.server_time, e.client_time, e.numeric_value, e.text) for e in events
    ]
    columns = "connection_id, type, server_time, client_time, numeric_value, text"
    if db.dialect.name == "sqlite":
        await db.exec_driver_sql(f"INSERT INTO client_events ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608
        await db.exec_driver_sql(NOTE_BLOCKS_SQLITE, (len(rows),))
        return
    arrays = tuple(list(column) for column in zip(*rows, strict=True))
    await db.exec_driver_sql(
        f"WITH new AS (INSERT INTO client_events ({columns}) SELECT * FROM unnest("  # noqa: S608
        "$1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::float8[], $6::text[]) "
        f"RETURNING id, server_time, type) {NOTE_BLOCKS_OF_NEW}",
        arrays,
    )


@dataclass(frozen=True, slots=True)
class NotificationChange:
    """A notification opened (`opened`) or settled (`settled_at`), in the order it happened."""

    connection_id: int
    number: int
    opened: Notification | None = None
    settled_at: int | None = None
    settled_by: int | None = None


async def write_notifications(db: AsyncConnection, changes: Sequence[NotificationChange]) -> None:
    for change_ in changes:
        if change_.opened is not None:
            opened = change_.opened
            await db.execute(
                text(
                    "INSERT INTO notifications (connection_id, number, kind, text, opened_at) "
                    "VALUES (:connection_id, :number, :kind, :text, :opened_at) "
                    "ON CONFLICT (connection_id, number) WHERE settled_at IS NULL DO NOTHING"
                ),
                {
                    "connection_id": opened.connection_id,
                    "number": opened.number,
                    "kind": opened.kind.value,
                    "text": opened.text,
                    "opened_at": opened.opened_at,
                },
            )
        else:
            await settle_notification(
                db, change_.connection_id, change_.number, change_.settled_at or 0, change_.settled_by
            )


async def settle_notification(
    db: AsyncConnection, connection_id: int, number: int, at: int, by: int | None
) -> int:
    """Settle an open one; returns how many were (0 or 1)."""
    table = notifications
    result = await db.execute(
        update(table)
        .where(table.c.connection_id == connection_id, table.c.number == number, table.c.settled_at.is_(None))
        .values(settled_at=at, settled_by=by)
    )
    return result.rowcount


async def open_notifications(db: AsyncConnection, ids: Sequence[int] | None = None) -> list[Notification]:
    table = notifications
    query = select(table).where(table.c.settled_at.is_(None)).order_by(table.c.id)
    if ids is not None:
        query = query.where(table.c.connection_id.in_(ids))
    return [
        Notification(row.connection_id, row.number, NotificationKind(row.kind), row.text, row.opened_at)
        for row in await db.execute(query)
    ]


# --- instructions ---


@dataclass(frozen=True, slots=True)
class StoredInstruction:
    id: int
    connection_id: int
    type: InstructionType
    attributes_encrypted: str
    created_at: int
    not_before: int
    sent_at: int | None
    revision: int | None = None
    answered_at: int | None = None
    """For a lock: when the client's own notification of it came; for quitting: when it left."""


def _instruction(row: Row[Any], answered_at: int | None = None) -> StoredInstruction:
    return StoredInstruction(
        row.id,
        row.connection_id,
        InstructionType(row.type),
        row.attributes_encrypted,
        row.created_at,
        row.not_before,
        row.sent_at,
        row.revision,
        answered_at,
    )


async def instructions_of(
    db: AsyncConnection, *, since: int = 0, connection_id: int | None = None, types: Sequence[InstructionType]
) -> list[StoredInstruction]:
    """Sent or not, oldest first, each with the client's answer where there is one."""
    table = instructions
    locked = (
        select(func.min(notifications.c.opened_at))
        .where(
            notifications.c.connection_id == table.c.connection_id,
            notifications.c.kind == NotificationKind.LOCK_SCREEN.value,
            or_(notifications.c.settled_at.is_(None), notifications.c.settled_at > table.c.sent_at),
        )
        .scalar_subquery()
    )
    query = (
        select(table, locked.label("locked_at"), client_connections.c.closed_at)
        .join(client_connections, client_connections.c.id == table.c.connection_id)
        .where(table.c.created_at >= since, table.c.type.in_([one.value for one in types]))
        .order_by(table.c.id)
    )
    if connection_id is not None:
        query = query.where(table.c.connection_id == connection_id)
    found: list[StoredInstruction] = []
    for row in await db.execute(query):
        answered_at = None
        if row.sent_at is not None and row.type == InstructionType.LOCK_SCREEN.value:
            answered_at = None if row.locked_at is None else max(row.locked_at, row.sent_at)
        if row.sent_at is not None and row.type == InstructionType.QUIT.value:
            answered_at = row.closed_at
        found.append(_instruction(row, answered_at))
    return found


async def add_instructions(db: AsyncConnection, rows: Sequence[dict[str, Any]]) -> list[int]:
    """In this order: the ids, which are returned, count up with it."""
    statement = insert(instructions).returning(instructions.c.id, sort_by_parameter_order=True)
    return [int(one) for one in (await db.execute(statement, rows)).scalars()] if rows else []


async def open_instructions(
    db: AsyncConnection, *, ids: Sequence[int] | None = None, young_since: int
) -> list[StoredInstruction]:
    """Not yet done and still young enough to be sent, oldest first."""
    table = instructions
    query = (
        select(table).where(table.c.done_at.is_(None), table.c.not_before >= young_since).order_by(table.c.id)
    )
    if ids is not None:
        query = query.where(table.c.connection_id.in_(ids))
    return [_instruction(row) for row in await db.execute(query)]


async def claim_instructions(
    db: AsyncConnection, ids: Sequence[int], *, now: int, resend_before: int
) -> dict[int, bool]:
    """Take these for sending now: whether each is, or is done or was just taken by another node.

    One that somebody else has in hand at this moment is not in the answer: nobody waits for anybody here, so no two nodes
    can wait for each other. Sending ends what needs no confirmation.
    """
    table = instructions
    query = select(table.c.id, table.c.done_at, table.c.sent_at).where(table.c.id.in_(ids))
    rows = (await db.execute(query.with_for_update(skip_locked=True, key_share=True))).all()
    claimed = {
        row.id: row.done_at is None and (row.sent_at is None or row.sent_at <= resend_before) for row in rows
    }
    mine = [one for one, is_mine in claimed.items() if is_mine]
    stays = table.c.type.in_([one.value for one in InstructionType if one.is_confirmed])
    if mine:
        await db.execute(
            update(table)
            .where(table.c.id.in_(mine))
            .values(
                sent_at=now,
                done_at=case((stays, table.c.done_at), else_=now),
                outcome=case((stays, table.c.outcome), else_="sent"),
            )
        )
    return claimed


async def finish_instructions(db: AsyncConnection, ids: Sequence[int], *, now: int, outcome: str) -> None:
    table = instructions
    await db.execute(
        update(table)
        .where(table.c.id.in_(ids), table.c.done_at.is_(None))
        .values(done_at=now, outcome=outcome)
    )


async def supersede_instructions(
    db: AsyncConnection, connection_ids: Sequence[int], types: Iterable[InstructionType], *, now: int
) -> None:
    """A newer wish is about to be stored: the older ones of these types are no longer sent."""
    table = instructions
    for at in range(0, len(connection_ids), 500):
        await db.execute(
            update(table)
            .where(
                table.c.connection_id.in_(connection_ids[at : at + 500]),
                table.c.type.in_([one.value for one in types]),
                table.c.done_at.is_(None),
            )
            .values(done_at=now, outcome="superseded")
        )


async def hurry_instructions(db: AsyncConnection, connection_id: int, *, now: int, by: int) -> int:
    """What waits for a later moment is due by so many ms sooner, at the soonest now; returns how many those were."""
    table = instructions
    sooner = table.c.not_before - by
    result = await db.execute(
        update(table)
        .where(table.c.connection_id == connection_id, table.c.done_at.is_(None), table.c.not_before > now)
        .values(not_before=case((sooner > now, sooner), else_=now))
    )
    return result.rowcount


async def confirm_places(db: AsyncConnection, instruction_ids: Sequence[int]) -> None:
    """A confirmed step is a confirmed place, of the revision it led to; an older one changes nothing."""
    table = instructions
    query = (
        select(table.c.connection_id, func.max(table.c.revision).label("revision"))
        .where(table.c.id.in_(instruction_ids), table.c.revision.is_not(None))
        .group_by(table.c.connection_id)
        .order_by(table.c.connection_id)
    )
    confirmed = [(row.connection_id, row.revision) for row in await db.execute(query)]
    if confirmed:
        await write_confirmed(db, confirmed)


async def write_confirmed(db: AsyncConnection, confirmed: Sequence[tuple[int, int]]) -> None:
    """(connection id, revision) pairs, by id: whoever writes places goes this way, so nobody waits in a ring."""
    await db.execute(
        text(
            "UPDATE desired_places SET confirmed_revision = :revision "
            "WHERE connection_id = :connection_id AND confirmed_revision < :revision"
        ),
        [
            {"connection_id": connection_id, "revision": revision}
            for connection_id, revision in sorted(confirmed)
        ],
    )


# --- events, read by people ---


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    type: EventType
    server_time: int
    client_time: int | None
    numeric_value: float | None
    text: str


async def events_of(
    db: AsyncConnection,
    connection_id: int,
    *,
    after: int = 0,
    before: int | None = None,
    types: Sequence[EventType] = (),
    limit: int = 200,
) -> list[EventRow]:
    """Events of one connection in the order they arrived; `before` pages backwards (newest of those below it)."""
    table = client_events
    query = select(table).where(and_(table.c.connection_id == connection_id, table.c.id > after))
    if types:
        query = query.where(table.c.type.in_([int(t) for t in types]))
    if before is not None:
        query = query.where(table.c.id < before)
    query = query.order_by(table.c.id.desc() if before is not None else table.c.id).limit(limit)
    rows = [
        EventRow(r.id, EventType(r.type), r.server_time, r.client_time, r.numeric_value, r.text)
        for r in await db.execute(query)
    ]
    return rows[::-1] if before is not None else rows


@dataclass(slots=True)
class Batch:
    """Everything one flush writes, in one transaction."""

    pings: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    indicators: list[IndicatorRow] = field(default_factory=list[IndicatorRow])
    events: list[ClientEvent] = field(default_factory=list[ClientEvent])
    notifications: list[NotificationChange] = field(default_factory=list[NotificationChange])
    confirmed: list[int] = field(default_factory=list[int])
    """Instruction ids the clients confirmed."""

    def __bool__(self) -> bool:
        return self.size > 0

    @property
    def size(self) -> int:
        return sum(map(len, (self.pings, self.indicators, self.events, self.notifications, self.confirmed)))

    def halves(self) -> tuple[Batch, Batch]:
        """Both together are this batch, in its order."""
        left = (self.size + 1) // 2
        first: list[Any] = []
        second: list[Any] = []
        for items in (self.pings, self.indicators, self.events, self.notifications, self.confirmed):
            first.append(items[:left])
            second.append(items[left:])
            left = max(0, left - len(items))
        return Batch(*first), Batch(*second)


async def write_batch(db: AsyncConnection, batch: Batch, *, now: int) -> None:
    if batch.pings:
        await write_pings(db, batch.pings)
    if batch.indicators:
        await write_indicators(db, batch.indicators)
    if batch.events:
        await write_events(db, batch.events)
    if batch.notifications:
        await write_notifications(db, batch.notifications)
    if batch.confirmed:
        # Places before instructions, as those who call people somewhere: else the two could wait for each other.
        await confirm_places(db, batch.confirmed)
        await finish_instructions(db, batch.confirmed, now=now, outcome="confirmed")
