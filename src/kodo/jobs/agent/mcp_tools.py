"""The tools of MCP servers as tools of the agent, by the official SDK (extra ``mcp``).

One event loop in a thread of its own holds the connections; calls come from the agent's thread. A tool counts as one that
reads only if its server says so (``readOnlyHint``) and the user trusts the server (``trusted``); otherwise it needs an approval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from kodo.client.errors import SettingsError
from kodo.client.settings import McpServerSettings
from kodo.jobs.agent.tool import Tool, ToolError

if TYPE_CHECKING:
    import mcp
    from mcp import types

SEPARATOR = "__"
"""Between the server's name and the tool's."""


@contextmanager
def mcp_tools(servers: Mapping[str, McpServerSettings]) -> Iterator[list[Tool]]:
    """Connect to servers and give their tools, named ``SERVER__TOOL``, for as long as the block runs.

    Raises:
        SettingsError: a server cannot be reached or started, or does not list its tools.
    """
    if not servers:
        yield []
        return
    failure: BaseException | None = None
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        tools: list[Tool] = []
        for name, settings in servers.items():
            try:
                client = stack.enter_context(portal.wrap_async_context_manager(_client(settings)))
                listed = portal.call(client.list_tools).tools
            except Exception as error:
                raise SettingsError(f"mcp server {name!r}: {_reason(error)}") from error
            tools += [_tool(portal, client, name, one, settings) for one in listed]
        try:
            yield tools
        except BaseException as error:  # noqa: BLE001 - raised below
            failure = error  # leaving the connections with it would put it into a group of theirs
    if failure is not None:
        raise failure


def _client(settings: McpServerSettings) -> mcp.Client:
    import mcp

    if settings.url is not None:
        return mcp.Client(settings.url, read_timeout_seconds=settings.timeout)
    program, *arguments = settings.command
    parameters = mcp.StdioServerParameters(command=program, args=arguments, env=dict(settings.env) or None)
    return mcp.Client(parameters, read_timeout_seconds=settings.timeout)


def _tool(
    portal: BlockingPortal, client: mcp.Client, server: str, listed: types.Tool, settings: McpServerSettings
) -> Tool:
    def run(arguments: Mapping[str, Any]) -> str:
        try:
            result = portal.call(client.call_tool, listed.name, dict(arguments))
        except Exception as error:
            raise ToolError(f"{listed.name}: {_reason(error)}") from error
        text = "\n".join(_text(part) for part in result.content)
        if result.is_error:
            raise ToolError(text or f"{listed.name} failed")
        return text

    reads = bool(settings.trusted and listed.annotations is not None and listed.annotations.read_only_hint)
    return Tool(
        f"{server}{SEPARATOR}{listed.name}"[:64],
        listed.description or listed.name,
        listed.input_schema,
        run,
        "read" if reads else "write",
    )


def _text(part: types.ContentBlock) -> str:
    """A part of a result as text; what is not text is named, not sent."""
    text = getattr(part, "text", None)
    return text if isinstance(text, str) else f"[{part.type} left out]"


def _reason(error: BaseException) -> str:
    """The first error that is no group, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
