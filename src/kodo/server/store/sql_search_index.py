"""``SearchIndex`` as SQL, whatever database runs it: every method of the port but the search by vectors.

The SQL is in :mod:`kodo.server.store.search`.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.filters import AttributeValue, Filter
from kodo.server.lifecycle.retrieval.ports import FoundChunk, Hit, SearchIndex, TextChunk
from kodo.server.store import search
from kodo.server.store.search import SearchDialect
from kodo.server.store.sql import SqlConnection

T = TypeVar("T")


class RunSql(Protocol):
    """How a store runs a function of a connection."""

    async def __call__(self, work: Callable[[SqlConnection], T], /) -> T:
        """Run it and return its result."""


class SqlSearchIndex(SearchIndex, ABC):
    """See :class:`~kodo.server.lifecycle.retrieval.ports.SearchIndex`.

    ``write`` runs work in a transaction of the store, ``row`` reads a few rows, ``rows`` any number; ``snapshot`` has several
    statements see one and the same commit.
    """

    def __init__(
        self,
        dialect: SearchDialect,
        *,
        write: RunSql,
        row: RunSql,
        rows: RunSql,
        snapshot: Callable[[SqlConnection], AbstractContextManager[None]],
    ) -> None:
        self._dialect = dialect
        self._write = write
        self._row = row
        self._rows = rows
        self._snapshot = snapshot

    async def add_chunks(
        self, store: str, file: str, chunks: Sequence[TextChunk], *, held: DocumentRow | None = None
    ) -> None:
        """See ``SearchIndex``."""
        await self._write(lambda connection: search.add(connection, self._dialect, store, file, chunks, held))

    async def count_chunks(self, store: str, file: str) -> int:
        """See ``SearchIndex``."""
        return await self._row(lambda connection: search.count(connection, store, file))

    async def file_chunks(self, store: str, file: str) -> Sequence[TextChunk]:
        """See ``SearchIndex``."""
        return await self._rows(lambda connection: search.of_file(connection, store, file))

    async def set_attributes(
        self,
        store: str,
        file: str,
        attributes: dict[str, AttributeValue],
        *,
        document: DocumentRow | None = None,
    ) -> None:
        """See ``SearchIndex``."""
        await self._write(
            lambda connection: search.set_attributes(
                connection, self._dialect, store, file, attributes, document
            )
        )

    async def delete_chunks(
        self, store: str, file: str | None = None, *, document: DocumentRow | None = None
    ) -> None:
        """See ``SearchIndex``."""
        await self._write(lambda connection: search.delete(connection, self._dialect, store, file, document))

    async def match_terms(
        self, stores: Sequence[str], terms: Sequence[str], where: Filter | None, limit: int
    ) -> Sequence[Hit]:
        """See ``SearchIndex``."""

        def read(connection: SqlConnection) -> Sequence[Hit]:
            with self._snapshot(connection):
                return search.match_terms(connection, self._dialect, stores, terms, where, limit)

        return await self._rows(read)

    async def read_chunks(self, ids: Sequence[int]) -> Sequence[FoundChunk]:
        """See ``SearchIndex``."""
        return await self._row(lambda connection: search.read(connection, ids))
