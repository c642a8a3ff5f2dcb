"""Whom an answer is charged to: the key that it was asked with, where that one has a budget.

What a stored response has used is charged in the transaction that stores its end, so whichever server ends it charges it, once.
What is not stored (``store: false``, embeddings) is charged before its end is told to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import KeyCharge


class KeyBudgets(Protocol):
    """The budgets of all keys. When their store is down, nothing is lost and nothing raised: they write it later."""

    async def charge_of(self, key_id: str, model: str, usage: Usage, at: float) -> KeyCharge | None:
        """What tokens of a model, used up to a time (seconds since the epoch), add to what a key has spent; None: nothing, or
        nobody counts what it spends."""

    async def charge(self, charge: KeyCharge) -> None:
        """Add to what a key has spent; returns when that is stored, or held until it can be."""


@dataclass(frozen=True, slots=True)
class KeyAccount:
    """A key, and where it is charged."""

    key_id: str
    budgets: KeyBudgets

    async def charge_of(self, model: str, usage: Usage | None, at: float) -> KeyCharge | None:
        """What an answer that has ended adds to what the key has spent."""
        return None if usage is None else await self.budgets.charge_of(self.key_id, model, usage, at)

    async def charge(self, model: str, usage: Usage, at: float) -> None:
        """Charge what is no stored response."""
        charge = await self.charge_of(model, usage, at)
        if charge is not None:
            await self.budgets.charge(charge)
