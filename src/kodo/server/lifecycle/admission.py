"""A fair queue in front of an engine.

There are three classes: interactive requests, ``flex`` requests, and background work (background responses, batches,
runs). Inside a class owners take turns, so that a hundred requests of one owner do not delay the only request of
another. Lower classes run only while no interactive request runs or waits. When one arrives they are preempted
(``Lease.preempted``) and continue later from where they stopped, ``COOLDOWN`` seconds after the last interactive
request: an interactive client often asks again soon, and an engine that is reading a prompt cannot be interrupted
before its next token. To guarantee progress under steady interactive load, one background request may run beside
interactive ones after it has waited ``MAX_WAIT`` seconds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from enum import IntEnum

from kodo.server.lifecycle.errors import Overloaded

MAX_WAIT = 30.0
"""Seconds after which a background request runs beside interactive ones."""

COOLDOWN = 0.25
"""Seconds after an interactive request in which no lower class is admitted. With the default model, successive questions
beside a batch took three times as long without it."""


class Priority(IntEnum):
    """Classes of work, most urgent first."""

    INTERACTIVE = 0
    FLEX = 1
    BACKGROUND = 2


class Lease:
    """A place in the queue, then in the engine."""

    def __init__(self, owner: str, priority: Priority) -> None:
        self.owner = owner
        self.priority = priority
        self.contended = False
        """Whether any request of the same or a more urgent class had to wait beside this one."""
        self.preempted = asyncio.Event()
        """Set when a more urgent request waits: the holder should release its lease."""
        self.overdue = False
        """Waited long enough to run beside more urgent requests."""
        self._granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Admission:
    """The queue of one engine: at most ``parallel`` leases run, at most ``waiting`` wait."""

    def __init__(self, parallel: int, waiting: int) -> None:
        self.parallel = parallel
        self.limit = waiting
        self._running: set[Lease] = set()
        self._interactive = 0
        """How many of them are interactive."""
        self._unhurried: dict[Priority, set[Lease]] = {priority: set() for priority in Priority}
        """Those that run or wait and that nobody had to wait beside so far, by class."""
        self._cooldown: asyncio.TimerHandle | None = None
        self._queues: dict[Priority, OrderedDict[str, deque[Lease]]] = {
            priority: OrderedDict() for priority in Priority
        }

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return sum(len(queue) for owners in self._queues.values() for queue in owners.values())

    @property
    def running(self) -> int:
        """Number of requests that run."""
        return len(self._running)

    def check(self, priority: Priority) -> None:
        """Refuse a request that would not fit the queue, before anything is stored.

        Raises:
            Overloaded: the queue is full. Background work is stored, so it may always wait.
        """
        if priority is not Priority.BACKGROUND and self.waiting >= self.limit:
            raise Overloaded("The server's queue is full; try again shortly.", retry_after=2.0)

    async def acquire(self, owner: str, priority: Priority) -> Lease:
        """Wait for a place in the engine. Cancelling the wait leaves the queue."""
        lease = Lease(owner, priority)
        self._queues[priority].setdefault(owner, deque()).append(lease)
        self._grant()
        self._mark_contention(lease)
        timer = None
        if priority is not Priority.INTERACTIVE and not lease._granted.done():
            timer = asyncio.get_running_loop().call_later(MAX_WAIT, self._mark_overdue, lease)
        try:
            await lease._granted
        except asyncio.CancelledError:
            if lease in self._running:
                self.release(lease)
            else:
                self._leave(lease)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return lease

    def release(self, lease: Lease) -> None:
        """Give the place back."""
        if lease in self._running:
            self._running.discard(lease)
            self._interactive -= lease.priority is Priority.INTERACTIVE
            self._gone(lease)
        if lease.priority is Priority.INTERACTIVE:
            if self._cooldown is not None:
                self._cooldown.cancel()
            self._cooldown = asyncio.get_running_loop().call_later(COOLDOWN, self._end_cooldown)
        self._grant()

    # --- inside ---

    def _end_cooldown(self) -> None:
        self._cooldown = None
        self._grant()

    def _mark_contention(self, new: Lease) -> None:
        """Note who had to wait beside whom; each lease is looked at once, however many there are."""
        waits = not new._granted.done()
        if waits:
            for priority, unhurried in self._unhurried.items():
                if priority >= new.priority:
                    for other in unhurried:
                        other.contended = True
                    unhurried.clear()
        others = sum(
            len(queue)
            for priority in Priority
            if priority <= new.priority
            for queue in self._queues[priority].values()
        )
        new.contended = others > waits
        if not new.contended:
            self._unhurried[new.priority].add(new)

    def _gone(self, lease: Lease) -> None:
        self._unhurried[lease.priority].discard(lease)

    def _leave(self, lease: Lease) -> None:
        queue = self._queues[lease.priority].get(lease.owner)
        if queue is not None and lease in queue:
            queue.remove(lease)
            self._gone(lease)
            if not queue:
                del self._queues[lease.priority][lease.owner]

    def _mark_overdue(self, lease: Lease) -> None:
        lease.overdue = True
        self._grant()

    def _next(self) -> Lease | None:
        """The lease whose turn it is, still in its queue."""
        urgent = self._cooldown is not None or self._interactive > 0
        for priority, owners in self._queues.items():
            for queue in owners.values():
                if priority is Priority.INTERACTIVE or not urgent:
                    return queue[0]
                # the first of a queue is the oldest, so it is overdue before the others
                if queue[0].overdue and not any(lease.overdue for lease in self._running):
                    return queue[0]
        return None

    def _grant(self) -> None:
        while len(self._running) < self.parallel and (lease := self._next()) is not None:
            owners = self._queues[lease.priority]
            owners[lease.owner].popleft()
            if owners[lease.owner]:
                owners.move_to_end(lease.owner)
            else:
                del owners[lease.owner]
            self._running.add(lease)
            self._interactive += lease.priority is Priority.INTERACTIVE
            if not lease._granted.done():
                lease._granted.set_result(None)
        interactive = Priority.INTERACTIVE
        others = len(self._running) > self._interactive
        if others and (self._interactive or self._queues[interactive]):
            for lease in self._running:
                if lease.priority is not interactive and not lease.overdue:
                    lease.preempted.set()
