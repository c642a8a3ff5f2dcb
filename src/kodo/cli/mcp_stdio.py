"""Standard input and output for ``kodo mcp``: as the SDK's, with a limit on the size of a message.

The SDK reads lines of any length into memory, several times over, and answers nothing until all of it is checked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import IO, Final, cast

import anyio
import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server

from kodo.sandbox import end_all

MAX_MESSAGE_BYTES: Final = 2**20
"""Bytes of a message of the client; the longest that these tools need is a few hundred."""


class MessageTooLarge(Exception):
    """The client sent a message of more than :data:`MAX_MESSAGE_BYTES`."""


class MessageLines:
    """The lines of a stream, as long as none is too long; ``too_large`` says whether one was. ``ended`` is called at their end."""

    def __init__(self, stream: IO[bytes], ended: Callable[[], None] = lambda: None) -> None:
        self._stream = stream
        self._ended = ended
        self.too_large = False

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines as text; they end with the stream, or before the first line that is too long."""
        while line := await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True):
            yield line.decode(errors="replace")
        self._ended()

    def _read(self) -> bytes:
        line = self._stream.readline(MAX_MESSAGE_BYTES + 1)
        self.too_large = len(line) > MAX_MESSAGE_BYTES
        return b"" if self.too_large else line


def serve(server: MCPServer) -> None:
    """Serve on standard input and output until the client closes its side. What runs in a sandbox then is ended: nobody waits
    for it.

    Raises:
        MessageTooLarge: the client sent a message that is too large; nothing after it was read.
    """
    lines = MessageLines(_take_stdin(), end_all)
    anyio.run(_serve, server, lines)
    if lines.too_large:
        raise MessageTooLarge


async def _serve(server: MCPServer, lines: MessageLines) -> None:
    # What the SDK needs of its stream are the lines; its own type is a file.
    async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (incoming, outgoing):
        core = server._lowlevel_server
        await core.run(incoming, outgoing, core.create_initialization_options())


def _take_stdin() -> IO[bytes]:
    """Standard input for this process alone: what it starts reads from the null device."""
    taken = os.dup(sys.stdin.fileno())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, sys.stdin.fileno())
    os.close(null)
    return os.fdopen(taken, "rb", closefd=False)  # a thread may wait in it until the process ends
