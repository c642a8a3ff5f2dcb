"""Hints between nodes that a row has changed, over LISTEN and NOTIFY. They may be lost: readers poll behind them.

NOTIFY takes a lock on the whole database when its transaction commits, which costs writers two thirds of their commits. So
none stands in a writing transaction: names are gathered, and one NOTIFY of its own carries all of a moment.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import psycopg

from kodo.server.store.postgres.connections import PostgresConnection
from kodo.server.store.postgres.failures import translate

logger = logging.getLogger(__name__)

CHANNEL: Final = "kodo_news"
GATHER_SECONDS: Final = 0.02
"""How long names are gathered for one NOTIFY."""
MAX_PAYLOAD: Final = 7000
"""Bytes; PostgreSQL takes 8,000. Where the names are more, everybody is told to look."""
NAME_CHARS: Final = 16
"""The last characters of a name are sent: enough to tell the names of a moment apart."""
EVERYBODY: Final = "*"
"""In place of names: look at everything."""


class PostgresNews:
    """What a node says and hears. For use within one event loop; :meth:`say` from any thread.

    ``heard`` is called with every name that is heard, and with :data:`EVERYBODY` where some may have been missed.
    """

    def __init__(self, connect: Callable[[], PostgresConnection], heard: Callable[[str], None]) -> None:
        self._connect = connect
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._said: set[str] = set()
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._stopping = False
        self._threads = [
            threading.Thread(target=work, name=f"kodo-store-{name}", daemon=True)
            for name, work in (("listen", self._listen), ("notify", self._notify))
        ]
        for thread in self._threads:
            thread.start()

    def say(self, *names: str) -> None:
        """Something has happened to rows of these ids."""
        with self._lock:
            self._said.update(name[-NAME_CHARS:] for name in names)
        self._something.set()

    async def wait(self, name: str, seconds: float) -> None:
        """Wait for news of a name, at most so long."""
        future: asyncio.Future[None] = self._loop.create_future()
        waiting = self._waiting[name[-NAME_CHARS:]]
        waiting.append(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._waiting.pop(name[-NAME_CHARS:], None)

    def stop(self) -> None:
        """End both threads; takes up to a second."""
        self._stopping = True
        self._something.set()
        for thread in self._threads:
            thread.join()

    def _wake(self, payload: str) -> None:
        said = payload.split(",")
        for name in said:
            self._heard(name)
        for name in list(self._waiting) if payload == EVERYBODY else said:
            for future in self._waiting.pop(name, ()):
                if not future.done():
                    future.set_result(None)

    def _listen(self) -> None:
        while not self._stopping:
            try:
                connection = self._connect()
                try:
                    connection.raw.execute(f"LISTEN {CHANNEL}".encode())
                    self._loop.call_soon_threadsafe(self._wake, EVERYBODY)  # what was missed meanwhile
                    while not self._stopping:
                        for notice in connection.raw.notifies(timeout=0.5):
                            self._loop.call_soon_threadsafe(self._wake, notice.payload)
                finally:
                    connection.raw.close()
            except Exception as error:  # whatever it is: without the thread nothing is heard any more
                logger.info("news are not heard: %s", _why(error), exc_info=_unexpected(error))
                self._pause()

    def _notify(self) -> None:
        connection: PostgresConnection | None = None
        while not self._stopping:
            self._something.wait()
            self._pause(GATHER_SECONDS)
            self._something.clear()
            with self._lock:
                said, self._said = self._said, set()
            if not said:
                continue
            payload = ",".join(said)
            try:
                connection = connection or self._connect()
                connection.raw.execute(
                    "SELECT pg_notify(%s, %s)",
                    (CHANNEL, payload if len(payload.encode()) <= MAX_PAYLOAD else EVERYBODY),
                )
            except Exception as error:  # as above
                logger.info("news are not said: %s", _why(error), exc_info=_unexpected(error))
                if connection is not None:
                    connection.raw.close()
                    connection = None
                self._pause()
        if connection is not None:
            connection.raw.close()

    def _pause(self, seconds: float = 0.5) -> None:
        threading.Event().wait(seconds)


def _why(error: Exception) -> str:
    return translate(error).message if isinstance(error, psycopg.Error) else repr(error)


def _unexpected(error: Exception) -> Exception | None:
    """An error that is no database's, for its traceback."""
    return None if isinstance(error, psycopg.Error) else error
