"""Connections that read, from psycopg's pool, in threads: a read by key takes a round trip, too long for the event loop.

A read that meets a lost connection is done again on another one. This module knows no table.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import psycopg
from psycopg_pool import ConnectionPool

from kodo.server.store.postgres.connections import PostgresConnection, arguments, configure
from kodo.server.store.postgres.failures import is_lost, translate

T = TypeVar("T")
THREADS: Final = 6
"""Reads at the same time, and connections that read."""
RETRY_SECONDS: Final = 10.0
"""How long a read waits for a database that is away."""


class PostgresReaders:
    """Reading connections of one node."""

    def __init__(self, url: str, *, threads: int = THREADS) -> None:
        given = arguments(url)
        self._pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            given.pop("conninfo"),
            kwargs=given,
            min_size=1,
            max_size=threads,
            configure=configure,
            timeout=RETRY_SECONDS,
            name="kodo-readers",
            open=False,
        )
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="kodo-store-reader")
        self._pool.open()

    async def run(self, read: Callable[[PostgresConnection], T]) -> T:
        """Read, in a thread.

        Raises:
            StoreFailed: PostgreSQL could not.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, read)

    async def close(self) -> None:
        """Wait for what is being read, and close. May be called twice."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._pool.close)

    def _read(self, read: Callable[[PostgresConnection], T]) -> T:
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                with self._pool.connection() as connection:
                    return read(PostgresConnection(connection))
            except psycopg.Error as error:
                if not is_lost(error) or time.monotonic() > deadline:
                    raise translate(error) from error
                time.sleep(0.05)
