"""The store in one SQLite file.

It puts the parts together: the writer thread, the reading connections, the lock, the migrations. Every method of the port
is in :mod:`kodo.server.store.sql_store`.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import KeyRow
from kodo.server.store import activity, connections, documents, retention, schema
from kodo.server.store.connections import SqliteConnection
from kodo.server.store.failures import translate
from kodo.server.store.file_guard import FileGuard
from kodo.server.store.key_memory import ChangeMark, KeyMemory
from kodo.server.store.lock import Lock
from kodo.server.store.readers import Readers, snapshot
from kodo.server.store.search_index import SqliteSearchIndex
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sql_store import SqlStore
from kodo.server.store.writer import Writer

T = TypeVar("T")


class SqliteStore(SqlStore):
    """``Store`` in ``<home>/kodo.db``. Used inside one event loop, between :meth:`open` and :meth:`close`.

    ``exclusive``: this process is the only server. A tool beside a running server opens it with False.
    """

    def __init__(self, home: Path, *, exclusive: bool = True) -> None:
        super().__init__()
        self._home = home
        self._exclusive = exclusive
        self._lock = Lock(home / connections.LOCK)
        self._keys_changed = ChangeMark(home / "keys-changed")
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self.search_index = SqliteSearchIndex(
            write=self._write, row=self._read_row, rows=self._read_rows, snapshot=self._snapshot
        )

    # --- opening and closing ---

    async def open(self) -> None:
        """Open, migrate and lock; delete the idempotency claims that a crash left. Raises StoreFailed."""
        try:
            connection = await asyncio.to_thread(self._prepare)
            self._readers = Readers(partial(connections.open_reader, self._home))
            self._writer = Writer(connection, guard=self._guard(), add_up=activity.add_up)
        except (sqlite3.Error, OSError, StoreFailed) as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise translate(error) from error
            if isinstance(error, OSError):
                raise StoreFailed(f"KODO_HOME cannot be used: {error.strerror}.") from error
            raise

    def _guard(self) -> FileGuard:
        """Of the files that must stay; its own lock, where it has one, too."""
        names = (connections.DATABASE, f"{connections.DATABASE}-wal")
        return FileGuard(self._home / name for name in (*names, *((connections.LOCK,) * self._exclusive)))

    def _prepare(self) -> SqliteConnection:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._exclusive:
            self._lock.take()
        connection = connections.open_writer(self._home)
        try:
            steps = schema.migrations()
            found = schema.check(connection, len(steps))
            schema.check_tables(connection, steps, found)
            if found < len(steps):
                if not self._exclusive:
                    self._lock.take()  # a server of the older version may be running
                schema.migrate(connection, steps)
            if self._exclusive:
                documents.delete_open_claims(connection)
        except (sqlite3.Error, StoreFailed):
            connection.close()
            raise
        if not self._exclusive:
            self._lock.release()
        return connection

    async def close(self) -> None:
        """Write what is queued, and release all resources. May be called twice."""
        if self._readers is not None:
            await self._readers.close()
            self._readers = None
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        self._lock.release()

    async def _write(self, work: Callable[[SqlConnection], T], *, durable: bool = True) -> T:
        return await self._run(work, durable=durable)

    async def _run(self, work: Callable[[SqliteConnection], T], *, durable: bool = True) -> T:
        if self._writer is None:
            raise StoreFailed("The store is not open.")
        return await self._writer.run(work, durable=durable)

    @property
    def _read(self) -> Readers:
        if self._readers is None:
            raise StoreFailed("The store is not open.")
        return self._readers

    async def _read_row(self, read: Callable[[SqlConnection], T]) -> T:
        return self._read.run_inline(read)

    async def _read_rows(self, read: Callable[[SqlConnection], T]) -> T:
        return await self._read.run_in_thread(read)

    def _current_keys(self) -> KeyMemory | None:
        if not self._exclusive:
            return None
        if self._keys_changed.moved():
            self._key_memory.forget()
        return self._key_memory

    async def put_key(self, row: KeyRow) -> None:
        """See ``Store``. A server of this home, which may be another process, hears of it before this returns."""
        await super().put_key(row)
        self._key_memory.forget()
        await self._keys_changed.add()

    def _snapshot(self, connection: SqlConnection) -> AbstractContextManager[None]:
        return snapshot(connection)

    async def _release(self) -> None:
        """Give free pages back; they stay in a database that was made without the setting for it, such as a restored dump."""
        before, left = math.inf, await self._run(connections.release_pages, durable=False)
        while 0 < left < before:
            before, left = left, await self._run(connections.release_pages, durable=False)

    async def stats(self) -> dict[str, Any]:
        """See ``Store``."""
        counts = await self._read_rows(retention.count)
        return {
            "rows": counts,
            "bytes": connections.bytes_on_disk(self._home),
            "schema": self._read.run_inline(schema.version),
        }
