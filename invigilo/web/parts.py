"""What page handlers are given: the parts of the node, and who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency

from invigilo.accounts.model import Account
from invigilo.accounts.service import Accounts
from invigilo.clock import Clock
from invigilo.errors import InvigiloError
from invigilo.exams.directory import Directory
from invigilo.monitoring.service import Connections
from invigilo.monitoring.writer import Writer
from invigilo.proctoring.service import Rooms
from invigilo.rtc.hub import Hub
from invigilo.secrets_box import SecretBox
from invigilo.storage.work import WorkFactory
from invigilo.web.catalogue import Catalogue
from invigilo.web.render import Renderer
from invigilo.web.sockets import Sockets
from invigilo.web.stream import Stream

if TYPE_CHECKING:
    from invigilo.app import App

SESSION_COOKIE = "invigilo_session"

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """The parts that handlers use."""

    accounts: Accounts
    connections: Connections
    rooms: Rooms
    directory: Directory
    writer: Writer
    hub: Hub
    stream: Stream
    sockets: Sockets
    work: WorkFactory
    reading: WorkFactory
    box: SecretBox
    clock: Clock
    renderer: Renderer
    base_url: Callable[[Any], str]
    has_https: bool

    @classmethod
    def of(cls, app: App) -> Site:
        return cls(
            accounts=app.accounts,
            connections=app.connections,
            rooms=app.rooms,
            directory=app.directory,
            writer=app.writer,
            hub=app.hub,
            stream=app.stream,
            sockets=app.sockets,
            work=app.work,
            reading=app.reading,
            box=app.storage.box,
            clock=app.clock,
            renderer=Renderer(Catalogue.load()),
            base_url=app.base_url,
            has_https=app.settings.tls_certificate is not None
            or (app.settings.public_url or "").startswith("https://"),
        )


class SignInNeeded(InvigiloError):
    """Nobody is signed in: pages lead to the sign-in, sockets close."""


async def account_of(connection: ASGIConnection[Any, Any, Any, Any], site: Site) -> Account | None:
    token = connection.cookies.get(SESSION_COOKIE)
    return None if not token else await site.accounts.account_of_session(token)


SiteParts = NamedDependency[Site]
"""How a handler asks for the parts."""


async def provide_account(request: AnyRequest, site: SiteParts) -> Account:
    """The person asking. Raises SignInNeeded."""
    account = await account_of(request, site)
    if account is None:
        raise SignInNeeded("Please sign in.")
    return account


SignedIn = NamedDependency[Account]
"""How a handler asks for the person; whoever is not signed in never gets there."""


def wants_json(request: AnyRequest) -> bool:
    return "application/json" in request.headers.get("accept", "") or "x-csrftoken" in request.headers
