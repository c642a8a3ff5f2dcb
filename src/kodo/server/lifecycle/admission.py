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
        self.preempted = False
        """Whether a more urgent request waits: the holder should release its lease."""
        self.overdue = False
        """Waited long enough to run beside more urgent requests."""
        self.granted: asyncio.Future[None] | None = None
        """Done when its turn has come; None: it did not wait."""


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
        self._quiet_at = 0.0
        """When lower classes may run again after an interactive request, by the clock of the event loop."""
        self._cooldown: asyncio.TimerHandle | None = None
        """Lets those in that wait for that."""
        self._waiting = 0
        self._queues: dict[Priority, OrderedDict[str, deque[Lease]]] = {
            priority: OrderedDict() for priority in Priority
        }

    @property
    def waiting(self) -> int:
        """Number of requests that wait."""
        return self._waiting

    @property
    def running(self) -> int:
        """Number of requests that run."""
        return len(self._running)

    def check(self, priority: Priority) -> None:
        """Refuse a request that would not fit the queue, before anything is stored.

        Raises:
            Overloaded: the queue is full. Background work is stored, so it may always wait.
        """
        if priority is not Priority.BACKGROUND and self._waiting >= self.limit:
            raise Overloaded("The server's queue is full; try again shortly.", retry_after=2.0)

    async def acquire(self, owner: str, priority: Priority) -> Lease:
        """Wait for a place in the engine. Cancelling the wait leaves the queue."""
        lease = Lease(owner, priority)
        interactive = priority is Priority.INTERACTIVE
        if interactive and not self._queues[priority] and len(self._running) < self.parallel:
            self._unhurried[priority].add(lease)
            self._begin(lease)
            self._preempt()
            return lease
        loop = asyncio.get_running_loop()
        granted = lease.granted = loop.create_future()
        self._queues[priority].setdefault(owner, deque()).append(lease)
        self._waiting += 1
        self._grant()
        self._mark_contention(lease, waits=not granted.done())
        timer = None
        if not interactive and not granted.done():
            timer = loop.call_later(MAX_WAIT, self._mark_overdue, lease)
        try:
            await granted
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
            self._quiet_at = asyncio.get_running_loop().time() + COOLDOWN
        if self._waiting:
            self._grant()

    # --- inside ---

    def _end_cooldown(self) -> None:
        self._cooldown = None
        self._grant()

    def _mark_contention(self, new: Lease, *, waits: bool) -> None:
        """Note who had to wait beside whom; each lease is looked at once, however many there are."""
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
            self._waiting -= 1
            self._gone(lease)
            if not queue:
                del self._queues[lease.priority][lease.owner]

    def _mark_overdue(self, lease: Lease) -> None:
        lease.overdue = True
        self._grant()

    def _next(self) -> Lease | None:
        """The lease whose turn it is, still in its queue."""
        urgent = self._interactive > 0 or self._is_cooling()
        for priority, owners in self._queues.items():
            for queue in owners.values():
                if priority is Priority.INTERACTIVE or not urgent:
                    return queue[0]
                # the first of a queue is the oldest, so it is overdue before the others
                if queue[0].overdue and not any(lease.overdue for lease in self._running):
                    return queue[0]
        return None

    def _is_cooling(self) -> bool:
        """Whether an interactive request ended a moment ago; those that wait for the end of that are let in then."""
        loop = asyncio.get_running_loop()
        left = self._quiet_at - loop.time()
        if left > 0 and self._cooldown is None:
            self._cooldown = loop.call_later(left, self._end_cooldown)
        return left > 0

    def _grant(self) -> None:
        while len(self._running) < self.parallel and (lease := self._next()) is not None:
            owners = self._queues[lease.priority]
            owners[lease.owner].popleft()
            self._waiting -= 1
            if owners[lease.owner]:
                owners.move_to_end(lease.owner)
            else:
                del owners[lease.owner]
            self._begin(lease)
            if lease.granted is not None and not lease.granted.done():
                lease.granted.set_result(None)
        self._preempt()

    def _begin(self, lease: Lease) -> None:
        self._running.add(lease)
        self._interactive += lease.priority is Priority.INTERACTIVE

    def _preempt(self) -> None:
        """Ask the lower classes to make room, where an interactive request runs or waits."""
        interactive = Priority.INTERACTIVE
        others = len(self._running) > self._interactive
        if others and (self._interactive or self._queues[interactive]):
            for lease in self._running:
                if lease.priority is not interactive and not lease.overdue:
                    lease.preempted = True
