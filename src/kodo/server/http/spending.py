"""What a request has spent of its key's budgets: tokens, and dollars by the prices of ``[models]``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from kodo.server.config import ModelSettings
from kodo.server.lifecycle.plan import Backend
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import KeySpending
from kodo.server.wire.chat import CompletionUsage
from kodo.server.wire.embeddings import EmbeddingsUsage
from kodo.server.wire.response import ResponseUsage

WireUsage: TypeAlias = ResponseUsage | CompletionUsage | EmbeddingsUsage
"""Tokens as the APIs report them."""
Charge: TypeAlias = "Callable[[str, WireUsage | None], None]"
"""Takes the model and the usage of an answer, and charges them to a key."""
NANO: Final = 10**9
NOTHING: Final = KeySpending()


def cost_of(prices: ModelSettings, usage: Usage) -> float:
    """US dollars of these tokens by the prices of a model."""
    return (
        (usage.input - usage.cached) * prices.price_input
        + usage.cached * prices.price_cached_input
        + usage.output * prices.price_output
    ) / 1e6


def spending_of(models: Mapping[str, Backend], model: str, usage: WireUsage | None) -> KeySpending:
    """What an answer of a model has spent; dollars are rounded up. A model that is not there any more costs nothing."""
    if usage is None:
        return NOTHING
    backend = models.get(model)
    dollars = 0.0 if backend is None else cost_of(backend.settings, _tokens(usage))
    return KeySpending(usage.total_tokens, math.ceil(dollars * NANO))


def add_spending(left: KeySpending, right: KeySpending) -> KeySpending:
    """Both together."""
    return KeySpending(left.tokens + right.tokens, left.nano_usd + right.nano_usd)


def _tokens(usage: WireUsage) -> Usage:
    match usage:
        case ResponseUsage():
            cached = usage.input_tokens_details.cached_tokens
            return Usage(input=usage.input_tokens, cached=cached, output=usage.output_tokens)
        case CompletionUsage():
            cached = usage.prompt_tokens_details.cached_tokens
            return Usage(input=usage.prompt_tokens, cached=cached, output=usage.completion_tokens)
        case EmbeddingsUsage():
            return Usage(input=usage.prompt_tokens)
