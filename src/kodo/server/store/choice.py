"""Which store the settings name. PostgreSQL's needs packages that an installation may not have, so it is imported here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store import connections, copying, readers, schema
from kodo.server.store.copying import TableDigest
from kodo.server.store.database_report import DatabaseReport
from kodo.server.store.failures import translate
from kodo.server.store.lock import Lock
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sqlite import SqliteStore


def choose_store(
    home: Path,
    database: str | None,
    *,
    role: str = "all",
    lease_seconds: float | None = None,
    folder: str | None = None,
) -> Store:
    """The store, not yet open: SQLite in the folder ``home``, or the database at an address.

    ``role``: ``tool`` for a command that works beside running servers; else what the server does (``all``, ``api``,
    ``worker``). ``lease_seconds``: how long it may be silent before others go on with its work. ``folder``: the id of its shared
    folder.

    Raises:
        StoreFailed: the packages for the database are not installed.
    """
    if database is None:
        return SqliteStore(home, exclusive=role != "tool")
    with _needing_postgres():
        from kodo.server.store.postgres.store import PostgresStore
    if lease_seconds is None:
        return PostgresStore(database, role=role, folder=folder)
    return PostgresStore(database, role=role, lease_seconds=lease_seconds, folder=folder)


def inspect_database(url: str) -> DatabaseReport:
    """What the database at an address is like. Raises StoreFailed: it cannot be reached, or its packages are not installed."""
    with _needing_postgres():
        from kodo.server.store.postgres.inspection import inspect
    return inspect(url)


@contextmanager
def _needing_postgres() -> Iterator[None]:
    """Translates a missing package. Raises StoreFailed."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("psycopg", "psycopg_pool", "psycopg_binary"):
            raise
        raise StoreFailed(
            "The setting database names PostgreSQL, which needs kodo's 'postgres' extra: pip install '.[postgres]' in kodo's repository."
        ) from error


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


@contextmanager
def open_empty(home: Path, database: str | None) -> Iterator[SqlConnection]:
    """A transaction in a store that is made or migrated first, holds nothing, and that no server uses; committed at the end.

    Raises:
        StoreFailed: it is not empty, a server uses it, or it cannot be written.
    """
    if database is not None:
        from kodo.server.store.postgres.offline import open_empty as open_postgres

        with open_postgres(database) as found:
            copying.check_is_empty(found)
            yield found
        return
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = Lock(home / connections.LOCK)
    lock.take()
    try:
        with closing(connections.open_writer(home)) as connection:
            schema.migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            copying.check_is_empty(connection)
            yield connection
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translate(error) from error
    finally:
        lock.release()


@contextmanager
def _unused(home: Path, database: str | None) -> Iterator[None]:
    """While no server uses a store. Raises StoreFailed: one does."""
    if database is not None:
        from kodo.server.store.postgres.offline import check_no_servers

        check_no_servers(database)
        yield
        return
    if not (home / connections.DATABASE).exists():
        raise StoreFailed(f"There is no {connections.DATABASE} in {home}.")
    lock = Lock(home / connections.LOCK)
    lock.take()
    try:
        yield
    finally:
        lock.release()


def copy_store(
    source: tuple[Path, str | None], destination: tuple[Path, str | None]
) -> dict[str, TableDigest]:
    """Copy all rows of one store to another, empty one, in one transaction; each is a folder and a database, as for
    :func:`choose_store`. What each table holds, checked on both sides.

    Raises:
        StoreFailed: a server uses one of them, or the destination is not empty.
    """
    with _unused(*source), open_snapshot(*source) as read, open_empty(*destination) as written:
        copied = {table.name: copying.copy_table(read, written, table) for table in copying.TABLES}
        copying.index_words(written)
        copying.settle_numbers(written)
    return copied
