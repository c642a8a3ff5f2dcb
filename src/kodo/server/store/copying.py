"""Copying everything from one database to another, SQLite or PostgreSQL, with a check of every row. Functions of connections.

Both databases have the same tables and columns; what only PostgreSQL has (owners of rows, shards of sums) is left to its
defaults, and summed up on the way back. Rows keep their numbers. This module does not open or commit anything.
"""

# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store import search, sqlite_search
from kodo.server.store.postgres import search as postgres_search
from kodo.server.store.postgres.search import POSTGRES_SEARCH
from kodo.server.store.sql import POSTGRES, SqlConnection
from kodo.server.store.sqlite_search import SQLITE_SEARCH

ROWS: Final = 500
"""Rows that are read and written together."""
ChangeRow: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]


def _packed_attribute(row: Sequence[Any]) -> Sequence[Any]:
    *place, kind, value = row
    return *place, kind, postgres_search.pack_value(value)


def _unpacked_attribute(row: Sequence[Any]) -> Sequence[Any]:
    *place, kind, value = row
    return *place, kind, postgres_search.unpack_value(kind, value)


def _packed_chunk(row: Sequence[Any]) -> Sequence[Any]:
    *rest, vector = row
    return *rest, None if vector is None else sqlite_search.unpack_vector(vector)


def _unpacked_chunk(row: Sequence[Any]) -> Sequence[Any]:
    *rest, vector = row
    return *rest, None if vector is None else sqlite_search.pack_vector(vector)


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table that is copied. ``key``: what its rows are ordered by; ``summed``: columns of counts, added up over shards."""

    name: str
    columns: str
    key: str = "seq"
    summed: str = ""
    to_postgres: ChangeRow = tuple
    from_postgres: ChangeRow = tuple
    """For a table whose values PostgreSQL keeps in another form; rows are compared as SQLite has them."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""
        return self.columns.split(", ") + (self.summed.split(", ") if self.summed else [])


TABLES: Final = (
    CopiedTable("documents", "seq, owner, id, kind, parent, created_at, version, removals, status, body"),
    CopiedTable(
        "responses",
        "seq, id, owner, parent, parent_seq, status, created_at, conversation, background, final, gone, request, response",
    ),
    CopiedTable("items", "seq, owner, id, response, output, conversation, place, item, tokens"),
    CopiedTable("log", "seq, response, first, next, chunk"),
    CopiedTable("replays", "seq, owner, key, created_at, digest, status, headers, body"),
    CopiedTable(
        "keys",
        "rowid, id, name, project, hash, hint, created_at, revoked_at, requests_per_minute, tokens_per_minute, "
        "concurrent_requests, role, tokens_per_day, tokens_per_month, usd_per_day, usd_per_month",
        key="rowid",
    ),
    CopiedTable("key_spending", "key_id, day", key="key_id, day", summed="tokens, nano_usd"),
    CopiedTable(
        "activity",
        "seq, id, owner, key_id, created_at, model, status, background, parent, conversation, input, cached, output, "
        "reasoning, queued, first_token, total, title",
    ),
    CopiedTable(
        "activity_sums",
        "width, start, owner, model",
        key="width, start, owner, model",
        summed="requests, failed, incomplete, cancelled, input, cached, output, reasoning, decode_tokens, decode_seconds",
    ),
    CopiedTable(
        "activity_first_tokens",
        "width, start, owner, model, bucket",
        key="width, start, owner, model, bucket",
        summed="count",
    ),
    CopiedTable("search_files", "seq, store, file"),
    CopiedTable(
        "search_attributes",
        "file, name, kind, value",
        key="file, name",
        to_postgres=_packed_attribute,
        from_postgres=_unpacked_attribute,
    ),
    CopiedTable(
        "search_chunks",
        "seq, file, number, start, text, vector",
        to_postgres=_packed_chunk,
        from_postgres=_unpacked_chunk,
    ),
)
"""In the order in which rows name each other."""
NOT_COPIED: Final = ("search_words",)
"""The index of the words of vector stores, which is made anew: see :func:`index_words`."""


