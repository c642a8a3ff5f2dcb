"""An MCP server with one tool."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

server = MCPServer("stub")


@server.tool()
def echo(text: str) -> str:
    """Say a text back."""
    return f"echoed {text}"


server.run()
