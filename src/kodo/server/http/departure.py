"""Tells a request that its client is gone, without a task that waits for that.

The connection makes a :class:`Departure` for each request, in the scope. Other servers have none; there ASGI's own message
is waited for (see :func:`kodo.server.http.bodies.cancel_on_disconnect`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

KEY: Final = "departure"
"""The name in the scope's state."""


class Departure:
    """Whether the client of one request is gone, and who wants to know."""

    def __init__(self) -> None:
        self.gone = False
        self._watchers: list[Callable[[], None]] = []

    def watch(self, call: Callable[[], None]) -> None:
        """Call ``call`` when the client goes, once."""
        self._watchers.append(call)

    def unwatch(self, call: Callable[[], None]) -> None:
        """Do not call it any more."""
        if call in self._watchers:
            self._watchers.remove(call)

    def tell(self) -> None:
        """The client is gone. May be called again."""
        self.gone = True
        watchers, self._watchers = self._watchers, []
        for call in watchers:
            call()
