"""The server's process: what it refuses to start with, its socket, ``server.json``, its signals, its order of stopping.

Three files start the server, each naming the next: this one; :mod:`kodo.server.http.backends`, which opens the store and
loads the models; and :mod:`kodo.server.http.app`, which builds everything above them. The application is imported while
the models are loading, because both take a while.

SIGTERM, SIGINT or SIGHUP stops taking requests, lets those in flight finish, and exits; another one meanwhile changes
nothing, but a second SIGINT waits for no request, and a third one ends the process where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import fcntl
import gc
import importlib
import ipaddress
import json
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

import uvicorn
import uvloop

from kodo.server.config import Settings
from kodo.server.http.backends import KEYS_MARK, WeightsError, has_keys, open_resources
from kodo.server.http.server_config import server_config
from kodo.server.lifecycle.errors import ServiceError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import Route

    from kodo.server.http.state import State

logger = logging.getLogger(__name__)

OnReady: TypeAlias = Callable[[str], Awaitable[None]]
Pages: TypeAlias = "Callable[[State], Sequence[Route]]"
LoadPages: TypeAlias = Callable[[], Pages]


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They end the server in order; SIGHUP comes where its terminal is closed, unless it was started to outlive that (``nohup``)."""
_COLLECT_AFTER = 5_000
"""Objects made and not yet freed after which the youngest are collected; Python's own 700 are two or three requests."""


class Refused(Exception):
    """The server does not start with these settings; the message says why and what to do."""


def serve(
    settings: Settings,
    on_ready: OnReady | None = None,
    load_pages: LoadPages | None = None,
    listener: socket.socket | None = None,
) -> None:
    """Serve until a signal arrives. ``on_ready`` is awaited with the base URL once requests are accepted; ``load_pages``,
    called in a thread while the models are loading, gives what makes the routes of the dashboard: this layer does not know it.
    ``listener``: a socket bound to the address of the settings, which is closed at the end; None: it is bound here.

    Raises:
        Refused: a public address without a key, a port that is taken, half a TLS pair, a store or model that does not
            open.
    """
    check_settings(settings)
    faulthandler.enable()  # a crash in native code says where
    with listener or _open_socket(settings) as bound:
        uvloop.run(_serve(settings, bound, on_ready, load_pages))


def check_settings(settings: Settings) -> None:
    """Check what can be checked before anything starts.

    Raises:
        Refused: half a TLS pair, a certificate that is not there, or a public address without a key.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise Refused("TLS needs both --tls-cert and --tls-key.")
    for path in (settings.tls_cert, settings.tls_key):
        if path is not None and not path.is_file():
            raise Refused(f"No such file: {path}.")
    try:
        _check_keys_are_there(settings)
    except ServiceError as error:
        raise Refused(error.message) from error
    if not is_loopback(settings.host) and not asyncio.run(has_keys(settings)):
        raise Refused(
            f"Refusing to serve on {settings.host} without an API key: anybody on the network could use it. "
            "Make one with `kodo keys create`, or bind 127.0.0.1."
        )


def _check_keys_are_there(settings: Settings) -> None:
    """Check that the keys that were made for this home are still there: without any, the server would be open.

    Raises:
        Refused: they are gone.
    """
    mark = settings.home / KEYS_MARK
    if not mark.exists() and not (settings.home / "kodo.db").exists():
        return
    if asyncio.run(has_keys(settings)):
        with contextlib.suppress(OSError):  # a home that cannot be written is reported by the store
            mark.touch(0o600)
    elif mark.exists():
        raise Refused(
            f"API keys were made for {settings.home}, but its database has none: it was deleted or replaced. "
            f"Restore it, or make a key with `kodo keys create`; to serve without keys, delete {mark}."
        )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _open_socket(settings: Settings) -> socket.socket:
    """Bind the address of the settings. Raises Refused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host.strip("[]"), settings.port))
    except OSError as error:
        listener.close()
        raise Refused(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another --port."
        ) from error
    return listener


def take_over_socket(fd: int) -> socket.socket:
    """The socket that this process has inherited under a number; processes that it starts do not get it.

    Raises:
        Refused: there is none, or it is not one of TCP with an address.
    """
    try:
        listener = socket.socket(fileno=fd)
    except OSError as error:
        raise Refused(f"--fd {fd} is not an open socket: {error.strerror}.") from error
    internet = listener.family in (socket.AF_INET, socket.AF_INET6)
    if not internet or listener.type != socket.SOCK_STREAM or not listener.getsockname()[1]:
        listener.detach()  # not this program's to close
        raise Refused(f"--fd {fd} is not a TCP socket that is bound to an address.")
    listener.set_inheritable(False)
    return listener


