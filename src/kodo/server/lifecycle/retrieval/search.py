"""The search in vector stores: by words and by vectors, fused by reciprocal ranks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound, ServiceError, StoreFailed
from kodo.server.lifecycle.ports import Clock
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.documents import (
    EXPIRED,
    EXPIRES,
    FILE,
    STORE,
    StoredFile,
    StoredStore,
    file_row_id,
)
from kodo.server.lifecycle.retrieval.filters import Filter
from kodo.server.lifecycle.retrieval.ports import Hit, SearchIndex, TextEmbedder
from kodo.server.lifecycle.retrieval.terms import query_terms
from kodo.server.lifecycle.store_ports import DocumentStore
from kodo.server.wire.vector_stores import RankingOptions, SearchResult, TextContent

logger = logging.getLogger(__name__)

FUSION: Final = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009)."""
_DEPTH: Final = 50
"""Results of each ranking that are fused."""
_USE_SECONDS: Final = 60
"""How exact a store's last use is kept."""


@dataclass(frozen=True)
class Retrieval:
    """Searches in the stores of all owners. ``embedder``: None searches by words only."""

    documents: DocumentStore
    index: SearchIndex
    embedder: TextEmbedder | None
    clock: Clock
    _warned: set[str] = field(default_factory=set, init=False)
    """Stores whose vectors are another embedder's, which the log has said."""

    async def find_store(self, owner: str, store_id: str, param: str) -> tuple[DocumentRow, StoredStore]:
        """A store that can be used.

        Raises:
            NotFound: it is not there, or another owner's.
            InvalidRequest: it has expired.
        """
        row = await self.documents.get_document(STORE, owner, store_id)
        if row is None:
            raise store_not_found(store_id, param)
        stored = msgspec.json.decode(row.body, type=StoredStore)
        if is_expired(row, stored, self.clock.now()):
            raise InvalidRequest(
                f"The vector store '{store_id}' has expired.", param=param, code="vector_store_expired"
            )
        return row, stored

    async def search(
        self,
        owner: str,
        store_ids: Sequence[str],
        queries: Sequence[str],
        *,
        where: Filter | None = None,
        limit: int = 10,
        ranking: RankingOptions | None = None,
        param: str = "vector_store_id",
    ) -> list[SearchResult]:
        """The best chunks for any of the queries, best first; ``score`` is from 0 to 1.

        Raises:
            NotFound, InvalidRequest: a store is not there or has expired, its error has ``param``; or only vectors are to
                be searched, and there are none.
        """
        stores = [await self.find_store(owner, store_id, param) for store_id in dict.fromkeys(store_ids)]
        ranking = ranking or RankingOptions()
        words, vectors = _weights(ranking)
        if not words:
            self._require_vectors(stores)
        names = [row.id for row, _ in stores]
        depth = max(_DEPTH, 2 * limit)
        lists: list[tuple[float, Sequence[Hit]]] = []
        if words:
            found = [await self.index.match_terms(names, query_terms(one), where, depth) for one in queries]
            lists += [(words, hits) for hits in found]
        if vectors and self.embedder is not None:
            known = [one for one in queries if not words or self.embedder.reads(one)]
            lists += [(vectors, hits) for hits in await self._by_vectors(stores, known, where, depth)]
        scores = _fuse(lists)
        least = ranking.score_threshold or 0.0
        best = sorted(scores, key=lambda seq: (-scores[seq], seq))
        results: list[SearchResult] = []
        for chunk in await self.index.read_chunks([seq for seq in best if scores[seq] >= least][:limit]):
            stored = await self._file(owner, chunk.store, chunk.file)
            if stored is not None:
                results.append(
                    SearchResult(
                        file_id=chunk.file,
                        filename=stored.filename,
                        score=round(scores[chunk.id], 6),
                        attributes=stored.file.attributes,
                        content=(TextContent(text=chunk.text),),
                    )
                )
        for row, one in stores:
            await self._use(row, one)
        return results

    def _require_vectors(self, stores: Sequence[tuple[DocumentRow, StoredStore]]) -> None:
        """Raises InvalidRequest: a store has no vectors that this server can search."""
        here = None if self.embedder is None else self.embedder.identity
        for row, stored in stores:
            if stored.embedder is None or stored.embedder != here:
                made = "has no vectors" if stored.embedder is None else f"has vectors of '{stored.embedder}'"
                have = "no embedder" if here is None else f"the embedder '{here}'"
                raise InvalidRequest(
                    f"The vector store '{row.id}' {made}, and this server has {have}: it can only be searched by words. "
                    "Create it again to have it embedded.",
                    param="ranking_options.hybrid_search.text_weight",
                    code="vectors_unavailable",
                )

    async def _by_vectors(
        self,
        stores: Sequence[tuple[DocumentRow, StoredStore]],
        queries: Sequence[str],
        where: Filter | None,
        depth: int,
    ) -> list[Sequence[Hit]]:
        embedder = self.embedder
        if embedder is None or not queries:
            return []
        names = [row.id for row, stored in stores if stored.embedder == embedder.identity]
        for row, stored in stores:
            if stored.embedder not in (None, embedder.identity) and row.id not in self._warned:
                self._warned.add(row.id)
                logger.warning(
                    "%s has vectors of %s, and is searched by words only under %s",
                    row.id,
                    stored.embedder,
                    embedder.identity,
                )
        if not names:
            return []
        try:
            vectors = await embedder.embed(queries)
        except ServiceError:  # an embedder that is down: the words are searched all the same
            return []
        return [await self.index.match_vector(names, vector, where, depth) for vector in vectors]

    async def _file(self, owner: str, store_id: str, file_id: str) -> StoredFile | None:
        row = await self.documents.get_document(FILE, owner, file_row_id(store_id, file_id))
        return None if row is None else msgspec.json.decode(row.body, type=StoredFile)

    async def _use(self, row: DocumentRow, stored: StoredStore) -> None:
        """Note that a store was used; its expiry counts from here."""
        now = int(self.clock.now())
        if now - (stored.store.last_active_at or 0) < _USE_SECONDS:
            return
        used = msgspec.structs.replace(
            stored, store=msgspec.structs.replace(stored.store, last_active_at=now)
        )
        changed = msgspec.structs.replace(row, version=row.version + 1, body=msgspec.json.encode(used))
        try:
            await self.documents.update_document(changed)
        except (Conflict, NotFound):  # another request did, or deleted it
            return
        except StoreFailed as error:  # what was found is there, also on a full disk
            logger.warning("the last use of %s could not be noted: %s", row.id, error.message)


