"""Log lines for operators: one constant event, the rest key-values, and never a secret or a name.

Code here does not log secrets; one processor makes sure besides: it knows the shapes secrets have on their way through a
server (headers, entry links, query strings, database addresses) and the keys they hide under.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

HIDDEN = "***"

_SECRET_KEY = re.compile(
    r"pass(word|wd)?|secret|token|authorization|cookie|credential|api_?key|entry_?key|private|signature|jwt|bearer",
    re.IGNORECASE,
)
_NEVER = frozenset(
    {"name", "display_name", "candidate", "user_session_id", "username", "account_name", "machine_name"}
)
_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    (
        re.compile(r"\b(DETAIL|CONTEXT): .*?(?=\n\[SQL|\n\nThe above|\nTraceback|\Z)", re.DOTALL),
        r"\1: " + HIDDEN,
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w\-.~+/]+=*"), r"\1 " + HIDDEN),
    (re.compile(r"/e/[\w\-]{8,}"), "/e/" + HIDDEN),
    (re.compile(r"/seb/[\w\-]{8,}"), "/seb/" + HIDDEN),
    (re.compile(r"/login/link/[\w\-]{8,}"), "/login/link/" + HIDDEN),
    (
        re.compile(r"(?i)\b((?:\w*(?:token|key|secret|password|signature|jwt|code))=)[^&\s\"']+"),
        r"\1" + HIDDEN,
    ),
    (
        re.compile(
            r"(?i)((?:sebconnectiontoken|set-cookie|cookie|authorization|x-csrftoken)\W{1,4})[^\s,;'\")\]]+"
        ),
        r"\1" + HIDDEN,
    ),
    (re.compile(r"(\w[\w+.\-]*://[^/\s:@]*):[^@\s/]+@"), r"\1:" + HIDDEN + "@"),
    (re.compile(r"\beyJ[\w\-]{5,}\.[\w\-]+\.[\w\-]*"), HIDDEN),
]


def scrub_text(text: str) -> str:
    """A text without anything that has the shape of a secret."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def scrub(value: Any, key: str = "") -> Any:
    """A value without secrets, whatever it is nested in."""
    if key and (_SECRET_KEY.search(key) or key in _NEVER):
        return HIDDEN
    match value:
        case str():
            return scrub_text(value)
        case bytes():
            return scrub_text(value.decode("utf-8", "replace"))
        case Mapping():
            return {k: scrub(v, str(k)) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_scrub_pair(one) for one in value]
        case int() | float() | bool() | None:
            return value
        case _:
            return scrub_text(str(value))


def _scrub_pair(one: Any) -> Any:
    """Headers travel as (name, value) pairs."""
    if isinstance(one, tuple | list) and len(one) == 2 and isinstance(one[0], str | bytes):
        name = one[0].decode("latin-1") if isinstance(one[0], bytes) else one[0]
        return [name, scrub(one[1], name)]
    return scrub(one)


def scrub_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The structlog processor. The event's own name is constant and stays."""
    return {
        key: value if key in {"event", "level", "timestamp"} else scrub(value, key)
        for key, value in event.items()
    } | {"event": scrub_text(str(event.get("event", "")))}


def set_up(*, level: str, form: str, stream: Any = None) -> None:
    """Send everything, our own lines and those of libraries, through one chain to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        scrub_event,
    ]
    is_json = form == "json"
    renderer = (
        structlog.processors.JSONRenderer()
        if is_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    severity = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(severity)
    for name in ("uvicorn", "uvicorn.error", "alembic", "aiosqlite", "websockets", "aiortc", "aioice"):
        logging.getLogger(name).setLevel(max(severity, logging.WARNING))
    logging.getLogger("aiosqlite").propagate = False
