"""``SearchIndex`` in memory: the twin that the contract suite holds the others to. Every ranking is computed anew.

It lies in no store, so it leaves the documents alone that are named to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.filters import AttributeValue, Filter, matches
from kodo.server.lifecycle.retrieval.ports import FoundChunk, Hit, SearchIndex, TextChunk
from kodo.server.lifecycle.retrieval.terms import index_text


@dataclass(frozen=True)
class _Row:
    store: str
    file: str
    chunk: TextChunk
    terms: tuple[str, ...]


class MemorySearchIndex(SearchIndex):
    """See :class:`~kodo.server.lifecycle.retrieval.ports.SearchIndex`."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}
        self._attributes: dict[tuple[str, str], dict[str, AttributeValue]] = {}
        self._next = 1

    async def add_chunks(
        self, store: str, file: str, chunks: Sequence[TextChunk], *, held: DocumentRow | None = None
    ) -> None:
        """See ``SearchIndex``."""
        there = {row.chunk.number for row in self._rows.values() if (row.store, row.file) == (store, file)}
        for chunk in chunks:
            if chunk.number not in there:
                self._rows[self._next] = _Row(store, file, chunk, tuple(index_text(chunk.text).split()))
                self._next += 1

    async def count_chunks(self, store: str, file: str) -> int:
        """See ``SearchIndex``."""
        return len(await self.file_chunks(store, file))

    async def file_chunks(self, store: str, file: str) -> Sequence[TextChunk]:
        """See ``SearchIndex``."""
        found = [row.chunk for row in self._rows.values() if (row.store, row.file) == (store, file)]
        bare = [TextChunk(number=one.number, text=one.text, start=one.start) for one in found]
        return sorted(bare, key=lambda one: one.number)

    async def set_attributes(
        self,
        store: str,
        file: str,
        attributes: dict[str, AttributeValue],
        *,
        document: DocumentRow | None = None,
    ) -> None:
        """See ``SearchIndex``."""
        self._attributes[store, file] = dict(attributes)

    async def delete_chunks(
        self, store: str, file: str | None = None, *, document: DocumentRow | None = None
    ) -> None:
        """See ``SearchIndex``."""
        self._rows = {
            number: row
            for number, row in self._rows.items()
            if row.store != store or file not in (None, row.file)
        }
        for key in [key for key in self._attributes if key[0] == store and file in (None, key[1])]:
            del self._attributes[key]

    async def match_terms(
        self, stores: Sequence[str], terms: Sequence[str], where: Filter | None, limit: int
    ) -> Sequence[Hit]:
        """See ``SearchIndex``: BM25 with its usual constants."""
        length = sum(len(row.terms) for row in self._rows.values()) / (len(self._rows) or 1)
        weights = {
            term: max(1e-6, math.log((len(self._rows) - count + 0.5) / (count + 0.5)))
            for term in terms
            if (count := sum(term in row.terms for row in self._rows.values()))
        }
        hits = []
        for number, row in self._allowed(stores, where).items():
            if score := sum(
                weight * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * len(row.terms) / length))
                for term, weight in weights.items()
                if (often := row.terms.count(term))
            ):
                hits.append(Hit(id=number, score=score))
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]

    async def match_vector(
        self, stores: Sequence[str], vector: Sequence[float], where: Filter | None, limit: int
    ) -> Sequence[Hit]:
        """See ``SearchIndex``."""
        size = math.hypot(*vector) or 1.0
        hits = [
            Hit(id=number, score=sum(a * b for a, b in zip(row.chunk.vector, vector, strict=True)) / size)
            for number, row in self._allowed(stores, where).items()
            if row.chunk.vector is not None and len(row.chunk.vector) == len(vector)
        ]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))[:limit]

    async def read_chunks(self, ids: Sequence[int]) -> Sequence[FoundChunk]:
        """See ``SearchIndex``."""
        return [
            FoundChunk(id=number, store=row.store, file=row.file, text=row.chunk.text)
            for number in ids
            if (row := self._rows.get(number)) is not None
        ]

    def _allowed(self, stores: Sequence[str], where: Filter | None) -> dict[int, _Row]:
        return {
            number: row
            for number, row in self._rows.items()
            if row.store in stores
            and (where is None or matches(where, self._attributes.get((row.store, row.file), {})))
        }
