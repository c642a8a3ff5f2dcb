"""Per-key budgets: tokens or dollars, of a day or a month, in UTC. Off unless set.

Unlike the limits by the minute (:mod:`kodo.server.http.limits`, which asks for these first) they outlive a restart: what a
key spends is added to the store, and read from it before each of its requests, so several servers on one database share a
budget. What an answer has used is charged with its end (:mod:`kodo.server.lifecycle.charging`): what has begun inside the
budget is finished, the next request is refused. A key without a budget costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias
from uuid import uuid4

import msgspec

from kodo.server.config import NO_PRICES, LimitSettings, Settings
from kodo.server.http.errors import BudgetSpent
from kodo.server.http.keys import Caller
from kodo.server.http.spending import NANO, NOTHING, add_spending, spending_of
from kodo.server.lifecycle.errors import InvalidRequest, StoreFailed
from kodo.server.lifecycle.plan import Backend
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import KeyCharge, KeyRow, KeySpending
from kodo.server.lifecycle.store_ports import KeyStore

logger = logging.getLogger(__name__)

Unit: TypeAlias = Literal["tokens", "usd"]
Period: TypeAlias = Literal["day", "month"]
BUDGETS: Final[Mapping[str, tuple[Unit, Period]]] = {
    "tokens_per_day": ("tokens", "day"),
    "tokens_per_month": ("tokens", "month"),
    "usd_per_day": ("usd", "day"),
    "usd_per_month": ("usd", "month"),
}
"""The budgets by their name in a key and in the settings: what is counted, and for how long."""
DAY_SECONDS: Final = 86_400
_TOGETHER: Final = 100
"""Charges that were held back and are written at the same time: a store commits them together."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a key may spend in a period, and has spent of it, in tokens or US dollars; ``ends_at`` in seconds since the
    epoch."""

    unit: Unit
    period: Period
    limit: float
    spent: float
    ends_at: float

    def __str__(self) -> str:
        """``100 tokens a day``, ``$5.00 a month``, ``$0.0025 a day``."""
        if self.unit == "tokens":
            return f"{self.limit} tokens a {self.period}"
        cents = round(self.limit, 2) == self.limit
        return f"${self.limit:,.2f} a {self.period}" if cents else f"${self.limit:.9g} a {self.period}"


def day_of(at: float) -> int:
    """The day of a time, counted from the epoch, UTC."""
    return int(at // DAY_SECONDS)


def first_of_month(at: float) -> int:
    """The day with which the month of a time begins, as :func:`day_of` counts."""
    return day_of(at) - datetime.fromtimestamp(at, UTC).day + 1


def _end(period: Period, at: float) -> float:
    """When the day or the month of a time is over."""
    if period == "day":
        return float((day_of(at) + 1) * DAY_SECONDS)
    start = datetime.fromtimestamp(first_of_month(at) * DAY_SECONDS, UTC)
    return (start + timedelta(days=32)).replace(day=1).timestamp()


def check_budgets(key: KeyRow, settings: Settings) -> None:
    """Check that the budgets of a new key can be counted.

    Raises:
        InvalidRequest: one is in dollars, and no model has a price.
    """
    for name, (unit, _) in BUDGETS.items():
        if unit == "usd" and getattr(key, name) is not None and not settings.has_prices:
            raise InvalidRequest(f"{name}: {NO_PRICES}.", param=name)


class Budgets:
    """The budgets of all keys."""

    def __init__(
        self,
        store: KeyStore,
        settings: LimitSettings,
        models: Mapping[str, Backend],
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._settings = settings
        self._models = models
        self._now = now
        self._seen: dict[str, tuple[KeyRow, bool]] = {}
        """The keys that were seen here as they were last read, and whether they have a budget."""
        self._unwritten: dict[str, KeyCharge] = {}
        """What was spent, by the charge's id, and the store did not take, or did not say whether it did."""
        self._writing: asyncio.Task[None] | None = None

    def limits_of(self, key: KeyRow) -> dict[str, float]:
        """A key's budgets by their names, its own or those of the settings."""
        found = {name: getattr(key, name) or getattr(self._settings, name) for name in BUDGETS}
        return {name: limit for name, limit in found.items() if limit is not None}

    def apply_to(self, key: KeyRow) -> bool:
        """Whether a key has a budget."""
        seen = self._seen.get(key.id)
        if seen is None or seen[0] is not key:
            seen = self._seen[key.id] = key, bool(self.limits_of(key))
        return seen[1]

    async def of(self, key: KeyRow) -> tuple[Budget, ...]:
        """A key's budgets as they stand, after everything that was charged here."""
        if not self.apply_to(key):
            return ()
        limits = self.limits_of(key)
        await self.written()
        now = self._now()
        spent = await self._spent(key.id, now)
        return tuple(
            Budget(unit, period, limits[name], _amount(spent[period], unit), _end(period, now))
            for name, (unit, period) in BUDGETS.items()
            if name in limits
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
                    f"This key has spent its budget of {budget} (UTC).",
                    retry_after=max(1.0, budget.ends_at - self._now()),
                    headers={},
                )

    async def charge_of(self, key_id: str, model: str, usage: Usage, at: float) -> KeyCharge | None:
        """See :class:`~kodo.server.lifecycle.charging.KeyBudgets`."""
        if not await self._is_counted(key_id):
            return None
        spending = spending_of(self._models, model, usage)
        if spending == NOTHING:
            return None
        return KeyCharge(key_id=key_id, day=day_of(at), spending=spending)

    async def charge(self, charge: KeyCharge) -> None:
        """See :class:`~kodo.server.lifecycle.charging.KeyBudgets`."""
        await self._write(msgspec.structs.replace(charge, id=f"charge_{uuid4().hex}", at=self._now()))

    async def written(self) -> None:
        """Wait until what the store did not take is in it, or it has failed again."""
        if self._unwritten and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_held())
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _is_counted(self, key_id: str) -> bool:
        """Whether a key has a budget: as it was at its last request here, else as the store says."""
        seen = self._seen.get(key_id)
        if seen is not None:
            return seen[1]
        try:
            key = await self._store.key(key_id)
        except StoreFailed:
            return True  # nobody reads what is counted for nothing
        return key is not None and bool(self.limits_of(key))

    async def _spent(self, key_id: str, now: float) -> dict[Period, KeySpending]:
        """What a key has spent today and this month, also what the store has not taken."""
        first, today = first_of_month(now), day_of(now)
        days = dict(await self._store.key_spending(key_id, first))
        for charge in self._unwritten.values():
            if charge.key_id == key_id and charge.day >= first:
                days[charge.day] = add_spending(days.get(charge.day, NOTHING), charge.spending)
        month = NOTHING
        for spending in days.values():
            month = add_spending(month, spending)
        return {"day": days.get(today, NOTHING), "month": month}

    async def _write_held(self) -> None:
        """Write what the store did not take, until it does not again."""
        while self._unwritten:
            held = [self._unwritten.pop(name) for name in list(self._unwritten)[:_TOGETHER]]
            if not all(await asyncio.gather(*map(self._write, held))):
                return

    async def _write(self, charge: KeyCharge) -> bool:
        """Store a charge; one that the store does not take is held for the next time, and the answer is no.

        A store that says no may have taken it (a connection that is lost while a transaction ends): it knows its id again.
        """
        try:
            await self._store.charge_key(charge)
        except StoreFailed as error:
            self._unwritten[charge.id] = charge
            logger.error("what key %s has spent could not be counted: %s", charge.key_id, error.message)
            return False
        except Exception:  # what no store can take is left out; other keys go on
            logger.exception("what key %s has spent could not be counted", charge.key_id)
        return True


def _amount(spending: KeySpending, unit: Unit) -> float:
    return spending.tokens if unit == "tokens" else spending.nano_usd / NANO
