"""Responses over a WebSocket at ``/v1/responses``: the events of the stream, each as a JSON frame.

Sources: openai-python 3.54 (``lib/responses_websocket/README.md``) and Open Responses 2026-04-24. They differ in one
point, and both are supported: without ``stream_id``, responses run strictly one after another, as the specification
says; with it, each stream has a first-in-first-out queue of its own.

A response that is not stored can be continued on the same connection, which remembers it. If a continuation fails, the
response that it continued is forgotten, provided that the same stream made it.

A connection lasts 60 minutes (``connection_seconds``). Responses still running then are cancelled, as if the client had
disconnected; the error ``websocket_connection_limit_reached`` is the last frame.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from kodo.server.http.errors import Unauthorized, UpgradeRequired, error_response, internal_error, translate
from kodo.server.http.keys import Caller
from kodo.server.http.responses.request_body import decode_request
from kodo.server.http.sockets import end_unauthorized, frames, send, serve_connection
from kodo.server.http.state import State, get_caller, get_state
from kodo.server.lifecycle.errors import InvalidRequest, ServiceError
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.run import Run
from kodo.server.wire.decode import BadBody, convert, json_object, skipped_tools
from kodo.server.wire.events import ResponseFailed

logger = logging.getLogger(__name__)

MAX_ACTIVE = 16
MAX_STREAMS = 32
_MAX_REMEMBERED = 128
"""Responses that a connection remembers; the oldest go first."""
_STREAM_ID = re.compile(r"[A-Za-z0-9_.-]{1,256}")


async def connect(socket: WebSocket) -> None:
    """``/v1/responses`` as a WebSocket. If WebSockets are disabled, the upgrade is answered with 426, on which clients
    fall back to HTTP.
    """
    state = get_state(socket)
    if not state.settings.websockets:
        error = UpgradeRequired("WebSockets are disabled on this server; use POST /v1/responses.")
        await socket.send_denial_response(error_response(error, socket.scope))
        return
    await socket.accept()
    await serve_connection(
        socket, _Connection(socket, state, get_caller(socket)), state.settings.connection_seconds
    )


def _limit_error(code: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, param="stream_id", code=code)


@dataclass
class _ConnectionMemory:
    """Responses known to this connection only: the whole context of each, and the stream that made it.

    The oldest are forgotten where there are too many, or their items have more than ``max_bytes`` together; the newest one
    stays. An item that several contexts share counts once.
    """

    max_bytes: int
    contexts: OrderedDict[str, tuple[ContextItem, ...]] = field(default_factory=OrderedDict)
    stream_ids: dict[str, str | None] = field(default_factory=dict)
    _holders: Counter[int] = field(default_factory=Counter)
    """How many contexts hold an item, by its identity in memory."""
    _bytes: int = 0

    def remember(self, run: Run, stream_id: str | None) -> None:
        answer = tuple(row.context for row in run.output_rows())
        self.contexts[run.id] = (*run.context, *answer)
        self.stream_ids[run.id] = stream_id
        for context in self.contexts[run.id]:
            self._holders[id(context)] += 1
            if self._holders[id(context)] == 1:
                self._bytes += _size(context)
        while len(self.contexts) > 1 and (
            len(self.contexts) > _MAX_REMEMBERED or self._bytes > self.max_bytes
        ):
            self.forget(next(iter(self.contexts)))

    def forget(self, response_id: str) -> None:
        for context in self.contexts.pop(response_id, ()):
            self._holders[id(context)] -= 1
            if not self._holders[id(context)]:
                del self._holders[id(context)]
                self._bytes -= _size(context)
        self.stream_ids.pop(response_id, None)


def _size(context: ContextItem) -> int:
    return len(msgspec.json.encode(context.item))


class _Connection:
    def __init__(self, socket: WebSocket, state: State, caller: Caller) -> None:
        self._socket = socket
        self._state = state
        self._caller = caller
        self._memory = _ConnectionMemory(state.settings.limits.session_bytes)
        self._queues: dict[str | None, asyncio.Queue[dict[str, Any]]] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._active = 0

    async def serve(self) -> None:
        """Handle frames until the client disconnects.

        Raises:
            Unauthorized: the key was revoked.
        """
        async for data in frames(self._socket):
            await self._state.keys.check(self._caller)
            await self._handle_frame(data)

    async def refuse(self, error: ServiceError) -> None:
        """Send the error that the connection ends with."""
        await self.send_error(error)

    async def close(self) -> None:
        """Cancel the responses that are still running."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def expire(self) -> None:
        """Send the error on which clients open a new connection."""
        minutes = self._state.settings.connection_seconds / 60
        await self.send_error(
            InvalidRequest(
                f"The connection reached its limit of {minutes:g} minutes; open a new one.",
                code="websocket_connection_limit_reached",
            )
        )

    async def send_error(self, error: ServiceError | BadBody, stream_id: str | None = None) -> None:
        """Send an error as a frame, nested as the SDK expects it on WebSockets."""
        status, envelope = translate(error)
        await self._send({"type": "error", "status": status, "error": envelope.error}, stream_id)

    async def _send(self, frame: Any, stream_id: str | None) -> None:
        await send(self._socket, frame, stream_id=stream_id)

    async def _handle_frame(self, data: bytes) -> None:
        stream_id = None
        try:
            if len(data) > self._state.settings.limits.body_bytes:
                raise BadBody("The frame is too large.", None, "request_too_large")
            frame = json_object(data)
            if frame.get("type") != "response.create":
                raise BadBody(f"Unknown event type '{frame.get('type')}'.", "type", "invalid_value")
            stream_id = self._take_stream_id(frame)
            if self._active >= MAX_ACTIVE:
                raise _limit_error(
                    "websocket_stream_limit_reached",
                    f"A connection may have at most {MAX_ACTIVE} concurrent responses.",
                )
        except (ServiceError, BadBody) as error:
            await self.send_error(error, stream_id)
            return
        if stream_id not in self._queues:
            self._queues[stream_id] = asyncio.Queue()
            self._workers.append(asyncio.create_task(self._run_queue(stream_id)))
        self._active += 1
        self._queues[stream_id].put_nowait(frame)

    def _take_stream_id(self, frame: dict[str, Any]) -> str | None:
        stream_id = frame.pop("stream_id", None)
        if stream_id is None:
            return None
        if not isinstance(stream_id, str) or not _STREAM_ID.fullmatch(stream_id):
            raise _limit_error(
                "invalid_stream_id", "stream_id must be 1 to 256 of the characters A-Z a-z 0-9 _ . -"
            )
        if stream_id not in self._queues and len(self._queues.keys() - {None}) >= MAX_STREAMS:
            raise _limit_error(
                "websocket_stream_limit_reached", f"At most {MAX_STREAMS} different stream_ids."
            )
        return stream_id

    async def _run_queue(self, stream_id: str | None) -> None:
        while True:
            frame = await self._queues[stream_id].get()
            try:
                await self._run_turn(frame, stream_id)
            except Unauthorized as error:
                await end_unauthorized(self._socket, self, error)
                return
            except (ServiceError, BadBody) as error:
                self._evict(frame.get("previous_response_id"), stream_id)
                await self.send_error(error, stream_id)
            except Exception:  # as handle_unexpected_error does for HTTP: a bug ends the turn, not the lane
                logger.exception("a response over a WebSocket failed unexpectedly")
                await self._send({"type": "error", "status": 500, "error": internal_error().error}, stream_id)
            finally:
                self._active -= 1

    async def _run_turn(self, frame: dict[str, Any], stream_id: str | None) -> None:
        generate = frame.pop("generate", None)
        convert(generate, bool | None, "generate")
        frame.pop("type")
        if frame.get("background"):
            raise BadBody(
                "background is not supported over a WebSocket.", "background", "unsupported_parameter"
            )
        if convert(frame.get("stream"), bool | None, "stream") is False:
            raise BadBody("A WebSocket always streams: stream cannot be false.", "stream", "invalid_value")
        frame["stream"] = True  # its options are read as those of any stream
        await self._state.keys.check(self._caller)
        ticket, service = await self._state.limits.admit(self._caller), self._state.service
        with ticket.starting():
            call = CallContext(
                owner=self._caller.owner,
                key_id=self._caller.key_id,
                streamed=True,
                generate=generate is not False,
                local=self._memory.contexts,
            )
            run = await service.create(call, decode_request(service, frame))
        try:
            self._state.metrics.skipped(skipped_tools(frame, service.tools))
            async for batch in run.events():
                await self._state.keys.check(self._caller)
                for event in batch:
                    await self._send(event, stream_id)
                    if isinstance(event, ResponseFailed):
                        self._evict(frame.get("previous_response_id"), stream_id)
            if run.row is None and run.response.status in ("completed", "incomplete"):
                self._memory.remember(run, stream_id)
        finally:
            await ticket.finish(service, run)

    def _evict(self, parent: Any, stream_id: str | None) -> None:
        """Forget the parent of a failed continuation, unless another stream made it."""
        if isinstance(parent, str) and self._memory.stream_ids.get(parent, "\0") == stream_id:
            self._memory.forget(parent)
