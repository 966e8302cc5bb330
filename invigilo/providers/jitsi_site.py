"""A Jitsi Meet's web side: is one there, and what does its config.js say of the rest (jitsi.md §5.1).

config.js is read by pattern, never run. Nothing is ever fetched from another host than the configured one: a redirect
elsewhere is an answer, not a way.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from invigilo.providers.xmpp import Address

CONNECT_WITHIN = 5.0  # seconds
ANSWER_WITHIN = 10.0  # seconds
LARGEST_FILE = 2 * 2**20  # bytes; external_api.js of a real server is about 100 KB
MOST_REDIRECTS = 3


class SiteFault(Exception):
    """Why there is no Jitsi to be found there; `cause` is a code of the proof."""

    def __init__(self, cause: str, **values: object) -> None:
        super().__init__(cause)
        self.cause = cause
        self.values = values


class OtherHost(aiohttp.ClientError):
    """Something wanted us to go to another host than the configured one."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of the web server."""

    status: int
    kind: str
    text: str
    date: datetime | None
    url: URL


@dataclass(frozen=True, slots=True)
class Config:
    """What matters to us in config.js; None where it says nothing."""

    domain: str | None = None
    muc: str | None = None
    focus: str | None = None
    guest_domain: str | None = None
    websocket: str | None = None
    bosh: str | None = None
    prejoin: bool | None = None
    p2p: bool | None = None
    iframe_disabled: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """A Jitsi that was found."""

    base: URL
    config: Config
    address: Address
    date: datetime | None = None
    """The server's clock, if it says."""
    notes: dict[str, str] = field(default_factory=dict[str, str])


@asynccontextmanager
async def http_to(host: str, *, trust: ssl.SSLContext | None = None) -> AsyncGenerator[aiohttp.ClientSession]:
    """A client that speaks to one host only, verifies its certificate and keeps nothing."""

    async def only_this_host(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if (request.url.host or "").lower() != host.lower():
            raise OtherHost
        return await handler(request)

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WITHIN, sock_read=ANSWER_WITHIN)
    connector = aiohttp.TCPConnector(ssl=trust if trust is not None else True, limit=20)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(only_this_host,),
        trust_env=False,
    ) as http:
        yield http


async def fetch(http: aiohttp.ClientSession, url: URL) -> Fetched:
    """GET, following redirects on the same host. Raises SiteFault."""
    for _ in range(MOST_REDIRECTS):
        try:
            async with http.get(url, allow_redirects=False) as answer:
                if answer.status in {301, 302, 303, 307, 308}:
                    target = url.join(URL(answer.headers.get("Location", ""), encoded=False))
                    if target.host != url.host or (url.scheme == "https" and target.scheme != "https"):
                        raise SiteFault("redirected_elsewhere", host=target.host or "?")
                    url = target
                    continue
                text = (await _read(answer)).decode("utf-8", "replace")
                kind = answer.content_type
                return Fetched(answer.status, kind, text, _date(answer.headers.get("Date")), url)
        except aiohttp.ClientError as error:
            raise _fault(error, url) from None
        except TimeoutError:
            raise SiteFault("no_answer", host=url.host or "") from None
        except ValueError:
            raise SiteFault("not_a_jitsi", file=url.name) from None
    raise SiteFault("redirected_elsewhere", host=url.host or "?")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    left = LARGEST_FILE
    async for part in answer.content.iter_chunked(65_536):
        parts.append(part)
        left -= len(part)
        if left < 0:
            raise SiteFault("not_a_jitsi", file=answer.url.name)
    return b"".join(parts)


def _fault(error: aiohttp.ClientError, url: URL) -> SiteFault:
    host = url.host or ""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return SiteFault("name_not_found", host=host)
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "not valid"
            return SiteFault("tls_invalid", host=host, reason=str(reason)[:120])
        case aiohttp.ClientConnectorSSLError() | aiohttp.ClientSSLError():
            return SiteFault("tls_invalid", host=host, reason="no TLS there")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, socket.gaierror):
            return SiteFault("name_not_found", host=host)
        case aiohttp.ClientConnectorError():
            return SiteFault("refused_connection", host=host, port=url.port or 0)
        case aiohttp.ServerTimeoutError():
            return SiteFault("no_answer", host=host)
        case _:
            return SiteFault("broken_answer", host=host)


def _date(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header or "").astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


