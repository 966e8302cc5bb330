"""Where a browser finds a meeting: what a page needs before anybody enters, and nothing that opens a door.

The IFrame API comes as a script from the meeting server itself and puts a frame of the same server into the page
(jitsi.md §7). So a page that enters has to allow that one host, and only such a page does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from invigilo.exams.model import SealedDefinition, Service
from invigilo.providers.description import JAAS_ADDRESS
from invigilo.providers.zoom_proof import sdk_script
from invigilo.providers.zoom_settings import SDK_BASE, SDK_VERSION


@dataclass(frozen=True, slots=True)
class MeetingPage:
    """A meeting server as the IFrame API is told of it."""

    script: str
    domain: str
    """Host, port and path, without a scheme: a port or path lost on the way leads to another server (check 19)."""
    origin: str
    """Scheme, host and port of what is loaded from there."""
    kind: str = "jitsi"
    """By which program of ours it is entered: `jitsi` or `zoom`."""
    version: str = ""
    """Of the script, where there are several."""

    @property
    def is_framed(self) -> bool:
        """Entered in a frame page of ours, so that no other page has to allow what that script needs."""
        return self.kind == "zoom"

    @property
    def outer_origin(self) -> str | None:
        """The host that the page itself has to allow; None when only its frame does."""
        return None if self.is_framed else self.origin

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
    return page_at(definition.service, definition.values)


def page_at(service: Service, values: Mapping[str, str]) -> MeetingPage | None:
    """The same, from a service and its values; secrets are not needed."""
    match service:
        case Service.BUILTIN:
            return None
        case Service.JITSI:
            base = values["server_url"].rstrip("/")
            return _page(base, script=f"{base}/external_api.js")
        case Service.JAAS:
            base = (values.get("server_url") or JAAS_ADDRESS).rstrip("/")
            return _page(base, script=f"{base}/{values['app_id']}/external_api.js")
        case Service.ZOOM:
            base = (values.get("sdk_base") or SDK_BASE).rstrip("/")
            version = values.get("sdk_version") or SDK_VERSION
            page = _page(base, script=sdk_script(base, version))
            return replace(page, kind="zoom", version=version)


def _page(base: str, *, script: str) -> MeetingPage:
    parts = urlsplit(base)
    return MeetingPage(script, f"{parts.netloc}{parts.path}", f"{parts.scheme}://{parts.netloc}")
