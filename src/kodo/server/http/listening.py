"""uvicorn as kodo runs it: its signals, its order of stopping, and the note in the home folder that says where it is.

SIGTERM stops taking requests, lets those in flight finish, and exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import uvicorn

from kodo.server.config import Settings
from kodo.server.http.app import build_app, running
from kodo.server.http.opening import Opened
from kodo.server.http.state import State

Ready: TypeAlias = Callable[[str], Awaitable[None]]


async def listen(settings: Settings, ground: Opened, listener: socket.socket, on_ready: Ready | None) -> None:
    """Take requests until a signal; ``on_ready`` is awaited with the base URL once they are taken.

    Raises:
        KodoError, kodo.server.http.opening.WeightsError: a part did not start; the message says why.
    """
    async with running(settings, ground) as parts:
        await _Server(parts, listener, on_ready).serve(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, parts: State, listener: socket.socket, on_ready: Ready | None) -> None:
        settings = parts.settings
        self._parts = parts
        self._url = base_url(settings, listener)
        self._on_ready = on_ready
        self._greeting: asyncio.Task[None] | None = None
        super().__init__(
            uvicorn.Config(
                build_app(parts),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                ws_max_size=settings.limits.body_bytes,
                timeout_graceful_shutdown=int(settings.shutdown_seconds) + 5,
                timeout_keep_alive=75,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's, but without raising the signal again at the end: there is state to close after it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, then: say where we are."""
        await super().startup(sockets)
        _note(self._parts.settings.home, self._url)
        if self._on_ready is not None:
            self._greeting = asyncio.ensure_future(self._on_ready(self._url))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop background work and refuse new requests at once; uvicorn waits for the rest."""
        _forget(self._parts.settings.home)
        if self._greeting is not None:
            self._greeting.cancel()
        await self._parts.batches.close()
        closing = asyncio.create_task(self._parts.service.close(self._parts.settings.shutdown_seconds))
        await super().shutdown(sockets)
        await closing


def base_url(settings: Settings, listener: socket.socket) -> str:
    """The URL of a listening server, without ``/v1``."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{port}"


def _note(home: Path, url: str) -> None:
    """``server.json``: how the toolkit finds the server that runs."""
    text = json.dumps(
        {
            "pid": os.getpid(),
            "url": url,
            "host": url.partition("//")[2].rpartition(":")[0],
            "port": int(url.rpartition(":")[2]),
        }
    )
    temporary = home / f".server.json.{os.getpid()}"
    temporary.write_text(text)
    temporary.replace(home / "server.json")


def _forget(home: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        if json.loads((home / "server.json").read_text())["pid"] == os.getpid():
            (home / "server.json").unlink()
