"""A prompt as the body of a Responses request to a server that speaks the Responses API itself (``api = "responses"``).

Items, tools and reasoning go as they are, with ``store: false``: ids, state and background work stay here. Ids of items
are left out, because the server has never seen ours; its own reasoning goes back under its own id, encrypted as it came.

Source: OpenAI's Responses reference and openai-python 3.54, ``ResponseCreateParams``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from kodo.server.engines.upstream.chat_request import ToolLabel, UpstreamRequest, merge
from kodo.server.engines.upstream.names import MAX_CALL_ID, short_call_id
from kodo.server.engines.upstream.profile import Profile
from kodo.server.engines.upstream.unknown_tools import UNKNOWN_CALLS
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import ContextItem, Prompt
from kodo.server.wire.items import (
    Call,
    CallOutput,
    InputImage,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    Reasoning,
)
from kodo.server.wire.tools import CustomTool, FunctionTool, NamespaceTool, TextFormat, Tool

_ID_NEEDED: Final = (LocalShellCall, LocalShellCallOutput)


def responses_request(model: str, prompt: Prompt, profile: Profile, origin: str) -> UpstreamRequest:
    """A prompt for a Responses server. ``origin``: see :class:`~kodo.server.lifecycle.ports.ProviderState`.

    Raises:
        InvalidRequest: an image cannot be sent there.
    """
    sampling = prompt.sampling
    body: dict[str, Any] = {
        "model": model,
        "input": [
            item
            for index, context in enumerate(prompt.items)
            for item in _items(context, profile, origin, f"input[{index}]")
        ],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    reasoning = {"effort": prompt.reasoning_effort, "summary": prompt.reasoning_summary}
    text: dict[str, Any] = {}
    if not isinstance(prompt.format, TextFormat):
        text["format"] = msgspec.to_builtins(prompt.format)
    if prompt.verbosity is not None:
        text["verbosity"] = prompt.verbosity
    optional = {
        "instructions": prompt.instructions,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "top_logprobs": sampling.top_logprobs or None,
        "reasoning": {name: value for name, value in reasoning.items() if value is not None} or None,
        "text": text or None,
        "prompt_cache_key": prompt.cache.key,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    if sampling.top_logprobs is not None:
        body["include"].append("message.output_text.logprobs")
    if prompt.tools:
        body["tools"] = [_tool(tool) for tool in prompt.tools]
        if prompt.tool_choice != "auto":
            body["tool_choice"] = msgspec.to_builtins(prompt.tool_choice)
        if not prompt.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    merge(body, profile.body)
    return UpstreamRequest(body=body, labels=_labels(prompt))


def _tool(tool: Tool) -> dict[str, Any]:
    """A tool without the mark of one that is shown later: whatever the engine is given can be called now."""
    fields: dict[str, Any] = msgspec.to_builtins(tool)
    for one in (fields, *fields.get("tools", ())):
        one.pop("defer_loading", None)
    return fields


def _items(context: ContextItem, profile: Profile, origin: str, path: str) -> Iterator[dict[str, Any]]:
    """An item as the server takes it, and behind a call those of tools that were not offered, with their errors."""
    item = _item(context, profile, origin, path)
    if item is None:
        return
    yield item
    provider = context.provider
    if provider is None or provider.origin != origin or not isinstance(context.item, Call):
        return
    for number, call in enumerate(provider.fields.get(UNKNOWN_CALLS, ())):
        id_ = short_call_id(f"{item.get('call_id')} {number}", MAX_CALL_ID)
        yield {"type": "function_call", "call_id": id_, "name": call["name"], "arguments": call["arguments"]}
        yield {"type": "function_call_output", "call_id": id_, "output": call["error"]}


def _item(context: ContextItem, profile: Profile, origin: str, path: str) -> dict[str, Any] | None:
    item, provider = context.item, context.provider
    own = provider is not None and provider.origin == origin
    if isinstance(item, Reasoning):
        fields = provider.fields if own and provider is not None else {}
        if "encrypted_content" not in fields:
            return None  # another server's, or nothing that this one could open
        summary = msgspec.to_builtins(item.summary)
        return {"type": "reasoning", "summary": summary, **fields}
    made: dict[str, Any] = msgspec.to_builtins(item)
    if not isinstance(item, _ID_NEEDED):
        made.pop("id", None)
    if made.get("status") is None or isinstance(item, Message | Call | CallOutput):
        made.pop("status", None)
    if own and provider is not None and "id" in provider.fields and "call_id" in made:
        made["call_id"] = provider.fields["id"]
    parts = made.get("content") if isinstance(item, Message) else made.get("output")
    if isinstance(parts, list):
        _check_images(parts, profile, path)
    return made


def _check_images(parts: list[Any], profile: Profile, path: str) -> None:
    for number, part in enumerate(parts):
        if not isinstance(part, dict):
            continue
        if part.get("type") == "output_text":
            part.pop("logprobs", None)
        url = part.get("image_url") if part.get("type") == InputImage.__struct_config__.tag else None
        if isinstance(url, str) and not url.startswith("data:") and not profile.image_urls:
            raise InvalidRequest(
                "This model's server is sent images as data URLs only.",
                param=f"{path}.content[{number}].image_url",
                code="unsupported_content",
            )


def _labels(prompt: Prompt) -> dict[str, ToolLabel]:
    """The offered tools, by namespace and name: those that a call may name."""
    labels: dict[str, ToolLabel] = {}

    def add(tool: FunctionTool | CustomTool, namespace: str | None) -> None:
        kind = "function" if isinstance(tool, FunctionTool) else "custom"
        labels[label_key(tool.name, namespace)] = ToolLabel(kind=kind, name=tool.name, namespace=namespace)

    for tool in prompt.tools:
        if isinstance(tool, FunctionTool | CustomTool):
            add(tool, None)
        elif isinstance(tool, NamespaceTool):
            for inner in tool.tools:
                add(inner, tool.name)
        else:
            kind = str(tool.__struct_config__.tag)
            labels[kind] = ToolLabel(kind=kind, name=kind)
    return labels


def label_key(name: str, namespace: str | None) -> str:
    """The key of a tool among the labels."""
    return f"{namespace}.{name}" if namespace else name
