"""Where a browser finds a meeting: what a page needs before anybody enters, and nothing that opens a door.

The IFrame API comes as a script from the meeting server itself and puts a frame of the same server into the page
(jitsi.md §7). So a page that enters has to allow that one host, and only such a page does.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from invigilo.exams.model import SealedDefinition, Service
from invigilo.providers.description import JAAS_ADDRESS


@dataclass(frozen=True, slots=True)
class MeetingPage:
    """A meeting server as the IFrame API is told of it."""

    script: str
    domain: str
    """Host, port and path, without a scheme: a port or path lost on the way leads to another server (check 19)."""
    origin: str
    """Scheme, host and port: what a page's policy has to allow."""

    @property
    def host(self) -> str:
        """For people to read."""
        return self.origin.partition("://")[2]

    @property
    def is_plain(self) -> bool:
        """Reached by http, which addresses of this machine alone may be."""
        return self.origin.startswith("http://")


def meeting_page(definition: SealedDefinition) -> MeetingPage | None:
    """None for a service that needs nothing of its own in our pages."""
    match definition.service:
        case Service.BUILTIN:
            return None
        case Service.JITSI:
            base = definition.values["server_url"].rstrip("/")
            return _page(base, script=f"{base}/external_api.js")
        case Service.JAAS:
            base = (definition.values.get("server_url") or JAAS_ADDRESS).rstrip("/")
            return _page(base, script=f"{base}/{definition.values['app_id']}/external_api.js")


def _page(base: str, *, script: str) -> MeetingPage:
    parts = urlsplit(base)
    return MeetingPage(script, f"{parts.netloc}{parts.path}", f"{parts.scheme}://{parts.netloc}")
