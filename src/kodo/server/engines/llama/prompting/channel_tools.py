"""Tools, calls and outputs as gpt-oss' own chat template has them: types in TypeScript, calls in a channel, to a recipient.

:mod:`kodo.server.engines.llama.prompting.template_tools` finds out a template's form only where schemas are JSON and a name
stands once for a call. Here a schema is taken apart: every word of the client's in it becomes a placeholder, and what the
template makes of the rest is its own. So no control token can come from a client here either.

A message of this kind has one call, and an output belongs to the call before it. Calls that were made at the same time
follow each other, each with its output. The reasoning before a call goes back with it, until a final answer has been
given; the template sees to that.

Sources: the template (``tests/data/templates/gpt-oss.jinja``) and OpenAI's description of the Harmony format.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.prompting.content import Content, Segment, ToolSpec
from kodo.server.engines.llama.prompting.template_tools import (
    Placeholders,
    cannot_render,
    escape_json,
    format_json,
)
from kodo.server.engines.llama.prompting.tool_call_format import (
    CHANNELS,
    name_and_arguments,
    output_text,
)
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import Prompt
from kodo.server.wire.items import Call, CallOutput, Message, Reasoning, text_of

_JSON_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_SCHEMAS: Final = ("items", "additionalProperties", "not")
_SCHEMA_LISTS: Final = ("oneOf", "anyOf", "allOf")
MAX_SCHEMA_DEPTH: Final = 32
"""Levels of a schema that are shown."""


class ChannelTools:
    """What a template of channels makes of tools. ``settings``: further template variables, kodo's own."""

    def __init__(self, client: ChildClient, settings: dict[str, Any]) -> None:
        self._client = client
        self._settings = settings

    async def works(self) -> bool:
        """Whether this template writes tools and calls as it is expected here."""
        rendering = _Rendering()
        tool = ToolSpec("a", "b", {"type": "object", "properties": {"c": {"type": "string"}}})
        rendering.text("user", "d", 0)
        rendering.call("a", "{}", "e", 1)
        rendering.output("f", 2)
        try:
            segments = await self._segments(rendering, [tool])
        except InvalidRequest:
            return False
        contents = [segment.contents[0] for segment in segments[:-1]]
        begun = next((segment.prefix for segment in segments if segment.contents == ("{}",)), "")
        return contents.count("a") == 3 and "c" in contents and begun.endswith("<|message|>")

    async def segments(self, prompt: Prompt, tools: Sequence[ToolSpec]) -> list[Segment]:
        """The template's text and the contents in it, in their order; the last piece has no contents.

        Raises:
            InvalidRequest: the template cannot render these items.
        """
        return await self._segments(_rendering(prompt), tools)

    async def _segments(self, rendering: _Rendering, tools: Sequence[ToolSpec]) -> list[Segment]:
        body: dict[str, Any] = {"messages": rendering.messages, **self._settings}
        if tools:
            shown = [rendering.tool(tool) for tool in tools]
            body |= {"tools": shown, "tool_choice": "none"}  # the engine would make a grammar of them
        return rendering.split(await self._client.render(body))


