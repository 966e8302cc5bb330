"""What the monitoring pages ask while they are open: deeds, notes, duties, thresholds, stories. All JSON."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

import msgspec
from litestar import MediaType, Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Right
from invigilo.accounts.permissions import access_exam
from invigilo.exams.model import Exam
from invigilo.web import desk_view as view
from invigilo.web.frame import frame_of
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts

NOTES_PER_PAGE = 100


def _exam(site: Site, account: Account, exam_id: int, right: Right = Right.PROCTOR) -> Exam:
    return access_exam(account, site.directory.exams.get(exam_id), right)


def _json(value: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type=MediaType.JSON)


@post("/monitoring/{exam_id:int}/deeds", status_code=200)
async def do(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[bytes]:
    """Settle, lock, unlock, quit or disable: one candidate, several, or everybody."""
    exam = _exam(site, account, exam_id)
    asked = await view.body_of(request, view.DeedBody)
    outcome = await site.desk.act(exam, asked.wish(), account)
    language = frame_of(request, site, account).language
    return _json(view.outcome_view(outcome, partial(site.renderer.error_text, language)))


@get("/monitoring/{exam_id:int}/notes")
async def notes(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[bytes]:
    """All notes of the exam, newest first."""
    exam = _exam(site, account, exam_id)
    query = request.query_params
    found = await view.note_list(
        site,
        exam,
        None,
        incidents_only=query.get("incidents") == "1",
        before=str(query.get("before") or ""),
        limit=NOTES_PER_PAGE,
    )
    return _json(found)


@post("/monitoring/{exam_id:int}/notes", status_code=200)
async def add_note(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[bytes]:
    exam = _exam(site, account, exam_id)
    asked = await view.body_of(request, view.NoteBody)
    live = view.live_of(site, exam, asked.connection_id)
    key = asked.key or secrets.token_urlsafe(16)
    return _json(view.note_view(await site.notes.add(exam, live, asked.wish(), key=key, by=account)))


@post("/monitoring/{exam_id:int}/notes/{note_id:int}", status_code=200)
async def change_note(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int], note_id: FromPath[int]
) -> Response[bytes]:
    exam = _exam(site, account, exam_id)
    asked = await view.body_of(request, view.NoteChange)
    changed = await site.notes.change(exam, note_id, asked.wish(), revision=asked.revision, by=account)
    return _json(view.note_view(changed))


@post("/monitoring/{exam_id:int}/notes/{note_id:int}/take-back", status_code=200)
async def take_back_note(
    site: SiteParts, account: SignedIn, exam_id: FromPath[int], note_id: FromPath[int]
) -> Response[bytes]:
    exam = _exam(site, account, exam_id)
    return _json(view.note_view(await site.notes.take_back(exam, note_id, by=account)))


@get("/monitoring/{exam_id:int}/connections/{connection_id:int}/story")
async def story(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    exam_id: FromPath[int],
    connection_id: FromPath[int],
) -> Response[bytes]:
    """Notes, deeds, hands and locks, comings and goings of one candidate."""
    exam = _exam(site, account, exam_id)
    live = view.live_of(site, exam, connection_id)
    language = frame_of(request, site, account).language
    return _json(await view.story(site, exam, live, language))


@get("/monitoring/{exam_id:int}/thresholds")
async def thresholds(site: SiteParts, account: SignedIn, exam_id: FromPath[int]) -> Response[bytes]:
    exam = _exam(site, account, exam_id)
    return _json(view.thresholds_view(site.desk.measure(exam.id)))


@post("/monitoring/{exam_id:int}/thresholds", status_code=200)
async def set_thresholds(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[bytes]:
    exam = _exam(site, account, exam_id, Right.CHANGE)
    asked = await view.body_of(request, view.ThresholdsBody)
    measure = await site.desk.set_thresholds(exam, asked.wish(), revision=asked.revision, by=account)
    return _json(view.thresholds_view(measure))


@get("/monitoring/{exam_id:int}/duties")
async def duties(site: SiteParts, account: SignedIn, exam_id: FromPath[int]) -> Response[bytes]:
    return _json(await view.duty_view(site, _exam(site, account, exam_id)))


@post("/monitoring/{exam_id:int}/duties", status_code=200)
async def give_duty(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[bytes]:
    exam = _exam(site, account, exam_id)
    asked = await view.body_of(request, view.DutyBody)
    await site.duties.give(exam, asked.room_ids, asked.to, by=account)
    return _json(await view.duty_view(site, exam))


@post("/monitoring/{exam_id:int}/duties/share", status_code=200)
async def share_duties(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[bytes]:
    exam = _exam(site, account, exam_id)
    asked = await view.body_of(request, view.ShareBody)
    await site.duties.share(exam, asked.people, by=account)
    return _json(await view.duty_view(site, exam))


@post("/monitoring/{exam_id:int}/duties/hand-over", status_code=200)
async def hand_over(
    request: AnyRequest, site: SiteParts, account: SignedIn, exam_id: FromPath[int]
) -> Response[bytes]:
    exam = _exam(site, account, exam_id)
    asked = await view.body_of(request, view.HandOverBody)
    await site.duties.hand_over(exam, asked.of, asked.to, by=account)
    return _json(await view.duty_view(site, exam))


handlers = [
    do,
    notes,
    add_note,
    change_note,
    take_back_note,
    story,
    thresholds,
    set_thresholds,
    duties,
    give_duty,
    share_duties,
    hand_over,
]
