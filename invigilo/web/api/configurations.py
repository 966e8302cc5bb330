"""`/api/v1/configurations` and `/api/v1/settings`: what SEB loads for exams, edited key by key like in the pages."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from invigilo.accounts.model import Kind, Right, Scope
from invigilo.accounts.permissions import require
from invigilo.configurations import files
from invigilo.configurations.files import ExportForm, ExportPurpose, ExportWish
from invigilo.configurations.model import Change, Configuration, ConfigurationWish, Draft, Version
from invigilo.errors import Invalid, Problem
from invigilo.sebconfig import catalogue, checks, container, values
from invigilo.sebconfig.config_key import config_key
from invigilo.web.api.base import ApiCaller, ApiList, listed, needs
from invigilo.web.lists import list_query
from invigilo.web.pages.configuration_files import disposition
from invigilo.web.pages.configuration_history import version_number
from invigilo.web.parts import AnyRequest, SiteParts
from invigilo.web.settings_layout import tab_of

READ, WRITE = needs(Scope.CONFIGURATIONS_READ), needs(Scope.CONFIGURATIONS_WRITE)
TAGS = ["configurations"]
UPLOAD_LIMIT = container.MAX_FILE_BYTES * 4 // 3 + 64 * 1024
EDIT_LIMIT = 1024 * 1024
"""Bytes; a table is sent whole."""


class ConfigurationAnswer(msgspec.Struct, frozen=True):
    """An exam configuration."""

    id: int
    institution_id: int
    name: str
    description: str
    is_template: bool
    """Assigned to no exam: new configurations start from it."""
    template_id: int | None
    """The template it started from."""
    revision: int
    """Counts up with every change of the draft; send it back with an edit."""
    published_version: int | None
    """The newest version; null: never published."""
    created_at: datetime
    changed_at: datetime


class ConfigurationLine(ConfigurationAnswer, frozen=True, kw_only=True):
    """An exam configuration in a list."""

    has_changes: bool
    """The draft was changed since the newest version."""
    exams: list[str]
    """Names of the exams that use it."""


class NewConfiguration(msgspec.Struct, forbid_unknown_fields=True):
    """A configuration to make: from SEB's defaults, from a template, or as a copy."""

    name: str
    description: str = ""
    is_template: bool = False
    template_id: int | None = None
    copy_of: int | None = None


class ConfigurationPatch(msgspec.Struct, forbid_unknown_fields=True):
    """What to change of a configuration as a whole; what is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    is_template: bool | msgspec.UnsetType = msgspec.UNSET


class Secret(msgspec.Struct, frozen=True):
    """Stands in place of a password or token: whether there is one."""

    is_set: bool


class FindingAnswer(msgspec.Struct, frozen=True):
    """Something to mend; an error stops publishing, a warning does not."""

    path: str
    code: str
    severity: str
    platforms: list[str]
    """The systems it concerns: windows, macos, ios."""


class ValuesAnswer(msgspec.Struct, frozen=True):
    """The settings of the draft, or of a version. Secrets are never given."""

    revision: int
    version: int | None
    """null: the draft."""
    values: dict[str, Any]
    """By setting id; tables are lists of rows, `proxies` is one object."""
    config_key: str
    """Of the settings as they are exported."""
    changed_from_default: list[str]
    locked: dict[str, str]
    """Settings that have no effect now, and the setting that is the reason."""
    findings: list[FindingAnswer]


class Edit(msgspec.Struct, forbid_unknown_fields=True):
    """An edit of single settings. Others' edits since `revision` are merged; the same key changed twice is refused."""

    revision: int
    changes: dict[str, Any] = {}
    """By setting id (`quitURL`, `proxies.HTTPPort`); a password as `{"password": "…"}`, "" removes it; a table whole."""
    reset: list[str] = []
    """Settings to set back to their default."""


class Publishing(msgspec.Struct, forbid_unknown_fields=True):
    """`revision` is the one that was looked at; a newer draft is not published unseen."""

    revision: int
    note: str = ""


class Undoing(msgspec.Struct, forbid_unknown_fields=True):
    revision: int


class VersionAnswer(msgspec.Struct, frozen=True):
    """A published version."""

    number: int
    published_at: datetime
    published_by: str
    config_key: str
    note: str


class ChangeAnswer(msgspec.Struct, frozen=True):
    """Who changed which value from what to what; of secrets only whether they were set."""

    at: datetime
    actor: str
    path: str
    before: Any
    after: Any
    revision: int
    version: int | None
    """The version it was published in; null: in the draft; 0: taken back."""


class DifferenceAnswer(msgspec.Struct, frozen=True):
    """One value that differs; a whole row of a table has only `before` (removed) or `after` (added)."""

    path: str
    before: Any
    after: Any


