"""HTTP/1.1 to model servers: TCP, TLS, a proxy or a unix socket, connections kept alive, answers as they arrive.

httptools parses; this puts it on asyncio protocols. What a general client does besides (redirects, cookies, decoding,
tracing) costs about half of a request's time and is of no use to servers that are named in the settings: see
docs/decisions/a-client-for-one-server.md. Knows bytes; knows no route and no model.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from typing import Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

import httptools

MAX_BUFFERED_BYTES: Final = 1 << 20
"""Bytes of an answer that may wait for their reader; the server is held back beyond that."""
DRAIN_SECONDS: Final = 1.0
"""How long the end of a body is waited for whose content is known."""
MAX_IDLE_CONNECTIONS: Final = 64
MAX_IDLE_SECONDS: Final = 20.0
"""A connection unused for longer is not used again: many servers close theirs after 30 s or less."""


class ConnectFailed(Exception):
    """No connection could be made; nothing was sent. ``__cause__`` says why."""


class ConnectionLost(Exception):
    """The connection ended, or was silent for too long, before the answer was whole."""


class _Connection(asyncio.Protocol):
    """One connection. It carries one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.exchange: HttpExchange | None = None
        self.used = False
        """Whether an earlier exchange was answered on it."""
        self.idle_since = 0.0
        self.lost = False
        self._parser: httptools.HttpResponseParser | None = None

    def begin(self, exchange: HttpExchange, request: bytes) -> None:
        """Send a request whose answer goes to ``exchange``."""
        self.exchange = exchange
        self._parser = httptools.HttpResponseParser(exchange)
        if self.transport is not None:
            self.transport.write(request)

    def should_keep_alive(self) -> bool:
        """Whether the server keeps the connection open after this answer."""
        return self._parser is not None and self._parser.should_keep_alive()

    def status_code(self) -> int:
        """The status of the answer that is being parsed."""
        return 0 if self._parser is None else self._parser.get_status_code()

    def abort(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = cast(
            asyncio.Transport, transport
        )  # a stream's always is; uvloop's only looks like one

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer; bytes that were not asked for end the connection."""
        if self._parser is None or self.exchange is None:
            self.abort()
            return
        exchange = self.exchange
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            exchange.break_off()
            self.abort()
        exchange.wake()

    def eof_received(self) -> None:
        """The server sends no more; an answer without a length ends here."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self.lost = True
        if self.exchange is not None:
            self.exchange.connection_lost()


class HttpExchange:
    """One request's answer. Read it once: :meth:`iter_body` or :meth:`read`; then :meth:`close`."""

    def __init__(self, client: HttpClient, connection: _Connection) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """Names in lower case."""
        self._client = client
        self._connection = connection
        self._body: list[bytes] = []
        self._size = 0
        self._paused = False
        self._complete = False
        self._keep_alive = False
        self._closed = False
        self._broken = False
        self._arrived = False
        self._silent = False
        self._sized = False
        self._waiter: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        self._loop = loop
        self.last_data = loop.time()
        """When the last of the answer came, by the event loop's clock."""
        self._drain_timer: asyncio.TimerHandle | None = None

    @property
    def refused(self) -> bool:
        """Whether the server closed the connection without a byte of the answer."""
        return self._connection.lost and not self._arrived and not self._silent

    async def head(self) -> int:
        """Wait for the status. Raises :class:`ConnectionLost`."""
        while not self.status:
            await self._wait_for_data()
        return self.status

    async def next_piece(self) -> bytes | None:
        """The next part of the body, all that has arrived; None: it is whole. Raises :class:`ConnectionLost`."""
        while not self._body:
            if self._complete:
                return None
            await self._wait_for_data()
        body, self._body, self._size = self._body, [], 0
        self._resume()
        return body[0] if len(body) == 1 else b"".join(body)

    async def iter_body(self) -> AsyncGenerator[bytes, None]:
        """The body, as it arrives. Raises :class:`ConnectionLost`."""
        while (piece := await self.next_piece()) is not None:
            yield piece

    async def read(self, limit: int | None = None) -> bytes:
        """The whole body, or its first ``limit`` bytes and a little more. Raises :class:`ConnectionLost`."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self.iter_body():
            pieces.append(piece)
            size += len(piece)
            if limit is not None and size >= limit:
                break
        return b"".join(pieces)

    def close(self, *, drain: bool = False) -> None:
        """Give the connection back, or drop it where the answer is not whole, which ends the work behind it.

        ``drain``: the reader has all that it wants, and the rest of the body is a few bytes; the connection is given
        back when they are there, and dropped where they are not in ``DRAIN_SECONDS``. May be called again.
        """
        if self._closed:
            return
        self._closed = True
        if self._waiter is not None:  # somebody else closed what is being read
            self._broken = True
            self._wake_reader()
        self._resume()
        if drain and not (self._complete or self._broken or self._connection.lost):
            self._drain_timer = self._loop.call_later(DRAIN_SECONDS, self._give_back)
        else:
            self._give_back()

    def _give_back(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None
        connection = self._connection
        if connection.exchange is self:
            connection.exchange = None
            whole = self._complete and not self._broken and not connection.lost
            self._client.release(connection, reusable=whole and self._keep_alive)

    def break_off(self) -> None:
        """The answer cannot be read on."""
        self._broken = True

    def wake(self) -> None:
        """Data arrived, or the connection changed."""
        self.last_data = self._loop.time()
        self._arrived = True
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_lost(self) -> None:
        """The connection ended; an answer without a length is whole then."""
        if not self._complete:
            if self.status and not self._sized:
                self._complete = True
            else:
                self._broken = True
        if self._closed:
            self._give_back()
        else:
            self._wake_reader()

    async def _wait_for_data(self) -> None:
        if self._broken:
            raise ConnectionLost
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for more of the answer."""
        return not (self._closed or self._complete)

    def end_silence(self) -> None:
        """Nothing came for too long: whoever reads gets :class:`ConnectionLost`."""
        self._silent = self._broken = True
        self._connection.abort()
        self.connection_lost()

    def _resume(self) -> None:
        if self._paused and self._connection.transport is not None:
            self._paused = False
            self._connection.transport.resume_reading()

    # --- httptools' side ---

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The status is known; one of the 100s only announces the answer."""
        status = self._connection.status_code()
        if status >= 200:
            self.status = status
            self._sized = "content-length" in self.headers or "transfer-encoding" in self.headers
        else:
            self.headers.clear()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._closed:
            return
        self._body.append(body)
        self._size += len(body)
        if self._size > MAX_BUFFERED_BYTES and not self._paused and self._connection.transport is not None:
            self._paused = True
            self._connection.transport.pause_reading()

    def on_message_complete(self) -> None:
        """The body is whole."""
        self._complete = self.status >= 200
        self._keep_alive = self._connection.should_keep_alive()
        if self._closed and self._complete:
            self._loop.call_soon(self._give_back)  # not inside the parser that this ends


class HttpClient:
    """The way to one server. Used inside one event loop."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        connect_seconds: float,
        silence_seconds: float | None,
        tls: ssl.SSLContext | None = None,
        socket: str | None = None,
        keep: bool = True,
    ) -> None:
        """``base_url`` without a trailing slash; ``headers`` go with each request; ``silence_seconds`` None: no limit.

        ``socket``: the path of the unix socket that the server listens on. ``keep`` False: one request a connection.

        Raises:
            ValueError: the URL is not http or https, or has no host.
        """
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not an http(s) URL: {base_url!r}")
        self.host = url.hostname
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self._prefix = url.path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if url.scheme == "https" else None
        self._socket = socket
        self._keep = keep
        self._proxy = None if socket is not None else _proxy_for(url)
        self._connect_seconds = connect_seconds
        self._silence_seconds = silence_seconds
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._silence_check: asyncio.TimerHandle | None = None
        """One timer for all exchanges: each of them would start and cancel one of its own."""
        self.closed = False
        given = {"host": _host_header(url), "accept": "*/*", **{k.lower(): v for k, v in headers.items()}}
        if not keep:
            given["connection"] = "close"
        if url.username is not None:
            given.setdefault("authorization", _basic(url))
        if self._proxy is not None and self._tls is None and self._proxy.username is not None:
            given["proxy-authorization"] = _basic(self._proxy)
        self._headers = "".join(f"{name}: {_clean(value)}\r\n" for name, value in given.items())
        absolute = self._proxy is not None and self._tls is None
        self._target = f"http://{given['host']}{self._prefix}" if absolute else self._prefix

    async def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpExchange:
        """Send a request, and wait for the head of its answer. ``path`` begins with ``/``; ``headers`` go with this one only.

        A connection that was kept open and turns out to be closed is replaced by a new one.

        Raises:
            ConnectFailed: no connection; nothing was sent.
            ConnectionLost: it ended before the head of the answer.
        """
        size = "" if body is None else f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        more = "".join(f"{name}: {_clean(value)}\r\n" for name, value in (headers or {}).items())
        request = f"{method} {self._target}{path} HTTP/1.1\r\n{self._headers}{more}{size}\r\n".encode(
            "latin-1"
        )
        request += body or b""
        while True:
            connection = self._take_idle() or await self._connect()
            self._open.add(connection)
            exchange = HttpExchange(self, connection)
            connection.begin(exchange, request)
            if self._silence_check is None and self._silence_seconds is not None:
                self._check_silences(self._silence_seconds)
            try:
                await exchange.head()
            except ConnectionLost:
                exchange.close()
                if connection.used and exchange.refused:
                    continue  # closed by the server while it was idle
                raise
            except BaseException:
                exchange.close()
                raise
            return exchange

    def release(self, connection: _Connection, *, reusable: bool) -> None:
        """Take a connection back for the next request, or drop it."""
        self._open.discard(connection)
        if not reusable or not self._keep or self.closed or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            connection.abort()
            return
        connection.used = True
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)

    def drop(self) -> None:
        """Drop every connection; there will be no other."""
        self.closed = True
        if self._silence_check is not None:
            self._silence_check.cancel()
            self._silence_check = None
        for connection in (*self._idle, *self._open):
            connection.abort()
        self._idle.clear()
        self._open.clear()

    async def close(self) -> None:
        """:meth:`drop`, and let the event loop see it."""
        self.drop()
        await asyncio.sleep(0)

    def _check_silences(self, seconds: float) -> None:
        """End the exchanges that were silent for so long; look again when the next of the others may have been."""
        loop = asyncio.get_running_loop()
        now, self._silence_check = loop.time(), None
        awaited = [one.exchange for one in self._open if one.exchange is not None and one.exchange.is_awaited]
        for exchange in awaited:
            if exchange.last_data + seconds <= now:
                exchange.end_silence()
        next_end = min(
            (one.last_data + seconds for one in awaited if one.last_data + seconds > now), default=None
        )
        if next_end is not None and not self.closed:
            self._silence_check = loop.call_at(next_end, self._check_silences, seconds)

    def _take_idle(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost and now - connection.idle_since < MAX_IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        if self.closed:
            raise ConnectFailed("the client is closed")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                if self._socket is not None:
                    _, connection = await loop.create_unix_connection(_Connection, self._socket)
                    return connection
                if self._proxy is not None and self._proxy.hostname:
                    return await self._connect_by_proxy(self._proxy, self._proxy.hostname)
                _, connection = await loop.create_connection(_Connection, self.host, self.port, ssl=self._tls)
                return connection
        except (OSError, TimeoutError, ConnectionLost) as error:
            raise ConnectFailed(type(error).__name__) from error

    async def _connect_by_proxy(self, proxy: SplitResult, host: str) -> _Connection:
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(_Connection, host, proxy.port or 80)
        if self._tls is None:
            return connection
        wanted = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        credentials = "" if proxy.username is None else f"proxy-authorization: {_basic(proxy)}\r\n"
        tunnel = _Tunnel()
        transport.set_protocol(tunnel)
        transport.write(f"CONNECT {wanted} HTTP/1.1\r\nhost: {wanted}\r\n{credentials}\r\n".encode("latin-1"))
        try:
            await tunnel.opened
            transport.set_protocol(connection)
            secured = await loop.start_tls(transport, connection, self._tls, server_hostname=self.host)
        except BaseException:
            transport.abort()
            raise
        if secured is None:
            raise ConnectionLost
        connection.transport = secured
        return connection


class _Tunnel(asyncio.Protocol):
    """Waits for a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head and not self.opened.done():
            status = self._head.split(b" ", 2)[1:2]
            if status and status[0].startswith(b"2"):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(ConnectionLost())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionLost())


def _proxy_for(url: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for a URL (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``)."""
    host = url.hostname or ""
    proxy = urllib.request.getproxies().get(url.scheme)
    if (
        not proxy
        or host in ("localhost", "::1")
        or host.startswith("127.")
        or urllib.request.proxy_bypass(host)
    ):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _host_header(url: SplitResult) -> str:
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    return host if url.port is None else f"{host}:{url.port}"


def _basic(url: SplitResult) -> str:
    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _clean(value: str) -> str:
    """A header's value on one line. ValueError: it has a line break or is not Latin-1."""
    if "\r" in value or "\n" in value:
        raise ValueError("a header's value has a line break")
    value.encode("latin-1")
    return value
