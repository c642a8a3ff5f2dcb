"""The batches of all projects: taken in, looked at, cancelled; the unfinished ones worked on, after a restart too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from kodo.server.http.batches.execution import Answered
from kodo.server.http.batches.input_file import MOST_BYTES
from kodo.server.http.batches.metrics import Tally
from kodo.server.http.batches.worker import KIND, UNFINISHED, Job, Kept, Shop, over
from kodo.server.http.files.manager import Files
from kodo.server.lifecycle.errors import InvalidRequest, NotFound, StoreFailed
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.service import Service
from kodo.server.wire.batches import Batch, BatchStatus, CreateBatch

WINDOW_SECONDS = 24 * 3600
ROOM = 2
"""Requests in hand for each the engine works on: while one's result goes to disk the next is ready."""


class Batches:
    """What the endpoints do with batches. ``endpoints``: what stands behind each path that a batch may name."""

    def __init__(
        self, service: Service, files: Files, endpoints: Mapping[str, Answered], tally: Tally, longest: int
    ) -> None:
        self._service = service
        self._files = files
        self._endpoints = endpoints
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes: dict[str | None, asyncio.Semaphore] = {}
        self._shop = Shop(
            service=service,
            files=files,
            answered=endpoints.__getitem__,
            lane=self._lane,
            tally=tally,
            longest=longest,
        )
        tally.watch(self._unfinished)

    async def open(self) -> None:
        """Go on with what a stop or a crash left unfinished, and clear away inputs of batches that never began."""
        rows = await self._service.store.unfinished_documents(KIND, UNFINISHED)
        known = {row.id for row in rows}
        for blob_id in await asyncio.to_thread(self._files.blobs.ids, KIND):
            if blob_id not in known:
                await asyncio.to_thread(self._files.blobs.delete, blob_id)
        for row in rows:
            self._start(row)

    async def close(self) -> None:
        """Stop all work where it is; the next start goes on from there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, owner: str, body: CreateBatch) -> Batch:
        """Take a batch in.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: the endpoint is none that batches have here, or the file is not for batches, or too large.
        """
        if body.endpoint not in self._endpoints:
            known = ", ".join(self._endpoints)
            raise InvalidRequest(f"Batches here have the endpoints {known}.", param="endpoint")
        try:
            file = await self._files.get(owner, body.input_file_id)
        except NotFound as error:
            error.param = "input_file_id"
            raise
        if file.purpose != "batch":
            raise InvalidRequest(
                f"The file's purpose is '{file.purpose}', not 'batch'.", param="input_file_id"
            )
        if file.bytes > MOST_BYTES:
            raise InvalidRequest(
                f"A batch's input has at most {MOST_BYTES} bytes.",
                param="input_file_id",
                code="file_too_large",
            )
        now = self._service.clock.now()
        batch = Batch(
            id=self._service.ids.new("batch"),
            endpoint=body.endpoint,
            input_file_id=file.id,
            completion_window=body.completion_window,
            created_at=int(now),
            expires_at=int(now) + WINDOW_SECONDS,
            metadata=None if body.metadata is None else dict(body.metadata),
        )
        try:
            await asyncio.to_thread(self._files.blobs.share, file.id, batch.id)
        except OSError as error:
            raise StoreFailed(f"The input could not be kept: {error.strerror}.") from error
        kept = Kept(
            batch=batch,
            output=self._files.new_id(),
            errors=self._files.new_id(),
            expires_after=body.output_expires_after,
        )
        row = DocumentRow(
            kind=KIND,
            id=batch.id,
            owner=owner,
            created_at=now,
            status=batch.status,
            body=msgspec.json.encode(kept),
        )
        await self._service.store.put_document(row)
        self._start(row)
        return batch

    async def get(self, owner: str, batch_id: str) -> Batch:
        """A batch as it stands.

        Raises:
            NotFound: it is not there, or not this owner's.
        """
        return self._value(await self._row(owner, batch_id))

    async def list(self, owner: str, page: Page) -> tuple[Sequence[Batch], bool]:
        """A page of an owner's batches, and whether there are more. NotFound: the cursor names nothing."""
        rows, more = await self._service.store.list_documents(KIND, owner, page)
        return [self._value(row) for row in rows], more

    async def cancel(self, owner: str, batch_id: str) -> Batch:
        """Cancel a batch; what was finished is handed over.

        Raises:
            NotFound: it is not there.
            Conflict: it is over, or about to be.
        """
        row = await self._row(owner, batch_id)
        job = self._jobs.get(batch_id)
        if job is None:
            raise over(self._value(row))
        return await job.cancel()

    # --- inside ---

    def _unfinished(self) -> dict[BatchStatus, int]:
        counts = dict.fromkeys(UNFINISHED, 0)
        for job in self._jobs.values():
            if job.batch.status in counts:
                counts[job.batch.status] += 1
        return counts

    def _start(self, row: DocumentRow) -> None:
        job = self._jobs[row.id] = Job(self._shop, row)
        task = asyncio.create_task(job.drive(), name=row.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._jobs.pop(row.id, None))

    def _lane(self, model: str | None) -> asyncio.Semaphore:
        if model not in self._lanes:
            backend = self._service.models.get(model or "")
            parallel = 1 if backend is None else backend.admission.parallel
            self._lanes[model] = asyncio.Semaphore(ROOM * parallel)
        return self._lanes[model]

    def _value(self, row: DocumentRow) -> Batch:
        job = self._jobs.get(row.id)
        return job.batch if job is not None else msgspec.json.decode(row.body, type=Kept).batch

    async def _row(self, owner: str, batch_id: str) -> DocumentRow:
        row = await self._service.store.get_document(KIND, owner, batch_id)
        if row is None:
            raise NotFound(f"No batch found with id '{batch_id}'.", param="batch_id", code="batch_not_found")
        return row
