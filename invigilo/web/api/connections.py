"""`/api/v1/connections`: connection configurations, their files, and links to these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from invigilo.accounts.model import Right, Scope
from invigilo.exams.model import (
    ConfigurationState,
    ConnectionDetails,
    ConnectionLink,
    ConnectionWish,
    FallbackWish,
    FileProtection,
    FilePurpose,
)
from invigilo.storage.queries.connection_configurations import SORTS
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.connection_wishes import file_response, link_address
from invigilo.web.lists import list_query
from invigilo.web.parts import AnyRequest, SiteParts
from invigilo.web.qr_code import qr_code

TAGS = ["connections"]


class FallbackOut(msgspec.Struct, frozen=True):
    """What SEB offers when it cannot reach the server while connecting."""

    url: str
    timeout_ms: int
    attempts: int
    interval_ms: int
    has_password: bool


class Connection(msgspec.Struct, frozen=True):
    """A connection configuration, without its secrets."""

    id: int
    institution_id: int
    name: str
    client_id: str
    """SEB's name at the token endpoint."""
    state: ConfigurationState
    purpose: FilePurpose
    protection: FileProtection
    """How the file is encrypted: `pkhs` and `phsk` are by certificate, the latter for Windows only."""
    has_password: bool
    """Whether a password for the file is stored; without one it is asked for at each download."""
    certificate: str
    has_quit_password: bool
    fallback: FallbackOut | None
    ping_interval_ms: int
    only_exams: list[int] | None
    """The exams its clients are offered; null is every running one of the institution."""
    handed_out_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    revision: int
    """Counts up with every change; send it along to be told when somebody else changed it meanwhile."""


class ConnectionWithSecret(msgspec.Struct, frozen=True):
    """A connection configuration with its client secret, which is shown this once."""

    connection: Connection
    client_secret: str


class FallbackIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where SEB goes when it cannot reach the server while connecting; all but the password is needed."""

    url: str
    timeout_ms: int = 30_000
    attempts: int = 5
    interval_ms: int = 2_000
    password: str | None = None
    """Null leaves it as it is, empty removes it."""


class ConnectionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new connection configuration."""

    name: str
    purpose: FilePurpose = FilePurpose.START
    protection: FileProtection = FileProtection.NONE
    password: str | None = None
    """Of the file, with protection `password`; without one it is asked for at each download."""
    certificate: str = ""
    """PEM, with protection `pkhs` or `phsk`."""
    quit_password: str | None = None
    fallback: FallbackIn | None = None
    ping_interval_ms: int = 1_000
    only_exams: list[int] | None = None


class ConnectionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change; the rest stays. Passwords: empty removes."""

    name: str | UnsetType = UNSET
    purpose: FilePurpose | UnsetType = UNSET
    protection: FileProtection | UnsetType = UNSET
    password: str | UnsetType = UNSET
    certificate: str | UnsetType = UNSET
    quit_password: str | UnsetType = UNSET
    fallback: FallbackIn | UnsetType | None = UNSET
    ping_interval_ms: int | UnsetType = UNSET
    only_exams: list[int] | UnsetType | None = UNSET
    revision: int | UnsetType = UNSET


class FileIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file is wanted."""

    purpose: FilePurpose | None = None
    """Null is the configuration's own."""
    password: str | None = None
    """For this file only, where none is stored."""


class LinkIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new link."""

    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Link(msgspec.Struct, frozen=True):
    """A link to a connection file that is in force. Its address was shown when it was made."""

    id: int
    created_at: datetime
    expires_at: datetime
    created_by: str


class LinkWithAddress(msgspec.Struct, frozen=True):
    """A new link with its address, which is shown this once."""

    link: Link
    address: str
    """`sebs://…`: opened on a device, its SEB fetches the file."""
    qr_code: str
    """The address as a picture, SVG."""


@get("/connections", opt=needs(Scope.CONNECTIONS_READ), tags=TAGS, summary="Connection configurations")
async def all_connections(request: AnyRequest, site: SiteParts, caller: ApiCaller) -> ApiList[Connection]:
    """`q` searches names and client ids; `state` and `purpose` choose; `sort` is name, state, handed_out or created."""
    states, purposes = [one.value for one in ConfigurationState], [one.value for one in FilePurpose]
    query = list_query(
        request, sorts=list(SORTS), default="name", filters={"state": states, "purpose": purposes}
    )
    state, purpose = query.filters.get("state"), query.filters.get("purpose")
    found, total = await site.connection_configurations.page(
        caller.account,
        search=query.search,
        state=ConfigurationState(state) if state else None,
        purpose=FilePurpose(purpose) if purpose else None,
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    return listed([_out(one) for one in found], total, page=query.page, size=query.size)


@post(
    "/connections", opt=needs(Scope.CONNECTIONS_WRITE), tags=TAGS, summary="Make a connection configuration"
)
async def make_connection(
    site: SiteParts, caller: ApiCaller, data: JSONBody[ConnectionIn]
) -> ConnectionWithSecret:
    """Active at once. The client secret is in this answer and in no other."""
    made = await site.connection_configurations.create(
        ConnectionWish(
            name=data.name,
            purpose=data.purpose,
            protection=data.protection,
            password=data.password,
            certificate=data.certificate,
            quit_password=data.quit_password,
            fallback=_fallback_wish(data.fallback),
            ping_interval_ms=data.ping_interval_ms,
            only_exams=None if data.only_exams is None else frozenset(data.only_exams),
        ),
        by=caller.account,
    )
    return ConnectionWithSecret(_out(made.details), made.client_secret)


@get(
    "/connections/{configuration_id:int}",
    opt=needs(Scope.CONNECTIONS_READ),
    tags=TAGS,
    summary="One connection configuration",
)
async def one_connection(site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]) -> Connection:
    return _out(await site.connection_configurations.get(configuration_id, caller.account))


@patch(
    "/connections/{configuration_id:int}",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Change a connection configuration",
)
async def change_connection(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], data: JSONBody[ConnectionPatch]
) -> Connection:
    service = site.connection_configurations
    before = await service.get(configuration_id, caller.account, Right.CHANGE)
    after = await service.change(
        configuration_id,
        _changed_wish(before, data),
        by=caller.account,
        revision=before.revision if data.revision is UNSET else data.revision,
    )
    return _out(after)


@post(
    "/connections/{configuration_id:int}/activate",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Let its clients in",
    status_code=200,
)
async def activate_connection(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]
) -> Connection:
    return _out(await site.connection_configurations.set_active(configuration_id, True, by=caller.account))


@post(
    "/connections/{configuration_id:int}/deactivate",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Refuse its clients until it is activated again",
    status_code=200,
)
async def deactivate_connection(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]
) -> Connection:
    return _out(await site.connection_configurations.set_active(configuration_id, False, by=caller.account))


@post(
    "/connections/{configuration_id:int}/revoke",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Revoke it for good",
    status_code=200,
)
async def revoke_connection(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]
) -> Connection:
    """Within a minute no token, no call of its clients and no link works any more."""
    return _out(await site.connection_configurations.revoke(configuration_id, by=caller.account))


@post(
    "/connections/{configuration_id:int}/secret",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Make a new client secret",
    status_code=200,
)
async def renew_connection_secret(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]
) -> ConnectionWithSecret:
    """Files handed out so far connect nobody new; clients that are connected go on."""
    made = await site.connection_configurations.renew_secret(configuration_id, by=caller.account)
    return ConnectionWithSecret(_out(made.details), made.client_secret)


@delete(
    "/connections/{configuration_id:int}",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Remove one that was never used",
)
async def remove_connection(site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]) -> None:
    await site.connection_configurations.delete(configuration_id, by=caller.account)


@post(
    "/connections/{configuration_id:int}/file",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Its connection file",
    status_code=200,
    media_type="application/seb",
)
async def connection_file(
    request: AnyRequest,
    site: SiteParts,
    caller: ApiCaller,
    configuration_id: FromPath[int],
    data: JSONBody[FileIn],
) -> Response[bytes]:
    """Whoever has the file can connect: it is handed out like a key."""
    file = await site.connection_configurations.file(
        configuration_id,
        by=caller.account,
        server_url=site.base_url(request.scope),
        purpose=data.purpose,
        password=data.password or None,
    )
    return file_response(file)


@get(
    "/connections/{configuration_id:int}/links",
    opt=needs(Scope.CONNECTIONS_READ),
    tags=TAGS,
    summary="Its links in force",
)
async def links(site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]) -> list[Link]:
    found = await site.connection_configurations.get(configuration_id, caller.account)
    return [_link(one) for one in await site.connection_configurations.links(found)]


@post(
    "/connections/{configuration_id:int}/links",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="Make a link to its file",
)
async def make_link(
    request: AnyRequest,
    site: SiteParts,
    caller: ApiCaller,
    configuration_id: FromPath[int],
    data: JSONBody[LinkIn],
) -> LinkWithAddress:
    """The address is in this answer and in no other. Whoever has it has the file."""
    made = await site.connection_configurations.make_link(
        configuration_id, expires_at=data.expires_at, by=caller.account
    )
    address = link_address(site.base_url(request.scope), made.key)
    return LinkWithAddress(_link(made.link), address, str(qr_code(address)))


@delete(
    "/connections/{configuration_id:int}/links/{link_id:int}",
    opt=needs(Scope.CONNECTIONS_WRITE),
    tags=TAGS,
    summary="End a link",
)
async def revoke_link(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], link_id: FromPath[int]
) -> None:
    await site.connection_configurations.revoke_link(configuration_id, link_id, by=caller.account)


def _fallback_wish(said: FallbackIn | None) -> FallbackWish | None:
    if said is None:
        return None
    return FallbackWish(said.url, said.timeout_ms, said.attempts, said.interval_ms, said.password)


def _changed_wish(before: ConnectionDetails, said: ConnectionPatch) -> ConnectionWish:
    """What is there, with what was said."""
    now = before.fallback
    fallback = None if now is None else FallbackWish(now.url, now.timeout_ms, now.attempts, now.interval_ms)
    only = before.only_exams
    if said.only_exams is not UNSET:
        only = None if said.only_exams is None else frozenset(said.only_exams)
    return ConnectionWish(
        name=before.name if said.name is UNSET else said.name,
        purpose=before.purpose if said.purpose is UNSET else said.purpose,
        protection=before.protection if said.protection is UNSET else said.protection,
        password=None if said.password is UNSET else said.password,
        certificate=before.certificate if said.certificate is UNSET else said.certificate,
        quit_password=None if said.quit_password is UNSET else said.quit_password,
        fallback=fallback if said.fallback is UNSET else _fallback_wish(said.fallback),
        ping_interval_ms=before.ping_interval_ms if said.ping_interval_ms is UNSET else said.ping_interval_ms,
        only_exams=only,
    )


def _out(one: ConnectionDetails) -> Connection:
    now = one.fallback
    fallback = None
    if now is not None:
        fallback = FallbackOut(now.url, now.timeout_ms, now.attempts, now.interval_ms, now.has_password)
    return Connection(
        id=one.id,
        institution_id=one.institution_id,
        name=one.name,
        client_id=one.client_id,
        state=one.state,
        purpose=one.purpose,
        protection=one.protection,
        has_password=one.has_password,
        certificate=one.certificate,
        has_quit_password=one.has_quit_password,
        fallback=fallback,
        ping_interval_ms=one.ping_interval_ms,
        only_exams=None if one.only_exams is None else sorted(one.only_exams),
        handed_out_at=one.handed_out_at,
        revoked_at=one.revoked_at,
        created_at=one.created_at,
        revision=one.revision,
    )


def _link(one: ConnectionLink) -> Link:
    return Link(one.id, one.created_at, one.expires_at, one.created_by)


handlers = [
    all_connections,
    make_connection,
    one_connection,
    change_connection,
    activate_connection,
    deactivate_connection,
    revoke_connection,
    renew_connection_secret,
    remove_connection,
    connection_file,
    links,
    make_link,
    revoke_link,
]
