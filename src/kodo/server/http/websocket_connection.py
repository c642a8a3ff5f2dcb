"""One WebSocket: uvicorn's protocol with limits.

Its bytes are parsed in small slices, each in a turn of the event loop of its own, and only as fast as the application takes
the messages.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from kodo.server.http.body_memory import Hold
from kodo.server.http.connection_pool import Phase, PooledConfig
from kodo.server.lifecycle.errors import Overloaded

SLICE_BYTES: Final = 8192
"""Bytes of a WebSocket that are parsed in one turn of the event loop."""
CONTROL_FRAMES: Final = 200
"""Control frames that a WebSocket may send at once, and in CONTROL_SECONDS on average."""
CONTROL_SECONDS: Final = 10.0


class WebSocketConnection(WebSocketsSansIOProtocol):
    """One WebSocket with limits."""

    config: PooledConfig

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
