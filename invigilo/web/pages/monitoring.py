"""What proctors open: the list of running exams, the monitoring page, room windows, the overview, one connection."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import structlog
from litestar import Response, WebSocket, get, post, websocket
from litestar.params import FromPath

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import access_exam, rights_on
from invigilo.activity.service import record
from invigilo.clock import to_ms
from invigilo.errors import BadInput, InvigiloError, NotFound, Unavailable
from invigilo.exams.model import Exam
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.model import EventType, InstructionType
from invigilo.monitoring.service import WhenGone
from invigilo.monitoring.wall import name_of
from invigilo.proctoring.service import RoomView
from invigilo.storage.queries import connections as connection_queries
from invigilo.storage.queries.connections import ConnectionRow
from invigilo.storage.work import Work
from invigilo.web.frame import frame_of
from invigilo.web.meeting_frame import ISOLATED, frame_page
from invigilo.web.pages.views import ConnectionPage, ExamCard, ExamListPage, MonitoringPage
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts, account_of

log = structlog.get_logger()

EVENTS_PER_PAGE = 200
LONGEST_MESSAGE = 300


def _exam(site: Site, account: Account, exam_id: int, right: Right) -> Exam:
    return access_exam(account, site.directory.exams.get(exam_id), right)


def _live(site: Site, exam: Exam, connection_id: int) -> LiveConnection:
    """A connection of this exam. Raises NotFound."""
    live = site.connections.live.by_id.get(connection_id)
    if live is None or live.exam_id != exam.id:
        raise NotFound("There is no such connection in this exam.", key="no_such_connection")
    return live


def _texts(site: Site, language: str) -> dict[str, str]:
    return site.renderer.catalogue.part(language, "proctor.") | site.renderer.catalogue.part(
        language, "cause."
    )


@get("/monitoring")
async def exam_list(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    """Running exams this person may see."""
    now = site.clock.now()
    cards = [_card(site, account, exam) for exam in site.directory.running(now) if rights_on(account, exam)]
    frame = frame_of(request, site, account)
    page = ExamListPage(frame=frame, exams=cards, now=to_ms(now))
    return site.renderer.respond(request, "exam_list.html", page, language=frame.language)


def _card(site: Site, account: Account, exam: Exam) -> ExamCard:
    rows = site.stream.judged_all(exam)
    return ExamCard(
        id=exam.id,
        name=exam.name,
        institution=site.directory.institutions.get(exam.institution_id, ""),
        starts_at=to_ms(exam.starts_at),
        ends_at=to_ms(exam.ends_at),
        connected=sum(row["seb"] == "ok" for row in rows),
        problems=sum(row["severity"] == "problem" for row in rows),
        may_watch=Right.PROCTOR in rights_on(account, exam),
    )


_ROOM_TITLES = {
    "collecting": "proctor.room.number",
    "town_hall": "proctor.room.town_hall",
    "break_out": "proctor.room.break_out",
}


def monitoring_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    exam: Exam,
    *,
    view: str,
    room: RoomView | None = None,
) -> MonitoringPage:
    """What the live pages of an exam begin with; `room` is the one whose window it is."""
    frame = frame_of(request, site, account)
    return MonitoringPage(
        frame=frame,
        exam_id=exam.id,
        exam_name=exam.name,
        institution=site.directory.institutions.get(exam.institution_id, ""),
        starts_at=to_ms(exam.starts_at),
        ends_at=to_ms(exam.ends_at),
        may_watch=Right.PROCTOR in rights_on(account, exam),
        room_number=None if room is None else room.number,
        room_title=_ROOM_TITLES[room.kind if room is not None else "collecting"],
        data={
            "view": view,
            "examId": exam.id,
            "roomId": None if room is None else room.id,
            "roomNumber": None if room is None else room.number,
            "roomKind": None if room is None else room.kind,
            "socket": f"/monitoring/{exam.id}/socket",
            "base": f"/monitoring/{exam.id}",
            "language": frame.language,
            "mayChange": Right.CHANGE in rights_on(account, exam),
            "texts": _texts(site, frame.language),
        },
    )


@get("/monitoring/{exam_id:int}")
async def monitoring(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    page = monitoring_page(request, site, account, exam, view="monitoring")
    return site.renderer.respond(request, "monitoring.html", page, language=page.frame.language)


@get("/monitoring/{exam_id:int}/rooms/{number:int}")
async def room(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int], number: FromPath[int]
) -> Response[Any]:
    """A room's window. Opening it is a deed worth keeping: somebody watches people."""
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    views = site.rooms.of_exam(exam)
    found = next((one for one in views if one.number == number and not one.is_call), None)
    if found is None:
        raise NotFound(
            f"There is no room {number} in this exam yet. Rooms appear as candidates arrive.",
            key="no_room_yet",
            values={"number": number},
        )
    await record_sight(site, account, exam, "room_entered", room_id=found.id, detail={"room": number})
    return room_window(request, site, account, exam, found)


