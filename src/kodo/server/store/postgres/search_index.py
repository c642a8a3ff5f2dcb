"""``SearchIndex`` in the PostgreSQL store: the database searches, and a server holds nothing in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from kodo.server.lifecycle.retrieval.filters import Filter
from kodo.server.lifecycle.retrieval.ports import Hit
from kodo.server.store import search
from kodo.server.store.postgres.search import POSTGRES_SEARCH, match_vector
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sql_search_index import RunSql, SqlSearchIndex


class PostgresSearchIndex(SqlSearchIndex):
    """See :class:`~kodo.server.lifecycle.retrieval.ports.SearchIndex`, and :class:`SqlSearchIndex` for the arguments."""

    def __init__(
        self,
        *,
        write: RunSql,
        read: RunSql,
        snapshot: Callable[[SqlConnection], AbstractContextManager[None]],
    ) -> None:
        super().__init__(POSTGRES_SEARCH, write=write, row=read, rows=read, snapshot=snapshot)

    async def match_vector(
        self, stores: Sequence[str], vector: Sequence[float], where: Filter | None, limit: int
    ) -> Sequence[Hit]:
        """See ``SearchIndex``."""

        def read(connection: SqlConnection) -> Sequence[Hit]:
            with self._snapshot(connection):
                files = None
                if where is not None:
                    files = sorted(search.allowed_files(connection, self._dialect, stores, where))
                return match_vector(connection, stores, vector, files, limit)

        return await self._rows(read)
