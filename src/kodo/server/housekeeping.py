"""Retention: what is older than the settings say is deleted when the server starts, and every hour after that.

Responses (and stored chat completions, which are the same thing under another name) go after ``retention_days``; kept
answers of idempotency keys after their day. Conversations, files and assistants stay until somebody deletes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kodo.lifecycle.errors import StoreFailed
from kodo.lifecycle.records import Store
from kodo.server.idempotency import KEPT_SECONDS

logger = logging.getLogger(__name__)

EVERY_SECONDS = 3600.0
KINDS = ("chat.completion",)
"""Documents that age as responses do."""


async def prune(store: Store, now: float, days: float) -> dict[str, int]:
    """Delete what is over; counts by kind. ``now`` in seconds since the epoch. Raises ``StoreFailed``."""
    return await store.prune(now - days * 86400, kinds=KINDS, replays=now - KEPT_SECONDS)


async def keep_pruning(
    store: Store, now: Callable[[], float], days: float, *, every: float = EVERY_SECONDS
) -> None:
    """Prune again and again, until cancelled. A store that cannot is tried again the next time."""
    while True:
        await asyncio.sleep(every)
        try:
            pruned = await prune(store, now(), days)
        except StoreFailed as error:
            logger.error("retention: %s", error)
        else:
            if any(pruned.values()):
                logger.info("retention: deleted %s", pruned)
