"""The database's shape, and how an older one is brought up to it.

``migrations/NNNN_name.sql`` brings version NNNN-1 to NNNN; a released file never changes again. The version stands in
SQLite's own ``user_version``. This module does not know what the tables mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files

from kodo.server.lifecycle.errors import StoreFailed

APPLICATION_ID = 0x6B6F646F
"""``kodo`` in ASCII, in the file's header: another program's database is not taken for ours."""


def migrations(folder: str = "migrations") -> Sequence[str]:
    """The SQL of every migration in a folder of this package, the first one first.

    Raises:
        RuntimeError: their numbers have a gap.
    """
    found = sorted(
        (
            entry
            for entry in files("kodo.server.store").joinpath(folder).iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda entry: entry.name,
    )
    numbers = [int(entry.name.partition("_")[0]) for entry in found]
    if numbers != list(range(1, len(found) + 1)):
        raise RuntimeError(f"migrations are not numbered 1, 2, 3 …: {numbers}")
    return [entry.read_text(encoding="utf-8") for entry in found]


def version(connection: sqlite3.Connection) -> int:
    """The schema version of an open database; 0 is an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(connection: sqlite3.Connection, newest: int) -> int:
    """The version of a database that this program can work with or migrate.

    Raises:
        StoreFailed: it is another program's, or from a newer kodo.
    """
    found = version(connection)
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application != APPLICATION_ID and tables:
        raise StoreFailed(f"{_file(connection)} was not made by kodo: use another KODO_HOME.")
    if found > newest:
        raise StoreFailed(
            f"{_file(connection)} is from a newer kodo (schema {found}, this one knows {newest}). "
            "Use that version, or another KODO_HOME."
        )
    return found


def check_tables(connection: sqlite3.Connection, steps: Sequence[str], found: int) -> None:
    """Check that a database has the tables and columns of the version that it says it has.

    Raises:
        StoreFailed: it has not: a version that was never released made it, or a hand changed it.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for step in steps[:found]:
            model.executescript(step)
        wanted, there = _columns(model), _columns(connection)
    missing = sorted(wanted - there)
    if missing:
        table, column = missing[0]
        raise StoreFailed(
            f"{_file(connection)} says that it has schema {found}, and has no column {table}.{column}: it was made by a "
            f"version of kodo that was never released, or changed by hand. This kodo knows schema 1 to {len(steps)}. "
            "Use a backup of the file, or another KODO_HOME."
        )


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Every table with each of its columns."""
    return set(
        connection.execute(
            "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        )
    )


def _file(connection: sqlite3.Connection) -> str:
    """The file of a database, for messages to the operator."""
    return str(connection.execute("PRAGMA database_list").fetchone()[2])


def migrate(connection: sqlite3.Connection, steps: Sequence[str] | None = None) -> None:
    """Bring a database to the newest version, each step in a transaction of its own. ``steps``: default, all there are.

    Raises:
        StoreFailed: see :func:`check`.
        sqlite3.Error: a step failed; the database is at the version before it.
    """
    steps = migrations() if steps is None else steps
    for number in range(check(connection, len(steps)) + 1, len(steps) + 1):
        # executescript commits what is open before it starts, so the transaction is part of the script
        script = f"BEGIN IMMEDIATE;\n{steps[number - 1]}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\nCOMMIT;"
        try:
            connection.executescript(script)
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
