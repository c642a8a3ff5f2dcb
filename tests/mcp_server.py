"""An MCP server for tests, made with the official SDK: served over HTTP in the test's own loop, or over standard input
(``python -m tests.mcp_server JOURNAL``)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from starlette.types import ASGIApp, Receive, Scope, Send

READ = ToolAnnotations(read_only_hint=True)


def build(journal: Path) -> MCPServer:
    """A server with a few tools. ``journal`` gets a line for each call."""
    server = MCPServer("tests")

    def note(word: str) -> None:
        with journal.open("a") as file:
            file.write(f"{word}\n")

    @server.tool(annotations=READ)
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        note(f"add {a} {b}")
        return str(a + b)

    @server.tool()
    async def write(text: str, seconds: float = 0) -> str:
        """Write a text down."""
        note(f"write {text}")
        await asyncio.sleep(seconds)
        note(f"wrote {text}")
        return f"written: {text}"

    @server.tool(annotations=READ)
    async def hang() -> str:
        """Never answer in time."""
        note("hang")
        await asyncio.sleep(600)
        return "late"

    @server.tool(annotations=READ)
    def fail(reason: str) -> str:
        """Fail."""
        raise ValueError(reason)

    @server.tool(annotations=READ)
    def whoami(ctx: Context) -> str:
        """The headers that came with the call."""
        request = ctx.request_context.request
        headers = {} if request is None else dict(request.headers)
        return json.dumps({name: headers.get(name) for name in ("authorization", "x-extra")})

    @server.tool(annotations=READ)
    def large(size: int) -> str:
        """A large answer."""
        return "x" * size

    return server


@dataclass
class HttpServer:
    """A server that is reached over HTTP."""

    url: str
    requests: list[dict[str, str]] = field(default_factory=list)
    """Headers of the requests."""


@contextlib.asynccontextmanager
async def served_mcp(
    journal: Path, kind: Literal["http", "sse"] = "http", port: int = 0
) -> AsyncIterator[HttpServer]:
    """Serve for the length of a block."""
    server = build(journal)
    inner: ASGIApp = server.streamable_http_app() if kind == "http" else server.sse_app()
    found = HttpServer("")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            found.requests.append({key.decode(): value.decode() for key, value in scope["headers"]})
        await inner(scope, receive, send)

    async with listening(app, port) as url:
        found.url = f"{url}{'/mcp' if kind == 'http' else '/sse'}"
        yield found


@contextlib.asynccontextmanager
async def listening(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """An application on a port of 127.0.0.1, for the length of a block; its base URL."""
    listener = socket.create_server(("127.0.0.1", port))
    web = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    web.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the test runner has its own
    task = asyncio.create_task(web.serve(sockets=[listener]))
    try:
        while not web.started:
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        web.should_exit = True
        await task
        listener.close()


if __name__ == "__main__":
    if len(sys.argv) > 2:  # a server that takes its time to start
        time.sleep(float(sys.argv[2]))
    build(Path(sys.argv[1])).run()
