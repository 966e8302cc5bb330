"""`/api/v1/templates`: what new exams of a kind start with."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from invigilo.accounts.model import Right, Scope
from invigilo.exams.model import Template, TemplateWish
from invigilo.storage.queries.exam_office import TEMPLATE_SORTS
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.api.exams import ProctoringOut
from invigilo.web.lists import list_query
from invigilo.web.parts import SiteParts

TAGS = ["exam templates"]


class TemplateOut(msgspec.Struct, frozen=True):
    """An exam template without its secrets."""

    id: int
    institution_id: int
    name: str
    description: str
    configuration_id: int | None
    supporters: list[int]
    has_quit_password: bool
    proctoring: ProctoringOut
    revision: int


class TemplateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new exam template."""

    name: str
    description: str = ""
    configuration_id: int | None = None
    """Of a configuration template every exam gets a configuration of its own."""
    supporters: list[int] = []
    quit_password: str | None = None
    """Write-only."""


class TemplatePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to change; the rest stays. With `revision` it is refused when somebody changed the template since."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    configuration_id: int | UnsetType | None = UNSET
    supporters: list[int] | UnsetType = UNSET
    quit_password: str | UnsetType | None = UNSET
    """Write-only; null removes it."""
    revision: int | None = None


def _out(one: Template) -> TemplateOut:
    settings = one.proctoring
    return TemplateOut(
        one.id,
        one.institution_id,
        one.name,
        one.description,
        one.configuration_id,
        sorted(one.supporters),
        one.has_quit_password,
        ProctoringOut(
            settings.enabled,
            settings.service,
            settings.collecting_room_size,
            settings.join_by,
            sorted(settings.features),
            settings.definition_id,
        ),
        one.revision,
    )


@get("/templates", opt=needs(Scope.EXAMS_READ), tags=TAGS, summary="Exam templates, searched and sorted")
async def list_templates(
    request: Request[Any, Any, Any], site: SiteParts, caller: ApiCaller
) -> ApiList[TemplateOut]:
    query = list_query(request, sorts=TEMPLATE_SORTS, default="name")
    found, total = await site.templates.page(
        caller.account,
        search=query.search,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    return listed([_out(one) for one in found], total, page=query.page, size=query.size)


@post("/templates", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Make an exam template")
async def make_template(site: SiteParts, caller: ApiCaller, data: JSONBody[TemplateIn]) -> TemplateOut:
    wish = TemplateWish(
        name=data.name,
        description=data.description,
        configuration_id=data.configuration_id,
        supporters=frozenset(data.supporters),
        quit_password=data.quit_password,
    )
    return _out(await site.templates.create(wish, caller.account))


@get("/templates/{template_id:int}", opt=needs(Scope.EXAMS_READ), tags=TAGS, summary="One exam template")
async def read_template(site: SiteParts, caller: ApiCaller, template_id: FromPath[int]) -> TemplateOut:
    return _out(await site.templates.get(template_id, caller.account))


@patch(
    "/templates/{template_id:int}", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Change an exam template"
)
async def change_template_api(
    site: SiteParts, caller: ApiCaller, template_id: FromPath[int], data: JSONBody[TemplatePatch]
) -> TemplateOut:
    one = await site.templates.get(template_id, caller.account, Right.CHANGE)
    wish = TemplateWish(
        name=one.name if isinstance(data.name, UnsetType) else data.name,
        description=one.description if isinstance(data.description, UnsetType) else data.description,
        configuration_id=one.configuration_id
        if isinstance(data.configuration_id, UnsetType)
        else data.configuration_id,
        supporters=one.supporters if isinstance(data.supporters, UnsetType) else frozenset(data.supporters),
        quit_password=None if isinstance(data.quit_password, UnsetType) else data.quit_password or "",
    )
    revision = one.revision if data.revision is None else data.revision
    return _out(await site.templates.change(template_id, wish, caller.account, revision=revision))


@delete(
    "/templates/{template_id:int}", opt=needs(Scope.EXAMS_WRITE), tags=TAGS, summary="Delete an exam template"
)
async def delete_template_api(site: SiteParts, caller: ApiCaller, template_id: FromPath[int]) -> None:
    await site.templates.delete(template_id, caller.account)


handlers = [list_templates, make_template, read_template, change_template_api, delete_template_api]
