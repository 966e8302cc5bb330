"""`/api/v1/people`: the accounts of an institution; for server administrators of all."""

from __future__ import annotations

import msgspec
from litestar import get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from invigilo.accounts.model import Account, Right, Role, Scope
from invigilo.accounts.people import PeopleWish
from invigilo.accounts.rules import NewPerson, PersonWish
from invigilo.errors import BadInput
from invigilo.storage.queries.people import SORTS
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.lists import list_query
from invigilo.web.parts import AnyRequest, SiteParts

ACTIVE = {"true": True, "false": False}
LONGEST_NUMBER = 18


class Person(msgspec.Struct, frozen=True):
    """An account."""

    id: int
    username: str
    display_name: str
    role: Role
    institution_id: int | None
    """None for server administrators, who belong to no institution."""
    language: str
    """`en`, `de`, or `auto` for the browser's."""
    time_zone: str
    """An IANA name, or `auto` for the browser's."""
    is_active: bool
    must_change_password: bool
    """Somebody else chose the password; its owner chooses another at the next sign-in."""
    revision: int
    """Counts up with every change."""


class PersonCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new account."""

    username: str
    role: Role
    display_name: str | None = None
    """Without one: the user name."""
    institution_id: int | None = None
    """Without one: the caller's own; server administrators must say it for everybody but server administrators."""
    language: str = "auto"
    time_zone: str = "auto"
    password: str | None = None
    """For the first sign-in. Without one it is made, and answered this once."""


class PersonCreated(msgspec.Struct, frozen=True):
    """A new account, and the password for its first sign-in; nobody can ask for it again."""

    person: Person
    password: str


class PersonPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be different; what is left out stays."""

    display_name: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    language: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    """The one that was read: given, a change of somebody else meanwhile refuses this one (`changed_meanwhile`)."""


class PasswordSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A temporary password; without one it is made."""

    password: str | None = None


class PasswordGiven(msgspec.Struct, frozen=True):
    """The temporary password; nobody can ask for it again."""

    password: str


def person_of(account: Account) -> Person:
    return Person(
        id=account.id,
        username=account.username,
        display_name=account.display_name,
        role=account.role,
        institution_id=account.institution_id,
        language=account.language,
        time_zone=account.time_zone,
        is_active=account.is_active,
        must_change_password=account.must_change_password,
        revision=account.revision,
    )


def number_in(text: str, name: str) -> int:
    """A row's number in a query. Raises BadInput."""
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
        raise BadInput(f"{name} is a whole number.", field=name)
    return int(text)


@get(
    "/people",
    opt=needs(Scope.PEOPLE_READ),
    tags=["people"],
    summary="List accounts",
    description="Query: `q`, `role`, `active` (true, false), `institution_id`, `sort` (username, name, role, active),"
    " `page`, `size`.",
)
async def people(request: AnyRequest, caller: ApiCaller, site: SiteParts) -> ApiList[Person]:
    filters = {"role": [role.value for role in Role], "active": list(ACTIVE), "institution_id": ()}
    query = list_query(request, sorts=list(SORTS), default="username", filters=filters)
    role, active = query.filters.get("role"), query.filters.get("active")
    institution = query.filters.get("institution_id")
    wish = PeopleWish(
        search=query.search,
        role=Role(role) if role else None,
        is_active=ACTIVE[active] if active else None,
        institution_id=None if institution is None else number_in(institution, "institution_id"),
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    found, total = await site.people.list(wish, by=caller.account)
    return listed([person_of(one) for one in found], total, page=query.page, size=query.size)


@post("/people", opt=needs(Scope.PEOPLE_WRITE), tags=["people"], summary="Create an account")
async def create(caller: ApiCaller, site: SiteParts, data: JSONBody[PersonCreate]) -> PersonCreated:
    by = caller.account
    own = None if data.role is Role.SERVER_ADMIN else by.institution_id
    wish = NewPerson(
        username=data.username.strip(),
        display_name=data.username if data.display_name is None else data.display_name,
        role=data.role,
        institution_id=own if data.institution_id is None else data.institution_id,
        language=data.language,
        time_zone=data.time_zone,
        password=data.password,
    )
    person, password = await site.people.create(wish, by=by)
    return PersonCreated(person_of(person), password)


@get("/people/{user_id:int}", opt=needs(Scope.PEOPLE_READ), tags=["people"], summary="Read an account")
async def person(caller: ApiCaller, site: SiteParts, user_id: FromPath[int]) -> Person:
    return person_of(await site.people.get(user_id, by=caller.account))


@patch("/people/{user_id:int}", opt=needs(Scope.PEOPLE_WRITE), tags=["people"], summary="Change an account")
async def change(
    caller: ApiCaller, site: SiteParts, user_id: FromPath[int], data: JSONBody[PersonPatch]
) -> Person:
    """Deactivating (`is_active: false`) ends all sign-ins and stops all API tokens of this person."""
    now = await site.people.get(user_id, by=caller.account, right=Right.CHANGE)
    wish = PersonWish(
        display_name=now.display_name if data.display_name is UNSET else data.display_name,
        role=now.role if data.role is UNSET else data.role,
        language=now.language if data.language is UNSET else data.language,
        time_zone=now.time_zone if data.time_zone is UNSET else data.time_zone,
        is_active=now.is_active if data.is_active is UNSET else data.is_active,
        revision=now.revision if data.revision is UNSET else data.revision,
    )
    return person_of(await site.people.change(user_id, wish, by=caller.account))


@post(
    "/people/{user_id:int}/password",
    opt=needs(Scope.PEOPLE_WRITE),
    tags=["people"],
    summary="Give somebody a temporary password",
    status_code=200,
)
async def set_password(
    caller: ApiCaller, site: SiteParts, user_id: FromPath[int], data: JSONBody[PasswordSet]
) -> PasswordGiven:
    """Ends all sign-ins of this person, who chooses another password at the next one."""
    return PasswordGiven(await site.people.set_password(user_id, data.password, by=caller.account))


handlers = [people, create, person, change, set_password]
