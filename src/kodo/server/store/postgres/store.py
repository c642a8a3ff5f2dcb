"""The store in a PostgreSQL database, which several servers may share.

It puts the parts together: the writing and the reading connections, the migrations, the node's lease. Every method of the
port is in :mod:`kodo.server.store.sql_store`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from typing import Any, Final, TypeVar

import psycopg

from kodo.server.lifecycle.cluster import WORK
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import (
    DocumentRow,
    ItemRow,
    KeyRow,
    LimitUse,
    ResponseRow,
    SharedLimits,
    Unless,
)
from kodo.server.store import documents, retention
from kodo.server.store.key_memory import KeyMemory
from kodo.server.store.postgres import connections, limits, ownership, schema
from kodo.server.store.postgres.failures import refusal, translate
from kodo.server.store.postgres.lease import LeaseKeeper, patience
from kodo.server.store.postgres.news import CHANNEL, EVERYBODY, PostgresNews
from kodo.server.store.postgres.readers import PostgresReaders
from kodo.server.store.postgres.search_index import PostgresSearchIndex
from kodo.server.store.postgres.writer import THREADS, PostgresWriter
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sql_store import SqlStore

T = TypeVar("T")


def _mailbox(epoch: int) -> str:
    """The name under which a node hears that it was asked something."""
    return f"node-{epoch}"


def _table(kind: str) -> str:
    return "responses" if kind.partition(".")[0] == "response" else "documents"


logger = logging.getLogger(__name__)
KEYS: Final = "keys"
"""The news that a key was made or revoked."""
LEASE_SECONDS: Final = 15.0
"""A node that does not renew its lease for so long is taken for dead, and its work goes on elsewhere."""


class PostgresStore(SqlStore):
    """``Store`` in the database at ``url``. Used inside one event loop, between :meth:`open` and :meth:`close`.

    ``role``: ``all``, ``api``, ``worker``, or ``tool`` for a command that runs no work. ``folder``: the id of the folder of files
    that this server sees, for those who look whether all see the same.
    """

    def __init__(
        self,
        url: str,
        *,
        role: str = "all",
        lease_seconds: float = LEASE_SECONDS,
        folder: str | None = None,
    ) -> None:
        super().__init__()
        self._url = url
        self._role = role
        self._folder = folder
        self._lease_seconds = lease_seconds
        self._writer: PostgresWriter | None = None
        self._readers: PostgresReaders | None = None
        self._lease: LeaseKeeper | None = None
        self._news: PostgresNews | None = None
        self._departures = -1
        self._unsure = False
        """Whether a write that was called failed may have been kept, since this was last looked at."""
        self.shared = True
        self.search_index = PostgresSearchIndex(write=self._write, read=self._read, snapshot=self._snapshot)
        self.epoch = ownership.NOBODY
        """This node's number among all there ever were; 0 while the store is not open."""
        self.fenced = asyncio.Event()
        """Set once another node has taken this one for dead."""

    # --- opening and closing ---

    async def open(self) -> None:
        """Connect, migrate, and become a node. Raises StoreFailed."""
        loop = asyncio.get_running_loop()

        def fenced() -> None:
            loop.call_soon_threadsafe(self.fenced.set)

        try:
            self.epoch = await asyncio.to_thread(self._prepare)
        except psycopg.Error as error:
            raise StoreFailed(f"{refusal(error)} ({connections.shown(self._url)})") from error
        self._lease = LeaseKeeper(
            partial(connections.connect, self._url, role="lease"), self.epoch, self._lease_seconds, fenced
        )
        self._readers = PostgresReaders(self._url)
        if self._role != "tool":
            self._news = PostgresNews(partial(connections.connect, self._url, role="news"), self._hear)
        self._writer = PostgresWriter(
            lambda slot: connections.connect(self._url, epoch=self.epoch, slot=slot),
            self.epoch,
            fenced=fenced,
            unsure=self._note_unsure,
        )

    def _note_unsure(self) -> None:
        self._unsure = True

    def _prepare(self) -> int:
        connection = connections.connect(self._url, role="start")
        try:
            schema.migrate(connection)
            with connection.raw.transaction():
                ownership.remove_expired(connection, patience(self._lease_seconds))
                name = f"{socket.gethostname()}:{os.getpid()}"
                return ownership.register(
                    connection,
                    name,
                    self._role,
                    version("kodo"),
                    self._lease_seconds,
                    THREADS,
                    self._folder,
                )
        finally:
            connection.raw.close()

    async def close(self) -> None:
        """Write what is queued, hand over what is unfinished, and release all resources. May be called twice."""
        if self._news is not None:
            await asyncio.to_thread(self._news.stop)
            self._news = None
        if self._readers is not None:
            await self._readers.close()
            self._readers = None
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        if self._lease is not None:
            await asyncio.to_thread(self._lease.stop)
            self._lease = None
            await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        try:
            connection = connections.connect(self._url, role="stop")
            try:
                with connection.raw.transaction():
                    ownership.leave(connection, self.epoch)
            finally:
                connection.raw.close()
        except psycopg.Error as error:
            logger.warning("the node could not sign off: %s", translate(error).message)

    # --- how a function gets its connection ---

    async def _write(self, work: Callable[[SqlConnection], T], *, durable: bool = True) -> T:
        if self._writer is None:
            raise StoreFailed("The store is not open.")
        return await self._writer.run(work, durable=durable)

    async def _read(self, read: Callable[[SqlConnection], T]) -> T:
        if self._readers is None:
            raise StoreFailed("The store is not open.")
        return await self._readers.run(read)

    async def _read_row(self, read: Callable[[SqlConnection], T]) -> T:
        return await self._read(read)

    async def _read_rows(self, read: Callable[[SqlConnection], T]) -> T:
        return await self._read(read)

    def _snapshot(self, connection: SqlConnection) -> AbstractContextManager[None]:
        return connections.snapshot(connection)

    # --- what is this node's ---

    async def unfinished(self) -> Sequence[ResponseRow]:
        """See ``Store``: of this node, and those that no living node has, which are its own from now on."""
        background = self._role != "api"
        await self._write(
            lambda connection: ownership.adopt_responses(connection, self.epoch, background=background)
        )
        return await self._read(
            lambda connection: ownership.own_responses(connection, self.epoch, background=background)
        )

    async def unfinished_documents(self, kind: str, statuses: Sequence[str]) -> Sequence[DocumentRow]:
        """See ``Store``: of this node, and those that no living node has, which are its own from now on."""
        await self._write(
            lambda connection: ownership.adopt_documents(connection, self.epoch, kind, statuses)
        )
        return await self._read(
            lambda connection: documents.unfinished(connection, kind, statuses, self.epoch)
        )

    async def work_is_left(self) -> bool:
        """See ``SharedStore``. Nodes whose lease is over are removed on the way."""
        removed: Sequence[int] = ()
        if self._lease is not None and self._lease.may_judge:
            waited = patience(self._lease_seconds)
            removed = await self._write(lambda connection: ownership.remove_expired(connection, waited))
        if removed:
            logger.warning("servers whose lease was over: %s; their work goes on elsewhere", removed)
        departures, left = await self._read(
            lambda connection: (ownership.departures(connection), ownership.is_left(connection))
        )
        changed, self._departures = departures != self._departures, departures
        unsure, self._unsure = self._unsure, False
        return left or changed or unsure

    async def hand_over(self, kind: str, id_: str) -> None:
        """See ``SharedStore``."""
        table = _table(kind)
        await self._write(lambda connection: ownership.hand_over(connection, self.epoch, table, id_))
        self._say(WORK)

    async def hand_over_all(self, kinds: Mapping[str, Sequence[str]], before: float) -> int:
        """See ``SharedStore``."""
        given = await self._write(
            lambda connection: ownership.hand_over_all(connection, self.epoch, kinds, before)
        )
        if given:
            self._say(WORK)
        return given

    async def ask_owner(self, kind: str, id_: str, body: bytes = b"") -> None:
        """See ``SharedStore``."""
        table = _table(kind)
        owner = await self._write(lambda connection: ownership.ask(connection, table, id_, kind, body))
        if owner is not None:
            self._say(_mailbox(owner))

    async def requests(self) -> Sequence[tuple[str, str, bytes]]:
        """See ``SharedStore``."""
        if not await self._read(lambda connection: ownership.has_requests(connection, self.epoch)):
            return ()
        return await self._write(lambda connection: ownership.take_requests(connection, self.epoch))

    async def wait_for_news(self, name: str, seconds: float) -> None:
        """See ``SharedStore``."""
        if self._news is None:
            await asyncio.sleep(seconds)
        else:
            await self._news.wait(name or _mailbox(self.epoch), seconds)

    async def cut_off(self) -> None:
        """See ``SharedStore``."""
        await self.fenced.wait()

    async def share_limits(self, account: str, use: LimitUse) -> SharedLimits | None:
        """See ``SharedStore``."""
        return await self._read(lambda connection: limits.share(connection, self.epoch, account, use))

    async def servers(self) -> Sequence[dict[str, Any]]:
        """See ``SharedStore``."""
        return [
            {"name": name, "role": role, "age": age, "lease": lease, "self": epoch == self.epoch}
            for epoch, name, role, age, lease in await self._read(ownership.living)
        ]

    # --- keys ---

    def _current_keys(self) -> KeyMemory | None:
        return None if self._news is None else self._key_memory

    async def put_key(self, row: KeyRow) -> None:
        """See ``Store``. The others hear of it with the commit; this is too rare for the lock that NOTIFY takes to matter."""

        def put(connection: SqlConnection) -> None:
            documents.put_key(connection, row)
            connection.execute("SELECT pg_notify(?, ?)", (CHANNEL, KEYS))

        await self._write(put)
        self._hear(KEYS)

    def _hear(self, name: str) -> None:
        if name in (KEYS, EVERYBODY):
            self._key_memory.forget()

    def _say(self, name: str) -> None:
        if self._news is not None:
            self._news.say(name)

    # --- what other nodes wait for ---

    async def append_log(self, response_id: str, first: int, entries: Sequence[bytes]) -> None:
        """See ``Store``."""
        await super().append_log(response_id, first, entries)
        self._say(response_id)

    async def finish_response(
        self, row: ResponseRow, output: Sequence[ItemRow], *, log: tuple[int, Sequence[bytes]] | None = None
    ) -> None:
        """See ``Store``."""
        await super().finish_response(row, output, log=log)
        self._say(row.id)

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """See ``Store``."""
        deleted = await super().delete_response(owner, response_id)
        self._say(response_id)
        return deleted

    async def update_document(self, row: DocumentRow, *, release: bool = False) -> None:
        """See ``Store``."""
        await super().update_document(row, release=release)
        if row.status is not None:
            self._say(row.id)

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
        await super().append_items(owner, container, items, new, unless=unless, changed=changed, take=take)
        if take is not None:
            self._say(take.id)

    # --- housekeeping ---

    async def _release(self) -> None:
        await self._write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM items WHERE response IS NULL AND conversation IS NULL"
                ).rowcount
            )
        )

    async def stats(self) -> dict[str, Any]:
        """See ``Store``."""
        return {
            "rows": await self._read(retention.count),
            "bytes": await self._read(
                lambda connection: connection.execute(
                    "SELECT pg_database_size(current_database())"
                ).fetchone()[0]
            ),
            "schema": await self._read(schema.version),
        }
