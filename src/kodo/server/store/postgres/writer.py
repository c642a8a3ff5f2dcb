"""Group commit to PostgreSQL: a few connections, each of which commits what waits in one transaction.

Every transaction begins with the node's lease: it changes the connection's row in ``writers`` if the node is alive, and
writes nothing if it is not. The number that it leaves there says after a lost connection whether the COMMIT that was
under way took place: nothing is done twice, and nothing that was done is called failed.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import psycopg

from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.group_writer import MAX_WAITING, GroupWriter, WriteJob, WriteOutcome
from kodo.server.store.postgres.connections import PostgresConnection
from kodo.server.store.postgres.failures import collisions_allowed, is_lost, translate
from kodo.server.store.sql import SqlCursor

logger = logging.getLogger(__name__)

THREADS: Final = 2
"""Connections that write: while one waits for the disk, the next transaction is put together."""
RETRY_SECONDS: Final = 10.0
"""How long a write waits for a database that is away (a restart, a failover) before it fails."""

Job = WriteJob[PostgresConnection]


class Fenced(StoreFailed):
    """The node's lease is over and another one has taken its work: it may write nothing more."""

    def __init__(
        self, message: str = "This server was cut off from its database for too long; another one took over."
    ) -> None:
        super().__init__(message)


class OutcomeUnknown(StoreFailed):
    """The connection was lost in the middle of a COMMIT, and the database stayed away for too long to look it up."""

    def __init__(
        self, message: str = "The database went away in the middle of a write; it may have been kept."
    ) -> None:
        super().__init__(message)


