"""The life of one batch, from validation to its files; it resumes from wherever it was stopped.

Its input is a copy of the uploaded file under its own id, its results are the output files as they grow, and its document holds its status. Nothing else is remembered: a restart reads the results and continues with
the requests that have none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from kodo.server.http.batches.documents import KIND, StoredBatch
from kodo.server.http.batches.input_file import RequestReader, validate
from kodo.server.http.batches.metrics import BatchMetrics
from kodo.server.http.batches.request_runner import Handler, run_request
from kodo.server.http.batches.results import ResultFiles
from kodo.server.http.errors import Unauthorized
from kodo.server.http.files.manager import FileManager
from kodo.server.http.limits import Ticket
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.blobs import BlobMissing
from kodo.server.lifecycle.errors import Conflict, NotFound, ServiceError
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.service import Service
from kodo.server.lifecycle.status import StatusMachine
from kodo.server.lifecycle.store_ports import SharedDocuments
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.wire.batches import (
    Batch,
    BatchError,
    BatchErrors,
    BatchStatus,
    LineAnswer,
    LineError,
    RequestCounts,
    RequestLine,
    ResultLine,
)

logger = logging.getLogger(__name__)

BATCH_STATUS: Final = StatusMachine[BatchStatus](
    {
        "validating": {"in_progress", "failed", "cancelling"},
        "in_progress": {"finalizing", "expired", "cancelling", "failed"},
        "finalizing": {"completed"},
        "cancelling": {"cancelled"},
        "completed": set(),
        "failed": set(),
        "expired": set(),
        "cancelled": set(),
    }
)
"""Which status of a batch may follow which."""
_UNRUN_ERRORS = {
    "expired": LineError(
        code="batch_expired", message="This request was not run before the completion window ended."
    ),
    "cancelled": LineError(
        code="batch_cancelled", message="This request was not run: the batch was cancelled."
    ),
}
_CLOCK_POLL_SECONDS = 1.0
"""Interval of the checks for expiry: the clock may jump."""
COUNTS_SECONDS = 1.0
"""Pause between two writes of the counts, where other servers are asked for them too."""
_UNRUN_CHUNK = 500
"""Lines that are written together where nothing is run for them."""
_RETRY_DELAYS = (1.0, 60.0)
"""First and longest pause, in seconds, before a batch that broke is taken up again."""


@dataclass(frozen=True)
class BatchContext:
    """The collaborators that all batch workers share."""

    service: Service
    store: SharedDocuments
    clock: Clock
    ids: Ids
    files: FileManager
    handler_for: Callable[[str], Handler]
    """Returns the function behind an endpoint."""
    model_semaphore: Callable[[str | None], asyncio.Semaphore]
    """Returns the semaphore of a model, shared by all batches: it is fair, and bounds the memory."""
    metrics: BatchMetrics
    max_line_bytes: int
    """The longest line of an input file."""
    admit: Callable[[str, str | None], Awaitable[Ticket]]
    """Waits until the limits of an owner's key allow another line; raises ``Unauthorized`` where it was revoked."""


