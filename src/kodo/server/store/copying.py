"""Copying everything from one database to another, SQLite or PostgreSQL, with a check of every row. Functions of connections.

Both databases have the same tables and columns; what only PostgreSQL has (owners of rows, shards of sums) is left to its
defaults, and summed up on the way back. Rows keep their numbers. This module does not open or commit anything.
"""

# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.sql import POSTGRES, SqlConnection

ROWS: Final = 500
"""Rows that are read and written together."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table that is copied. ``key``: what its rows are ordered by; ``summed``: columns of counts, added up over shards."""

    name: str
    columns: str
    key: str = "seq"
    summed: str = ""

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
        "concurrent_requests, role, tokens_per_day, tokens_per_month",
        key="rowid",
    ),
    CopiedTable("key_tokens", "key_id, day", key="key_id, day", summed="tokens"),
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
)
"""In the order in which rows name each other."""
NOT_COPIED: Final = ("search_files", "search_attributes", "search_chunks", "search_words")
"""The index of vector stores, which only SQLite has."""


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

    def written() -> Iterator[Sequence[Any]]:
        for rows in _chunks(source, table):
            destination.executemany(insert, rows)
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


def count_searched(connection: SqlConnection) -> int:
    """Files in vector stores, which are not copied."""
    if connection.dialect is POSTGRES:
        return 0
    return int(connection.execute("SELECT count(*) FROM search_files").fetchone()[0])


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
    last = None
    while True:
        behind, values = ("", ()) if last is None else (f" WHERE {table.key} > ?", (last,))
        found = connection.execute(
            f"SELECT {table.columns} FROM {table.name}{behind} ORDER BY {table.key} LIMIT {ROWS}", values
        ).fetchall()
        if not found:
            return
        yield found
        last = found[-1][0]


def _digest(rows: Iterator[Sequence[Any]]) -> TableDigest:
    count, hashed = 0, hashlib.sha256()
    for row in rows:
        count += 1
        hashed.update(msgspec.msgpack.encode(tuple(row)))
    return TableDigest(count, hashed.hexdigest())