class FileToImport(msgspec.Struct, forbid_unknown_fields=True):
    """A SEB file, and what becomes of it."""

    file: bytes
    """The file in base64."""
    password: str = ""
    key: str = ""
    """The private key in PEM, if the file is sealed for a certificate."""
    key_password: str = ""
    name: str = ""
    """Of the configuration to make."""
    is_template: bool = False
    into: int | None = None
    """The configuration whose draft is replaced; null: a new one is made."""
    revision: int | None = None
    """With `into`: the draft's revision that was looked at."""
    only_look: bool = False
    """Say what the file holds, and keep nothing."""


class MistypedAnswer(msgspec.Struct, frozen=True):
    key: str
    found: str
    expected: str


class ImportAnswer(msgspec.Struct, frozen=True):
    """What became of a file's keys."""

    configuration: ConfigurationAnswer | None
    """null when only looked at."""
    config_key: str
    """Of the file as it is."""
    unknown: list[str]
    """Left out because no setting has this name."""
    dropped: list[str]
    """Left out because they do not belong into exam settings."""
    mistyped: list[MistypedAnswer]
    """Of the wrong type: these became their default."""
    converted: list[str]
    kept_hashes: list[str]
    """Passwords whose hash was taken over."""


class FileToExport(msgspec.Struct, forbid_unknown_fields=True):
    """How to write the file. A start address makes it one for use without this server."""

    version: int | None = None
    """null: the draft."""
    form: ExportForm = ExportForm.PLAIN
    purpose: ExportPurpose = ExportPurpose.START
    start_url: str = ""
    password: str = ""
    certificate: str = ""
    """PEM; for the form `certificate`."""
    is_windows_only: bool = False


class SettingAnswer(msgspec.Struct, frozen=True):
    """One row of the catalogue: a setting, or a column of a table."""

    id: str
    key: str
    parent_id: str
    type: str
    control: str
    default: Any
    choices: list[Any]
    minimum: float | None
    maximum: float | None
    tab: str
    """Empty: not shown in the editor, but exported."""
    label: str
    depends_on: str
    windows: str
    macos: str
    ios: str


# --- the whole ---

Version_ = Annotated[str, QueryParameter(description="The number of a version, or `draft`.", max_length=20)]


@get(
    "/configurations",
    opt=READ,
    tags=TAGS,
    summary="List exam configurations",
    description="Query: `q`, `kind` (exam, template), `sort` (name, changed, version), `page`, `size`.",
)
async def list_configurations(
    request: AnyRequest, site: SiteParts, caller: ApiCaller
) -> ApiList[ConfigurationLine]:
    query = list_query(
        request,
        sorts=("name", "changed", "version"),
        default="name",
        filters={"kind": ("exam", "template")},
    )
    chosen = query.filters.get("kind")
    lines, total = await site.configurations.page(
        caller.account,
        search=query.search,
        is_template=None if chosen is None else chosen == "template",
        sort=query.sort,
        is_descending=query.is_descending,
        offset=query.offset,
        limit=query.size,
    )
    items = [
        ConfigurationLine(*_fields(one.configuration), has_changes=one.has_changes, exams=list(one.exams))
        for one in lines
    ]
    return listed(items, total, page=query.page, size=query.size)


@post("/configurations", opt=WRITE, tags=TAGS, summary="Make an exam configuration")
async def create(site: SiteParts, caller: ApiCaller, data: JSONBody[NewConfiguration]) -> ConfigurationAnswer:
    made = await site.configurations.create(
        ConfigurationWish(data.name, data.description, data.is_template),
        by=caller.account,
        template_id=data.template_id,
        copy_of=data.copy_of,
    )
    return _answer(made)


@get("/configurations/{configuration_id:int}", opt=READ, tags=TAGS, summary="One exam configuration")
async def show(site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]) -> ConfigurationAnswer:
    return _answer(await site.configurations.get(configuration_id, caller.account))


@patch("/configurations/{configuration_id:int}", opt=WRITE, tags=TAGS, summary="Rename or describe it")
async def describe(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], data: JSONBody[ConfigurationPatch]
) -> ConfigurationAnswer:
    found = await site.configurations.get(configuration_id, caller.account, Right.CHANGE)
    wish = ConfigurationWish(
        found.name if data.name is msgspec.UNSET else data.name,
        found.description if data.description is msgspec.UNSET else data.description,
        found.is_template if data.is_template is msgspec.UNSET else data.is_template,
    )
    return _answer(await site.configurations.describe(configuration_id, wish, by=caller.account))


@delete("/configurations/{configuration_id:int}", opt=WRITE, tags=TAGS, summary="Delete it", status_code=204)
async def remove(site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]) -> None:
    await site.configurations.delete(configuration_id, by=caller.account)


