"""One response while it is alive: written by one task, read by any number of readers.

The writer hands over log entries; the fold makes events of them; readers see an event once it may be shown. For a
background response that is when its entry is on disk, so that nothing a reader saw is lost by a crash. For a response
in the foreground the first event waits for the row, the last for the final commit, and the log follows within
``FLUSH_SECONDS``: its client is gone with the process anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec

from kodo.server.lifecycle import log
from kodo.server.lifecycle.assemble import Assembler
from kodo.server.lifecycle.errors import KodoError, StoreFailed
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import ItemRow, ResponseRow
from kodo.server.lifecycle.status import FINAL
from kodo.server.lifecycle.store_ports import ResponseStore
from kodo.server.wire.events import StreamEvent
from kodo.server.wire.items import Reasoning
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
        skeleton: Response,
        *,
        store: ResponseStore | None,
        row: ResponseRow | None,
        entries: Sequence[log.Entry] = (),
        seal: Callable[[Reasoning], Reasoning] | None = None,
    ) -> None:
        self.owner = owner
        self.row = row
        self.skeleton: Final = skeleton
        """The Response as it began."""
        self.entries: list[log.Entry] = []
        self.context: tuple[ContextItem, ...] = ()
        """The items it was made from, for connections that remember what the store does not."""
        self.error: KodoError | None = None
        """Why it failed, for whoever waits for the answer as a whole."""
        self.cancelled = False
        self.ending = False
        """Whether its end is being written: from here on it is not to be cancelled."""
        self.told = skeleton
        """The Response as it may be shown: a crash does not take it back."""
        self.task: asyncio.Task[None] | None = None
        self._seal = seal
        self._trouble: StoreFailed | None = None
        self._store = store if row is not None else None
        self._assembler = Assembler(skeleton, seal)
        self._events: list[StreamEvent] = list(self._assembler.start())
        self._visible = 0
        self._saved = 0
        self._created = False
        self._finished = False
        self._readers: list[asyncio.Future[None]] = []
        """Those that wait for news."""
        self._wake = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        for entry in entries:  # what an earlier process wrote
            self._take(entry)
        self._saved = len(self.entries)
        self._begun = len(self._events), self.response

    # --- what it is ---

    @property
    def id(self) -> str:
        """The response's id."""
        return self._assembler.response.id

    @property
    def response(self) -> Response:
        """The Response as it stands."""
        return self._assembler.response

    @property
    def background(self) -> bool:
        """Whether it runs without a client."""
        return self.response.background

    @property
    def finished(self) -> bool:
        """Whether its last event may be shown."""
        return self._finished

    # --- reading ---

    async def events(self, after: int = -1) -> AsyncIterator[Sequence[StreamEvent]]:
        """Events behind sequence number ``after``, those that are there at once in one go, until the last."""
        position = after + 1
        while True:
            if position < self._visible:
                batch = self._events[position : self._visible]
                position = self._visible
                yield batch
            elif self._finished:
                return
            else:
                await self._news()

    async def over(self) -> None:
        """Until the last event may be shown.

        Raises:
            StoreFailed: the end could not be stored (that is tried again until it is).
        """
        while not self._finished:
            if self._trouble is not None:
                raise self._trouble
            await self._news()

    async def wait(self) -> Response:
        """The final Response.

        Raises:
            KodoError: it failed; the same error that a stream would end with.
        """
        async for _ in self.events(after=len(self._events) - 1):
            pass
        if self.error is not None:
            raise self.error
        return self.response

    # --- writing ---

    def created(self) -> None:
        """The row is on disk (or there is none): the first events may be shown, and what an earlier process wrote."""
        self._created = True
        if self._store is not None and not self.ending:
            self._flusher = asyncio.create_task(self._flush())
        if not self._finished and (self.background or self.ending):
            self._show(*self._begun)
        else:
            self._show()

    def emit(self, entry: log.Entry) -> None:
        """One more entry, not the last."""
        self._take(entry)
        self._wake.set()
        if not self.background:
            self._show()

    def never_stored(self) -> None:
        """Its row could not be written: nothing of it is."""
        self._store = None

    async def end(self, entry: log.Ended) -> None:
        """The last entry: committed with the final row, then shown.

        Where it cannot be committed, a background response waits until it can. One in the foreground has somebody who
        waits: it is shown as failed at once, and stored as failed later.
        """
        self.ending = True
        try:
            await self._stop_flushing()
            self._take(entry)
            try:
                await self._save_end()
            except StoreFailed as error:
                logger.error("response %s could not be stored: %s", self.id, error)
                if self.background:
                    self._trouble = error
                    self._wake_readers()
                else:
                    self.error = self.error or error
                    failed = log.Ended(
                        status="failed", at=entry.at, usage=entry.usage, error=("server_error", error.message)
                    )
                    self._fold_again([*self.entries[:-1], failed])
                    self._show_end()
                await self._save_end_later()
            self._show_end()
        finally:
            self._finished = (
                True  # also where the server stops before the disk has room: the next start ends it
            )
            self._wake_readers()

    def output_rows(self) -> list[ItemRow]:
        """The output items of a finished response, with the ids they were generated from."""
        return [
            ItemRow(id=item.id or "", context=ContextItem(item=item, tokens=tokens or None))
            for item, tokens in zip(self.response.output, self._assembler.tokens, strict=True)
        ]

    async def abandon(self) -> None:
        """Stop without an end, as a crash would: the log is saved, the row stays unfinished, readers are let go."""
        self.ending = True
        try:
            await self._stop_flushing()
            if self._store is not None and self._created:
                await self._store.append_log(self.id, *self._unsaved())
        except StoreFailed as error:
            logger.error("log of %s could not be stored: %s", self.id, error)
        finally:
            self._finished = True
            self._wake_readers()

    # --- inside ---

    def _take(self, entry: log.Entry) -> None:
        self.entries.append(entry)
        self._events.extend(self._assembler.feed(entry))

    def _fold_again(self, entries: Sequence[log.Entry]) -> None:
        """Another log in place of this one, with the same beginning."""
        self._assembler = Assembler(self.skeleton, self._seal)
        self._events = list(self._assembler.start())
        self.entries = []
        for entry in entries:
            self._take(entry)

    def _show(self, upto: int | None = None, response: Response | None = None) -> None:
        if not self._created:
            return
        self._visible = len(self._events) if upto is None else upto
        self.told = response or self.response
        self._wake_readers()

    def _show_end(self) -> None:
        self._finished = True
        self._created = True
        self._show()

    def _news(self) -> asyncio.Future[None]:
        """Done when there is something new to see."""
        news = asyncio.get_running_loop().create_future()
        self._readers.append(news)
        return news

    def _wake_readers(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():  # one that is gone was cancelled
                reader.set_result(None)

    async def _stop_flushing(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
            self._flusher = None

    async def _save_end(self) -> None:
        if self._store is not None:
            await self._store.finish_response(self._final_row(), self.output_rows(), log=self._unsaved())

    async def _save_end_later(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self._save_end()
            except StoreFailed:
                continue
            return

    def _unsaved(self) -> tuple[int, list[bytes]]:
        return self._saved, [log.encode(entry) for entry in self.entries[self._saved :]]

    def _final_row(self) -> ResponseRow:
        row = self.row
        if row is None or self.response.status not in FINAL:
            raise ValueError("only a stored, finished response has a final row")
        return row_of(self.response, row)

    async def _flush(self) -> None:
        """Save the log as it grows; for a background response, show what was saved."""
        store = self._store
        if store is None:
            return
        while True:
            await self._wake.wait()
            if not self.background:
                await asyncio.sleep(FLUSH_SECONDS)
            self._wake.clear()
            shown, response, (first, entries) = len(self._events), self.response, self._unsaved()
            try:
                await store.append_log(self.id, first, entries)
            except StoreFailed as error:
                # Kept in memory: the next round, or the end, writes them again.
                logger.error("log of %s could not be stored: %s", self.id, error)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()
                continue
            self._saved = first + len(entries)
            if self.background:
                self._show(shown, response)


def row_of(response: Response, row: ResponseRow) -> ResponseRow:
    """A row brought up to date with its Response."""
    return msgspec.structs.replace(row, status=response.status, response=msgspec.json.encode(response))
