"""Group commit, whatever the database: queued writes are committed together, and a write that fails fails alone.

Callers hand over functions of a connection. A thread takes all that wait, runs them in one transaction, commits, and wakes
the callers in one go: 64 producers cost one fsync, not 64. A function may be run again after its transaction was rolled
back, so it must do nothing but read and write the connection.

This module knows no table and no database.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from kodo.server.lifecycle.errors import StoreFailed

logger = logging.getLogger(__name__)

T = TypeVar("T")
C = TypeVar("C")
MAX_WAITING = 4096
"""Writes that may be queued; further callers wait until there is room."""
MAX_BATCH = 512
"""Writes in one transaction, so that the first of them does not wait for long."""


@dataclass(frozen=True, slots=True)
class WriteJob(Generic[C]):
    """A function of a connection, and who waits for it."""

    work: Callable[[C], Any]
    durable: bool
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of a job."""

    future: asyncio.Future[Any]
    value: Any = None
    error: Exception | None = None


class GroupWriter(ABC, Generic[C]):
    """A queue and the threads that commit what waits in it. Made and used inside a running event loop."""

    def __init__(self, *, max_waiting: int, threads: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(max_waiting)
        self._queue: SimpleQueue[WriteJob[C] | None] = SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"kodo-store-writer-{slot}", daemon=True)
            for slot in range(threads)
        ]

    def start(self) -> None:
        """Begin to serve: the subclass is made."""
        for thread in self._threads:
            thread.start()

    @abstractmethod
    def _commit(self, slot: int, jobs: Sequence[WriteJob[C]]) -> list[WriteOutcome]:
        """Commit jobs in the thread number ``slot``. What it raises fails all of them."""

    @abstractmethod
    def _end(self, slot: int) -> None:
        """Let go of the thread's connection."""

    def _before_taking(self) -> None:
        """Called in a thread that has a job, before it takes what else waits."""

    async def run(self, work: Callable[[C], T], *, durable: bool = True) -> T:
        """Run ``work`` and return its result when it is committed; ``durable``: and on the disk.

        A caller that is cancelled meanwhile does not take the work back.

        Raises:
            StoreFailed: the database could not do it; nothing of it was kept.
            Exception: whatever ``work`` raised; nothing of it was kept.
        """
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise StoreFailed("The store is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(WriteJob(work, durable, future))
        return await future

    async def close(self) -> None:
        """Commit what waits, end the threads, close the connections. May be called twice."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    @property
    def waiting(self) -> int:
        """Calls that are handed over and not yet taken up."""
        return self._queue.qsize()

    def _serve(self, slot: int) -> None:
        going = True
        while going:
            jobs, going = self._take()
            if jobs:
                try:
                    outcomes = self._commit(slot, jobs)
                except (
                    Exception
                ) as error:  # raised in the callers: without the thread, all later writes would hang
                    logger.exception("a transaction failed unexpectedly")
                    outcomes = [WriteOutcome(job.future, error=error) for job in jobs]
                self._loop.call_soon_threadsafe(self._settle, outcomes)
        self._end(slot)

    def _take(self) -> tuple[list[WriteJob[C]], bool]:
        """Everything that waits, at least one job; and whether more may come."""
        jobs: list[WriteJob[C]] = []
        try:
            job = self._queue.get()
            if job is not None:
                self._before_taking()
            while job is not None:
                jobs.append(job)
                if len(jobs) == MAX_BATCH:
                    return jobs, True
                job = self._queue.get_nowait()
        except Empty:
            return jobs, True
        return jobs, False

    def _settle(self, outcomes: Sequence[WriteOutcome]) -> None:
        for outcome in outcomes:
            self._room.release()
            if outcome.future.done():  # its caller was cancelled
                continue
            if outcome.error is not None:
                outcome.future.set_exception(outcome.error)
            else:
                outcome.future.set_result(outcome.value)
