"""Which of several servers answers: those that work, the one that has the prompt's beginning in its cache, the idlest.

A server that fails is left alone for a while (a breaker), then asked a question that costs it nothing, and gets one
request; if that works it is back. A prompt goes to the same server as the turn before it, unless that one is much busier
than another.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Collection, Sequence
from typing import Final, Literal

from kodo.server.engines.upstream.target import Target
from kodo.server.lifecycle.errors import EngineUnavailable, InvalidRequest, Overloaded, ServiceError
from kodo.server.lifecycle.ports import TargetStats
from kodo.server.lifecycle.supervised import cancel, supervise

logger = logging.getLogger(__name__)

MAX_FAILURES: Final = 3
"""Failures one after the other that open a breaker; a server that cannot be reached opens it alone."""
FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 30.0
HEALTH_SECONDS: Final = 1.0
"""How often servers whose breaker is open are looked at."""
AFFINITY_SLACK: Final = 4
"""Requests that the server with the warm cache may have more than the idlest one."""


class Breaker:
    """Whether a server is asked. Times are the event loop's."""

    def __init__(self) -> None:
        self.state: Literal["closed", "open", "half_open"] = "closed"
        self.busy_until = 0.0
        """The server said that it has no room before then."""
        self.retry_at = 0.0
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS

    def allows(self, now: float) -> bool:
        """Whether a request may go there now."""
        return self.state == "closed" and now >= self.busy_until

    def succeeded(self) -> None:
        """The server answered."""
        self.state, self._failures, self._pause = "closed", 0, FIRST_PAUSE_SECONDS

    def failed(self, now: float, *, unreachable: bool) -> None:
        """The server failed; ``unreachable``: it is not there."""
        self._failures += 1
        if unreachable or self.state != "closed" or self._failures >= MAX_FAILURES:
            if self.state == "half_open":
                self._pause = min(self._pause * 2, MAX_PAUSE_SECONDS)
            self.state = "open"
            self.retry_at = now + self._pause

    def half_open(self) -> None:
        """The next request decides."""
        self.state = "half_open"


class Pool:
    """The servers of one model."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self.breakers = {target.name: Breaker() for target in targets}
        self.stats = {target.name: TargetStats(target=target.name) for target in targets}
        self._watch: asyncio.Task[None] | None = None
        self._any_open = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether some server works, as far as is known."""
        return any(breaker.state != "open" for breaker in self.breakers.values())

    def choose(self, affinity: bytes, tried: Collection[str]) -> Target | None:
        """The server for the next attempt, or None if all were tried.

        Args:
            affinity: what prompts with the same beginning have in common.
            tried: names of the servers that failed this request.
        """
        if len(self.targets) == 1:
            return None if tried else self.targets[0]
        now = asyncio.get_running_loop().time()
        left = [target for target in self.targets if target.name not in tried]
        if not left:
            return None
        for target in left:
            breaker = self.breakers[target.name]
            if breaker.state == "half_open" and target.in_flight == 0:
                return target  # this request is its trial
        working = [target for target in left if self.breakers[target.name].allows(now)]
        if not working:  # better to ask one that failed lately than to refuse
            return min(left, key=lambda target: (self._due(target, now), target.in_flight))
        idlest = min(target.in_flight for target in working)
        favourite = max(working, key=lambda target: _weight(affinity, target.name))
        if favourite.in_flight <= idlest + AFFINITY_SLACK:
            return favourite
        return min(working, key=lambda target: (target.in_flight, -_weight(affinity, target.name)))

    def succeeded(self, target: Target) -> None:
        """A server answered a request to its end."""
        self.stats[target.name].ok += 1
        breaker = self.breakers[target.name]
        if breaker.state != "closed":
            logger.info("upstream server %s works again", target.name)
        breaker.succeeded()

    def failed(self, target: Target, error: ServiceError) -> bool:
        """Note an error; whether another server may be asked instead."""
        breaker, stats = self.breakers[target.name], self.stats[target.name]
        now = asyncio.get_running_loop().time()
        if isinstance(error, InvalidRequest):
            stats.refused += 1
            breaker.succeeded()  # it works; the request is at fault
            return False
        if isinstance(error, Overloaded) and not isinstance(error, EngineUnavailable):
            stats.busy += 1
            breaker.succeeded()  # it works, and has no room
            breaker.busy_until = now + min(error.retry_after, MAX_PAUSE_SECONDS)
            return True
        unavailable = isinstance(error, EngineUnavailable)
        stats.unavailable += unavailable
        stats.failed += not unavailable
        breaker.failed(now, unreachable=unavailable)
        if breaker.state == "open":
            logger.warning("upstream server %s is left alone for a while: %s", target.name, error.message)
            self._start_watch()
        return True

    def collect(self) -> list[TargetStats]:
        """What was counted, with the state of now."""
        for target in self.targets:
            stats = self.stats[target.name]
            stats.up = self.breakers[target.name].state != "open"
            stats.in_flight = target.in_flight
        return list(self.stats.values())

    async def close(self) -> None:
        """Stop looking after servers that failed. May be called twice."""
        await cancel(self._watch)
        self._watch = None

    # --- inside ---

    def _due(self, target: Target, now: float) -> float:
        breaker = self.breakers[target.name]
        return max(breaker.busy_until, breaker.retry_at if breaker.state == "open" else now)

    def _start_watch(self) -> None:
        self._any_open.set()
        if self._watch is None:
            self._watch = supervise("the health checks of upstream servers", self._watch_open)

    async def _watch_open(self) -> None:
        """Ask the servers that failed whether they are back, once; where there are none, wait for one."""
        await self._any_open.wait()
        loop = asyncio.get_running_loop()
        await asyncio.sleep(HEALTH_SECONDS)
        for target in self.targets:
            breaker = self.breakers[target.name]
            if breaker.state != "open" or loop.time() < breaker.retry_at:
                continue
            healthy = await target.healthy()
            breaker.half_open()
            if not healthy:  # counts as the trial
                breaker.failed(loop.time(), unreachable=True)
        if not any(breaker.state == "open" for breaker in self.breakers.values()):
            self._any_open.clear()


def _weight(affinity: bytes, name: str) -> int:
    """Rendezvous hashing: the order of servers for a prompt changes little when one comes or goes."""
    return int.from_bytes(hashlib.blake2b(affinity, key=name.encode()[:64], digest_size=8).digest())