# --- its settings ---


@get("/configurations/{configuration_id:int}/values", opt=READ, tags=TAGS, summary="Its settings")
async def show_values(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], version: Version_ = "draft"
) -> ValuesAnswer:
    configuration = await site.configurations.get(configuration_id, caller.account)
    number = version_number(version, "version")
    _, held = await site.configurations.values_at(configuration_id, number, caller.account)
    return _values(configuration.draft_revision, number, held)


@patch(
    "/configurations/{configuration_id:int}/values",
    opt=WRITE,
    tags=TAGS,
    summary="Change settings of its draft",
    request_max_body_size=EDIT_LIMIT,
)
async def change_values(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], data: JSONBody[Edit]
) -> ValuesAnswer:
    saved = await site.configurations.change(
        configuration_id,
        data.changes,
        base_revision=data.revision,
        by=caller.account,
        reset=tuple(data.reset),
    )
    return _values_of(saved.draft)


@post(
    "/configurations/{configuration_id:int}/publish",
    opt=WRITE,
    tags=TAGS,
    summary="Publish its draft as a version",
)
async def publish(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], data: JSONBody[Publishing]
) -> VersionAnswer:
    version = await site.configurations.publish(
        configuration_id, base_revision=data.revision, by=caller.account, note=data.note
    )
    return _version(version)


@post(
    "/configurations/{configuration_id:int}/undo",
    opt=WRITE,
    tags=TAGS,
    summary="Make its draft the newest version again",
    status_code=200,
)
async def undo(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], data: JSONBody[Undoing]
) -> ValuesAnswer:
    draft = await site.configurations.undo(configuration_id, base_revision=data.revision, by=caller.account)
    return _values_of(draft)


# --- its past ---


@get("/configurations/{configuration_id:int}/versions", opt=READ, tags=TAGS, summary="Its published versions")
async def versions(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]
) -> list[VersionAnswer]:
    return [_version(one) for one in await site.configurations.versions(configuration_id, caller.account)]


@get(
    "/configurations/{configuration_id:int}/compare",
    opt=READ,
    tags=TAGS,
    summary="Compare two of its versions",
)
async def compare(
    site: SiteParts,
    caller: ApiCaller,
    configuration_id: FromPath[int],
    left: Annotated[
        str, QueryParameter(description="The number of a version, or `draft`", max_length=20)
    ] = "draft",
    right: Annotated[
        str, QueryParameter(description="The number of a version, or `draft`", max_length=20)
    ] = "draft",
) -> list[DifferenceAnswer]:
    numbers = version_number(left, "left"), version_number(right, "right")
    _, before = await site.configurations.values_at(configuration_id, numbers[0], caller.account)
    _, after = await site.configurations.values_at(configuration_id, numbers[1], caller.account)
    return [DifferenceAnswer(one.path, one.before, one.after) for one in values.differences(before, after)]


@get(
    "/configurations/{configuration_id:int}/history",
    opt=READ,
    tags=TAGS,
    summary="Who changed what",
    description="Newest first. Query: `q` (part of a key or of a user name), `page`, `size`.",
)
async def history(
    request: AnyRequest, site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int]
) -> ApiList[ChangeAnswer]:
    query = list_query(request, sorts=("at",), default="at")
    changes, total = await site.configurations.history(
        configuration_id, caller.account, search=query.search, offset=query.offset, limit=query.size
    )
    return listed([_change(one) for one in changes], total, page=query.page, size=query.size)


# --- files ---


@post(
    "/configurations/import",
    opt=WRITE,
    tags=TAGS,
    summary="Import a SEB file",
    request_max_body_size=UPLOAD_LIMIT,
)
async def import_file(site: SiteParts, caller: ApiCaller, data: JSONBody[FileToImport]) -> ImportAnswer:
    require(caller.account, Kind.CONFIGURATION, Right.CHANGE)
    opened = await asyncio.to_thread(
        files.open_file,
        data.file,
        password=data.password,
        key=data.key.encode(errors="replace"),
        key_password=data.key_password,
    )
    made: Configuration | None = None
    held = opened.imported.values
    if data.into is not None and not data.only_look:
        if data.revision is None:
            raise Invalid(Problem("revision", "missing", "Fill this in."))
        saved = await site.configurations.replace(
            data.into, held, base_revision=data.revision, by=caller.account
        )
        made = saved.draft.configuration
    elif not data.only_look:
        wish = ConfigurationWish(data.name, is_template=data.is_template)
        made = await site.configurations.create(wish, by=caller.account, imported=held)
    return ImportAnswer(
        configuration=None if made is None else _answer(made),
        config_key=opened.config_key,
        unknown=list(opened.imported.unknown),
        dropped=list(opened.imported.dropped),
        mistyped=[MistypedAnswer(one.key, one.found, one.expected) for one in opened.imported.mistyped],
        converted=[one.key for one in opened.imported.converted],
        kept_hashes=list(opened.imported.kept_hashes),
    )


