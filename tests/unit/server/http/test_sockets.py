"""How a connection ends: in an order that no client can observe for sure, and that matters to each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.websockets import WebSocket, WebSocketDisconnect

from kodo.server.http.sockets import frames, send, serve_connection


class Recorded:
    """A session that notes what is asked of it."""

    def __init__(self, end: BaseException | None) -> None:
        self.asked: list[str] = []
        self._end = end

    async def serve(self) -> None:
        """Until its end."""
        self.asked.append("serve")
        if self._end is not None:
            raise self._end
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Noted."""
        self.asked.append("close")

    async def expire(self) -> None:
        """Noted."""
        self.asked.append("expire")


def _socket(session: Recorded, *received: dict[str, Any], broken: bool = False) -> WebSocket:
    waiting = [{"type": "websocket.connect"}, *received]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def sent(message: Any) -> None:
        session.asked.append(message.get("text") or f"{message['type']} {message.get('code', '')}".strip())
        if broken and message["type"] != "websocket.accept":
            raise RuntimeError("the client is gone")

    return WebSocket({"type": "websocket"}, receive, sent)


@pytest.mark.parametrize("broken", [False, True])
async def test_at_its_end_what_runs_is_stopped_before_the_client_is_told(broken: bool) -> None:
    """So that nothing follows the error, and what was cut is stored as such when the client asks for it; a client that is
    gone by then changes nothing."""
    session = Recorded(None)
    socket = _socket(session, broken=broken)
    await socket.accept()
    await serve_connection(socket, session, 0.01)
    assert session.asked == ["websocket.accept", "serve", "close", "expire", "websocket.close 1000", "close"]


async def test_a_client_that_goes_is_told_nothing() -> None:
    """What runs is stopped."""
    session = Recorded(WebSocketDisconnect())
    await serve_connection(_socket(session), session, 60)
    assert session.asked == ["serve", "close"]


async def test_a_bug_stops_what_runs_and_is_not_swallowed() -> None:
    """It goes to the server's log."""
    session = Recorded(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await serve_connection(_socket(session), session, 60)
    assert session.asked == ["serve", "close"]


async def test_frames_are_bytes_whatever_they_came_as() -> None:
    """Text or binary, up to the disconnect."""
    session = Recorded(None)
    socket = _socket(
        session,
        {"type": "websocket.receive", "text": "é"},
        {"type": "websocket.receive", "bytes": b"x"},
        {"type": "websocket.disconnect", "code": 1000},
    )
    await socket.accept()
    assert [frame async for frame in frames(socket)] == ["é".encode(), b"x"]


async def test_a_value_goes_out_as_one_text_with_what_is_added() -> None:
    """What is None is not added."""
    session = Recorded(None)
    socket = _socket(session)
    await socket.accept()
    await send(socket, {"a": 1}, stream_id="b", other=None)
    await send(socket, {"a": 1}, stream_id=None)
    assert session.asked[1:] == ['{"a":1,"stream_id":"b"}', '{"a":1}']
