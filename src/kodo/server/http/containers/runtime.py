"""The containers that run: starts their processes when they are first needed, and ends those that nobody uses.

Knows no store and no owner. That code may run at all is found out once, by the sandbox's probes, before the first container.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kodo.sandbox import ResourceLimits, Sandbox, SandboxError
from kodo.server.config import CodeInterpreterSettings
from kodo.server.http.containers.process import ContainerDied, ContainerProcess
from kodo.server.lifecycle.errors import InvalidRequest, Overloaded

logger = logging.getLogger(__name__)

_READABLE = (Path("/etc/fonts"),)
"""Of the machine's settings, what drawing needs."""
TMP_BYTES = 64 * 2**20
"""Of /tmp and of /dev/shm, each."""


@dataclass
class RunningContainer:
    """A container that runs or has run here. ``lock``: it does one thing at a time."""

    memory_bytes: int
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: ContainerProcess | None = None
    inside: dict[str, tuple[str, int, tuple[int, int]]] = field(default_factory=dict)
    """The files in it, by path: document, version of its bytes, size and time of the last change."""
    used: float = 0.0
    has_run: bool = False
    fresh: bool = True
    """Whether a call has run in it, and none in the processes of now: the variables of the earlier ones are lost."""
    users: int = 0


class ContainerRuntime:
    """The processes of all containers."""

    def __init__(self, settings: CodeInterpreterSettings) -> None:
        self._settings = settings
        self._running: dict[str, RunningContainer] = {}
        self._probe: asyncio.Task[str] | None = None
        self._sandbox = _sandbox(settings.python)
        self._starting = asyncio.Lock()

    async def require(self) -> None:
        """Make sure that the isolation is full. Raises ``InvalidRequest``: it is not, and why."""
        if self._probe is None:
            self._probe = asyncio.create_task(
                asyncio.to_thread(refusal, self._settings.python), name="the sandbox's probes"
            )
        probe = self._probe
        try:
            why = await asyncio.shield(probe)
        except Exception:
            if self._probe is probe:
                self._probe = None  # it could not be found out now: the next request tries again
            raise
        if why:
            raise InvalidRequest(f"This server runs no code: {why}", param="type", code="unsupported_tool")

    async def close(self) -> None:
        """End everything that runs."""
        for container_id in list(self._running):
            await self.stop(container_id)

    async def stop(self, container_id: str) -> None:
        """End the processes of a container and forget it; a call that runs in it ends as one that died."""
        entry = self._running.pop(container_id, None)
        if entry is not None and entry.process is not None:
            await entry.process.end()

    @asynccontextmanager
    async def running(self, container_id: str, memory_bytes: int) -> AsyncIterator[RunningContainer]:
        """A container for the length of one call, which is alone in it; its processes run.

        Raises:
            Overloaded: as many as may run are in use, or it does not start.
        """
        entry = self._running.setdefault(container_id, RunningContainer(memory_bytes))
        entry.users += 1
        try:
            async with entry.lock:
                if entry.process is None or not entry.process.alive:
                    async with self._starting:
                        await self._start(entry)
                yield entry
                entry.used = time.monotonic()
        finally:
            entry.users -= 1
            process = entry.process
            is_stopped = not entry.users and self._running.get(container_id) is not entry
            if process is not None and (is_stopped or not process.alive):
                await asyncio.shield(process.end())
                if entry.process is process:  # the next call may have started another one meanwhile
                    entry.process = None

    async def _start(self, entry: RunningContainer) -> None:
        await self._make_room(entry)
        entry.inside.clear()
        entry.fresh = True
        limits = ResourceLimits(
            wall_seconds=self._settings.run_seconds,
            cpu_seconds=self._settings.cpu_seconds,
            memory_bytes=entry.memory_bytes,
            processes=self._settings.processes,
            file_bytes=self._settings.max_file_bytes,
            tmp_bytes=TMP_BYTES,
        )
        try:
            entry.process = await ContainerProcess.start(self._sandbox, limits, self._settings.disk_bytes)
        except (ContainerDied, SandboxError, OSError) as error:
            logger.warning("a container does not start: %s", error)
            raise Overloaded("The container could not be started.") from error

    async def _make_room(self, wanted: RunningContainer) -> None:
        """End the one that was idle for longest, where no more may run."""
        running = [
            entry for entry in self._running.values() if entry.process is not None and entry is not wanted
        ]
        if len(running) < self._settings.max_running:
            return
        idle = [entry for entry in running if not entry.users]
        if not idle:
            raise Overloaded(f"{self._settings.max_running} containers are in use; no more may run.")
        oldest = min(idle, key=lambda entry: entry.used)
        process, oldest.process = oldest.process, None
        if process is not None:
            await process.end()


@cache
def refusal(python: Path | None) -> str:
    """Why no code may run with this interpreter, found out once by the sandbox's probes; empty where it may."""
    try:
        isolation = _sandbox(python).probe()
    except SandboxError as error:
        return str(error)
    return "" if isolation.level == "full" else f"{isolation.line()}; the level must be full"


def _sandbox(python: Path | None) -> Sandbox:
    return Sandbox(python=python, readable=[path for path in _READABLE if path.is_dir()])
