"""What the model sees of the items of hosted tools that a client sends itself, or that are not a step's: MCP calls and
code as calls, refusals as their outputs, lists and requests as nothing. Everything else is a note."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256

import msgspec

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.hosted_items import (
    AdditionalTools,
    AnyHostedItem,
    CodeInterpreterCall,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    ToolSearchCall,
    ToolSearchOutput,
)
from kodo.server.wire.items import FunctionCall, FunctionCallOutput, InputText, Item, Message

PYTHON = "python"
"""The name of the function that stands for a code interpreter."""
NO_OUTPUTS = "[The outputs were not kept.]"
TOOL_SEARCH = "tool_search"
"""The name of the function that stands for a search for tools."""
MAX_NAME = 64
"""Characters of a function's name that every upstream server takes."""


def mcp_function(label: str, name: str) -> str:
    """The name of the function that stands for a tool of an MCP server."""
    full = re.sub(r"[^a-zA-Z0-9_-]", "_", f"{label}__{name}")
    if len(full) <= MAX_NAME and full == f"{label}__{name}":
        return full
    return f"{full[: MAX_NAME - 9]}_{sha256(f'{label} {name}'.encode()).hexdigest()[:8]}"


def approval_requests(items: Sequence[ContextItem]) -> dict[str, McpApprovalRequest]:
    """The requests for an approval in a history, by id."""
    return {
        context.item.id: context.item
        for context in items
        if isinstance(context.item, McpApprovalRequest) and context.item.id
    }


class Recollection:
    """What the model sees of the hosted items of one history. Each look-up table is made once."""

    def __init__(self, items: Sequence[ContextItem]) -> None:
        self._items = items

    @cached_property
    def _requests(self) -> dict[str, McpApprovalRequest]:
        return approval_requests(self._items)

    @cached_property
    def _searches(self) -> dict[str, object]:
        """The arguments of searches for tools, by ``call_id``."""
        calls = [context.item for context in self._items if isinstance(context.item, ToolSearchCall)]
        return {_text(call.call_id): call.arguments for call in calls}

    def recall(self, item: AnyHostedItem) -> tuple[Item, ...] | None:
        """What the model sees of an item; None: a note."""
        if isinstance(item, McpListTools | McpApprovalRequest | ToolSearchCall):
            return ()
        if isinstance(item, AdditionalTools):
            text = f"More tools that you can call:\n{_text(item.tools)}"
            return (Message(id=item.id, role="developer", content=(InputText(text=text),)),)
        if isinstance(item, ToolSearchOutput):
            return self._search(item)
        if isinstance(item, McpCall):
            return _exchange(item.id, item, _text(item.output) or _text(item.error))
        if isinstance(item, McpApprovalResponse):
            return self._answer(item)
        if isinstance(item, CodeInterpreterCall):
            return _code(item)
        return None

    def _answer(self, item: McpApprovalResponse) -> tuple[Item, ...] | None:
        if item.approve is True:
            return ()
        request = self._requests.get(_text(item.approval_request_id))
        if request is None:
            return None
        reason = f": {item.reason}" if isinstance(item.reason, str) and item.reason else "."
        return _exchange(request.id, request, f"The user did not allow this call{reason}")

    def _search(self, item: ToolSearchOutput) -> tuple[Item, ...]:
        """A search for tools, as the call that it was. The output stands behind its call, which holds the arguments."""
        arguments = self._searches.get(_text(item.call_id), {})
        call_id = f"call_{_text(item.call_id) or item.id or 'search'}"[:64]
        return (
            FunctionCall(call_id=call_id, name=TOOL_SEARCH, arguments=_text(arguments) or "{}"),
            FunctionCallOutput(call_id=call_id, output=_text(item.tools) or "[]"),
        )


def _exchange(item_id: str | None, item: McpCall | McpApprovalRequest, output: str) -> tuple[Item, ...]:
    call_id = f"call_{item_id or 'mcp'}"[:64]
    name = mcp_function(_text(item.server_label), _text(item.name))
    return (
        FunctionCall(call_id=call_id, name=name, arguments=_text(item.arguments) or "{}"),
        FunctionCallOutput(call_id=call_id, output=output),
    )


def _code(item: CodeInterpreterCall) -> tuple[Item, ...]:
    """Code that ran, as the call that it was. Outputs are there only where a response was asked to include them."""
    outputs = item.outputs if isinstance(item.outputs, list | tuple) else None
    parts = [one for one in outputs or () if isinstance(one, dict)]
    shown = [_text(one.get("logs")) if one.get("type") == "logs" else "[an image]" for one in parts]
    text = NO_OUTPUTS if outputs is None else "\n".join(shown)
    call_id = f"call_{item.id or 'code'}"[:64]
    arguments = msgspec.json.encode({"code": _text(item.code)}).decode()
    return (
        FunctionCall(call_id=call_id, name=PYTHON, arguments=arguments),
        FunctionCallOutput(call_id=call_id, output=text),
    )


def _text(value: object) -> str:
    if value is None or value is msgspec.UNSET:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
