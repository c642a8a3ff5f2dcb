"""Keeps the child process alive: starts it, waits until it is ready, starts it again after a crash.

Knows how to run a child and reach its socket; knows nothing of prompts or of what is asked over the socket.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kodo.server.engines.llama.process.http import Channel
from kodo.server.lifecycle.errors import EngineUnavailable

MAX_LOAD_SECONDS = 300.0
"""A large model on a slow disk may take minutes."""
MAX_RESTART_WAIT_SECONDS = 15.0
"""How long a request waits for a child that is being restarted."""
STABLE_AFTER_SECONDS = 30.0
"""A child that lived this long crashed for a new reason: the back-off starts over."""
RESTART_DELAYS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
THREAD_ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "200"}
"""How the engine's threads wait for each other at the end of each step, some hundred times a token: they spin for some
microseconds, then sleep. Never to spin costs two thirds of the speed on a quiet machine, since a core that fell asleep
has to be woken each time; to spin for long costs more than that beside other work (docs/decisions/waiting-threads.md)."""
MAX_SOCKET_PATH_BYTES = 100
"""Bytes; the kernel's limit is 107."""


@dataclass(frozen=True)
class ChildConfig:
    """What the child is told; see :mod:`kodo.server.engines.llama.process.child`."""

    model: Path
    threads: int
    parallel: int
    batch: int
    context: int
    kv_cache_dir: Path | None = None
    embedding: bool = False


class Supervisor:
    """One child at a time. ``start`` and ``stop`` are called from one event loop; ``start_soon`` may come before ``start``."""

    def __init__(self, config: ChildConfig) -> None:
        self._config = config
        self._key = secrets.token_hex(16)
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._starting: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._down_reason = "it has not been started"
        self.restarts = 0
        self.generation = 0
        """Grows with every child; state of an earlier one (slots) is gone."""

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._ready.is_set() else None

    def start_soon(self) -> None:
        """Let the first child start by itself; :meth:`start` waits for it."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="llama-start")

    async def start(self) -> None:
        """Start the first child.

        Raises:
            EngineUnavailable: it could not load the model; the message says why.
        """
        self.start_soon()
        if self._starting is not None:
            await self._starting

    async def _start(self) -> None:
        base = tempfile.gettempdir()
        if len(os.fsencode(base)) > MAX_SOCKET_PATH_BYTES - 30:
            base = "/tmp"  # noqa: S108  # the folder below is fresh and private; only the path has to be short
        self._folder = Path(tempfile.mkdtemp(prefix="kodo-", dir=base))
        try:
            await self._spawn()
        except EngineUnavailable:
            await self._release()
            raise
        self._channel = Channel(str(self._folder / "e.sock"), self._key)
        self._watcher = asyncio.create_task(self._watch(), name="llama-supervisor")

    async def stop(self) -> None:
        """End the child and remove its folder. May be called twice, and before it is up."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)  # raised where it was awaited
        await self._release()

    async def _release(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None
        self._ready.clear()
        self._down_reason = "it was stopped"
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        await self._kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def channel(self) -> Channel:
        """The way to a child that is up; waits while one is being restarted.

        Raises:
            EngineUnavailable: it does not come back in time.
        """
        if not self._ready.is_set():
            if self._watcher is None:
                raise EngineUnavailable(f"The engine is not available: {self._down_reason}.")
            try:
                await asyncio.wait_for(self._ready.wait(), MAX_RESTART_WAIT_SECONDS)
            except TimeoutError:
                raise EngineUnavailable(f"The engine is not available: {self._down_reason}.") from None
        if self._channel is None:
            raise EngineUnavailable(f"The engine is not available: {self._down_reason}.")
        return self._channel

    async def _spawn(self) -> None:
        if self._folder is None:
            raise EngineUnavailable(f"The engine is not available: {self._down_reason}.")
        socket = self._folder / "e.sock"
        socket.unlink(missing_ok=True)
        config = self._config
        line = {
            "model": str(config.model),
            "socket": str(socket),
            "key": self._key,
            "threads": config.threads,
            "parallel": config.parallel,
            "batch": config.batch,
            "context": config.context,
            "kv_cache_dir": f"{config.kv_cache_dir}/" if config.kv_cache_dir else None,
            "embedding": config.embedding,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kodo.server.engines.llama.process.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**THREAD_ENVIRONMENT, **os.environ},
            start_new_session=True,  # Ctrl-C is for the server, which lets answers finish first
        )
        self._process = process
        if process.stdin is None or process.stdout is None:
            raise EngineUnavailable("The engine could not be started.")
        try:
            process.stdin.write(json.dumps(line).encode() + b"\n")
            await process.stdin.drain()
            report = await asyncio.wait_for(process.stdout.readline(), MAX_LOAD_SECONDS)
        except (TimeoutError, ConnectionError):
            report = b""
        answer = (
            json.loads(report) if report else {"error": "the engine's process ended while it was loading"}
        )
        if "error" in answer:
            await self._kill()
            self._down_reason = answer["error"]
            raise EngineUnavailable(f"The engine is not available: {self._down_reason}.")
        self.generation += 1
        self._ready.set()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    async def _watch(self) -> None:
        failures = 0
        while True:
            process = self._process
            started_at = time.monotonic()
            if process is not None:
                await process.wait()
                self._ready.clear()
                self._down_reason = "its process ended and is being restarted"
                self.restarts += 1
            failures = 0 if time.monotonic() - started_at > STABLE_AFTER_SECONDS else failures + 1
            await asyncio.sleep(RESTART_DELAYS[min(max(failures - 1, 0), len(RESTART_DELAYS) - 1)])
            with suppress(EngineUnavailable):
                await self._spawn()
