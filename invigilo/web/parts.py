"""What page handlers are given: the parts of the node, and who is asking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency

from invigilo.accounts.model import Account
from invigilo.accounts.people import People
from invigilo.accounts.service import Accounts
from invigilo.accounts.tokens import ApiTokens
from invigilo.activity.reading import Activity
from invigilo.clock import Clock
from invigilo.configurations.connections import ConnectionConfigurations
from invigilo.configurations.service import Configurations
from invigilo.errors import InvigiloError
from invigilo.exams.directory import Directory
from invigilo.exams.rosters import Rosters
from invigilo.exams.service import Exams
from invigilo.exams.templates import Templates
from invigilo.monitoring.desk import Desk
from invigilo.monitoring.duties import Duties
from invigilo.monitoring.event_search import EventSearch
from invigilo.monitoring.notes import Notes
from invigilo.monitoring.records import Records
from invigilo.monitoring.service import Connections
from invigilo.monitoring.story import Stories
from invigilo.monitoring.writer import Writer
from invigilo.proctoring.calls import Calls
from invigilo.proctoring.definitions import ServiceDefinitions
from invigilo.proctoring.meetings import Meetings
from invigilo.proctoring.messages import Messages
from invigilo.proctoring.service import Rooms
from invigilo.proctoring.settings import ProctoringSettingsService
from invigilo.rtc.hub import Hub
from invigilo.secrets_box import SecretBox
from invigilo.storage.work import WorkFactory
from invigilo.web.render import Renderer
from invigilo.web.sockets import Sockets
from invigilo.web.stream import Stream

SESSION_COOKIE = "invigilo_session"

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """The parts that handlers use."""

    accounts: Accounts
    tokens: ApiTokens
    people: People
    services: ServiceDefinitions
    proctoring: ProctoringSettingsService
    activity: Activity
    connection_configurations: ConnectionConfigurations
    configurations: Configurations
    exams: Exams
    templates: Templates
    rosters: Rosters
    connections: Connections
    records: Records
    event_search: EventSearch
    desk: Desk
    notes: Notes
    duties: Duties
    stories: Stories
    rooms: Rooms
    calls: Calls
    messages: Messages
    meetings: Meetings
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


class SignInNeeded(InvigiloError):
    """Nobody is signed in: pages lead to the sign-in, sockets close."""


class PasswordNeeded(InvigiloError):
    """Somebody else chose this person's password: every page leads to choosing another first."""


BEFORE_PASSWORD = {"before_password": True}
"""The `opt` of handlers that serve those who have not chosen a password of their own yet."""


async def account_of(connection: ASGIConnection[Any, Any, Any, Any], site: Site) -> Account | None:
    token = connection.cookies.get(SESSION_COOKIE)
    return None if not token else await site.accounts.account_of_session(token)


SiteParts = NamedDependency[Site]
"""How a handler asks for the parts."""


async def provide_account(request: AnyRequest, site: SiteParts) -> Account:
    """The person asking. Raises SignInNeeded, or PasswordNeeded until they have chosen a password of their own."""
    account = await account_of(request, site)
    if account is None:
        raise SignInNeeded("Please sign in.")
    request.scope["user"] = account  # whose language an error is said in
    if account.must_change_password and "before_password" not in request.route_handler.opt:
        raise PasswordNeeded(
            "Choose a password of your own first, on the page “Account”.", key="password_needed"
        )
    return account


SignedIn = NamedDependency[Account]
"""How a handler asks for the person; whoever is not signed in never gets there."""


def wants_json(request: AnyRequest) -> bool:
    return "application/json" in request.headers.get("accept", "") or "x-csrftoken" in request.headers
