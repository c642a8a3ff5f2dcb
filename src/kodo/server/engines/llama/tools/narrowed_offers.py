"""Tools whose calls are held to the values that the question has for their arguments.

Knows offers and grammars; what the values are, :mod:`~kodo.server.engines.llama.tools.argument_values` knows.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kodo.server.engines.llama.tools.argument_values import argument_fit, narrow_to_question
from kodo.server.engines.llama.tools.structured import Grammars
from kodo.server.engines.llama.tools.tools import OfferedTool
from kodo.server.lifecycle.errors import InvalidRequest

FIT_SHARE = 0.8
"""Tools whose arguments fit the question within this share of the best are left for the model to choose from."""
MIN_FIT = 3.0
"""Below it no tool's arguments say anything."""


def best_fitting(offers: Sequence[OfferedTool], question: str) -> tuple[OfferedTool, ...]:
    """The offers whose required arguments the question holds best; all of them, where it holds none well."""
    fits = [argument_fit(offer.schema or {}, question, _described(offer)) for offer in offers]
    best = max(fits, default=0.0)
    if best < MIN_FIT:
        return tuple(offers)
    return tuple(offer for offer, fit in zip(offers, fits, strict=True) if fit >= FIT_SHARE * best)


async def narrow_offers(
    offers: Sequence[OfferedTool], question: str, grammars: Grammars, max_tokens: int
) -> tuple[OfferedTool, ...]:
    """The offers, each held to the values that a question has for its arguments; where it has none, as they are."""
    return tuple([await _narrow_offer(offer, question, grammars, max_tokens) for offer in offers])


async def _narrow_offer(
    offer: OfferedTool, question: str, grammars: Grammars, max_tokens: int
) -> OfferedTool:
    if offer.kind != "function" or offer.schema is None:
        return offer
    schema = narrow_to_question(offer.schema, question, _described(offer))
    if schema is offer.schema:
        return offer
    try:
        grammar = await grammars.for_schema(schema, "tools", max_tokens, lenient=True)
    except InvalidRequest:  # the values may be what the grammar engine does not take
        return offer
    return msgspec.structs.replace(offer, grammar=grammar)


def _described(offer: OfferedTool) -> str:
    return f"{offer.qualified_name} {offer.description}"
