"""For those who run the server: alive, ready, metrics; and the static files."""

from __future__ import annotations

import mimetypes
from dataclasses import asdict
from pathlib import Path

from litestar import MediaType, Response, get
from litestar.params import FromPath
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from invigilo.errors import NotFound
from invigilo.health import readiness
from invigilo.web.parts import SiteParts
from invigilo.web.render import STATIC, static_version

mimetypes.add_type("text/javascript", ".js")


@get("/healthz", media_type=MediaType.TEXT)
async def healthz() -> str:
    """The process answers: a load balancer must not kill a node whose database is away, its pings still count."""
    return "ok\n"


@get("/readyz")
async def readyz(site: SiteParts) -> Response[dict[str, object]]:
    state = await readiness(
        reading=site.reading, directory=site.directory, writer=site.writer, clock=site.clock
    )
    return Response(asdict(state), status_code=200 if state.is_ready else 503)


@get("/metrics", media_type=MediaType.TEXT)
async def metrics() -> Response[bytes]:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _find_static(name: str) -> Path:
    try:
        file = (STATIC / name.lstrip("/")).resolve()
        if file.is_relative_to(STATIC) and file.is_file():
            return file
    except (OSError, ValueError):
        pass  # a name no file can have
    raise NotFound("There is no such file.", key="no_such_file")


@get("/static/{version:str}/{name:path}")
async def static_file(version: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """Files under an address that changes with their content; an old address still answers, uncached."""
    file = _find_static(name)
    fresh = version == static_version()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return Response(
        file.read_bytes(),
        media_type=kind,
        headers={
            "Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )


handlers = [healthz, readyz, metrics, static_file]