@post(
    "/configurations/{configuration_id:int}/export",
    opt=WRITE,
    tags=TAGS,
    summary="Write it as a SEB file",
    status_code=200,
    responses={200: ResponseSpec(bytes, media_type="application/octet-stream", generate_examples=False)},
)
async def export_file(
    site: SiteParts, caller: ApiCaller, configuration_id: FromPath[int], data: JSONBody[FileToExport]
) -> Response[bytes]:
    """The file; its Config Key is in the header `X-Config-Key`."""
    configuration = await site.configurations.get(configuration_id, caller.account, Right.CHANGE)
    _, held = await site.configurations.values_at(configuration_id, data.version, caller.account)
    wish = ExportWish(
        form=data.form,
        purpose=data.purpose,
        start_url=data.start_url,
        password=data.password,
        certificate=data.certificate.encode(errors="replace"),
        is_windows_only=data.is_windows_only,
    )
    exported = await asyncio.to_thread(files.export, held, wish)
    await site.configurations.exported(
        configuration_id, by=caller.account, form=data.form.value, version=data.version
    )
    ending = "xml" if data.form is ExportForm.XML else "seb"
    return Response(
        exported.data,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": disposition(configuration.name, ending),
            "X-Config-Key": exported.config_key,
            "Cache-Control": "no-store",
        },
    )


@get("/settings", opt=READ, tags=TAGS, summary="Every setting SEB knows")
async def settings(caller: ApiCaller) -> list[SettingAnswer]:
    require(caller.account, Kind.CONFIGURATION, Right.SEE)
    rows = catalogue.all_settings().values()
    return [
        SettingAnswer(
            id=row.id,
            key=row.key,
            parent_id=row.parent_id,
            type=row.plist_type.value,
            control=row.control,
            default="" if isinstance(row.default, bytes) else row.default,
            choices=[choice.value for choice in row.choices],
            minimum=row.minimum,
            maximum=row.maximum,
            tab=tab_of(row.id),
            label=row.label,
            depends_on=row.depends_on,
            windows=row.support.windows,
            macos=row.support.macos,
            ios=row.support.ios,
        )
        for row in rows
        if row.is_exported or row.id == values.KIOSK_MODE
    ]


# --- shapes ---


def _fields(one: Configuration) -> tuple[Any, ...]:
    return (
        one.id, one.institution_id, one.name, one.description, one.is_template, one.template_id, one.draft_revision,
        one.published_version, one.created_at, one.changed_at,
    )  # fmt: skip


def _answer(one: Configuration) -> ConfigurationAnswer:
    return ConfigurationAnswer(*_fields(one))


def _version(one: Version) -> VersionAnswer:
    return VersionAnswer(one.number, one.published_at, one.published_by, one.config_key, one.note)


def _change(one: Change) -> ChangeAnswer:
    return ChangeAnswer(one.at, one.actor, one.path, one.before, one.after, one.draft_revision, one.version)


def _values_of(draft: Draft) -> ValuesAnswer:
    return _values(draft.configuration.draft_revision, None, draft.values)


def _values(revision: int, version: int | None, held: dict[str, Any]) -> ValuesAnswer:
    return ValuesAnswer(
        revision=revision,
        version=version,
        values=without_secrets(held),
        config_key=config_key(values.to_settings(held)),
        changed_from_default=sorted(values.changed_from_default(held)),
        locked={setting_id: lock.by for setting_id, lock in checks.locked(held).items()},
        findings=[
            FindingAnswer(one.setting_id, one.code, one.severity.value, sorted(one.platforms))
            for one in checks.findings(held)
        ],
    )


def without_secrets(held: dict[str, Any]) -> dict[str, Any]:
    """The values with every password, hash and token replaced by whether it is set."""
    shown = dict(held)
    for setting_id, row in values.editable().items():
        if values.is_secret(row):
            shown[setting_id] = Secret(bool(held[setting_id]))
        elif setting_id == "proxies":
            columns = values.columns(setting_id)
            shown[setting_id] = {
                key: Secret(bool(value)) if values.is_secret(columns[key]) else value
                for key, value in held[setting_id].items()
            }
    return shown


handlers = [
    list_configurations,
    create,
    import_file,
    show,
    describe,
    remove,
    show_values,
    change_values,
    publish,
    undo,
    versions,
    compare,
    history,
    export_file,
    settings,
]
