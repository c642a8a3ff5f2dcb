"""Keeps the child process alive: starts it, waits until it is ready, replaces it when it ends or stops answering.

The child is asked every few seconds whether it is healthy. One that leaves two questions in a row without an answer, or
whose socket is gone, is killed and replaced. A start that fails, whatever the reason, is logged and tried again.

Knows how to run a child and reach its socket; knows nothing of prompts or of what is asked over the socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kodo.server.engines.http_client import ConnectFailed, ConnectionLost, HttpClient
from kodo.server.lifecycle.errors import EngineUnavailable
from kodo.server.lifecycle.supervised import cancel, supervise

logger = logging.getLogger(__name__)

MAX_LOAD_SECONDS = 300.0
"""A large model on a slow disk may take minutes."""
MAX_RESTART_WAIT_SECONDS = 15.0
"""How long a request waits for a child that is being restarted."""
STABLE_AFTER_SECONDS = 30.0
"""A child that lived this long crashed for a new reason: the back-off starts over."""
RESTART_DELAYS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses in seconds before a child is started again: by how many short lives, or failed starts, there were in a row."""
HEALTH_SECONDS = 5.0
"""Pause between two questions about the child's health."""
MAX_HEALTH_SECONDS = 8.0
"""How long the child may take to answer one. Its HTTP threads answer also while the model computes."""
MAX_CONNECT_SECONDS = 10.0
"""How long a connection to the child's socket may take."""
MAX_SILENT_QUESTIONS = 2
"""Questions in a row without an answer after which the child is replaced: one may be lost to a machine that slept."""
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
    decode_threads: int | None = None
    """Threads for a step that computes one token; None: all ``threads``."""
    kv_cache_dir: Path | None = None
    embedding: bool = False
    projector: Path | None = None
    """The GGUF that turns images into tokens; None: the model sees none."""
    runtime_dir: Path | None = None
    """Where the private folder of the child's socket is made. None, or a path too long for a socket: the system's
    folder for temporary files."""


