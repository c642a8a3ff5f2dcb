"""Tools that are shown to the model later: those of ``defer_loading`` once a search has found them, and those that items
of the history bring along (``tool_search_output``, ``additional_tools``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.hosted.ports import Deferred
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.wire.decode import BadBody, convert, is_clients_search, kind_of
from kodo.server.wire.hosted_items import AdditionalTools, ToolSearchOutput
from kodo.server.wire.hosted_tools import ToolSearchTool
from kodo.server.wire.tools import HOSTED_TOOLS, CustomTool, FunctionTool, NamespaceTool, RequestTool, Tool

Inner = FunctionTool | CustomTool
Found = tuple[str | None, Inner]
"""A namespace and a tool in it."""


def has_loaded(items: Sequence[ContextItem]) -> bool:
    """Whether items bring tools along."""
    return bool(_bringing(items))


def loaded(items: Sequence[ContextItem]) -> list[Found]:
    """The tools that items bring along, in their order, each once. Those that the server would have to run are left out, as
    :func:`kodo.server.wire.decode.skipped_tools` names them; :func:`brought_search` has the client's search.

    Raises:
        InvalidRequest: one of them is no tool, or one of the client's without a name; or ``additional_tools`` has none but
            such as are left out.
    """
    found: dict[tuple[str | None, str], Found] = {}
    for item in _bringing(items):
        brought = _listed(item)
        own = [raw for raw in brought if kind_of(raw) not in HOSTED_TOOLS]
        if (
            isinstance(item, AdditionalTools)
            and brought
            and not own
            and not any(map(is_clients_search, brought))
        ):
            raise InvalidRequest(f"Items bring no tools of type '{kind_of(brought[0])}'.", param="input")
        for raw in own:
            for namespace, tool in flat(_read(raw)):
                found.setdefault((namespace, tool.name), (namespace, tool))
    return list(found.values())


def brought_search(items: Sequence[ContextItem]) -> ToolSearchTool | None:
    """The client's search for tools that items bring along: Codex CLI lists it beside its other tools in
    ``additional_tools``. The newest counts.

    Raises:
        InvalidRequest: it is not valid.
    """
    found = None
    for item in _bringing(items):
        for raw in filter(is_clients_search, _listed(item)):
            tool = _convert(raw)
            found = tool if isinstance(tool, ToolSearchTool) else found
    return found


def _bringing(items: Sequence[ContextItem]) -> list[ToolSearchOutput | AdditionalTools]:
    return [one.item for one in items if isinstance(one.item, ToolSearchOutput | AdditionalTools)]


def _listed(item: ToolSearchOutput | AdditionalTools) -> Sequence[object]:
    return item.tools if isinstance(item.tools, list | tuple) else ()


def _convert(raw: object) -> RequestTool:
    fields = {key: value for key, value in raw.items() if value is not None} if isinstance(raw, dict) else raw
    try:
        tool: RequestTool = convert(fields, RequestTool, "tools[]")
    except BadBody as error:
        raise InvalidRequest(f"A loaded tool is not valid: {error.message}", param="input") from None
    return tool


def _read(raw: object) -> FunctionTool | CustomTool | NamespaceTool:
    tool = _convert(raw)
    if not isinstance(tool, FunctionTool | CustomTool | NamespaceTool):
        raise InvalidRequest(
            "Only functions, custom tools and namespaces can be loaded by an item.", param="input"
        )
    return tool


def flat(tool: FunctionTool | CustomTool | NamespaceTool) -> Iterator[Found]:
    """A tool with its namespace, or the tools of one."""
    if isinstance(tool, NamespaceTool):
        yield from ((tool.name, inner) for inner in tool.tools)
    else:
        yield None, tool


def split(tool: Tool) -> tuple[Tool | None, list[Deferred]]:
    """A tool without what is deferred in it (None: all of it is), and what is deferred."""
    if isinstance(tool, NamespaceTool):
        now = tuple(inner for inner in tool.tools if inner.defer_loading is not True)
        later = [
            Deferred(namespace=tool.name, tool=inner, about=tool.description or "")
            for inner in tool.tools
            if inner.defer_loading is True
        ]
        if not later:
            return tool, []
        return (msgspec.structs.replace(tool, tools=now) if now else None), later
    if isinstance(tool, FunctionTool | CustomTool) and tool.defer_loading is True:
        return None, [Deferred(tool=tool)]
    return tool, []


def definition(found: Sequence[Deferred]) -> list[dict[str, Any]]:
    """Deferred tools in the contract's form, those of a namespace together, as items carry them."""
    result: list[dict[str, Any]] = []
    spaces: dict[str, dict[str, Any]] = {}
    for one in found:
        tool = {key: value for key, value in msgspec.to_builtins(one.tool).items() if value is not None}
        if one.namespace is None:
            result.append(tool)
            continue
        if one.namespace not in spaces:
            space = {"type": "namespace", "name": one.namespace, "description": one.about, "tools": []}
            spaces[one.namespace] = space
            result.append(space)
        spaces[one.namespace]["tools"].append(tool)
    return result


def later(namespace: str | None, tool: Inner) -> Tool:
    """A loaded tool as the engine is given it: marked, so that the beginning of the prompt stays as it was."""
    marked = msgspec.structs.replace(tool, defer_loading=True)
    return marked if namespace is None else NamespaceTool(name=namespace, tools=(marked,))
