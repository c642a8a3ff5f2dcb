"""One HTTP/1.1 connection: uvicorn's protocol with limits, and with errors in the envelope.

A client that sends nothing more after its request (``shutdown(SHUT_WR)``, as ``nc -N`` does) is answered; see
:meth:`HttpConnection.eof_received`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import urllib.parse
from collections import deque
from http import HTTPStatus
from typing import Any, Final

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from kodo.server.http.connection_pool import Phase, PooledConfig
from kodo.server.http.departure import KEY as DEPARTURE
from kodo.server.http.departure import Departure
from kodo.server.http.exchange import Exchange

MAX_DISCARDED_BYTES: Final = 64 * 2**20
"""Bytes of a body that are read over after its answer was sent, before the connection is closed."""
INTERIM: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What HTTP/1.1 clients read over before an answer; where a client is gone, its system refuses it."""
_FRAMING_FACTOR: Final = 16
"""Bytes of chunk framing and trailers that are taken for a byte of a body, above the limit on headers."""


class HttpConnection(HttpToolsProtocol):
    """One HTTP/1.1 connection with limits."""

    config: PooledConfig

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
        """The headers are whole: as uvicorn's, with an :class:`Exchange`."""
        self._enter(Phase.BODY, self._limits.body_seconds)
        self._head_bytes = 0  # of the trailers, from here on
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        if parser.should_upgrade() and self._should_upgrade():
            return
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = self.root_path + (urllib.parse.unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + url.path
        scope["query_string"] = url.query or b""
        before = self._request
        self.cycle = Exchange(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

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
        """The answer was sent. Where it was sent before the end of the body, the rest is read over.

        uvicorn sets a timer here for a connection that stays unused; its phase has a deadline already.
        """
        if self._departures:
            self._departures.popleft()
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
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


def _error(status: int, code: str, message: str) -> bytes:
    """A whole HTTP response with the envelope of errors, for what ends before there is a request."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-request-id: req_{secrets.token_hex(16)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
