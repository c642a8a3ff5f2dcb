"""The one thread that writes: queued writes are committed together, and a write that fails fails alone.

Callers hand over functions of a connection. The thread takes all that wait, runs them in one transaction with a
savepoint around each, commits, and wakes the callers in one go: 64 producers cost one fsync, not 64. A function may be
run again after its transaction was rolled back, so it must do nothing but read and write the connection.

This module knows no table.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.failures import translate

T = TypeVar("T")
MAX_WAITING = 4096
"""Writes that may be queued; further callers wait until there is room."""
MAX_BATCH = 512
"""Writes in one transaction, so that the first of them does not wait for long."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    durable: bool
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    future: asyncio.Future[Any]
    value: Any = None
    error: Exception | None = None


class Writer:
    """Group commit over one connection, which is its own from now on. Made and used inside a running event loop."""

    def __init__(self, connection: sqlite3.Connection, *, max_waiting: int = MAX_WAITING) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(max_waiting)
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._full: bool | None = None
        self._thread = threading.Thread(target=self._serve, name="kodo-store-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run ``work`` and return its result when it is committed; ``durable``: and on the disk.

        A caller that is cancelled meanwhile does not take the work back.

        Raises:
            StoreFailed: SQLite could not do it; nothing of it was kept.
            Exception: whatever ``work`` raised; nothing of it was kept.
        """
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise StoreFailed("The store is closed.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Job(work, durable, future))
        return await future

    async def close(self) -> None:
        """Commit what waits, end the thread, close the connection. May be called twice."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    @property
    def waiting(self) -> int:
        """Calls that are handed over and not yet taken up."""
        return self._queue.qsize()

    def _serve(self) -> None:
        going = True
        while going:
            jobs, going = self._take()
            if jobs:
                outcomes = self._commit(jobs)
                self._loop.call_soon_threadsafe(self._settle, outcomes)
        self._connection.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """Everything that waits, at least one job; and whether more may come."""
        jobs: list[_Job] = []
        try:
            job = self._queue.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) == MAX_BATCH:
                    return jobs, True
                job = self._queue.get_nowait()
        except Empty:
            return jobs, True
        return jobs, False

    def _commit(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        """One transaction. Where one job breaks it, each is given a transaction of its own."""
        try:
            self._begin(full=any(job.durable for job in jobs))
            try:
                outcomes = [self._step(job) for job in jobs]
            except sqlite3.Error:
                if len(jobs) == 1:
                    raise
                self._rollback()
                return [outcome for job in jobs for outcome in self._commit([job])]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            return [_Outcome(job.future, error=translate(error)) for job in jobs]
        return outcomes

    def _begin(self, *, full: bool) -> None:
        if full != self._full:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full
        self._connection.execute("BEGIN IMMEDIATE")

    def _step(self, job: _Job) -> _Outcome:
        self._connection.execute("SAVEPOINT job")
        try:
            value = job.work(self._connection)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - raised in the caller that awaits the job
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return _Outcome(job.future, error=error)
        self._connection.execute("RELEASE job")
        return _Outcome(job.future, value)

    def _rollback(self) -> None:
        """SQLite has rolled back by itself after some errors (a full disk), and not after others."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        for outcome in outcomes:
            self._room.release()
            if outcome.future.done():  # its caller was cancelled
                continue
            if outcome.error is not None:
                outcome.future.set_exception(outcome.error)
            else:
                outcome.future.set_result(outcome.value)
