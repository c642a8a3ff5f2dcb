"""Connections: what one may cost before anybody is known, and what all of them may cost together.

uvicorn's protocols, with limits: on the bytes and the number of headers, on the time for headers, for a body without
progress and for a reader that stopped, on control frames, on the bytes of unfinished messages, and on the number of
connections. Where that number is reached, the connection that has waited longest for its request makes room for the next
one, so that half-open requests cannot keep others out.

A client that sends nothing more after its request (``shutdown(SHUT_WR)``, as ``nc -N`` does) is answered; see
:meth:`HttpConnection.eof_received`.

A WebSocket's bytes are parsed in small slices, each in a turn of the event loop of its own, and only as fast as the
application takes the messages.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import secrets
from collections import deque
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Final, Protocol

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from kodo.server.config import LimitSettings, Settings
from kodo.server.http.body_memory import BodyMemory, Hold
from kodo.server.http.departure import KEY as DEPARTURE
from kodo.server.http.departure import Departure
from kodo.server.lifecycle.errors import Overloaded

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 1.0
"""Interval of the checks of deadlines: a timer for each request would cost more than it brings."""
RESERVED_DESCRIPTORS: Final = 64
"""Descriptors for all but connections: the store, files, the engines."""
MAX_CONNECTIONS: Final = 2000
"""Connections where the settings name no number and the process may have enough descriptors."""
MAX_DISCARDED_BYTES: Final = 64 * 2**20
"""Bytes of a body that are read over after its answer was sent, before the connection is closed."""
SLICE_BYTES: Final = 8192
"""Bytes of a WebSocket that are parsed in one turn of the event loop."""
CONTROL_FRAMES: Final = 200
"""Control frames that a WebSocket may send at once, and in CONTROL_SECONDS on average."""
CONTROL_SECONDS: Final = 10.0
INTERIM: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What HTTP/1.1 clients read over before an answer; where a client is gone, its system refuses it."""
_FRAMING_FACTOR: Final = 16
"""Bytes of chunk framing and trailers that are taken for a byte of a body, above the limit on headers."""


class Phase(IntEnum):
    """What a connection waits for; those of lower phases make room first."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    BUSY = 3
    """Its request is whole, or it is a WebSocket."""


class Connection(Protocol):
    """What :class:`ConnectionPool` needs of a protocol."""

    transport: asyncio.Transport
    phase: Phase
    since: float
    """When the phase began, or its last progress (event loop's time)."""
    unwritten: int | None
    """Bytes that wait for a reader that does not keep up; None: it does."""
    write_deadline: float

    @property
    def waits(self) -> bool:
        """Whether it waits for a request, and nothing else is under way."""

    def is_late(self, now: float) -> bool:
        """Whether its client should have made progress by ``now``."""

    def probe(self) -> None:
        """Find out whether a client is still there that will send nothing more."""

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error, where there is still room for one, and close the connection."""


class ConnectionPool:
    """The open connections of one server."""

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = limits
        self.max_connections = limits.connections or default_connections()
        self._open: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._warned = 0.0

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Add a connection. Where there are too many, one that waits for its request is closed, or else this one."""
        self._open.add(connection)
        loop = asyncio.get_running_loop()
        if self._sweeping is None:
            self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep)
        if len(self._open) <= self.max_connections:
            return
        if loop.time() - self._warned > 60:
            self._warned = loop.time()
            logger.warning("%d connections are open, which is the limit", self.max_connections)
        waiting = [other for other in self._open if other.waits and other is not connection]
        oldest = min(waiting, key=lambda other: (other.phase, other.since), default=connection)
        oldest.refuse(503, "too_many_connections", "The server has too many connections; try again shortly.")

    def replace(self, old: Connection, new: Connection) -> None:
        """Hand the place of a connection over to the protocol that it is upgraded to."""
        self._open.discard(old)
        self._open.add(new)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that was closed."""
        self._open.discard(connection)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep) if self._open else None
        now = loop.time()
        for connection in list(self._open):
            if connection.is_late(now):
                what = "headers" if connection.phase is Phase.HEAD else "body"
                connection.refuse(408, "request_timeout", f"The request's {what} did not arrive in time.")
            elif connection.unwritten is not None:
                self._check_reader(connection, now)
            else:
                connection.probe()

    def _check_reader(self, connection: Connection, now: float) -> None:
        """Close the connection of a reader that has taken nothing for ``write_seconds``."""
        unwritten = connection.transport.get_write_buffer_size()
        if connection.unwritten is None or unwritten < connection.unwritten:
            connection.write_deadline = now + self.limits.write_seconds
        elif connection.write_deadline < now:
            connection.transport.abort()
        connection.unwritten = unwritten


def default_connections() -> int:
    """How many connections the process's limit on open files allows for: each may need a descriptor to an engine too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(8, (soft - RESERVED_DESCRIPTORS) * 3 // 4))


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, with what the protocols below need."""

    def __init__(self, app: Any, settings: Settings, memory: BodyMemory, **options: Any) -> None:
        limits = settings.limits
        self.pool = ConnectionPool(limits)
        self.memory = memory
        super().__init__(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http=HttpConnection,
            ws=WebSocketConnection,
            ws_max_size=limits.body_bytes,
            ws_per_message_deflate=False,
            timeout_keep_alive=max(1, round(limits.idle_seconds)),
            **options,
        )


def _error(status: int, code: str, message: str) -> bytes:
    """A whole HTTP response with the envelope of errors, for what ends before there is a request."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: req_{secrets.token_hex(16)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


