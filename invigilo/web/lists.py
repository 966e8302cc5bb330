"""Lists: what a reader asked for (search, filters, order, page), and what the template shows of it.

All of it is in the address, so a list can be kept as a bookmark, and going back leads to the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from invigilo.errors import BadInput
from invigilo.web.parts import AnyRequest

T = TypeVar("T")

PAGE_SIZE = 50
LARGEST_PAGE = 200
LONGEST_SEARCH = 200


@dataclass(frozen=True, slots=True)
class ListQuery:
    """`sort` is one of the names the list offers; `page` counts from 1."""

    search: str = ""
    sort: str = ""
    is_descending: bool = False
    page: int = 1
    size: int = PAGE_SIZE
    filters: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.size


def list_query(
    request: AnyRequest,
    *,
    sorts: Sequence[str],
    default: str,
    filters: Mapping[str, Sequence[str]] | None = None,
) -> ListQuery:
    """Read it from the address: `q`, `sort` (`-name` for descending), `page`, `size`, and the filters by name.

    Raises BadInput for a sort or filter value the list does not offer; an empty filter is none.
    """
    query = request.query_params
    sort = str(query.get("sort") or default)
    name = sort.removeprefix("-")
    if name not in sorts:
        raise BadInput(f"This list can be sorted by {', '.join(sorts)}.", field="sort")
    chosen: dict[str, str] = {}
    for one, offered in (filters or {}).items():
        value = str(query.get(one) or "")
        if value and offered and value not in offered:
            raise BadInput(f"{one} is one of {', '.join(offered)}.", field=one)
        if value:
            chosen[one] = value[:LONGEST_SEARCH]
    return ListQuery(
        search=str(query.get("q") or "").replace("\0", "").strip()[:LONGEST_SEARCH],
        sort=name,
        is_descending=sort.startswith("-"),
        page=_number(query.get("page"), 1, 1_000_000, 1, "page"),
        size=_number(query.get("size"), 1, LARGEST_PAGE, PAGE_SIZE, "size"),
        filters=chosen,
    )


def _number(text: Any, low: int, high: int, default: int, name: str) -> int:
    if text is None or text == "":
        return default
    digits = str(text)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and low <= int(digits) <= high):
        raise BadInput(f"{name} is a whole number from {low} to {high}.", field=name)
    return int(digits)


@dataclass(frozen=True, slots=True)
class ListView(Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    total: int
    query: ListQuery
    path: str

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.query.size))

    @property
    def is_filtered(self) -> bool:
        return bool(self.query.search or self.query.filters)

    def link(self, **changes: str | int) -> str:
        """The address of this list with something else: another page, another order, another filter."""
        query = self.query
        sort = ("-" if query.is_descending else "") + query.sort
        values: dict[str, str | int] = {"q": query.search, "sort": sort, **query.filters}
        if query.size != PAGE_SIZE:
            values["size"] = query.size
        values |= {"page": 1} | changes
        said = {name: value for name, value in values.items() if value != "" and (name, value) != ("page", 1)}
        return self.path + (f"?{urlencode(said)}" if said else "")

    def sort_link(self, name: str) -> str:
        turned = name == self.query.sort and not self.query.is_descending
        return self.link(sort=("-" if turned else "") + name)

    def sort_state(self, name: str) -> str:
        """For `aria-sort`."""
        if name != self.query.sort:
            return "none"
        return "descending" if self.query.is_descending else "ascending"
