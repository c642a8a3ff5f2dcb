"""From a finished run to a message."""

from __future__ import annotations

from kodo.server.lifecycle.run import Run
from kodo.server.wire.anthropic import (
    AnthropicMessage,
    Block,
    MessagesUsage,
    MessageTextBlock,
    StopReason,
    ThinkingBlock,
    ThinkingTokens,
    ToolUseBlock,
)
from kodo.server.wire.foreign_json import NotJson, read_json
from kodo.server.wire.items import FunctionCall, Message, Reasoning, text_of
from kodo.server.wire.response import Response, ResponseUsage


def message_id(response: Response) -> str:
    """The id of the message that a response is told as."""
    return f"msg_{response.id.partition('_')[2]}"


def build_message(run: Run, *, shows_thinking: bool = True) -> AnthropicMessage:
    """The message of a run that is over."""
    response = run.response
    blocks: list[Block] = []
    for item in response.output:
        if isinstance(item, Message):
            if text := text_of(item.content):
                blocks.append(MessageTextBlock(text=text))
        elif isinstance(item, Reasoning):
            thinking = "".join(part.text for part in item.summary) if shows_thinking else ""
            blocks.append(ThinkingBlock(thinking=thinking, signature=signature_of(item)))
        elif isinstance(item, FunctionCall) and (arguments := _parse_arguments(item.arguments)) is not None:
            blocks.append(ToolUseBlock(id=item.call_id, name=item.name, input=arguments))
    return AnthropicMessage(
        id=message_id(response),
        model=response.model,
        content=tuple(blocks),
        stop_reason=stop_reason(run),
        stop_sequence=run.stop_sequence,
        usage=build_usage(response.usage),
    )


def stop_reason(run: Run) -> StopReason:
    """Why a run ended."""
    response = run.response
    if response.incomplete_details is not None:
        return "refusal" if response.incomplete_details.reason == "content_filter" else "max_tokens"
    if any(isinstance(item, FunctionCall) for item in response.output):
        return "tool_use"
    return "end_turn" if run.stop_sequence is None else "stop_sequence"


def build_usage(usage: ResponseUsage | None) -> MessagesUsage:
    """Usage, with what was read from the cache and written to it apart from the rest of the input."""
    if usage is None:
        return MessagesUsage(input_tokens=0, output_tokens=0)
    cached, written = usage.input_tokens_details.cached_tokens, usage.input_tokens_details.cache_write_tokens
    return MessagesUsage(
        input_tokens=max(0, usage.input_tokens - cached - written),
        cache_creation_input_tokens=written,
        cache_read_input_tokens=cached,
        output_tokens=usage.output_tokens,
        output_tokens_details=ThinkingTokens(thinking_tokens=usage.output_tokens_details.reasoning_tokens),
        service_tier="standard",
    )


def signature_of(item: Reasoning) -> str:
    """The sealed reasoning; empty where there is none."""
    return item.encrypted_content if isinstance(item.encrypted_content, str) else ""


def _parse_arguments(text: str) -> dict[str, object] | None:
    """A call's arguments; None: they were cut, or are no object, and the call cannot be made."""
    if not text.strip():
        return {}
    try:
        value = read_json(text)
    except NotJson:
        return None
    return value if isinstance(value, dict) else None
