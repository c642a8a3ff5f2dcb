"""A broadcast: every reader gets every event from its position on, whenever it comes."""

from __future__ import annotations

import asyncio

from kodo.server.lifecycle.broadcast import Broadcast


async def read(broadcast: Broadcast[int], position: int = 0) -> list[int]:
    """All events from a position until the broadcast is closed."""
    return [event async for batch in broadcast.follow(position) for event in batch]


async def test_readers_at_any_position_get_every_event() -> None:
    """Readers that come before, between and after the events agree on them."""
    broadcast = Broadcast([0, 1])
    early = asyncio.create_task(read(broadcast))
    await asyncio.sleep(0)
    broadcast.publish(2)
    between = asyncio.create_task(read(broadcast, 2))
    await asyncio.sleep(0)
    broadcast.publish(3, 4)
    broadcast.close()
    assert await asyncio.wait_for(asyncio.gather(early, between, read(broadcast, 4)), 5) == [
        [0, 1, 2, 3, 4],
        [2, 3, 4],
        [4],
    ]
    assert len(broadcast) == 5


async def test_a_cancelled_reader_does_not_stop_the_others() -> None:
    """The writer goes past a reader that was cancelled while it waited."""
    broadcast: Broadcast[int] = Broadcast()
    gone, staying = asyncio.create_task(read(broadcast)), asyncio.create_task(read(broadcast))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    broadcast.publish(1)
    broadcast.close()
    assert await asyncio.wait_for(staying, 5) == [1]


async def test_a_wait_for_a_change_ends_without_an_event() -> None:
    """``wake`` ends a wait for a change; readers of events get nothing from it and stay."""
    broadcast: Broadcast[int] = Broadcast()
    reader, waiter = asyncio.create_task(read(broadcast)), broadcast.changed()
    await asyncio.sleep(0)
    broadcast.wake()
    await asyncio.wait_for(waiter, 5)
    await asyncio.sleep(0)
    assert not reader.done() and not broadcast.closed
    broadcast.close()
    assert await asyncio.wait_for(reader, 5) == [] and broadcast.closed


async def test_who_waits_for_the_end_is_not_woken_by_an_event() -> None:
    """And waits for nothing where it is over."""
    broadcast: Broadcast[int] = Broadcast()
    waiting = asyncio.create_task(broadcast.ended())
    await asyncio.sleep(0)
    broadcast.publish(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    broadcast.close()
    await asyncio.wait_for(waiting, 10)
    await asyncio.wait_for(broadcast.ended(), 10)
