"""Retention: what is older than the settings allow is deleted when the server starts, and every hour after that.

Responses, stored chat completions, finished batches and uploads that are over are deleted after ``retention_days``; threads after
``thread_days`` without an addition, where that is set; kept answers of idempotency keys after a day. Conversations,
files and assistants stay until the client deletes them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from kodo.server.http.assistants.documents import THREAD
from kodo.server.http.batches.documents import KIND as BATCH
from kodo.server.http.batches.worker import BATCH_STATUS
from kodo.server.http.chat.documents import KIND as COMPLETION
from kodo.server.http.files.upload_manager import FINISHED
from kodo.server.http.files.upload_manager import KIND as UPLOAD
from kodo.server.http.idempotency import REPLAY_SECONDS
from kodo.server.lifecycle.records import RetentionRule
from kodo.server.lifecycle.store_ports import RetentionStore

logger = logging.getLogger(__name__)

PRUNE_SECONDS = 3600.0
"""Pause between two runs of :func:`prune`."""
_DAY = 86400.0


@dataclass(frozen=True)
class RetentionPolicy:
    """How long objects are kept, in days."""

    responses: float
    """Responses, chat completions, batches that are finished, and uploads that are over."""
    threads: float | None = None
    """Threads, counted from the last addition; None means that they are kept."""


async def prune(store: RetentionStore, now: float, policy: RetentionPolicy) -> dict[str, int]:
    """Delete what is older than the policy allows; ``now`` in seconds since the epoch.

    Returns:
        How many objects of each kind were deleted.

    Raises:
        StoreFailed: the store could not delete them.
    """
    before = now - policy.responses * _DAY
    rules = [
        RetentionRule(kind=COMPLETION, before=before),
        RetentionRule(kind=BATCH, before=before, statuses=BATCH_STATUS.final),
        RetentionRule(kind=UPLOAD, before=before, statuses=(FINISHED,)),
    ]
    if policy.threads is not None:
        rules.append(RetentionRule(kind=THREAD, before=now - policy.threads * _DAY))
    return await store.prune(before, rules=rules, replays=now - REPLAY_SECONDS)


async def prune_and_log(store: RetentionStore, now: float, policy: RetentionPolicy) -> None:
    """As :func:`prune`; what was deleted is logged."""
    pruned = await prune(store, now, policy)
    if any(pruned.values()):
        logger.info("retention: deleted %s", pruned)
