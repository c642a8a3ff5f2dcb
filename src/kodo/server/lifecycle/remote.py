"""Responses that run on another server which shares the store: read by their log, and stopped by asking their owner.

The log is the truth, and a response's events are a fold of it: a reader here has the same events, numbers and bytes as one
there. News of a row are a hint; behind them the log is read every :data:`POLL_SECONDS`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

from kodo.server.lifecycle import event_log
from kodo.server.lifecycle.errors import NotFound, StoreFailed
from kodo.server.lifecycle.ports import ProviderState
from kodo.server.lifecycle.records import ResponseRow
from kodo.server.lifecycle.response_fold import ResponseFold
from kodo.server.lifecycle.row_codec import decode_request, decode_response, response_at_start
from kodo.server.lifecycle.status import FINAL
from kodo.server.lifecycle.store_ports import HistoryStore, SharedStore
from kodo.server.wire.events import StreamEvent
from kodo.server.wire.items import Reasoning
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import Response

POLL_SECONDS: Final = 0.5
STOP_SECONDS: Final = 60.0
"""How long a caller waits for another server to stop a response; a takeover of a dead one's is shorter."""
STOP: Final = "response.stop"
"""The request to a response's owner that it end as cancelled."""

SealFor = Callable[[str, CreateResponse], Callable[[Reasoning, ProviderState | None], Reasoning] | None]


class SharedHistory(HistoryStore, SharedStore, Protocol):
    """What is read of other servers' responses."""


class RemoteRuns:
    """Unfinished responses of other servers. ``is_here``: whether one runs on this one (it may have been taken over)."""

    def __init__(self, store: SharedHistory, seal_for: SealFor, is_here: Callable[[str], bool]) -> None:
        self._store = store
        self._seal_for = seal_for
        self._is_here = is_here

    def has(self, row: ResponseRow) -> bool:
        """Whether a response runs, and elsewhere."""
        return self._store.shared and row.status not in FINAL and not self._is_here(row.id)

    async def current(self, row: ResponseRow) -> Response:
        """A response as it stands."""
        fold = self._begin(row)
        fold.start()
        for data in await self._store.read_log(row.id):
            fold.feed(event_log.decode(data))
        return fold.response

    async def events(self, row: ResponseRow, after: int) -> AsyncIterator[Sequence[StreamEvent]]:
        """The events of a response after a sequence number, until its last; they end early where it is deleted."""
        fold = self._begin(row)
        events = fold.start()
        async for entries in self.entries(row):
            for entry in entries:
                events.extend(fold.feed(entry))
            if fresh := [event for event in events if event.sequence_number > after]:
                yield fresh
            events = []

    async def entries(self, row: ResponseRow, behind: int = 0) -> AsyncIterator[Sequence[event_log.Entry]]:
        """The entries of a response's log behind the first ones, as they come, until the last."""
        count, final = behind, False
        while True:
            found = [event_log.decode(data) for data in await self._store.read_log(row.id, count - 1)]
            count += len(found)
            yield found
            if any(isinstance(entry, event_log.Ended) for entry in found) or (final and not found):
                return
            if not found:
                await self._store.wait_for_news(row.id, POLL_SECONDS)
                now = await self._store.get_response(row.owner, row.id)
                if now is None:
                    return
                final = now.status in FINAL  # then its last entries are there: they are read once more

    async def stop(self, row: ResponseRow, stop_here: Callable[[], Awaitable[bool]]) -> ResponseRow | None:
        """Have a response ended as cancelled, and wait until that is stored; the row then, None: it was deleted.

        ``stop_here`` stops it if it has been taken over by this server, and says whether it was here.

        Raises:
            StoreFailed: its owner did not do it.
        """
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not await stop_here():
                told = asyncio.create_task(self._store.wait_for_news(row.id, POLL_SECONDS))
                await self._store.ask_owner(STOP, row.id)
                await told
            now = await self._store.get_response(row.owner, row.id)
            if now is None or now.status in FINAL:
                return now
        raise StoreFailed("The server that runs this response does not answer; try again.")

    def _begin(self, row: ResponseRow) -> ResponseFold:
        return ResponseFold(
            response_at_start(decode_response(row)), self._seal_for(row.owner, decode_request(row).request)
        )


def still_there(row: ResponseRow | None, response_id: str) -> ResponseRow:
    """The row. Raises NotFound: it was deleted meanwhile."""
    if row is None:
        raise NotFound(
            f"Response with id '{response_id}' not found.", param="response_id", code="response_not_found"
        )
    return row
