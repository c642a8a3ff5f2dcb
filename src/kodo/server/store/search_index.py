"""``SearchIndex`` in the SQLite store: vectors by numpy over what is held in memory.

The vectors of a store are read when it is first searched and kept; new ones are read behind them. Without numpy (the extra
``search``) no vectors are compared.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.filters import Filter
from kodo.server.lifecycle.retrieval.ports import Hit
from kodo.server.store import search
from kodo.server.store.sql import SqlConnection
from kodo.server.store.sql_search_index import RunSql, SqlSearchIndex
from kodo.server.store.sqlite_search import SQLITE_SEARCH, vectors_behind

MAX_HELD_BYTES: Final = 1 << 30
"""Vectors that are kept in memory; the store that was searched longest ago goes first."""


@dataclass(frozen=True)
class _Vectors:
    """A store's vectors: arrays of numpy, ``matrix`` of shape (chunks, dimensions)."""

    ids: Any
    files: Any
    matrix: Any


class SqliteSearchIndex(SqlSearchIndex):
    """See :class:`~kodo.server.lifecycle.retrieval.ports.SearchIndex`, and :class:`SqlSearchIndex` for the arguments."""

    def __init__(
        self,
        *,
        write: RunSql,
        row: RunSql,
        rows: RunSql,
        snapshot: Callable[[SqlConnection], AbstractContextManager[None]],
    ) -> None:
        super().__init__(SQLITE_SEARCH, write=write, row=row, rows=rows, snapshot=snapshot)
        self._held: OrderedDict[str, _Vectors] = OrderedDict()
        self._loading = asyncio.Lock()

    async def delete_chunks(
        self, store: str, file: str | None = None, *, document: DocumentRow | None = None
    ) -> None:
        """See ``SearchIndex``."""
        await super().delete_chunks(store, file, document=document)
        async with self._loading:
            self._held.pop(store, None)

    async def match_vector(
        self, stores: Sequence[str], vector: Sequence[float], where: Filter | None, limit: int
    ) -> Sequence[Hit]:
        """See ``SearchIndex``."""
        if find_spec("numpy") is None:
            return ()
        async with self._loading:
            parts = [await self._rows(self._loader(store)) for store in stores]
        files: set[int] | None = None
        if where is not None:
            files = await self._rows(
                lambda connection: search.allowed_files(connection, self._dialect, stores, where)
            )
        return await asyncio.to_thread(_nearest, parts, vector, files, limit)

    def _loader(self, store: str) -> Callable[[SqlConnection], _Vectors | None]:
        """Reads the vectors of a store that are not held yet."""

        def load(connection: SqlConnection) -> _Vectors | None:
            held = self._held.get(store)
            last = 0 if held is None else int(held.ids[-1])
            rows = vectors_behind(connection, store, last)
            if rows:
                size = len(rows[-1][2]) if held is None else held.matrix.shape[1] * 4
                held = _extended(held, [row for row in rows if len(row[2]) == size])
            if held is not None:
                self._held[store] = held
                self._held.move_to_end(store)
                while len(self._held) > 1 and self._bytes() > MAX_HELD_BYTES:
                    self._held.popitem(last=False)
            return held

        return load

    def _bytes(self) -> int:
        return sum(int(held.matrix.nbytes) for held in self._held.values())


def _extended(held: _Vectors | None, rows: Sequence[tuple[int, int, bytes]]) -> _Vectors | None:
    if not rows:
        return held
    numpy = importlib.import_module("numpy")
    ids = numpy.array([row[0] for row in rows], dtype=numpy.int64)
    files = numpy.array([row[1] for row in rows], dtype=numpy.int64)
    matrix = numpy.frombuffer(b"".join(row[2] for row in rows), dtype="<f4").reshape(len(rows), -1)
    if held is None:
        return _Vectors(ids, files, matrix)
    return _Vectors(
        numpy.concatenate((held.ids, ids)),
        numpy.concatenate((held.files, files)),
        numpy.concatenate((held.matrix, matrix)),
    )


def _nearest(
    parts: Sequence[_Vectors | None], vector: Sequence[float], files: set[int] | None, limit: int
) -> list[Hit]:
    numpy = importlib.import_module("numpy")
    wanted = numpy.array(vector, dtype="<f4")
    wanted /= numpy.linalg.norm(wanted) or 1.0
    hits: list[Hit] = []
    for part in parts:
        if part is None or part.matrix.shape[1] != len(wanted):
            continue
        scores = part.matrix @ wanted
        if files is not None:
            scores = numpy.where(numpy.isin(part.files, list(files)), scores, -numpy.inf)
        count = min(limit, len(scores))
        best = numpy.argpartition(scores, len(scores) - count)[-count:]
        hits += [Hit(id=int(part.ids[i]), score=float(scores[i])) for i in best if scores[i] > -2]
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]
