"""Where the editor puts each setting: tabs, columns, frames and rows, read out of the catalogue's grid.

The catalogue gives a cell per control in a grid of twelve. Its rows are not heights of ours (labels wrap, help opens),
so what is taken from it is what a reader sees: which frames stand side by side, their order downwards, and which controls
share a line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from invigilo.sebconfig import catalogue, values
from invigilo.sebconfig.catalogue import Cell, Setting

TABS = (
    "general", "user_interface", "browser", "down_upload", "exam", "applications", "additional_resources", "network",
    "security", "registry", "hooked_keys", "proctoring",
)  # fmt: skip
"""In the order of `seb-settings` §1."""

_SECTIONS = ("jitsi", "Zoom", "ScreenProctoring")
"""The sections of the Proctoring tab, which all begin in the same row, in the order of `seb-settings` §2."""
_NEAR = 2
"""Controls outside any frame that are at most this many rows apart belong together."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a tab, or of a section: its controls line by line. `name` is "" for controls outside any frame."""

    name: str
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Frames that open and close together; `name` is "" for those that always stand open."""

    name: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A tab: columns side by side, each with sections from top to bottom."""

    tab: str
    columns: tuple[tuple[Section, ...], ...]

    @property
    def settings(self) -> tuple[str, ...]:
        return tuple(
            setting_id
            for column in self.columns
            for section in column
            for frame in section.frames
            for line in frame.lines
            for setting_id in line
        )


@cache
def layout(tab: str) -> Layout:
    """The layout of a tab's own settings; of `proxies`, whose keys are laid out within it, see `proxies_layout`."""
    rows = [row for row in values.editable().values() if row.tab == tab]
    return Layout(tab, _columns(rows))


@cache
def proxies_layout() -> Layout:
    """The keys of `proxies`: those of all protocols on the left, a section per protocol beside them."""
    rows = [row for row in values.columns("proxies").values() if row.cell is not None]
    loose, named = ([row for row in rows if bool(row.section) is wanted] for wanted in (False, True))
    return Layout("proxies", (_sections(_blocks(loose)), _sections(_blocks(named))))


@cache
def tab_of(setting_id: str) -> str:
    """The tab a setting, or a column of a table, is edited on; "" when it is not shown."""
    return catalogue.setting(setting_id.partition(".")[0]).tab


def _columns(rows: list[Setting]) -> tuple[tuple[Section, ...], ...]:
    blocks = _blocks([row for row in rows if row.cell is not None])
    columns: list[list[_Block]] = []
    for block in sorted(blocks, key=lambda one: one.left):
        beside = [column for column in columns if any(block.overlaps(one) for one in column)]
        joined = [block, *(one for column in beside for one in column)]
        columns = [column for column in columns if column not in beside] + [joined]
    columns.sort(key=lambda column: min(one.left for one in column))
    for column in columns:
        column.sort(key=_downwards)
    return tuple(_sections(column) for column in columns)


def _downwards(block: _Block) -> tuple[int, int, int]:
    """Sections in their own order, and within them as everywhere: from top to bottom."""
    place = _SECTIONS.index(block.section) if block.section in _SECTIONS else -1
    return place, block.top, block.left


@dataclass(slots=True)
class _Block:
    """Controls of one frame, while the columns are found."""

    section: str
    name: str
    rows: list[Setting]

    @property
    def left(self) -> int:
        return min(_cell(row).x for row in self.rows)

    @property
    def right(self) -> int:
        return max(_cell(row).x + _cell(row).width for row in self.rows)

    @property
    def top(self) -> int:
        return min(_cell(row).y for row in self.rows)

    @property
    def bottom(self) -> int:
        return max(_cell(row).y + _cell(row).height - 1 for row in self.rows)

    def overlaps(self, other: _Block) -> bool:
        return self.left < other.right and other.left < self.right

    def frame(self) -> Frame:
        lines: dict[int, list[Setting]] = {}
        for row in sorted(self.rows, key=lambda one: (_cell(one).y, _cell(one).x)):
            lines.setdefault(_cell(row).y, []).append(row)
        return Frame(self.name, tuple(tuple(row.id for row in line) for line in lines.values()))


def _cell(row: Setting) -> Cell:
    assert row.cell is not None
    return row.cell


def _blocks(rows: list[Setting]) -> list[_Block]:
    found: dict[tuple[str, str], _Block] = {}
    loose: list[_Block] = []
    for row in sorted(rows, key=lambda one: (_cell(one).y, _cell(one).x)):
        if row.section or (row.group and not row.parent_id):
            place = found.setdefault((row.section, row.group), _Block(row.section, row.group, []))
            place.rows.append(row)
            continue
        alone = _Block("", "", [row])
        near = [one for one in loose if one.overlaps(alone) and alone.top - one.bottom <= _NEAR]
        if near:
            near[-1].rows.append(row)
        else:
            loose.append(alone)
    return [*found.values(), *loose]


def _sections(blocks: list[_Block]) -> tuple[Section, ...]:
    """Blocks one below the other; those of a section stand together where its first one stands."""
    names = list(dict.fromkeys(block.section or f"\0{index}" for index, block in enumerate(blocks)))
    return tuple(
        Section(
            "" if name.startswith("\0") else name,
            tuple(
                block.frame() for index, block in enumerate(blocks) if (block.section or f"\0{index}") == name
            ),
        )
        for name in names
    )
