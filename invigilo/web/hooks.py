"""What meeting services report of their own accord: who came, who left. Believed only when it is proven whose report it is.

A definition has its own address, `/hooks/<its number>`, and whatever a service appends to it. The number is no secret; the
sender is told by the definition's events secret (`Provider.read_webhook`). An answer other than 2xx makes a service try
again, so what is true but no news is taken all the same, and only what cannot be verified or read is refused.
"""

from __future__ import annotations

from typing import Any

from litestar import Response, post
from litestar.params import FromPath

from invigilo.errors import NotAllowed
from invigilo.exams.model import Service
from invigilo.web.parts import AnyRequest, Site, SiteParts


async def _take(site: Site, request: AnyRequest, definition_id: int) -> Response[Any]:
    try:
        found = site.meetings.take_report(definition_id, request.headers, await request.body())
    except NotAllowed as error:
        definition = site.directory.definitions.get(definition_id)
        if definition is None or definition.service is not Service.ZOOM:
            raise
        return Response({"code": "notallowed", "message": error.message}, status_code=401)  # zoom.md §9
    return Response({"news": found} if isinstance(found, bool) else dict(found), status_code=200)


@post("/hooks/{definition_id:int}", status_code=200, opt={"no_csrf": True})
async def report(request: AnyRequest, site: SiteParts, definition_id: FromPath[int]) -> Response[Any]:
    """One report; which event it is stands in its body."""
    return await _take(site, request, definition_id)


@post("/hooks/{definition_id:int}/events/{subject:str}/{event:str}", status_code=200, opt={"no_csrf": True})
async def named_report(
    request: AnyRequest,
    site: SiteParts,
    definition_id: FromPath[int],
    subject: FromPath[str],  # noqa: ARG001  (the component's own path; the body says the same)
    event: FromPath[str],  # noqa: ARG001
) -> Response[Any]:
    """The same where the service appends the event to the address, as event_sync does (jitsi.md §6)."""
    return await _take(site, request, definition_id)


handlers = [report, named_report]
