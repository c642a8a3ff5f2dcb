"""What a request has spent of its key's budgets: tokens, and dollars by the prices of ``[models]``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from kodo.server.config import ModelSettings
from kodo.server.lifecycle.plan import Backend
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import KeySpending

NANO: Final = 10**9
NOTHING: Final = KeySpending()
MAX_SPENDING: Final = 10**15
"""Tokens, and billionths of a dollar (a million dollars), that one answer counts at most: an upstream may say anything, and the
sums of a day must fit the 64 bits of the database, or no end of a response could be stored."""


def cost_of(prices: ModelSettings, usage: Usage) -> float:
    """US dollars of these tokens by the prices of a model."""
    return (
        (usage.input - usage.cached) * prices.price_input
        + usage.cached * prices.price_cached_input
        + usage.output * prices.price_output
    ) / 1e6


def spending_of(models: Mapping[str, Backend], model: str, usage: Usage) -> KeySpending:
    """What an answer of a model has spent; dollars are rounded up. A model that is not there any more costs nothing."""
    backend = models.get(model)
    dollars = 0.0 if backend is None else cost_of(backend.settings, usage)
    return KeySpending(
        min(usage.input + usage.output, MAX_SPENDING), min(math.ceil(dollars * NANO), MAX_SPENDING)
    )


def add_spending(left: KeySpending, right: KeySpending) -> KeySpending:
    """Both together."""
    return KeySpending(left.tokens + right.tokens, left.nano_usd + right.nano_usd)