def room_window(
    request: AnyRequest, site: Site, account: Account, exam: Exam, room: RoomView
) -> Response[Any]:
    """The window of a room of any kind, as its meeting service wants it."""
    page = monitoring_page(request, site, account, exam, view="room", room=room)
    meeting = site.meetings.page_of(exam)
    if meeting is None:
        return site.renderer.respond(request, "room.html", page, language=page.frame.language)
    more = {"meetingOrigin": meeting.origin}
    if meeting.is_framed:
        more["meetingFrame"] = f"/monitoring/{exam.id}/rooms/{room.id}/meeting"
    page = replace(page, meeting_host=meeting.host, data={**page.data, **more})
    response = site.renderer.respond(
        request, "room_meeting.html", page, language=page.frame.language, meeting_origin=meeting.outer_origin
    )
    if meeting.is_framed:
        response.headers |= ISOLATED
    return response


@get("/monitoring/{exam_id:int}/rooms/{room_id:int}/meeting")
async def room_meeting(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int], room_id: FromPath[int]
) -> Response[Any]:
    """The frame in which the window of a room of any kind runs a meeting service's program. It holds no ticket."""
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    meeting = site.meetings.page_of(exam)
    if meeting is None or not meeting.is_framed:
        raise NotFound("Rooms of this exam are not entered by such a frame.", key="no_such_frame")
    if not _has_room(site, exam, room_id):
        await site.rooms.look_again(exam)  # a call opened a moment ago
        if not _has_room(site, exam, room_id):
            raise NotFound("This room is closed, or there never was one.", key="no_such_open_room")
    language = site.renderer.language_of(request, account.language)
    title = site.renderer.catalogue.text(language, "proctor.meeting.frame")
    return frame_page(request, site, meeting, language=language, title=title, is_isolated=True)


def _has_room(site: Site, exam: Exam, room_id: int) -> bool:
    return any(one.id == room_id for one in site.rooms.of_exam(exam))


