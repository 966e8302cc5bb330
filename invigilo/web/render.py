"""From a dataclass to a page: templates, texts, static files and the headers every page carries."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from litestar import MediaType, Request, Response
from litestar.connection import ASGIConnection
from litestar.utils.scope.state import ScopeState
from markupsafe import Markup

from invigilo.errors import Invalid, InvigiloError, Problem, Sentence
from invigilo.web.catalogue import FALLBACK, Catalogue

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
LANGUAGES = ("en", "de")
LANGUAGE_COOKIE = "invigilo_language"
DONE_COOKIE = "invigilo_done"
"""Carries a message key over one redirect; the page that shows it drops it."""
LANGUAGE_STAYS = 365 * 86_400  # seconds

PAGE_HEADERS = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'self'",
            "connect-src 'self' {sockets}",
            "img-src 'self' blob: data:",
            "media-src 'self' blob:",
            "worker-src 'self' blob:",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ]
    ),
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "Cache-Control": "no-store",
}
"""Strict: nothing inline, nothing from elsewhere. `connect-src` names our own socket address for engines in which 'self'
does not cover `wss:`."""


MEETING_MAY = (
    *("camera", "microphone", "display-capture", "autoplay", "fullscreen"),
    *("speaker-selection", "screen-wake-lock", "clipboard-write"),
)
"""What the frame of a meeting may use (jitsi.md §7). Its own program asks for it; a policy of ours must not cut it off."""


@cache
def static_version() -> str:
    """A mark over all static files: part of their address, so browsers may keep them for ever."""
    mark = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            mark.update(file.relative_to(STATIC).as_posix().encode())
            mark.update(file.read_bytes())
    return mark.hexdigest()[:12]


def static_address(name: str) -> str:
    return f"/static/{static_version()}/{name}"


class Renderer:
    """Renders templates; a template sees `page` and these functions, nothing else."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def html(self, template: str, page: Any, *, language: str, csrf_token: str) -> str:
        def t(key: str, **values: Any) -> str:
            return self.catalogue.text(language, key, **values)

        def csrf_input() -> Markup:
            return Markup('<input type="hidden" name="_csrf_token" value="{}">').format(csrf_token)

        return self._environment.get_template(template).render(
            page=page, t=t, static=static_address, csrf_input=csrf_input, language=language
        )

    def has_text(self, key: str) -> bool:
        """Whether there is a text of this key: those made from codes need not exist for every code."""
        return key in self.catalogue.texts.get(FALLBACK, {})

    def problem_text(self, language: str, problem: Problem) -> str:
        """A problem in the reader's language: English stands at the rule itself, other languages in the catalogue.

        What a meeting service's description finds has its texts with that service.
        """
        known = self.catalogue.texts.get(language, {}) if language != FALLBACK else {}
        for key in (f"problem.{problem.code}", f"service.problem.{problem.code}"):
            if key in known:
                return self.catalogue.text(language, key, **problem.values)
        return problem.message

    def sentence_text(self, language: str, sentence: Sentence) -> str:
        """A sentence in the reader's language, as far as we have it: English stands where it is said."""
        key = f"refused.{sentence.key}"
        if language == FALLBACK or key not in self.catalogue.texts.get(language, {}):
            return sentence.english
        return self.catalogue.text(language, key, **sentence.values)

    def error_text(self, language: str, error: InvigiloError) -> str:
        """What went wrong, in the reader's language as far as we have it."""
        if isinstance(error, Invalid):
            return " ".join(self.problem_text(language, one) for one in error.problems)
        return self.sentence_text(language, error.sentence)

    def language_of(self, request: ASGIConnection[Any, Any, Any, Any], preferred: str | None = None) -> str:
        """`?lang=` first, then what was asked before in this browser, then the account's, then the browser's own."""
        for asked in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE), preferred):
            if asked in LANGUAGES:
                return str(asked)
        return self.catalogue.choose_language(request.headers.get("accept-language", ""), LANGUAGES)

    def respond(
        self,
        request: Request[Any, Any, Any],
        template: str,
        page: Any,
        *,
        language: str,
        status: int = 200,
        meeting_origin: str | None = None,
    ) -> Response[str]:
        """`meeting_origin`: the one other host whose script and frame this page uses, to enter a meeting there."""
        body = self.html(template, page, language=language, csrf_token=csrf_token_of(request))
        response = Response(
            body,
            status_code=status,
            media_type=MediaType.HTML,
            headers=page_headers(request, meeting_origin=meeting_origin),
        )
        if DONE_COOKIE in request.cookies:
            response.delete_cookie(DONE_COOKIE, path="/")
        if request.query_params.get("lang") == language:
            response.set_cookie(LANGUAGE_COOKIE, language, max_age=LANGUAGE_STAYS, path="/", samesite="lax")
        return response


def page_headers(request: Request[Any, Any, Any], *, meeting_origin: str | None = None) -> dict[str, str]:
    """What a page may load and do. Another host is let in only where a page enters a meeting there (jitsi.md §7)."""
    host = request.headers.get("host", "")
    is_plain = bool(host) and all(c.isalnum() or c in ".-:[]" for c in host)
    sockets = f"ws://{host} wss://{host}" if is_plain else ""  # both: a proxy may not say which one it is
    headers = {name: value.replace("{sockets}", sockets) for name, value in PAGE_HEADERS.items()}
    if meeting_origin is not None:
        policy = headers["Content-Security-Policy"]
        policy = policy.replace("script-src 'self'", f"script-src 'self' {meeting_origin}")
        headers["Content-Security-Policy"] = f"{policy}; frame-src {meeting_origin}"
        theirs = ", ".join(f'{name}=(self "{meeting_origin}")' for name in MEETING_MAY)
        headers["Permissions-Policy"] = f"{theirs}, geolocation=(), payment=(), usb=()"
    return headers


def csrf_token_of(request: Request[Any, Any, Any]) -> str:
    """The token the framework's CSRF guard gave this request; "" where the guard does not run."""
    token = ScopeState.from_scope(request.scope).csrf_token
    return token if isinstance(token, str) else ""
