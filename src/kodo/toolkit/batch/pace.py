"""How many requests of a batch are in flight: as many as the server takes without complaint.

Additive increase, multiplicative decrease, as in TCP: every `limit` successes in a row allow one more, a rate limit
or an overload halves it, at most once a second, so that one burst of refusals counts once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_FORGIVENESS = 1.0


class Pace:
    """A semaphore whose size moves between 1 and `most`. Belongs to one event loop; `now` gives seconds."""

    def __init__(self, start: int, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self.limit = min(start, most)
        self.in_flight = 0
        self._most = most
        self._now = now
        self._successes = 0
        self._lowered = float("-inf")
        self._changed = asyncio.Condition()

    async def enter(self) -> None:
        """Wait for a place and take it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.in_flight < self.limit)
            self.in_flight += 1

    async def leave(self, *, well: bool) -> None:
        """Give the place back; `well` if the request was answered."""
        async with self._changed:
            self.in_flight -= 1
            self._successes = self._successes + 1 if well else 0
            if self._successes >= self.limit and self.limit < self._most:
                self.limit += 1
                self._successes = 0
            self._changed.notify_all()

    def slow_down(self) -> None:
        """The server has said that it is too much."""
        self._successes = 0
        if self._now() - self._lowered >= _FORGIVENESS:
            self._lowered = self._now()
            self.limit = max(1, self.limit // 2)
