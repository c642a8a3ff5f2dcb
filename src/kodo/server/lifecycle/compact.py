"""Compaction: a long history folded into one opaque item.

System and developer messages are kept verbatim, and the newest items that fit in half of the budget, never a call
without its outputs. Older items are replaced by a summary that the model writes. The item records how many items it
stands for; nothing is dropped silently. A history that fits the budget is kept whole, without a summary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence, Set

import msgspec

from kodo.server.lifecycle.call_pairs import names_of
from kodo.server.lifecycle.context import CALLS, OUTPUTS, seal_items
from kodo.server.lifecycle.ports import ContextItem, Value
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.wire.items import (
    ApplyPatchCall,
    Compaction,
    CustomToolCall,
    FunctionCall,
    InputText,
    Item,
    Message,
    ShellCallOutput,
    text_of,
)
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import InputTokensDetails, OutputTokensDetails, ResponseUsage

SUMMARY_TOKENS = 256
"""Most tokens of the summary."""
MAX_LINE_CHARS = 4_000
"""Characters of one item that the summary's model reads: one output may be longer than its window."""
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
    """System and developer messages; items to summarise; the newest items within ``budget`` tokens, and the last one, with its
    call if it is an output, however long they are: that is what the model is to answer."""
    start = len(items)
    spent = 0
    while start > 0 and spent + tokens[start - 1] <= budget:
        start -= 1
        spent += tokens[start]
    kept = _whole_pairs(items, {*range(start, len(items)), len(items) - 1})
    others = [context.item for index, context in enumerate(items) if index not in kept]
    pinned = [item for item in others if _is_pinned(item)]
    old = [item for item in others if not _is_pinned(item)]
    return pinned, old, [items[index].item for index in sorted(kept)]


def _whole_pairs(items: Sequence[ContextItem], kept: Set[int]) -> set[int]:
    """The numbers of the items in ``kept``, with the call of an output that ends them, and without outputs whose call is not
    among them."""
    last = items[-1].item
    answered = {*names_of(last)} if isinstance(last, OUTPUTS) else set()
    calls = {
        index: {*names_of(context.item)}
        for index, context in enumerate(items)
        if isinstance(context.item, CALLS)
    }
    kept = kept | {index for index, names in calls.items() if names & answered}
    known = {name for index in kept & calls.keys() for name in calls[index]}
    return {
        index
        for index in kept
        if not isinstance(items[index].item, OUTPUTS) or not known.isdisjoint(names_of(items[index].item))
    }


def _is_pinned(item: Item) -> bool:
    return isinstance(item, Message) and item.role in ("system", "developer")


def _transcript(items: Sequence[Item]) -> tuple[Message, ...]:
    """Old items as one message each, so that the oldest can be left out where they do not fit the window."""
    lines = []
    for item in items:
        if isinstance(item, Message):
            lines.append(f"{item.role}: {text_of(item.content)}")
        elif isinstance(item, CALLS):
            lines.append(f"assistant called a tool: {_call_text(item)}")
        elif isinstance(item, OUTPUTS):
            lines.append(f"tool: {_output_text(item)}")
    return tuple(Message(role="user", content=(InputText(text=_cut(line)),)) for line in lines)


def _call_text(item: CALLS) -> str:
    """A call as the summary's model reads it."""
    match item:
        case FunctionCall():
            return f"{item.name}({item.arguments})"
        case CustomToolCall():
            return f"{item.name}: {item.input}"
        case ApplyPatchCall():
            return f"apply_patch({msgspec.json.encode(item.operation).decode()})"
    return f"shell({msgspec.json.encode(item.action).decode()})"


def _output_text(item: OUTPUTS) -> str:
    """An output as the summary's model reads it."""
    if isinstance(item, ShellCallOutput):
        return "\n".join(str(part.get(name) or "") for part in item.output for name in ("stdout", "stderr"))
    return item.output if isinstance(item.output, str) else text_of(item.output or ())


def _cut(line: str) -> str:
    """A line that fits the window: its beginning and its end."""
    half = MAX_LINE_CHARS // 2
    return line if len(line) <= MAX_LINE_CHARS else f"{line[:half]} … {line[-half:]}"
