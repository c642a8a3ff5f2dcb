"""Translates a prompt to a Chat Completions request, and the names of its tools on the way back.

Function names there allow no dots, and functions are the only tools: a namespace becomes a prefix with two underscores,
a custom tool a function with a string ``input``, and shells and patches functions with the schema of their action.

Sources: OpenAI's Chat Completions reference and openai-python 3.54, ``CompletionCreateParams``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from kodo.server.engines.actions import BUILT_IN, NO_ARGUMENTS
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import Prompt
from kodo.server.wire.items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    Call,
    CallOutput,
    Compaction,
    CustomToolCall,
    FunctionCall,
    Item,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    Reasoning,
    ShellCall,
    ShellCallOutput,
    text_of,
)
from kodo.server.wire.tools import (
    AllowedTools,
    ApplyPatchChoice,
    CustomChoice,
    CustomTool,
    FunctionChoice,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamespaceTool,
    ShellChoice,
    ToolName,
)

CUSTOM_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class ToolLabel(Struct, frozen=True):
    """The tool behind a function name of the request."""

    kind: str
    name: str
    namespace: str | None = None


class UpstreamRequest(Struct, frozen=True):
    """The body, without ``stream`` and limits, and the tools behind its function names."""

    body: dict[str, Any]
    labels: dict[str, ToolLabel]


def chat_request(model: str, prompt: Prompt) -> UpstreamRequest:
    """Translate a prompt to a Chat Completions request.

    Raises:
        InvalidRequest: the tool choice names a tool that is not offered.
    """
    tools, labels = _tools(prompt)
    body: dict[str, Any] = {"model": model, "messages": list(_messages(prompt))}
    sampling = prompt.sampling
    optional = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias} or None,
        "logprobs": None if sampling.top_logprobs is None else True,
        "top_logprobs": sampling.top_logprobs or None,
        "reasoning_effort": prompt.reasoning_effort,
        "verbosity": prompt.verbosity,
        "prompt_cache_key": prompt.cache.key,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    if isinstance(prompt.format, JsonObjectFormat):
        body["response_format"] = {"type": "json_object"}
    elif isinstance(prompt.format, JsonSchemaFormat):
        schema = {"name": prompt.format.name, "schema": prompt.format.schema_, "strict": prompt.format.strict}
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {name: value for name, value in schema.items() if value is not None},
        }
    if tools:
        choice, allowed = _choice(prompt, labels)
        body["tools"] = [tool for tool in tools if allowed is None or tool["function"]["name"] in allowed]
        body["tool_choice"] = choice
        body["parallel_tool_calls"] = prompt.parallel_tool_calls
    return UpstreamRequest(body=body, labels=labels)


# --- messages --------------------------------------------------------------------------------------------------------


def _messages(prompt: Prompt) -> Iterator[dict[str, Any]]:
    """Translate items to messages; consecutive calls, and the text before them, become one message."""
    if prompt.instructions:
        yield {"role": "system", "content": prompt.instructions}
    pending: dict[str, Any] | None = None
    for context in prompt.items:
        item = context.item
        if isinstance(item, Call):
            pending = pending or {"role": "assistant", "content": None}
            pending.setdefault("tool_calls", []).append(_call(item))
            continue
        if isinstance(item, Reasoning):
            continue  # other servers' reasoning is not theirs to read
        if pending is not None:
            yield pending
            pending = None
        message = _message(item)
        if message["role"] == "assistant":
            pending = message
        else:
            yield message
    if pending is not None:
        yield pending


def _message(item: Item) -> dict[str, Any]:
    if isinstance(item, Message):
        role = "system" if item.role == "developer" else item.role
        return {"role": role, "content": text_of(item.content)}
    if isinstance(item, CallOutput):
        call_id = item.call_id if isinstance(item.call_id, str) else item.id
        return {"role": "tool", "tool_call_id": call_id, "content": _output(item)}
    if isinstance(item, Compaction):
        raise InvalidRequest("A compaction item reached the engine without being decrypted.", param="input")
    raise InvalidRequest("This item cannot be sent to the model's server.", param="input")


def _call(call: Call) -> dict[str, Any]:
    match call:
        case FunctionCall():
            name, arguments = _function_name(call.name, call.namespace or None), call.arguments
        case CustomToolCall():
            name = _function_name(call.name, call.namespace or None)
            arguments = _json({"input": call.input})
        case LocalShellCall():
            name, arguments = "local_shell", _json(call.action)
        case ShellCall():
            name, arguments = "shell", _json(call.action)
        case ApplyPatchCall():
            name, arguments = "apply_patch", _json(call.operation)
    return {"id": call.call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _output(output: CallOutput) -> str:
    match output:
        case ShellCallOutput():
            return _json(output.output)
        case ApplyPatchCallOutput():
            return f"{output.status}: {output.output or ''}"
        case LocalShellCallOutput():
            return output.output
        case _:
            return output.output if isinstance(output.output, str) else text_of(output.output)


# --- tools -----------------------------------------------------------------------------------------------------------


def _tools(prompt: Prompt) -> tuple[list[dict[str, Any]], dict[str, ToolLabel]]:
    tools: list[dict[str, Any]] = []
    labels: dict[str, ToolLabel] = {}

    def add(
        label: ToolLabel, description: str | None, parameters: dict[str, Any], strict: bool | None
    ) -> None:
        title = _function_name(label.name, label.namespace)
        labels[title] = label
        function = {"name": title, "description": description, "parameters": parameters, "strict": strict}
        tools.append(
            {
                "type": "function",
                "function": {name: value for name, value in function.items() if value is not None},
            }
        )

    def one(tool: FunctionTool | CustomTool, namespace: str | None) -> None:
        if isinstance(tool, FunctionTool):
            label = ToolLabel(kind="function", name=tool.name, namespace=namespace)
            add(label, tool.description, tool.parameters or NO_ARGUMENTS, tool.strict)
        else:
            label = ToolLabel(kind="custom", name=tool.name, namespace=namespace)
            add(label, tool.description or None, CUSTOM_INPUT, None)

    for tool in prompt.tools:
        if isinstance(tool, FunctionTool | CustomTool):
            one(tool, None)
        elif isinstance(tool, NamespaceTool):
            for inner in tool.tools:
                one(inner, tool.name)
        else:
            kind = str(tool.__struct_config__.tag)
            description, schema = BUILT_IN[kind]
            add(ToolLabel(kind=kind, name=kind), description, schema, None)
    return tools, labels


def _choice(prompt: Prompt, labels: dict[str, ToolLabel]) -> tuple[object, set[str] | None]:
    """Return ``tool_choice``, and the tools that it allows; None: all."""
    choice = prompt.tool_choice
    match choice:
        case str():
            return choice, None
        case AllowedTools():
            allowed = {
                title for one in choice.tools for title in [_find_function(one, labels, "tool_choice.tools")]
            }
            return choice.mode, allowed
        case FunctionChoice():
            wanted = ToolName(type="function", name=choice.name, namespace=choice.namespace)
        case CustomChoice():
            wanted = ToolName(type="custom", name=choice.name, namespace=choice.namespace)
        case ShellChoice():
            wanted = ToolName(type="shell")
        case ApplyPatchChoice():
            wanted = ToolName(type="apply_patch")
    return {"type": "function", "function": {"name": _find_function(wanted, labels, "tool_choice")}}, None


def _find_function(wanted: ToolName, labels: dict[str, ToolLabel], param: str) -> str:
    for title, label in labels.items():
        if (
            label.kind == wanted.type
            and (not wanted.name or wanted.name == label.name)
            and (not wanted.namespace or wanted.namespace == label.namespace)
        ):
            return title
    raise InvalidRequest(f"tool_choice names a {wanted.type} tool that is not offered.", param=param)


def _function_name(name: str, namespace: str | None) -> str:
    return f"{namespace}__{name}" if namespace else name


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
