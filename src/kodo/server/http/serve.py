"""Starting the server: what is refused, the socket, and what is loaded when.

Binding anything but a loopback address without a key is refused. The store is opened and the models begin to load before
the rest is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import uvloop

from kodo.server.config import Settings
from kodo.server.http.opening import Opened, WeightsError, any_key, opened
from kodo.server.lifecycle.errors import KodoError

if TYPE_CHECKING:
    from kodo.server.http.listening import Ready

Rest: TypeAlias = "Callable[[Settings, Opened, socket.socket, Ready | None], Awaitable[None]]"


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
        async with opened(settings) as ground:
            listen = await asyncio.to_thread(_import_the_rest)  # while the models are loading
            await listen(settings, ground, listener, on_ready)
    except (KodoError, WeightsError) as error:
        raise Refused(str(error)) from error


def _import_the_rest() -> Rest:
    from kodo.server.http.listening import listen

    return listen


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
