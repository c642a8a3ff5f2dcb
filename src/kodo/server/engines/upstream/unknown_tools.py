"""A call of a tool that was not offered, told to the model as an error: it sees which tools there are, and continues.

Where it is all that the model called, the model is asked again at once. Beside calls that the client answers, it is kept
with the last of those, and goes back with them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

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

UNKNOWN_CALLS: Final = "unknown_calls"
"""The field of a :class:`ProviderState` that holds :func:`as_fields`."""


class UnknownCall(Struct, frozen=True):
    """A call of a tool that was not offered."""

    name: str
    arguments: str
    fields: dict[str, Any] = {}
    """What the server wants back with it."""


def unknown_tool_error(offered: Collection[str]) -> str:
    """What the model is told of a call of a tool that was not offered."""
    return f"There is no such tool. The tools are: {', '.join(sorted(offered)) or 'none'}."


def as_fields(calls: Sequence[UnknownCall], offered: Collection[str]) -> list[dict[str, Any]]:
    """Calls beside others that are answered: they are kept with those, and go back with them, each with its error."""
    error = unknown_tool_error(offered)
    return [{**msgspec.to_builtins(call), "error": error} for call in calls]


def with_tool_error(
    prompt: Prompt,
    said: Sequence[EngineEvent],
    unknown: Sequence[UnknownCall],
    *,
    offered: Collection[str],
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
    words = unknown_tool_error(offered)
    for number in range(len(unknown)):
        output = FunctionCallOutput(call_id=f"unknown{number:02d}", output=words)
        items.append(ContextItem(item=output))
    return msgspec.structs.replace(prompt, items=(*prompt.items, *items))
