"""The texts of a response as attributes of its span, for whoever turns them on; masked, and each cut to a length.

In the form of OpenTelemetry's conventions for generative AI: messages with a role and parts. Images, files and reasoning are
left out; what a hosted tool did is named, not told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from kodo.server.lifecycle import genai
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.tracing import Attributes
from kodo.server.wire.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    text_of,
)
from kodo.server.wire.response import Response

Mask: TypeAlias = Callable[[str], str]
MAX_TEXT: Final = 8192
"""Characters of each text; of longer ones the beginning."""
MAX_MESSAGES: Final = 64
"""Messages of a prompt, the newest ones."""
_BEHIND: Final = 512
"""Characters behind the cut that are looked at too, so that half a secret is not taken for no secret."""


def content_of(response: Response, context: Sequence[ContextItem], mask: Mask) -> Attributes:
    """What a response was asked and what it answered."""
    given = [_message(each.item, mask) for each in context[-MAX_MESSAGES:]]
    made = [_message(item, mask) for item in response.output]
    found = {genai.INPUT_MESSAGES: _json(given), genai.OUTPUT_MESSAGES: _json(made)}
    if isinstance(response.instructions, str) and response.instructions:
        said = {"type": "text", "content": _cut(response.instructions, mask)}
        found[genai.SYSTEM_INSTRUCTIONS] = _json([said])
    return found


def _message(item: Item, mask: Mask) -> dict[str, Any]:
    match item:
        case Message():
            return _of(item.role, {"type": "text", "content": _cut(text_of(item.content), mask)})
        case FunctionCall() | CustomToolCall():
            arguments = item.arguments if isinstance(item, FunctionCall) else item.input
            call = {
                "type": "tool_call",
                "id": item.call_id,
                "name": item.name,
                "arguments": _cut(arguments, mask),
            }
            return _of("assistant", call)
        case FunctionCallOutput() | CustomToolCallOutput():
            output = item.output if isinstance(item.output, str) else text_of(item.output)
            return _of(
                "tool", {"type": "tool_call_response", "id": item.call_id, "response": _cut(output, mask)}
            )
        case _:
            return _of("assistant", {"type": str(item.__struct_config__.tag)})


def _of(role: str, part: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "parts": [part]}


def _cut(text: str, mask: Mask) -> str:
    return mask(text[: MAX_TEXT + _BEHIND])[:MAX_TEXT]


def _json(value: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(value).decode()
