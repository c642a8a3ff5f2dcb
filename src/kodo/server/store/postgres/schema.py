"""The database's shape, and how an older one is brought up to it, by one server at a time.

``migrations/NNNN_name.sql`` brings version NNNN-1 to NNNN; a released file never changes again. Servers of one version
behind may go on working on a database that a newer one has migrated (a rolling upgrade), so a migration only adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store import schema as sqlite_schema
from kodo.server.store.postgres.connections import PostgresConnection
from kodo.server.store.sql import SqlConnection

MIGRATING: Final = 0x6B6F646F
"""Number of the advisory lock under which one server migrates."""
AHEAD: Final = 1
"""Versions that a database may be ahead of the server that uses it."""


def migrations() -> Sequence[str]:
    """The SQL of every migration, the first one first."""
    return sqlite_schema.migrations("postgres/migrations")


def version(connection: SqlConnection) -> int:
    """The schema version of a database; 0: kodo has not been there."""
    there = connection.execute("SELECT to_regclass('kodo_schema') IS NOT NULL").fetchone()[0]
    if not there:
        return 0
    return int(connection.execute("SELECT max(version) FROM kodo_schema").fetchone()[0])


def migrate(connection: PostgresConnection, steps: Sequence[str] | None = None) -> int:
    """Bring a database to the newest version, each step in a transaction of its own; the version that it has then.

    Raises:
        StoreFailed: it is another program's, from a kodo that is newer by more than one version, or not what its version says.
        psycopg.Error: a step failed; the database is at the version before it.
    """
    steps = migrations() if steps is None else steps
    while True:
        with connection.raw.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(?)", (MIGRATING,))
            found = _checked(connection, len(steps))
            if found >= len(steps):
                return found
            if found == 0:
                connection.raw.execute(
                    "CREATE TABLE kodo_schema (version INTEGER PRIMARY KEY, at TIMESTAMPTZ NOT NULL DEFAULT now())"
                )
            connection.raw.execute("SET LOCAL statement_timeout = 0")
            try:
                connection.raw.execute(steps[found].encode())
            except psycopg.ProgrammingError as error:  # a table or column is not there, or there already
                raise StoreFailed(
                    f"The database says that it has schema {found} of kodo, and does not take the step to {found + 1} of "
                    f"{len(steps)} ({error.diag.message_primary}): it was made by a version that was never released, or "
                    "changed by hand. Use a backup of it, or another database."
                ) from error
            connection.execute("INSERT INTO kodo_schema (version) VALUES (?)", (found + 1,))


def _checked(connection: PostgresConnection, newest: int) -> int:
    found = version(connection)
    if not found and connection.execute("SELECT to_regclass('responses') IS NOT NULL").fetchone()[0]:
        raise StoreFailed("The database has a table 'responses' that was not made by kodo: use another one.")
    if found > newest + AHEAD:
        raise StoreFailed(
            f"The database is from a newer kodo (schema {found}, this one knows {newest}). Upgrade this server."
        )
    return found
