"""SQLite's errors, translated at one edge: whatever it raises leaves the store as ``StoreFailed``."""

from __future__ import annotations

import sqlite3

from kodo.server.lifecycle.errors import StoreFailed

_MESSAGES = {
    sqlite3.SQLITE_FULL: "The server's disk is full.",
    sqlite3.SQLITE_BUSY: "The server's database is locked by another process.",
    sqlite3.SQLITE_TOOBIG: "The object is too large to be stored.",
    sqlite3.SQLITE_CORRUPT: "The server's database is damaged.",
    sqlite3.SQLITE_NOTADB: "The file in KODO_HOME is not a database, or it is damaged.",
    sqlite3.SQLITE_READONLY: "The server's database is not writable.",
    sqlite3.SQLITE_CANTOPEN: "The server's database cannot be opened.",
    sqlite3.SQLITE_PERM: "The server has no permission to open its database.",
}

_EXTENDED = {
    sqlite3.SQLITE_IOERR_SHMSIZE: _MESSAGES[
        sqlite3.SQLITE_FULL
    ],  # the shared memory beside a WAL is a file too
}


def translate(error: sqlite3.Error) -> StoreFailed:
    """The ``StoreFailed`` for an SQLite error. Its message contains no SQL, path or value."""
    code = getattr(error, "sqlite_errorcode", None)  # only on errors that SQLite itself reported
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    message = None if code is None else _MESSAGES.get(code & 0xFF) or _EXTENDED.get(code)
    return StoreFailed(message or f"The server's database failed ({name}).")
