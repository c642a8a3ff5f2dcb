"""Short prompts that arrive together are handed to the engine a few at a time.

The engine reads all prompts that it has in one step of up to a batch of tokens, and none of them has a token of its own
before the step is over. Prefill takes as long a token whether prompts are read together or one after the other. So the
first ones are answered sooner in steps of some ``MAX_WAITING_TOKENS`` tokens, and write while the others are read; the last one waits
a little longer. Figures: docs/measurements/performance.md.

A short prompt is handed over once the engine has begun with the short ones before it, so that it finds the next one when a
step ends; in the order of asking. A longer prompt fills steps by itself: it waits for nothing, and nothing waits for it.
Knows numbers of tokens; knows nothing of prompts or slots.
"""

from __future__ import annotations

import asyncio
from collections import deque

MAX_WAITING_TOKENS = 40
"""Tokens that wait for the engine at most; a prompt with more is not short."""
MAX_WAIT_SECONDS = 0.25
"""Seconds after which the engine counts as having begun: it is busy with longer prompts then, and there is nothing to be
gained by keeping others from it."""


class Prefill:
    """One prompt on its way. :meth:`started` once the engine reads it, or will not."""

    def __init__(self, pacer: PrefillPacer, tokens: int) -> None:
        self._pacer = pacer
        self._tokens = tokens
        self._timer = (
            asyncio.get_running_loop().call_later(MAX_WAIT_SECONDS, self.started) if tokens else None
        )

    def started(self) -> None:
        """Let the next ones go. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._pacer.release(self._tokens)


class PrefillPacer:
    """The short prompts of one engine that are not being read yet."""

    def __init__(self, max_tokens: int = MAX_WAITING_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._handed_tokens = 0
        """Tokens that the engine was handed and has not begun with."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, tokens: int) -> Prefill:
        """Wait until a prompt with ``tokens`` unread tokens may be handed over."""
        if not 0 < tokens <= self._max_tokens:
            return Prefill(self, 0)
        if self._waiting or self._handed_tokens + tokens > self._max_tokens:
            await self._wait(tokens)
        else:
            self._handed_tokens += tokens
        return Prefill(self, tokens)

    def release(self, tokens: int) -> None:
        """Count ``tokens`` as begun, and let waiting prompts go."""
        self._handed_tokens -= tokens
        while self._waiting:
            wanted, go = self._waiting[0]
            if not go.cancelled():
                if self._handed_tokens + wanted > self._max_tokens:
                    return
                self._handed_tokens += wanted
                go.set_result(None)
            self._waiting.popleft()

    async def _wait(self, tokens: int) -> None:
        go: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, go))
        try:
            await go
        except asyncio.CancelledError:
            self.release(0 if go.cancelled() else tokens)
            raise
