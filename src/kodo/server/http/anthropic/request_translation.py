"""From a Messages request to the lifecycle's: blocks become items and parts of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar, cast

import msgspec

from kodo.server.lifecycle.ports import Sampling
from kodo.server.wire import decode
from kodo.server.wire.anthropic import (
    IGNORED,
    REFUSED,
    CountTokensRequest,
    MessagesMetadata,
    MessagesRequest,
    MessagesToolChoice,
    OutputConfig,
    OutputFormat,
    ThinkingConfig,
)
from kodo.server.wire.decode import MAX_ITEMS, BadBody
from kodo.server.wire.items import Item
from kodo.server.wire.request import CreateResponse

R = TypeVar("R", bound=CountTokensRequest)

_Maker: TypeAlias = Callable[[dict[str, Any], str], dict[str, Any]]

_ATTRIBUTION = "x-anthropic-billing-header:"
MAX_CALL_ID = 64
HOSTED_RESULTS = (
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "mcp_tool_result",
)
"""Results of the hosted service's own tools, which stand in the assistant's turn."""
_OPTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "metadata": MessagesMetadata,
    "output_config": OutputConfig,
    "output_config.format": OutputFormat,
    "output_format": OutputFormat,
    "thinking": ThinkingConfig,
    "tool_choice": MessagesToolChoice,
}
"""Objects of options, by their places in a body."""
_BUDGET_EFFORTS = ((16_384, "high"), (4_096, "medium"), (0, "low"))
"""The effort that a budget of so many tokens stands for."""


def parse_request(raw: Mapping[str, Any], kind: type[R]) -> R:
    """The checked body. Raises :class:`BadBody`."""
    for name, why in REFUSED.items():
        if raw.get(name):
            raise BadBody(f"Unsupported parameter: '{name}': {why}.", name, "unsupported_parameter")
    body: R = decode.convert(raw, kind)
    if isinstance(body, MessagesRequest) and body.messages[-1].get("role") == "assistant":
        path = f"messages[{len(body.messages) - 1}].role"
        raise BadBody("Prefilled answers are not supported; end with a user message.", path, "invalid_value")
    return body


def ignored_parameters(raw: Mapping[str, Any]) -> list[str]:
    """The parameters of a body that change nothing: known ones, and those that no version known here has; fields of an
    object of options with its path."""
    found = [*_unknown(raw, MessagesRequest, ""), *(name for name in IGNORED if raw.get(name) is not None)]
    for path, kind in _OPTIONS.items():
        found += _unknown(_at(raw, path), kind, f"{path}.")
    return sorted(set(found) - set(REFUSED))


def _unknown(value: object, kind: type[msgspec.Struct], prefix: str) -> list[str]:
    """The fields of an object that a type does not have."""
    if not isinstance(value, dict):
        return []
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    return [f"{prefix}{name}" for name, one in value.items() if one is not None and name not in known]


def _at(raw: Mapping[str, Any], path: str) -> object:
    value: object = raw
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def skipped_tools(body: CountTokensRequest) -> tuple[str, ...]:
    """The types of the tools that :func:`to_response_request` leaves out, each once."""
    return tuple(dict.fromkeys(str(tool["type"]) for tool in body.tools or () if _is_typed(tool)))


def sampling(body: MessagesRequest) -> Sampling:
    """What the Responses API has no parameter for."""
    thinking = body.thinking
    budget = thinking.budget_tokens if thinking is not None and thinking.type == "enabled" else None
    return Sampling(top_k=body.top_k, stop=tuple(body.stop_sequences or ()), reasoning_tokens=budget)


def shows_thinking(body: MessagesRequest) -> bool:
    """Whether the client wants to read the thinking; its signature is sent either way."""
    return body.thinking is None or body.thinking.display != "omitted"


def to_response_request(body: CountTokensRequest) -> CreateResponse:
    """The same turn as a Responses request; not stored, as this API keeps no state.

    Raises:
        BadBody: a message or tool does not fit; ``param`` is its path in the Messages request.
    """
    raw: dict[str, Any] = {
        "model": body.model,
        "store": False,
        "instructions": _system(body.system),
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": _effort(body)},
        "text": {"format": _format(body)},
        **_tool_choice(body.tool_choice),
    }
    if isinstance(body, MessagesRequest):
        user = body.metadata.user_id if body.metadata is not None else None
        raw |= {
            "stream": body.stream,
            "max_output_tokens": body.max_tokens or None,
            "temperature": body.temperature,
            "top_p": body.top_p,
            "prompt_cache_key": hashlib.sha256(user.encode()).hexdigest()[:32] if user else None,
        }
    created = decode.create_response(raw)
    tools = _tools(body.tools or [])
    return msgspec.structs.replace(
        created,
        input=messages_to_items(body.messages),
        tools=decode.tools(tools) if tools else (),
    )


def messages_to_items(messages: list[dict[str, Any]]) -> tuple[Item, ...]:
    """Messages as items: texts, images and documents in messages, calls and their results apart. Raises :class:`BadBody`."""
    if len(messages) > MAX_ITEMS:
        raise BadBody(f"'messages' has more than {MAX_ITEMS} messages.", "messages", "invalid_value")
    items: list[Item] = []
    for index, message in enumerate(messages):
        path, role = f"messages[{index}]", message.get("role")
        if role not in ("user", "assistant", "system"):
            raise BadBody(f"Invalid value for '{path}.role'.", f"{path}.role", "invalid_value")
        makers = _ASSISTANT if role == "assistant" else _USER
        parts: list[dict[str, Any]] = []
        for number, block in enumerate(_blocks(message.get("content"), f"{path}.content")):
            where = f"{path}.content[{number}]"
            made = _make(makers, block, where)
            if made["type"] not in _ITEMS:
                parts.append(made)
                continue
            items.extend(_message(role, parts, path))
            parts = []
            items.append(cast(Item, decode.item(made, where)))
        items.extend(_message(role, parts, path))
    return tuple(items)


def _make(makers: Mapping[str, _Maker], block: dict[str, Any], path: str) -> dict[str, Any]:
    """A block as a part of a message, or as an item of its own."""
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in makers:
        raise BadBody(f"Blocks of type '{kind}' are not supported here.", f"{path}.type", "invalid_value")
    return makers[kind](block, path)


def _message(role: str, parts: list[dict[str, Any]], path: str) -> list[Item]:
    if not parts:
        return []
    return [cast(Item, decode.item({"type": "message", "role": role, "content": parts}, path))]


def _blocks(content: Any, path: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise BadBody(f"'{path}' must be a string or a list of blocks.", path, "invalid_type")
    return content


def _input_text(block: dict[str, Any], path: str) -> dict[str, Any]:
    return {"type": "input_text", "text": block.get("text")}


def _output_text(block: dict[str, Any], path: str) -> dict[str, Any]:
    return {"type": "output_text", "text": block.get("text")}


def _image(block: dict[str, Any], path: str) -> dict[str, Any]:
    source = _source(block, path)
    match source.get("type"):
        case "base64":
            return {"type": "input_image", "image_url": _data_url(source)}
        case "url":
            return {"type": "input_image", "image_url": source.get("url")}
        case "file":
            return {"type": "input_image", "file_id": source.get("file_id")}
    raise _bad_source(source, path)


def _document(block: dict[str, Any], path: str) -> dict[str, Any]:
    source, title = _source(block, path), block.get("title")
    named = {"filename": title} if isinstance(title, str) else {}
    match source.get("type"):
        case "text":
            return {
                "type": "input_text",
                "text": f"File {title or 'document'}:\n{_text(source.get('data'), path)}",
            }
        case "base64":
            return {"type": "input_file", "file_data": _data_url(source), **named}
        case "url":
            return {"type": "input_file", "file_url": source.get("url"), **named}
        case "file":
            return {"type": "input_file", "file_id": source.get("file_id"), **named}
        case "content":
            inner = _blocks(source.get("content"), f"{path}.source.content")
            text = "\n".join(_inner_text(one, f"{path}.source.content[{n}]") for n, one in enumerate(inner))
            return {"type": "input_text", "text": f"File {title or 'document'}:\n{text}"}
    raise _bad_source(source, path)


def _search_result(block: dict[str, Any], path: str) -> dict[str, Any]:
    inner = _blocks(block.get("content"), f"{path}.content")
    text = "\n".join(_inner_text(one, f"{path}.content[{n}]") for n, one in enumerate(inner))
    return {"type": "input_text", "text": f"{block.get('title')} ({block.get('source')}):\n{text}"}


def _inner_text(block: dict[str, Any], path: str) -> str:
    """The text of a block inside a document or search result, which hold text only."""
    if block.get("type") != "text":
        raise BadBody(
            f"Blocks of type '{block.get('type')}' are not supported here.", f"{path}.type", "invalid_value"
        )
    return _text(block.get("text"), f"{path}.text")


def _tool_reference(block: dict[str, Any], path: str) -> dict[str, Any]:
    return {"type": "input_text", "text": f"Tool {block.get('tool_name')}."}


def _tool_result(block: dict[str, Any], path: str) -> dict[str, Any]:
    content = block.get("content")
    parts = [
        _make(_RESULTS, inner, f"{path}.content[{number}]")
        for number, inner in enumerate(_blocks("" if content is None else content, f"{path}.content"))
    ]
    if block.get("is_error"):
        parts.insert(0, {"type": "input_text", "text": "Error: "})
    output: Any = parts
    if all(part["type"] == "input_text" for part in parts):
        output = "".join(_text(part["text"], path) for part in parts)
    return {"type": "function_call_output", "call_id": _call_id(block.get("tool_use_id")), "output": output}


def _call_id(id_: Any) -> Any:
    """The id of a call within the contract's length; the same for a call and its result. Gateways make longer ones."""
    if not isinstance(id_, str) or len(id_) <= MAX_CALL_ID:
        return id_
    return f"toolu_{hashlib.sha256(id_.encode()).hexdigest()[:32]}"


