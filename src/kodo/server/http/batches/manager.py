"""The registry of batches: creates, retrieves, lists and cancels them, and runs the unfinished ones, after a restart too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from kodo.server.http.batches.documents import KIND, StoredBatch
from kodo.server.http.batches.input_file import MAX_BYTES
from kodo.server.http.batches.metrics import BatchMetrics
from kodo.server.http.batches.request_runner import Handler
from kodo.server.http.batches.worker import BATCH_STATUS, BatchContext, BatchWorker, not_cancellable
from kodo.server.http.files.manager import FileManager, not_found
from kodo.server.http.limits import Ticket
from kodo.server.lifecycle.blobs import BlobMissing
from kodo.server.lifecycle.errors import InvalidRequest, NotFound, StoreFailed
from kodo.server.lifecycle.in_hand import InHand
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.service import Service
from kodo.server.lifecycle.store_ports import SharedDocuments
from kodo.server.wire.batches import Batch, BatchStatus, CreateBatch

CANCEL = "batch.cancel"
"""The request to a batch's owner that it start no more lines."""
_CANCEL_POLL_SECONDS = 0.5
_CANCEL_TRIES = 120
COMPLETION_WINDOW_SECONDS = 24 * 3600
PREFETCH = 2
"""Requests in progress per parallel slot of the engine: while a result is written, the next request is ready."""


