"""Searching, ordering and cutting lists, the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

LARGEST_ID = 2**63 - 1


def is_row_id(number: int) -> bool:
    """Whether a number from outside can be that of a row at all: larger ones no database compares with."""
    return 0 < number <= LARGEST_ID


def containing(search: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """Each word of the search stands in one of the columns, whatever its case; `%` and `_` mean themselves.

    U+0000 is in no stored text, and PostgreSQL takes it as a mistake of ours: it counts as a blank.
    """
    words = search.replace("\0", " ").split()[:10]
    return and_(
        true(),
        *[
            or_(*[func.lower(column).contains(word.lower(), autoescape=True) for column in columns])
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
