"""What the model sees of the items of hosted tools that a client sends itself, or that are not a step's: MCP calls as
calls, refusals as their outputs, lists and requests as nothing. Everything else is a note."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.hosted_items import (
    AnyHostedItem,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
)
from kodo.server.wire.items import FunctionCall, FunctionCallOutput, Item

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


def recall(item: AnyHostedItem, items: Sequence[ContextItem]) -> tuple[Item, ...] | None:
    """What the model sees of an item in the history ``items``; None: a note."""
    if isinstance(item, McpListTools | McpApprovalRequest):
        return ()
    if isinstance(item, McpCall):
        return _exchange(item.id, item, _text(item.output) or _text(item.error))
    if isinstance(item, McpApprovalResponse):
        if item.approve is True:
            return ()
        request = approval_requests(items).get(str(item.approval_request_id))
        if request is None:
            return None
        reason = f": {item.reason}" if isinstance(item.reason, str) and item.reason else "."
        return _exchange(request.id, request, f"The user did not allow this call{reason}")
    return None


def _exchange(item_id: str | None, item: McpCall | McpApprovalRequest, output: str) -> tuple[Item, ...]:
    call_id = f"call_{item_id or 'mcp'}"[:64]
    name = mcp_function(_text(item.server_label), _text(item.name))
    return (
        FunctionCall(call_id=call_id, name=name, arguments=_text(item.arguments) or "{}"),
        FunctionCallOutput(call_id=call_id, output=output),
    )


def _text(value: object) -> str:
    if value is None or value is msgspec.UNSET:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
