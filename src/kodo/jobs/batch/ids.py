"""A set of custom_ids that stays small in memory however many there are."""

from __future__ import annotations

import sqlite3


class IdSet:
    """Strings seen so far, in a private temporary SQLite database that spills to disk beyond its 2 MB cache.

    A Python set of 50,000 ids takes some 6 MB and grows with the file; this does not. An empty file name makes
    SQLite create the database as an unlinked temporary file, so a killed process leaves nothing behind. Any thread
    may use it, one at a time.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._size = 0

    def add(self, value: str) -> bool:
        """Remember ``value``; False if it was there already."""
        added = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (value,)).rowcount == 1
        self._size += added
        return added

    def __contains__(self, value: str) -> bool:
        return self._db.execute("SELECT 1 FROM seen WHERE id = ?", (value,)).fetchone() is not None

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        """Free the memory and the temporary file."""
        self._db.close()
