"""A server that was started here and speaks over its standard input and output: one JSON message a line, of bounded length.

The SDK has such a transport too, but it joins a line in memory however long it becomes. The order in which a server is
stopped is that of the protocol: its input is closed, then its process group is asked to end, then it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from kodo.server.tools.error_output import log_errors
from kodo.server.tools.mcp.excess import TooMuch
from kodo.server.tools.mcp.servers import McpTarget

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

LEAVE_SECONDS: Final = 2.0
"""How long a server may take to end by itself, and again behind a signal that asks it to."""
_BROKEN: Final = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)


@contextlib.asynccontextmanager
async def stdio_transport(
    target: McpTarget, max_bytes: int, on_end: Callable[[TooMuch | None], None]
) -> AsyncIterator[tuple[ObjectReceiveStream[SessionMessage | Exception], ObjectSendStream[SessionMessage]]]:
    """Run the command of ``target`` for the length of a block; the streams are those of the SDK's client.

    ``on_end`` is called when the server's output ends: with an error where a line had more than ``max_bytes`` bytes, for
    which the server is killed.

    Raises:
        OSError: the command cannot be started.
    """
    from mcp.client.stdio import get_default_environment

    process = await asyncio.create_subprocess_exec(
        *target.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=get_default_environment() | dict(target.env),
        cwd=target.cwd,
        start_new_session=True,
        limit=max_bytes,
    )
    read, incoming = anyio.create_memory_object_stream[Any](0)
    outgoing, write = anyio.create_memory_object_stream[Any](0)
    tasks = [
        asyncio.create_task(_receive(process, read, on_end)),
        asyncio.create_task(_send(process, write)),
        asyncio.create_task(_log(process, target.name)),
    ]
    try:
        yield incoming, outgoing
    finally:
        with anyio.CancelScope(shield=True):
            incoming.close()
            outgoing.close()
            await asyncio.wait(tasks[1:2], timeout=LEAVE_SECONDS / 4)  # what was accepted is written
            await _stop(process)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _receive(
    process: asyncio.subprocess.Process,
    messages: ObjectSendStream[SessionMessage | Exception],
    on_end: Callable[[TooMuch | None], None],
) -> None:
    """Hand on what the server writes, until its output ends. A line that is no message is handed on as its error."""
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    excess: TooMuch | None = None
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it was started with a pipe
    async with messages:
        try:
            while True:
                line = (await stdout.readuntil()).decode(errors="replace")
                try:
                    message = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
                except ValueError as error:
                    await messages.send(error)
                else:
                    await messages.send(message)
        except asyncio.LimitOverrunError:
            excess = TooMuch("The server's answer was too large.")
            _signal(process, signal.SIGKILL)
        except (asyncio.IncompleteReadError, *_BROKEN):
            pass  # the server has ended, or the session has
        on_end(excess)
    while await stdout.read(2**16):  # so that a server which has more to say can read that it is to end
        pass


async def _send(process: asyncio.subprocess.Process, messages: ObjectReceiveStream[SessionMessage]) -> None:
    """Write what the session sends, until it or the server ends."""
    stdin = process.stdin
    assert stdin is not None  # noqa: S101 - it was started with a pipe
    with contextlib.suppress(*_BROKEN):
        async for message in messages:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            stdin.write(f"{text}\n".encode())
            await stdin.drain()


async def _log(process: asyncio.subprocess.Process, name: str) -> None:
    """Log what the server writes to its standard error: read in any case, or it would stop when the pipe is full."""
    assert process.stderr is not None  # noqa: S101 - it was started with a pipe
    await log_errors(process.stderr, f"MCP server {name}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a server and what it started."""
    if process.stdin is not None:
        process.stdin.close()
    if await _has_ended(process):
        return
    _signal(process, signal.SIGTERM)
    await _has_ended(process)
    _signal(process, signal.SIGKILL)  # also what it started and left behind
    await _has_ended(process)


async def _has_ended(process: asyncio.subprocess.Process) -> bool:
    """Whether a server ends within ``LEAVE_SECONDS``."""
    try:
        await asyncio.wait_for(process.wait(), LEAVE_SECONDS)
    except TimeoutError:
        return False
    return True


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a server's process group, which has its number, also where the server itself is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
