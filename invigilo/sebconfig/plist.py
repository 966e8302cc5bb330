"""Read and write the XML property list inside a SEB file, in the dialect all SEB clients agree on.

The reader is made for files from strangers: it never resolves anything (a document type with a subset of
its own, an entity, an external reference end the reading), it is bounded in size, depth and number of
values, and whatever is wrong comes out as `BadInput`. It keeps apart what the Config Key keeps apart:
`<integer>` becomes `int`, `<real>` becomes `float`, also when the number is whole.

Reading and writing change nothing: what `write` accepts, `read` gives back equal, so the Config Key
computed before is the one clients compute after. Values that would not survive are refused; `fit_for_file`
mends them beforehand.

Dates are refused. Every client writes them differently into the Config Key, and no setting is one
(`seb-config-files` §4, §5).
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast
from xml.parsers import expat

from invigilo.errors import BadInput
from invigilo.sebconfig.errors import DamagedFile, NotASebFile

PlistValue: TypeAlias = "bool | int | float | str | bytes | list[PlistValue] | dict[str, PlistValue]"
Settings: TypeAlias = "dict[str, PlistValue]"
"""The parsed root `<dict>` of a file."""

MAX_XML_BYTES = 32 * 1024 * 1024
MAX_VALUES = 200_000
MAX_DEPTH = 32
"""Dicts and arrays inside each other, the root counted. Real files need five."""

_HEADER = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN"'
    ' "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
    '<plist version="1.0">\n'
)
_FIRST_BYTES = b"<?xm"
_XML_SPACE = " \t\r\n"
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT32 = range(-(2**31), 2**31)
_SCALARS = frozenset({"key", "string", "integer", "real", "true", "false", "data"})


# --- order and fitness -------------------------------------------------------------------------------------


def in_key_order(settings: Mapping[str, PlistValue]) -> list[tuple[str, PlistValue]]:
    """Sort as the Config Key wants: ignoring case; of two that differ in case only, lower case first."""
    return sorted(settings.items(), key=lambda entry: (entry[0].lower(), entry[0].swapcase()))


def fit_for_file(settings: Mapping[str, PlistValue]) -> Settings:
    """Copy settings without the traps in which SEB clients compute different Config Keys.

    They are those of `seb-settings` §1 and §7. Characters that XML forbids go, line ends become LF, text of
    blanks only becomes empty; blank items of arrays, empty dicts, and an `originatorVersion` below the root
    are dropped. For values typed by people or sent by programs; what was read from a file is written back
    as it is.
    """
    return _fit_dict(settings, is_root=True)


def _fit_dict(entries: Mapping[str, PlistValue], *, is_root: bool) -> Settings:
    fitted = {_fit_text(key): _fit(value) for key, value in entries.items()}
    return {
        key: value
        for key, value in fitted.items()
        if value != {} and (is_root or key.lower() != "originatorversion")
    }


def _fit(value: PlistValue) -> PlistValue:
    if isinstance(value, dict):
        return _fit_dict(value, is_root=False)
    if isinstance(value, list):
        items = (_fit(item) for item in value)
        return [item for item in items if item or not isinstance(item, str | dict)]
    if isinstance(value, str):
        text = _fit_text(value)
        return text if text.strip() else ""
    return value


def _fit_text(text: str) -> str:
    return _NOT_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


# --- writing -----------------------------------------------------------------------------------------------


def write(settings: Mapping[str, PlistValue]) -> bytes:
    """Write settings as bare XML, keys in Config Key order.

    Raises `BadInput` with the dotted place of a value that SEB clients would refuse or read differently: an
    integer beyond 32 bits, a real without a value, a character XML forbids, nesting without end.
    """
    lines = [_HEADER, "<dict>\n"]
    for key, value in in_key_order(settings):
        lines += (f"<key>{_escaped(key, key)}</key>", *_pieces(value, key, 1), "\n")
    lines.append("</dict>\n</plist>\n")
    return "".join(lines).encode()


def _pieces(value: PlistValue, place: str, depth: int) -> Iterator[str]:
    match value:
        case bool():
            yield "<true />" if value else "<false />"
        case int():
            yield f"<integer>{_checked_integer(value, place)}</integer>"
        case float():
            yield f"<real>{_real_text(value, place)}</real>"
        case str():
            yield f"<string>{_escaped(value, place)}</string>" if value else "<string />"
        case bytes():
            yield f"<data>{base64.b64encode(value).decode()}</data>"
        case list():
            yield from _array_pieces(value, place, _deeper(depth, place))
        case dict():
            yield from _dict_pieces(value, place, _deeper(depth, place))
        case _:  # pyright: ignore[reportUnnecessaryComparison] - programs may send other values
            raise BadInput(
                f"{place} holds a {type(value).__name__}, which no SEB file can hold.", field=place
            )


def _array_pieces(items: Sequence[PlistValue], place: str, depth: int) -> Iterator[str]:
    if not items:
        yield "<array />"
        return
    yield "<array>"
    for index, item in enumerate(items):
        yield from _pieces(item, f"{place}.{index}", depth)
    yield "</array>"


def _dict_pieces(entries: Mapping[str, PlistValue], place: str, depth: int) -> Iterator[str]:
    yield "<dict>"
    for key, value in in_key_order(entries):
        yield f"<key>{_escaped(key, place)}</key>"
        yield from _pieces(value, f"{place}.{key}", depth)
    yield "</dict>"


def _deeper(depth: int, place: str) -> int:
    if depth >= MAX_DEPTH:
        raise BadInput(f"{place} is nested deeper than {MAX_DEPTH} levels; flatten it.", field=place)
    return depth + 1


def _checked_integer(value: int, place: str) -> int:
    if value not in _INT32:
        raise BadInput(
            f"{place} is {value}, but SEB reads integers of 32 bits only. Choose one up to 2147483647.",
            field=place,
        )
    return value


def _real_text(value: float, place: str) -> str:
    if not math.isfinite(value):
        raise BadInput(f"{place} is not a finite number; enter one.", field=place)
    return repr(value).removesuffix(".0") if value else "0"


def _escaped(text: str, place: str) -> str:
    """Escape what XML needs; a carriage return too, because parsers turn a bare one into a line feed."""
    if found := _NOT_XML.search(text):
        raise BadInput(
            f"{place} contains the character U+{ord(found.group()):04X}, which XML cannot hold; remove it.",
            field=place,
        )
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


# --- reading -----------------------------------------------------------------------------------------------


def read(xml: bytes) -> Settings:
    """Read bare XML. Raises `BadInput` for everything that is not a property list with a `<dict>` at its
    root.

    A key that comes twice counts with its last value, as on Windows.
    """
    if not xml.startswith(_FIRST_BYTES):
        raise NotASebFile(
            "This is not a SEB file: it does not begin with an XML declaration. Choose another file."
        )
    if len(xml) > MAX_XML_BYTES:
        raise BadInput(
            f"The settings are larger than {MAX_XML_BYTES // 2**20} MiB. Remove large embedded files."
        )
    return _Reader().read(xml)


class _Reader:
    """One reading. Callbacks of the XML parser build the value; the first thing that is wrong ends it."""

    def __init__(self) -> None:
        self._open: list[list[PlistValue] | dict[str, PlistValue]] = []
        self._keys: list[str | None] = []
        self._scalar: str | None = None
        self._text: list[str] = []
        self._in_plist = False
        self._root: Settings | None = None
        self._count = 0

    def read(self, xml: bytes) -> Settings:
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.ExternalEntityRefHandler = self._entity
        parser.SkippedEntityHandler = self._entity
        parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(xml, True)
        except expat.ExpatError as error:
            raise DamagedFile(
                f"The XML of the settings is damaged at line {error.lineno} "
                f"({expat.ErrorString(error.code)}). Get a fresh copy of the file."
            ) from error
        if self._root is None:
            raise NotASebFile("This XML holds no SEB settings. Choose another file.")
        return self._root

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise BadInput(
                f"The XML is encoded as {encoding[:40]}; SEB files are UTF-8. Save it again as UTF-8."
            )

    def _doctype(self, _name: str, _system: str | None, _public: str | None, has_subset: bool) -> None:
        if has_subset:
            self._entity()

    def _entity(self, *_about: object) -> int:
        raise BadInput(
            "The XML declares or uses entities of its own, which SEB files never need. Remove them."
        )

    def _started(self, name: str, _attributes: Mapping[str, str]) -> None:
        self._count += 1
        if self._count > 2 * MAX_VALUES:
            raise BadInput(f"The settings hold more than {MAX_VALUES} values. Remove some.")
        if name == "plist" and not self._in_plist and self._root is None:
            self._in_plist = True
            return
        if not self._in_plist:
            raise NotASebFile("This XML is not a property list, so it is no SEB file. Choose another file.")
        self._check_place(name)
        if name == "dict":
            self._enter({})
        elif name == "array":
            self._enter([])
        else:
            self._scalar = name
            self._text = []

    def _check_place(self, name: str) -> None:
        if name == "date":
            raise BadInput(f"{self._place()} is a date, which SEB clients do not agree on. Make it a text.")
        if name not in _SCALARS and name not in {"dict", "array"}:
            raise self._damaged(f"has the unknown element <{name[:40]}>")
        if self._scalar is not None:
            raise self._damaged(f"has an element inside <{self._scalar}>")
        if not self._open:
            if self._root is not None or name != "dict":
                raise self._damaged("must be exactly one <dict>")
            return
        wants_key = isinstance(self._open[-1], dict) and self._keys[-1] is None
        if wants_key != (name == "key"):
            raise self._damaged("has a value without key or a key without value")

    def _enter(self, container: list[PlistValue] | dict[str, PlistValue]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise BadInput(f"The settings are nested deeper than {MAX_DEPTH} levels. Flatten them.")
        self._open.append(container)
        self._keys.append(None)

    def _characters(self, text: str) -> None:
        if self._scalar is not None:
            self._text.append(text)
        elif text.strip(_XML_SPACE):
            raise self._damaged("has text between its elements")

    def _ended(self, name: str) -> None:
        if name == "plist":
            self._in_plist = False
        elif name == "key":
            self._scalar = None
            self._keys[-1] = "".join(self._text)
        elif self._scalar is not None:
            value = self._scalar_value(name, "".join(self._text))
            self._scalar = None
            self._place_value(value)
        else:
            if self._keys[-1] is not None:
                raise self._damaged("has a key without value")
            self._keys.pop()
            self._place_value(self._open.pop())

    def _place_value(self, value: PlistValue) -> None:
        if not self._open:
            self._root = cast("Settings", value)  # _check_place let only a <dict> be the root
            return
        container = self._open[-1]
        key = self._keys[-1]
        if isinstance(container, list):
            container.append(value)
        elif key is not None:
            container[key] = value
            self._keys[-1] = None

    def _scalar_value(self, name: str, text: str) -> PlistValue:
        match name:
            case "string":
                return text
            case "integer":
                return self._integer(text.strip(_XML_SPACE))
            case "real":
                return self._real(text.strip(_XML_SPACE))
            case "data":
                return self._data(text)
            case _:
                if text.strip(_XML_SPACE):
                    raise self._damaged(f"has text inside <{name}>")
                return name == "true"

    def _integer(self, text: str) -> int:
        if not _INTEGER.fullmatch(text) or (value := int(text)) not in _INT32:
            raise self._damaged(f"is {text[:40]!r}, not an integer of 32 bits")
        return value

    def _real(self, text: str) -> float:
        if len(text) > 400 or not _REAL.fullmatch(text) or not math.isfinite(value := float(text)):
            raise self._damaged(f"is {text[:40]!r}, not a number")
        return value

    def _data(self, text: str) -> bytes:
        try:
            return binascii.a2b_base64("".join(text.split()), strict_mode=True)
        except ValueError as error:
            raise self._damaged("is not base64") from error

    def _damaged(self, what: str) -> DamagedFile:
        place = self._place()
        return DamagedFile(f"{place} {what}. Get a fresh copy of the file or mend it.", field=place)

    def _place(self) -> str:
        """Name where the reading stands, dotted; long keys are cut because the text is shown to people."""
        keys = [key[:60] for key in self._keys if key is not None]
        return ".".join(keys[-6:]) or "The property list"
