"""Items as the messages of Chat Completions, in the form that a server's profile asks for.

Calls that follow each other, and the words and the reasoning before them, are one assistant message. Images of a tool's
output stand in a user's message behind the outputs, because tool messages hold text only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kodo.server.engines.upstream.message_order import bridge_tools, fold_roles
from kodo.server.engines.upstream.names import MAX_CALL_ID, exact_call_id, function_name, short_call_id
from kodo.server.engines.upstream.profile import Profile
from kodo.server.engines.upstream.unknown_tools import UNKNOWN_CALLS
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import Prompt, ProviderState
from kodo.server.wire.foreign_json import NotJson, read_json
from kodo.server.wire.items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    Call,
    CallOutput,
    CustomToolCall,
    FunctionCall,
    InputFile,
    InputImage,
    LocalShellCall,
    LocalShellCallOutput,
    Message,
    Part,
    Reasoning,
    ShellCall,
    ShellCallOutput,
    text_of,
)


def chat_messages(prompt: Prompt, profile: Profile, origin: str) -> list[dict[str, Any]]:
    """The messages of a prompt. ``origin``: the server's own name in :class:`ProviderState`.

    Raises:
        InvalidRequest: an item or image cannot be sent to this server.
    """
    messages = list(_Messages(profile, origin, prompt).messages())
    if profile.system == "fold":
        messages = fold_roles(messages)
    return bridge_tools(messages, profile.bridge) if profile.bridge else messages


class _Messages:
    """One pass over the items."""

    def __init__(self, profile: Profile, origin: str, prompt: Prompt) -> None:
        self._profile = profile
        self._origin = origin
        self._prompt = prompt
        self._open: dict[str, Any] | None = None
        """The assistant message that is being put together."""
        self._images: list[dict[str, Any]] = []
        """Images of tool outputs, for the user's message behind them."""
        self._errors: list[dict[str, Any]] = []
        """Outputs of calls of tools that were not offered, for behind the message that makes them."""
        self._ids: dict[str, str] = {}
        """The ids of calls as the server knows them, by ours."""

    def messages(self) -> Iterator[dict[str, Any]]:
        if self._prompt.instructions:
            yield {"role": "system", "content": self._prompt.instructions}
        for index, context in enumerate(self._prompt.items):
            item = context.item
            if not isinstance(item, CallOutput) and self._images:
                yield from self._take_images()
            if isinstance(item, Reasoning):
                yield from self._reasoning(item, context.provider)
            elif isinstance(item, Call):
                self._call(item, context.provider)
            elif isinstance(item, Message) and item.role == "assistant":
                yield from self._words(item, context.provider)
            elif isinstance(item, Message):
                yield from self._take_open()
                role = "system" if item.role == "developer" else item.role
                yield {"role": role, "content": self._content(item.content, f"input[{index}].content")}
            elif isinstance(item, CallOutput):
                yield from self._take_open()
                yield self._output(item, f"input[{index}].output")
            else:
                raise InvalidRequest("This item cannot be sent to the model's server.", param="input")
        yield from self._take_open()
        yield from self._take_images()

    # --- the assistant's side ---

    def _reasoning(self, item: Reasoning, provider: ProviderState | None) -> Iterator[dict[str, Any]]:
        if provider is not None and provider.origin != self._origin:
            return  # another server's reasoning is not this one's to read
        fields = self._echoed(provider)
        parts = item.content if isinstance(item.content, tuple) and item.content else item.summary
        text = "".join(part.text for part in parts)
        form = self._profile.reasoning_back
        if not (fields or (text and form != "none")):
            return
        if self._open is not None and (self._open.get("tool_calls") or self._open["content"] is not None):
            yield from self._take_open()
        message = self._assistant()
        if text and form == "thinking_parts":
            message["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]
        elif text and form != "none":
            message[form] = message.get(form, "") + text
        message.update(fields)

    def _words(self, item: Message, provider: ProviderState | None) -> Iterator[dict[str, Any]]:
        text = text_of(item.content)
        if self._open is not None and (self._open.get("tool_calls") or _has_words(self._open)):
            yield from self._take_open()
        message = self._assistant()
        if isinstance(message["content"], list):
            message["content"].append({"type": "text", "text": text})
        else:
            message["content"] = text
        message.update(self._echoed(provider))

    def _call(self, call: Call, provider: ProviderState | None) -> None:
        name, arguments = _function(call)
        own = provider is not None and provider.origin == self._origin
        id_ = str(provider.fields.get("id") or call.call_id) if own and provider is not None else call.call_id
        id_ = self._ids[call.call_id] = self._fit_id(id_)
        entry: dict[str, Any] = {
            "id": id_,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        fields = self._echoed(provider)
        message = self._assistant()
        message.update({name: value for name, value in fields.items() if name == "reasoning_details"})
        entry.update({name: value for name, value in fields.items() if name != "reasoning_details"})
        calls = message.setdefault("tool_calls", [])
        if not calls:  # those beside it have none of their own either
            for name, value in self._profile.missing_call_fields.items():
                entry.setdefault(name, value)
        calls.append(entry)
        unknown = provider.fields.get(UNKNOWN_CALLS, ()) if own and provider is not None else ()
        for number, other in enumerate(unknown):
            self._unknown_call(message, other, f"{id_[:40]}_unknown{number}")

    def _unknown_call(self, message: dict[str, Any], call: dict[str, Any], long_id: str) -> None:
        """A call of a tool that was not offered, beside others: it is answered here, with an error."""
        id_ = self._fit_id(long_id)
        function = {"name": call["name"], "arguments": _object_text(call["arguments"])}
        extra = {name: call["fields"][name] for name in self._profile.echo if name in call["fields"]}
        entry = {"id": id_, "type": "function", "function": function}
        message["tool_calls"].append({**entry, **extra})
        self._errors.append({"role": "tool", "tool_call_id": id_, "content": call["error"]})

    def _assistant(self) -> dict[str, Any]:
        if self._open is None:
            self._open = {"role": "assistant", "content": None}
        return self._open

    def _take_open(self) -> Iterator[dict[str, Any]]:
        message, self._open = self._open, None
        if message is None:
            return
        if not message[
            "content"
        ]:  # some servers refuse a message that is empty, or has an empty text beside its calls
            if len(message) == 2:
                return
            message["content"] = None if message.get("tool_calls") else ""
        form = self._profile.reasoning_back
        if message.get("tool_calls") and self._profile.reasoning_required and form not in message:
            message[form] = ""
        yield message
        errors, self._errors = self._errors, []
        yield from errors

    def _echoed(self, provider: ProviderState | None) -> dict[str, Any]:
        if provider is None or provider.origin != self._origin:
            return {}
        return {name: provider.fields[name] for name in self._profile.echo if name in provider.fields}

    def _fit_id(self, id_: str) -> str:
        """An id in the server's form; the same for a call and its output."""
        if self._profile.call_id_length is not None:
            return exact_call_id(id_, self._profile.call_id_length)
        longest = self._profile.max_call_id
        return short_call_id(id_, longest) if MAX_CALL_ID >= len(id_) > longest else id_

    # --- outputs and content ---

    def _output(self, item: CallOutput, path: str) -> dict[str, Any]:
        call_id = item.call_id if isinstance(item.call_id, str) else item.id
        sent_id = self._ids.get(call_id or "") or self._fit_id(call_id or "")
        match item:
            case ShellCallOutput():
                text = json_text(item.output)
            case ApplyPatchCallOutput():
                text = f"{item.status}: {item.output or ''}"
            case LocalShellCallOutput():
                text = item.output
            case _ if isinstance(item.output, str):
                text = item.output
            case _:
                text = text_of(item.output)
                parts = [
                    self._part(part, f"{path}[{number}]")
                    for number, part in enumerate(item.output)
                    if isinstance(part, InputImage | InputFile)
                ]
                if parts:
                    self._images.append({"type": "text", "text": f"[Attached to the output of {sent_id}:]"})
                    self._images.extend(parts)
                    text = text or "[The output is attached below.]"
        return {"role": "tool", "tool_call_id": sent_id, "content": text}

    def _take_images(self) -> Iterator[dict[str, Any]]:
        images, self._images = self._images, []
        if images:
            yield {"role": "user", "content": images}

    def _content(self, parts: tuple[Part, ...], path: str) -> str | list[dict[str, Any]]:
        if not any(isinstance(part, InputImage | InputFile) for part in parts):
            return text_of(parts)
        return [self._part(part, f"{path}[{number}]") for number, part in enumerate(parts)]

    def _part(self, part: Part, path: str) -> dict[str, Any]:
        if isinstance(part, InputImage):
            url = part.image_url
            if url is None:
                raise InvalidRequest("An input_image needs image_url or file_id.", param=path)
            if not url.startswith("data:") and not self._profile.image_urls:
                raise InvalidRequest(
                    "This model's server is sent images as data URLs only.",
                    param=f"{path}.image_url",
                    code="unsupported_content",
                )
            image = {"url": url}
            if part.detail not in (None, "auto"):
                image["detail"] = "high" if part.detail == "original" else part.detail
            return {"type": "image_url", "image_url": image}
        if isinstance(part, InputFile):
            if not self._profile.files or not isinstance(part.file_data, str):
                raise InvalidRequest(
                    "This model's server takes no files.", param=path, code="unsupported_content"
                )
            name = part.filename if isinstance(part.filename, str) else "file"
            return {"type": "file", "file": {"filename": name, "file_data": part.file_data}}
        return {"type": "text", "text": text_of((part,))}


def _has_words(message: dict[str, Any]) -> bool:
    content = message["content"]
    if isinstance(content, list):
        return any(part["type"] == "text" for part in content)
    return content is not None


def _function(call: Call) -> tuple[str, str]:
    """A call's function and its arguments as JSON text."""
    match call:
        case FunctionCall():
            return function_name(call.name, call.namespace or None), _object_text(call.arguments)
        case CustomToolCall():
            return function_name(call.name, call.namespace or None), json_text({"input": call.input})
        case LocalShellCall():
            return "local_shell", json_text(call.action)
        case ShellCall():
            return "shell", json_text(call.action)
        case ApplyPatchCall():
            return "apply_patch", json_text(call.operation)


def _object_text(arguments: str) -> str:
    """Arguments that servers can parse: many refuse a history whose arguments are empty or cut."""
    if not arguments.strip():
        return "{}"
    try:
        read_json(arguments)
    except NotJson:
        return json_text({"invalid_arguments": arguments})
    return arguments


def json_text(value: object) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()