class PostgresWriter(GroupWriter[PostgresConnection]):
    """Writes of the node ``epoch``.

    Args:
        connect: opens the connection of a thread.
        fenced: called once the lease is lost.
        unsure: called where a write that was called failed may have been kept.
    """

    def __init__(
        self,
        connect: Callable[[int], PostgresConnection],
        epoch: int,
        *,
        fenced: Callable[[], None],
        unsure: Callable[[], None],
        threads: int = THREADS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        super().__init__(max_waiting=max_waiting, threads=threads)
        self._sessions = [_Session(partial(connect, slot), epoch, slot) for slot in range(threads)]
        self._fenced = fenced
        self._unsure = unsure
        self.start()

    def _commit(self, slot: int, jobs: Sequence[Job]) -> list[WriteOutcome]:
        session = self._sessions[slot]
        try:
            return session.commit(jobs)
        except Fenced as error:
            self._fenced()
            return _failed(jobs, error)
        except OutcomeUnknown as error:
            self._unsure()
            return _failed(jobs, error)
        except psycopg.Error as error:
            if len(jobs) == 1 or is_lost(error):
                return _failed(jobs, translate(error))
        except StoreFailed as error:
            return _failed(jobs, error)
        return [outcome for job in jobs for outcome in self._commit(slot, [job])]

    def _end(self, slot: int) -> None:
        self._sessions[slot].close()


def _failed(jobs: Sequence[Job], error: StoreFailed) -> list[WriteOutcome]:
    return [WriteOutcome(job.future, error=error) for job in jobs]


class _Session:
    """One connection, opened again when it is lost."""

    def __init__(self, connect: Callable[[], PostgresConnection], epoch: int, slot: int) -> None:
        self._connect = connect
        self._epoch = epoch
        self._slot = slot
        self._batch = 0
        self._committing = False
        self._outcomes: list[WriteOutcome] = []
        self._connection: PostgresConnection | None = None

    def commit(self, jobs: Sequence[Job]) -> list[WriteOutcome]:
        """One transaction; begun again where the connection was lost before it was committed.

        Raises:
            Fenced: the lease is over.
            OutcomeUnknown: it may be committed or not.
            psycopg.Error, StoreFailed: it could not be done, and is rolled back.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        collisions, pause = 0, 0.05
        self._batch += 1
        self._committing = False
        while True:
            try:
                if self._committing and self._took_place():
                    return self._outcomes
                self._committing = False
                self._run(jobs)
                return self._outcomes
            except psycopg.Error as error:
                lost = is_lost(error)
                if not lost:
                    self._committing = False  # PostgreSQL has answered: it is rolled back
                self._abandon(lost=lost)
                collisions += 1
                again = lost or (len(jobs) == 1 and collisions <= collisions_allowed(error))
                if not again or time.monotonic() > deadline:
                    if self._committing:
                        raise OutcomeUnknown from error
                    raise
                time.sleep(pause * random.random())  # noqa: S311 - spreads the attempts of many connections
                pause = min(pause * 2, 1.0)
            except BaseException:
                self._abandon(lost=False)
                raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.raw.close()
            self._connection = None

    def _connected(self) -> PostgresConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _took_place(self) -> bool:
        """Whether the transaction whose COMMIT had no answer was committed; waits where it is still under way."""
        found = (
            self._connected()
            .raw.execute(
                "SELECT batch FROM writers WHERE epoch = %s AND slot = %s FOR UPDATE",
                (self._epoch, self._slot),
            )
            .fetchone()
        )
        if found is None:
            raise Fenced
        return int(found[0]) >= self._batch

    def _run(self, jobs: Sequence[Job]) -> None:
        """Everything, COMMIT too: sent without waiting for answers; where that is not enough, one after the other."""
        connection = self._connected()
        try:
            with connection.pipelined():
                connection.changed(self._begin())
                self._outcomes = [WriteOutcome(job.future, job.work(connection)) for job in jobs]
                if connection.settle():
                    self._committing = True
                    connection.raw.execute("COMMIT")
                    return
        except psycopg.Error as error:
            if self._committing or len(jobs) > 1 or is_lost(error):
                raise
            logger.debug("a write is run again with true row counts: %r", error)  # one may have been believed
        except Exception as error:  # noqa: BLE001 - it comes again below, and is raised in the caller that awaits it
            logger.debug("a write is run alone: %r", error)
        self._abandon(lost=False)
        self._run_exactly(jobs)

    def _run_exactly(self, jobs: Sequence[Job]) -> None:
        """With a savepoint around each job, so that one that fails is rolled back alone, and with true row counts."""
        if not self._begin().rowcount:
            there = (
                self._connected().execute("SELECT 1 FROM nodes WHERE epoch = ?", (self._epoch,)).fetchone()
            )
            if there is None:
                raise Fenced
            raise psycopg.OperationalError("the lease is over and not yet renewed")
        self._outcomes = [self._step(job) for job in jobs]
        self._committing = True
        self._connected().raw.execute("COMMIT")

    def _begin(self) -> SqlCursor:
        """Begin, and hold the lease: a takeover waits for the end of this transaction, and ends all later ones.

        Without a changed row, there is no lease, and nothing may be committed.
        """
        connection = self._connected()
        connection.raw.execute("BEGIN")
        return connection.execute(
            "UPDATE writers w SET batch = ? FROM nodes n WHERE w.epoch = ? AND w.slot = ? "
            "AND n.epoch = w.epoch AND n.lease_until > clock_timestamp()",
            (self._batch, self._epoch, self._slot),
        )

    def _step(self, job: Job) -> WriteOutcome:
        connection = self._connected()
        connection.raw.execute("SAVEPOINT job")
        try:
            value = job.work(connection)
        except psycopg.Error:
            raise
        except Exception as error:  # noqa: BLE001 - raised in the caller that awaits the job
            connection.raw.execute("ROLLBACK TO job")
            return WriteOutcome(job.future, error=error)
        connection.raw.execute("RELEASE job")
        return WriteOutcome(job.future, value)

    def _abandon(self, *, lost: bool) -> None:
        """Leave the transaction; where that cannot be done, the connection too."""
        if self._connection is None:
            return
        try:
            if lost or self._connection.raw.broken:
                self.close()
            elif self._connection.raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self._connection.raw.execute("ROLLBACK")
        except psycopg.Error:
            self.close()
