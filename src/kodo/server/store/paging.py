"""The contract's list windows: ``after``, ``before``, ``limit``, ``order``, over rows with a growing number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.records import Page
from kodo.server.store.sql import SqlConnection

T = TypeVar("T")


def cursor_not_found(cursor: str, name: str) -> NotFound:
    """The error for an ``after`` or ``before`` that names nothing in the list."""
    return NotFound(f"No object with the id {cursor!r} is in this list.", param=name)


def select(
    connection: SqlConnection,
    query: str,
    values: Sequence[Any],
    page: Page,
    *,
    key: str,
    place: Callable[[str], int | None],
) -> tuple[list[Any], bool]:
    """Rows of a window, in the page's order, and whether there are more on the side it moves to.

    ``query`` is a SELECT that ends in a WHERE clause, ``key`` the column that numbers the rows, ``place`` finds the
    number of an id. With ``before`` alone, the window is the rows nearest to it.

    Raises:
        NotFound: ``after`` or ``before`` names nothing.
    """
    values = list(values)
    ascending = page.order == "asc"
    for name, cursor, grows in (("after", page.after, ascending), ("before", page.before, not ascending)):
        if cursor is not None:
            number = place(cursor)
            if number is None:
                raise cursor_not_found(cursor, name)
            query += f" AND {key} {'>' if grows else '<'} ?"
            values.append(number)
    backwards = page.before is not None and page.after is None
    order = "ASC" if ascending != backwards else "DESC"
    rows = connection.execute(f"{query} ORDER BY {key} {order} LIMIT ?", (*values, page.limit + 1)).fetchall()
    more = len(rows) > page.limit
    rows = rows[: page.limit]
    return (rows[::-1] if backwards else rows), more


def window(rows: Sequence[T], page: Page, *, name: Callable[[T], str]) -> tuple[list[T], bool]:
    """The same over rows in memory, oldest first; ``name`` is a row's id. Raises as :func:`select`."""
    listing = list(rows) if page.order == "asc" else list(reversed(rows))
    names = [name(row) for row in listing]
    start, stop = 0, len(listing)
    for field, cursor in (("after", page.after), ("before", page.before)):
        if cursor is not None:
            if cursor not in names:
                raise cursor_not_found(cursor, field)
            if field == "after":
                start = names.index(cursor) + 1
            else:
                stop = names.index(cursor)
    inside = listing[start:stop]
    more = len(inside) > page.limit
    if page.before is not None and page.after is None:
        return inside[max(len(inside) - page.limit, 0) :], more
    return inside[: page.limit], more
