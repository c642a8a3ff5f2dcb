"""What the SQL of this package is written against: a connection, and the few words that only PostgreSQL has.

The statements of ``responses``, ``items``, ``documents`` and ``retention`` are the same for SQLite and PostgreSQL. Two
rules make that possible: a parameter is ``?`` (the connection of PostgreSQL writes it as its driver wants it), and what
only PostgreSQL needs stands in a comment that it alone reads (``/*pg … */``). SQLite has one writer; there the comments
are comments. This module knows no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

LOCKED: Final = "/*pg FOR NO KEY UPDATE */"
"""Ends a SELECT whose row this transaction is about to change: other writers of the row wait for it."""
DELETING: Final = "/*pg FOR UPDATE */"
"""The same, where the row may be deleted."""
KEPT: Final = "/*pg FOR KEY SHARE */"
"""Ends a SELECT whose row must not be deleted before this transaction ends."""


class SqlCursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


def returned(cursor: SqlCursor) -> Any:
    """The row that an INSERT or UPDATE with RETURNING gives, or None. SQLite ends the statement with its last row."""
    rows = cursor.fetchall()
    return rows[0] if rows else None


class SqlConnection(Protocol):
    """A connection inside a transaction that somebody else begins and ends."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> SqlCursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> SqlCursor:
        """Run one statement for each row of parameters."""


@lru_cache(maxsize=1024)
def for_postgres(sql: str) -> str:
    """A statement as psycopg takes it: ``%s`` for ``?``, and the comments of :data:`LOCKED` opened.

    No statement of this package has a ``?`` or a ``%`` in a literal.
    """
    opened: list[str] = []
    for number, part in enumerate(sql.split("/*pg ")):
        inside, end, behind = part.partition("*/") if number else ("", "", part)
        opened += [inside, behind] if end else [part]
    return "".join(opened).replace("%", "%%").replace("?", "%s")
