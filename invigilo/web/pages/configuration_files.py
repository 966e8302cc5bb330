"""Import and export: what a file holds is shown before it is kept; what is handed out comes with its Config Key."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import require
from invigilo.configurations import files
from invigilo.configurations.files import ExportForm, ExportPurpose, ExportWish, Opened
from invigilo.configurations.model import Configuration, ConfigurationWish
from invigilo.errors import BadInput, Invalid, InvigiloError, Problem, Refused
from invigilo.sebconfig import container, values
from invigilo.sebconfig.config_key import config_key
from invigilo.sebconfig.errors import DamagedFile, NoPrivateKey, NotASebFile, PasswordNeeded, WrongPassword
from invigilo.web.forms.form import Form, FormView
from invigilo.web.frame import form_values, form_view, frame_of, go
from invigilo.web.pages.configuration_history import DRAFT, difference_lines, version_number
from invigilo.web.pages.views_configurations import ExportPage, ImportPage, ImportPreviewPage
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts
from invigilo.web.settings_view import SettingsView

UPLOAD_LIMIT = container.MAX_FILE_BYTES + 256 * 1024
"""Bytes of an upload: the largest file that is read, and the fields beside it. Pages take 64 KiB elsewhere."""


@get("/configurations/import")
async def show_import(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    require(account, Kind.CONFIGURATION, Right.CHANGE)
    asked = Form.of(request.query_params.multi_items())
    into = asked.id("into")
    if into is not None:
        await site.configurations.get(into, account, Right.CHANGE)
    return await _import_page(request, site, account, {"into": str(into or "")}, None)


@post("/configurations/import", request_max_body_size=UPLOAD_LIMIT, status_code=200)
async def read_import(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    """Read the file and say what would become of it; nothing is kept yet."""
    require(account, Kind.CONFIGURATION, Right.CHANGE)
    sent = await request.form()
    form = Form.of(sent.multi_items())
    try:
        file = await _upload(sent.get("file"))
        if not file:
            form.wrong("file", "no_file", "Choose a file.")
        form.check()
        opened = await asyncio.to_thread(
            files.open_file,
            file,
            password=form.raw("password"),
            key=await _upload(sent.get("key")),
            key_password=form.raw("key_password"),
        )
    except BadInput as error:
        return await _import_page(request, site, account, form_values(form), _of_file(error))
    into = form.id("into")
    target = None if into is None else await site.configurations.get(into, account, Right.CHANGE)
    name = getattr(sent.get("file"), "filename", "") or ""
    return await _preview(request, site, account, opened, target, name)


def _of_file(error: BadInput) -> BadInput:
    """What is wrong with a file, at the field that mends it, with a code for its German sentence."""
    if isinstance(error, PasswordNeeded):
        return Invalid(Problem("password", "seb_password_needed", error.message))
    if isinstance(error, WrongPassword):
        return Invalid(Problem("password", "seb_wrong_password", error.message))
    if isinstance(error, NoPrivateKey):
        return Invalid(Problem("key", "seb_no_private_key", error.message))
    if isinstance(error, NotASebFile):
        return Invalid(Problem("file", "not_a_seb_file", error.message))
    if isinstance(error, DamagedFile):
        return Invalid(Problem("file", "seb_damaged", error.message))
    return error if error.field else BadInput(error.message, field="file")


async def _upload(sent: Any) -> bytes:
    return await sent.read() if isinstance(sent, UploadFile) else b""


@post("/configurations/import/apply", request_max_body_size=UPLOAD_LIMIT)
async def apply_import(request: AnyRequest, site: SiteParts, account: SignedIn) -> Response[Any]:
    """Keep what was shown: as a new configuration, or as the draft of one that exists."""
    require(account, Kind.CONFIGURATION, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    try:
        held = json.loads(site.box.decrypt(form.raw("sealed")))
    except (BadInput, ValueError) as error:
        raise BadInput("What was shown is no longer known here. Choose the file again.") from error
    into = form.id("into")
    try:
        if into is None:
            wish = ConfigurationWish(form.text("name"), is_template=form.flag("is_template"))
            made = await site.configurations.create(wish, by=account, imported=held)
            return go(f"/configurations/{made.id}", done="configuration_imported")
        revision = form.integer("revision")
        await site.configurations.replace(
            into, held, base_revision=-1 if revision is None else revision, by=account
        )
        return go(f"/configurations/{into}", done="configuration_imported")
    except (BadInput, Refused) as error:
        target = None if into is None else await site.configurations.get(into, account, Right.CHANGE)
        settings = values.to_settings(held)
        opened = Opened(values.from_settings(settings), len(settings), config_key(settings))
        return await _preview(request, site, account, opened, target, form.text("file_name"), form, error)


async def _preview(
    request: AnyRequest,
    site: Site,
    account: Account,
    opened: Opened,
    target: Configuration | None,
    name: str,
    form: Form | None = None,
    error: InvigiloError | None = None,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    held = opened.imported.values
    view = SettingsView(site.renderer.catalogue, frame.language, held)
    before = values.new_configuration_values()
    if target is not None:
        before = (await site.configurations.draft(target.id, account)).values
    proposed = re.sub(r"\.(seb|xml|plist)$", "", name.rpartition("/")[2])[:255]
    shown = form_view(site, frame.language, {"name": proposed} if form is None else form_values(form), error)
    page = ImportPreviewPage(
        frame,
        shown,
        sealed=site.box.encrypt(json.dumps(held)),
        into=target,
        file=name,
        keys=opened.keys,
        kept=opened.keys - len(opened.imported.unknown) - len(opened.imported.dropped),
        unknown=opened.imported.unknown,
        dropped=opened.imported.dropped,
        mistyped=[(one.key, one.found, one.expected) for one in opened.imported.mistyped],
        converted=[
            (one.key, view.label(one.setting_id), view.shown(one.setting_id, one.value))
            for one in opened.imported.converted
        ],
        hashes=[view.path_label(one) for one in opened.imported.kept_hashes],
        lines=difference_lines(view, before, held),
        config_key=opened.config_key,
    )
    status = 200 if error is None else 409 if isinstance(error, Refused) else 400
    return site.renderer.respond(
        request, "configuration_preview.html", page, language=frame.language, status=status
    )


async def _import_page(
    request: AnyRequest, site: Site, account: Account, typed: dict[str, Any], error: InvigiloError | None
) -> Response[Any]:
    frame = frame_of(request, site, account)
    page = ImportPage(
        frame,
        form_view(site, frame.language, typed, error),
        await site.configurations.choices(account),
        limit=f"{container.MAX_FILE_BYTES // 2**20} MiB",
    )
    status = 200 if error is None else 400
    return site.renderer.respond(
        request, "configuration_import.html", page, language=frame.language, status=status
    )


# --- export ---


@get("/configurations/{configuration_id:int}/export")
async def show_export(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    configuration = await site.configurations.get(configuration_id, account, Right.CHANGE)
    typed = {"version": str(configuration.published_version or DRAFT), "form": "plain", "purpose": "start"}
    return await _export_page(request, site, account, configuration, FormView(typed))


@post("/configurations/{configuration_id:int}/export", status_code=200, request_max_body_size=256 * 1024)
async def export(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    """The file; or, when asked for it (`deed=key`), the page again with the Config Key the file will have."""
    configuration = await site.configurations.get(configuration_id, account, Right.CHANGE)
    sent = await request.form()
    form = Form.of(sent.multi_items())
    frame = frame_of(request, site, account)
    try:
        wish = ExportWish(
            form=form.choice("form", ExportForm, ExportForm.PLAIN),
            purpose=form.choice("purpose", ExportPurpose, ExportPurpose.START),
            start_url=form.text("start_url"),
            password=form.raw("password"),
            certificate=await _upload(sent.get("certificate")),
            is_windows_only=form.flag("is_windows_only"),
        )
        number = version_number(form.text("version") or DRAFT, "version")
        form.check()
        _, held = await site.configurations.values_at(configuration_id, number, account)
        if form.text("deed") == "key":
            made = config_key(files.settings_of(held, wish))
            shown = form_view(site, frame.language, form_values(form))
            return await _export_page(request, site, account, configuration, shown, made=made)
        exported = await asyncio.to_thread(files.export, held, wish)
    except BadInput as error:
        shown = form_view(site, frame.language, form_values(form), error)
        return await _export_page(request, site, account, configuration, shown, status=400)
    await site.configurations.exported(configuration_id, by=account, form=wish.form.value, version=number)
    is_xml = wish.form is ExportForm.XML
    return Response(
        exported.data,
        media_type="application/xml" if is_xml else "application/seb",
        headers={
            "Content-Disposition": disposition(configuration.name, "xml" if is_xml else "seb"),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _export_page(
    request: AnyRequest,
    site: Site,
    account: Account,
    configuration: Configuration,
    form: FormView,
    *,
    made: str = "",
    status: int = 200,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    draft = await site.configurations.draft(configuration.id, account)
    published = "" if draft.published is None else config_key(values.to_settings(draft.published))
    page = ExportPage(
        frame,
        configuration,
        form,
        await site.configurations.versions(configuration.id, account),
        draft_key=config_key(values.to_settings(draft.values)),
        published_key=published,
        differs=draft.has_changes,
        made=made,
    )
    return site.renderer.respond(
        request, "configuration_export.html", page, language=frame.language, status=status
    )


def disposition(name: str, ending: str) -> str:
    """A download's file name, for old and new browsers."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "configuration"
    return f"attachment; filename=\"{plain}.{ending}\"; filename*=UTF-8''{quote(name, safe='')}.{ending}"


handlers = [show_import, read_import, apply_import, show_export, export]
