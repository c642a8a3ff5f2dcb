"""The hosted tools that the contract suite runs over, each with an entry and arguments that it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.journal_tool import JournalTool
from tests.mcp_server import served_mcp
from tests.web import search_settings, served_web

from kodo.server.config import McpServerSettings, McpSettings
from kodo.server.lifecycle.hosted.ports import Deferred, HostedTool
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.tools.mcp.tool import McpHostedTool
from kodo.server.tools.tool_search.tool import ToolSearchHostedTool
from kodo.server.tools.web_search.opening import open_web_search
from kodo.server.wire.hosted_items import McpListTools
from kodo.server.wire.hosted_tools import HostedToolEntry, McpTool, ToolSearchTool, WebSearchTool
from kodo.server.wire.tools import FunctionTool


@dataclass(frozen=True)
class Case:
    """A tool, an entry, and a call that works. ``items``: what the history holds by then."""

    tool: HostedTool
    entry: HostedToolEntry
    name: str
    arguments: str
    items: tuple[ContextItem, ...] = ()
    deferred: tuple[Deferred, ...] = ()


@asynccontextmanager
async def journal(tmp_path: Path) -> AsyncIterator[Case]:
    """The tests' own tool."""
    yield Case(JournalTool(tmp_path / "journal"), WebSearchTool(), "look_up", '{"q": "tea"}')


@asynccontextmanager
async def tool_search(tmp_path: Path) -> AsyncIterator[Case]:
    """The search for tools."""
    deferred = (Deferred(tool=FunctionTool(name="get_weather", description="Weather")),)
    yield Case(
        ToolSearchHostedTool(), ToolSearchTool(), "tool_search", '{"query": "weather"}', deferred=deferred
    )


@asynccontextmanager
async def mcp(tmp_path: Path) -> AsyncIterator[Case]:
    """A server over HTTP."""
    async with served_mcp(tmp_path / "journal") as server:
        tool = McpHostedTool(McpSettings(servers={"calc": McpServerSettings(url=server.url)}))
        listed = McpListTools(
            id="mcpl_1",
            server_label="calc",
            tools=[
                {"name": "add", "input_schema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
            ],
        )
        try:
            yield Case(
                tool,
                McpTool(server_label="calc", require_approval="never"),
                "calc__add",
                '{"a": 2, "b": 3}',
                items=(ContextItem(item=listed),),
            )
        finally:
            await tool.close()


@asynccontextmanager
async def web_search(tmp_path: Path) -> AsyncIterator[Case]:
    """The search on the web, over a small one."""
    async with served_web() as (_, port):
        tool = open_web_search(search_settings(port), _no_reader)
        try:
            yield Case(tool, WebSearchTool(), "web_search", '{"query": "green tea"}')
        finally:
            await tool.close()


async def _no_reader(path: Path, name: str) -> str:
    return path.read_text()


CASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Case]]] = {
    "journal": journal,
    "tool_search": tool_search,
    "mcp": mcp,
    "web_search": web_search,
}
