"""Retention: what is older than the settings say is deleted when the server starts, and every hour after that.

Responses (and stored chat completions, which are the same thing under another name) go after ``retention_days``, and so
do batches that are over; threads after ``thread_days`` without anything new, where that is set; kept answers of
idempotency keys after their day. Conversations, files and assistants stay until somebody deletes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from kodo.server.http.assistants.papers import THREAD
from kodo.server.http.batches import job as batches
from kodo.server.http.chat.completions import KIND as COMPLETION
from kodo.server.http.idempotency import KEPT_SECONDS
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import Aged
from kodo.server.lifecycle.store_ports import Store

logger = logging.getLogger(__name__)

EVERY_SECONDS = 3600.0
_DAY = 86400.0


@dataclass(frozen=True)
class Ages:
    """How old things may become, in days."""

    responses: float
    """Chat completions and batches, too."""
    threads: float | None = None
    """Since the last addition. None: any age."""


async def prune(store: Store, now: float, ages: Ages) -> dict[str, int]:
    """Delete what is over; counts by kind. ``now`` in seconds since the epoch. Raises ``StoreFailed``."""
    before = now - ages.responses * _DAY
    aged = [
        Aged(kind=COMPLETION, before=before),
        Aged(kind=batches.KIND, before=before, statuses=batches.FINAL),
    ]
    if ages.threads is not None:
        aged.append(Aged(kind=THREAD, before=now - ages.threads * _DAY))
    return await store.prune(before, aged=aged, replays=now - KEPT_SECONDS)


async def keep_pruning(
    store: Store, now: Callable[[], float], ages: Ages, *, every: float = EVERY_SECONDS
) -> None:
    """Prune again and again, until cancelled. A store that cannot is tried again the next time."""
    while True:
        await asyncio.sleep(every)
        try:
            pruned = await prune(store, now(), ages)
        except StoreFailed as error:
            logger.error("retention: %s", error)
        else:
            if any(pruned.values()):
                logger.info("retention: deleted %s", pruned)