@dataclass(frozen=True, slots=True)
class TableDigest:
    """What a table holds: the number of its rows, and a hash over all of them in order."""

    rows: int
    sha256: str


def check_is_empty(connection: SqlConnection) -> None:
    """Check that a database holds nothing yet.

    Raises:
        StoreFailed: a table has rows.
    """
    for table in TABLES:
        if connection.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() is not None:
            raise StoreFailed(
                f"The database to copy to has rows in '{table.name}': it must be empty. Nothing was written."
            )


def copy_table(source: SqlConnection, destination: SqlConnection, table: CopiedTable) -> TableDigest:
    """Copy the rows of one table, and read them again where they are now.

    Raises:
        StoreFailed: what is there is not what was read.
    """
    marks = ", ".join("?" * len(table.names))
    insert = f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES ({marks})"

    packed = table.to_postgres if destination.dialect is POSTGRES else tuple

    def written() -> Iterator[Sequence[Any]]:
        for rows in _chunks(source, table):
            destination.executemany(insert, [packed(row) for row in rows])
            yield from rows

    read = _digest(written())
    kept = digest(destination, table)
    if read != kept:
        raise StoreFailed(
            f"The copy of '{table.name}' differs: {read.rows} rows were read, {kept.rows} are there. Nothing was kept."
        )
    return read


def digest(connection: SqlConnection, table: CopiedTable) -> TableDigest:
    """What a table holds."""
    return _digest(row for rows in _chunks(connection, table) for row in rows)


def settle_numbers(connection: SqlConnection) -> None:
    """Have the next row numbered behind those that were copied; SQLite does that by itself."""
    if connection.dialect is not POSTGRES:
        return
    for table in TABLES:
        if table.key in ("seq", "rowid") and table.name != "activity":
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{table.key}'), "
                f"coalesce((SELECT max({table.key}) FROM {table.name}), 0) + 1, false)"
            ).fetchone()


def index_words(connection: SqlConnection) -> None:
    """Index the words of all chunks of a copied store.

    Raises:
        StoreFailed: the index has not a row for each chunk.
    """
    dialect = POSTGRES_SEARCH if connection.dialect is POSTGRES else SQLITE_SEARCH
    chunks = search.index_all_words(connection, dialect)
    indexed = int(connection.execute("SELECT count(*) FROM search_words").fetchone()[0])
    if indexed != chunks:
        raise StoreFailed(f"Of {chunks} chunks of vector stores, {indexed} were indexed. Nothing was kept.")


def _chunks(connection: SqlConnection, table: CopiedTable) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows in order, some at a time: behind the last key, so that no memory holds a whole table."""
    if table.summed:
        sums = ", ".join(
            f"sum({name})" if name.endswith("seconds") else f"CAST(sum({name}) AS BIGINT)"
            for name in table.summed.split(", ")
        )
        rows = connection.execute(
            f"SELECT {table.columns}, {sums} FROM {table.name} GROUP BY {table.columns}"
        ).fetchall()
        rows.sort(
            key=lambda row: tuple(row)[: len(table.columns.split(", "))]
        )  # not by a database's collation
        for start in range(0, len(rows), ROWS):
            yield rows[start : start + ROWS]
        return
    unpacked = table.from_postgres if connection.dialect is POSTGRES else tuple
    names = table.columns.split(", ")
    places = [names.index(name) for name in table.key.split(", ")]
    behind, last = "", ()
    while True:
        found = connection.execute(
            f"SELECT {table.columns} FROM {table.name}{behind} ORDER BY {table.key} LIMIT {ROWS}", last
        ).fetchall()
        if not found:
            return
        yield [unpacked(row) for row in found]
        behind = f" WHERE ({table.key}) > ({', '.join('?' * len(places))})"
        last = tuple(found[-1][place] for place in places)


def _digest(rows: Iterator[Sequence[Any]]) -> TableDigest:
    count, hashed = 0, hashlib.sha256()
    for row in rows:
        count += 1
        hashed.update(msgspec.msgpack.encode(tuple(row)))
    return TableDigest(count, hashed.hexdigest())
