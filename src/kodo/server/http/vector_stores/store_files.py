"""The files of vector stores, and the batches that they were added in."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from kodo.server.http.pagination import matching
from kodo.server.http.vector_stores.counts import counts
from kodo.server.http.vector_stores.documents import BATCH, StoredFileBatch
from kodo.server.http.vector_stores.worker import IngestionContext, ingest
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.ports import Ids
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.retrieval.documents import FILE, STORE, StoredFile, file_row_id
from kodo.server.lifecycle.retrieval.search import Retrieval, store_not_found
from kodo.server.wire.files import FileObject
from kodo.server.wire.vector_stores import (
    AddFile,
    Attributes,
    AutoStrategy,
    ChunkingStrategy,
    CreateFileBatch,
    FileBatch,
    FileContentPage,
    StaticChunking,
    StaticStrategy,
    TextContent,
    VectorStoreFile,
)

RUNNING: Final = "in_progress"
_PAGE: Final = Page(limit=1000, order="asc")


_NEWS_SECONDS: Final = 0.5
"""How often a file is looked at that another server indexes."""


class _Indexing(NamedTuple):
    """The work on a file, and when the file was added that it is done for: one that is added again has the same id."""

    task: asyncio.Task[None]
    added_at: float


class StoreFiles:
    """Adds files to stores, indexes them in the background, and takes them out again. ``hands_over``: other servers index them."""

    def __init__(
        self, retrieval: Retrieval, context: IngestionContext, ids: Ids, *, hands_over: bool = False
    ) -> None:
        self._hands_over = hands_over
        self._retrieval = retrieval
        self._context = context
        self._store = context.documents
        self._ids = ids
        self._tasks: dict[str, _Indexing] = {}
        self._room = asyncio.Semaphore(context.settings.parallel)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        """Resume the files that are not indexed."""
        if not self._hands_over:
            for row in await self._store.unfinished_documents(FILE, (RUNNING,)):
                self._start(row)

    async def adopt(self) -> None:
        """Take up the files that a server which is gone, or one that indexes none, has left; and this one's that nothing runs
        for, because the database was away between their row and their start."""
        for listed in await self._store.unfinished_documents(FILE, (RUNNING,)):
            async with self.changing(listed.parent or ""):
                # While it waited, the file may have been taken out and added again: that is another's to start.
                row = await self._store.get_document(FILE, listed.owner, listed.id)
                if row is None or row.status != RUNNING or row.created_at != listed.created_at:
                    continue
                if row.id in self._tasks and self._tasks[row.id].added_at != row.created_at:
                    await self._cancel([row.id])
                self._start(row)

    async def close(self) -> None:
        """Stop all work; the next start resumes it."""
        await self._cancel(list(self._tasks))

    async def stop(self, store_id: str) -> None:
        """Stop the work on a store's files."""
        await self._cancel([name for name in self._tasks if name.startswith(f"{store_id}:")])

    def changing(self, store_id: str) -> asyncio.Lock:
        """What adds or removes files of a store, or the store, holds this meanwhile."""
        return self._locks.setdefault(store_id, asyncio.Lock())

    async def find_source(self, owner: str, file_id: str, param: str) -> FileObject:
        """The file that is to be added. NotFound: it is not there."""
        try:
            return await self._context.files.get(owner, file_id)
        except NotFound as error:
            error.param = param
            raise

    async def add(
        self, owner: str, store_id: str, added: Sequence[AddFile], batch: str | None = None
    ) -> list[VectorStoreFile]:
        """Add files, and start to index them. One that is there already is indexed anew, unless that is just being done.

        Raises:
            NotFound, InvalidRequest: the store or a file is not there, expired, or a size is not allowed.
        """
        async with self.changing(store_id):
            return await self._add(owner, store_id, added, batch)

    async def _add(
        self, owner: str, store_id: str, added: Sequence[AddFile], batch: str | None
    ) -> list[VectorStoreFile]:
        await self._retrieval.find_store(owner, store_id, "vector_store_id")
        await self._check_room(owner, store_id, added)
        names = {one.file_id: (await self._source_of(owner, one)).filename for one in added}
        now = self._retrieval.clock.now()
        rows: list[DocumentRow] = []
        for one in added:
            file = VectorStoreFile(
                id=one.file_id,
                created_at=int(now),
                vector_store_id=store_id,
                chunking_strategy=_static(one.chunking_strategy),
                attributes=dict(one.attributes or {}),
            )
            stored = StoredFile(file=file, filename=names[one.file_id], batch=batch)
            rows.append(await self._put(owner, store_id, stored, now))
        return [_decode(row).file for row in rows]

    async def _check_room(self, owner: str, store_id: str, added: Sequence[AddFile]) -> None:
        there = {file.id for file in await self.all(owner, store_id)}
        self.check_count(there | {one.file_id for one in added}, "file_id")

    def check_count(self, files: Collection[str], param: str) -> None:
        """Check that a store may have these files. Raises InvalidRequest."""
        most = self._context.settings.max_files
        if len(files) > most:
            raise InvalidRequest(f"The number of files in a vector store is limited to {most}.", param=param)

    async def _put(self, owner: str, store_id: str, stored: StoredFile, now: float) -> DocumentRow:
        """Store a file and start to index it, in the place of what is there; the row, also where it is being indexed already."""
        row = DocumentRow(
            kind=FILE,
            id=file_row_id(store_id, stored.file.id),
            owner=owner,
            parent=store_id,
            created_at=now,
            status=RUNNING,
            body=msgspec.json.encode(stored),
        )
        while True:
            running = await self._running(owner, store_id, stored)
            if running is not None:
                if running.id not in self._tasks:
                    # The database may have been away when this server had stored it, and nobody begun: let anybody now.
                    await self._store.hand_over(FILE, running.id)
                return running
            await self._remove(owner, store_id, stored.file.id)
            try:
                await self._store.append_items(owner, store_id, (), [row])
            except Conflict:  # another server has just added it
                continue
            except NotFound:
                raise store_not_found(store_id) from None
            if self._hands_over:
                await self._store.hand_over(FILE, row.id)
            else:
                self._start(row)
            return row

    async def get(self, owner: str, store_id: str, file_id: str) -> VectorStoreFile:
        """A file of a store. Raises NotFound."""
        return _decode(await self._row(owner, store_id, file_id)).file

    async def all(self, owner: str, store_id: str, batch: str | None = None) -> list[VectorStoreFile]:
        """All files of a store, or of a batch in it, oldest first."""
        found: list[VectorStoreFile] = []
        page, more = _PAGE, True
        while more:
            rows, more = await self._store.list_documents(FILE, owner, page, parent=store_id)
            stored = [_decode(row) for row in rows]
            found += [one.file for one in stored if batch in (None, one.batch)]
            if rows:
                page = msgspec.structs.replace(_PAGE, after=rows[-1].id)
        return found

    async def wait_for_change(self, store_id: str, file_id: str) -> None:
        """Wait until the work on a file that is being indexed may have ended: that of this server, or for a moment, or until its row
        may have changed, where another server does it."""
        name = file_row_id(store_id, file_id)
        if name in self._tasks:
            await asyncio.wait((self._tasks[name].task,))
        else:
            await self._store.wait_for_news(name, _NEWS_SECONDS)

    async def list(
        self, owner: str, store_id: str, page: Page, status: str | None, batch: str | None = None
    ) -> tuple[Sequence[VectorStoreFile], bool]:
        """A page of a store's files, and whether more follow. Raises NotFound: the cursor, the store."""
        await self._retrieval.find_store(owner, store_id, "vector_store_id")
        cursors = {
            name: file_row_id(store_id, cursor)
            for name in ("after", "before")
            if (cursor := getattr(page, name)) is not None
        }
        try:
            rows, more = await matching(
                lambda window: self._store.list_documents(FILE, owner, window, parent=store_id),
                msgspec.structs.replace(page, **cursors),
                lambda row: status in (None, row.status) and (batch is None or _decode(row).batch == batch),
            )
        except NotFound as error:  # it names the row, which clients do not know
            named = page.before if error.param == "before" else page.after
            raise NotFound(f"No object with the id '{named}' is in this list.", param=error.param) from None
        return [_decode(row).file for row in rows], more

    async def set_attributes(
        self, owner: str, store_id: str, file_id: str, attributes: Attributes | None
    ) -> VectorStoreFile:
        """Replace a file's attributes. Raises NotFound."""
        while True:
            row = await self._row(owner, store_id, file_id)
            stored = _decode(row)
            file = msgspec.structs.replace(stored.file, attributes=dict(attributes or {}))
            body = msgspec.json.encode(msgspec.structs.replace(stored, file=file))
            changed = msgspec.structs.replace(row, version=row.version + 1, body=body)
            try:
                await self._context.index.set_attributes(store_id, file_id, file.attributes, document=changed)
            except (Conflict, NotFound):
                continue
            return file

    async def delete(self, owner: str, store_id: str, file_id: str) -> None:
        """Take a file out of a store. Raises NotFound."""
        async with self.changing(store_id):
            await self._row(owner, store_id, file_id)
            await self._remove(owner, store_id, file_id)

    async def delete_everywhere(self, owner: str, file_id: str) -> None:
        """Take a file out of all stores of an owner that have it, expired ones too."""
        page, more = _PAGE, True
        while more:
            stores, more = await self._store.list_documents(STORE, owner, page)
            for store in stores:
                async with self.changing(store.id):
                    if (
                        await self._store.get_document(FILE, owner, file_row_id(store.id, file_id))
                        is not None
                    ):
                        await self._remove(owner, store.id, file_id)
            if stores:
                page = msgspec.structs.replace(_PAGE, after=stores[-1].id)

    async def content(self, owner: str, store_id: str, file_id: str) -> FileContentPage:
        """The text of a file as it was read. Raises NotFound."""
        await self._row(owner, store_id, file_id)
        chunks = await self._context.index.file_chunks(store_id, file_id)
        return FileContentPage(data=tuple(TextContent(text=chunk.text[chunk.start :]) for chunk in chunks))

    # --- batches ---

    async def create_batch(self, owner: str, store_id: str, body: CreateFileBatch) -> FileBatch:
        """Add files together. Raises NotFound, InvalidRequest."""
        if (body.file_ids is None) == (body.files is None):
            raise InvalidRequest("Give either file_ids or files.", param="file_ids")
        for number, one in enumerate(body.files or ()):
            check_chunking(one.chunking_strategy, f"files[{number}].chunking_strategy")
        check_chunking(body.chunking_strategy, "chunking_strategy")
        if body.files is not None and (body.attributes is not None or body.chunking_strategy is not None):
            field = "attributes" if body.attributes is not None else "chunking_strategy"
            raise InvalidRequest("With files, each file has its own options.", param=field)
        added = body.files or tuple(
            AddFile(file_id=one, attributes=body.attributes, chunking_strategy=body.chunking_strategy)
            for one in body.file_ids or ()
        )
        await self._retrieval.find_store(owner, store_id, "vector_store_id")
        for number, one in enumerate(added):
            path = f"file_ids[{number}]" if body.files is None else f"files[{number}].file_id"
            await self.find_source(owner, one.file_id, path)
        now = self._retrieval.clock.now()
        batch = FileBatch(id=self._ids.new("vsfb"), created_at=int(now), vector_store_id=store_id)
        row = DocumentRow(
            kind=BATCH,
            id=batch.id,
            owner=owner,
            parent=store_id,
            created_at=now,
            body=msgspec.json.encode(StoredFileBatch(batch=batch)),
        )
        async with self.changing(store_id):
            await self._check_room(owner, store_id, added)
            try:
                await self._store.append_items(owner, store_id, (), [row])
            except NotFound:
                raise store_not_found(store_id) from None
            await self._add(owner, store_id, list({one.file_id: one for one in added}.values()), batch.id)
        return await self.get_batch(owner, store_id, batch.id)

    async def get_batch(self, owner: str, store_id: str, batch_id: str) -> FileBatch:
        """A batch as it is now. Raises NotFound."""
        row = await self._batch_row(owner, store_id, batch_id)
        stored = msgspec.json.decode(row.body, type=StoredFileBatch)
        found = counts(await self.all(owner, store_id, batch_id))
        ended = "failed" if found.failed == found.total and found.total else "completed"
        status = "in_progress" if found.in_progress else "cancelled" if stored.cancelled else ended
        return msgspec.structs.replace(stored.batch, status=status, file_counts=found)

    async def cancel_batch(self, owner: str, store_id: str, batch_id: str) -> FileBatch:
        """Stop the files of a batch that are not indexed yet. Raises NotFound."""
        async with self.changing(store_id):
            await self._cancel_batch(owner, store_id, batch_id)
        return await self.get_batch(owner, store_id, batch_id)

    # --- inside ---

    async def _running(self, owner: str, store_id: str, added: StoredFile) -> DocumentRow | None:
        """The row of a file that is being indexed as it is to be added, here or by another server."""
        row = await self._store.get_document(FILE, owner, file_row_id(store_id, added.file.id))
        if row is None or not (row.id in self._tasks or (self._store.shared and row.status == RUNNING)):
            return None
        stored = _decode(row)
        same = msgspec.structs.replace(added.file, created_at=stored.file.created_at)
        return row if stored == msgspec.structs.replace(added, file=same) else None

    async def _cancel_batch(self, owner: str, store_id: str, batch_id: str) -> None:
        row = await self._batch_row(owner, store_id, batch_id)
        stored = msgspec.json.decode(row.body, type=StoredFileBatch)
        running = [file for file in await self.all(owner, store_id, batch_id) if file.status == RUNNING]
        if running and not stored.cancelled:
            body = msgspec.json.encode(msgspec.structs.replace(stored, cancelled=True))
            await self._store.update_document(
                msgspec.structs.replace(row, version=row.version + 1, body=body)
            )
        await self._cancel([file_row_id(store_id, file.id) for file in running])
        for file in running:
            await self._cancelled(owner, store_id, file.id)

    async def _source_of(self, owner: str, one: AddFile) -> FileObject:
        check_chunking(one.chunking_strategy, "chunking_strategy")
        return await self.find_source(owner, one.file_id, "file_id")

    async def _row(self, owner: str, store_id: str, file_id: str) -> DocumentRow:
        await self._retrieval.find_store(owner, store_id, "vector_store_id")
        row = await self._store.get_document(FILE, owner, file_row_id(store_id, file_id))
        if row is None:
            raise NotFound(
                f"No file found with id '{file_id}' in vector store '{store_id}'.",
                param="file_id",
                code="file_not_found",
            )
        return row

    async def _batch_row(self, owner: str, store_id: str, batch_id: str) -> DocumentRow:
        await self._retrieval.find_store(owner, store_id, "vector_store_id")
        row = await self._store.get_document(BATCH, owner, batch_id)
        if row is None or row.parent != store_id:
            raise NotFound(
                f"No file batch found with id '{batch_id}'.", param="batch_id", code="file_batch_not_found"
            )
        return row

    async def _remove(self, owner: str, store_id: str, file_id: str) -> None:
        """The document and its chunks in one transaction: another server that indexes it can add none behind them."""
        name = file_row_id(store_id, file_id)
        await self._cancel([name])
        row = await self._store.get_document(FILE, owner, name)
        await self._context.index.delete_chunks(store_id, file_id, document=row)

    async def _cancelled(self, owner: str, store_id: str, file_id: str) -> None:
        """Note that a file is not indexed any further; what another writer ends meanwhile has ended."""
        name = file_row_id(store_id, file_id)
        while (
            row := await self._store.get_document(FILE, owner, name)
        ) is not None and row.status == RUNNING:
            stored = _decode(row)
            file = msgspec.structs.replace(stored.file, status="cancelled")
            body = msgspec.json.encode(msgspec.structs.replace(stored, file=file))
            changed = msgspec.structs.replace(row, version=row.version + 1, status="cancelled", body=body)
            try:
                await self._store.update_document(changed)
            except (Conflict, NotFound):
                continue
            await self._context.index.delete_chunks(store_id, file_id)

    def _start(self, row: DocumentRow) -> None:
        """Index a file, unless that is being done. Its store is :meth:`changing`, or nothing can change it yet."""
        if row.id in self._tasks:
            return

        async def work() -> None:
            async with self._room:
                await ingest(self._context, row)

        task = asyncio.create_task(work(), name=row.id)
        self._tasks[row.id] = _Indexing(task, row.created_at)
        task.add_done_callback(lambda done: self._forget(row.id, done))

    def _forget(self, name: str, task: asyncio.Task[None]) -> None:
        found = self._tasks.get(name)
        if found is not None and found.task is task:
            del self._tasks[name]

    async def _cancel(self, names: Sequence[str]) -> None:
        tasks = [self._tasks[name].task for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def check_chunking(strategy: ChunkingStrategy | None, param: str) -> None:
    """Check the sizes of chunks against each other. Raises InvalidRequest; ``param`` is the field of the strategy."""
    sizes = _static(strategy).static
    if 2 * sizes.chunk_overlap_tokens > sizes.max_chunk_size_tokens:
        raise InvalidRequest(
            "The overlap may be at most half of max_chunk_size_tokens.",
            param=f"{param}.static.chunk_overlap_tokens",
        )


def _static(strategy: ChunkingStrategy | None) -> StaticStrategy:
    if strategy is None or isinstance(strategy, AutoStrategy):
        return StaticStrategy(static=StaticChunking())
    return strategy


def _decode(row: DocumentRow) -> StoredFile:
    return msgspec.json.decode(row.body, type=StoredFile)
