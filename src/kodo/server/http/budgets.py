"""Per-key budgets: tokens a day and tokens a month, in UTC. Off unless set.

Unlike the limits by the minute (:mod:`kodo.server.http.limits`, which asks for these first) they outlive a restart: what a
key spends is added to the store, and read from it before each of its requests, so several servers on one database share a
budget. Tokens are charged when they are known: what has begun inside the budget is finished, the next request is refused.
A key without a budget costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from kodo.server.config import LimitSettings
from kodo.server.http.errors import BudgetSpent
from kodo.server.http.keys import Caller
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.records import KeyRow
from kodo.server.lifecycle.store_ports import KeyStore

logger = logging.getLogger(__name__)

DAY_SECONDS: Final = 86_400
MONTH: Final = "month"
DAY: Final = "day"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a key may spend in a ``period`` (day or month), and has spent of it; ``ends_at`` in seconds since the epoch."""

    period: str
    limit: int
    spent: int
    ends_at: float


def day_of(at: float) -> int:
    """The day of a time, counted from the epoch, UTC."""
    return int(at // DAY_SECONDS)


def first_of_month(at: float) -> int:
    """The day with which the month of a time begins, as :func:`day_of` counts."""
    return day_of(at) - datetime.fromtimestamp(at, UTC).day + 1


def _month_end(at: float) -> float:
    start = datetime.fromtimestamp(first_of_month(at) * DAY_SECONDS, UTC)
    return (start + timedelta(days=32)).replace(day=1).timestamp()


class Budgets:
    """The budgets of all keys."""

    def __init__(self, store: KeyStore, settings: LimitSettings, now: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._now = now
        self._unwritten: Counter[tuple[str, int]] = Counter()
        """Tokens by key and day that are not in the store yet."""
        self._writing: asyncio.Task[None] | None = None

    def limits_of(self, key: KeyRow) -> dict[str, int]:
        """A key's budgets by period, its own or those of the settings."""
        found = {
            DAY: key.tokens_per_day or self._settings.tokens_per_day,
            MONTH: key.tokens_per_month or self._settings.tokens_per_month,
        }
        return {period: limit for period, limit in found.items() if limit is not None}

    async def of(self, key: KeyRow) -> tuple[Budget, ...]:
        """A key's budgets as they stand, after everything that was charged here."""
        limits = self.limits_of(key)
        if not limits:
            return ()
        await self.written()
        now = self._now()
        days = await self._store.key_tokens(key.id, first_of_month(now))
        return tuple(
            Budget(period, limit, *self._spent(key.id, period, days, now)) for period, limit in limits.items()
        )

    async def check(self, caller: Caller) -> None:
        """Refuse a caller whose key has spent a budget.

        Raises:
            BudgetSpent: until the day or the month is over.
        """
        if caller.key is None:
            return
        for budget in await self.of(caller.key):
            if budget.spent >= budget.limit:
                raise BudgetSpent(
                    f"This key has spent its budget of {budget.limit} tokens a {budget.period} (UTC).",
                    retry_after=max(1.0, budget.ends_at - self._now()),
                    headers={},
                )

    def charge(self, caller: Caller, tokens: int) -> None:
        """Add what a request has used; written at once, by a task of its own."""
        if caller.key is None or tokens <= 0 or not self.limits_of(caller.key):
            return
        self._unwritten[caller.key.id, day_of(self._now())] += tokens
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def written(self) -> None:
        """Wait until what was charged is in the store, or the store has failed to take it."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def _spent(self, key_id: str, period: str, days: Mapping[int, int], now: float) -> tuple[int, float]:
        today = day_of(now)
        if period == DAY:
            spent = days.get(today, 0) + self._unwritten[key_id, today]
            return spent, float((today + 1) * DAY_SECONDS)
        first = first_of_month(now)
        kept = sum(
            tokens for (held, day), tokens in self._unwritten.items() if held == key_id and day >= first
        )
        return sum(days.values()) + kept, _month_end(now)

    async def _write(self) -> None:
        """Add everything that is not written; what the store does not take stays for the next time."""
        while self._unwritten:
            (key_id, day), tokens = next(iter(self._unwritten.items()))
            try:
                await self._store.add_key_tokens(key_id, day, tokens)
            except StoreFailed as error:
                logger.error("tokens of key %s could not be counted: %s", key_id, error.message)
                return
            self._unwritten[key_id, day] -= tokens
            if not self._unwritten[key_id, day]:
                del self._unwritten[key_id, day]
