"""What the SQL of this package is written against: a connection, and the few words that only PostgreSQL has.

The statements of ``responses``, ``items``, ``documents`` and ``retention`` are the same for SQLite and PostgreSQL. Two
rules make that possible: a parameter is ``?`` (the connection of PostgreSQL writes it as its driver wants it), and what
only PostgreSQL needs is a word of the connection's :class:`Dialect`, empty on SQLite, which has one writer and one server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a statement says to one database and not to the other."""

    locked: str = ""
    """Ends a SELECT whose row this transaction is about to change: other writers of the row wait for it."""
    deleting: str = ""
    """The same, where the row may be deleted."""
    kept: str = ""
    """Ends a SELECT whose row must not be deleted before this transaction ends."""
    shard: str = ""
    """The last column of a key of what all connections count, each in a row of its own."""
    claimed_elsewhere: str = ""
    """One more column of an idempotency claim: whether another server holds it."""
    claimed_here: str = ""
    """One more assignment to an idempotency claim: this server holds it."""
    like: str = "LIKE"
    """Whether a text fits a pattern, small and capital letters alike (on SQLite those of ASCII)."""
    bytewise: str = ""
    """Behind a text that is compared by its bytes, and not by a language's rules."""
    held_here: str = ""
    """One more condition on a document: this server works on it."""
    held_by_no_other: str = ""
    """One more condition on a document: no other server that is alive works on it."""
    taken: str = ""
    """One more assignment to a document: this server works on it."""
    released: str = ""
    """One more assignment to a document: no server works on it."""


SQLITE: Final = Dialect()
POSTGRES: Final = Dialect(
    locked="FOR NO KEY UPDATE",
    deleting="FOR UPDATE",
    kept="FOR KEY SHARE",
    shard=", shard",
    claimed_elsewhere=", epoch <> kodo_epoch()",
    claimed_here=", epoch = excluded.epoch",
    like="ILIKE",
    bytewise=' COLLATE "C"',
    held_here=" AND epoch = kodo_epoch()",
    held_by_no_other=" AND (epoch = kodo_epoch()"
    " OR NOT EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = documents.epoch))",
    taken=", epoch = kodo_epoch()",
    released=", epoch = 0",
)


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

    put_off: list[Any] | None
    """What is added up before the commit, with that of the transaction's other writes; None: each write does it itself."""

    @property
    def dialect(self) -> Dialect:
        """The words of its database."""

    def changed(self, cursor: Any, /) -> bool:
        """Whether a statement has changed a row.

        A connection that sends statements without waiting for answers says True, and makes sure before the commit: where
        it was wrong, the transaction is rolled back and run again with true answers. So the work that follows must not
        show before the commit.
        """

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> SqlCursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> SqlCursor:
        """Run one statement for each row of parameters."""


@lru_cache(maxsize=1024)
def for_postgres(sql: str) -> str:
    """A statement as psycopg takes it: ``%s`` for ``?``. No statement of this package has a ``?`` or a ``%`` in a literal."""
    return sql.replace("%", "%%").replace("?", "%s")