class BatchWorker:
    """Runs one unfinished batch. ``moves``: another server may still write to the files of its results."""

    def __init__(self, context: BatchContext, row: DocumentRow, *, moves: bool = False) -> None:
        self._context = context
        self._moves = moves
        self._moved: tuple[str, str] | None = None
        """The new names of the files of its results: the same for each attempt."""
        self._document = row
        self._stored = msgspec.json.decode(row.body, type=StoredBatch)
        self._results: ResultFiles | None = None
        self._status_lock = asyncio.Lock()
        self._status_changed = asyncio.Event()
        self._input: Path | None = None
        """The input file, while the batch is worked on; None: it is missing."""

    @property
    def owner(self) -> str:
        """The owner of the batch."""
        return self._document.owner

    @property
    def batch(self) -> Batch:
        """The batch with its current counts and usage."""
        batch, results = self._stored.batch, self._results
        if results is None:
            return batch
        total = batch.request_counts.total
        counts = RequestCounts(total=total, completed=results.completed, failed=results.failed)
        return msgspec.structs.replace(batch, request_counts=counts, usage=results.usage)

    async def cancel(self) -> Batch:
        """Start no more requests; the results so far become the files of the batch.

        Raises:
            Conflict: it has ended or is ending.
        """
        if self.batch.status != "cancelling" and not await self._transition("cancelling"):
            raise not_cancellable(self.batch)
        return self.batch

    async def execute(self) -> None:
        """Run the batch to its end. If cancelled, it stops where it is and the next start resumes it."""
        delay, max_delay = _RETRY_DELAYS
        while self.batch.status in BATCH_STATUS.unfinished:
            try:
                await self._advance()
            except Exception as error:
                first, expected = _cause_of(error)
                logger.error(
                    "batch %s is put off, and tried again in %g s: %s",
                    self._document.id,
                    delay,
                    first if str(first) else type(first).__name__,
                    exc_info=None if expected else error,
                )
                await asyncio.sleep(delay)
                delay = min(2 * delay, max_delay)
        await self._context.files.blobs.delete(self._document.id)

    async def _advance(self) -> None:
        if self._moves:
            await self._move_results()
            self._moves = False
        async with AsyncExitStack() as stack:
            self._input = None
            with contextlib.suppress(BlobMissing):
                self._input = await stack.enter_async_context(
                    self._context.files.blobs.local(self._document.id)
                )
            await self._advance_with_input()

    async def _move_results(self) -> None:
        """Go on with result files of new names, where several servers share the folder: the server that had the batch may be
        paused and not dead, and no lease keeps it from writing to a file or bucket."""
        files = self._context.files
        async with self._status_lock:
            if self.batch.status == "finalizing":  # they are whole, and may have been told to the client
                return
            old = self._stored
            if self._moved is None:
                self._moved = files.new_id(), files.new_id()
            output, errors = self._moved
            for old_id, new_id in ((old.output, output), (old.errors, errors)):
                await files.blobs.copy_grown(old_id, new_id)
            try:
                await self._update_document(msgspec.structs.replace(old, output=output, errors=errors))
            except Conflict:
                await self._reload_document()

    async def _advance_with_input(self) -> None:
        if self._input is None and self.batch.status in ("validating", "in_progress"):
            await self._fail(BatchError(code="input_missing", message="The input file is missing."))
            return
        if self.batch.status == "validating" and self._input is not None:
            await self._validate(self._input)
            return
        self._results = await ResultFiles.open(
            self._context.files.blobs, self._stored.output, self._stored.errors
        )
        try:
            if self.batch.status == "in_progress" and self._input is not None:
                await self._run_requests(self._results, self._input)
            await self._finalize(self._results)
        finally:
            self._stored = msgspec.structs.replace(self._stored, batch=self.batch)
            await self._results.close()
            self._results = None

    async def _validate(self, path: Path) -> None:
        batch = self.batch
        report = await asyncio.to_thread(
            validate,
            path,
            endpoint=batch.endpoint,
            models=self._context.service.models,
            max_line_bytes=self._context.max_line_bytes,
        )
        if report.errors:
            await self._fail(*report.errors)
        else:
            counts = RequestCounts(total=report.total)
            await self._transition("in_progress", model=report.model, request_counts=counts)

    async def _fail(self, *errors: BatchError) -> None:
        await self._transition("failed", errors=BatchErrors(data=errors))

    # --- running ---

    async def _run_requests(self, results: ResultFiles, path: Path) -> None:
        """Run until every request has a result, or the batch is cancelled or expires."""
        dispatching = asyncio.create_task(self._dispatch(results, path))
        waiting = asyncio.create_task(self._wait_until_stopped())
        counting: asyncio.Task[None] | None = None
        if self._context.store.shared:
            name = f"the counts of batch {self._document.id}"
            counting = supervise_every(name, COUNTS_SECONDS, self._store_counts)
        try:
            await asyncio.wait((dispatching, waiting), return_when=asyncio.FIRST_COMPLETED)
            if dispatching.done():
                dispatching.result()
                await self._transition("finalizing")
        finally:
            for task in (dispatching, waiting):
                task.cancel()
            await asyncio.gather(dispatching, waiting, return_exceptions=True)
            await cancel(counting)

    async def _store_counts(self) -> None:
        """Write the counts and the usage so far, which the other servers read."""
        async with self._status_lock:
            batch = self.batch
            if batch.request_counts == self._stored.batch.request_counts:
                return
            try:
                await self._update_document(msgspec.structs.replace(self._stored, batch=batch))
            except Conflict:
                await self._reload_document()

    async def _wait_until_stopped(self) -> None:
        """Return when the batch is cancelled, or its completion window ends."""
        while self.batch.status == "in_progress" and not self._expired():
            self._status_changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._status_changed.wait(), _CLOCK_POLL_SECONDS)

    def _expired(self) -> bool:
        return self._context.clock.now() >= self.batch.expires_at

    async def _dispatch(self, results: ResultFiles, path: Path) -> None:
        """Start a request for each free place of the semaphore; read no further ahead."""
        semaphore = self._context.model_semaphore(self.batch.model)
        with RequestReader(path) as requests:
            async with asyncio.TaskGroup() as group:
                while (line := await asyncio.to_thread(requests.next, results.finished)) is not None:
                    try:  # before the semaphore, which other keys' batches wait for
                        ticket = await self._context.admit(self.owner, self._stored.key_id)
                    except Unauthorized:
                        logger.warning("batch %s is cancelled: its key was revoked", self._document.id)
                        await self._transition("cancelling")
                        return
                    try:
                        await semaphore.acquire()
                    except BaseException:
                        ticket.close()
                        raise
                    task = group.create_task(self._run_one(line, results, ticket))
                    task.add_done_callback(lambda _: semaphore.release())

    async def _run_one(self, line: RequestLine, results: ResultFiles, ticket: Ticket) -> None:
        context = self._context
        try:
            status, body = await run_request(
                context.service,
                CallContext(owner=self.owner, key_id=self._stored.key_id, priority=Priority.BACKGROUND),
                context.handler_for(line.url),
                bytes(line.body),
                count=ticket.count,
            )
        finally:
            ticket.close()
        answer = LineAnswer(status_code=status, request_id=context.ids.new("req"), body=msgspec.Raw(body))
        await results.add(self._result_line(line, response=answer))
        context.metrics.request_finished(status)

    def _result_line(self, line: RequestLine, **fields: Any) -> ResultLine:
        return ResultLine(id=self._context.ids.new("batch_req"), custom_id=line.custom_id, **fields)

    # --- ending ---

    async def _finalize(self, results: ResultFiles) -> None:
        """Turn the results into files, then set the final status."""
        status = self.batch.status
        if status == "finalizing":
            await self._transition("completed", **await self._publish_files(results))
            return
        end: BatchStatus = "cancelled" if status == "cancelling" else "expired"
        if self.batch.in_progress_at is not None and self._input is not None:
            await self._write_unrun(results, self._input, _UNRUN_ERRORS[end])
        await self._transition(end, **await self._publish_files(results))

    async def _write_unrun(self, results: ResultFiles, path: Path, error: LineError) -> None:
        """Write an error line for each request that was not run."""
        with RequestReader(path) as requests:
            line: RequestLine | None
            while True:
                lines: list[ResultLine] = []
                while len(lines) < _UNRUN_CHUNK and (
                    line := await asyncio.to_thread(requests.next, results.finished)
                ):
                    lines.append(self._result_line(line, error=error))
                await asyncio.gather(*(results.add(line) for line in lines))
                if len(lines) < _UNRUN_CHUNK:
                    return

    async def _publish_files(self, results: ResultFiles) -> dict[str, str | None]:
        """Register the non-empty result files. Idempotent, so that it can be repeated after a crash."""
        files, stored = self._context.files, self._stored
        await results.publish()
        names = ("output", "error")
        fields: dict[str, str | None] = {}
        for name, file_id, size in zip(names, (stored.output, stored.errors), results.sizes(), strict=True):
            fields[f"{name}_file_id"] = file_id if size else None
            if not size:
                await files.blobs.delete(file_id)
                continue
            await files.adopt(
                self.owner,
                file_id,
                filename=f"{self._document.id}_{name}.jsonl",
                purpose="batch_output",
                expires_after=stored.expires_after,
            )
        return fields

    async def _transition(self, status: BatchStatus, **changes: Any) -> bool:
        """Store the transition to another status; return False if it is not allowed."""
        async with self._status_lock:
            while True:
                if not BATCH_STATUS.allows(self.batch.status, status):
                    return False
                now = int(self._context.clock.now())
                batch = msgspec.structs.replace(self.batch, status=status, **{f"{status}_at": now, **changes})
                try:
                    await self._update_document(msgspec.structs.replace(self._stored, batch=batch))
                except Conflict:
                    await self._reload_document()
                    if self.batch.status != status:
                        continue
                break
            self._status_changed.set()
            if status in BATCH_STATUS.final:
                self._context.metrics.batch_ended(status)
            return True

    async def _update_document(self, stored: StoredBatch) -> None:
        """Replace the batch's document. Hold ``_status_lock``."""
        row = msgspec.structs.replace(
            self._document,
            status=stored.batch.status,
            version=self._document.version + 1,
            body=msgspec.json.encode(stored),
        )
        await self._context.store.update_document(row)
        self._document, self._stored = row, stored

    async def _reload_document(self) -> None:
        """Go on from what is stored: nobody else writes it, so an earlier attempt was kept that was called failed."""
        row = await self._context.store.get_document(KIND, self.owner, self._document.id)
        if row is None:
            raise NotFound(f"The batch '{self._document.id}' is gone.")
        self._document, self._stored = row, msgspec.json.decode(row.body, type=StoredBatch)


def not_cancellable(batch: Batch) -> Conflict:
    """Build the error for a batch that can no longer be cancelled."""
    return Conflict(
        f"Cannot cancel a batch with status '{batch.status}'.", param="batch_id", code="batch_not_cancellable"
    )


def _cause_of(error: Exception) -> tuple[Exception, bool]:
    """The first error of a group, and whether all of them are such as a full disk gives: no fault of this program."""
    first = error
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    if isinstance(error, ExceptionGroup):
        return first, error.split((ServiceError, OSError))[1] is None
    return first, isinstance(error, ServiceError | OSError)
