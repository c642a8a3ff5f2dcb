"""The tools of a server: as its listing gives them, as the request allows them, as functions for the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kodo.server.lifecycle.hosted.recall import mcp_function
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.hosted_items import McpListTools
from kodo.server.wire.hosted_tools import McpApproval, McpFilter, McpTool
from kodo.server.wire.tools import FunctionTool


class ListedTool(msgspec.Struct, frozen=True):
    """A tool in an ``mcp_list_tools`` item."""

    name: str
    input_schema: Any = None
    description: str | None = None
    annotations: Any = None

    @property
    def is_read_only(self) -> bool:
        """Whether the server says that it changes nothing."""
        return isinstance(self.annotations, dict) and self.annotations.get("readOnlyHint") is True


def listed(label: str, items: Sequence[ContextItem]) -> list[ListedTool] | None:
    """The tools of a server in the newest listing of a history; None: it is not listed. A tool that cannot be read is
    left out: a client may have sent the item."""
    for context in reversed(items):
        item = context.item
        if not isinstance(item, McpListTools) or item.server_label != label:
            continue
        tools = item.tools if isinstance(item.tools, list | tuple) else ()
        if tools or not isinstance(item.error, str):
            return [tool for raw in tools if (tool := _read(raw)) is not None]
    return None


def _read(raw: object) -> ListedTool | None:
    try:
        return msgspec.convert(raw, ListedTool)
    except msgspec.ValidationError:
        return None


def allowed(entry: McpTool, tools: Sequence[ListedTool]) -> list[ListedTool]:
    """Those that the request allows."""
    rule = entry.allowed_tools
    if isinstance(rule, tuple):
        return [tool for tool in tools if tool.name in rule]
    if isinstance(rule, McpFilter):
        return [tool for tool in tools if _fits(rule, tool, empty=True)]
    return list(tools)


def needs_approval(entry: McpTool, tool: ListedTool) -> bool:
    """Whether a person has to approve a call of a tool: yes, unless the request says no."""
    rule = entry.require_approval
    if rule == "never":
        return False
    if not isinstance(rule, McpApproval):
        return True
    if isinstance(rule.always, McpFilter) and _fits(rule.always, tool, empty=False):
        return True
    return not (isinstance(rule.never, McpFilter) and _fits(rule.never, tool, empty=False))


def _fits(rule: McpFilter, tool: ListedTool, *, empty: bool) -> bool:
    """Whether a filter fits a tool. ``empty``: whether one that says nothing does."""
    names, read_only = rule.tool_names, rule.read_only
    if not isinstance(names, tuple) and not isinstance(read_only, bool):
        return empty
    if isinstance(names, tuple) and tool.name not in names:
        return False
    return not isinstance(read_only, bool) or read_only == tool.is_read_only


def function(entry: McpTool, tool: ListedTool) -> FunctionTool:
    """The function that stands for a tool."""
    schema = tool.input_schema
    is_object = isinstance(schema, dict) and schema.get("type", "object") == "object"
    parameters: dict[str, Any] = schema if is_object else {"type": "object"}
    return FunctionTool(
        name=mcp_function(entry.server_label, tool.name),
        description=tool.description,
        parameters=parameters,
        strict=False,
    )
