"""Sessions with MCP servers: one for each project, server and set of headers, kept while it is used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio

from kodo.server.config import McpSettings
from kodo.server.lifecycle.errors import Overloaded
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.tools.mcp.excess import TooMuch
from kodo.server.tools.mcp.servers import McpTarget
from kodo.server.tools.mcp.transport import LimitedTransport, new_client

if TYPE_CHECKING:
    from mcp.client.client import Client

logger = logging.getLogger(__name__)


CLOSE_SECONDS: Final = 5.0
"""How long a server may take to end a session."""


class McpSession:
    """One session, in a task of its own: the SDK's scopes begin and end in the same task."""

    def __init__(self, target: McpTarget, settings: McpSettings) -> None:
        self.target = target
        self.http = LimitedTransport(settings.max_bytes)
        self.used = 0
        """Calls that use it now."""
        self.calls = 0
        """Calls that were made in it."""
        self.idle_since = 0.0
        self.excess: TooMuch | None = None
        """Why the server was killed, where it wrote too much."""
        self.has_lost_server = False
        """Whether the server, which was started here, has ended by itself or was killed."""
        self._settings = settings
        self._close = asyncio.Event()
        self._scope = anyio.CancelScope()
        """Ends a session that is not ready: the SDK stands on anyio, and a bare cancellation does not get through it."""
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name=f"MCP server {target.name}")

    @property
    def is_over(self) -> bool:
        """Whether it can be used no more."""
        return self._task.done() or self._close.is_set()

    async def client(self) -> Client:
        """The SDK's client, once the server has answered.

        Raises what the SDK raises where it does not, or ``TimeoutError``.
        """
        async with asyncio.timeout(self._settings.connect_seconds):
            return await asyncio.shield(self._ready)

    def end(self) -> None:
        """Close it, in the background; a server that does not take leave is left after ``CLOSE_SECONDS``."""
        self._close.set()
        if not self._ready.done():
            self._scope.cancel()
        elif not self._task.done():
            leave = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._scope.cancel)
            self._task.add_done_callback(lambda _: leave.cancel())

    def when_over(self, callback: Callable[[McpSession], None]) -> None:
        """Call back when it is closed."""
        self._task.add_done_callback(lambda _: callback(self))

    async def ended(self) -> None:
        """Wait until it is closed."""
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            with self._scope:
                async with new_client(self.target, self._settings, self.http, self._server_ended) as client:
                    self._ready.set_result(client)
                    await self._close.wait()
            if not self._ready.done():
                self._fail(ConnectionError("The session was closed."))
        except asyncio.CancelledError:
            if not self._ready.done():
                self._fail(ConnectionError("The session was closed."))
            raise
        except BaseException as error:  # noqa: BLE001 - the SDK raises groups of them; the caller is told
            if self._ready.done():
                logger.info(
                    "the session with the MCP server %s broke: %s", self.target.name, type(error).__name__
                )
            else:
                self._fail(error)

    def _server_ended(self, excess: TooMuch | None) -> None:
        self.has_lost_server, self.excess = True, excess

    def _fail(self, error: BaseException) -> None:
        self._ready.set_exception(error)
        self._ready.exception()  # it counts as seen, also where no caller waits any more


class McpSessions:
    """The sessions of all projects."""

    def __init__(self, settings: McpSettings) -> None:
        self._settings = settings
        self._sessions: dict[bytes, McpSession] = {}
        self._leaving: set[McpSession] = set()
        """Sessions that are given to no new call: they are closed when their calls are over."""
        self._reaper: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def use(self, target: McpTarget, owner: str) -> AsyncIterator[McpSession]:
        """A session with a server. One whose use failed or was cut off serves no further calls: its server may hang.

        Raises:
            Overloaded: there are too many sessions, and all of them are in use.
        """
        key = target.key(owner)
        session = self._sessions.get(key)
        if session is not None and session.has_lost_server:
            self._retire(key, session)
            session = None
        if session is None or session.is_over:
            self._make_room()
            session = self._sessions[key] = McpSession(target, self._settings)
            self._watch()
        session.used += 1
        try:
            yield session
        except BaseException:
            self._retire(key, session)
            raise
        finally:
            session.used -= 1
            session.idle_since = asyncio.get_running_loop().time()
            if session.used == 0 and session in self._leaving:
                session.end()

    async def close(self) -> None:
        """Close all of them."""
        await cancel(self._reaper)
        self._reaper = None
        sessions = [*self._sessions.values(), *self._leaving]
        self._sessions.clear()
        for session in sessions:
            session.end()
        await asyncio.gather(*(session.ended() for session in sessions))

    def _make_room(self) -> None:
        for key in [key for key, session in self._sessions.items() if session.is_over]:
            del self._sessions[key]
        idle = [(session.idle_since, key) for key, session in self._sessions.items() if session.used == 0]
        if len(self._sessions) < self._settings.max_sessions:
            return
        if not idle:
            raise Overloaded("Too many MCP servers are in use.", retry_after=5.0)
        _, key = min(idle)
        self._retire(key, self._sessions[key])

    def _retire(self, key: bytes, session: McpSession) -> None:
        """Give a session to no new call; close it once its calls are over."""
        if self._sessions.get(key) is session:
            del self._sessions[key]
        if session not in self._leaving:
            self._leaving.add(session)
            session.when_over(self._leaving.discard)
        if session.used == 0:
            session.end()

    def _watch(self) -> None:
        if self._reaper is None:
            seconds = min(self._settings.idle_seconds / 4, 10)
            self._reaper = supervise_every("the closing of idle MCP sessions", seconds, self._close_idle)

    async def _close_idle(self) -> None:
        now = asyncio.get_running_loop().time()
        for key, session in list(self._sessions.items()):
            if session.used == 0 and now - session.idle_since > self._settings.idle_seconds:
                self._retire(key, session)
