"""The part of a service's test that only a browser can do: it joins a meeting made for it, and says what came of it.

One socket carries it all: it lands on one node, brings the ticket to this one page, and when the page goes away, the meeting
goes too. The SDK runs in a frame page, which alone may load it and may not film.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import Any, Literal

import msgspec
import structlog
from litestar import Response, WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect, WebSocketException
from litestar.params import FromPath

from invigilo.accounts.model import Right
from invigilo.clock import to_ms
from invigilo.errors import InvigiloError, NotFound
from invigilo.proctoring.definitions import JoinTry
from invigilo.proctoring.meetings import Entry
from invigilo.proctoring.model import ServiceDefinition
from invigilo.web.meeting_frame import frame_page
from invigilo.web.pages.monitoring import refuse, same_origin
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts, account_of
from invigilo.web.proof_view import step_view

log = structlog.get_logger()

ANSWER_WITHIN = 100.0  # seconds: the SDK is loaded, joins, and may be told to wait
LARGEST_ANSWER = 1_000  # characters
NAME = "Invigilo"
"""By which the browser is in the meeting, where nobody else is."""


class Result(msgspec.Struct, frozen=True):
    """What the page says of its try."""

    state: Literal["joined", "script_failed", "no_frame", "failed"]
    code: int = 0
    """The SDK's own."""


_result = msgspec.json.Decoder(Result)


@get("/services/{service_id:int}/meeting")
async def frame(
    request: AnyRequest, site: SiteParts, account: SignedIn, service_id: FromPath[int]
) -> Response[Any]:
    """The frame in which a test joins. It holds no ticket."""
    found = await site.services.get(service_id, account, Right.CHANGE)
    page = site.services.join_page(found)
    if page is None:
        raise NotFound("Meetings of this service are not entered by such a frame.", key="no_such_frame")
    language = site.renderer.language_of(request, account.language)
    title = site.renderer.catalogue.text(language, "services.join.frame")
    return frame_page(request, site, page, language=language, title=title, is_isolated=False, may_film=False)


@websocket("/services/{service_id:int}/join")
async def join(socket: WebSocket[Any, Any, Any], site: SiteParts, service_id: FromPath[int]) -> None:
    """`ticket` to the page, its `Result` back, then `end` with the steps as they are kept now."""
    account = await account_of(socket, site)
    if account is None or account.must_change_password or not same_origin(socket, site):
        await refuse(socket, 4401)
        return
    try:
        await site.services.get(service_id, account, Right.CHANGE)
    except InvigiloError:
        await refuse(socket, 4403)
        return
    await socket.accept()
    language = site.renderer.language_of(socket, account.language)
    try:
        async with site.services.joining(service_id) as tried:
            result = await _joined(socket, tried)
        steps = tried.steps() if result is None else tried.steps(result.state, result.code)
        kept = await site.services.keep_join(tried, steps, by=account)
        await socket.send_json(_end(site, language, {one.code for one in steps}, kept))
    except InvigiloError as error:
        await _leave(socket, {"t": "end", "message": site.renderer.error_text(language, error)})
    except (WebSocketException, RuntimeError, OSError):
        log.info(
            "join_left", definition_id=service_id
        )  # the page is gone; what it was to prove stays unproven
    else:
        await _leave(socket)


async def _joined(socket: WebSocket[Any, Any, Any], tried: JoinTry) -> Result | None:
    """What the page says of its try; None when it says nothing in time. Raises WebSocketDisconnect."""
    if tried.ticket is None:
        return None
    await socket.send_json({"t": "ticket", **Entry(tried.page, tried.ticket, NAME).as_json()})
    with contextlib.suppress(TimeoutError, msgspec.DecodeError):
        async with asyncio.timeout(ANSWER_WITHIN):
            answer = await socket.receive_text()
        return _result.decode(answer[:LARGEST_ANSWER])
    return None


def _end(site: Site, language: str, fresh: set[str], kept: ServiceDefinition | None) -> dict[str, Any]:
    if kept is None:
        text = site.renderer.catalogue.text(language, "services.join.changed")
        return {"t": "end", "message": text}
    shown = [step_view(site.renderer, language, one) for one in kept.proof if one["step"] in fresh]
    return {"t": "end", "steps": [asdict(one) for one in shown], **outcome_of(kept)}


def outcome_of(kept: ServiceDefinition) -> dict[str, Any]:
    """How a test ended, as it is kept."""
    return {
        "done": "ok" if kept.is_proven else "failed",
        "at": None if kept.proved_at is None else to_ms(kept.proved_at),
        "entered": None if kept.entered_at is None else to_ms(kept.entered_at),
    }


async def _leave(socket: WebSocket[Any, Any, Any], last: dict[str, Any] | None = None) -> None:
    with contextlib.suppress(WebSocketDisconnect, WebSocketException, RuntimeError, OSError):
        if last is not None:
            await socket.send_json(last)
        await socket.close()


handlers = [frame, join]