class BatchManager:
    """Batches of all projects.

    Args:
        handlers: the function behind each endpoint that a batch may name.
        max_line_bytes: the longest line of an input file.
        hands_over: batches are run by other servers.
        admit: waits until the limits of an owner's key allow another line; raises ``Unauthorized`` where it was revoked.
    """

    def __init__(
        self,
        service: Service,
        store: SharedDocuments,
        clock: Clock,
        ids: Ids,
        files: FileManager,
        handlers: Mapping[str, Handler],
        metrics: BatchMetrics,
        max_line_bytes: int,
        admit: Callable[[str, str | None], Awaitable[Ticket]],
        *,
        hands_over: bool = False,
    ) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self._ids = ids
        self._files = files
        self._handlers = handlers
        self._hands_over = hands_over
        self._workers: dict[str, BatchWorker] = {}
        self._in_hand = InHand()
        self._tasks: set[asyncio.Task[None]] = set()
        self._model_semaphores: dict[str | None, asyncio.Semaphore] = {}
        self._context = BatchContext(
            service=service,
            store=store,
            clock=clock,
            ids=ids,
            files=files,
            handler_for=handlers.__getitem__,
            model_semaphore=self._model_semaphore,
            metrics=metrics,
            max_line_bytes=max_line_bytes,
            admit=admit,
        )
        metrics.watch_unfinished(self._unfinished)

    async def open(self) -> None:
        """Resume the unfinished batches, and delete inputs of batches that were never stored."""
        if self._hands_over:
            return
        rows = await self._left()
        known = {row.id for row in rows}
        blobs = () if self._store.shared else await self._files.blobs.ids(KIND)
        for blob_id in blobs:  # where this server is alone
            if blob_id not in known:
                await self._files.blobs.delete(blob_id)
        for row in rows:
            self._start(row, resumed=True)

    async def adopt(self) -> None:
        """Take up the batches that a server which is gone has left, and this one's that nothing runs."""
        for row in await self._left():
            self._start(row, resumed=True)

    async def _left(self) -> Sequence[DocumentRow]:
        return await self._in_hand.left(
            lambda: self._store.unfinished_documents(KIND, BATCH_STATUS.unfinished)
        )

    async def cancel_by_id(self, batch_id: str, _: bytes = b"") -> None:
        """Cancel a batch that runs here, because another server asks for it."""
        if (worker := self._workers.get(batch_id)) is not None:
            await worker.cancel()

    async def close(self) -> None:
        """Stop all workers; the next start resumes their batches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, owner: str, body: CreateBatch, key_id: str | None = None) -> Batch:
        """Create a batch and start it. ``key_id``: the key that asked for it.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: the endpoint is not available to batches, or the file has another purpose or is too large.
        """
        if body.endpoint not in self._handlers:
            known = ", ".join(self._handlers)
            raise InvalidRequest(f"Unsupported endpoint; batches support {known}.", param="endpoint")
        try:
            file = await self._files.get(owner, body.input_file_id)
        except NotFound as error:
            error.param = "input_file_id"
            raise
        if file.purpose != "batch":
            raise InvalidRequest(
                f"The file's purpose is '{file.purpose}', not 'batch'.", param="input_file_id"
            )
        if file.bytes > MAX_BYTES:
            raise InvalidRequest(
                f"The input of a batch may have at most {MAX_BYTES} bytes.",
                param="input_file_id",
                code="file_too_large",
            )
        now = self._clock.now()
        batch = Batch(
            id=self._ids.new("batch"),
            endpoint=body.endpoint,
            input_file_id=file.id,
            completion_window=body.completion_window,
            created_at=int(now),
            expires_at=int(now) + COMPLETION_WINDOW_SECONDS,
            metadata=None if body.metadata is None else dict(body.metadata),
        )
        try:
            await self._files.blobs.copy(file.id, batch.id)
        except BlobMissing:
            gone = not_found(file.id)  # deleted this moment, or by hand
            gone.param = "input_file_id"
            raise gone from None
        stored = StoredBatch(
            batch=batch,
            output=self._files.new_id(),
            errors=self._files.new_id(),
            expires_after=body.output_expires_after,
            key_id=key_id,
        )
        row = DocumentRow(
            kind=KIND,
            id=batch.id,
            owner=owner,
            created_at=now,
            status=batch.status,
            body=msgspec.json.encode(stored),
        )
        if self._hands_over:
            await self._store.put_document(row)
            await self._store.hand_over("batch", batch.id)
            return batch
        self._in_hand.take(row.id)
        try:
            await self._store.put_document(row)
        except BaseException:
            self._in_hand.release(row.id)
            raise
        self._start(row)
        return batch

    async def get(self, owner: str, batch_id: str) -> Batch:
        """Return the current state of a batch.

        Raises:
            NotFound: it does not exist, or belongs to another owner.
        """
        return self._current(await self._get_document(owner, batch_id))

    async def list(self, owner: str, page: Page) -> tuple[Sequence[Batch], bool]:
        """Return a page of an owner's batches, and whether more follow.

        Raises:
            NotFound: the cursor does not exist.
        """
        rows, more = await self._store.list_documents(KIND, owner, page)
        return [self._current(row) for row in rows], more

    async def cancel(self, owner: str, batch_id: str) -> Batch:
        """Cancel a batch; the results so far become its files.

        Raises:
            NotFound: it is not there.
            Conflict: it has ended or is ending.
        """
        row = await self._get_document(owner, batch_id)
        worker = self._workers.get(batch_id)
        if worker is not None:
            return await worker.cancel()
        if self._store.shared and row.status in BATCH_STATUS.unfinished:
            batch = self._current(await self._cancel_elsewhere(row))
            if batch.status in ("cancelling", "cancelled"):
                return batch
            raise not_cancellable(batch)
        raise not_cancellable(self._current(row))

    async def _cancel_elsewhere(self, row: DocumentRow) -> DocumentRow:
        """Have the server that runs a batch cancel it, and wait until it has; the document then."""
        for _ in range(_CANCEL_TRIES):
            told = asyncio.create_task(self._store.wait_for_news(row.id, _CANCEL_POLL_SECONDS))
            await self._store.ask_owner(CANCEL, row.id)
            await told
            row = await self._get_document(row.owner, row.id)
            if row.status not in ("validating", "in_progress"):
                return row
        raise StoreFailed("The server that runs this batch does not answer; try again.")

    # --- inside ---

    def _unfinished(self) -> dict[BatchStatus, int]:
        counts = dict.fromkeys(BATCH_STATUS.unfinished, 0)
        for worker in self._workers.values():
            if worker.batch.status in counts:
                counts[worker.batch.status] += 1
        return counts

    def _start(self, row: DocumentRow, *, resumed: bool = False) -> None:
        moves = resumed and self._store.shared
        self._in_hand.take(row.id)
        worker = self._workers[row.id] = BatchWorker(self._context, row, moves=moves)
        task = asyncio.create_task(worker.execute(), name=row.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._workers.pop(row.id, None))
        task.add_done_callback(lambda _: self._in_hand.release(row.id))

    def _model_semaphore(self, model: str | None) -> asyncio.Semaphore:
        if model not in self._model_semaphores:
            backend = self._service.models.get(model or "")
            parallel = 1 if backend is None else backend.admission.parallel
            self._model_semaphores[model] = asyncio.Semaphore(PREFETCH * parallel)
        return self._model_semaphores[model]

    def _current(self, row: DocumentRow) -> Batch:
        worker = self._workers.get(row.id)
        return worker.batch if worker is not None else msgspec.json.decode(row.body, type=StoredBatch).batch

    async def _get_document(self, owner: str, batch_id: str) -> DocumentRow:
        row = await self._store.get_document(KIND, owner, batch_id)
        if row is None:
            raise NotFound(f"No batch found with id '{batch_id}'.", param="batch_id", code="batch_not_found")
        return row