class HttpConnection(HttpToolsProtocol):
    """One HTTP/1.1 connection with limits."""

    config: ServerConfig

    def __init__(self, config: uvicorn.Config, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self.pool = self.config.pool
        self._limits = self.pool.limits
        self.phase = Phase.IDLE
        self.since = 0.0
        self._deadline: float | None = None
        self.unwritten: int | None = None
        self.write_deadline = 0.0
        self._head_bytes = 0
        self._unparsed_head_bytes = 0
        self._body_bytes = 0
        self._received_body_bytes = 0
        self._framing_bytes = 0
        self._discarded_bytes = 0
        self._too_large: str | None = None
        self._half_closed = False
        self._departures: deque[Departure] = deque()
        """Of the requests that are not answered, the oldest first."""

    @property
    def _request(self) -> RequestResponseCycle | None:
        """The newest request whose headers are whole."""
        return self.cycle

    @property
    def _answered(self) -> bool:
        """Whether there is a newest request, and its answer was sent."""
        request = self._request
        return request is not None and request.response_complete

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A connection was accepted."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._deadline = self.since + self._limits.header_seconds
        self.pool.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self.pool.remove(self)
        super().connection_lost(exc)
        self._tell_requests()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's, with limits and with errors in the envelope."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self.phase is Phase.IDLE:
            self._enter(Phase.HEAD, self._limits.header_seconds)
        self._received_body_bytes = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self.logger.debug("an upgrade to another protocol than WebSocket was asked for")
            return
        except httptools.HttpParserError:
            if self._too_large is not None:
                self.refuse(431, "headers_too_large", self._too_large)
            else:
                self.refuse(400, "invalid_http", "The request is not valid HTTP.")
            return
        if self.phase is Phase.HEAD:
            self._unparsed_head_bytes += len(data)  # a header that does not end is not reported by the parser
            if self._unparsed_head_bytes > self._limits.header_bytes:
                self.refuse(431, "headers_too_large", self._headers_too_large())
        elif self.phase is Phase.BODY:
            self._after_body_data(len(data), self._received_body_bytes)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's closes always
        """The client sends nothing more. Returns whether the connection stays open, for the answer to its request.

        The same arrives where the client is gone altogether; :meth:`probe` tells these apart. So the connection is closed
        where there can be no probe: with HTTP/1.0, with TLS (which cannot be closed by halves here), and once an answer
        has begun.
        """
        request = self._request
        if self.transport.is_closing() or self.phase is not Phase.BUSY or request is None:
            return False
        if (
            request.response_started
            or request.scope["http_version"] != "1.1"
            or self.scope["scheme"] != "http"
        ):
            return False
        self._half_closed = True
        request.keep_alive = False
        self.probe()
        return True

    def probe(self) -> None:
        """See :class:`Connection`."""
        request = self._request
        if self._half_closed and request is not None and not request.response_started and not self.pipeline:
            self.transport.write(INTERIM)

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        super().pause_writing()
        self.unwritten = self.transport.get_write_buffer_size()
        self.write_deadline = self.loop.time() + self._limits.write_seconds

    def resume_writing(self) -> None:
        """The reader keeps up again."""
        self.unwritten = None
        super().resume_writing()

    # --- the parser's side ---

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        departure = self.scope["state"][DEPARTURE] = Departure()
        self._departures.append(departure)
        self._head_bytes = self._unparsed_head_bytes = self._body_bytes = self._framing_bytes = (
            self._discarded_bytes
        ) = 0
        if self.phase is not Phase.HEAD:
            self._enter(Phase.HEAD, self._limits.header_seconds)

    def on_url(self, url: bytes) -> None:
        """A part of the URL."""
        super().on_url(url)
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._count_head(len(name) + len(value) + 4)
        if len(self.headers) >= self._limits.headers:
            self._too_large = f"The request has more than {self._limits.headers} headers."
            raise ValueError(self._too_large)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers are whole."""
        self._enter(Phase.BODY, self._limits.body_seconds)
        self._head_bytes = 0  # of the trailers, from here on
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        self._received_body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        if self._answered:
            self._enter(Phase.IDLE, self._limits.idle_seconds)
        else:
            self._enter(Phase.BUSY, None)

    def on_response_complete(self) -> None:
        """The answer was sent. Where it was sent before the end of the body, the rest is read over."""
        if self._departures:
            self._departures.popleft()
        super().on_response_complete()
        if self.phase is Phase.BUSY and not self.pipeline and self._answered:
            self._enter(Phase.IDLE, self._limits.idle_seconds)

    def handle_websocket_upgrade(self) -> None:
        """As uvicorn's; the place of the connection goes over to the other protocol."""
        self._deadline = None
        super().handle_websocket_upgrade()

    # --- limits ---

    @property
    def waits(self) -> bool:
        """See :class:`Connection`."""
        idle = self._request is None or self._answered
        return self.phase is Phase.BODY or (self.phase < Phase.BUSY and idle)

    def is_late(self, now: float) -> bool:
        """See :class:`Connection`. A body that the application does not take up is not late."""
        if self._deadline is None or self._deadline > now:
            return False
        return self.phase is not Phase.BODY or not self.flow.read_paused

    def refuse(self, status: int, code: str, message: str) -> None:
        """See :class:`Connection`."""
        request = self._request
        its_own = request is not None and (self.phase is Phase.BODY or not request.response_complete)
        answering = its_own and request is not None and request.response_started
        unasked = self.phase is Phase.IDLE and (request is not None or status == 408)
        self._enter(Phase.BUSY, None)
        if not self.transport.is_closing() and not answering and not unasked:
            self.transport.write(_error(status, code, message))
        if request is not None:
            request.disconnected = True
            request.message_event.set()
        self._tell_requests()
        self.transport.close()

    def _tell_requests(self) -> None:
        """The client will read no answer any more."""
        for departure in self._departures:
            departure.tell()
        self._departures.clear()

    def _enter(self, phase: Phase, seconds: float | None) -> None:
        self.phase = phase
        self.since = self.loop.time()
        self._deadline = None if seconds is None else self.since + seconds

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.header_bytes:
            self._too_large = self._headers_too_large()
            raise ValueError(self._too_large)

    def _headers_too_large(self) -> str:
        return f"The request's headers are larger than {self._limits.header_bytes} bytes."

    def _after_body_data(self, received: int, body: int) -> None:
        """Note the progress of a body; close a connection that sends chunk framing or an unwanted body without end."""
        self.since = self.loop.time()
        if body:
            self._deadline = self.since + self._limits.body_seconds
        self._framing_bytes += received - body
        if self._framing_bytes > self._limits.header_bytes + _FRAMING_FACTOR * self._body_bytes:
            self.refuse(400, "invalid_http", "The request's body has too much framing.")
        elif self._answered:
            self._discarded_bytes += body
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.close()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One WebSocket with limits."""

    config: ServerConfig

    def __init__(self, config: uvicorn.Config, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self.pool = self.config.pool
        self.phase = Phase.BUSY
        self.since = 0.0
        self.unwritten: int | None = None
        self.write_deadline = 0.0
        self._messages: deque[int] = deque()
        """Sizes of the messages that wait for the application."""
        self._taken = 0
        """Size of the message that the application works on."""
        self._hold = Hold(self.config.memory)
        self._unparsed = bytearray()
        self._scheduled = False
        self._control_frames = 0.0
        self._control_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection was handed over by the HTTP protocol."""
        self.pool.replace(transport.get_protocol(), self)  # type: ignore[arg-type]  # it is an HttpConnection
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self.pool.remove(self)
        self._hold.release()
        self._unparsed.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client: parsed now, as far as one turn of the loop may take."""
        self._unparsed += data
        if not self._scheduled:
            self._parse()

    async def receive(self) -> Any:
        """As uvicorn's; once the application has taken what is parsed, more is."""
        self._taken = 0
        message = await super().receive()
        if message["type"] == "websocket.receive":
            self._taken = self._messages.popleft()
        if self._unparsed:
            if not self._scheduled and not self.read_paused:
                self._schedule()
            self._pause_reading()
        return message

    async def send(self, message: Any) -> None:
        """As uvicorn's. A handshake that was refused is complete: uvicorn would log it as an error of the application."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message over."""
        size, waiting = sum(map(len, self.frames)), self.queue.qsize()
        super().send_receive_event_to_app()
        if self.queue.qsize() > waiting:
            self._messages.append(size)

    def handle_ping(self) -> None:
        """Answer a ping, unless there are too many."""
        if self._count_control_frame():
            super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        """Take a pong, unless there are too many."""
        if self._count_control_frame():
            super().handle_pong(event)

    def pause_writing(self) -> None:
        """The reader does not keep up."""
        super().pause_writing()
        self.unwritten = self.transport.get_write_buffer_size()
        self.write_deadline = self.loop.time() + self.pool.limits.write_seconds

    def resume_writing(self) -> None:
        """The reader keeps up again."""
        self.unwritten = None
        super().resume_writing()

    @property
    def waits(self) -> bool:
        """See :class:`Connection`."""
        return False

    def is_late(self, now: float) -> bool:
        """See :class:`Connection`. uvicorn's own pings find out that a client is gone."""
        return False

    def probe(self) -> None:
        """See :class:`Connection`: a WebSocket is closed by a frame."""

    def refuse(self, status: int, code: str, message: str) -> None:
        """See :class:`Connection`. An open WebSocket is closed with 1013, or 1008 for what the client did wrong."""
        del code
        self._unparsed.clear()
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.conn.send_close(1013 if status == 503 else 1008, message[:120])
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.transport.close()

    # --- inside ---

    def _parse(self) -> None:
        self._scheduled = False
        if self.transport.is_closing() or self.disconnected or not self._unparsed:
            return
        if self.handshake_complete and self.read_paused and not self.queue.empty():
            self._pause_reading()  # the application is behind: see receive
            return
        part = bytes(self._unparsed[:SLICE_BYTES])
        del self._unparsed[:SLICE_BYTES]
        super().data_received(part)
        try:
            self._hold.grow_to(len(self._unparsed) + self._held_bytes())
        except Overloaded as error:
            self.refuse(503, "overloaded", error.message)
            return
        if self._unparsed and not self.transport.is_closing():
            self._schedule()
            self._pause_reading()
        elif not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _schedule(self) -> None:
        self._scheduled = True
        self.loop.call_soon(self._parse)

    def _pause_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _held_bytes(self) -> int:
        """Bytes of messages that have not come to their end, or that the application is not done with."""
        return len(self.conn.reader.buffer) + sum(map(len, self.frames)) + sum(self._messages) + self._taken

    def _count_control_frame(self) -> bool:
        """Whether a control frame is to be handled; where there are too many, the connection is closed."""
        if self.transport.is_closing():
            return False
        now = self.loop.time()
        refill = (now - self._control_at) * CONTROL_FRAMES / CONTROL_SECONDS
        self._control_frames = max(0.0, self._control_frames - refill) + 1
        self._control_at = now
        if self._control_frames > CONTROL_FRAMES:
            self.refuse(400, "too_many_control_frames", "Too many control frames.")
            return False
        return True
