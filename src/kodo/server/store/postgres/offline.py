"""A database that no server uses: for copies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.postgres import schema
from kodo.server.store.postgres.connections import PostgresConnection, connect
from kodo.server.store.postgres.failures import translate
from kodo.server.store.sql import SqlConnection


@contextmanager
def open_empty(url: str) -> Iterator[SqlConnection]:
    """A transaction in a database that is migrated first, and that no server uses; committed at the end. Raises StoreFailed."""

    try:
        connection = connect(url, role="copy")
        try:
            schema.migrate(connection)
            _check_no_servers(connection)
            with connection.raw.transaction():
                connection.raw.execute("SET LOCAL statement_timeout = 0")
                connection.raw.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield connection
        finally:
            connection.raw.close()
    except psycopg.Error as error:
        raise translate(error) from error


def check_no_servers(url: str) -> None:
    """Check that no server uses a database. Raises StoreFailed."""
    try:
        connection = connect(url, role="copy")
        try:
            _check_no_servers(connection)
        finally:
            connection.raw.close()
    except psycopg.Error as error:
        raise translate(error) from error


def _check_no_servers(connection: PostgresConnection) -> None:
    there = connection.execute("SELECT to_regclass('nodes') IS NOT NULL").fetchone()[0]
    if not there:
        raise StoreFailed("kodo has not been in this database.")
    names = connection.execute(
        "SELECT name FROM nodes WHERE role <> 'tool' AND lease_until > clock_timestamp()"
    ).fetchall()
    if names:
        raise StoreFailed(
            f"A server uses this database ({', '.join(name for (name,) in names)}): stop it first."
        )
