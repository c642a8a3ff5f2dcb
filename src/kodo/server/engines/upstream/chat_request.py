"""Translates a prompt to a Chat Completions request, and the names of its tools on the way back.

Function names there allow no dots, and functions are the only tools: a namespace becomes a prefix with two underscores,
a custom tool a function with a string ``input`` (a grammar of its input is told in the description), and shells and patches functions with the schema of their action.

The form is the profile's; a field that the client did not set is not sent.

Sources: OpenAI's Chat Completions reference and openai-python 3.54, ``CompletionCreateParams``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET, Struct

from kodo.server.engines.actions import NO_ARGUMENTS, built_in
from kodo.server.engines.upstream.chat_messages import chat_messages
from kodo.server.engines.upstream.names import function_name
from kodo.server.engines.upstream.profile import Profile
from kodo.server.lifecycle.ports import Prompt
from kodo.server.lifecycle.tool_choice import chosen_name, is_meant
from kodo.server.wire.tools import (
    AllowedTools,
    CustomTool,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamespaceTool,
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

    @property
    def choice_name(self) -> ToolName:
        """What a ``tool_choice`` calls it."""
        return ToolName(type=self.kind, name=self.name, namespace=self.namespace or UNSET)


class UpstreamRequest(Struct, frozen=True):
    """The body, without ``stream`` and limits, and the tools behind its function names."""

    body: dict[str, Any]
    labels: dict[str, ToolLabel]
    unenforced: tuple[str, ...] = ()
    """What of the tools the server cannot be asked to hold its model to."""


def chat_request(model: str, prompt: Prompt, profile: Profile, origin: str) -> UpstreamRequest:
    """A prompt for a Chat Completions server. ``origin``: see :class:`~kodo.server.lifecycle.ports.ProviderState`.

    Raises:
        InvalidRequest: an item or image cannot be sent.
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
    return UpstreamRequest(body=body, labels=labels, unenforced=_unenforced(prompt))


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
            add(label, _described(tool), CUSTOM_INPUT, None)

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


def _described(tool: CustomTool) -> str | None:
    """The description of a custom tool, with the grammar of its input."""
    if not isinstance(tool.format, GrammarInput):
        return tool.description or None
    rule = f"The input must match this {tool.format.syntax} grammar:\n{tool.format.definition}"
    return f"{tool.description}\n\n{rule}" if tool.description else rule


def _unenforced(prompt: Prompt) -> tuple[str, ...]:
    """``grammar`` where a custom tool has one: a function's string cannot be held to it."""
    flat = (
        inner
        for tool in prompt.tools
        for inner in (tool.tools if isinstance(tool, NamespaceTool) else (tool,))
    )
    has_one = any(isinstance(tool, CustomTool) and isinstance(tool.format, GrammarInput) for tool in flat)
    return ("grammar",) if has_one else ()


def _choice(prompt: Prompt, labels: dict[str, ToolLabel]) -> tuple[str | dict[str, Any], set[str] | None]:
    """Return ``tool_choice``, and the functions that it allows; None: all. It can be met: see
    :mod:`~kodo.server.lifecycle.tool_choice`."""
    choice = prompt.tool_choice
    if isinstance(choice, str):
        return choice, None
    if isinstance(choice, AllowedTools):
        return choice.mode, {title for one in choice.tools for title in _functions(one, labels)}
    return {"type": "function", "function": {"name": next(_functions(chosen_name(choice), labels))}}, None


def _functions(wanted: ToolName, labels: dict[str, ToolLabel]) -> Iterator[str]:
    return (title for title, label in labels.items() if is_meant(wanted, label.choice_name))
