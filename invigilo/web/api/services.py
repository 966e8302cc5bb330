"""`/api/v1/services`: meeting services with their credentials. Secrets go in and never come out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody

from invigilo.accounts.model import Kind, Right, Scope
from invigilo.accounts.permissions import require
from invigilo.exams.model import Service
from invigilo.proctoring.model import DefinitionWish, ServiceDefinition
from invigilo.storage.queries.services import SORTS
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.lists import list_query
from invigilo.web.parts import AnyRequest, Site, SiteParts
from invigilo.web.proof_view import step_view


class ServiceFieldInfo(msgspec.Struct, frozen=True):
    """One thing a service needs to be told."""

    name: str
    label: str
    kind: str
    """`text`, `url`, `secret`, `secret_lines` (a key in PEM form), `choice` or `flag`."""
    is_required: bool
    is_identity: bool
    """Cannot be changed while an exam has rooms at the service."""
    choices: list[str]
    default: str


class OfferedService(msgspec.Struct, frozen=True):
    """A kind of meeting service that can be used here."""

    service: str
    title: str
    fields: list[ServiceFieldInfo]
    features: list[str]
    cannot: list[str]
    """What it cannot guarantee, in words."""


class SecretInfo(msgspec.Struct, frozen=True):
    """Whether a secret is set, and since when; never what it is."""

    is_set: bool
    since: datetime | None = None


class ServiceInfo(msgspec.Struct, frozen=True):
    """A meeting service of an institution."""

    id: int
    institution_id: int
    name: str
    service: str
    values: dict[str, str]
    """Everything but secrets."""
    secrets: dict[str, SecretInfo]
    is_proven: bool
    """Its last test passed, and nothing was changed since."""
    proved_at: datetime | None
    entered_at: datetime | None
    """When somebody was last in a meeting with credentials that nothing else proves (Zoom's SDK key and secret)."""
    revision: int


class NewService(msgspec.Struct, forbid_unknown_fields=True):
    """A meeting service to enter."""

    name: str
    service: Service
    values: dict[str, str] = {}
    """Its fields as `GET /services/offered` names them, secrets among them."""


class ServiceChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    values: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    """Fields that are left out stay; a blank secret keeps the stored one."""
    revision: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | msgspec.UnsetType = msgspec.UNSET
    """The revision this change was made of: refused when somebody changed it meanwhile."""


class ProofStep(msgspec.Struct, frozen=True):
    """One step of a test."""

    step: str
    number: str
    outcome: str
    """`ok`, `failed` or `not_provable`."""
    title: str
    cause: str
    """Why it failed, or cannot be proven; or something worth knowing."""
    remedy: str
    """What to do about it."""


class Proof(msgspec.Struct, frozen=True):
    """What a test found. It is kept with its date."""

    is_proven: bool
    steps: list[ProofStep]


def info_of(site: Site, one: ServiceDefinition) -> ServiceInfo:
    secrets: dict[str, SecretInfo] = {}
    if (description := site.services.descriptions.get(one.service)) is not None:
        names = [field.name for field in description.fields if field.kind.is_secret]
        secrets = {name: SecretInfo(name in one.secrets, one.secrets.get(name)) for name in names}
    return ServiceInfo(
        id=one.id,
        institution_id=one.institution_id,
        name=one.name,
        service=one.service.value,
        values=dict(one.values),
        secrets=secrets,
        is_proven=one.is_proven,
        proved_at=one.proved_at,
        entered_at=one.entered_at,
        revision=one.revision,
    )


async def proof_of(site: Site, steps: AsyncGenerator[Any], *, is_own: bool) -> Proof:
    """Run a test to its end. `is_own`: there is nothing to prove, because it is this server."""
    found: list[ProofStep] = []
    async with aclosing(steps) as running:
        async for step in running:
            view = step_view(site.renderer, "en", step.as_json())
            found.append(ProofStep(view.step, view.number, view.outcome, view.title, view.cause, view.remedy))
    outcomes = {one.outcome for one in found}
    return Proof(is_own or ("ok" in outcomes and "failed" not in outcomes), found)


@get(
    "/services/offered",
    opt=needs(Scope.SERVICES_READ),
    tags=["services"],
    summary="Which meeting services can be used, and what each needs to be told",
)
async def offered(site: SiteParts, caller: ApiCaller) -> list[OfferedService]:
    require(caller.account, Kind.SERVICE, Right.SEE)
    say = site.renderer.catalogue.text
    return [
        OfferedService(
            service=service.value,
            title=say("en", f"service.{service.value}.title"),
            fields=[
                ServiceFieldInfo(
                    name=one.name,
                    label=say("en", f"service.{service.value}.{one.name}"),
                    kind=one.kind.value,
                    is_required=one.is_required,
                    is_identity=one.is_identity,
                    choices=list(one.choices),
                    default=one.default,
                )
                for one in description.fields
            ],
            features=sorted(one.value for one in description.features),
            cannot=[say("en", f"service.cannot.{one}") for one in description.cannot],
        )
        for service, description in site.services.descriptions.items()
    ]


@get("/services", opt=needs(Scope.SERVICES_READ), tags=["services"], summary="Meeting services, by name")
async def list_services(request: AnyRequest, site: SiteParts, caller: ApiCaller) -> ApiList[ServiceInfo]:
    query = list_query(
        request, sorts=list(SORTS), default="name", filters={"service": [one.value for one in Service]}
    )
    items, total = await site.services.page(
        caller.account,
        search=query.search,
        service=query.filters.get("service", ""),
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    return listed([info_of(site, one) for one in items], total, page=query.page, size=query.size)


@post("/services", opt=needs(Scope.SERVICES_WRITE), tags=["services"], summary="Enter a meeting service")
async def create_service(site: SiteParts, caller: ApiCaller, data: JSONBody[NewService]) -> ServiceInfo:
    wish = DefinitionWish(data.name, data.values)
    return info_of(site, await site.services.create(data.service, wish, by=caller.account))


@get("/services/{service_id:int}", opt=needs(Scope.SERVICES_READ), tags=["services"], summary="One of them")
async def get_service(site: SiteParts, caller: ApiCaller, service_id: FromPath[int]) -> ServiceInfo:
    return info_of(site, await site.services.get(service_id, caller.account))


@patch(
    "/services/{service_id:int}",
    opt=needs(Scope.SERVICES_WRITE),
    tags=["services"],
    summary="Change name, values or secrets",
)
async def change_service(
    site: SiteParts, caller: ApiCaller, service_id: FromPath[int], data: JSONBody[ServiceChange]
) -> ServiceInfo:
    before = await site.services.get(service_id, caller.account, Right.CHANGE)
    given: Mapping[str, str] = {} if isinstance(data.values, msgspec.UnsetType) else data.values
    wish = DefinitionWish(
        before.name if isinstance(data.name, msgspec.UnsetType) else data.name,
        {**before.values, **given},
        before.revision if isinstance(data.revision, msgspec.UnsetType) else data.revision,
    )
    return info_of(site, await site.services.change(service_id, wish, by=caller.account))


@delete(
    "/services/{service_id:int}",
    opt=needs(Scope.SERVICES_WRITE),
    tags=["services"],
    summary="Delete one that nothing uses",
)
async def delete_service(site: SiteParts, caller: ApiCaller, service_id: FromPath[int]) -> None:
    await site.services.delete(service_id, by=caller.account)


@post(
    "/services/{service_id:int}/test",
    status_code=200,
    opt=needs(Scope.SERVICES_WRITE),
    tags=["services"],
    summary="Prove address and credentials, step by step",
)
async def prove_service(site: SiteParts, caller: ApiCaller, service_id: FromPath[int]) -> Proof:
    found = await site.services.get(service_id, caller.account, Right.CHANGE)
    return await proof_of(site, await site.services.begin_test(found.id, by=caller.account), is_own=False)


handlers = [
    offered,
    list_services,
    create_service,
    get_service,
    change_service,
    delete_service,
    prove_service,
]
