"""Events of one writer for any number of readers, each at a position of its own. Kept in memory; knows no event type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Broadcast(Generic[T]):
    """A list of events that only grows, until it is closed. For use within one event loop.

    Args:
        events: what was published before the first reader comes.
    """

    def __init__(self, events: Iterable[T] = ()) -> None:
        self._events: list[T] = list(events)
        self._closed = False
        self._waiting: list[asyncio.Future[None]] = []
        self._waiting_for_end: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        """The number of events published so far: the position of the next one."""
        return len(self._events)

    @property
    def closed(self) -> bool:
        """Whether no event will follow."""
        return self._closed

    def publish(self, *events: T) -> None:
        """Append events and wake the readers."""
        self._events.extend(events)
        self.wake()

    def close(self) -> None:
        """End the readers, once each has read what was published."""
        self._closed = True
        self.wake()
        for ended in self._waiting_for_end:
            if not ended.done():
                ended.set_result(None)
        self._waiting_for_end.clear()

    async def follow(self, position: int = 0) -> AsyncIterator[Sequence[T]]:
        """Yield the events from ``position`` on, all that are available in one batch, until the broadcast is closed."""
        while True:
            if batch := self._events[position:]:
                position += len(batch)
                yield batch
            elif self._closed:
                return
            else:
                await self.changed()

    def changed(self) -> asyncio.Future[None]:
        """Return a future that is done at the next :meth:`publish`, :meth:`close` or :meth:`wake`."""
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(changed)
        return changed

    async def ended(self) -> None:
        """Wait for :meth:`close`, and for nothing else."""
        if not self._closed:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting_for_end.append(ended)
            await ended

    def wake(self) -> None:
        """Wake those that wait in :meth:`changed`, without an event: something else that they check has changed."""
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            if not changed.done():  # a reader that was cancelled has cancelled its future
                changed.set_result(None)