async def find_site(
    http: aiohttp.ClientSession, base: URL, *, xmpp_domain: str = "", muc_domain: str = ""
) -> Site:
    """Look for a Jitsi Meet at this address, which may have a port and a path. Raises SiteFault."""
    script = await fetch(http, base / "external_api.js")
    if script.status != 200 or not _is_script(script):
        raise SiteFault("not_a_jitsi", file="external_api.js", status=script.status)
    config_file = await fetch(http, base / "config.js")
    if config_file.status != 200 or not _is_script(config_file):
        raise SiteFault("not_a_jitsi", file="config.js", status=config_file.status)
    config = read_config(config_file.text)
    notes: dict[str, str] = {}
    websocket = _own(config.websocket, base, "xmpp-websocket", notes)
    bosh = _own(config.bosh, base, "http-bind", notes)
    domain = xmpp_domain or config.domain or (base.host or "")
    address = Address(
        domain=domain,
        muc_domain=muc_domain or config.muc or f"conference.{domain}",
        focus=config.focus or f"focus.{domain}",
        websocket=websocket.with_scheme("ws" if websocket.scheme in {"ws", "http"} else "wss"),
        bosh=bosh.with_scheme("http" if bosh.scheme in {"ws", "http"} else "https"),
    )
    return Site(base, config, address, config_file.date, notes)


def _is_script(fetched: Fetched) -> bool:
    """A web server that answers everything with its start page answers this with HTML."""
    return "html" not in fetched.kind and not fetched.text.lstrip()[:1].startswith("<")


def _own(named: str | None, base: URL, usual: str, notes: dict[str, str]) -> URL:
    """The address config.js names, as long as it is on the configured host; else the usual one there."""
    ours = base / usual
    if not named:
        return ours
    try:
        url = base.join(URL(named))
    except ValueError:
        return ours
    if url.host != base.host:
        notes["other_host"] = url.host or ""
        return ours
    if base.scheme == "https" and url.scheme in {"http", "ws"}:
        url = url.with_scheme("wss" if url.scheme == "ws" else "https")
    return url


# --- config.js, by pattern ---

_STRING = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`[^`$\n]*`"
_PIECES = rf"(?:{_STRING}|\w+)(?:\s*\+\s*(?:{_STRING}|\w+)){{0,6}}"
_VARIABLE = re.compile(rf"\b(?:var|let|const)\s+(\w+)\s*=\s*({_STRING})\s*;")
_PIECE = re.compile(rf"{_STRING}|\w+")


def read_config(text: str) -> Config:
    """What Docker's and Debian's config.js say, the one by assignments (`config.hosts.muc = …`), the other as an object."""
    text = text[:LARGEST_FILE]
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    variables = {name: _unquoted(value) for name, value in _VARIABLE.findall(text)}

    def string(name: str) -> str | None:
        found = re.search(rf"\b{name}['\"]?\s*[:=]\s*({_PIECES})", text)
        return None if found is None else _joined(found[1], variables)

    def flag(name: str) -> bool | None:
        found = re.search(rf"\b{name}['\"]?\s*[:=]\s*(true|false)\b", text)
        return None if found is None else found[1] == "true"

    def nested(name: str) -> bool | None:
        dotted = flag(rf"{name}\.enabled")
        if dotted is not None:
            return dotted
        found = re.search(rf"\b{name}['\"]?\s*[:=]\s*\{{([^{{}}]*)", text)
        inner = None if found is None else re.search(r"\benabled['\"]?\s*:\s*(true|false)\b", found[1])
        return None if inner is None else inner[1] == "true"

    return Config(
        domain=string("domain"),
        muc=string("muc"),
        focus=string("focus"),
        guest_domain=string("anonymousdomain"),
        websocket=string("websocket"),
        bosh=string("bosh"),
        prejoin=nested("prejoinConfig"),
        p2p=nested("p2p"),
        iframe_disabled=flag("disableIframeAPI") is True,
    )


def _joined(expression: str, variables: dict[str, str]) -> str | None:
    """A sum of strings and variables; one we do not know, or that the web server left unfilled, counts as empty."""
    value = "".join(
        _unquoted(piece) if piece[0] in "'\"`" else variables.get(piece, "")
        for piece in _PIECE.findall(expression)
    )
    return value.strip() or None


def _unquoted(literal: str) -> str:
    value = re.sub(r"\\(.)", r"\1", literal[1:-1])
    return "" if "<!--#" in value else value
