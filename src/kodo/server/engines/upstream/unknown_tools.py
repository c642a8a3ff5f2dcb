"""A call of a tool that was not offered, told to the model as an error: it sees which tools there are, and continues."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kodo.server.engines.upstream.tool_calls import UnknownCall
from kodo.server.lifecycle.ports import (
    ContextItem,
    EngineEvent,
    Prompt,
    ProviderFields,
    ProviderState,
    ReasoningDelta,
    TextDelta,
)
from kodo.server.wire.items import (
    FunctionCall,
    FunctionCallOutput,
    Message,
    OutputText,
    Reasoning,
    SummaryText,
)


def with_tool_error(
    prompt: Prompt,
    said: Sequence[EngineEvent],
    unknown: Sequence[UnknownCall],
    *,
    offered: Sequence[str],
    origin: str,
) -> Prompt:
    """The prompt with what the model said, its calls, and an error as the output of each.

    Args:
        prompt: what was asked.
        said: the events of the answer.
        unknown: the calls; no event stands for them.
        offered: the names of the tools there are.
        origin: the server's own name in :class:`~kodo.server.lifecycle.ports.ProviderState`.
    """
    items: list[ContextItem] = []
    reasoning = "".join(event.text for event in said if isinstance(event, ReasoningDelta))
    states = [event.state for event in said if isinstance(event, ProviderFields)]
    if reasoning or states:
        item = Reasoning(summary=(SummaryText(text=reasoning),))
        items.append(ContextItem(item=item, provider=states[-1] if states else None))
    text = "".join(event.text for event in said if isinstance(event, TextDelta))
    if text:
        items.append(ContextItem(item=Message(role="assistant", content=(OutputText(text=text),))))
    for number, call in enumerate(unknown):
        made = FunctionCall(call_id=f"unknown{number:02d}", name=call.name, arguments=call.arguments)
        state = ProviderState(origin=origin, fields=call.fields) if call.fields else None
        items.append(ContextItem(item=made, provider=state))
    words = f"There is no such tool. The tools are: {', '.join(offered) or 'none'}."
    for number in range(len(unknown)):
        output = FunctionCallOutput(call_id=f"unknown{number:02d}", output=words)
        items.append(ContextItem(item=output))
    return msgspec.structs.replace(prompt, items=(*prompt.items, *items))
