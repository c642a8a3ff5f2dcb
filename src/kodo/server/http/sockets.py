"""What the WebSocket endpoints share: reading frames, sending frames, and ending a connection at its time limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from kodo.server.http.errors import Unauthorized
from kodo.server.lifecycle.errors import ServiceError

_encode = msgspec.json.Encoder().encode


class Session(Protocol):
    """The work of one connection."""

    async def serve(self) -> None:
        """Handle frames until the client disconnects."""

    async def close(self) -> None:
        """Stop what still runs and wait until its end is sent and stored. May be called twice."""

    async def expire(self) -> None:
        """Tell the client that the connection has reached its time limit."""

    async def refuse(self, error: ServiceError) -> None:
        """Tell the client why the connection ends."""


async def serve_connection(socket: WebSocket, session: Session, seconds: float) -> None:
    """Serve an accepted connection for at most ``seconds``, and until the session raises ``Unauthorized``.

    What still runs then is stopped first, so that the last frame is the one that gives the reason.
    """
    try:
        async with asyncio.timeout(seconds):
            await session.serve()
    except WebSocketDisconnect:
        pass
    except Unauthorized as error:
        await session.close()
        await end_unauthorized(socket, session, error)
    except TimeoutError:
        await session.close()
        await session.expire()
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(1000)
    finally:
        await session.close()


async def end_unauthorized(socket: WebSocket, session: Session, error: ServiceError) -> None:
    """End a connection whose key was revoked: with the error, and the code 1008. Its loop over frames ends by that."""
    await session.refuse(error)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(1008)


async def frames(socket: WebSocket) -> AsyncIterator[bytes]:
    """The frames that the client sends, text or binary, until it disconnects."""
    while (frame := await socket.receive())["type"] != "websocket.disconnect":
        text = frame.get("text")
        yield text.encode() if text is not None else frame.get("bytes") or b""
        await asyncio.sleep(0)  # frames that wait already let others have their turn


async def send(socket: WebSocket, frame: Any, **more: str | None) -> None:
    """Send a value as a frame, with those ``more`` fields that are not None.

    Does nothing if the client has disconnected: the loop that reads from it ends by itself.
    """
    data = _encode(frame)
    if extra := {name: value for name, value in more.items() if value is not None}:
        data = data[:-1] + b"," + _encode(extra)[1:]
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_text(data.decode())
