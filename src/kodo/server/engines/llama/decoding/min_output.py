"""How many tokens the shortest answer takes that a turn's format or forced call allows.

Where a client's cap is below it, the answer is cut, and the client is told this number.
"""

from __future__ import annotations

from kodo.server.engines.llama.constraints.json_position import JsonPosition
from kodo.server.engines.llama.constraints.shortest_ending import EndingSearch
from kodo.server.engines.llama.decoding.turn import TurnPlan
from kodo.server.engines.llama.prompting.tokens import TokenCache
from kodo.server.engines.llama.tools.structured import Grammar, Grammars


async def min_output_tokens(plan: TurnPlan, owner: str, tokens: TokenCache, grammars: Grammars) -> int | None:
    """Tokens of the shortest answer; None for free text, or where no shortest one was found."""

    def shortest(grammar: Grammar | None) -> str | None:
        if grammar is None:
            return ""
        search = EndingSearch(grammars.matcher(grammar), grammar.shortest_values)
        found = search.shortest(JsonPosition())
        return None if found is None else found.decode()

    async def count(text: str) -> int:
        return len((await tokens.plain(owner, (text,)))[text])

    if not plan.required_tools:
        text = None if plan.grammar is None else shortest(plan.grammar)
        return None if text is None else await count(text)
    call_format = plan.call_format
    around = len(await tokens.special(call_format.prefix)) + len(await tokens.special(call_format.separator))
    least: list[int] = []
    for offer in plan.required_tools:
        text = shortest(offer.grammar)
        if text is not None:
            least.append(around + await count(offer.qualified_name) + await count(text))
    return min(least, default=None)
