"""Short prompts that come at once are handed to the engine a few at a time.

The engine reads all prompts that it has in one step, and none of them has a token before the step is over. Reading takes
as long a token whether prompts are read together or one after the other. So the first ones are answered sooner in steps of
some ``TOGETHER`` tokens, and write while the others are read; the last one waits a little longer. Figures:
docs/performance.md.

A prompt is handed over once the engine has begun with those before it, so that it finds the next one when a step ends. In
the order of asking. Knows numbers of tokens; knows nothing of prompts or slots.
"""

from __future__ import annotations

import asyncio
from collections import deque

TOGETHER = 40
"""Tokens that wait for the engine at most, unless one prompt has more."""


class Reading:
    """One prompt on its way. :meth:`begun` once the engine reads it, or will not."""

    def __init__(self, pace: Pace, tokens: int) -> None:
        self._pace = pace
        self._tokens = tokens

    def begun(self) -> None:
        """Let the next ones go. May be called again."""
        tokens, self._tokens = self._tokens, 0
        if tokens:
            self._pace.give_back(tokens)


class Pace:
    """The prompts of one engine that are not being read yet."""

    def __init__(self, together: int = TOGETHER) -> None:
        self._together = together
        self._handed = 0
        """Tokens that the engine was handed and has not begun with."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def turn(self, tokens: int) -> Reading:
        """Wait until a prompt with so many unread tokens may be handed over; what has none goes at once."""
        if tokens and (self._waiting or not self._fits(tokens)):
            await self._wait(tokens)
        else:
            self._handed += tokens
        return Reading(self, tokens)

    def give_back(self, tokens: int) -> None:
        """The engine has begun with so many."""
        self._handed -= tokens
        self._let_go()

    async def _wait(self, tokens: int) -> None:
        go: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, go))
        try:
            await go
        except asyncio.CancelledError:
            self.give_back(0 if go.cancelled() else tokens)
            raise

    def _fits(self, tokens: int) -> bool:
        return not self._handed or self._handed + tokens <= self._together

    def _let_go(self) -> None:
        while self._waiting:
            tokens, go = self._waiting[0]
            if not go.cancelled():
                if not self._fits(tokens):
                    return
                self._handed += tokens
                go.set_result(None)
            self._waiting.popleft()
