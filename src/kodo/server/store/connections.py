"""How the database file is opened, for the one writer and for readers; the only place with SQLite settings."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from kodo.server.store.sql import SQLITE, Dialect

DATABASE = "kodo.db"
LOCK = "kodo.lock"
BUSY_SECONDS = 5.0
"""How long to wait for another process that writes (``kodo keys create`` beside the server)."""

MAX_PAGES = 2000
"""Free pages that one transaction returns to the file system, so that other writers wait a few milliseconds at most."""


class SqliteConnection(sqlite3.Connection):
    """A connection as ``SqlConnection`` has it."""

    dialect: Final[Dialect] = SQLITE
    put_off: list[Any] | None = None

    def changed(self, cursor: sqlite3.Cursor, /) -> bool:
        """See ``SqlConnection``: known at once."""
        return cursor.rowcount > 0


def open_writer(home: Path) -> SqliteConnection:
    """A connection that writes; the file is made if it is not there, readable by its user only.

    Raises:
        sqlite3.Error, OSError: it cannot be opened.
    """
    path = home / DATABASE
    # O_EXCL: closing a descriptor of a file that this process has open would drop SQLite's locks on it
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = _connect(path, "rw")
    try:
        connection.execute(
            "PRAGMA auto_vacuum = INCREMENTAL"
        )  # before the first table: prune gives pages back
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")  # it shrinks behind a large write
        connection.execute("PRAGMA secure_delete = FAST")  # what is deleted is overwritten where that is free
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_reader(home: Path) -> SqliteConnection:
    """A connection that cannot write. The file must be there."""
    return _connect(home / DATABASE, "ro")


def release_pages(connection: sqlite3.Connection) -> int:
    """Return up to ``MAX_PAGES`` free pages to the file system; the number of free pages left."""
    connection.execute(
        f"PRAGMA incremental_vacuum({MAX_PAGES})"
    ).fetchall()  # frees one page a row that is fetched
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def bytes_on_disk(home: Path) -> int:
    """Bytes on disk, including the write-ahead log."""
    files = (home / f"{DATABASE}{suffix}" for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _connect(path: Path, mode: str) -> SqliteConnection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,  # transactions begin and end where the code says so
        check_same_thread=False,  # made in one thread, then used in one other at a time
        cached_statements=256,
        factory=SqliteConnection,
    )