def _tool_use(block: dict[str, Any], path: str) -> dict[str, Any]:
    given = block.get("input")
    if not isinstance(given, dict | None):
        raise BadBody(f"'{path}.input' must be an object.", f"{path}.input", "invalid_type")
    arguments = json.dumps(given or {}, ensure_ascii=False)
    return {
        "type": "function_call",
        "call_id": _call_id(block.get("id")),
        "name": block.get("name"),
        "arguments": arguments,
    }


def _thinking(block: dict[str, Any], path: str) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": block.get("thinking")}],
    }
    if block.get("signature"):
        raw["encrypted_content"] = block["signature"]
    return raw


def _compaction(block: dict[str, Any], path: str) -> dict[str, Any]:
    return {"type": "output_text", "text": _text(block.get("content") or "", f"{path}.content")}


def _hosted_call(block: dict[str, Any], path: str) -> dict[str, Any]:
    """What the hosted service did in an earlier turn, as words: no tool here has made it."""
    given = json.dumps(block.get("input") or {}, ensure_ascii=False)
    return {"type": "output_text", "text": f"[{block.get('name')} was called with {given}]"}


def _hosted_result(block: dict[str, Any], path: str) -> dict[str, Any]:
    said = json.dumps(_readable(block.get("content")), ensure_ascii=False)
    return {"type": "output_text", "text": f"[It gave {said}]"}


