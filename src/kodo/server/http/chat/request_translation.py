"""From a chat request to the lifecycle's: messages become items, so the same words cost the same tokens on both APIs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

import msgspec

from kodo.server.http.chat.error_fields import item_path, rename_fields
from kodo.server.http.chat.functions import FunctionCalls, check_functions, function_choice, function_tools
from kodo.server.http.chat.tool_messages import check_tool_messages
from kodo.server.lifecycle.errors import rename_param
from kodo.server.lifecycle.ports import Sampling
from kodo.server.wire import decode
from kodo.server.wire.chat import REFUSED, ChatRequest
from kodo.server.wire.decode import MAX_ITEMS, BadBody
from kodo.server.wire.hosted_tools import WebSearchChoice, WebSearchTool
from kodo.server.wire.items import MAX_TEXT, InputText, Item, Message
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import ReasoningConfig, TextConfig
from kodo.server.wire.tools import HOSTED_TOOLS, RequestTool, RequestToolChoice

WEB_SEARCH: Final = "web_search"
_PARTS = {"text": "input_text", "image_url": "input_image", "file": "input_file"}


def parse_request(raw: Mapping[str, Any]) -> ChatRequest:
    """Check a body. Raises :class:`BadBody`."""
    body: ChatRequest = decode.convert(decode.without_refused(raw, REFUSED), ChatRequest)
    if not body.messages:
        raise BadBody("'messages' must not be empty.", "messages", "empty_array")
    check_functions(body)
    if body.stream_options is not None and not body.stream:
        raise BadBody("stream_options requires stream: true.", "stream_options", "invalid_value")
    if None is not body.max_tokens != body.max_completion_tokens is not None:
        raise BadBody(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_parameter_combination",
        )
    if body.top_logprobs is not None and not body.logprobs:
        raise BadBody("top_logprobs requires logprobs: true.", "top_logprobs", "invalid_value")
    return body


def sampling(body: ChatRequest, index: int = 0) -> Sampling:
    """Return the sampling parameters that the Responses API does not have. Each of the ``n`` answers has its own seed."""
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    bias = []
    for token, value in (body.logit_bias or {}).items():
        if not (token.isascii() and token.isdigit() and len(token) < 10):
            raise BadBody("The keys of logit_bias are token ids.", f"logit_bias.{token}", "invalid_type")
        bias.append((int(token), value))
    return Sampling(stop=stop, logit_bias=tuple(bias), seed=None if body.seed is None else body.seed + index)


def to_response_request(body: ChatRequest, hosted: Collection[str] = ()) -> CreateResponse:
    """Translate a chat request to a Responses request. It is not stored there: the chat API stores completions in its
    own form. ``hosted``: the types of tool that the server runs.

    Raises:
        BadBody: a message, tool or format is invalid; ``param`` is its path in the chat request.
    """
    try:
        created = _translate(body)
        return created if body.web_search_options is None else _with_search(created, body, hosted)
    except BadBody as error:
        rename_fields(error, body, ())
        raise


def _translate(body: ChatRequest) -> CreateResponse:
    """The fields of both requests that have a name in common have the same limits, which were checked."""
    given = body.functions is None
    text, choice = (
        _text_config(body),
        _choice(body.tool_choice) if given else function_choice(body.function_call),
    )
    if choice is not None:
        choice = decode.convert(choice, RequestToolChoice, "tool_choice")
    tools = decode.tools(function_tools(body), "functions") if body.functions else _tools(body)
    items = messages_to_items(body.messages)
    check_tool_messages(body.messages)
    return CreateResponse(
        model=body.model,
        input=items,
        store=False,
        stream=body.stream,
        include=("message.output_text.logprobs",) if body.logprobs else None,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls if given else False,
        text=text,
        reasoning=None if body.reasoning_effort is None else ReasoningConfig(effort=body.reasoning_effort),
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        top_logprobs=body.top_logprobs,
        max_output_tokens=body.max_completion_tokens or body.max_tokens,
        safety_identifier=body.safety_identifier,
        prompt_cache_key=body.prompt_cache_key,
        prompt_cache_retention=body.prompt_cache_retention,
        prompt_cache_options=body.prompt_cache_options,
        service_tier=body.service_tier,
    )


def _tools(body: ChatRequest) -> tuple[RequestTool, ...]:
    if not body.tools:
        return ()
    return decode.tools([_tool(tool, f"tools[{index}]") for index, tool in enumerate(body.tools)])


def _text_config(body: ChatRequest) -> TextConfig:
    if body.response_format is None:
        return TextConfig(verbosity=body.verbosity)
    raw = {"format": _format(body.response_format), "verbosity": body.verbosity}
    return decode.convert(raw, TextConfig, "text")


def _with_search(created: CreateResponse, body: ChatRequest, hosted: Collection[str]) -> CreateResponse:
    """The request with a search on the web, made before the answer unless the client says which tool is called.

    Raises:
        BadBody: the server has none.
    """
    options = body.web_search_options
    if options is None:
        return created
    if WEB_SEARCH not in hosted:
        raise BadBody(
            f"Unsupported parameter: 'web_search_options': {HOSTED_TOOLS[WEB_SEARCH]}.",
            "web_search_options",
            "unsupported_parameter",
        )
    place = options.user_location
    tool = WebSearchTool(
        search_context_size=options.search_context_size,
        user_location=None if place is None else {"type": place.type, **place.approximate},
    )
    choice = WebSearchChoice() if created.tool_choice is None and not created.tools else created.tool_choice
    return msgspec.structs.replace(created, tools=(*created.tools, tool), tool_choice=choice)


def item_paths(messages: list[dict[str, Any]]) -> list[str]:
    """Where each item of :func:`messages_to_items` stands in the messages that it was translated from."""
    paths: list[str] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        calls = (message.get("tool_calls") or []) if message.get("role") == "assistant" else []
        function = message.get("function_call") if message.get("role") == "assistant" else None
        if message.get("content") or message.get("refusal") or not (calls or function):
            paths.append(path)
        paths.extend(f"{path}.tool_calls[{number}]" for number in range(len(calls)))
        if function:
            paths.append(f"{path}.function_call")
    return paths


def messages_to_items(messages: list[dict[str, Any]]) -> tuple[Item, ...]:
    """Translate messages to items, each followed by its calls. Raises :class:`BadBody`."""
    if len(messages) > MAX_ITEMS:
        raise BadBody(f"'messages' has more than {MAX_ITEMS} messages.", "messages", "invalid_value")
    result: list[Item] = []
    custom_call_ids: set[str] = set()
    function_calls = FunctionCalls()
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        role = message.get("role")
        if role in ("system", "developer", "user"):
            result.append(_given(message, path))
        elif role == "assistant":
            result.extend(_assistant(message, path, custom_call_ids))
            if (function := message.get("function_call")) is not None:
                result.append(_function_call(function, path, function_calls, index))
        elif role == "tool":
            result.append(_output(message, path, custom_call_ids))
        elif role == "function":
            call_id = function_calls.answer(message.get("name"), path)
            raw = {"type": "function_call_output", "call_id": call_id, "output": _content(message, path)}
            result.append(_item(raw, path))
        elif role is None:
            raise _missing(f"{path}.role")
        else:
            raise BadBody(f"Invalid value for '{path}.role': {role!r}.", f"{path}.role", "invalid_value")
    return tuple(result)


def _given(message: dict[str, Any], path: str) -> Item:
    """A message to the model."""
    content = message.get("content")
    if isinstance(content, str) and len(content) <= MAX_TEXT:
        return Message(role=message["role"], content=(InputText(text=content),))
    raw = {"type": "message", "role": message["role"], "content": _content(message, path)}
    return _item(raw, path)


def _missing(path: str) -> BadBody:
    return BadBody(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


def _item(raw: dict[str, Any], path: str, kind: str = "function") -> Item:
    """An item of the message, or of the call of a ``kind``, at ``path``. Raises :class:`BadBody`."""
    try:
        return cast(Item, decode.item(raw, path))
    except BadBody as error:
        rest = (error.param or path).removeprefix(path)
        rename_param(error, item_path(path, rest, kind) if rest else path)
        raise


def _content(message: dict[str, Any], path: str) -> Any:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if content is None:
        raise _missing(f"{path}.content")
    if not isinstance(content, list):
        raise BadBody(
            f"'{path}.content' must be a string or a list of parts.", f"{path}.content", "invalid_type"
        )
    return [_part(part, f"{path}.content[{index}]") for index, part in enumerate(content)]


def _part(part: Any, path: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in _PARTS:
        raise BadBody(f"Content of type '{kind}' is not supported.", f"{path}.type", "invalid_value")
    if kind == "text":
        return {"type": "input_text", "text": part.get("text")}
    inner = part.get(kind)
    if not isinstance(inner, dict):
        raise BadBody(f"'{path}.{kind}' must be an object.", f"{path}.{kind}", "invalid_type")
    if kind == "image_url":
        if inner.get("url") is None:
            raise _missing(f"{path}.image_url.url")
        return {"type": "input_image", "image_url": inner.get("url"), "detail": inner.get("detail", "auto")}
    return {"type": "input_file", **inner}


def _assistant(message: dict[str, Any], path: str, custom_call_ids: set[str]) -> list[Item]:
    items: list[Item] = []
    parts: list[dict[str, Any]] = []
    content = message.get("content")
    if isinstance(content, str):
        parts.append({"type": "output_text", "text": content})
    elif isinstance(content, list):
        for index, part in enumerate(content):
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "text":
                parts.append({"type": "output_text", "text": part.get("text")})
            elif kind == "refusal":
                parts.append({"type": "refusal", "refusal": part.get("refusal")})
            else:
                where = f"{path}.content[{index}].type"
                raise BadBody(f"Content of type '{kind}' is not supported.", where, "invalid_value")
    if isinstance(message.get("refusal"), str):
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    calls = _list(message.get("tool_calls"), f"{path}.tool_calls")
    if parts or not (calls or message.get("function_call")):
        items.append(_item({"type": "message", "role": "assistant", "content": parts}, path))
    for index, call in enumerate(calls):
        items.append(_call(call, f"{path}.tool_calls[{index}]", custom_call_ids))
    return items


def _function_call(function: Any, path: str, calls: FunctionCalls, index: int) -> Item:
    """A call in the first form as an item. Raises :class:`BadBody`."""
    where = f"{path}.function_call"
    if not isinstance(function, dict):
        raise BadBody(f"'{where}' must be an object.", where, "invalid_type")
    name, arguments = function.get("name"), function.get("arguments")
    call_id = calls.begin(name, index)
    return _item({"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}, where)


def _call(call: Any, path: str, custom_call_ids: set[str]) -> Item:
    kind = call.get("type", "function") if isinstance(call, dict) else None
    if kind not in ("function", "custom") or not isinstance(call.get(kind), dict):
        raise BadBody(f"'{path}' must be a function or custom call.", path, "invalid_value")
    inner = call[kind]
    raw = {"call_id": call.get("id"), "name": inner.get("name")}
    if kind == "custom":
        custom_call_ids.add(str(call.get("id")))
        raw |= {"type": "custom_tool_call", "input": inner.get("input")}
    else:
        raw |= {"type": "function_call", "arguments": inner.get("arguments")}
    return _item(raw, path, kind)


def _output(message: dict[str, Any], path: str, custom_call_ids: set[str]) -> Item:
    call_id = message.get("tool_call_id")
    kind = (
        "custom_tool_call_output"
        if isinstance(call_id, str) and call_id in custom_call_ids
        else "function_call_output"
    )
    return _item({"type": kind, "call_id": call_id, "output": _content(message, path)}, path)


def _tool(tool: dict[str, Any], path: str) -> dict[str, Any]:
    kind = tool.get("type")
    inner = tool.get(kind) if isinstance(kind, str) else None
    if kind is None:
        raise _missing(f"{path}.type")
    if kind not in ("function", "custom"):
        raise BadBody(f"'{path}' must be a function or custom tool.", f"{path}.type", "invalid_value")
    if inner is None:
        raise _missing(f"{path}.{kind}")
    if not isinstance(inner, dict):
        raise BadBody(f"'{path}.{kind}' must be an object.", f"{path}.{kind}", "invalid_type")
    fields = {name: value for name, value in inner.items() if value is not None}
    format_spec = fields.get("format")
    if kind == "custom" and isinstance(format_spec, dict) and isinstance(format_spec.get("grammar"), dict):
        fields["format"] = {"type": "grammar", **format_spec["grammar"]}
    return {"type": kind, **fields}


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    kind = choice.get("type")
    if kind == "allowed_tools" and isinstance(allowed := choice.get("allowed_tools"), dict):
        path = "tool_choice.allowed_tools.tools"
        listed = _list(allowed.get("tools"), path)
        tools = [_named(tool, f"{path}[{index}]") for index, tool in enumerate(listed)]
        return {"type": kind, "mode": allowed.get("mode", "auto"), "tools": tools}
    return _named(choice, "tool_choice")


def _list(value: Any, path: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadBody(f"'{path}' must be a list.", path, "invalid_type")
    return value


def _named(tool: Any, path: str) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    inner = tool.get(kind) if isinstance(kind, str) else None
    if kind in ("function", "custom") and inner is None:
        raise _missing(f"{path}.{kind}")
    return {"type": kind, "name": inner.get("name")} if isinstance(inner, dict) else tool


def _format(format_spec: dict[str, Any]) -> dict[str, Any]:
    if format_spec.get("type") == "json_schema" and format_spec.get("json_schema") is None:
        raise _missing("response_format.json_schema")
    if format_spec.get("type") == "json_schema" and isinstance(format_spec.get("json_schema"), dict):
        return {
            "type": "json_schema",
            **{n: v for n, v in format_spec["json_schema"].items() if v is not None},
        }
    return {name: value for name, value in format_spec.items() if value is not None}
