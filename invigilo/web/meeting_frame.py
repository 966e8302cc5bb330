"""The page inside which a meeting service's own program runs where it wants more than our pages allow (zoom.md §7.3).

It is a page of its own, in a frame of the candidate's or the proctor's page, and holds nothing but the program: the ticket
comes by message from the page around it. So its policy, which lets in eval, styles and the service's hosts, touches no other
page. The room's window is isolated from other windows besides, because a gallery of many tiles needs shared memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from litestar import Response

from invigilo.web.parts import AnyRequest, Site

ZOOM_HOSTS = ("https://zoom.us", "https://*.zoom.us")
ZOOM_CDN = ("https://source.zoom.us", "https://dmogdx0jrul3u.cloudfront.net")
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "credentialless",
}
"""For the room's window and the frame in it. `credentialless`: whether Zoom's files say that others may embed them was never
verified, and they need none of our cookies."""


@dataclass(frozen=True, slots=True)
class FramePage:
    language: str
    script: str
    base: str
    version: str
    title: str


def frame_page(
    request: AnyRequest,
    site: Site,
    meeting: Any,
    *,
    language: str,
    title: str,
    is_isolated: bool,
    may_film: bool = True,
) -> Response[str]:
    """The frame of a `MeetingPage`; `is_isolated` where the page around it is. One that may not film does not ask either."""
    base = str(meeting.script).rpartition("/")[0]
    page = FramePage(language, meeting.script, base, meeting.version, title)
    response = site.renderer.respond(request, "meeting_frame.html", page, language=language)
    response.headers |= frame_headers(meeting.origin, is_isolated=is_isolated, may_film=may_film)
    return response


def frame_headers(origin: str, *, is_isolated: bool, may_film: bool = True) -> dict[str, str]:
    """What Zoom's program needs, and where it may come from: the origin the administrator entered, and Zoom's own."""
    parts = urlsplit(origin)
    socket = f"{'ws' if parts.scheme == 'http' else 'wss'}://{parts.netloc}"
    scripts = " ".join(dict.fromkeys([origin, *ZOOM_CDN, *ZOOM_HOSTS]))
    policy = [
        "default-src 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
        f"script-src 'self' 'unsafe-eval' 'wasm-unsafe-eval' blob: {scripts}",
        f"worker-src 'self' blob: {origin}",
        f"style-src 'self' 'unsafe-inline' {origin} https://source.zoom.us",
        f"connect-src 'self' {origin} {socket} {' '.join(ZOOM_HOSTS)} wss://*.zoom.us https://source.zoom.us blob: data:",
        f"img-src 'self' data: blob: https: {origin}",
        f"media-src 'self' blob: data: https: {origin}",
        f"font-src 'self' data: https: {origin}",
    ]
    media = ", ".join(
        f"{name}={'(self)' if may_film else '()'}" for name in ("camera", "microphone", "display-capture")
    )
    headers = {
        "Content-Security-Policy": "; ".join(policy),
        "Permissions-Policy": f"{media}, geolocation=(), payment=(), usb=()",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return headers | (ISOLATED if is_isolated else {})
