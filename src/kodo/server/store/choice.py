"""Which store the settings name. PostgreSQL's needs packages that an installation may not have, so it is imported here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store import connections, readers
from kodo.server.store.failures import translate
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sqlite import SqliteStore


def choose_store(
    home: Path, database: str | None, *, role: str = "all", lease_seconds: float | None = None
) -> Store:
    """The store, not yet open: SQLite in the folder ``home``, or the database at an address.

    ``role``: ``tool`` for a command that works beside running servers; else what the server does (``all``, ``api``,
    ``worker``). ``lease_seconds``: how long it may be silent before others go on with its work.

    Raises:
        StoreFailed: the packages for the database are not installed.
    """
    if database is None:
        return SqliteStore(home, exclusive=role != "tool")
    try:
        from kodo.server.store.postgres.store import PostgresStore
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("psycopg", "psycopg_pool", "psycopg_binary"):
            raise
        raise StoreFailed(
            "The setting database names PostgreSQL, which needs kodo's 'postgres' extra: pip install 'kodo[postgres]'."
        ) from error
    if lease_seconds is None:
        return PostgresStore(database, role=role)
    return PostgresStore(database, role=role, lease_seconds=lease_seconds)


@contextmanager
def open_snapshot(home: Path, database: str | None) -> Iterator[SqlConnection]:
    """A connection that reads one commit of the store, for as long as it likes; the store was opened before.

    Raises:
        StoreFailed: it cannot be read.
    """
    if database is not None:
        from kodo.server.store.postgres.connections import open_snapshot as open_postgres

        with open_postgres(database) as found:
            yield found
        return
    try:
        with closing(connections.open_reader(home)) as connection, readers.snapshot(connection):
            yield connection
    except sqlite3.Error as error:
        raise translate(error) from error
