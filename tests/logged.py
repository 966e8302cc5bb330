"""What an operator's log would hold, in memory."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from invigilo.log import set_up


@contextmanager
def logging_in_memory(level: str) -> Iterator[io.StringIO]:
    """Logging as in production, into memory; afterwards everything as it was."""
    root = logging.getLogger()
    before, level_before = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    stream = io.StringIO()
    set_up(level=level, form="json", stream=stream)
    try:
        yield stream
    finally:
        root.handlers = before
        root.setLevel(level_before)
        for name, one in levels.items():
            logging.getLogger(name).setLevel(one)
        logging.getLogger("aiosqlite").propagate = True
        structlog.reset_defaults()
