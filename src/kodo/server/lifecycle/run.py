"""One response while it is alive: written by one task, read by any number of readers.

The writer emits log entries, the fold turns them into events, and readers see an event once it is published. An event
of a background response is published when its entry is on disk, so that a crash loses nothing that a reader saw. In
the foreground the first event waits for the row and the last for the final commit; the log follows within
``FLUSH_SECONDS``, because a crash also disconnects the client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from kodo.server.lifecycle import event_log, genai, tracing
from kodo.server.lifecycle.broadcast import Broadcast
from kodo.server.lifecycle.charging import KeyAccount
from kodo.server.lifecycle.errors import Conflict, ServiceError, StoreFailed
from kodo.server.lifecycle.hosted.step_fold import StepFold
from kodo.server.lifecycle.ports import ContextItem, ProviderState
from kodo.server.lifecycle.records import ItemRow, KeyCharge, ResponseRow, Timing
from kodo.server.lifecycle.response_fold import ResponseFold
from kodo.server.lifecycle.status import FINAL
from kodo.server.lifecycle.store_ports import ResponseStore
from kodo.server.lifecycle.supervised import cancel, supervise
from kodo.server.wire.events import StreamEvent
from kodo.server.wire.items import Item, Reasoning
from kodo.server.wire.response import Response

logger = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 1.0
"""How long the log of a response in the foreground may wait for the disk: it is only read after a crash, which ends the
response as failed. With a quarter of a second, a token took 7 % more of this process's time."""
RETRY_SECONDS: Final = 1.0
"""Pause before a write that failed is tried again."""


