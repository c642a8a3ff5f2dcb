"""Translates the Assistants API to the lifecycle: bodies, messages, and a run's turns as requests. Knows no HTTP and no
store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from kodo.server.http.assistants import hosted_tools
from kodo.server.http.assistants.hosted_tools import RunResources
from kodo.server.lifecycle.context import OUTPUTS, new_row
from kodo.server.lifecycle.ports import ContextItem, Ids
from kodo.server.lifecycle.records import ItemRow
from kodo.server.wire import assistants as wire
from kodo.server.wire import decode
from kodo.server.wire.decode import BadBody
from kodo.server.wire.items import FunctionCall, InputImage, InputText, Message, OutputText, Part
from kodo.server.wire.request import CreateResponse

T = TypeVar("T")
_HOSTED_TOOLS = ("code_interpreter", "file_search")


def parse_body(raw: Mapping[str, Any], kind: type[T], hosted: Collection[str] = frozenset()) -> T:
    """Check a body. ``hosted``: the types of tool that the server runs; the others are rejected by name.

    Raises:
        BadBody: something in it is unknown, unsupported or invalid.
    """
    body = _checked(raw, "", hosted)
    thread = body.get("thread")
    if isinstance(thread, Mapping):
        body["thread"] = _checked(thread, "thread.", hosted)
    value: T = decode.convert(body, kind)
    strategy = getattr(value, "truncation_strategy", None)
    if strategy is not None and (strategy.type == "last_messages") != (strategy.last_messages is not None):
        raise BadBody(
            "'truncation_strategy.last_messages' is required with type 'last_messages', and not allowed with another.",
            "truncation_strategy.last_messages",
            "invalid_value",
        )
    return value


def _checked(raw: Mapping[str, Any], path: str, hosted: Collection[str]) -> dict[str, Any]:
    """Return a body whose tools, and the resources for them, are of types that the server runs."""
    body = dict(raw)
    resources = body.get("tool_resources")
    if not resources:
        body.pop("tool_resources", None)
    elif not isinstance(resources, Mapping) or not set(resources) <= set(hosted):
        raise _unsupported(f"{path}tool_resources", "tool resources serve code_interpreter and file_search")
    for index, tool in enumerate(_mappings(body.get("tools"))):
        if tool.get("type") in _HOSTED_TOOLS and tool["type"] not in hosted:
            raise _unsupported(f"{path}tools[{index}].type", f"tools of type '{tool['type']}'")
    _check_names(_mappings(body.get("tools")), path)
    choice = body.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind in _HOSTED_TOOLS and kind not in hosted:
        raise _unsupported(f"{path}tool_choice.type", f"tools of type '{kind}'")
    for name in ("messages", "additional_messages"):
        if isinstance(body.get(name), list):
            for number, message in enumerate(_mappings(body[name])):
                _check_message(message, f"{path}{name}[{number}].", hosted)
    if "role" in body:
        _check_message(body, path, hosted)
    return body


def _check_names(tools: Sequence[Mapping[str, Any]], path: str) -> None:
    """Refuse two functions of one name: a call of it would say nothing."""
    names: set[object] = set()
    for index, function in enumerate(_mappings([tool.get("function") for tool in tools])):
        name = function.get("name")
        if isinstance(name, str) and name in names:
            raise decode.duplicate_name(name, f"{path}tools[{index}].function.name")
        names.add(name)


def _check_message(message: Mapping[str, Any], path: str, hosted: Collection[str]) -> None:
    for number, attachment in enumerate(_mappings(message.get("attachments"))):
        for index, tool in enumerate(_mappings(attachment.get("tools"))):
            if tool.get("type") in _HOSTED_TOOLS and tool["type"] not in hosted:
                where = f"{path}attachments[{number}].tools[{index}].type"
                raise _unsupported(where, f"attachments for '{tool['type']}'")


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list; other values become empty objects, so that positions are kept."""
    return [each if isinstance(each, Mapping) else {} for each in value] if isinstance(value, list) else []


def _unsupported(param: str, what: str) -> BadBody:
    message = f"Unsupported: '{param}': {what}, which this server does not run."
    return BadBody(message, param, "unsupported_parameter")


# --- messages --------------------------------------------------------------------------------------------------------


def translate_message(
    message: wire.CreateMessage, thread_id: str, ids: Ids, now: float
) -> tuple[ItemRow, wire.ThreadMessage]:
    """Translate a client's message: to the item that the model receives, and to the object that the API returns; both
    have the same id.
    """
    content = (wire.TextParam(text=message.content),) if isinstance(message.content, str) else message.content
    row = new_row(
        ids, Message(role=message.role, content=tuple(_input_part(message.role, part) for part in content))
    )
    return row, wire.ThreadMessage(
        id=row.id,
        created_at=int(now),
        completed_at=int(now),
        thread_id=thread_id,
        role=message.role,
        content=tuple(_content_block(part) for part in content),
        attachments=message.attachments or (),
        metadata=dict(message.metadata or {}),
    )


def _input_part(role: str, part: wire.TextParam | wire.ImageBlock) -> Part:
    if isinstance(part, wire.ImageFileBlock):
        return InputImage(file_id=part.image_file.file_id, detail=part.image_file.detail)
    if isinstance(part, wire.ImageUrlBlock):
        return InputImage(image_url=part.image_url.url, detail=part.image_url.detail)
    return OutputText(text=part.text) if role == "assistant" else InputText(text=part.text)


