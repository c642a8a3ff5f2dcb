"""Changes of a document that several clients make at once: each is made on what the one before it left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from kodo.server.lifecycle.errors import Conflict

T = TypeVar("T")
MAX_ATTEMPTS: Final = 50
_PAUSE_SECONDS: Final = 0.01


async def retry_conflicts(change: Callable[[], Awaitable[T]]) -> T:
    """Read, change and write a document, again where another writer came between.

    Raises:
        Conflict: others came between every time.
        Exception: whatever ``change`` raises.
    """
    for attempt in range(1, MAX_ATTEMPTS):
        try:
            return await change()
        except Conflict:
            await asyncio.sleep(random.random() * _PAUSE_SECONDS * attempt)  # noqa: S311 - spreads the writers
    return await change()
