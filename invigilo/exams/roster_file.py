"""Reading and writing rosters as CSV: bytes in, candidates and named mistakes out; and what a file would change.

Written by spreadsheets, learning systems and people: separators, encodings and headers differ, so what is unambiguous is
understood. Lines are numbered as an editor shows them.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from invigilo import fields
from invigilo.errors import Invalid, Problem
from invigilo.exams.model import Candidate
from invigilo.exams.rules import LONGEST_EXTRA

LARGEST = 2 * 1024 * 1024
"""Bytes."""
MOST = 20_000
"""Candidates of one exam."""
SEPARATORS = (";", "\t", ",")


class Column(StrEnum):
    USER_ID = "user_id"
    NAME = "name"
    GROUP = "group"
    EXTRA_MINUTES = "extra_minutes"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"


ORDER = (Column.USER_ID, Column.NAME, Column.GROUP, Column.EXTRA_MINUTES)
"""Of a file without header, and of our own."""

_HEADERS: dict[str, Column] = {
    word: column
    for column, words in {
        Column.USER_ID: "userid user username login loginname account id idnumber lmsuserid studentid "
        "benutzer benutzerid benutzername benutzerkennung kennung nutzer nutzerid nutzername nutzerkennung "
        "anmeldename matrikelnummer matrikel matrnr personalnummer",
        Column.NAME: "name fullname displayname candidate candidatename studentname "
        "vollername vollstandigername vollstaendigername anzeigename kandidat kandidatin prufling pruefling",
        Column.GROUP: "group groups groupname class course cohort room section "
        "gruppe gruppen gruppenname klasse kurs kohorte raum",
        Column.EXTRA_MINUTES: "extraminutes extratime extra additionalminutes additionaltime minutes timeextension "
        "zusatzzeit zusatzminuten mehrzeit minuten zeitzuschlag zeitverlangerung zeitverlaengerung "
        "schreibzeitverlangerung schreibzeitverlaengerung nachteilsausgleich",
        Column.FIRST_NAME: "firstname givenname vorname",
        Column.LAST_NAME: "lastname surname familyname nachname familienname",
    }.items()
    for word in words.split()
}


@dataclass(frozen=True, slots=True)
class Line:
    """One readable line: somebody of the roster."""

    number: int
    user_id: str
    name: str
    group: str = ""
    extra_minutes: int = 0

    def fits(self, candidate: Candidate) -> bool:
        """Whether the roster says the same already."""
        mine = (self.name, self.group, self.extra_minutes)
        return mine == (candidate.name, candidate.group, candidate.extra_minutes)


@dataclass(frozen=True, slots=True)
class BadLine:
    number: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class RosterFile:
    """A file as it was understood."""

    lines: tuple[Line, ...]
    bad: tuple[BadLine, ...]
    ignored: tuple[str, ...] = ()
    """Headers of columns that mean nothing here."""


def read(data: bytes) -> RosterFile:
    """Understand a file. Raises Invalid when it is none as a whole; lines that cannot be used are named instead."""
    if len(data) > LARGEST:
        raise _no_file("too_large_file", "The file is larger than 2 MiB. Leave out what is no candidate.")
    text = text_of(data)
    rows = list(_rows(text))
    if not rows:
        raise _no_file("empty_file", "There is nobody in this file. Write one candidate a line.")
    columns, ignored, has_header = _columns_of(rows[0][1])
    body = rows[1:] if has_header else rows
    if not body:
        raise _no_file("empty_file", "There is nobody in this file. Write one candidate a line.")
    if len(body) > MOST:
        raise _no_file("too_many_lines", f"A roster has at most {MOST} candidates.", most=MOST)
    lines: list[Line] = []
    bad: list[BadLine] = []
    first_at: dict[str, int] = {}
    for number, cells in body:
        made = _line(number, cells, columns)
        if isinstance(made, Line) and made.user_id in first_at:
            at = first_at[made.user_id]
            words = f"The user id {made.user_id} stands on line {at} already. Keep one of the two."
            made = BadLine(
                number, Problem("user_id", "stands_twice", words, {"user_id": made.user_id, "at": at})
            )
        if isinstance(made, Line):
            first_at[made.user_id] = number
            lines.append(made)
        else:
            bad.append(made)
    return RosterFile(tuple(lines), tuple(bad), ignored)


def _no_file(code: str, message: str, **values: object) -> Invalid:
    return Invalid(Problem("file", code, message, values))


def text_of(data: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with one (spreadsheets' “Unicode text”), else what Windows wrote."""
    encodings = ["utf-16"] if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _no_file("not_text", "This is no text file. Save the table as CSV and choose that file.")


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines with content, each with its number; a quoted cell may span several."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator_of(text), skipinitialspace=True)
    number = 1
    try:
        for cells in reader:
            trimmed = [_unguarded(cell.strip()) for cell in cells]
            if any(trimmed):
                yield number, trimmed
            number = reader.line_num + 1
    except csv.Error as error:
        raise _no_file(
            "broken_quotes", f"Line {number} cannot be read: check its quotation marks.", at=number
        ) from error


