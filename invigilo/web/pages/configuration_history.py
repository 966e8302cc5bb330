"""What became of a configuration: its versions, who changed what, and any two of them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from invigilo.clock import to_ms
from invigilo.configurations.rules import id_of
from invigilo.errors import BadInput
from invigilo.sebconfig import catalogue, values
from invigilo.sebconfig.values import Difference
from invigilo.web.frame import frame_of
from invigilo.web.lists import ListView, list_query
from invigilo.web.pages.views_configurations import ChangeLine, ComparePage, DifferenceLine, HistoryPage
from invigilo.web.parts import AnyRequest, SignedIn, SiteParts
from invigilo.web.settings_layout import tab_of
from invigilo.web.settings_view import SettingsView

DRAFT = "draft"


@get("/configurations/{configuration_id:int}/history")
async def history(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    configuration = await site.configurations.get(configuration_id, account)
    query = list_query(request, sorts=("at",), default="at")
    changes, total = await site.configurations.history(
        configuration_id, account, search=query.search, offset=query.offset, limit=query.size
    )
    frame = frame_of(request, site, account)
    view = SettingsView(site.renderer.catalogue, frame.language, values.default_values())
    lines = [
        ChangeLine(
            at=to_ms(one.at),
            actor=one.actor,
            path=one.path,
            label=view.path_label(one.path),
            before=view.shown(one.path, one.before),
            after=view.shown(one.path, one.after),
            version=one.version,
        )
        for one in changes
    ]
    versions = await site.configurations.versions(configuration_id, account)
    path = f"/configurations/{configuration_id}/history"
    page = HistoryPage(frame, configuration, versions, ListView(lines, total, query, path))
    return site.renderer.respond(request, "configuration_history.html", page, language=frame.language)


@get("/configurations/{configuration_id:int}/compare")
async def compare(
    request: AnyRequest, site: SiteParts, account: SignedIn, configuration_id: FromPath[int]
) -> Response[Any]:
    """Two versions, or a version and the draft: `?left=3&right=draft`; without them the newest against the draft."""
    configuration = await site.configurations.get(configuration_id, account)
    versions = await site.configurations.versions(configuration_id, account)
    newest = str(configuration.published_version or DRAFT)
    left = str(request.query_params.get("left") or newest)
    right = str(request.query_params.get("right") or DRAFT)
    _, before = await site.configurations.values_at(configuration_id, version_number(left, "left"), account)
    _, after = await site.configurations.values_at(configuration_id, version_number(right, "right"), account)
    frame = frame_of(request, site, account)
    view = SettingsView(site.renderer.catalogue, frame.language, after)
    page = ComparePage(frame, configuration, versions, left, right, difference_lines(view, before, after))
    return site.renderer.respond(request, "configuration_compare.html", page, language=frame.language)


def version_number(text: str, field: str) -> int | None:
    """A version's number; None for the draft. Raises BadInput."""
    if text == DRAFT:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise BadInput(f"{field} is the number of a version, or “draft”.", field=field)
    return int(text)


def difference_lines(
    view: SettingsView, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[DifferenceLine]:
    return [_line(view, one) for one in values.differences(before, after)]


def _line(view: SettingsView, one: Difference) -> DifferenceLine:
    tab = tab_of(id_of(one.path)) if id_of(one.path) in catalogue.all_settings() else ""
    return DifferenceLine(
        path=one.path,
        label=view.path_label(one.path),
        tab_label=view.tab_label(tab) if tab else "",
        before=view.shown(one.path, one.before),
        after=view.shown(one.path, one.after),
        kind="added" if one.before is None else "removed" if one.after is None else "changed",
    )


handlers = [history, compare]
