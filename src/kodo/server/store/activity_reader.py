"""``ActivityReader`` over a store's way to read rows. Its reads may meet thousands of rows, so they run in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from kodo.server.lifecycle.activity import (
    Activity,
    ActivityFilter,
    ActivityReader,
    ActivitySums,
    FirstTokenCount,
)
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.store import activity_queries as queries
from kodo.server.store.sql import SqlConnection

T = TypeVar("T")


class ReadRows(Protocol):
    """How a store runs a read."""

    async def __call__(self, read: Callable[[SqlConnection], T]) -> T:
        """Run it and return its result."""


class SqlActivityReader(ActivityReader):
    """See :class:`~kodo.server.lifecycle.activity.ActivityReader`. ``rows`` runs a function of a connection that may read
    any number of rows."""

    def __init__(self, rows: ReadRows) -> None:
        self._rows = rows

    async def activities(self, wanted: ActivityFilter, limit: int) -> Sequence[Activity]:
        """See ``ActivityReader``."""
        return await self._rows(lambda connection: queries.activities(connection, wanted, limit))

    async def activity(self, response_id: str) -> Activity | None:
        """See ``ActivityReader``."""
        return await self._rows(lambda connection: queries.activity(connection, response_id))

    async def children(self, response_id: str, limit: int) -> Sequence[Activity]:
        """See ``ActivityReader``."""
        return await self._rows(lambda connection: queries.children(connection, response_id, limit))

    async def sums(
        self, width: int, since: float, owner: str | None, step: int | None = None
    ) -> Sequence[ActivitySums]:
        """See ``ActivityReader``."""
        return await self._rows(lambda connection: queries.sums(connection, width, since, owner, step))

    async def first_tokens(
        self, width: int, since: float, owner: str | None, step: int | None = None
    ) -> Sequence[FirstTokenCount]:
        """See ``ActivityReader``."""
        return await self._rows(
            lambda connection: queries.first_tokens(connection, width, since, owner, step)
        )

    async def unfinished_count(self, owner: str | None) -> int:
        """See ``ActivityReader``."""
        return await self._rows(lambda connection: queries.unfinished_count(connection, owner))

    async def owners(self) -> Sequence[str]:
        """See ``ActivityReader``."""
        return await self._rows(queries.owners)

    async def models(self) -> Sequence[str]:
        """See ``ActivityReader``."""
        return await self._rows(queries.models)

    async def documents(
        self, kind: str, owner: str | None, *, before: int | None, limit: int
    ) -> Sequence[tuple[int, DocumentRow]]:
        """See ``ActivityReader``."""
        return await self._rows(lambda connection: queries.documents(connection, kind, owner, before, limit))

    async def find_document(self, kind: str, document_id: str) -> DocumentRow | None:
        """See ``ActivityReader``."""

        def find(connection: SqlConnection) -> DocumentRow | None:
            return queries.find_document(connection, kind, document_id, queries.owners(connection))

        return await self._rows(find)