class Supervisor:
    """One child at a time. ``start`` and ``stop`` are called from one event loop; ``start_soon`` may come before ``start``."""

    def __init__(self, config: ChildConfig) -> None:
        self._config = config
        self._key = secrets.token_hex(16)
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._channel: HttpClient | None = None
        self._starting: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._responsive = True
        self._short_lives = 0
        self._started_at = 0.0
        self._down_reason = "it has not been started"
        self.restarts = 0
        self.generation = 0
        """Grows with every child; state of an earlier one (slots) is gone."""

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._ready.is_set() else None

    @property
    def ready(self) -> bool:
        """Whether a child is up and has answered the last question about its health."""
        return self.pid is not None and self._responsive

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
        try:
            await self._spawn()
        except EngineUnavailable:
            await self._release()
            raise
        self._watcher = supervise("the engine's supervisor", self._watch, delays=RESTART_DELAYS[1:])

    async def stop(self) -> None:
        """End the child and remove its folder. May be called twice, and before it is up."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)  # raised where it was awaited
        await self._release()

    async def _release(self) -> None:
        await cancel(self._watcher)
        self._watcher = None
        self._ready.clear()
        self._down_reason = "it was stopped"
        if self._channel is not None:
            self._channel.drop()
            self._channel = None
        await self._kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def channel(self) -> HttpClient:
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

    def _prepare_folder(self) -> Path:
        """A private folder for the socket; a new one where it was removed. Raises ``OSError``."""
        if self._folder is None or not self._folder.is_dir():
            base = self._config.runtime_dir
            if base is not None:
                base.mkdir(parents=True, exist_ok=True, mode=0o700)
            for candidate in (base, Path(tempfile.gettempdir())):
                if candidate is not None and len(os.fsencode(candidate)) <= MAX_SOCKET_PATH_BYTES - 20:
                    break
            else:
                candidate = Path("/tmp")  # noqa: S108 - the folder is fresh and private; only the path has to be short
            self._folder = Path(tempfile.mkdtemp(prefix="kodo-", dir=candidate))
            if self._channel is not None:
                self._channel.drop()
            self._channel = HttpClient(
                "http://engine",
                headers={"authorization": f"Bearer {self._key}"},
                connect_seconds=MAX_CONNECT_SECONDS,
                silence_seconds=None,  # a long prompt is read in silence; the health check finds a child that hangs
                socket=str(self._folder / "e.sock"),
                keep=False,  # the child closes its connections when it likes, and a new one costs 0.1 ms
            )
        return self._folder

    async def _spawn(self) -> None:
        """Start a child and wait until it has loaded the model.

        Raises:
            EngineUnavailable: it does not start, or cannot load the model; the message says why.
        """
        try:
            answer = await self._launch()
        except OSError as error:
            await self._kill()
            answer = {"error": f"its process could not be started: {error.strerror or error}"}
        except BaseException:
            await self._kill()
            raise
        if answer.get("ready") is not True:
            await self._kill()
            self._down_reason = str(answer.get("error", "its process said nothing that is understood"))
            raise EngineUnavailable(f"The engine is not available: {self._down_reason}.")
        self.generation += 1
        self._started_at = time.monotonic()
        self._responsive = True
        self._ready.set()

    async def _launch(self) -> dict[str, Any]:
        """Start the process and return its report. Raises ``OSError``."""
        socket = self._prepare_folder() / "e.sock"
        socket.unlink(missing_ok=True)
        config = self._config
        line = {
            "model": str(config.model),
            "socket": str(socket),
            "key": self._key,
            "threads": config.threads,
            "decode_threads": config.decode_threads or config.threads,
            "parallel": config.parallel,
            "batch": config.batch,
            "context": config.context,
            "kv_cache_dir": f"{config.kv_cache_dir}/" if config.kv_cache_dir else None,
            "embedding": config.embedding,
            "projector": str(config.projector) if config.projector is not None else None,
        }
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kodo.server.engines.llama.process.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**THREAD_ENVIRONMENT, **os.environ},
            start_new_session=True,  # Ctrl-C is for the server, which lets answers finish first
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("it has no pipes")
        try:
            process.stdin.write(json.dumps(line).encode() + b"\n")
            await process.stdin.drain()
            report = await asyncio.wait_for(process.stdout.readline(), MAX_LOAD_SECONDS)
        except TimeoutError:
            return {"error": f"the model was not loaded within {MAX_LOAD_SECONDS:g} s"}
        except ConnectionError:
            report = b""
        if not report:
            return {"error": "the engine's process ended while it was loading"}
        try:
            answer = json.loads(report)
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else {}

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
        """One child's life: wait until it fails, then start the next one."""
        if self._process is not None:
            reason = await self._wait_for_failure(self._process)
            logger.warning("restarting the engine: %s", reason)
            self._ready.clear()
            self._down_reason = f"{reason} and is being restarted"
            self.restarts += 1
            await self._kill()
            lived = time.monotonic() - self._started_at
            self._short_lives = 0 if lived > STABLE_AFTER_SECONDS else self._short_lives + 1
            await asyncio.sleep(RESTART_DELAYS[min(max(self._short_lives - 1, 0), len(RESTART_DELAYS) - 1)])
        await self._spawn()

    async def _wait_for_failure(self, process: asyncio.subprocess.Process) -> str:
        """Return why the child has to be replaced, once it has to be."""
        silent = 0
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), HEALTH_SECONDS)
                return "its process ended"
            try:
                await asyncio.wait_for(self._ask_health(), MAX_HEALTH_SECONDS)
                silent = 0
            except (FileNotFoundError, ConnectionRefusedError):
                if process.returncode is None:
                    return "its socket is gone"
            except (TimeoutError, ConnectionLost):
                silent += 1
            except (
                OSError
            ) as error:  # of this process, such as too many open files: says nothing about the child
                logger.warning("the engine's health check failed: %s", error.strerror or error)
            self._responsive = silent == 0
            if silent >= MAX_SILENT_QUESTIONS and process.returncode is None:
                return "its process does not answer"

    async def _ask_health(self) -> None:
        """Raises ``OSError``, ``ConnectionLost``."""
        if self._channel is None or self._channel.closed:
            return
        try:
            (await self._channel.request("GET", "/health")).close()
        except ConnectFailed as error:
            raise error.__cause__ or ConnectionLost from error
