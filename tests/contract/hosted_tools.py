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
from kodo.server.lifecycle.containers import CodeResult
from kodo.server.lifecycle.hosted.ports import Deferred, HostedTool
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.tools.code_interpreter.shell import ShellHostedTool
from kodo.server.tools.code_interpreter.tool import CodeInterpreterHostedTool
from kodo.server.tools.mcp.tool import McpHostedTool
from kodo.server.tools.tool_search.tool import ToolSearchHostedTool
from kodo.server.tools.web_search.assembly import open_web_search
from kodo.server.wire.containers import AutoContainer, ContainerFile
from kodo.server.wire.hosted_items import McpListTools
from kodo.server.wire.hosted_tools import (
    CodeInterpreterTool,
    ContainerShellTool,
    HostedToolEntry,
    McpTool,
    ToolSearchTool,
    WebSearchTool,
)
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


class StandInContainers:
    """Containers in which everything works and nothing runs: what does run is tested where the machine isolates it."""

    def __init__(self) -> None:
        self.active: set[str] = set()

    async def require(self) -> None:
        """Code may run."""

    def is_active(self, owner: str, container_id: str) -> bool:
        """Those that were made."""
        return container_id in self.active

    async def check(self, owner: str, container_id: str, *, param: str) -> None:
        """Every one is there."""

    async def check_auto(self, owner: str, wanted: AutoContainer, *, param: str) -> None:
        """Everything can be honoured."""

    async def ensure(self, owner: str, container_id: str, wanted: AutoContainer) -> None:
        """Made."""
        self.active.add(container_id)

    async def run_code(self, owner: str, container_id: str, code: str) -> CodeResult:
        """It says what it was given, and makes a file."""
        file = ContainerFile(
            id="cfile_1",
            created_at=1,
            container_id=container_id,
            path="/mnt/data/a.txt",
            bytes=1,
            source="assistant",
        )
        return CodeResult(ended="ok" if code else "error", stdout=code[:1000], files=(file,))

    async def run_command(
        self, owner: str, container_id: str, command: str, *, seconds: float | None, max_chars: int | None
    ) -> CodeResult:
        """The same of a command."""
        return CodeResult(ended="ok", stdout=command[:1000], exit_code=0)


@asynccontextmanager
async def code_interpreter(tmp_path: Path) -> AsyncIterator[Case]:
    """Python in a container."""
    entry = CodeInterpreterTool(container={"type": "auto"})
    yield Case(CodeInterpreterHostedTool(StandInContainers()), entry, "python", '{"code": "print(1)"}')


@asynccontextmanager
async def shell(tmp_path: Path) -> AsyncIterator[Case]:
    """Commands in a container."""
    entry = ContainerShellTool(environment={"type": "container_auto"})
    yield Case(ShellHostedTool(StandInContainers()), entry, "shell", '{"commands": ["ls", "pwd"]}')


CASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Case]]] = {
    "journal": journal,
    "tool_search": tool_search,
    "mcp": mcp,
    "web_search": web_search,
    "code_interpreter": code_interpreter,
    "shell": shell,
}