def _content_block(part: wire.TextParam | wire.ImageBlock) -> wire.TextBlock | wire.ImageBlock:
    if not isinstance(part, wire.TextParam):
        return part
    return wire.TextBlock(text=wire.TextValue(value=part.text))


# --- runs ------------------------------------------------------------------------------------------------------------


def build_run(
    options: wire.RunOptions,
    assistant: wire.Assistant,
    thread_id: str,
    run_id: str,
    now: float,
    lifetime: float,
) -> wire.ThreadRun:
    """Build a new run from the assistant's settings and those that the run overrides. It expires after ``lifetime``
    seconds."""
    instructions = options.instructions if options.instructions is not None else assistant.instructions or ""
    if isinstance(options, wire.CreateRun) and options.additional_instructions:
        instructions = f"{instructions}\n\n{options.additional_instructions}".strip()

    def own_or_inherited(name: str) -> Any:
        value = getattr(options, name)
        return getattr(assistant, name) if value is None else value

    return wire.ThreadRun(
        id=run_id,
        created_at=int(now),
        thread_id=thread_id,
        assistant_id=assistant.id,
        expires_at=int(now + lifetime),
        model=own_or_inherited("model"),
        instructions=instructions,
        tools=own_or_inherited("tools"),
        metadata=dict(options.metadata or {}),
        temperature=own_or_inherited("temperature"),
        top_p=own_or_inherited("top_p"),
        max_prompt_tokens=options.max_prompt_tokens,
        max_completion_tokens=options.max_completion_tokens,
        truncation_strategy=options.truncation_strategy or wire.TruncationStrategy(),
        response_format=own_or_inherited("response_format"),
        tool_choice=options.tool_choice or "auto",
        parallel_tool_calls=options.parallel_tool_calls is not False,
        reasoning_effort=own_or_inherited("reasoning_effort"),
    )


def turn_request(
    run: wire.ThreadRun,
    *,
    max_output_tokens: int | None,
    allow_forced_call: bool,
    resources: RunResources = RunResources(),  # noqa: B008 - frozen
    hosted: Collection[str] = frozenset(),
) -> CreateResponse:
    """Build the request for a turn of a run. It is not stored; its context comes as a local parent with the thread's
    id.

    ``resources`` are what its tools work on, ``hosted`` the types of tool that the server runs.
    ``max_output_tokens`` is the number of tokens the run may still generate. ``allow_forced_call``: whether
    ``tool_choice`` may force a call; after the first call the model is free to answer, or the run would never end.

    Raises:
        BadBody: a tool, choice or format is invalid.
    """
    choice = _choice(run)
    tools = [tool for tool in run.tools if hosted_tools.has_work(tool, resources)]
    if choice != "none" and not (allow_forced_call and _can_force(choice, tools)):
        choice = "auto"
    text_format: Any = msgspec.to_builtins(run.response_format)
    if text_format == "auto":
        text_format = {"type": "text"}
    elif text_format["type"] == "json_schema":
        text_format = {"type": "json_schema", **text_format["json_schema"]}
    raw: dict[str, Any] = {
        "model": run.model,
        "store": False,
        "stream": True,
        "previous_response_id": run.thread_id,
        "instructions": run.instructions or None,
        "max_output_tokens": max_output_tokens,
        "temperature": run.temperature,
        "top_p": run.top_p,
        "parallel_tool_calls": run.parallel_tool_calls,
        "truncation": "auto",
        "text": {"format": text_format},
    }
    if tools:
        raw["tools"] = [hosted_tools.request_tool(tool, resources) for tool in tools]
        raw["tool_choice"] = choice
        raw["include"] = hosted_tools.included(tools)
    if run.reasoning_effort is not None:
        raw["reasoning"] = {"effort": run.reasoning_effort}
    return decode.create_response(raw, hosted)


def _choice(run: wire.ThreadRun) -> Any:
    """Return the choice of a run's tool as a request has it. Raises :class:`BadBody`."""
    choice: Any = msgspec.to_builtins(run.tool_choice)
    names = {tool.function.name for tool in run.tools if isinstance(tool, wire.AssistantTool)}
    types = {str(tool.__struct_config__.tag) for tool in run.tools}
    if isinstance(choice, dict) and choice["type"] == "function":
        choice = {"type": "function", "name": choice["function"]["name"]}
        offered = choice["name"] in names
    else:
        offered = (
            bool(types) if choice == "required" else choice in ("auto", "none") or choice["type"] in types
        )
    if not offered:
        raise BadBody("'tool_choice' names a tool that is not offered.", "tool_choice", "invalid_value")
    return choice


def _can_force(choice: Any, tools: Sequence[wire.AnyAssistantTool]) -> bool:
    """Whether a call that a choice asks for is one of these tools'."""
    types = {str(tool.__struct_config__.tag) for tool in tools}
    return bool(types) if isinstance(choice, str) else choice["type"] in types


def keep_last_messages(items: Sequence[ContextItem], count: int) -> tuple[ContextItem, ...]:
    """Return the newest ``count`` messages and the items between them, without outputs whose call is missing."""
    indexes = [index for index, context in enumerate(items) if isinstance(context.item, Message)]
    last = items[indexes[-count] :] if len(indexes) > count else items
    calls = {context.item.call_id for context in last if isinstance(context.item, FunctionCall)}
    return tuple(
        context for context in last if not isinstance(context.item, OUTPUTS) or context.item.call_id in calls
    )
