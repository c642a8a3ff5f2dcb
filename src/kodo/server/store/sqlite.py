"""The store in one SQLite file.

It puts the parts together: the writer thread, the reading connections, the lock, the migrations, the contexts in
memory. The SQL itself is in `responses`, `items`, `documents` and `retention`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import (
    DocumentRow,
    ItemRow,
    KeyRow,
    Page,
    ReplayRow,
    ResponseRow,
    RetentionRule,
)
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store import connections, documents, responses, retention, schema
from kodo.server.store import items as items_sql
from kodo.server.store.context_cache import CachedContext, ContextCache
from kodo.server.store.failures import translate
from kodo.server.store.lock import Lock
from kodo.server.store.readers import Readers, snapshot
from kodo.server.store.search_index import SqliteSearchIndex
from kodo.server.store.writer import Writer

T = TypeVar("T")


class SqliteStore(Store):
    """``Store`` in ``<home>/kodo.db``. Used inside one event loop, between :meth:`open` and :meth:`close`.

    ``exclusive``: this process is the only server. A tool beside a running server opens it with False.
    """

    def __init__(self, home: Path, *, exclusive: bool = True) -> None:
        self._home = home
        self._exclusive = exclusive
        self._lock = Lock(home / connections.LOCK)
        self._contexts = ContextCache()
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self.search_index = SqliteSearchIndex(self._write, lambda: self._read)

    # --- opening and closing ---

    async def open(self) -> None:
        """Open, migrate and lock; delete the idempotency claims that a crash left. Raises StoreFailed."""
        try:
            connection = await asyncio.to_thread(self._prepare)
            self._readers = Readers(partial(connections.open_reader, self._home))
            self._writer = Writer(connection)
        except (sqlite3.Error, OSError, StoreFailed) as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise translate(error) from error
            if isinstance(error, OSError):
                raise StoreFailed(f"KODO_HOME cannot be used: {error.strerror}.") from error
            raise

    def _prepare(self) -> sqlite3.Connection:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._exclusive:
            self._lock.take()
        connection = connections.open_writer(self._home)
        try:
            steps = schema.migrations()
            if schema.check(connection, len(steps)) < len(steps):
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

    async def _write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        if self._writer is None:
            raise StoreFailed("The store is not open.")
        return await self._writer.run(work, durable=durable)

    @property
    def _read(self) -> Readers:
        if self._readers is None:
            raise StoreFailed("The store is not open.")
        return self._readers

    # --- responses ---

    async def create_response(self, row: ResponseRow, items: Sequence[ItemRow]) -> None:
        """See ``Store``."""
        await self._write(lambda connection: responses.create(connection, row, items))

    async def append_log(self, response_id: str, first: int, entries: Sequence[bytes]) -> None:
        """See ``Store``."""
        await self._write(
            lambda connection: responses.append_log(connection, response_id, first, entries), durable=False
        )

    async def finish_response(
        self, row: ResponseRow, output: Sequence[ItemRow], *, log: tuple[int, Sequence[bytes]] | None = None
    ) -> None:
        """See ``Store``."""
        await self._write(lambda connection: responses.finish(connection, row, output, log))

    async def store_response(
        self,
        row: ResponseRow,
        inputs: Sequence[ItemRow],
        output: Sequence[ItemRow],
        *,
        log: tuple[int, Sequence[bytes]] | None = None,
    ) -> None:
        """See ``Store``."""
        await self._write(lambda connection: responses.store(connection, row, inputs, output, log))

    async def get_response(self, owner: str, response_id: str) -> ResponseRow | None:
        """See ``Store``."""
        return self._read.run_inline(lambda connection: responses.get(connection, owner, response_id))

    async def response_items(
        self, owner: str, response_id: str
    ) -> tuple[Sequence[ItemRow], Sequence[ItemRow]]:
        """See ``Store``."""

        def read(connection: sqlite3.Connection) -> tuple[Sequence[ItemRow], Sequence[ItemRow]]:
            with snapshot(connection):
                seq = responses.find(connection, owner, response_id)
                if seq is None:
                    return (), ()
                return (
                    items_sql.items_of_response(connection, seq, output=False),
                    items_sql.items_of_response(connection, seq, output=True),
                )

        return self._read.run_inline(read)

    async def read_log(self, response_id: str, after: int = -1) -> Sequence[bytes]:
        """See ``Store``."""
        return await self._read.run_in_thread(
            lambda connection: responses.read_log(connection, response_id, after)
        )

    async def chain(self, owner: str, response_id: str) -> Sequence[ContextItem] | None:
        """See ``Store``. A turn whose parent's context is in memory reads one response; else the whole chain is read."""

        def last(connection: sqlite3.Connection) -> tuple[responses.Link | None, CachedContext | None]:
            with snapshot(connection):
                link = responses.link(connection, owner, response_id)
                if link is None or link.broken:
                    return link, None
                context = self._contexts.get(link.id)
                if context is None:
                    start = CachedContext() if link.parent is None else self._contexts.get(link.parent)
                    if start is not None:
                        found = responses.context_items(connection, link.seq, below=link.seq)
                        context = start.extended(*found)
                return link, context

        link, context = self._read.run_inline(last)
        if link is None or link.broken:
            return None
        if context is None:
            context = await self._read.run_in_thread(lambda connection: self._walk(connection, link))
        if context is not None and link.final:
            self._contexts.put(link.id, context, parent=link.parent)
        return None if context is None else context.items

    def _walk(self, connection: sqlite3.Connection, link: responses.Link) -> CachedContext | None:
        """The context from the nearest ancestor in memory downwards, in a thread. None if the chain has a hole."""
        with snapshot(connection):
            start, below = CachedContext(), 0
            for ancestor in responses.ancestry(connection, link.seq):
                held = self._contexts.peek(ancestor.id)
                if held is not None:
                    start, below = held, ancestor.seq
                    break
                if ancestor.broken:
                    return None
            return start.extended(*responses.context_items(connection, link.seq, below=below))

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """See ``Store``."""
        return await self._write(lambda connection: responses.delete(connection, owner, response_id))

    async def unfinished(self) -> Sequence[ResponseRow]:
        """See ``Store``."""
        return await self._read.run_in_thread(responses.unfinished)

    # --- conversations and documents ---

    async def put_document(self, row: DocumentRow) -> None:
        """See ``Store``."""
        await self._write(lambda connection: documents.put(connection, row))

    async def update_document(self, row: DocumentRow) -> None:
        """See ``Store``."""
        await self._write(lambda connection: documents.update(connection, row))

    async def get_document(self, kind: str, owner: str, document_id: str) -> DocumentRow | None:
        """See ``Store``."""
        return self._read.run_inline(lambda connection: documents.get(connection, kind, owner, document_id))

    async def list_documents(
        self, kind: str, owner: str, page: Page, *, parent: str | None = None
    ) -> tuple[Sequence[DocumentRow], bool]:
        """See ``Store``."""

        def read(connection: sqlite3.Connection) -> tuple[Sequence[DocumentRow], bool]:
            with snapshot(connection):
                return documents.list_page(connection, kind, owner, parent, page)

        return self._read.run_inline(read)

    async def delete_document(self, kind: str, owner: str, document_id: str) -> bool:
        """See ``Store``."""
        return await self._write(lambda connection: documents.delete(connection, kind, owner, document_id))

    async def unfinished_documents(self, kind: str, statuses: Sequence[str]) -> Sequence[DocumentRow]:
        """See ``Store``."""
        return await self._read.run_in_thread(
            lambda connection: documents.unfinished(connection, kind, statuses)
        )

    async def append_items(
        self, owner: str, container: str, items: Sequence[ItemRow], new: Sequence[DocumentRow] = ()
    ) -> None:
        """See ``Store``."""

        def append(connection: sqlite3.Connection) -> None:
            items_sql.append(connection, owner, container, items)
            for row in new:
                documents.put(connection, row)

        await self._write(append)

    async def list_items(self, owner: str, container: str, page: Page) -> tuple[Sequence[ItemRow], bool]:
        """See ``Store``."""

        def read(connection: sqlite3.Connection) -> tuple[Sequence[ItemRow], bool]:
            with snapshot(connection):
                return items_sql.list_page(connection, owner, container, page)

        return self._read.run_inline(read)

    async def get_item(self, owner: str, container: str | None, item_id: str) -> ItemRow | None:
        """See ``Store``."""
        return self._read.run_inline(lambda connection: items_sql.get(connection, owner, container, item_id))

    async def delete_item(self, owner: str, container: str, item_id: str) -> bool:
        """See ``Store``."""
        return await self._write(lambda connection: items_sql.delete(connection, owner, container, item_id))

    async def all_items(self, owner: str, container: str) -> Sequence[ContextItem]:
        """See ``Store``. What is new since the last call is read; all of it, if an item was taken out or none is held."""

        def new(connection: sqlite3.Connection) -> tuple[str, int, CachedContext | None]:
            with snapshot(connection):
                found = items_sql.get_container(connection, owner, container)
                name = f"conversation {found.seq} after {found.removals} removals"
                context = self._contexts.get(name)
                if context is not None:
                    more = items_sql.of_conversation(connection, found.seq, behind=context.end)
                    context = context.extended(*more)
                return name, found.seq, context

        name, seq, context = self._read.run_inline(new)
        if context is None:
            context = CachedContext().extended(
                *await self._read.run_in_thread(lambda connection: items_sql.of_conversation(connection, seq))
            )
        self._contexts.put(name, context)
        return context.items

    # --- idempotency ---

    async def claim_replay(self, owner: str, key: str, row: ReplayRow, *, expired: float) -> ReplayRow | None:
        """See ``Store``."""
        return await self._write(lambda connection: documents.claim(connection, owner, key, row, expired))

    async def settle_replay(self, owner: str, key: str, row: ReplayRow | None) -> None:
        """See ``Store``."""
        await self._write(lambda connection: documents.settle(connection, owner, key, row))

    # --- keys ---

    async def keys(self) -> Sequence[KeyRow]:
        """See ``Store``."""
        return self._read.run_inline(documents.keys)

    async def put_key(self, row: KeyRow) -> None:
        """See ``Store``."""
        await self._write(lambda connection: documents.put_key(connection, row))

    # --- retention ---

    async def prune(
        self, before: float, *, rules: Sequence[RetentionRule] = (), replays: float | None = None
    ) -> dict[str, int]:
        """See ``Store``. In small transactions: others write in between."""
        names = await self._read.run_in_thread(
            lambda connection: retention.expired_responses(connection, before)
        )
        counts = {"responses": await self._delete_in_chunks(retention.prune_responses, names)}
        for which in rules:
            names = await self._read.run_in_thread(partial(retention.expired_documents, rule=which))
            delete = partial(retention.prune_documents, kind=which.kind)
            counts[which.kind] = await self._delete_in_chunks(delete, names)
        limit = before if replays is None else replays
        counts["replays"] = await self._write(lambda connection: retention.prune_replays(connection, limit))
        release = partial(retention.release_pages, pages=retention.MAX_PAGES)
        while await self._write(release, durable=False):
            pass
        return counts

    async def _delete_in_chunks(self, delete: Callable[..., int], names: Sequence[tuple[str, str]]) -> int:
        deleted = 0
        for start in range(0, len(names), retention.MAX_OBJECTS):
            chunk = names[start : start + retention.MAX_OBJECTS]
            deleted += await self._write(partial(delete, names=chunk))
        return deleted

    async def stats(self) -> dict[str, Any]:
        """See ``Store``."""
        counts = await self._read.run_in_thread(retention.count)
        return {
            "rows": counts,
            "bytes": connections.bytes_on_disk(self._home),
            "schema": self._read.run_inline(schema.version),
        }
