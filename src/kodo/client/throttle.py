"""Limits the calls in flight, and those begun per minute. Learns from the server; knows no HTTP.

Concurrency follows additive increase, multiplicative decrease (D. Chiu, R. Jain, 1989), with TCP's slow start. Calls
are looked at in rounds of as many as may run at once:

- a round that finished more a second than the best so far (in-flight calls over latency, by Little's law) allows
  more: twice as many until the first setback, then one more;
- a round that finished no more shows that calls only wait for each other: after three such rounds the limit goes
  back to just above where the best round was, and looks a quarter higher again after twenty;
- a rate limit or a time-out halves it, at most once for all calls that were under way at that moment.

Limits a minute are kept over every window of 60 seconds, not on average.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kodo.client.retry import RetryEvent, status_of

WINDOW = 60.0
"""Seconds that a limit a minute is counted over."""
_GAIN = 1.03
_PATIENCE = 3
_LOOK_AGAIN = 20


class AdaptiveLimit:
    """The number of calls that may be in flight, moved by what happens to them.

    Args:
        start: where it begins.
        maximum: where it ends; the minimum is 1.
        clock: seconds.
    """

    def __init__(
        self, start: int = 4, maximum: int = 64, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not 1 <= start <= maximum:
            raise ValueError(f"start: {start} is not between 1 and the maximum, {maximum}")
        self.maximum, self._clock = maximum, clock
        self.limit = start
        self._slow_start = True
        self._best_rate, self._best_limit = 0.0, start
        self._idle_rounds = 0
        self._halved_at = float("-inf")
        self._new_round()

    def _new_round(self) -> None:
        self._round_began, self._finished, self._saturated = self._clock(), 0, False

    def record_success(self, *, saturated: bool) -> None:
        """A call succeeded. ``saturated``: as many were in flight as allowed, so the limit is what held them back."""
        self._finished += 1
        self._saturated |= saturated
        if self._finished < self.limit:
            return
        seconds = max(self._clock() - self._round_began, 1e-6)
        if self._saturated:
            self._judge(self._finished / seconds)
        self._new_round()

    def _judge(self, rate: float) -> None:
        if rate > self._best_rate * _GAIN and (self.limit > self._best_limit or not self._best_rate):
            self._best_rate, self._best_limit, self._idle_rounds = rate, self.limit, 0
            self.limit = min(self.maximum, self.limit * 2 if self._slow_start else self.limit + 1)
            return
        if self.limit <= self._best_limit + 1:
            self._best_rate += (rate - self._best_rate) / 5  # how the server does now
        self._idle_rounds += 1
        if self._idle_rounds == _PATIENCE:
            self._slow_start = False
            self.limit = min(self.limit, self._best_limit + 1)
        elif self._idle_rounds >= _LOOK_AGAIN:
            self._idle_rounds = 0
            self.limit = min(self.maximum, self.limit + max(1, self.limit // 4))

    def back_off(self, began: float) -> None:
        """A call that began at this time was rate limited or timed out."""
        if began <= self._halved_at:
            return  # sent before the last cut: the same news once more
        self._halved_at = self._clock()
        self._slow_start = False
        self.limit = max(1, self.limit // 2)
        self._best_rate, self._best_limit, self._idle_rounds = 0.0, self.limit, 0
        self._new_round()


class MinuteLimit:
    """A limit on the units that begin in any 60 seconds. A single larger request passes when the window is empty."""

    def __init__(self, units: int, clock: Callable[[], float] = time.monotonic) -> None:
        if units < 1:
            raise ValueError(f"limit a minute: {units} is less than 1")
        self.units, self._clock = units, clock
        self._log: deque[tuple[float, int]] = deque()
        self._sum = 0

    def wait(self, units: int) -> float:
        """Seconds until this many units fit; 0 now."""
        now = self._clock()
        while self._log and self._log[0][0] <= now - WINDOW:
            self._sum -= self._log.popleft()[1]
        excess = self._sum + min(units, self.units) - self.units
        if excess <= 0:
            return 0.0
        for began, taken in self._log:
            excess -= taken
            if excess <= 0:
                return max(began + WINDOW - now, 0.001)
        return WINDOW

    async def begin(self, units: int) -> None:
        """Wait until this many units fit, and count them. One caller at a time."""
        while pause := self.wait(units):  # noqa: ASYNC110 -- what is waited for is time
            await asyncio.sleep(pause)
        self.take(units)

    def take(self, units: int) -> None:
        """Count units that begin now; a negative number gives back what was not used."""
        self._log.append((self._clock(), units))
        self._sum += units


@dataclass
class Slot:
    """A call that may run. Say what it used with :meth:`used`; a slot left without it was a failure."""

    began: float
    tokens: int
    ok: bool = False

    def used(self, tokens: int | None = None) -> None:
        """The call succeeded and used this many tokens; None if as many as were set aside."""
        self.ok = True
        if tokens is not None:
            self.tokens = tokens


class Throttle:
    """Lets calls begin. For one event loop.

    Args:
        maximum: most calls in flight; start: how many at first.
        requests_per_minute, tokens_per_minute: hard limits; None means unlimited. Tokens are the guess given to
            :meth:`slot`, corrected by what was used.
    """

    def __init__(
        self,
        *,
        maximum: int = 64,
        start: int = 4,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.adaptive = AdaptiveLimit(min(start, maximum), maximum, clock)
        self._clock = clock
        self._requests = MinuteLimit(requests_per_minute, clock) if requests_per_minute else None
        self._tokens = MinuteLimit(tokens_per_minute, clock) if tokens_per_minute else None
        self._in_flight = 0
        self._turn = asyncio.Lock()
        self._free = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Calls running now."""
        return self._in_flight

    @asynccontextmanager
    async def slot(self, tokens: int = 0) -> AsyncIterator[Slot]:
        """Wait for a turn, in order of asking, and run one call in it. ``tokens``: about what it will use."""
        async with self._turn:
            while self._in_flight >= self.adaptive.limit:
                self._free.clear()
                await self._free.wait()
            if self._requests:
                await self._requests.begin(1)
            if self._tokens:
                await self._tokens.begin(tokens)
            self._in_flight += 1
        slot = Slot(self._clock(), tokens)
        saturated = self._in_flight >= self.adaptive.limit
        try:
            yield slot
        finally:
            if self._tokens and slot.tokens != tokens:
                self._tokens.take(slot.tokens - tokens)
            if slot.ok:
                self.adaptive.record_success(saturated=saturated or self._in_flight >= self.adaptive.limit)
            self._in_flight -= 1
            self._free.set()

    def on_retry(self, event: RetryEvent) -> None:
        """Retry hook: learn from rate limits and time-outs. Give it to ``session.listening``."""
        if status_of(event.error) in (429, 503) or type(event.error).__name__.endswith(
            ("TimeoutError", "Timeout")
        ):
            self.adaptive.back_off(self._clock() - event.elapsed)
