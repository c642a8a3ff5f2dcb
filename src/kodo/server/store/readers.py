"""Connections that read, and never wait for the writer: SQLite's WAL gives each read the last commit.

A read by key takes some 10 to 30 µs, less than handing it to a thread and back, so it runs where it is called. What may
read thousands of rows goes to a thread. This module knows no table.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from kodo.server.store.connections import SqliteConnection
from kodo.server.store.failures import translate
from kodo.server.store.sql import SqlConnection

T = TypeVar("T")
MAX_THREADS = 2


@contextmanager
def snapshot(connection: SqlConnection) -> Iterator[None]:
    """Several statements that see one and the same commit."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


class Readers:
    """One connection for the event loop, and one for each thread, made by ``connect`` when first needed."""

    def __init__(self, connect: Callable[[], SqliteConnection]) -> None:
        self._connect = connect
        self._loop_connection = connect()
        self._idle: list[SqliteConnection] = []
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="kodo-store-reader")

    def run_inline(self, read: Callable[[SqliteConnection], T]) -> T:
        """Read a few rows, in the calling thread.

        Raises:
            StoreFailed: SQLite could not.
        """
        try:
            return read(self._loop_connection)
        except sqlite3.Error as error:
            raise translate(error) from error

    async def run_in_thread(self, read: Callable[[SqliteConnection], T]) -> T:
        """Read any number of rows, in a thread. Raises what :meth:`run_inline`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, read)

    async def close(self) -> None:
        """Wait for what is being read, and close. May be called twice."""
        await asyncio.to_thread(self._threads.shutdown)
        for connection in (self._loop_connection, *self._idle):
            connection.close()
        self._idle.clear()

    def _read(self, read: Callable[[SqliteConnection], T]) -> T:
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            try:
                return read(connection)
            finally:
                self._idle.append(connection)
        except sqlite3.Error as error:
            raise translate(error) from error
