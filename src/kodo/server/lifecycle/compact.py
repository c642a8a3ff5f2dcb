"""Compaction: a long history folded into one opaque item.

System and developer messages are kept verbatim, and the newest items that fit in half of the budget, never a call
without its outputs. Older items are replaced by a summary that the model writes. The item records how many items it
stands for; nothing is dropped silently. A history that fits the budget is kept whole, without a summary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from kodo.server.lifecycle.context import CALLS, OUTPUTS, seal_items
from kodo.server.lifecycle.ports import ContextItem, Value
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.wire.items import Compaction, InputText, Item, Message, text_of
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import InputTokensDetails, OutputTokensDetails, ResponseUsage

SUMMARY_TOKENS = 256
"""Most tokens of the summary."""
_ASK = (
    "Summarise the conversation below for somebody who has to continue it: the task, decisions, names of files and "
    "functions, what is done and what is open. Facts only."
)

Summarise = Callable[[CreateResponse], Awaitable[tuple[str, ResponseUsage]]]
"""Runs a request to its end: the text, and what it cost."""

NO_USAGE = ResponseUsage(
    input_tokens=0,
    input_tokens_details=InputTokensDetails(),
    output_tokens=0,
    output_tokens_details=OutputTokensDetails(),
    total_tokens=0,
)


class Compacted(Value, frozen=True, kw_only=True):
    """The item, what it stands for in the prompt, and what the summary cost."""

    item: Compaction
    items: tuple[ContextItem, ...]
    usage: ResponseUsage


async def compact(
    items: Sequence[ContextItem],
    tokens: Sequence[int],
    *,
    item_id: str,
    model: str,
    budget: int,
    owner: str,
    sealer: Sealer,
    summarise: Summarise,
) -> Compacted:
    """Fold ``items`` (as rendered for the model; ``tokens`` of each) into at most about ``budget`` tokens."""
    usage = NO_USAGE
    compacted: list[Item]
    if sum(tokens) <= budget:
        compacted, summarised = [context.item for context in items], 0
    else:
        pinned, old, recent = _divide(items, tokens, budget // 2)
        summarised = len(old)
        request = CreateResponse(
            model=model,
            instructions=_ASK,
            input=_transcript(old),
            truncation="auto",
            store=False,
            max_output_tokens=min(SUMMARY_TOKENS, max(budget // 2, 16)),
        )
        text, usage = await summarise(request)
        note = f"Summary of the {summarised} earlier items of this conversation, which were compacted:\n{text.strip()}"
        summary = Message(role="developer", content=(InputText(text=note),))
        compacted = [*pinned, summary, *recent]
    sealed = seal_items(
        compacted, owner=owner, sealer=sealer, notes={"items": len(items), "summarised": summarised}
    )
    return Compacted(
        item=Compaction(id=item_id, encrypted_content=sealed),
        items=tuple(ContextItem(item=item) for item in compacted),
        usage=usage,
    )


def _divide(
    items: Sequence[ContextItem], tokens: Sequence[int], budget: int
) -> tuple[list[Item], list[Item], list[Item]]:
    """System and developer messages; items to summarise; the newest items within ``budget`` tokens."""
    start = len(items)
    spent = 0
    while start > 0 and spent + tokens[start - 1] <= budget:
        start -= 1
        spent += tokens[start]
    calls = {context.item.call_id for context in items[start:] if isinstance(context.item, CALLS)}
    while start < len(items):  # an output whose call is older goes with it
        item = items[start].item
        if isinstance(item, OUTPUTS) and item.call_id not in calls:
            start += 1
        else:
            break
    pinned = [context.item for context in items[:start] if _is_pinned(context.item)]
    old = [context.item for context in items[:start] if not _is_pinned(context.item)]
    return pinned, old, [context.item for context in items[start:]]


def _is_pinned(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")


def _transcript(items: Sequence[Item]) -> tuple[Message, ...]:
    """Old items as one message each, so that the oldest can be left out where they do not fit the window."""
    lines = []
    for item in items:
        if isinstance(item, Message):
            lines.append(f"{item.role}: {text_of(item.content)}")
        elif isinstance(item, CALLS):
            lines.append(f"assistant called a tool: {item.call_id}")
        elif isinstance(item, OUTPUTS):
            lines.append(f"tool: {item.output if isinstance(item.output, str) else ''}")
    return tuple(Message(role="user", content=(InputText(text=line),)) for line in lines)
