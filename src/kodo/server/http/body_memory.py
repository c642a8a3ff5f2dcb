"""The memory that the bodies of all requests take together.

A body counts from its first byte until its request has ended: what is made of it lives as long. What goes to the disk as
it comes, the bytes of a file, does not count.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from kodo.server.lifecycle.errors import Overloaded

FREE_BYTES: Final = 64 * 2**10
"""A body up to this size is always taken: the small requests of others are not refused for a few large ones."""
KEY: Final = "held_body"


class BodyMemory:
    """``held`` of ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class Hold:
    """The part of one request or connection."""

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._size = 0

    def grow_to(self, size: int) -> None:
        """Hold ``size`` bytes from now on, instead of those before.

        Raises:
            Overloaded: the bodies of all requests would take more than the limit.
        """
        memory = self._memory
        held = memory.held + size - self._size
        if size > max(self._size, FREE_BYTES) and held > memory.limit:
            raise Overloaded(
                "The server holds too many large request bodies; try again shortly.", retry_after=2.0
            )
        memory.held, self._size = held, size

    def release(self) -> None:
        """Hold nothing any more. May be called twice."""
        self._memory.held -= self._size
        self._size = 0


class BodyMemoryLimit:
    """ASGI: gives every request a :class:`Hold`, and releases it when the request has ended."""

    def __init__(self, app: ASGIApp, memory: BodyMemory) -> None:
        self._app = app
        self._memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hold = scope.setdefault("state", {})[KEY] = Hold(self._memory)
        try:
            await self._app(scope, receive, send)
        finally:
            hold.release()
