"""Declared set-up: a TOML file says what should exist; applying it makes it so, and says what changed.

Applying the same file twice changes nothing. Everything happens in one transaction, and every mistake in the file is
reported at once, each with its place (`institution[0].exam[1].start`). What the file does not mention stays as it is.

    reading.py    the file, key by key
    applying.py   what exists, brought to what is declared
"""

from invigilo.declared.applying import Change, Report, apply_file, apply_text
from invigilo.declared.reading import Declared, read_declared, read_file, read_username

__all__ = [
    "Change",
    "Declared",
    "Report",
    "apply_file",
    "apply_text",
    "read_declared",
    "read_file",
    "read_username",
]