def _readable(value: Any) -> Any:
    """A value without what only the hosted service can read."""
    if isinstance(value, list):
        return [_readable(one) for one in value]
    if isinstance(value, dict):
        return {name: _readable(one) for name, one in value.items() if not name.startswith("encrypted_")}
    return value


def _redacted_thinking(block: dict[str, Any], path: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": block.get("data")}


_ITEMS = frozenset({"function_call", "function_call_output", "reasoning"})
_PARTS: Mapping[str, _Maker] = {
    "text": _input_text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
}
_RESULTS: Mapping[str, _Maker] = {**_PARTS, "tool_reference": _tool_reference}
_USER: Mapping[str, _Maker] = {**_PARTS, "tool_result": _tool_result}
_ASSISTANT: Mapping[str, _Maker] = {
    "text": _output_text,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "compaction": _compaction,
    "server_tool_use": _hosted_call,
    "mcp_tool_use": _hosted_call,
    **dict.fromkeys(HOSTED_RESULTS, _hosted_result),
}


def _source(block: dict[str, Any], path: str) -> dict[str, Any]:
    source = block.get("source")
    if not isinstance(source, dict):
        raise BadBody(f"'{path}.source' must be an object.", f"{path}.source", "invalid_type")
    return source


def _bad_source(source: dict[str, Any], path: str) -> BadBody:
    return BadBody(
        f"Sources of type '{source.get('type')}' are not supported here.",
        f"{path}.source.type",
        "invalid_value",
    )


def _data_url(source: dict[str, Any]) -> str:
    return f"data:{source.get('media_type')};base64,{source.get('data')}"


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise BadBody(f"'{path}' must hold text.", path, "invalid_type")
    return value


def _system(system: str | list[dict[str, Any]] | None) -> str | None:
    """The system prompt. Claude Code's attribution line changes often and would spoil the prompt cache: it is left out."""
    if system is None or isinstance(system, str):
        return system or None
    texts = [_text(block.get("text"), f"system[{n}].text") for n, block in enumerate(system)]
    return "\n\n".join(text for text in texts if not text.startswith(_ATTRIBUTION)) or None


def _effort(body: CountTokensRequest) -> str | None:
    """``thinking`` first, then ``output_config.effort``."""
    thinking = body.thinking
    if thinking is not None and thinking.type == "disabled":
        return "none"
    if body.output_config is not None and body.output_config.effort is not None:
        return body.output_config.effort
    if thinking is not None and thinking.budget_tokens is not None:
        budget = thinking.budget_tokens
        return next(effort for least, effort in _BUDGET_EFFORTS if budget >= least)
    return None


def _format(body: CountTokensRequest) -> dict[str, Any]:
    found = body.output_config.format if body.output_config is not None else None
    found = found or body.output_format
    if found is None:
        return {"type": "text"}
    return {"type": "json_schema", "name": "output", "schema": found.schema_, "strict": True}


def _tool_choice(choice: MessagesToolChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    if choice.type == "tool":
        if choice.name is None:
            raise BadBody(
                "Missing required parameter: 'tool_choice.name'.",
                "tool_choice.name",
                "missing_required_parameter",
            )
        value: Any = {"type": "function", "name": choice.name}
    else:
        value = {"auto": "auto", "any": "required", "none": "none"}[choice.type]
    return {"tool_choice": value, "parallel_tool_calls": not choice.disable_parallel_tool_use}


def _is_typed(tool: dict[str, Any]) -> bool:
    """Whether a tool has a schema of the hosted service's own."""
    return tool.get("type") not in (None, "custom")


def _tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Client tools as functions. Tools of the hosted service are left out, and refused where there are no others."""
    kept = [
        {
            "type": "function",
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parameters": tool.get("input_schema"),
            "strict": tool.get("strict"),
        }
        for tool in tools
        if not _is_typed(tool)
    ]
    if tools and not kept:
        raise BadBody(
            f"Tools of type '{tools[0]['type']}' run only on the hosted service; this server has none.",
            "tools[0].type",
            "unsupported_tool",
        )
    return kept
