"""What ``kodo doctor`` asks a database: who uses it, and whether it has what it needs. Nothing is written or migrated."""

from __future__ import annotations

import time
from typing import Final

import psycopg

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.database_report import DatabaseReport, ServerReport
from kodo.server.store.postgres import connections, readers, schema, writer
from kodo.server.store.postgres.failures import refusal, translate
from kodo.server.store.sql import SqlConnection

CONNECTIONS: Final = readers.THREADS + writer.THREADS + 3
"""That a server has at most: those that read and write, two for news, one for its lease."""


def inspect(url: str) -> DatabaseReport:
    """Look at the database at an address.

    Raises:
        StoreFailed: it cannot be reached, or refuses; the message says which database.
    """
    try:
        connection = connections.connect(url, role="doctor")
        try:
            return _inspect(connection, connections.shown(url))
        finally:
            connection.raw.close()
    except psycopg.OperationalError as error:
        raise StoreFailed(f"{refusal(error)} ({connections.shown(url)})") from error
    except psycopg.Error as error:
        raise translate(error) from error


def _inspect(connection: SqlConnection, place: str) -> DatabaseReport:
    asked = time.time()
    (now,) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    answered = time.time()
    found = schema.version(connection)
    version, used, most = connection.execute(
        "SELECT current_setting('server_version'), (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), "
        "current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    ).fetchone()
    vector = connection.execute(
        "SELECT coalesce(installed_version, '') FROM pg_available_extensions WHERE name = 'vector'"
    ).fetchone()
    return DatabaseReport(
        place=place,
        version=version.partition(" ")[0],
        schema=found,
        newest=len(schema.migrations()),
        ahead=schema.AHEAD,
        connections=used,
        max_connections=most,
        connections_each=CONNECTIONS,
        clock_ahead=now - (asked + answered) / 2,
        pgvector=None if vector is None else str(vector[0]),
        servers=_servers(connection) if found else (),
    )


def _servers(connection: SqlConnection) -> tuple[ServerReport, ...]:
    # by name: the schema may be older than this program, and have no column `folder`
    rows = connection.execute(
        "SELECT name, role, version, extract(epoch FROM clock_timestamp() - started_at)::float8, "
        "extract(epoch FROM lease_until - clock_timestamp())::float8, to_jsonb(n) ->> 'folder' "
        "FROM nodes n WHERE role <> 'tool' ORDER BY epoch"
    ).fetchall()
    return tuple(
        ServerReport(name=name, role=role, version=version, age=age, lease=lease, folder=folder)
        for name, role, version, age, lease, folder in rows
    )