class _Rendering:
    """Messages with placeholders, and what they stand for."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._placeholders = Placeholders()
        self._texts: list[tuple[str, int]] = []
        """The texts, each with the item it is from, or -1."""
        self._needed: list[int] = []
        """Numbers of the texts that must be rendered, in their order."""

    def text(self, role: str, text: str, source: int) -> None:
        """A message of words."""
        self.messages.append({"role": role, "content": self._hold(text, source, needed=True)})

    def call(self, name: str, arguments: str, thought: str, source: int) -> None:
        """A call, with the reasoning that led to it."""
        number = len(self._texts)
        self._texts.append((arguments, source))
        held = self._placeholders.json_object("a", number)
        function = {"name": self._hold(name, source), "arguments": json.dumps(held)}
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        if thought:
            message["reasoning_content"] = self._hold(thought, source)
        call = {"id": f"call{number:05d}", "type": "function", "function": function}
        self.messages.append({**message, "tool_calls": [call]})
        self._needed.append(number)

    def output(self, text: str, source: int) -> None:
        """The output of the call before it."""
        content = self._hold(text, source, needed=True)
        call_id = self.messages[-1]["tool_calls"][0]["id"]
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def tool(self, tool: ToolSpec) -> dict[str, Any]:
        """A tool whose words are placeholders."""
        function = {
            "name": self._hold(tool.name, -1),
            "description": self._hold(tool.description, -1),
            "parameters": self._schema(tool.parameters, 0),
        }
        return {"type": "function", "function": function}

    def split(self, rendered: str) -> list[Segment]:
        """A rendered text as segments. Raises ``InvalidRequest``: something of the messages is not in it."""
        pieces, matches = self._placeholders.split(rendered)
        found = [number for _, number, _ in matches if number in set(self._needed)]
        if found != self._needed:
            raise cannot_render()
        segments = []
        for place, (kind, number, form) in enumerate(matches):
            text, source = self._texts[number]
            content: Content = text
            if kind == "a":
                content = _in_form(text, form)
            elif pieces[place].endswith('"') and pieces[place + 1].startswith('"'):
                content = escape_json(text)
            segments.append(Segment(pieces[place], (content,), (source,)))
        return [*segments, Segment(pieces[-1], (), ())]

    def _hold(self, text: str, source: int, *, needed: bool = False) -> str:
        number = len(self._texts)
        self._texts.append((text, source))
        if needed:
            self._needed.append(number)
        return self._placeholders.text("s", number)

    def _schema(self, schema: Any, depth: int) -> Any:
        """A schema with placeholders for the client's words; what a template of types does not read is left out."""
        if not isinstance(schema, dict) or depth > MAX_SCHEMA_DEPTH:
            return {}
        shown = _types(schema)
        for name in ("description", "default", "enum"):
            if name in schema:
                shown[name] = self._value(schema[name], depth)
        for name in _SCHEMAS:
            if isinstance(schema.get(name), dict):
                shown[name] = self._schema(schema[name], depth + 1)
        for name in _SCHEMA_LISTS:
            if isinstance(schema.get(name), list):
                shown[name] = [self._schema(one, depth + 1) for one in schema[name]]
        if isinstance(schema.get("properties"), dict):
            shown |= self._properties(schema["properties"], schema.get("required"), depth)
        return shown

    def _properties(self, properties: dict[str, Any], required: Any, depth: int) -> dict[str, Any]:
        held = {name: self._hold(name, -1) for name in properties}
        needed = [name for name in _names(required) if name in properties]
        return {
            "required": [held[name] for name in needed],
            "properties": {held[name]: self._schema(one, depth + 1) for name, one in properties.items()},
        }

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._hold(value, -1)
        if isinstance(value, list):
            return [self._value(one, depth + 1) for one in value] if depth <= MAX_SCHEMA_DEPTH else []
        return (
            value
            if value is None or isinstance(value, bool | int | float)
            else self._hold(json.dumps(value), -1)
        )


def _types(schema: dict[str, Any]) -> dict[str, Any]:
    """The types that a schema names, of those that JSON has, and whether it may be null."""
    shown: dict[str, Any] = {}
    kinds = schema.get("type")
    if isinstance(kinds, str) and kinds in _JSON_TYPES:
        shown["type"] = kinds
    elif isinstance(kinds, list):
        shown["type"] = [kind for kind in _names(kinds) if kind in _JSON_TYPES]
    if isinstance(schema.get("nullable"), bool):
        shown["nullable"] = schema["nullable"]
    return shown


def _names(value: Any) -> list[str]:
    """A list of names; anything else is none."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _rendering(prompt: Prompt) -> _Rendering:
    """The prompt's items as messages of this kind."""
    rendering = _Rendering()
    leading, first = _leading_texts(prompt)
    if leading:
        rendering.text("system", "\n\n".join(leading), -1)
    outputs = {
        context.item.call_id: index
        for index, context in enumerate(prompt.items)
        if isinstance(context.item, CallOutput) and isinstance(context.item.call_id, str)
    }
    answered: set[int] = set()
    thought = ""
    for index in range(first, len(prompt.items)):
        item = prompt.items[index].item
        if isinstance(item, Reasoning):
            thought = "".join(_thoughts(item))
            continue
        if isinstance(item, Call):
            name, arguments = name_and_arguments(item)
            rendering.call(name, arguments, thought, index)
            at = outputs.get(item.call_id)
            output = None if at is None else prompt.items[at].item
            if at is not None and at > index and isinstance(output, CallOutput):
                rendering.output(output_text(output, CHANNELS), at)
                answered.add(at)
        elif isinstance(item, CallOutput):
            if index not in answered:
                rendering.text("user", output_text(item, CHANNELS), index)
        elif isinstance(item, Message):
            role = "assistant" if item.role == "assistant" else "user"
            rendering.text(role, text_of(item.content), index)
        else:
            raise cannot_render()
        thought = ""
    return rendering


def _leading_texts(prompt: Prompt) -> tuple[list[str], int]:
    """The texts of the one system message, and the number of the first item behind it."""
    texts = [prompt.instructions] if prompt.instructions else []
    first = 0
    for context in prompt.items:
        item = context.item
        if not isinstance(item, Message) or item.role not in ("system", "developer"):
            break
        texts.append(text_of(item.content))
        first += 1
    return texts, first


def _thoughts(item: Reasoning) -> Iterator[str]:
    parts = item.content if isinstance(item.content, tuple) and item.content else item.summary
    for part in parts:
        yield part.text


def _in_form(arguments: str, form: str) -> str:
    """Arguments as the template writes an object; as they are, where they are not one."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    return format_json(value, form) if isinstance(value, dict) else arguments
