"""The life of one batch, from its first check to its files; whatever moment it is stopped at, it goes on from there.

Its input is a second name of the uploaded file's bytes, its results are the bytes of the files it will hand over, and
its document says which status it is in. That is all there is to remember: a restart reads the results and goes on
with the requests that have none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Struct

from kodo.server.http.batches.execution import Answered, ask
from kodo.server.http.batches.input_file import Requests, survey
from kodo.server.http.batches.metrics import Tally
from kodo.server.http.batches.results import Results
from kodo.server.http.files.manager import Files
from kodo.server.lifecycle.errors import Conflict
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.service import Service
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
from kodo.server.wire.files import ExpiresAfter

logger = logging.getLogger(__name__)

KIND = "batch"
MOVES: Final[dict[BatchStatus, tuple[BatchStatus, ...]]] = {
    "validating": ("in_progress", "failed", "cancelling"),
    "in_progress": ("finalizing", "expired", "cancelling", "failed"),
    "finalizing": ("completed",),
    "cancelling": ("cancelled",),
    "completed": (),
    "failed": (),
    "expired": (),
    "cancelled": (),
}
"""Which status may follow which."""
UNFINISHED: Final = tuple(status for status, following in MOVES.items() if following)
FINAL: Final = tuple(status for status, following in MOVES.items() if not following)
_NOT_RUN = {
    "expired": LineError(
        code="batch_expired", message="This request was not run before the completion window ended."
    ),
    "cancelled": LineError(
        code="batch_cancelled", message="This request was not run: the batch was cancelled."
    ),
}
_LOOK_SECONDS = 1.0
"""How often the clock is looked at: it may jump."""
_AT_ONCE = 500
"""Lines that are written together where nothing is run for them."""
_PAUSES = (1.0, 60.0)
"""First and longest pause, in seconds, before a batch that broke is taken up again."""


class Kept(Struct, frozen=True, kw_only=True):
    """What is stored of a batch."""

    batch: Batch
    output: str
    errors: str
    """Ids of the files it will hand over, known from the start."""
    expires_after: ExpiresAfter | None = None
    """Life of these files."""


@dataclass(frozen=True)
class Shop:
    """What batches are worked on with."""

    service: Service
    files: Files
    answered: Callable[[str], Answered]
    """What stands behind an endpoint."""
    lane: Callable[[str | None], asyncio.Semaphore]
    """Room for requests to a model, shared by all batches: each has its turn, and the memory is bounded."""
    tally: Tally
    longest: int
    """Bytes of a line."""


class Job:
    """A batch that is not over."""

    def __init__(self, shop: Shop, row: DocumentRow) -> None:
        self._shop = shop
        self._row = row
        self._kept = msgspec.json.decode(row.body, type=Kept)
        self._results: Results | None = None
        self._moving = asyncio.Lock()
        self._moved = asyncio.Event()
        self._input = shop.files.blobs.path(row.id)

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self._row.owner

    @property
    def batch(self) -> Batch:
        """The batch as it stands."""
        batch, results = self._kept.batch, self._results
        if results is None:
            return batch
        total = batch.request_counts.total
        counts = RequestCounts(total=total, completed=results.completed, failed=results.failed)
        return msgspec.structs.replace(batch, request_counts=counts, usage=results.usage)

    async def cancel(self) -> Batch:
        """Run nothing more; what was finished is handed over.

        Raises:
            Conflict: it is over, or about to be.
        """
        if self.batch.status != "cancelling" and not await self._move("cancelling"):
            raise over(self.batch)
        return self.batch

    async def drive(self) -> None:
        """Go on to the end. Cancelled, it stops where it is, for the next start."""
        pause, longest = _PAUSES
        while self.batch.status in UNFINISHED:
            try:
                await self._step()
            except Exception:
                logger.exception("batch %s is taken up again in %d s", self._row.id, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
        await asyncio.to_thread(self._shop.files.blobs.delete, self._row.id)

    async def _step(self) -> None:
        if self.batch.status == "validating":
            await self._validate()
            return
        if self.batch.status == "in_progress" and not self._input.exists():
            await self._fail(
                BatchError(code="input_missing", message="The input is not on the disk any more.")
            )
            return
        blobs = self._shop.files.blobs
        self._results = await asyncio.to_thread(
            Results, blobs.path(self._kept.output), blobs.path(self._kept.errors)
        )
        try:
            if self.batch.status == "in_progress":
                await self._run(self._results)
            await self._end(self._results)
        finally:
            self._kept = msgspec.structs.replace(self._kept, batch=self.batch)
            self._results.close()
            self._results = None

    async def _validate(self) -> None:
        batch = self.batch
        found = await asyncio.to_thread(
            survey,
            self._input,
            endpoint=batch.endpoint,
            models=self._shop.service.models,
            longest=self._shop.longest,
        )
        if found.errors:
            await self._fail(*found.errors)
        else:
            counts = RequestCounts(total=found.total)
            await self._move("in_progress", model=found.model, request_counts=counts)

    async def _fail(self, *errors: BatchError) -> None:
        await self._move("failed", errors=BatchErrors(data=errors))

    # --- running ---

    async def _run(self, results: Results) -> None:
        """Until every request has a result, or nobody wants them any more."""
        feeding = asyncio.create_task(self._feed(results))
        waiting = asyncio.create_task(self._unwanted())
        try:
            await asyncio.wait((feeding, waiting), return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
                await self._move("finalizing")
        finally:
            for task in (feeding, waiting):
                task.cancel()
            await asyncio.gather(feeding, waiting, return_exceptions=True)

    async def _unwanted(self) -> None:
        """Returns when the batch is cancelled, or its window ends."""
        while self.batch.status == "in_progress" and not self._expired():
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), _LOOK_SECONDS)

    def _expired(self) -> bool:
        return self._shop.service.clock.now() >= self.batch.expires_at

    async def _feed(self, results: Results) -> None:
        """A request for each free place; no further into the input than that."""
        lane = self._shop.lane(self.batch.model)
        with Requests(self._input) as requests:
            async with asyncio.TaskGroup() as group:
                while True:
                    await lane.acquire()
                    try:
                        line = await asyncio.to_thread(requests.next, results.done)
                        if line is None:
                            break
                        group.create_task(self._one(line, results)).add_done_callback(
                            lambda _: lane.release()
                        )
                    except BaseException:
                        lane.release()
                        raise
                lane.release()

    async def _one(self, line: RequestLine, results: Results) -> None:
        shop = self._shop
        status, body = await ask(shop.service, self.owner, shop.answered(line.url), bytes(line.body))
        answer = LineAnswer(
            status_code=status, request_id=shop.service.ids.new("req"), body=msgspec.Raw(body)
        )
        await results.add(self._line(line, response=answer))
        shop.tally.answered(status)

    def _line(self, line: RequestLine, **said: Any) -> ResultLine:
        return ResultLine(id=self._shop.service.ids.new("batch_req"), custom_id=line.custom_id, **said)

    # --- ending ---

    async def _end(self, results: Results) -> None:
        """Hand over what there is, and say so."""
        status = self.batch.status
        if status == "finalizing":
            await self._move("completed", **await self._files(results))
            return
        end: BatchStatus = "cancelled" if status == "cancelling" else "expired"
        if self.batch.in_progress_at is not None and self._input.exists():
            await self._give_back(results, _NOT_RUN[end])
        await self._move(end, **await self._files(results))

    async def _give_back(self, results: Results, why: LineError) -> None:
        """A line for each request that was not run."""
        with Requests(self._input) as requests:
            line: RequestLine | None
            while True:
                lines: list[ResultLine] = []
                while len(lines) < _AT_ONCE and (
                    line := await asyncio.to_thread(requests.next, results.done)
                ):
                    lines.append(self._line(line, error=why))
                await asyncio.gather(*(results.add(line) for line in lines))
                if len(lines) < _AT_ONCE:
                    return

    async def _files(self, results: Results) -> dict[str, str | None]:
        """Make files of the results that there are. Done again after a crash, it changes nothing."""
        files, kept = self._shop.files, self._kept
        names = ("output", "error")
        made: dict[str, str | None] = {}
        for name, file_id, size in zip(names, (kept.output, kept.errors), results.sizes(), strict=True):
            made[f"{name}_file_id"] = file_id if size else None
            if not size:
                await asyncio.to_thread(files.blobs.delete, file_id)
                continue
            await files.adopt(
                self.owner,
                file_id,
                filename=f"{self._row.id}_{name}.jsonl",
                purpose="batch_output",
                expires_after=kept.expires_after,
            )
        return made

    async def _move(self, status: BatchStatus, **changes: Any) -> bool:
        """To another status, durably; False: that does not follow the one it is in."""
        async with self._moving:
            if status not in MOVES[self.batch.status]:
                return False
            now = int(self._shop.service.clock.now())
            batch = msgspec.structs.replace(self.batch, status=status, **{f"{status}_at": now, **changes})
            kept = msgspec.structs.replace(self._kept, batch=batch)
            row = msgspec.structs.replace(
                self._row, status=status, version=self._row.version + 1, body=msgspec.json.encode(kept)
            )
            await self._shop.service.store.update_document(row)
            self._row, self._kept = row, kept
            self._moved.set()
            if not MOVES[status]:
                self._shop.tally.ended(status)
            return True


def over(batch: Batch) -> Conflict:
    """The batch cannot be cancelled any more."""
    return Conflict(
        f"Cannot cancel a batch with status '{batch.status}'.", param="batch_id", code="batch_not_cancellable"
    )
