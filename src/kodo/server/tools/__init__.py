"""Tools that the server runs itself, one folder each, over :class:`~kodo.server.lifecycle.hosted.ports.HostedTool`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib.util import find_spec

from kodo.server.config import Settings
from kodo.server.lifecycle.containers import Containers
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.hosted.ports import HostedTool
from kodo.server.lifecycle.ports import FileReader
from kodo.server.lifecycle.retrieval.ports import TextReader
from kodo.server.lifecycle.retrieval.search import Retrieval
from kodo.server.lifecycle.store_ports import Store
from kodo.server.tools.code_interpreter.shell import ShellHostedTool
from kodo.server.tools.code_interpreter.tool import CodeInterpreterHostedTool
from kodo.server.tools.file_search.tool import FileSearchHostedTool
from kodo.server.tools.mcp.tool import McpHostedTool
from kodo.server.tools.tool_search.tool import ToolSearchHostedTool
from kodo.server.tools.web_search.assembly import open_web_search


async def open_tools(
    settings: Settings,
    store: Store,
    files: FileReader,
    stack: AsyncExitStack,
    retrieval: Retrieval | None = None,
    containers: Containers | None = None,
    *,
    read: TextReader,
) -> Mapping[str, HostedTool]:
    """The tools that the settings turn on, by the type of their entries in a request.

    ``stack`` closes them; ``read`` turns pages into text. A type that is not turned on is left out; :data:`kodo.server.wire.tools.HOSTED_TOOLS` tells a
    client how to turn it on.

    Raises:
        ServiceError: a tool is turned on whose packages are not installed; the message says which extra has them.
    """
    tools: list[HostedTool] = [ToolSearchHostedTool()]
    if retrieval is not None:
        tools.append(FileSearchHostedTool(retrieval))
    if containers is not None:
        tools += [CodeInterpreterHostedTool(containers), ShellHostedTool(containers)]
    if settings.tools.mcp.servers or settings.tools.mcp.allowed_urls:
        if find_spec("mcp") is None:
            raise ServiceError(
                "The settings name MCP servers, but the SDK is missing: pip install '.[mcp]' in kodo's repository."
            )
        mcp = McpHostedTool(settings.tools.mcp)
        stack.push_async_callback(mcp.close)
        tools.append(mcp)
    if settings.tools.web_search.backend is not None:
        if find_spec("trafilatura") is None:
            raise ServiceError(
                "The settings name a search service, but the reader of pages is missing: pip install '.[search]' in kodo's repository."
            )
        search = open_web_search(settings.tools.web_search, read)
        stack.push_async_callback(search.close)
        tools.append(search)
    return {kind: tool for tool in tools for kind in tool.types}
