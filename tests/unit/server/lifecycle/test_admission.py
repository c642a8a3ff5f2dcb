"""Whose turn it is."""

from __future__ import annotations

import asyncio

import pytest

from kodo.server.lifecycle import admission as admission_module
from kodo.server.lifecycle.admission import Admission, Lease, Priority
from kodo.server.lifecycle.errors import Overloaded

INTERACTIVE, FLEX, BACKGROUND = Priority.INTERACTIVE, Priority.FLEX, Priority.BACKGROUND


class Queue:
    """Requests at one engine, and the order in which they got in."""

    def __init__(self, parallel: int = 1, waiting: int = 100) -> None:
        self.admission = Admission(parallel, waiting)
        self.order: list[str] = []
        self.leases: dict[str, Lease] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, priority: Priority = INTERACTIVE) -> None:
        """Queue up; the owner is the name's first letter."""

        async def wait() -> None:
            self.leases[name] = await self.admission.acquire(name[0], priority)
            self.order.append(name)

        self.tasks[name] = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def done(self, name: str) -> None:
        """Give a place back."""
        self.admission.release(self.leases.pop(name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def drain(self) -> list[str]:
        """Let everybody through; the order."""
        while self.leases or any(not task.done() for task in self.tasks.values()):
            if self.leases:
                await self.done(next(iter(self.leases)))
            else:
                await asyncio.sleep(0.01)  # the quiet behind an interactive request
        return self.order


@pytest.fixture(autouse=True)
def short_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that a test can wait for."""
    monkeypatch.setattr(admission_module, "COOLDOWN", 0.1)


async def test_owners_take_turns() -> None:
    """One owner's many requests do not stand before another's one."""
    queue = Queue()
    for name in ("a1", "a2", "a3", "a4", "b1", "c1"):
        await queue.ask(name)
    assert await queue.drain() == ["a1", "a2", "b1", "c1", "a3", "a4"]


async def test_at_most_so_many_run() -> None:
    """The others wait, and leave the queue when they are cancelled."""
    queue = Queue(parallel=2)
    for name in ("a1", "b1", "c1", "d1"):
        await queue.ask(name)
    assert (queue.order, queue.admission.running, queue.admission.waiting) == (["a1", "b1"], 2, 2)
    queue.tasks["c1"].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert queue.admission.waiting == 1
    assert await queue.drain() == ["a1", "b1", "d1"]
    assert queue.admission.running == 0


async def test_a_place_that_was_granted_to_a_cancelled_wait_is_given_back() -> None:
    """Granted and cancelled in the same breath: the next one gets it."""
    queue = Queue()
    await queue.ask("a1")
    await queue.ask("b1")
    queue.admission.release(queue.leases.pop("a1"))  # b1 is granted, and has not woken up yet
    queue.tasks["b1"].cancel()
    await asyncio.gather(queue.tasks["b1"], return_exceptions=True)
    assert queue.admission.running == 0
    await queue.ask("c1")
    assert "c1" in queue.leases


async def test_more_urgent_work_goes_first_and_asks_the_rest_to_step_aside() -> None:
    """Background yields to interactive, not to background; what is interactive is never asked."""
    queue = Queue(parallel=2)
    await queue.ask("a1", BACKGROUND)
    await queue.ask("b1", BACKGROUND)
    await queue.ask("c1", BACKGROUND)
    assert not any(lease.preempted for lease in queue.leases.values())
    await queue.ask("d1", INTERACTIVE)
    await queue.ask("e1", FLEX)
    assert all(lease.preempted for lease in queue.leases.values())
    await queue.done("a1")
    assert queue.order == ["a1", "b1", "d1"]
    assert not queue.leases["d1"].preempted
    await queue.done("b1")  # free places are not for lower classes while something interactive runs
    assert queue.order == ["a1", "b1", "d1"]
    assert await queue.drain() == ["a1", "b1", "d1", "e1", "c1"]


async def test_nothing_else_is_begun_between_two_questions() -> None:
    """Background work waits a moment after the last one, not after its own kind, and is not forgotten."""
    queue = Queue()
    await queue.ask("a1", INTERACTIVE)
    await queue.ask("b1", BACKGROUND)
    await queue.ask("c1", BACKGROUND)
    await queue.done("a1")
    assert queue.order == ["a1"]
    await queue.ask("a2", INTERACTIVE)
    await queue.done("a2")
    assert queue.order == ["a1", "a2"]
    await asyncio.wait_for(queue.tasks["b1"], 30)
    await queue.done("b1")
    assert queue.order == ["a1", "a2", "b1", "c1"]
    await queue.drain()


async def test_after_long_waiting_one_background_request_runs_beside_interactive_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One, not more, and it is not asked to step aside."""
    monkeypatch.setattr(admission_module, "MAX_WAIT", 0.02)
    queue = Queue(parallel=3)
    await queue.ask("a1", INTERACTIVE)
    await queue.ask("b1", BACKGROUND)
    await queue.ask("c1", BACKGROUND)
    while "b1" not in queue.leases:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    await queue.ask("d1", INTERACTIVE)
    assert queue.order == ["a1", "b1", "d1"]
    assert not queue.leases["b1"].preempted
    assert (await queue.drain())[-1] == "c1"


async def test_a_request_is_contended_where_one_of_its_class_or_above_waits() -> None:
    """Not by one that runs beside it, nor by background work that waits; a waiting one contends with those before and after it."""
    queue = Queue(parallel=2)
    await queue.ask("a1", INTERACTIVE)
    await queue.ask("b1", INTERACTIVE)
    await queue.ask("c1", BACKGROUND)
    assert not queue.leases["a1"].contended
    assert not queue.leases["b1"].contended
    await queue.ask("d1", INTERACTIVE)
    assert queue.leases["a1"].contended
    assert queue.leases["b1"].contended
    await queue.ask("e1", INTERACTIVE)
    await queue.done("a1")
    await queue.done("b1")
    assert (queue.leases["d1"].contended, queue.leases["e1"].contended) == (True, True)
    await queue.done("d1")
    await queue.ask("f1", INTERACTIVE)
    assert not queue.leases["f1"].contended
    await queue.done("e1")
    await queue.done("f1")
    while "c1" not in queue.leases:
        await asyncio.sleep(0.01)
    assert queue.leases["c1"].contended


async def test_a_full_queue_refuses_what_is_not_stored() -> None:
    """Background work is stored, so it may always wait."""
    queue = Queue(waiting=1)
    await queue.ask("a1")
    await queue.ask("b1")
    for priority in (INTERACTIVE, FLEX):
        with pytest.raises(Overloaded):
            queue.admission.check(priority)
    queue.admission.check(BACKGROUND)
    await queue.drain()
