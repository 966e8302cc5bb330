"""Deeds of the record as people read them: a sentence in their language, what else is known, and a table to take along."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from litestar.response import Stream

from invigilo import fields
from invigilo.accounts.model import Account
from invigilo.accounts.permissions import institution_of
from invigilo.activity.reading import ActivityWish, Deed
from invigilo.activity.service import record
from invigilo.web.catalogue import Catalogue
from invigilo.web.parts import Site
from invigilo.web.spreadsheet import BOM, download, lines, shown_time

PREFIX = "activity.deed."
COLUMNS = ("time", "person", "what", "exam", "institution", "detail", "deed")


def deed_names(catalogue: Catalogue, language: str) -> list[tuple[str, str]]:
    """Every kind of deed with its sentence, dots where names stand; in the order of the alphabet."""
    keys = catalogue.part(language, PREFIX)
    dots = {key: dict.fromkeys(Catalogue.holes(text), "…") for key, text in keys.items()}
    found = [(key.removeprefix(PREFIX), catalogue.text(language, key, **dots[key])) for key in keys]
    return sorted(found, key=lambda one: one[1].casefold())


def sentence(catalogue: Catalogue, language: str, deed: Deed) -> str:
    """What was done; a deed this version does not know is named by its word."""
    texts = catalogue.texts
    key = PREFIX + deed.deed
    if key not in texts.get(language, {}) and key not in texts.get("en", {}):
        return catalogue.text(language, "activity.deed_unknown", deed=deed.deed.replace("_", " "))
    detail = deed.detail
    name = detail.get("name") or detail.get("username") or ""
    holes: dict[str, Any] = {
        "name": name,
        "username": name,
        "exam": deed.exam or "",
        "room": "",
        "number": "",
    }
    plain = {key: value for key, value in detail.items() if isinstance(value, str | int) and value != ""}
    return catalogue.text(language, key, **(holes | plain))


def more(catalogue: Catalogue, language: str, deed: Deed) -> str:
    """What the sentence does not say: the other parts of the detail, in a line."""
    said = Catalogue.holes(catalogue.texts.get("en", {}).get(PREFIX + deed.deed, "")) | {"name", "username"}
    parts: list[str] = []
    for key, value in deed.detail.items():
        text = _plain(_worded(catalogue, language, key, value))
        if key in said or not text:
            continue
        label_key = f"activity.detail.{key}"
        is_known = label_key in catalogue.texts.get("en", {})
        label = catalogue.text(language, label_key) if is_known else key.replace("_", " ")
        parts.append(text if key == "changes" else f"{label}: {text}")
    if deed.connection_id is not None:
        parts.append(catalogue.text(language, "activity.connection", number=deed.connection_id))
    return "; ".join(parts)


_WORDS = {"role": "people.role", "scopes": "account.scope"}
"""Parts of a detail whose values are words of ours → where their texts stand."""


def _worded(catalogue: Catalogue, language: str, key: str, value: Any) -> Any:
    if key not in _WORDS:
        return value
    if isinstance(value, list):
        return [_worded(catalogue, language, key, one) for one in value]
    text = catalogue.text(language, f"{_WORDS[key]}.{value}")
    return value if text.startswith(_WORDS[key]) else text


def _plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "✓" if value else "–"
        case list():
            return ", ".join(_plain(one) for one in value)
        case dict():
            return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
        case _:
            return str(value)


def zone_of(*names: str | None) -> ZoneInfo:
    """The first of these that is a time zone; UTC when none is."""
    for name in names:
        if name and name in fields.time_zones():
            return ZoneInfo(name)
    return ZoneInfo("UTC")


async def as_csv(
    pieces: AsyncIterable[list[Deed]],
    *,
    catalogue: Catalogue,
    language: str,
    zone: ZoneInfo,
    institutions: Mapping[int, str],
) -> AsyncGenerator[bytes]:
    """The record as a table, piece by piece; its head is in the reader's language."""
    head = [catalogue.text(language, f"activity.column.{name}", zone=zone.key) for name in COLUMNS]
    yield BOM + lines([head])
    async for deeds in pieces:
        rows = [
            [
                shown_time(one.at, zone),
                one.actor,
                sentence(catalogue, language, one),
                one.exam or "",
                institutions.get(one.institution_id or 0, ""),
                more(catalogue, language, one),
                one.deed,
            ]
            for one in deeds
        ]
        if rows:
            yield lines(rows)


async def csv_of(
    site: Site, account: Account, wish: ActivityWish, *, language: str, zone: ZoneInfo
) -> Stream:
    """The export as an answer that is written while it is read; that it was taken is on record itself."""
    institution_id = institution_of(account)
    async with site.work() as w:
        await record(
            w,
            at=site.clock.now(),
            actor=account,
            deed="activity_exported",
            institution_id=account.institution_id,
        )
    pieces = site.activity.export(wish, institution_id=institution_id)
    table = as_csv(
        pieces,
        catalogue=site.renderer.catalogue,
        language=language,
        zone=zone,
        institutions=site.directory.institutions,
    )
    day = site.clock.now().astimezone(zone).date().isoformat()
    return download(table, name=f"activity-{day}")
