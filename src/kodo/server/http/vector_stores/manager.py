"""The registry of vector stores: creates, finds, changes and deletes them, and expires those that are not used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kodo.server.http.vector_stores.counts import counts
from kodo.server.http.vector_stores.store_files import StoreFiles, check_chunking
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.ports import Ids
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.retrieval.documents import EXPIRED, EXPIRES, KEPT, STORE, StoredStore
from kodo.server.lifecycle.retrieval.filters import parse_filter
from kodo.server.lifecycle.retrieval.search import Retrieval, expires_at, is_expired, store_not_found
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.wire.vector_stores import (
    AddFile,
    CreateVectorStore,
    SearchPage,
    SearchRequest,
    UpdateVectorStore,
    VectorStore,
)

SWEEP_SECONDS: Final = 600.0


class VectorStoreManager:
    """Vector stores of all projects. ``files``: their files."""

    def __init__(self, retrieval: Retrieval, files: StoreFiles, ids: Ids) -> None:
        self._retrieval = retrieval
        self._store = retrieval.documents
        self._ids = ids
        self._sweeper: asyncio.Task[None] | None = None
        self.files = files

    async def open(self) -> None:
        """Resume the files that are not indexed, and start to expire stores."""
        await self.files.open()
        await self.sweep()
        self._sweeper = supervise_every("the expiry of vector stores", SWEEP_SECONDS, self.sweep)

    async def close(self) -> None:
        """Stop all work; the next start resumes it."""
        await cancel(self._sweeper)
        await self.files.close()

    async def sweep(self) -> None:
        """Delete the chunks of stores that have expired; the stores stay, with their status."""
        for row in await self._store.unfinished_documents(STORE, (EXPIRES,)):
            stored = _decode(row)
            if is_expired(row, stored, self._now()):
                async with self.files.changing(row.id):
                    await self.files.stop(row.id)
                    await self._retrieval.index.delete_chunks(row.id)
                    await self._update(row.owner, row.id, lambda one: one, status=EXPIRED)

    async def create(self, owner: str, body: CreateVectorStore) -> VectorStore:
        """Create a store, with its first files.

        Raises:
            NotFound: a file is not there; ``param`` names it.
            InvalidRequest: there are too many files, or a size is not allowed, also where there is no file to split.
        """
        check_chunking(body.chunking_strategy, "chunking_strategy")
        self.files.check_count(set(body.file_ids or ()), "file_ids")
        for number, file_id in enumerate(body.file_ids or ()):
            await self.files.find_source(owner, file_id, f"file_ids[{number}]")
        now = int(self._now())
        embedder = self._retrieval.embedder
        stored = StoredStore(
            store=VectorStore(
                id=self._ids.new("vs"),
                created_at=now,
                name=body.name or "",
                description=body.description,
                expires_after=body.expires_after,
                last_active_at=now,
                metadata=None if body.metadata is None else dict(body.metadata),
            ),
            embedder=None if embedder is None else embedder.identity,
        )
        row = DocumentRow(
            kind=STORE,
            id=stored.store.id,
            owner=owner,
            created_at=self._now(),
            status=KEPT if body.expires_after is None else EXPIRES,
            body=msgspec.json.encode(stored),
        )
        await self._store.put_document(row)
        added = [
            AddFile(file_id=file_id, chunking_strategy=body.chunking_strategy)
            for file_id in dict.fromkeys(body.file_ids or ())
        ]
        if added:
            try:
                await self.files.add(owner, stored.store.id, added)
            except BaseException:  # nobody has its id
                await self.delete(owner, stored.store.id)
                raise
        return await self._shown(row, stored)

    async def get(self, owner: str, store_id: str) -> VectorStore:
        """A store as it is now. Raises NotFound."""
        row = await self._row(owner, store_id)
        return await self._shown(row, _decode(row))

    async def list(self, owner: str, page: Page) -> tuple[Sequence[VectorStore], bool]:
        """A page of an owner's stores, and whether more follow. Raises NotFound: the cursor."""
        rows, more = await self._store.list_documents(STORE, owner, page)
        return [await self._shown(row, _decode(row)) for row in rows], more

    async def update(self, owner: str, store_id: str, body: UpdateVectorStore) -> VectorStore:
        """Change name, expiry or metadata. Raises NotFound."""

        def change(stored: StoredStore) -> StoredStore:
            given = {
                name: getattr(body, name)
                for name in ("name", "expires_after", "metadata")
                if getattr(body, name) is not msgspec.UNSET
            }
            if "name" in given:
                given["name"] = body.name or ""
            used = {"last_active_at": int(self._now()), **given}
            return msgspec.structs.replace(stored, store=msgspec.structs.replace(stored.store, **used))

        row, stored = await self._update(owner, store_id, change)
        return await self._shown(row, stored)

    async def delete(self, owner: str, store_id: str) -> None:
        """Delete a store; its files stay files. Raises NotFound."""
        async with self.files.changing(store_id):
            row = await self._row(owner, store_id)
            await self.files.stop(store_id)
            await self._retrieval.index.delete_chunks(store_id, document=row)

    async def search(self, owner: str, store_id: str, body: SearchRequest) -> SearchPage:
        """Search in a store.

        Raises:
            NotFound: the store.
            InvalidRequest: it has expired, or ``filters`` or ``rewrite_query`` cannot be honoured.
        """
        if body.rewrite_query:
            raise InvalidRequest(
                "This server does not rewrite queries: leave rewrite_query out, or send false.",
                param="rewrite_query",
            )
        queries = (body.query,) if isinstance(body.query, str) else body.query
        found = await self._retrieval.search(
            owner,
            [store_id],
            queries,
            where=None if body.filters is None else parse_filter(body.filters),
            limit=body.max_num_results,
            ranking=body.ranking_options,
        )
        return SearchPage(search_query=queries, data=tuple(found))

    # --- inside ---

    def _now(self) -> float:
        return self._retrieval.clock.now()

    async def _row(self, owner: str, store_id: str) -> DocumentRow:
        row = await self._store.get_document(STORE, owner, store_id)
        if row is None:
            raise store_not_found(store_id)
        return row

    async def _shown(self, row: DocumentRow, stored: StoredStore) -> VectorStore:
        files = await self.files.all(row.owner, row.id)
        status = "in_progress" if any(file.status == "in_progress" for file in files) else "completed"
        return msgspec.structs.replace(
            stored.store,
            usage_bytes=sum(file.usage_bytes for file in files),
            file_counts=counts(files),
            status="expired" if is_expired(row, stored, self._now()) else status,
            expires_at=expires_at(stored),
        )

    async def _update(
        self,
        owner: str,
        store_id: str,
        change: Callable[[StoredStore], StoredStore],
        status: str | None = None,
    ) -> tuple[DocumentRow, StoredStore]:
        while True:
            row = await self._row(owner, store_id)
            if status is None and is_expired(row, _decode(row), self._now()):
                raise InvalidRequest(
                    f"The vector store '{store_id}' has expired.",
                    param="vector_store_id",
                    code="vector_store_expired",
                )
            stored = change(_decode(row))
            kept = KEPT if stored.store.expires_after is None else EXPIRES
            row = msgspec.structs.replace(
                row, version=row.version + 1, status=status or kept, body=msgspec.json.encode(stored)
            )
            try:
                await self._store.update_document(row)
            except Conflict:
                continue
            except NotFound:
                raise store_not_found(store_id) from None
            return row, stored


def _decode(row: DocumentRow) -> StoredStore:
    return msgspec.json.decode(row.body, type=StoredStore)