class Run:
    """A live response. ``response`` is the Response as it stands; ``entries`` its log so far."""

    def __init__(
        self,
        owner: str,
        initial_response: Response,
        *,
        store: ResponseStore | None,
        row: ResponseRow | None,
        entries: Sequence[event_log.Entry] = (),
        seal: Callable[[Reasoning, ProviderState | None], Reasoning] | None = None,
        context: tuple[ContextItem, ...] = (),
        input_tokens: int = 0,
        unenforced: tuple[str, ...] = (),
        account: KeyAccount | None = None,
    ) -> None:
        self.owner = owner
        self.row = row
        self.initial_response: Final = initial_response
        """The Response as it began."""
        self.id: Final = initial_response.id
        """The response's id."""
        self.background: Final = initial_response.background
        """Whether it runs without a client."""
        self.entries: list[event_log.Entry] = []
        self.context: Final = context
        """The items it was made from, for connections that remember what the store does not."""
        self.input_tokens: Final = input_tokens
        """Tokens of the prompt, known before the first event."""
        self.stop_sequence: str | None = None
        """The client's stop string that ended the answer, where one did."""
        self.unenforced: Final = unenforced
        """Keywords of tool schemas that the engine does not hold a model to."""
        self.error: ServiceError | None = None
        """Why it failed, for callers that wait for the whole answer."""
        self.cancelled = False
        """Whether its client went away, or asked for its end."""
        self.begun = False
        """Whether its task runs: it is what ends the run."""
        self.ending = False
        """Whether its end is being written; from then on it must not be cancelled."""
        self.visible = initial_response
        """The Response as readers may see it: a crash does not revert it."""
        self.task: asyncio.Task[None] | None = None
        self.timing = Timing()
        """Known at the end."""
        self._seal = seal
        self._account = account
        """Whom it is charged to; None: nobody."""
        self._store_error: StoreFailed | None = None
        self._store = store if row is not None else None
        self._fold = ResponseFold(initial_response, seal)
        self._published: Broadcast[StreamEvent] = Broadcast()
        self._unpublished: list[StreamEvent] = list(self._fold.start())
        self._deferred: Sequence[ItemRow] | None = None
        """The input items, where the row is stored with its end and not before."""
        self._saved = 0
        self._created = False
        self._wake = asyncio.Event()
        self._saving = asyncio.Lock()
        self._row_written = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        for entry in entries:  # what an earlier process wrote
            self._apply(entry)
        self._saved = len(self.entries)
        self.interrupted_steps: Final = frozenset(
            step.number for step in self.steps.steps if step.ended is None
        )
        """Steps that an earlier process began and did not finish."""
        self._restored = self._folded, self.response

    # --- what it is ---

    @property
    def response(self) -> Response:
        """The Response as it stands."""
        return self._fold.response

    @property
    def finished(self) -> bool:
        """Whether its last event is visible to readers."""
        return self._published.closed

    # --- reading ---

    def events(self, after: int = -1) -> AsyncIterator[Sequence[StreamEvent]]:
        """Events after sequence number ``after`` until the last, in batches of those that are available."""
        return self._published.follow(after + 1)

    async def wait_until_done(self) -> None:
        """Wait until the last event is visible to readers.

        Raises:
            StoreFailed: the end could not be stored (that is tried again until it is), or the server stops without it.
        """
        while not self.finished:
            if self._store_error is not None:
                raise self._store_error
            await self._published.changed()
        self._check_end_is_visible()

    async def wait(self) -> Response:
        """The final Response.

        Raises:
            ServiceError: it failed; the same error that a stream would end with.
            StoreFailed: the server stops without an end of it that is stored.
        """
        await self._published.ended()
        if self.error is not None:
            raise self.error
        self._check_end_is_visible()
        return self.response

    def _check_end_is_visible(self) -> None:
        """A stop of the server releases those who wait, also while the end is being written: it may not be taken for stored."""
        if self.visible.status not in FINAL:
            raise StoreFailed("The server stopped before the end of this response was stored.")

    # --- writing ---

    def created(self) -> None:
        """Publish the first events: the row is on disk, or the response is not stored. After a crash, those of the earlier process too."""
        self._created = True
        self._row_written.set()
        if self._store is not None and not self.ending and self._deferred is None:
            self._flusher = supervise(f"the log of {self.id}", self._flush, delays=(RETRY_SECONDS,))
        if not self.finished and (self.background or self.ending):
            self._publish(*self._restored)
        else:
            self._publish()

    def emit(self, entry: event_log.Entry) -> None:
        """One more entry, not the last."""
        self._apply(entry)
        if self._store is not None:
            self._wake.set()
        if not self.background:
            self._publish()

    def defer(self, inputs: Sequence[ItemRow]) -> None:
        """Store the row and its input items with the end, in one transaction: no client learns of it before."""
        self._deferred = inputs

    def discard(self) -> None:
        """Store nothing of this run: its row could not be written."""
        self._store = None
        self._row_written.set()

    def cancel(self) -> None:
        """End its task, unless its end is being written already. A task that was cancelled before it began would never end the
        run, so it begins first."""
        if self.task is None or self.ending:
            return
        if self.begun or self.task.done():
            self.task.cancel()
        else:
            asyncio.get_running_loop().call_soon(self.cancel)

    def is_stored(self) -> None:
        """Its row was written by an earlier process: its end need not wait for that."""
        self._row_written.set()

    async def save(self) -> None:
        """Wait until the entries so far are on disk, where the response is stored.

        Raises:
            StoreFailed: a response in the foreground could not be saved; one in the background waits until it can.
        """
        count = len(self.entries)
        if self._store is not None:
            await self._row_written.wait()
        while self._store is not None and self._saved < count:
            try:
                await self._save_log(self._store)
            except StoreFailed:
                if not self.background:
                    raise
                await asyncio.sleep(RETRY_SECONDS)

    async def end(self, entry: event_log.Ended) -> None:
        """Write the last entry: committed with the final row, then published.

        Where it cannot be committed, a background response waits until it can. A response in the foreground has a
        waiting client: it is published as failed immediately, and stored as failed later.
        """
        self.ending = True
        try:
            await self._stop_flushing()
            self._apply(entry)
            try:
                await self._save_end()
            except StoreFailed as error:
                logger.error("response %s could not be stored: %s", self.id, error)
                if self.background:
                    self._store_error = error
                    self._published.wake()
                else:
                    self.error = self.error or error
                    failed = event_log.Ended(
                        status="failed", at=entry.at, usage=entry.usage, error=("server_error", error.message)
                    )
                    self._refold([*self.entries[:-1], failed])
                    self._publish_end()
                await self._retry_save_end()
            self._publish_end()
        finally:
            # Also where the server stops before the disk has room: the next start ends it.
            self._published.close()

    def output_rows(self) -> list[ItemRow]:
        """The output items of a finished response, with the ids they were generated from."""
        return [ItemRow(id=slot.item.id or "", context=slot.context) for slot in self._fold.output]

    @property
    def steps(self) -> StepFold:
        """What the tools of this server did and have to do."""
        return self._fold.steps

    def output_item(self, index: int) -> Item:
        """An output item as it stands."""
        return self._fold.output[index].item

    def produced(self) -> tuple[ContextItem, ...]:
        """The output items that the current turn of the model was made from, or the next one is to be."""
        begun = len(self.initial_response.output)
        upto = None if self.steps.between else self.steps.turn_start
        return tuple(slot.context for slot in self._fold.output[begun:upto] if slot.complete)

    async def abandon(self) -> None:
        """Stop without an end, as after a crash: the log is saved, the row stays unfinished, readers are released."""
        self.ending = True
        try:
            await self._stop_flushing()
            if self._store is not None and self._created:
                await self._store.append_log(self.id, *self._unsaved())
        except StoreFailed as error:
            logger.error("log of %s could not be stored: %s", self.id, error)
        finally:
            self._published.close()

    def replay(self, entries: Sequence[event_log.Entry]) -> None:
        """Publish what another server does of it, by the log that it writes."""
        for entry in entries:
            self._apply(entry)
        self._publish()

    def close(self) -> None:
        """Release the readers: there will be no more events here."""
        self._published.close()

    # --- inside ---

    def _apply(self, entry: event_log.Entry) -> None:
        self.entries.append(entry)
        self._unpublished.extend(self._fold.feed(entry))

    @property
    def _folded(self) -> int:
        """The number of events so far, published or not."""
        return len(self._published) + len(self._unpublished)

    def _refold(self, entries: Sequence[event_log.Entry]) -> None:
        """Replace the log by another one with the same beginning."""
        self._fold = ResponseFold(self.initial_response, self._seal)
        self._unpublished = list(self._fold.start())
        self.entries = []
        for entry in entries:
            self._apply(entry)
        del self._unpublished[: len(self._published)]

    def _publish(self, upto: int | None = None, response: Response | None = None) -> None:
        if not self._created:
            return
        count = len(self._unpublished) if upto is None else upto - len(self._published)
        events, self._unpublished = self._unpublished[:count], self._unpublished[count:]
        self.visible = response or self.response
        self._published.publish(*events)

    def _publish_end(self) -> None:
        self._created = True
        self._publish()
        self._published.close()

    async def _stop_flushing(self) -> None:
        await cancel(self._flusher)
        self._flusher = None

    async def _save_end(self) -> None:
        if self._store is not None and self._deferred is None:
            await self._row_written.wait()  # writes of a store may pass one another
        charge = await self._charge()
        if self._store is None:
            if charge is not None and self._account is not None:
                await self._account.budgets.charge(charge)
            return
        row = msgspec.structs.replace(self._final_row(), charge=charge)
        output, log = self.output_rows(), self._unsaved()
        with tracing.span(genai.STORE, {genai.RESPONSE_ID: self.id}):
            if self._deferred is None:
                await self._store.finish_response(row, output, log=log)
            else:
                await self._store.store_response(row, self._deferred, output, log=log)

    async def _charge(self) -> KeyCharge | None:
        """What its key is charged: the same for each attempt to store the end."""
        end = self.entries[-1]
        if self._account is None or not isinstance(end, event_log.Ended):
            return None
        return await self._account.charge_of(self.response.model, end.usage, end.at)

    async def _retry_save_end(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._save_end()
            except StoreFailed:
                continue
            except Conflict:  # with its row: the first attempt was kept after all
                logger.info("response %s was stored by an attempt that was called failed", self.id)
            return

    def _unsaved(self) -> tuple[int, list[bytes]]:
        return self._saved, [event_log.encode(entry) for entry in self.entries[self._saved :]]

    def _final_row(self) -> ResponseRow:
        row = self.row
        if row is None or self.response.status not in FINAL:
            raise ValueError("only a stored, finished response has a final row")
        return msgspec.structs.replace(updated_row(self.response, row), timing=self.timing)

    async def _flush(self) -> None:
        """Save the log once it has grown; for a background response, publish what was saved.

        Where that fails, the log stays in memory: the next round, or the end, writes it again.
        """
        store = self._store
        if store is None:
            await asyncio.Event().wait()  # discarded: there is nothing to save until this task is cancelled
            return
        await self._wake.wait()
        if not self.background:
            await asyncio.sleep(FLUSH_SECONDS)
        self._wake.clear()
        try:
            await self._save_log(store)
        except BaseException:
            self._wake.set()
            raise

    async def _save_log(self, store: ResponseStore) -> None:
        """Save the log so far; of a background response, publish what was saved."""
        async with self._saving:
            count, response, (first, entries) = self._folded, self.response, self._unsaved()
            if entries:
                await store.append_log(self.id, first, entries)
                self._saved = first + len(entries)
            if self.background:
                self._publish(count, response)


def updated_row(response: Response, row: ResponseRow) -> ResponseRow:
    """A row brought up to date with its Response."""
    return msgspec.structs.replace(row, status=response.status, response=msgspec.json.encode(response))
