"""Tools that the server runs itself, one folder each, over :class:`~kodo.server.lifecycle.hosted.ports.HostedTool`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib.util import find_spec

from kodo.server.config import Settings
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.hosted.ports import HostedTool
from kodo.server.lifecycle.ports import FileReader
from kodo.server.lifecycle.retrieval.search import Retrieval
from kodo.server.lifecycle.store_ports import Store
from kodo.server.tools.file_search.tool import FileSearchHostedTool
from kodo.server.tools.mcp.tool import McpHostedTool
from kodo.server.tools.tool_search.tool import ToolSearchHostedTool


async def open_tools(
    settings: Settings,
    store: Store,
    files: FileReader,
    stack: AsyncExitStack,
    retrieval: Retrieval | None = None,
) -> Mapping[str, HostedTool]:
    """The tools that the settings turn on, by the type of their entries in a request.

    ``stack`` closes them. A type that is not turned on is left out; :data:`kodo.server.wire.tools.HOSTED_TOOLS` tells a
    client how to turn it on.

    Raises:
        ServiceError: a tool is turned on whose packages are not installed; the message says which extra has them.
    """
    tools: list[HostedTool] = [ToolSearchHostedTool()]
    if retrieval is not None:
        tools.append(FileSearchHostedTool(retrieval))
    if settings.tools.mcp.servers or settings.tools.mcp.allowed_urls:
        if find_spec("mcp") is None:
            raise ServiceError(
                "The settings name MCP servers, but the SDK is missing: pip install 'kodo[mcp]'."
            )
        mcp = McpHostedTool(settings.tools.mcp)
        stack.push_async_callback(mcp.close)
        tools.append(mcp)
    return {kind: tool for tool in tools for kind in tool.types}
