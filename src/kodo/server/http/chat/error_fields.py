"""Errors of the lifecycle in the terms of a chat request.

A chat request is run as a Responses request, so what is wrong with it is found under that API's names. The client sent
other names: :func:`rename_fields` puts them back, in ``param`` and in the message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kodo.server.lifecycle.errors import ContextLengthExceeded, ServiceError, rename_param
from kodo.server.wire.chat import ChatRequest
from kodo.server.wire.decode import BadBody

_INPUT: Final = re.compile(r"^input\[(?P<index>\d+)\](?P<rest>.*)$", re.DOTALL)
_TOOL: Final = re.compile(r"^(?P<tool>tools\[(?P<index>\d+)\])\.(?P<rest>.+)$", re.DOTALL)
_MAX_TOKENS: Final = "max_output_tokens"
_RENAMED: Final = (
    ("text.format", "response_format"),
    ("text.verbosity", "verbosity"),
    ("text", "response_format"),
    ("tool_choice.tools", "tool_choice.allowed_tools.tools"),
    ("reasoning.effort", "reasoning_effort"),
    ("reasoning", "reasoning_effort"),
    ("include", "logprobs"),
    ("instructions", "messages"),
    ("input", "messages"),
)
"""Names of the Responses API and of this one; the first that is the beginning of a path counts."""


def rename_fields(error: ServiceError | BadBody, body: ChatRequest, paths: Sequence[str]) -> None:
    """Name the fields of ``body`` in an error. ``paths`` are the places of the items in it, by item number."""
    if error.param is not None:
        rename_param(error, _new_path(error.param, body, paths))
    if isinstance(error, ContextLengthExceeded):
        error.message = (
            f"This model's context window is {error.window} tokens, but the request needs {error.needed}. "
            "Shorten the messages, or serve a model with a larger window."
        )
        error.args = (error.message,)


def _new_path(old: str, body: ChatRequest, paths: Sequence[str]) -> str:
    if match := _INPUT.match(old):
        index = int(match["index"])
        return item_path(paths[index], match["rest"]) if index < len(paths) else "messages"
    if body.functions is not None and (old == "tool_choice" or old.startswith(("tools[", "tool_choice."))):
        return re.sub(r"^tools", "functions", re.sub(r"^tool_choice", "function_call", old))
    if match := _TOOL.match(old):
        return _tool_path(match["tool"], int(match["index"]), match["rest"], body)
    if old == _MAX_TOKENS:
        return "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    if old.startswith("text.format.") and old != "text.format.type" and _is_schema(body):
        return old.replace("text.format", "response_format.json_schema", 1)
    for name, new in _RENAMED:
        if old == name or old.startswith((f"{name}.", f"{name}[")):
            return new + old[len(name) :]
    return old


def _is_schema(body: ChatRequest) -> bool:
    return (body.response_format or {}).get("type") == "json_schema"


def item_path(path: str, rest: str, kind: str = "function") -> str:
    """A field ``rest`` of an item, in the message or the call of a ``kind`` at ``path`` that it came from."""
    if ".tool_calls[" in path:
        return f"{path}.id" if rest == ".call_id" else f"{path}.{kind}{rest}"
    if path.endswith(".function_call"):
        return path if rest == ".call_id" else path + rest
    if rest == ".call_id":
        return f"{path}.tool_call_id"
    if rest.startswith(".output"):
        rest = ".content" + rest.removeprefix(".output")
    return path + _part_field(rest)


def _part_field(rest: str) -> str:
    """A field of a part of content in chat's form: ``image_url`` and ``file`` are objects there."""
    rest = re.sub(r"\.image_url$", ".image_url.url", rest)
    rest = re.sub(r"\.detail$", ".image_url.detail", rest)
    return re.sub(r"\.(file_data|file_id|filename|file_url)$", r".file.\1", rest)


def _tool_path(tool: str, index: int, rest: str, body: ChatRequest) -> str:
    """A field of a tool, whose fields stand in an object named as its type."""
    tools = body.tools or []
    if index >= len(tools):  # the one that stands for the search
        return f"web_search_options.{rest.replace('user_location.', 'user_location.approximate.', 1)}"
    kind = tools[index].get("type")
    if rest in ("type", kind) or kind not in ("function", "custom") or rest.startswith(f"{kind}."):
        return f"{tool}.{rest}"
    if kind == "custom" and rest.startswith("format.") and rest != "format.type":
        rest = rest.replace("format.", "format.grammar.", 1)
    return f"{tool}.{kind}.{rest}"
