"""What every endpoint uses: a bounded request body, JSON responses, event streams, disconnect handling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kodo.server.http.body_memory import KEY, Hold
from kodo.server.http.content_encoding import decoder_for
from kodo.server.http.departure import KEY as DEPARTURE
from kodo.server.http.departure import Departure
from kodo.server.http.errors import Unauthorized, encode_error_event
from kodo.server.lifecycle.errors import ServiceError, TooLarge

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


CHECK = "check_caller"
"""The name in the scope's state of what raises ``Unauthorized`` once the caller's key is revoked."""
MAX_INLINE_PARTS = 500
"""Messages of a request that are translated in one piece; about 20 ms of the event loop."""


class ClientDisconnect(Exception):
    """The client closed the connection before it had its answer."""


async def handle_disconnect(request: Request, error: Exception) -> Response:
    """Starlette's handler for :class:`ClientDisconnect`. The status is seen in the metrics only."""
    return Response(status_code=499)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of a name in lower case. Starlette's mapping raises and catches an error where there is none."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for given, value in headers:
        if given == name:
            return value
    return None


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, at most ``limit`` bytes, also where it is compressed.

    Raises:
        TooLarge: the body is larger.
        UnsupportedMediaType, BadBody: its Content-Encoding is unknown, or not what it says.
        Overloaded: the bodies of all requests take too much memory.
        ClientDisconnect: the client left before the body was complete.
    """
    coding = header(request.scope, b"content-encoding")
    decode = None if coding is None else decoder_for(coding.decode("latin-1"))
    body = await read_raw_body(request, limit)
    if decode is None:
        return body
    body = await asyncio.to_thread(decode, body, limit)
    _hold(request, len(body))
    return body


async def read_raw_body(request: Request, limit: int) -> bytes:
    """Read the body as it came. Raises what :func:`read_body` does for one that is not compressed."""
    declared = header(request.scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        _hold(request, size)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")


def _hold(request: Request, size: int) -> None:
    """Count a body among those that are held in memory. Raises ``Overloaded``."""
    hold: Hold | None = request.scope.get("state", {}).get(KEY)
    if hold is not None:
        hold.grow_to(size)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Build a JSON response from a wire value."""
    return _JsonResponse(_encode(value), status, headers or {})


class _JsonResponse(Response):
    """Starlette's with a body that is encoded and headers that are known: nothing is looked for in them."""

    media_type = "application/json"

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [
            *[(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]


async def in_turns(count: int, work: Callable[[], T]) -> T:
    """The result of ``work`` on so many parts of a body; where they are many, in a thread, so that others have their turn.

    Only for work in many small steps that touches nothing but its arguments.
    """
    return work() if count <= MAX_INLINE_PARTS else await asyncio.to_thread(work)


async def cancel_on_disconnect(request: Request, work: Awaitable[T]) -> T:
    """Await ``work``, but cancel it when the client disconnects.

    Raises:
        ClientDisconnect: the client left first; ``work`` was cancelled.
    """
    departure: Departure | None = request.scope.get("state", {}).get(DEPARTURE)
    current = asyncio.current_task()
    if departure is None or current is None:
        return await _cancel_on_message(request, work)
    cancelled = False

    def cancel() -> None:
        nonlocal cancelled
        cancelled = True
        current.cancel()

    departure.watch(cancel)
    if departure.gone:
        cancel()
    try:
        return await work
    except asyncio.CancelledError:
        if cancelled and current.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    finally:
        departure.unwatch(cancel)


async def _cancel_on_message(request: Request, work: Awaitable[T]) -> T:
    """The same where the server tells it by ASGI's message only."""
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(_disconnected(request.receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.gather(gone, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-Sent Events. Each batch is sent in one write; ``finished`` is awaited however the stream ends.

    Before each write the caller's key is looked up again: a revoked one ends its streams at once, with an error event.
    """

    def __init__(
        self,
        batches: AsyncIterator[Sequence[T]],
        frame: Callable[[T], bytes],
        *,
        headers: Mapping[str, str],
        finished: Callable[[], Awaitable[None]],
        on_error: Callable[[ServiceError], bytes] | None = None,
        tail: bytes = b"",
    ) -> None:
        super().__init__(
            None,
            200,
            headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers},
            media_type="text/event-stream",
        )
        del self.headers["content-length"]
        self._batches = batches
        self._frame = frame
        self._finished = finished
        self._on_error = on_error
        self._tail = tail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        writing = asyncio.create_task(self._write(scope, send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((writing, gone), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
        finally:
            for task in (writing, gone):
                task.cancel()
            await asyncio.gather(writing, gone, return_exceptions=True)
            await self._finished()

    async def _write(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        check: Callable[[], Awaitable[None]] | None = scope.get("state", {}).get(CHECK)
        frame, tail = self._frame, self._tail
        try:
            async for batch in self._batches:
                body = b"".join([frame(event) for event in batch])
                if body:
                    if check is not None:
                        await check()
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        except Unauthorized as error:
            tail = encode_error_event(error, scope)
        except ServiceError as error:
            if self._on_error is None:
                raise
            await send({"type": "http.response.body", "body": self._on_error(error), "more_body": True})
        await send({"type": "http.response.body", "body": tail, "more_body": False})
