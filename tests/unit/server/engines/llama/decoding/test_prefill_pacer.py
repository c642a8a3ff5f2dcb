"""Short prompts handed to the engine a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from kodo.server.engines.llama.decoding.prefill_pacer import Prefill, PrefillPacer


async def _turn_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _started(pacer: PrefillPacer, *sizes: int) -> list[asyncio.Task[Prefill]]:
    tasks = [asyncio.create_task(pacer.acquire(size)) for size in sizes]
    await _turn_of_the_loop()
    return tasks


def _gone(tasks: Sequence[asyncio.Task[Prefill]]) -> list[bool]:
    return [task.done() for task in tasks]


async def test_prompts_are_handed_over_as_far_as_they_fit() -> None:
    """In the order of asking; the next ones once the engine has begun with those before."""
    pacer = PrefillPacer(max_tokens=40)
    tasks = await _started(pacer, 15, 15, 15, 9, 0)
    assert _gone(tasks) == [True, True, False, False, True]  # nothing to read: nothing to wait for
    tasks[0].result().started()
    tasks[0].result().started()
    await _turn_of_the_loop()
    assert _gone(tasks) == [True, True, True, True, True]


@pytest.mark.parametrize("size", [41, 100_000])
async def test_a_longer_prompt_waits_for_nothing(size: int) -> None:
    """And nothing waits for it: it fills the engine's steps by itself."""
    pacer = PrefillPacer(max_tokens=40)
    tasks = await _started(pacer, 40, size, 1, size)
    assert _gone(tasks) == [True, True, False, True]
    tasks[1].result().started()
    await _turn_of_the_loop()
    assert not tasks[2].done()
    tasks[0].result().started()
    await _turn_of_the_loop()
    assert tasks[2].done()


async def test_an_engine_that_does_not_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads something long, and the others may as well wait there."""
    monkeypatch.setattr("kodo.server.engines.llama.decoding.prefill_pacer.MAX_WAIT_SECONDS", 0.01)
    pacer = PrefillPacer(max_tokens=40)
    tasks = await _started(pacer, 40, 40, 40)
    assert _gone(tasks) == [True, False, False]
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    tasks[0].result().started()  # late, and counted already
    assert (await pacer.acquire(1)) is not None


async def test_who_leaves_the_queue_holds_nobody_up() -> None:
    """Neither before its turn nor in the moment of it."""
    pacer = PrefillPacer(max_tokens=10)
    tasks = await _started(pacer, 10, 10, 5, 5, 5)
    tasks[1].cancel()
    tasks[0].result().started()
    tasks[2].cancel()  # let go already, and not yet awake
    await _turn_of_the_loop()
    assert [task.cancelled() for task in tasks] == [False, True, True, False, False]
    assert _gone(tasks) == [True] * 5
