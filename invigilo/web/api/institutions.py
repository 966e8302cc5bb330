"""`/api/v1/institutions`: the tenants of this server."""

from __future__ import annotations

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from invigilo.accounts.model import Institution as Found
from invigilo.accounts.model import Right, Scope
from invigilo.accounts.rules import InstitutionWish
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.lists import list_query
from invigilo.web.parts import AnyRequest, SiteParts


class Institution(msgspec.Struct, frozen=True):
    """A tenant: people, exams and configurations belong to one."""

    id: int
    name: str
    time_zone: str
    """An IANA name."""
    revision: int
    """Counts up with every change."""


class InstitutionCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new institution."""

    name: str
    time_zone: str = "UTC"


class InstitutionPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; what is left out stays."""

    name: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    """The one that was read: given, a change of somebody else meanwhile refuses this one (`changed_meanwhile`)."""


def institution_of(one: Found) -> Institution:
    return Institution(one.id, one.name, one.time_zone, one.revision)


@get(
    "/institutions",
    opt=needs(Scope.PEOPLE_READ),
    tags=["institutions"],
    summary="List institutions",
    description="Query: `q`, `sort` (name), `page`, `size`.",
)
async def institutions(request: AnyRequest, caller: ApiCaller, site: SiteParts) -> ApiList[Institution]:
    query = list_query(request, sorts=["name"], default="name")
    found, total = await site.people.institutions(
        search=query.search,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
        by=caller.account,
    )
    return listed([institution_of(one) for one, _ in found], total, page=query.page, size=query.size)


@post("/institutions", opt=needs(Scope.PEOPLE_WRITE), tags=["institutions"], summary="Create an institution")
async def create(caller: ApiCaller, site: SiteParts, data: JSONBody[InstitutionCreate]) -> Institution:
    wish = InstitutionWish(name=data.name, time_zone=data.time_zone)
    return institution_of(await site.people.create_institution(wish, by=caller.account))


@get(
    "/institutions/{institution_id:int}",
    opt=needs(Scope.PEOPLE_READ),
    tags=["institutions"],
    summary="Read an institution",
)
async def institution(caller: ApiCaller, site: SiteParts, institution_id: FromPath[int]) -> Institution:
    return institution_of((await site.people.institution(institution_id, by=caller.account))[0])


@patch(
    "/institutions/{institution_id:int}",
    opt=needs(Scope.PEOPLE_WRITE),
    tags=["institutions"],
    summary="Change an institution",
)
async def change(
    caller: ApiCaller, site: SiteParts, institution_id: FromPath[int], data: JSONBody[InstitutionPatch]
) -> Institution:
    now, _ = await site.people.institution(institution_id, by=caller.account, right=Right.CHANGE)
    wish = InstitutionWish(
        name=now.name if data.name is UNSET else data.name,
        time_zone=now.time_zone if data.time_zone is UNSET else data.time_zone,
        revision=now.revision if data.revision is UNSET else data.revision,
    )
    return institution_of(await site.people.change_institution(institution_id, wish, by=caller.account))


@delete(
    "/institutions/{institution_id:int}",
    opt=needs(Scope.PEOPLE_WRITE),
    tags=["institutions"],
    summary="Delete an empty institution",
)
async def remove(caller: ApiCaller, site: SiteParts, institution_id: FromPath[int]) -> None:
    """Refused (`in_use`) while anything belongs to it; the message says what."""
    await site.people.remove_institution(institution_id, by=caller.account)


handlers = [institutions, create, institution, change, remove]
