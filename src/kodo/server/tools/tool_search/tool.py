"""``{"type": "tool_search"}``: finds deferred tools by their names and descriptions, or lets the client do it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from kodo.server.lifecycle.hosted.loaded import definition
from kodo.server.lifecycle.hosted.ports import Announced, Deferred, Done, HostedCall, ToolContext, ToolUpdate
from kodo.server.lifecycle.hosted.recall import TOOL_SEARCH
from kodo.server.tools.tool_search.ranking import rank
from kodo.server.wire.foreign_json import NotJson, read_json
from kodo.server.wire.hosted_items import ToolSearchCall, ToolSearchOutput
from kodo.server.wire.hosted_tools import HostedChoice, HostedToolEntry, ToolSearchTool
from kodo.server.wire.items import Item
from kodo.server.wire.tools import FunctionTool

MAX_FOUND: Final = 5
"""Tools that one search loads."""
_PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What the tool should do, in a few words."}},
    "required": ["query"],
    "additionalProperties": False,
}
_DESCRIPTION: Final = "Search for more tools. The tools that are found can be called afterwards."


class ToolSearchHostedTool:
    """The search for tools."""

    types: Final = frozenset({"tool_search"})

    async def declare(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[FunctionTool]:
        """See :class:`~kodo.server.lifecycle.hosted.ports.HostedTool`. Declared also once all is loaded: the prompt's
        beginning stays as it was."""
        search = _entry(entry)
        parameters, description = _PARAMETERS, _DESCRIPTION
        if _is_clients(search):
            parameters = search.parameters if isinstance(search.parameters, dict) else parameters
            description = search.description if isinstance(search.description, str) else description
        return [FunctionTool(name=TOOL_SEARCH, description=description, parameters=parameters, strict=False)]

    def chosen(self, choice: HostedChoice, functions: Sequence[FunctionTool]) -> Sequence[str]:
        """See the port; the contract has no such choice."""
        return []

    def openings(self, entry: HostedToolEntry, context: ToolContext) -> Sequence[HostedCall]:
        """See the port."""
        return []

    def announce(self, call: HostedCall, context: ToolContext) -> Announced:
        """See the port."""
        return Announced(item=_call_item(call, "in_progress"), effect="none")

    async def run(self, call: HostedCall, context: ToolContext) -> AsyncIterator[ToolUpdate]:
        """See the port."""
        item = _call_item(call, "completed")
        if _is_clients(_entry(call.entry)):
            yield Done(item=item, output=None)
            return
        found = definition(_find(_query(item.arguments), context.deferred))
        output = ToolSearchOutput(call_id=None, execution="server", tools=found, status="completed")
        text = json.dumps(found, ensure_ascii=False) if found else "No tool fits."
        yield Done(item=item, output=text, more=(output,))

    def failed(self, call: HostedCall, announced: Item, message: str) -> Done:
        """See the port."""
        item = msgspec.structs.replace(announced, status="incomplete")
        return Done(item=item, output=f"The search failed: {message}")


def _find(query: str, deferred: Sequence[Deferred]) -> list[Deferred]:
    documents = [
        f"{one.namespace or ''} {one.tool.name} {one.tool.description or ''} {one.about}" for one in deferred
    ]
    return [deferred[index] for index, _ in rank(query, documents)[:MAX_FOUND]]


def _call_item(call: HostedCall, status: str) -> ToolSearchCall:
    client = _is_clients(_entry(call.entry))
    try:
        arguments = read_json(call.arguments or "{}")
    except NotJson:
        arguments = {"query": call.arguments}
    return ToolSearchCall(
        call_id=call.call_id if client else None,
        execution="client" if client else "server",
        arguments=arguments if isinstance(arguments, dict) else {"query": str(arguments)},
        status=status,
    )


def _query(arguments: object) -> str:
    """What is searched for: every text in the arguments."""
    values = arguments.values() if isinstance(arguments, dict) else []
    return " ".join(str(value) for value in values)


def _entry(entry: HostedToolEntry) -> ToolSearchTool:
    if not isinstance(entry, ToolSearchTool):
        raise TypeError("not an entry of type tool_search")
    return entry


def _is_clients(entry: ToolSearchTool) -> bool:
    return entry.execution == "client"
