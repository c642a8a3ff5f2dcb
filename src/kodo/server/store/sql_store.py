"""``Store`` as SQL, whatever database runs it: every method of the port, as one call of the functions of a connection.

``SqliteStore`` and ``PostgresStore`` say how a function gets its connection, and add what their database alone has. The
SQL is in ``responses``, ``items``, ``documents`` and ``retention``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import (
    DocumentRow,
    ItemRow,
    KeyCharge,
    KeyRow,
    KeySpending,
    Page,
    ReplayRow,
    ResponseRow,
    RetentionRule,
    Unless,
)
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store import activity, documents, responses, retention, spending
from kodo.server.store import items as items_sql
from kodo.server.store.activity_reader import SqlActivityReader
from kodo.server.store.context_cache import CachedContext, ContextCache
from kodo.server.store.key_memory import KeyMemory
from kodo.server.store.sql import SqlConnection

T = TypeVar("T")


class SqlStore(Store, ABC):
    """The port over three ways to run a function of a connection."""

    def __init__(self) -> None:
        self._contexts = ContextCache()
        self._key_memory = KeyMemory()
        self.activity = SqlActivityReader(self._read_rows)

    # --- what a database adds ---

    @abstractmethod
    async def _write(self, work: Callable[[SqlConnection], T], *, durable: bool = True) -> T:
        """Run ``work`` in a transaction and return its result when it is committed. It may be run again after a
        rollback."""

    @abstractmethod
    async def _read_row(self, read: Callable[[SqlConnection], T]) -> T:
        """Read a few rows by key."""

    @abstractmethod
    async def _read_rows(self, read: Callable[[SqlConnection], T]) -> T:
        """Read any number of rows."""

    @abstractmethod
    def _snapshot(self, connection: SqlConnection) -> AbstractContextManager[None]:
        """Several statements that see one and the same commit."""

    @abstractmethod
    def _current_keys(self) -> KeyMemory | None:
        """What is remembered of keys, without what has changed meanwhile; None where this store hears of no changes."""

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
        return await self._read_row(lambda connection: responses.get(connection, owner, response_id))

    async def response_items(
        self, owner: str, response_id: str
    ) -> tuple[Sequence[ItemRow], Sequence[ItemRow]]:
        """See ``Store``."""

        def read(connection: SqlConnection) -> tuple[Sequence[ItemRow], Sequence[ItemRow]]:
            with self._snapshot(connection):
                seq = responses.find(connection, owner, response_id)
                if seq is None:
                    return (), ()
                return (
                    items_sql.items_of_response(connection, seq, output=False),
                    items_sql.items_of_response(connection, seq, output=True),
                )

        return await self._read_row(read)

    async def read_log(self, response_id: str, after: int = -1) -> Sequence[bytes]:
        """See ``Store``."""
        return await self._read_rows(lambda connection: responses.read_log(connection, response_id, after))

    async def chain(self, owner: str, response_id: str) -> Sequence[ContextItem] | None:
        """See ``Store``. A turn whose parent's context is in memory reads one response; else the whole chain is read."""

        def last(connection: SqlConnection) -> tuple[responses.Link | None, CachedContext | None]:
            with self._snapshot(connection):
                link = responses.link(connection, owner, response_id)
                if link is None or link.broken:
                    return link, None
                context = self._contexts.peek(link.id)
                if context is None:
                    start = CachedContext() if link.parent is None else self._contexts.peek(link.parent)
                    if start is not None:
                        found = responses.context_items(connection, link.seq, below=link.seq)
                        context = start.extended(*found)
                return link, context

        link, context = await self._read_row(last)
        if link is None or link.broken:
            return None
        if context is None:
            context = await self._read_rows(lambda connection: self._walk(connection, link))
        if context is not None and link.final:
            self._contexts.put(link.id, context, parent=link.parent)
        return None if context is None else context.items

    def _walk(self, connection: SqlConnection, link: responses.Link) -> CachedContext | None:
        """The context from the nearest ancestor in memory downwards, in a thread. None if the chain has a hole."""
        with self._snapshot(connection):
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
        return await self._read_rows(responses.unfinished)

    # --- conversations and documents ---

    async def put_document(self, row: DocumentRow) -> None:
        """See ``Store``."""
        await self._write(lambda connection: documents.put(connection, row))

    async def update_document(self, row: DocumentRow, *, release: bool = False) -> None:
        """See ``Store``."""
        await self._write(lambda connection: documents.update(connection, row, release=release))

    async def get_document(self, kind: str, owner: str, document_id: str) -> DocumentRow | None:
        """See ``Store``."""
        return await self._read_row(lambda connection: documents.get(connection, kind, owner, document_id))

    async def list_documents(
        self, kind: str, owner: str, page: Page, *, parent: str | None = None
    ) -> tuple[Sequence[DocumentRow], bool]:
        """See ``Store``."""

        def read(connection: SqlConnection) -> tuple[Sequence[DocumentRow], bool]:
            with self._snapshot(connection):
                return documents.list_page(connection, kind, owner, parent, page)

        return await self._read_row(read)

    async def delete_document(self, kind: str, owner: str, document_id: str) -> bool:
        """See ``Store``."""
        return await self._write(lambda connection: documents.delete(connection, kind, owner, document_id))

    async def unfinished_documents(self, kind: str, statuses: Sequence[str]) -> Sequence[DocumentRow]:
        """See ``Store``."""
        return await self._read_rows(lambda connection: documents.unfinished(connection, kind, statuses))

    async def documents_before(
        self, kind: str, statuses: Sequence[str], before: float
    ) -> Sequence[DocumentRow]:
        """See ``Store``."""
        return await self._read_rows(
            lambda connection: documents.created_before(connection, kind, statuses, before)
        )

    async def append_items(
        self,
        owner: str,
        container: str,
        items: Sequence[ItemRow],
        new: Sequence[DocumentRow] = (),
        *,
        unless: Unless | None = None,
        changed: Sequence[DocumentRow] = (),
        take: DocumentRow | None = None,
    ) -> None:
        """See ``Store``."""

        def append(connection: SqlConnection) -> None:
            items_sql.append(connection, owner, container, items)
            documents.check_unless(connection, owner, container, unless)
            for row in new:
                documents.put(connection, row)
            for row in changed:
                documents.update(connection, row)
            if take is not None:
                documents.take(connection, take)

        await self._write(append)

    async def list_items(self, owner: str, container: str, page: Page) -> tuple[Sequence[ItemRow], bool]:
        """See ``Store``."""

        def read(connection: SqlConnection) -> tuple[Sequence[ItemRow], bool]:
            with self._snapshot(connection):
                return items_sql.list_page(connection, owner, container, page)

        return await self._read_row(read)

    async def get_item(self, owner: str, container: str | None, item_id: str) -> ItemRow | None:
        """See ``Store``."""
        return await self._read_row(lambda connection: items_sql.get(connection, owner, container, item_id))

    async def delete_item(
        self, owner: str, container: str, item_id: str, *, unless: Unless | None = None
    ) -> bool:
        """See ``Store``."""

        def delete(connection: SqlConnection) -> bool:
            deleted = items_sql.delete(connection, owner, container, item_id)
            documents.check_unless(connection, owner, container, unless)
            return deleted

        return await self._write(delete)

    async def all_items(self, owner: str, container: str) -> Sequence[ContextItem]:
        """See ``Store``. What is new since the last call is read; all of it, if an item was taken out or none is held."""

        def new(connection: SqlConnection) -> tuple[str, int, CachedContext | None]:
            with self._snapshot(connection):
                found = items_sql.get_container(connection, owner, container)
                name = f"conversation {found.seq} after {found.removals} removals"
                context = self._contexts.peek(name)
                if context is not None:
                    more = items_sql.of_conversation(connection, found.seq, behind=context.end)
                    context = context.extended(*more)
                return name, found.seq, context

        name, seq, context = await self._read_row(new)
        if context is None:
            context = CachedContext().extended(
                *await self._read_rows(lambda connection: items_sql.of_conversation(connection, seq))
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
        return await self._read_row(documents.keys)

    async def has_keys(self) -> bool:
        """See ``Store``."""
        return await self._key(documents.has_keys, "")

    async def key(self, key_id: str) -> KeyRow | None:
        """See ``Store``."""
        return await self._key(lambda connection: documents.key(connection, key_id), key_id)

    async def key_by_hash(self, hash_: bytes) -> KeyRow | None:
        """See ``Store``."""
        return await self._key(lambda connection: documents.key_by_hash(connection, hash_), hash_)

    async def _key(self, read: Callable[[SqlConnection], T], name: str | bytes) -> T:
        memory = self._current_keys()
        if memory is None:
            return await self._read_row(read)
        known: T | None = memory.known(name)
        return known if known is not None else await memory.read(name, lambda: self._read_row(read))

    async def put_key(self, row: KeyRow) -> None:
        """See ``Store``."""
        await self._write(lambda connection: documents.put_key(connection, row))

    async def charge_key(self, charge: KeyCharge) -> None:
        """See ``Store``."""
        await self._write(lambda connection: spending.add(connection, charge))

    async def key_spending(self, key_id: str, since: int) -> Mapping[int, KeySpending]:
        """See ``Store``."""
        return await self._read_row(lambda connection: spending.read(connection, key_id, since))

    # --- retention ---

    async def prune(
        self, before: float, *, rules: Sequence[RetentionRule] = (), replays: float | None = None
    ) -> dict[str, int]:
        """See ``Store``. In small transactions: others write in between."""
        names = await self._read_rows(lambda connection: retention.expired_responses(connection, before))
        counts = {"responses": await self._delete_in_chunks(retention.prune_responses, names)}
        for which in rules:
            names = await self._read_rows(partial(retention.expired_documents, rule=which))
            delete = partial(retention.prune_documents, rule=which)
            counts[which.kind] = await self._delete_in_chunks(delete, names)
        limit = before if replays is None else replays
        counts["replays"] = await self._write(lambda connection: retention.prune_replays(connection, limit))
        await self._write(activity.forget_minutes)
        await self._release()
        return counts

    @abstractmethod
    async def _release(self) -> None:
        """Give back the room of what was pruned."""

    async def _delete_in_chunks(self, delete: Callable[..., int], names: Sequence[tuple[str, str]]) -> int:
        deleted = 0
        for start in range(0, len(names), retention.MAX_OBJECTS):
            chunk = names[start : start + retention.MAX_OBJECTS]
            deleted += await self._write(partial(delete, names=chunk))
        return deleted