def _separator_of(text: str) -> str:
    """What stands most often outside quotes in the first line with content."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)
    return max(SEPARATORS, key=bare.count)


def _columns_of(header: Sequence[str]) -> tuple[dict[Column, int], tuple[str, ...], bool]:
    """Where each column stands, which mean nothing here, and whether the first line is a header at all."""
    known = [_HEADERS.get(_plain(cell)) for cell in header]
    if not any(known):
        return {column: place for place, column in enumerate(ORDER)}, (), False
    columns: dict[Column, int] = {}
    for place, column in enumerate(known):
        if column is not None:
            columns.setdefault(column, place)
    has_name = Column.NAME in columns or {Column.FIRST_NAME, Column.LAST_NAME} & columns.keys()
    if Column.USER_ID not in columns or not has_name:
        missing = "user_id" if Column.USER_ID not in columns else "name"
        raise _no_file(
            "no_column",
            f"No column is called {missing}. Name the columns in the first line: user_id, name, group, extra_minutes.",
            column=missing,
        )
    ignored = tuple(cell for cell, column in zip(header, known, strict=True) if column is None and cell)
    return columns, ignored, True


def _plain(cell: str) -> str:
    """A header without case, accents, blanks and signs."""
    flat = unicodedata.normalize("NFKD", cell).casefold()
    return "".join(one for one in flat if one.isascii() and one.isalnum())


def _line(number: int, cells: Sequence[str], columns: Mapping[Column, int]) -> Line | BadLine:
    def cell(column: Column) -> str:
        place = columns.get(column)
        return cells[place] if place is not None and place < len(cells) else ""

    name = cell(Column.NAME) or f"{cell(Column.FIRST_NAME)} {cell(Column.LAST_NAME)}".strip()
    minutes = _minutes(cell(Column.EXTRA_MINUTES))
    if minutes is None:
        return BadLine(number, extra_problem())
    line = Line(number, cell(Column.USER_ID), name, cell(Column.GROUP), minutes)
    found = line_problems(line)
    return BadLine(number, found[0]) if found else line


def line_problems(line: Line) -> list[Problem]:
    """What is wrong with one line, the same for a file, a form and the API."""
    return fields.found(
        _text_problem("user_id", line.user_id),
        _text_problem("name", line.name),
        fields.text("group", line.group, shortest=0),
        None if 0 <= line.extra_minutes <= LONGEST_EXTRA else extra_problem(),
    )


def _text_problem(column: str, text: str) -> Problem | None:
    if text:
        return fields.text(column, text)
    words = {"user_id": "The user id is missing.", "name": "The name is missing."}[column]
    return Problem(column, f"no_{column}", words)


def extra_problem() -> Problem:
    return Problem(
        "extra_minutes",
        "not_minutes",
        f"The extra time is a whole number of minutes from 0 to {LONGEST_EXTRA}.",
        {"high": LONGEST_EXTRA},
    )


def _minutes(cell: str) -> int | None:
    """`15`, `15 min`, `15 Minuten`; blank is none."""
    if not cell:
        return 0
    found = re.fullmatch(r"\+?([0-9]{1,6})\s*(?:min\.?|minutes?|minuten?)?", cell, re.IGNORECASE)
    return int(found[1]) if found else None


# --- what a file would change ---


class Mode(StrEnum):
    """What becomes of those who are not in the file."""

    ADD = "add"
    """They stay."""
    REPLACE = "replace"
    """They are taken off the roster."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a file would do to a roster."""

    new: tuple[Line, ...]
    changed: tuple[tuple[Candidate, Line], ...]
    unchanged: int
    removed: tuple[Candidate, ...]
    bad: tuple[BadLine, ...]
    ignored: tuple[str, ...] = field(default=())

    @property
    def does_something(self) -> bool:
        return bool(self.new or self.changed or self.removed)


def plan(current: Mapping[str, Candidate], file: RosterFile, mode: Mode) -> Plan:
    """Compare a file with the roster, by user id."""
    known = [line for line in file.lines if line.user_id in current]
    changed = [(current[line.user_id], line) for line in known if not line.fits(current[line.user_id])]
    named = {line.user_id for line in file.lines}
    gone = [one for user_id, one in current.items() if user_id not in named] if mode is Mode.REPLACE else []
    return Plan(
        new=tuple(line for line in file.lines if line.user_id not in current),
        changed=tuple(changed),
        unchanged=len(known) - len(changed),
        removed=tuple(sorted(gone, key=lambda one: (one.name.casefold(), one.user_id))),
        bad=file.bad,
        ignored=file.ignored,
    )


# --- writing ---

_ACTIVE = "=+-@\t\r"
_GUARD = "'"


def write(candidates: Sequence[Candidate]) -> bytes:
    """A file that `read` understands as the same, and spreadsheets as UTF-8."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow([column.value for column in ORDER])
    for one in candidates:
        cells = [one.user_id, one.name, one.group]
        writer.writerow([*map(_guarded, cells), one.extra_minutes or ""])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _guarded(cell: str) -> str:
    """A spreadsheet would compute a cell that begins so; behind an apostrophe it is text."""
    return _GUARD + cell if cell.lstrip(_GUARD)[:1] in tuple(_ACTIVE) else cell


def _unguarded(cell: str) -> str:
    is_guarded = cell.startswith(_GUARD) and cell.lstrip(_GUARD)[:1] in tuple(_ACTIVE)
    return cell[1:] if is_guarded else cell
