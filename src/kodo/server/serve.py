"""Running the server: the socket, the signals, the note in the home folder that says where it is.

Binding anything but a loopback address without a key is refused. SIGTERM stops taking requests, lets those in flight
finish, and exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn
import uvloop

from kodo.config import Settings
from kodo.lifecycle.errors import KodoError
from kodo.server.app import WeightsError, any_key, build_app, running
from kodo.server.state import State

Ready = Callable[[str], Awaitable[None]]


class Refused(Exception):
    """The server will not start like this; the message says why and what to do."""


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def serve(settings: Settings, on_ready: Ready | None = None) -> None:
    """Serve until a signal. ``on_ready`` is awaited with the base URL once requests are taken.

    Raises:
        Refused: a public address without a key, a port that is taken, half a TLS pair, a store or model that does not
            open.
    """
    check(settings)
    with _listening(settings) as listener:
        uvloop.run(_serve(settings, listener, on_ready))


async def _serve(settings: Settings, listener: socket.socket, on_ready: Ready | None) -> None:
    try:
        async with running(settings) as parts:
            await _Server(parts, listener, on_ready).serve(sockets=[listener])
    except (KodoError, WeightsError) as error:
        raise Refused(str(error)) from error


def check(settings: Settings) -> None:
    """What can be refused before anything starts. Raises :class:`Refused`."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise Refused("TLS needs both --tls-cert and --tls-key.")
    for path in (settings.tls_cert, settings.tls_key):
        if path is not None and not path.is_file():
            raise Refused(f"There is no file {path}.")
    if not is_loopback(settings.host) and not asyncio.run(any_key(settings)):
        raise Refused(
            f"Refusing to serve on {settings.host} without an API key: anybody on the network could use it. "
            "Make one with `kodo keys create`, or bind 127.0.0.1."
        )


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            raise Refused(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another --port."
            ) from error
        yield listener
    finally:
        listener.close()


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


__all__ = ["Ready", "Refused", "base_url", "check", "is_loopback", "serve"]
