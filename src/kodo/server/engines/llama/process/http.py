"""HTTP/1.1 to the child, over its unix socket: one request a connection, the answer as it comes.

httptools parses; this puts it on an asyncio protocol, and no more. Why no library does it all:
docs/decisions/a-client-for-one-server.md.

Knows bytes; knows nothing of the child's routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import httptools


class ConnectionBroken(Exception):
    """The connection ended before the answer did."""


class ChannelClosed(Exception):
    """The channel was closed."""


class Exchange(asyncio.Protocol):
    """One request's answer. Read it once: :meth:`head`, then :meth:`iter_body` or :meth:`read`; then :meth:`close`."""

    def __init__(self, others: set[Exchange]) -> None:
        """``others``: those that are open, of which this is one while it is."""
        self.status = 0
        self._open_exchanges = others
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._body: list[bytes] = []
        self._complete = False
        self._broken = False
        self._data_arrived: asyncio.Future[None] | None = None

    async def head(self) -> int:
        """The status. Raises :class:`ConnectionBroken`."""
        while not self.status:
            await self._wait_for_data()
        return self.status

    async def iter_body(self) -> AsyncGenerator[bytes, None]:
        """The body, as it arrives. Raises :class:`ConnectionBroken`."""
        while True:
            if self._body:
                body, self._body = self._body, []
                yield body[0] if len(body) == 1 else b"".join(body)
            elif self._complete:
                return
            else:
                await self._wait_for_data()

    async def read(self) -> bytes:
        """The whole body. Raises :class:`ConnectionBroken`."""
        return b"".join([piece async for piece in self.iter_body()])

    def send(self, request: bytes) -> None:
        """Write the request."""
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        """Drop the connection, which ends the work behind it. May be called again."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait_for_data(self) -> None:
        if self._broken:
            raise ConnectionBroken
        self._data_arrived = asyncio.get_running_loop().create_future()
        try:
            await self._data_arrived
        finally:
            self._data_arrived = None

    def _wake(self) -> None:
        if self._data_arrived is not None and not self._data_arrived.done():
            self._data_arrived.set_result(None)

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(
            asyncio.Transport, transport
        )  # a stream's always is; uvloop's only looks like one
        self._open_exchanges.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._broken = True
            self.close()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._broken = self._broken or not self._complete
        self._open_exchanges.discard(self)
        self._wake()

    # --- httptools' side ---

    def on_headers_complete(self) -> None:
        """The status is known."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._complete = True


class Channel:
    """The way to one server."""

    def __init__(self, path: str, key: str) -> None:
        self._path = path
        self._request_headers = f"Host: engine\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
        self._open: set[Exchange] = set()
        self._closed = False

    async def request(self, method: str, target: str, body: bytes | None = None) -> Exchange:
        """Send a request, and wait for the head of its answer.

        Raises:
            OSError: no server listens on the socket.
            ConnectionBroken: the connection ended first.
            ChannelClosed: this channel was.
        """
        if self._closed:
            raise ChannelClosed
        loop = asyncio.get_running_loop()
        _, exchange = await loop.create_unix_connection(lambda: Exchange(self._open), self._path)
        try:
            body_headers = (
                "" if body is None else f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            )
            exchange.send(
                f"{method} {target} HTTP/1.1\r\n{self._request_headers}{body_headers}\r\n".encode()
                + (body or b"")
            )
            await exchange.head()
        except BaseException:
            exchange.close()
            raise
        return exchange

    def close(self) -> None:
        """Drop every connection; there will be no other."""
        self._closed = True
        for exchange in list(self._open):
            exchange.close()
