"""One request and its answer: uvicorn's, with an answer that is whole in one write.

uvicorn writes the head of an answer by itself and the body after it: two system calls, and a client that is woken twice.
Here a head that names its length waits for the body; where that is not whole either, both go uvicorn's way. A stream's head
names no length, and goes out at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)


class Exchange(RequestResponseCycle):
    """See the module."""

    _head: Any = None
    """ASGI's message of a head that waits for its body."""

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI."""
        if not self.response_started:
            if message["type"] == "http.response.start" and _length(message.get("headers", ())) is not None:
                self._head = message
                return
            head, self._head = self._head, None
            if head is not None:
                if message["type"] == "http.response.body" and await self._sent_whole(head, message):
                    return
                await super().send(cast("ASGISendEvent", head))
        await super().send(message)

    async def _sent_whole(self, head: Any, message: Any) -> bool:
        """Send a head and its body, where that is all of the answer and nothing about it is special; whether it was sent."""
        headers = [*self.default_headers, *head["headers"]]
        body = message.get("body", b"")
        if (
            message.get("more_body", False)
            or self.scope["method"] == "HEAD"
            or _length(headers) != len(body)
            or any(name in (b"connection", b"transfer-encoding") for name, _ in headers)
            or HEADER_RE.search(b"".join([name for name, _ in headers]))
            or HEADER_VALUE_RE.search(b"".join([value for _, value in headers]))
        ):
            return False
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return True
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        lines = [b"%b: %b\r\n" % header for header in headers]
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[head["status"]], *lines, end, body)))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The ``Content-Length``, as it stands in the headers of an application; None: they name none."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return None
