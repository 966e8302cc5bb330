"""The settings editor: one tab at a time, saved as one types, published as a numbered version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from litestar import MediaType, Response, get, post
from litestar.params import FromPath

from invigilo.accounts.model import Account, Kind, Right
from invigilo.accounts.permissions import rights_in
from invigilo.configurations import rules
from invigilo.configurations.model import Conflict, Draft
from invigilo.errors import CHANGED_MEANWHILE, BadInput, InvigiloError, Refused
from invigilo.sebconfig import catalogue, values
from invigilo.sebconfig.catalogue import PlistType
from invigilo.web.forms.form import Form
from invigilo.web.forms.settings import read_tab, was_of
from invigilo.web.frame import frame_of, go
from invigilo.web.pages.views_configurations import (
    EditorPage,
    EditorState,
    FragmentPage,
    HitsPage,
    TabLink,
)
from invigilo.web.parts import AnyRequest, SignedIn, Site, SiteParts
from invigilo.web.render import page_headers
from invigilo.web.settings_layout import TABS, tab_of
from invigilo.web.settings_view import SettingsView, shown_value, tabs_with

EDIT_LIMIT = 1024 * 1024
"""Bytes of one edit: a table is sent whole."""
LONGEST_SEARCH = 200


# --- looking ---


@get("/configurations/{configuration_id:int}")
async def show(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    draft = await site.configurations.draft(configuration_id, account)
    tab = request.query_params.get("tab") or TABS[0]
    search = str(request.query_params.get("q") or "").strip()[:LONGEST_SEARCH]
    return await _editor(request, site, account, draft, tab=tab, search=search)


async def _editor(
    request: AnyRequest,
    site: Site,
    account: Account,
    draft: Draft,
    *,
    tab: str,
    search: str = "",
    error: InvigiloError | None = None,
) -> Response[Any]:
    frame = frame_of(request, site, account)
    language = frame.language
    view = _view(site, language, draft, account)
    shown = view.tab(tab if tab in TABS else TABS[0])
    problems, note = _problems(site, language, error)
    state = state_of(site, language, draft, view)
    page = EditorPage(
        frame,
        draft.configuration,
        _tabs(site, language, shown.name, state.tabs),
        shown,
        view,
        state,
        may_change=_may_change(account),
        was=was_of(draft.values, shown.layout, view.locks),
        search=search,
        hits=view.search(search),
        problems=problems,
        note=note,
        uses=await site.configurations.uses(draft.configuration.id, account),
        texts=site.renderer.catalogue.part(language, "configuration.live."),
    )
    status = 200 if error is None else 409 if isinstance(error, Refused) else 400
    return site.renderer.respond(request, "settings_editor.html", page, language=language, status=status)


@get("/configurations/{configuration_id:int}/tabs/{tab:str}")
async def show_tab(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    configuration_id: FromPath[int],
    tab: FromPath[str],
) -> Response[Any]:
    """One tab as it is now, for the editor's scripts."""
    draft = await site.configurations.draft(configuration_id, account)
    language = site.renderer.language_of(request, account.language)
    view = _view(site, language, draft, account)
    shown = view.tab(tab)
    page = FragmentPage(
        draft.configuration,
        shown,
        view,
        _may_change(account),
        was_of(draft.values, shown.layout, view.locks),
        draft.configuration.draft_revision,
    )
    return site.renderer.respond(request, "_settings_tab.html", page, language=language)


