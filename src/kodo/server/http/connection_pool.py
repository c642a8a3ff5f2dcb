"""The open connections of a server, and their deadlines.

Where their number is reached, the connection that has waited longest for its request makes room for the next one, so that
half-open requests cannot keep others out. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from enum import IntEnum
from typing import Any, Final, Protocol

import uvicorn

from kodo.server.config import LimitSettings
from kodo.server.http.body_memory import BodyMemory

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
"""Interval of the checks of deadlines: a timer for each request would cost more than it brings."""
RESERVED_DESCRIPTORS: Final = 64
"""Descriptors for all but connections: the store, files, the engines."""
MAX_CONNECTIONS: Final = 2000
"""Connections where the settings name no number and the process may have enough descriptors."""


class Phase(IntEnum):
    """What a connection waits for; those of lower phases make room first."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    BUSY = 3
    """Its request is whole, or it is a WebSocket."""


class Connection(Protocol):
    """What :class:`ConnectionPool` needs of a protocol."""

    transport: asyncio.Transport
    phase: Phase
    since: float
    """When the phase began, or its last progress (event loop's time)."""
    unwritten: int | None
    """Bytes that wait for a reader that does not keep up; None: it does."""
    write_deadline: float

    @property
    def waits(self) -> bool:
        """Whether it waits for a request, and nothing else is under way."""

    def is_late(self, now: float) -> bool:
        """Whether its client should have made progress by ``now``."""

    def probe(self) -> None:
        """Find out whether a client is still there that will send nothing more."""

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error, where there is still room for one, and close the connection."""


class ConnectionPool:
    """The open connections of one server."""

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = limits
        self.max_connections = limits.connections or default_connections()
        self._open: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._warned = 0.0

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Add a connection. Where there are too many, one that waits for its request is closed, or else this one."""
        self._open.add(connection)
        loop = asyncio.get_running_loop()
        if self._sweeping is None:
            self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep)
        if len(self._open) <= self.max_connections:
            return
        if loop.time() - self._warned > 60:
            self._warned = loop.time()
            logger.warning("%d connections are open, which is the limit", self.max_connections)
        waiting = [other for other in self._open if other.waits and other is not connection]
        oldest = min(waiting, key=lambda other: (other.phase, other.since), default=connection)
        oldest.refuse(503, "too_many_connections", "The server has too many connections; try again shortly.")

    def replace(self, old: Connection, new: Connection) -> None:
        """Hand the place of a connection over to the protocol that it is upgraded to."""
        self._open.discard(old)
        self._open.add(new)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that was closed."""
        self._open.discard(connection)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep) if self._open else None
        now = loop.time()
        for connection in list(self._open):
            if connection.is_late(now):
                what = "headers" if connection.phase is Phase.HEAD else "body"
                connection.refuse(408, "request_timeout", f"The request's {what} did not arrive in time.")
            elif connection.unwritten is not None:
                self._check_reader(connection, now)
            else:
                connection.probe()

    def _check_reader(self, connection: Connection, now: float) -> None:
        """Close the connection of a reader that has taken nothing for ``write_seconds``."""
        unwritten = connection.transport.get_write_buffer_size()
        if connection.unwritten is None or unwritten < connection.unwritten:
            connection.write_deadline = now + self.limits.write_seconds
        elif connection.write_deadline < now:
            connection.transport.abort()
        connection.unwritten = unwritten


def default_connections() -> int:
    """How many connections the process's limit on open files allows for: each may need a descriptor to an engine too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(8, (soft - RESERVED_DESCRIPTORS) * 3 // 4))


class PooledConfig(uvicorn.Config):
    """uvicorn's configuration, with what its protocols share here."""

    def __init__(self, app: Any, limits: LimitSettings, memory: BodyMemory, **options: Any) -> None:
        self.pool = ConnectionPool(limits)
        self.memory = memory
        super().__init__(app, **options)