def _weights(ranking: RankingOptions) -> tuple[float, float]:
    hybrid = ranking.hybrid_search
    if hybrid is None:
        return 1.0, 1.0
    if not hybrid.text_weight and not hybrid.embedding_weight:
        raise InvalidRequest(
            "One of the weights must be above 0.", param="ranking_options.hybrid_search.text_weight"
        )
    return hybrid.text_weight, hybrid.embedding_weight


def _fuse(lists: Sequence[tuple[float, Sequence[Hit]]]) -> dict[int, float]:
    """Scores of hits by reciprocal rank fusion; 1.0 is the first place in every list that has any hit."""
    scores: dict[int, float] = {}
    most = sum(weight for weight, hits in lists if hits) / (FUSION + 1)
    for weight, hits in lists:
        for rank, hit in enumerate(hits, 1):
            scores[hit.id] = scores.get(hit.id, 0.0) + weight / (FUSION + rank) / most
    return scores


def store_not_found(store_id: str, param: str = "vector_store_id") -> NotFound:
    """The error for a store that is not there."""
    return NotFound(
        f"No vector store found with id '{store_id}'.", param=param, code="vector_store_not_found"
    )


def expires_at(stored: StoredStore) -> int | None:
    """When a store expires, in seconds since the epoch."""
    expiry, store = stored.store.expires_after, stored.store
    return None if expiry is None else (store.last_active_at or store.created_at) + expiry.days * 86400


def is_expired(row: DocumentRow, stored: StoredStore, now: float) -> bool:
    """Whether a store can no longer be used."""
    end = expires_at(stored)
    return row.status == EXPIRED or (row.status == EXPIRES and end is not None and end <= now)
