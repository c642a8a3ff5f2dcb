"""Background tasks that keep something alive.

Such a task must not end by itself: nothing awaits it, so its work would stop without an error. A round of it
that fails, whatever the failure, is logged and tried again after a pause that grows; only cancelling ends the task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from kodo.server.lifecycle.errors import ServiceError

logger = logging.getLogger(__name__)

RETRY_DELAYS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Pauses in seconds after the first, second, third … failure in a row; the last one is repeated."""


def supervise(
    name: str, work: Callable[[], Awaitable[object]], *, delays: Sequence[float] = RETRY_DELAYS
) -> asyncio.Task[None]:
    """Start a task that calls ``work`` again and again.

    Args:
        name: what the log and the task are called.
        work: one round; a periodic task sleeps inside it.
        delays: pauses in seconds after failures in a row.
    """
    return asyncio.create_task(_repeat(name, work, delays), name=name)


def supervise_every(name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    """Start a task that calls ``work`` every ``seconds``, for the first time after one such pause."""

    async def work_later() -> None:
        await asyncio.sleep(seconds)
        await work()

    return supervise(name, work_later)


async def cancel(task: asyncio.Task[None] | None) -> None:
    """End a supervised task and wait until it has ended. Does nothing with None."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _repeat(name: str, work: Callable[[], Awaitable[object]], delays: Sequence[float]) -> None:
    failures = 0
    while True:
        try:
            await work()
        except Exception as error:
            delay = delays[min(failures, len(delays) - 1)]
            failures += 1
            expected = isinstance(error, ServiceError | OSError)
            logger.error(
                "%s failed and is tried again in %g s: %s",
                name,
                delay,
                error if str(error) else type(error).__name__,
                exc_info=None if expected else error,
            )
            await asyncio.sleep(delay)
        else:
            failures = 0
            await asyncio.sleep(0)  # a round that has nothing to wait for lets others run
