"""Searching, ordering and cutting lists, the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, Select, String, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

LARGEST_ID = 2**63 - 1


def is_row_id(number: int) -> bool:
    """Whether a number from outside can be that of a row at all: larger ones no database compares with."""
    return 0 < number <= LARGEST_ID


class _AsciiFolded(FunctionElement[str]):
    """A column as `LIKE` compares it with plain ASCII: SQLite does so whatever the case, without being asked."""

    name = "lower"
    type = String()
    inherit_cache = True


@compiles(_AsciiFolded)
def _lowered(element: Any, compiler: Any, **kw: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(_AsciiFolded, "sqlite")
def _as_it_is(element: Any, compiler: Any, **kw: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return f"({compiler.process(element.clauses, **kw)})"


def folded(column: ColumnElement[Any], word: str) -> ColumnElement[Any]:
    """A column in small letters, to look for a word in it. Our Unicode-aware `lower` costs SQLite most of a search, so a
    word of ASCII does without.
    """
    return _AsciiFolded(column) if word.isascii() else func.lower(column)


def containing(search: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """Each word of the search stands in one of the columns, whatever its case; `%` and `_` mean themselves.

    U+0000 is in no stored text, and PostgreSQL takes it as a mistake of ours: it counts as a blank.
    """
    # The longest word is the one that most often does not fit, and then the others are not asked.
    words = sorted(search.replace("\0", " ").split()[:10], key=len, reverse=True)
    return and_(
        true(),
        *[
            or_(*[folded(column, word).contains(word.lower(), autoescape=True) for column in columns])
            for word in words
        ],
    )


async def page_of(
    db: AsyncConnection,
    query: Select[Any],
    *,
    order: Sequence[ColumnElement[Any]],
    offset: int,
    limit: int,
) -> tuple[list[Row[Any]], int]:
    """One page of a query's rows, and how many there are in all."""
    total = (await db.execute(select(func.count()).select_from(query.order_by(None).subquery()))).scalar_one()
    rows = (await db.execute(query.order_by(*order).offset(offset).limit(limit))).all()
    return list(rows), total


async def searched_page(
    db: AsyncConnection,
    query: Select[Any],
    key: Column[Any],
    *,
    order: Sequence[ColumnElement[Any]],
    offset: int,
    limit: int,
) -> tuple[list[Row[Any]], int]:
    """The same for a search in one table, which no index answers: rows are looked at once for both, and only the shown
    ones are fetched.
    """
    looked = query.with_only_columns(key.label("key"), func.count().over().label("total"))
    found = (await db.execute(looked.order_by(*order).offset(offset).limit(limit))).all()
    if not found:
        return [], 0 if offset == 0 else (await page_of(db, query, order=order, offset=0, limit=1))[1]
    keys = [one.key for one in found]
    rows = (await db.execute(select(key.table).where(key.in_(keys)).order_by(*order))).all()
    return list(rows), found[0].total