async def _serve(
    settings: Settings, listener: socket.socket, on_ready: OnReady | None, load_pages: LoadPages | None
) -> None:
    try:
        async with open_resources(settings) as resources:
            await asyncio.to_thread(
                importlib.import_module, "kodo.server.http.app"
            )  # while the models are loading
            pages = None if load_pages is None else await asyncio.to_thread(load_pages)
            from kodo.server.http.app import build_app, open_state

            lost = asyncio.Event()
            async with open_state(settings, resources, cut_off=lost.set) as state:
                app = build_app(state, pages(state) if pages is not None else ())
                server = _Server(app, state, listener, on_ready, lost)
                keep_out_of_collections()
                await server.serve(sockets=[listener])
            if lost.is_set():
                raise Refused(
                    "Cut off from the database for too long: another server has taken over the work. Start again."
                )
    except (ServiceError, WeightsError) as error:
        raise Refused(str(error)) from error


def keep_out_of_collections() -> None:
    """Leave what has been loaded so far out of Python's garbage collections, and collect less often.

    What a start leaves behind lives as long as the process, and every full collection went through all of it: the 99th percentile
    of a request at 16 connections was 80 ms, and is 37 (docs/measurements/upstream.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])


class _Server(uvicorn.Server):
    """uvicorn with kodo's signals, order of stopping, and ``server.json``."""

    def __init__(
        self,
        app: Starlette,
        state: State,
        listener: socket.socket,
        on_ready: OnReady | None,
        lost: asyncio.Event,
    ) -> None:
        settings = state.settings
        self._state = state
        self._url = base_url(settings, listener)
        self._on_ready = on_ready
        self._greeting: asyncio.Task[None] | None = None
        self._note: TextIO | None = None
        self._lost = lost
        self._watching: asyncio.Task[None] | None = None
        super().__init__(
            server_config(
                app,
                settings,
                state.body_memory,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                timeout_graceful_shutdown=int(settings.shutdown_seconds) + 5,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again at the end, and further ones change nothing until the loop is closed:
        there is state to close after it."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            loop.add_signal_handler(number, self._end_for, number)
        yield

    def _end_for(self, number: signal.Signals) -> None:
        logger.info("ends, because of %s", number.name)
        if number == signal.SIGINT and self.should_exit:
            asyncio.get_running_loop().remove_signal_handler(number)
        self.handle_exit(number, None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; then write ``server.json`` and await ``on_ready``."""
        await super().startup(sockets)
        try:
            self._note = _write_server_file(self._state.settings.home, self._url)
        except (
            OSError
        ) as error:  # clients on this machine do not find the server by themselves; all else works
            logger.error("server.json cannot be written: %s", error.strerror)
        self._watching = asyncio.ensure_future(self._end_when_lost())
        if self._on_ready is not None:
            self._greeting = asyncio.ensure_future(self._on_ready(self._url))

    async def _end_when_lost(self) -> None:
        await self._lost.wait()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop background work and refuse new requests first; uvicorn waits for the requests in flight."""
        _remove_server_file(self._state.settings.home)
        if self._note is not None:
            self._note.close()
        if self._greeting is not None:
            self._greeting.cancel()
        await self._state.batches.close()
        if self._watching is not None:
            self._watching.cancel()
        seconds = 0.0 if self._lost.is_set() else self._state.settings.shutdown_seconds
        closing = asyncio.create_task(self._state.service.close(seconds))
        await super().shutdown(sockets)
        await closing


def base_url(settings: Settings, listener: socket.socket) -> str:
    """The URL of a listening server, without ``/v1``."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{port}"


def _write_server_file(home: Path, url: str) -> TextIO:
    """``server.json``: how the client half finds the running server; the open file, which this process holds locked.

    After a crash the note is still there, and whatever listens on its port by then is another program; the lock is gone with the
    process.
    """
    text = json.dumps(
        {
            "pid": os.getpid(),
            "url": url,
            "host": url.partition("//")[2].rpartition(":")[0],
            "port": int(url.rpartition(":")[2]),
        }
    )
    temporary = home / f".server.json.{os.getpid()}"
    note = temporary.open("w")
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        note.write(text)
        note.flush()
        temporary.replace(home / "server.json")
    except OSError:
        note.close()
        raise
    return note


def _remove_server_file(home: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        if json.loads((home / "server.json").read_text())["pid"] == os.getpid():
            (home / "server.json").unlink()