@get("/monitoring/{exam_id:int}/overview")
async def overview(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[Any]:
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    await record_sight(site, account, exam, "overview_entered")
    page = monitoring_page(request, site, account, exam, view="overview")
    return site.renderer.respond(request, "overview.html", page, language=page.frame.language)


async def record_sight(
    site: Site,
    account: Account,
    exam: Exam,
    deed: str,
    *,
    connection_id: int | None = None,
    room_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Note that somebody looks. A database in trouble must not blind proctors: then the log keeps it."""
    if site.writer.in_trouble_since is None:
        with contextlib.suppress(Unavailable):
            async with site.work() as w:
                await record(
                    w,
                    at=site.clock.now(),
                    actor=account,
                    deed=deed,
                    institution_id=exam.institution_id,
                    exam_id=exam.id,
                    connection_id=connection_id,
                    room_id=room_id,
                    detail=detail,
                )
            return
    log.error(
        "deed_not_on_record", deed=deed, user_id=account.id, exam_id=exam.id, connection_id=connection_id
    )


@get("/monitoring/{exam_id:int}/connections/{connection_id:int}")
async def connection(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
) -> Response[Any]:
    """One candidate's page. It shows the camera, so opening it is on record too."""
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    live = _live(site, exam, connection_id)
    await record_sight(site, account, exam, "connection_entered", connection_id=live.id)
    frame = frame_of(request, site, account)
    base = f"/monitoring/{exam.id}"
    row = site.stream.judged(exam, live)
    page = ConnectionPage(
        frame=frame,
        exam_id=exam.id,
        exam_name=exam.name,
        connection_id=live.id,
        name=name_of(live, site.directory.candidate(exam.id, live.user_session_id)),
        row=row,
        data={
            "view": "connection",
            "examId": exam.id,
            "connectionId": live.id,
            "socket": f"{base}/socket",
            "base": base,
            "language": frame.language,
            "row": row,
            "texts": _texts(site, frame.language),
        },
    )
    return site.renderer.respond(request, "connection.html", page, language=frame.language)


@get("/monitoring/{exam_id:int}/connections/{connection_id:int}/events")
async def events(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
) -> dict[str, Any]:
    """Events in the order they arrived: `after` for what is new, `before` to page back, `types` as names."""
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    live = _live(site, exam, connection_id)
    query = request.query_params
    before = whole(query.get("before"), "before")
    async with site.reading() as w:
        rows = await connection_queries.events_of(
            w.db,
            live.id,
            after=whole(query.get("after"), "after") or 0,
            before=before,
            types=_types(query.get("types")),
            limit=EVENTS_PER_PAGE + 1,
        )
    more = len(rows) > EVENTS_PER_PAGE
    kept = rows[-EVENTS_PER_PAGE:] if before is not None else rows[:EVENTS_PER_PAGE]
    return {"events": [_event(row) for row in kept], "more": more}


def _event(row: connection_queries.EventRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "type": row.type.name,
        "time": row.server_time,
        "client_time": row.client_time,
        "value": row.numeric_value,
        "text": row.text,
    }


def whole(text: Any, field: str) -> int | None:
    """A number of the query; None without one. Raises BadInput."""
    if text is None or text == "":
        return None
    if not str(text).isascii() or not str(text).isdigit() or len(str(text)) > 18:
        raise BadInput(f"`{field}` is a number.", field=field)
    return int(text)


def _types(text: Any) -> list[EventType]:
    names = [name for name in str(text or "").split(",") if name]
    unknown = [name for name in names if name not in EventType.__members__]
    if unknown:
        raise BadInput(f"There is no event type {unknown[0][:40]!r}.", field="types")
    return [EventType[name] for name in names]


# --- deeds ---


def _recorder(site: Site, account: Account, deed: str, detail: dict[str, Any] | None = None) -> WhenGone:
    """Writes the deed into the record, in the deed's own transaction."""

    async def write(w: Work, row: ConnectionRow) -> None:
        await record(
            w,
            at=site.clock.now(),
            actor=account,
            deed=deed,
            institution_id=row.institution_id,
            exam_id=row.exam_id,
            connection_id=row.id,
            detail=detail,
        )

    return write


DONE = {"ok": True}


@post(
    "/monitoring/{exam_id:int}/connections/{connection_id:int}/notifications/{number:int}/confirm",
    status_code=200,
)
async def confirm_notification(
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
    number: FromPath[int],
) -> dict[str, bool]:
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    live = _live(site, exam, connection_id)
    write = _recorder(site, account, "notification_confirmed", {"number": number})
    await site.connections.confirm_notification(live, number, by=account.id, record=write)
    return DONE


@post("/monitoring/{exam_id:int}/connections/{connection_id:int}/lock", status_code=200)
async def lock(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
) -> dict[str, bool]:
    """Lock the candidate's screen; an optional `message` is shown there."""
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    live = _live(site, exam, connection_id)
    message = await _message_of(request)
    await site.connections.send(
        live,
        InstructionType.LOCK_SCREEN,
        {"message": message} if message else {},
        record=_recorder(site, account, "screen_locked"),
    )
    return DONE


async def _message_of(request: AnyRequest) -> str:
    if not await request.body():
        return ""
    kind = request.content_type[0]
    data: Any = await request.json() if kind == "application/json" else dict(await request.form())
    message = data.get("message", "") if isinstance(data, dict) else ""
    if not isinstance(message, str) or len(message) > LONGEST_MESSAGE:
        raise BadInput(f"The message is a text of at most {LONGEST_MESSAGE} characters.", field="message")
    return message.strip()


@post("/monitoring/{exam_id:int}/connections/{connection_id:int}/quit", status_code=200)
async def quit_seb(
    site: SiteParts, account: SignedIn, exam_id: FromPath[int], connection_id: FromPath[int]
) -> dict[str, bool]:
    """End this candidate's SEB session."""
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    live = _live(site, exam, connection_id)
    await site.connections.send(live, InstructionType.QUIT, {}, record=_recorder(site, account, "seb_quit"))
    return DONE


@post("/monitoring/{exam_id:int}/connections/{connection_id:int}/disable", status_code=200)
async def disable(
    site: SiteParts, account: SignedIn, exam_id: FromPath[int], connection_id: FromPath[int]
) -> dict[str, bool]:
    """Mark a lost connection as cancelled."""
    exam = _exam(site, account, exam_id, Right.PROCTOR)
    live = _live(site, exam, connection_id)
    await site.connections.disable(live, record=_recorder(site, account, "connection_disabled"))
    return DONE


# --- the live stream ---


@websocket("/monitoring/{exam_id:int}/socket")
async def socket(socket: WebSocket[Any, Any, Any], site: SiteParts, exam_id: FromPath[int]) -> None:
    """Close codes: 4401 sign in again, 4403 not yours; else docs/protocol.md."""
    account = await account_of(socket, site)
    if account is None or account.must_change_password or not same_origin(socket, site):
        await refuse(socket, 4401)
        return
    try:
        exam = _exam(site, account, exam_id, Right.PROCTOR)
    except InvigiloError:
        await refuse(socket, 4403)
        return

    async def still_valid() -> bool:
        now = await account_of(socket, site)
        return now is not None and _standing(now) == _standing(account)

    language = site.renderer.language_of(socket, account.language)
    await site.sockets.proctor(socket, account, exam, still_valid, language=language)


def _standing(account: Account) -> tuple[object, ...]:
    """What must stay as it is for a page to stay open; a new name or time zone ends nobody's watch."""
    return (account.id, account.role, account.institution_id, account.is_active, account.must_change_password)


async def refuse(socket: WebSocket[Any, Any, Any], code: int) -> None:
    """Accepted first, because a browser shows no close code of a refused handshake."""
    await socket.accept()
    await socket.close(code=code)


def same_origin(socket: WebSocket[Any, Any, Any], site: Site) -> bool:
    """A page of another site must not ride on the proctor's cookie. A proxy may have changed `Host`."""
    origin = socket.headers.get("origin")
    if origin is None or origin == site.base_url(socket.scope):
        return True
    try:
        return urlsplit(origin).netloc == socket.headers.get("host")
    except ValueError:
        return False


handlers = [
    exam_list,
    monitoring,
    room,
    room_meeting,
    overview,
    connection,
    events,
    confirm_notification,
    lock,
    quit_seb,
    disable,
    socket,
]
