"""Whose turn it is: a fair queue in front of an engine.

Three classes: interactive requests, ``flex`` ones, and background work (background responses, batches, runs). Inside a
class owners take turns, so that one owner's hundred requests do not stand before another's one. Lower classes run only
while no interactive request runs or waits; when one arrives they are asked to step aside (``Lease.yielding``) and go on
later from where they were, ``QUIET`` seconds after the last: who asks often asks again at once, and an engine that is
reading prompts cannot be interrupted before its next token. So that they finish at all under steady interactive load, one background request may run
after ``PATIENCE`` seconds of waiting, whatever else runs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from enum import IntEnum

from kodo.server.lifecycle.errors import Overloaded

PATIENCE = 30.0
"""Seconds after which a background request runs beside interactive ones."""

QUIET = 0.25
"""Seconds after an interactive request in which nothing else is begun. With the default model, questions asked one
after the other beside a batch took three times as long without it."""


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
        self.company = False
        """Whether any request of the same or a more urgent class ran or waited beside this one."""
        self.yielding = asyncio.Event()
        """Set when a more urgent request waits: the holder should step aside."""
        self.patient = False
        """Waited long enough to run beside more urgent requests."""
        self._granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Admission:
    """The queue of one engine: at most ``parallel`` leases run, at most ``waiting`` wait."""

    def __init__(self, parallel: int, waiting: int) -> None:
        self.parallel = parallel
        self.limit = waiting
        self._running: set[Lease] = set()
        self._quiet: asyncio.TimerHandle | None = None
        self._queues: dict[Priority, OrderedDict[str, deque[Lease]]] = {
            priority: OrderedDict() for priority in Priority
        }

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(len(queue) for owners in self._queues.values() for queue in owners.values())

    @property
    def running(self) -> int:
        """Requests that run."""
        return len(self._running)

    def check(self, priority: Priority) -> None:
        """Refuse early: before anything is stored.

        Raises:
            Overloaded: the queue is full. Background work is stored, so it may always wait.
        """
        if priority is not Priority.BACKGROUND and self.waiting >= self.limit:
            raise Overloaded("The server's queue is full; try again shortly.", retry_after=2.0)

    async def acquire(self, owner: str, priority: Priority) -> Lease:
        """Wait for a place in the engine. Cancelling the wait leaves the queue."""
        lease = Lease(owner, priority)
        self._queues[priority].setdefault(owner, deque()).append(lease)
        self._keep_company(lease)
        self._grant()
        patience = None
        if priority is not Priority.INTERACTIVE and not lease._granted.done():
            patience = asyncio.get_running_loop().call_later(PATIENCE, self._lose_patience, lease)
        try:
            await lease._granted
        except asyncio.CancelledError:
            if lease in self._running:
                self.release(lease)
            else:
                self._leave(lease)
            raise
        finally:
            if patience is not None:
                patience.cancel()
        return lease

    def release(self, lease: Lease) -> None:
        """Give the place back."""
        self._running.discard(lease)
        if lease.priority is Priority.INTERACTIVE:
            if self._quiet is not None:
                self._quiet.cancel()
            self._quiet = asyncio.get_running_loop().call_later(QUIET, self._no_longer_quiet)
        self._grant()

    # --- inside ---

    def _no_longer_quiet(self) -> None:
        self._quiet = None
        self._grant()

    def _everybody(self) -> list[Lease]:
        waiting = [lease for owners in self._queues.values() for queue in owners.values() for lease in queue]
        return [*self._running, *waiting]

    def _keep_company(self, new: Lease) -> None:
        for other in self._everybody():
            if other is not new:
                other.company |= new.priority <= other.priority
                new.company |= other.priority <= new.priority

    def _leave(self, lease: Lease) -> None:
        queue = self._queues[lease.priority].get(lease.owner)
        if queue is not None and lease in queue:
            queue.remove(lease)
            if not queue:
                del self._queues[lease.priority][lease.owner]

    def _lose_patience(self, lease: Lease) -> None:
        lease.patient = True
        self._grant()

    def _next(self) -> Lease | None:
        """The lease whose turn it is, still in its queue."""
        urgent = self._quiet is not None or any(
            lease.priority is Priority.INTERACTIVE for lease in self._running
        )
        for priority, owners in self._queues.items():
            for queue in owners.values():
                if priority is Priority.INTERACTIVE or not urgent:
                    return queue[0]
                patient = next((lease for lease in queue if lease.patient), None)
                if patient is not None and not any(lease.patient for lease in self._running):
                    return patient
        return None

    def _grant(self) -> None:
        while len(self._running) < self.parallel and (lease := self._next()) is not None:
            owners = self._queues[lease.priority]
            owners[lease.owner].remove(lease)
            if owners[lease.owner]:
                owners.move_to_end(lease.owner)
            else:
                del owners[lease.owner]
            self._running.add(lease)
            if not lease._granted.done():
                lease._granted.set_result(None)
        interactive = Priority.INTERACTIVE
        if self._queues[interactive] or any(lease.priority is interactive for lease in self._running):
            for lease in self._running:
                if lease.priority is not interactive and not lease.patient:
                    lease.yielding.set()
