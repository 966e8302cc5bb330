"""Searching, ordering and cutting lists, the same way everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection


def containing(search: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """Each word of the search stands in one of the columns, whatever its case; `%` and `_` mean themselves."""
    return _all(
        [
            or_(*[func.lower(column).contains(word.lower(), autoescape=True) for column in columns])
            for word in search.split()[:10]
        ]
    )


def _all(conditions: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    joined = conditions[0]
    for one in conditions[1:]:
        joined &= one
    return joined


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
