"""What pages and programs share about connection configurations: wishes from forms, files as answers, links' addresses."""

from __future__ import annotations

import re
from urllib.parse import quote

from litestar import Response

from invigilo.configurations.connections import HandedOut
from invigilo.exams.model import ConnectionDetails, ConnectionWish, FallbackWish, FileProtection, FilePurpose
from invigilo.web.forms.form import Form

LINK_PATH = "/seb/"


def link_address(server_url: str, key: str) -> str:
    """The address SEB opens: its own scheme in place of http, so that a browser hands it over to SEB."""
    scheme, _, rest = server_url.partition("://")
    return f"{'sebs' if scheme == 'https' else 'seb'}://{rest}{LINK_PATH}{key}.seb"


def wish_of_form(form: Form, before: ConnectionDetails | None) -> ConnectionWish:
    """Passwords are typed twice; left blank they stay, unless the box to remove them is ticked."""
    fallback = None
    if form.flag("has_fallback"):
        fallback = FallbackWish(
            url=form.text("fallback_url"),
            timeout_ms=form.integer("fallback_timeout_ms"),
            attempts=form.integer("fallback_attempts"),
            interval_ms=form.integer("fallback_interval_ms"),
            password=_password(form, "fallback_password", before),
        )
    protection = form.choice("protection", FileProtection, FileProtection.NONE)
    return ConnectionWish(
        name=form.text("name"),
        purpose=form.choice("purpose", FilePurpose, FilePurpose.START),
        protection=protection,
        password=_password(form, "password", before) if protection is FileProtection.PASSWORD else None,
        certificate=form.text("certificate"),
        quit_password=_password(form, "quit_password", before),
        fallback=fallback,
        ping_interval_ms=form.integer("ping_interval_ms"),
        only_exams=form.ids("only_exams") if form.flag("is_limited") else None,
    )


def _password(form: Form, name: str, before: ConnectionDetails | None) -> str | None:
    typed = form.raw(name)
    if typed != form.raw(f"{name}_again"):
        form.wrong(f"{name}_again", "passwords_differ", "The two entries differ. Type the password twice.")
    if typed:
        return typed
    return "" if before is None or form.flag(f"no_{name}") else None


def form_of_details(one: ConnectionDetails) -> dict[str, object]:
    """What the form shows of one that exists."""
    values: dict[str, object] = {
        "name": one.name,
        "purpose": one.purpose.value,
        "protection": one.protection.value,
        "certificate": one.certificate,
        "ping_interval_ms": one.ping_interval_ms,
        "is_limited": one.only_exams is not None,
        "only_exams": [str(exam_id) for exam_id in sorted(one.only_exams or ())],
        "has_fallback": one.fallback is not None,
        "revision": one.revision,
    }
    if one.fallback is not None:
        values |= {
            "fallback_url": one.fallback.url,
            "fallback_timeout_ms": one.fallback.timeout_ms,
            "fallback_attempts": one.fallback.attempts,
            "fallback_interval_ms": one.fallback.interval_ms,
        }
    return values


def file_response(file: HandedOut) -> Response[bytes]:
    return Response(
        file.content,
        media_type="application/seb",
        headers={
            "Content-Disposition": _disposition(file.name),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )


def _disposition(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "connection"
    return f"attachment; filename=\"{plain}.seb\"; filename*=UTF-8''{quote(name, safe='')}.seb"
