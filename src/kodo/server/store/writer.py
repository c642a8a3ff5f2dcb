"""The one thread that writes to SQLite: group commit, and a savepoint around each write where one of them fails.

A savepoint costs a copy of every page that a write is the first to touch, and with some writes in one transaction these
copies go to a file of their own. So the writes of a transaction run without any, and again with one each where one has
failed.

This module knows no table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.connections import SqliteConnection
from kodo.server.store.failures import translate
from kodo.server.store.file_guard import FileGuard
from kodo.server.store.group_writer import MAX_BATCH, MAX_WAITING, GroupWriter, WriteJob, WriteOutcome

__all__ = ["MAX_BATCH", "Writer"]

logger = logging.getLogger(__name__)


MAX_ASIDE_SECONDS: Final = 0.005
"""How long the event loop stands aside for the statements of a transaction at most, and this thread waits for it to do so."""


class Turn:
    """The time in which the event loop stands aside for the statements of a transaction.

    Each statement gives the interpreter away and takes it back. Where the loop has work at the same time, the two threads change
    places at nearly every one, which costs as much as the statement itself.
    """

    def __init__(self) -> None:
        self._begun = threading.Event()
        self._over = threading.Event()

    def ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until the loop has done what it has to do now, and stands aside. In the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is in the way
            loop.call_soon_threadsafe(self._stand_aside)
            self._begun.wait(MAX_ASIDE_SECONDS)

    def end(self) -> None:
        """Let the loop go on. May be called twice, and without :meth:`ask`."""
        self._over.set()

    def _stand_aside(self) -> None:
        self._begun.set()
        self._over.wait(MAX_ASIDE_SECONDS)


class Writer(GroupWriter[SqliteConnection]):
    """Group commit over one connection, which is its own from now on.

    Args:
        connection: where to write; what its writes put off is given to ``add_up`` once, before each commit.
        max_waiting: writes that may wait.
        guard: of the files that it needs.
        add_up: writes what was put off.
    """

    def __init__(
        self,
        connection: SqliteConnection,
        *,
        max_waiting: int = MAX_WAITING,
        guard: FileGuard | None = None,
        add_up: Callable[[SqliteConnection, Sequence[Any]], None] | None = None,
    ) -> None:
        super().__init__(max_waiting=max_waiting)
        self._connection = connection
        self._add_up = add_up
        self._put_off: list[Any] = []
        if add_up is not None:
            connection.put_off = self._put_off
        self._guard = guard
        self._lost: StoreFailed | None = None
        self._full: bool | None = None
        self._turn = Turn()
        self._several = False
        """Whether the last transaction had more than one job."""
        self.start()

    def _before_taking(self) -> None:
        """Where several write at a time, take the interpreter for the statements. What the loop hands over until it stands aside
        is in the same transaction."""
        self._turn = Turn()
        if self._several or self.waiting:
            self._turn.ask(self._loop)

    def _end(self, slot: int) -> None:
        self._connection.close()

    def _commit(self, slot: int, jobs: Sequence[WriteJob[SqliteConnection]]) -> list[WriteOutcome]:
        """One transaction. Where one job breaks it, each is given a transaction of its own. Once a file is lost, nothing
        is committed any more."""
        self._several = len(jobs) > 1
        if self._lost is not None:
            self._turn.end()
            return [WriteOutcome(job.future, error=self._lost) for job in jobs]
        try:
            try:
                outcomes = self._run(jobs)
            finally:
                self._turn.end()
            if outcomes is None:
                return [outcome for job in jobs for outcome in self._commit(slot, [job])]
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - raised in the callers that await the jobs; this thread is the only one
            self._rollback()
            failed = translate(error) if isinstance(error, sqlite3.Error) else error
            return [WriteOutcome(job.future, error=failed) for job in jobs]
        lost = self._guard.lost() if self._guard is not None else None
        if lost is not None:
            self._give_up(lost)
            return [WriteOutcome(job.future, error=self._lost) for job in jobs]
        return outcomes

    def _give_up(self, lost: Path) -> None:
        """Bring what was acknowledged into the database, as long as nobody else can have begun to use it; stop there."""
        self._lost = StoreFailed(
            f"{lost.name} was removed or replaced while the server runs; restart the server. Nothing is stored until then."
        )
        logger.error("%s", self._lost.message)
        if not lost.exists() and lost.name.endswith("-wal"):
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                logger.error("what is not in the database yet could not be brought there: %s", error)

    def _run(self, jobs: Sequence[WriteJob[SqliteConnection]]) -> list[WriteOutcome] | None:
        """Begin a transaction and run the jobs in it; None: one of them broke it, and it is rolled back.

        Raises:
            Exception: what the only job raised, or there can be no transaction.
        """
        for step in (self._step, self._step_in_savepoint):
            self._begin(full=any(job.durable for job in jobs))
            try:
                outcomes = [step(job) for job in jobs]
                if self._put_off and self._add_up is not None:
                    self._add_up(self._connection, self._put_off)
                    self._put_off.clear()
            except Exception:
                if len(jobs) == 1:
                    raise
                self._rollback()
            else:
                return outcomes
        return None

    def _begin(self, *, full: bool) -> None:
        if full != self._full:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full
        self._connection.execute("BEGIN IMMEDIATE")

    def _step(self, job: WriteJob[SqliteConnection]) -> WriteOutcome:
        return WriteOutcome(job.future, job.work(self._connection))

    def _step_in_savepoint(self, job: WriteJob[SqliteConnection]) -> WriteOutcome:
        """A job that fails is taken back alone."""
        before = len(self._put_off)
        self._connection.execute("SAVEPOINT job")
        try:
            value = job.work(self._connection)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - raised in the caller that awaits the job
            del self._put_off[before:]
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return WriteOutcome(job.future, error=error)
        self._connection.execute("RELEASE job")
        return WriteOutcome(job.future, value)

    def _rollback(self) -> None:
        """SQLite has rolled back by itself after some errors (a full disk), and not after others."""
        self._put_off.clear()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
