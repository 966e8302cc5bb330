"""The candidate's page: opened by SEB as the exam's start address, it shows the notice, checks the camera and stays on."""

from __future__ import annotations

from typing import Any

from litestar import Response, WebSocket, get, websocket
from litestar.params import FromPath

from invigilo.errors import NotFound
from invigilo.monitoring.live import LiveConnection
from invigilo.monitoring.wall import name_of
from invigilo.secrets_box import digest
from invigilo.storage.queries import connections as connection_queries
from invigilo.web.meeting_frame import frame_page
from invigilo.web.pages.candidate_view import CandidateEndedPage, CandidatePage
from invigilo.web.parts import AnyRequest, Site, SiteParts
from invigilo.web.sockets import find_page

KEY_LENGTH = 64


async def _find(site: Site, key: str) -> LiveConnection | None:
    """The connection of an entry key; loaded if this node has not met it."""
    if len(key) > KEY_LENGTH or not key.isascii():
        return None
    entry_hash = digest(key)
    live = site.connections.live.by_entry_key_hash.get(entry_hash)
    if live is not None:
        return live
    async with site.reading() as w:
        row = await connection_queries.by_entry_key_hash(w.db, entry_hash)
    if row is None:
        return None
    await site.connections.reload([row.id])
    return site.connections.live.by_id.get(row.id)


@get("/e/{key:str}")
async def page(request: AnyRequest, site: SiteParts, key: FromPath[str]) -> Response[Any]:
    live = find_page(await _find(site, key))
    language = site.renderer.language_of(request)
    exam = site.directory.exams.get(live.exam_id or 0)
    institution = site.directory.institutions.get(live.institution_id, "")
    exam_name = "" if exam is None else exam.name
    is_over = live.exam_id is not None and (exam is None or not exam.is_running(site.clock.now()))
    if not live.state.is_open or is_over:
        ended = CandidateEndedPage(language=language, exam=exam_name, institution=institution)
        return site.renderer.respond(request, "candidate_ended.html", ended, language=language, status=410)
    if live.page.link_opened_at is None:
        live.page.link_opened_at = site.clock.now_ms()
        site.connections.live.heard(live, "page")
    meeting = None if exam is None else site.meetings.page_of(exam)
    origin = None if meeting is None else meeting.origin
    view = CandidatePage(
        language=language,
        candidate=name_of(live, site.directory.candidate(live.exam_id, live.user_session_id)),
        exam=exam_name,
        institution=institution,
        messages=site.renderer.catalogue.part(language, "candidate."),
        socket_path=f"/e/{key}/socket",
        meeting_origin=origin,
        meeting_kind="" if meeting is None else meeting.kind,
        frame_path=f"/e/{key}/meeting" if meeting is not None and meeting.is_framed else "",
    )
    outer = None if meeting is None else meeting.outer_origin
    return site.renderer.respond(request, "candidate.html", view, language=language, meeting_origin=outer)


@get("/e/{key:str}/meeting")
async def meeting(request: AnyRequest, site: SiteParts, key: FromPath[str]) -> Response[Any]:
    """The frame in which the candidate's page runs a meeting service's program. It holds no ticket."""
    live = find_page(await _find(site, key))
    exam = site.directory.exams.get(live.exam_id or 0)
    found = None if exam is None else site.meetings.page_of(exam)
    if found is None or not found.is_framed:
        raise NotFound("This exam's rooms are not entered by such a frame.", key="no_such_frame")
    language = site.renderer.language_of(request)
    title = site.renderer.catalogue.text(language, "candidate.meeting.frame")
    return frame_page(request, site, found, language=language, title=title, is_isolated=False)


@websocket("/e/{key:str}/socket")
async def socket(socket: WebSocket[Any, Any, Any], site: SiteParts, key: FromPath[str]) -> None:
    live = await _find(site, key)
    if live is None:
        await socket.accept()
        await socket.close(code=4002, reason="unknown link")
        return
    await site.sockets.candidate(socket, live)


handlers = [page, meeting, socket]