@get("/configurations/{configuration_id:int}/search")
async def search_settings(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    """What a search finds, for the editor's scripts."""
    configuration = await site.configurations.get(configuration_id, account)
    language = site.renderer.language_of(request, account.language)
    search = str(request.query_params.get("q") or "").strip()[:LONGEST_SEARCH]
    view = SettingsView(site.renderer.catalogue, language, values.default_values())
    page = HitsPage(configuration, search, view.search(search))
    return site.renderer.respond(request, "_settings_hits.html", page, language=language)


@get("/configurations/{configuration_id:int}/state")
async def show_state(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[bytes]:
    """What is new since a revision (`?since=`); 204 when nothing is."""
    configuration = await site.configurations.get(configuration_id, account)
    text = str(request.query_params.get("since") or "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("since is the revision the page has read.", field="since")
    version = str(configuration.published_version or 0)
    if configuration.draft_revision == int(text) and request.query_params.get("version", version) == version:
        return Response(b"", status_code=204, headers=page_headers(request))
    saved = await site.configurations.changed_since(configuration_id, int(text), account)
    language = site.renderer.language_of(request, account.language)
    view = _view(site, language, saved.draft, account)
    return _json(request, state_of(site, language, saved.draft, view, saved.changed, saved.by_others))


# --- editing ---


class Edit(msgspec.Struct, forbid_unknown_fields=True):
    """What the editor's scripts send: edits by setting, and the revision they had read."""

    base: int
    changes: dict[str, Any] = {}
    reset: list[str] = []


@post("/configurations/{configuration_id:int}/changes", status_code=200, request_max_body_size=EDIT_LIMIT)
async def change(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[bytes]:
    await site.configurations.get(configuration_id, account, Right.CHANGE)
    try:
        data = msgspec.json.decode(await request.body(), type=Edit)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput("An edit is sent as JSON: base, changes, reset. Reload the page.") from error
    language = site.renderer.language_of(request, account.language)
    try:
        saved = await site.configurations.change(
            configuration_id, data.changes, base_revision=data.base, by=account, reset=tuple(data.reset)
        )
    except rules.ChangedMeanwhile as error:
        return await _tell_conflict(request, site, account, configuration_id, data.base, error)
    except BadInput as error:
        problem = {"field": error.field or "", "message": _wrong_value(site, language, error)}
        return _json(request, {"code": "invalid", "problem": problem}, status=400)
    view = _view(site, language, saved.draft, account)
    touched = saved.changed | {one.setting_id for one in saved.by_others}
    return _json(request, state_of(site, language, saved.draft, view, touched, saved.by_others))


async def _tell_conflict(
    request: AnyRequest,
    site: Site,
    account: Account,
    configuration_id: int,
    base: int,
    error: rules.ChangedMeanwhile,
) -> Response[bytes]:
    """The same setting was changed by somebody else: nothing is saved, and both values are there to choose from."""
    saved = await site.configurations.changed_since(configuration_id, base, account)
    language = site.renderer.language_of(request, account.language)
    view = _view(site, language, saved.draft, account)
    conflicts = [
        {
            "id": one.setting_id,
            "label": view.path_label(one.setting_id),
            "actor": one.actor,
            "shown": _shown(view, saved.draft, one.setting_id),
        }
        for one in error.conflicts
    ]
    state = state_of(site, language, saved.draft, view, saved.changed, saved.by_others)
    return _json(request, {"code": CHANGED_MEANWHILE, "conflicts": conflicts, "state": state}, status=409)


def _shown(view: SettingsView, draft: Draft, setting_id: str) -> str:
    row = catalogue.setting(setting_id)
    if values.is_secret(row) or values.is_table(row):
        return ""
    return view.shown(setting_id, rules.value_of(draft.values, setting_id))


@post("/configurations/{configuration_id:int}/tabs/{tab:str}", request_max_body_size=EDIT_LIMIT)
async def save_tab(
    request: AnyRequest,
    site: SiteParts,
    account: SignedIn,
    configuration_id: FromPath[int],
    tab: FromPath[str],
) -> Response[Any]:
    """A whole tab as a form, for browsers without script."""
    draft = await site.configurations.draft(configuration_id, account, Right.CHANGE)
    form = Form.of((await request.form()).multi_items())
    language = site.renderer.language_of(request, account.language)
    shape = _view(site, language, draft, account).tab(tab).layout
    try:
        wish = read_tab(form, shape)
        await site.configurations.change(
            configuration_id,
            wish.changes,
            base_revision=form.integer("revision") or 0,
            by=account,
            reset=wish.reset,
        )
    except (BadInput, Refused) as error:
        return await _editor(request, site, account, draft, tab=tab, error=error)
    return go(f"/configurations/{configuration_id}?tab={tab}", done="configuration_draft_saved")


@post("/configurations/{configuration_id:int}/publish")
async def publish(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    form = Form.of((await request.form()).multi_items())
    try:
        await site.configurations.publish(
            configuration_id, base_revision=_revision(form), by=account, note=form.text("note")
        )
    except (Refused, BadInput) as error:
        return await _again(request, site, account, configuration_id, form, error)
    return go(_back(configuration_id, form), done="configuration_published")


@post("/configurations/{configuration_id:int}/undo")
async def undo(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    form = Form.of((await request.form()).multi_items())
    try:
        await site.configurations.undo(configuration_id, base_revision=_revision(form), by=account)
    except Refused as error:
        return await _again(request, site, account, configuration_id, form, error)
    return go(_back(configuration_id, form), done="configuration_undone")


async def _again(
    request: AnyRequest, site: Site, account: Account, configuration_id: int, form: Form, error: InvigiloError
) -> Response[Any]:
    draft = await site.configurations.draft(configuration_id, account)
    return await _editor(request, site, account, draft, tab=form.text("tab"), error=error)


def _revision(form: Form) -> int:
    revision = form.integer("revision")
    return -1 if revision is None else revision


def _back(configuration_id: int, form: Form) -> str:
    tab = form.text("tab")
    return f"/configurations/{configuration_id}" + (f"?tab={tab}" if tab in TABS else "")


# --- what is shown ---


def state_of(
    site: Site,
    language: str,
    draft: Draft,
    view: SettingsView,
    touched: Collection[str] = (),
    others: tuple[Conflict, ...] = (),
) -> EditorState:
    """The bar, the locks and what was found; with the new contents of the controls that were touched."""
    configuration = draft.configuration
    published = draft.published
    differs = 0 if published is None else len(values.differences(published, draft.values))
    known = [one for one in touched if one.partition(".")[0] in values.editable()]
    tables = [one for one in known if _is_shown_anew(one)]

    def t(key: str, **holes: object) -> str:
        return site.renderer.catalogue.text(language, f"configuration.{key}", **holes)

    if published is None:
        status = t("state.never")
    elif differs:
        status = t(
            "state.differs" if differs > 1 else "state.differs_one",
            n=differs,
            version=configuration.published_version,
        )
    else:
        status = t("state.same", version=configuration.published_version)
    return EditorState(
        revision=configuration.draft_revision,
        version=configuration.published_version,
        differs=differs,
        status=status,
        errors=view.errors,
        warnings=view.warnings,
        summary=t("findings.summary", errors=view.errors, warnings=view.warnings),
        locks=view.locks,
        findings=[
            {
                "path": one.path,
                "tab": tab_of(_root(one.path)),
                "severity": one.severity,
                "text": one.text,
                "label": one.label,
            }
            for one in view.findings
        ],
        changed=view.changed,
        tabs=tabs_with(view.findings),
        values={one: shown_value(draft.values, one) for one in known if one not in tables},
        reload=tables,
        others=[
            {"id": one.setting_id, "label": view.path_label(one.setting_id), "actor": one.actor}
            for one in others
        ],
    )


def _is_shown_anew(setting_id: str) -> bool:
    row = catalogue.setting(setting_id)
    return values.is_table(row) or row.plist_type is PlistType.DICT


def _root(path: str) -> str:
    return path.partition("[")[0].partition(".")[0]


def _tabs(site: Site, language: str, here: str, marks: Mapping[str, str]) -> list[TabLink]:
    return [
        TabLink(
            name,
            site.renderer.catalogue.text(language, f"setting.tab.{name}"),
            name == here,
            marks.get(name, ""),
        )
        for name in TABS
    ]


def _view(site: Site, language: str, draft: Draft, account: Account) -> SettingsView:
    return SettingsView(site.renderer.catalogue, language, draft.values, may_change=_may_change(account))


def _may_change(account: Account) -> bool:
    return Right.CHANGE in rights_in(account, Kind.CONFIGURATION)


def _problems(site: Site, language: str, error: InvigiloError | None) -> tuple[dict[str, str], str]:
    """Beside which field a refused form says what, and what it says above."""
    if error is None:
        return {}, ""
    if isinstance(error, rules.ChangedMeanwhile):
        said = {
            one.setting_id: site.renderer.catalogue.text(language, "configuration.conflict", actor=one.actor)
            for one in error.conflicts
        }
        return said, site.renderer.catalogue.text(language, "configuration.conflict.note")
    if isinstance(error, BadInput) and error.field:
        text = _wrong_value(site, language, error)
        return {rules.setting_of(error.field): text}, site.renderer.catalogue.text(
            language, "configuration.not_saved"
        )
    return {}, site.renderer.error_text(language, error)


def _wrong_value(site: Site, language: str, error: BadInput) -> str:
    """What does not fit a setting's type, in the reader's language."""
    path = error.field or ""
    row = catalogue.all_settings().get(rules.id_of(path))
    kind = "" if row is None else "password" if values.is_password(row) else row.plist_type.value
    key = f"configuration.wrong.{kind}"
    return site.renderer.catalogue.text(language, key) if site.renderer.has_text(key) else error.message


def _json(request: AnyRequest, body: object, *, status: int = 200) -> Response[bytes]:
    headers = page_headers(request)
    return Response(msgspec.json.encode(body), status_code=status, media_type=MediaType.JSON, headers=headers)


handlers = [show, show_tab, search_settings, show_state, change, save_tab, publish, undo]
