"""Short prompts that come at once are handed to the engine a few at a time.

The engine reads all prompts that it has in one step of up to a batch of tokens, and none of them has a token of its own
before the step is over. Reading takes as long a token whether prompts are read together or one after the other. So the
first ones are answered sooner in steps of some ``TOGETHER`` tokens, and write while the others are read; the last one waits
a little longer. Figures: docs/measurements/performance.md.

A short prompt is handed over once the engine has begun with the short ones before it, so that it finds the next one when a
step ends; in the order of asking. A longer prompt fills steps by itself: it waits for nothing, and nothing waits for it.
Knows numbers of tokens; knows nothing of prompts or slots.
"""

from __future__ import annotations

import asyncio
from collections import deque

TOGETHER = 40
"""Tokens that wait for the engine at most; a prompt with more is not short."""
PATIENCE = 0.25
"""Seconds after which the engine counts as having begun: it is busy with longer prompts then, and there is nothing to be
gained by keeping others from it."""


class Reading:
    """One prompt on its way. :meth:`begun` once the engine reads it, or will not."""

    def __init__(self, pace: Pace, tokens: int) -> None:
        self._pace = pace
        self._tokens = tokens
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self.begun) if tokens else None

    def begun(self) -> None:
        """Let the next ones go. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._pace.give_back(self._tokens)


class Pace:
    """The short prompts of one engine that are not being read yet."""

    def __init__(self, together: int = TOGETHER) -> None:
        self._together = together
        self._handed = 0
        """Tokens that the engine was handed and has not begun with."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def turn(self, tokens: int) -> Reading:
        """Wait until a prompt with so many unread tokens may be handed over."""
        if not 0 < tokens <= self._together:
            return Reading(self, 0)
        if self._waiting or self._handed + tokens > self._together:
            await self._wait(tokens)
        else:
            self._handed += tokens
        return Reading(self, tokens)

    def give_back(self, tokens: int) -> None:
        """The engine has begun with so many."""
        self._handed -= tokens
        while self._waiting:
            wanted, go = self._waiting[0]
            if not go.cancelled():
                if self._handed + wanted > self._together:
                    return
                self._handed += wanted
                go.set_result(None)
            self._waiting.popleft()

    async def _wait(self, tokens: int) -> None:
        go: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, go))
        try:
            await go
        except asyncio.CancelledError:
            self.give_back(0 if go.cancelled() else tokens)
            raise
