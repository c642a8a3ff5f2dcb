"""The node's life: a thread that renews its lease, so that a busy event loop does not lose it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import psycopg

from kodo.server.store.postgres import ownership
from kodo.server.store.postgres.connections import CONNECT_SECONDS, PostgresConnection
from kodo.server.store.postgres.failures import translate

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.25
"""Pause after a renewal that failed: of all that wait for a database that comes back, the lease is the most urgent."""


def patience(lease_seconds: float) -> float:
    """Seconds that the database must have been there for before anybody is taken for dead.

    A node may be in the middle of an attempt to connect that began before; after that it has a whole lease.
    """
    return lease_seconds + CONNECT_SECONDS


class LeaseKeeper:
    """Renews the lease of a node every quarter of its ``seconds``; calls ``fenced`` where it is lost, and ends."""

    def __init__(
        self,
        connect: Callable[[], PostgresConnection],
        epoch: int,
        seconds: float,
        fenced: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._epoch = epoch
        self._seconds = seconds
        self._fenced = fenced
        self._renewed = time.monotonic()
        self._broken = False
        self._unbroken_since = self._renewed - patience(seconds)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="kodo-store-lease", daemon=True)
        self._thread.start()

    @property
    def may_judge(self) -> bool:
        """Whether this node may take others for dead: it was itself heard of for long enough without a break.

        One that was cut off cannot know whether the others were too, and are about to renew their leases.
        """
        return not self._broken and time.monotonic() - self._unbroken_since >= patience(self._seconds)

    def stop(self) -> None:
        """End the thread; the lease stays until it is over or deleted."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        connection: PostgresConnection | None = None
        while not self._stopping.wait(self._pause()):
            try:
                connection = connection or self._connected()
                if not ownership.renew(connection, self._epoch, self._seconds):
                    self._fenced()
                    break
                self._note_renewal()
            except Exception as error:  # whatever it is: without the lease another node takes over
                known = isinstance(error, psycopg.Error)
                why = translate(error).message if isinstance(error, psycopg.Error) else repr(error)
                logger.warning("the lease could not be renewed: %s", why, exc_info=None if known else error)
                self._broken = True
                if connection is not None:
                    connection.raw.close()
                    connection = None
        if connection is not None:
            connection.raw.close()

    def _pause(self) -> float:
        every = self._seconds / 4
        return min(every, RETRY_SECONDS) if self._broken else every

    def _connected(self) -> PostgresConnection:
        connection = self._connect()
        # A renewal that a crash undoes harms nobody, and one that waits for a busy disk comes too late.
        connection.raw.execute("SET synchronous_commit = off")
        return connection

    def _note_renewal(self) -> None:
        now = time.monotonic()
        if self._broken or now - self._renewed > self._seconds:
            self._unbroken_since = now
        self._renewed, self._broken = now, False
