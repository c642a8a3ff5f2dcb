"""The processes of one container: started in the sandbox, spoken to over pipes, and ended together.

``inside/agent.py`` is at the other end. What it says is checked as a stranger's would be: the code that runs beside it
may have taken it over, and then it can lie about its own container, and about nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from kodo.sandbox import LIB, PYTHON, ResourceLimits, Sandbox
from kodo.server.lifecycle.process_end import wait_until_gone
from kodo.server.wire.containers import FOLDER

GRACE_SECONDS: Final = 5.0
"""What an answer may take beyond the time that its request names."""
START_SECONDS: Final = 30.0
END_SECONDS: Final = 10.0
"""How long the end of processes that were killed is waited for."""
MAX_LINE: Final = 64 * 2**10
_BROKEN: Final = (
    OSError,
    TimeoutError,
    ValueError,
    EOFError,
    asyncio.LimitOverrunError,
    msgspec.MsgspecError,
)
_PID_NAMESPACE: Final = Path("/proc/self/ns/pid")
_INSIDE: Final = f"{LIB}/kodo/server/http/containers/inside"


class ContainerDied(Exception):
    """The processes are gone, or were ended because they did not answer as they must."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The line that an answer begins with; which fields there are depends on the request."""

    size: int = 0
    ended: str = ""
    code: int = 0
    out: int = 0
    stamp: int = 0
    cut: bool = False
    clean: bool = True
    more: bool = False
    error: str = ""


@dataclass
class ContainerProcess:
    """The sandbox of a container. Requests are made one at a time."""

    process: asyncio.subprocess.Process
    stack: ExitStack
    alive: bool = True

    @classmethod
    async def start(cls, sandbox: Sandbox, limits: ResourceLimits, disk_bytes: int) -> Self:
        """Start the agent.

        Raises:
            ContainerDied: it does not start.
        """
        stack = ExitStack()
        path = os.pathsep.join([str(sandbox.python.parent), "/usr/bin", "/bin"])
        environment = {
            "PATH": path,
            "MPLBACKEND": "Agg",
            "MPLCONFIGDIR": "/tmp",  # noqa: S108 - inside
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8:backslashreplace",
        }
        launch = sandbox.launch(
            [
                PYTHON,
                "-I",
                "-S",
                f"{_INSIDE}/agent.py",
                PYTHON,
                f"{_INSIDE}/kernel.py",
                FOLDER,
                str(_PID_NAMESPACE.readlink()),
            ],
            limits=limits,
            env=environment,
            folders={FOLDER: disk_bytes},
            cwd="/",
        )
        try:
            ready = await asyncio.to_thread(stack.enter_context, launch)
            process = await asyncio.create_subprocess_exec(
                *ready.argv,
                env=ready.env,
                cwd=ready.cwd,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=ready.fds,
                start_new_session=True,
                limit=MAX_LINE,
            )
        except BaseException:
            await asyncio.to_thread(stack.close)
            raise
        made = cls(process, stack)
        try:
            await made.request({"do": "list", "most": 1}, seconds=START_SECONDS, most=MAX_LINE)
        except asyncio.CancelledError:
            await asyncio.shield(made.end())
            raise
        return made

    async def request(
        self, header: dict[str, Any], body: bytes = b"", *, seconds: float, most: int
    ) -> tuple[Reply, bytes]:
        """Ask for something; the answer has at most ``most`` bytes.

        Raises:
            ContainerDied: there is no answer in time, or none that is one. The processes are ended then, and also where
                the caller is cancelled.
        """
        if not self.alive:
            raise ContainerDied("it is not running")
        try:
            async with asyncio.timeout(seconds + GRACE_SECONDS):
                return await self._exchange({**header, "size": len(body)}, body, most)
        except _BROKEN as error:
            await self.end()
            raise ContainerDied(str(error) or type(error).__name__) from error
        except asyncio.CancelledError:
            self.kill()
            raise

    async def end(self) -> None:
        """End the processes and what they held. Safe to call twice."""
        self.kill()
        await wait_until_gone(self.process, END_SECONDS)
        await asyncio.to_thread(self.stack.close)

    def kill(self) -> None:
        """End the processes at once; :meth:`end` has to follow."""
        self.alive = False
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def _exchange(self, header: dict[str, Any], body: bytes, most: int) -> tuple[Reply, bytes]:
        send, receive = self.process.stdin, self.process.stdout
        if send is None or receive is None:
            raise EOFError("it has no pipes")
        send.write(msgspec.json.encode(header) + b"\n" + body)
        await send.drain()
        line = await receive.readuntil()
        reply = msgspec.json.decode(line, type=Reply)
        if not 0 <= reply.size <= most or not 0 <= reply.out <= reply.size:
            raise ValueError("it answered with more than was asked for")
        return reply, await receive.readexactly(reply.size)
