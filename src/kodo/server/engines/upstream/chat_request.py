"""Translates a prompt to a Chat Completions request, and the names of its tools on the way back.

Function names there allow no dots, and functions are the only tools: a namespace becomes a prefix with two underscores,
a custom tool a function with a string ``input``, and shells and patches functions with the schema of their action.

The form is the profile's; a field that the client did not set is not sent.

Sources: OpenAI's Chat Completions reference and openai-python 3.54, ``CompletionCreateParams``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from kodo.server.engines.actions import NO_ARGUMENTS, built_in
from kodo.server.engines.upstream.chat_messages import chat_messages
from kodo.server.engines.upstream.names import function_name
from kodo.server.engines.upstream.profile import Profile
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import Prompt
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


ANY_OBJECT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "json", "schema": {"type": "object"}},
}
"""``json_object`` as a schema."""


class ToolLabel(Struct, frozen=True):
    """The tool behind a function name of the request."""

    kind: str
    name: str
    namespace: str | None = None


class UpstreamRequest(Struct, frozen=True):
    """The body, without ``stream`` and limits, and the tools behind its function names."""

    body: dict[str, Any]
    labels: dict[str, ToolLabel]


def chat_request(model: str, prompt: Prompt, profile: Profile, origin: str) -> UpstreamRequest:
    """A prompt for a Chat Completions server. ``origin``: see :class:`~kodo.server.lifecycle.ports.ProviderState`.

    Raises:
        InvalidRequest: the tool choice names a tool that is not offered; an item or image cannot be sent.
    """
    tools, labels = tool_functions(prompt)
    body: dict[str, Any] = {"model": model, "messages": chat_messages(prompt, profile, origin)}
    body.update({name: value for name, value in _optional(prompt).items() if value is not None})
    if tools:
        choice, allowed = _choice(prompt, labels)
        if isinstance(choice, dict) and profile.tool_choice == "required":
            allowed = {choice["function"]["name"]}
            choice = "required"
        body["tools"] = [tool for tool in tools if allowed is None or tool["function"]["name"] in allowed]
        if choice != "auto":
            body["tool_choice"] = choice
        if profile.parallel == "always" or not prompt.parallel_tool_calls:
            body["parallel_tool_calls"] = prompt.parallel_tool_calls
    _fit(body, prompt, profile)
    return UpstreamRequest(body=body, labels=labels)


def _optional(prompt: Prompt) -> dict[str, Any]:
    """The fields that a client may set; None: it did not."""
    sampling = prompt.sampling
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias} or None,
        "logprobs": None if sampling.top_logprobs is None else True,
        "top_logprobs": sampling.top_logprobs or None,
        "verbosity": prompt.verbosity,
        "prompt_cache_key": prompt.cache.key,
        "response_format": _response_format(prompt),
    }


def _response_format(prompt: Prompt) -> dict[str, Any] | None:
    if isinstance(prompt.format, JsonObjectFormat):
        return {"type": "json_object"}
    if not isinstance(prompt.format, JsonSchemaFormat):
        return None
    schema = {"name": prompt.format.name, "schema": prompt.format.schema_, "strict": prompt.format.strict}
    return {
        "type": "json_schema",
        "json_schema": {name: value for name, value in schema.items() if value is not None},
    }


def _fit(body: dict[str, Any], prompt: Prompt, profile: Profile) -> None:
    """Bring a body into the form of the profile."""
    for name in profile.omit:
        body.pop(name, None)
    for name, other in profile.rename.items():
        if name in body:
            body[other] = body.pop(name)
    if profile.json_object == "schema" and body.get("response_format") == {"type": "json_object"}:
        body["response_format"] = ANY_OBJECT
    if prompt.reasoning_effort == "none" and profile.no_effort:
        merge(body, profile.no_effort)
    elif prompt.reasoning_effort is not None and profile.effort:
        effort = profile.efforts.get(prompt.reasoning_effort, prompt.reasoning_effort)
        merge(body, _nested(profile.effort, effort))
    merge(body, profile.body)


def merge(body: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put fields into a body, objects into the objects that are there."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(body.get(name), dict):
            inner = dict(body[name])
            merge(inner, value)
            body[name] = inner
        else:
            body[name] = value


def _nested(path: str, value: object) -> dict[str, Any]:
    first, dot, rest = path.partition(".")
    return {first: _nested(rest, value) if dot else value}


# --- tools -----------------------------------------------------------------------------------------------------------


def tool_functions(prompt: Prompt) -> tuple[list[dict[str, Any]], dict[str, ToolLabel]]:
    """The offered tools as functions, and what their names stand for."""
    tools: list[dict[str, Any]] = []
    labels: dict[str, ToolLabel] = {}

    def add(
        label: ToolLabel, description: str | None, parameters: dict[str, Any], strict: bool | None
    ) -> None:
        title = function_name(label.name, label.namespace)
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
            name, description, schema = built_in(tool)
            add(ToolLabel(kind=name, name=name), description, schema, None)
    return tools, labels


def _choice(prompt: Prompt, labels: dict[str, ToolLabel]) -> tuple[str | dict[str, Any], set[str] | None]:
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
