"""Connection files: what an exam administrator hands out so that SEBs find this server."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath

from invigilo.accounts.model import Kind, Right
from invigilo.accounts.permissions import access, require
from invigilo.activity.service import record
from invigilo.errors import BadInput
from invigilo.exam_api.wire import DISCOVERY
from invigilo.sebconfig.connection_file import ConnectionFile, connection_file_bytes
from invigilo.sebconfig.container import Purpose
from invigilo.settings import gives_camera
from invigilo.web.frame import frame_of
from invigilo.web.pages.views import ConfigurationCard, ConnectionFilesPage
from invigilo.web.parts import AnyRequest, SignedIn, SiteParts


@get("/connections")
async def show(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.CONNECTION, Right.CHANGE)
    frame = frame_of(request, site, account)
    server_url = site.base_url(request.scope)
    mine = [c for c in site.directory.configurations.values() if c.institution_id == account.institution_id]
    cards = [ConfigurationCard(c.id, c.name, c.client_id, c.ping_interval_ms, c.is_active) for c in mine]
    page = ConnectionFilesPage(frame, cards, server_url, is_secure=gives_camera(server_url))
    return site.renderer.respond(request, "connections.html", page, language=frame.language)


@post("/connections/{configuration_id:int}/file", status_code=200)
async def download(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    configuration_id: FromPath[int],
    data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[bytes]:
    """The .seb file, plain or encrypted with a password; for starting an exam or for configuring the client."""
    found = site.directory.configurations.get(configuration_id)
    configuration = access(account, Kind.CONNECTION, found, Right.CHANGE)
    if not configuration.is_active:
        raise BadInput("This connection configuration is not active; SEBs with its file would be refused.")
    password = data.get("password") or None
    purpose = {"configure": Purpose.CONFIGURE_CLIENT, "start": Purpose.START_EXAM}.get(
        data.get("purpose") or "start"
    )
    if purpose is None or (password is not None and not isinstance(password, str)):
        raise BadInput("Choose “start” or “configure”, and give the password as text.", field="purpose")
    file = ConnectionFile(
        server_url=site.base_url(request.scope),
        institution_id=str(configuration.institution_id),
        client_id=configuration.client_id,
        client_secret=site.box.decrypt(site.directory.secrets[configuration.id]),
        discovery_path=DISCOVERY,
        ping_interval=timedelta(milliseconds=configuration.ping_interval_ms),
        purpose=purpose,
    )
    body = connection_file_bytes(file, password=password)
    async with site.work() as w:
        await record(
            w,
            at=site.clock.now(),
            actor=account,
            deed="connection_file_downloaded",
            institution_id=configuration.institution_id,
            detail={"configuration": configuration.name, "encrypted": password is not None},
        )
    return Response(
        body,
        media_type="application/seb",
        headers={"Content-Disposition": _disposition(configuration.name), "Cache-Control": "no-store"},
    )


def _disposition(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "connection"
    return f"attachment; filename=\"{plain}.seb\"; filename*=UTF-8''{quote(name, safe='')}.seb"


handlers = [show, download]
